//! Running a closure once, with std's methods.
//!
//! # States
//!
//! - *incomplete*, and *poisoned* once a closure has panicked: the next call may run.
//! - *running*: one does, and others wait for it.
//! - *complete*, for good.
//!
//! # Memory ordering
//!
//! The state is Release where a closure has ended, and Acquire where that is looked for: what the
//! closure did is published to who finds it complete. Whoever ends it wakes afterwards, as
//! [`WaitQueue`] wants.

#[cfg(all(test, sedge_loom))]
mod model;

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

use crate::primitive::{AtomicU8, Ordering};
use crate::task;
use crate::wait::{self, WaitQueue};

const INCOMPLETE: u8 = 0;
const POISONED: u8 = 1;
const RUNNING: u8 = 2;
const COMPLETE: u8 = 3;

/// Runs a closure once, whoever calls it. As [`std::sync::Once`].
///
/// A closure that panics poisons it. It runs in a [`shield`](crate::task::shield), so that no
/// cancellation leaves it half done.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::sync::Once;
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// static START: Once = Once::new();
/// static STARTS: AtomicU32 = AtomicU32::new(0);
///
/// sedge::task::scope(|scope| {
///     for _ in 0..10 {
///         scope.spawn(|| START.call_once(|| drop(STARTS.fetch_add(1, Ordering::Relaxed))));
///     }
/// });
/// assert_eq!(STARTS.load(Ordering::Relaxed), 1);
/// ```
pub struct Once {
    state: AtomicU8,
    waiters: WaitQueue,
}

// What a panic leaves behind is told of by the poison.
impl UnwindSafe for Once {}
impl RefUnwindSafe for Once {}

/// What a closure of [`Once::call_once_force`] learns.
///
/// # Examples
///
/// See [`Once::call_once_force`].
#[derive(Debug)]
pub struct OnceState {
    poisoned: bool,
}

/// What a call is to do.
enum Step<'o> {
    Run(Running<'o>, OnceState),
    Wait,
    /// It is complete.
    Return,
    /// It is poisoned.
    Panic,
}

/// A closure runs.
struct Running<'o> {
    once: &'o Once,
    end: u8,
}

