//! The standard plugins against the exchanges that lie beside their sources,
//! and the player itself against plugins that do something else.

use std::fs;
use std::path::Path;

use catamaran::commands::plugin::test::{replay, replay_folder};
use catamaran::pure::exchange::file::Exchange;
use catamaran::shell::plugin_store;
use catamaran::shell::wasm::{Host, Plugin};

fn standard(name: &str) -> Plugin {
    let bytes = plugin_store::standard(name).expect("a standard plugin");
    let host = Host::new(None, 1 << 30).unwrap();
    host.load(bytes, 16 << 20, &mut |warning| panic!("{warning}"))
        .unwrap()
}

async fn faults(plugin: &str, exchange: &str) -> Vec<String> {
    let exchange = Exchange::read(exchange).unwrap();
    replay(&standard(plugin), &exchange).await
}

#[test]
fn standard_plugins_do_what_their_exchanges_say() {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins");
    let mut wrong = Vec::new();
    let mut replayed = 0;
    for (name, _) in plugin_store::STANDARD {
        let folder = plugins.join(name).join("exchanges");
        if !folder.is_dir() {
            continue;
        }
        for (file, faults) in replay_folder(&standard(name), &folder).unwrap() {
            replayed += 1;
            if !faults.is_empty() {
                wrong.push(format!("{name}/exchanges/{file}: {}", faults.join("\n")));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert!(replayed >= 6, "only {replayed} exchanges");
}

#[test]
fn every_folder_of_exchanges_belongs_to_a_standard_plugin() {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins");
    for entry in fs::read_dir(plugins).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let replayed = plugin_store::standard(name).is_some();
        assert!(
            replayed || !path.join("exchanges").is_dir(),
            "nobody replays {}",
            path.display()
        );
    }
}

#[tokio::test]
async fn other_bytes_are_told_with_both_sides() {
    let faults = faults(
        "tcp",
        r#"
        config = { send = "PINK\r\n", expect = "PONG" }
        verdict = "healthy"
        [[connections]]
        steps = [{ plugin = "PING\r\n" }, { endpoint = "PONG" }]"#,
    )
    .await;
    let [place, verdict] = &faults[..] else {
        panic!("{faults:?}")
    };
    assert_eq!(
        place,
        "connection 1: step 1: another byte at offset 3\n  sent:   \"K\\r\\n\"\n  wanted: \"G\\r\\n\""
    );
    assert!(verdict.starts_with("the verdict is closed"), "{verdict}");
}

#[tokio::test]
async fn other_request_is_told() {
    let faults = faults(
        "http",
        r#"
        config = { path = "/livez" }
        verdict = "healthy"
        [[connections]]
        steps = [{ plugin = "GET /readyz HTTP/1.1\r\n<any>\r\n\r\n" }, { endpoint = "HTTP/1.1 200 OK\r\n\r\n" }]"#,
    )
    .await;
    assert!(faults[0].contains("another byte at offset 5"), "{faults:?}");
}

#[tokio::test]
async fn silence_lasts_until_the_time_is_over() {
    let exchange = r#"
        config = { expect = "PONG" }
        timeout = "50ms"
        verdict = "timed-out"
        detail = "waiting for bytes"
        [[connections]]
        steps = [{ endpoint = "PO" }, "silence"]"#;
    assert_eq!(faults("tcp", exchange).await, Vec::<String>::new());
}

#[tokio::test]
async fn ends_of_connections_have_their_causes() {
    for (connection, verdict) in [
        ("refuse = true", "refused"),
        ("steps = [\"reset\"]", "closed"),
        ("steps = [\"close\"]", "unhealthy"),
    ] {
        let exchange = format!(
            "config = {{ expect = \"PONG\" }}\nverdict = \"{verdict}\"\n[[connections]]\n{connection}"
        );
        assert_eq!(
            faults("tcp", &exchange).await,
            Vec::<String>::new(),
            "{connection}"
        );
    }
}

#[tokio::test]
async fn another_verdict_text_and_connection_are_told() {
    let faults = faults(
        "tcp",
        "verdict = \"degraded\"\ndetail = \"slow\"\nabout = \"why\"\n[[connections]]\n[[connections]]",
    )
    .await;
    assert_eq!(faults[0], "why");
    assert_eq!(faults[1], "the plugin opened 1 connections; the exchange has 2");
    assert!(faults[2].contains("wanted is degraded"), "{faults:?}");
    assert!(faults[3].contains("\"slow\" does not appear"), "{faults:?}");
}

#[test]
fn example_of_the_guide_is_one() {
    let guide = include_str!("../plugins/README.md");
    let (_, after) = guide.split_once("## Recorded exchanges").expect("the section");
    let (_, after) = after.split_once("```toml\n").expect("an example");
    let (example, _) = after.split_once("```").expect("its end");
    let exchange = Exchange::read(example).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(exchange.connections.len(), 2);
}
