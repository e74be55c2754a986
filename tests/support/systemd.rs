//! A real systemd in a host of the world: this machine's own files, below a
//! layer on the enclosure's tmpfs, booted by systemd-nspawn.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use catamaran::commands::lab::enclosure::FOLDER;
use catamaran::commands::lab::world::Host;
use nix::mount::{MsFlags, mount};
use nix::unistd::geteuid;

#[path = "control_groups.rs"]
mod control_groups;

use super::enclosed::found;

/// Where a unit's own program is in it.
pub const PROGRAM: &str = "/usr/local/bin/catamaran";

/// Each has one of its own below it.
const CONTROL_GROUPS: &str = "catamaran-tests-systemd";

/// Ends with its value.
pub struct Systemd {
    nspawn: Child,
    /// Its process 1, as seen from here.
    first: String,
    group: String,
}

impl Systemd {
    /// Why there can be none here, if so.
    pub fn is_missing() -> Option<String> {
        if !geteuid().is_root() {
            return Some("a systemd of its own wants root".into());
        }
        let asked = Command::new("systemd-nspawn")
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        let here = asked.is_ok_and(|status| status.success());
        (!here).then(|| "systemd-nspawn is not installed: apt-get install systemd-container".into())
    }

    /// Boot it in the network of a host. `lay_out` puts files into its root.
    pub async fn boot(host: &Host, lay_out: impl FnOnce(&Path)) -> Self {
        control_groups::remove(CONTROL_GROUPS);
        // Of all enclosures, none has another's.
        let namespace = fs::metadata("/proc/self/ns/pid").unwrap().ino();
        let root = root(host.name());
        lay_out(&root);
        let log = fs::File::create(Path::new(FOLDER).join(format!("{}.boot", host.name()))).unwrap();
        let group = format!("{CONTROL_GROUPS}/{namespace}");
        let mut command = control_groups::within(&group, "systemd-nspawn");
        command
            .args([
                "--register=no",
                "--keep-unit",
                "--quiet",
                "--boot",
                "--console=pipe",
            ])
            // What is refused to its services is the units' business.
            .args(["--capability=all", "--system-call-filter=@keyring bpf"])
            .arg(format!("--network-namespace-path=/run/netns/{}", host.name()))
            .arg("--directory")
            .arg(&root)
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let nspawn = command.spawn().unwrap();
        let first = found("the first process", async || first_process(nspawn.id())).await;
        let booted = Self { nspawn, first, group };
        found("a system that has started", async || {
            let state = booted.command(["systemctl", "is-system-running"]).output().ok()?;
            let state = String::from_utf8_lossy(&state.stdout).into_owned();
            ["running", "degraded"].contains(&state.trim()).then_some(())
        })
        .await;
        booted
    }

    /// A command in it, as root.
    pub fn command<A: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--all", "--target", &self.first, "--"]).args(words);
        command.stdin(Stdio::null());
        command
    }

    /// What it answers; its own words where it refuses.
    pub fn ask<A: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = A>) -> Result<String, String> {
        let output = self.command(words).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_string();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&[output.stdout, output.stderr].concat())),
        }
    }

    /// A property of a unit.
    pub fn property(&self, unit: &str, name: &str) -> String {
        let property = format!("--property={name}");
        self.ask(["systemctl", "show", "--value", &property, unit])
            .unwrap()
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        // Its namespace of processes goes with it.
        let _ = Command::new("kill").args(["-KILL", &self.first]).status();
        let _ = self.nspawn.kill();
        let _ = self.nspawn.wait();
        control_groups::remove_soon(&self.group);
        control_groups::remove(CONTROL_GROUPS);
    }
}

/// This machine's root with nothing to start: what is written goes to a tmpfs.
fn root(name: &str) -> PathBuf {
    let folder = Path::new(FOLDER).join(format!("{name}.system"));
    let [upper, work, root] = ["upper", "work", "root"].map(|part| folder.join(part));
    for part in [&upper, &work, &root] {
        fs::create_dir_all(part).unwrap();
    }
    let options = format!(
        "lowerdir=/,upperdir={},workdir={}",
        upper.display(),
        work.display()
    );
    mount(
        Some("overlay"),
        &root,
        Some("overlay"),
        MsFlags::empty(),
        Some(options.as_str()),
    )
    .unwrap();
    let units = root.join("etc/systemd/system");
    for entry in fs::read_dir(&units).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|end| end == "wants") {
            fs::remove_dir_all(entry.path()).unwrap();
        }
    }
    fs::create_dir_all(&units).unwrap();
    fs::write(root.join("etc/machine-id"), "").unwrap();
    let program = root.join(PROGRAM.trim_start_matches('/'));
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_catamaran"), program).unwrap();
    root
}

/// What nspawn has started, once it has become what it is meant to be.
fn first_process(nspawn: u32) -> Option<String> {
    let children = fs::read_to_string(format!("/proc/{nspawn}/task/{nspawn}/children")).ok()?;
    let is_systemd = |child: &&str| {
        let name = fs::read_to_string(format!("/proc/{child}/comm"));
        name.is_ok_and(|name| name.trim() == "systemd")
    };
    children.split_whitespace().find(is_systemd).map(str::to_string)
}
