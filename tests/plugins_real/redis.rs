//! `redis` against redis-server.

use super::{Cause, Check, Server, enclosed, packaged, run, settle};
use tempfile::TempDir;

/// Nothing on disk, and as many words of its configuration as wanted.
fn redis(folder: &TempDir, port: u16, more: &str) -> Server {
    let port = port.to_string();
    let always = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--dir"];
    let folder = folder.path().to_str().unwrap();
    let words = always.into_iter().chain([folder]).chain(more.split_whitespace());
    Server::start("redis-server", words)
}

#[test]
fn server_is_asked_for_its_role_and_for_replicas() {
    if !packaged(&[("redis-server", "redis-server"), ("redis-cli", "redis-tools")]) {
        return;
    }
    enclosed::enclosed(async |mut world| {
        settle(&mut world);
        let folder = TempDir::new().unwrap();
        let check = Check::of("redis");
        let refused = check.probe(6379, "{}").await;
        assert_eq!(refused.cause, Cause::Refused);

        let master = redis(&folder, 6379, "");
        check.finds(6379, "{}", Cause::Healthy, "PONG").await;
        let alone = check.probe(6379, r#"{"role":"master","min-replicas":1}"#).await;
        assert_eq!(
            (alone.cause, alone.detail.as_str()),
            (Cause::Degraded, "master with 0 replicas, expected 1")
        );

        let _replica = redis(
            &folder,
            6380,
            "--replicaof 127.0.0.1 6379 --repl-diskless-sync-delay 0",
        );
        let follows = "replica of 127.0.0.1:6379";
        check
            .finds(6380, r#"{"role":"replica"}"#, Cause::Healthy, follows)
            .await;
        check
            .finds(
                6379,
                r#"{"min-replicas":1}"#,
                Cause::Healthy,
                "master with 1 replica",
            )
            .await;
        let other = check.probe(6380, r#"{"role":"master"}"#).await;
        assert_eq!(other.cause, Cause::Unhealthy);
        assert_eq!(other.detail, "is a replica of 127.0.0.1:6379, expected a master");

        drop(master);
        check
            .finds(
                6380,
                r#"{"role":"replica"}"#,
                Cause::Unhealthy,
                "its link is not up",
            )
            .await;
        assert_eq!(check.probe(6380, "{}").await.cause, Cause::Healthy);
    });
}

#[test]
fn password_and_user_are_shown_and_missed() {
    if !packaged(&[("redis-server", "redis-server"), ("redis-cli", "redis-tools")]) {
        return;
    }
    enclosed::enclosed(async |mut world| {
        settle(&mut world);
        let folder = TempDir::new().unwrap();
        let check = Check::of("redis");
        let _server = redis(&folder, 6379, "--requirepass wonder");
        check
            .finds(6379, r#"{"password":"wonder"}"#, Cause::Healthy, "PONG")
            .await;
        let without = check.probe(6379, "{}").await;
        assert_eq!(without.cause, Cause::Unhealthy);
        assert!(without.detail.contains("set `password`"), "{without}");
        let wrong = check.probe(6379, r#"{"password":"guess"}"#).await;
        assert!(wrong.detail.contains("is wrong"), "{wrong}");

        let acl = "-p 6379 -a wonder --no-auth-warning acl setuser probe on >probes +ping";
        run("redis-cli", &acl.split_whitespace().collect::<Vec<_>>());
        let user = r#"{"username":"probe","password":"probes"}"#;
        assert_eq!(check.probe(6379, user).await.cause, Cause::Healthy);
        let user = r#"{"username":"probe","password":"probes","role":"master"}"#;
        let not_allowed = check.probe(6379, user).await;
        assert_eq!(not_allowed.cause, Cause::Unhealthy);
        assert!(not_allowed.detail.contains("+role"), "{not_allowed}");
    });
}

/// What HAProxy's manual shows as a `tcp-check` of Redis.
#[test]
fn script_talks_to_it() {
    if !packaged(&[("redis-server", "redis-server")]) {
        return;
    }
    enclosed::enclosed(async |mut world| {
        settle(&mut world);
        let folder = TempDir::new().unwrap();
        let _server = redis(&folder, 6379, "");
        Check::of("redis").finds(6379, "{}", Cause::Healthy, "PONG").await;
        let check = Check::of("script");
        let steps = |role: &str| {
            format!(
                r#"{{"steps":[
                    {{"send":"PING\r\n"}}, {{"expect":"+PONG"}},
                    {{"send":"info replication\r\n"}}, {{"comment":"role","expect-regex":"(?m)^role:{role}"}},
                    {{"send":"QUIT\r\n"}}, {{"expect-not":"-ERR","until":"+OK"}}, {{"expect":"\r\n"}}, {{"expect-end":true}}
                ]}}"#
            )
        };
        let well = check.probe(6379, &steps("master")).await;
        assert_eq!((well.cause, well.detail.as_str()), (Cause::Healthy, "8 steps"));
        let refused = check
            .probe(
                6379,
                r#"{"steps":[{"send":"PONG\r\n"},{"comment":"no error","expect-not":"-ERR"}]}"#,
            )
            .await;
        assert_eq!(refused.cause, Cause::Unhealthy, "{refused}");
        assert!(
            refused.detail.starts_with("step 2 (no error): received \"-ERR"),
            "{refused}"
        );
        let over = check
            .probe(6379, r#"{"steps":[{"send":"QUIT\r\n"},{"expect":"+PONG"}]}"#)
            .await;
        assert_eq!(
            over.detail,
            r#"step 2: connection ended: expected "+PONG", received "+OK\r\n""#
        );
    });
}
