//! The admin socket: operators' questions and wishes, as HTTP/1.1 over a UNIX
//! socket of this machine.
//!
//! | request | answer |
//! |---|---|
//! | `GET /status` | what is going on, JSON |
//! | `POST /yield?for=SECONDS` | the same, once the addresses are somebody else's or stay |
//! | `DELETE /yield` | the same |
//! | `POST /reload` | what changed, once the document is read again and applied |
//!
//! Whoever may write to the socket's file may ask; that is its owner. A socket
//! with an abstract name (unix(7)) has no file and so no owner: there, the
//! kernel says who asks, and only root and the daemon's own user get an answer.
//! Whoever answers is the caller's business.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
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
use nix::unistd::geteuid;
use tokio::net::{UnixListener, UnixStream};

/// How long somebody who has connected may take to ask.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pause when the kernel has no descriptor for one more connection.
const WHEN_EXHAUSTED: Duration = Duration::from_millis(100);

/// Longest abstract name in bytes: unix(7) has 108, the first of which says
/// that there is no file.
const LONGEST_NAME: usize = 107;

/// Where daemon and operators meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A socket's file.
    Path(PathBuf),
    /// An abstract name: no file, and gone with whoever listens. It is known in
    /// one network namespace, to everybody there.
    Abstract(String),
}

impl Place {
    /// `@NAME` is an abstract name, everything else a path.
    ///
    /// # Errors
    /// When that cannot be a name.
    pub fn parse(text: &OsStr) -> Result<Self, String> {
        let Some(name) = text.as_bytes().strip_prefix(b"@") else {
            return Ok(Self::Path(text.into()));
        };
        let name = std::str::from_utf8(name).ok();
        let fits = |name: &&str| (1..=LONGEST_NAME).contains(&name.len()) && !name.contains(char::is_control);
        name.filter(fits).map(|name| Self::Abstract(name.into())).ok_or_else(|| {
            format!("a name after @ has 1 to {LONGEST_NAME} bytes, none of them a control character; ./@NAME is a file")
        })
    }

    /// As tokio takes it: a leading NUL stands for "no file".
    fn address(&self) -> Cow<'_, Path> {
        match self {
            Self::Path(path) => Cow::Borrowed(path),
            Self::Abstract(name) => Cow::Owned(OsString::from(format!("\0{name}")).into()),
        }
    }
}

/// As it is written on the command line.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// What is going on.
    Status,
    /// Hand the virtual addresses over, and rank last for so long.
    Yield(Duration),
    /// Rank as before.
    TakeBack,
    /// Read the document again, and run by it.
    Reload,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It cannot be done, for this reason.
    Failed(String),
    /// The document is wrong; JSON that says how.
    Wrong(String),
}

impl From<&str> for Refusal {
    fn from(why: &str) -> Self {
        Self::Failed(why.into())
    }
}

impl From<String> for Refusal {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(why) | Self::Wrong(why) => f.write_str(why),
        }
    }
}

/// Gives the answer: JSON, or why there is none.
pub type Answer =
    Arc<dyn Fn(Question) -> Pin<Box<dyn Future<Output = Result<String, Refusal>> + Send>> + Send + Sync>;

/// The listening socket. Dropping it removes its file.
pub struct AdminSocket {
    listener: UnixListener,
    place: Place,
}

