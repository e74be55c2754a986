//! HPACK (RFC 7541), as far as a client needs it that keeps no dynamic table:
//! literals out, everything in but references to that table.

/// The most fields of one block; servers send some ten.
const MOST_FIELDS: usize = 256;

/// A header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// In small letters.
    pub name: Vec<u8>,
    /// As it came.
    pub value: Vec<u8>,
}

/// Why a block cannot be read.
pub type Fault = &'static str;

/// A field as a literal without indexing and with a new name (§6.2.2).
pub fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        bytes.extend(length(text.len()));
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// A length with a prefix of seven bits (§5.1) and without the Huffman bit.
fn length(length: usize) -> Vec<u8> {
    let Some(mut rest) = length.checked_sub(0x7f) else {
        return vec![length as u8];
    };
    let mut bytes = vec![0x7f];
    while rest > 0x7f {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

/// The fields of a whole block, in order.
///
/// # Errors
///
/// What is wrong with it.
pub fn decode(block: &[u8]) -> Result<Vec<Field>, Fault> {
    let mut block = Block(block);
    let mut fields = Vec::new();
    while let Some(first) = block.next() {
        // §6: the bits that a representation begins with say which it is.
        let field = match first {
            0x80.. => indexed(block.number(first, 7)?)?,
            0x40..=0x7f => block.literal(first, 6)?,
            0x20..=0x3f if !fields.is_empty() => return Err("a table is resized in the middle (§4.2)"),
            0x20..=0x3f => match block.number(first, 5)? {
                0 => continue,
                _ => return Err("a table larger than allowed (§6.3)"),
            },
            0x00..=0x1f => block.literal(first, 4)?,
        };
        if fields.len() == MOST_FIELDS {
            return Err("too many fields");
        }
        fields.push(field);
    }
    Ok(fields)
}

/// What is left of a block.
struct Block<'a>(&'a [u8]);

impl Block<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        self.next().ok_or("the block ends too early")
    }

    /// A number whose first byte has so many bits of it (§5.1). Longer ones
    /// than two million mean nothing here.
    fn number(&mut self, first: u8, bits: u8) -> Result<usize, Fault> {
        let most = (1 << bits) - 1;
        let mut number = usize::from(first) & most;
        if number < most {
            return Ok(number);
        }
        for shift in [0, 7, 14] {
            let byte = self.byte()?;
            number += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err("a number that is too large")
    }

    /// A text (§5.2).
    fn text(&mut self) -> Result<Vec<u8>, Fault> {
        let first = self.byte()?;
        let length = self.number(first, 7)?;
        let Some((text, rest)) = self.0.split_at_checked(length) else {
            return Err("the block ends too early");
        };
        self.0 = rest;
        match first & 0x80 {
            0 => Ok(text.to_vec()),
            _ => unpack(text),
        }
    }

    /// A literal, whose name may be one of the table (§6.2). Without a dynamic
    /// table all kinds of it are the same.
    fn literal(&mut self, first: u8, bits: u8) -> Result<Field, Fault> {
        let name = match self.number(first, bits)? {
            0 => self.text()?,
            index => indexed(index)?.name,
        };
        let value = self.text()?;
        Ok(Field { name, value })
    }
}

fn indexed(index: usize) -> Result<Field, Fault> {
    let entry = index.checked_sub(1).and_then(|index| STATIC.get(index));
    let (name, value) = entry.ok_or("a field that is in no table (§2.3.3)")?;
    Ok(Field {
        name: name.as_bytes().to_vec(),
        value: value.as_bytes().to_vec(),
    })
}

/// A text out of its Huffman code (§5.2). The code is canonical, so that the
/// lengths alone say it: among codes of one length, symbols are in order.
fn unpack(packed: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut text = Vec::new();
    let mut bits = Bits::default();
    for byte in packed {
        for place in (0..8).rev() {
            let Some(symbol) = bits.push(byte >> place & 1) else {
                continue;
            };
            text.push(u8::try_from(symbol).map_err(|_| "a text that has the end in it")?);
        }
    }
    // What fills the last byte is the beginning of the code that ends a text.
    match bits.length < 8 && bits.code + 1 == 1 << bits.length {
        true => Ok(text),
        false => Err("a text that ends in the middle of a code"),
    }
}

/// A code of which some bits have come.
#[derive(Default)]
struct Bits {
    code: u32,
    length: usize,
    /// The least code of this length.
    least: u32,
    /// How many symbols have shorter codes.
    before: u32,
}

impl Bits {
    /// One more bit; the symbol whose code it completes.
    fn push(&mut self, bit: u8) -> Option<u16> {
        self.code = self.code << 1 | u32::from(bit);
        self.least <<= 1;
        self.length += 1;
        let (symbols, counts) = &SYMBOLS;
        let (place, count) = (self.code - self.least, counts[self.length]);
        if place < count {
            let symbol = symbols[(self.before + place) as usize];
            *self = Self::default();
            return Some(symbol);
        }
        self.least += count;
        self.before += count;
        None
    }
}

/// The longest code, in bits.
const LONGEST: usize = 30;

