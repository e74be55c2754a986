//! Tests that have a kernel's network of their own, without root.
//!
//! ```text
//!  the test          starts catamaran lab-inside enclose
//!    └─ this file's program again, with the one test to run
//!         └─ the test, now inside: an empty world of hosts
//! ```

#![allow(dead_code)] // Each test file uses its own part.

use std::any::type_name;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use catamaran::commands::lab::world::{Host, World};
use tokio::runtime::Handle;

/// Says to the program started again where it is.
const INSIDE: &str = "CATAMARAN_TEST_INSIDE";

/// Bounds are for machines that have other things to do.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Run a test in an enclosure. To be called by the test function, first and last.
pub fn enclosed<T: AsyncFnOnce(World)>(test: T) {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        return runtime.block_on(test(World::new().unwrap()));
    }
    let output = Command::new(env!("CARGO_BIN_EXE_catamaran"))
        .args(["lab-inside", "enclose", "--"])
        .arg(std::env::current_exe().unwrap())
        .args([name_of::<T>(), "--exact", "--nocapture"])
        .env(INSIDE, "yes")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    // One that has found no test of that name has succeeded, too.
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
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
