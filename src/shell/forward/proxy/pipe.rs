//! Pipes for splice(2): bytes move from socket to socket without passing
//! through this process's memory.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::unistd::pipe2;

/// Bytes a large pipe may hold. It saves system calls, the more so as a packet
/// of the usual size takes the place of 4 KiB.
const LARGE: usize = 1024 * 1024;

/// With fewer pipes than this the next one is large. The kernel grants an
/// unprivileged user 64 MiB in all, and then makes pipes of 8 KiB: half of it
/// is for large ones, half for the others of [`MOST`] with their 64 KiB.
const MOST_LARGE: usize = 32;

/// Empty pipes that one core keeps for the next transfer.
const KEPT: usize = 64;

/// Pipes of the whole process at most; beyond it bytes are copied instead.
const MOST: usize = 512;

static BOUND: AtomicUsize = AtomicUsize::new(MOST);
static OPEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SPARE: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

/// Have no more pipes than these, where that is less than usual.
pub fn bound(pipes: usize) {
    BOUND.store(pipes.min(MOST), Ordering::Relaxed);
}

/// A pipe and the number of bytes in it.
pub struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    held: usize,
}

impl Pipe {
    /// An empty pipe, or `None` when there are too many or the kernel has none.
    pub fn take() -> Option<Self> {
        SPARE.with_borrow_mut(Vec::pop).or_else(Self::open)
    }

    fn open() -> Option<Self> {
        let others = OPEN.fetch_add(1, Ordering::Relaxed);
        if others >= BOUND.load(Ordering::Relaxed) {
            OPEN.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let Ok((read, write)) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC) else {
            OPEN.fetch_sub(1, Ordering::Relaxed);
            return None;
        };
        if others < MOST_LARGE {
            // One that stays as it is takes more calls, no more.
            let _ = fcntl(&write, FcntlArg::F_SETPIPE_SZ(LARGE as i32));
        }
        Some(Self { read, write, held: 0 })
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

    /// Move what `from` has and fits into the empty pipe; 0 means that it has finished.
    pub fn fill(&mut self, from: impl AsFd) -> io::Result<usize> {
        let moved = splice(from, None, &self.write, None, LARGE, flags())?;
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
