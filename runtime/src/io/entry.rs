//! One source that has waited: its readiness, its waiters, and where it is registered.
//!
//! # Registration
//!
//! A source is registered with one poller at a time, for both directions, by the first task that
//! finds nothing and has to wait; the poller is that of the worker that runs the task, so that the
//! event wakes a task of its own worker.
//!
//! ```text
//!                 first wait: ADD               second wait in a row from
//!  unregistered -------------------> registered  another worker, or the first
//!        ^                            (poller) \ after the poller retired:
//!        |   the source ends: DEL       |  ^   | DEL there, ADD here
//!        +------------------------------+  +---+
//! ```
//!
//! All of it happens under the entry's lock, so "registering" is who holds the lock. ADD reports
//! what is ready at that moment, as an event: nothing is lost between `EAGAIN` and ADD, nor between
//! DEL and ADD. Where ADD fails, everybody who waits is woken to find that out for himself.
//!
//! Waiting on another worker's poller is correct, and costs a message between workers at each
//! event. It takes two waits in a row to move, so that a reader on one worker and a writer on
//! another do not carry the source to and fro.
//!
//! The registration holds its poller alive; once that has *retired* (its worker will not poll it
//! again), waiters are woken and register anew.
//!
//! # Waking
//!
//! An event wakes the one waiter of each direction that has waited longest. A waiter that was woken
//! either finds nothing, and clears the flag, or it owes the wake to the next ([`HeldWake`]): while
//! the flag is set and somebody waits, a wake is under way.
//!
//! # Memory ordering
//!
//! The readiness word has its own ledger. `home` is written under the lock, after ADD, with
//! Release, and read without it, with Acquire: who reads its own poller there waits only after ADD
//! was made. `foreign_waits` and `has_futures` are Relaxed: the first is a heuristic, the second is
//! set by a borrower of the source and read when no borrow is left.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::poller::{Interest, Poller};
use super::readiness::{Direction, Readiness, Report, Snapshot};
use super::slab;
use crate::wait::WaitQueue;

/// This many waits in a row from one other worker move the registration there.
const FOREIGN_WAITS: u8 = 2;

/// See the module. Lives in the slab, for ever.
pub(super) struct Entry {
    index: u32,
    foreign_waits: AtomicU8,
    has_futures: AtomicBool,
    /// The id of the poller in `registration`, or zero.
    home: AtomicUsize,
    readiness: Readiness,
    read: WaitQueue,
    write: WaitQueue,
    registration: Mutex<Option<Registered>>,
}

struct Registered {
    poller: Arc<Poller>,
    fd: RawFd,
}

impl Entry {
    pub(super) fn new(index: u32) -> Self {
        Self {
            index,
            foreign_waits: AtomicU8::new(0),
            has_futures: AtomicBool::new(false),
            home: AtomicUsize::new(0),
            readiness: Readiness::new(),
            read: WaitQueue::new(),
            write: WaitQueue::new(),
            registration: Mutex::new(None),
        }
    }

    pub(super) fn index(&self) -> u32 {
        self.index
    }

    pub(super) fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    pub(super) fn queue(&self, direction: Direction) -> &WaitQueue {
        match direction {
            Direction::Read => &self.read,
            Direction::Write => &self.write,
        }
    }

    /// A future's waker may be left in a queue when the source ends.
    pub(super) fn expect_futures(&self) {
        if !self.has_futures.load(Ordering::Relaxed) {
            self.has_futures.store(true, Ordering::Relaxed);
        }
    }

    /// What a waiter is waiting for.
    pub(super) fn ready(&self, direction: Direction) -> Option<Snapshot> {
        let now = self.readiness.load();
        now.is_ready(direction).then_some(now)
    }

    /// An event has come for the source of this `generation`.
    pub(super) fn dispatch(&self, generation: u32, report: Report) {
        if !self.readiness.set(generation, report) {
            return;
        }
        // If the source ends just now, these wake the next one's waiters for nothing: they look at
        // their readiness and wait on.
        for direction in [Direction::Read, Direction::Write] {
            if report.concerns(direction) {
                self.queue(direction).wake_one();
            }
        }
    }

    /// Everybody who waits is to try again.
    pub(super) fn rouse(&self) {
        self.readiness.set(self.readiness.load().generation(), Report::TRY_BOTH);
        self.read.wake_all();
        self.write.wake_all();
    }

