//! Least connections: the endpoint with the fewest open connections for its
//! weight. Several such endpoints take turns.

use super::pool::{EndpointId, Member};

/// The admitted one of `members` with the least `load` for its weight; the
/// `ticket` chooses among equals.
pub(super) fn pick(
    members: &[Member],
    ticket: u64,
    load: &impl Fn(EndpointId) -> u32,
    admit: &impl Fn(EndpointId) -> bool,
) -> Option<EndpointId> {
    let mut best: Option<(&Member, u32)> = None;
    let mut equals = 0u64;
    for member in members.iter().filter(|member| admit(member.id)) {
        let candidate = (member, load(member.id));
        match best.map(|best| order(candidate, best)) {
            Some(std::cmp::Ordering::Greater) => {}
            Some(std::cmp::Ordering::Equal) => equals += 1,
            Some(std::cmp::Ordering::Less) | None => {
                best = Some(candidate);
                equals = 1;
            }
        }
    }
    let best = best?;
    // Loads may have changed since: whoever is as good as the best still will do,
    // and if none is, the best itself.
    let turn = usize::try_from(ticket % equals).expect("at most 4,096 endpoints");
    let as_good = |member: &&Member| admit(member.id) && order((member, load(member.id)), best).is_le();
    let chosen = if turn == 0 {
        None
    } else {
        members.iter().filter(as_good).nth(turn)
    };
    Some(chosen.unwrap_or(best.0).id)
}

/// Compares load by weight, as products: no rounding.
pub(super) fn order(one: (&Member, u32), other: (&Member, u32)) -> std::cmp::Ordering {
    let product = |load: u32, weight: u32| u64::from(load) * u64::from(weight);
    product(one.1, other.0.weight).cmp(&product(other.1, one.0.weight))
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::tests::{candidates, key};
    use super::super::{Algorithm, Snapshot};
    use super::*;

    fn pick(weights: &[u16], loads: &[u32], ticket: u64) -> u16 {
        let snapshot = Snapshot::new(Algorithm::LeastConnections, &candidates(weights));
        snapshot
            .pick(&key(0), ticket, &|id| loads[id.index()], &|_| true)
            .expect("one")
            .0
    }

    #[test]
    fn least_loaded_endpoint_wins() {
        assert_eq!(pick(&[1, 1, 1], &[5, 3, 4], 0), 1);
    }

    #[test]
    fn load_counts_by_weight() {
        assert_eq!(pick(&[1, 4], &[2, 7], 0), 1);
        assert_eq!(pick(&[1, 4], &[2, 9], 0), 0);
        assert_eq!(pick(&[256, 255], &[u32::MAX, u32::MAX], 0), 0);
    }

    #[test]
    fn idle_endpoints_take_turns() {
        let picks: Vec<_> = (0..6)
            .map(|ticket| pick(&[1, 1, 1], &[0, 0, 0], ticket))
            .collect();
        assert_eq!(picks, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn busy_neighbour_does_not_double_the_next_ones_share() {
        let picks: Vec<_> = (0..4)
            .map(|ticket| pick(&[1, 1, 1], &[9, 0, 0], ticket))
            .collect();
        assert_eq!(picks, [1, 2, 1, 2]);
    }

    #[test]
    fn connections_that_stay_end_up_by_weight() {
        let snapshot = Snapshot::new(Algorithm::LeastConnections, &candidates(&[1, 2, 5]));
        let mut loads = [0u32; 3];
        for ticket in 0..800 {
            let id = snapshot
                .pick(&key(0), ticket, &|id| loads[id.index()], &|_| true)
                .expect("one");
            loads[id.index()] += 1;
        }
        assert_eq!(loads, [100, 200, 500]);
    }

    #[test]
    fn full_endpoint_is_passed_over() {
        let snapshot = Snapshot::new(Algorithm::LeastConnections, &candidates(&[1, 1]));
        assert_eq!(
            snapshot.pick(&key(0), 0, &|id| id.0.into(), &|id| id.0 != 0),
            Some(EndpointId(1))
        );
    }
}
