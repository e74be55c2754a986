//! Whose turn it is to compute.
//!
//! One guest computes at a time, until it waits or a tick is over. Those that
//! want to are not tasks that are ready to run, of which a thousand would be
//! seconds of work before the runtime looks at a timer again; they wait in
//! lanes, one of the light lanes or of the heavy ones by what they have computed
//! so far. Each check has one of both.
//!
//! Light lanes come first; heavy ones get a sixteenth of the time that light
//! ones would take all of. Of one kind, lanes share the time by start-time fair
//! queueing (Goyal, Vin and Cheng, SIGCOMM 1996): a lane's next turn has a start
//! tag, where the lane would stand if all computed at the same time and equally
//! fast, and the least tag is next.
//!
//! So a check whose probes compute little waits for the one guest that computes
//! right now, and then all of them have their turns: however many instances
//! others have that compute all they can, and however many others there are.
//! That a check's probes are of that kind is remembered: its next instance does
//! not begin as a light one.
//!
//! In a light lane those that have begun go first, so that few instances live at
//! a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::limits::{LIGHT, TICK};

/// What light lanes may compute while a heavy one waits: fifteen ticks for its one.
const BEFORE_HEAVY: Duration = TICK.saturating_mul(15);

/// What may be computed, by whoever, before timers and sockets are looked at.
const STRETCH: Duration = Duration::from_millis(1);

/// Where the lanes of all checks meet.
#[derive(Default)]
pub struct Crossing(Mutex<Turns<oneshot::Sender<Pass>>>);

/// The lanes of one check.
pub struct Lanes {
    crossing: Arc<Crossing>,
    number: usize,
    /// The last one that came to an end, or went on for long, was not a light one.
    heavy_lately: AtomicBool,
}

/// How much somebody has computed so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Light,
    Heavy,
}

/// A lane: the check's number, and which one of it.
type Place = (usize, Kind);

/// What lets one guest compute; the next one may when it is dropped.
struct Pass {
    crossing: Arc<Crossing>,
    place: Place,
    /// How long it has computed.
    used: Duration,
}

/// A future that is polled only when it is its turn. What it computes between
/// two waits counts, whether that is the guest's code, the making of its
/// instance or the host's work for it.
pub struct Paced<F> {
    work: Pin<Box<F>>,
    lanes: Arc<Lanes>,
    waiting: Option<oneshot::Receiver<Pass>>,
    resumed: Resumed,
    kind: Kind,
    spent: Duration,
}

/// When a future began to compute that has not waited since.
#[derive(Clone, Default)]
pub struct Resumed(Arc<Mutex<Option<Instant>>>);

/// All lanes, and whether somebody computes.
struct Turns<W> {
    light: Queue<W>,
    heavy: Queue<W>,
    /// What light ones have computed since a heavy one has.
    light_alone: Duration,
    /// What all have computed since the runtime looked at its timers.
    at_a_stretch: Duration,
    taken: bool,
}

/// The lanes of one kind.
struct Queue<W> {
    lanes: BTreeMap<usize, Lane<W>>,
    /// Those where somebody waits and nobody computes, by their tags.
    order: BTreeSet<(Duration, usize)>,
    /// The tag of the turn that was given last.
    now: Duration,
}

struct Lane<W> {
    /// The start tag of its turn, or the end of its last one.
    tag: Duration,
    /// One of it computes: how far it gets is not known yet.
    computes: bool,
    /// Those whose first turn it would be; they come after all others.
    new: VecDeque<W>,
    begun: VecDeque<W>,
}

impl<W> Default for Turns<W> {
    fn default() -> Self {
        Self {
            light: Queue::default(),
            heavy: Queue::default(),
            light_alone: Duration::ZERO,
            at_a_stretch: Duration::ZERO,
            taken: false,
        }
    }
}

impl<W> Lane<W> {
    fn is_empty(&self) -> bool {
        self.new.is_empty() && self.begun.is_empty()
    }

    fn pop(&mut self) -> Option<W> {
        self.begun.pop_front().or_else(|| self.new.pop_front())
    }
}

impl<W> Default for Queue<W> {
    fn default() -> Self {
        Self {
            lanes: BTreeMap::new(),
            order: BTreeSet::new(),
            now: Duration::ZERO,
        }
    }
}

impl<W> Turns<W> {
    /// Lanes for one more check; its number.
    fn add(&mut self) -> usize {
        let last = self.light.lanes.last_key_value();
        let number = last.map_or(0, |(last, _)| last + 1);
        self.light.add(number);
        self.heavy.add(number);
        number
    }

    fn remove(&mut self, number: usize) {
        self.light.remove(number);
        self.heavy.remove(number);
    }

