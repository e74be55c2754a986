//! Check plugin: a server says by `grpc.health.v1` that it serves, all of it or
//! one service. HTTP/2 is spoken by hand, as much as one request needs; whether
//! over TLS is the document's word.

mod call;
mod frames;
mod hpack;
mod message;

use std::net::IpAddr;

use catamaran_check::connection::{ConnectOptions, Reader, Source, connect_with};
use catamaran_check::{Check, Endpoint, Error, Failure, Request, Verdict, export, healthy, quote, unhealthy};
use serde::Deserialize;

use call::{Call, Reply, Step};

/// The longest `service`, and the longest `authority`, in bytes; both are sent
/// in one frame each.
const LONGEST: usize = 4096;

/// The check's `config`.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
struct GrpcHealth {
    /// The service that must serve, such as `shop.v1.Cart`; empty is the whole server.
    #[cfg_attr(test, schemars(length(max = LONGEST)))]
    service: String,
    /// What the server is called in the request; without it the server name, or
    /// address and port.
    #[cfg_attr(test, schemars(length(min = 1, max = LONGEST)))]
    authority: Option<String>,
}
export!(GrpcHealth);

impl Check for GrpcHealth {
    fn validate(&self) -> Result<(), String> {
        if self.service.len() > LONGEST {
            return Err(format!("`service` is longer than {LONGEST} bytes"));
        }
        let Some(authority) = &self.authority else {
            return Ok(());
        };
        // What may be in a host and a port (RFC 3986 §3.2).
        let is_right = |byte: u8| byte.is_ascii_graphic() && !b"/?#\\\"<>^`{|}".contains(&byte);
        match authority.bytes().all(is_right) && (1..=LONGEST).contains(&authority.len()) {
            true => Ok(()),
            false => Err("`authority` is a name or address, with `:PORT` where it has one".into()),
        }
    }

    fn probe(&self, request: &Request) -> Result<Verdict, Failure> {
        let stream = connect_with(&ConnectOptions {
            alpn: vec!["h2".into()],
            defer_tls: false,
        })?;
        if let Some(session) = stream.tls() {
            // RFC 9113 §3.3; gRPC's clients insist on it.
            if session.alpn.as_deref() != Some("h2") {
                return Ok(unhealthy(
                    "it speaks TLS and does not agree on HTTP/2 there (ALPN h2), which gRPC wants",
                ));
            }
        }
        stream.write(&self.question(&request.endpoint))?;
        let send = |bytes: &[u8]| stream.write(bytes);
        match converse(&mut Reader::new(&stream), send) {
            Ok(Ok(reply)) => Ok(self.judge(&reply)?),
            Ok(Err(why)) => Ok(unhealthy(why)),
            Err(error) => Err(hint(error, &request.endpoint).into()),
        }
    }
}

impl GrpcHealth {
    /// All that is sent, but for acknowledgements.
    fn question(&self, endpoint: &Endpoint) -> Vec<u8> {
        let authority = match &self.authority {
            Some(authority) => authority.clone(),
            None => authority(endpoint),
        };
        let scheme = if endpoint.tls { "https" } else { "http" };
        let headers = [
            (":method", "POST"),
            (":scheme", scheme),
            (":path", "/grpc.health.v1.Health/Check"),
            (":authority", &authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "catamaran"),
        ];
        let headers = headers.map(|(name, value)| hpack::literal(name, value)).concat();
        frames::opening(headers, message::request(&self.service))
    }

    fn judge(&self, reply: &Reply) -> Result<Verdict, Error> {
        let text = |name| String::from_utf8_lossy(reply.field(name).unwrap_or_default());
        let Some(status) = reply.field("grpc-status") else {
            return match reply.is_grpc() {
                true => Err(frames::strange("an answer without grpc-status")),
                false => Ok(unhealthy(no_grpc(&text(":status"), reply))),
            };
        };
        if status != b"0" {
            return Ok(unhealthy(
                self.refusal(&text("grpc-status"), &text("grpc-message")),
            ));
        }
        let status = message::status(&reply.body).map_err(|why| Error::Protocol(why.into()))?;
        let whose = self.whose();
        Ok(match status {
            0 => unhealthy(format!(
                "{whose} is UNKNOWN: the server cannot say whether it serves"
            )),
            1 => healthy("SERVING"),
            2 => unhealthy(format!("{whose} is NOT_SERVING")),
            3 => unhealthy(format!("{whose} is SERVICE_UNKNOWN: the server does not know it")),
            other => unhealthy(format!(
                "{whose} has status {other}, which grpc.health.v1 does not have"
            )),
        })
    }

