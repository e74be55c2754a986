//! What a document wants of the machine.

use std::path::{Component, Path};
use std::time::Duration;

use super::DOCUMENT;
use crate::pure::config::{Config, Password, PluginSource, TrackSubject};

/// Ports below it are for those with `CAP_NET_BIND_SERVICE`, unless the host is
/// set otherwise (`net.ipv4.ip_unprivileged_port_start`).
const FIRST_FREE_PORT: u16 = 1024;

/// Beyond what the daemon may take to stop.
const MARGIN: Duration = Duration::from_secs(5);

/// Plugins are compiled before the first probe, on a machine that boots.
const TO_START: Duration = Duration::from_secs(60);

/// What a document wants of the machine.
pub struct Needs {
    /// It takes part in elections.
    pub elections: bool,
    /// It listens on ports that are not everybody's.
    pub low_ports: bool,
    /// What it reads and writes besides itself, in document order, each once.
    pub mounts: Vec<Mount>,
    /// Seconds that it may take to start, with a margin.
    pub start: u64,
    /// Seconds that it may take to stop, with a margin.
    pub stop: u64,
}

/// Something of the host's file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where it is, on the host and for the daemon; safe in every manifest's syntax.
    pub path: String,
    /// What it is.
    pub kind: MountKind,
}

/// What is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountKind {
    /// A file that is there at the start, to be read.
    File,
    /// A folder in which a tracked file comes and goes.
    Folder,
    /// A folder to write to.
    Cache,
}

impl Needs {
    /// Of this document.
    ///
    /// # Errors
    /// Names a path that a manifest cannot have.
    pub fn of(config: &Config) -> Result<Self, String> {
        let mut ports = config
            .listeners
            .iter()
            .flat_map(|listener| &listener.bind)
            .map(|bind| bind.port);
        Ok(Self {
            elections: !config.virtual_routers.is_empty(),
            low_ports: ports.any(|port| port < FIRST_FREE_PORT),
            mounts: mounts(config)?,
            start: seconds(config.time_to_settle() + TO_START),
            stop: seconds(config.time_to_hand_over() + config.daemon.drain_timeout + MARGIN),
        })
    }

    /// The capabilities that keep a container at work, without `CAP_`.
    /// SYS_NICE gives the virtual routers' thread a real-time priority.
    pub fn capabilities(&self) -> Vec<&'static str> {
        let of_elections = ["NET_ADMIN", "NET_RAW", "SYS_NICE"];
        let mut names = Vec::new();
        names.extend(of_elections.iter().filter(|_| self.elections));
        names.extend(self.low_ports.then_some("NET_BIND_SERVICE"));
        names
    }
}

fn mounts(config: &Config) -> Result<Vec<Mount>, String> {
    let mut mounts = Vec::new();
    let mut add = |path: &Path, kind| -> Result<(), String> {
        let path = plain(path)?;
        let mount = Mount { path, kind };
        if mount.path != DOCUMENT && !mounts.contains(&mount) {
            mounts.push(mount);
        }
        Ok(())
    };
    let tracks = config.virtual_routers.iter().flat_map(|router| &router.track);
    for track in tracks {
        if let TrackSubject::File(path) = &track.subject {
            let folder = path.parent().filter(|folder| folder.parent().is_some());
            let folder = folder.ok_or_else(|| {
                let shown = path.display();
                format!("{shown} is tracked: it must be in a folder that can be shown to the daemon alone, such as /run/maintenance/")
            })?;
            add(folder, MountKind::Folder)?;
        }
    }
    for router in &config.virtual_routers {
        if let Some(Password::File(path)) = &router.password {
            add(path, MountKind::File)?;
        }
    }
    for check in &config.checks {
        if let PluginSource::File { path, .. } = &check.plugin {
            add(path, MountKind::File)?;
        }
        let tls = check.tls.iter();
        for path in tls
            .flat_map(|tls| [&tls.ca, &tls.client_cert, &tls.client_key])
            .flatten()
        {
            add(path, MountKind::File)?;
        }
    }
    for registry in &config.registries {
        for path in [&registry.ca, &registry.auth_file].into_iter().flatten() {
            add(path, MountKind::File)?;
        }
    }
    if let Some(path) = &config.daemon.plugin_cache {
        add(path, MountKind::Cache)?;
    }
    Ok(mounts)
}

/// Absolute, and of characters that mean nothing in any manifest.
fn plain(path: &Path) -> Result<String, String> {
    let good = |c: char| c.is_alphanumeric() || "/._-+@".contains(c);
    let straight = |part| !matches!(part, Component::ParentDir | Component::CurDir);
    let text = path.to_str().filter(|text| text.chars().all(good));
    match text {
        Some(text) if path.is_absolute() && path.components().all(straight) => Ok(text.into()),
        _ => Err(format!(
            "{:?} cannot be in a manifest: write a path from / on, made of letters, digits and `/._-+@`",
            path.display().to_string()
        )),
    }
}

/// Whole seconds, upwards.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
