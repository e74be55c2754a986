//! Who else is there: the routers that the document names, and strangers.
//!
//! One document names every router with its priority, so a backup knows its
//! rank and need not wait blindly. That holds for as long as nobody is heard
//! whom the document does not name.

use std::net::IpAddr;
use std::time::Instant;

use super::{ChecksumForm, Priority};

/// Another router of the same virtual router, as the document names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its source address; `None` where the document cannot know it, as with
    /// the link-local addresses that IPv6 advertisements come from.
    pub address: Option<IpAddr>,
    /// Its priority by the document.
    pub priority: Priority,
}

/// What was heard last of a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Where it came from.
    pub source: IpAddr,
    /// The priority it had; `None`: it left.
    pub priority: Option<Priority>,
    /// When.
    pub at: Instant,
}

/// The routers that take part, by the document and by what was heard.
#[derive(Clone, Debug)]
pub(super) struct Roster {
    members: Vec<Member>,
    strangers: Vec<Heard>,
    form: Option<ChecksumForm>,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    peer: Peer,
    heard: Option<Heard>,
}

/// Strangers that are remembered; the rest of a flood is not.
const MOST_STRANGERS: usize = 16;

impl Roster {
    pub(super) fn new(peers: &[Peer]) -> Self {
        let member = |&peer: &Peer| Member { peer, heard: None };
        Self {
            members: peers.iter().map(member).collect(),
            strangers: Vec::new(),
            form: None,
        }
    }

    /// The document names others from now on. What was heard of those that it
    /// still names, or names now, is kept; the rest is to be heard again.
    pub(super) fn rename(&mut self, peers: &[Peer]) {
        let form = self.form;
        let heard: Vec<Heard> = self.heard().collect();
        *self = Self::new(peers);
        let known = |heard: &Heard| {
            let anonymous = peers.iter().any(|peer| peer.address.is_none());
            anonymous || peers.iter().any(|peer| peer.address == Some(heard.source))
        };
        for heard in heard.into_iter().filter(known) {
            self.hear(heard, None);
        }
        self.form = form;
    }

