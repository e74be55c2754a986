//! Another document for a running daemon: what changes, what does not notice,
//! and that a document that cannot be had changes nothing.

#[path = "support/daemon.rs"]
mod daemon;
#[path = "support/enclosed.rs"]
mod enclosed;

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use catamaran::app::status::Status;
use catamaran::commands::lab::enclosure::FOLDER;
use catamaran::commands::lab::world::{Host, World};
use catamaran::pure::digest::sha256;
use catamaran::shell::admin::Place;
use catamaran::shell::plugin_store::{Kept, standard};
use daemon::{Daemon, VIRTUAL, document, gains, has, hosts, loses, pair};
use enclosed::{PATIENCE, enclosed, found, run};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_catamaran");

fn file(host: &Host) -> PathBuf {
    Path::new(FOLDER).join(format!("{}.toml", host.name()))
}

fn log(host: &Host) -> String {
    fs::read_to_string(Path::new(FOLDER).join(format!("{}.log", host.name()))).unwrap()
}

/// Wait until the log of a daemon has so many lines like this.
async fn says(host: &Host, text: &str, times: usize) {
    found(&format!("{times} lines with {text:?}"), async || {
        let count = log(host).matches(text).count();
        assert!(count <= times, "{}", log(host));
        (count == times).then_some(())
    })
    .await;
}

/// Exit code, standard output, standard error.
fn told(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn asked(admin: &Place, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(BINARY);
    command.arg("reload").args(arguments).arg("--admin");
    told(
        command
            .arg(admin.to_string())
            .stdin(Stdio::null())
            .output()
            .unwrap(),
    )
}

/// Give a daemon this document, and see that it takes it; what it says of it.
fn reloaded(daemon: &Daemon, document: &str) -> (String, String) {
    fs::write(file(&daemon.host), document).unwrap();
    let (code, out, err) = asked(&daemon.admin, &[]);
    assert_eq!(code, Some(0), "{err}{}", log(&daemon.host));
    (out, err)
}

/// An endpoint that says who it is, one byte, and then echoes.
fn greeter(world: &mut World, name: &str, address: &str) -> Host {
    let host = world.host(name, &[&format!("{address}/24")]).unwrap();
    let listener = host.within(|| TcpListener::bind((address, 7))).unwrap();
    let own = name.as_bytes()[0];
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || {
                let mut stream = stream.unwrap();
                // Whoever resets the connection ends the echo.
                if stream.write_all(&[own]).is_ok() {
                    let mut copy = stream.try_clone().unwrap();
                    let _ = io::copy(&mut copy, &mut stream);
                    let _ = stream.shutdown(Shutdown::Write);
                }
            });
        }
    });
    host
}

/// A client's connection, and the endpoint that has it.
struct Connection {
    stream: TcpStream,
    endpoint: char,
}

impl Connection {
    fn to(client: &Host, address: &str) -> io::Result<Self> {
        let address: SocketAddr = address.parse().unwrap();
        let mut stream = client.within(|| TcpStream::connect_timeout(&address, PATIENCE))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut name = [0];
        stream.read_exact(&mut name)?;
        Ok(Self {
            stream,
            endpoint: name[0].into(),
        })
    }

    fn echoes(&mut self) {
        self.stream.write_all(b"still there?").unwrap();
        let mut answer = [0; 12];
        self.stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"still there?");
    }

    fn ends_in_a_reset(mut self) {
        let end = self.stream.read(&mut [0]).unwrap_err();
        assert_eq!(end.kind(), ErrorKind::ConnectionReset);
    }
}

/// The pool of every document here; no check, unless it is said.
const POOL: &str = r#"
[pools.web]
[pools.web.endpoints]
one = "192.0.2.11:7"
"#;

fn balancer(rest: &str) -> String {
    format!("[listeners.web]\nbind = [\"*:80\"]\npool = \"web\"\n{rest}")
}

/// A load balancer by this document, its endpoints `one` and `two`, and a client.
async fn started(world: &mut World, text: &str) -> (Daemon, Host) {
    let (lb, client) = hosts(world);
    greeter(world, "one", "192.0.2.11");
    greeter(world, "two", "192.0.2.12");
    // Documents without nodes are everybody's.
    let daemon = Daemon::start_as(&lb, text, None);
    ready(&daemon).await;
    (daemon, client)
}

