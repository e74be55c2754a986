//! The fence around plugins, against what no honest compiler writes.

#[path = "support/daemon.rs"]
mod daemon;
#[path = "support/enclosed.rs"]
mod enclosed;
#[path = "support/memory.rs"]
mod memory;
#[path = "plugin_fence/neighbours.rs"]
mod neighbours;
mod support;

use std::net::SocketAddr;
use std::time::Duration;

use catamaran::pure::health::{Cause, Finding};
use catamaran::shell::plugin_store;
use catamaran::shell::wasm::{Host, Plugin, ProbeRequest};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use support::{LOOPBACK, Web};
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
    Host::new(None, 1 << 30)
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
    let host = Host::new(None, 1 << 30).unwrap();
    let plugin = host
        .load(&component(&check("unreachable")), 1 << 16, &mut |_| {})
        .unwrap();
    let finding = plugin.probe(&request(nobody().await, "{}")).await.finding;
    assert_eq!(finding.cause, Cause::MemoryLimit, "{finding}");
}

#[test]
fn import_that_a_check_may_not_use_is_refused_by_name() {
    let host = Host::new(None, 1 << 30).unwrap();
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
    let host = Host::new(None, 1 << 30).unwrap();
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

/// The standard plugin `http` on this host.
fn honest(host: &Host) -> Plugin {
    let bytes = plugin_store::standard("http").expect("a standard plugin");
    host.load(bytes, 16 << 20, &mut |warning| panic!("{warning}"))
        .unwrap()
}

fn hostile(host: &Host, memory: u64) -> Plugin {
    host.load(HOSTILE, memory, &mut |warning| panic!("{warning}"))
        .unwrap()
}

/// So many probes at a time that do this; they end with the set.
fn many(count: usize, plugin: &Plugin, request: &ProbeRequest) -> JoinSet<Finding> {
    let mut probes = JoinSet::new();
    for _ in 0..count {
        let (plugin, request) = (plugin.clone(), request.clone());
        probes.spawn(async move { plugin.probe(&request).await.finding });
    }
    probes
}

/// A server that takes connections and says when it has one.
async fn silent() -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<()>) {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (said, heard) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok(accepted) = listener.accept().await {
            kept.push(accepted);
            let _ = said.send(());
        }
    });
    (address, heard)
}

