//! What the log says of other routers, and how often.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::pure::vrrp::{Notice, Parameters, Reason};

/// Shortest time between two log lines about the same.
const BETWEEN_LINES: Duration = Duration::from_secs(60);

/// Most different things that are remembered as said.
const MOST_SAID: usize = 64;

/// What was said of late.
#[derive(Debug, Default)]
pub struct News(BTreeMap<String, Instant>);

impl News {
    /// Whether nothing was said of this for a while; forgers must not fill the log.
    pub fn is_news(&mut self, what: String) -> bool {
        let now = Instant::now();
        self.0.retain(|_, at| now.duration_since(*at) < BETWEEN_LINES);
        if self.0.contains_key(&what) || self.0.len() >= MOST_SAID {
            return false;
        }
        self.0.insert(what, now);
        true
    }
}

/// What a router does that is not heard for this reason; `None` for what is
/// ordinary: other clusters on the link, and life before the start.
pub fn ignored(reason: Reason, ours: &Parameters) -> Option<String> {
    Some(match reason {
        Reason::Vrid | Reason::NotTakingPart | Reason::Family | Reason::NotTheActive => return None,
        Reason::OwnAddress => "sends from this node's address".to_string(),
        Reason::HopLimit(limit) => format!("comes from beyond the link, or forged: TTL {limit}"),
        Reason::Version(version) => format!(
            "speaks version {version}, this node speaks {}",
            ours.version.get()
        ),
        Reason::Authentication => "has another password, or none where there is one".into(),
        Reason::Interval => "has another advertisement interval, which version 2 does not allow".into(),
        Reason::Mode if ours.unicast => "sends multicast, agreed is unicast".into(),
        Reason::Mode => "sends unicast, agreed is multicast".into(),
        Reason::NotAPeer => "is no node of the document".into(),
    })
}

/// What a notice is counted as, the router that it is about, and the sentence.
pub fn noticed(notice: &Notice) -> (Option<&'static str>, Option<IpAddr>, String) {
    match notice {
        Notice::IntervalDiffers(who) => (
            Some("interval-differs"),
            Some(*who),
            format!("{who} has another advertisement interval; it is adopted"),
        ),
        Notice::AddressesDiffer(who) => (
            Some("addresses-differ"),
            Some(*who),
            format!("{who} has other virtual addresses: the documents differ"),
        ),
        Notice::TwoActive(who) => (
            Some("two-active"),
            Some(*who),
            format!("{who} is active too, with a lower priority: it does not hear this node"),
        ),
        Notice::TwoOwners(who) => (
            Some("two-owners"),
            Some(*who),
            format!("{who} has priority 255 too: an address has one owner"),
        ),
        Notice::PutBack(address) => (
            Some("put-back"),
            None,
            format!("somebody removed the virtual address {address}; it is put back"),
        ),
        Notice::NobodyElse => (None, None, "there is nobody to hand over to".into()),
        Notice::NobodyTookOver => (None, None, "nobody took over; the addresses stay".into()),
    }
}
