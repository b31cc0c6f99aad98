//! The state word of a task: one atomic that says who may run it, what it has been told, whether
//! anyone waits for its end, and how many references its header has.
//!
//! ```text
//!              spawn                 worker: park
//!   (nothing) ──────► ACTIVE ───────────────────────► PARKED
//!                       │  ▲                             │
//!                       │  └─────────────────────────────┘
//!                       │        wake, unpark, cancel: the one who clears PARKED
//!                       │        holds the task, and must schedule it
//!      the body returned│
//!                       ▼            worker: finish
//!                    FINISHING ──────────────────────► FINISHED
//! ```
//!
//! *Active* (neither `PARKED` nor `FINISHED`) means that the task runs or stands in exactly one
//! queue: fresh, ready, in a mailbox, or in the hands of the thread that is about to put it there.
//! Yielding therefore needs no transition.
//!
//! # The bits
//!
//! - `PARKED`: the task is suspended and in no queue. Set only by the worker that ran it, after the
//!   switch away from its stack. Cleared by one waker, who thereby *claims* the task.
//! - `NOTIFIED`: a wake found the task active. Set by wakers while `PARKED` is clear; taken by the
//!   next attempt to park, which then does not park. It may be stale (the task saw the condition
//!   before it parked), so every wait checks its condition again.
//! - `TOKEN`: the user's `unpark` token. Internal waits neither look at it nor consume it.
//! - `CANCELLED`: the task has been told to stop. Never cleared.
//! - `JOINABLE`: a `JoinHandle` exists. Cleared once, by the handle.
//! - `JOIN_WAITER`: the handle's waiter stands in the join slot. While it is set the slot belongs
//!   to the finisher; it is set and cleared only by the handle, and neither once `FINISHING` is
//!   set.
//! - `MONITORED`: the handle has left closures to be called. Set by the handle, not once
//!   `FINISHING` is set; cleared by the body, which then calls them and tries to finish again.
//! - `FINISHING`: the result is stored (or, with `JOINABLE` clear, is the body's to drop). From
//!   here on the result belongs to the handle.
//! - `FINISHED`: the closure, the frames and the stack are gone, and the finisher has let go of the
//!   joiner it found in the slot. Set together with the drop of the runtime's own reference.
//! - the rest counts references: one of the runtime's (from spawn to `FINISHED`), one of the
//!   handle, one for each `Waker` and `Task`.
//!
//! # Memory ordering
//!
//! Every transition is one read-modify-write with `AcqRel`, so all transitions of one task are
//! totally ordered and each sees what every earlier one published:
//! - a wake (Release) publishes the condition that the waker made true; the park or the resume that
//!   follows (Acquire) makes it visible to the task. That is why a wake of an active task is an RMW
//!   even where the bit is set already.
//! - parking (Release) publishes the suspended stack and the `home` field; the claim (Acquire) lets
//!   a migrating task be resumed elsewhere.
//! - `FINISHING` (Release) publishes the result to the handle's Acquire.
//! - dropping a reference is `AcqRel`: the last one sees all uses before it frees.
//!
//! Taking another reference is `Relaxed`: the one it was made from already keeps the header alive.
//!
//! # Rejected
//!
//! Separate READY and RUNNING states: each yield would cost two transitions (13 ns of 20) to record
//! what nobody asks. A reference per queue membership: the runtime's own reference covers them all.

use crate::primitive::{AtomicUsize, Ordering};

const PARKED: usize = 1 << 0;
const NOTIFIED: usize = 1 << 1;
const TOKEN: usize = 1 << 2;
const CANCELLED: usize = 1 << 3;
const JOINABLE: usize = 1 << 4;
const JOIN_WAITER: usize = 1 << 5;
const FINISHING: usize = 1 << 6;
const FINISHED: usize = 1 << 7;
const MONITORED: usize = 1 << 8;
const REFERENCE: usize = 1 << 9;

/// More references than this and a leak in a loop is about to overflow the word.
const REFERENCES_MAX: usize = usize::MAX >> 10;

/// The state word. See the module's header.
pub(super) struct State(AtomicUsize);

/// What the state was at one instant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Snapshot(usize);

/// What came of an attempt to park.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Park {
    /// The task is parked; another thread may already run it.
    Parked,
    /// A wake had come: the task stays active and its caller must go on running it.
    Notified,
}

impl State {
    /// A fresh task: active, joinable, one reference of the runtime's and one of its handle.
    pub(super) fn new() -> Self {
        Self(AtomicUsize::new(JOINABLE + 2 * REFERENCE))
    }

