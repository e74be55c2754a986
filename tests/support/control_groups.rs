//! Control groups: of all that the kernel has, what no namespace takes away.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Of processes that were killed, until they are gone.
const PATIENCE: Duration = Duration::from_secs(10);

const ROOT: &str = "/sys/fs/cgroup";

/// Puts the shell into groups, and becomes the program. Whoever sweeps at this very
/// moment may take an empty group away.
const ENTER: &str = r#"
while [ "$1" != -- ]; do
    for try in 1 2 3; do
        mkdir -p "$1"
        if echo $$ >"$1/cgroup.procs"; then break; fi
    done
    shift
done
shift
exec "$@"
"#;

/// A command that runs in a group of this name, in the hierarchies that systemd
/// uses, and has its own groups below it.
pub fn within(group: &str, program: &str) -> Command {
    let folders = hierarchies().map(|top| top.join(group));
    let mut command = Command::new("sh");
    command
        .args(["-euc", ENTER, "sh"])
        .args(folders)
        .args(["--", program]);
    command
}

/// The one of control groups version 2, or both of a machine that has two versions.
fn hierarchies() -> impl Iterator<Item = PathBuf> {
    let all = ["", "unified", "systemd"].map(|name| Path::new(ROOT).join(name));
    let is_alone = all[0].join("cgroup.procs").exists();
    let there = move |top: &PathBuf| top.join("cgroup.procs").exists();
    all.into_iter()
        .filter(there)
        .take(if is_alone { 1 } else { usize::MAX })
}

/// Remove the groups of this name that nobody is in any more; those of a former
/// run that was killed, too.
pub fn remove(group: &str) {
    // One file system for all controllers, or one for each.
    let root = Path::new(ROOT);
    let controllers = fs::read_dir(root).into_iter().flatten().flatten();
    for top in controllers.map(|entry| entry.path()).chain([root.to_path_buf()]) {
        remove_empty(&top.join(group));
    }
}

/// The same, once whoever is in them has ended.
pub fn remove_soon(group: &str) {
    let began = Instant::now();
    let is_left = || hierarchies().any(|top| top.join(group).exists());
    while is_left() && began.elapsed() < PATIENCE {
        remove(group);
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn remove_empty(group: &Path) {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    let children = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    for child in children {
        remove_empty(&child.path());
    }
    // Refused while somebody is in it.
    let _ = fs::remove_dir(group);
}
