//! The log: lines on standard error, as text or JSON.
//!
//! A thread of its own writes them, because whoever reads the log may be slow:
//! that must cost log lines, said and counted, and not connections.

use std::io::{self, IsTerminal, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Bytes of lines that may wait for the reader of the log.
const WAITING: usize = 4 * 1024 * 1024;

/// Lines are gathered this long and written together.
const GATHER: Duration = Duration::from_millis(20);

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Writes the last lines when it is dropped.
pub struct Telemetry {
    queue: Arc<Queue>,
    writer: Option<JoinHandle<()>>,
}

impl Telemetry {
    /// Send the process's log to standard error. Call once.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(format: Format, level: LevelFilter) -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let writer = {
            let queue = queue.clone();
            thread::Builder::new()
                .name("log".into())
                .spawn(move || queue.write_out())?
        };
        let lines = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(io::stderr().is_terminal())
            .with_writer(Lines(queue.clone()));
        match format {
            Format::Text => lines.init(),
            Format::Json => lines.json().init(),
        }
        Ok(Self {
            queue,
            writer: Some(writer),
        })
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.queue.lock().over = true;
        self.queue.changed.notify_one();
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has nothing left to say.
            let _ = writer.join();
        }
    }
}

#[derive(Default)]
struct Queue {
    lines: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    dropped: u64,
    over: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut waiting = self.lock();
        if waiting.bytes.len() + line.len() > WAITING {
            waiting.dropped += 1;
            return;
        }
        let was_empty = waiting.bytes.is_empty();
        waiting.bytes.extend_from_slice(line);
        if was_empty {
            self.changed.notify_one();
        }
    }

    fn write_out(&self) {
        let mut bytes = Vec::new();
        loop {
            let over = {
                let waiting = self.lock();
                let idle = |waiting: &mut Waiting| waiting.bytes.is_empty() && !waiting.over;
                self.changed
                    .wait_while(waiting, idle)
                    .unwrap_or_else(PoisonError::into_inner)
                    .over
            };
            if !over {
                thread::sleep(GATHER);
            }
            let dropped = {
                let mut waiting = self.lock();
                mem::swap(&mut waiting.bytes, &mut bytes);
                mem::take(&mut waiting.dropped)
            };
            let mut stderr = io::stderr().lock();
            // With nobody to read the log there is nobody to tell.
            let _ = stderr.write_all(&bytes);
            if dropped > 0 {
                let _ = writeln!(
                    stderr,
                    "{dropped} log lines were dropped: the log is read too slowly"
                );
            }
            bytes.clear();
            if over {
                return;
            }
        }
    }
}

struct Lines(Arc<Queue>);

/// The subscriber hands over one whole line a call.
struct Line<'a>(&'a Queue);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(&self.0)
    }
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