    pub(super) fn load(&self) -> Snapshot {
        Snapshot(self.0.load(Ordering::Acquire))
    }

    /// A cheap look at `CANCELLED`. Relaxed: cancellation publishes nothing but itself, and a look
    /// that comes too early is repeated at the next cancellation point.
    #[inline]
    pub(super) fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed) & CANCELLED != 0
    }

    /// Active to parked, unless a wake has come. Called by the worker that ran the task, once its
    /// stack is saved.
    #[inline]
    pub(super) fn transition_to_parked(&self) -> Park {
        let mut current = self.0.load(Ordering::Relaxed);
        loop {
            debug_assert_eq!(current & (PARKED | FINISHED), 0, "parking a task that does not run");
            // A wake came meanwhile: take it instead of parking.
            let (next, outcome) = if current & NOTIFIED != 0 {
                (current & !NOTIFIED, Park::Notified)
            } else {
                (current | PARKED, Park::Parked)
            };
            match self.0.compare_exchange_weak(current, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return outcome,
                Err(seen) => current = seen,
            }
        }
    }

    /// Takes a wake that has come while the task runs, if one has: the task need not park.
    #[inline]
    pub(super) fn take_notified(&self) -> bool {
        // Only the task itself clears the bit, so a clear look needs no exchange. Relaxed: the
        // exchange below, or the one that parks, is what synchronises with the waker.
        self.0.load(Ordering::Relaxed) & NOTIFIED != 0
            && self.0.fetch_and(!NOTIFIED, Ordering::AcqRel) & NOTIFIED != 0
    }

    /// A wake. Returns true if the caller has claimed the task and must schedule it.
    #[inline]
    #[must_use]
    pub(super) fn wake(&self) -> bool {
        self.wake_with(0)
    }

    /// A wake that leaves the user's token.
    #[must_use]
    pub(super) fn unpark(&self) -> bool {
        self.wake_with(TOKEN)
    }

    /// A wake that tells the task to stop.
    #[must_use]
    pub(super) fn cancel(&self) -> bool {
        self.wake_with(CANCELLED)
    }

    #[inline]
    fn wake_with(&self, bit: usize) -> bool {
        let mut current = self.0.load(Ordering::Relaxed);
        loop {
            // It has ended: waking is nothing.
            if current & FINISHED != 0 {
                return false;
            }
            let next = if current & PARKED != 0 {
                // Parked: whoever clears the bit holds the task.
                (current & !PARKED) | bit
            } else {
                // Active: leave a note. Written even if it is there already, because the write is
                // what publishes the waker's condition.
                current | NOTIFIED | bit
            };
            match self.0.compare_exchange_weak(current, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return current & PARKED != 0,
                Err(seen) => current = seen,
            }
        }
    }

    /// Takes the user's token if it is there.
    pub(super) fn take_token(&self) -> bool {
        self.0.load(Ordering::Relaxed) & TOKEN != 0
            && self.0.fetch_and(!TOKEN, Ordering::AcqRel) & TOKEN != 0
    }

    /// The body has returned and its result is stored. The snapshot says whether a handle will take
    /// it; if not, the result is the caller's to drop. None, and no transition, if monitors were
    /// left, which are the caller's to call before it tries again.
    pub(super) fn transition_to_finishing(&self) -> Option<Snapshot> {
        let mut current = self.0.load(Ordering::Relaxed);
        loop {
            debug_assert_eq!(current & FINISHING, 0, "a task finishes once");
            let (next, outcome) = if current & MONITORED != 0 {
                (current & !MONITORED, None)
            } else {
                (current | FINISHING, Some(Snapshot(current)))
            };
            match self.0.compare_exchange_weak(current, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return outcome,
                Err(seen) => current = seen,
            }
        }
    }

    /// Marks that there are monitors to call. False once the task is finishing: they are the
    /// handle's to call.
    #[must_use]
    pub(super) fn set_monitored(&self) -> bool {
        self.change_before_finishing(|current| current | MONITORED)
    }

    /// The task has ended; drops the runtime's reference. Returns true if that was the last one and
    /// the caller must free the header.
    #[must_use]
    pub(super) fn transition_to_finished(&self) -> bool {
        // One addition sets the bit and takes the reference away: nobody else sets the bit, so it
        // cannot carry.
        let before = self.0.fetch_sub(REFERENCE - FINISHED, Ordering::AcqRel);
        debug_assert_eq!(before & (PARKED | FINISHED), 0, "finishing a task that does not run");
        before / REFERENCE == 1
    }

    /// Hands the join slot, just filled by the handle, to the finisher. False once the task is
    /// finishing: the slot stays the handle's.
    #[must_use]
    pub(super) fn set_join_waiter(&self) -> bool {
        self.change_before_finishing(|current| {
            debug_assert_eq!(current & JOIN_WAITER, 0, "one handle, one waiter");
            current | JOIN_WAITER
        })
    }

    /// Takes the join slot back from the finisher. False once the task is finishing: the finisher
    /// may be using the slot until `FINISHED` is seen.
    #[must_use]
    pub(super) fn clear_join_waiter(&self) -> bool {
        self.change_before_finishing(|current| current & !JOIN_WAITER)
    }

    fn change_before_finishing(&self, change: impl Fn(usize) -> usize) -> bool {
        let mut current = self.0.load(Ordering::Relaxed);
        loop {
            if current & FINISHING != 0 {
                return false;
            }
            let next = change(current);
            match self.0.compare_exchange_weak(current, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(seen) => current = seen,
            }
        }
    }

    /// The handle goes. The snapshot is the state before: with `FINISHING` set, the result is the
    /// caller's to drop.
    pub(super) fn drop_joinable(&self) -> Snapshot {
        let before = Snapshot(self.0.fetch_and(!JOINABLE, Ordering::AcqRel));
        debug_assert!(before.is_joinable(), "one handle, dropped once");
        before
    }

    /// One more reference.
    pub(super) fn add_reference(&self) {
        let before = self.0.fetch_add(REFERENCE, Ordering::Relaxed);
        if before / REFERENCE > REFERENCES_MAX {
            std::process::abort();
        }
    }

    /// One reference less. Returns true if it was the last and the caller must free the header.
    #[must_use]
    pub(super) fn drop_reference(&self) -> bool {
        let before = self.0.fetch_sub(REFERENCE, Ordering::AcqRel);
        debug_assert!(before >= REFERENCE, "a reference that was not held");
        before / REFERENCE == 1
    }
}

