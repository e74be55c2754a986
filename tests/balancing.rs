//! The proxy with real sockets: who gets a connection, and how it ends.

mod support;

use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use catamaran::app::App;
use catamaran::pure::addr::ListenAddr;
use catamaran::pure::balancer::Algorithm;
use catamaran::pure::config::{CheckId, OnDown, PluginSource, WhenNoneReady, Wish};
use catamaran::shell::plugin_store::Available;
use socket2::SockRef;
use support::{
    Echo, LOOPBACK, Web, changes, config, eventually, fetched, greeted, held, keep_log, start, with_check,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// An address on which nobody listens.
async fn nobody() -> std::net::SocketAddr {
    TcpListener::bind((LOOPBACK, 0))
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

#[tokio::test]
async fn single_client_sees_exact_turns_and_weights() {
    let servers = [
        Echo::start("a").await,
        Echo::start("b").await,
        Echo::start("c").await,
    ];
    let mut config = config(&servers.each_ref().map(|server| server.address));
    config.pools[0].endpoints[0].weight = 5;
    let (app, front) = start(&config).await;
    let mut order = String::new();
    for _ in 0..70 {
        order += &greeted(front).await.unwrap().1;
    }
    assert_eq!(order, "aabacaa".repeat(10));
    app.stop();
}

#[tokio::test]
async fn clients_and_endpoints_may_speak_different_versions_of_ip() {
    let six = Echo::on((Ipv6Addr::LOCALHOST, 0).into(), "6").await;
    let four = Echo::start("4").await;
    let mut config = config(&[six.address, four.address]);
    config.listeners[0].bind[0].ip = None;
    let (app, front) = start(&config).await;
    let mut order = String::new();
    for loopback in [LOOPBACK, Ipv6Addr::LOCALHOST.into()].repeat(2) {
        order += &greeted((loopback, front.port()).into()).await.unwrap().1;
        order += &greeted((loopback, front.port()).into()).await.unwrap().1;
    }
    assert_eq!(order, "64646464");
    app.stop();
}

#[tokio::test]
async fn listener_binds_an_address_that_this_machine_does_not_have_yet() {
    // RFC 5737 and RFC 3849: nobody has them.
    let absent: [std::net::IpAddr; 2] = ["192.0.2.1", "2001:db8::1"].map(|ip| ip.parse().unwrap());
    let server = Echo::start("a").await;
    let mut config = config(&[server.address]);
    config.listeners[0].bind = absent
        .map(|ip| ListenAddr {
            ip: Some(ip),
            port: 0,
        })
        .into();
    let (app, _) = start(&config).await;
    assert_eq!([app.bound()[0].1.ip(), app.bound()[1].1.ip()], absent);
    app.stop();
}

#[tokio::test]
async fn answer_comes_after_the_client_has_finished_sending() {
    let server = Echo::start("a").await;
    let (app, front) = start(&config(&[server.address])).await;
    let (mut client, _) = greeted(front).await.unwrap();
    client.write_all(b"last words").await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "last words");
    app.stop();
}

#[tokio::test]
async fn megabytes_pass_both_ways_unchanged() {
    let server = Echo::start("a").await;
    let (app, front) = start(&config(&[server.address])).await;
    let (client, _) = greeted(front).await.unwrap();
    let (mut read, mut write) = client.into_split();
    let sent: Vec<u8> = (0..48_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let expected = sent.clone();
    let writer = tokio::spawn(async move {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
    });
    let mut received = Vec::with_capacity(expected.len());
    read.read_to_end(&mut received).await.unwrap();
    writer.await.unwrap();
    assert!(
        received == expected,
        "{} bytes came back of {}",
        received.len(),
        expected.len()
    );
    app.stop();
}

#[tokio::test]
async fn reset_by_the_endpoint_reaches_the_client_as_a_reset() {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let (app, front) = start(&config(&[listener.local_addr().unwrap()])).await;
    let mut client = TcpStream::connect(front).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    SockRef::from(&server).set_linger(Some(Duration::ZERO)).unwrap();
    drop(server);
    assert_eq!(
        client.read_u8().await.unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    app.stop();
}

#[tokio::test]
async fn reset_by_the_client_reaches_the_endpoint_as_a_reset() {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let (app, front) = start(&config(&[listener.local_addr().unwrap()])).await;
    let client = TcpStream::connect(front).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    assert_eq!(
        server.read_u8().await.unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    app.stop();
}

#[tokio::test]
async fn endpoint_that_refuses_is_passed_over_without_the_client_noticing() {
    let server = Echo::start("a").await;
    let (app, front) = start(&config(&[nobody().await, server.address])).await;
    for _ in 0..6 {
        assert_eq!(greeted(front).await.unwrap().1, "a");
    }
    app.stop();
}

#[tokio::test]
async fn connection_is_reset_when_every_attempt_fails() {
    let (app, front) = start(&config(&[nobody().await, nobody().await])).await;
    assert_eq!(
        greeted(front).await.unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    app.stop();
}

#[tokio::test]
async fn endpoint_going_down_resets_its_connections_and_no_others() {
    let servers = [Web::start().await, Web::start().await];
    let config = with_check(
        config(&servers.each_ref().map(|server| server.address)),
        "http",
        "{}",
    );
    let (app, front) = start(&config).await;
    let mut clients = [held(front).await, held(front).await];
    clients.sort_by_key(|(_, server)| *server != servers[0].address);
    let [(mut doomed, _), (mut spared, server)] = clients;
    assert_eq!(server, servers[1].address);
    servers[0].set_well(false);
    assert_eq!(
        doomed.read_u8().await.unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    let other = tokio::time::timeout(Duration::from_millis(200), spared.read_u8()).await;
    assert!(other.is_err(), "the other endpoint's connection ended: {other:?}");
    app.stop();
}

#[tokio::test]
async fn keep_leaves_the_connections_of_a_down_endpoint_alone() {
    let server = Web::start().await;
    let mut config = with_check(config(&[server.address]), "http", "{}");
    config.pools[0].on_down = OnDown::Keep;
    let (app, front) = start(&config).await;
    let (mut client, _) = held(front).await;
    server.set_well(false);
    eventually("the endpoint is down", || async { fetched(front).await.is_err() }).await;
    let read = tokio::time::timeout(Duration::from_millis(100), client.read_u8()).await;
    assert!(read.is_err(), "the connection ended: {read:?}");
    app.stop();
}

#[tokio::test]
async fn pool_without_ready_endpoints_refuses() {
    let server = Web::start().await;
    server.set_well(false);
    let (app, front) = start(&with_check(config(&[server.address]), "http", "{}")).await;
    assert_eq!(
        greeted(front).await.unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    app.stop();
}

#[tokio::test]
async fn held_connection_is_served_once_an_endpoint_is_ready() {
    let server = Web::start().await;
    server.set_well(false);
    let mut config = with_check(config(&[server.address]), "http", "{}");
    config.pools[0].when_none_ready = WhenNoneReady::Hold(Duration::from_secs(20));
    let (app, front) = start(&config).await;
    let mut client = TcpStream::connect(front).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    server.set_well(true);
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    app.stop();
}

#[tokio::test]
async fn held_connection_is_reset_when_its_time_is_over() {
    let server = Web::start().await;
    server.set_well(false);
    let mut config = with_check(config(&[server.address]), "http", "{}");
    config.pools[0].when_none_ready = WhenNoneReady::Hold(Duration::from_millis(50));
    let (app, front) = start(&config).await;
    assert_eq!(
        greeted(front).await.unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    app.stop();
}

#[tokio::test]
async fn try_all_uses_endpoints_that_fail_their_check() {
    let server = Web::start().await;
    server.set_well(false);
    let mut config = with_check(config(&[server.address]), "http", "{}");
    config.pools[0].when_none_ready = WhenNoneReady::TryAll;
    let (app, front) = start(&config).await;
    let answer = fetched(front).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
    app.stop();
}

#[tokio::test]
async fn full_listener_refuses_until_a_connection_ends() {
    let server = Echo::start("a").await;
    let mut config = config(&[server.address]);
    config.listeners[0].max_connections = Some(1);
    let (app, front) = start(&config).await;
    let (first, _) = greeted(front).await.unwrap();
    assert_eq!(
        greeted(front).await.unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    drop(first);
    eventually("there is room again", || async { greeted(front).await.is_ok() }).await;
    app.stop();
}

#[tokio::test]
async fn full_endpoint_leaves_connections_to_the_others() {
    let servers = [Echo::start("a").await, Echo::start("b").await];
    let mut config = config(&servers.each_ref().map(|server| server.address));
    config.pools[0].endpoints[0].max_connections = Some(1);
    let (app, front) = start(&config).await;
    let mut open = Vec::new();
    for expected in ["a", "b", "b", "b"] {
        let (client, name) = greeted(front).await.unwrap();
        assert_eq!(name, expected);
        open.push(client);
    }
    app.stop();
}

#[tokio::test]
async fn draining_endpoint_gets_no_connection() {
    let servers = [Echo::start("a").await, Echo::start("b").await];
    let mut config = config(&servers.each_ref().map(|server| server.address));
    config.pools[0].endpoints[0].state = Wish::Drain;
    let (app, front) = start(&config).await;
    for _ in 0..4 {
        assert_eq!(greeted(front).await.unwrap().1, "b");
    }
    app.stop();
}

#[tokio::test]
async fn least_connections_fills_the_emptier_endpoint() {
    let servers = [Echo::start("a").await, Echo::start("b").await];
    let mut config = config(&servers.each_ref().map(|server| server.address));
    config.pools[0].balance = Algorithm::LeastConnections;
    let (app, front) = start(&config).await;
    let (first, held) = greeted(front).await.unwrap();
    let (second, _) = greeted(front).await.unwrap();
    drop(second);
    let other = if held == "a" { "b" } else { "a" };
    for _ in 0..3 {
        eventually("the closed connection is forgotten", || async {
            greeted(front).await.unwrap().1 == other
        })
        .await;
    }
    drop(first);
    app.stop();
}

#[tokio::test]
async fn silent_connection_ends_after_the_idle_timeout() {
    let server = Echo::start("a").await;
    let mut config = config(&[server.address]);
    config.listeners[0].idle_timeout = Some(Duration::from_millis(50));
    let (app, front) = start(&config).await;
    let (mut client, _) = greeted(front).await.unwrap();
    assert!(matches!(client.read(&mut [0; 1]).await, Ok(0)));
    app.stop();
}

#[tokio::test]
async fn open_connection_is_watched_for_loss_on_both_sides() {
    let echo = Echo::start("a").await;
    let (app, address) = start(&config(&[echo.address])).await;
    let (client, _) = greeted(address).await.unwrap();
    for (side, local, remote) in [
        ("the client's", Some(address), client.local_addr().unwrap()),
        ("the endpoint's", None, echo.address),
    ] {
        eventually(side, async || keepalive_runs(local, remote)).await;
    }
    app.stop();
}

/// Whether the kernel's timer for keepalive runs on the socket between these
/// IPv4 addresses, as proc(5) has it: "02" is that timer.
fn keepalive_runs(local: Option<SocketAddr>, remote: SocketAddr) -> bool {
    let shown = |address: SocketAddr| match address {
        SocketAddr::V4(address) => {
            let ip = u32::from_ne_bytes(address.ip().octets());
            format!("{ip:08X}:{:04X}", address.port())
        }
        SocketAddr::V6(_) => unreachable!("the tests' sockets are on 127.0.0.1"),
    };
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    sockets.lines().any(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        local.is_none_or(|local| columns[1] == shown(local))
            && columns[2] == shown(remote)
            && columns[5].starts_with("02:")
    })
}

#[tokio::test]
async fn drain_waits_for_open_connections_and_takes_no_new_ones() {
    let server = Echo::start("a").await;
    let (app, front) = start(&config(&[server.address])).await;
    let (mut client, _) = greeted(front).await.unwrap();
    let mut drained = Box::pin(app.drain());
    let open = tokio::time::timeout(Duration::from_millis(200), &mut drained).await;
    assert!(open.is_err(), "drained with a connection open");
    assert_eq!(
        TcpStream::connect(front).await.unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    client.write_all(b"x").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'x');
    drop(client);
    drained.as_mut().await;
    drop(drained);
    app.stop();
}

#[tokio::test]
async fn no_request_is_lost_while_endpoints_come_and_go() {
    let servers = [Web::start().await, Web::start().await, Web::start().await];
    let config = with_check(
        config(&servers.each_ref().map(|server| server.address)),
        "http",
        "{\"path\":\"/healthz\"}",
    );
    let (app, front) = start(&config).await;
    let (mut served, mut turned_away) = (0, 0);
    for number in 0..10_000 {
        if number % 500 == 0 {
            let ill = number / 500 % 3;
            servers
                .iter()
                .enumerate()
                .for_each(|(index, server)| server.set_well(index != ill));
        }
        match fetched(front).await {
            Ok(answer) if answer.starts_with("HTTP/1.1 200") => served += 1,
            // It reached an endpoint that was not well, before the check knew.
            Ok(answer) if answer.starts_with("HTTP/1.1 500") => turned_away += 1,
            // An endpoint that was not well any more went down under it.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => turned_away += 1,
            other => panic!("request {number}: {other:?}"),
        }
    }
    assert!(served > 6_000, "{served} served, {turned_away} turned away");
    app.stop();
}

#[tokio::test]
async fn hostile_plugins_disturb_nobody_and_are_named() {
    // Clients and servers have a thread of their own, as they have machines.
    let elsewhere = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let servers = elsewhere.spawn(async { [Web::start().await, Web::start().await] });
    let servers = servers.await.unwrap();
    let mut config = with_check(
        config(&servers.each_ref().map(|server| server.address)),
        "http",
        "{}",
    );
    // A pool beside it for each deed.
    let expected = [
        ("loop", "timed-out"),
        ("allocate", "memory-limit"),
        ("trap", "trapped"),
        ("elsewhere", "denied"),
    ];
    for (deed, _) in expected {
        let mut check = config.checks[0].clone();
        let hostile = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/plugins/hostile.wasm");
        check.plugin = PluginSource::File {
            path: hostile.into(),
            sha256: None,
        };
        check.config = format!(r#"{{"do":"{deed}"}}"#);
        let mut pool = config.pools[0].clone();
        pool.name = deed.into();
        pool.endpoints.truncate(1);
        pool.check = Some(CheckId(config.checks.len()));
        config.checks.push(check);
        config.pools.push(pool);
    }
    keep_log();
    let app = App::start(&config, None, &Available::default()).unwrap();
    app.accept();
    let front = app.bound()[0].1;
    eventually("an answer", async || fetched(front).await.is_ok()).await;

    let over = Arc::new(AtomicBool::new(false));
    let told = over.clone();
    let traffic = elsewhere.spawn(async move {
        let mut served = 0;
        while !told.load(Ordering::Relaxed) {
            let answer = fetched(front).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            served += 1;
        }
        served
    });
    for (deed, cause) in expected {
        eventually(deed, async || !changes(deed).is_empty()).await;
        assert_eq!(changes(deed), [cause], "{deed}");
    }
    over.store(true, Ordering::Relaxed);
    let served = traffic.await.unwrap();
    assert!(served > 0);
    // None of the good endpoints ever went down.
    assert_eq!(changes("pool"), ["healthy", "healthy"]);
    app.stop();
    elsewhere.shutdown_background();
}
