//! Tests that have a kernel's network of their own, without root.
//!
//! ```text
//!  the test          starts catamaran lab-inside enclose
//!    └─ this file's program again, with the one test to run
//!         └─ the test, now inside: an empty world of hosts
//! ```

#![allow(dead_code)] // Each test file uses its own part.

use std::any::type_name;
use std::fmt::Debug;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use catamaran::commands::lab::world::{Host, World};
use tokio::runtime::Handle;

/// Says to the program started again where it is: in which of its cases.
const INSIDE: &str = "CATAMARAN_TEST_INSIDE";

/// Bounds are for machines that have other things to do.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Run a test in an enclosure. To be called by the test function, first and last.
pub fn enclosed<T: AsyncFnOnce(World)>(test: T) {
    if case_inside().is_some() {
        return inside(test);
    }
    if let Err(said) = start_again(name_of::<T>(), 0) {
        panic!("{said}");
    }
}

/// The same as root, without a user namespace: for programs that want more than
/// that gives. Whoever calls it has seen that this is root.
pub fn enclosed_as_root<T: AsyncFnOnce(World)>(test: T) {
    if case_inside().is_some() {
        return inside(test);
    }
    if let Err(said) = started_again(&["--as-root"], name_of::<T>(), 0) {
        panic!("{said}");
    }
}

/// Run a test once for each case, all at the same time, each in an enclosure of
/// its own. What they print is printed. To be called as [`enclosed`] is.
pub fn each_enclosed<C: Debug + Sync, T: AsyncFnOnce(World, &C)>(cases: &[C], test: T) {
    if let Some(case) = case_inside() {
        return inside(async |world| test(world, &cases[case]).await);
    }
    let name = name_of::<T>();
    let ended: Vec<_> = thread::scope(|scope| {
        let run = |case| scope.spawn(move || start_again(name, case));
        let running: Vec<_> = (0..cases.len()).map(run).collect();
        running.into_iter().map(|case| case.join().unwrap()).collect()
    });
    let mut failed = Vec::new();
    for (case, ended) in cases.iter().zip(ended) {
        match ended {
            Ok(said) => said.lines().for_each(|line| println!("{name}: {line}")),
            Err(said) => failed.push(format!("{case:?}:\n{said}")),
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

/// Move the test into a machine with a loopback interface of its own.
pub fn settle(world: &mut World) {
    world.host("here", &[]).unwrap().enter().unwrap();
}

fn case_inside() -> Option<usize> {
    std::env::var(INSIDE).ok().map(|case| case.parse().unwrap())
}

fn inside(test: impl AsyncFnOnce(World)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test(World::new().unwrap()));
}

/// The test of that name in an enclosure, and what it said.
fn start_again(name: &str, case: usize) -> Result<String, String> {
    started_again(&[], name, case)
}

fn started_again(options: &[&str], name: &str, case: usize) -> Result<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_catamaran"))
        .args(["lab-inside", "enclose"])
        .args(options)
        .arg("--")
        .arg(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--quiet"])
        .env(INSIDE, case.to_string())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // One that has found no test of that name has succeeded, too.
    if output.status.success() && said.contains("1 passed") {
        let of_the_harness = |line: &str| {
            line.is_empty() || line == "." || line.starts_with("running ") || line.starts_with("test result")
        };
        let lines = said.lines().filter(|line| !of_the_harness(line));
        return Ok(lines.map(|line| format!("{line}\n")).collect());
    }
    Err(format!("{said}{}", String::from_utf8_lossy(&output.stderr)))
}

/// The name of the test in which a closure is: behind the name of the program.
fn name_of<T>() -> &'static str {
    let (_, path) = type_name::<T>().split_once("::").unwrap();
    path.split("::{{closure}}").next().unwrap()
}

/// Make something in a host that is served by this test's runtime.
pub fn at<T: Send>(host: &Host, make: impl FnOnce() -> T + Send) -> T {
    let runtime = Handle::current();
    host.within(|| {
        let _entered = runtime.enter();
        make()
    })
}

/// Run a command in a host and give what it wrote.
pub fn run(host: &Host, command: &str) -> String {
    let words: Vec<_> = command.split_whitespace().collect();
    let output = host.within(|| Command::new(words[0]).args(&words[1..]).output().unwrap());
    assert!(
        output.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Wait until `look` finds something.
pub async fn found<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
