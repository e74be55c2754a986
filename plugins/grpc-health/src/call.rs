//! One request's answer out of the frames that come (RFC 9113). It decides and
//! sends nothing itself; limits are here, so that no endpoint keeps a probe busy.

use catamaran_check::{Error, quote};

use crate::frames::{self, Frame, STREAM, error_word, strange};
use crate::hpack::{self, Field};

/// The most frames of an answer; servers need some six.
const MOST_FRAMES: usize = 128;
/// The most bytes of an answer, all frames together. It is also the most that
/// may come while nobody opens the window further (§6.9.2), plus one.
const MOST_BYTES: usize = 64 * 1024;

/// What follows from a frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Read the next one.
    Read,
    /// Send this, then read the next one.
    Send(Frame),
    /// The answer is there, or as much of it as matters.
    Answered(Reply),
    /// The endpoint will not answer; why.
    Dropped(String),
}

/// What the endpoint answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Headers and then trailers, in order.
    pub fields: Vec<Field>,
    /// The content, empty where the status alone says that it is no gRPC.
    pub body: Vec<u8>,
}

impl Reply {
    /// The first value of a name.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        let named = |field: &&Field| field.name == name.as_bytes();
        self.fields.iter().find(named).map(|field| &field.value[..])
    }

    /// Whether a gRPC server answers, going by its headers.
    pub fn is_grpc(&self) -> bool {
        let kind = self.field("content-type").unwrap_or_default();
        self.field(":status") == Some(b"200") && kind.starts_with(b"application/grpc")
    }
}

/// A request that was sent, and what has come since.
#[derive(Debug, Default)]
pub struct Call {
    frames: usize,
    bytes: usize,
    /// A block of headers that goes on in `CONTINUATION`, and whether it ends
    /// the stream.
    open: Option<(Vec<u8>, bool)>,
    reply: Reply,
    farewell: Option<String>,
}

impl Call {
    /// The next frame came.
    ///
    /// # Errors
    ///
    /// When it is against the protocol or over a limit.
    pub fn take(&mut self, frame: Frame) -> Result<Step, Error> {
        self.frames += 1;
        self.bytes += frame.payload.len();
        if self.frames > MOST_FRAMES || self.bytes > MOST_BYTES {
            return Err(Error::TooLarge);
        }
        // §3.4: a server's side begins with its settings.
        if self.frames == 1 && (frame.kind != frames::SETTINGS || frame.has(frames::ACK)) {
            return Err(strange("what does not begin as HTTP/2 does"));
        }
        if self.open.is_some() && frame.kind != frames::CONTINUATION {
            return Err(strange("a frame between headers and their continuation"));
        }
        match frame.kind {
            frames::SETTINGS | frames::PING => answer(&frame),
            frames::HEADERS | frames::DATA | frames::RST_STREAM if frame.stream != STREAM => {
                Err(strange("an answer to what nobody asked"))
            }
            frames::HEADERS => {
                let block = frame.content()?.to_vec();
                self.headers(
                    block,
                    frame.has(frames::END_STREAM),
                    frame.has(frames::END_HEADERS),
                )
            }
            frames::CONTINUATION => match self.open.take() {
                Some((block, ends)) if frame.stream == STREAM => self.headers(
                    [block, frame.payload.clone()].concat(),
                    ends,
                    frame.has(frames::END_HEADERS),
                ),
                _ => Err(strange("a continuation of nothing")),
            },
            frames::DATA => self.data(&frame),
            frames::RST_STREAM => {
                let code = frame
                    .payload
                    .first_chunk()
                    .ok_or_else(|| strange("half a RST_STREAM"))?;
                Ok(Step::Dropped(format!(
                    "it drops the request: RST_STREAM {}",
                    error_word(code)
                )))
            }
            frames::GOAWAY => self.goaway(&frame.payload),
            frames::PUSH_PROMISE => Err(strange("a pushed answer, which it may not")),
            frames::WINDOW_UPDATE if frame.payload.len() != 4 => Err(strange("half a WINDOW_UPDATE")),
            // The request is sent and was smaller than any window. Kinds that
            // nobody knows are passed over (§4.1).
            _ => Ok(Step::Read),
        }
    }

    /// Why the connection ended, where the endpoint has said it before.
    pub fn farewell(self) -> Option<String> {
        self.farewell
    }

    fn headers(&mut self, block: Vec<u8>, ends: bool, whole: bool) -> Result<Step, Error> {
        if !whole {
            self.open = Some((block, ends));
            return Ok(Step::Read);
        }
        let fields =
            hpack::decode(&block).map_err(|why| strange(&format!("headers that are none: {why}")))?;
        let is_interim = |field: &Field| field.name == b":status" && field.value.starts_with(b"1");
        if fields.iter().any(is_interim) && !ends {
            return Ok(Step::Read);
        }
        self.reply.fields.extend(fields);
        // Of what is no gRPC the status says enough; pages may be long.
        match ends || !self.reply.is_grpc() {
            true => Ok(Step::Answered(std::mem::take(&mut self.reply))),
            false => Ok(Step::Read),
        }
    }

