//! Packets of MySQL's client/server protocol, as far as a greeting needs them.

use catamaran_check::Error;
use catamaran_check::connection::{Reader, Source};

/// The longest packet that is read, in bytes; a greeting has about a hundred.
const LONGEST: usize = 4096;

/// The version of the handshake that every server since 3.21 begins with.
const VERSION: u8 = 10;

/// `CLIENT_LONG_PASSWORD`: passwords are hashed as since 4.1.
const LONG_PASSWORD: u32 = 1;
/// `CLIENT_PROTOCOL_41`: answers as this check writes them.
const PROTOCOL_41: u32 = 1 << 9;
/// `CLIENT_SSL`: TLS begins where it is asked for.
const TLS: u32 = 1 << 11;
/// `CLIENT_SECURE_CONNECTION`: what shows a password has its length before it.
const SECURE_CONNECTION: u32 = 1 << 15;
/// `CLIENT_PLUGIN_AUTH`: the way to log in has a name.
const PLUGIN_AUTH: u32 = 1 << 19;

/// The collation `utf8mb4_general_ci`, which all of them know.
const COLLATION: u8 = 45;

/// A packet, and its place in the exchange.
pub struct Packet {
    /// Counted from 0 in each exchange, both sides together.
    pub number: u8,
    /// Its content, at least one byte.
    pub body: Vec<u8>,
}

/// What a server says first (protocol 10).
#[derive(Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The server's version, printable ASCII.
    pub version: String,
    /// The bits of what it can do.
    capabilities: u32,
    /// The way to log in that it likes best; empty where it names none.
    plugin: Vec<u8>,
}

/// What a server that refuses says.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its number among MySQL's errors.
    pub code: u16,
    /// In its own words.
    pub message: Vec<u8>,
}

/// Read the next packet.
///
/// # Errors
///
/// As the connection fails, or when what comes is no packet that could be
/// part of a greeting.
pub fn read<S: Source>(reader: &mut Reader<S>) -> Result<Packet, Error> {
    let head = reader.exact(4)?;
    let length = usize::from(head[0]) | usize::from(head[1]) << 8 | usize::from(head[2]) << 16;
    if !(1..=LONGEST).contains(&length) {
        return Err(strange("what it says is not MySQL's protocol"));
    }
    Ok(Packet {
        number: head[3],
        body: reader.exact(length)?,
    })
}

/// A packet of the client; far smaller than 16 MiB, where it would be split.
pub fn packet(number: u8, body: &[u8]) -> Vec<u8> {
    let [first, second, third, ..] = body.len().to_le_bytes();
    [&[first, second, third, number], body].concat()
}

impl Packet {
    /// The refusal that it is, if it is one.
    ///
    /// # Errors
    ///
    /// When it ends before the number.
    pub fn refusal(&self) -> Result<Option<Refusal>, Error> {
        match self.body[..] {
            [0xff, low, high, ref rest @ ..] => Ok(Some(Refusal {
                code: u16::from_le_bytes([low, high]),
                message: without_state(rest).to_vec(),
            })),
            [0xff, ..] => Err(strange("its error ends too early")),
            _ => Ok(None),
        }
    }
}

/// An error's words. SQLSTATE stands before them, behind a `#`, unless the
/// server does not know yet that the client understands it.
fn without_state(text: &[u8]) -> &[u8] {
    match text {
        [b'#', _, _, _, _, _, words @ ..] => words,
        words => words,
    }
}