    fn queue(&mut self, kind: Kind) -> &mut Queue<W> {
        match kind {
            Kind::Light => &mut self.light,
            Kind::Heavy => &mut self.heavy,
        }
    }

    /// Stand at the end of a lane, or of its new ones.
    fn wait(&mut self, (number, kind): Place, is_new: bool, who: W) {
        self.queue(kind).wait(number, is_new, who);
    }

    /// Whose turn it is, if it is somebody's, and of which lane.
    fn next(&mut self, has_gone: impl Fn(&W) -> bool) -> Option<(W, Place)> {
        if self.taken {
            return None;
        }
        let kinds = match self.light_alone < BEFORE_HEAVY {
            true => [Kind::Light, Kind::Heavy],
            false => [Kind::Heavy, Kind::Light],
        };
        let mut kinds = kinds.into_iter();
        let next = kinds.find_map(|kind| {
            let (who, number) = self.queue(kind).next(&has_gone)?;
            Some((who, (number, kind)))
        });
        self.taken = next.is_some();
        next
    }

    /// Whether `used` made it too much at a stretch, or a heavy one may be next:
    /// a light one may be ready for its turn and not know it yet. A lane in which
    /// somebody computes is not looked at; that is one look too many at most.
    fn is_time_to_look_up(&mut self, used: Duration) -> bool {
        self.at_a_stretch += used;
        let is_heavy_next = self.light.order.is_empty() && !self.heavy.order.is_empty();
        let is_time = is_heavy_next || self.at_a_stretch >= STRETCH;
        if is_time {
            self.at_a_stretch = Duration::ZERO;
        }
        is_time
    }

    /// The turn of a lane is over.
    fn done(&mut self, (number, kind): Place, used: Duration) {
        self.taken = false;
        self.queue(kind).done(number, used);
        match kind {
            Kind::Light if !self.heavy.order.is_empty() => self.light_alone += used,
            Kind::Light | Kind::Heavy => self.light_alone = Duration::ZERO,
        }
    }
}

impl<W> Queue<W> {
    fn add(&mut self, number: usize) {
        let lane = Lane {
            tag: self.now,
            computes: false,
            new: VecDeque::new(),
            begun: VecDeque::new(),
        };
        self.lanes.insert(number, lane);
    }

    fn remove(&mut self, number: usize) {
        if let Some(lane) = self.lanes.remove(&number) {
            self.order.remove(&(lane.tag, number));
        }
    }

    fn wait(&mut self, number: usize, is_new: bool, who: W) {
        let Some(lane) = self.lanes.get_mut(&number) else {
            return;
        };
        let is_first = lane.is_empty();
        match is_new {
            true => lane.new.push_back(who),
            false => lane.begun.push_back(who),
        }
        if is_first && !lane.computes {
            // Whoever had nothing to do has not saved up for now.
            lane.tag = lane.tag.max(self.now);
            self.order.insert((lane.tag, number));
        }
    }

    fn next(&mut self, has_gone: impl Fn(&W) -> bool) -> Option<(W, usize)> {
        while let Some((tag, number)) = self.order.pop_first() {
            let Some(lane) = self.lanes.get_mut(&number) else {
                continue;
            };
            while let Some(who) = lane.pop() {
                if !has_gone(&who) {
                    lane.computes = true;
                    self.now = tag;
                    return Some((who, number));
                }
            }
        }
        None
    }

    fn done(&mut self, number: usize, used: Duration) {
        let Some(lane) = self.lanes.get_mut(&number) else {
            return;
        };
        lane.computes = false;
        lane.tag += used;
        if !lane.is_empty() {
            self.order.insert((lane.tag, number));
        }
    }
}

impl Crossing {
    /// Nobody waits.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Lanes for one more check.
    pub fn lanes(self: &Arc<Self>) -> Arc<Lanes> {
        Arc::new(Lanes {
            crossing: self.clone(),
            number: self.turns().add(),
            heavy_lately: AtomicBool::new(false),
        })
    }

    fn turns(&self) -> MutexGuard<'_, Turns<oneshot::Sender<Pass>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Give the turn to whoever is next, if it is nobody's.
    fn go_on(self: &Arc<Self>) {
        let next = self.turns().next(oneshot::Sender::is_closed);
        if let Some((who, place)) = next {
            // Who has gone just now drops it, and the turn is the next one's.
            let _ = who.send(Pass {
                crossing: self.clone(),
                place,
                used: Duration::ZERO,
            });
        }
    }
}