impl Snapshot {
    pub(super) fn is_joinable(self) -> bool {
        self.0 & JOINABLE != 0
    }

    pub(super) fn has_join_waiter(self) -> bool {
        self.0 & JOIN_WAITER != 0
    }

    pub(super) fn is_finishing(self) -> bool {
        self.0 & FINISHING != 0
    }

    pub(super) fn is_finished(self) -> bool {
        self.0 & FINISHED != 0
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.load().fmt(f)
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = [
            (PARKED, "PARKED"),
            (NOTIFIED, "NOTIFIED"),
            (TOKEN, "TOKEN"),
            (CANCELLED, "CANCELLED"),
            (JOINABLE, "JOINABLE"),
            (MONITORED, "MONITORED"),
            (JOIN_WAITER, "JOIN_WAITER"),
            (FINISHING, "FINISHING"),
            (FINISHED, "FINISHED"),
        ];
        let set = names.iter().filter(|(bit, _)| self.0 & bit != 0).map(|(_, name)| name);
        f.debug_set().entries(set).finish()?;
        write!(f, " with {} references", self.0 / REFERENCE)
    }
}

#[cfg(all(test, not(sedge_loom)))]
mod tests {
    use super::{Park, State};

    #[test]
    fn wake_claims_a_parked_task_once() {
        let state = State::new();
        assert_eq!(state.transition_to_parked(), Park::Parked);
        assert!(state.wake());
        assert!(!state.wake(), "the second wake finds it active");
        assert_eq!(state.transition_to_parked(), Park::Notified);
        assert_eq!(state.transition_to_parked(), Park::Parked);
    }

    #[test]
    fn token_is_apart_from_internal_wakes() {
        let state = State::new();
        assert!(!state.wake());
        assert!(!state.take_token());
        assert!(!state.unpark());
        assert!(state.take_token());
        assert!(!state.take_token());
    }

    #[test]
    fn waking_the_finished_is_nothing() {
        let state = State::new();
        assert!(state.transition_to_finishing().unwrap().is_joinable());
        assert!(!state.transition_to_finished());
        assert!(!state.wake() && !state.unpark() && !state.cancel());
        assert!(state.drop_joinable().is_finished());
        assert!(state.drop_reference());
    }

    #[test]
    fn join_slot_changes_hands_only_before_finishing() {
        let state = State::new();
        assert!(state.set_join_waiter());
        assert!(state.clear_join_waiter());
        assert!(state.set_join_waiter());
        assert!(state.transition_to_finishing().unwrap().has_join_waiter());
        assert!(!state.clear_join_waiter());
    }
}

#[cfg(all(test, sedge_loom))]
mod model;
