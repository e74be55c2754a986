//! The endpoints of a pool as the balancer sees them.

/// An endpoint's position in its pool, counted from 0 in document order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub u16);

impl EndpointId {
    /// The position as an index.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// How a pool spreads its connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Each in turn, by weight, smoothly mixed.
    #[default]
    RoundRobin,
    /// The endpoint with the fewest open connections for its weight.
    LeastConnections,
    /// The same client address goes to the same endpoint while that is ready.
    SourceHash,
    /// A Maglev table keyed with the client's address and port: every load
    /// balancer with the same document makes the same choice.
    Maglev,
    /// The less loaded of two drawn at random.
    RandomTwo,
    /// The first ready endpoint in document order; the next ones only when it
    /// is full or not ready.
    First,
}

/// One endpoint as it enters a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Share of the connections, 1 to 256.
    pub weight: u16,
    /// Takes connections only while no other endpoint is ready.
    pub backup: bool,
    /// Enabled by the operator and believed healthy.
    pub ready: bool,
    /// Who it is, whatever its place in the document: [`identity`](super::identity)
    /// of its address.
    pub identity: u64,
}

/// An endpoint that takes connections now: ready, and of the tier in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its position in the pool.
    pub id: EndpointId,
    /// Share of the connections, 1 to 256.
    pub weight: u32,
    /// Who it is, see [`Candidate::identity`].
    pub identity: u64,
}