impl Greeting {
    /// Read a server's first packet.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        match body {
            [VERSION, rest @ ..] => {
                Self::parse(&mut Bytes(rest)).ok_or_else(|| strange("its greeting is malformed"))
            }
            [version, ..] => Err(strange(&format!(
                "its greeting is of version {version}, expected {VERSION}"
            ))),
            [] => Err(strange("its greeting is empty")),
        }
    }

    /// ```text
    /// version NUL | connection 4 | salt 8 | 0 | capabilities 2
    ///   | collation 1 | status 2 | capabilities 2 | salts 1 | reserved 10
    ///   | more salt, at least 13 | plugin NUL
    /// ```
    /// Old servers end after the first line.
    fn parse(bytes: &mut Bytes) -> Option<Self> {
        let version = bytes.text()?;
        if version.is_empty() || !version.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            return None;
        }
        bytes.take(4 + 8 + 1)?;
        let mut greeting = Self {
            version: String::from_utf8_lossy(version).into_owned(),
            capabilities: bytes.short()?,
            plugin: Vec::new(),
        };
        if bytes.0.is_empty() {
            return Some(greeting);
        }
        bytes.take(1 + 2)?;
        greeting.capabilities |= bytes.short()? << 16;
        let salts = usize::from(*bytes.take(1)?.first()?);
        bytes.take(10)?;
        if greeting.capabilities & SECURE_CONNECTION != 0 {
            bytes.take(salts.saturating_sub(8).max(13))?;
        }
        if greeting.capabilities & PLUGIN_AUTH != 0 {
            // Servers before 5.5.10 forget the end.
            greeting.plugin = bytes.text().unwrap_or(bytes.0).to_vec();
        }
        Some(greeting)
    }

    /// Whether TLS can be asked for.
    pub fn offers_tls(&self) -> bool {
        self.capabilities & TLS != 0
    }

    /// Whether [`Greeting::answer`] is understood; servers before 4.1 do not.
    pub fn takes_answers(&self) -> bool {
        self.capabilities & PROTOCOL_41 != 0
    }

    /// `SSLRequest`: the beginning of an answer; the rest follows over TLS.
    pub fn ask_for_tls(&self) -> Vec<u8> {
        let wanted = LONG_PASSWORD | PROTOCOL_41 | TLS | SECURE_CONNECTION | PLUGIN_AUTH;
        self.beginning(wanted)
    }

    /// `HandshakeResponse41` of a user who has no password.
    pub fn answer(&self, user: &str, over_tls: bool) -> Vec<u8> {
        let mut body = if over_tls {
            self.ask_for_tls()
        } else {
            self.beginning(LONG_PASSWORD | PROTOCOL_41 | SECURE_CONNECTION | PLUGIN_AUTH)
        };
        body.extend_from_slice(user.as_bytes());
        // The user's end, and a password of no bytes: counted, or ended.
        body.extend_from_slice(&[0, 0]);
        if self.capabilities & PLUGIN_AUTH != 0 {
            body.extend_from_slice(&self.plugin);
            body.push(0);
        }
        body
    }

    fn beginning(&self, wanted: u32) -> Vec<u8> {
        let mut body = (wanted & self.capabilities).to_le_bytes().to_vec();
        // Longer packets than a server may send us.
        body.extend_from_slice(&(1u32 << 24).to_le_bytes());
        body.push(COLLATION);
        body.extend_from_slice(&[0; 23]);
        body
    }
}

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn short(&mut self) -> Option<u32> {
        let bytes = self.take(2)?;
        Some(u32::from(bytes[0]) | u32::from(bytes[1]) << 8)
    }

    /// Up to a zero byte, which must be there.
    fn text(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let text = self.take(end)?;
        self.take(1)?;
        Some(text)
    }
}

