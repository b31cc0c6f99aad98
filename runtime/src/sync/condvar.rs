//! The condition variable, with std's methods.

use std::fmt;
use std::sync::{LockResult, PoisonError};
use std::time::{Duration, Instant};

use super::{MutexGuard, nonpoison};
use crate::wait::{Limit, TimedOut};

/// Tasks and threads that wait, without a lock that they held, until they are notified. As
/// [`std::sync::Condvar`].
///
/// It may be used with several mutexes at a time. Those who wait are notified in the order in which
/// they came.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::sync::{Condvar, Mutex};
///
/// static ITEMS: Mutex<Vec<u32>> = Mutex::new(Vec::new());
/// static PUSHED: Condvar = Condvar::new();
///
/// sedge::run(|| {
///     let popping = sedge::spawn(|| {
///         let items = ITEMS.lock().unwrap();
///         PUSHED.wait_while(items, |items| items.is_empty()).unwrap().pop()
///     });
///     ITEMS.lock().unwrap().push(7);
///     PUSHED.notify_one();
///     assert_eq!(popping.join().unwrap(), Some(7));
/// });
/// ```
#[derive(Default)]
pub struct Condvar {
    inner: nonpoison::Condvar,
}

/// Whether a wait has ended because its time was over. As [`std::sync::WaitTimeoutResult`], which
/// only std can make.
///
/// # Examples
///
/// See [`Condvar::wait_timeout`].
#[derive(Debug, PartialEq, Eq, Copy, Clone)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    pub(super) fn of(result: Result<(), TimedOut>) -> Self {
        Self(result.is_err())
    }

    /// Returns whether the time was over.
    ///
    /// # Examples
    ///
    /// See [`Condvar::wait_timeout`].
    #[must_use]
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    /// Makes one that nobody waits for.
    ///
    /// # Examples
    ///
    /// See [`Condvar`].
    #[must_use]
    pub const fn new() -> Self {
        Self { inner: nonpoison::Condvar::new() }
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
    /// # Errors
    ///
    /// A [`PoisonError`] with the guard: the lock is poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::{Condvar, Mutex};
    ///
    /// let (mutex, changed) = (Mutex::new(false), Condvar::new());
    /// sedge::task::scope(|scope| {
    ///     scope.spawn(|| {
    ///         *mutex.lock().unwrap() = true;
    ///         changed.notify_all();
    ///     });
    ///     let mut is_ready = mutex.lock().unwrap();
    ///     while !*is_ready {
    ///         is_ready = changed.wait(is_ready).unwrap();
    ///     }
    /// });
    /// ```
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        let result = MutexGuard::with_inner(guard, |guard| self.inner.wait(guard));
        result.map(|(guard, ())| guard).map_err(|error| PoisonError::new(error.into_inner().0))
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
    /// # Errors
    ///
    /// As [`wait`](Self::wait), once the lock is poisoned: `condition` is not asked then.
    ///
    /// # Panics
    ///
    /// With `condition`'s panic.
    ///
    /// # Examples
    ///
    /// See [`Condvar`].
    pub fn wait_while<'a, T, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: F,
    ) -> LockResult<MutexGuard<'a, T>>
    where
        F: FnMut(&mut T) -> bool,
    {
        while condition(&mut *guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
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
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::{Condvar, Mutex};
    /// use std::time::Duration;
    ///
    /// let mutex = Mutex::new(());
    /// let guard = mutex.lock().unwrap();
    /// let timeout = Duration::from_millis(1);
    /// let (_guard, result) = Condvar::new().wait_timeout(guard, timeout).unwrap();
    /// assert!(result.timed_out());
    /// ```
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        MutexGuard::with_inner(guard, |guard| self.inner.wait_for(guard, timeout))
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
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::{Condvar, Mutex};
    /// use std::time::Instant;
    ///
    /// let mutex = Mutex::new(());
    /// let guard = mutex.lock().unwrap();
    /// let (_guard, result) = Condvar::new().wait_until(guard, Instant::now()).unwrap();
    /// assert!(result.timed_out());
    /// ```
    pub fn wait_until<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Instant,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        MutexGuard::with_inner(guard, |guard| self.inner.wait_until(guard, deadline))
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
    /// # Errors
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
    /// use sedge::sync::{Condvar, Mutex};
    /// use std::time::Duration;
    ///
    /// let (mutex, changed) = (Mutex::new(1), Condvar::new());
    /// let guard = mutex.lock().unwrap();
    /// let timeout = Duration::from_millis(1);
    /// let (_guard, result) = changed.wait_timeout_while(guard, timeout, |n| *n == 1).unwrap();
    /// assert!(result.timed_out());
    /// ```
    pub fn wait_timeout_while<'a, T, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        timeout: Duration,
        mut condition: F,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)>
    where
        F: FnMut(&mut T) -> bool,
    {
        let mut limit = Limit::After(timeout);
        let mut is_over = false;
        loop {
            if !condition(&mut *guard) {
                return Ok((guard, WaitTimeoutResult(false)));
            }
            if is_over {
                return Ok((guard, WaitTimeoutResult(true)));
            }
            let wait = |guard: &mut _| self.inner.wait_within(guard, &mut limit);
            let (same, result) = MutexGuard::with_inner(guard, wait).map_err(|error| {
                let (guard, result) = error.into_inner();
                PoisonError::new((guard, WaitTimeoutResult::of(result)))
            })?;
            guard = same;
            is_over = result.is_err();
            // What the next wait begins with is what is left.
            limit = limit.deadline().into();
        }
    }

    /// Notifies the one that has waited longest, if there is one.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Examples
    ///
    /// See [`Condvar`].
    pub fn notify_one(&self) {
        self.inner.notify_one();
    }

    /// Notifies all who wait.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Examples
    ///
    /// See [`wait`](Self::wait).
    pub fn notify_all(&self) {
        self.inner.notify_all();
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}