impl Lanes {
    fn wait(&self, kind: Kind, is_new: bool) -> oneshot::Receiver<Pass> {
        let (turn, granted) = oneshot::channel();
        self.crossing.turns().wait((self.number, kind), is_new, turn);
        self.crossing.go_on();
        granted
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.crossing.turns().remove(self.number);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.crossing.turns().done(self.place, self.used);
        self.crossing.go_on();
    }
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
        let kind = match lanes.heavy_lately.load(Ordering::Relaxed) {
            true => Kind::Heavy,
            false => Kind::Light,
        };
        Self {
            work: Box::pin(work),
            lanes,
            waiting: None,
            resumed,
            kind,
            spent: Duration::ZERO,
        }
    }

    /// Heavy ones of a check take turns, also with those that are new: any of
    /// them may go on for ever.
    fn wait(&self) -> oneshot::Receiver<Pass> {
        let is_new = self.kind == Kind::Light && self.spent.is_zero();
        self.lanes.wait(self.kind, is_new)
    }
}

impl<F: Future> Future for Paced<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let waiting = self.waiting.take();
        let mut waiting = waiting.unwrap_or_else(|| self.wait());
        // Never an error: the lanes are there as long as somebody waits in them.
        let Poll::Ready(pass) = Pin::new(&mut waiting).poll(context) else {
            self.waiting = Some(waiting);
            return Poll::Pending;
        };
        let began = Instant::now();
        self.resumed.set(began);
        let outcome = self.work.as_mut().poll(context);
        let used = began.elapsed();
        self.spent += used;
        let is_heavy = self.spent > LIGHT;
        if is_heavy {
            self.kind = Kind::Heavy;
        }
        // Who is cut off before it has computed much may have wanted to.
        if is_heavy || outcome.is_ready() {
            self.lanes.heavy_lately.store(is_heavy, Ordering::Relaxed);
        }
        if let Ok(mut pass) = pass {
            pass.used = used;
            if self.lanes.crossing.turns().is_time_to_look_up(used) {
                // Until then the turn is taken: all that want to compute wait, and
                // the runtime, with nothing left to do, looks at timers and sockets.
                tokio::spawn(async move {
                    tokio::task::yield_now().await;
                    drop(pass);
                });
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use tokio::task::{JoinSet, yield_now};

    use super::super::runner::runtime;
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// So many turns, each as long as `length` says of who has it; who had them.
    fn turns(
        turns: &mut Turns<&'static str>,
        count: usize,
        length: impl Fn(&str) -> Duration,
    ) -> Vec<&'static str> {
        let mut had = Vec::new();
        for _ in 0..count {
            let Some((who, place)) = turns.next(|_| false) else {
                break;
            };
            had.push(who);
            turns.done(place, length(who));
        }
        had
    }

    #[test]
    fn light_turns_go_before_heavy_ones_however_many_lanes_have_those() {
        let mut all = Turns::default();
        for _ in 0..50 {
            let number = all.add();
            for _ in 0..20 {
                all.wait((number, Kind::Heavy), false, "heavy");
            }
        }
        let length = |who: &str| if who == "heavy" { TICK } else { MS / 10 };
        assert_eq!(turns(&mut all, 70, length), ["heavy"; 70]);
        let number = all.add();
        for _ in 0..2000 {
            all.wait((number, Kind::Light), false, "light");
        }
        let had = turns(&mut all, 1600, length);
        let heavy: Vec<_> = (0..1600).filter(|at| had[*at] == "heavy").collect();
        // A tick for every fifteen.
        assert_eq!(heavy, [750, 1501]);
    }

    #[test]
    fn lanes_of_a_kind_share_the_time() {
        let mut all = Turns::default();
        let (a, b) = (all.add(), all.add());
        for _ in 0..100 {
            all.wait((a, Kind::Light), false, "a");
        }
        assert_eq!(turns(&mut all, 3, |_| MS), ["a"; 3]);
        for _ in 0..100 {
            all.wait((b, Kind::Light), false, "b");
        }
        // What `a` had while nobody else wanted it is not held against it.
        assert_eq!(turns(&mut all, 6, |_| MS), ["b", "a", "b", "a", "b", "a"]);
        // Of the time, not of the turns.
        let length = |who: &str| if who == "a" { 4 * MS } else { MS };
        let had = turns(&mut all, 50, length);
        assert_eq!(had.iter().filter(|who| **who == "b").count(), 40);
    }

    #[test]
    fn who_has_begun_goes_before_who_has_not() {
        let mut all = Turns::default();
        let place = (all.add(), Kind::Light);
        for (is_new, who) in [
            (true, "third"),
            (false, "first"),
            (true, "fourth"),
            (false, "second"),
        ] {
            all.wait(place, is_new, who);
        }
        assert_eq!(turns(&mut all, 5, |_| MS), ["first", "second", "third", "fourth"]);
    }

    #[test]
    fn timers_are_looked_at_in_time_and_before_a_heavy_turn() {
        let mut all = Turns::default();
        let [light, heavy] = [Kind::Light, Kind::Heavy].map(|kind| (all.add(), kind));
        let short = STRETCH / 4;
        assert_eq!(
            [short; 5].map(|used| all.is_time_to_look_up(used)),
            [false, false, false, true, false]
        );
        assert!(all.is_time_to_look_up(TICK));
        all.wait(light, true, "light");
        all.wait(heavy, false, "heavy");
        assert!(!all.is_time_to_look_up(short));
        assert_eq!(all.next(|_| false), Some(("light", light)));
        assert!(all.is_time_to_look_up(short));
    }

    #[test]
    fn one_at_a_time_and_lanes_come_and_go() {
        let mut all = Turns::default();
        let (a, b) = (all.add(), all.add());
        let [a, b] = [a, b].map(|number| (number, Kind::Light));
        all.wait(a, false, "a");
        all.wait(b, false, "b");
        assert_eq!(all.next(|_| false), Some(("a", a)));
        assert_eq!(all.next(|_| false), None);
        // It waits again before its turn is over.
        all.wait(a, false, "a");
        all.remove(b.0);
        all.done(a, MS);
        assert_eq!(all.next(|_| false), Some(("a", a)));
        all.remove(a.0);
        all.done(a, MS);
        all.wait(a, false, "a");
        assert_eq!(all.next(|_| false), None);
        let c = (all.add(), Kind::Heavy);
        all.wait(c, false, "gone");
        all.wait(c, false, "c");
        assert_eq!(all.next(|who| *who == "gone"), Some(("c", c)));
    }

    #[test]
    fn check_that_computes_much_begins_as_one_that_does() {
        runtime().unwrap().block_on(async {
            let lanes = Crossing::new().lanes();
            let paced = |work: Duration| {
                let work = async move { sleep(work) };
                Paced::new(work, lanes.clone(), Resumed::default())
            };
            for (work, kind, next) in [
                (LIGHT + MS, Kind::Light, Kind::Heavy),
                (Duration::ZERO, Kind::Heavy, Kind::Light),
            ] {
                let one = paced(work);
                assert_eq!(one.kind, kind);
                one.await;
                assert_eq!(paced(Duration::ZERO).kind, next);
            }
        });
    }

    /// Says its name at each of so many turns.
    async fn talk(name: &'static str, turns: usize, said: Arc<Mutex<Vec<&'static str>>>) {
        for _ in 0..turns {
            said.lock().unwrap().push(name);
            yield_now().await;
        }
    }

    #[test]
    fn light_ones_of_a_check_pass_its_heavy_ones() {
        // Where probes run: how often it looks at its timers matters here.
        runtime().unwrap().block_on(async {
            let lanes = Crossing::new().lanes();
            let said = Arc::new(Mutex::new(Vec::new()));
            let mut tasks = JoinSet::new();
            for _ in 0..20 {
                let said = said.clone();
                let heavy = async move {
                    for _ in 0..10 {
                        // Not to wait for something: this is the computing.
                        sleep(LIGHT + MS);
                        yield_now().await;
                        said.lock().unwrap().push("heavy");
                    }
                };
                tasks.spawn(Paced::new(heavy, lanes.clone(), Resumed::default()));
            }
            let light = talk("light", 10, said.clone());
            tasks.spawn(Paced::new(light, lanes, Resumed::default()));
            tasks.join_all().await;
            let said = said.lock().unwrap();
            let last = said.iter().rposition(|name| *name == "light").unwrap();
            assert!(
                last < 60,
                "its ten turns were over after {last} of {}",
                said.len()
            );
        });
    }

    #[test]
    fn timer_is_seen_after_a_turn_or_two_of_many_that_compute() {
        runtime().unwrap().block_on(async {
            let lanes = Crossing::new().lanes();
            let turns = Arc::new(Mutex::new(0));
            let mut tasks = JoinSet::new();
            for _ in 0..50 {
                let turns = turns.clone();
                let endless = async move {
                    loop {
                        // Longer than the timer below; this is the computing.
                        sleep(5 * MS);
                        *turns.lock().unwrap() += 1;
                        yield_now().await;
                    }
                };
                let paced = Paced::new(endless, lanes.clone(), Resumed::default());
                tasks.spawn(paced);
            }
            tokio::time::sleep(MS).await;
            let turns = *turns.lock().unwrap();
            assert!(turns <= 2, "after {turns} turns");
        });
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
        let held = lanes.wait(Kind::Light, false);
        let mut given_up = Box::pin(Paced::new(async {}, lanes.clone(), Resumed::default()));
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(given_up.as_mut().poll(&mut context).is_pending());
        drop(given_up);
        // It was granted and nobody took it.
        drop(held);
        Paced::new(async {}, lanes, Resumed::default()).await;
    }
}
