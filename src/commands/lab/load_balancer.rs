//! A load balancer of the lab: the real `catamaran run`, and what may befall it.

use std::fs::File;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::daemon_log::{Change, Told, Transition};
use super::enclosure::FOLDER;
use super::holding::Holding;
use super::process;
use super::world::Host;

/// How long a daemon may take to end after SIGTERM.
const END: Duration = Duration::from_secs(10);

/// A daemon that runs, or did; killed when dropped.
pub struct LoadBalancer {
    /// What its kernel says of the virtual address.
    pub holding: Holding,
    host: Host,
    document: PathBuf,
    told: watch::Sender<Told>,
    process: Process,
}

struct Process {
    child: Child,
    log: JoinHandle<()>,
}

impl LoadBalancer {
    /// Start `catamaran run` in `host` as the document's node of the same
    /// name; its log goes to a file too.
    ///
    /// # Errors
    /// When the process or the file cannot be had.
    pub fn start(host: &Host, document: &Path, virtual_address: IpAddr) -> Result<Self, String> {
        let holding = Holding::of(host, virtual_address)?;
        let told = watch::Sender::new(Told::default());
        Ok(Self {
            process: Process::start(host, document, &told)?,
            holding,
            host: host.clone(),
            document: document.into(),
            told,
        })
    }

    /// Its host's name, which is the node's.
    pub fn name(&self) -> &str {
        self.host.name()
    }

    /// What its log has told so far.
    pub fn told(&self) -> watch::Ref<'_, Told> {
        self.told.borrow()
    }

    /// Whether it is Active by its log.
    pub fn is_active(&self) -> bool {
        self.told().active
    }

    /// Ask it to hand over and end (SIGTERM); returns at once.
    ///
    /// # Errors
    /// When it runs no more.
    pub fn terminate(&self) -> Result<(), String> {
        self.signal(Signal::SIGTERM)
    }

    /// Wait for its end.
    ///
    /// # Errors
    /// When it does not end, or badly.
    pub async fn ended(&mut self) -> Result<(), String> {
        let status = match timeout(END, self.process.child.wait()).await {
            Ok(status) => status.map_err(|error| error.to_string()),
            Err(_) => Err(format!("did not end within {END:?}")),
        };
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("{}: catamaran run ended with {status}", self.name())),
            Err(why) => Err(format!("{}: catamaran run: {why}", self.name())),
        }
    }

    /// Kill it: nothing of it is left but what the kernel keeps.
    ///
    /// # Errors
    /// When it runs no more.
    pub async fn kill(&mut self) -> Result<(), String> {
        let killed = self.process.child.kill().await;
        killed.map_err(|error| format!("{}: {error}", self.name()))
    }

    /// Stop it in its tracks: its kernel goes on answering for it.
    ///
    /// # Errors
    /// When it runs no more.
    pub fn freeze(&self) -> Result<(), String> {
        self.signal(Signal::SIGSTOP)
    }

    /// Let it go on.
    ///
    /// # Errors
    /// When it runs no more.
    pub fn thaw(&self) -> Result<(), String> {
        self.signal(Signal::SIGCONT)
    }

    /// Pull its cable, or plug it in again.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_cable(&self, plugged: bool) -> Result<(), String> {
        self.host.set_cable(plugged)
    }

    /// Start it again after its end.
    ///
    /// # Errors
    /// When it cannot.
    pub async fn start_again(&mut self) -> Result<(), String> {
        // A log has no more lines to tell than there were; a task that panicked has said so.
        let _ = (&mut self.process.log).await;
        self.process = Process::start(&self.host, &self.document, &self.told)?;
        Ok(())
    }

    /// Wait until the log has told something.
    ///
    /// # Errors
    /// When it does not within `patience`, or when the daemon has ended.
    pub async fn wait<T>(
        &self,
        what: &str,
        patience: Duration,
        find: impl Fn(&Told) -> Option<T>,
    ) -> Result<T, String> {
        let mut told = self.told.subscribe();
        let found = async {
            loop {
                {
                    let told = told.borrow_and_update();
                    if let Some(found) = find(&told) {
                        return Ok(found);
                    }
                    if told.over {
                        return Err(format!(
                            "catamaran run has ended on {}:\n{}\nThe last line of its log:\n{}",
                            self.name(),
                            told.complaints.join("\n"),
                            told.last
                        ));
                    }
                }
                // The sender is ours.
                let _ = told.changed().await;
            }
        };
        timeout(patience, found).await.unwrap_or_else(|_| {
            Err(format!(
                "{}: {what} did not happen within {patience:?}",
                self.name()
            ))
        })
    }

    /// Wait for an endpoint to go up or down, no earlier than `since`.
    ///
    /// # Errors
    /// When it does not within `patience`, or when the daemon has ended.
    pub async fn change(
        &self,
        endpoint: &str,
        up: bool,
        since: SystemTime,
        patience: Duration,
    ) -> Result<Change, String> {
        let what = format!("{endpoint} going {}", if up { "up" } else { "down" });
        let wanted = |change: &&Change| change.endpoint == endpoint && change.up == up && change.at >= since;
        self.wait(&what, patience, |told| told.changes.iter().find(wanted).cloned())
            .await
    }

    /// Wait for it to become Active, no earlier than `since`.
    ///
    /// # Errors
    /// When it does not within `patience`, or when the daemon has ended.
    pub async fn becomes_active(&self, since: SystemTime, patience: Duration) -> Result<Transition, String> {
        let wanted = |transition: &&Transition| transition.to == "active" && transition.at >= since;
        self.wait("becoming active", patience, |told| {
            told.transitions.iter().find(wanted).cloned()
        })
        .await
    }

    fn signal(&self, signal: Signal) -> Result<(), String> {
        process::signal(&self.process.child, signal).map_err(|why| format!("{}: {why}", self.name()))
    }
}

impl Process {
    fn start(host: &Host, document: &Path, told: &watch::Sender<Told>) -> Result<Self, String> {
        let path = |end: &str| Path::new(FOLDER).join(format!("{}.{end}", host.name()));
        let log = path("log");
        let file = File::options().create(true).append(true).open(&log);
        let file = file.map_err(|error| format!("{}: {error}", log.display()))?;
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("catamaran")
            .args(["run", "--log-format", "json", "--log", "info", "--config"]);
        command.arg(document).args(["--node", host.name()]);
        // Hosts share the file system.
        command.env("CATAMARAN_ADMIN", path("sock"));
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = process::start(host, &mut command)
            .map_err(|error| format!("cannot start catamaran run: {error}"))?;
        let stderr = child.stderr.take().ok_or("no standard error")?;
        told.send_modify(Told::begin);
        let log = tokio::spawn(follow(stderr, file, told.clone()));
        Ok(Self { child, log })
    }
}

async fn follow(log: impl AsyncRead + Unpin, mut copy: File, told: watch::Sender<Told>) {
    let mut lines = BufReader::new(log).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        // The copy is for those who look around; a full tmpfs does not stop the lab.
        let _ = writeln!(copy, "{line}");
        told.send_modify(|told| told.take(&line));
    }
    told.send_modify(Told::end);
}