impl AdminSocket {
    /// Listen at `place`: at a path for the file's owner alone. A file that a
    /// former life left is replaced; the folder is made where it is missing.
    ///
    /// # Errors
    /// `AddrInUse` when somebody answers there already. The message has the place.
    pub fn bind(place: &Place) -> io::Result<Self> {
        let bound = match place {
            Place::Path(path) => bind_file(path),
            Place::Abstract(_) => UnixListener::bind(place.address()),
        };
        let listener = bound.map_err(|error| {
            let way_out = match (place, error.kind()) {
                (Place::Path(_), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied) => {
                    "; --admin @catamaran needs no file"
                }
                _ => "",
            };
            io::Error::new(
                error.kind(),
                format!("cannot listen at {place}: {error}{way_out}"),
            )
        })?;
        Ok(Self {
            listener,
            place: place.clone(),
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
            let allowed = match self.place {
                Place::Path(_) => true,
                Place::Abstract(_) => is_trusted(&stream),
            };
            tokio::spawn(async move {
                let service = service_fn(|request| respond(request, &answer, allowed));
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
        if let Place::Path(path) = &self.place {
            // Somebody may have removed it already.
            let _ = fs::remove_file(path);
        }
    }
}

fn bind_file(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_left_over(path) => {
            fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// A socket's file at which nobody listens any more.
fn is_left_over(path: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(path)
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Whether root or this process's own user has connected, by what the kernel
/// noted then (`SO_PEERCRED`).
fn is_trusted(stream: &UnixStream) -> bool {
    stream
        .peer_cred()
        .is_ok_and(|peer| may_ask(peer.uid(), geteuid().as_raw()))
}

fn may_ask(uid: u32, own: u32) -> bool {
    uid == 0 || uid == own
}

async fn respond(
    request: Request<Incoming>,
    answer: &Answer,
    allowed: bool,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (status, body) = match question(request.method(), request.uri()) {
        _ if !allowed => (
            StatusCode::FORBIDDEN,
            "only root and the daemon's own user may ask".to_string(),
        ),
        Ok(question) => match answer(question).await {
            Ok(body) => (StatusCode::OK, body),
            Err(Refusal::Failed(why)) => (StatusCode::CONFLICT, why),
            Err(Refusal::Wrong(why)) => (StatusCode::UNPROCESSABLE_ENTITY, why),
        },
        Err((status, why)) => (status, why.to_string()),
    };
    let kind = if matches!(status, StatusCode::OK | StatusCode::UNPROCESSABLE_ENTITY) {
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
        (&Method::POST, "/reload") => Ok(Question::Reload),
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
        (_, "/status" | "/yield" | "/reload") => Err((
            StatusCode::METHOD_NOT_ALLOWED,
            "GET /status, POST /yield?for=SECONDS, DELETE /yield, POST /reload",
        )),
        _ => Err((StatusCode::NOT_FOUND, "there are /status, /yield and /reload")),
    }
}

/// Ask a daemon that listens at `place`.
///
/// # Errors
/// One sentence: nobody is there, or the daemon's own words.
pub async fn ask(place: &Place, question: Question) -> Result<String, Refusal> {
    let stream = UnixStream::connect(place.address())
        .await
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                format!("no daemon listens at {place} ({error}); is it running, with this --admin?")
            }
            io::ErrorKind::PermissionDenied => {
                format!("{place} is for the daemon's own user: {error}")
            }
            _ => format!("cannot connect to {place}: {error}"),
        })?;
    let gone = |error: hyper::Error| format!("the daemon at {place} did not answer: {error}");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(gone)?;
    tokio::spawn(connection);
    let (method, target) = match question {
        Question::Status => (Method::GET, "/status".to_string()),
        Question::Yield(time) => (Method::POST, format!("/yield?for={}", time.as_secs())),
        Question::TakeBack => (Method::DELETE, "/yield".to_string()),
        Question::Reload => (Method::POST, "/reload".to_string()),
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
    match status {
        StatusCode::OK => Ok(text),
        StatusCode::UNPROCESSABLE_ENTITY => Err(Refusal::Wrong(text)),
        _ => Err(Refusal::Failed(text)),
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
        assert_eq!(asked(Method::POST, "/reload"), Ok(Question::Reload));
        assert_eq!(asked(Method::GET, "/reload"), Err(405));
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
        let place = Place::Path(path.clone());
        let socket = AdminSocket::bind(&place).unwrap();
        let again = AdminSocket::bind(&place).map(drop).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn answer_and_refusal_reach_whoever_asked() {
        let folder = tempfile::tempdir().unwrap();
        // Abstract names are everybody's here.
        let name = format!("catamaran-test-{}", std::process::id());
        for place in [
            Place::Path(folder.path().join("admin.sock")),
            Place::Abstract(name),
        ] {
            answers_and_refuses(&place).await;
        }
    }

    async fn answers_and_refuses(place: &Place) {
        let answer: Answer = Arc::new(|question| {
            Box::pin(async move {
                match question {
                    Question::Status => Ok("{}".into()),
                    Question::Yield(_) | Question::TakeBack => Err("no".into()),
                    Question::Reload => Err(Refusal::Wrong("{}".into())),
                }
            })
        });
        let serving = tokio::spawn(AdminSocket::bind(place).unwrap().serve(answer));
        assert_eq!(ask(place, Question::Status).await, Ok("{}".into()));
        assert_eq!(ask(place, Question::TakeBack).await, Err("no".into()));
        assert_eq!(
            ask(place, Question::Reload).await,
            Err(Refusal::Wrong("{}".into()))
        );
        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
        let nobody = ask(place, Question::Status).await.unwrap_err();
        let nobody = nobody.to_string();
        assert!(nobody.contains("no daemon listens"), "{nobody}");
    }

    #[test]
    fn at_sign_makes_an_abstract_name() {
        let place = |text: &str| Place::parse(OsStr::new(text));
        assert_eq!(place("@catamaran"), Ok(Place::Abstract("catamaran".into())));
        assert_eq!(place("./@x"), Ok(Place::Path("./@x".into())));
        assert_eq!(place("@catamaran").unwrap().to_string(), "@catamaran");
        assert!(place(&format!("@{}", "n".repeat(LONGEST_NAME))).is_ok());
        for wrong in ["@", "@a\nb", &format!("@{}", "n".repeat(LONGEST_NAME + 1))] {
            assert!(place(wrong).unwrap_err().contains("1 to 107 bytes"), "{wrong}");
        }
    }

    #[test]
    fn root_and_the_own_user_may_ask() {
        assert!(may_ask(0, 10_001) && may_ask(10_001, 10_001) && may_ask(0, 0));
        assert!(!may_ask(10_002, 10_001) && !may_ask(10_001, 0));
    }
}
