//! Images into registries and out of them: Debian's docker-registry, looked at
//! with skopeo, and scripted ones for what it does not do.

#[path = "support/caller.rs"]
mod caller;
#[path = "support/docker_registry.rs"]
mod docker_registry;
#[path = "support/enclosed.rs"]
mod enclosed;
#[path = "support/fake_registry.rs"]
mod fake_registry;
#[path = "support/installed.rs"]
mod installed;
#[path = "support/layout.rs"]
mod layout;

use std::fs;
use std::path::Path;
use std::process::Command;

use caller::{Told, catamaran, told};
use catamaran::commands::lab::certificates::Authority;
use catamaran::shell::registry::auth::AuthFiles;
use catamaran::shell::registry::client::Repository;
use docker_registry::{DockerRegistry, HTPASSWD, RIGHT, in_folder};
use enclosed::{enclosed, settle};
use fake_registry::{Asked, FakeRegistry, Reply};
use installed::installed;
use layout::{INDEX, Layout, MANIFEST, digest, digest_of};
use serde_json::{Value, json};
use tempfile::TempDir;

/// In base64: `alice:guess`.
const WRONG: &str = "YWxpY2U6Z3Vlc3M=";

/// `image push` by somebody whose home is `home`.
fn pushing(home: &Path, arguments: &[&str]) -> Command {
    let mut command = catamaran(home);
    command.args(["image", "push"]).args(arguments);
    command
}

fn push(arguments: &[&str]) -> Told {
    told(pushing(&in_folder("home"), arguments).output().unwrap())
}

fn skopeo(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("skopeo")
        .arg("--insecure-policy")
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "skopeo {arguments:?}: {said}");
    output.stdout
}

/// A manifest as the registry has it.
fn raw(reference: &str) -> Vec<u8> {
    skopeo(&[
        "inspect",
        "--raw",
        "--tls-verify=false",
        &format!("docker://{reference}"),
    ])
}

/// The layout of [`Layout::founding`], and how it is written.
fn founding() -> (Layout, Value, String) {
    let (layout, index) = Layout::founding(&in_folder("layout"));
    let source = format!("oci:{}", layout.folder.display());
    (layout, index, source)
}

fn authfile(name: &str, key: &str, auth: &str) -> String {
    let path = in_folder(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, json!({"auths": {key: {"auth": auth}}}).to_string()).unwrap();
    path.display().to_string()
}

#[test]
fn pushed_image_is_what_skopeo_gets_back() {
    if !installed(&["docker-registry", "skopeo"]) {
        return;
    }
    enclosed(async |mut world| {
        settle(&mut world);
        let registry = DockerRegistry::start("registry", "", "");
        let name = format!("{}/catamaran/lb", registry.address);
        let (layout, index, source) = founding();
        let (code, out, err) = push(&[&source, &format!("{name}:1.0"), "--plain-http"]);
        assert_eq!(code, Some(0), "{out}{err}");
        // Two configurations, two layers, an empty configuration, an SBOM.
        let report = format!("{}, 6 blobs (6 sent), 1 referrer", digest_of(&index));
        assert!(out.contains(&report), "{out}");
        assert_eq!(raw(&format!("{name}:1.0")), layout.bytes(&index));
        for image in layout.parsed(&index)["manifests"].as_array().unwrap() {
            assert_eq!(raw(&format!("{name}@{}", digest_of(image))), layout.bytes(image));
        }
        let back = in_folder("back");
        let target = format!("oci:{}:x", back.display());
        skopeo(&[
            "copy",
            "--all",
            "--src-tls-verify=false",
            &format!("docker://{name}:1.0"),
            &target,
        ]);
        for blob in fs::read_dir(back.join("blobs/sha256")).unwrap() {
            let blob = blob.unwrap();
            let ours = layout.folder.join("blobs/sha256").join(blob.file_name());
            assert_eq!(fs::read(ours).unwrap(), fs::read(blob.path()).unwrap());
        }
    });
}

