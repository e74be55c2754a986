//! First: one endpoint takes all while it can.

use super::{Choice, EndpointId};

/// The first admitted endpoint in document order.
pub fn pick(choice: &Choice<'_>) -> Option<EndpointId> {
    choice.admitted().next()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{client, ready};
    use super::super::{Algorithm, Snapshot};
    use super::*;

    #[test]
    fn first_takes_all_until_it_is_full() {
        let snapshot = Snapshot::new(Algorithm::First, &ready(&[1, 9]));
        assert_eq!(
            snapshot.pick(&client(5), 7, &|_| 0, &|_| true),
            Some(EndpointId(0))
        );
        assert_eq!(
            snapshot.pick(&client(5), 7, &|_| 0, &|id| id.0 != 0),
            Some(EndpointId(1))
        );
    }
}
