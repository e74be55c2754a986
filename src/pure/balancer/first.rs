//! First: document order, the next one only when those before are full, tried
//! or not ready.

use super::pool::{EndpointId, Member};

/// The first admitted one of `members`.
pub(super) fn pick(members: &[Member], admit: &impl Fn(EndpointId) -> bool) -> Option<EndpointId> {
    members.iter().map(|member| member.id).find(|id| admit(*id))
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::tests::{candidates, key};
    use super::super::{Algorithm, Snapshot};
    use super::*;

    #[test]
    fn next_endpoint_waits_until_the_first_is_full() {
        let mut pool = candidates(&[1, 200, 1]);
        pool[0].ready = false;
        let snapshot = Snapshot::new(Algorithm::First, &pool);
        let pick = |full: &[u16]| snapshot.pick(&key(1), 9, &|_| 0, &|id| !full.contains(&id.0));
        assert_eq!(pick(&[]), Some(EndpointId(1)));
        assert_eq!(pick(&[1]), Some(EndpointId(2)));
        assert_eq!(pick(&[1, 2]), None);
    }
}