#[test]
fn registry_without_referrers_gets_a_list_of_them_once() {
    if !installed(&["docker-registry", "skopeo"]) {
        return;
    }
    enclosed(async |mut world| {
        settle(&mut world);
        let registry = DockerRegistry::start("registry", "", "");
        let name = format!("{}/lb", registry.address);
        let (_, index, source) = founding();
        let tag = digest_of(&index).replace(':', "-");
        let mut lists = Vec::new();
        for blobs_sent in [6, 0] {
            let (code, out, err) = push(&[&source, &format!("{name}:1.0"), "--plain-http", "--json"]);
            assert_eq!(code, Some(0), "{out}{err}");
            let report: Value = serde_json::from_str(&out).unwrap();
            assert_eq!(
                (&report["blobs"], &report["blobs-sent"]),
                (&json!(6), &json!(blobs_sent))
            );
            lists.push(raw(&format!("{name}:{tag}")));
        }
        assert_eq!(lists[0], lists[1]);
        let list: Value = serde_json::from_slice(&lists[0]).unwrap();
        assert_eq!(list["mediaType"], INDEX);
        let [sbom] = &list["manifests"].as_array().unwrap()[..] else {
            panic!("{list}");
        };
        assert_eq!(sbom["artifactType"], "application/spdx+json");
        assert_eq!(
            sbom["annotations"],
            json!({"org.opencontainers.image.title": "the SBOM"})
        );
        let sbom: Value = serde_json::from_slice(&raw(&format!("{name}@{}", digest_of(sbom)))).unwrap();
        assert_eq!(sbom["subject"]["digest"], index["digest"]);
    });
}

#[test]
fn archive_is_pushed_as_the_folder_is() {
    if !installed(&["docker-registry", "skopeo"]) {
        return;
    }
    enclosed(async |mut world| {
        settle(&mut world);
        let registry = DockerRegistry::start("registry", "", "");
        let name = format!("{}/lb:1.0", registry.address);
        let (layout, index, _) = founding();
        let archive = in_folder("lb.tar");
        layout.archive(&archive);
        let source = format!("oci-archive:{}:localhost/lb:1.0", archive.display());
        let (code, out, err) = push(&[&source, &name, "--plain-http"]);
        assert_eq!(code, Some(0), "{out}{err}");
        assert_eq!(raw(&name), layout.bytes(&index));
    });
}

#[test]
fn what_was_pushed_can_be_pulled_and_what_is_not_there_is_said() {
    if !installed(&["docker-registry"]) {
        return;
    }
    enclosed(async |mut world| {
        settle(&mut world);
        let registry = DockerRegistry::start("registry", "", "");
        let name = format!("{}/lb:1.0", registry.address);
        let (layout, index, source) = founding();
        assert_eq!(push(&[&source, &name, "--plain-http"]).0, Some(0));
        let mut repository = repository(&name, AuthFiles::new(None));
        let pulled = repository.manifest("1.0").await.unwrap().unwrap();
        assert_eq!(
            (pulled.media_type.as_str(), pulled.digest.as_ref()),
            (INDEX, digest_of(&index))
        );
        assert_eq!(pulled.bytes, layout.bytes(&index));
        let image = &layout.parsed(&index)["manifests"][0];
        let pulled = repository.manifest(digest_of(image)).await.unwrap().unwrap();
        assert_eq!(pulled.bytes, layout.bytes(image));
        let layer = &layout.parsed(image)["layers"][0];
        let (digest, size) = (digest_of(layer).parse().unwrap(), layer["size"].as_u64().unwrap());
        let mut bytes = Vec::new();
        repository.blob(&digest, size, &mut bytes).await.unwrap();
        assert_eq!(bytes, layout.bytes(layer));
        assert_eq!(repository.manifest("2.0").await, Ok(None));
        let nothing = layout::digest(b"nothing").parse().unwrap();
        let why = repository.blob(&nothing, 7, &mut bytes).await.unwrap_err();
        assert!(
            why.contains("404 Not Found, BLOB_UNKNOWN: blob unknown to registry"),
            "{why}"
        );
    });
}

