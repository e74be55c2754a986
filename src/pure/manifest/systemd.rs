//! A unit for the binary alone, systemd.exec(5).

use super::needs::{Mount, MountKind, Needs};
use super::{DOCUMENT, File, Wishes, lines};

/// Where the binary is.
const BINARY: &str = "/usr/local/bin/catamaran";

pub(super) fn files(needs: &Needs, wishes: Wishes<'_>) -> Result<Vec<File>, String> {
    let hidden = |path: &str| path.starts_with("/tmp/") || path.starts_with("/var/tmp/");
    if let Some(mount) = needs.mounts.iter().find(|mount| hidden(&mount.path)) {
        return Err(format!(
            "{} would be out of sight: a service has a /tmp and a /var/tmp of its own; keep it elsewhere",
            mount.path
        ));
    }
    Ok(vec![File {
        name: "catamaran.service",
        text: service(needs, wishes.node),
    }])
}

fn service(needs: &Needs, node: Option<&str>) -> String {
    let environment = lines(node, |node| format!("Environment=CATAMARAN_NODE={node}"));
    let writable = lines(needs.mounts.iter().filter_map(cache), |line| line);
    let rights = rights(needs);
    let families = if needs.elections {
        " AF_NETLINK AF_PACKET"
    } else {
        ""
    };
    let sweep = if needs.elections {
        format!("# However it ended: a killed daemon removes nothing.\nExecStopPost={BINARY} sweep\n")
    } else {
        String::new()
    };
    let homes = homes(needs);
    let Needs { start, stop, .. } = needs;
    format!(
        "\
# A load balancer as a service, without a container. Made from the document by
# `catamaran image manifest systemd`; to be made anew when its virtual routers,
# ports, files or drain-timeout change.
#
# Put it into /etc/systemd/system/, the binary at {BINARY} and
# the document at {DOCUMENT}. The document, and the files that
# it names, must be readable for a user that exists only while the service runs.
# Then:
#   systemctl daemon-reload && systemctl enable --now catamaran

[Unit]
Description=Catamaran load balancer
# Not network-online.target: addresses and interfaces may come later.
After=network.target

[Service]
Type=notify
NotifyAccess=main
ExecStartPre={BINARY} check
ExecStart={BINARY} run
# Waits until the new document is applied; a wrong one is refused as a whole.
ExecReload={BINARY} reload
{sweep}{environment}Restart=on-failure
RestartSec=1s
# A wrong document does not get better by trying again.
RestartPreventExitStatus=2
# Endpoints are probed before the first connection.
TimeoutStartSec={start}s
# For a process that hangs, though its virtual addresses go before that.
WatchdogSec=10s
# Handing over, and the drain-timeout of the document.
TimeoutStopSec={stop}s

DynamicUser=yes
# The admin socket.
RuntimeDirectory=catamaran
RuntimeDirectoryMode=0700
{writable}UMask=0077
LimitNOFILE=1048576

{rights}NoNewPrivileges=yes
ProtectSystem=strict
{homes}PrivateTmp=yes
PrivateDevices=yes
PrivateIPC=yes
PrivateMounts=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
KeyringMode=private
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6{families}
RestrictNamespaces=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
# Not MemoryDenyWriteExecute=: check plugins are compiled when the daemon starts.

[Install]
WantedBy=multi-user.target
"
    )
}

/// Capabilities, and a real-time priority for the virtual routers' thread.
fn rights(needs: &Needs) -> String {
    let names = [
        (needs.elections, "CAP_NET_ADMIN"),
        (needs.elections, "CAP_NET_RAW"),
        (needs.low_ports, "CAP_NET_BIND_SERVICE"),
    ];
    let names: Vec<&str> = names
        .iter()
        .filter(|(needed, _)| *needed)
        .map(|(_, name)| *name)
        .collect();
    let names = names.join(" ");
    let realtime = match needs.elections {
        true => "LimitRTPRIO=1\n",
        false => "RestrictRealtime=yes\n",
    };
    // A user namespace of its own has no say over the host's network.
    let users = if names.is_empty() {
        "PrivateUsers=yes\n"
    } else {
        ""
    };
    format!("AmbientCapabilities={names}\nCapabilityBoundingSet={names}\n{realtime}{users}")
}

/// A folder below `/var/cache` is made for the service's user.
fn cache(mount: &Mount) -> Option<String> {
    let folder = mount.path.strip_prefix("/var/cache/");
    match (mount.kind, folder) {
        (MountKind::Cache, Some(folder)) => Some(format!("CacheDirectory={folder}")),
        (MountKind::Cache, None) => Some(format!("ReadWritePaths={}", mount.path)),
        (MountKind::File | MountKind::Folder, _) => None,
    }
}

/// Of people's folders only what the document names is to be seen.
fn homes(needs: &Needs) -> String {
    let named = needs.mounts.iter().filter(|mount| is_private(&mount.path));
    match lines(named, |mount| format!("BindReadOnlyPaths={}", mount.path)) {
        none if none.is_empty() => "ProtectHome=yes\n".into(),
        paths => format!("ProtectHome=tmpfs\n{paths}"),
    }
}

/// What `ProtectHome=yes` hides.
fn is_private(path: &str) -> bool {
    ["/home", "/root", "/run/user"].iter().any(|folder| {
        path.strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}
