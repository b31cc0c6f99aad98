//! The lock under every reader-writer lock here, without data.
//!
//! # The word
//!
//! - `WAITERS`: somebody stands in line, or is about to see that nobody does any more. Changed
//!   under the line's lock alone.
//! - `WRITER`, `UPGRADABLE`: one holds it for writing; for reading, with the right to be the next
//!   to write. From `READER` on, how many others read.
//!
//! # Who is next
//!
//! First come, first served: while somebody stands in line nobody gets past, but who reads
//! recursively. Whoever makes room *admits*: it gives the lock to the first in line, and to those
//! behind for as long as they go together. So a writer in line keeps new readers out, and the
//! readers behind it go in together once it is done. One who upgrades has a line of its own, and
//! comes first.
//!
//! Making room is: to unlock, to downgrade, and to leave the line, as who stood behind may go with
//! those who hold the lock. Each looks for `WAITERS` in the same step, or after it, and then takes
//! the line's lock. Who joins the line sets `WAITERS` with an exchange of a word in which it finds
//! no room. So one of the two sees the other.
//!
//! # Cancellation
//!
//! As for the [mutex](super::raw_mutex): what lock_api calls raises nothing.
//!
//! # Memory ordering
//!
//! What takes the lock is Acquire, and what lets go of it, or of a part, is Release. Who admits
//! others does so with an Acquire exchange, and publishes it to them with its answer: see
//! [`crate::wait`].

mod future;
#[cfg(all(test, sedge_loom))]
mod model;
#[cfg(not(sedge_loom))]
mod traits;

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::{Pin, pin};

use crate::abort::AbortOnUnwind;
use crate::context;
use crate::primitive::{AtomicUsize, Ordering};
use crate::task;
use crate::wait::{self, Caller, Limit, Place, TimedOut, WaitList, Wakeup};

pub(super) use self::future::RawAccess;

const WAITERS: usize = 1 << 0;
const WRITER: usize = 1 << 1;
const UPGRADABLE: usize = 1 << 2;
const READER: usize = 1 << 3;

/// The lines: those who come, and the one who upgrades.
const ARRIVALS: usize = 0;
const UPGRADES: usize = 1;

/// A reader-writer lock without data, for tasks, plain threads and futures: the raw lock of
/// [`lock_api`]'s types, parking_lot's trait crate.
///
/// [`RwLock`](super::RwLock) and [`nonpoison::RwLock`](super::nonpoison::RwLock) are built on it,
/// and are what a program uses. It is for types of other crates that are generic over their lock.
///
/// First come, first served: a writer in line keeps new readers out, and readers in line go in
/// together. So who reads already and reads again while a writer waits would wait for itself; for
/// that there is `read_recursive`. Guards are `Send`, as the lock is bound to no thread.
///
/// # Blocking
///
/// What locks or upgrades parks the task, or blocks a plain thread.
///
/// # Cancellation
///
/// What `lock_api`'s types wait for they wait for to the end, as in a
/// [`shield`](crate::task::shield): they count on it.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use lock_api::{RwLock, RwLockUpgradableReadGuard};
/// use sedge::sync::RawRwLock;
///
/// static NAMES: RwLock<RawRwLock, Vec<&str>> = RwLock::new(Vec::new());
///
/// sedge::run(|| {
///     let names = NAMES.upgradable_read();
///     assert!(names.is_empty() && NAMES.read().is_empty());
///     RwLockUpgradableReadGuard::upgrade(names).push("first");
///     assert_eq!(*NAMES.read(), ["first"]);
/// });
/// ```
pub struct RawRwLock {
    word: AtomicUsize,
    list: WaitList<(), Access, 2>,
}

// Nothing of the user's runs between two changes that belong together.
impl UnwindSafe for RawRwLock {}
impl RefUnwindSafe for RawRwLock {}

/// What a call wants. Answered, it has that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    /// Past those in line.
    ReadRecursively,
    Upgradable,
    Write,
    /// In place of `Upgradable`.
    Upgrade,
}

impl Access {
    /// Who must not be there.
    #[inline]
    fn barred_by(self) -> usize {
        match self {
            Self::Read | Self::ReadRecursively => WRITER,
            Self::Upgradable => WRITER | UPGRADABLE,
            Self::Write => !WAITERS,
            Self::Upgrade => !(WAITERS | UPGRADABLE),
        }
    }

    /// The word with that.
    #[inline]
    fn granted(self, word: usize) -> usize {
        match self {
            // To fill the word would take centuries.
            Self::Read | Self::ReadRecursively => word + READER,
            Self::Upgradable => word | UPGRADABLE,
            Self::Write => word | WRITER,
            Self::Upgrade => word - UPGRADABLE + WRITER,
        }
    }

    /// What it lets go of in the end.
    #[inline]
    fn share(self) -> usize {
        match self {
            Self::Read | Self::ReadRecursively => READER,
            Self::Upgradable => UPGRADABLE,
            Self::Write | Self::Upgrade => WRITER,
        }
    }

    fn waits_its_turn(self) -> bool {
        !matches!(self, Self::ReadRecursively | Self::Upgrade)
    }

    fn line(self) -> usize {
        if self == Self::Upgrade { UPGRADES } else { ARRIVALS }
    }
}

