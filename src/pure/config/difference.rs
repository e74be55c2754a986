//! What differs between two documents, for whoever is to get from one to the
//! other without a restart.
//!
//! It decides what stays, what changes in place, and what cannot change while
//! the daemon runs; it changes nothing.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Check, CheckId, Config, Endpoint, Listener, Node, Pool, PoolId, TrackSubject, VirtualRouter};

/// From one document to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The other document, as far as it can be had without a restart.
    pub config: Config,
    /// What is to be done, in the order of the document's sections.
    pub steps: Vec<Step>,
    /// Keys that are another only after a restart.
    pub restart: Vec<String>,
    /// Sentences about what comes with it.
    pub cautions: Vec<String>,
}

/// One thing that becomes another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Step {
    /// What it is.
    pub what: What,
    /// Its name in the document; of an endpoint `POOL/ENDPOINT`.
    pub name: String,
    /// What becomes of it.
    pub change: Change,
    /// The keys whose values are others; none of what is added or removed.
    pub keys: Vec<String>,
}

/// What can become another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// The daemon's own settings.
    Daemon,
    /// A virtual router of this node.
    VirtualRouter,
    /// A listener.
    Listener,
    /// A pool, apart from its endpoints.
    Pool,
    /// An endpoint of a pool.
    Endpoint,
    /// A check.
    Check,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It was not there before.
    Added,
    /// It goes on with other settings.
    Changed,
    /// It ends, and one with the same name begins: a virtual router whose
    /// messages others would not take for the same one's.
    Replaced,
    /// It is not there any more.
    Removed,
}

/// As in "listener web: changed: bind".
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            What::Daemon => "daemon",
            What::VirtualRouter => "virtual router ",
            What::Listener => "listener ",
            What::Pool => "pool ",
            What::Endpoint => "endpoint ",
            What::Check => "check ",
        };
        let change = match self.change {
            Change::Added => "added",
            Change::Changed => "changed",
            Change::Replaced => "replaced",
            Change::Removed => "removed",
        };
        write!(f, "{what}{}: {change}", self.name)?;
        if !self.keys.is_empty() {
            write!(f, ": {}", self.keys.join(", "))?;
        }
        Ok(())
    }
}

impl Difference {
    /// From `old`, which this daemon runs with as `node`, to `new`. A node that
    /// `new` does not name has to be refused before.
    pub fn between(old: &Config, new: &Config, node: Option<&str>) -> Self {
        let mut difference = Self {
            config: new.clone(),
            steps: Vec::new(),
            restart: Vec::new(),
            cautions: Vec::new(),
        };
        difference.keep_what_needs_a_restart(old, node);
        let new = difference.config.clone();
        difference.daemon(old, &new);
        if let Some(node) = node {
            difference.virtual_routers(old, &new, node);
        }
        difference.each(What::Listener, &old.listeners, &new.listeners, |was, is| {
            listener(old, was, &new, is)
        });
        difference.each(What::Pool, &old.pools, &new.pools, |was, is| {
            pool(old, was, &new, is)
        });
        for is in &new.pools {
            let was = old.pools.iter().find(|was| was.name == is.name);
            difference.endpoints(&is.name, was.map_or(&[][..], |was| &was.endpoints), &is.endpoints);
        }
        difference.each(What::Check, &old.checks, &new.checks, check);
        difference
    }

    /// What becomes of something; `None` where it stays as it is, or never was.
    pub fn of(&self, what: What, name: &str) -> Option<Change> {
        let mut steps = self.steps.iter();
        let step = steps.find(|step| step.what == what && step.name == name);
        step.map(|step| step.change)
    }

