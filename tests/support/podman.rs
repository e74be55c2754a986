//! podman inside an enclosure that root made: whatever it keeps is on the
//! enclosure's tmpfs and goes with it.

#![allow(dead_code)] // Each program uses its own part.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use catamaran::commands::lab::enclosure::FOLDER;
use catamaran::commands::lab::world::Host;
use nix::mount::{MsFlags, mount};
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{Pid, geteuid};

#[path = "control_groups.rs"]
#[allow(dead_code)] // Each program uses its own part.
mod control_groups;

/// What containers are started with, and nothing more: the README's words.
pub const LEAST: &[&str] = &[
    "--cap-drop=all",
    "--cap-add=NET_ADMIN,NET_RAW,NET_BIND_SERVICE",
    "--read-only",
    "--security-opt=no-new-privileges",
];

/// The programs that have to be there, and the Debian package of each.
const PROGRAMS: [(&str, &str); 2] = [("podman", "podman"), ("runc", "runc")];

/// Where it and runc write whatever their settings are.
const FIXED: [&str; 3] = ["/run/libpod", "/run/runc", "/var/lib/containers"];

/// Under which its control groups are, the one thing that no namespace takes away.
const CONTROL_GROUPS: &str = "catamaran-tests";

/// Its settings and its storage.
pub struct Podman {
    folder: PathBuf,
}

impl Podman {
    /// Why there can be no containers here, if so.
    pub fn is_missing() -> Option<String> {
        if !geteuid().is_root() {
            return Some("containers with addresses of their own want root".into());
        }
        let missing = PROGRAMS.iter().find(|(program, _)| {
            let asked = Command::new(program)
                .arg("--version")
                .stdout(Stdio::null())
                .status();
            !asked.is_ok_and(|status| status.success())
        });
        missing.map(|(program, package)| format!("{program} is not installed: apt-get install {package}"))
    }

    /// Settings of its own, whatever the machine's are. Once in each enclosure.
    pub fn set_up() -> Self {
        let folder = Path::new(FOLDER).join("podman");
        fs::create_dir(&folder).unwrap();
        for fixed in FIXED {
            fs::create_dir_all(fixed).unwrap();
            mount(
                Some("tmpfs"),
                fixed,
                Some("tmpfs"),
                MsFlags::empty(),
                None::<&str>,
            )
            .unwrap();
        }
        control_groups::remove(CONTROL_GROUPS);
        let podman = Self { folder };
        let hard = |resource| getrlimit(resource).unwrap().1;
        // More than the hard limits is refused where CAP_SYS_RESOURCE is missing.
        let (files, processes) = (
            hard(Resource::RLIMIT_NOFILE),
            hard(Resource::RLIMIT_NPROC).min(4_194_304),
        );
        podman.write(
            "containers.conf",
            &format!(
                "[containers]\ndefault_ulimits = [\"nofile={files}:{files}\", \"nproc={processes}:{processes}\"]\n\
                 log_driver = \"k8s-file\"\n\
                 [engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\n\
                 tmp_dir = {:?}\n",
                podman.folder.join("tmp"),
            ),
        );
        podman.write(
            "storage.conf",
            &format!(
                "[storage]\ndriver = \"overlay\"\ngraphroot = {:?}\nrunroot = {:?}\n",
                podman.folder.join("storage"),
                podman.folder.join("run"),
            ),
        );
        podman.write(
            "policy.json",
            "{\"default\": [{\"type\": \"insecureAcceptAnything\"}]}",
        );
        podman
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).unwrap();
    }

    /// The program with these settings.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new("podman");
        command
            .env("CONTAINERS_CONF", self.folder.join("containers.conf"))
            .env("CONTAINERS_STORAGE_CONF", self.folder.join("storage.conf"))
            .arg(format!(
                "--runtime-flag=root={}",
                self.folder.join("runc").display()
            ))
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// What it answers; its own words where it refuses.
    pub fn ask<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<String, String> {
        let output = self
            .command(arguments)
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Take an image from an archive; gives its id.
    pub fn load(&self, archive: &Path) -> String {
        self.ask([
            OsStr::new("pull"),
            OsStr::new("--quiet"),
            OsStr::new(&format!("oci-archive:{}", archive.display())),
        ])
        .unwrap()
    }

    /// The first process of a container that runs.
    pub fn process(&self, name: &str) -> Option<Pid> {
        let id = self.ask(["inspect", "--format={{.State.Pid}}", name]).ok()?;
        // 0 until it runs.
        let id = id.parse().ok().filter(|id| *id > 0)?;
        Some(Pid::from_raw(id))
    }

    /// `podman run` in the network of a host, with [`LEAST`] and a document.
    pub fn run(&self, host: &Host, image: &str, name: &str, document: &Path) -> Command {
        let volume = format!("--volume={}:/etc/catamaran/cluster.toml:ro", document.display());
        let node = format!("--env=CATAMARAN_NODE={}", host.name());
        self.in_network(host, name, LEAST, &[&volume, &node, image])
    }

    /// The same without any capability, document or environment.
    pub fn bare(&self, host: &Host, image: &str, name: &str) -> Command {
        self.in_network(host, name, &LEAST[..1], &[image])
    }

    fn in_network(&self, host: &Host, name: &str, rights: &[&str], more: &[&str]) -> Command {
        let network = format!("--network=ns:/run/netns/{}", host.name());
        // What failed before is no obstacle.
        let mut command = self.command(["run", "--rm", "--replace", "--name", name, &network]);
        command.arg(format!("--cgroup-parent=/{CONTROL_GROUPS}"));
        command.args(rights).args(more);
        command
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        control_groups::remove(CONTROL_GROUPS);
    }
}

/// The same command with one capability less.
pub fn without(command: &Command, capability: &str) -> Command {
    let mut less = Command::new(command.get_program());
    let values = command
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    less.envs(values).stdin(Stdio::null());
    for argument in command.get_args() {
        match argument.to_str().and_then(|text| text.strip_prefix("--cap-add=")) {
            Some(all) => {
                let rest: Vec<_> = all.split(',').filter(|one| *one != capability).collect();
                less.arg(format!("--cap-add={}", rest.join(",")));
            }
            None => {
                less.arg(argument);
            }
        }
    }
    less
}
