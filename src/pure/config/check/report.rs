//! Where the checks write down what is wrong, and the checks that all share.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use super::super::mistake::Fault;
use super::super::tree::{Node, Path};
use super::super::units::{OrOff, Time};
use super::super::words;

pub(super) struct Report<'a> {
    pub tree: &'a Node,
    /// Places that could not be read: what is missing there has been reported.
    pub refused: &'a [Path],
    pub mistakes: Vec<Fault>,
    pub warnings: Vec<Fault>,
}

impl Report<'_> {
    /// The value at `path` is wrong. An empty `help` is none.
    pub fn wrong(&mut self, path: &Path, message: impl Into<String>, help: impl Into<String>) {
        let span = self.tree.span_of(path);
        self.mistakes
            .push(fault(Fault::at(span, message), path, help.into()));
    }

    /// The key at `path` should not be there, or not be called so.
    pub fn wrong_key(&mut self, path: &Path, message: impl Into<String>, help: impl Into<String>) {
        let span = self.tree.key_span_of(path);
        self.mistakes
            .push(fault(Fault::at(span, message), path, help.into()));
    }

    /// The value at `path` is doubtful.
    pub fn warn(&mut self, path: &Path, message: impl Into<String>, help: impl Into<String>) {
        let span = self.tree.span_of(path);
        self.warnings
            .push(fault(Fault::at(span, message), path, help.into()));
    }

    /// `table` lacks `key`, unless what was there has been refused already.
    pub fn missing(&mut self, table: &Path, key: &str, help: impl Into<String>) {
        if !self.was_refused(&table.key(key)) {
            self.wrong_key(table, format!("`{key}` is missing"), help);
        }
    }

    /// Whether something at, above or below `path` could not be read.
    pub fn was_refused(&self, path: &Path) -> bool {
        self.refused
            .iter()
            .any(|refused| path.starts_with(refused) || refused.starts_with(path))
    }

    /// The name of a node, pool, …: it goes into logs, metrics and commands.
    pub fn name(&mut self, path: &Path, name: &str) {
        let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() {
            self.wrong_key(path, "a name cannot be empty", NAME_HELP);
        } else if !name.chars().all(good) {
            self.wrong_key(
                path,
                format!("the name {name:?} has characters that names cannot have"),
                NAME_HELP,
            );
        }
    }

    /// A number from `least` to `most`, or none.
    pub fn optional_number<T: TryFrom<i64>>(
        &mut self,
        path: &Path,
        value: Option<i64>,
        least: i64,
        most: i64,
    ) -> Option<T> {
        let value = value?;
        if !(least..=most).contains(&value) {
            self.wrong(
                path,
                format!("{value} is out of range"),
                format!("write a number from {least} to {most}"),
            );
            return None;
        }
        T::try_from(value).ok()
    }

    /// The limit of connections in `table`.
    pub fn connections(&mut self, table: &Path, value: Option<i64>) -> Option<u32> {
        let path = table.key("max-connections");
        if value == Some(0) {
            self.wrong(
                &path,
                "0 connections would be none at all",
                "leave `max-connections` out for no limit",
            );
            return None;
        }
        self.optional_number(&path, value, 1, 1_000_000_000)
    }

    /// A duration between two others.
    pub fn time(
        &mut self,
        path: &Path,
        value: Option<Time>,
        default: Duration,
        range: (Time, Time),
    ) -> Duration {
        let Some(value) = value else {
            return default;
        };
        let (least, most) = range;
        if value < least {
            self.wrong(
                path,
                format!("{value} is too short"),
                format!("write a duration from {least} to {most}"),
            );
        } else if value > most {
            self.wrong(
                path,
                format!("{value} is too long"),
                format!("write a duration from {least} to {most}"),
            );
        }
        value.0
    }

    /// The same, or "off".
    pub fn time_or_off(
        &mut self,
        path: &Path,
        value: Option<OrOff<Time>>,
        default: Option<Duration>,
        range: (Time, Time),
    ) -> Option<Duration> {
        match value {
            None => default,
            Some(OrOff::Off) => None,
            Some(OrOff::On(Time(Duration::ZERO))) => {
                self.wrong(path, "0s is too short", "write \"off\" for none");
                default
            }
            Some(OrOff::On(value)) => Some(self.time(path, Some(value), value.0, range)),
        }
    }

    /// Text that must not be empty.
    pub fn filled<'t>(&mut self, path: &Path, value: &'t Option<String>) -> Option<&'t str> {
        let value = value.as_deref()?;
        if value.trim().is_empty() {
            self.wrong(
                path,
                "this is empty",
                "write a value, or leave the key out if it is optional",
            );
            return None;
        }
        Some(value)
    }

    /// A path in the file system.
    pub fn file(&mut self, path: &Path, value: &Option<String>) -> Option<std::path::PathBuf> {
        let value = self.filled(path, value)?;
        if value.contains('\0') {
            self.wrong(path, "a path cannot contain a NUL character", "");
        }
        Some(value.into())
    }

    /// The name of a network interface.
    pub fn interface(&mut self, path: &Path, name: &str) {
        let bad = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
        if name.is_empty() || name.len() > 15 || name.contains(bad) || name == "." || name == ".." {
            self.wrong(
                path,
                format!("{name:?} cannot be the name of a network interface"),
                "interfaces have names of 1 to 15 bytes without spaces, `/` and `:`, such as \"ens32\"",
            );
        }
    }

    /// An IP address that one machine can have.
    pub fn ip(&mut self, path: &Path, text: &str) -> Option<IpAddr> {
        match text.parse::<IpAddr>() {
            Ok(ip) => self.unicast(path, ip).then_some(ip),
            Err(_) => {
                let help = match (text.contains('/'), text.parse::<std::net::SocketAddr>()) {
                    (true, _) => "write the address without a prefix length, such as \"211.183.3.251\"",
                    (_, Ok(_)) => "write the address without a port, such as \"211.183.3.251\"",
                    _ => "write one such as \"211.183.3.251\" or \"fd00::251\"",
                };
                self.wrong(path, format!("{text:?} is not an IP address"), help);
                None
            }
        }
    }

    /// Whether one machine can have the address; reported if not.
    pub fn unicast(&mut self, path: &Path, ip: IpAddr) -> bool {
        let what = match ip {
            ip if ip.is_unspecified() => "stands for every address",
            ip if ip.is_multicast() => "is a multicast address",
            IpAddr::V4(v4) if v4.is_broadcast() => "is the broadcast address",
            IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => "is an IPv4 address in IPv6 clothes",
            _ => return true,
        };
        let help = match ip {
            IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
                format!("write {:?}", ip.to_canonical().to_string())
            }
            _ => "write the address of one machine".into(),
        };
        self.wrong(path, format!("{ip} {what}"), help);
        false
    }

    /// Text of a form that its own type knows; `what` it should be.
    pub fn parsed<T: FromStr<Err = String>>(&mut self, path: &Path, text: &str, what: &str) -> Option<T> {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                let port = text.strip_prefix(':').unwrap_or(text).parse::<u16>();
                let help = match port {
                    Ok(port) if port > 0 => format!("write \"*:{port}\" for every address of this machine"),
                    _ => error.replacen("expected", "write", 1),
                };
                self.wrong(path, format!("{text:?} is not {what}"), help);
                None
            }
        }
    }

    /// The position of `name` in the table `table` of the document; 0 when it
    /// leads nowhere.
    pub fn reference<'t>(
        &mut self,
        path: &Path,
        name: &str,
        table: &str,
        names: impl Iterator<Item = &'t str>,
    ) -> usize {
        let known: Vec<&str> = names.collect();
        if let Some(position) = known.iter().position(|candidate| *candidate == name) {
            return position;
        }
        if !self.refused_above(&Path::default().key(table).key(name)) {
            let thing = table.trim_end_matches('s');
            let help = words::suggest(name, &known, table);
            self.wrong(path, format!("no {thing} is called {name:?}"), help);
        }
        0
    }

    fn refused_above(&self, path: &Path) -> bool {
        self.refused.iter().any(|refused| path.starts_with(refused))
    }
}

const NAME_HELP: &str = "names are made of A-Z, a-z, 0-9, `.`, `_` and `-`";

fn fault(fault: Fault, path: &Path, help: String) -> Fault {
    let fault = fault.path(path);
    if help.is_empty() { fault } else { fault.help(help) }
}