impl RawRwLock {
    #[cfg(not(sedge_loom))]
    const fn new() -> Self {
        Self { word: AtomicUsize::new(0), list: WaitList::new(()) }
    }

    #[cfg(sedge_loom)]
    fn new() -> Self {
        Self { word: AtomicUsize::new(0), list: WaitList::new(()) }
    }

    /// Locks it. A cancellation point.
    #[inline]
    pub(super) fn lock_or_end(&self, access: Access) {
        wait::checkpoint();
        if !self.try_lock_as(access) {
            self.lock_slow(access, &mut Limit::Never);
        }
    }

    /// The same within a limit; returns whether it is locked.
    #[inline]
    pub(super) fn lock_within(&self, access: Access, mut limit: Limit) -> bool {
        wait::checkpoint();
        self.try_lock_as(access) || self.lock_slow(access, &mut limit)
    }

    #[inline]
    fn lock_quietly(&self, access: Access, mut limit: Limit) -> bool {
        let is_due = context::spend_budget();
        !is_due && self.try_lock_as(access) || self.lock_quietly_slow(is_due, access, &mut limit)
    }

    #[cold]
    fn lock_quietly_slow(&self, is_due: bool, access: Access, limit: &mut Limit) -> bool {
        let guard = AbortOnUnwind("a lock could not be waited for, and its caller relies on it");
        let is_locked = task::shield(|| {
            if is_due {
                task::checkpoint_slow();
            }
            self.lock_slow(access, limit)
        });
        guard.disarm();
        is_locked
    }

    /// Locks it if there is room, and nobody in line.
    #[inline]
    pub(super) fn try_lock_as(&self, access: Access) -> bool {
        let line = if access.waits_its_turn() { WAITERS } else { 0 };
        self.try_grant(access, access.barred_by() | line)
    }

    #[inline]
    fn try_grant(&self, access: Access, barred_by: usize) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & barred_by == 0 {
            match self.exchange(word, access.granted(word)) {
                Ok(_) => return true,
                Err(seen) => word = seen,
            }
        }
        false
    }

    #[inline]
    fn exchange(&self, from: usize, to: usize) -> Result<usize, usize> {
        self.word.compare_exchange_weak(from, to, Ordering::Acquire, Ordering::Relaxed)
    }

    #[cold]
    fn lock_slow(&self, access: Access, limit: &mut Limit) -> bool {
        struct Leave<'r>(&'r RawRwLock);

        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.admit();
            }
        }

        let mut place = pin!(Place::new(&self.list, access));
        let caller = Caller::now();
        place.as_mut().begin(Some(caller.waiter()));
        if self.lock_or_push(place.as_ref(), access) {
            return true;
        }
        // If it ends early it has left the line.
        let leave = Leave(self);
        match place.as_mut().wait(caller, limit) {
            Ok(_) => {
                std::mem::forget(leave);
                true
            }
            Err(TimedOut) => false,
        }
    }

    /// Locks it for a place that has begun to wait, or puts that into its line.
    fn lock_or_push<'r>(&'r self, place: Pin<&Place<'r, (), Access, 2>>, access: Access) -> bool {
        let mut list = self.list.lock();
        let is_first = list.is_empty(ARRIVALS) && list.is_empty(UPGRADES);
        let may_enter = is_first || !access.waits_its_turn();
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let enters = may_enter && word & access.barred_by() == 0;
            let next = if enters { access.granted(word) } else { word | WAITERS };
            match self.exchange(word, next) {
                Ok(_) if enters => return true,
                Ok(_) => break,
                Err(seen) => word = seen,
            }
        }
        list.push_back(access.line(), place);
        false
    }

    /// Lets go of it.
    #[inline]
    fn unlock_as(&self, access: Access) {
        let before = self.word.fetch_sub(access.share(), Ordering::Release);
        // Where others read on, one reader less makes no room.
        let makes_room = access.share() != READER || before < 2 * READER;
        if before & WAITERS != 0 && makes_room {
            self.admit();
        }
    }

    /// Has one kind of access in place of a stronger one.
    fn exchange_share(&self, from: Access, to: Access) {
        let change = to.share().wrapping_sub(from.share());
        if self.word.fetch_add(change, Ordering::Release) & WAITERS != 0 {
            self.admit();
        }
    }

    /// Lets in who is next, as far as there is room.
    #[cold]
    fn admit(&self) {
        let mut first = None;
        let mut rest = Vec::new();
        let mut list = self.list.lock();
        loop {
            let line = if list.is_empty(UPGRADES) { ARRIVALS } else { UPGRADES };
            let Some(access) = list.first(line).map(|access| *access) else {
                self.word.fetch_and(!WAITERS, Ordering::Relaxed);
                break;
            };
            if !self.try_grant(access, access.barred_by()) {
                break;
            }
            let next = list.choose(line).expect("it is the first");
            let wakeup = next.answer();
            if first.is_none() {
                first = wakeup;
            } else {
                rest.extend(wakeup);
            }
        }
        drop(list);
        first.into_iter().chain(rest).for_each(Wakeup::deliver);
    }
}

impl fmt::Debug for RawRwLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word.load(Ordering::Relaxed);
        f.debug_struct("RawRwLock")
            .field("writer", &(word & WRITER != 0))
            .field("upgradable", &(word & UPGRADABLE != 0))
            .field("readers", &(word / READER))
            .finish_non_exhaustive()
    }
}