async fn ready(daemon: &Daemon) -> Status {
    found("a daemon that is ready", async || {
        daemon.status().await.filter(|status| status.unready().is_none())
    })
    .await
}

#[test]
fn held_connection_survives_what_comes_and_goes_beside_it() {
    enclosed(async |mut world| {
        let before = format!(
            "[daemon]\ndrain-timeout = \"2s\"\n[listeners.old]\nbind = [\"*:81\"]\npool = \"web\"\n{}",
            balancer(POOL)
        );
        let (lb, client) = started(&mut world, &before).await;
        let mut held = Connection::to(&client, "192.0.2.1:80").unwrap();
        let mut leaving = Connection::to(&client, "192.0.2.1:81").unwrap();
        let after = before
            .replace("listeners.old", "listeners.new")
            .replace("81", "82")
            + "two = \"192.0.2.12:7\"\n";
        let (out, err) = reloaded(&lb, &after);
        assert_eq!(
            (out.as_str(), err.as_str()),
            (
                "listener old: removed\nlistener new: added\nendpoint web/two: added\n",
                ""
            )
        );
        held.echoes();
        leaving.echoes();
        let listeners: Vec<_> = ready(&lb)
            .await
            .listeners
            .into_iter()
            .map(|one| one.name)
            .collect();
        assert_eq!(listeners, ["new", "web"]);
        let mut served: Vec<_> = (0..2)
            .map(|_| Connection::to(&client, "192.0.2.1:82").unwrap().endpoint)
            .collect();
        served.sort_unstable();
        assert_eq!(served, ['o', 't']);
        let gone = Connection::to(&client, "192.0.2.1:81").err().unwrap();
        assert_eq!(gone.kind(), ErrorKind::ConnectionRefused);
        // The listener that went has had its time; the other connection has not.
        leaving.ends_in_a_reset();
        held.echoes();
        assert_eq!(reloaded(&lb, &after).0, "nothing has changed\n");
        held.echoes();
    });
}

#[test]
fn removed_endpoint_takes_no_more_connections_and_drains() {
    enclosed(async |mut world| {
        let both = balancer(POOL) + "two = \"192.0.2.12:7\"\n";
        let short = format!("[daemon]\ndrain-timeout = \"2s\"\n{both}");
        let (lb, client) = started(&mut world, &short).await;
        let mut held: Vec<_> = (0..2)
            .map(|_| Connection::to(&client, "192.0.2.1:80").unwrap())
            .collect();
        held.sort_by_key(|connection| connection.endpoint);
        let [mut one, mut two] = <[_; 2]>::try_from(held).ok().unwrap();
        assert_eq!((one.endpoint, two.endpoint), ('o', 't'));
        let (out, _) = reloaded(&lb, &short.replace("two = \"192.0.2.12:7\"\n", ""));
        assert_eq!(out, "endpoint web/two: removed\n");
        two.echoes();
        for _ in 0..4 {
            assert_eq!(Connection::to(&client, "192.0.2.1:80").unwrap().endpoint, 'o');
        }
        two.ends_in_a_reset();
        one.echoes();
        says(&lb.host, "cause=\"drained\"", 1).await;
    });
}

#[test]
fn sockets_that_a_listener_gets_are_open_before_those_that_it_loses_are_closed() {
    enclosed(async |mut world| {
        let (lb, client) = started(&mut world, &balancer(POOL)).await;
        let mut held = Connection::to(&client, "192.0.2.1:80").unwrap();
        // The same port, of one address and of all, in turn.
        for bind in [
            "\"192.0.2.1:80\"",
            "\"*:80\"",
            "\"192.0.2.1:80\", \"127.0.0.1:80\"",
        ] {
            let (out, _) = reloaded(&lb, &balancer(POOL).replace("\"*:80\"", bind));
            assert_eq!(out, "listener web: changed: bind\n");
            held.echoes();
            Connection::to(&client, "192.0.2.1:80").unwrap().echoes();
        }
        let bound = ready(&lb).await.listeners.remove(0).bound;
        assert_eq!(bound, ["192.0.2.1:80", "127.0.0.1:80"]);
    });
}