#[test]
fn registry_with_passwords_wants_the_right_one() {
    if !installed(&["docker-registry"]) {
        return;
    }
    enclosed(async |mut world| {
        settle(&mut world);
        fs::write(in_folder("htpasswd"), HTPASSWD).unwrap();
        let path = in_folder("htpasswd");
        let auth = format!("auth: {{htpasswd: {{realm: ours, path: {}}}}}\n", path.display());
        let registry = DockerRegistry::start("registry", "", &auth);
        let name = format!("{}/a/lb:1.0", registry.address);
        let (_, _, source) = founding();
        let push_with = |more: &[&str]| push(&[&[source.as_str(), &name, "--plain-http"], more].concat());

        let (code, _, err) = push_with(&[]);
        assert_eq!(code, Some(1));
        assert!(
            err.contains("401 Unauthorized") && err.contains("(no login for"),
            "{err}"
        );
        let wrong = authfile("wrong.json", &registry.address, WRONG);
        let (code, _, err) = push_with(&["--authfile", &wrong]);
        assert_eq!(code, Some(1));
        assert!(
            err.contains(&format!("(the login of \"alice\" from {wrong})")),
            "{err}"
        );
        assert!(!err.contains("guess") && !err.contains(WRONG), "{err}");

        let right = authfile("right.json", &format!("{}/a", registry.address), RIGHT);
        let (code, _, err) = push_with(&["--authfile", &right]);
        assert_eq!(code, Some(0), "{err}");
        let mut by_variable = pushing(&in_folder("home"), &[&source, &name, "--plain-http"]);
        let (code, _, err) = told(by_variable.env("REGISTRY_AUTH_FILE", &right).output().unwrap());
        assert_eq!(code, Some(0), "{err}");
        // The first file that has a login: that of this session.
        authfile("home/.docker/config.json", &registry.address, WRONG);
        authfile("session/containers/auth.json", &registry.address, RIGHT);
        let mut in_session = pushing(&in_folder("home"), &[&source, &name, "--plain-http"]);
        let (code, _, err) = told(
            in_session
                .env("XDG_RUNTIME_DIR", in_folder("session"))
                .output()
                .unwrap(),
        );
        assert_eq!(code, Some(0), "{err}");
        assert_eq!(push_with(&[]).0, Some(1));
    });
}

#[test]
fn certificate_is_verified_and_plain_http_is_never_a_guess() {
    if !installed(&["docker-registry"]) {
        return;
    }
    enclosed(async |mut world| {
        settle(&mut world);
        let authority = Authority::new().unwrap();
        let identity = authority
            .apiserver("registry", &["127.0.0.1".parse().unwrap()])
            .unwrap();
        for (name, text) in [
            ("ca.pem", authority.pem()),
            ("cert.pem", identity.certificate),
            ("key.pem", identity.key),
        ] {
            fs::write(in_folder(name), text).unwrap();
        }
        let [ca, certificate, key] =
            ["ca.pem", "cert.pem", "key.pem"].map(|name| in_folder(name).display().to_string());
        let tls = format!("  tls: {{certificate: {certificate}, key: {key}}}\n");
        let (_, _, source) = founding();
        let secure = DockerRegistry::start("secure", &tls, "");
        let name = format!("{}/lb:1.0", secure.address);
        let (code, _, err) = push(&[&source, &name]);
        assert_eq!(code, Some(1));
        assert!(
            err.contains("no TLS with") && err.contains("name it: --ca"),
            "{err}"
        );
        let (code, _, err) = push(&[&source, &name, "--ca", &ca]);
        assert_eq!(code, Some(0), "{err}");
        let (code, _, err) = push(&[&source, &name, "--plain-http"]);
        assert_eq!((code, err.lines().count()), (Some(1), 1), "{err}");

        let plain = DockerRegistry::start("plain", "", "");
        let (code, _, err) = push(&[&source, &format!("{}/lb:1.0", plain.address)]);
        assert_eq!(code, Some(1));
        assert!(err.contains("say so: --plain-http"), "{err}");

        // One that believes that its clients reach it without TLS.
        let misled = DockerRegistry::start("misled", &format!("{tls}  host: http://127.0.0.1:9\n"), "");
        let (code, _, err) = push(&[&source, &format!("{}/lb:1.0", misled.address), "--ca", &ca]);
        assert_eq!(code, Some(1));
        assert!(err.contains("without TLS; nothing is sent there"), "{err}");
    });
}

// What docker-registry does not do is scripted.

/// A layout with one image, in a folder of the test.
fn small() -> (TempDir, Layout, Value, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut layout = Layout::new(&folder.path().join("layout"));
    let image = layout.image("amd64");
    layout.list(&image, None);
    let source = format!("oci:{}", layout.folder.display());
    (folder, layout, image, source)
}

/// Push beside a scripted registry, which runs on the same thread.
async fn push_beside(home: &TempDir, arguments: &[&str]) -> Told {
    told(
        tokio::process::Command::from(pushing(home.path(), arguments))
            .output()
            .await
            .unwrap(),
    )
}

fn repository(name: &str, files: AuthFiles) -> Repository {
    Repository::new(&name.parse().unwrap(), true, None, files).unwrap()
}

