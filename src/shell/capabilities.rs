//! What the kernel allows this process: capabilities(7).

use std::fs;

/// A right beyond an ordinary process's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Change addresses and interfaces.
    NetAdmin,
    /// Open raw and packet sockets.
    NetRaw,
}

impl Capability {
    /// As container runtimes and service managers call it, without `CAP_`.
    pub fn name(self) -> &'static str {
        match self {
            Self::NetAdmin => "NET_ADMIN",
            Self::NetRaw => "NET_RAW",
        }
    }

    fn bit(self) -> u32 {
        match self {
            Self::NetAdmin => 12,
            Self::NetRaw => 13,
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
}
