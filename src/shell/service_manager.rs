//! What is told to the service manager that started this process: sd_notify(3),
//! datagrams to the socket that it names in the environment.
//!
//! Without such a socket nothing is told, and nobody misses it.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// What can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It serves, for the first time or again after [`News::Reloading`].
    Ready,
    /// What it does, in one line for people.
    Status(String),
    /// It reads its document again; since when, in microseconds of the kernel's
    /// monotonic clock. [`News::Ready`] is to follow.
    Reloading(u64),
    /// It is about to end, and may take so long.
    Stopping(Duration),
    /// Its parts that matter answer. To be told at least every
    /// [`ServiceManager::watchdog`], or the service manager ends and restarts it.
    Alive,
}

impl News {
    /// [`News::Reloading`], since now.
    pub fn reloading() -> Self {
        // This clock is always there.
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from);
        Self::Reloading(microseconds(now.unwrap_or_default()))
    }
}

/// As it is sent.
impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("READY=1"),
            // A line feed would begin another assignment.
            Self::Status(text) => write!(f, "STATUS={}", text.replace('\n', " ")),
            Self::Reloading(since) => write!(f, "RELOADING=1\nMONOTONIC_USEC={since}"),
            Self::Stopping(time) => write!(f, "STOPPING=1\nEXTEND_TIMEOUT_USEC={}", microseconds(*time)),
            Self::Alive => f.write_str("WATCHDOG=1"),
        }
    }
}

/// Whoever started this process, if it wants to be told anything.
pub struct ServiceManager {
    to: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// The one of the environment: `NOTIFY_SOCKET`, and `WATCHDOG_USEC` where
    /// that is not meant for another process.
    ///
    /// # Errors
    /// When there is a socket by that name that cannot be had.
    pub fn of_environment() -> io::Result<Self> {
        let text = |name| env::var(name).ok();
        let watchdog = watchdog(
            text("WATCHDOG_USEC").as_deref(),
            text("WATCHDOG_PID").as_deref(),
            std::process::id(),
        );
        let to = match env::var_os("NOTIFY_SOCKET") {
            Some(name) if !name.is_empty() => {
                let socket = UnixDatagram::unbound()?;
                // It must not keep us, whatever becomes of it.
                socket.set_nonblocking(true)?;
                Some((socket, address(&name)?))
            }
            _ => None,
        };
        Ok(Self {
            watchdog: watchdog.filter(|_| to.is_some()),
            to,
        })
    }

    /// Somebody listens.
    pub fn listens(&self) -> bool {
        self.to.is_some()
    }

    /// After how long a silence it takes this process for hung; `None`: never.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Tell it.
    pub fn tell(&self, news: &News) {
        let Some((socket, address)) = &self.to else { return };
        if let Err(error) = socket.send_to_addr(news.to_string().as_bytes(), address) {
            tracing::debug!(%error, "the service manager cannot be told anything");
        }
    }
}

/// `@NAME` has no file.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}

fn watchdog(microseconds: Option<&str>, meant: Option<&str>, own: u32) -> Option<Duration> {
    let is_ours = meant.is_none_or(|pid| pid.parse() == Ok(own));
    let time = microseconds?.parse().ok().filter(|time| *time > 0 && is_ours);
    time.map(Duration::from_micros)
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_what_the_protocol_says() {
        let second = Duration::from_secs(1);
        for (news, text) in [
            (News::Ready, "READY=1"),
            (News::Status("a\nREADY=1".into()), "STATUS=a READY=1"),
            (News::Reloading(7), "RELOADING=1\nMONOTONIC_USEC=7"),
            (News::Stopping(second), "STOPPING=1\nEXTEND_TIMEOUT_USEC=1000000"),
            (News::Alive, "WATCHDOG=1"),
        ] {
            assert_eq!(news.to_string(), text);
        }
        assert!(matches!(News::reloading(), News::Reloading(since) if since > 0));
    }

    #[test]
    fn watchdog_of_another_process_is_none_of_ours() {
        let time = Some(Duration::from_millis(1));
        assert_eq!(watchdog(Some("1000"), None, 7), time);
        assert_eq!(watchdog(Some("1000"), Some("7"), 7), time);
        assert_eq!(watchdog(Some("1000"), Some("8"), 7), None);
        assert_eq!(watchdog(Some("0"), None, 7), None);
        assert_eq!(watchdog(Some("soon"), None, 7), None);
        assert_eq!(watchdog(None, None, 7), None);
    }

    #[test]
    fn sockets_with_and_without_a_file_hear_what_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("@catamaran-notify-{}", std::process::id());
        for name in [path.as_os_str(), name.as_ref()] {
            let address = address(name).unwrap();
            let listens = UnixDatagram::bind_addr(&address).unwrap();
            let manager = ServiceManager {
                to: Some((UnixDatagram::unbound().unwrap(), address)),
                watchdog: None,
            };
            manager.tell(&News::Ready);
            let mut text = [0; 16];
            let length = listens.recv(&mut text).unwrap();
            assert_eq!(&text[..length], b"READY=1");
        }
        let nobody = ServiceManager {
            to: None,
            watchdog: None,
        };
        assert!(!nobody.listens());
        nobody.tell(&News::Ready);
    }
}