    /// Nobody else is named, and nobody was ever heard.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.strangers.is_empty()
    }

    /// Somebody takes part whom the document does not name.
    pub(super) fn has_strangers(&self) -> bool {
        !self.strangers.is_empty()
    }

    /// The checksum form that was heard last.
    pub(super) fn form(&self) -> Option<ChecksumForm> {
        self.form
    }

    /// All that were heard.
    pub(super) fn heard(&self) -> impl Iterator<Item = Heard> + '_ {
        let members = self.members.iter().filter_map(|member| member.heard);
        members.chain(self.strangers.iter().copied())
    }

    pub(super) fn hear(&mut self, heard: Heard, form: Option<ChecksumForm>) {
        self.form = form.or(self.form);
        if let Some(member) = self.member(heard) {
            member.heard = Some(heard);
        } else if let Some(stranger) = self.strangers.iter_mut().find(|one| one.source == heard.source) {
            *stranger = heard;
        } else if self.strangers.len() < MOST_STRANGERS {
            self.strangers.push(heard);
        }
    }

    /// The member that sends from there. One whose address the document cannot
    /// know is taken for the unheard one with the nearest priority.
    fn member(&mut self, heard: Heard) -> Option<&mut Member> {
        let sends_from_there = |member: &Member| {
            let known = member.peer.address.or(member.heard.map(|heard| heard.source));
            known == Some(heard.source)
        };
        if let Some(index) = self.members.iter().position(sends_from_there) {
            return self.members.get_mut(index);
        }
        let distance = |member: &Member| {
            heard
                .priority
                .map_or(0, |priority| priority.get().abs_diff(member.peer.priority.get()))
        };
        self.members
            .iter_mut()
            .filter(|member| member.peer.address.is_none() && member.heard.is_none())
            .min_by_key(|member| distance(member))
    }

    /// How many of the named routers come before one of this priority and
    /// address, not counting `lost` and those that left.
    ///
    /// What a router said last of its priority counts; a backup says nothing,
    /// so that this may be too many, and costs a step then.
    pub(super) fn before(&self, priority: Priority, address: IpAddr, lost: Option<IpAddr>) -> u32 {
        let comes_before = |member: &&Member| {
            let (theirs, from) = match member.heard {
                Some(heard) => (heard.priority, Some(heard.source)),
                None => (Some(member.peer.priority), member.peer.address),
            };
            let is_lost = lost.is_some() && from == lost;
            !is_lost && theirs.is_some_and(|theirs| (theirs, from) > (priority, Some(address)))
        };
        let count = self.members.iter().filter(comes_before).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priority(value: u8) -> Priority {
        Priority::new(value).unwrap()
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn heard(last: u8, value: u8) -> Heard {
        Heard {
            source: address(last),
            priority: Priority::new(value),
            at: Instant::now(),
        }
    }

    fn named(peers: &[(u8, u8)]) -> Roster {
        let peer = |&(last, value): &(u8, u8)| Peer {
            address: Some(address(last)),
            priority: priority(value),
        };
        Roster::new(&peers.iter().map(peer).collect::<Vec<_>>())
    }

    #[test]
    fn rank_counts_those_before_us_but_not_the_lost_nor_those_that_left() {
        let mut roster = named(&[(1, 200), (2, 150), (3, 100)]);
        let rank = |roster: &Roster, lost| roster.before(priority(100), address(4), lost);
        assert_eq!(rank(&roster, None), 2);
        assert_eq!(rank(&roster, Some(address(1))), 1);
        roster.hear(heard(2, 0), None);
        assert_eq!(rank(&roster, Some(address(1))), 0);
        assert_eq!(rank(&roster, None), 1);
    }

    #[test]
    fn equal_priorities_rank_by_address() {
        let roster = named(&[(1, 100), (3, 100)]);
        assert_eq!(roster.before(priority(100), address(2), None), 1);
    }

    #[test]
    fn what_a_router_said_last_counts() {
        let mut roster = named(&[(1, 200)]);
        roster.hear(heard(1, 1), None);
        assert_eq!(roster.before(priority(100), address(2), None), 0);
        assert!(!roster.has_strangers());
    }

    #[test]
    fn router_without_a_known_address_is_taken_for_the_nearest_unheard_one() {
        let anonymous = |value| Peer {
            address: None,
            priority: priority(value),
        };
        let mut roster = Roster::new(&[anonymous(200), anonymous(100)]);
        roster.hear(heard(1, 110), None);
        assert!(!roster.has_strangers());
        // The one with 200 is still to come, the one with 100 now has 110.
        assert_eq!(roster.before(priority(150), address(9), None), 1);
        roster.hear(heard(2, 200), None);
        assert!(!roster.has_strangers());
        roster.hear(heard(3, 50), None);
        assert!(roster.has_strangers());
    }

    #[test]
    fn stranger_that_the_document_names_later_is_none_any_more() {
        let mut roster = named(&[(1, 200), (2, 150)]);
        roster.hear(heard(1, 180), None);
        roster.hear(heard(2, 150), None);
        roster.hear(heard(3, 50), None);
        assert!(roster.has_strangers());
        let peer = |last, value| Peer {
            address: Some(address(last)),
            priority: priority(value),
        };
        roster.rename(&[peer(1, 200), peer(3, 60)]);
        assert!(!roster.has_strangers());
        let known: Vec<_> = roster
            .heard()
            .map(|heard| (heard.source, heard.priority))
            .collect();
        assert_eq!(
            known,
            [
                (address(1), Some(priority(180))),
                (address(3), Some(priority(50)))
            ]
        );
    }

    #[test]
    fn flood_of_strangers_is_not_remembered_whole() {
        let mut roster = named(&[]);
        assert!(roster.is_empty());
        for last in 0..=255 {
            roster.hear(heard(last, 100), None);
        }
        assert_eq!(roster.heard().count(), MOST_STRANGERS);
        assert!(!roster.is_empty());
    }
}