#[tokio::test]
async fn check_is_probed_while_hundreds_of_instances_of_another_loop() {
    let server = Web::start().await;
    let host = Host::new(None, 1 << 30).unwrap();
    let (hostile, honest) = (hostile(&host, 2 << 20), honest(&host));
    let mut endless = request(server.address, r#"{"do":"loop"}"#);
    endless.timeout = Duration::from_secs(90);
    // One ends, so that the others need not wait for all they could have.
    let first = ProbeRequest {
        config: r#"{"do":"healthy"}"#.into(),
        ..endless.clone()
    };
    assert_eq!(hostile.probe(&first).await.finding.cause, Cause::Healthy);
    let mut loops = many(400, &hostile, &endless);
    let mut asked = request(server.address, "{}");
    asked.timeout = endless.timeout;
    // A round of all loops is 2 s, and a probe takes some ten turns: where it
    // waits for all of them each time, the loops end first.
    for _ in 0..5 {
        let finding = honest.probe(&asked).await.finding;
        assert_eq!(finding.cause, Cause::Healthy, "{finding}");
    }
    assert!(
        loops.try_join_next().is_none(),
        "a loop ended before the fifth probe"
    );
}

#[tokio::test]
async fn one_plugins_other_checks_go_on_beside_its_looping_ones() {
    let server = Web::start().await;
    let host = Host::new(None, 1 << 30).unwrap();
    let one = hostile(&host, 2 << 20);
    let other = one.apart();
    let endless = request(server.address, r#"{"do":"loop"}"#);
    let _loops = many(300, &one, &endless);
    let finding = other
        .probe(&request(server.address, r#"{"do":"healthy"}"#))
        .await
        .finding;
    assert_eq!(finding.cause, Cause::Healthy, "{finding}");
}

#[tokio::test]
async fn check_that_fills_the_common_memory_leaves_room_for_another() {
    let server = Web::start().await;
    let host = Host::new(None, 64 << 20).unwrap();
    let (hostile, honest) = (hostile(&host, 16 << 20), honest(&host));
    let (address, mut taken) = silent().await;
    let mut holding = request(address, r#"{"do":"hold"}"#);
    holding.timeout = Duration::from_secs(20);
    let mut holds = many(100, &hostile, &holding);
    // Two times 16 MiB are half of it.
    for _ in 0..2 {
        taken.recv().await.unwrap();
    }
    for _ in 0..10 {
        let finding = honest.probe(&request(server.address, "{}")).await.finding;
        assert_eq!(finding.cause, Cause::Healthy, "{finding}");
    }
    assert!(taken.try_recv().is_err(), "a third one runs");
    assert!(
        holds.try_join_next().is_none(),
        "one ended before the tenth probe"
    );
}

#[tokio::test]
async fn growing_beyond_what_all_plugins_have_is_named() {
    let server = Web::start().await;
    let host = Host::new(None, 64 << 20).unwrap();
    let holder = hostile(&host, 48 << 20);
    let bomb = hostile(&host, 16 << 20);
    let do_ = |what: &str| request(server.address, &format!(r#"{{"do":"{what}"}}"#));
    // From here on an instance waits for the little that this one had.
    assert_eq!(bomb.probe(&do_("healthy")).await.finding.cause, Cause::Healthy);
    let (address, mut taken) = silent().await;
    let mut holding = request(address, r#"{"do":"hold"}"#);
    holding.timeout = Duration::from_secs(20);
    let _holds = many(1, &holder, &holding);
    let _other = many(1, &bomb, &holding);
    for _ in 0..2 {
        taken.recv().await.unwrap();
    }
    let finding = bomb.probe(&do_("allocate")).await.finding;
    assert_eq!(finding.cause, Cause::MemoryLimit, "{finding}");
    assert!(finding.detail.contains("daemon.plugin-memory"), "{finding}");
}

#[tokio::test]
async fn table_bomb_is_named() {
    let bomb = format!(
        "(table $t 1 funcref) {}",
        check(
            "(loop $more (br_if $more (i32.ne (i32.const -1)
                (table.grow $t (ref.null func) (i32.const 1000)))))
            unreachable"
        )
    );
    let finding = probe(&bomb).await;
    assert_eq!(finding.cause, Cause::MemoryLimit, "{finding}");
}

#[tokio::test]
async fn every_other_address_and_name_is_denied() {
    for place in [
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/latest/meta-data/",
        "//169.254.169.254/",
        "http://metadata.google.internal/",
        "http://localhost:1/",
        "https://[::1]/",
        "http://192.0.2.1/",
    ] {
        let asks = format!(
            r#"(data (i32.const 2048) "{place}") {}"#,
            check(&format!(
                "(call $request (i32.const 16) (i32.const 3) (i32.const 2048) (i32.const {})
                    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 256))
                (i32.const 512)",
                place.len()
            ))
        );
        let finding = probe(&asks).await;
        assert_eq!(finding.cause, Cause::Denied, "{place}: {finding}");
    }
}

#[test]
fn component_of_another_world_is_refused() {
    let host = Host::new(None, 1 << 30).unwrap();
    let refusal = |text: &str| {
        let bytes = wat::parse_str(text).unwrap();
        host.load(&bytes, MEMORY, &mut |_| {}).err().expect("refused")
    };
    let core_module = refusal(r#"(module (func (export "check")))"#);
    assert!(
        core_module.starts_with("cannot compile the plugin: "),
        "{core_module}"
    );
    for other in [
        "(component)",
        // A command for a shell.
        r#"(component
            (core module $m (func (export "run") (result i32) (i32.const 0)))
            (core instance $m (instantiate $m))
            (func $run (result (result)) (canon lift (core func $m "run")))
            (instance $i (export "run" (func $run)))
            (export "wasi:cli/run@0.2.0" (instance $i)))"#,
        // The right name for another function.
        r#"(component
            (core module $m (func (export "check") (result i32) (i32.const 0)))
            (core instance $m (instantiate $m))
            (func $check (result u32) (canon lift (core func $m "check")))
            (export "check" (func $check)))"#,
    ] {
        let said = refusal(other);
        assert!(
            said.starts_with("not a check plugin for this version: "),
            "{said}"
        );
    }
}
