//! The condition variable.
//!
//! A call stands in line before it lets go of the lock, so that no notification is lost that comes
//! once the lock was held again; and it takes the lock again whatever ends it, so that its guard is
//! right. Who was notified as it was about to leave was notified: what is due is raised at its next
//! cancellation point.
//!
//! # Memory ordering
//!
//! `callers` spares who notifies nobody the line's lock. Relaxed: a call that a notification has to
//! find had counted itself before it let go of the mutex, which the notifier, or whoever it knows
//! that from, has locked since.
#![expect(unsafe_code, reason = "it unlocks under a guard that is there")]

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::pin;
use std::time::{Duration, Instant};

use lock_api::RawMutex as _;

use super::MutexGuard;
use crate::primitive::{AtomicUsize, Ordering};
use crate::sync::WaitTimeoutResult;
use crate::sync::raw_mutex::RawMutex;
use crate::wait::{self, Caller, Limit, Place, TimedOut, WaitList, Wakeup};

/// Tasks and threads that wait, without a lock that they held, until they are notified.
///
/// As parking_lot's: `wait` takes the guard by reference. It may be used with several mutexes at a
/// time. Those who wait are notified in the order in which they came.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::sync::nonpoison::{Condvar, Mutex};
///
/// static ITEMS: Mutex<Vec<u32>> = Mutex::new(Vec::new());
/// static PUSHED: Condvar = Condvar::new();
///
/// sedge::run(|| {
///     let popping = sedge::spawn(|| {
///         let mut items = ITEMS.lock();
///         PUSHED.wait_while(&mut items, |items| items.is_empty());
///         items.pop()
///     });
///     ITEMS.lock().push(7);
///     PUSHED.notify_one();
///     assert_eq!(popping.join().unwrap(), Some(7));
/// });
/// ```
pub struct Condvar {
    line: WaitList<(), ()>,
    /// How many calls wait, or are about to leave.
    callers: AtomicUsize,
}

// Nothing of the user's runs between two changes that belong together.
impl UnwindSafe for Condvar {}
impl RefUnwindSafe for Condvar {}

impl Condvar {
    /// Makes one that nobody waits for.
    ///
    /// # Examples
    ///
    /// See [`Condvar`].
    pub const fn new() -> Self {
        Self { line: WaitList::new(()), callers: AtomicUsize::new(0) }
    }

