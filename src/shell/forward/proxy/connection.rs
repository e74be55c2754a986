//! One connection: choose an endpoint, connect, relay, write it down.

use std::future::{Future, poll_fn};
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Listener;
use super::crew::Load;
use super::leash::Held;
use super::limits::Budget;
use super::moment::within;
use super::pool::{Endpoint, Pool, View};
use super::record::{Cause, Record};
use super::relay::Relay;
use super::sockets::{acknowledge, connect, keep_watch, reset_on_close};
use crate::pure::balancer::Key;
use crate::pure::config::WhenNoneReady;

/// Pause before an endpoint that refused us is asked again, when there is no
/// other left to ask.
const BEFORE_ASKING_AGAIN: Duration = Duration::from_millis(200);

/// How often a held connection looks for an endpoint that is not full any more.
const LOOK_FOR_ROOM: Duration = Duration::from_millis(20);

/// Places that a connection has taken in its listener, in the process and on
/// its core, given back when it is dropped.
pub struct Places {
    listener: Arc<Listener>,
    whole: Arc<Budget>,
    load: Arc<Load>,
}

impl Places {
    /// Take all, or none when the listener or the process is full.
    pub fn take(listener: &Arc<Listener>, whole: &Arc<Budget>, load: &Arc<Load>) -> Option<Self> {
        if !whole.take() {
            return None;
        }
        if !listener.budget.take() {
            whole.give_back();
            return None;
        }
        load.begin();
        Some(Self {
            listener: listener.clone(),
            whole: whole.clone(),
            load: load.clone(),
        })
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.listener.budget.give_back();
        self.whole.give_back();
        self.load.end();
    }
}

/// A place taken at an endpoint.
struct Place(Arc<Endpoint>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.budget.give_back();
    }
}

/// Carry one accepted connection from its first byte to its log line.
///
/// This future is what an open connection costs in memory, so it holds nothing
/// that only its beginning needs.
#[expect(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice")]
pub fn serve(places: Places, mut client: TcpStream, mut record: Record) -> impl Future<Output = ()> {
    async move {
        let (listener, pool) = (&places.listener, &places.listener.pool);
        let (place, mut endpoint) = match Box::pin(establish(pool, &mut record)).await {
            Ok(established) => established,
            Err(cause) => {
                pool.count_refused();
                reset_on_close(&client);
                record.log(listener, cause, &places.whole);
                return;
            }
        };
        let held = Held::new(listener.clone(), place.0.clone());
        let mut relay = Relay::default();
        let mut acknowledged = false;
        let cause = poll_fn(|cx| {
            if let Poll::Ready(cause) = held.poll_pulled(&client, cx) {
                return Poll::Ready(cause);
            }
            if held.came_of_age() {
                keep_watch(&endpoint, &pool.view().settings.tcp);
                if let Some(timeout) = listener.idle_timeout {
                    relay.end_after_silence(timeout);
                }
            }
            let ended = relay.poll(&mut client, &mut endpoint, cx);
            if !mem::replace(&mut acknowledged, true) {
                acknowledge(&endpoint);
            }
            ended
        })
        .await;
        if !matches!(cause, Cause::Closed | Cause::IdleTimeout) {
            reset_on_close(&client);
            reset_on_close(&endpoint);
        }
        (record.to_endpoint, record.to_client) = relay.carried();
        record.log(listener, cause, &places.whole);
    }
}

/// Choose an endpoint and connect to it; on failure another, as often as the
/// pool allows.
async fn establish(pool: &Pool, record: &mut Record) -> Result<(Place, TcpStream), Cause> {
    let ticket = pool.draw_ticket();
    let key = Key {
        source: record.client,
        random: random(ticket, record.client),
    };
    let mut tried = Vec::new();
    loop {
        let view = pool.view();
        let Some(chosen) = view.pick(&key, ticket, &tried).cloned() else {
            if tried.is_empty() {
                wait_for_ready(pool, &view, record.accepted).await?;
            } else {
                tokio::time::sleep(BEFORE_ASKING_AGAIN).await;
                tried.clear();
            }
            continue;
        };
        record.endpoint = Some(chosen.clone());
        let place = Place(chosen);
        let began = Instant::now();
        let attempt = connect(place.0.address);
        match within(view.settings.connect_timeout, attempt).await {
            Some(Ok(stream)) => {
                record.connecting = Some(began.elapsed());
                return Ok((place, stream));
            }
            Some(Err(_)) | None if record.retries < u32::from(view.settings.retries) => {
                record.retries += 1;
                tried.push(place.0.clone());
            }
            Some(Err(_)) | None => return Err(Cause::ConnectFailed),
        }
    }
}

/// With nothing to choose from: refuse, or wait for as long as the pool allows.
async fn wait_for_ready(pool: &Pool, view: &View, accepted: Instant) -> Result<(), Cause> {
    let cause = if view.snapshot.has_ready() {
        Cause::EndpointsFull
    } else {
        Cause::NoneReady
    };
    let WhenNoneReady::Hold(limit) = view.settings.when_none_ready else {
        return Err(cause);
    };
    let left = limit.checked_sub(accepted.elapsed()).ok_or(cause)?;
    match cause {
        // Nobody tells when an endpoint has room again, and few wait for it.
        Cause::EndpointsFull => tokio::time::sleep(LOOK_FOR_ROOM.min(left)).await,
        _ => {
            let mut views = pool.watch();
            // Either way the next choice decides; too late is noticed there.
            let _ = timeout(left, views.wait_for(|view| view.snapshot.has_ready())).await;
        }
    }
    Ok(())
}

/// A number that neighbours in time do not share (SplitMix64). It spreads
/// load; nothing secret depends on it.
fn random(ticket: u64, client: SocketAddr) -> u64 {
    let mut mixed = ticket
        .wrapping_add(u64::from(client.port()) << 48)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