    fn keep_what_needs_a_restart(&mut self, old: &Config, node: Option<&str>) {
        let (daemon, was) = (&mut self.config.daemon, &old.daemon);
        if daemon.threads != was.threads {
            daemon.threads = was.threads;
            self.restart.push("daemon.threads".into());
        }
        if daemon.plugin_cache != was.plugin_cache {
            daemon.plugin_cache.clone_from(&was.plugin_cache);
            self.restart.push("daemon.plugin-cache".into());
        }
        if daemon.plugin_memory != was.plugin_memory {
            daemon.plugin_memory = was.plugin_memory;
            self.restart.push("daemon.plugin-memory".into());
        }
        if node.is_none() && !self.config.virtual_routers.is_empty() {
            // It was started as no node of any document.
            self.config.virtual_routers.clear();
            self.restart.push("virtual-routers".into());
        }
        let is_own = |one: &&Node| Some(one.name.as_str()) == node;
        let was = old.nodes.iter().find(is_own);
        let is = self
            .config
            .nodes
            .iter_mut()
            .find(|one| Some(one.name.as_str()) == node);
        if let (Some(was), Some(is)) = (was, is) {
            let own = &was.name;
            if is.address != was.address {
                is.address = was.address;
                self.restart.push(format!("nodes.{own}.address"));
            }
            if is.interface != was.interface {
                is.interface.clone_from(&was.interface);
                self.restart.push(format!("nodes.{own}.interface"));
            }
        }
    }

    fn daemon(&mut self, old: &Config, new: &Config) {
        let (was, is) = (&old.daemon, &new.daemon);
        let keys = keys([
            ("drain-timeout", was.drain_timeout != is.drain_timeout),
            ("max-connections", was.max_connections != is.max_connections),
        ]);
        self.changed(What::Daemon, "", keys);
    }

    fn virtual_routers(&mut self, old: &Config, new: &Config, node: &str) {
        self.each(
            What::VirtualRouter,
            &old.virtual_routers,
            &new.virtual_routers,
            |was, is| {
                let mut keys = identity(was, is);
                keys.extend(in_place(old, was, new, is, node));
                keys
            },
        );
        for is in &new.virtual_routers {
            let Some(was) = old.virtual_routers.iter().find(|was| was.name == is.name) else {
                continue;
            };
            if !identity(was, is).is_empty() {
                let mut steps = self.steps.iter_mut();
                let step = steps.find(|step| step.what == What::VirtualRouter && step.name == is.name);
                if let Some(step) = step {
                    step.change = Change::Replaced;
                }
                continue;
            }
            let split = keys([
                (
                    "advertisement-interval",
                    was.advertisement_interval != is.advertisement_interval,
                ),
                ("authentication", was.password != is.password),
            ]);
            if is.version == 2 && !split.is_empty() {
                self.cautions.push(format!(
                    "virtual router {}: in version 2, nodes with another {} do not hear each other and are all \
                     active until every node has it: reload the other nodes now",
                    is.name,
                    split.join(" or ")
                ));
            }
        }
    }

    fn endpoints(&mut self, pool: &str, old: &[Endpoint], new: &[Endpoint]) {
        let name = |endpoint: &Endpoint| format!("{pool}/{}", endpoint.name);
        for was in old.iter().filter(|was| !new.iter().any(|is| stays(was, is))) {
            self.step(What::Endpoint, name(was), Change::Removed, Vec::new());
        }
        for is in new {
            match old.iter().find(|was| stays(was, is)) {
                Some(was) => self.changed(What::Endpoint, &name(is), endpoint(was, is)),
                None => self.step(What::Endpoint, name(is), Change::Added, Vec::new()),
            }
        }
    }

    /// By names: what went, what came, and of the rest the keys that `keys` tells.
    fn each<T: Named>(&mut self, what: What, old: &[T], new: &[T], keys: impl Fn(&T, &T) -> Vec<String>) {
        for was in old.iter().filter(|was| find(new, was.name()).is_none()) {
            self.step(what, was.name().into(), Change::Removed, Vec::new());
        }
        for is in new {
            match find(old, is.name()) {
                Some(was) => self.changed(what, is.name(), keys(was, is)),
                None => self.step(what, is.name().into(), Change::Added, Vec::new()),
            }
        }
    }

    fn changed(&mut self, what: What, name: &str, keys: Vec<String>) {
        if !keys.is_empty() {
            self.step(what, name.into(), Change::Changed, keys);
        }
    }

    fn step(&mut self, what: What, name: String, change: Change, keys: Vec<String>) {
        self.steps.push(Step {
            what,
            name,
            change,
            keys,
        });
    }
}

/// Whether an endpoint of the new document is the old one's: then it keeps its
/// connections, its counters and what is believed of it.
pub fn stays(old: &Endpoint, new: &Endpoint) -> bool {
    old.name == new.name && old.address == new.address
}

/// What has a name of its own in the document.
trait Named {
    fn name(&self) -> &str;
}

macro_rules! named {
    ($($kind:ty),*) => {
        $(impl Named for $kind {
            fn name(&self) -> &str {
                &self.name
            }
        })*
    };
}

