//! What the benchmarks are made of.

#![allow(dead_code)] // Each benchmark uses its own part.

pub mod asking;
pub mod lan;
pub mod load;
#[path = "../../support/podman.rs"]
pub mod podman;
pub mod routers;
pub mod saturation;
pub mod sink;
pub mod subject;
pub mod trial;
pub mod world;

use std::thread;
use std::time::{Duration, Instant};

/// Errors of the benchmark are for its reader: one line that says what failed.
pub type Result<T> = std::result::Result<T, String>;

/// Puts before an error what was being done.
pub fn failed<E: std::fmt::Display>(what: &str) -> impl FnOnce(E) -> String + '_ {
    move |error| format!("{what}: {error}")
}

/// Returns as soon as `holds`, false after so long a time without it.
pub fn wait_until(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while !holds() {
        if began.elapsed() > patience {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
    true
}
