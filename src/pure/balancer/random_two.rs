//! Random two: draw two endpoints by weight, take the less loaded.

use super::hash::mix;
use super::{Choice, EndpointId, Key};

/// The less loaded of two different endpoints; of the only one when there is one.
pub fn pick(key: &Key, choice: &Choice<'_>) -> Option<EndpointId> {
    let first = draw(key.random, choice, None)?;
    match draw(mix(key.random ^ 1), choice, Some(first)) {
        Some(second) if choice.less_loaded(second, first) => Some(second),
        _ => Some(first),
    }
}

/// Draw by weight among the admitted, one of them left out.
fn draw(random: u64, choice: &Choice<'_>, without: Option<EndpointId>) -> Option<EndpointId> {
    let drawn = || choice.admitted().filter(|&id| Some(id) != without);
    let weight = |id: EndpointId| u64::from(choice.candidates[id.index()].weight);
    let mut left = random.checked_rem(drawn().map(weight).sum())?;
    drawn().find(|&id| {
        let found = left < weight(id);
        left = left.saturating_sub(weight(id));
        found
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{client, ready, shares};
    use super::super::{Algorithm, Snapshot};
    use super::*;

    #[test]
    fn less_loaded_of_two_wins() {
        let snapshot = Snapshot::new(Algorithm::RandomTwo, &ready(&[1, 1]));
        for number in 0..100 {
            let picked = snapshot.pick(&client(number), 0, &|id| u32::from(id.0 == 0) * 9, &|_| true);
            assert_eq!(picked, Some(EndpointId(1)));
        }
    }

    #[test]
    fn unloaded_endpoints_are_drawn_by_weight() {
        let shares = shares(
            &Snapshot::new(Algorithm::RandomTwo, &ready(&[1, 1, 2])),
            3,
            40_000,
        );
        assert!((9_500..10_500).contains(&shares[0]), "{shares:?}");
    }
}
