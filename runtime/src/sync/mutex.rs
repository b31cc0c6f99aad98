//! The mutex, with std's methods.

use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::{LockResult, TryLockError, TryLockResult};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::nonpoison;
use super::poison::{Poison, Watch, note_end_of_unwind};

/// A mutual exclusion lock, as [`std::sync::Mutex`]: what panics while it holds the lock poisons
/// it.
///
/// What is cancelled while it holds the lock, or ended by a timeout or a token, does not poison it.
/// Data that are half changed at a wait are left so: see
/// [what that does to the work in hand](crate::task#cancellation).
///
/// A guard may be held across any wait, and is `Send`: see [`RawMutex`](super::RawMutex), which
/// also says who is next. [`nonpoison::Mutex`] does without poisoning.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::sync::{Arc, Mutex};
/// use sedge::time::sleep;
/// use std::time::Duration;
///
/// sedge::run(|| {
///     let log = Arc::new(Mutex::new(Vec::new()));
///     let other = sedge::spawn({
///         let log = log.clone();
///         move || log.lock().unwrap().push("other")
///     });
///     let mut guard = log.lock().unwrap();
///     sleep(Duration::from_millis(1));
///     guard.push("root");
///     drop(guard);
///     other.join().unwrap();
///     assert_eq!(log.lock().unwrap().len(), 2);
/// });
/// ```
pub struct Mutex<T: ?Sized> {
    poison: Poison,
    inner: nonpoison::Mutex<T>,
}

// A panic that leaves the data half changed is told of by the poison.
impl<T: ?Sized> UnwindSafe for Mutex<T> {}
impl<T: ?Sized> RefUnwindSafe for Mutex<T> {}

/// Holds a [`Mutex`] locked, and lets go of it when it is dropped.
///
/// # Examples
///
/// See [`Mutex`].
#[must_use = "if unused the Mutex will immediately unlock"]
pub struct MutexGuard<'a, T: ?Sized> {
    // In this order they are dropped: it may be poisoned, then it is unlocked.
    watch: Watch<'a>,
    inner: nonpoison::MutexGuard<'a, T>,
}

impl<T: ?Sized> UnwindSafe for MutexGuard<'_, T> {}
impl<T: ?Sized> RefUnwindSafe for MutexGuard<'_, T> {}

impl<T> Mutex<T> {
    /// Makes one, unlocked.
    ///
    /// # Examples
    ///
    /// See [`Mutex`].
    #[inline]
    pub const fn new(value: T) -> Self {
        Self { poison: Poison::new(), inner: nonpoison::Mutex::new(value) }
    }

    /// Returns the data.
    ///
    /// # Errors
    ///
    /// A [`PoisonError`](super::PoisonError) with the data: the lock is poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// assert_eq!(sedge::sync::Mutex::new(7).into_inner().unwrap(), 7);
    /// ```
    pub fn into_inner(self) -> LockResult<T> {
        let value = self.inner.into_inner();
        self.poison.wrap(value)
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Locks it, and waits until it can.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread. Who locks what it has locked already waits for
    /// ever.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits.
    ///
    /// # Errors
    ///
    /// A [`PoisonError`](super::PoisonError) with the guard: the lock is poisoned.
    ///
    /// # Examples
    ///
    /// See [`Mutex`].
    #[inline]
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        self.poison.wrap(self.guard(self.inner.lock()))
    }

