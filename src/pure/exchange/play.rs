//! One probe against an exchange, step by step.
//!
//! Whoever plays the endpoint tells what the plugin does and does what comes
//! back; the first thing on a connection that is not as written ends it and is
//! kept as a fault.

use super::file::{Connection, Exchange, Step, Tls};
use super::pattern::Match;
use super::quote;

/// The state of all connections.
#[derive(Debug)]
pub struct Play {
    connections: Vec<Connection>,
    tls: Option<Tls>,
    lines: Vec<Line>,
    faults: Vec<String>,
}

/// One open connection.
#[derive(Debug, Default)]
struct Line {
    /// The step whose turn it is.
    step: usize,
    /// Of an endpoint's step, how much was read.
    read: usize,
    /// What the plugin sent since the turn of its step came.
    sent: Vec<u8>,
    /// The plugin finished sending.
    finished: bool,
    /// Something was not as written; nothing more is compared.
    broken: bool,
}

/// How an attempt to connect ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connected {
    /// It is open and has this number.
    Open(usize),
    /// It is refused.
    Refused,
}

/// What a plugin that reads gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The endpoint finished sending.
    End,
    /// Nothing yet.
    Wait,
    /// The connection is reset.
    Reset,
}

impl Play {
    /// At the beginning.
    pub fn new(exchange: &Exchange) -> Self {
        Self {
            connections: exchange.connections.clone(),
            tls: exchange.tls.clone(),
            lines: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// What TLS settles; none where it is not spoken.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// The plugin connects.
    pub fn connect(&mut self) -> Connected {
        let number = self.lines.len();
        self.lines.push(Line::default());
        match self.connections.get(number) {
            Some(connection) if connection.refuse => Connected::Refused,
            Some(_) => Connected::Open(number),
            None => {
                let what = format!("the plugin connects once more; the exchange has {number} connections");
                self.fault(number, what);
                Connected::Refused
            }
        }
    }

    /// TLS begins, as soon as the connection is open or in the middle.
    ///
    /// # Errors
    /// Why the handshake fails: as the exchange has it, or since this is not
    /// the moment.
    pub fn start_tls(&mut self, number: usize) -> Result<(), String> {
        let fails = self
            .connections
            .get(number)
            .and_then(|connection| connection.tls_fails.clone());
        let outcome = fails.map_or(Ok(()), Err);
        if self.step(number) == Some(&Step::StartTls) {
            self.next(number);
            return outcome;
        }
        // Where the exchange has no word of it, it begins with the connection.
        let line = &self.lines[number];
        let begins = line.step == 0 && line.read == 0 && line.sent.is_empty();
        let steps = self
            .connections
            .get(number)
            .map(|connection| &connection.steps[..]);
        if begins && !steps.unwrap_or_default().contains(&Step::StartTls) {
            return outcome;
        }
        let what = format!("the plugin begins TLS; {}", self.wanted(number));
        self.fault(number, what);
        Err("not the moment for TLS".into())
    }

    /// The plugin sends; whether the connection goes on.
    pub fn write(&mut self, number: usize, bytes: &[u8]) -> bool {
        if self.lines[number].broken {
            return false;
        }
        self.lines[number].sent.extend_from_slice(bytes);
        self.settle(number);
        !self.lines[number].broken
    }

    /// The plugin reads at most `most` bytes.
    pub fn read(&mut self, number: usize, most: usize) -> Read {
        let line = &self.lines[number];
        if line.broken {
            return Read::Reset;
        }
        let done = line.read;
        match self.step(number) {
            Some(Step::Endpoint(bytes)) => {
                let piece = bytes[done..].iter().copied().take(most).collect::<Vec<_>>();
                let whole = done + piece.len() == bytes.len();
                self.lines[number].read += piece.len();
                if whole {
                    self.next(number);
                }
                match piece.is_empty() {
                    true => self.read(number, most),
                    false => Read::Bytes(piece),
                }
            }
            Some(Step::Reset) => Read::Reset,
            Some(Step::Close) | None => Read::End,
            Some(Step::Plugin(_) | Step::StartTls | Step::PluginCloses | Step::Silence) => Read::Wait,
        }
    }

    /// The plugin finishes sending, or drops the connection; harmless to repeat.
    pub fn finish(&mut self, number: usize) {
        self.lines[number].finished = true;
        self.settle(number);
    }

    /// What was not as written, when the probe is over.
    pub fn faults(&mut self) -> Vec<String> {
        for number in 0..self.lines.len() {
            self.lines[number].finished = true;
            self.outstanding(number);
        }
        let (opened, wanted) = (self.lines.len(), self.connections.len());
        if opened < wanted {
            self.faults.push(format!(
                "the plugin opened {opened} connections; the exchange has {wanted}"
            ));
        }
        std::mem::take(&mut self.faults)
    }

    /// Go on over the steps that what was sent fulfils.
    fn settle(&mut self, number: usize) {
        loop {
            let line = &self.lines[number];
            if line.broken {
                return;
            }
            let sent = &line.sent;
            match self.step(number) {
                Some(Step::Plugin(pattern)) => match pattern.compare(sent) {
                    Match::Whole(0) if sent.is_empty() => return,
                    Match::Whole(taken) => {
                        self.lines[number].sent.drain(..taken);
                        self.next(number);
                    }
                    Match::More => return,
                    Match::Wrong(place) => {
                        let what = format!(
                            "step {}: another byte at offset {place}\n  sent:   {}\n  wanted: {}",
                            self.lines[number].step + 1,
                            quote(&sent[place..]),
                            pattern.quote_from(place)
                        );
                        return self.fault(number, what);
                    }
                },
                Some(Step::PluginCloses) if line.finished && sent.is_empty() => self.next(number),
                Some(Step::Close) if self.lines[number].step + 1 < self.length(number) => self.next(number),
                // Whoever sends before it has read the answer is early, not
                // wrong; it is compared when its turn comes.
                Some(Step::Endpoint(_) | Step::StartTls | Step::Silence | Step::Reset) => return,
                Some(Step::PluginCloses | Step::Close) | None if sent.is_empty() => return,
                Some(Step::PluginCloses | Step::Close) | None => {
                    let what = format!(
                        "the plugin sends {} {}",
                        quote(sent),
                        match self.step(number) {
                            Some(Step::PluginCloses) => "where it should finish sending",
                            _ => "after the last step",
                        }
                    );
                    return self.fault(number, what);
                }
            }
        }
    }

    /// What a connection still waits for when the probe is over.
    fn outstanding(&mut self, number: usize) {
        let line = &self.lines[number];
        if line.broken || number >= self.connections.len() {
            return;
        }
        // What the endpoint would have said, and the plugin did not read, is
        // passed over; nobody has to read all.
        let steps = &self.connections[number].steps;
        let unread = |step: &Step| matches!(step, Step::Endpoint(_) | Step::Close);
        let mut at = line.step;
        while steps.get(at).is_some_and(unread) {
            at += 1;
        }
        self.lines[number].step = at;
        self.settle(number);
        let line = &self.lines[number];
        if line.broken {
            return;
        }
        match self.step(number) {
            Some(Step::Plugin(_) | Step::StartTls | Step::PluginCloses) => {
                let sent = match line.sent.is_empty() {
                    true => "nothing more".into(),
                    false => quote(&line.sent),
                };
                let what = format!("the plugin sent {sent}; {}", self.wanted(number));
                self.fault(number, what);
            }
            Some(Step::Silence | Step::Reset) if !line.sent.is_empty() => {
                let what = format!("the plugin sends {} after the last step", quote(&line.sent));
                self.fault(number, what);
            }
            Some(Step::Silence | Step::Reset | Step::Endpoint(_) | Step::Close) | None => {}
        }
    }

    /// The step whose turn it is, in words.
    fn wanted(&self, number: usize) -> String {
        let at = self.lines[number].step + 1;
        match self.step(number) {
            Some(Step::Plugin(pattern)) => format!("step {at} wants {}", pattern.quote_from(0)),
            Some(Step::Endpoint(bytes)) => format!("step {at} has the endpoint send {}", quote(bytes)),
            Some(Step::StartTls) => format!("step {at} wants it to begin TLS"),
            Some(Step::PluginCloses) => format!("step {at} wants it to finish sending"),
            Some(Step::Silence) => format!("step {at} is silence"),
            Some(Step::Reset) => format!("step {at} is a reset"),
            Some(Step::Close) | None => "the endpoint has finished sending".into(),
        }
    }

    fn step(&self, number: usize) -> Option<&Step> {
        self.connections.get(number)?.steps.get(self.lines[number].step)
    }

    fn length(&self, number: usize) -> usize {
        self.connections
            .get(number)
            .map_or(0, |connection| connection.steps.len())
    }

    fn next(&mut self, number: usize) {
        let line = &mut self.lines[number];
        line.step += 1;
        line.read = 0;
        // What was sent early meets its step now.
        self.settle(number);
    }

    fn fault(&mut self, number: usize, what: String) {
        self.lines[number].broken = true;
        self.faults.push(format!("connection {}: {what}", number + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(connections: &str) -> Play {
        let text = format!("verdict = \"healthy\"\n{connections}");
        Play::new(&Exchange::read(&text).unwrap())
    }

    fn one(steps: &str) -> Play {
        let mut play = play(&format!("[[connections]]\nsteps = [{steps}]"));
        assert_eq!(play.connect(), Connected::Open(0));
        play
    }

    fn bytes(text: &str) -> Read {
        Read::Bytes(text.as_bytes().to_vec())
    }

    #[test]
    fn question_in_pieces_is_answered_in_pieces() {
        let mut play = one(r#"{ plugin = "PING" }, { plugin = "\r\n" }, { endpoint = "+PONG" }"#);
        assert_eq!(play.read(0, 9), Read::Wait);
        assert!(play.write(0, b"PI"));
        assert_eq!(play.read(0, 9), Read::Wait);
        assert!(play.write(0, b"NG\r\n"));
        assert_eq!(play.read(0, 3), bytes("+PO"));
        assert_eq!(play.read(0, 3), bytes("NG"));
        assert_eq!(play.read(0, 3), Read::End);
        assert_eq!(play.faults(), Vec::<String>::new());
    }

    #[test]
    fn another_byte_is_told_with_its_place_and_both_sides() {
        let mut play = one(r#"{ plugin = "PING\r\n" }, { endpoint = "+PONG" }"#);
        assert!(!play.write(0, b"PONG\r\n"));
        assert_eq!(play.read(0, 9), Read::Reset);
        assert_eq!(
            play.faults(),
            [
                "connection 1: step 1: another byte at offset 1\n  sent:   \"ONG\\r\\n\"\n  wanted: \"ING\\r\\n\""
            ]
        );
    }

    #[test]
    fn what_is_left_out_and_what_is_too_much_is_told() {
        let mut short = one(r#"{ plugin = "PING\r\n" }, { endpoint = "+PONG" }, { plugin = "QUIT" }"#);
        short.write(0, b"PING\r\n");
        assert_eq!(
            short.faults(),
            ["connection 1: the plugin sent nothing more; step 3 wants \"QUIT\""]
        );
        let mut long = one(r#"{ plugin = "PING" }"#);
        assert!(!long.write(0, b"PING\n"));
        assert_eq!(
            long.faults(),
            ["connection 1: the plugin sends \"\\n\" after the last step"]
        );
        let half = {
            let mut play = one(r#"{ plugin = "PING\r\n" }"#);
            play.write(0, b"PING");
            play.faults()
        };
        assert_eq!(
            half,
            ["connection 1: the plugin sent \"PING\"; step 1 wants \"PING\\r\\n\""]
        );
    }

    #[test]
    fn sent_before_its_turn_is_compared_when_it_comes() {
        let mut play = one(r#"{ endpoint = "220 ready" }, { plugin = "QUIT" }, { endpoint = "221 bye" }"#);
        assert!(play.write(0, b"QUIT"));
        assert_eq!(play.read(0, 99), bytes("220 ready"));
        assert_eq!(play.read(0, 99), bytes("221 bye"));
        assert_eq!(play.faults(), Vec::<String>::new());
        let mut play = one(r#"{ endpoint = "220 ready" }, { plugin = "QUIT" }"#);
        assert!(play.write(0, b"EHLO"));
        play.read(0, 99);
        assert_eq!(play.faults().len(), 1);
    }

    #[test]
    fn tls_begins_where_it_is_written() {
        let mut good = one(r#"{ plugin = "S" }, { endpoint = "Y" }, "start-tls", { plugin = "hello" }"#);
        good.write(0, b"S");
        assert_eq!(good.read(0, 9), bytes("Y"));
        assert_eq!(good.start_tls(0), Ok(()));
        assert!(good.write(0, b"hello"));
        assert_eq!(good.faults(), Vec::<String>::new());
        let mut early = one(r#"{ plugin = "S" }, "start-tls""#);
        assert!(early.start_tls(0).is_err());
        assert_eq!(
            early.faults(),
            ["connection 1: the plugin begins TLS; step 1 wants \"S\""]
        );
    }

    #[test]
    fn ends_are_as_written() {
        let mut reset = one(r#""reset""#);
        assert_eq!(reset.read(0, 9), Read::Reset);
        let mut silent = one(r#"{ plugin = "a" }, "silence""#);
        silent.write(0, b"a");
        assert_eq!(silent.read(0, 9), Read::Wait);
        assert_eq!(silent.faults(), Vec::<String>::new());
        let mut closing = one(r#"{ plugin = "a" }, "plugin-closes", { endpoint = "b" }"#);
        closing.write(0, b"a");
        assert_eq!(closing.read(0, 9), Read::Wait);
        closing.finish(0);
        assert_eq!(closing.read(0, 9), bytes("b"));
        assert_eq!(closing.faults(), Vec::<String>::new());
    }

    #[test]
    fn connections_are_counted_and_fail_as_written() {
        let mut few = play("[[connections]]\nrefuse = true\n[[connections]]\ntls-fails = \"expired\"");
        assert_eq!(few.connect(), Connected::Refused);
        assert_eq!(few.connect(), Connected::Open(1));
        assert_eq!(few.start_tls(1), Err("expired".into()));
        assert_eq!(few.connect(), Connected::Refused);
        assert_eq!(
            few.faults(),
            ["connection 3: the plugin connects once more; the exchange has 2 connections"]
        );
        assert_eq!(
            play("[[connections]]\nsteps = []").faults(),
            ["the plugin opened 0 connections; the exchange has 1"]
        );
    }
}
