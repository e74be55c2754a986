//! `dns` against dnsmasq.

use super::{Cause, Check, Server, enclosed, packaged, settle};

/// Knows what it is told in words of its configuration, and asks nobody.
fn dnsmasq(port: u16, more: &str) -> Server {
    let port = format!("--port={port}");
    let always = [
        "--no-daemon",
        "--conf-file=/dev/null",
        "--listen-address=127.0.0.1",
        "--bind-interfaces",
        "--no-resolv",
        "--no-hosts",
        "--user=root",
        "--pid-file",
        &port,
    ];
    Server::start("dnsmasq", always.into_iter().chain(more.split_whitespace()))
}

#[test]
fn records_of_each_type_are_asked_for() {
    if !packaged(&[("dnsmasq", "dnsmasq-base")]) {
        return;
    }
    enclosed::enclosed(async |mut world| {
        settle(&mut world);
        let check = Check::of("dns");
        let www = r#"{"name":"www.example.org"}"#;
        assert_eq!(check.probe(53, www).await.cause, Cause::Refused);

        let _server = dnsmasq(
            53,
            "--address=/www.example.org/192.0.2.1 --address=/www.example.org/2001:db8::1 \
             --cname=web.example.org,host.example.org --host-record=host.example.org,192.0.2.2 \
             --mx-host=example.org,mail.example.org,10 --txt-record=example.org,v=spf1 \
             --srv-host=_sip._tcp.example.org,sip.example.org,5060,0,5 \
             --ptr-record=1.2.0.192.in-addr.arpa,www.example.org --local=/example.org/",
        );
        check.finds(53, www, Cause::Healthy, "192.0.2.1 in ").await;
        for (name, kind, expect) in [
            ("WWW.example.org.", "AAAA", "2001:DB8:0::1"),
            ("web.example.org", "A", "192.0.2.2"),
            ("web.example.org", "CNAME", "host.example.org"),
            ("example.org", "MX", "10 mail.example.org"),
            ("example.org", "TXT", "v=spf1"),
            ("_sip._tcp.example.org", "SRV", "0 5 5060 sip.example.org"),
            ("1.2.0.192.in-addr.arpa", "PTR", "www.example.org"),
        ] {
            let config = format!(r#"{{"name":"{name}","type":"{kind}","expect":["{expect}"]}}"#);
            let found = check.probe(53, &config).await;
            assert_eq!(found.cause, Cause::Healthy, "{config}: {found}");
        }

        let other = check
            .probe(53, r#"{"name":"www.example.org","expect":["192.0.2.9"]}"#)
            .await;
        assert_eq!(
            (other.cause, other.detail.as_str()),
            (Cause::Unhealthy, "192.0.2.1, expected 192.0.2.9")
        );
        let none = check.probe(53, r#"{"name":"none.example.org"}"#).await;
        assert_eq!(none.cause, Cause::Unhealthy);
        assert!(none.detail.starts_with("NXDOMAIN: "), "{none}");
        let wanted = r#"{"name":"none.example.org","rcode":["NXDOMAIN"]}"#;
        assert_eq!(check.probe(53, wanted).await.cause, Cause::Healthy);
        let without = check
            .probe(53, r#"{"name":"host.example.org","type":"AAAA"}"#)
            .await;
        assert_eq!(without.cause, Cause::Unhealthy);
        assert!(without.detail.starts_with("no AAAA record"), "{without}");
        // There is nobody whom it could ask.
        let refused = check.probe(53, r#"{"name":"elsewhere.example.net"}"#).await;
        assert_eq!(refused.cause, Cause::Unhealthy);
        assert!(refused.detail.starts_with("REFUSED: "), "{refused}");
    });
}
