//! Source hash: the same client address goes to the same endpoint.
//!
//! Weighted rendezvous hashing: client and endpoint together give a number u
//! between 0 and 1, and the endpoint with the least `−ln(u) / weight` wins, which
//! happens in proportion to the weights. The numbers of the other endpoints do
//! not change when one fails, so only its own clients move, spread over the rest.

use super::hash;
use super::pool::{EndpointId, Member};

/// The admitted one of `members` that a client's hash leads to.
pub(super) fn pick(
    members: &[Member],
    client: u64,
    admit: &impl Fn(EndpointId) -> bool,
) -> Option<EndpointId> {
    let distance =
        |member: &Member| exponential(hash::combine(client, member.identity)) / f64::from(member.weight);
    members
        .iter()
        .filter(|member| admit(member.id))
        .map(|member| (distance(member), member))
        .min_by(|one, other| {
            one.0
                .total_cmp(&other.0)
                .then(one.1.identity.cmp(&other.1.identity))
        })
        .map(|(_, member)| member.id)
}

/// `−ln(u)` for the u between 0 and 1 (neither of them) that the high 52 bits of
/// `hash` say. Only additions, multiplications and divisions: the result has the
/// same bits on every machine, which the C library's logarithm does not promise.
fn exponential(hash: u64) -> f64 {
    const EXPONENT_BIAS: i32 = 1023;
    const FRACTION: u64 = (1 << 52) - 1;
    #[expect(clippy::cast_precision_loss, reason = "52 bits fit a double exactly")]
    let u = ((hash >> 12) as f64 + 0.5) / (1u64 << 52) as f64;
    let bits = u.to_bits();
    let mut exponent = i32::try_from(bits >> 52).expect("11 bits, no sign") - EXPONENT_BIAS;
    let mut mantissa = f64::from_bits((bits & FRACTION) | 1.0f64.to_bits());
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1;
    }
    // ln(m) = 2 artanh((m − 1) / (m + 1)); nine terms are good for 13 digits here.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let series = (0..9)
        .rev()
        .map(|term| f64::from(2 * term + 1))
        .fold(0.0, |sum, odd| sum * square + 1.0 / odd);
    -(f64::from(exponent) * std::f64::consts::LN_2 + 2.0 * s * series)
}

#[cfg(test)]
mod tests {
    use super::super::hash::tests::Random;
    use super::super::snapshot::tests::{candidates, key};
    use super::super::{Algorithm, Candidate, Snapshot};
    use super::*;

    const CLIENTS: u64 = 40_000;

    fn choices(pool: &[Candidate]) -> Vec<u16> {
        let snapshot = Snapshot::new(Algorithm::SourceHash, pool);
        let pick = |client| snapshot.pick(&key(client << 16), client, &|_| 0, &|_| true);
        (0..CLIENTS).map(|client| pick(client).expect("one").0).collect()
    }

    fn share(choices: &[u16], endpoint: u16) -> f64 {
        let count = choices.iter().filter(|choice| **choice == endpoint).count();
        f64::from(u32::try_from(count).expect("small"))
            / f64::from(u32::try_from(choices.len()).expect("small"))
    }

    #[test]
    fn logarithm_agrees_with_the_library() {
        let mut random = Random(1);
        for hash in (0..10_000)
            .map(|_| random.next())
            .chain([0, u64::MAX, 1 << 63, (1 << 63) - 1])
        {
            let u = ((hash >> 12) as f64 + 0.5) / (1u64 << 52) as f64;
            let error = (exponential(hash) + u.ln()).abs() / -u.ln();
            assert!(
                error < 1e-12,
                "{hash:#x}: {} against {}",
                exponential(hash),
                -u.ln()
            );
        }
    }

    #[test]
    fn clients_spread_by_weight() {
        let choices = choices(&candidates(&[1, 2, 5]));
        for (endpoint, expected) in [(0, 0.125), (1, 0.25), (2, 0.625)] {
            let share = share(&choices, endpoint);
            assert!((share - expected).abs() < 0.01, "{endpoint}: {share}");
        }
    }

    #[test]
    fn port_does_not_move_a_client() {
        let snapshot = Snapshot::new(Algorithm::SourceHash, &candidates(&[1, 1, 1]));
        let pick = |port: u64| snapshot.pick(&key(0xc633_6407 << 16 | port), port, &|_| 0, &|_| true);
        assert!((1..1000).all(|port| pick(port) == pick(0)));
    }

    #[test]
    fn failing_endpoint_moves_only_its_own_clients() {
        let mut pool = candidates(&[3, 1, 1, 1]);
        let before = choices(&pool);
        pool[1].ready = false;
        let after = choices(&pool);
        assert!(
            before
                .iter()
                .zip(&after)
                .all(|(before, after)| before == after || *before == 1)
        );
        assert!(!after.contains(&1));
    }

    #[test]
    fn order_in_the_document_does_not_matter() {
        let mut pool = candidates(&[3, 1, 2]);
        let before = choices(&pool);
        pool.reverse();
        let after = choices(&pool);
        assert!(
            before
                .iter()
                .zip(&after)
                .all(|(before, after)| *before == 2 - after)
        );
    }

    #[test]
    fn choices_never_change_between_builds() {
        assert_eq!(choices(&candidates(&[1, 1, 1, 2]))[..16], RECORDED);
    }

    /// What this algorithm has always chosen for clients 0.0.0.0 to 0.0.0.15.
    const RECORDED: [u16; 16] = [1, 3, 3, 3, 1, 0, 1, 3, 2, 0, 1, 3, 0, 1, 0, 0];
}
