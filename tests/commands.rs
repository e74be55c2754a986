//! `check`, `schema`, `probe` and `run` as whoever types them sees them.

#[path = "support/installed.rs"]
mod installed;

use std::fs;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use installed::skipped;
use serde_json::{Value, json};
use tempfile::TempDir;

fn catamaran<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_catamaran"));
    command
        .args(arguments)
        .env_remove("CATAMARAN_DOCUMENT")
        .env_remove("CATAMARAN_ADMIN")
        .stdin(Stdio::null());
    command
}

/// Exit code, standard output, standard error.
fn told(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn run<'a>(arguments: impl IntoIterator<Item = &'a str>) -> (Option<i32>, String, String) {
    told(catamaran(arguments).output().unwrap())
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A document of `tests/config`.
fn document(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/config")
        .join(name)
}

/// A document with this text, for as long as the folder is kept.
fn written(text: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cluster.toml");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_string();
    (folder, path)
}

/// A loopback address that no other process of these tests has.
fn own_address() -> Ipv4Addr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 128 | high, middle, low)
}

/// A port that accepts, by the kernel's hand, and never answers.
fn silent() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address on which nobody listens.
fn nobody() -> SocketAddr {
    silent().1
}

#[test]
fn check_of_a_good_document_sums_it_up() {
    let path = document("valid/founding.toml");
    let path = path.to_str().unwrap();
    let (code, out, err) = run(["check", path]);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("warning: checks.apiserver.tls.verify"), "{err}");
    assert!(
        out.starts_with(&format!("{path}: good: ")) && out.contains("3 endpoints"),
        "{out}"
    );
    let (code, out, _) = run(["check", "--json", path]);
    assert_eq!((code, &parsed(&out)["good"]), (Some(0), &Value::Bool(true)));
}

#[test]
fn check_prints_the_document_with_its_defaults() {
    let path = document("valid/plain-balancer.toml");
    let (code, out, _) = run(["check", "--effective", path.to_str().unwrap()]);
    let expected = fs::read_to_string(document("valid/plain-balancer.effective.toml")).unwrap();
    assert_eq!((code, out.trim_end()), (Some(0), expected.trim_end()));
    let (code, out, _) = run(["check", "--effective", "--json", path.to_str().unwrap()]);
    assert_eq!(code, Some(0));
    assert!(parsed(&out)["pools"].is_object(), "{out}");
}