/// A registry that takes everything.
fn takes(asked: &Asked, location: &str) -> Reply {
    match asked.method.as_str() {
        "HEAD" => Reply::new(404),
        "POST" => Reply::new(202).header("location", location),
        "PUT" => Reply::new(201),
        _ => Reply::new(404),
    }
}

#[tokio::test]
async fn token_is_fetched_with_the_login_and_again_for_a_wider_scope() {
    let registry = FakeRegistry::start(|asked, me| {
        if asked.target.starts_with("/token") {
            let wide = asked.target.contains("pull,push");
            return Reply::new(200).body(json!({"token": if wide { "wide" } else { "narrow" }}).to_string());
        }
        let (scope, token) = match asked.method.as_str() {
            "HEAD" => ("pull", ["Bearer narrow", "Bearer wide"].as_slice()),
            _ => ("pull,push", ["Bearer wide"].as_slice()),
        };
        if asked
            .authorization
            .as_deref()
            .is_some_and(|given| token.contains(&given))
        {
            return takes(asked, "/put");
        }
        let challenge =
            format!("Bearer realm=\"http://{me}/token\",service=\"theirs\",scope=\"repository:a/b:{scope}\"");
        Reply::new(401).header("www-authenticate", challenge)
    })
    .await;
    let (home, _, _, source) = small();
    let logins = home.path().join("auth.json");
    let key = format!("{}/a", registry.address);
    fs::write(&logins, json!({"auths": {key: {"auth": RIGHT}}}).to_string()).unwrap();
    let name = format!("{}/a/b:1", registry.address);
    let arguments = [
        &source,
        &name,
        "--plain-http",
        "--authfile",
        logins.to_str().unwrap(),
    ];
    let (code, out, err) = push_beside(&home, &arguments).await;
    assert_eq!(code, Some(0), "{out}{err}");
    let asked = registry.asked();
    let (tokens, others): (Vec<_>, Vec<_>) =
        asked.iter().partition(|asked| asked.target.starts_with("/token"));
    let targets: Vec<_> = tokens.iter().map(|asked| asked.target.as_str()).collect();
    assert_eq!(
        targets,
        [
            "/token?service=theirs&scope=repository:a/b:pull",
            "/token?service=theirs&scope=repository:a/b:pull,push"
        ]
    );
    let basic = format!("Basic {RIGHT}");
    assert!(
        tokens
            .iter()
            .all(|asked| asked.authorization.as_ref() == Some(&basic))
    );
    assert!(
        others
            .iter()
            .all(|asked| asked.authorization.as_ref() != Some(&basic))
    );
}

