//! The cores side by side: a new connection goes where there are fewer.
//!
//! The kernel spreads connections over the cores' sockets by a hash, blind to
//! how many each core has, so that one may have a queue while another sleeps.

use std::future::{pending, ready};
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use tokio::net::TcpStream;
use tokio::runtime::Handle;

use super::connection::{Places, serve};
use super::record::Record;

/// How many connections a core has. The cores compare them to even them out;
/// they order nothing.
#[derive(Default)]
pub struct Load(AtomicU32);

impl Load {
    /// One connection more; each call is to be paired with one [`Load::end`].
    pub fn begin(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One connection less.
    pub fn end(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether it has fewer than `other` even with one more.
    fn has_room_beside(&self, other: &Self) -> bool {
        self.0.load(Ordering::Relaxed) + 1 < other.0.load(Ordering::Relaxed)
    }
}

/// A core as the others see it.
#[derive(Clone)]
pub struct Member {
    runtime: Handle,
    load: Arc<Load>,
}

impl Member {
    /// The core that runs this runtime.
    pub fn new(runtime: Handle) -> Self {
        Self {
            runtime,
            load: Arc::default(),
        }
    }

    /// How many connections it has.
    pub fn load(&self) -> &Arc<Load> {
        &self.load
    }

    /// Wait until the core has had time for something that small.
    pub async fn answer(&self) {
        // A core that has ended answers nobody, and drops what it was asked.
        if self.runtime.spawn(ready(())).await.is_err() {
            pending().await
        }
    }

    /// Have the core do something for as long as it runs.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(work);
    }

    /// Carry a connection that the calling core has accepted.
    pub fn carry(&self, places: Places, stream: TcpStream, record: Record) -> io::Result<()> {
        if self.runtime.id() == Handle::current().id() {
            drop(tokio::spawn(serve(places, stream, record)));
            return Ok(());
        }
        // Only the core that watches a socket may use it.
        let stream = stream.into_std()?;
        self.runtime.spawn(async move {
            match TcpStream::from_std(stream) {
                Ok(stream) => drop(tokio::spawn(serve(places, stream, record))),
                Err(error) => tracing::error!(client = %record.client, %error, "cannot watch a connection"),
            }
        });
        Ok(())
    }
}

/// All cores.
pub type Cores = Arc<[Member]>;

/// All cores, seen from one of them.
pub struct Crew {
    members: Cores,
    own: usize,
    turn: AtomicUsize,
}

impl Crew {
    /// `members[own]` is the core that asks.
    pub fn new(members: Cores, own: usize) -> Self {
        Self {
            members,
            own,
            turn: AtomicUsize::new(0),
        }
    }

    /// The core that asks.
    pub fn own(&self) -> &Member {
        &self.members[self.own]
    }

    /// Where the next connection goes: to this core, or to the one of the
    /// others whose turn it is to be looked at. Looking at all of many would
    /// cost more than it evens out.
    pub fn choose(&self) -> &Member {
        let own = self.own();
        let Some(others) = NonZeroUsize::new(self.members.len() - 1) else {
            return own;
        };
        let step = 1 + self.turn.fetch_add(1, Ordering::Relaxed) % others;
        let other = &self.members[(self.own + step) % self.members.len()];
        if other.load.has_room_beside(&own.load) {
            other
        } else {
            own
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crew(loads: &[u32]) -> (tokio::runtime::Runtime, Crew) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let member = |&load: &u32| {
            let member = Member::new(runtime.handle().clone());
            (0..load).for_each(|_| member.load.begin());
            member
        };
        let crew = Crew::new(loads.iter().map(member).collect(), 0);
        (runtime, crew)
    }

    /// The core that gets the next connection.
    fn chosen(crew: &Crew) -> usize {
        let member: *const _ = crew.choose();
        crew.members
            .iter()
            .position(|one| std::ptr::eq(one, member))
            .unwrap()
    }

    #[test]
    fn connection_stays_where_loads_are_even() {
        for loads in [&[5][..], &[5, 5], &[5, 4], &[0, 9], &[1, 0, 0]] {
            let (_runtime, crew) = crew(loads);
            assert!((0..4).all(|_| chosen(&crew) == 0), "{loads:?}");
        }
    }

    #[test]
    fn others_are_looked_at_in_turns() {
        let (_runtime, crew) = crew(&[5, 3, 5, 0]);
        assert_eq!([(); 6].map(|()| chosen(&crew)), [1, 0, 3, 1, 0, 3]);
    }
}