#[test]
fn wrong_document_is_told_as_check_tells_it_and_changes_nothing() {
    enclosed(async |mut world| {
        let (lb, client) = started(&mut world, &balancer(POOL)).await;
        let mut held = Connection::to(&client, "192.0.2.1:80").unwrap();
        let before = ready(&lb).await;
        let wrong = balancer(POOL).replace("192.0.2.11:7", "nowhere") + "[listeners.x]\nbnd = []\n";
        fs::write(file(&lb.host), wrong).unwrap();
        let check = Command::new(BINARY).arg("check").arg(file(&lb.host)).output();
        let (code, _, mistakes) = told(check.unwrap());
        assert_eq!(code, Some(2));
        assert_eq!(asked(&lb.admin, &[]), (Some(2), String::new(), mistakes));
        let (code, out, err) = asked(&lb.admin, &["--json"]);
        assert_eq!((code, err.as_str()), (Some(2), ""));
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(report["good"], json!(false));
        assert!(report["mistakes"].as_array().unwrap().len() > 1, "{out}");
        says(&lb.host, "not reloaded", 2).await;
        held.echoes();
        assert_eq!(
            ready(&lb).await.pools[0].endpoints[0].name,
            before.pools[0].endpoints[0].name
        );
        Connection::to(&client, "192.0.2.1:80").unwrap().echoes();
        fs::remove_file(file(&lb.host)).unwrap();
        let (code, _, err) = asked(&lb.admin, &[]);
        assert_eq!(code, Some(2));
        assert!(err.contains("No such file"), "{err}");
    });
}

#[test]
fn document_that_cannot_be_applied_changes_nothing() {
    enclosed(async |mut world| {
        let (lb, client) = started(&mut world, &balancer(POOL)).await;
        let mut held = Connection::to(&client, "192.0.2.1:80").unwrap();
        let _taken = lb.host.within(|| TcpListener::bind("0.0.0.0:83")).unwrap();
        let more = "two = \"192.0.2.12:7\"\n[listeners.free]\nbind = [\"*:82\"]\npool = \"web\"\n";
        let late = "[listeners.late]\nbind = [\"*:83\"]\npool = \"web\"\n";
        let lost = "[pools.x]\ncheck = \"x\"\n[pools.x.endpoints]\none = \"192.0.2.11:7\"\n\
                    [checks.x]\nplugin = \"file:/nowhere/x.wasm\"\n\
                    [listeners.x]\nbind = [\"*:84\"]\npool = \"x\"\n";
        let unreachable = lost.replace(
            "file:/nowhere/x.wasm",
            &format!("oci:127.0.0.1:9/checks/x@sha256:{}", "ab".repeat(32)),
        );
        for (document, reason) in [
            (late, "listener late: cannot bind *:83"),
            (lost, "/nowhere/x.wasm"),
            (
                &*unreachable,
                "check x: cannot fetch its plugin 127.0.0.1:9/checks/x@sha256:",
            ),
        ] {
            fs::write(file(&lb.host), balancer(POOL) + more + document).unwrap();
            let (code, out, err) = asked(&lb.admin, &[]);
            assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
            assert!(err.contains(reason), "{err}");
            held.echoes();
            let status = ready(&lb).await;
            assert_eq!((status.listeners.len(), status.pools.len()), (1, 1));
            assert_eq!(status.pools[0].endpoints.len(), 1);
            let free = Connection::to(&client, "192.0.2.1:82").err().unwrap();
            assert_eq!(free.kind(), ErrorKind::ConnectionRefused);
        }
        reloaded(&lb, &(balancer(POOL) + more));
        Connection::to(&client, "192.0.2.1:82").unwrap().echoes();
        held.echoes();
    });
}

/// A plugin as a start keeps it that has fetched it; how a document pins it.
fn kept(folder: &Path, component: &[u8]) -> String {
    let blob = |kind: &str, bytes: &[u8]| json!({ "mediaType": kind, "digest": sha256(bytes).to_string(), "size": bytes.len() });
    let layer = blob("application/wasm", component);
    let config = blob("application/vnd.oci.empty.v1+json", b"{}");
    let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [layer] }).to_string();
    Kept::new(folder).keep(manifest.as_bytes(), component).unwrap();
    format!(
        "oci:registry.example.test/checks/own@{}",
        sha256(manifest.as_bytes())
    )
}

