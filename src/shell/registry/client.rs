//! One repository of a registry: push and pull.

use std::io::Write;
use std::path::Path;

use hyper::body::Bytes;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE,
};
use hyper::{Method, StatusCode};
use oci_spec::image::{Digest, MediaType};
use serde_json::Value;

use super::auth::{AuthFiles, Search, authorization};
use super::transport::{Answer, Content, Open, Transport};
use crate::pure::digest::{Hasher, sha256};
use crate::pure::registry::challenge::{Challenge, challenges};
use crate::pure::registry::reference::Reference;
use crate::pure::registry::url::{Origin, Url};
use crate::pure::registry::{referrers, refusal};

/// Registries refuse larger manifests.
const LARGEST_MANIFEST: usize = 4 << 20;

/// What is read of an error.
const LARGEST_ERROR: usize = 64 << 10;

/// As browsers have it, more or less.
const REDIRECTS: usize = 5;

/// What goes into one request where a whole blob is too much.
const CHUNK: u64 = 16 << 20;

/// The kinds of manifests that are understood here.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// A repository.
pub struct Repository {
    transport: Transport,
    origin: Origin,
    /// The registry's name, as logins are stored under it.
    registry: String,
    /// The repository's name in it.
    name: String,
    plain_http: bool,
    files: AuthFiles,
    /// Made when the registry first wants one.
    search: Option<Search>,
    /// Goes to `origin` and nowhere else.
    authorization: Option<HeaderValue>,
}

/// A manifest from a registry, verified.
#[derive(Debug, PartialEq, Eq)]
pub struct Pulled {
    /// What it says that it is.
    pub media_type: String,
    /// Of `bytes`.
    pub digest: Digest,
    /// As they came.
    pub bytes: Vec<u8>,
}

struct Ask<'a> {
    method: Method,
    url: Url,
    headers: HeaderMap,
    content: Content<'a>,
}

impl Ask<'_> {
    fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            content: Content::Bytes(Bytes::new()),
        }
    }
}

impl Repository {
    /// The repository of an image. Nothing is sent yet.
    ///
    /// `plain_http` speaks HTTP without TLS, with this host and with those that
    /// it sends us to; `ca` is trusted beside the system's authorities.
    ///
    /// # Errors
    /// One sentence.
    pub fn new(
        reference: &Reference,
        plain_http: bool,
        ca: Option<&Path>,
        files: AuthFiles,
    ) -> Result<Self, String> {
        Ok(Self {
            transport: Transport::new(ca)?,
            origin: reference.origin(plain_http)?,
            registry: reference.registry.clone(),
            name: reference.repository.clone(),
            plain_http,
            files,
            search: None,
            authorization: None,
        })
    }

