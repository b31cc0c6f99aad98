//! Whether a panic has let go of a lock.
//!
//! What was raised by us (a cancellation, a timeout) is no panic: see [`crate::task::interrupt`].
//!
//! # Memory ordering
//!
//! The flag is read and written by those who hold the lock, which orders it; who only asks gets a
//! hint. So all of it is Relaxed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};
use std::thread;

use crate::context;
use crate::task::Frames;

/// Beside a lock.
#[derive(Debug, Default)]
pub(super) struct Poison(AtomicBool);

/// In a guard that may write, before what unlocks.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    poison: &'a Poison,
    /// Whether its holder was unwinding when it locked: then that is not what has broken the data.
    was_unwinding: bool,
}

impl Poison {
    pub(super) const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    #[inline]
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// What comes with the lock: as an error if it is poisoned.
    #[inline]
    pub(super) fn wrap<G>(&self, guard: G) -> LockResult<G> {
        if self.get() { Err(PoisonError::new(guard)) } else { Ok(guard) }
    }

    #[inline]
    pub(super) fn try_wrap<G>(&self, guard: Option<G>) -> TryLockResult<G> {
        Ok(self.wrap(guard.ok_or(TryLockError::WouldBlock)?)?)
    }

    /// Somebody has the lock.
    #[inline]
    pub(super) fn watch(&self) -> Watch<'_> {
        Watch { poison: self, was_unwinding: thread::panicking() }
    }
}

impl<'a> Watch<'a> {
    pub(super) fn poison(&self) -> &'a Poison {
        self.poison
    }

    #[cold]
    fn end_unwinding(&self) {
        if !context::with_frames(Frames::unwinds) {
            self.poison.0.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Watch<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.was_unwinding && thread::panicking() {
            self.end_unwinding();
        }
    }
}

/// For `try_*`, which pass no cancellation point: where code goes on, what was raised is over.
pub(super) fn note_end_of_unwind() {
    context::with_frames(Frames::end_unwind);
}
