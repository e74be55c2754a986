//! Pipes for splice(2): bytes move from socket to socket without passing
//! through this process's memory.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::unistd::pipe2;

/// Bytes one pipe may hold. Larger ones save system calls; the kernel grants
/// an unprivileged user 64 MiB in all, and what it refuses stays at 64 KiB.
const CAPACITY: usize = 256 * 1024;

/// Empty pipes that one core keeps for the next transfer.
const KEPT: usize = 64;

/// Pipes of the whole process; beyond it bytes are copied instead.
const MOST: usize = 1024;

static OPEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SPARE: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

/// A pipe and the number of bytes in it.
pub struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    capacity: usize,
    held: usize,
}

impl Pipe {
    /// An empty pipe, or `None` when there are too many or the kernel has none.
    pub fn take() -> Option<Self> {
        SPARE.with_borrow_mut(Vec::pop).or_else(Self::open)
    }

    fn open() -> Option<Self> {
        if OPEN.fetch_add(1, Ordering::Relaxed) >= MOST {
            OPEN.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let Ok((read, write)) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC) else {
            OPEN.fetch_sub(1, Ordering::Relaxed);
            return None;
        };
        let granted = fcntl(&write, FcntlArg::F_SETPIPE_SZ(CAPACITY as i32));
        let capacity = granted
            .ok()
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or(64 * 1024);
        Some(Self {
            read,
            write,
            capacity,
            held: 0,
        })
    }

    /// Keep an empty pipe for the next transfer; one with bytes in it is closed.
    pub fn put_back(self) {
        if self.held == 0 {
            SPARE.with_borrow_mut(|spare| {
                if spare.len() < KEPT {
                    spare.push(self);
                }
            });
        }
    }

    /// Bytes in the pipe.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Move what `from` has into the empty pipe; 0 means that it has finished.
    pub fn fill(&mut self, from: impl AsFd) -> io::Result<usize> {
        let moved = splice(from, None, &self.write, None, self.capacity, flags())?;
        self.held += moved;
        Ok(moved)
    }

    /// Move what the pipe holds into `to`, as far as it takes it.
    pub fn empty(&mut self, to: impl AsFd) -> io::Result<usize> {
        let moved = splice(&self.read, None, to, None, self.held, flags())?;
        self.held -= moved;
        Ok(moved)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

fn flags() -> SpliceFFlags {
    SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK
}