named!(VirtualRouter, Listener, Pool, Check);

fn find<'a, T: Named>(all: &'a [T], name: &str) -> Option<&'a T> {
    all.iter().find(|one| one.name() == name)
}

/// Those whose values differ.
fn keys<const N: usize>(keys: [(&str, bool); N]) -> Vec<String> {
    let differing = keys.into_iter().filter(|(_, differs)| *differs);
    differing.map(|(key, _)| key.to_string()).collect()
}

/// What makes it another virtual router to others, or wants other sockets.
fn identity(was: &VirtualRouter, is: &VirtualRouter) -> Vec<String> {
    let ipv4 = |router: &VirtualRouter| router.addresses.first().is_some_and(|first| first.ip.is_ipv4());
    keys([
        ("vrid", was.vrid != is.vrid),
        ("version", was.version != is.version),
        ("addresses", ipv4(was) != ipv4(is)),
        ("unicast", was.unicast != is.unicast),
        ("virtual-mac", was.virtual_mac != is.virtual_mac),
        ("interface", was.interface != is.interface),
    ])
}

fn in_place(old: &Config, was: &VirtualRouter, new: &Config, is: &VirtualRouter, node: &str) -> Vec<String> {
    let ipv4 = |router: &VirtualRouter| router.addresses.first().is_some_and(|first| first.ip.is_ipv4());
    let priority = |config: &Config| {
        let mut nodes = config.nodes.iter();
        nodes.find(|one| one.name == node).map(|one| one.priority)
    };
    let others = |config: &Config, router: &VirtualRouter| {
        let others = config.nodes.iter().filter(|one| one.name != node);
        others
            .map(|one| (one.name.clone(), router.sends_from(one), one.priority))
            .collect::<Vec<_>>()
    };
    let tracks = |config: &Config, router: &VirtualRouter| {
        let track = router.track.iter();
        track
            .map(|track| (tracked(config, &track.subject), track.weight))
            .collect::<Vec<_>>()
    };
    keys([
        ("priority", priority(old) != priority(new)),
        ("nodes", others(old, was) != others(new, is)),
        (
            "addresses",
            was.addresses != is.addresses && ipv4(was) == ipv4(is),
        ),
        (
            "advertisement-interval",
            was.advertisement_interval != is.advertisement_interval,
        ),
        ("authentication", was.password != is.password),
        ("preempt", was.preempt != is.preempt),
        ("preempt-delay", was.preempt_delay != is.preempt_delay),
        ("accept", was.accept != is.accept),
        ("takeover", was.takeover != is.takeover),
        ("checksum", was.checksum != is.checksum),
        ("sync", was.sync != is.sync),
        ("announce", was.announce != is.announce),
        ("track", tracks(old, was) != tracks(new, is)),
    ])
}

/// The subject with names in place of positions.
fn tracked(config: &Config, subject: &TrackSubject) -> (Option<String>, TrackSubject) {
    match subject {
        TrackSubject::Pool(id) => (Some(config.pool(*id).name.clone()), TrackSubject::Pool(PoolId(0))),
        TrackSubject::Check { check, port } => (
            Some(config.check(*check).name.clone()),
            TrackSubject::Check {
                check: CheckId(0),
                port: *port,
            },
        ),
        TrackSubject::Interface(_) | TrackSubject::File(_) => (None, subject.clone()),
    }
}

fn listener(old: &Config, was: &Listener, new: &Config, is: &Listener) -> Vec<String> {
    keys([
        ("bind", was.bind != is.bind),
        ("pool", old.pool(was.pool).name != new.pool(is.pool).name),
        ("forwarding", was.forwarding != is.forwarding),
        ("max-connections", was.max_connections != is.max_connections),
        ("idle-timeout", was.idle_timeout != is.idle_timeout),
        ("tcp", was.tcp != is.tcp),
        ("log", was.log != is.log),
    ])
}

