//! The part of RESP2 that a check speaks: commands out, replies in.

use catamaran_check::Error;
use catamaran_check::connection::{Reader, Source};

/// The longest line, and the longest bulk string, in bytes.
const LONGEST: usize = 64 * 1024;
/// The most elements of an array.
const MOST: usize = 4096;
/// How deep arrays may lie in each other; `ROLE` answers with two.
const DEEPEST: usize = 4;

/// What a server answers.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// A simple or bulk string.
    Text(String),
    /// An error; its first word says which.
    Error(String),
    /// A number.
    Integer(i64),
    /// Replies in order.
    Array(Vec<Reply>),
    /// No string, or no array.
    Null,
}

/// A command as an array of bulk strings.
pub fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

/// Read one reply.
///
/// # Errors
///
/// As the connection fails, or when what comes is no RESP2.
pub fn reply<S: Source>(reader: &mut Reader<S>) -> Result<Reply, Error> {
    read(reader, 0)
}

fn read<S: Source>(reader: &mut Reader<S>, depth: usize) -> Result<Reply, Error> {
    let line = reader.line(LONGEST)?;
    let Some((kind, rest)) = line.split_first() else {
        return Err(strange("an empty line"));
    };
    let text = String::from_utf8_lossy(rest).into_owned();
    match kind {
        b'+' => Ok(Reply::Text(text)),
        b'-' => Ok(Reply::Error(text)),
        b':' => number(&text).map(Reply::Integer),
        b'$' => match length(&text, LONGEST)? {
            None => Ok(Reply::Null),
            Some(length) => {
                let mut bytes = reader.exact(length + 2)?;
                bytes.truncate(length);
                Ok(Reply::Text(String::from_utf8_lossy(&bytes).into_owned()))
            }
        },
        b'*' if depth < DEEPEST => match length(&text, MOST)? {
            None => Ok(Reply::Null),
            Some(length) => {
                let replies = (0..length).map(|_| read(reader, depth + 1));
                replies.collect::<Result<_, _>>().map(Reply::Array)
            }
        },
        _ => Err(strange(&format!(
            "{}, which is no Redis reply",
            catamaran_check::quote(&line, 60)
        ))),
    }
}

fn number(text: &str) -> Result<i64, Error> {
    text.parse().map_err(|_| strange("a number that is none"))
}

/// A length; none for -1.
fn length(text: &str, most: usize) -> Result<Option<usize>, Error> {
    match number(text)? {
        -1 => Ok(None),
        length => match usize::try_from(length) {
            Ok(length) if length <= most => Ok(Some(length)),
            Ok(_) => Err(Error::TooLarge),
            Err(_) => Err(strange("a negative length")),
        },
    }
}

fn strange(what: &str) -> Error {
    Error::Protocol(format!("the endpoint sent {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bytes(Vec<u8>);

    impl Source for Bytes {
        fn some(&mut self) -> Result<Vec<u8>, Error> {
            // One at a time: the least that a network gives.
            let first = self.0.drain(..self.0.len().min(1)).collect();
            Ok(first)
        }
    }

    fn parse(bytes: &[u8]) -> Result<Reply, Error> {
        reply(&mut Reader::new(Bytes(bytes.to_vec())))
    }

    #[test]
    fn command_counts_bytes() {
        assert_eq!(
            command(&["AUTH", "pä"]),
            "*2\r\n$4\r\nAUTH\r\n$3\r\npä\r\n".as_bytes()
        );
    }

    #[test]
    fn replies_of_every_kind_are_read() {
        let text = |text: &str| Reply::Text(text.into());
        assert_eq!(parse(b"+PONG\r\n").unwrap(), text("PONG"));
        assert_eq!(parse(b"-ERR no\r\n").unwrap(), Reply::Error("ERR no".into()));
        assert_eq!(
            parse(b"*4\r\n$6\r\nma\r\ner\r\n:-7\r\n*-1\r\n*1\r\n$-1\r\n").unwrap(),
            Reply::Array(vec![
                text("ma\r\ner"),
                Reply::Integer(-7),
                Reply::Null,
                Reply::Array(vec![Reply::Null])
            ])
        );
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for bytes in [
            &b"SSH-2.0-OpenSSH\r\n"[..],
            b"\r\n",
            b":x\r\n",
            b"$-2\r\n",
            b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        ] {
            assert!(matches!(parse(bytes), Err(Error::Protocol(_))), "{bytes:?}");
        }
        assert!(matches!(parse(b"$65537\r\n"), Err(Error::TooLarge)));
        assert!(matches!(parse(b"*2\r\n:1\r\n"), Err(Error::Closed)));
    }
}
