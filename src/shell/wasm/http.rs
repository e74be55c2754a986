//! One HTTP/1.1 request on a connection of its own.

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING, USER_AGENT,
};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use super::bindings::catamaran::health::http::{Header, HttpRequest, Response};
use super::bindings::catamaran::health::types::Error;
use super::course::Course;
use super::failure;
use super::limits::{ANSWER_BODY, ANSWER_HEAD, HEADERS, REQUEST_BODY, REQUEST_HEAD};
use super::stream::Wire;

/// What we call ourselves when the plugin does not say.
const AGENT: &str = concat!("catamaran/", env!("CARGO_PKG_VERSION"));

/// Turn the plugin's request into one that goes to `host` and nowhere else.
pub fn request(asked: HttpRequest, host: &str) -> Result<Request<Full<Bytes>>, Error> {
    if !asked.path.starts_with('/') || asked.path.starts_with("//") {
        return Err(Error::Denied(format!(
            "the plugin asked for {:?}; a path begins with one /",
            asked.path
        )));
    }
    let header_bytes = |header: &Header| header.name.len() + header.value.len();
    if asked.body.len() > REQUEST_BODY
        || asked.headers.len() > HEADERS
        || asked.headers.iter().map(header_bytes).sum::<usize>() > REQUEST_HEAD
    {
        return Err(Error::TooLarge);
    }
    let wrong = |what: &str| Error::Protocol(format!("the plugin's request has a wrong {what}"));
    let uri: Uri = asked.path.parse().map_err(|_| wrong("path"))?;
    let method = Method::from_bytes(asked.method.as_bytes()).map_err(|_| wrong("method"))?;
    if method == Method::CONNECT {
        return Err(Error::Denied("the plugin asked for CONNECT".into()));
    }
    let mut request = Request::new(Full::new(Bytes::from(asked.body)));
    *request.uri_mut() = uri;
    *request.method_mut() = method;
    for Header { name, value } in asked.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("header name"))?;
        if [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name) {
            return Err(Error::Protocol(format!("the header {name} is the host's")));
        }
        request.headers_mut().append(
            name,
            HeaderValue::from_bytes(&value).map_err(|_| wrong("header value"))?,
        );
    }
    let headers = request.headers_mut();
    if !headers.contains_key(HOST) {
        headers.insert(
            HOST,
            HeaderValue::from_str(host).map_err(|_| wrong("server name"))?,
        );
    }
    complete(headers);
    Ok(request)
}

/// The headers that every request has.
pub fn complete(headers: &mut HeaderMap) {
    if !headers.contains_key(USER_AGENT) {
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    }
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
}

/// What sends on a connection, and what has to be driven for it.
pub async fn client<B>(wire: Wire) -> Result<(SendRequest<B>, Connection<TokioIo<Wire>, B>), Error>
where
    B: Body + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut builder = http1::Builder::new();
    builder.max_buf_size(ANSWER_HEAD).max_headers(HEADERS);
    let client = builder.handshake(TokioIo::new(wire)).await;
    client.map_err(|error| failure::of_http(&error))
}

/// Send the request and read the answer, its body up to `max_body` bytes.
pub async fn exchange(
    wire: Wire,
    request: Request<Full<Bytes>>,
    max_body: u32,
    course: &Course,
) -> Result<Response, Error> {
    course.doing("waiting for the HTTP answer");
    let (mut sender, connection) = client(wire).await?;
    // Ends with this function, whichever way that ends.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let answer = sender
        .send_request(request)
        .await
        .map_err(|error| failure::of_http(&error))?;
    course.doing("reading the HTTP answer");
    let (head, body) = answer.into_parts();
    let (body, truncated) = read(
        body,
        usize::try_from(max_body).unwrap_or(ANSWER_BODY).min(ANSWER_BODY),
    )
    .await?;
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| Header {
            name: name.to_string(),
            value: value.as_bytes().to_vec(),
        })
        .collect();
    Ok(Response {
        status: head.status.as_u16(),
        headers,
        body,
        truncated,
    })
}

async fn read(mut body: Incoming, most: usize) -> Result<(Vec<u8>, bool), Error> {
    let mut kept = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| failure::of_http(&error))?;
        let Ok(bytes) = frame.into_data() else { continue };
        let room = most - kept.len();
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() > room {
            return Ok((kept, true));
        }
    }
    Ok((kept, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(path: &str) -> HttpRequest {
        HttpRequest {
            method: "GET".into(),
            path: path.into(),
            headers: Vec::new(),
            body: Vec::new(),
            max_body: 10,
        }
    }

    #[test]
    fn another_authority_is_denied_however_it_is_written() {
        for path in ["http://10.0.0.9/", "//10.0.0.9/", "*", "", "10.0.0.9:80"] {
            assert!(
                matches!(request(asked(path), "here"), Err(Error::Denied(_))),
                "{path}"
            );
        }
    }

    #[test]
    fn header_with_a_line_break_is_refused() {
        let header = Header {
            name: "x".into(),
            value: b"a\r\nhost: elsewhere".to_vec(),
        };
        let request = request(
            HttpRequest {
                headers: vec![header],
                ..asked("/")
            },
            "here",
        );
        assert!(matches!(request, Err(Error::Protocol(_))));
    }

    #[test]
    fn host_is_filled_in_unless_the_plugin_names_one() {
        assert_eq!(
            request(asked("/"), "here:6443").unwrap().headers()["host"],
            "here:6443"
        );
        let header = Header {
            name: "Host".into(),
            value: b"there".to_vec(),
        };
        let named = request(
            HttpRequest {
                headers: vec![header],
                ..asked("/")
            },
            "here",
        )
        .unwrap();
        assert_eq!(named.headers()["host"], "there");
    }
}
