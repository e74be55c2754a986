//! What operators are shown of the virtual routers.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// One virtual router of this node. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RouterStatus {
    /// Its name in the document.
    pub name: String,
    /// 1–255.
    pub vrid: u8,
    /// 2 or 3.
    pub version: u8,
    /// The interface it is on.
    pub interface: String,
    /// Its virtual addresses with their prefix lengths.
    pub addresses: Vec<String>,
    /// `initialize`, `fault`, `backup` or `active`.
    pub state: String,
    /// Since when.
    pub since: f64,
    /// Why, in words.
    pub why: String,
    /// Waits for a successor before it lets the addresses go.
    pub handing_over: bool,
    /// The priority of this moment.
    pub priority: u8,
    /// The priority by the document.
    pub configured_priority: u8,
    /// What lowers it, in words.
    pub lowered_by: Vec<String>,
    /// Until when an operator's wish makes it rank last.
    pub yields_until: Option<f64>,
    /// The other routers that were heard.
    pub peers: Vec<PeerStatus>,
    /// How often something happened, by its word; what never did is not there.
    pub counters: BTreeMap<String, u64>,
}

/// Another router, as it was heard last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PeerStatus {
    /// Where it sends from.
    pub address: IpAddr,
    /// The node's name, where the document has one with that address.
    pub node: Option<String>,
    /// Its priority; 0 when it left.
    pub priority: u8,
    /// When.
    pub heard: f64,
}

/// Seconds since 1970.
pub fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}
