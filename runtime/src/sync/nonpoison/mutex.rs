//! The mutex without poisoning.
#![expect(unsafe_code, reason = "the guard is made where the raw lock is held")]

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::sync::raw_mutex::{RawLock, RawMutex};
use crate::wait::Limit;

/// Holds a [`Mutex`] locked, and lets go of it when it is dropped. It is `Send`: see [`RawMutex`].
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::sync::nonpoison::{Mutex, MutexGuard};
///
/// let pair = Mutex::new((1, 2));
/// let mut left = MutexGuard::map(pair.lock(), |pair| &mut pair.0);
/// *left += 10;
/// drop(left);
/// assert_eq!(*pair.lock(), (11, 2));
/// ```
pub type MutexGuard<'a, T> = lock_api::MutexGuard<'a, RawMutex, T>;

/// A [`MutexGuard`] of a part of the data.
///
/// # Examples
///
/// See [`MutexGuard`].
pub type MappedMutexGuard<'a, T> = lock_api::MappedMutexGuard<'a, RawMutex, T>;

/// A mutual exclusion lock, which a panic does not poison.
///
/// As parking_lot's. Whoever comes while it is unlocked may lock it, but a waiter loses that race
/// once at most, and is handed the lock next time.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::sync::nonpoison::Mutex;
///
/// static COUNT: Mutex<u32> = Mutex::new(0);
///
/// sedge::task::scope(|scope| {
///     for _ in 0..10 {
///         scope.spawn(|| *COUNT.lock() += 1);
///     }
/// });
/// assert_eq!(*COUNT.lock(), 10);
/// ```
pub struct Mutex<T: ?Sized>(lock_api::Mutex<RawMutex, T>);

impl<T> Mutex<T> {
    /// Makes one, unlocked.
    ///
    /// # Examples
    ///
    /// See [`Mutex`].
    #[inline]
    pub const fn new(value: T) -> Self {
        Self(lock_api::Mutex::new(value))
    }

    /// Returns the data.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// assert_eq!(sedge::sync::nonpoison::Mutex::new(7).into_inner(), 7);
    /// ```
    pub fn into_inner(self) -> T {
        self.0.into_inner()
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
    /// # Examples
    ///
    /// See [`Mutex`].
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.raw().lock_or_end();
        // SAFETY: it has just been locked, for this guard.
        unsafe { self.0.make_guard_unchecked() }
    }

    /// Locks it if nobody holds it.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let mutex = sedge::sync::nonpoison::Mutex::new(1);
    /// let guard = mutex.try_lock().unwrap();
    /// assert!(mutex.try_lock().is_none() && mutex.is_locked());
    /// drop(guard);
    /// assert!(mutex.try_lock().is_some() && !mutex.is_locked());
    /// ```
    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock()
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
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::time::Duration;
    ///
    /// let mutex = sedge::sync::nonpoison::Mutex::new(1);
    /// let guard = mutex.try_lock_for(Duration::from_millis(1)).unwrap();
    /// assert!(mutex.try_lock_for(Duration::from_millis(1)).is_none());
    /// ```
    pub fn try_lock_for(&self, timeout: Duration) -> Option<MutexGuard<'_, T>> {
        self.lock_within(Limit::After(timeout))
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
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::time::Instant;
    ///
    /// let mutex = sedge::sync::nonpoison::Mutex::new(1);
    /// let guard = mutex.try_lock_until(Instant::now()).expect("nobody has it");
    /// assert!(mutex.try_lock_until(Instant::now()).is_none());
    /// ```
    pub fn try_lock_until(&self, deadline: Instant) -> Option<MutexGuard<'_, T>> {
        self.lock_within(Limit::At(deadline))
    }

    fn lock_within(&self, limit: Limit) -> Option<MutexGuard<'_, T>> {
        // SAFETY: it was locked, for this guard.
        self.raw().lock_within(limit).then(|| unsafe { self.0.make_guard_unchecked() })
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
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::nonpoison::Mutex;
    ///
    /// let mutex = Mutex::new(1);
    /// sedge::task::block_on(async {
    ///     *mutex.lock_async().await += 1;
    /// });
    /// assert_eq!(mutex.into_inner(), 2);
    /// ```
    pub fn lock_async(&self) -> LockFuture<'_, T> {
        LockFuture { mutex: self, raw: RawLock::new(self.raw()) }
    }

    /// Returns the data: the borrow shows that nobody holds the lock.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let mut mutex = sedge::sync::nonpoison::Mutex::new(1);
    /// *mutex.get_mut() += 1;
    /// assert_eq!(mutex.into_inner(), 2);
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }

    /// Returns whether somebody holds it, at this instant.
    ///
    /// # Examples
    ///
    /// See [`try_lock`](Self::try_lock).
    pub fn is_locked(&self) -> bool {
        self.0.is_locked()
    }

    #[inline]
    fn raw(&self) -> &RawMutex {
        // SAFETY: it is unlocked by guards alone.
        unsafe { self.0.raw() }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self(lock_api::Mutex::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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
    raw: RawLock<'a>,
}

impl<'a, T: ?Sized> Future for LockFuture<'a, T> {
    type Output = MutexGuard<'a, T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<MutexGuard<'a, T>> {
        ready!(self.raw.poll(cx));
        // SAFETY: it was locked, for this guard.
        Poll::Ready(unsafe { self.mutex.0.make_guard_unchecked() })
    }
}

impl<T: ?Sized> fmt::Debug for LockFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockFuture").finish_non_exhaustive()
    }
}
