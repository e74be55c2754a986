//! The story: the founding case at work, then one endpoint after the other in
//! trouble, then a load balancer, and all the while clients.

pub mod endpoint_faults;
pub mod load_balancer_faults;

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::time::sleep;

use self::load_balancer_faults::Probed;
use super::certificates::Authority;
use super::client::{Behaviour, Clients, Seen};
use super::daemon_log::Connections;
use super::enclosure::FOLDER;
use super::endpoint::{Endpoint, Settings};
use super::founding_case::{self, CONTROL_PLANES, FALL, LOAD_BALANCERS, RISE, Timing, VIRTUAL, WORKER};
use super::load_balancer::LoadBalancer;
use super::progress::Progress;
use super::world::{Host, World};

/// How long all is well at first.
const STEADY: Duration = Duration::from_secs(4);

/// How long the others carry on alone before a fault is taken away.
const WITHOUT: Duration = Duration::from_millis(1500);

/// How long the daemon may take to start.
const START: Duration = Duration::from_secs(60);

/// What a late machine adds to every bound.
pub const SLACK: Duration = Duration::from_secs(1);

/// How the lab is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// What the document says.
    pub timing: Timing,
    /// From request to request.
    pub every: Duration,
    /// How often each fault befalls a load balancer.
    pub trials: u32,
    /// The part of the story that is told, if it is not both.
    pub only: Option<Part>,
}

/// A part of the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// One endpoint after the other is in trouble.
    Endpoints,
    /// A load balancer is in trouble, in one way after the other.
    LoadBalancers,
}

impl Setup {
    /// The longest time in which `fall` probes that begin after the fault have failed.
    pub fn detection_bound(&self) -> Duration {
        self.timing.interval * u32::try_from(FALL).unwrap_or(u32::MAX) + self.timing.timeout + SLACK
    }

    /// The same for `rise` successes.
    pub fn recovery_bound(&self) -> Duration {
        self.timing.interval * u32::try_from(RISE).unwrap_or(u32::MAX) + self.timing.timeout + SLACK
    }

    /// The longest time until a load balancer takes over from one that says nothing more.
    pub fn takeover_bound(&self) -> Duration {
        self.timing.active_down_interval() + SLACK
    }

    /// The longest time until the address has left a load balancer that cannot
    /// remove it any more.
    pub fn leaving_bound(&self) -> Duration {
        self.timing.active_down_interval() + Duration::from_secs(3) + SLACK
    }

    fn tells(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }
}

/// All that happened.
pub struct Told {
    /// How it was set up.
    pub setup: Setup,
    /// When all was well: from, to.
    pub steady: (SystemTime, SystemTime),
    /// Faults of endpoints, in their order.
    pub endpoint_faults: Vec<endpoint_faults::Episode>,
    /// Faults of a load balancer, in their order.
    pub load_balancer_faults: Vec<load_balancer_faults::Episode>,
    /// What the clients saw.
    pub seen: Seen,
    /// What was seen besides, while a load balancer was in trouble.
    pub probed: Probed,
    /// Where connections went, as the daemons' logs say.
    pub connections: Connections,
}

/// The founding case at work.
pub struct Stage {
    load_balancers: Vec<LoadBalancer>,
    endpoints: Vec<Endpoint>,
    worker: Host,
    clients: Clients,
    setup: Setup,
}

impl Stage {
    /// Build it and start everything; clients begin when every endpoint is up
    /// and the first load balancer has the address.
    ///
    /// # Errors
    /// What could not be built or did not start.
    pub async fn build(setup: Setup, progress: &Progress) -> Result<Self, String> {
        let mut world = World::new()?;
        let authority = Authority::new().map_err(|error| format!("no certificate authority: {error}"))?;
        let ca = write("ca.crt", &authority.pem())?;
        let document = write("cluster.toml", &setup.timing.document(&ca))?;

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
        for (machine, _) in &LOAD_BALANCERS {
            let host = world.host(machine.name, &[&machine.prefix()])?;
            load_balancers.push(LoadBalancer::start(&host, &document, VIRTUAL.address.into())?);
        }
        for load_balancer in &load_balancers {
            load_balancer
                .wait("being ready", START, |told| told.ready.then_some(()))
                .await?;
            for endpoint in &endpoints {
                let patience = setup.recovery_bound();
                load_balancer
                    .change(endpoint.name(), true, SystemTime::UNIX_EPOCH, patience)
                    .await?;
            }
        }
        progress.say("catamaran run is ready on lb-a and lb-b; all three endpoints are up");
        let active = load_balancers[0]
            .becomes_active(SystemTime::UNIX_EPOCH, setup.takeover_bound() * 2)
            .await?;
        progress.say(&format!("lb-a is active and has 211.183.3.250: {}", active.why));

        let behaviour = Behaviour {
            address: founding_case::socket(&VIRTUAL),
            authority: authority.pem(),
            every: setup.every,
            patience: setup.detection_bound() + Duration::from_secs(5),
        };
        let worker = world.host(WORKER.name, &[&WORKER.prefix()])?;
        Ok(Self {
            load_balancers,
            endpoints,
            clients: Clients::start(&worker, behaviour)?,
            worker,
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
        let endpoint_faults = match self.setup.tells(Part::Endpoints) {
            true => self.play_endpoint_faults(progress).await?,
            false => Vec::new(),
        };
        let (load_balancer_faults, probed) = match self.setup.tells(Part::LoadBalancers) {
            true => self.play_load_balancer_faults(progress).await?,
            false => Default::default(),
        };
        // What is under way may end, and the logs may tell of it.
        sleep(Duration::from_millis(500)).await;
        let logs = self.load_balancers.iter();
        let connections = logs
            .map(|load_balancer| load_balancer.told().connections.clone())
            .reduce(Connections::and)
            .unwrap_or_default();
        let seen = self.clients.seen().clone();
        Ok(Told {
            setup: self.setup,
            steady,
            endpoint_faults,
            load_balancer_faults,
            seen,
            probed,
            connections,
        })
    }

    /// End the clients, and leave the rest standing.
    pub fn rest(self) -> (Vec<LoadBalancer>, Vec<Endpoint>) {
        (self.load_balancers, self.endpoints)
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