    /// Whether a blob is there.
    ///
    /// # Errors
    /// One sentence, with the registry's own words.
    pub async fn has_blob(&mut self, digest: &Digest) -> Result<bool, String> {
        let ask = Ask::new(Method::HEAD, self.url(&format!("blobs/{digest}")));
        let answer = self.send(&ask).await?;
        match answer.status {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self
                .refused(&format!("does not say whether it has {digest}"), answer)
                .await),
        }
    }

    /// Push a blob in one request, or in several where the registry refuses one
    /// so large. `open` gives it from its beginning.
    ///
    /// # Errors
    /// One sentence, with the registry's own words.
    pub async fn push_blob(&mut self, digest: &Digest, size: u64, open: Open<'_>) -> Result<(), String> {
        let (url, _) = self.start_upload(digest).await?;
        let mut ask = Ask::new(Method::PUT, url.with("digest", digest.as_ref()));
        ask.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        ask.content = Content::Blob { open, skip: 0, size };
        let answer = self.send(&ask).await?;
        match answer.status {
            StatusCode::CREATED => Ok(()),
            StatusCode::PAYLOAD_TOO_LARGE => self.push_in_chunks(digest, size, open).await,
            _ => Err(self
                .refused(&format!("does not take the blob {digest}"), answer)
                .await),
        }
    }

    async fn push_in_chunks(&mut self, digest: &Digest, size: u64, open: Open<'_>) -> Result<(), String> {
        let (mut url, least) = self.start_upload(digest).await?;
        let refusal = format!("does not take the blob {digest} in pieces");
        let mut skip = 0;
        while skip < size {
            let chunk = CHUNK.max(least).min(size - skip);
            let mut ask = Ask::new(Method::PATCH, url);
            ask.headers
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            ask.headers
                .insert(CONTENT_RANGE, text(&format!("{skip}-{}", skip + chunk - 1))?);
            ask.content = Content::Blob {
                open,
                skip,
                size: chunk,
            };
            let answer = self.send(&ask).await?;
            if answer.status != StatusCode::ACCEPTED {
                return Err(self.refused(&refusal, answer).await);
            }
            url = self.location(&ask.url, &answer)?;
            skip += chunk;
        }
        let ask = Ask::new(Method::PUT, url.with("digest", digest.as_ref()));
        let answer = self.send(&ask).await?;
        match answer.status {
            StatusCode::CREATED => Ok(()),
            _ => Err(self.refused(&refusal, answer).await),
        }
    }

    /// Where to put a blob, and the least size of a piece.
    async fn start_upload(&mut self, digest: &Digest) -> Result<(Url, u64), String> {
        let ask = Ask::new(Method::POST, self.url("blobs/uploads/"));
        let answer = self.send(&ask).await?;
        if answer.status != StatusCode::ACCEPTED {
            return Err(self
                .refused(&format!("does not let {digest} be pushed"), answer)
                .await);
        }
        let least = answer
            .header("oci-chunk-min-length")
            .and_then(|least| least.parse().ok());
        Ok((self.location(&ask.url, &answer)?, least.unwrap_or(0)))
    }

    /// Push a manifest under a tag or its digest, after all that it lists.
    /// `true` says that the registry keeps track of what the manifest refers
    /// to; else that is for [`Repository::list_referrer`].
    ///
    /// # Errors
    /// One sentence, with the registry's own words.
    pub async fn push_manifest(
        &mut self,
        tag_or_digest: &str,
        media_type: &MediaType,
        bytes: &[u8],
    ) -> Result<bool, String> {
        let mut ask = Ask::new(Method::PUT, self.url(&format!("manifests/{tag_or_digest}")));
        ask.headers.insert(CONTENT_TYPE, text(media_type.as_ref())?);
        ask.content = Content::Bytes(Bytes::copy_from_slice(bytes));
        let answer = self.send(&ask).await?;
        if answer.status != StatusCode::CREATED {
            return Err(self
                .refused(&format!("does not take the manifest {tag_or_digest}"), answer)
                .await);
        }
        let stored = answer
            .header("docker-content-digest")
            .and_then(|digest| digest.parse::<Digest>().ok());
        if let Some(stored) =
            stored.filter(|stored| digest_like(stored, bytes).as_deref() != Ok(stored.as_ref()))
        {
            let registry = &self.registry;
            return Err(format!(
                "{registry} has changed the manifest {tag_or_digest}: it stores {stored}"
            ));
        }
        Ok(answer.headers.contains_key("oci-subject"))
    }

    /// Add a referrer to the list under the tag made from its subject's digest,
    /// for registries that keep none ("referrers tag schema"). Of two clients
    /// that do so at the same moment, one may lose its entry: the scheme has no lock.
    ///
    /// # Errors
    /// One sentence, with the registry's own words.
    pub async fn list_referrer(&mut self, subject: &Digest, descriptor: Value) -> Result<(), String> {
        let tag = referrers::fallback_tag(subject);
        let list = self.manifest(&tag).await?;
        let list = referrers::with(list.as_ref().map(|list| &list.bytes[..]), descriptor).map_err(|why| {
            format!(
                "{}/{}:{tag} does not list referrers: {why}",
                self.registry, self.name
            )
        })?;
        if let Some(list) = list {
            self.push_manifest(&tag, &MediaType::ImageIndex, &list).await?;
        }
        Ok(())
    }

    /// A manifest by tag or digest; `None` when there is none.
    ///
    /// # Errors
    /// One sentence, with the registry's own words; also when what comes is not
    /// what the digest says.
    pub async fn manifest(&mut self, tag_or_digest: &str) -> Result<Option<Pulled>, String> {
        let mut ask = Ask::new(Method::GET, self.url(&format!("manifests/{tag_or_digest}")));
        ask.headers.insert(ACCEPT, HeaderValue::from_static(MANIFESTS));
        let mut answer = self.send(&ask).await?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            _ => {
                return Err(self
                    .refused(&format!("does not give the manifest {tag_or_digest}"), answer)
                    .await);
            }
        }
        let wrong = |why: String| format!("{}/{}, manifest {tag_or_digest}: {why}", self.registry, self.name);
        let bytes = answer.whole(LARGEST_MANIFEST).await.map_err(wrong)?;
        let asked = tag_or_digest.parse::<Digest>().ok();
        let promised = asked.or_else(|| answer.header("docker-content-digest")?.parse().ok());
        let digest = match promised {
            Some(promised) => {
                let found = digest_like(&promised, &bytes).map_err(wrong)?;
                if found != promised.as_ref() {
                    return Err(wrong(format!("its digest is {found}, not {promised}")));
                }
                promised
            }
            None => sha256(&bytes),
        };
        Ok(Some(Pulled {
            media_type: answer.header("content-type").unwrap_or_default().to_string(),
            digest,
            bytes,
        }))
    }

    /// Write a blob to `into`. What has been written is the blob only if this
    /// says so, since the digest is known at the end.
    ///
    /// # Errors
    /// One sentence, with the registry's own words; also when what comes has
    /// another size or digest.
    pub async fn blob(&mut self, digest: &Digest, size: u64, into: &mut dyn Write) -> Result<(), String> {
        let wrong = |why: String| format!("blob {digest}: {why}");
        let mut hasher = Hasher::like(digest).map_err(wrong)?;
        let ask = Ask::new(Method::GET, self.url(&format!("blobs/{digest}")));
        let mut answer = self.send(&ask).await?;
        if answer.status != StatusCode::OK {
            return Err(self
                .refused(&format!("does not give the blob {digest}"), answer)
                .await);
        }
        let mut left = size;
        while let Some(piece) = answer.piece().await.map_err(wrong)? {
            left = left
                .checked_sub(piece.len() as u64)
                .ok_or_else(|| wrong(format!("it is larger than {size} bytes")))?;
            hasher.update(&piece);
            into.write_all(&piece)
                .map_err(|error| wrong(format!("cannot write it: {error}")))?;
        }
        let found = hasher.finish();
        if left > 0 {
            Err(wrong(format!("it has {} of {size} bytes", size - left)))
        } else if found != digest.as_ref() {
            Err(wrong(format!("its digest is {found}")))
        } else {
            Ok(())
        }
    }

    /// Registry and name.
    pub(super) fn shown(&self) -> String {
        format!("{}/{}", self.registry, self.name)
    }

    fn url(&self, path: &str) -> Url {
        Url {
            origin: self.origin.clone(),
            target: format!("/v2/{}/{path}", self.name),
        }
    }

    /// Send, log in once if that is wanted, and go where the answer says.
    async fn send(&mut self, ask: &Ask<'_>) -> Result<Answer, String> {
        let mut url = ask.url.clone();
        let mut logged_in = false;
        let mut redirects = 0;
        loop {
            let at_home = url.origin == self.origin;
            let mut headers = ask.headers.clone();
            if let Some(authorization) = self.authorization.as_ref().filter(|_| at_home) {
                headers.insert(AUTHORIZATION, authorization.clone());
            }
            let answer = self
                .transport
                .exchange(&ask.method, &url, &headers, &ask.content)
                .await?;
            if answer.status == StatusCode::UNAUTHORIZED && at_home && !logged_in {
                logged_in = true;
                if self.log_in(&answer).await? {
                    continue;
                }
            }
            if !is_redirect(&ask.method, answer.status) {
                return Ok(answer);
            }
            redirects += 1;
            if redirects > REDIRECTS {
                return Err(format!("{} leads in circles: {url}", self.registry));
            }
            url = self.location(&url, &answer)?;
        }
    }

    /// Whether there is something new to be sent as authorization.
    async fn log_in(&mut self, answer: &Answer) -> Result<bool, String> {
        let headers = answer.headers.get_all(WWW_AUTHENTICATE);
        let challenges: Vec<_> = headers
            .iter()
            .filter_map(|header| header.to_str().ok())
            .flat_map(challenges)
            .collect();
        let Some(challenge) = Challenge::best(&challenges) else {
            return Ok(false);
        };
        let search = match self.search.take() {
            Some(search) => search,
            None => self.files.find(&self.registry, &self.name)?,
        };
        let search = self.search.insert(search);
        let authorization = authorization(&self.transport, challenge, search.login.as_ref(), self.plain_http)
            .await
            .map_err(|why| format!("{why} ({})", search.told))?;
        let is_new = authorization.is_some() && authorization != self.authorization;
        if is_new {
            self.authorization = authorization;
        }
        Ok(is_new)
    }

    /// Where an answer sends us.
    fn location(&self, from: &Url, answer: &Answer) -> Result<Url, String> {
        let registry = &self.registry;
        let location = answer
            .header("location")
            .ok_or_else(|| format!("{registry} does not say where to go on: no Location from {from}"))?;
        let url = from
            .join(location)
            .map_err(|why| format!("{registry} leads to a wrong address: {why}"))?;
        if !url.origin.tls && !self.plain_http {
            return Err(format!(
                "{registry} leads to {url}, without TLS; nothing is sent there"
            ));
        }
        Ok(url)
    }

    /// What the registry refuses, in its own words.
    async fn refused(&self, what: &str, mut answer: Answer) -> String {
        let body = answer.whole(LARGEST_ERROR).await.unwrap_or_default();
        let mut said = format!("{} {what}: {}", self.registry, answer.status);
        let words = refusal::words(&body);
        if !words.is_empty() {
            said = format!("{said}, {words}");
        }
        match &self.search {
            Some(search) if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&answer.status) => {
                format!("{said} ({})", search.told)
            }
            _ => said,
        }
    }
}

/// Others than 307 and 308 may turn what is sent into a GET (RFC 9110 §15.4).
fn is_redirect(method: &Method, status: StatusCode) -> bool {
    let reads = [Method::GET, Method::HEAD].contains(method);
    match status.as_u16() {
        307 | 308 => true,
        301..=303 => reads,
        _ => false,
    }
}

/// The digest of bytes by the algorithm of another digest.
fn digest_like(digest: &Digest, bytes: &[u8]) -> Result<String, String> {
    let mut hasher = Hasher::like(digest)?;
    hasher.update(bytes);
    Ok(hasher.finish())
}

fn text(value: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(value).map_err(|_| format!("{value:?} cannot stand in a header"))
}
