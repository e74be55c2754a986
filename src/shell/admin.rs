//! The admin socket: operators' questions and wishes, as HTTP/1.1 over a UNIX
//! socket of this machine.
//!
//! | request | answer |
//! |---|---|
//! | `GET /status` | what is going on, JSON |
//! | `POST /yield?for=SECONDS` | the same, once the addresses are somebody else's or stay |
//! | `DELETE /yield` | the same |
//!
//! Whoever may write to the socket's file may ask; that is its owner. Whoever
//! answers is the caller's business.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};

/// How long somebody who has connected may take to ask.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pause when the kernel has no descriptor for one more connection.
const WHEN_EXHAUSTED: Duration = Duration::from_millis(100);

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// What is going on.
    Status,
    /// Hand the virtual addresses over, and rank last for so long.
    Yield(Duration),
    /// Rank as before.
    TakeBack,
}

/// Gives the answer: JSON, or why there is none.
pub type Answer =
    Arc<dyn Fn(Question) -> Pin<Box<dyn Future<Output = Result<String, String>> + Send>> + Send + Sync>;

/// The listening socket. Dropping it removes its file.
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl AdminSocket {
    /// Listen at `path`, for the file's owner alone. A file that a former life
    /// left is replaced; the folder is made where it is missing.
    ///
    /// # Errors
    /// `AddrInUse` when somebody answers there already. The message has the path.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let wrong = |error: io::Error| {
            let shown = path.display();
            io::Error::new(error.kind(), format!("cannot listen at {shown}: {error}"))
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(wrong)?;
        }
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_left_over(path) => {
                fs::remove_file(path).map_err(wrong)?;
                UnixListener::bind(path).map_err(wrong)?
            }
            bound => bound.map_err(wrong)?,
        };
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(wrong)?;
        Ok(Self {
            listener,
            path: path.into(),
        })
    }

    /// Answer for as long as it is polled.
    pub async fn serve(self, answer: Answer) {
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                tokio::time::sleep(WHEN_EXHAUSTED).await;
                continue;
            };
            let answer = answer.clone();
            tokio::spawn(async move {
                let service = service_fn(|request| respond(request, &answer));
                let served = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(PATIENCE)
                    .keep_alive(false)
                    .serve_connection(TokioIo::new(stream), service);
                // Whoever asked may have gone.
                let _ = served.await;
            });
        }
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // Somebody may have removed it already.
        let _ = fs::remove_file(&self.path);
    }
}

/// A socket's file at which nobody listens any more.
fn is_left_over(path: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(path)
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

async fn respond(request: Request<Incoming>, answer: &Answer) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (status, body) = match question(request.method(), request.uri()) {
        Ok(question) => match answer(question).await {
            Ok(body) => (StatusCode::OK, body),
            Err(why) => (StatusCode::CONFLICT, why),
        },
        Err((status, why)) => (status, why.to_string()),
    };
    let kind = if status == StatusCode::OK {
        "application/json"
    } else {
        "text/plain"
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    Ok(response)
}

fn question(method: &Method, uri: &hyper::Uri) -> Result<Question, (StatusCode, &'static str)> {
    match (method, uri.path()) {
        (&Method::GET, "/status") => Ok(Question::Status),
        (&Method::DELETE, "/yield") => Ok(Question::TakeBack),
        (&Method::POST, "/yield") => uri
            .query()
            .and_then(|query| query.strip_prefix("for="))
            .and_then(|seconds| seconds.parse().ok())
            .map(|seconds| Question::Yield(Duration::from_secs(seconds)))
            .ok_or((
                StatusCode::BAD_REQUEST,
                "say for how long: POST /yield?for=SECONDS",
            )),
        (_, "/status" | "/yield") => Err((
            StatusCode::METHOD_NOT_ALLOWED,
            "GET /status, POST /yield?for=SECONDS, DELETE /yield",
        )),
        _ => Err((StatusCode::NOT_FOUND, "there are /status and /yield")),
    }
}

/// Ask a daemon that listens at `path`.
///
/// # Errors
/// One sentence: nobody is there, or the daemon's own words.
pub async fn ask(path: &Path, question: Question) -> Result<String, String> {
    let shown = path.display();
    let stream = UnixStream::connect(path)
        .await
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                format!("no daemon listens at {shown} ({error}); is it running, with this --admin?")
            }
            io::ErrorKind::PermissionDenied => {
                format!("{shown} is for the daemon's own user: {error}")
            }
            _ => format!("cannot connect to {shown}: {error}"),
        })?;
    let gone = |error: hyper::Error| format!("the daemon at {shown} did not answer: {error}");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(gone)?;
    tokio::spawn(connection);
    let (method, target) = match question {
        Question::Status => (Method::GET, "/status".to_string()),
        Question::Yield(time) => (Method::POST, format!("/yield?for={}", time.as_secs())),
        Question::TakeBack => (Method::DELETE, "/yield".to_string()),
    };
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header(HOST, "localhost")
        .body(Full::<Bytes>::default())
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(gone)?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(gone)?.to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    if status == StatusCode::OK {
        Ok(text)
    } else {
        Err(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: Method, target: &str) -> Result<Question, u16> {
        question(&method, &target.parse().unwrap()).map_err(|(status, _)| status.as_u16())
    }

    #[test]
    fn questions_are_what_the_table_says() {
        assert_eq!(asked(Method::GET, "/status"), Ok(Question::Status));
        assert_eq!(
            asked(Method::POST, "/yield?for=600"),
            Ok(Question::Yield(Duration::from_secs(600)))
        );
        assert_eq!(asked(Method::DELETE, "/yield"), Ok(Question::TakeBack));
        assert_eq!(asked(Method::POST, "/yield"), Err(400));
        assert_eq!(asked(Method::POST, "/yield?for=soon"), Err(400));
        assert_eq!(asked(Method::POST, "/status"), Err(405));
        assert_eq!(asked(Method::GET, "/"), Err(404));
    }

    #[tokio::test]
    async fn file_that_a_killed_daemon_left_is_replaced_and_a_living_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/admin.sock");
        fs::create_dir(path.parent().unwrap()).unwrap();
        // Its end is not told to the file.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let socket = AdminSocket::bind(&path).unwrap();
        let again = AdminSocket::bind(&path).map(drop).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn answer_and_refusal_reach_whoever_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let answer: Answer = Arc::new(|question| {
            Box::pin(async move {
                match question {
                    Question::Status => Ok("{}".into()),
                    Question::Yield(_) | Question::TakeBack => Err("no".into()),
                }
            })
        });
        let serving = tokio::spawn(AdminSocket::bind(&path).unwrap().serve(answer));
        assert_eq!(ask(&path, Question::Status).await, Ok("{}".into()));
        assert_eq!(ask(&path, Question::TakeBack).await, Err("no".into()));
        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
        let nobody = ask(&path, Question::Status).await.unwrap_err();
        assert!(nobody.contains("no daemon listens"), "{nobody}");
    }
}
