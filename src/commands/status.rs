//! `catamaran status`: what a running daemon does.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use super::admin::{self, Admin};
use crate::app::election::status::{RouterStatus, seconds};
use crate::app::status::{Phase, PoolStatus, Status};
use crate::pure::config::units::Time;
use crate::shell::admin::Question;

/// Show what the daemon on this machine does
///
/// Exits with 1 when there is none, or with --ready when it is not ready.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    admin: Admin,
    /// Print for machines
    #[arg(long)]
    json: bool,
    /// Print nothing when the daemon is ready, otherwise why it is not
    ///
    /// Ready is who accepts connections, after each endpoint was probed once or
    /// has had the time for it, and takes part in the elections of all its
    /// virtual routers, Active or Backup. For health commands and scripts.
    #[arg(long, conflicts_with = "json")]
    ready: bool,
}

/// Ask and print.
pub fn run(args: Args) -> ExitCode {
    match tell(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("catamaran: {why}");
            ExitCode::FAILURE
        }
    }
}

fn tell(args: &Args) -> Result<(), String> {
    let answer = admin::ask(&args.admin.place(), Question::Status)?;
    if args.ready {
        return match answer.status.unready() {
            Some(why) => Err(format!("not ready: {why}")),
            None => Ok(()),
        };
    }
    print(&answer, args.json);
    Ok(())
}

/// The answer as it came, or for people.
pub(super) fn print(answer: &admin::Answer, json: bool) {
    let text = if json {
        format!("{}\n", answer.json)
    } else {
        shown(&answer.status, seconds(SystemTime::now()))
    };
    // Who closes the pipe early knows what they wanted to know.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn shown(status: &Status, now: f64) -> String {
    let mut out = format!("catamaran {}", status.version);
    if let Some(node) = &status.node {
        let _ = write!(out, " on {node}");
    }
    let doing = match status.phase {
        Phase::Serving => "",
        Phase::Settling => ", waits for its first probes",
        Phase::WithoutElections => ", its virtual routers have ended",
        Phase::Ending => ", is about to end",
    };
    let _ = writeln!(out, ", up for {}{doing}", span(now - status.started));
    for router in &status.virtual_routers {
        out += &virtual_router(router, now);
    }
    for listener in &status.listeners {
        let _ = writeln!(
            out,
            "\nlistener {}  {} → pool {}  {} open",
            listener.name,
            listener.bound.join(" "),
            listener.pool,
            counted(listener.connections, "connection")
        );
    }
    for pool in &status.pools {
        out += &self::pool(pool);
    }
    out
}

fn virtual_router(router: &RouterStatus, now: f64) -> String {
    let mut out = format!(
        "\nvirtual router {}  vrid {}, version {}, on {}  {}\n",
        router.name,
        router.vrid,
        router.version,
        router.interface,
        router.addresses.join(" ")
    );
    let state = if router.handing_over {
        format!("{}, handing over,", router.state)
    } else {
        router.state.clone()
    };
    let _ = writeln!(out, "  {state} for {}: {}", span(now - router.since), router.why);
    let _ = write!(out, "  priority {}", router.priority);
    if router.priority != router.configured_priority {
        let mut reasons = router.lowered_by.clone();
        if let Some(until) = router.yields_until {
            reasons.push(format!("yields for another {}", span(until - now)));
        }
        let _ = write!(
            out,
            ", {} by the document: {}",
            router.configured_priority,
            reasons.join(", ")
        );
    }
    out.push('\n');
    for peer in &router.peers {
        let name = peer
            .node
            .as_ref()
            .map_or(String::new(), |name| format!("{name} "));
        let said = match peer.priority {
            0 => "left".to_string(),
            priority => format!("priority {priority}"),
        };
        let _ = writeln!(
            out,
            "  heard {name}{}  {said}, {} ago",
            peer.address,
            span(now - peer.heard)
        );
    }
    if router.peers.is_empty() {
        out += "  heard nobody else\n";
    }
    out
}

