//! A file for trying, of the Compose Specification.

use super::needs::{MountKind, Needs};
use super::{DOCUMENT, File, Wishes, environment, lines, quoted};

pub(super) fn files(needs: &Needs, wishes: Wishes<'_>) -> Vec<File> {
    vec![File {
        name: "compose.yaml",
        text: text(needs, wishes),
    }]
}

fn text(needs: &Needs, wishes: Wishes<'_>) -> String {
    let image = quoted(wishes.image);
    let environment = lines(environment(needs, wishes.node), |(key, value)| {
        format!("      {key}: {}", quoted(&value))
    });
    let capabilities = match needs.capabilities() {
        names if names.is_empty() => String::new(),
        names => format!("    cap_add:\n{}", lines(names, |name| format!("      - {name}"))),
    };
    let volumes = lines(&needs.mounts, |mount| {
        let path = &mount.path;
        let volume = match mount.kind {
            MountKind::File | MountKind::Folder => format!("{path}:{path}:ro"),
            MountKind::Cache => format!("{path}:{path}"),
        };
        format!("      - {}", quoted(&volume))
    });
    let stop = needs.stop;
    format!(
        "\
# A load balancer for trying. Made from the document by `catamaran image
# manifest compose`; to be made anew when its virtual routers, ports, files or
# drain-timeout change.
#
# Put it beside the document, cluster.toml, and start it with: docker compose up
#
# It has the network of this machine, on which virtual addresses move. So it is
# one load balancer: start it on a second machine to see them move, or see it on
# one machine alone with: catamaran lab
services:
  catamaran:
    image: {image}
    pull_policy: missing
    command: [\"run\"]
    # Docker gives capabilities to no other user.
    user: \"0:0\"
    network_mode: host
    read_only: true
    security_opt:
      - \"no-new-privileges:true\"
    cap_drop:
      - ALL
{capabilities}    environment:
{environment}    volumes:
      - \"./cluster.toml:{DOCUMENT}:ro\"
{volumes}    healthcheck:
      test: [\"CMD\", \"/catamaran\", \"status\", \"--ready\"]
      interval: 10s
      timeout: 3s
      retries: 3
      start_period: 30s
    # Handing over, and the drain-timeout of the document.
    stop_grace_period: {stop}s
    restart: unless-stopped
"
    )
}