    /// Locks it if nobody holds it.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Errors
    ///
    /// - [`TryLockError::WouldBlock`]: somebody holds it.
    /// - [`TryLockError::Poisoned`], with the guard: it is poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let mutex = sedge::sync::Mutex::new(1);
    /// let guard = mutex.try_lock().unwrap();
    /// assert!(mutex.try_lock().is_err());
    /// ```
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        note_end_of_unwind();
        self.try_wrap(self.inner.try_lock())
    }

    /// Locks it, and waits for `timeout` at most. A timeout that ends later than an [`Instant`] can
    /// tell has no end.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits.
    ///
    /// # Errors
    ///
    /// - [`TryLockError::WouldBlock`]: the time was over.
    /// - [`TryLockError::Poisoned`], with the guard: it is poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::time::Duration;
    ///
    /// let mutex = sedge::sync::Mutex::new(1);
    /// let guard = mutex.try_lock_for(Duration::from_millis(1)).unwrap();
    /// assert!(mutex.try_lock_for(Duration::from_millis(1)).is_err());
    /// ```
    pub fn try_lock_for(&self, timeout: Duration) -> TryLockResult<MutexGuard<'_, T>> {
        self.try_wrap(self.inner.try_lock_for(timeout))
    }

    /// The same, with a deadline.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits.
    ///
    /// # Errors
    ///
    /// As [`try_lock_for`](Self::try_lock_for).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::time::Instant;
    ///
    /// let mutex = sedge::sync::Mutex::new(1);
    /// let guard = mutex.try_lock_until(Instant::now()).expect("nobody has it");
    /// assert!(mutex.try_lock_until(Instant::now()).is_err());
    /// ```
    pub fn try_lock_until(&self, deadline: Instant) -> TryLockResult<MutexGuard<'_, T>> {
        self.try_wrap(self.inner.try_lock_until(deadline))
    }

    /// Returns a future that locks it, and stands in line with the tasks and threads meanwhile.
    ///
    /// # Blocking
    ///
    /// Nothing waits; the future is pending until it is its turn.
    ///
    /// # Cancellation
    ///
    /// The future is cancel safe: dropped, it leaves its place in line.
    ///
    /// # Errors
    ///
    /// The future returns what [`lock`](Self::lock) returns.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let mutex = sedge::sync::Mutex::new(1);
    /// sedge::task::block_on(async {
    ///     *mutex.lock_async().await.unwrap() += 1;
    /// });
    /// assert_eq!(mutex.into_inner().unwrap(), 2);
    /// ```
    pub fn lock_async(&self) -> LockFuture<'_, T> {
        LockFuture { mutex: self, inner: self.inner.lock_async() }
    }

    /// Returns whether the lock is poisoned, at this instant.
    ///
    /// # Examples
    ///
    /// See [`clear_poison`](Self::clear_poison).
    pub fn is_poisoned(&self) -> bool {
        self.poison.get()
    }

    /// Makes a poisoned lock a good one: its data are in order again.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::{Mutex, PoisonError};
    ///
    /// let mutex = Mutex::new(1);
    /// sedge::task::scope(|scope| {
    ///     let panicking = scope.spawn(|| {
    ///         let _guard = mutex.lock();
    ///         panic!("with the lock held");
    ///     });
    ///     assert!(panicking.join().is_err());
    /// });
    /// assert!(mutex.is_poisoned());
    /// *mutex.lock().unwrap_or_else(PoisonError::into_inner) = 2;
    /// mutex.clear_poison();
    /// assert_eq!(*mutex.lock().unwrap(), 2);
    /// ```
    pub fn clear_poison(&self) {
        self.poison.clear();
    }

    /// Returns the data: the borrow shows that nobody holds the lock.
    ///
    /// # Errors
    ///
    /// A [`PoisonError`](super::PoisonError) with the data: the lock is poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let mut mutex = sedge::sync::Mutex::new(1);
    /// *mutex.get_mut().unwrap() += 1;
    /// assert_eq!(mutex.into_inner().unwrap(), 2);
    /// ```
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        self.poison.wrap(self.inner.get_mut())
    }

    #[inline]
    fn guard<'a>(&'a self, inner: nonpoison::MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        MutexGuard { watch: self.poison.watch(), inner }
    }

    fn try_wrap<'a>(
        &'a self,
        inner: Option<nonpoison::MutexGuard<'a, T>>,
    ) -> TryLockResult<MutexGuard<'a, T>> {
        self.poison.try_wrap(inner.map(|inner| self.guard(inner)))
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self { poison: Poison::new(), inner: nonpoison::Mutex::default() }
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut mutex = f.debug_struct("Mutex");
        match self.try_lock() {
            Ok(guard) => mutex.field("data", &&*guard),
            Err(TryLockError::Poisoned(error)) => mutex.field("data", &&**error.get_ref()),
            Err(TryLockError::WouldBlock) => mutex.field("data", &format_args!("<locked>")),
        };
        mutex.field("poisoned", &self.poison.get()).finish_non_exhaustive()
    }
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// Calls `f` with the raw guard, and says with which poison it comes back.
    pub(super) fn with_inner<R>(
        mut guard: Self,
        f: impl FnOnce(&mut nonpoison::MutexGuard<'a, T>) -> R,
    ) -> LockResult<(Self, R)> {
        let result = f(&mut guard.inner);
        guard.watch.poison().wrap((guard, result))
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Locks a [`Mutex`]. Made by [`lock_async`](Mutex::lock_async).
///
/// # Examples
///
/// See [`lock_async`](Mutex::lock_async).
#[must_use = "futures do nothing unless they are polled"]
pub struct LockFuture<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    inner: nonpoison::LockFuture<'a, T>,
}

impl<'a, T: ?Sized> Future for LockFuture<'a, T> {
    type Output = LockResult<MutexGuard<'a, T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mutex = self.mutex;
        let inner = Pin::new(&mut self.inner).poll(cx);
        inner.map(|inner| mutex.poison.wrap(mutex.guard(inner)))
    }
}

impl<T: ?Sized> fmt::Debug for LockFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockFuture").finish_non_exhaustive()
    }
}