fn pool(pool: &PoolStatus) -> String {
    let ready = pool.endpoints.iter().filter(|endpoint| endpoint.ready).count();
    let mut out = format!(
        "\npool {}  {ready} of {} ready\n",
        pool.name,
        counted(
            u32::try_from(pool.endpoints.len()).unwrap_or(u32::MAX),
            "endpoint"
        )
    );
    let width = |text: fn(&crate::app::status::EndpointStatus) -> &str| {
        pool.endpoints
            .iter()
            .map(|endpoint| text(endpoint).chars().count())
            .max()
            .unwrap_or(0)
    };
    let (names, addresses) = (width(|one| &one.name), width(|one| &one.address));
    for endpoint in &pool.endpoints {
        let wish = match endpoint.state.as_str() {
            "enabled" => String::new(),
            wish => format!(" ({wish})"),
        };
        let _ = writeln!(
            out,
            "  {:names$}  {:addresses$}  {}{wish}  {}",
            endpoint.name,
            endpoint.address,
            endpoint.health,
            counted(endpoint.connections, "connection")
        );
    }
    out
}

fn counted(number: u32, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        number => format!("{number} {thing}s"),
    }
}

/// Seconds for people: no finer than they need.
fn span(seconds: f64) -> String {
    let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    if time < Duration::from_secs(10) {
        return Time(Duration::from_millis(
            u64::try_from(time.as_millis() / 100 * 100).unwrap_or(0),
        ))
        .to_string();
    }
    Time(Duration::from_secs(time.as_secs())).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::election::status::PeerStatus;
    use crate::app::status::{EndpointStatus, ListenerStatus};

    #[test]
    fn status_for_people_says_who_is_active_since_when_and_why() {
        let endpoint = |name: &str, health: &str, connections| EndpointStatus {
            name: name.into(),
            address: "211.183.3.100:6443".into(),
            state: "enabled".into(),
            health: health.into(),
            ready: health == "up",
            connections,
        };
        let status = Status {
            version: "1.2.3".into(),
            node: Some("lb-a".into()),
            pid: 1,
            started: 1_000.0,
            phase: Phase::Serving,
            virtual_routers: vec![RouterStatus {
                name: "apiserver".into(),
                vrid: 51,
                version: 2,
                interface: "ens32".into(),
                addresses: vec!["211.183.3.250/24".into()],
                state: "active".into(),
                since: 1_010.0,
                why: "no advertisement for 3s".into(),
                handing_over: false,
                priority: 150,
                configured_priority: 200,
                lowered_by: vec!["no endpoint of pool web is ready (-50)".into()],
                yields_until: None,
                peers: vec![PeerStatus {
                    address: [211, 183, 3, 252].into(),
                    node: Some("lb-b".into()),
                    priority: 0,
                    heard: 1_099.5,
                }],
                counters: Default::default(),
            }],
            listeners: vec![ListenerStatus {
                name: "apiserver".into(),
                bound: vec!["[::]:6443".into()],
                pool: "apiserver".into(),
                connections: 1,
            }],
            pools: vec![PoolStatus {
                name: "apiserver".into(),
                endpoints: vec![endpoint("master1", "up", 1), endpoint("m2", "down", 0)],
            }],
        };
        assert_eq!(
            shown(&status, 1_100.0),
            "\
catamaran 1.2.3 on lb-a, up for 1m40s

virtual router apiserver  vrid 51, version 2, on ens32  211.183.3.250/24
  active for 1m30s: no advertisement for 3s
  priority 150, 200 by the document: no endpoint of pool web is ready (-50)
  heard lb-b 211.183.3.252  left, 500ms ago

listener apiserver  [::]:6443 → pool apiserver  1 connection open

pool apiserver  1 of 2 endpoints ready
  master1  211.183.3.100:6443  up  1 connection
  m2       211.183.3.100:6443  down  0 connections
"
        );
    }
}
