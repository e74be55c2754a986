//! The story: the founding case at work, then one endpoint after the other in
//! trouble, and all the while clients.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::time::{sleep, timeout};

use super::certificates::Authority;
use super::client::{Behaviour, Clients, Seen};
use super::enclosure::FOLDER;
use super::endpoint::{Endpoint, Settings};
use super::founding_case::{self, CONTROL_PLANES, FALL, LOAD_BALANCERS, RISE, VIRTUAL, WORKER};
use super::load_balancer::{Change, Connections, LoadBalancer};
use super::report::Progress;
use super::stand_in::Condition;
use super::world::World;

/// How many of the founding case's load balancers take part.
const LOAD_BALANCERS_AT_WORK: usize = 1;

/// Watches that an endpoint has when something befalls it, at least.
const WATCHES: usize = 3;

/// How long all is well at first, …
const STEADY: Duration = Duration::from_secs(4);

/// … and how long the others carry on alone before an endpoint is healed.
const WITHOUT: Duration = Duration::from_millis(1500);

/// How long the daemon may take to start.
const START: Duration = Duration::from_secs(60);

/// What a late machine adds to every bound.
pub const SLACK: Duration = Duration::from_secs(1);

/// How the lab is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// From probe to probe.
    pub interval: Duration,
    /// Time for one probe.
    pub timeout: Duration,
    /// From request to request.
    pub every: Duration,
}

impl Setup {
    /// The longest time in which `fall` probes that begin after the fault have failed.
    pub fn detection_bound(&self) -> Duration {
        self.interval * u32::try_from(FALL).unwrap_or(u32::MAX) + self.timeout + SLACK
    }

    /// The same for `rise` successes.
    pub fn recovery_bound(&self) -> Duration {
        self.interval * u32::try_from(RISE).unwrap_or(u32::MAX) + self.timeout + SLACK
    }
}

/// What befalls an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Its own etcd is gone: it serves, but its health paths answer 500.
    Failing,
    /// It is stopped: connections are accepted and never answered.
    Frozen,
    /// It is killed: connections are refused.
    Killed,
}

impl Fault {
    /// What happens, for people.
    pub fn happens(self) -> &'static str {
        match self {
            Self::Failing => "loses its etcd: /healthz answers 500",
            Self::Frozen => "freezes: accepts and never answers",
            Self::Killed => "is killed: refuses connections",
        }
    }

    async fn inject(self, endpoint: &mut Endpoint) -> Result<(), String> {
        match self {
            Self::Failing => endpoint.set(Condition::EtcdGone).await,
            Self::Frozen => endpoint.freeze(),
            Self::Killed => endpoint.kill().await,
        }
    }

    async fn heal(self, endpoint: &mut Endpoint) -> Result<(), String> {
        match self {
            Self::Failing => endpoint.set(Condition::Healthy).await,
            Self::Frozen => endpoint.thaw(),
            Self::Killed => endpoint.restart().await,
        }
    }
}

/// One fault, from injection to recovery.
#[derive(Clone, Debug)]
pub struct Episode {
    /// What befell …
    pub fault: Fault,
    /// … whom, …
    pub endpoint: String,
    /// … and when.
    pub injected: SystemTime,
    /// The daemon's decision; `None` when it made none in time.
    pub down: Option<Change>,
    /// When the fault was taken away.
    pub healed: SystemTime,
    /// The daemon's second decision.
    pub up: Option<Change>,
    /// When a client was served by the endpoint again.
    pub served_again: Option<SystemTime>,
}

/// All that happened.
pub struct Told {
    /// How it was set up.
    pub setup: Setup,
    /// When all was well: from, to.
    pub steady: (SystemTime, SystemTime),
    /// In their order.
    pub episodes: Vec<Episode>,
    /// What the clients saw.
    pub seen: Seen,
    /// Where connections went, as the daemon's log says.
    pub connections: Connections,
}

/// The founding case at work.
pub struct Stage {
    /// For those who look around after the story.
    pub load_balancers: Vec<LoadBalancer>,
    endpoints: Vec<Endpoint>,
    clients: Clients,
    setup: Setup,
}

