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

#[test]
fn whole_story_holds() {
    let _alone = alone();
    let output = catamaran()
        .args(["lab", "--json", "--interval", "500ms"])
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
    let faults: Vec<_> = report["episodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|episode| &episode["fault"])
        .collect();
    assert_eq!(faults, ["failing", "frozen", "killed"]);
}

#[test]
fn interval_out_of_range_is_wrong_usage() {
    let output = catamaran().args(["lab", "--interval", "10ms"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("must be 100ms to 1m"));
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
