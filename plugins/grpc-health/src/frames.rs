//! HTTP/2's frames (RFC 9113 §4), and what a client that asks once begins with.

use catamaran_check::connection::{Reader, Source};
use catamaran_check::{Error, quote};

/// The longest frame that a peer may send to whoever has not allowed more (§4.2).
pub const LARGEST: usize = 16_384;
/// The stream of a client's first request (§5.1.1).
pub const STREAM: u32 = 1;

/// Kinds (§6).
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// Flags (§6); of `SETTINGS` and `PING` the first one is `ACK`.
pub const ACK: u8 = 0x1;
pub const END_STREAM: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;
pub const PADDED: u8 = 0x8;
pub const PRIORITISED: u8 = 0x20;

/// What a client's side of a connection begins with (§3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// No dynamic table in what comes, no pushed answers (§6.5.2).
const WISHES: [u8; 12] = [0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0];

/// A frame.
///
/// ```text
/// length, 3 bytes | kind | flags | stream, 4 bytes | payload
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is; there may be kinds that nobody knows (§5.5).
    pub kind: u8,
    /// What they mean hangs on the kind.
    pub flags: u8,
    /// Zero is the connection.
    pub stream: u32,
    /// At most [`LARGEST`] bytes.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A frame of this kind.
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            kind,
            flags,
            stream,
            payload: payload.into(),
        }
    }

    /// Ready to be sent.
    pub fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes();
        let head = [&length[1..], &[self.kind, self.flags], &self.stream.to_be_bytes()].concat();
        [head, self.payload.clone()].concat()
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The payload of `DATA` or `HEADERS` without padding and priority (§6.1, §6.2).
    ///
    /// # Errors
    ///
    /// When it has not even these.
    pub fn content(&self) -> Result<&[u8], Error> {
        let mut content = &self.payload[..];
        let mut padding = 0;
        if self.has(PADDED) {
            let (length, rest) = content
                .split_first()
                .ok_or_else(|| strange("padding without a length"))?;
            (padding, content) = (usize::from(*length), rest);
        }
        if self.kind == HEADERS && self.has(PRIORITISED) {
            content = content.get(5..).ok_or_else(|| strange("half a priority"))?;
        }
        let length = content.len().checked_sub(padding);
        length
            .map(|length| &content[..length])
            .ok_or_else(|| strange("more padding than frame"))
    }
}

/// All that a client says to ask once: a block of headers and a message.
pub fn opening(headers: Vec<u8>, message: Vec<u8>) -> Vec<u8> {
    [
        PREFACE.to_vec(),
        Frame::new(SETTINGS, 0, 0, WISHES).bytes(),
        Frame::new(HEADERS, END_HEADERS, STREAM, headers).bytes(),
        Frame::new(DATA, END_STREAM, STREAM, message).bytes(),
    ]
    .concat()
}

/// Read the next frame.
///
/// # Errors
///
/// As the connection fails, or when what comes is no frame; an answer in
/// HTTP/1 is shown.
pub fn read<S: Source>(reader: &mut Reader<S>) -> Result<Frame, Error> {
    let head = reader.exact(9)?;
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    if length > LARGEST {
        return Err(no_frame(&head, reader));
    }
    Ok(Frame {
        kind: head[3],
        flags: head[4],
        // The first bit is reserved (§4.1).
        stream: u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]),
        payload: reader.exact(length)?,
    })
}

/// What came where a frame should have been.
fn no_frame<S: Source>(head: &[u8], reader: &mut Reader<S>) -> Error {
    if !head.starts_with(b"HTTP/") {
        return strange(&format!("{}, which is no HTTP/2", quote(head, 9)));
    }
    // The connection may end within the line.
    let rest = reader.line(256).unwrap_or_default();
    let line = quote(&[head, &rest].concat(), 80);
    Error::Protocol(format!("gRPC wants HTTP/2, and it answers in HTTP/1: {line}"))
}