impl Stage {
    /// Build it and start everything; clients begin when every endpoint is up.
    ///
    /// # Errors
    /// What could not be built or did not start.
    pub async fn build(setup: Setup, progress: &Progress) -> Result<Self, String> {
        let mut world = World::new()?;
        let authority = Authority::new().map_err(|error| format!("no certificate authority: {error}"))?;
        let ca = write("ca.crt", &authority.pem())?;
        let document = write(
            "cluster.toml",
            &founding_case::document(setup.interval, setup.timeout, &ca),
        )?;

        let mut endpoints = Vec::new();
        for machine in &CONTROL_PLANES {
            let host = world.host(machine.name, &[&machine.prefix()])?;
            let addresses = [machine.address.into(), VIRTUAL.address.into()];
            let identity = authority
                .apiserver(machine.name, &addresses)
                .map_err(|error| error.to_string())?;
            let settings = Settings {
                address: founding_case::socket(machine),
                certificate: write(&format!("{}.crt", machine.name), &identity.certificate)?,
                key: write(&format!("{}.key", machine.name), &identity.key)?,
            };
            endpoints.push(Endpoint::start(&host, settings).await?);
        }
        progress.say("three stand-ins for apiservers serve TLS: master1, master2, master3");

        let mut load_balancers = Vec::new();
        for (machine, _) in &LOAD_BALANCERS[..LOAD_BALANCERS_AT_WORK] {
            let host = world.host(machine.name, &[&machine.prefix()])?;
            if load_balancers.is_empty() {
                host.add_address(&VIRTUAL.prefix())?;
            }
            let log = Path::new(FOLDER).join(format!("{}.log", machine.name));
            load_balancers.push(LoadBalancer::start(&host, &document, log)?);
        }
        for load_balancer in &mut load_balancers {
            load_balancer
                .wait("catamaran run being ready", START, |told| {
                    told.ready.then_some(())
                })
                .await?;
            for endpoint in &endpoints {
                let patience = setup.recovery_bound();
                load_balancer
                    .change(endpoint.name(), true, SystemTime::UNIX_EPOCH, patience)
                    .await?;
            }
        }
        progress.say("catamaran run serves 211.183.3.250:6443 on lb-a; all three endpoints are up");

        let behaviour = Behaviour {
            address: founding_case::socket(&VIRTUAL),
            authority: authority.pem(),
            every: setup.every,
            patience: setup.detection_bound() + Duration::from_secs(5),
        };
        let clients = Clients::start(&world.host(WORKER.name, &[&WORKER.prefix()])?, behaviour)?;
        Ok(Self {
            load_balancers,
            endpoints,
            clients,
            setup,
        })
    }

    /// Tell the story.
    ///
    /// # Errors
    /// When something broke that is not part of it.
    pub async fn play(&mut self, progress: &Progress) -> Result<Told, String> {
        let began = SystemTime::now();
        progress.say(&format!(
            "clients on worker1 send a request every {:?}, each on a new connection",
            self.setup.every
        ));
        sleep(STEADY).await;
        let steady = (began, SystemTime::now());
        let mut episodes = Vec::new();
        for (number, fault) in [Fault::Failing, Fault::Frozen, Fault::Killed]
            .into_iter()
            .enumerate()
        {
            episodes.push(self.episode(number, fault, progress).await?);
        }
        // What is under way may end, and the log may tell of it.
        sleep(Duration::from_millis(500)).await;
        let connections = self.load_balancers[0].told().connections.clone();
        let seen = self.clients.seen().clone();
        Ok(Told {
            setup: self.setup,
            steady,
            episodes,
            seen,
            connections,
        })
    }

    /// End the clients, and leave the rest standing.
    pub fn rest(self) -> (Vec<LoadBalancer>, Vec<Endpoint>) {
        (self.load_balancers, self.endpoints)
    }

    async fn episode(&mut self, number: usize, fault: Fault, progress: &Progress) -> Result<Episode, String> {
        let endpoint = &mut self.endpoints[number];
        let name = endpoint.name().to_string();
        self.clients.watch(&name, WATCHES).await?;
        let daemon = &mut self.load_balancers[0];

        progress.say(&format!("{name} {}", fault.happens()));
        let injected = SystemTime::now();
        fault.inject(endpoint).await?;
        let down = daemon
            .change(&name, false, injected, self.setup.detection_bound() * 2)
            .await
            .ok();
        match &down {
            Some(down) => progress.say(&format!(
                "{name} is down after {:.1} s and {} probes: {}",
                since(injected, down.at).as_secs_f64(),
                down.probes,
                down.detail
            )),
            None => progress.say(&format!("{name} was not found out")),
        }
        sleep(WITHOUT).await;

        let healed = SystemTime::now();
        fault.heal(endpoint).await?;
        let (mut up, mut served_again) = (None, None);
        if down.is_some() {
            up = daemon
                .change(&name, true, healed, self.setup.recovery_bound() * 2)
                .await
                .ok();
            let served = self.served_by(&name, up.as_ref().map_or(healed, |up| up.at));
            served_again = timeout(SLACK * 5, served).await.ok();
        }
        match &up {
            Some(up) => progress.say(&format!(
                "{name} is up again {:.1} s after its recovery",
                since(healed, up.at).as_secs_f64()
            )),
            None => progress.say(&format!("{name} did not come back")),
        }
        Ok(Episode {
            fault,
            endpoint: name,
            injected,
            down,
            healed,
            up,
            served_again,
        })
    }

    async fn served_by(&self, endpoint: &str, since: SystemTime) -> SystemTime {
        loop {
            {
                let seen = self.clients.seen();
                let by_it = |short: &&super::client::Short| {
                    short.started >= since && short.outcome.as_deref().is_ok_and(|name| name == endpoint)
                };
                if let Some(short) = seen.shorts.iter().rev().find(by_it) {
                    return short.ended;
                }
            }
            sleep(self.setup.every).await;
        }
    }
}

/// From one moment to a later one; nothing when the clock was set back.
pub fn since(earlier: SystemTime, later: SystemTime) -> Duration {
    later.duration_since(earlier).unwrap_or_default()
}

fn write(name: &str, text: &str) -> Result<std::path::PathBuf, String> {
    let path = Path::new(FOLDER).join(name);
    fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    Ok(path)
}
