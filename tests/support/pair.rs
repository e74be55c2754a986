//! Catamaran and the real keepalived on one Ethernet, both told the same of one
//! virtual router, and a client that remembers where its address is.
//!
//! ```text
//!  catamaran  192.0.2.1  2001:db8::1 ─┐
//!  keepalived 192.0.2.2  2001:db8::2 ─┼─ switch
//!  client     192.0.2.3  2001:db8::3 ─┘
//! ```

use std::fs::{self, File};
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use catamaran::commands::lab::enclosure::FOLDER;
use catamaran::commands::lab::world::{Host, INTERFACE, World};
use catamaran::pure::addr::IpPrefix;
use catamaran::shell::netlink::{Link, Netlink};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::Value;

use super::enclosed::{PATIENCE, at, found, run};
use super::installed::program_of_root;

/// Nobody's hardware address: locally administered.
const STRANGE_MAC: &str = "02:00:5e:10:00:0a";

/// How often it is looked who holds the address.
const LOOK: Duration = Duration::from_millis(10);

/// Of keepalived's two processes.
const PID_FILES: [&str; 2] = ["keepalived.pid", "keepalived-vrrp.pid"];

/// What both are told of the virtual router.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub version: u8,
    pub interval_ms: u64,
    /// keepalived's, where it is told another one.
    pub theirs_ms: Option<u64>,
    pub password: Option<&'static str>,
    pub ipv6: bool,
    pub unicast: bool,
    pub takeover: &'static str,
}

impl Terms {
    /// The founding case's, without its password.
    pub const PLAIN: Self = Self {
        version: 2,
        interval_ms: 1_000,
        theirs_ms: None,
        password: None,
        ipv6: false,
        unicast: false,
        takeover: "ranked",
    };

    /// The virtual addresses, as both documents have them. The last one is the
    /// one that is looked for.
    pub fn addresses(&self) -> &'static [&'static str] {
        if self.ipv6 {
            // keepalived wants a link-local one first (RFC 9568 §5.2.9).
            &["fe80::51/64", "2001:db8::250/64"]
        } else {
            &["192.0.2.250/24"]
        }
    }

    /// The address that is looked for.
    pub fn address(&self) -> IpAddr {
        let last = self.addresses().last().unwrap();
        last.parse::<IpPrefix>().unwrap().ip
    }

    /// A document for Catamaran.
    fn document(&self, first: Side) -> String {
        let mut document = String::new();
        for side in Side::BOTH {
            let (name, address, priority) = (side.name(), side.address(self.ipv6), first.priority(side));
            document += &format!(
                "[nodes.{name}]\naddress = \"{address}\"\ninterface = \"{INTERFACE}\"\npriority = {priority}\n"
            );
        }
        document += &format!(
            "[virtual-routers.apiserver]\nvrid = 51\naddresses = {:?}\nversion = {}\nadvertisement-interval = \"{}ms\"\nunicast = {}\ntakeover = \"{}\"\n",
            self.addresses(),
            self.version,
            self.interval_ms,
            self.unicast,
            self.takeover,
        );
        if let Some(password) = self.password {
            // As where the document itself is for everybody to read.
            let file = in_folder("password");
            fs::write(&file, format!("{password}\n")).unwrap();
            document += &format!("authentication = {{ pass-file = {file:?} }}\n");
        }
        document
    }

    /// The same for keepalived, as its users write it.
    fn configuration(&self, first: Side) -> String {
        let state = match first {
            Side::Keepalived => "MASTER",
            Side::Catamaran => "BACKUP",
        };
        let interval = self.theirs_ms.unwrap_or(self.interval_ms);
        let mut lines = vec![
            format!("state {state}"),
            format!("version {}", self.version),
            format!("interface {INTERFACE}"),
            "virtual_router_id 51".into(),
            format!("priority {}", first.priority(Side::Keepalived)),
            format!("advert_int {}", interval as f64 / 1e3),
            format!("virtual_ipaddress {{\n{}\n}}", self.addresses().join("\n")),
        ];
        if let Some(password) = self.password {
            lines.push(format!(
                "authentication {{\nauth_type PASS\nauth_pass {password}\n}}"
            ));
        }
        if self.unicast {
            let [ours, theirs] = [Side::Keepalived, Side::Catamaran].map(|side| side.address(self.ipv6));
            lines.push(format!("unicast_src_ip {ours}"));
            lines.push(format!("unicast_peer {{\n{theirs}\n}}"));
        }
        format!("vrrp_instance apiserver {{\n{}\n}}\n", lines.join("\n"))
    }
}

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Catamaran,
    Keepalived,
}

