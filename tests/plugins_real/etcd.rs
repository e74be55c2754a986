//! `etcd` against etcd.

use std::process::Command;

use catamaran::pure::config::Tls;
use tempfile::TempDir;

use super::certificates::{Certificates, Issued};
use super::{Cause, Check, Server, enclosed, packaged, settle, unverified};

/// The ports of a member: clients, peers.
fn ports(member: u16) -> (u16, u16) {
    (2379 + 100 * member, 2380 + 100 * member)
}

/// A member of a cluster of that many. `more` are further flags.
pub fn member(folder: &TempDir, member: u16, of: u16, scheme: &str, more: &str) -> Server {
    let (client, peer) = ports(member);
    let data = folder.path().join(format!("m{member}"));
    let all = (0..of).map(|member| format!("m{member}=http://127.0.0.1:{}", ports(member).1));
    let flags = [
        format!("--name=m{member}"),
        format!("--data-dir={}", data.display()),
        format!("--listen-client-urls={scheme}://127.0.0.1:{client}"),
        format!("--advertise-client-urls={scheme}://127.0.0.1:{client}"),
        format!("--listen-peer-urls=http://127.0.0.1:{peer}"),
        format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer}"),
        format!("--initial-cluster={}", all.collect::<Vec<_>>().join(",")),
        "--heartbeat-interval=50".into(),
        "--election-timeout=500".into(),
    ];
    Server::start(
        "etcd",
        flags.into_iter().chain(more.split_whitespace().map(String::from)),
    )
}

fn etcdctl(arguments: &[&str]) -> Command {
    let mut command = Command::new("etcdctl");
    command
        .env("ETCDCTL_API", "3")
        .arg("--endpoints=127.0.0.1:2379")
        .args(arguments);
    command
}

#[test]
fn member_alone_is_well_until_its_quota_is_reached() {
    if !packaged(&[("etcd", "etcd-server"), ("etcdctl", "etcd-client")]) {
        return;
    }
    enclosed::enclosed(async |mut world| {
        settle(&mut world);
        let folder = TempDir::new().unwrap();
        let check = Check::of("etcd");
        let _member = member(&folder, 0, 1, "http", "--quota-backend-bytes=65536");
        check.finds(2379, "{}", Cause::Healthy, ", leader").await;
        check
            .finds(2379, r#"{"path":"/readyz"}"#, Cause::Healthy, "etcd 3.")
            .await;
        let bare = check.probe(2379, r#"{"status":false}"#).await;
        assert_eq!((bare.cause, bare.detail.as_str()), (Cause::Healthy, "HTTP 200"));

        // The write that goes over the quota is refused, and the alarm raised.
        for key in ["one", "two"] {
            let mut put = etcdctl(&["put", key, &"x".repeat(90_000)]);
            put.output().unwrap();
        }
        check.finds(2379, "{}", Cause::Unhealthy, "NOSPACE").await;
        check
            .finds(2379, r#"{"exclude":["NOSPACE"]}"#, Cause::Degraded, "NOSPACE")
            .await;
    });
}

#[test]
fn member_without_quorum_says_that_it_has_no_leader() {
    if !packaged(&[("etcd", "etcd-server"), ("etcdctl", "etcd-client")]) {
        return;
    }
    enclosed::enclosed(async |mut world| {
        settle(&mut world);
        let folder = TempDir::new().unwrap();
        let check = Check::of("etcd");
        let [_first, second, third] = [0, 1, 2].map(|name| member(&folder, name, 3, "http", ""));
        for name in 0..3 {
            check.finds(ports(name).0, "{}", Cause::Healthy, "etcd 3.").await;
        }
        drop((second, third));
        check.finds(2379, "{}", Cause::Unhealthy, "no leader").await;
    });
}

#[test]
fn learner_is_named() {
    if !packaged(&[("etcd", "etcd-server"), ("etcdctl", "etcd-client")]) {
        return;
    }
    enclosed::enclosed(async |mut world| {
        settle(&mut world);
        let folder = TempDir::new().unwrap();
        let check = Check::of("etcd");
        let _first = member(&folder, 0, 1, "http", "");
        check.finds(2379, "{}", Cause::Healthy, ", leader").await;
        let (_, peer) = ports(1);
        let peer = format!("--peer-urls=http://127.0.0.1:{peer}");
        let added = etcdctl(&["member", "add", "m1", "--learner", &peer])
            .output()
            .unwrap();
        assert!(
            added.status.success(),
            "{}",
            String::from_utf8_lossy(&added.stderr)
        );
        let _second = member(&folder, 1, 2, "http", "--initial-cluster-state=existing");
        check
            .finds(
                ports(1).0,
                r#"{"path":"/health","serializable":true}"#,
                Cause::Unhealthy,
                "learner",
            )
            .await;
    });
}

#[test]
fn client_certificate_opens_the_door() {
    if !packaged(&[("etcd", "etcd-server"), ("etcdctl", "etcd-client")]) {
        return;
    }
    enclosed::enclosed(async |mut world| {
        settle(&mut world);
        let folder = TempDir::new().unwrap();
        let certificates = Certificates::new(folder.path());
        let (authority, server) = (certificates.authority(), certificates.issue("server"));
        let client = certificates.issue("client");
        let more = format!(
            "--cert-file={} --key-file={} --trusted-ca-file={} --client-cert-auth",
            server.certificate.display(),
            server.key.display(),
            authority.display()
        );
        let _member = member(&folder, 0, 1, "https", &more);
        let tls = |client: Option<&Issued>| Tls {
            verify: true,
            ca: Some(authority.clone()),
            client_cert: client.map(|client| client.certificate.clone()),
            client_key: client.map(|client| client.key.clone()),
            ..unverified()
        };
        let known = Check::of("etcd").with_tls(&tls(Some(&client)));
        known.finds(2379, "{}", Cause::Healthy, ", leader").await;
        let unknown = Check::of("etcd").with_tls(&tls(None)).probe(2379, "{}").await;
        assert_eq!(unknown.cause, Cause::Tls, "{unknown}");
        let clear = Check::of("etcd").probe(2379, "{}").await;
        assert!(!clear.cause.is_success(), "{clear}");
    });
}