#[test]
fn plugin_of_a_registry_comes_with_a_reload() {
    enclosed(async |mut world| {
        let folder = Path::new(FOLDER).join("kept");
        let pinned = kept(&folder, standard("tcp").unwrap());
        let daemon = format!("[daemon]\nplugin-cache = \"{}\"\n", folder.display());
        let (lb, client) = started(&mut world, &(balancer(POOL) + &daemon)).await;
        let checked = POOL.replace("[pools.web]\n", "[pools.web]\ncheck = \"own\"\n");
        let check = format!("[checks.own]\nplugin = \"{pinned}\"\n");
        let (out, err) = reloaded(&lb, &(balancer(&checked) + &check + &daemon));
        assert!(out.contains("check own: added"), "{out}");
        assert_eq!(err, "");
        found("an endpoint that the plugin found healthy", async || {
            let pool = ready(&lb).await.pools.remove(0);
            (pool.endpoints[0].health == "up").then_some(())
        })
        .await;
        Connection::to(&client, "192.0.2.1:80").unwrap().echoes();

        // What runs is not looked for again.
        fs::remove_dir_all(&folder).unwrap();
        let other = check.replace("[checks.own]\n", "[checks.own]\nrise = 1\n");
        let (out, _) = reloaded(&lb, &(balancer(&checked) + &other + &daemon));
        assert!(out.contains("check own: changed: rise"), "{out}");
    });
}

#[test]
fn document_that_is_no_file_cannot_be_read_again() {
    enclosed(async |mut world| {
        let (host, _) = hosts(&mut world);
        let place = Place::Abstract("catamaran".into());
        for arguments in [&[][..], &["-c", "-"]] {
            let mut command = Command::new(BINARY);
            command
                .arg("run")
                .args(arguments)
                .env("CATAMARAN_ADMIN", place.to_string());
            command.stdin(Stdio::piped()).stderr(Stdio::null());
            if arguments.is_empty() {
                command.env("CATAMARAN_DOCUMENT", balancer(POOL));
            }
            let mut child = host.within(|| command.spawn()).unwrap();
            child
                .stdin
                .take()
                .unwrap()
                .write_all(balancer(POOL).as_bytes())
                .unwrap();
            let ask = || host.within(|| asked(&place, &[]));
            let (code, err) = found("an answer", async || {
                let (code, _, err) = ask();
                (!err.contains("no daemon listens")).then_some((code, err))
            })
            .await;
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(code, Some(1));
            assert!(err.contains("cannot be read again: restart the daemon"), "{err}");
        }
    });
}

#[test]
fn hangup_reloads_and_what_needs_a_restart_is_named() {
    enclosed(async |mut world| {
        let (lb, _) = started(&mut world, &balancer(POOL)).await;
        fs::write(file(&lb.host), balancer(POOL) + "two = \"192.0.2.12:7\"\n").unwrap();
        lb.signal(Signal::SIGHUP);
        found("the other endpoint", async || {
            (lb.status().await?.pools[0].endpoints.len() == 2).then_some(())
        })
        .await;
        let (out, err) = reloaded(&lb, &format!("[daemon]\nthreads = 7\n{}", balancer(POOL)));
        assert_eq!(out, "endpoint web/two: removed\n");
        assert_eq!(err, "warning: daemon.threads stays as it was: restart to apply\n");
        let (_, out, _) = asked(&lb.admin, &["--json"]);
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(
            report,
            json!({ "steps": [], "restart": ["daemon.threads"], "cautions": [], "warnings": [] })
        );
    });
}

const CHECKED: &str = r#"
[listeners.web]
bind = ["*:80"]
pool = "web"
[pools.web]
check = "tcp"
[pools.web.endpoints]
one = "192.0.2.11:7"
dead = "192.0.2.11:9"
[checks.tcp]
plugin = "tcp"
interval = "100ms"
timeout = "50ms"
rise = 2
fall = 2
"#;

