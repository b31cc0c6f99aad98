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
    /// that comes too early is repeated at the next parking point.
    #[inline]
    pub(super) fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed) & CANCELLED != 0
    }

    /// Active to parked, unless a wake has come. Called by the worker that ran the task, once its
    /// stack is saved.
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
    pub(super) fn take_notified(&self) -> bool {
        // Only the task itself clears the bit, so a clear look needs no exchange. Relaxed: the
        // exchange below, or the one that parks, is what synchronises with the waker.
        self.0.load(Ordering::Relaxed) & NOTIFIED != 0
            && self.0.fetch_and(!NOTIFIED, Ordering::AcqRel) & NOTIFIED != 0
    }

    /// A wake. Returns true if the caller has claimed the task and must schedule it.
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
mod model {
    use super::{Park, State};
    use crate::primitive::{AtomicUsize, Ordering};
    use loom::sync::Arc;
    use loom::thread;

    /// A waker publishes a value and wakes; the task parks until it sees it. Whoever claims the
    /// parked task is the only one, and the value is visible to it.
    #[test]
    fn no_wake_is_lost() {
        loom::model(|| {
            let shared = Arc::new((State::new(), AtomicUsize::new(0), AtomicUsize::new(0)));
            let wakers: Vec<_> = (0..2)
                .map(|_| {
                    let shared = shared.clone();
                    thread::spawn(move || {
                        shared.1.fetch_add(1, Ordering::Relaxed);
                        if shared.0.wake() {
                            shared.2.fetch_add(1, Ordering::Release);
                        }
                    })
                })
                .collect();
            let (state, value, claims) = &*shared;
            let mut claimed = 0;
            while value.load(Ordering::Relaxed) != 2 {
                if state.transition_to_parked() == Park::Parked {
                    // Suspended: runs again only when a waker has claimed it.
                    while claims.load(Ordering::Acquire) == claimed {
                        thread::yield_now();
                    }
                    claimed += 1;
                }
            }
            for waker in wakers {
                waker.join().unwrap();
            }
            assert!(claims.load(Ordering::Acquire) <= claimed + 1);
        });
    }

    /// The finisher and the handle agree on who drops the result and who frees the header.
    #[test]
    fn result_has_one_owner() {
        loom::model(|| {
            let shared = Arc::new((State::new(), AtomicUsize::new(0), AtomicUsize::new(0)));
            let task = shared.clone();
            let finisher = thread::spawn(move || {
                let (state, dropped, freed) = &*task;
                if !state.transition_to_finishing().unwrap().is_joinable() {
                    dropped.fetch_add(1, Ordering::Relaxed);
                }
                if state.transition_to_finished() {
                    freed.fetch_add(1, Ordering::Relaxed);
                }
            });
            let (state, dropped, freed) = &*shared;
            if state.drop_joinable().is_finishing() {
                dropped.fetch_add(1, Ordering::Relaxed);
            }
            if state.drop_reference() {
                freed.fetch_add(1, Ordering::Relaxed);
            }
            finisher.join().unwrap();
            assert_eq!((dropped.load(Ordering::Relaxed), freed.load(Ordering::Relaxed)), (1, 1));
        });
    }

    /// The joiner never leaves while the finisher may use its waiter: the slot is either taken back
    /// or used, never both, and `FINISHED` is seen after the use.
    #[test]
    fn joiner_outlives_the_use_of_its_waiter() {
        loom::model(|| {
            let shared = Arc::new((State::new(), AtomicUsize::new(0)));
            let task = shared.clone();
            let finisher = thread::spawn(move || {
                let (state, alive) = &*task;
                if state.transition_to_finishing().unwrap().has_join_waiter() {
                    assert_eq!(alive.load(Ordering::Relaxed), 1, "the waiter's task is there");
                }
                let _ = state.transition_to_finished();
            });
            let (state, alive) = &*shared;
            alive.store(1, Ordering::Relaxed);
            if state.set_join_waiter() && !state.clear_join_waiter() {
                while !state.load().is_finished() {
                    thread::yield_now();
                }
            }
            alive.store(0, Ordering::Relaxed);
            finisher.join().unwrap();
        });
    }