fn pool(old: &Config, was: &Pool, new: &Config, is: &Pool) -> Vec<String> {
    let check = |config: &Config, pool: &Pool| pool.check.map(|id| config.check(id).name.clone());
    let staying = |of: &Pool, other: &Pool| {
        let both = |one: &&Endpoint| other.endpoints.iter().any(|two| stays(one, two));
        let endpoints = of.endpoints.iter().filter(both);
        endpoints
            .map(|endpoint| endpoint.name.clone())
            .collect::<Vec<_>>()
    };
    keys([
        ("balance", was.balance != is.balance),
        ("check", check(old, was) != check(new, is)),
        ("connect-timeout", was.connect_timeout != is.connect_timeout),
        ("retries", was.retries != is.retries),
        ("on-down", was.on_down != is.on_down),
        ("when-none-ready", was.when_none_ready != is.when_none_ready),
        ("tcp", was.tcp != is.tcp),
        // Their order, which some ways to balance go by.
        ("endpoints", staying(was, is) != staying(is, was)),
    ])
}

fn endpoint(was: &Endpoint, is: &Endpoint) -> Vec<String> {
    keys([
        ("weight", was.weight != is.weight),
        ("backup", was.backup != is.backup),
        ("state", was.state != is.state),
        ("max-connections", was.max_connections != is.max_connections),
        ("check-address", was.probe_address.ip() != is.probe_address.ip()),
        ("check-port", was.probe_address.port() != is.probe_address.port()),
    ])
}