#[test]
fn beliefs_outlive_a_reload_and_another_check() {
    enclosed(async |mut world| {
        let (lb, client) = started(&mut world, CHECKED).await;
        let health = async || -> Vec<String> {
            let endpoints = ready(&lb).await.pools.remove(0).endpoints;
            endpoints.into_iter().map(|one| one.health).collect()
        };
        assert_eq!(health().await, ["up", "down"]);
        let two = CHECKED.replace("[checks.tcp]", "two = \"192.0.2.12:7\"\n[checks.tcp]");
        reloaded(&lb, &two);
        // What is new has been probed by the time that it takes connections.
        assert_eq!(health().await, ["up", "down", "up"]);
        says(&lb.host, ": endpoint is ", 3).await;
        let (out, _) = reloaded(
            &lb,
            &two.replace("100ms", "70ms")
                .replace("plugin = \"tcp\"", "plugin = \"http\""),
        );
        assert_eq!(
            out,
            "check tcp: changed: plugin, interval, fast-interval, down-interval\n"
        );
        assert_eq!(health().await, ["up", "down", "up"]);
        // They speak no HTTP, which takes as many findings as at any other time.
        found("the new check's word", async || {
            (health().await == ["down", "down", "down"]).then_some(())
        })
        .await;
        says(&lb.host, ": endpoint is ", 5).await;
        let line = log(&lb.host);
        let last = line
            .lines()
            .rfind(|line| line.contains("endpoint is down"))
            .unwrap();
        assert!(last.contains("probes=2"), "{last}");
        // A pool without a check believes all of them.
        reloaded(&lb, &two.replace("check = \"tcp\"\n", ""));
        assert_eq!(health().await, ["up", "up", "up"]);
        Connection::to(&client, "192.0.2.1:80").unwrap();
    });
}

#[test]
fn files_that_the_document_names_are_read_again() {
    enclosed(async |mut world| {
        let plugin = Path::new(FOLDER).join("check.wasm");
        let built = |name: &str| {
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("plugins/built")
                .join(format!("{name}.wasm"))
        };
        fs::copy(built("tcp"), &plugin).unwrap();
        let document = CHECKED.replace(
            "\"tcp\"\ninterval",
            &format!("\"file:{}\"\ninterval", plugin.display()),
        );
        let (lb, _) = started(&mut world, &document).await;
        assert_eq!(reloaded(&lb, &document).0, "nothing has changed\n");
        fs::copy(built("http"), &plugin).unwrap();
        assert_eq!(reloaded(&lb, &document).0, "check tcp: changed: files\n");
        found("the new plugin's word", async || {
            let endpoints = lb.status().await?.pools.remove(0).endpoints;
            endpoints.iter().all(|one| one.health == "down").then_some(())
        })
        .await;
        fs::write(&plugin, "no plugin").unwrap();
        let (code, _, err) = asked(&lb.admin, &[]);
        assert_eq!(code, Some(1));
        assert!(err.contains("check tcp: cannot compile the plugin"), "{err}");
    });
}

/// Says when it is over.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

const RELOADS: usize = 24;

/// Requests from one reload to the next.
const BETWEEN_RELOADS: usize = 300;

#[test]
fn clients_under_load_do_not_notice_reloads() {
    enclosed(async |mut world| {
        let replaced = |names: &[&str]| {
            let endpoint = |name: &&str| {
                let last = if *name == "one" { 11 } else { 12 };
                format!("{name} = \"192.0.2.{last}:7\"\n")
            };
            let endpoints: String = names.iter().map(endpoint).collect();
            CHECKED.replace("one = \"192.0.2.11:7\"\ndead = \"192.0.2.11:9\"\n", &endpoints)
        };
        let settings = replaced(&["one", "two"])
            .replace(
                "pool = \"web\"",
                "pool = \"web\"\nidle-timeout = \"1m\"\nlog = false",
            )
            .replace(
                "check = \"tcp\"",
                "check = \"tcp\"\nbalance = \"least-connections\"\nretries = 1",
            );
        let more = replaced(&["two", "one"])
            .replace("\"*:80\"", "\"*:80\", \"*:81\"")
            .replace("rise = 2", "rise = 3");
        // All endpoints are others, then back, with all else that can change.
        let documents = [replaced(&["one"]), replaced(&["two"]), settings, more];
        let (lb, client) = started(&mut world, &documents[0]).await;
        let (over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
        let failed = Mutex::new(Vec::<String>::new());
        let request = || -> io::Result<()> {
            let mut connection = Connection::to(&client, "192.0.2.1:80")?;
            connection.stream.write_all(b"ask")?;
            connection.stream.shutdown(Shutdown::Write)?;
            let mut answer = String::new();
            connection.stream.read_to_string(&mut answer)?;
            match answer.as_str() {
                "ask" => Ok(()),
                other => Err(io::Error::other(other)),
            }
        };
        thread::scope(|scope| {
            // Also when a reload fails.
            let _ends = Ends(&over);
            for _ in 0..4 {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        match request() {
                            Ok(()) => drop(served.fetch_add(1, Ordering::Relaxed)),
                            Err(error) => failed.lock().unwrap().push(error.to_string()),
                        }
                    }
                });
            }
            for document in documents.iter().cycle().skip(1).take(RELOADS) {
                let until = served.load(Ordering::Relaxed) + BETWEEN_RELOADS;
                let began = Instant::now();
                while served.load(Ordering::Relaxed) < until {
                    let so_far = failed.lock().unwrap().clone();
                    assert_eq!(so_far, [""; 0]);
                    assert!(began.elapsed() < PATIENCE, "nobody is served");
                    thread::sleep(Duration::from_millis(1));
                }
                reloaded(&lb, document);
            }
        });
        assert_eq!(failed.into_inner().unwrap(), [""; 0]);
        let served = served.into_inner();
        assert!(served >= RELOADS * BETWEEN_RELOADS, "{served}");
        assert_eq!(log(&lb.host).matches("endpoint is down").count(), 0);
    });
}

