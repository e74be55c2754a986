//! `catamaran lab`: the newcomer's first minute.
//!
//! ```text
//!  mod, inside ─── the command, and the parts in which it starts itself again
//!  story ───────── what happens, in which order      report ── what it comes to
//!  load_balancer ─ a daemon      daemon_log, holding ── what it and its kernel say
//!  endpoint ────── a stand_in    client, prober ─────── what clients see
//!  founding_case, certificates ── what they are told
//!  world ───────── machines on one Ethernet      process, resident ── what lives there
//!  enclosure ───── where all of it vanishes with the command
//! ```

pub mod certificates;
pub mod client;
pub mod daemon_log;
pub mod enclosure;
pub mod endpoint;
pub mod founding_case;
pub mod holding;
pub mod inside;
pub mod load_balancer;
pub mod prober;
pub mod process;
pub mod progress;
pub mod report;
pub mod resident;
pub mod stand_in;
pub mod story;
pub mod world;

use std::process::ExitCode;
use std::time::Duration;

use enclosure::{Enclosure, FOLDER, Lifeline};
use founding_case::{LOAD_BALANCERS, Timing, VIRTUAL, WORKER};
use progress::Progress;
use report::Report;
use story::{Part, Setup, Stage};

use crate::pure::config::units::Time;
use crate::pure::vrrp::{Centiseconds, Version};

/// Watch two load balancers at work on this machine: no root, no traces
///
/// Builds the founding case out of network namespaces: two load balancers that are the
/// real `catamaran run` and share a virtual address by VRRP, three TLS stand-ins for
/// apiservers, and clients. Then /healthz of one stand-in fails, another freezes, the
/// third is killed; the load balancer that has the address is stopped, killed, hangs and
/// loses its cable, and comes back each time; and tables say what the clients saw. It
/// takes a bit more than a minute. Exit code 1 when something was not as it should be.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Leave everything standing afterwards, until Enter or Ctrl-C
    #[arg(long)]
    keep: bool,
    /// Print the figures as JSON; what happens meanwhile is said on standard error
    #[arg(long)]
    json: bool,
    /// Tell one part of the story only
    #[arg(long, value_name = "PART")]
    only: Option<Part>,
    /// How often each fault befalls a load balancer, 1 to 20; the table then shows
    /// least, median and most
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20))]
    trials: u32,
    /// From probe to probe, 100ms to 1m
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = interval)]
    interval: Time,
    /// From advertisement to advertisement, 10ms to 10s in steps of 10ms; whole seconds
    /// speak VRRP version 2 with a password, the others version 3, which has none
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = advertisement_interval)]
    advertisement_interval: Time,
    /// Requests that the clients send each second, 1 to 200
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=200))]
    rate: u32,
}

impl Args {
    fn setup(&self) -> Setup {
        let (Time(interval), Time(advertisement_interval)) = (self.interval, self.advertisement_interval);
        let timing = Timing {
            interval,
            // As in the founding case, and never more than the document allows.
            timeout: (interval / 2).min(Duration::from_secs(1)),
            advertisement_interval,
        };
        Setup {
            timing,
            every: Duration::from_secs(1) / self.rate,
            trials: self.trials,
            only: self.only,
        }
    }

    fn to_words(&self) -> Vec<std::ffi::OsString> {
        let mut words = vec![
            format!("--interval={}", self.interval),
            format!("--advertisement-interval={}", self.advertisement_interval),
            format!("--trials={}", self.trials),
            format!("--rate={}", self.rate),
        ];
        let only = self
            .only
            .and_then(|part| clap::ValueEnum::to_possible_value(&part));
        words.extend(only.map(|part| format!("--only={}", part.get_name())));
        words.extend(self.keep.then(|| "--keep".to_string()));
        words.extend(self.json.then(|| "--json".to_string()));
        words.into_iter().map(Into::into).collect()
    }
}

fn interval(text: &str) -> Result<Time, String> {
    let Time(interval) = text.parse()?;
    if !(Duration::from_millis(100)..=Duration::from_secs(60)).contains(&interval) {
        return Err("must be 100ms to 1m".into());
    }
    Ok(Time(interval))
}

fn advertisement_interval(text: &str) -> Result<Time, String> {
    let Time(interval) = text.parse()?;
    let can_be_said = Centiseconds::from_duration(Version::V3, interval).is_some();
    if !can_be_said || interval > Duration::from_secs(10) {
        return Err("must be 10ms to 10s in steps of 10ms".into());
    }
    Ok(Time(interval))
}

/// Run the lab: 0 when every expectation held, 1 otherwise.
pub fn run(args: Args) -> ExitCode {
    let enclosure = match Enclosure::find() {
        Ok(enclosure) => enclosure,
        Err(refusal) => {
            eprintln!("error: {refusal}");
            return ExitCode::FAILURE;
        }
    };
    let program = enclosure::itself_as_words(
        ["story", enclosure.word()]
            .map(Into::into)
            .into_iter()
            .chain(args.to_words()),
    );
    enclosure.run(&program, args.keep).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

/// The part of [`run`] inside the enclosure.
fn run_inside(enclosure: Enclosure, args: &Args) -> Result<ExitCode, String> {
    super::runtime()?.block_on(async {
        let mut lifeline = Lifeline::take().map_err(|error| format!("no lifeline: {error}"))?;
        let outside_has_ended = async |lifeline: &mut Lifeline| while lifeline.line().await {};
        let (report, stage) = tokio::select! {
            played = play(args) => played?,
            () = outside_has_ended(&mut lifeline) => return Ok(ExitCode::FAILURE),
        };
        if args.json {
            println!(
                "{}",
                serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?
            );
        } else {
            report.print();
        }
        if args.keep {
            eprint!("{}", ways_to_look_around(enclosure));
            let _standing = stage.rest();
            lifeline.line().await;
        }
        Ok(if report.passed {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    })
}

async fn play(args: &Args) -> Result<(Report, Stage), String> {
    let progress = Progress::new(args.json);
    let mut stage = Stage::build(args.setup(), &progress).await?;
    let told = stage.play(&progress).await?;
    Ok((Report::new(&told), stage))
}

fn ways_to_look_around(enclosure: Enclosure) -> String {
    let way_in = enclosure.way_in(enclosure::pid_outside().unwrap_or_default());
    let [(first, _), (second, _)] = LOAD_BALANCERS;
    let (first, second) = (first.name, second.name);
    let (worker, address) = (WORKER.name, founding_case::socket(&VIRTUAL));
    format!(
        "
The lab stands until you press Enter or Ctrl-C here. From another terminal:

  a client asks:     {way_in} \\
                       ip netns exec {worker} curl --cacert {FOLDER}/ca.crt https://{address}/api/v1/nodes
  what {first} does:    {way_in} /proc/1/exe status --admin {FOLDER}/{first}.sock
  its addresses:     {way_in} ip netns exec {first} ip addr
  both logs:         {way_in} tail -f {FOLDER}/{first}.log {FOLDER}/{second}.log
  the document:      {way_in} cat {FOLDER}/cluster.toml
  stop {first}:         {way_in} pkill -TERM -f 'run .*--node {first}'
  freeze master2:    {way_in} pkill -STOP -f 'stand-in --name master2'
  a shell in {first}:   {way_in} ip netns exec {first} bash
"
    )
}
