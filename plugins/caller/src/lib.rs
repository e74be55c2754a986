//! Test fixture: a check plugin that calls the host as its `config` says, with
//! whatever arguments, and answers healthy with what came of each call. Fuzzing
//! writes the programs. It is never embedded in the balancer.

use catamaran_check::connection::{ConnectOptions, Stream, connect, connect_with};
use catamaran_check::http::{Header, HttpRequest, request};
use catamaran_check::{Check, Error, Failure, Request, Verdict, clock, healthy, log, reason};
use serde::Deserialize;

/// The check's `config`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Caller {
    /// Operations and their arguments, two hexadecimal digits a byte.
    program: String,
}
catamaran_check::export!(Caller);

impl Check for Caller {
    fn probe(&self, _: &Request) -> Result<Verdict, Failure> {
        let program = bytes(&self.program).ok_or_else(|| Failure::Fault("no program".into()))?;
        let mut machine = Machine {
            rest: &program,
            streams: Vec::new(),
        };
        let mut came = Vec::new();
        while let Some(operation) = machine.byte() {
            came.push(machine.operate(operation));
        }
        Ok(healthy(came.join("; ")))
    }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digit = |letter: u8| char::from(letter).to_digit(16);
    hex.as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
            _ => None,
        })
        .collect()
}

/// A program as far as it has run.
struct Machine<'a> {
    rest: &'a [u8],
    streams: Vec<Stream>,
}

impl Machine<'_> {
    /// One operation; a program that ends in the midst of one has zeros there.
    fn operate(&mut self, operation: u8) -> String {
        match operation % 12 {
            0 => {
                let opened = connect();
                self.keep(opened)
            }
            1 => {
                let count = self.small();
                let options = ConnectOptions {
                    alpn: (0..count).map(|_| self.text()).collect(),
                    defer_tls: self.flag(),
                };
                let opened = connect_with(&options);
                self.keep(opened)
            }
            2 => {
                let max = self.number();
                self.with(|stream| stream.read(max).map(|bytes| bytes.len()))
            }
            3 => {
                let bytes = self.many();
                self.with(|stream| stream.write(&bytes))
            }
            4 => self.with(Stream::shutdown),
            5 => self.with(Stream::start_tls),
            6 => self.with(|stream| Ok(stream.tls().map(|session| session.version))),
            7 => {
                let place = self.small();
                if place < self.streams.len() {
                    drop(self.streams.swap_remove(place));
                }
                "dropped".into()
            }
            8 => {
                let asked = self.request();
                told(request(&asked).map(|answer| (answer.status, answer.body.len())))
            }
            9 => {
                use log::Level::{Debug, Error, Info, Warn};
                let level = [Debug, Info, Warn, Error][self.small() % 4];
                let message = String::from_utf8_lossy(&self.many()).into_owned();
                log::log(level, &message);
                "logged".into()
            }
            10 => format!("{}", clock::now() > 0 && clock::elapsed() < u64::MAX),
            // Memory of its own, so that it grows between calls.
            _ => {
                let bytes = vec![b'x'; self.number() as usize % (1 << 22)];
                format!("{} bytes", std::hint::black_box(bytes).len())
            }
        }
    }

    fn request(&mut self) -> HttpRequest {
        let method = match self.small() % 4 {
            0 => self.text(),
            other => ["", "GET", "HEAD", "POST"][other].into(),
        };
        let path = match self.flag() {
            true => self.text(),
            false => "/".into(),
        };
        let headers = self.small();
        let header = |_| Header {
            name: self.text(),
            value: self.text().into_bytes(),
        };
        HttpRequest {
            method,
            path,
            headers: (0..headers).map(header).collect(),
            body: self.many(),
            max_body: self.number(),
        }
    }

    fn keep(&mut self, opened: Result<Stream, Error>) -> String {
        told(opened.map(|stream| {
            self.streams.push(stream);
            self.streams.len()
        }))
    }

    fn with<T: std::fmt::Debug>(&mut self, call: impl FnOnce(&Stream) -> Result<T, Error>) -> String {
        let place = self.small();
        match self.streams.get(place) {
            Some(stream) => told(call(stream)),
            None => "no such stream".into(),
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn flag(&mut self) -> bool {
        self.byte().unwrap_or_default() & 1 == 1
    }

    /// 0 to 31.
    fn small(&mut self) -> usize {
        usize::from(self.byte().unwrap_or_default() & 31)
    }

    fn number(&mut self) -> u32 {
        let mut bytes = [0; 4];
        for byte in &mut bytes {
            *byte = self.byte().unwrap_or_default();
        }
        u32::from_le_bytes(bytes)
    }

    /// Up to 31 bytes of the program itself.
    fn text(&mut self) -> String {
        let length = self.small();
        let bytes: Vec<u8> = (0..length).map_while(|_| self.byte()).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Up to 128 KiB, of one letter, behind a few that the program gives.
    fn many(&mut self) -> Vec<u8> {
        let mut bytes = self.text().into_bytes();
        let more = self.number() as usize % (1 << 17);
        bytes.resize(bytes.len() + more, b'y');
        bytes
    }
}

fn told<T: std::fmt::Debug>(outcome: Result<T, Error>) -> String {
    match outcome {
        Ok(value) => format!("{value:?}"),
        Err(error) => reason(&error),
    }
}