fn check(was: &Check, is: &Check) -> Vec<String> {
    keys([
        ("plugin", was.plugin != is.plugin),
        ("interval", was.interval != is.interval),
        ("fast-interval", was.fast_interval != is.fast_interval),
        ("down-interval", was.down_interval != is.down_interval),
        ("timeout", was.timeout != is.timeout),
        ("rise", was.rise != is.rise),
        ("fall", was.fall != is.fall),
        ("config", was.config != is.config),
        ("tls", was.tls != is.tls),
        ("memory", was.memory != is.memory),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::{Format, check};
    use super::*;

    const DOCUMENT: &str = r#"
[nodes.lb-a]
address = "192.0.2.1"
interface = "ens32"
priority = 200
[nodes.lb-b]
address = "192.0.2.2"
interface = "ens32"
[virtual-routers.front]
vrid = 51
addresses = ["192.0.2.250/24"]
version = 2
authentication = { pass = "1111" }
track = [{ pool = "web", weight = -50 }]
[listeners.web]
bind = ["*:80"]
pool = "web"
[pools.web]
check = "tcp"
[pools.web.endpoints]
one = "192.0.2.11:80"
two = "192.0.2.12:80"
[checks.tcp]
plugin = "tcp"
"#;

    fn config(text: &str) -> Config {
        check(text, Format::Toml, &["tcp"])
            .unwrap_or_else(|refused| panic!("{:?}:\n{text}", refused.mistakes))
            .config
    }

    /// What follows from replacing each text by another, of the whole document.
    fn after(replaced: &[(&str, &str)]) -> Difference {
        let new = replaced.iter().fold(DOCUMENT.to_string(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        });
        Difference::between(&config(DOCUMENT), &config(&new), Some("lb-a"))
    }

    fn steps(difference: &Difference) -> Vec<String> {
        difference.steps.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn same_document_is_no_difference() {
        let same = after(&[]);
        assert_eq!(
            (same.steps.len(), same.restart.len(), same.cautions.len()),
            (0, 0, 0)
        );
        assert_eq!(same.config, config(DOCUMENT));
    }

    #[test]
    fn what_is_written_elsewhere_in_the_document_is_the_same() {
        let more = after(&[(
            "[pools.web]",
            "[listeners.a]\nbind = [\"*:81\"]\npool = \"a\"\n[pools.a]\ncheck = \"a\"\n\
             [pools.a.endpoints]\none = \"192.0.2.11:81\"\n[checks.a]\nplugin = \"tcp\"\n[pools.web]",
        )]);
        assert_eq!(
            steps(&more),
            [
                "listener a: added",
                "pool a: added",
                "endpoint a/one: added",
                "check a: added"
            ]
        );
    }

    #[test]
    fn endpoint_is_the_same_by_name_and_address() {
        let difference = after(&[
            (
                "one = \"192.0.2.11:80\"",
                "one = { address = \"192.0.2.11:80\", weight = 3, check-port = 81 }",
            ),
            ("two = \"192.0.2.12:80\"", "two = \"192.0.2.13:80\""),
        ]);
        assert_eq!(
            steps(&difference),
            [
                "endpoint web/two: removed",
                "endpoint web/one: changed: weight, check-port",
                "endpoint web/two: added"
            ]
        );
    }

    #[test]
    fn order_of_endpoints_is_a_change_of_the_pool() {
        let difference = after(&[
            ("one = \"192.0.2.11:80\"\n", ""),
            (
                "two = \"192.0.2.12:80\"",
                "two = \"192.0.2.12:80\"\none = \"192.0.2.11:80\"",
            ),
        ]);
        assert_eq!(steps(&difference), ["pool web: changed: endpoints"]);
    }

    #[test]
    fn settings_that_others_do_not_see_change_in_place() {
        let difference = after(&[
            ("priority = 200", "priority = 50"),
            ("weight = -50", "weight = -60"),
            ("192.0.2.250/24\"", "192.0.2.250/24\", \"192.0.2.251/24\""),
            ("[pools.web]\n", "[pools.web]\nretries = 1\n"),
            ("pool = \"web\"\n[", "pool = \"web\"\nmax-connections = 7\n["),
            ("plugin = \"tcp\"", "plugin = \"tcp\"\nrise = 9"),
        ]);
        assert_eq!(
            steps(&difference),
            [
                "virtual router front: changed: priority, addresses, track",
                "listener web: changed: max-connections",
                "pool web: changed: retries",
                "check tcp: changed: rise"
            ]
        );
        assert_eq!(difference.of(What::Listener, "web"), Some(Change::Changed));
        assert_eq!(difference.of(What::Listener, "other"), None);
    }

    #[test]
    fn another_identifier_is_another_virtual_router() {
        let difference = after(&[("vrid = 51", "vrid = 52\npreempt = false")]);
        assert_eq!(
            steps(&difference),
            ["virtual router front: replaced: vrid, preempt"]
        );
    }

    #[test]
    fn other_nodes_concern_the_virtual_routers() {
        let difference = after(&[("192.0.2.2\"", "192.0.2.3\"")]);
        assert_eq!(steps(&difference), ["virtual router front: changed: nodes"]);
    }

    #[test]
    fn version_2_does_not_hear_other_intervals_which_is_said() {
        let difference = after(&[("vrid = 51", "vrid = 51\nadvertisement-interval = \"2s\"")]);
        assert_eq!(
            steps(&difference),
            ["virtual router front: changed: advertisement-interval"]
        );
        assert!(
            difference.cautions[0].contains("another advertisement-interval do not hear"),
            "{:?}",
            difference.cautions
        );
    }

    #[test]
    fn what_needs_a_restart_is_named_and_stays() {
        let difference = after(&[
            ("192.0.2.1\"", "192.0.2.9\""),
            (
                "interface = \"ens32\"\npriority",
                "interface = \"ens33\"\npriority",
            ),
            (
                "[nodes.lb-a]",
                "[daemon]\nthreads = 3\nplugin-cache = \"/var/cache/x\"\nplugin-memory = \"2GiB\"\ndrain-timeout = \"9s\"\n[nodes.lb-a]",
            ),
        ]);
        assert_eq!(
            difference.restart,
            [
                "daemon.threads",
                "daemon.plugin-cache",
                "daemon.plugin-memory",
                "nodes.lb-a.address",
                "nodes.lb-a.interface"
            ]
        );
        assert_eq!(steps(&difference), ["daemon: changed: drain-timeout"]);
        assert_eq!(difference.config.nodes, config(DOCUMENT).nodes);
        assert_eq!(difference.config.daemon.threads, None);
    }

    #[test]
    fn daemon_that_is_no_node_elects_nobody_before_a_restart() {
        let new = config(DOCUMENT);
        let mut old = new.clone();
        old.nodes.clear();
        old.virtual_routers.clear();
        let difference = Difference::between(&old, &new, None);
        assert_eq!(difference.restart, ["virtual-routers"]);
        assert_eq!(
            (steps(&difference).len(), difference.config.virtual_routers.len()),
            (0, 0)
        );
    }

    #[test]
    fn what_is_gone_is_removed() {
        let old = config(DOCUMENT);
        let start = DOCUMENT.find("[virtual-routers").unwrap();
        let end = DOCUMENT.find("[listeners").unwrap();
        let new = format!("{}{}", &DOCUMENT[..start], &DOCUMENT[end..]);
        let difference = Difference::between(&old, &config(&new), Some("lb-a"));
        assert_eq!(steps(&difference), ["virtual router front: removed"]);
    }
}