impl Once {
    /// Makes one that has run nothing.
    ///
    /// # Examples
    ///
    /// See [`Once`].
    #[cfg(not(sedge_loom))]
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self { state: AtomicU8::new(INCOMPLETE), waiters: WaitQueue::new() }
    }

    #[cfg(sedge_loom)]
    pub(crate) fn new() -> Self {
        Self { state: AtomicU8::new(INCOMPLETE), waiters: WaitQueue::new() }
    }

    /// One that is complete.
    #[cfg(not(sedge_loom))]
    pub(super) const fn completed() -> Self {
        Self { state: AtomicU8::new(COMPLETE), waiters: WaitQueue::new() }
    }

    /// Calls `f` if nothing was called yet; if something runs, waits until it has returned.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread, while another closure runs. An `f` that calls it
    /// of the same `Once` waits for itself, for ever.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits, unless it is complete. `f` is shielded.
    ///
    /// # Panics
    ///
    /// With `f`'s panic, which poisons it; and if it is poisoned.
    ///
    /// # Examples
    ///
    /// See [`Once`].
    #[inline]
    #[track_caller]
    pub fn call_once<F: FnOnce()>(&self, f: F) {
        if !self.is_completed() {
            let mut f = Some(f);
            let is_good = self.call(false, &mut |_| f.take().expect("it runs once")());
            assert!(is_good, "Once instance has previously been poisoned");
        }
    }

    /// The same, also if it is poisoned: if `f` returns, it is good again.
    ///
    /// # Blocking
    ///
    /// As [`call_once`](Self::call_once).
    ///
    /// # Cancellation
    ///
    /// As [`call_once`](Self::call_once).
    ///
    /// # Panics
    ///
    /// With `f`'s panic, which poisons it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::Once;
    ///
    /// static START: Once = Once::new();
    ///
    /// let failing = sedge::spawn(|| START.call_once(|| panic!("the first time")));
    /// assert!(failing.join().is_err());
    /// START.call_once_force(|state| assert!(state.is_poisoned()));
    /// assert!(START.is_completed());
    /// ```
    #[inline]
    pub fn call_once_force<F: FnOnce(&OnceState)>(&self, f: F) {
        if !self.is_completed() {
            let mut f = Some(f);
            self.call(true, &mut |state| f.take().expect("it runs once")(state));
        }
    }

    /// Returns whether a closure has run to its end.
    ///
    /// # Examples
    ///
    /// See [`call_once_force`](Self::call_once_force).
    #[inline]
    pub fn is_completed(&self) -> bool {
        self.state.load(Ordering::Acquire) == COMPLETE
    }

    /// Waits until a closure has run to its end, and calls none.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits, unless it is complete.
    ///
    /// # Panics
    ///
    /// If it is poisoned, or is while this waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::Once;
    ///
    /// static START: Once = Once::new();
    ///
    /// let waiting = sedge::spawn(|| START.wait());
    /// START.call_once(|| ());
    /// waiting.join().unwrap();
    /// ```
    pub fn wait(&self) {
        if !self.is_completed() {
            self.wait_for(&[COMPLETE, POISONED]);
            assert!(self.is_completed(), "Once instance has previously been poisoned");
        }
    }

    /// The same, however many closures panic before.
    ///
    /// # Blocking
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Cancellation
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// See [`wait`](Self::wait).
    pub fn wait_force(&self) {
        if !self.is_completed() {
            self.wait_for(&[COMPLETE]);
        }
    }

    #[cold]
    fn wait_for(&self, states: &[u8]) {
        wait::checkpoint();
        let is_one = || states.contains(&self.state.load(Ordering::Acquire)).then_some(());
        while self.waiters.wait_until(None, is_one).is_err() {}
    }

    /// Returns false if it is poisoned, and that is not to be ignored.
    #[cold]
    pub(super) fn call(&self, ignores_poison: bool, f: &mut dyn FnMut(&OnceState)) -> bool {
        wait::checkpoint();
        loop {
            match self.begin(ignores_poison) {
                Step::Run(running, state) => {
                    task::shield(|| f(&state));
                    running.complete();
                    return true;
                }
                Step::Wait => {
                    let _ended = self.waiters.wait_until(None, || self.runs_no_more());
                }
                Step::Return => return true,
                Step::Panic => return false,
            }
        }
    }

    fn begin(&self, ignores_poison: bool) -> Step<'_> {
        let mut state = self.state.load(Ordering::Acquire);
        loop {
            match state {
                COMPLETE => return Step::Return,
                RUNNING => return Step::Wait,
                POISONED if !ignores_poison => return Step::Panic,
                _ => {}
            }
            match self.exchange(state, RUNNING) {
                Ok(_) => break,
                Err(seen) => state = seen,
            }
        }
        let running = Running { once: self, end: POISONED };
        Step::Run(running, OnceState { poisoned: state == POISONED })
    }

    fn exchange(&self, from: u8, to: u8) -> Result<u8, u8> {
        self.state.compare_exchange(from, to, Ordering::Acquire, Ordering::Acquire)
    }

    fn runs_no_more(&self) -> Option<()> {
        (self.state.load(Ordering::Acquire) != RUNNING).then_some(())
    }
}

impl Running<'_> {
    fn complete(mut self) {
        self.end = COMPLETE;
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.once.state.store(self.end, Ordering::Release);
        self.once.waiters.wake_all();
    }
}

impl OnceState {
    /// Returns whether a closure has panicked before.
    ///
    /// # Examples
    ///
    /// See [`Once::call_once_force`].
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }
}

impl Default for Once {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").finish_non_exhaustive()
    }
}
