//! What a plugin may use.

use std::fmt;
use std::time::Duration;

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, ResourceLimiter};

use super::budget::Part;

/// Probes that may run at one time; further ones wait for their turn.
pub const PROBES_AT_ONCE: u32 = 1000;

/// Most memory that a document may grant to one instance, in bytes.
pub const MOST_MEMORY: usize = 256 << 20;

/// Core instances of one component. What `wit-component` makes of one module
/// is three: the module and two that join it to its imports. Python's
/// interpreter comes as 14, and as 38 with WASI cut off.
const PARTS: u32 = 40;

/// Memories of one component; JavaScript's adapters bring one of their own.
const MEMORIES: u32 = 2;

/// Tables of one component; each keeps address space for [`TABLE_ELEMENTS`].
const TABLES: u32 = 4;

/// Elements of one table; Rust plugins use some hundreds, interpreters 8,000.
const TABLE_ELEMENTS: usize = 20_000;

/// How often a running plugin lets others run and its time is looked at.
pub const TICK: Duration = Duration::from_millis(5);

/// What an instance may compute before it makes way for those that need less.
/// A standard check's probe takes a tenth of it, with TLS.
pub const LIGHT: Duration = Duration::from_millis(20);

/// Resources that one probe may hold at a time: connections, and what WASI has.
pub const RESOURCES: usize = 256;

/// Connections and HTTP requests of one probe.
pub const CONNECTIONS: u32 = 8;

/// Protocols that a plugin may offer in a TLS handshake.
pub const ALPN: usize = 16;

/// Bytes of one read or write on a connection.
pub const CHUNK: usize = 65_536;

/// Bytes of an HTTP request's headers, names and values.
pub const REQUEST_HEAD: usize = 64 << 10;

/// Bytes of an HTTP request's body.
pub const REQUEST_BODY: usize = 65_536;

/// Bytes of an HTTP answer's body that are kept.
pub const ANSWER_BODY: usize = 1 << 20;

/// Bytes of an HTTP answer's head.
pub const ANSWER_HEAD: usize = 64 << 10;

/// Headers of an HTTP message.
pub const HEADERS: usize = 100;

/// Bytes that one call may carry over to the host, as the host holds them: it
/// copies them in one go, whatever time it is.
pub const CROSSING: usize = 32 << 20;

/// Log lines of one probe.
pub const LOG_LINES: usize = 16;

/// Bytes of a log line, and of a finding's detail.
pub const TEXT: usize = 1024;

/// How the engine compiles and where instances live.
pub fn engine_config() -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(PROBES_AT_ONCE)
        // What one component may have times the probes: the pool is never
        // empty, so a probe never fails for the number of others.
        .total_core_instances(PROBES_AT_ONCE * PARTS)
        .total_memories(PROBES_AT_ONCE * MEMORIES)
        .total_tables(PROBES_AT_ONCE * TABLES)
        .total_stacks(PROBES_AT_ONCE)
        .max_core_instances_per_component(PARTS)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(MOST_MEMORY)
        // Most of a slot's pages are never touched; those that a probe did
        // touch, as the kernel tells from 6.7 on, are worth clearing by hand
        // rather than giving back.
        .linear_memory_keep_resident(64 << 10)
        .table_keep_resident(8 << 10)
        .pagemap_scan(Enabled::Auto)
        .max_unused_warm_slots(64);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_reservation(MOST_MEMORY as u64)
        .memory_guard_size(64 << 10)
        .memory_init_cow(true)
        .epoch_interruption(true)
        .wasm_component_model(true);
    config
}

/// What a document grants, in bytes, as far as an instance can have it.
pub fn guest_memory(granted: u64) -> usize {
    usize::try_from(granted).unwrap_or(MOST_MEMORY).min(MOST_MEMORY)
}

/// Watches one instance's memory and tables.
pub struct Fence {
    memory: usize,
    part: Part,
    /// What the plugin wanted more of than it may have.
    pub refused: Option<Refused>,
}

/// Whose limit it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The check's `memory`, or that of any table.
    Own,
    /// What all plugins have together.
    Common,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Own => "the plugin wanted more memory than it may have",
            Self::Common => {
                "the plugin wanted more memory than all plugins together have left (daemon.plugin-memory)"
            }
        })
    }
}

impl Fence {
    /// At most `memory` bytes, of that part of the common budget.
    pub fn new(memory: u64, part: Part) -> Self {
        Self {
            memory: guest_memory(memory),
            part,
            refused: None,
        }
    }

    /// Bytes of memory that the instance has.
    pub fn used(&self) -> usize {
        self.part.used()
    }

    fn refuse(&mut self, why: Refused) -> bool {
        self.refused = Some(why);
        false
    }
}

impl ResourceLimiter for Fence {
    /// All memories of an instance count together.
    fn memory_growing(&mut self, now: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(now);
        if more > self.memory.saturating_sub(self.used()) {
            return Ok(self.refuse(Refused::Own));
        }
        Ok(self.part.grow(more) || self.refuse(Refused::Common))
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS || self.refuse(Refused::Own))
    }
}
