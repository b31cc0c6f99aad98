//! The lock under every mutex here, without data.
//!
//! # The word
//!
//! - `LOCKED`: somebody holds it. The rest of the word is the id of the task that has locked it
//!   then, zero for a plain thread: for those who look, and in the same exchange for nothing.
//! - `WAITERS`: somebody may stand in line. Set and cleared under the line's lock alone, so whoever
//!   finds it clear as it unlocks has nobody to wake, and need not take that lock.
//!
//! # Who is next
//!
//! Whoever comes while it is unlocked takes it, line or not: a task that locks it again and again
//! does not switch each time. To unlock it is to wake the first in line, which tries again. If
//! somebody was faster it goes back to the front, as one that has lost, and the next to unlock
//! hands the lock over to it: it stays locked. So nobody loses twice, and all in line get in, in
//! their order but for those who were woken at the same time.
//!
//! # Ends of waits
//!
//! Who leaves the line leaves `WAITERS` behind, and the next to unlock finds nobody. Who was woken
//! and does not take the lock owes nothing where it is locked, as the line is for its holder to
//! look at; a future that is dropped in between locks and unlocks.
//!
//! # Cancellation
//!
//! [`lock_api`] takes for granted that `lock` returns with the lock held: its `unlocked` calls it
//! in a destructor, and a guard is there all the while. So what `lock_api` calls raises nothing;
//! [`RawMutex::lock_or_end`] and [`RawMutex::lock_within`] are the cancellation points.
//!
//! # Memory ordering
//!
//! The exchange that locks is Acquire, and what unlocks is Release: it publishes what was done
//! under the lock. A lock that is handed over is not unlocked: there the answer publishes it, see
//! [`crate::wait`]. `WAITERS` is Relaxed, as the line's lock orders it: who sets it does so with an
//! exchange of a word that is locked, which the holder's own exchange then fails on, or sees.

mod future;
#[cfg(all(test, sedge_loom))]
mod model;
#[cfg(not(sedge_loom))]
mod traits;

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::pin;

use crate::abort::AbortOnUnwind;
use crate::context;
use crate::primitive::{AtomicUsize, Ordering};
use crate::task;
use crate::wait::{self, Caller, Limit, Place, TimedOut, WaitList, Wakeup};

pub(super) use self::future::RawLock;

const LOCKED: usize = 1 << 0;
const WAITERS: usize = 1 << 1;
const ID_SHIFT: u32 = 2;

/// A mutual exclusion lock without data, for tasks, plain threads and futures: the raw lock of
/// [`lock_api`]'s types, parking_lot's trait crate.
///
/// [`Mutex`](super::Mutex) and [`nonpoison::Mutex`](super::nonpoison::Mutex) are built on it, and
/// are what a program uses. It is for types of other crates that are generic over their lock.
///
/// Whoever comes while it is unlocked may lock it, but a waiter loses that race once at most: then
/// it is handed the lock. Guards are `Send`, as the lock is bound to no thread: a migrating task
/// may unlock it elsewhere, and a guard may be given to another task.
///
/// # Blocking
///
/// `lock` parks the task, or blocks a plain thread, until the lock is free.
///
/// # Cancellation
///
/// What `lock_api`'s types wait for they wait for to the end, as in a
/// [`shield`](crate::task::shield): they count on it, soundly only if `lock` never unwinds.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::sync::RawMutex;
///
/// static NAMES: lock_api::Mutex<RawMutex, Vec<&str>> = lock_api::Mutex::new(Vec::new());
///
/// sedge::run(|| {
///     let other = sedge::spawn(|| NAMES.lock().push("other"));
///     NAMES.lock().push("root");
///     other.join().unwrap();
///     assert_eq!(NAMES.lock().len(), 2);
/// });
/// ```
pub struct RawMutex {
    word: AtomicUsize,
    list: WaitList<(), Turn>,
}

// Nothing of the user's runs between two changes that belong together.
impl UnwindSafe for RawMutex {}
impl RefUnwindSafe for RawMutex {}

/// What a call waits with, and how it is answered.
#[derive(Debug)]
struct Turn {
    /// The word that locks for it.
    locker: usize,
    /// Whether it was woken before, and somebody else was faster.
    has_lost: bool,
    /// The answer: whether it has the lock, or is to try.
    is_handed_over: bool,
}

/// The word that locks for the task with this id.
#[inline]
fn locker(id: u64) -> usize {
    LOCKED | (id as usize) << ID_SHIFT
}

impl RawMutex {
    #[cfg(not(sedge_loom))]
    const fn new() -> Self {
        Self { word: AtomicUsize::new(0), list: WaitList::new(()) }
    }

    #[cfg(sedge_loom)]
    fn new() -> Self {
        Self { word: AtomicUsize::new(0), list: WaitList::new(()) }
    }

    /// The id of the task that has locked it, zero for a plain thread; none if nobody has. A guard
    /// may have been given away since.
    pub(crate) fn holder(&self) -> Option<u64> {
        let word = self.word.load(Ordering::Relaxed);
        (word & LOCKED != 0).then_some((word >> ID_SHIFT) as u64)
    }