/// Symbols by length and then by themselves, and how many have each length.
const SYMBOLS: ([u16; 257], [u32; LONGEST + 1]) = {
    let (mut symbols, mut counts) = ([0; 257], [0; LONGEST + 1]);
    let (mut length, mut at) = (0, 0);
    while length <= LONGEST {
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                symbols[at] = symbol as u16;
                counts[length] += 1;
                at += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    (symbols, counts)
};

/// How many bits each byte's code has; the last is that of the end (Appendix B).
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// Appendix A; the first has index 1.
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<_> = hex.bytes().filter(|digit| *digit != b' ').collect();
        let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(pair).collect()
    }

    fn decoded(hex: &str) -> Result<String, Fault> {
        let fields = decode(&bytes(hex))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields = fields
            .iter()
            .map(|field| format!("{}: {}", text(&field.name), text(&field.value)));
        Ok(fields.collect::<Vec<_>>().join("\n"))
    }

    /// RFC 7541 Appendix C.1.
    #[test]
    fn numbers_of_the_rfc_are_read() {
        let number = |hex: &str, bits| {
            let bytes = bytes(hex);
            Block(&bytes[1..]).number(bytes[0], bits)
        };
        assert_eq!(number("0a", 5), Ok(10));
        assert_eq!(number("1f 9a 0a", 5), Ok(1337));
        assert_eq!(number("2a", 8), Ok(42));
    }

    /// RFC 7541 Appendix C.2.
    #[test]
    fn representations_of_the_rfc_are_read() {
        assert_eq!(
            decoded("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572").unwrap(),
            "custom-key: custom-header"
        );
        assert_eq!(
            decoded("040c 2f73 616d 706c 652f 7061 7468").unwrap(),
            ":path: /sample/path"
        );
        assert_eq!(
            decoded("1008 7061 7373 776f 7264 0673 6563 7265 74").unwrap(),
            "password: secret"
        );
        assert_eq!(decoded("82").unwrap(), ":method: GET");
    }

    /// RFC 7541 Appendix C.4.1; what follows there needs the dynamic table.
    #[test]
    fn request_of_the_rfc_is_read_out_of_its_huffman_code() {
        assert_eq!(
            decoded("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff").unwrap(),
            ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com"
        );
        assert!(decoded("8286 84be 5886 a8eb 1064 9cbf").is_err());
    }

    /// RFC 7541 Appendices C.4.2 and C.4.3, the literals.
    #[test]
    fn literals_of_the_rfc_are_read_out_of_their_huffman_code() {
        assert_eq!(decoded("5886 a8eb 1064 9cbf").unwrap(), "cache-control: no-cache");
        assert_eq!(
            decoded("4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf").unwrap(),
            "custom-key: custom-value"
        );
    }

    /// RFC 7541 Appendix C.6.1.
    #[test]
    fn response_of_the_rfc_is_read_out_of_its_huffman_code() {
        assert_eq!(
            decoded(
                "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 \
                 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3"
            )
            .unwrap(),
            ":status: 302\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\n\
             location: https://www.example.com"
        );
    }

    /// RFC 7541 Appendix B, of each length one.
    #[test]
    fn codes_of_the_rfc_have_their_symbols() {
        for (symbol, code, length) in [
            (b'0', 0x0, 5),
            (b'y', 0x7a, 7),
            (b'&', 0xf8, 8),
            (b'?', 0x3fc, 10),
            (b'+', 0x7fb, 11),
            (b'#', 0xffa, 12),
            (0, 0x1ff8, 13),
            (b'}', 0x3ffd, 14),
            (b'<', 0x7ffc, 15),
            (b'\\', 0x7fff0, 19),
            (128, 0xfffe6, 20),
            (153, 0x1fffdc, 21),
            (129, 0x3fffd2, 22),
            (1, 0x7fffd8, 23),
            (9, 0xffffea, 24),
            (199, 0x1ffffec, 25),
            (255, 0x3ffffee, 26),
            (254, 0x7fffff0, 27),
            (127, 0xffffffc, 28),
            (10, 0x3ffffffc, 30),
        ] {
            let filled = ((code << (32 - length)) | (u64::MAX >> (32 + length))) as u32;
            let packed = &filled.to_be_bytes()[..usize::div_ceil(length as usize, 8)];
            assert_eq!(unpack(packed), Ok(vec![symbol]), "{symbol}");
        }
    }

    #[test]
    fn code_has_no_gap() {
        let shares: u32 = LENGTHS
            .iter()
            .map(|length| 1 << (LONGEST as u32 - u32::from(*length)))
            .sum();
        assert_eq!(shares, 1 << LONGEST);
    }

    /// RFC 7541 §5.2.
    #[test]
    fn filling_is_short_and_all_ones() {
        assert_eq!(unpack(&[0b0000_0111]), Ok(b"0".to_vec()));
        assert!(unpack(&[0b0000_0110]).is_err());
        assert!(unpack(&[0b0000_0111, 0xff]).is_err());
        assert!(unpack(&[0xff]).is_err());
        assert!(unpack(&[0xff, 0xff, 0xff, 0xff]).is_err());
    }

    #[test]
    fn table_may_be_resized_to_nothing_at_the_beginning() {
        assert_eq!(decoded("20 88").unwrap(), ":status: 200");
        assert!(decoded("3f e1 1f 88").is_err());
        assert!(decoded("88 20").is_err());
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for hex in [
            "80",
            "be",
            "40",
            "00 01",
            "00 01 61 05 62",
            "ff ff ff ff 0f",
            "7f",
            "00 ff 80 80 80 01",
        ] {
            assert!(decoded(hex).is_err(), "{hex}");
        }
        assert!(decode(&[0x88; MOST_FIELDS]).is_ok());
        assert!(decode(&[0x88; MOST_FIELDS + 1]).is_err());
    }

    #[test]
    fn literal_reads_back() {
        for long in [1, 126, 127, 128, 255, 4096] {
            let value = "v".repeat(long);
            let fields = decode(&literal("te", &value)).unwrap();
            assert_eq!(fields.len(), 1);
            assert_eq!(fields[0].value, value.as_bytes(), "{long}");
        }
        assert_eq!(literal("te", "trailers"), b"\0\x02te\x08trailers");
    }
}
