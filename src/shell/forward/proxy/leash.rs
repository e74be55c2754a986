//! How a core ends a connection that it has handed to a task.

use std::cell::RefCell;
use std::collections::HashMap;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::net::TcpStream;

use super::Listener;
use super::loss::Gone;
use super::moment;
use super::pool::Endpoint;
use super::record::Cause;

thread_local! {
    /// The connections of this core, by a number that is never used twice.
    static OPEN: RefCell<Open> = RefCell::default();
}

#[derive(Default)]
struct Open {
    next: u64,
    leashes: HashMap<u64, Arc<Leash>>,
    /// Entered since the last moment ended.
    young: Vec<u64>,
    /// Addresses that leave this machine, or have left it.
    gone: Arc<Gone>,
}

/// One end is held by the connection's task, the other by its core.
pub struct Leash {
    listener: Arc<Listener>,
    endpoint: Arc<Endpoint>,
    pulled: AtomicU8,
    of_age: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

/// The task's end; dropping it forgets the connection.
pub struct Held {
    number: u64,
    leash: Arc<Leash>,
}

const NOT_PULLED: u8 = 0;
const ENDPOINT_DOWN: u8 = 1;
const DRAINED: u8 = 2;
/// Perhaps: only the task knows the address that its client connected to.
const ADDRESS_LOST: u8 = 3;

/// What becomes of the connections of an endpoint, or of a listener, old ones
/// and those that are being made.
#[derive(Default)]
pub struct Order(AtomicU8);

impl Order {
    /// They go on.
    pub fn keep(&self) {
        self.0.store(NOT_PULLED, Ordering::Release);
    }

    /// They are reset because their endpoint is down; whether that is new.
    pub fn reset_as_down(&self) -> bool {
        self.0.swap(ENDPOINT_DOWN, Ordering::AcqRel) != ENDPOINT_DOWN
    }

    /// They are reset because the time for draining is over.
    pub fn reset_as_drained(&self) {
        self.0.store(DRAINED, Ordering::Release);
    }

    fn get(&self) -> u8 {
        self.0.load(Ordering::Acquire)
    }
}

impl Held {
    /// Enter a connection of the calling task's core.
    pub fn new(listener: Arc<Listener>, endpoint: Arc<Endpoint>) -> Self {
        let leash = Arc::new(Leash {
            listener,
            endpoint,
            pulled: AtomicU8::new(NOT_PULLED),
            of_age: AtomicBool::new(false),
            waker: Mutex::new(None),
        });
        let (number, some_gone) = OPEN.with_borrow_mut(|open| {
            open.next += 1;
            open.leashes.insert(open.next, leash.clone());
            open.young.push(open.next);
            (open.next, open.gone.some())
        });
        moment::want();
        // The endpoint may have gone down while we connected to it.
        if !leash.obey() && some_gone {
            // And so may the address, in which case nobody else tells it.
            leash.pull(ADDRESS_LOST);
        }
        Self { number, leash }
    }

    /// Ready once the core wants the connection of `client` to end, with the reason.
    pub fn poll_pulled(&self, client: &TcpStream, cx: &mut Context<'_>) -> Poll<Cause> {
        let mut waker = self.leash.waker.lock().unwrap_or_else(PoisonError::into_inner);
        match self.leash.pulled.load(Ordering::Acquire) {
            ENDPOINT_DOWN => return Poll::Ready(Cause::EndpointDown),
            DRAINED => return Poll::Ready(Cause::Drained),
            ADDRESS_LOST if is_lost(client) => return Poll::Ready(Cause::AddressLost),
            ADDRESS_LOST => self.leash.pulled.store(NOT_PULLED, Ordering::Release),
            _ => {}
        }
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// True once, after the connection has outlived a moment.
    pub fn came_of_age(&self) -> bool {
        self.leash.of_age.swap(false, Ordering::Relaxed)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        OPEN.with_borrow_mut(|open| open.leashes.remove(&self.number));
    }
}

impl Leash {
    /// End the connection if that is ordered.
    fn obey(&self) -> bool {
        let order = match self.endpoint.order.get() {
            NOT_PULLED => self.listener.order.get(),
            order => order,
        };
        if order != NOT_PULLED {
            self.pull(order);
        }
        order != NOT_PULLED
    }

    fn pull(&self, why: u8) {
        self.tell(|| self.pulled.store(why, Ordering::Release));
    }

    fn tell(&self, news: impl FnOnce()) {
        let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        news();
        if let Some(waker) = waker.take() {
            waker.wake();
        }
    }
}

/// Tell the connections that are there since the last call that they have
/// outlived a moment.
pub fn come_of_age() {
    OPEN.with_borrow_mut(|open| {
        for number in mem::take(&mut open.young) {
            if let Some(leash) = open.leashes.get(&number) {
                leash.tell(|| leash.of_age.store(true, Ordering::Relaxed));
            }
        }
    });
}

/// End this core's connections that an [`Order`] says so of.
pub fn obey() {
    each(|leash| {
        leash.obey();
    });
}

/// Have this core's connections to addresses that are gone end, now and from
/// now on.
pub fn watch_for(gone: Arc<Gone>) {
    OPEN.with_borrow_mut(|open| open.gone = gone);
}

/// End this core's connections to addresses that are leaving this machine.
/// Returns when it is done: until then the addresses must stay, for a reset
/// cannot be sent from one that has gone.
pub async fn pull_lost() {
    each(|leash| {
        if leash.pulled.load(Ordering::Relaxed) == NOT_PULLED {
            leash.pull(ADDRESS_LOST);
        }
    });
    let undecided = |leash: &Leash| leash.pulled.load(Ordering::Relaxed) == ADDRESS_LOST;
    while OPEN.with_borrow(|open| open.leashes.values().any(|leash| undecided(leash))) {
        tokio::task::yield_now().await;
    }
}

/// Whether the address that the client connected to is leaving, or has left.
fn is_lost(client: &TcpStream) -> bool {
    let address = client.local_addr().map(|address| address.ip().to_canonical());
    OPEN.with_borrow(|open| address.is_ok_and(|address| open.gone.contains(address)))
}

/// End all of this core's connections.
pub fn pull_all() {
    each(|leash| leash.pull(DRAINED));
}

/// Whether this core has no connection left.
pub fn is_empty() -> bool {
    OPEN.with_borrow(|open| open.leashes.is_empty())
}

fn each(act: impl Fn(&Leash)) {
    OPEN.with_borrow(|open| open.leashes.values().for_each(|leash| act(leash)));
}
