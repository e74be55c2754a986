//! `catamaran lab`: worlds without root, no traces, and the whole story.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Bounds are for machines that have other things to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// Timings are judged, so one lab at a time has the machine.
static MACHINE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn catamaran() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_catamaran"));
    command.stdin(Stdio::null());
    command
}

/// Two hosts, and a shell script beside them, as the first process inside.
fn in_a_world(script: &str) -> Command {
    let mut command = catamaran();
    command.args([
        "lab-inside",
        "enclose",
        "--",
        "/proc/self/exe",
        "lab-inside",
        "world",
    ]);
    command.args([
        "--host",
        "lb-a=211.183.3.251/24,211.183.3.250/24",
        "--host",
        "worker1=211.183.3.110/24",
    ]);
    command.args(["--", "sh", "-c", script]);
    command
}

/// Processes whose command line has `mark` in it, as the outside sees them.
fn processes_with(mark: &str) -> Vec<String> {
    let command_line = |process: fs::DirEntry| fs::read(process.path().join("cmdline")).ok();
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(command_line)
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(mark))
        .collect()
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(
            began.elapsed() < PATIENCE,
            "{what} did not happen within {PATIENCE:?}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

/// Read `child`'s lines until one contains `mark`.
fn read_until(child: &mut Child, mark: &str) {
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let mut told = Vec::new();
    for line in stderr.lines().map_while(Result::ok) {
        if line.contains(mark) {
            return;
        }
        told.push(line);
    }
    panic!("{mark:?} was not said, but:\n{}", told.join("\n"));
}

#[test]
fn hosts_of_a_world_reach_each_other_without_root() {
    let output = in_a_world("id -u; ip netns exec worker1 ip -brief address show ens32; ls /run/netns")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.starts_with("0\n"), "{said}");
    assert!(said.contains("211.183.3.110/24"), "{said}");
    assert!(said.ends_with("lb-a\nworker1\n"), "{said}");
    assert!(
        !Path::new("/run/netns/lb-a").exists(),
        "a name of a namespace is outside"
    );
    assert!(
        !Path::new("/run/catamaran/pid-outside").exists(),
        "files of a lab are outside"
    );
}

#[test]
fn exit_code_of_the_inside_is_the_commands() {
    assert_eq!(in_a_world("exit 7").status().unwrap().code(), Some(7));
}

#[test]
fn sigkill_of_the_outermost_process_leaves_nothing() {
    // The first process ignores what can be ignored, and has two children of its own;
    // two of ours stand between it and this test.
    let mark = format!("echo catamaran-lab-test-{}", std::process::id());
    let script =
        format!("trap '' TERM INT HUP; sh -c 'sleep 600; {mark}' & sh -c 'sleep 600; {mark}'; {mark}");
    let mut outermost = in_a_world(&script).stdout(Stdio::null()).spawn().unwrap();
    wait_until("the start", || processes_with(&mark).len() >= 5);
    outermost.kill().unwrap();
    outermost.wait().unwrap();
    wait_until("the end of all processes", || processes_with(&mark).is_empty());
}

#[test]
fn sigterm_in_the_middle_of_the_story_leaves_nothing() {
    let _alone = alone();
    let rate = format!("--rate={}", 20 + std::process::id() % 100);
    let mut outermost = catamaran()
        .args(["lab", "--json", &rate])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    read_until(&mut outermost, "loses its etcd");
    let pid = outermost.id();
    let inside: Vec<_> = descendants(pid);
    assert!(inside.len() >= 5, "the lab has only {} processes", inside.len());
    let killed = Command::new("kill")
        .args(["-TERM", &pid.to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    assert_eq!(outermost.wait().unwrap().code(), Some(143));
    // By the time the command has ended, so has everything it started.
    let left: Vec<_> = inside
        .into_iter()
        .filter(|pid| Path::new(&format!("/proc/{pid}")).exists())
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

/// The report of a lab in which every expectation held.
fn report(options: &[&str]) -> serde_json::Value {
    let _alone = alone();
    let output = catamaran()
        .args(["lab", "--json", "--interval", "500ms"])
        .args(options)
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}\n{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(
        report["passed"],
        true,
        "{report:#}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success());
    report
}

fn faults(report: &serde_json::Value, of: &str) -> Vec<String> {
    let faults = report[of].as_array().unwrap().iter();
    faults
        .map(|fault| fault["fault"].as_str().unwrap().to_string())
        .collect()
}

#[test]
fn whole_story_holds() {
    let report = report(&[]);
    assert_eq!(
        faults(&report, "endpoint-faults"),
        ["failing", "frozen", "killed"]
    );
    assert_eq!(
        faults(&report, "load-balancer-faults"),
        ["stopped", "killed", "hung", "cut-off"]
    );
}

// RFC 9568: an interval that version 2 cannot say.
#[test]
fn story_of_the_load_balancers_holds_in_version_3_too_and_can_be_repeated() {
    let report = report(&[
        "--only=load-balancers",
        "--advertisement-interval=500ms",
        "--trials=2",
    ]);
    assert!(faults(&report, "endpoint-faults").is_empty());
    for fault in report["load-balancer-faults"].as_array().unwrap() {
        assert_eq!(fault["trials"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn interval_out_of_range_is_wrong_usage() {
    let output = catamaran().args(["lab", "--interval", "10ms"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("must be 100ms to 1m"));
}

#[test]
fn advertisement_interval_that_no_version_can_say_is_wrong_usage() {
    for interval in ["15ms", "0s", "11s"] {
        let output = catamaran()
            .args(["lab", "--advertisement-interval", interval])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("must be 10ms to 10s in steps of 10ms"));
    }
}

/// Process ids of the children of `pid`, their children and so on.
fn descendants(pid: u32) -> Vec<u32> {
    let children = |pid: u32| -> Vec<u32> {
        let path = format!("/proc/{pid}/task/{pid}/children");
        let children = fs::read_to_string(path).unwrap_or_default();
        children
            .split_whitespace()
            .filter_map(|child| child.parse().ok())
            .collect()
    };
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(children(parent));
        next += 1;
    }
    found.split_off(1)
}