impl Side {
    pub const BOTH: [Self; 2] = [Self::Catamaran, Self::Keepalived];

    /// Its peer.
    pub fn other(self) -> Self {
        match self {
            Self::Catamaran => Self::Keepalived,
            Self::Keepalived => Self::Catamaran,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Catamaran => "catamaran",
            Self::Keepalived => "keepalived",
        }
    }

    /// Of its machine.
    pub fn address(self, ipv6: bool) -> &'static str {
        match (self, ipv6) {
            (Self::Catamaran, false) => "192.0.2.1",
            (Self::Catamaran, true) => "2001:db8::1",
            (Self::Keepalived, false) => "192.0.2.2",
            (Self::Keepalived, true) => "2001:db8::2",
        }
    }

    /// The priority of `of` when this side is meant to be Active.
    fn priority(self, of: Side) -> u8 {
        if self == of { 200 } else { 100 }
    }
}

/// How a router comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// SIGTERM.
    Stopped,
    /// SIGKILL. keepalived leaves its address behind for ever, so that only
    /// the death of its whole machine can be told from its life: its cable is
    /// pulled too. Catamaran's address goes by itself.
    Killed,
    /// Its cable is pulled, and it goes on.
    Unplugged,
}

/// The two routers and the client.
pub struct Pair {
    terms: Terms,
    catamaran: Router,
    keepalived: Router,
    client: Host,
}

struct Router {
    side: Side,
    host: Host,
    netlink: Netlink,
    mac: String,
    /// What it holds does not count: a dead machine neither answers nor has an address.
    dead: bool,
    daemon: Option<Child>,
}

impl Pair {
    /// The machines, and the documents of daemons that do not run yet. `first`
    /// is meant to be Active: its priority is 200, the other's 100.
    pub async fn new(world: &mut World, terms: Terms, first: Side) -> Self {
        fs::write(document(Side::Catamaran), terms.document(first)).unwrap();
        fs::write(document(Side::Keepalived), terms.configuration(first)).unwrap();
        let client = world.host("client", &["192.0.2.3/24", "2001:db8::3/64"]).unwrap();
        let pair = Self {
            terms,
            catamaran: Router::new(world, Side::Catamaran).await,
            keepalived: Router::new(world, Side::Keepalived).await,
            client,
        };
        for router in [&pair.catamaran, &pair.keepalived] {
            found("link-local addresses that may be used", async || {
                router.link().await.link_local
            })
            .await;
        }
        // An entry that is never used is never verified, so that only an
        // announcement changes it.
        let remember = format!(
            "ip neighbour replace {} lladdr {STRANGE_MAC} dev {INTERFACE} nud stale",
            terms.address()
        );
        run(&pair.client, &remember);
        pair
    }

    /// Start both at the same time.
    pub fn start_both(&mut self) {
        for side in Side::BOTH {
            self.router(side).start();
        }
    }

    /// Start one, and wait until it takes part.
    pub async fn start(&mut self, side: Side) {
        self.router(side).start();
        let says = match side {
            Side::Catamaran => "\"message\":\"backup\"",
            // Its sockets, which it opens after it has said to be a backup.
            Side::Keepalived => "VRRP sockpool:",
        };
        found("a router that takes part", async || {
            let said = fs::read_to_string(log(side)).unwrap();
            said.contains(says).then_some(())
        })
        .await;
    }

