//! What one probe found.

use std::fmt;

/// How a probe ended; every ending has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The plugin said so.
    Healthy,
    /// The plugin said so; counts as a success.
    Degraded,
    /// The plugin said so, and nothing below explains it better.
    Unhealthy,
    /// The probe's time was over, in the plugin or on the network.
    TimedOut,
    /// The endpoint refused the connection.
    Refused,
    /// No way to the endpoint.
    Unreachable,
    /// The endpoint closed or reset the connection before its answer was whole.
    Closed,
    /// The TLS handshake failed.
    Tls,
    /// The plugin reached for something it may not have.
    Denied,
    /// The plugin hit a WebAssembly trap or panicked.
    Trapped,
    /// The plugin wanted more memory than it may have.
    MemoryLimit,
    /// The plugin cannot run, or says that its configuration is wrong.
    BadPlugin,
}

impl Cause {
    /// Whether the endpoint passed the probe.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Healthy | Self::Degraded)
    }

    /// The cause as a word for logs and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
            Self::TimedOut => "timed-out",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Closed => "closed",
            Self::Tls => "tls",
            Self::Denied => "denied",
            Self::Trapped => "trapped",
            Self::MemoryLimit => "memory-limit",
            Self::BadPlugin => "bad-plugin",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What one probe found: how it ended, and one line about it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// How the probe ended.
    pub cause: Cause,
    /// At most 1,024 bytes, one line; may be empty when healthy.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.detail.is_empty() {
            return self.cause.fmt(f);
        }
        write!(f, "{}: {}", self.cause, self.detail)
    }
}
