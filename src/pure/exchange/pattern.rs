//! Bytes that a plugin must send, with places that may differ.

use super::quote;

/// What stands for any bytes in text.
pub const ANY: &str = "<any>";

/// Bytes to compare with: parts that must appear one after the other, with
/// anything between them. `None` is any one byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// At least one; the first must stand at the beginning.
    parts: Vec<Vec<Option<u8>>>,
}

/// How bytes compare with a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// So many of them are what was wanted.
    Whole(usize),
    /// Right so far; more have to come.
    More,
    /// The byte at this place is another one.
    Wrong(usize),
}

impl Pattern {
    /// From text, in which `<any>` stands for any bytes.
    pub fn text(text: &str) -> Self {
        let exact = |part: &str| part.bytes().map(Some).collect();
        Self {
            parts: text.split(ANY).map(exact).collect(),
        }
    }

    /// From hexadecimal bytes, in which `??` is any byte and `*` any number of
    /// bytes. Spaces do not count.
    ///
    /// # Errors
    /// A sentence that quotes what is neither.
    pub fn hex(text: &str) -> Result<Self, String> {
        let part = |part: &str| pairs(part)?.iter().map(|pair| wild_byte(pair)).collect();
        Ok(Self {
            parts: text.split('*').map(part).collect::<Result<_, String>>()?,
        })
    }

    /// Compare with all that was sent since the pattern's turn came.
    pub fn compare(&self, sent: &[u8]) -> Match {
        let Some((first, later)) = self.parts.split_first() else {
            return Match::Whole(0);
        };
        if let Some(place) = first
            .iter()
            .zip(sent)
            .position(|(wanted, byte)| !fits(*wanted, *byte))
        {
            return Match::Wrong(place);
        }
        if sent.len() < first.len() {
            return Match::More;
        }
        let mut end = first.len();
        for part in later {
            if part.is_empty() {
                end = sent.len();
                continue;
            }
            match find(part, &sent[end..]) {
                Some(place) => end += place + part.len(),
                None => return Match::More,
            }
        }
        Match::Whole(end)
    }

    /// The pattern from a byte on, quoted, for a message; the place is one of
    /// its first part.
    pub fn quote_from(&self, place: usize) -> String {
        let mut bytes: Vec<u8> = Vec::new();
        for (index, part) in self.parts.iter().enumerate() {
            if index > 0 {
                bytes.extend(ANY.bytes());
            }
            bytes.extend(part.iter().map(|byte| byte.unwrap_or(b'?')));
        }
        quote(bytes.get(place..).unwrap_or_default())
    }
}

fn fits(wanted: Option<u8>, byte: u8) -> bool {
    wanted.is_none_or(|wanted| wanted == byte)
}

/// The first place where a part stands.
fn find(part: &[Option<u8>], bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(part.len())
        .position(|window| part.iter().zip(window).all(|(wanted, byte)| fits(*wanted, *byte)))
}

/// The bytes of hexadecimal text. Spaces do not count.
///
/// # Errors
/// A sentence that quotes what is none.
pub fn bytes(text: &str) -> Result<Vec<u8>, String> {
    pairs(text)?.iter().map(|pair| byte(pair)).collect()
}

fn pairs(text: &str) -> Result<Vec<String>, String> {
    let letters: Vec<char> = text.chars().filter(|letter| !letter.is_whitespace()).collect();
    let pairs = letters.chunks(2).map(|pair| pair.iter().collect::<String>());
    let pairs: Vec<String> = pairs.collect();
    match pairs.last() {
        Some(last) if last.chars().count() == 1 => Err(format!(
            "a byte has two hexadecimal digits; {last:?} at the end is alone"
        )),
        _ => Ok(pairs),
    }
}

fn byte(pair: &str) -> Result<u8, String> {
    let is_hex = pair.chars().all(|letter| letter.is_ascii_hexdigit());
    let value = is_hex.then(|| u8::from_str_radix(pair, 16).ok()).flatten();
    value.ok_or_else(|| format!("{pair:?} is not a byte in hexadecimal, such as \"0a\""))
}

fn wild_byte(pair: &str) -> Result<Option<u8>, String> {
    if pair == "??" {
        return Ok(None);
    }
    byte(pair).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_compared_from_its_beginning() {
        let pattern = Pattern::text("PING\r\n");
        assert_eq!(pattern.compare(b"PI"), Match::More);
        assert_eq!(pattern.compare(b"PING\r\nQUIT"), Match::Whole(6));
        assert_eq!(pattern.compare(b"PONG"), Match::Wrong(1));
        assert_eq!(pattern.quote_from(1), "\"ING\\r\\n\"");
    }

    #[test]
    fn any_reaches_to_the_first_place_where_the_rest_matches() {
        let pattern = Pattern::text("GET / HTTP/1.1\r\n<any>\r\n\r\n");
        assert_eq!(pattern.compare(b"GET / HTTP/1.1\r\nhost: a\r\n"), Match::More);
        assert_eq!(
            pattern.compare(b"GET / HTTP/1.1\r\nhost: a\r\n\r\nbody"),
            Match::Whole(27)
        );
        assert_eq!(pattern.compare(b"GET /x"), Match::Wrong(5));
        assert_eq!(Pattern::text("a<any>").compare(b"abc"), Match::Whole(3));
        assert_eq!(Pattern::text("<any>c").compare(b"abcd"), Match::Whole(3));
    }

    #[test]
    fn hexadecimal_has_wild_bytes_too() {
        let pattern = Pattern::hex("00 ?? 02 * ff").unwrap();
        assert_eq!(pattern.compare(b"\0\x07\x02\x09\xff"), Match::Whole(5));
        assert_eq!(pattern.compare(b"\0\x07\x03"), Match::Wrong(2));
        assert_eq!(bytes("0a\n FF").unwrap(), [10, 255]);
    }

    #[test]
    fn hexadecimal_that_is_none_is_quoted() {
        assert_eq!(
            bytes("0a f").unwrap_err(),
            "a byte has two hexadecimal digits; \"f\" at the end is alone"
        );
        for text in ["0x10", "+1", "zz", "??"] {
            assert!(bytes(text).unwrap_err().contains("is not a byte"), "{text}");
        }
    }
}
