//! Programs of others that a test needs.

#![allow(dead_code)] // Each test file uses its own part.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
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
    possible(Some(format!("no {missing} (apt-get install {missing})")))
}

/// The same for programs whose Debian packages have other names: each with its
/// package.
pub fn packaged(programs: &[(&str, &str)]) -> bool {
    let is_missing =
        |(program, _): &&(&str, &str)| program_of_root(program).arg("--version").output().is_err();
    let missing: Vec<_> = programs
        .iter()
        .filter(is_missing)
        .map(|(_, package)| *package)
        .collect();
    possible((!missing.is_empty()).then(|| format!("apt-get install {}", missing.join(" "))))
}

/// Whether nothing is missing that the calling test needs. Otherwise it is to end
/// at once, and has said why where nobody captures it; in CI that is a failure.
pub fn possible(missing: Option<String>) -> bool {
    let Some(why) = missing else { return true };
    assert!(
        std::env::var_os("CI").is_none(),
        "in CI this must not be so: {why}"
    );
    skipped(&why);
    false
}

/// Say, where nobody captures it, that the calling test or a part of it is not
/// possible here.
pub fn skipped(why: &str) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a test");
    // A line of its own, in one piece: the harness may be in the middle of one.
    let line = format!("\nSKIPPED: {name}: {why}\n");
    // A closed standard error is no reason to fail.
    drop(std::io::stderr().write_all(line.as_bytes()));
}

/// A program of a newer Debian release, out of packages that are unpacked and
/// not installed; `None` where they cannot be had, which in CI is a failure.
/// `packages` bring all that it needs, its C library too.
pub fn unpacked(release: &str, packages: &[&str], program: &str) -> Option<PathBuf> {
    unpack(release, &["--alone"], packages, program)
}

/// The same, with all that its package depends on.
pub fn unpacked_with_dependencies(release: &str, package: &str, program: &str) -> Option<PathBuf> {
    unpack(release, &[], &[package], program)
}

fn unpack(release: &str, how: &[&str], packages: &[&str], program: &str) -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/debian");
    let name = Path::new(program).file_name().unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let run = |arguments: &mut dyn Iterator<Item = &OsStr>| {
        let status = Command::new(&script).args(arguments).status();
        status.is_ok_and(|status| status.success())
    };
    let what = [folder.as_os_str(), release.as_ref()];
    let words = how.iter().chain(packages).map(OsStr::new);
    let wrapper = ["--wrap".as_ref(), folder.as_os_str(), name, program.as_ref()];
    let unpacked = run(&mut what.into_iter().chain(words)) && run(&mut wrapper.into_iter());
    assert!(
        unpacked || std::env::var_os("CI").is_none(),
        "{program} cannot be had from Debian {release}, and in CI it has to be"
    );
    unpacked.then(|| folder.join("bin").join(name))
}

/// Users do not always have the folder of what root is meant to start in their path.
pub fn program_of_root(name: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(name);
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}
