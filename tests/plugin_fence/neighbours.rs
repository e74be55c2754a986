//! A daemon with checks that do their worst, and an honest one.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use catamaran::app::status::Status;
use catamaran::commands::lab::enclosure::FOLDER;

use super::HOSTILE;
use super::daemon::Daemon;
use super::enclosed::{enclosed, found};
use super::memory::peak_of;

/// Each with so many endpoints. One that connects at all connects to somebody
/// who says nothing.
const DEEDS: [&str; 6] = ["loop", "allocate", "log-flood", "connect-loop", "hold", "recurse"];
const HOSTILE_ENDPOINTS: usize = 40;
const HONEST_ENDPOINTS: usize = 20;

/// Answers every request; how many there were.
fn web() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::<AtomicUsize>::default();
    let seen = asked.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 1024];
            if stream.read(&mut request).is_ok_and(|read| read > 0) {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                // A probe may have been over by then.
                let _ = stream.write_all(answer);
                seen.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    (port, asked)
}

fn silent() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || listener.incoming().collect::<Vec<_>>());
    port
}

/// A pool and its check; `check` is the rest of that table.
fn pool(name: &str, net: usize, endpoints: usize, port: u16, check: &str) -> String {
    let endpoints: String = (1..=endpoints)
        .map(|host| format!("e{host} = '127.0.{net}.{host}:{port}'\n"))
        .collect();
    format!(
        "[listeners.{name}]\nbind = ['127.0.0.1:{}']\npool = '{name}'\n\
         [pools.{name}]\ncheck = '{name}'\n[pools.{name}.endpoints]\n{endpoints}\
         [checks.{name}]\n{check}\n",
        1000 + net
    )
}

#[test]
fn honest_check_keeps_its_schedule_and_the_daemon_its_size() {
    enclosed(async |mut world| {
        let lb = world.host("lb", &[]).unwrap();
        let ((web, asked), silent) = lb.within(|| (web(), silent()));
        let file = Path::new(FOLDER).join("hostile.wasm");
        fs::write(&file, HOSTILE).unwrap();
        let mut document = "[daemon]\nplugin-memory = '128MiB'\n".to_string();
        for (net, deed) in DEEDS.iter().enumerate() {
            let check = format!(
                "plugin = 'file:{}'\ntimeout = '1s'\ninterval = '1s'\nconfig = {{ do = '{deed}' }}",
                file.display()
            );
            document += &pool(deed, net + 1, HOSTILE_ENDPOINTS, silent, &check);
        }
        let honest = "plugin = 'http'\ntimeout = '1s'\ninterval = '1s'";
        document += &pool("honest", 100, HONEST_ENDPOINTS, web, honest);
        let daemon = Daemon::start_as(&lb, &document, None);

        let believed = |status: &Status, pool: &str, health: &str| {
            let pool = status.pools.iter().find(|one| one.name == pool).unwrap();
            let endpoints = pool.endpoints.iter();
            endpoints.filter(|endpoint| endpoint.health == health).count()
        };
        // Three probes in a row of each. One that only logs beyond measure comes to
        // an end, if there is time left for it.
        found("endpoints of hostile checks that are down", async || {
            let status = daemon.status().await?;
            let mut others = DEEDS.iter().filter(|deed| **deed != "log-flood");
            let are_down = |deed: &&str| believed(&status, deed, "down") == HOSTILE_ENDPOINTS;
            others.all(are_down).then_some(())
        })
        .await;
        let status = daemon.status().await.unwrap();
        assert_eq!(believed(&status, "honest", "up"), HONEST_ENDPOINTS);
        let asked = asked.load(Ordering::Relaxed);
        assert!(asked >= 2 * HONEST_ENDPOINTS, "{asked}");

        let log = fs::read_to_string(Path::new(FOLDER).join("lb.log")).unwrap();
        let lost = |line: &&str| line.contains("honest") && line.contains("down");
        assert_eq!(log.lines().find(lost), None);
        for (deed, verdict) in [("allocate", "memory-limit"), ("connect-loop", "denied")] {
            let named = |line: &str| line.contains(deed) && line.contains(verdict);
            assert!(log.lines().any(named), "{deed}: {verdict}");
        }
        // All that plugins may have, and as much for the daemon itself.
        let peak = peak_of(daemon.process.id());
        assert!((1..256 << 10).contains(&peak), "{peak} kB");
        daemon.stop();
    });
}
