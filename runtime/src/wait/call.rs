//! One waiting call: who waits, and whether it has been answered.
//!
//! # States
//!
//! - *waiting*: from the start. Its waiter is woken when it is answered.
//! - *spinning*: the same, but the caller looks by itself, so nobody has to wake it. Set and taken
//!   back by the caller alone.
//! - *answered*: for good. Set by who answers, under the lock of the line that the call stands in,
//!   as the last thing that it does to the call, which may be gone from then on.
//!
//! # Memory ordering
//!
//! `state` is stored with Release when it becomes *answered*, and loaded with Acquire by the
//! caller: that publishes the answer, which is written under the lock before, to a caller that does
//! not take the lock again. All else about it is Relaxed: what one thread sets it looks at itself.
#![expect(unsafe_code, reason = "the waiter changes hands with the lock")]

use std::cell::UnsafeCell;

use super::{Limit, TimedOut, Waiter, Wakeup, pause};
use crate::primitive::{AtomicU8, Ordering};
use crate::task::TaskRef;
use crate::{context, task};

const WAITING: u8 = 0;
const SPINNING: u8 = 1;
const ANSWERED: u8 = 2;

/// See the module.
///
/// # Invariants
///
/// 1. `waiter` is touched under the lock of the line that the call stands in, or by its owner while
///    it stands in none.
#[derive(Debug)]
pub(super) struct Call {
    state: AtomicU8,
    waiter: UnsafeCell<Option<Waiter>>,
}

// SAFETY: `waiter` is guarded as invariant 1 says.
unsafe impl Send for Call {}
// SAFETY: as above.
unsafe impl Sync for Call {}

impl Call {
    pub(super) fn new() -> Self {
        Self { state: AtomicU8::new(WAITING), waiter: UnsafeCell::new(None) }
    }

    /// Whether the answer is there. Acquire: it can be read from then on.
    #[inline]
    pub(super) fn is_answered(&self) -> bool {
        self.state.load(Ordering::Acquire) == ANSWERED
    }

    /// Makes it one that waits, for `waiter`. Returns the waiter that it was for.
    ///
    /// # Safety
    ///
    /// The caller owns it, and either it stands in no line, or the caller holds that line's lock.
    #[inline]
    pub(super) unsafe fn begin(&self, waiter: Waiter) -> Option<Waiter> {
        self.state.store(WAITING, Ordering::Relaxed);
        // SAFETY: invariant 1, by the caller's word.
        unsafe { (*self.waiter.get()).replace(waiter) }
    }

    /// Answers a call whose answer has been written. The wake is the caller's to deliver, once it
    /// has let go of the lock.
    ///
    /// # Safety
    ///
    /// `call` was taken out of its line under the lock that the caller holds, and is answered once.
    /// It may be gone when this returns.
    #[inline]
    pub(super) unsafe fn answer(call: *const Self) -> Option<Wakeup> {
        // SAFETY: it is there until it is answered.
        let this = unsafe { &*call };
        let spins = this.state.load(Ordering::Relaxed) == SPINNING;
        // Who spins need not be woken, unless it is just about to stop.
        if spins && this.exchange(SPINNING, ANSWERED) {
            return None;
        }
        // SAFETY: invariant 1.
        let waiter = unsafe { (*this.waiter.get()).take() };
        // Claimed first: its task cannot go on from then on, or goes on to the lock that we hold.
        let wakeup = waiter.and_then(Waiter::claim);
        this.state.store(ANSWERED, Ordering::Release);
        wakeup
    }

    fn exchange(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Waits for the answer. Where the wait is to end without it, `leave` takes the call out of its
    /// line, or returns false if it is chosen already; then what is due is raised, or the time is
    /// up, as it also is where `is_refused` says so after a wake.
    ///
    /// `synchronise` returns once nobody is between waking and answering. `has_parked` says whether
    /// the call has parked already.
    #[inline(never)]
    pub(super) fn wait(
        &self,
        limit: &mut Limit,
        mut has_parked: bool,
        is_refused: impl Fn() -> bool,
        synchronise: impl Fn(),
        leave: impl Fn() -> bool,
    ) -> Result<(), TimedOut> {
        let mut is_over = false;
        loop {
            if has_parked {
                let is_due = task::is_raise_due();
                if !is_over && !is_due && !is_refused() {
                    // A wake that found its task active has been used up. If it was ours, the
                    // answer follows, under the lock.
                    synchronise();
                } else if leave() {
                    if is_due {
                        task::raise_if_due_here();
                    }
                    return Err(TimedOut);
                } else {
                    self.wait_for_answer(&synchronise);
                }
            }
            if self.is_answered() {
                return Ok(());
            }
            is_over = pause(limit);
            has_parked = true;
            if self.is_answered() {
                return Ok(());
            }
        }
    }

    /// The beginning of a [wait](Self::wait) of `task`, the running one, that has no limit: true if
    /// that was all. In line, down to the switch: see `task::suspend`.
    #[inline(always)]
    pub(super) fn park(&self, task: TaskRef) -> bool {
        if !self.is_answered() {
            task::pause(task);
        }
        self.is_answered()
    }

    /// Waits for an answer that comes, whatever else is due.
    pub(super) fn wait_for_answer(&self, synchronise: impl Fn()) {
        synchronise();
        while !self.is_answered() {
            let _over = pause(&mut Limit::Never);
            synchronise();
        }
    }

    /// Looks for the answer for a while, where the worker has nothing else to do.
    #[cold]
    pub(super) fn spin(&self) {
        context::with_parkable(|worker, _| {
            if self.exchange(WAITING, SPINNING) {
                worker.spin_until(|| self.state.load(Ordering::Relaxed) != SPINNING);
                // If no answer has come, it is to be woken from now on.
                self.exchange(SPINNING, WAITING);
            }
        });
    }
}
