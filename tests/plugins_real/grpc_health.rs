//! `grpc-health` against etcd, which serves grpc.health.v1 beside its own services.

use catamaran::pure::config::Tls;
use tempfile::TempDir;

use super::certificates::Certificates;
use super::etcd::member;
use super::{Cause, Check, enclosed, packaged, settle, unverified};

#[test]
fn server_serves_and_a_service_that_it_does_not_know_is_named() {
    if !packaged(&[("etcd", "etcd-server")]) {
        return;
    }
    enclosed::enclosed(async |mut world| {
        settle(&mut world);
        let folder = TempDir::new().unwrap();
        let check = Check::of("grpc-health");
        let _member = member(&folder, 0, 1, "http", "");
        check.finds(2379, "{}", Cause::Healthy, "SERVING").await;
        let unknown = check.probe(2379, r#"{"service":"shop.v1.Cart"}"#).await;
        assert_eq!(unknown.cause, Cause::Unhealthy);
        assert!(
            unknown
                .detail
                .starts_with("NOT_FOUND: it does not know the service \"shop.v1.Cart\""),
            "{unknown}"
        );
    });
}

#[test]
fn over_tls_http_2_is_agreed_on() {
    if !packaged(&[("etcd", "etcd-server")]) {
        return;
    }
    enclosed::enclosed(async |mut world| {
        settle(&mut world);
        let folder = TempDir::new().unwrap();
        let certificates = Certificates::new(folder.path());
        let server = certificates.issue("server");
        let more = format!(
            "--cert-file={} --key-file={}",
            server.certificate.display(),
            server.key.display()
        );
        let _member = member(&folder, 0, 1, "https", &more);
        let tls = Tls {
            verify: true,
            ca: Some(certificates.authority()),
            ..unverified()
        };
        let check = Check::of("grpc-health").with_tls(&tls);
        check.finds(2379, "{}", Cause::Healthy, "SERVING").await;
        let clear = Check::of("grpc-health").probe(2379, "{}").await;
        assert!(!clear.cause.is_success(), "{clear}");
    });
}
