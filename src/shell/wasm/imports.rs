//! What a plugin may import.

/// The contract's version. Plugins of the same major and no higher minor one
/// are served.
const CONTRACT: (u64, u64) = (1, 0);

/// The minor version of WASI 0 that is served.
const WASI: u64 = 2;

/// What an import gives a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// What it is named after, inside the fence.
    Served(&'static str),
    /// Nothing, though it is there: toolchains import it of their own accord.
    Empty(&'static str),
}

/// The interfaces there are, without their versions, and what each gives.
const INTERFACES: [(&str, Grant); 34] = {
    use Grant::{Empty, Served};
    [
        (
            "catamaran:health/clock",
            Served("time since the probe began; date and time"),
        ),
        (
            "catamaran:health/connection",
            Served("TCP and TLS to its endpoint"),
        ),
        ("catamaran:health/http", Served("HTTP requests to its endpoint")),
        ("catamaran:health/log", Served("messages in the log")),
        ("catamaran:health/types", Served("nothing but names")),
        ("wasi:cli/environment", Empty("no variables, no arguments")),
        ("wasi:cli/exit", Empty("ends the probe as the plugin's fault")),
        ("wasi:cli/stderr", Served("messages in the log")),
        ("wasi:cli/stdin", Empty("no input")),
        ("wasi:cli/stdout", Served("messages in the log")),
        ("wasi:cli/terminal-input", Empty("no terminal")),
        ("wasi:cli/terminal-output", Empty("no terminal")),
        ("wasi:cli/terminal-stderr", Empty("no terminal")),
        ("wasi:cli/terminal-stdin", Empty("no terminal")),
        ("wasi:cli/terminal-stdout", Empty("no terminal")),
        ("wasi:clocks/monotonic-clock", Served("time, and waiting")),
        ("wasi:clocks/wall-clock", Served("date and time")),
        ("wasi:filesystem/preopens", Empty("no files")),
        ("wasi:filesystem/types", Empty("no files")),
        (
            "wasi:http/outgoing-handler",
            Served("HTTP requests to its endpoint"),
        ),
        ("wasi:http/types", Served("HTTP requests and answers")),
        ("wasi:io/error", Served("errors of streams")),
        ("wasi:io/poll", Served("waiting")),
        ("wasi:io/streams", Served("streams of bodies and of the log")),
        ("wasi:random/insecure", Served("random numbers")),
        ("wasi:random/insecure-seed", Served("random numbers")),
        ("wasi:random/random", Served("random numbers")),
        (
            "wasi:sockets/instance-network",
            Empty("no network but the endpoint"),
        ),
        ("wasi:sockets/ip-name-lookup", Empty("no names are looked up")),
        ("wasi:sockets/network", Empty("no network but the endpoint")),
        ("wasi:sockets/tcp", Empty("no sockets")),
        ("wasi:sockets/tcp-create-socket", Empty("no sockets")),
        ("wasi:sockets/udp", Empty("no sockets")),
        ("wasi:sockets/udp-create-socket", Empty("no sockets")),
    ]
};

/// What an import gives, by its full name with its version.
///
/// # Errors
/// A sentence that says why a plugin with this import is not loaded.
pub fn grant(import: &str) -> Result<Grant, String> {
    let (interface, version) = import.split_once('@').unwrap_or((import, ""));
    let known = INTERFACES.iter().find(|(name, _)| *name == interface);
    let Some((_, grant)) = known else {
        return Err(format!("the plugin imports {import}, which a check may not use"));
    };
    let (ours, served) = match interface.starts_with("catamaran:") {
        true => (is_served(version), contract()),
        false => (numbers(version) == Some((0, WASI)), format!("WASI 0.{WASI}")),
    };
    if !ours {
        return Err(format!("the plugin imports {import}; this host serves {served}"));
    }
    Ok(*grant)
}

/// The versions of the contract that are served, in words.
pub fn contract() -> String {
    let (major, minor) = CONTRACT;
    format!("{major}.x of the contract, up to {major}.{minor}")
}

/// Whether plugins made for this version of the contract run here.
fn is_served(version: &str) -> bool {
    numbers(version).is_some_and(|(major, minor)| major == CONTRACT.0 && minor <= CONTRACT.1)
}

/// A version's major and minor number.
fn numbers(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.splitn(3, '.').map(str::parse::<u64>);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contract_has_the_version_that_is_served() {
        let text = include_str!("../../../plugins/wit/worlds.wit");
        let (major, minor) = CONTRACT;
        assert!(text.contains(&format!("package catamaran:health@{major}.{minor}.0;")));
    }

    #[test]
    fn own_major_version_is_served_up_to_the_own_minor_one() {
        assert!(is_served("1.0.0") && is_served("1.0.7"));
        for other in ["0.1.0", "1.1.0", "2.0.0", "1", "", "1.x.0"] {
            assert!(!is_served(other), "{other}");
        }
    }

    #[test]
    fn wasi_is_served_in_one_version_whatever_its_patch() {
        let files = Grant::Empty("no files");
        assert_eq!(grant("wasi:filesystem/types@0.2.0"), Ok(files));
        assert_eq!(grant("wasi:filesystem/types@0.2.12"), Ok(files));
        assert_eq!(
            grant("wasi:clocks/wall-clock@0.3.0").unwrap_err(),
            "the plugin imports wasi:clocks/wall-clock@0.3.0; this host serves WASI 0.2"
        );
    }
}
