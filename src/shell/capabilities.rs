//! What the kernel allows this process: capabilities(7).

use std::fs;

/// A right beyond an ordinary process's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Change addresses and interfaces.
    NetAdmin,
    /// Open raw and packet sockets.
    NetRaw,
    /// Listen on ports below [`first_free_port`].
    NetBindService,
}

impl Capability {
    /// As container runtimes and service managers call it, without `CAP_`.
    pub fn name(self) -> &'static str {
        match self {
            Self::NetAdmin => "NET_ADMIN",
            Self::NetRaw => "NET_RAW",
            Self::NetBindService => "NET_BIND_SERVICE",
        }
    }

    fn bit(self) -> u32 {
        match self {
            Self::NetAdmin => 12,
            Self::NetRaw => 13,
            Self::NetBindService => 10,
        }
    }
}

/// Those of `wanted` that the calling thread does not have. None where the
/// kernel does not say: then the refusal that comes later has to do.
pub fn missing(wanted: &[Capability]) -> Vec<Capability> {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let Some(effective) = effective(&status) else {
        return Vec::new();
    };
    let lacks = |capability: &&Capability| effective & (1 << capability.bit()) == 0;
    wanted.iter().filter(lacks).copied().collect()
}

/// What an operator does to grant them.
pub fn how_to_grant(capabilities: &[Capability]) -> String {
    let listed = |prefix: &str, between: &str| {
        let names = capabilities.iter().map(|one| format!("{prefix}{}", one.name()));
        names.collect::<Vec<_>>().join(between)
    };
    format!(
        "grant with `--cap-add={}` to podman run, or `AmbientCapabilities={}` in a systemd unit",
        listed("", ","),
        listed("CAP_", " ")
    )
}

/// The first port on which every process may listen, in this network namespace.
pub fn first_free_port() -> u16 {
    let setting = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let port = setting.ok().and_then(|text| text.trim().parse().ok());
    // A kernel before 4.11, or a file system that hides it.
    port.unwrap_or(1024)
}

/// The line `CapEff`, hexadecimal: proc_pid_status(5).
fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effective_set_is_read_from_its_line() {
        let status = "CapPrm:\t000001ffffffffff\nCapEff:\t0000000000003000\nCapBnd:\t0\n";
        assert_eq!(effective(status), Some(1 << 12 | 1 << 13));
        assert_eq!(effective("CapEff:\tnonsense"), None);
        assert_eq!(effective(""), None);
    }

    #[test]
    fn way_to_grant_is_told_for_containers_and_services() {
        assert_eq!(
            how_to_grant(&[Capability::NetAdmin, Capability::NetRaw]),
            "grant with `--cap-add=NET_ADMIN,NET_RAW` to podman run, or \
             `AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW` in a systemd unit"
        );
    }
}
