//! Bytes to and from the endpoint, over TLS where the document says so.

pub use crate::bindings::catamaran::health::connection::{
    ConnectOptions, Stream, TlsSession, connect, connect_with,
};
use crate::types::Error;

/// The most bytes of one read or write.
pub const CHUNK: usize = 65_536;

/// What bytes are read from; [`Stream`] in a plugin, anything in its tests.
pub trait Source {
    /// Wait for some bytes; none means that there will be no more.
    ///
    /// # Errors
    ///
    /// Why there are none.
    fn some(&mut self) -> Result<Vec<u8>, Error>;
}

impl Source for &Stream {
    fn some(&mut self) -> Result<Vec<u8>, Error> {
        self.read(4096)
    }
}

/// Reads what a protocol counts in: lines, and so many bytes.
pub struct Reader<S> {
    source: S,
    ahead: Vec<u8>,
}

impl<S: Source> Reader<S> {
    /// Read from a connection: `Reader::new(&stream)`.
    pub fn new(source: S) -> Self {
        Self {
            source,
            ahead: Vec::new(),
        }
    }

    /// So many bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the endpoint has finished before.
    pub fn exact(&mut self, count: usize) -> Result<Vec<u8>, Error> {
        while self.ahead.len() < count {
            self.more()?;
        }
        let rest = self.ahead.split_off(count);
        Ok(std::mem::replace(&mut self.ahead, rest))
    }

    /// A line without its ending, `\n` or `\r\n`.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] when it is longer than `most` bytes, and as [`Reader::exact`].
    pub fn line(&mut self, most: usize) -> Result<Vec<u8>, Error> {
        let end = loop {
            match self.ahead.iter().position(|byte| *byte == b'\n') {
                Some(end) => break end,
                None if self.ahead.len() > most => return Err(Error::TooLarge),
                None => self.more()?,
            }
        };
        let mut line = self.exact(end + 1)?;
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if line.len() > most {
            return Err(Error::TooLarge);
        }
        Ok(line)
    }

    /// The source, to be asked for more than bytes. What was read ahead, and
    /// not asked for yet, is lost to it.
    pub fn source(&self) -> &S {
        &self.source
    }

    fn more(&mut self) -> Result<(), Error> {
        let bytes = self.source.some()?;
        if bytes.is_empty() {
            return Err(Error::Closed);
        }
        self.ahead.extend_from_slice(&bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Source for &[&[u8]] {
        fn some(&mut self) -> Result<Vec<u8>, Error> {
            let Some((first, rest)) = self.split_first() else {
                return Ok(Vec::new());
            };
            *self = rest;
            Ok(first.to_vec())
        }
    }

    fn reader<'a>(pieces: &'a [&'a [u8]]) -> Reader<&'a [&'a [u8]]> {
        Reader::new(pieces)
    }

    #[test]
    fn pieces_become_lines_and_counts() {
        let mut reader = reader(&[b"+OK\r", b"\n$3\nab", b"cde"]);
        assert_eq!(reader.line(10).unwrap(), b"+OK");
        assert_eq!(reader.line(10).unwrap(), b"$3");
        assert_eq!(reader.exact(4).unwrap(), b"abcd");
        assert_eq!(reader.exact(0).unwrap(), b"");
        assert!(matches!(reader.exact(2), Err(Error::Closed)));
    }

    #[test]
    fn endless_line_is_too_large() {
        assert!(matches!(
            reader(&[b"abcd", b"efgh"]).line(3),
            Err(Error::TooLarge)
        ));
        assert!(matches!(reader(&[b"abcd\n"]).line(3), Err(Error::TooLarge)));
        assert_eq!(reader(&[b"abc\r\n"]).line(3).unwrap(), b"abc");
    }
}