    /// Lets go of the lock, waits until it is notified, and takes the lock again.
    ///
    /// May return for no reason, so that what is waited for has to be looked at in a loop, as
    /// [`wait_while`](Self::wait_while) does.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits to be notified. Then it takes the lock
    /// again, as it unwinds, and waits for that. A notification is for somebody else then, unless
    /// it had come before.
    ///
    /// # Examples
    ///
    /// See [`Condvar`].
    pub fn wait<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>) {
        let _notified = self.wait_within(guard, &mut Limit::Never);
    }

    /// Waits, as [`wait`](Self::wait) does, for as long as `condition` returns true: that is asked
    /// under the lock.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread.
    ///
    /// # Cancellation
    ///
    /// As [`wait`](Self::wait). It is not a cancellation point where it need not wait.
    ///
    /// # Panics
    ///
    /// With `condition`'s panic.
    ///
    /// # Examples
    ///
    /// See [`Condvar`].
    pub fn wait_while<T, F>(&self, guard: &mut MutexGuard<'_, T>, mut condition: F)
    where
        T: ?Sized,
        F: FnMut(&mut T) -> bool,
    {
        while condition(guard) {
            self.wait(guard);
        }
    }

    /// Waits, as [`wait`](Self::wait) does, for `timeout` at most. A timeout that ends later than
    /// an [`Instant`] can tell has no end.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread.
    ///
    /// # Cancellation
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::nonpoison::{Condvar, Mutex};
    /// use std::time::Duration;
    ///
    /// let mutex = Mutex::new(());
    /// let result = Condvar::new().wait_for(&mut mutex.lock(), Duration::from_millis(1));
    /// assert!(result.timed_out());
    /// ```
    pub fn wait_for<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        timeout: Duration,
    ) -> WaitTimeoutResult {
        WaitTimeoutResult::of(self.wait_within(guard, &mut Limit::After(timeout)))
    }

    /// The same, with a deadline.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread.
    ///
    /// # Cancellation
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::nonpoison::{Condvar, Mutex};
    /// use std::time::Instant;
    ///
    /// let mutex = Mutex::new(());
    /// let result = Condvar::new().wait_until(&mut mutex.lock(), Instant::now());
    /// assert!(result.timed_out());
    /// ```
    pub fn wait_until<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Instant,
    ) -> WaitTimeoutResult {
        WaitTimeoutResult::of(self.wait_within(guard, &mut Limit::At(deadline)))
    }

    /// Waits for as long as `condition` returns true, for `timeout` at most. The result says that
    /// the time was over where `condition` returned true in the end.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread.
    ///
    /// # Cancellation
    ///
    /// As [`wait_while`](Self::wait_while).
    ///
    /// # Panics
    ///
    /// With `condition`'s panic.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::nonpoison::{Condvar, Mutex};
    /// use std::time::Duration;
    ///
    /// let mutex = Mutex::new(1);
    /// let (condvar, timeout) = (Condvar::new(), Duration::from_millis(1));
    /// assert!(condvar.wait_while_for(&mut mutex.lock(), |n| *n == 1, timeout).timed_out());
    /// assert!(!condvar.wait_while_for(&mut mutex.lock(), |n| *n == 2, timeout).timed_out());
    /// ```
    pub fn wait_while_for<T, F>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        mut condition: F,
        timeout: Duration,
    ) -> WaitTimeoutResult
    where
        T: ?Sized,
        F: FnMut(&mut T) -> bool,
    {
        let mut limit = Limit::After(timeout);
        loop {
            if !condition(guard) {
                return WaitTimeoutResult::of(Ok(()));
            }
            if self.wait_within(guard, &mut limit).is_err() {
                let is_over = condition(guard);
                return WaitTimeoutResult::of(if is_over { Err(TimedOut) } else { Ok(()) });
            }
            // What the next wait begins with is what is left.
            limit = limit.deadline().into();
        }
    }

    /// Notifies the one that has waited longest. Returns whether somebody waited.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Examples
    ///
    /// See [`Condvar`].
    pub fn notify_one(&self) -> bool {
        if self.callers.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let wakeup = {
            let mut line = self.line.lock();
            let Some(first) = line.choose(0) else { return false };
            first.answer()
        };
        wakeup.into_iter().for_each(Wakeup::deliver);
        true
    }

    /// Notifies all who wait. Returns how many they were.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// assert_eq!(sedge::sync::nonpoison::Condvar::new().notify_all(), 0);
    /// ```
    pub fn notify_all(&self) -> usize {
        if self.callers.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        let mut count = 0;
        let mut wakeups = Vec::new();
        {
            let mut line = self.line.lock();
            while let Some(next) = line.choose(0) {
                count += 1;
                wakeups.extend(next.answer());
            }
        }
        wakeups.into_iter().for_each(Wakeup::deliver);
        count
    }

    /// Under `guard`, which is locked again when this returns or unwinds.
    pub(in crate::sync) fn wait_within<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        limit: &mut Limit,
    ) -> Result<(), TimedOut> {
        wait::checkpoint();
        let caller = Caller::now();
        let _counted = Counted::new(&self.callers);
        let mut place = pin!(Place::new(&self.line, ()));
        place.as_mut().begin(Some(caller.waiter()));
        self.line.lock().push_back(0, place.as_ref());
        let _unlocked = Unlocked::new(guard);
        place.as_mut().wait(caller, limit)?;
        Ok(())
    }
}

/// A call, from before it lets go of the lock.
struct Counted<'c>(&'c AtomicUsize);

impl<'c> Counted<'c> {
    fn new(callers: &'c AtomicUsize) -> Self {
        callers.fetch_add(1, Ordering::Relaxed);
        Self(callers)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The lock of a guard, let go of for a while. It is taken again by a call that never unwinds.
struct Unlocked<'g>(&'g RawMutex);

impl<'g> Unlocked<'g> {
    fn new<T: ?Sized>(guard: &'g mut MutexGuard<'_, T>) -> Self {
        // SAFETY: the guard is borrowed until it is locked again, so nobody makes use of it.
        let raw = unsafe { MutexGuard::mutex(guard).raw() };
        // SAFETY: the guard holds it.
        unsafe { raw.unlock() };
        Self(raw)
    }
}

impl Drop for Unlocked<'_> {
    fn drop(&mut self) {
        self.0.lock();
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}
