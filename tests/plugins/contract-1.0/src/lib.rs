//! A check that uses everything there is in version 1.0 of the contract and
//! says what came of it.

use catamaran_check::connection::{ConnectOptions, Reader, Stream, connect, connect_with};
use catamaran_check::http::HttpRequest;
use catamaran_check::{Check, Failure, Request, Verdict, clock, healthy, log};

#[derive(serde::Deserialize)]
struct Everything {
    word: String,
}
catamaran_check::export!(Everything);

impl Check for Everything {
    fn probe(&self, request: &Request) -> Result<Verdict, Failure> {
        use log::Level::{Debug, Error, Info, Warn};
        for (level, text) in [(Debug, "debug"), (Info, "info"), (Warn, "warn"), (Error, "error")] {
            log::log(level, text);
        }
        let began = clock::elapsed();
        let endpoint = &request.endpoint;
        let answer = HttpRequest::get("/").header("x-word", &*self.word).send()?;
        let mut said = vec![
            format!("{} {} {}", endpoint.name, endpoint.address, endpoint.port),
            format!("name {:?}, tls {}", endpoint.server_name, endpoint.tls),
            format!("{} ms", request.timeout_ms),
            format!("HTTP {} {} {}", answer.status, answer.text(), answer.truncated),
            format!("echo {}", echo(&connect()?, &self.word)?),
        ];
        if endpoint.tls {
            let options = ConnectOptions {
                alpn: vec!["h2".into(), "echo".into()],
                defer_tls: true,
            };
            said.push(upgrade(&connect_with(&options)?, &self.word)?);
        }
        let sane = clock::elapsed() >= began && clock::now() > 1_700_000_000;
        said.push(format!("clock {sane}"));
        Ok(healthy(said.join("; ")))
    }
}

fn echo(stream: &Stream, word: &str) -> Result<String, Failure> {
    stream.write(word.as_bytes())?;
    stream.shutdown()?;
    let mut whole = Vec::new();
    loop {
        let bytes = stream.read(16)?;
        if bytes.is_empty() {
            return Ok(String::from_utf8_lossy(&whole).into_owned());
        }
        whole.extend(bytes);
    }
}

fn upgrade(stream: &Stream, word: &str) -> Result<String, Failure> {
    stream.write(b"STARTTLS\n")?;
    Reader::new(stream).line(16)?;
    let clear = stream.tls().is_none();
    stream.start_tls()?;
    let again = stream.start_tls().is_err();
    let session = stream
        .tls()
        .ok_or_else(|| Failure::Fault("no TLS session".into()))?;
    Ok(format!(
        "clear {clear}, {} {:?} {} expires {} DER {} verified {}, again {again}, echo {}",
        session.version,
        session.alpn,
        session.subject,
        session.expires_in_seconds > 0,
        session.certificate.first() == Some(&0x30),
        session.verified,
        echo(stream, word)?,
    ))
}
