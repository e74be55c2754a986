//! Messages of PostgreSQL's protocol 3.0, as far as a check needs them.

use catamaran_check::Error;
use catamaran_check::connection::{Reader, Source};

/// The longest message that is read, in bytes.
const LONGEST: usize = 64 * 1024;

/// A message of the server: its kind, and what is in it.
pub struct Message {
    /// The letter that says what it is.
    pub kind: u8,
    /// Its content.
    pub body: Vec<u8>,
}

/// What a server that refuses says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// SQLSTATE, five letters and digits.
    pub code: String,
    /// In its own words.
    pub message: String,
}

/// Ask for TLS; the answer is one byte, `S` or `N`.
pub fn ask_for_tls() -> [u8; 8] {
    [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]
}

/// The message that begins a session.
pub fn startup(settings: &[(&str, &str)]) -> Vec<u8> {
    let mut body = 196_608u32.to_be_bytes().to_vec();
    for (name, value) in settings {
        body.extend(text(name));
        body.extend(text(value));
    }
    body.push(0);
    framed(&body)
}

/// A message of the client.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut whole = vec![kind];
    whole.extend(framed(body));
    whole
}

/// A text with its end.
pub fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

fn framed(body: &[u8]) -> Vec<u8> {
    // Settings are far smaller than 4 GiB.
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), body].concat()
}

/// Read the next message.
///
/// # Errors
///
/// As the connection fails, or when what comes is no message.
pub fn read<S: Source>(reader: &mut Reader<S>) -> Result<Message, Error> {
    let head = reader.exact(5)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    let length = usize::try_from(length).unwrap_or(usize::MAX).checked_sub(4);
    match length {
        Some(length) if length <= LONGEST && head[0].is_ascii_alphabetic() => Ok(Message {
            kind: head[0],
            body: reader.exact(length)?,
        }),
        Some(_) if head[0].is_ascii_alphabetic() => Err(Error::TooLarge),
        _ => Err(Error::Protocol(
            "what it says is not PostgreSQL's protocol".into(),
        )),
    }
}

impl Message {
    /// The number that an authentication request begins with, and the rest.
    pub fn authentication(&self) -> Option<(u32, &[u8])> {
        let (number, rest) = self.body.split_first_chunk()?;
        Some((u32::from_be_bytes(*number), rest))
    }

    /// Texts, each with its end, as in `ParameterStatus`.
    pub fn texts(&self) -> Vec<String> {
        let texts = self.body.split(|byte| *byte == 0);
        texts
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .collect()
    }

    /// Of an `ErrorResponse`.
    pub fn refusal(&self) -> Refusal {
        let mut refusal = Refusal::default();
        for field in self.texts() {
            match field.split_at_checked(1) {
                Some(("C", code)) => refusal.code = code.into(),
                Some(("M", message)) => refusal.message = message.into(),
                _ => {}
            }
        }
        refusal
    }

    /// The first column of a `DataRow`.
    pub fn first_column(&self) -> Option<&[u8]> {
        let (length, rest) = self.body.get(2..)?.split_first_chunk()?;
        rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bytes(Vec<u8>);

    impl Source for Bytes {
        fn some(&mut self) -> Result<Vec<u8>, Error> {
            Ok(self.0.drain(..self.0.len().min(3)).collect())
        }
    }

    fn parse(bytes: &[u8]) -> Result<Message, Error> {
        read(&mut Reader::new(Bytes(bytes.to_vec())))
    }

    #[test]
    fn startup_is_counted_with_its_own_length() {
        assert_eq!(startup(&[("user", "a")]), b"\0\0\0\x10\0\x03\0\0user\0a\0\0");
        assert_eq!(message(b'Q', &text("x")), b"Q\0\0\0\x06x\0");
    }

    #[test]
    fn refusal_is_read_out_of_its_fields() {
        let body = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0Fpostmaster.c\0\0";
        let whole = [&b"E"[..], &(body.len() as u32 + 4).to_be_bytes(), body].concat();
        let refusal = parse(&whole).unwrap().refusal();
        assert_eq!(refusal.code, "57P03");
        assert_eq!(refusal.message, "the database system is starting up");
    }

    #[test]
    fn row_has_its_first_column() {
        let row = parse(b"D\0\0\0\x0b\0\x01\0\0\0\x01t").unwrap();
        assert_eq!(row.first_column(), Some(&b"t"[..]));
        assert_eq!(parse(b"D\0\0\0\x06\0\0").unwrap().first_column(), None);
        // NULL has the length -1.
        assert_eq!(
            parse(b"D\0\0\0\x0a\0\x01\xff\xff\xff\xff")
                .unwrap()
                .first_column(),
            None
        );
    }

    #[test]
    fn what_is_no_message_is_refused() {
        assert!(matches!(parse(b"HTTP/1.1 400"), Err(Error::TooLarge)));
        assert!(matches!(parse(b"\x15\x03\x03\0\x02"), Err(Error::Protocol(_))));
        assert!(matches!(parse(b"R\0\0\0\x01"), Err(Error::Protocol(_))));
        assert!(matches!(parse(b"R\0\0\0\x09\0"), Err(Error::Closed)));
    }
}
