//! A call that stands in several lines.
//!
//! It has a place in each, and one [`Selection`] for all: whoever takes it from a line has to win
//! the selection first, and what has lost is dropped from its line. So it is chosen once.
//!
//! # Memory ordering
//!
//! `chosen` leaves zero once, by an exchange, which is AcqRel: who wins is known to all from then
//! on. What the answer is, is published by the line's lock and the call's own state.
#![expect(unsafe_code, reason = "the selection's call is begun before it stands in a line")]

use super::call::Call;
use super::{Limit, TimedOut, Waiter};
use crate::primitive::{AtomicUsize, Ordering};

/// What a call waits with that stands in several lines.
#[derive(Debug)]
pub(crate) struct Selection {
    /// One more than the case that was chosen, zero, or [`CLOSED`].
    chosen: AtomicUsize,
    call: Call,
}

/// The selection is over.
const CLOSED: usize = usize::MAX;

impl Selection {
    /// A selection that wakes `waiter`.
    pub(crate) fn new(waiter: Waiter) -> Self {
        let call = Call::new();
        // SAFETY: it stands in no line yet.
        let _none = unsafe { call.begin(waiter) };
        Self { chosen: AtomicUsize::new(0), call }
    }

    pub(super) fn call(&self) -> &Call {
        &self.call
    }

    /// Chooses a case, if nobody has yet.
    pub(super) fn choose(&self, case: usize) -> bool {
        self.change(case + 1)
    }

    fn change(&self, to: usize) -> bool {
        self.chosen.compare_exchange(0, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    pub(super) fn has_chosen(&self, case: usize) -> bool {
        self.chosen.load(Ordering::Acquire) == case + 1
    }

    /// Closes it, so that nobody chooses any more. If somebody has before, waits for the answer,
    /// and returns the case.
    pub(crate) fn close(&self, synchronise: impl Fn(usize)) -> Option<usize> {
        if self.change(CLOSED) {
            return None;
        }
        match self.chosen.load(Ordering::Acquire) {
            CLOSED => None,
            chosen => {
                self.call.wait_for_answer(|| synchronise(chosen - 1));
                Some(chosen - 1)
            }
        }
    }

    /// Waits until a case is chosen and answered, and returns it. Ends early as
    /// [`Place::wait`](super::Place::wait) does, and after a wake if it `looks`: it is closed then.
    /// `synchronise` is that of a case.
    pub(crate) fn wait(
        &self,
        limit: &mut Limit,
        looks: impl Fn() -> bool,
        synchronise: impl Fn(usize),
    ) -> Result<usize, TimedOut> {
        let synchronise = || {
            if let Some(case) = self.chosen.load(Ordering::Acquire).checked_sub(1) {
                synchronise(case);
            }
        };
        self.call.wait(limit, false, looks, synchronise, || self.change(CLOSED))?;
        Ok(self.chosen.load(Ordering::Acquire) - 1)
    }
}