    /// Makes sure that events for `fd` arrive somewhere: here, as a rule.
    ///
    /// If that took an ADD, returns what the readiness was before it. ADD reports what is ready, so
    /// a system call that found nothing before *it* is as good as one that found nothing after.
    pub(super) fn register(
        &self,
        here: &Arc<Poller>,
        fd: BorrowedFd<'_>,
        interest: Interest,
    ) -> io::Result<Option<Snapshot>> {
        if self.home.load(Ordering::Acquire) == here.id() {
            if self.foreign_waits.load(Ordering::Relaxed) != 0 {
                self.foreign_waits.store(0, Ordering::Relaxed);
            }
            return Ok(None);
        }
        self.register_slow(here, fd, interest)
    }

    #[cold]
    fn register_slow(
        &self,
        here: &Arc<Poller>,
        fd: BorrowedFd<'_>,
        interest: Interest,
    ) -> io::Result<Option<Snapshot>> {
        let mut registration = self.registration.lock();
        if let Some(there) = &*registration {
            if Arc::ptr_eq(&there.poller, here) || !self.moves_now(there) {
                return Ok(None);
            }
            self.leave(&mut registration);
        }
        let before = self.readiness.load();
        let token = Token { index: self.index, generation: before.generation() };
        if let Err(e) = here.add(fd, token, interest) {
            drop(registration);
            self.rouse();
            return Err(e);
        }
        *registration = Some(Registered { poller: Arc::clone(here), fd: fd.as_raw_fd() });
        self.foreign_waits.store(0, Ordering::Relaxed);
        self.home.store(here.id(), Ordering::Release);
        Ok(Some(before))
    }

    fn moves_now(&self, there: &Registered) -> bool {
        let waits = self.foreign_waits.load(Ordering::Relaxed).saturating_add(1);
        self.foreign_waits.store(waits, Ordering::Relaxed);
        waits >= FOREIGN_WAITS || there.poller.is_retired()
    }

    fn leave(&self, registration: &mut MutexGuard<'_, Option<Registered>>) {
        self.home.store(0, Ordering::Relaxed);
        if let Some(there) = registration.take() {
            there.poller.delete(there.fd);
        }
    }

    /// Wakes the waiters if they wait for an event of `poller`, which will poll no more.
    pub(super) fn abandon_home(&self, poller: &Poller) {
        if self.home.load(Ordering::Acquire) == poller.id() {
            self.rouse();
        }
    }

    #[cfg(test)]
    pub(super) fn home_id(&self) -> usize {
        self.home.load(Ordering::Acquire)
    }

    /// The source ends: nobody borrows it any more, and its descriptor is about to be closed.
    pub(super) fn release(&'static self) {
        self.leave(&mut self.registration.lock());
        self.readiness.retire();
        if self.has_futures.swap(false, Ordering::Relaxed) {
            // A waker that stayed would swallow a wake of the next source's.
            self.read.wake_all();
            self.write.wake_all();
        }
        slab::release(self);
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("index", &self.index)
            .field("readiness", &self.readiness)
            .field("registered", &(self.home.load(Ordering::Relaxed) != 0))
            .finish_non_exhaustive()
    }
}

/// What epoll keeps for a source, and gives back with its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    index: u32,
    generation: u32,
}

impl Token {
    /// The poller's own eventfd. No entry has this index.
    pub(super) const WAKEUP: u64 = u64::MAX;

    pub(super) fn to_u64(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// Tells the source that an event came for it, if it is still there.
    pub(super) fn dispatch(token: u64, report: Report) {
        let Self { index, generation } =
            Self { index: token as u32, generation: (token >> 32) as u32 };
        if let Some(entry) = slab::entry(index) {
            entry.dispatch(generation, report);
        }
    }
}

/// A wake that its receiver passes on when it is done, if there is still something to do: dropped
/// after an `EAGAIN` that cleared the flag, it finds the flag clear; after a success, a panic or a
/// cancellation it wakes the next.
#[derive(Debug)]
pub(super) struct HeldWake {
    entry: Option<&'static Entry>,
    direction: Direction,
}

impl HeldWake {
    pub(super) fn none(direction: Direction) -> Self {
        Self { entry: None, direction }
    }

    pub(super) fn hold(&mut self, entry: &'static Entry) {
        self.entry = Some(entry);
    }
}

impl Drop for HeldWake {
    fn drop(&mut self) {
        if let Some(entry) = self.entry {
            if entry.ready(self.direction).is_some() {
                entry.queue(self.direction).wake_one();
            }
        }
    }
}