    /// Locks it. A cancellation point.
    #[inline]
    pub(super) fn lock_or_end(&self) {
        let locker = locker(wait::checkpoint_as());
        if !self.try_lock_free(locker) {
            self.lock_slow(locker, &mut Limit::Never);
        }
    }

    /// The same within a limit; returns whether it is locked.
    #[inline]
    pub(super) fn lock_within(&self, mut limit: Limit) -> bool {
        let locker = locker(wait::checkpoint_as());
        self.try_lock_free(locker) || self.lock_slow(locker, &mut limit)
    }

    #[inline]
    fn lock_quietly(&self, mut limit: Limit) -> bool {
        let (is_due, id) = context::spend_budget_as();
        let locker = locker(id);
        !is_due && self.try_lock_free(locker) || self.lock_quietly_slow(is_due, locker, &mut limit)
    }

    #[cold]
    fn lock_quietly_slow(&self, is_due: bool, locker: usize, limit: &mut Limit) -> bool {
        let guard = AbortOnUnwind("a lock could not be waited for, and its caller relies on it");
        let is_locked = task::shield(|| {
            if is_due {
                task::checkpoint_slow();
            }
            self.lock_slow(locker, limit)
        });
        guard.disarm();
        is_locked
    }

    /// Locks it if nobody holds it or waits.
    #[inline]
    fn try_lock_free(&self, locker: usize) -> bool {
        self.word.compare_exchange(0, locker, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Locks it if nobody holds it.
    #[inline]
    fn try_lock_as(&self, locker: usize) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & LOCKED == 0 {
            match self.exchange(word, word | locker) {
                Ok(_) => return true,
                Err(seen) => word = seen,
            }
        }
        false
    }

    fn exchange(&self, from: usize, to: usize) -> Result<usize, usize> {
        self.word.compare_exchange_weak(from, to, Ordering::Acquire, Ordering::Relaxed)
    }

    /// Locks it if nobody holds it, or tells its holder that somebody waits. Under the line's lock.
    fn try_lock_or_note(&self, locker: usize) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let is_free = word & LOCKED == 0;
            match self.exchange(word, word | if is_free { locker } else { WAITERS }) {
                Ok(_) => return is_free,
                Err(seen) => word = seen,
            }
        }
    }

    #[cold]
    fn lock_slow(&self, locker: usize, limit: &mut Limit) -> bool {
        if self.try_lock_as(locker) {
            return true;
        }
        let mut place = pin!(Place::new(&self.list, Turn::new(locker)));
        loop {
            let caller = Caller::now();
            place.as_mut().begin(Some(caller.waiter()));
            if self.lock_or_push(place.as_mut()) {
                return true;
            }
            match place.as_mut().wait(caller, limit) {
                Err(TimedOut) => return false,
                Ok(turn) if turn.is_handed_over => return true,
                Ok(_) if self.try_lock_as(locker) => return true,
                Ok(turn) => turn.has_lost = true,
            }
            // Its wake may have been the cancellation's, too.
            if task::is_raise_due() {
                task::raise_if_due_here();
            }
        }
    }

    /// Locks it for a place that has begun to wait, or puts that into the line.
    fn lock_or_push<'m>(&'m self, mut place: std::pin::Pin<&mut Place<'m, (), Turn>>) -> bool {
        let turn = place.as_mut().payload().expect("it does not wait yet");
        let (locker, has_lost) = (turn.locker, turn.has_lost);
        let mut list = self.list.lock();
        if self.try_lock_or_note(locker) {
            return true;
        }
        if has_lost {
            list.push_front(0, place.as_ref());
        } else {
            list.push_back(0, place.as_ref());
        }
        false
    }

    #[inline]
    fn unlock_as(&self, is_fair: bool) {
        let word = self.word.load(Ordering::Relaxed);
        let is_unlocked = word & WAITERS == 0
            && self.word.compare_exchange(word, 0, Ordering::Release, Ordering::Relaxed).is_ok();
        if !is_unlocked {
            self.unlock_slow(is_fair);
        }
    }

    /// The word does not change meanwhile: it is locked, with `WAITERS`, and the line's lock is
    /// held.
    #[cold]
    fn unlock_slow(&self, is_fair: bool) {
        let mut list = self.list.lock();
        let Some(mut turn) = list.choose(0) else {
            return self.word.store(0, Ordering::Release);
        };
        turn.is_handed_over = turn.has_lost || is_fair;
        let locked = if turn.is_handed_over { turn.locker } else { 0 };
        let turn = turn.hold();
        let waiters = if list.is_empty(0) { 0 } else { WAITERS };
        // Before the answer: it goes on from there.
        self.word.store(locked | waiters, Ordering::Release);
        let wakeup = list.resume(turn).answer();
        drop(list);
        wakeup.into_iter().for_each(Wakeup::deliver);
    }
}

impl Turn {
    fn new(locker: usize) -> Self {
        Self { locker, has_lost: false, is_handed_over: false }
    }
}

impl fmt::Debug for RawMutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawMutex").field("holder", &self.holder()).finish_non_exhaustive()
    }
}
