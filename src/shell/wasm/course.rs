//! How a probe gets on: what it does on the network, and what it says.
//!
//! Both are handles, because part of a probe may run in tasks of its own.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::limits::{CONNECTIONS, LOG_LINES, TEXT};
use super::{bindings::catamaran::health::types::Error, guest::Level};
use super::{failure, host};
use crate::pure::health::Cause;

/// The way of a probe on the network.
#[derive(Clone, Default)]
pub struct Course(Arc<Mutex<Facts>>);

/// What is known of it.
#[derive(Clone, Default)]
pub struct Facts {
    /// What it waits for, for the message of a time-out; empty while the
    /// plugin itself runs.
    pub doing: &'static str,
    /// Time the newest connection took to open; of one that fails, none.
    pub connect: Option<Duration>,
    /// Time its TLS handshake took.
    pub handshake: Option<Duration>,
    /// The last network operation's failure; none after one that worked.
    pub last_failure: Option<Cause>,
    /// What the plugin asked for and may not have.
    pub denied: Option<String>,
    connections: u32,
}

impl Course {
    /// What is known now.
    pub fn facts(&self) -> Facts {
        self.lock().clone()
    }

    /// It waits for this from now on.
    pub fn doing(&self, what: &'static str) {
        self.lock().doing = what;
    }

    /// A new connection, if it may have one more.
    pub fn connects(&self) -> Result<(), Error> {
        let mut facts = self.lock();
        if facts.connections == CONNECTIONS {
            return Err(Error::Denied(format!(
                "the plugin wanted more than {CONNECTIONS} connections"
            )));
        }
        facts.connections += 1;
        facts.doing = "connecting";
        (facts.connect, facts.handshake) = (None, None);
        Ok(())
    }

    /// The connection opened.
    pub fn connected(&self, took: Duration) {
        self.lock().connect = Some(took);
    }

    /// Its TLS handshake succeeded.
    pub fn secured(&self, took: Duration) {
        self.lock().handshake = Some(took);
    }

    /// The plugin asked for what it may not have; the first such wish counts.
    pub fn deny(&self, what: String) {
        self.lock().denied.get_or_insert(what);
    }

    /// Note how an operation ended, and hand it on.
    pub fn note<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        let mut facts = self.lock();
        facts.doing = "";
        facts.last_failure = outcome.as_ref().err().map(failure::cause);
        if let Err(Error::Denied(what)) = &outcome {
            facts.denied.get_or_insert_with(|| what.clone());
        }
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the plugin says to the operator, bounded.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    whole: Vec<(Level, String)>,
    dropped: u32,
    begun: Vec<(Level, Vec<u8>)>,
}

impl Log {
    /// One message.
    pub fn push(&self, level: Level, message: &str) {
        self.lock().push(level, message);
    }

    /// Bytes of a stream of text, whose lines are messages; empty ones, which
    /// interpreters put before what they have to say, are not.
    pub fn write(&self, level: Level, bytes: &[u8]) {
        let mut lines = self.lock();
        let at = lines.begun.iter().position(|(of, _)| *of == level);
        let mut line = at.map(|at| lines.begun.swap_remove(at).1).unwrap_or_default();
        let mut pieces = bytes.split(|byte| *byte == b'\n');
        // What follows the last line break is the beginning of a line.
        let rest = pieces.next_back().unwrap_or_default();
        for piece in pieces {
            add(&mut line, piece);
            if !line.trim_ascii().is_empty() {
                lines.push(level, &String::from_utf8_lossy(&line));
            }
            line.clear();
        }
        add(&mut line, rest);
        if !line.is_empty() {
            lines.begun.push((level, line));
        }
    }

    /// All messages in order, and how many were dropped.
    pub fn take(&self) -> (Vec<(Level, String)>, u32) {
        let mut lines = self.lock();
        for (level, line) in mem::take(&mut lines.begun) {
            lines.push(level, &String::from_utf8_lossy(&line));
        }
        (mem::take(&mut lines.whole), mem::take(&mut lines.dropped))
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn push(&mut self, level: Level, message: &str) {
        if self.whole.len() == LOG_LINES {
            self.dropped = self.dropped.saturating_add(1);
        } else {
            self.whole.push((level, host::one_line(message)));
        }
    }
}

/// No longer than what is kept of a line in the end.
fn add(line: &mut Vec<u8>, piece: &[u8]) {
    let room = TEXT.saturating_sub(line.len());
    line.extend_from_slice(&piece[..piece.len().min(room)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_lines_wherever_it_is_cut() {
        let log = Log::default();
        for piece in ["one\ntw", "o\r\n", "", "\nthree"] {
            log.write(Level::Info, piece.as_bytes());
        }
        log.write(Level::Warn, b"other");
        let lines = ["one", "two", "three"].map(|line| (Level::Info, line.to_owned()));
        let mut expected = Vec::from(lines);
        expected.push((Level::Warn, "other".into()));
        assert_eq!(log.take(), (expected, 0));
        assert_eq!(log.take(), (Vec::new(), 0));
    }

    #[test]
    fn lines_beyond_the_limit_are_counted_and_long_ones_cut() {
        let log = Log::default();
        log.write(Level::Info, &b"x\n".repeat(LOG_LINES + 3));
        assert_eq!(log.take().1, 3);
        for _ in 0..100 {
            log.write(Level::Info, &[b'x'; 1000]);
        }
        assert_eq!(log.take().0, [(Level::Info, "x".repeat(TEXT))]);
    }

    #[test]
    fn connections_are_counted_and_a_denial_outlasts_what_follows() {
        let course = Course::default();
        for _ in 0..CONNECTIONS {
            course.connects().unwrap();
        }
        let refused: Result<(), Error> = course.note(course.connects());
        assert!(refused.is_err());
        course.note(Ok(())).unwrap();
        course.deny("again".into());
        let facts = course.facts();
        assert_eq!(facts.last_failure, None);
        assert_eq!(
            facts.denied.as_deref(),
            Some("the plugin wanted more than 8 connections")
        );
    }
}
