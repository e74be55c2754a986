//! Memory of a process, as the kernel counts it.

#![allow(dead_code)] // Each file uses its own part.

use std::fs;

/// Kilobytes of this process resident now.
pub fn resident() -> u64 {
    status("self", "VmRSS:")
}

/// Forget the most that was ever resident.
pub fn forget_peak() {
    // Linux 4.0 and later; without it the peak is that of the whole run.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Kilobytes of this process that were resident at most since [`forget_peak`].
pub fn peak() -> u64 {
    status("self", "VmHWM:")
}

/// Kilobytes of a process that were resident at most.
pub fn peak_of(process: u32) -> u64 {
    status(&process.to_string(), "VmHWM:")
}

fn status(process: &str, line: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let found = text.lines().find_map(|found| found.strip_prefix(line));
    found
        .and_then(|found| found.trim().strip_suffix(" kB")?.trim().parse().ok())
        .unwrap_or_default()
}
