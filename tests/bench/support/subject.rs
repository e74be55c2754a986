//! What is measured: nothing, Catamaran, HAProxy, started afresh in the load
//! balancer's namespace.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use catamaran::commands::lab::enclosure::FOLDER;
use nix::unistd::{SysconfVar, sysconf};

use super::load;
use super::sink::{BULK, ECHO};
use super::world::{ENDPOINTS, LB, World};
use super::{Result, failed};

/// A way from the client to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// No load balancer.
    Direct,
    /// Ours.
    Catamaran,
    /// HAProxy as in the founding case.
    Haproxy,
    /// The same with `option splice-auto`: it splices when it sees fit.
    HaproxyAuto,
    /// The same told to splice always.
    HaproxySplice,
}

impl Subject {
    /// Its column's heading.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Catamaran => "catamaran",
            Self::Haproxy => "haproxy",
            Self::HaproxyAuto => "haproxy auto",
            Self::HaproxySplice => "haproxy splice",
        }
    }

    /// Where the client connects, in turns.
    pub fn addresses(self) -> &'static [Ipv4Addr] {
        match self {
            Self::Direct => &ENDPOINTS,
            Self::Catamaran | Self::Haproxy | Self::HaproxyAuto | Self::HaproxySplice => &[LB],
        }
    }

    /// Its command line up to the document, and that, for at most so many connections.
    fn program(self, connections: usize) -> Option<([&'static str; 3], String)> {
        let options: &[&str] = match self {
            Self::Direct => return None,
            Self::Catamaran => {
                let command = [env!("CARGO_BIN_EXE_catamaran"), "run", "--config"];
                return Some((command, catamaran_document()));
            }
            Self::Haproxy => &[],
            Self::HaproxyAuto => &["option splice-auto"],
            Self::HaproxySplice => &["option splice-request", "option splice-response"],
        };
        // -db: stay one process in the foreground.
        Some((["haproxy", "-db", "-f"], haproxy_document(connections, options)))
    }
}

fn catamaran_document() -> String {
    let mut text = "[daemon]\nthreads = 2\n".to_string();
    for (name, port) in [("echo", ECHO), ("bulk", BULK)] {
        text += &format!("[listeners.{name}]\nbind = [\"{LB}:{port}\"]\npool = \"{name}\"\n");
        text += &format!("[pools.{name}]\nbalance = \"round-robin\"\n[pools.{name}.endpoints]\n");
        for (number, address) in (1..).zip(ENDPOINTS) {
            text += &format!("master{number} = \"{address}:{port}\"\n");
        }
    }
    text
}

fn haproxy_document(connections: usize, options: &[&str]) -> String {
    let options: String = options.iter().map(|option| format!("    {option}\n")).collect();
    let mut text = format!(
        "global\n    log stdout format raw local0\n    nbthread 2\n    maxconn {connections}\n\
         defaults\n    log global\n    mode tcp\n    option tcplog\n{options}    \
         timeout connect 5s\n    timeout client 50s\n    timeout server 50s\n    maxconn {connections}\n"
    );
    for (name, port) in [("echo", ECHO), ("bulk", BULK)] {
        text += &format!("frontend {name}\n    bind {LB}:{port}\n    default_backend {name}\n");
        text += &format!("backend {name}\n    balance roundrobin\n");
        for (number, address) in (1..).zip(ENDPOINTS) {
            text += &format!("    server master{number} {address}:{port}\n");
        }
    }
    text
}

/// A subject that carries connections now. Killed when dropped.
pub struct Running {
    subject: Subject,
    child: Option<Child>,
    /// HAProxy writes it to standard output, Catamaran to standard error: one
    /// line per connection each.
    log: String,
}

impl Running {
    /// Starts a subject for at most so many connections and waits until it answers.
    pub fn start(subject: Subject, world: &World, connections: usize) -> Result<Self> {
        let mut running = Self {
            subject,
            child: None,
            log: format!("{FOLDER}/subject.log"),
        };
        if let Some(([program, arguments @ ..], text)) = subject.program(connections) {
            let document = format!("{FOLDER}/subject.conf");
            fs::write(&document, text).map_err(failed(&document))?;
            let log = File::create(&running.log).map_err(failed(&running.log))?;
            let both = log.try_clone().map_err(failed(&running.log))?;
            let mut command = Command::new(program);
            command.args(arguments).arg(&document);
            command.stdin(Stdio::null()).stdout(log).stderr(both);
            let child = world.lb.within(|| command.spawn());
            running.child = Some(child.map_err(failed(program))?);
            running.wait_until_it_answers(world)?;
        }
        Ok(running)
    }

    fn wait_until_it_answers(&mut self, world: &World) -> Result<()> {
        let began = Instant::now();
        loop {
            let try_out = || load::exchange(SocketAddr::from((LB, ECHO)), b"?").map(drop);
            let Err(error) = world.client.within(try_out) else {
                return Ok(());
            };
            let child = self.child.as_mut().expect("just started");
            let ended = child.try_wait().map_err(failed("wait"))?;
            if ended.is_some() || began.elapsed() > Duration::from_secs(10) {
                return Err(self.explain(&format!("does not answer ({error})")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What went wrong, with the end of the subject's own log.
    pub fn explain(&self, why: &str) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(10)..].join("\n  ");
        format!("{}: {why}\n  the end of its log:\n  {last}", self.subject.name())
    }

    /// Lines in its log: one for each connection that ended, at least.
    pub fn log_lines(&self) -> Result<Option<u64>> {
        if self.child.is_none() {
            return Ok(None);
        }
        let text = fs::read(&self.log).map_err(failed(&self.log))?;
        let lines = text.iter().filter(|byte| **byte == b'\n').count();
        Ok(Some(u64::try_from(lines).map_err(failed("its log"))?))
    }

    /// Bytes of memory it has, shared pages included; `None` for no process.
    pub fn resident(&self) -> Result<Option<f64>> {
        self.about("status")?
            .map(|text| {
                let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
                let kibibytes =
                    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
                kibibytes
                    .map(|kibibytes| kibibytes * 1024.0)
                    .ok_or_else(|| "no VmRSS".to_string())
            })
            .transpose()
    }

    /// Seconds of processor time it used so far, in user space and for it in the
    /// kernel; `None` for no process.
    pub fn cpu(&self) -> Result<Option<f64>> {
        let ticks = sysconf(SysconfVar::CLK_TCK)
            .ok()
            .flatten()
            .ok_or("no clock ticks")?;
        self.about("stat")?
            .map(|text| {
                // proc_pid_stat(5): utime and stime are fields 14 and 15, counted
                // from the name in parentheses, which is the second.
                let (_, fields) = text.rsplit_once(") ").ok_or("no name")?;
                let used: Option<f64> = fields
                    .split(' ')
                    .skip(11)
                    .take(2)
                    .map(|field| field.parse::<f64>().ok())
                    .sum();
                #[expect(clippy::cast_precision_loss, reason = "about 100")]
                used.map(|used| used / ticks as f64)
                    .ok_or_else(|| "no times".to_string())
            })
            .transpose()
    }

    fn about(&self, file: &str) -> Result<Option<String>> {
        let Some(child) = &self.child else { return Ok(None) };
        let path = format!("/proc/{}/{file}", child.id());
        fs::read_to_string(&path).map(Some).map_err(failed(&path))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// HAProxy's own words about its version, if it is installed.
pub fn haproxy_version() -> Option<String> {
    let output = Command::new("haproxy").arg("-v").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(ToString::to_string)
}