/// An error code in words (§7).
pub fn error_word(code: &[u8; 4]) -> String {
    const WORDS: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    let code = u32::from_be_bytes(*code);
    match WORDS.get(code as usize) {
        Some(word) => (*word).into(),
        None => format!("error {code}"),
    }
}

/// An error about what the endpoint sent.
pub fn strange(what: &str) -> Error {
    Error::Protocol(format!("the endpoint sent {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bytes(Vec<u8>);

    impl Source for Bytes {
        fn some(&mut self) -> Result<Vec<u8>, Error> {
            Ok(self.0.drain(..self.0.len().min(5)).collect())
        }
    }

    fn parse(bytes: &[u8]) -> Result<Frame, Error> {
        read(&mut Reader::new(Bytes(bytes.to_vec())))
    }

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Frame {
        Frame::new(kind, flags, STREAM, payload)
    }

    fn said(result: Result<Frame, Error>) -> String {
        match result {
            Err(Error::Protocol(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn frame_reads_back() {
        let ping = frame(PING, ACK, b"12345678");
        assert_eq!(ping.bytes(), b"\0\0\x08\x06\x01\0\0\0\x0112345678");
        assert_eq!(parse(&ping.bytes()).unwrap(), ping);
        let reserved = parse(b"\0\0\0\x04\0\x80\0\0\0").unwrap();
        assert_eq!(reserved.stream, 0);
    }

    #[test]
    fn opening_is_preface_settings_headers_and_data() {
        let bytes = opening(b"h".to_vec(), b"m".to_vec());
        let frames = bytes.strip_prefix(PREFACE).unwrap();
        assert_eq!(
            frames,
            b"\0\0\x0c\x04\0\0\0\0\0\0\x01\0\0\0\0\0\x02\0\0\0\0\
              \0\0\x01\x01\x04\0\0\0\x01h\0\0\x01\0\x01\0\0\0\x01m"
        );
    }

    #[test]
    fn content_is_without_padding_and_priority() {
        let content = |kind, flags, payload: &[u8]| frame(kind, flags, payload).content().map(<[u8]>::to_vec);
        assert_eq!(content(DATA, 0, b"ab").unwrap(), b"ab");
        assert_eq!(content(DATA, PADDED, b"\x02ab\0\0").unwrap(), b"ab");
        assert_eq!(
            content(HEADERS, PADDED | PRIORITISED, b"\x01\0\0\0\0\x10ab\0").unwrap(),
            b"ab"
        );
        // Of DATA the flag means nothing.
        assert_eq!(content(DATA, PRIORITISED, b"ab").unwrap(), b"ab");
        for (flags, payload) in [(PADDED, &b""[..]), (PADDED, b"\x02a"), (PRIORITISED, b"\0\0\0\0")] {
            assert!(content(HEADERS, flags, payload).is_err(), "{payload:x?}");
        }
    }

    #[test]
    fn other_protocols_are_told() {
        assert_eq!(
            said(parse(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")),
            "gRPC wants HTTP/2, and it answers in HTTP/1: \"HTTP/1.1 400 Bad Request\""
        );
        assert!(said(parse(b"HTTP/1.0 505")).ends_with("\"HTTP/1.0 \""));
        assert!(said(parse(b"-ERR unknown command")).contains("\"-ERR unkn\", which is no HTTP/2"));
        assert!(said(parse(b"\0\x40\x01\0\0\0\0\0\0")).contains("no HTTP/2"));
        assert!(matches!(parse(b"\0\0\x02\0\0\0\0\0\0a"), Err(Error::Closed)));
    }

    #[test]
    fn error_codes_have_their_names() {
        assert_eq!(error_word(&[0, 0, 0, 0]), "NO_ERROR");
        assert_eq!(error_word(&[0, 0, 0, 13]), "HTTP_1_1_REQUIRED");
        assert_eq!(error_word(&[0xff; 4]), "error 4294967295");
    }
}