const FRONT: &str = r#"
[listeners.front]
bind = ["*:80"]
pool = "web"
[pools.web]
[pools.web.endpoints]
one = "192.0.2.11:7"
"#;

#[test]
fn priority_that_is_raised_moves_the_address_and_disturbs_nothing_else() {
    enclosed(async |mut world| {
        greeter(&mut world, "one", "192.0.2.11");
        let client = world.host("client", &["192.0.2.9/24"]).unwrap();
        let (a, b) = pair(&mut world, &document(FRONT)).await;
        let mut own = Connection::to(&client, "192.0.2.2:80").unwrap();
        let (before_a, before_b) = (a.is("active").await, b.is("backup").await);
        let raised = document(FRONT).replace("priority = 100", "priority = 250");
        let (out, _) = reloaded(&b, &raised);
        assert_eq!(out, "virtual router front: changed: priority\n");
        let router = b.is("active").await;
        assert_eq!((router.priority, router.counters["became-active"]), (250, 1));
        let router = a.is("backup").await;
        assert!(router.why.contains("advertises priority 250"), "{}", router.why);
        gains(&b.host, VIRTUAL).await;
        loses(&a.host, VIRTUAL).await;
        own.echoes();
        assert_eq!(reloaded(&a, &raised).0, "virtual router front: changed: nodes\n");
        a.is("backup").await;
        Connection::to(&client, &format!("{VIRTUAL}:80"))
            .unwrap()
            .echoes();
        let faults = |router: &catamaran::app::election::status::RouterStatus| {
            ["two-active", "put-back", "faults", "interval-differs"]
                .map(|word| router.counters.get(word).copied())
        };
        assert_eq!(faults(&a.is("backup").await), faults(&before_a));
        assert_eq!(faults(&b.is("active").await), faults(&before_b));
    });
}

#[test]
fn address_comes_and_goes_while_the_other_one_stays() {
    enclosed(async |mut world| {
        greeter(&mut world, "one", "192.0.2.11");
        let client = world.host("client", &["192.0.2.9/24"]).unwrap();
        let (a, b) = pair(&mut world, &document(FRONT)).await;
        let mut held = Connection::to(&client, &format!("{VIRTUAL}:80")).unwrap();
        let two = document(FRONT).replace("\"192.0.2.250/24\"", "\"192.0.2.250/24\", \"192.0.2.251/24\"");
        for daemon in [&b, &a] {
            let (out, _) = reloaded(daemon, &two);
            assert_eq!(out, "virtual router front: changed: addresses\n");
        }
        gains(&a.host, "192.0.2.251").await;
        let mut leaving = Connection::to(&client, "192.0.2.251:80").unwrap();
        leaving.echoes();
        held.echoes();
        for daemon in [&b, &a] {
            reloaded(daemon, &document(FRONT));
        }
        loses(&a.host, "192.0.2.251").await;
        // It is reset while that still can be said from the address.
        leaving.ends_in_a_reset();
        held.echoes();
        let router = a.is("active").await;
        assert_eq!(router.counters["became-active"], 1);
        assert_eq!(router.counters.get("put-back"), None);
        assert!(has(&a.host, VIRTUAL));
        b.is("backup").await;
    });
}