    /// The joiner of `JoinHandle::wait` never parks for ever: either it parks before the finisher's
    /// wake, which claims it, or it sees `FINISHING` and needs no wake. The wake that it uses up
    /// while it is active, and another's that comes at any time, must not cost it the only one.
    #[test]
    fn an_active_joiner_does_not_park_after_its_wake() {
        loom::model(|| {
            // The task that ends, the task that joins it, and how often the latter was claimed.
            let shared = Arc::new((State::new(), State::new(), AtomicUsize::new(0)));
            let wake_joiner = |shared: &(State, State, AtomicUsize)| {
                if shared.1.wake() {
                    shared.2.fetch_add(1, Ordering::Release);
                }
            };
            let finisher = thread::spawn({
                let shared = shared.clone();
                move || {
                    let task = &shared.0;
                    let _ = task.transition_to_finishing();
                    if task.load().has_join_waiter() {
                        wake_joiner(&shared);
                    }
                    let _ = task.transition_to_finished();
                }
            });
            let other = thread::spawn({
                let shared = shared.clone();
                move || wake_joiner(&shared)
            });
            let (task, joiner, claims) = &*shared;
            let (mut filled, mut claimed) = (false, 0);
            while !task.load().is_finished() {
                filled = filled || task.set_join_waiter();
                if !filled || task.load().is_finishing() {
                    // The finisher is between two of its steps.
                    thread::yield_now();
                } else if !joiner.take_notified() && joiner.transition_to_parked() == Park::Parked {
                    // Suspended: without a claim the model never ends.
                    while claims.load(Ordering::Acquire) == claimed {
                        thread::yield_now();
                    }
                    claimed += 1;
                }
            }
            finisher.join().unwrap();
            other.join().unwrap();
        });
    }

    /// Parks `state` once, and runs again only when somebody has claimed it.
    fn park_until_claimed(state: &State, claims: &AtomicUsize, claimed: &mut usize) {
        if state.transition_to_parked() == Park::Parked {
            // Without a claim the model never ends.
            while claims.load(Ordering::Acquire) == *claimed {
                thread::yield_now();
            }
            *claimed += 1;
        }
    }

    /// A task that is cancelled, woken and unparked at a time is claimed by one of them for each
    /// time that it parks, sees that it is cancelled, and finds its token.
    #[test]
    fn a_cancelled_task_does_not_stay_parked() {
        loom::model(|| {
            let shared = Arc::new((State::new(), AtomicUsize::new(0)));
            let tellers = [State::cancel, State::unpark].map(|tell| {
                let shared = shared.clone();
                thread::spawn(move || {
                    if tell(&shared.0) {
                        shared.1.fetch_add(1, Ordering::Release);
                    }
                })
            });
            let (state, claims) = &*shared;
            let (mut has_token, mut claimed) = (false, 0);
            while !(state.is_cancelled() && has_token) {
                has_token = has_token || state.take_token();
                if !(state.is_cancelled() && has_token) {
                    park_until_claimed(state, claims, &mut claimed);
                }
            }
            for teller in tellers {
                teller.join().unwrap();
            }
            assert!(claims.load(Ordering::Acquire) <= claimed + 1);
        });
    }

    /// A flag that is set before the wake, and read without ordering, as the frames read it: who
    /// was woken sees it.
    #[test]
    fn a_flag_is_seen_after_its_wake() {
        loom::model(|| {
            let shared = Arc::new((State::new(), AtomicUsize::new(0), AtomicUsize::new(0)));
            let setter = thread::spawn({
                let shared = shared.clone();
                move || {
                    shared.2.store(1, Ordering::Relaxed);
                    if shared.0.wake() {
                        shared.1.fetch_add(1, Ordering::Release);
                    }
                }
            });
            let (state, claims, flag) = &*shared;
            let mut claimed = 0;
            while flag.load(Ordering::Relaxed) == 0 {
                park_until_claimed(state, claims, &mut claimed);
            }
            setter.join().unwrap();
        });
    }

    /// A monitor that is left while the task finishes is called by the task, or by who left it.
    #[test]
    fn a_monitor_is_called_once() {
        loom::model(|| {
            let shared = Arc::new((State::new(), AtomicUsize::new(0), AtomicUsize::new(0)));
            let task = shared.clone();
            let finisher = thread::spawn(move || {
                let (state, left, called) = &*task;
                while state.transition_to_finishing().is_none() {
                    called.fetch_add(left.swap(0, Ordering::Relaxed), Ordering::Relaxed);
                }
            });
            let (state, left, called) = &*shared;
            for _ in 0..2 {
                left.fetch_add(1, Ordering::Relaxed);
                if !state.set_monitored() {
                    called.fetch_add(left.swap(0, Ordering::Relaxed), Ordering::Relaxed);
                }
            }
            finisher.join().unwrap();
            assert_eq!((left.load(Ordering::Relaxed), called.load(Ordering::Relaxed)), (0, 2));
        });
    }
}
