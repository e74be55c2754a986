//! Programs of others that a test needs.

use std::io::Write;
use std::process::Command;

/// Whether programs are here that the calling test needs, from Debian packages
/// of the same names. Without them it is to end at once, and has said so where
/// nobody captures it; in CI that is a failure.
pub fn installed(programs: &[&str]) -> bool {
    let is_missing = |program: &&&str| program_of_root(program).arg("--version").output().is_err();
    let missing: Vec<_> = programs.iter().filter(is_missing).copied().collect();
    if missing.is_empty() {
        return true;
    }
    let missing = missing.join(" ");
    assert!(
        std::env::var_os("CI").is_none(),
        "{missing} is not installed, and in CI it has to be"
    );
    let thread = std::thread::current();
    // A closed standard error is no reason to fail.
    drop(writeln!(
        std::io::stderr(),
        "SKIPPED: {}: no {missing} (apt-get install {missing})",
        thread.name().unwrap_or("a test")
    ));
    false
}

/// Users do not always have the folder of what root is meant to start in their path.
pub fn program_of_root(name: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(name);
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}
