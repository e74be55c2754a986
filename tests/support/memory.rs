//! Memory of this process, as the kernel counts it.

#![allow(dead_code)] // Each benchmark uses its own part.

use std::fs;

/// Kilobytes resident now.
pub fn resident() -> u64 {
    status("VmRSS:")
}

/// Forget the most that was ever resident.
pub fn forget_peak() {
    // Linux 4.0 and later; without it the peak is that of the whole run.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Kilobytes that were resident at most since [`forget_peak`].
pub fn peak() -> u64 {
    status("VmHWM:")
}

fn status(line: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found = text.lines().find_map(|found| found.strip_prefix(line));
    found
        .and_then(|found| found.trim().strip_suffix(" kB")?.trim().parse().ok())
        .unwrap_or_default()
}