#[test]
fn interval_is_another_without_a_change_of_the_active() {
    enclosed(async |mut world| {
        let (a, b) = pair(&mut world, &document("")).await;
        let slow = document("").replace("100ms", "300ms");
        for daemon in [&a, &b] {
            let (out, err) = reloaded(daemon, &slow);
            assert_eq!(
                (out.as_str(), err.as_str()),
                ("virtual router front: changed: advertisement-interval\n", "")
            );
        }
        let before = b.is("backup").await;
        let later = b
            .router("advertisements of two seconds", |router| {
                router.counters["received"] > before.counters["received"] + 6
            })
            .await;
        assert_eq!((later.state.as_str(), later.since), ("backup", before.since));
        assert_eq!(a.is("active").await.counters["became-active"], 1);
        // It is what a backup waits by, too.
        a.signal(Signal::SIGKILL);
        b.is("active").await;
    });
}

#[test]
fn removed_virtual_router_hands_over_and_leaves_nothing_and_an_added_one_takes_part() {
    enclosed(async |mut world| {
        greeter(&mut world, "one", "192.0.2.11");
        let (a, b) = pair(&mut world, &document(FRONT)).await;
        let without = daemon::NODES.to_string() + FRONT;
        let (out, _) = reloaded(&a, &without);
        assert_eq!(out, "virtual router front: removed\n");
        let router = b.is("active").await;
        assert_eq!(router.why, "192.0.2.1 left");
        loses(&a.host, VIRTUAL).await;
        assert_eq!(ready(&a).await.virtual_routers, []);
        let (out, _) = reloaded(&a, &document(FRONT));
        assert_eq!(out, "virtual router front: added\n");
        a.is("active").await;
        b.is("backup").await;
        gains(&a.host, VIRTUAL).await;
        a.stop();
    });
}

#[test]
fn first_virtual_router_begins_elections_and_another_identifier_is_another_router() {
    enclosed(async |mut world| {
        greeter(&mut world, "one", "192.0.2.11");
        let (host, _) = hosts(&mut world);
        let lb = Daemon::start(&host, &(daemon::NODES.to_string() + FRONT));
        ready(&lb).await;
        reloaded(&lb, &document(FRONT));
        let router = lb.is("active").await;
        assert_eq!(router.vrid, 51);
        gains(&host, VIRTUAL).await;
        let (out, _) = reloaded(&lb, &document(FRONT).replace("vrid = 51", "vrid = 52"));
        assert_eq!(out, "virtual router front: replaced: vrid\n");
        let router = lb.is("active").await;
        assert_eq!(router.vrid, 52);
        gains(&host, VIRTUAL).await;
        lb.stop();
        assert!(!has(&host, VIRTUAL));
    });
}

#[test]
fn virtual_mac_leaves_no_interface_when_its_router_is_removed() {
    enclosed(async |mut world| {
        let with = document(FRONT).replace("vrid = 51", "vrid = 51\nvirtual-mac = true");
        let (a, _b) = pair(&mut world, &with).await;
        assert!(run(&a.host, "ip link show").contains("vr4-33-"));
        reloaded(&a, &(daemon::NODES.to_string() + FRONT));
        found("no interface of a virtual router", async || {
            (!run(&a.host, "ip link show").contains("vr4-33-")).then_some(())
        })
        .await;
        a.stop();
    });
}

#[test]
fn condition_that_fails_goes_on_failing_whatever_else_is_tracked() {
    enclosed(async |mut world| {
        let missing = format!("{FOLDER}/missing");
        let track = |rest: &str| {
            let one = format!("track = [{{ file = \"{missing}\", weight = -150 }}{rest}]\n");
            document("").replace("vrid = 51\n", &format!("vrid = 51\n{one}"))
        };
        let (host_a, host_b) = hosts(&mut world);
        let a = Daemon::start(&host_a, &track(""));
        let b = Daemon::start(&host_b, &document(""));
        b.is("active").await;
        a.router("a lower priority", |router| router.priority == 50).await;
        let before = a.is("backup").await;
        fs::write(
            file(&host_a),
            track(&format!(", {{ interface = \"{}\" }}", "ens32")),
        )
        .unwrap();
        assert_eq!(asked(&a.admin, &[]).1, "virtual router front: changed: track\n");
        let router = a.is("backup").await;
        assert_eq!((router.priority, router.since), (50, before.since));
        // Neither of them ever thought otherwise.
        assert_eq!(b.is("active").await.counters["became-active"], 1);
        fs::write(&missing, "").unwrap();
        a.is("active").await;
        fs::write(file(&host_a), document("")).unwrap();
        asked(&a.admin, &[]);
        fs::remove_file(&missing).unwrap();
        assert_eq!(a.is("active").await.lowered_by, [""; 0]);
    });
}
