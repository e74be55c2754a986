//! What the fixture `hostile` does, and how the host has to end it.

use catamaran::pure::health::Cause;

/// With 16 MiB of memory, against a server that takes connections and says nothing.
pub const DEEDS: &[(&str, Cause)] = &[
    ("loop", Cause::TimedOut),
    ("host-call-loop", Cause::TimedOut),
    ("hold", Cause::TimedOut),
    ("slow-read", Cause::TimedOut),
    ("request-loop", Cause::TimedOut),
    ("connect-loop", Cause::Denied),
    ("many-connections", Cause::Denied),
    ("elsewhere", Cause::Denied),
    ("elsewhere-schemeless", Cause::Denied),
    ("elsewhere-then-lie", Cause::Denied),
    ("allocate", Cause::MemoryLimit),
    ("huge-error", Cause::MemoryLimit),
    ("huge-verdict", Cause::MemoryLimit),
    ("huge-list", Cause::MemoryLimit),
    ("huge-headers", Cause::MemoryLimit),
    ("log-huge", Cause::MemoryLimit),
    ("log-flood", Cause::Healthy),
    ("trap", Cause::Trapped),
    ("recurse", Cause::Trapped),
    ("smuggle", Cause::Unhealthy),
    ("host-header", Cause::Unhealthy),
    ("body-limit", Cause::Unhealthy),
    ("error", Cause::BadPlugin),
];
