//! A pair of units for podman's generator, podman-systemd.unit(5).

use super::needs::{MountKind, Needs};
use super::{DOCUMENT, File, Wishes, environment, lines};

/// Seconds that podman itself may take to remove a stopped container.
const REMOVAL: u64 = 10;

/// Where the archive is kept whose image no registry has.
const ARCHIVE: &str = "/var/lib/catamaran/load-balancer.tar";

pub(super) fn files(needs: &Needs, wishes: Wishes<'_>) -> Vec<File> {
    vec![
        File {
            name: "catamaran.container",
            text: container(needs, wishes),
        },
        File {
            name: "catamaran.image",
            text: image(wishes.image),
        },
    ]
}

fn container(needs: &Needs, wishes: Wishes<'_>) -> String {
    let capabilities = lines(needs.capabilities(), |name| format!("AddCapability={name}"));
    let environment = lines(environment(needs, wishes.node), |(key, value)| {
        format!("Environment={key}={value}")
    });
    let volumes = lines(&needs.mounts, |mount| {
        let path = &mount.path;
        match mount.kind {
            MountKind::File | MountKind::Folder => format!("Volume={path}:{path}:ro"),
            // `U` makes it belong to the image's user.
            MountKind::Cache => format!("Volume={path}:{path}:U"),
        }
    });
    let folders = needs.mounts.iter().filter(|mount| mount.kind != MountKind::File);
    let folders = lines(folders, |mount| format!("ExecStartPre=mkdir -p {}", mount.path));
    let (stop, removed) = (needs.stop, needs.stop + REMOVAL);
    format!(
        "\
# A load balancer as a service, for podman 4.8 and later. Made from the document
# by `catamaran image manifest quadlet`; to be made anew when its virtual
# routers, ports, files or drain-timeout change.
#
# Put it with catamaran.image into /etc/containers/systemd/ and the document at
# {DOCUMENT}. Then:
#   systemctl daemon-reload && systemctl start catamaran
# The document, and the files that it names, must be readable for the image's
# user, which is not root. Where SELinux is on, they need a label that containers
# may read, such as: chcon -t container_file_t {DOCUMENT}

[Unit]
Description=Catamaran load balancer
Wants=network-online.target
After=network-online.target

[Container]
ContainerName=catamaran
Image=catamaran.image
Exec=run
{environment}Network=host
ReadOnly=true
ReadOnlyTmpfs=false
NoNewPrivileges=true
DropCapability=all
{capabilities}Volume={DOCUMENT}:{DOCUMENT}:ro
{volumes}HealthCmd=[\"/catamaran\",\"status\",\"--ready\"]
HealthInterval=10s
HealthTimeout=3s
HealthRetries=3
HealthStartPeriod=30s
# Handing over, and the drain-timeout of the document.
PodmanArgs=--stop-timeout={stop}

[Service]
{folders}Restart=always
RestartSec=1s
# A wrong document does not get better by trying again.
RestartPreventExitStatus=2
TimeoutStopSec={removed}s

[Install]
WantedBy=multi-user.target
"
    )
}

/// A registry answers for every image but those called after this machine.
fn image(image: &str) -> String {
    let source = match image.starts_with("localhost/") {
        true => format!(
            "# No registry has this image: put the archive there that
# `catamaran image build load-balancer` has written.
Image=oci-archive:{ARCHIVE}
ImageTag={image}
"
        ),
        false => format!("Image={image}\n"),
    };
    format!(
        "\
# The image of catamaran.container.

[Unit]
Description=Image of the Catamaran load balancer

[Image]
{source}
[Service]
TimeoutStartSec=15m
"
    )
}
