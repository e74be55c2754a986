//! What is said while the story goes on.

use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Lines that say how far the story is.
pub struct Progress {
    began: Instant,
    to_stderr: bool,
}

impl Progress {
    /// From now on; on standard error when standard output is for machines.
    pub fn new(to_stderr: bool) -> Self {
        Self {
            began: Instant::now(),
            to_stderr,
        }
    }

    /// Say a line.
    pub fn say(&self, line: &str) {
        let line = format!("[{:5.1} s] {line}\n", self.began.elapsed().as_secs_f64());
        // With nobody to read it there is nobody to tell.
        let _ = match self.to_stderr {
            true => io::stderr().write_all(line.as_bytes()),
            false => io::stdout().write_all(line.as_bytes()),
        };
    }
}

/// A duration, as short as can be: "12 ms" or "2.31 s".
pub fn shown(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.2} s", duration.as_secs_f64())
    }
}
