//! What the proxy benchmark is made of.

pub mod load;
pub mod sink;
pub mod subject;
pub mod world;

/// Errors of the benchmark are for its reader: one line that says what failed.
pub type Result<T> = std::result::Result<T, String>;

/// Puts before an error what was being done.
pub fn failed<E: std::fmt::Display>(what: &str) -> impl FnOnce(E) -> String + '_ {
    move |error| format!("{what}: {error}")
}
