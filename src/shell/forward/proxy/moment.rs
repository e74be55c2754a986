//! The core's slow clock.
//!
//! Most connections of a busy balancer are short: they are connected within a
//! millisecond and over within a few. A timer for each that never fires costs
//! more than their bytes do, since the runtime's driver is woken for it. So
//! what is seldom needed waits for the end of a moment, which all connections
//! of a core have in common, before it asks for a timer of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::leash;

/// How long a moment is.
const MOMENT: Duration = Duration::from_millis(100);

#[derive(Default)]
struct Clock {
    /// Somebody waits: the clock need not tick for nobody.
    wanted: Notify,
    over: Arc<Notify>,
}

thread_local! {
    static CLOCK: Arc<Clock> = Arc::default();
}

/// Let the calling core's clock tick whenever it is wanted; never ends.
pub async fn tick() {
    let clock = CLOCK.with(Arc::clone);
    loop {
        clock.wanted.notified().await;
        sleep(MOMENT).await;
        clock.over.notify_waiters();
        leash::come_of_age();
    }
}

/// Ask for the calling core's present moment to end.
pub fn want() {
    CLOCK.with(|clock| clock.wanted.notify_one());
}

/// What `attempt` comes to, or nothing when it takes longer than `limit`.
///
/// For attempts that are over long before the limit as a rule.
pub async fn within<T>(limit: Duration, attempt: impl Future<Output = T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    let late = async {
        if limit > MOMENT {
            let over = CLOCK.with(|clock| clock.over.clone().notified_owned());
            want();
            over.await;
        }
        sleep_until(deadline).await;
    };
    tokio::select! {
        biased;
        outcome = attempt => Some(outcome),
        () = late => None,
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn attempt_ends_at_its_limit_however_long_a_moment_is() {
        let clock = tokio::spawn(tick());
        for limit in [MOMENT / 2, MOMENT * 3 / 2, MOMENT * 50] {
            let began = Instant::now();
            assert_eq!(within(limit, pending::<()>()).await, None);
            let took = began.elapsed();
            assert!(took >= limit && took < limit + MOMENT, "{limit:?}: {took:?}");
        }
        assert_eq!(within(MOMENT, ready(7)).await, Some(7));
        clock.abort();
    }
}