#[tokio::test]
async fn refused_token_is_told_with_the_reason_and_whose_login_it_was() {
    let registry = FakeRegistry::start(|asked, me| match asked.target.as_str() {
        "/token" => Reply::new(401).body(r#"{"details": "no such user"}"#),
        _ => Reply::new(401).header("www-authenticate", format!("Bearer realm=\"http://{me}/token\"")),
    })
    .await;
    let (home, _, _, source) = small();
    let name = format!("{}/a:1", registry.address);
    let (code, _, err) = push_beside(&home, &[&source, &name, "--plain-http"]).await;
    assert_eq!(code, Some(1));
    let expected = format!(
        "no token from http://{}/token: 401 Unauthorized no such user",
        registry.address
    );
    assert!(err.contains(&expected) && err.contains("(no login for"), "{err}");
}

#[tokio::test]
async fn upload_at_another_host_gets_the_blob_and_no_credentials() {
    let storage = FakeRegistry::start(|asked, _| takes(asked, "")).await;
    let elsewhere = storage.address;
    let registry = FakeRegistry::start(move |asked, _| {
        if asked.authorization.is_none() {
            return Reply::new(401).header("www-authenticate", "Basic realm=\"ours\"");
        }
        takes(asked, &format!("http://{elsewhere}/up?signed=1"))
    })
    .await;
    let (home, layout, image, source) = small();
    let logins = home.path().join("auth.json");
    let key = registry.address.to_string();
    fs::write(&logins, json!({"auths": {key: {"auth": RIGHT}}}).to_string()).unwrap();
    let name = format!("{}/a:1", registry.address);
    let arguments = [
        &source,
        &name,
        "--plain-http",
        "--authfile",
        logins.to_str().unwrap(),
    ];
    let (code, out, err) = push_beside(&home, &arguments).await;
    assert_eq!(code, Some(0), "{out}{err}");
    let manifest = layout.parsed(&image);
    let stored = storage.asked();
    for (asked, blob) in stored.iter().zip([&manifest["config"], &manifest["layers"][0]]) {
        assert_eq!(
            asked.line(),
            format!("PUT /up?signed=1&digest={}", digest_of(blob))
        );
        assert_eq!(asked.body, layout.bytes(blob));
        assert_eq!(asked.authorization, None);
    }
    assert_eq!(stored.len(), 2);
}

#[tokio::test]
async fn refusal_is_told_in_the_registrys_own_words() {
    let registry = FakeRegistry::start(|asked, _| match asked.method.as_str() {
        "POST" => {
            Reply::new(403).body(r#"{"errors": [{"code": "DENIED", "message": "read only\u001b[2J"}]}"#)
        }
        _ => takes(asked, "/up"),
    })
    .await;
    let (home, layout, image, source) = small();
    let name = format!("{}/a:1", registry.address);
    let (code, _, err) = push_beside(&home, &[&source, &name, "--plain-http"]).await;
    let config = layout.parsed(&image)["config"].clone();
    let expected = format!(
        "catamaran: {} does not let {} be pushed: 403 Forbidden, DENIED: read only [2J\n",
        registry.address,
        digest_of(&config)
    );
    assert_eq!((code, err), (Some(1), expected));
}

#[tokio::test]
async fn blob_that_is_too_large_for_one_request_goes_in_pieces() {
    // More than one piece, and not a whole number of them.
    let size = (16 << 20) + 5;
    let registry = FakeRegistry::start(move |asked, _| match asked.method.as_str() {
        "PUT" if asked.body.len() == size => Reply::new(413),
        "POST" => Reply::new(202).header("location", "/v2/a/blobs/uploads/one"),
        "PATCH" => Reply::new(202).header("location", "next?state=2"),
        _ => Reply::new(201),
    })
    .await;
    let blob: Vec<u8> = (0..size).map(|at| at.to_le_bytes()[1]).collect();
    let mut repository = repository(&format!("{}/a:1", registry.address), AuthFiles::new(None));
    let copy = blob.clone();
    let open = move || Ok(Box::new(std::io::Cursor::new(copy.clone())) as Box<dyn std::io::Read + Send>);
    let name = digest(&blob).parse().unwrap();
    repository.push_blob(&name, size as u64, &open).await.unwrap();
    let asked = registry.asked();
    let lines: Vec<_> = asked.iter().map(Asked::line).collect();
    assert_eq!(
        lines,
        [
            "POST /v2/a/blobs/uploads/".to_string(),
            format!("PUT /v2/a/blobs/uploads/one?digest={name}"),
            "POST /v2/a/blobs/uploads/".into(),
            "PATCH /v2/a/blobs/uploads/one".into(),
            "PATCH /v2/a/blobs/uploads/next?state=2".into(),
            format!("PUT /v2/a/blobs/uploads/next?state=2&digest={name}"),
        ]
    );
    assert_eq!(asked[3].range.as_deref(), Some("0-16777215"));
    assert_eq!(asked[4].range.as_deref(), Some("16777216-16777220"));
    assert_eq!([&asked[3].body[..], &asked[4].body].concat(), blob);
}

#[tokio::test]
async fn registry_that_keeps_referrers_gets_no_list_of_them() {
    let registry = FakeRegistry::start(|asked, _| {
        let refers = String::from_utf8_lossy(&asked.body).contains("subject");
        match refers {
            true => takes(asked, "").header("oci-subject", "sha256:…"),
            false => takes(asked, "/up"),
        }
    })
    .await;
    let home = tempfile::tempdir().unwrap();
    let (layout, index) = Layout::founding(&home.path().join("layout"));
    let source = format!("oci:{}", layout.folder.display());
    let name = format!("{}/a:1", registry.address);
    let (code, out, err) = push_beside(&home, &[&source, &name, "--plain-http"]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    let lines = registry.lines();
    let manifests: Vec<_> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("PUT /v2/a/manifests/"))
        .collect();
    let images = layout.parsed(&index)["manifests"].clone();
    assert_eq!(
        manifests[..3],
        [digest_of(&images[0]), digest_of(&images[1]), "1"]
    );
    assert_eq!(manifests.len(), 4);
    assert!(!lines.iter().any(|line| line.contains("sha256-")), "{lines:?}");
}

#[tokio::test]
async fn list_of_another_kind_is_not_overwritten() {
    let registry = FakeRegistry::start(|asked, _| match asked.method.as_str() {
        "GET" => Reply::new(200)
            .header("content-type", MANIFEST)
            .body(json!({"mediaType": MANIFEST}).to_string()),
        _ => takes(asked, "/up"),
    })
    .await;
    let home = tempfile::tempdir().unwrap();
    let (layout, _) = Layout::founding(&home.path().join("layout"));
    let source = format!("oci:{}", layout.folder.display());
    let name = format!("{}/a:1", registry.address);
    let (code, _, err) = push_beside(&home, &[&source, &name, "--plain-http"]).await;
    assert_eq!(code, Some(1));
    assert!(
        err.contains("does not list referrers: it is no image index"),
        "{err}"
    );
    assert!(
        !registry
            .lines()
            .iter()
            .any(|line| line.starts_with("PUT") && line.contains("sha256-"))
    );
}

#[tokio::test]
async fn redirected_blob_is_fetched_without_credentials_and_verified() {
    let storage = FakeRegistry::start(|_, _| Reply::new(200).body("content")).await;
    let elsewhere = storage.address;
    let registry = FakeRegistry::start(move |asked, _| match &asked.authorization {
        None => Reply::new(401).header("www-authenticate", "Basic realm=\"ours\""),
        Some(_) => Reply::new(307).header("location", format!("http://{elsewhere}/blob")),
    })
    .await;
    let home = tempfile::tempdir().unwrap();
    let logins = home.path().join("auth.json");
    let key = registry.address.to_string();
    fs::write(&logins, json!({"auths": {key: {"auth": RIGHT}}}).to_string()).unwrap();
    let mut repository = repository(&format!("{}/a:1", registry.address), AuthFiles::new(Some(logins)));
    let right = digest(b"content").parse().unwrap();
    let mut bytes = Vec::new();
    repository.blob(&right, 7, &mut bytes).await.unwrap();
    assert_eq!(bytes, b"content");
    assert!(storage.asked().iter().all(|asked| asked.authorization.is_none()));
    let other = digest(b"another").parse().unwrap();
    let mut why = async |digest, size| repository.blob(digest, size, &mut Vec::new()).await.unwrap_err();
    assert!(why(&other, 7).await.contains(&format!("its digest is {right}")));
    assert!(why(&right, 6).await.contains("it is larger than 6 bytes"));
    assert!(why(&right, 8).await.contains("it has 7 of 8 bytes"));
}

#[tokio::test]
async fn manifest_that_is_not_what_its_digest_says_is_refused() {
    let promised = digest(b"{}");
    let registry = FakeRegistry::start(move |asked, _| match asked.target.as_str() {
        "/v2/a/manifests/round" => Reply::new(302).header("location", "round"),
        _ => Reply::new(200)
            .header("docker-content-digest", promised.clone())
            .body("[]"),
    })
    .await;
    let mut repository = repository(&format!("{}/a:1", registry.address), AuthFiles::new(None));
    for name in ["1", &digest(b"{}")] {
        let why = repository.manifest(name).await.unwrap_err();
        assert!(
            why.contains(&format!("its digest is {}, not {}", digest(b"[]"), digest(b"{}"))),
            "{why}"
        );
    }
    let why = repository.manifest("round").await.unwrap_err();
    assert!(why.contains("leads in circles"), "{why}");
}

#[tokio::test]
async fn nothing_is_sent_of_an_image_that_is_not_whole() {
    let registry = FakeRegistry::start(|asked, _| takes(asked, "/up")).await;
    let (home, layout, image, source) = small();
    let name = format!("{}/a:1", registry.address);
    let pinned = format!("{name}@{}", digest(b""));
    let (code, _, err) = push_beside(&home, &[&source, &pinned, "--plain-http"]).await;
    assert_eq!(code, Some(1));
    assert!(
        err.contains(&format!("is {}, not {}", digest_of(&image), digest(b""))),
        "{err}"
    );
    let layer = layout.parsed(&image)["layers"][0].clone();
    fs::write(layout.path(digest_of(&layer)), "").unwrap();
    let (code, _, err) = push_beside(&home, &[&source, &name, "--plain-http"]).await;
    assert_eq!(code, Some(1));
    assert!(
        err.contains("is not whole: manifest") && err.contains("layer 1: it has 0 of"),
        "{err}"
    );
    assert_eq!(registry.lines(), Vec::<String>::new());
}