    /// Let its router come to its end.
    pub async fn end(&mut self, side: Side, end: End) {
        if side == Side::Catamaran {
            // What it says is written a moment later, and SIGKILL would lose that.
            found("the log of an Active", async || {
                (Record::read().states.last()? == "active").then_some(())
            })
            .await;
        }
        let router = self.router(side);
        match (end, side) {
            (End::Stopped, _) => router.tell(Signal::SIGTERM),
            (End::Unplugged, _) => router.host.set_cable(false).unwrap(),
            (End::Killed, Side::Catamaran) => router.tell(Signal::SIGKILL),
            (End::Killed, Side::Keepalived) => {
                router.dead = true;
                router.host.set_cable(false).unwrap();
                router.tell(Signal::SIGKILL);
            }
        }
    }

    /// Undo what [`Pair::end`] did.
    pub async fn bring_back(&mut self, side: Side, end: End) {
        let addresses = self.terms.addresses();
        let router = self.router(side);
        if end == End::Unplugged {
            return router.plug_in();
        }
        router.ended(end).await;
        if router.dead {
            router.reboot(addresses).await;
        }
        router.start();
    }

    /// Wait until one of them holds the address, the client has been told, and
    /// the other one does not hold it. Gives how long the client had to wait.
    pub async fn is_held_by(&self, side: Side) -> Duration {
        let began = Instant::now();
        let mut told = None;
        loop {
            if told.is_none() && self.serves(side).await {
                told = Some(began.elapsed());
            }
            let other = self.of(side.other());
            if let Some(told) = told
                && (other.dead || !other.holds(self.terms.address()).await)
                && self.serves(side).await
            {
                // What ip(8) shows is what we have read.
                let shown = run(&self.of(side).host, "ip -oneline address show");
                let address = format!(" {}/", self.terms.address());
                assert!(shown.contains(&address), "{shown}\n{}", self.story());
                return told;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "{} never came to hold the address alone, with the client knowing\n{}",
                side.name(),
                self.story()
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn serves(&self, side: Side) -> bool {
        let router = self.of(side);
        let neighbour = format!("ip neighbour show {} dev {INTERFACE}", self.terms.address());
        router.holds(self.terms.address()).await && run(&self.client, &neighbour).contains(&router.mac)
    }

    /// Stop both, and give what is to be known of Catamaran.
    pub async fn retire(&mut self) -> Record {
        for side in Side::BOTH {
            let router = self.router(side);
            if router.daemon.is_some() {
                router.tell(Signal::SIGTERM);
                router.ended(End::Stopped).await;
            }
        }
        Record::read()
    }

    /// Catamaran's hardware address, as in `02:00:5e:10:00:0a`.
    pub fn mac(&self) -> &str {
        &self.catamaran.mac
    }

    /// Where the advertisements of one of them come from.
    pub async fn source(&self, side: Side) -> String {
        if self.terms.ipv6 && !self.terms.unicast {
            return self.of(side).link().await.link_local.unwrap().to_string();
        }
        side.address(self.terms.ipv6).into()
    }

    /// What both have said.
    pub fn story(&self) -> String {
        let said = |side| fs::read_to_string(log(side)).unwrap_or_default();
        let [ours, theirs] = Side::BOTH.map(said);
        format!("catamaran:\n{ours}\nkeepalived:\n{theirs}")
    }

    fn of(&self, side: Side) -> &Router {
        match side {
            Side::Catamaran => &self.catamaran,
            Side::Keepalived => &self.keepalived,
        }
    }

    fn router(&mut self, side: Side) -> &mut Router {
        match side {
            Side::Catamaran => &mut self.catamaran,
            Side::Keepalived => &mut self.keepalived,
        }
    }
}

impl Router {
    async fn new(world: &mut World, side: Side) -> Self {
        let addresses = [
            format!("{}/24", side.address(false)),
            format!("{}/64", side.address(true)),
        ];
        let host = world
            .host(side.name(), &addresses.each_ref().map(String::as_str))
            .unwrap();
        let netlink = at(&host, Netlink::connect).unwrap();
        let mut router = Self {
            side,
            host,
            netlink,
            mac: String::new(),
            dead: false,
            daemon: None,
        };
        let mac = router.link().await.state.mac.unwrap();
        router.mac = mac.map(|byte| format!("{byte:02x}")).join(":");
        router
    }

    async fn link(&self) -> Link {
        self.netlink.link(INTERFACE).await.unwrap().unwrap()
    }

    async fn holds(&self, address: IpAddr) -> bool {
        let addresses = self.link().await.addresses;
        addresses.iter().any(|held| held.prefix.ip == address)
    }

    fn start(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(log(self.side))
            .unwrap();
        let mut command = match self.side {
            Side::Catamaran => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_catamaran"));
                command.args(["run", "--node", self.side.name(), "--log-format", "json", "-c"]);
                command.arg(document(self.side));
                command
            }
            Side::Keepalived => {
                let mut command = program_of_root("keepalived");
                command.args([
                    "--vrrp",
                    "--dont-fork",
                    "--log-console",
                    "--log-detail",
                    "--no-syslog",
                ]);
                let [parent, child] = PID_FILES.map(in_folder);
                command.arg("--pid").arg(parent).arg("--vrrp_pid").arg(child);
                command.arg("--use-file").arg(document(self.side));
                command
            }
        };
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            // A group, so that SIGKILL ends keepalived's two processes together.
            .process_group(0);
        assert!(self.daemon.is_none());
        self.daemon = Some(self.host.within(|| command.spawn()).unwrap());
    }

    fn tell(&self, what: Signal) {
        let pid = Pid::from_raw(self.daemon.as_ref().unwrap().id().cast_signed());
        match what {
            Signal::SIGKILL => killpg(pid, what).unwrap(),
            _ => kill(pid, what).unwrap(),
        }
    }

    /// Wait for the end of its daemon.
    async fn ended(&mut self, end: End) {
        let mut daemon = self.daemon.take().unwrap();
        let waiting = tokio::task::spawn_blocking(move || daemon.wait().unwrap());
        let status = tokio::time::timeout(PATIENCE, waiting)
            .await
            .unwrap_or_else(|_| panic!("{} never ended", self.side.name()))
            .unwrap();
        assert_eq!(status.success(), end == End::Stopped, "{status}");
    }

    /// Its machine is back, without what it had in memory.
    async fn reboot(&mut self, addresses: &[&str]) {
        let index = self.link().await.state.index;
        for address in addresses {
            let prefix = address.parse().unwrap();
            self.netlink.remove_address(index, prefix).await.unwrap();
        }
        for file in PID_FILES {
            fs::remove_file(in_folder(file)).unwrap();
        }
        self.plug_in();
        self.dead = false;
    }

    /// keepalived sends on without a carrier, and for what it has sent the
    /// kernel asks once a second who that is for; unicast waits for the answer.
    fn plug_in(&self) {
        run(&self.host, "ip neighbour flush all");
        self.host.set_cable(true).unwrap();
    }
}

/// What Catamaran has logged in all its lives.
pub struct Record {
    /// The states it was in, one after the other.
    pub states: Vec<String>,
    /// All that is worse than information.
    pub complaints: Vec<String>,
}

impl Record {
    fn read() -> Self {
        let log = fs::read_to_string(log(Side::Catamaran)).unwrap();
        // The last line may be being written.
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        let parsed = |line: &str| -> Value {
            // What comes before the log begins is for people, and none of it good.
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        };
        let lines: Vec<_> = whole.lines().map(parsed).collect();
        let mut states: Vec<_> = lines
            .iter()
            .map(|line| &line["fields"])
            .filter(|fields| fields["virtual_router"] == "apiserver" && fields["from"].is_string())
            .map(|fields| fields["message"].as_str().unwrap().to_string())
            .collect();
        // From one fault to another is no change.
        states.dedup();
        let is_complaint = |line: &&Value| line["level"] == "WARN" || line["level"] == "ERROR";
        let complaints = lines.iter().filter(is_complaint).map(Value::to_string);
        Self {
            complaints: complaints.collect(),
            states,
        }
    }
}

fn document(side: Side) -> PathBuf {
    in_folder(match side {
        Side::Catamaran => "cluster.toml",
        Side::Keepalived => "keepalived.conf",
    })
}

fn log(side: Side) -> PathBuf {
    in_folder(&format!("{}.log", side.name()))
}

/// A file that goes with the enclosure.
fn in_folder(name: &str) -> PathBuf {
    PathBuf::from(FOLDER).join(name)
}