fn strange(what: &str) -> Error {
    Error::Protocol(what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pieces(Vec<u8>);

    impl Source for Pieces {
        fn some(&mut self) -> Result<Vec<u8>, Error> {
            // Three at a time, so that heads and bodies come in pieces.
            Ok(self.0.drain(..self.0.len().min(3)).collect())
        }
    }

    fn parse(bytes: &[u8]) -> Result<Packet, Error> {
        read(&mut Reader::new(Pieces(bytes.to_vec())))
    }

    /// Everything up to the first half of the capabilities.
    const OLD: &[u8] = b"\x0a4.0.30\0\x07\0\0\0abcdefgh\0\x2c\x20";

    fn greeting(capabilities: u32) -> Vec<u8> {
        let [a, b, c, d] = capabilities.to_le_bytes();
        let mut body = b"\x0a8.0.36\0\x07\0\0\0abcdefgh\0".to_vec();
        body.extend_from_slice(&[a, b, 255, 2, 0, c, d, 21]);
        body.extend_from_slice(&[0; 10]);
        body.extend_from_slice(b"ijklmnopqrst\0caching_sha2_password\0");
        body
    }

    const ALL: u32 = LONG_PASSWORD | PROTOCOL_41 | TLS | SECURE_CONNECTION | PLUGIN_AUTH;

    #[test]
    fn greeting_is_read_with_all_that_follows_the_version() {
        let read = Greeting::read(&greeting(ALL)).unwrap();
        assert_eq!(read.version, "8.0.36");
        assert_eq!(read.plugin, b"caching_sha2_password");
        assert!(read.offers_tls() && read.takes_answers());
        let read = Greeting::read(&greeting(ALL & !TLS)).unwrap();
        assert!(!read.offers_tls());
    }

    #[test]
    fn greeting_of_an_old_server_ends_early() {
        let read = Greeting::read(OLD).unwrap();
        assert_eq!(read.version, "4.0.30");
        assert!(!read.takes_answers());
    }

    #[test]
    fn beginnings_of_a_greeting_are_malformed() {
        let whole = greeting(ALL);
        let named = whole.len() - b"caching_sha2_password\0".len();
        for end in 0..whole.len() {
            let read = Greeting::read(&whole[..end]);
            // The old form, and those whose last text has no end.
            let fits = end == OLD.len() || end >= named;
            assert_eq!(read.is_ok(), fits, "{end} bytes: {read:?}");
        }
    }

    #[test]
    fn hostile_greetings_are_malformed() {
        for body in [
            &b"\x0a"[..],
            b"\x0a\0\x07\0\0\0abcdefgh\0\x2c\x20",
            b"\x0a8.0\n\0\x07\0\0\0abcdefgh\0\x2c\x20",
            b"\x0a8.0\xff\0\x07\0\0\0abcdefgh\0\x2c\x20",
            b"\x0aendless",
        ] {
            assert!(
                matches!(Greeting::read(body), Err(Error::Protocol(_))),
                "{body:?}"
            );
        }
        // More salt than there is.
        let mut body = greeting(ALL);
        let salts = OLD.len() + 5;
        assert_eq!(body[salts], 21);
        body[salts] = 255;
        assert!(Greeting::read(&body).is_err());
    }

    #[test]
    fn another_protocol_is_named() {
        let Err(Error::Protocol(what)) = Greeting::read(b"\x093.20\0") else {
            panic!("version 9 is none of ours")
        };
        assert_eq!(what, "its greeting is of version 9, expected 10");
        for bytes in [
            &b"SSH-2.0-OpenSSH\r\n"[..],
            b"220 mail\r\n",
            b"HTTP/1.1 400\r\n",
            b"\0\0\0\0",
        ] {
            assert!(matches!(parse(bytes), Err(Error::Protocol(_))), "{bytes:?}");
        }
    }

    #[test]
    fn packet_is_read_whole_or_not_at_all() {
        let whole = packet(3, b"abcde");
        assert_eq!(whole, b"\x05\0\0\x03abcde");
        let read = parse(&whole).unwrap();
        assert_eq!((read.number, &read.body[..]), (3, &b"abcde"[..]));
        for end in 0..whole.len() {
            assert!(matches!(parse(&whole[..end]), Err(Error::Closed)), "{end} bytes");
        }
    }

    #[test]
    fn refusal_has_its_words_with_and_without_a_state() {
        let refusal = |body: &[u8]| {
            let body = body.to_vec();
            Packet { number: 0, body }.refusal()
        };
        for body in [&b"\xff\x10\x04Too many"[..], b"\xff\x10\x04#08004Too many"] {
            let read = refusal(body).unwrap().unwrap();
            assert_eq!((read.code, &read.message[..]), (1040, &b"Too many"[..]));
        }
        assert_eq!(refusal(b"\xff\x10\x04").unwrap().unwrap().message, b"");
        assert_eq!(refusal(b"\xff\x10\x04#080").unwrap().unwrap().message, b"#080");
        assert!(refusal(b"\xff\x10").is_err() && refusal(b"\xff").is_err());
        assert!(refusal(b"\x0a8").unwrap().is_none());
    }

    #[test]
    fn answer_asks_for_no_more_than_the_server_has() {
        let read = Greeting::read(&greeting(ALL & !TLS)).unwrap();
        let answer = read.answer("joe", false);
        assert_eq!(answer[..4], (ALL & !TLS).to_le_bytes());
        assert_eq!(answer[4..9], [0, 0, 0, 1, 45]);
        assert_eq!(answer[32..], *b"joe\0\0caching_sha2_password\0");
        let read = Greeting::read(&greeting(ALL & !PLUGIN_AUTH)).unwrap();
        let answer = read.answer("joe", true);
        assert_eq!(answer[..4], (ALL & !PLUGIN_AUTH).to_le_bytes());
        assert_eq!(answer[32..], *b"joe\0\0");
        assert_eq!(read.ask_for_tls(), answer[..32]);
    }
}