    /// Why there is no status, out of gRPC's own.
    fn refusal(&self, code: &str, message: &str) -> String {
        let name = match code.parse().ok().and_then(|code: usize| CODES.get(code)) {
            Some(name) => (*name).to_owned(),
            None => format!("grpc-status {}", quote(code.as_bytes(), 20)),
        };
        let why = match name.as_str() {
            "UNIMPLEMENTED" => ": it serves no grpc.health.v1".into(),
            "NOT_FOUND" => format!(": it does not know {}", self.whose()),
            _ => String::new(),
        };
        match message {
            "" => format!("{name}{why}"),
            message => format!("{name}{why}: {}", quote(&percent_decoded(message), 160)),
        }
    }

    fn whose(&self) -> String {
        match self.service.as_str() {
            "" => "the server".into(),
            service => format!("the service {}", quote(service.as_bytes(), 120)),
        }
    }
}

/// gRPC's status codes, by number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Read frames, and send what they call for, until the answer is there; or the
/// text that says why there will be none.
fn converse<S: Source>(
    reader: &mut Reader<S>,
    send: impl Fn(&[u8]) -> Result<(), Error>,
) -> Result<Result<Reply, String>, Error> {
    let mut call = Call::default();
    loop {
        let step = match frames::read(reader) {
            Ok(frame) => call.take(frame)?,
            Err(Error::Closed) => return call.farewell().map(Err).ok_or(Error::Closed),
            Err(error) => return Err(error),
        };
        match step {
            Step::Read => {}
            Step::Send(frame) => send(&frame.bytes())?,
            Step::Answered(reply) => return Ok(Ok(reply)),
            Step::Dropped(why) => return Ok(Err(why)),
        }
    }
}

/// The name in the document, or the address as URLs have it.
fn authority(endpoint: &Endpoint) -> String {
    match (&endpoint.server_name, endpoint.address.parse()) {
        (Some(name), _) => name.clone(),
        (None, Ok(IpAddr::V6(address))) => format!("[{address}]:{}", endpoint.port),
        (None, _) => format!("{}:{}", endpoint.address, endpoint.port),
    }
}

/// Of an answer that no gRPC server gives.
fn no_grpc(status: &str, reply: &Reply) -> String {
    match (status, reply.field("content-type")) {
        ("200", Some(kind)) => format!("HTTP 200, but no gRPC: its content-type is {}", quote(kind, 60)),
        ("200", None) => "HTTP 200, but no gRPC: it has no content-type".into(),
        ("", _) => "no gRPC: an answer without a status".into(),
        // Three digits, or what a hostile server says instead.
        (status, _) => format!(
            "HTTP {}",
            status
                .get(..3)
                .filter(|code| code.len() == status.len())
                .unwrap_or("?")
        ),
    }
}

