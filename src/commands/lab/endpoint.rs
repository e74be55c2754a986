//! An endpoint of the lab: a stand-in's process, and what may befall it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use clap::ValueEnum;
use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::stand_in::Condition;
use super::world::Host;
use super::{enclosure, process};

/// How long a stand-in may take to do as it was told.
const PROMPT: Duration = Duration::from_secs(10);

/// What a stand-in needs to start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it serves.
    pub address: SocketAddr,
    /// PEM file of its certificate.
    pub certificate: PathBuf,
    /// PEM file of its key.
    pub key: PathBuf,
}

/// A stand-in that runs, or did; killed when dropped.
pub struct Endpoint {
    host: Host,
    settings: Settings,
    process: Process,
}

struct Process {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Endpoint {
    /// Start one and wait until it listens.
    ///
    /// # Errors
    /// When it cannot, with what it said about that on standard error.
    pub async fn start(host: &Host, settings: Settings) -> Result<Self, String> {
        let process = Process::start(host, &settings).await?;
        Ok(Self {
            host: host.clone(),
            settings,
            process,
        })
    }

    /// Its host's name, which is its own.
    pub fn name(&self) -> &str {
        self.host.name()
    }

    /// Bring it into a condition; returns once it is.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn set(&mut self, condition: Condition) -> Result<(), String> {
        let word = condition
            .to_possible_value()
            .map(|value| value.get_name().to_string())
            .unwrap_or_default();
        let told = self
            .process
            .orders
            .write_all(format!("{word}\n").as_bytes())
            .await;
        told.map_err(|error| format!("{}: {error}", self.name()))?;
        self.process
            .expect(&word)
            .await
            .map_err(|why| format!("{}: {why}", self.name()))
    }

    /// Stop it in its tracks: the kernel accepts connections, nobody answers them.
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

    /// Kill it: the kernel resets its connections and refuses new ones.
    ///
    /// # Errors
    /// When it runs no more.
    pub async fn kill(&mut self) -> Result<(), String> {
        self.process
            .child
            .kill()
            .await
            .map_err(|error| format!("{}: {error}", self.name()))
    }

    /// Start it again after [`Endpoint::kill`].
    ///
    /// # Errors
    /// When it cannot.
    pub async fn restart(&mut self) -> Result<(), String> {
        self.process = Process::start(&self.host, &self.settings).await?;
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<(), String> {
        process::signal(&self.process.child, signal).map_err(|why| format!("{}: {why}", self.name()))
    }
}

impl Process {
    async fn start(host: &Host, settings: &Settings) -> Result<Self, String> {
        let mut command = Command::from(enclosure::itself(["stand-in", "--name", host.name()]));
        command.arg("--listen").arg(settings.address.to_string());
        command
            .arg("--certificate")
            .arg(&settings.certificate)
            .arg("--key")
            .arg(&settings.key);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = process::start(host, &mut command)
            .map_err(|error| format!("cannot start {}: {error}", host.name()))?;
        let (Some(orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("a stand-in without pipes".into());
        };
        let mut process = Self {
            child,
            orders,
            answers: BufReader::new(answers).lines(),
        };
        process
            .expect("listening")
            .await
            .map_err(|why| format!("{}: {why}", host.name()))?;
        Ok(process)
    }

    async fn expect(&mut self, word: &str) -> Result<(), String> {
        match timeout(PROMPT, self.answers.next_line()).await {
            Ok(Ok(Some(line))) if line == word => Ok(()),
            Ok(Ok(Some(line))) => Err(format!("said {line:?} instead of {word:?}")),
            Ok(Ok(None)) => Err(format!("ended instead of saying {word:?}")),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("did not say {word:?} within {PROMPT:?}")),
        }
    }
}