    fn data(&mut self, frame: &Frame) -> Result<Step, Error> {
        if self.reply.fields.is_empty() {
            return Err(strange("content before headers"));
        }
        self.reply.body.extend(frame.content()?);
        match frame.has(frames::END_STREAM) {
            true => Ok(Step::Answered(std::mem::take(&mut self.reply))),
            false => Ok(Step::Read),
        }
    }

    /// Streams up to the one that it names are still answered (§6.8).
    fn goaway(&mut self, payload: &[u8]) -> Result<Step, Error> {
        let half = || strange("half a GOAWAY");
        let (last, rest) = payload.split_first_chunk().ok_or_else(half)?;
        let (code, debug) = rest.split_first_chunk().ok_or_else(half)?;
        let mut text = format!("it closes the connection: GOAWAY {}", error_word(code));
        if !debug.is_empty() {
            text.push_str(&format!(" {}", quote(debug, 80)));
        }
        if u32::from_be_bytes(*last) & 0x7fff_ffff < STREAM {
            return Ok(Step::Dropped(text));
        }
        self.farewell = Some(text);
        Ok(Step::Read)
    }
}

/// `SETTINGS` and `PING` want to be acknowledged (§6.5.3, §6.7).
fn answer(frame: &Frame) -> Result<Step, Error> {
    let is_right = match frame.kind {
        frames::PING => frame.payload.len() == 8,
        _ if frame.has(frames::ACK) => frame.payload.is_empty(),
        _ => frame.payload.chunks_exact(6).remainder().is_empty(),
    };
    if !is_right || frame.stream != 0 {
        return Err(strange("SETTINGS or PING of a wrong size or stream"));
    }
    if frame.has(frames::ACK) {
        return Ok(Step::Read);
    }
    let payload = match frame.kind {
        frames::PING => frame.payload.clone(),
        _ => Vec::new(),
    };
    Ok(Step::Send(Frame::new(frame.kind, frames::ACK, 0, payload)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call whose server has sent its settings.
    fn begun() -> Call {
        let mut call = Call::default();
        let settings = Frame::new(frames::SETTINGS, 0, 0, *b"\0\x03\0\0\0\x64");
        let acknowledged = Frame::new(frames::SETTINGS, frames::ACK, 0, []);
        assert_eq!(call.take(settings).unwrap(), Step::Send(acknowledged));
        call
    }

    fn headers(flags: u8, fields: &[(&str, &str)]) -> Frame {
        let block: Vec<_> = fields
            .iter()
            .map(|(name, value)| hpack::literal(name, value))
            .collect();
        Frame::new(frames::HEADERS, flags, STREAM, block.concat())
    }

    const OK: [(&str, &str); 2] = [(":status", "200"), ("content-type", "application/grpc")];

    fn reply(step: Step) -> Reply {
        match step {
            Step::Answered(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    fn strangeness(result: Result<Step, Error>) -> String {
        match result {
            Err(Error::Protocol(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn answer_is_headers_content_and_trailers() {
        let mut call = begun();
        assert_eq!(call.take(headers(frames::END_HEADERS, &OK)).unwrap(), Step::Read);
        for piece in ["ab", "c"] {
            assert_eq!(
                call.take(Frame::new(frames::DATA, 0, STREAM, piece)).unwrap(),
                Step::Read
            );
        }
        let trailers = headers(frames::END_HEADERS | frames::END_STREAM, &[("grpc-status", "0")]);
        let reply = reply(call.take(trailers).unwrap());
        assert_eq!(reply.field("grpc-status"), Some(&b"0"[..]));
        assert_eq!(reply.body, b"abc");
    }

    #[test]
    fn headers_go_on_in_continuations() {
        let mut call = begun();
        let whole = headers(0, &[OK[0], OK[1], ("grpc-status", "12")]).payload;
        let (first, rest) = whole.split_at(7);
        let (second, third) = rest.split_at(9);
        let begins = Frame::new(frames::HEADERS, frames::END_STREAM, STREAM, first);
        assert_eq!(call.take(begins).unwrap(), Step::Read);
        let goes_on = Frame::new(frames::CONTINUATION, 0, STREAM, second);
        assert_eq!(call.take(goes_on).unwrap(), Step::Read);
        let ends = Frame::new(frames::CONTINUATION, frames::END_HEADERS, STREAM, third);
        let reply = reply(call.take(ends).unwrap());
        assert_eq!(reply.field("grpc-status"), Some(&b"12"[..]));
    }

    #[test]
    fn nothing_comes_between_headers_and_their_continuation() {
        let mut call = begun();
        call.take(headers(0, &OK)).unwrap();
        let between = call.take(Frame::new(frames::PING, 0, 0, *b"12345678"));
        assert!(strangeness(between).contains("between"));
        let alone = begun().take(Frame::new(frames::CONTINUATION, frames::END_HEADERS, STREAM, []));
        assert!(strangeness(alone).contains("of nothing"));
    }

    #[test]
    fn ping_is_answered_with_its_own_bytes() {
        let mut call = begun();
        let answer = Frame::new(frames::PING, frames::ACK, 0, *b"12345678");
        let step = call.take(Frame::new(frames::PING, 0, 0, *b"12345678")).unwrap();
        assert_eq!(step, Step::Send(answer.clone()));
        assert_eq!(call.take(answer).unwrap(), Step::Read);
    }

    #[test]
    fn other_status_is_answer_enough() {
        let page = headers(
            frames::END_HEADERS,
            &[(":status", "502"), ("content-type", "text/html")],
        );
        let reply = reply(begun().take(page).unwrap());
        assert_eq!(reply.field(":status"), Some(&b"502"[..]));
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let interim = headers(frames::END_HEADERS, &[(":status", "103"), ("grpc-status", "5")]);
        assert_eq!(begun().take(interim).unwrap(), Step::Read);
    }

    #[test]
    fn goaway_spares_the_requests_that_it_names() {
        let mut call = begun();
        let later = [&[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0][..], b"max_age"].concat();
        assert_eq!(
            call.take(Frame::new(frames::GOAWAY, 0, 0, later)).unwrap(),
            Step::Read
        );
        assert_eq!(
            call.farewell().unwrap(),
            "it closes the connection: GOAWAY NO_ERROR \"max_age\""
        );
        let now = Frame::new(frames::GOAWAY, 0, 0, [0, 0, 0, 0, 0, 0, 0, 11]);
        assert_eq!(
            begun().take(now).unwrap(),
            Step::Dropped("it closes the connection: GOAWAY ENHANCE_YOUR_CALM".into())
        );
    }

    #[test]
    fn reset_is_named() {
        let reset = Frame::new(frames::RST_STREAM, 0, STREAM, [0, 0, 0, 7]);
        assert_eq!(
            begun().take(reset).unwrap(),
            Step::Dropped("it drops the request: RST_STREAM REFUSED_STREAM".into())
        );
    }

    #[test]
    fn what_a_server_may_not_send_is_refused() {
        for wrong in [
            Frame::new(frames::PUSH_PROMISE, 0, STREAM, [0, 0, 0, 2]),
            Frame::new(frames::DATA, 0, STREAM, *b"early"),
            Frame::new(frames::HEADERS, frames::END_HEADERS, 3, []),
            Frame::new(frames::HEADERS, frames::END_HEADERS, STREAM, [0xbe]),
            Frame::new(frames::HEADERS, frames::PADDED, STREAM, []),
            Frame::new(frames::RST_STREAM, 0, STREAM, [0]),
            Frame::new(frames::GOAWAY, 0, 0, [0; 7]),
            Frame::new(frames::WINDOW_UPDATE, 0, 0, [0]),
            Frame::new(frames::PING, 0, 0, [0]),
            Frame::new(frames::PING, 0, STREAM, [0; 8]),
            Frame::new(frames::SETTINGS, 0, 0, [0]),
            Frame::new(frames::SETTINGS, frames::ACK, 0, [0; 6]),
        ] {
            let text = format!("{wrong:?}");
            assert!(matches!(begun().take(wrong), Err(Error::Protocol(_))), "{text}");
        }
        for first in [
            Frame::new(frames::PING, 0, 0, [0; 8]),
            Frame::new(frames::SETTINGS, frames::ACK, 0, []),
        ] {
            assert!(strangeness(Call::default().take(first)).contains("does not begin"));
        }
    }

    #[test]
    fn what_means_nothing_here_is_passed_over() {
        for other in [
            Frame::new(frames::WINDOW_UPDATE, 0, 0, [0, 0, 0, 1]),
            Frame::new(2, 0, STREAM, [0; 5]),
            Frame::new(0xbe, 0xff, 7, *b"grease"),
        ] {
            let text = format!("{other:?}");
            assert_eq!(begun().take(other).unwrap(), Step::Read, "{text}");
        }
    }

    #[test]
    fn endless_answers_are_too_large() {
        let mut busy = begun();
        let last = (0..MOST_FRAMES)
            .map(|_| busy.take(Frame::new(frames::PING, 0, 0, [0; 8])))
            .last();
        assert!(matches!(last, Some(Err(Error::TooLarge))));
        let mut big = begun();
        big.take(headers(frames::END_HEADERS, &OK)).unwrap();
        let piece = || Frame::new(frames::DATA, 0, STREAM, vec![0; frames::LARGEST]);
        assert_eq!(big.take(piece()).unwrap(), Step::Read);
        let last = (0..3).map(|_| big.take(piece())).last();
        assert!(matches!(last, Some(Err(Error::TooLarge))));
    }
}