/// `grpc-message` as it was meant; what is no escape stays.
fn percent_decoded(text: &str) -> Vec<u8> {
    let mut rest = text.as_bytes();
    let mut bytes = Vec::new();
    while let Some((first, after)) = rest.split_first() {
        let digit = |place: usize| char::from(*after.get(place)?).to_digit(16);
        let escaped = match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => Some((high * 16 + low) as u8),
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    bytes
}

/// Clear text to a TLS port ends the connection without a word.
fn hint(error: Error, endpoint: &Endpoint) -> Error {
    match error {
        Error::Closed if !endpoint.tls => Error::Protocol(
            "no HTTP/2 answer; where the server speaks TLS the check needs a `tls` table".into(),
        ),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use catamaran_check::{read, reason};

    use super::*;
    use frames::Frame;

    /// What is left to come, in pieces of so many bytes.
    struct Bytes(Vec<u8>, usize);

    impl Source for Bytes {
        fn some(&mut self) -> Result<Vec<u8>, Error> {
            Ok(self.0.drain(..self.0.len().min(self.1)).collect())
        }
    }

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        Frame::new(kind, flags, stream, payload).bytes()
    }

    fn block(fields: &[(&str, &str)]) -> Vec<u8> {
        fields
            .iter()
            .flat_map(|(name, value)| hpack::literal(name, value))
            .collect()
    }

    /// A server that says that it serves, with all that may come in between.
    fn serving() -> Vec<u8> {
        let ok = block(&[(":status", "200"), ("content-type", "application/grpc+proto")]);
        let trailers = block(&[("grpc-status", "0"), ("grpc-message", "")]);
        [
            frame(frames::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]),
            frame(frames::SETTINGS, frames::ACK, 0, b""),
            frame(frames::WINDOW_UPDATE, 0, 0, &[0, 0, 1, 0]),
            frame(frames::PING, 0, 0, b"whatever"),
            frame(frames::HEADERS, 0, 1, &ok[..9]),
            frame(frames::CONTINUATION, frames::END_HEADERS, 1, &ok[9..]),
            frame(frames::DATA, frames::PADDED, 1, b"\x02\0\0\0\0\x02\x08\0\0"),
            frame(frames::DATA, 0, 1, b"\x01"),
            frame(
                frames::HEADERS,
                frames::END_HEADERS | frames::END_STREAM,
                1,
                &trailers,
            ),
        ]
        .concat()
    }

    fn heard(bytes: Vec<u8>, piece: usize) -> Result<Result<Reply, String>, Error> {
        converse(&mut Reader::new(Bytes(bytes, piece)), |_| Ok(()))
    }

    fn said(verdict: Verdict) -> String {
        match verdict {
            Verdict::Healthy(text) => format!("healthy: {text}"),
            Verdict::Degraded(text) => format!("degraded: {text}"),
            Verdict::Unhealthy(text) => format!("unhealthy: {text}"),
        }
    }

    fn judged(config: &str, fields: &[(&str, &str)], body: &[u8]) -> String {
        let fields = hpack::decode(&block(fields)).unwrap();
        let body = body.to_vec();
        match read::<GrpcHealth>(config).unwrap().judge(&Reply { fields, body }) {
            Ok(verdict) => said(verdict),
            Err(error) => reason(&error),
        }
    }

    fn endpoint(address: &str, server_name: Option<&str>) -> Endpoint {
        Endpoint {
            name: "e0".into(),
            address: address.into(),
            port: 50051,
            server_name: server_name.map(Into::into),
            tls: false,
        }
    }

    #[test]
    fn whole_answer_is_read_and_what_calls_for_it_is_acknowledged() {
        let sent = std::cell::RefCell::new(Vec::new());
        let mut reader = Reader::new(Bytes(serving(), 4));
        let reply = converse(&mut reader, |bytes| {
            sent.borrow_mut().extend_from_slice(bytes);
            Ok(())
        });
        let reply = reply.unwrap().unwrap();
        let acknowledged = [
            frame(frames::SETTINGS, frames::ACK, 0, b""),
            frame(frames::PING, frames::ACK, 0, b"whatever"),
        ];
        assert_eq!(sent.into_inner(), acknowledged.concat());
        assert_eq!(
            said(GrpcHealth::default().judge(&reply).unwrap()),
            "healthy: SERVING"
        );
    }

    #[test]
    fn every_beginning_of_an_answer_ends_in_an_error() {
        let whole = serving();
        for length in 0..whole.len() {
            let result = heard(whole[..length].to_vec(), 7);
            assert!(matches!(result, Err(Error::Closed)), "{length}: {result:?}");
        }
    }

    #[test]
    fn no_other_byte_in_an_answer_is_a_panic() {
        let whole = serving();
        for place in 0..whole.len() {
            for byte in 0..=255 {
                let mut bytes = whole.clone();
                bytes[place] = byte;
                // Whatever it means then: it ends, and what is there is judged.
                if let Ok(Ok(reply)) = heard(bytes, 4096) {
                    let _ = GrpcHealth::default().judge(&reply);
                }
            }
        }
    }

    #[test]
    fn closed_after_a_farewell_is_told_with_it() {
        let bytes = [
            frame(frames::SETTINGS, 0, 0, b""),
            frame(frames::GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 2]),
        ];
        let told = heard(bytes.concat(), 4096).unwrap().unwrap_err();
        assert_eq!(told, "it closes the connection: GOAWAY INTERNAL_ERROR");
    }

    #[test]
    fn status_of_the_response_is_the_verdict() {
        let with = |config: &str, status: &[u8]| {
            let length = u8::try_from(status.len()).unwrap();
            judged(
                config,
                &[("grpc-status", "0")],
                &[&[0, 0, 0, 0, length], status].concat(),
            )
        };
        assert_eq!(with("{}", b"\x08\x01"), "healthy: SERVING");
        assert_eq!(with("{}", b"\x08\x02"), "unhealthy: the server is NOT_SERVING");
        assert_eq!(
            with(r#"{"service":"a.B"}"#, b"\x08\x02"),
            "unhealthy: the service \"a.B\" is NOT_SERVING"
        );
        assert!(with("{}", b"").starts_with("unhealthy: the server is UNKNOWN"));
        assert!(with("{}", b"\x08\x03").contains("SERVICE_UNKNOWN"));
        assert!(with("{}", b"\x08\x07").contains("status 7"));
    }

    #[test]
    fn grpc_status_is_named_and_its_message_decoded() {
        let with = |config: &str, status: &str, message: &str| {
            let fields = [
                (":status", "200"),
                ("grpc-status", status),
                ("grpc-message", message),
            ];
            judged(config, &fields, b"")
        };
        assert_eq!(
            with("{}", "12", "unknown service grpc.health.v1.Health"),
            "unhealthy: UNIMPLEMENTED: it serves no grpc.health.v1: \"unknown service grpc.health.v1.Health\""
        );
        assert_eq!(
            with(r#"{"service":"a.B"}"#, "5", "unknown service"),
            "unhealthy: NOT_FOUND: it does not know the service \"a.B\": \"unknown service\""
        );
        assert_eq!(
            with("{}", "14", "50%25 d%C3%a9j%"),
            "unhealthy: UNAVAILABLE: \"50% déj%\""
        );
        assert_eq!(with("{}", "17", ""), "unhealthy: grpc-status \"17\"");
        assert_eq!(with("{}", "-1", ""), "unhealthy: grpc-status \"-1\"");
    }

    #[test]
    fn answers_that_are_no_grpc_are_named() {
        assert_eq!(judged("{}", &[(":status", "404")], b""), "unhealthy: HTTP 404");
        let page = [(":status", "200"), ("content-type", "text/html")];
        assert_eq!(
            judged("{}", &page, b""),
            "unhealthy: HTTP 200, but no gRPC: its content-type is \"text/html\""
        );
        let half = [(":status", "200"), ("content-type", "application/grpc")];
        assert!(judged("{}", &half, b"").contains("without grpc-status"));
        assert!(judged("{}", &[("grpc-status", "0")], b"").contains("no message"));
    }

    #[test]
    fn authority_is_the_name_or_the_address_with_its_port() {
        assert_eq!(authority(&endpoint("192.0.2.1", None)), "192.0.2.1:50051");
        assert_eq!(authority(&endpoint("2001:db8::1", None)), "[2001:db8::1]:50051");
        assert_eq!(authority(&endpoint("192.0.2.1", Some("a.example"))), "a.example");
    }

    #[test]
    fn silent_end_in_clear_text_hints_at_tls() {
        let clear = endpoint("192.0.2.1", None);
        assert!(matches!(hint(Error::Closed, &clear), Error::Protocol(text) if text.contains("`tls` table")));
        let tls = Endpoint { tls: true, ..clear };
        assert!(matches!(hint(Error::Closed, &tls), Error::Closed));
    }

    #[test]
    fn settings_that_cannot_be_meant_are_refused() {
        for config in [
            r#"{"authority":""}"#,
            r#"{"authority":"a b"}"#,
            r#"{"authority":"https://a.example/"}"#,
            r#"{"name":"x"}"#,
        ] {
            assert!(read::<GrpcHealth>(config).is_err(), "{config}");
        }
        let long = format!(r#"{{"service":"{}"}}"#, "x".repeat(LONGEST + 1));
        assert!(read::<GrpcHealth>(&long).is_err());
        assert!(read::<GrpcHealth>(r#"{"authority":"[2001:db8::1]:443"}"#).is_ok());
    }

    #[test]
    fn longest_settings_fit_into_a_frame_each() {
        let long = "x".repeat(LONGEST);
        let config = format!(r#"{{"service":"{long}","authority":"{long}"}}"#);
        let question = read::<GrpcHealth>(&config)
            .unwrap()
            .question(&endpoint("192.0.2.1", None));
        assert!(question.len() < frames::LARGEST);
    }

    #[test]
    fn schema_is_that_of_the_settings() {
        catamaran_check::schema::compare::<GrpcHealth>(env!("CARGO_MANIFEST_DIR"));
    }
}
