//! The fence around plugins, against what no honest compiler writes.

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use catamaran::pure::health::{Cause, Finding};
use catamaran::shell::wasm::{Host, Plugin, ProbeRequest};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use support::LOOPBACK;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const HOSTILE: &[u8] = include_bytes!("plugins/hostile.wasm");

/// One MiB; the hand-made components have two pages of 64 KiB.
const MEMORY: u64 = 1 << 20;

fn request(address: SocketAddr, config: &str) -> ProbeRequest {
    ProbeRequest {
        name: "e0".into(),
        address,
        server_name: None,
        tls: None,
        config: config.into(),
        timeout: Duration::from_secs(2),
    }
}

/// A component around these functions of a core module. It can call `$request`
/// of the contract's `http` (the answer goes to the last parameter's address)
/// and has to have a `check`, which returns where its result lies.
fn component(functions: &str) -> Vec<u8> {
    let text = include_str!("plugins/by-hand.wat").replace(";; FUNCTIONS", functions);
    wat::parse_str(text).unwrap()
}

/// `check` with the parameters of a flattened `request`, so that its body is all.
fn check(body: &str) -> String {
    let parameters = "i32 ".repeat(12);
    format!(r#"(func (export "check") (param {parameters}) (result i32) (local $n i32) {body})"#)
}

fn load(bytes: &[u8]) -> Plugin {
    Host::new(None)
        .unwrap()
        .load(bytes, MEMORY, &mut |warning| panic!("{warning}"))
        .unwrap()
}

async fn nobody() -> SocketAddr {
    TcpListener::bind((LOOPBACK, 0))
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

async fn probe(functions: &str) -> Finding {
    load(&component(functions))
        .probe(&request(nobody().await, "{}"))
        .await
        .finding
}

/// Answers `Err("no luck")` after a request that nobody takes.
const FAILS_AFTER_REQUEST: &str = r#"
    (call $request (i32.const 16) (i32.const 3) (i32.const 19) (i32.const 1)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 256))
    (i32.store8 (i32.const 512) (i32.const 1))
    (i32.store (i32.const 516) (i32.const 20))
    (i32.store (i32.const 520) (i32.const 7))
    (i32.const 512)"#;

#[tokio::test]
async fn plugin_that_gives_up_after_a_refused_connection_ends_as_refused() {
    let finding = probe(&check(FAILS_AFTER_REQUEST)).await;
    assert_eq!(
        (finding.cause, finding.detail.as_str()),
        (Cause::Refused, "no luck")
    );
}

/// 100 headers, the value of each the same 64 KiB: 6 MiB for the host, 64 KiB
/// for the plugin.
const SHARED_BYTES: &str = r#"
    (loop $next
        (i32.store offset=1024 (i32.mul (local.get $n) (i32.const 16)) (i32.const 16))
        (i32.store offset=1028 (i32.mul (local.get $n) (i32.const 16)) (i32.const 1))
        (i32.store offset=1032 (i32.mul (local.get $n) (i32.const 16)) (i32.const 4096))
        (i32.store offset=1036 (i32.mul (local.get $n) (i32.const 16)) (i32.const 65536))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br_if $next (i32.lt_u (local.get $n) (i32.const 100))))
    (call $request (i32.const 16) (i32.const 3) (i32.const 19) (i32.const 1)
        (i32.const 1024) (i32.const 100) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 256))
    (i32.const 512)"#;

#[tokio::test]
async fn host_copies_no_more_in_one_call_than_the_plugins_own_memory() {
    let finding = probe(&check(SHARED_BYTES)).await;
    assert_eq!(finding.cause, Cause::BadPlugin, "{finding}");
    assert!(finding.detail.contains("too much data"), "{finding}");
}

#[tokio::test]
async fn start_function_that_loops_ends_at_the_deadline() {
    let endless = format!(
        "(func $endless (loop $a (br $a))) (start $endless) {}",
        check("unreachable")
    );
    let finding = probe(&endless).await;
    assert_eq!(finding.cause, Cause::TimedOut, "{finding}");
}

#[tokio::test]
async fn result_outside_its_memory_is_the_plugins_fault() {
    let finding = probe(&check("(i32.const -8)")).await;
    assert_eq!(finding.cause, Cause::BadPlugin, "{finding}");
}

#[tokio::test]
async fn memory_over_the_limit_from_the_start_is_named() {
    // Two pages are 128 KiB.
    let host = Host::new(None).unwrap();
    let plugin = host
        .load(&component(&check("unreachable")), 1 << 16, &mut |_| {})
        .unwrap();
    let finding = plugin.probe(&request(nobody().await, "{}")).await.finding;
    assert_eq!(finding.cause, Cause::MemoryLimit, "{finding}");
}

#[test]
fn import_that_a_check_may_not_use_is_refused_by_name() {
    let host = Host::new(None).unwrap();
    let refusal = |import: &str| {
        let text = format!(r#"(component (import "{import}" (instance)))"#);
        let bytes = wat::parse_str(text).unwrap();
        host.load(&bytes, MEMORY, &mut |_| {}).err().expect("refused")
    };
    for strange in [
        "wasi:keyvalue/store@0.2.0",
        "catamaran:health/files@1.0.0",
        "catamaran:healthy/log@1.0.0",
        "env",
    ] {
        assert_eq!(
            refusal(strange),
            format!("the plugin imports {strange}, which a check may not use")
        );
    }
    assert_eq!(
        refusal("catamaran:health/log@1.1.0"),
        "the plugin imports catamaran:health/log@1.1.0; this host serves 1.x of the contract, up to 1.0"
    );
}

#[tokio::test]
async fn thousand_probes_wait_at_one_time() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok(accepted) = listener.accept().await {
            kept.push(accepted);
        }
    });
    let host = Host::new(None).unwrap();
    let plugin = host
        .load(HOSTILE, 16 << 20, &mut |warning| panic!("{warning}"))
        .unwrap();
    let mut probes = JoinSet::new();
    for _ in 0..1000 {
        let plugin = plugin.clone();
        let request = request(address, r#"{"do":"hold"}"#);
        probes.spawn(async move { plugin.probe(&request).await.finding });
    }
    for finding in probes.join_all().await {
        assert_eq!(finding.cause, Cause::TimedOut, "{finding}");
    }
}
