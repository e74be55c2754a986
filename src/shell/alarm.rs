//! A timer as precise as the kernel's.
//!
//! The runtime's own timers are coarse, up to a millisecond late, and cost a
//! second wake-up: too much for what happens a hundred times a second, where a
//! late advertisement is taken for a death.

use std::fs::File;
use std::future::pending;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, TimerSetTimeFlags};
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};
use tokio::net::unix::pipe;

/// One alarm clock, for one task.
pub struct Alarm {
    timer: TimerFd,
    /// The same timer as the runtime watches it: to that, whatever is read is a pipe.
    rings: pipe::Receiver,
    set_for: Option<Instant>,
}

impl Alarm {
    /// One that is not set.
    ///
    /// # Errors
    /// When no file descriptor is left.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let same = timer.as_fd().try_clone_to_owned()?;
        Ok(Self {
            timer,
            rings: pipe::Receiver::from_file_unchecked(File::from(same))?,
            set_for: None,
        })
    }

    /// Wait until `due`, for ever when there is no such moment. Safe to cancel.
    ///
    /// # Errors
    /// When the kernel has no timer for us.
    pub async fn until(&mut self, due: Option<Instant>) -> io::Result<()> {
        let Some(due) = due else { return pending().await };
        if self.set_for != Some(due) {
            // Zero would switch it off.
            let wait = due
                .saturating_duration_since(Instant::now())
                .max(Duration::from_nanos(1));
            let once = Expiration::OneShot(TimeSpec::from_duration(wait));
            self.timer.set(once, TimerSetTimeFlags::empty())?;
            self.set_for = Some(due);
        }
        loop {
            self.rings.readable().await?;
            match self.rings.try_read(&mut [0; 8]) {
                // It has been set anew since.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                rung => {
                    self.set_for = None;
                    return rung.map(drop);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn after(milliseconds: u64) -> Option<Instant> {
        Some(Instant::now() + Duration::from_millis(milliseconds))
    }

    #[tokio::test]
    async fn rings_when_it_is_due_and_not_before() {
        let mut alarm = Alarm::new().unwrap();
        for milliseconds in [0, 3, 0, 1] {
            let due = after(milliseconds);
            alarm.until(due).await.unwrap();
            assert!(Instant::now() >= due.unwrap());
        }
        alarm
            .until(Some(Instant::now() - Duration::from_secs(1)))
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn setting_it_anew_forgets_the_moment_before() {
        let mut alarm = Alarm::new().unwrap();
        // Set, cancelled, and due long before it is asked again.
        assert!(alarm.until(after(1)).now_or_never().is_none());
        let due = after(20);
        alarm.until(due).await.unwrap();
        assert!(Instant::now() >= due.unwrap());
        // One that rings while nobody listens is not lost either.
        let due = after(1);
        assert!(alarm.until(due).now_or_never().is_none());
        std::thread::sleep(Duration::from_millis(2));
        alarm.until(due).await.unwrap();
    }
}
