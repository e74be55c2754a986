//! Whose turn it is to compute.
//!
//! One guest computes at a time, until it waits or a tick is over. Those that
//! want to are not tasks that are ready to run, of which a thousand would be
//! seconds of work before the runtime looks at a timer again; they wait in
//! lanes. Each check has two, and only the first of each stands in the common
//! queue: a check with a thousand endpoints delays another's by one tick, not
//! by a thousand.
//!
//! ```text
//!  check a  light: o o o ──► ┐
//!           heavy: o o ──► ┐ ├─► run (one)
//!  check b  light: o ──────┼►┤
//!           heavy: o ──► one ┘
//! ```

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::{LIGHT, TICK};

/// Where the lanes of all checks meet.
pub struct Crossing {
    run: Arc<Semaphore>,
    heavy: Arc<Semaphore>,
}

/// The lanes of one check.
pub struct Lanes {
    crossing: Arc<Crossing>,
    light: Arc<Semaphore>,
    heavy: Arc<Semaphore>,
}

/// What lets one guest compute; others may when it is dropped.
type Pass = [Option<OwnedSemaphorePermit>; 3];

type Waiting = Pin<Box<dyn Future<Output = Pass> + Send>>;

/// A future that is polled only when it is its turn. What it computes between
/// two waits counts, whether that is the guest's code, the making of its
/// instance or the host's work for it.
pub struct Paced<F> {
    work: Pin<Box<F>>,
    lanes: Arc<Lanes>,
    waiting: Option<Waiting>,
    resumed: Resumed,
    spent: Duration,
}

/// When a future began to compute that has not waited since.
#[derive(Clone, Default)]
pub struct Resumed(Arc<Mutex<Option<Instant>>>);

impl Crossing {
    /// Nobody waits.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            run: one(),
            heavy: one(),
        })
    }

    /// Lanes for one more check.
    pub fn lanes(self: &Arc<Self>) -> Arc<Lanes> {
        Arc::new(Lanes {
            crossing: self.clone(),
            light: one(),
            heavy: one(),
        })
    }
}

fn one() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(1))
}

impl Lanes {
    async fn light(self: Arc<Self>) -> Pass {
        let first = turn(&self.light).await;
        [first, None, turn(&self.crossing.run).await]
    }

    async fn heavy(self: Arc<Self>) -> Pass {
        let first = turn(&self.heavy).await;
        let only = turn(&self.crossing.heavy).await;
        [first, only, turn(&self.crossing.run).await]
    }
}

/// First come, first served. Never closed, so always granted in the end.
async fn turn(of: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    of.clone().acquire_owned().await.ok()
}

impl Resumed {
    /// Whether its tick is over. That the engine ticked says little: it did so
    /// while the guest waited, too.
    pub fn is_long_ago(&self) -> bool {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() >= TICK)
    }

    fn set(&self, now: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }
}

impl<F: Future> Paced<F> {
    /// `work`, in these lanes.
    pub fn new(work: F, lanes: Arc<Lanes>, resumed: Resumed) -> Self {
        Self {
            work: Box::pin(work),
            lanes,
            waiting: None,
            resumed,
            spent: Duration::ZERO,
        }
    }

    fn wait(&self) -> Waiting {
        let lanes = self.lanes.clone();
        if self.spent > LIGHT {
            Box::pin(lanes.heavy())
        } else {
            Box::pin(lanes.light())
        }
    }
}

impl<F: Future> Future for Paced<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut waiting = self.waiting.take().unwrap_or_else(|| self.wait());
        let Poll::Ready(pass) = waiting.as_mut().poll(context) else {
            self.waiting = Some(waiting);
            return Poll::Pending;
        };
        let began = Instant::now();
        self.resumed.set(began);
        let outcome = self.work.as_mut().poll(context);
        self.spent += began.elapsed();
        // Those that are ready by now have to find the turn taken, or all of
        // them would compute before the runtime looks at a timer again.
        tokio::spawn(async move { drop(pass) });
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use tokio::task::{JoinSet, yield_now};

    use super::super::runner::runtime;
    use super::*;

    /// Says its name at each of so many turns.
    async fn talk(name: &'static str, turns: usize, said: Arc<Mutex<Vec<&'static str>>>) {
        for _ in 0..turns {
            said.lock().unwrap().push(name);
            yield_now().await;
        }
    }

    #[test]
    fn check_with_many_instances_gets_no_more_turns_than_another() {
        // Where probes run: how often it looks at its timers matters here.
        runtime().unwrap().block_on(many_beside_few());
    }

    async fn many_beside_few() {
        let crossing = Crossing::new();
        let (many, few) = (crossing.lanes(), crossing.lanes());
        let said = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        for _ in 0..100 {
            tasks.spawn(Paced::new(
                talk("many", 10, said.clone()),
                many.clone(),
                Resumed::default(),
            ));
        }
        tasks.spawn(Paced::new(talk("few", 10, said.clone()), few, Resumed::default()));
        tasks.join_all().await;
        let said = said.lock().unwrap();
        let last = said.iter().rposition(|name| *name == "few").unwrap();
        assert!(
            last < 40,
            "its ten turns were over after {last} of {}",
            said.len()
        );
    }

    #[tokio::test]
    async fn light_ones_of_a_check_pass_its_heavy_ones() {
        let lanes = Crossing::new().lanes();
        let said = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        for _ in 0..50 {
            let said = said.clone();
            let heavy = async move {
                // Not to wait for something: this is the computing.
                sleep(LIGHT + Duration::from_millis(1));
                yield_now().await;
                talk("heavy", 10, said).await;
            };
            tasks.spawn(Paced::new(heavy, lanes.clone(), Resumed::default()));
        }
        tasks.spawn(Paced::new(
            talk("light", 10, said.clone()),
            lanes,
            Resumed::default(),
        ));
        tasks.join_all().await;
        let said = said.lock().unwrap();
        let heavy = said.iter().filter(|name| **name == "heavy").count();
        let last = said.iter().rposition(|name| *name == "light").unwrap();
        assert_eq!(heavy, 500);
        assert!(
            last < 250,
            "its ten turns were over after {last} of {}",
            said.len()
        );
    }

    #[tokio::test]
    async fn who_waits_for_something_else_holds_no_turn() {
        let lanes = Crossing::new().lanes();
        let idle = tokio::spawn(Paced::new(
            std::future::pending::<()>(),
            lanes.clone(),
            Resumed::default(),
        ));
        yield_now().await;
        assert_eq!(Paced::new(async { 7 }, lanes, Resumed::default()).await, 7);
        idle.abort();
    }

    #[tokio::test]
    async fn who_gives_up_while_it_waits_frees_its_place() {
        let lanes = Crossing::new().lanes();
        let held = lanes.clone().light().await;
        let mut given_up = Box::pin(Paced::new(async {}, lanes.clone(), Resumed::default()));
        assert!(futures_poll(given_up.as_mut()).is_pending());
        drop(given_up);
        drop(held);
        Paced::new(async {}, lanes, Resumed::default()).await;
    }

    fn futures_poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(std::task::Waker::noop()))
    }
}