#[test]
fn check_tells_every_mistake_and_exits_with_two() {
    let path = document("invalid/everything-at-once.toml");
    let expected = fs::read_to_string(document("invalid/everything-at-once.err")).unwrap();
    let (code, out, err) = run(["check", path.to_str().unwrap()]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    for line in expected.lines().filter(|line| !line.contains(".toml:")) {
        assert!(err.contains(line), "{line:?} is not in\n{err}");
    }
    let (code, out, err) = run(["check", "--json", path.to_str().unwrap()]);
    let report = parsed(&out);
    assert_eq!(
        (code, err.as_str(), &report["good"]),
        (Some(2), "", &Value::Bool(false))
    );
    let mistakes = report["mistakes"].as_array().unwrap();
    assert!(mistakes.len() > 3, "{out}");
    for mistake in mistakes {
        assert!(
            mistake["line"].is_u64() && mistake["column"].is_u64(),
            "{mistake}"
        );
    }
}

#[test]
fn check_reads_standard_input() {
    let mut child = catamaran(["check", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = fs::read(document("valid/json-founding.json")).unwrap();
    child.stdin.take().unwrap().write_all(&text).unwrap();
    let (code, out, err) = told(child.wait_with_output().unwrap());
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("<stdin>: good"), "{out}");
}

#[test]
fn document_in_the_environment_is_read_like_a_file() {
    let text = fs::read_to_string(document("valid/json-founding.json")).unwrap();
    let check = |text: &str| {
        let mut command = catamaran(["check"]);
        told(command.env("CATAMARAN_DOCUMENT", text).output().unwrap())
    };
    let (code, out, err) = check(&text);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("CATAMARAN_DOCUMENT: good"), "{out}");

    let wrong =
        "[listeners.web]\nbind = [\"*:80\"]\npol = \"web\"\n[pools.web.endpoints]\none = \"10.0.0.1:80\"\n";
    for command in [
        &["check"][..],
        &["run"],
        &["probe"],
        &["image", "manifest", "compose"],
    ] {
        let mut command = catamaran(command.iter().copied());
        let (code, out, err) = told(command.env("CATAMARAN_DOCUMENT", wrong).output().unwrap());
        assert_eq!((code, out.as_str()), (Some(2), ""), "{command:?}");
        assert!(
            err.contains("CATAMARAN_DOCUMENT:3:1") && err.contains("3 | pol = \"web\""),
            "{command:?}: {err}"
        );
    }
}

#[test]
fn document_that_is_named_comes_before_the_environment() {
    let path = document("valid/plain-balancer.toml");
    let named = |variable: &str| {
        let mut command = catamaran(["check", path.to_str().unwrap()]);
        told(command.env("CATAMARAN_DOCUMENT", variable).output().unwrap())
    };
    let (code, out, _) = named("nonsense");
    assert_eq!(code, Some(0));
    assert!(out.contains("plain-balancer.toml: good"), "{out}");
    // Nothing is named here, and an empty variable is none.
    let mut command = catamaran(["check"]);
    let (_, out, err) = told(command.env("CATAMARAN_DOCUMENT", "").output().unwrap());
    assert!((out + &err).contains("/etc/catamaran/cluster.toml"), "{err}");
}

#[test]
fn document_that_is_not_there_is_named() {
    for command in [&["check"][..], &["run", "-c"], &["probe", "-c"]] {
        let (code, out, err) = run(command.iter().copied().chain(["/nowhere/cluster.toml"]));
        assert_eq!((code, out.as_str()), (Some(2), ""), "{command:?}");
        assert!(err.contains("/nowhere/cluster.toml"), "{command:?}: {err}");
    }
    let (code, out, _) = run(["check", "--json", "/nowhere/cluster.toml"]);
    assert_eq!((code, &parsed(&out)["good"]), (Some(2), &Value::Bool(false)));
}

#[test]
fn schema_describes_every_table() {
    let (code, out, err) = run(["schema"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let schema = parsed(&out);
    for table in [
        "nodes",
        "virtual-routers",
        "listeners",
        "pools",
        "checks",
        "daemon",
    ] {
        assert!(
            schema["properties"][table]["description"].is_string(),
            "{table}: {schema:#}"
        );
    }
}

#[test]
fn probe_tells_verdict_reason_and_time() {
    let (_listener, address) = silent();
    let address = address.to_string();
    let (code, out, err) = run(["probe", "--plugin", "tcp", "--endpoint", &address]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(
        out.starts_with("pool/endpoint") && out.contains(" ms  healthy"),
        "{out}"
    );

    let refusing = nobody().to_string();
    let (code, out, err) = run(["probe", "--plugin", "tcp", "--endpoint", &refusing, "--json"]);
    assert_eq!((code, err.as_str()), (Some(1), ""));
    let probe = &parsed(&out)[0];
    assert_eq!(
        (&probe["cause"], &probe["success"], &probe["address"]),
        (&"refused".into(), &false.into(), &refusing.into())
    );
    assert!(probe["took-ms"].is_f64(), "{probe}");
}

#[test]
fn probe_takes_the_configuration_and_the_time_it_is_given() {
    let (_listener, address) = silent();
    let probe = |arguments: &[&str]| {
        let address = address.to_string();
        let (code, out, err) = run(["probe", "--endpoint", &address]
            .into_iter()
            .chain(arguments.iter().copied()));
        (code, out + &err)
    };
    let (code, told) = probe(&["--plugin", "http", "--timeout", "100ms"]);
    assert_eq!(code, Some(1));
    assert!(told.contains("timed-out"), "{told}");
    let (code, told) = probe(&["--plugin", "http", "--config", r#"{"pth":"/"}"#]);
    assert_eq!(code, Some(2));
    assert_eq!(
        told,
        "catamaran: config.pth: the plugin knows no key \"pth\"; did you mean \"path\"?\n"
    );
    let (code, told) = probe(&["--plugin", "http", "--config", "path=/"]);
    assert_eq!(code, Some(2));
    assert!(told.contains("not JSON"), "{told}");
    let (code, told) = probe(&["--plugin", "htp"]);
    assert_eq!(code, Some(2));
    assert!(told.contains("http"), "{told}");
    let (code, told) = probe(&["--plugin", "tcp", "--server-name", "a.example"]);
    assert_eq!(code, Some(2));
    assert!(told.contains("--tls"), "{told}");
}

#[test]
fn probe_runs_the_checks_of_a_document() {
    let (_listener, good) = silent();
    let (_folder, path) = written(&format!(
        "[listeners.a]\nbind = [\"127.0.0.1:1\"]\npool = \"a\"\n\
         [pools.a]\ncheck = \"tcp\"\n[pools.a.endpoints]\ngood = \"{good}\"\nbad = \"{}\"\n\
         [checks.tcp]\nplugin = \"tcp\"\n",
        nobody()
    ));
    let (code, out, err) = run(["probe", "-c", &path]);
    assert_eq!((code, err.as_str()), (Some(1), ""));
    let lines: Vec<_> = out.lines().collect();
    assert!(
        lines[0].starts_with("a/good") && lines[0].contains("healthy"),
        "{out}"
    );
    assert!(
        lines[1].starts_with("a/bad") && lines[1].contains("refused"),
        "{out}"
    );
    for (only, expected) in [("a/good", 0), ("a/bad", 1), ("a", 1), ("b", 2), ("a/ugly", 2)] {
        let (code, ..) = run(["probe", "-c", &path, only]);
        assert_eq!(code, Some(expected), "{only}");
    }
}

/// `catamaran run` under `timeout`, which passes signals on and ends it when
/// it hangs, even if this test has ended before.
struct Daemon {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Daemon {
    fn start(document: &str) -> Self {
        Self::start_with(&["-c", document], &[])
    }

    fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new("timeout")
            .args(["--kill-after=5s", "60s", env!("CARGO_BIN_EXE_catamaran")])
            .args(["run", "--log-format", "json"])
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Read its log up to the line with this message and give its fields; the
    /// log ends when the daemon does.
    fn read_until(&mut self, message: &str) -> Value {
        let mut told = String::new();
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            let fields = parsed(&line)["fields"].take();
            if fields["message"] == message {
                return fields;
            }
            told += &format!("{line}\n");
        }
        panic!("{message:?} was not said, but:\n{told}");
    }

    fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
    }

    /// Its exit code, which must come by itself.
    fn ended(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

#[test]
fn sigterm_before_the_first_probe_has_ended_ends_the_daemon() {
    let (_listener, silent) = silent();
    let (_folder, path) = written(&format!(
        "[listeners.a]\nbind = [\"{}:1001\"]\npool = \"a\"\n\
         [pools.a]\ncheck = \"web\"\n[pools.a.endpoints]\nsilent = \"{silent}\"\n\
         [checks.web]\nplugin = \"http\"\ninterval = \"60s\"\ntimeout = \"60s\"\n",
        own_address()
    ));
    let mut daemon = Daemon::start(&path);
    daemon.read_until("listening");
    daemon.terminate();
    daemon.read_until("stopped");
    assert_eq!(daemon.ended(), Some(0));
}

#[test]
fn time_to_stop_is_cut_short_for_those_who_would_kill() {
    let (listener, endpoint) = silent();
    let front = SocketAddr::from((own_address(), 1005));
    let (_folder, path) = written(&format!(
        "[daemon]\ndrain-timeout = \"10m\"\n[listeners.a]\nbind = [\"{front}\"]\npool = \"a\"\n\
         [pools.a.endpoints]\none = \"{endpoint}\"\n",
    ));
    let mut daemon = Daemon::start_with(&["-c", &path], &[("CATAMARAN_STOP_WITHIN", "100ms")]);
    daemon.read_until("ready");
    let mut client = TcpStream::connect(front).unwrap();
    let _served = listener.accept().unwrap();
    daemon.terminate();
    assert_eq!(daemon.read_until("stopped")["reset"], 1);
    assert_eq!(daemon.ended(), Some(0));
    let end = client.read(&mut [0]).unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn connection_leaves_a_line_that_tells_its_story() {
    let (listener, endpoint) = silent();
    let front = SocketAddr::from((own_address(), 1002));
    let (_folder, path) = written(&format!(
        "[listeners.front]\nbind = [\"{front}\"]\npool = \"web\"\n\
         [pools.web.endpoints]\nrefusing = \"{}\"\none = \"{endpoint}\"\n",
        nobody()
    ));
    let mut daemon = Daemon::start(&path);
    daemon.read_until("ready");
    let mut client = TcpStream::connect(front).unwrap();
    client.write_all(b"ask").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let (mut served, _) = listener.accept().unwrap();
    let mut asked = String::new();
    served.read_to_string(&mut asked).unwrap();
    served.write_all(b"answer").unwrap();
    drop(served);
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!((asked.as_str(), answer.as_str()), ("ask", "answer"));

    let mut line = daemon.read_until("connection");
    for time in ["connect_ms", "total_ms"] {
        assert!(line[time].take().as_f64().is_some_and(|ms| ms > 0.0), "{line}");
    }
    let expected = json!({
        "message": "connection",
        "client": client.local_addr().unwrap().to_string(),
        "listener": "front",
        "pool": "web",
        "endpoint": "one",
        "connect_ms": null,
        "total_ms": null,
        "bytes_to_endpoint": 3,
        "bytes_to_client": 6,
        "cause": "closed",
        "connections_all": 1,
        "connections_listener": 1,
        "connections_endpoint": 1,
        "retries": 1,
    });
    assert_eq!(line, expected);
    daemon.terminate();
    daemon.read_until("stopped");
    assert_eq!(daemon.ended(), Some(0));
}

#[test]
fn address_that_another_process_has_is_named() {
    let (_listener, taken) = silent();
    let (_folder, path) = written(&format!(
        "[listeners.a]\nbind = [\"{taken}\"]\npool = \"a\"\n\
         [pools.a.endpoints]\none = \"{}\"\n",
        nobody()
    ));
    let (code, _, err) = run(["run", "-c", &path]);
    assert_eq!(code, Some(1), "{err}");
    assert!(
        err.contains("listener a") && err.contains(&taken.to_string()),
        "{err}"
    );
}

/// One address, one endpoint, and no file at all.
#[test]
fn daemon_without_files_is_told_and_asked_all_the_same() {
    let (_listener, endpoint) = silent();
    let place = format!("@catamaran-test-{}", std::process::id());
    let text = format!(
        "[listeners.a]\nbind = [\"{}:1003\"]\npool = \"a\"\n[pools.a.endpoints]\none = \"{endpoint}\"\n",
        own_address()
    );
    let environment = [("CATAMARAN_DOCUMENT", text.as_str()), ("CATAMARAN_ADMIN", &place)];
    let ask = |arguments: &[&str]| {
        let mut command = catamaran(arguments.iter().copied());
        told(command.env("CATAMARAN_ADMIN", &place).output().unwrap())
    };
    let (code, out, err) = ask(&["status", "--ready"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains(&format!("no daemon listens at {place}")), "{err}");

    let mut daemon = Daemon::start_with(&[], &environment);
    daemon.read_until("ready");
    assert_eq!(
        ask(&["status", "--ready"]),
        (Some(0), String::new(), String::new())
    );
    let (code, out, _) = ask(&["status", "--json"]);
    assert_eq!((code, &parsed(&out)["phase"]), (Some(0), &"serving".into()));
    let (code, _, err) = ask(&["yield"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("no virtual routers"), "{err}");
    strangers_are_refused(&place);

    // The name is taken as long as somebody listens.
    let mut second = catamaran(["run"]);
    let second = second.envs(environment.map(|(key, value)| (key, value.replace(":1003", ":1004"))));
    let (code, _, err) = told(second.output().unwrap());
    assert_eq!(code, Some(1));
    assert!(err.contains(&format!("cannot listen at {place}")), "{err}");
    daemon.terminate();
    daemon.read_until("stopped");
    assert_eq!(daemon.ended(), Some(0));
}

/// Everybody may connect to a socket without a file.
fn strangers_are_refused(place: &str) {
    let output = Command::new("setpriv")
        .args(["--reuid=4711", "--regid=4711", "--clear-groups", "--"])
        .args([env!("CARGO_BIN_EXE_catamaran"), "status", "--admin", place])
        .output();
    let (code, _, err) = told(output.unwrap());
    // Only root can be somebody else, and only where others may run this binary.
    if err.starts_with("setpriv: ") {
        skipped(&format!("nobody else can ask here: {err}"));
        return;
    }
    assert_eq!(code, Some(1));
    assert!(
        err.contains("only root and the daemon's own user may ask"),
        "{err}"
    );
}

#[test]
fn admin_name_that_cannot_be_is_wrong_usage() {
    let (code, _, err) = run(["status", "--admin", "@"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("1 to 107 bytes"), "{err}");
}

#[test]
fn daemon_is_not_ready_before_its_endpoints_were_probed() {
    let (_listener, silent) = silent();
    let (folder, path) = written(&format!(
        "[listeners.a]\nbind = [\"{}:1005\"]\npool = \"a\"\n\
         [pools.a]\ncheck = \"web\"\n[pools.a.endpoints]\nsilent = \"{silent}\"\n\
         [checks.web]\nplugin = \"http\"\ninterval = \"60s\"\ntimeout = \"60s\"\n",
        own_address()
    ));
    let admin = folder.path().join("admin.sock");
    let admin = admin.to_str().unwrap();
    let mut daemon = Daemon::start_with(&["-c", &path, "--admin", admin], &[]);
    daemon.read_until("listening");
    let began = Instant::now();
    let (code, out, err) = loop {
        let told = run(["status", "--ready", "--admin", admin]);
        if !told.2.contains("no daemon listens") || began.elapsed() > Duration::from_secs(30) {
            break told;
        }
    };
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(
        err,
        "catamaran: not ready: endpoints are being probed for the first time\n"
    );
    daemon.terminate();
    daemon.read_until("stopped");
    assert_eq!(daemon.ended(), Some(0));
}

/// The schema travels in the component, wherever that comes from.
#[test]
fn check_holds_settings_against_the_schema_of_the_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("own.wasm");
    let component = include_bytes!("plugins/hostile.wasm");
    let schema = r#"{"properties":{"do":{"type":"string"}},"additionalProperties":false}"#;
    std::fs::write(
        &plugin,
        catamaran::pure::component::with_custom_section(
            component,
            catamaran::pure::component::SCHEMA_SECTION,
            schema.as_bytes(),
        ),
    )
    .unwrap();
    let check = |settings: &str| {
        let document = format!(
            "[listeners.a]\nbind = ['*:1']\npool = 'a'\n[pools.a]\ncheck = 'c'\nendpoints = {{ e = '192.0.2.1:1' }}\n\
             [checks.c]\nplugin = 'file:{}'\nconfig = {settings}\n",
            plugin.display()
        );
        let path = folder.path().join("x.toml");
        std::fs::write(&path, document).unwrap();
        run(["check", path.to_str().unwrap()])
    };
    assert_eq!(check("{ do = 'loop' }").0, Some(0));
    let (code, _, told) = check("{ do = 1, undo = 'x' }");
    assert_eq!(code, Some(2));
    for part in [
        "x.toml:9:17: checks.c.config.do: the plugin wants text in quotes",
        "x.toml:9:20: checks.c.config.undo: the plugin knows no key \"undo\"",
        "2 mistakes",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
}
