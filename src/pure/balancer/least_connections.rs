//! Least connections: the endpoint with the fewest open ones for its weight.

use super::{Choice, EndpointId};

/// The least loaded endpoint; among equals the ticket decides, so that they
/// take turns.
pub fn pick(ticket: u64, choice: &Choice<'_>) -> Option<EndpointId> {
    let count = choice.eligible.len();
    let first = usize::try_from(ticket.checked_rem(count as u64)?).ok()?;
    let (before, from) = choice.eligible.split_at(first);
    let turns = from
        .iter()
        .chain(before)
        .copied()
        .filter(|&id| (choice.admit)(id));
    turns.reduce(|best, next| {
        if choice.less_loaded(next, best) {
            next
        } else {
            best
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{client, ready};
    use super::super::{Algorithm, Snapshot};

    fn pick(weights: &[u16], loads: &[u32], ticket: u64) -> u16 {
        let snapshot = Snapshot::new(Algorithm::LeastConnections, &ready(weights));
        snapshot
            .pick(&client(0), ticket, &|id| loads[id.index()], &|_| true)
            .unwrap()
            .0
    }

    #[test]
    fn fewest_connections_win() {
        assert_eq!(pick(&[1, 1, 1], &[5, 3, 4], 0), 1);
    }

    #[test]
    fn weight_divides_the_load() {
        assert_eq!(pick(&[1, 4], &[2, 7], 0), 1);
        assert_eq!(pick(&[1, 4], &[2, 9], 0), 0);
    }

    #[test]
    fn equals_take_turns() {
        assert_eq!(
            [0, 1, 2, 3].map(|ticket| pick(&[1, 1, 1], &[2, 2, 2], ticket)),
            [0, 1, 2, 0]
        );
    }
}
