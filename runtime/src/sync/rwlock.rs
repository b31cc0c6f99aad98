//! The reader-writer lock, with std's methods.

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

/// A lock that many may read under, or one write, as [`std::sync::RwLock`]: what panics while it
/// writes poisons it.
///
/// What is cancelled while it writes, or ended by a timeout or a token, does not poison it: see
/// [`Mutex`](super::Mutex).
///
/// First come, first served: a writer in line keeps new readers out, and readers in line go in
/// together. So who reads already and reads again while a writer waits would wait for itself.
/// Guards may be held across any wait, and are `Send`. [`nonpoison::RwLock`] does without
/// poisoning, and has upgrades.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::sync::RwLock;
///
/// static NAMES: RwLock<Vec<&str>> = RwLock::new(Vec::new());
///
/// sedge::run(|| {
///     let other = sedge::spawn(|| NAMES.write().unwrap().push("other"));
///     NAMES.write().unwrap().push("root");
///     other.join().unwrap();
///     assert_eq!(NAMES.read().unwrap().len(), 2);
/// });
/// ```
pub struct RwLock<T: ?Sized> {
    poison: Poison,
    inner: nonpoison::RwLock<T>,
}

// A panic that leaves the data half changed is told of by the poison.
impl<T: ?Sized> UnwindSafe for RwLock<T> {}
impl<T: ?Sized> RefUnwindSafe for RwLock<T> {}

/// Holds a [`RwLock`] for reading, and lets go of it when it is dropped.
///
/// # Examples
///
/// See [`RwLock`].
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockReadGuard<'a, T: ?Sized>(nonpoison::RwLockReadGuard<'a, T>);

impl<T: ?Sized> UnwindSafe for RwLockReadGuard<'_, T> {}
impl<T: ?Sized> RefUnwindSafe for RwLockReadGuard<'_, T> {}

/// Holds a [`RwLock`] for writing, and lets go of it when it is dropped.
///
/// # Examples
///
/// See [`RwLock`].
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    // In this order they are dropped: it may be poisoned, then it is unlocked.
    watch: Watch<'a>,
    inner: nonpoison::RwLockWriteGuard<'a, T>,
}

impl<T: ?Sized> UnwindSafe for RwLockWriteGuard<'_, T> {}
impl<T: ?Sized> RefUnwindSafe for RwLockWriteGuard<'_, T> {}

impl<T> RwLock<T> {
    /// Makes one, unlocked.
    ///
    /// # Examples
    ///
    /// See [`RwLock`].
    #[inline]
    pub const fn new(value: T) -> Self {
        Self { poison: Poison::new(), inner: nonpoison::RwLock::new(value) }
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
    /// assert_eq!(sedge::sync::RwLock::new(7).into_inner().unwrap(), 7);
    /// ```
    pub fn into_inner(self) -> LockResult<T> {
        let value = self.inner.into_inner();
        self.poison.wrap(value)
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Locks it for reading, and waits until it can.
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
    /// A [`PoisonError`](super::PoisonError) with the guard: the lock is poisoned.
    ///
    /// # Examples
    ///
    /// See [`RwLock`].
    #[inline]
    pub fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        self.poison.wrap(RwLockReadGuard(self.inner.read()))
    }

    /// Locks it for reading if nobody writes or waits.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Errors
    ///
    /// - [`TryLockError::WouldBlock`]: somebody writes, or waits.
    /// - [`TryLockError::Poisoned`], with the guard: it is poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let lock = sedge::sync::RwLock::new(1);
    /// let reading = lock.try_read().unwrap();
    /// assert!(lock.try_read().is_ok() && lock.try_write().is_err());
    /// ```
    pub fn try_read(&self) -> TryLockResult<RwLockReadGuard<'_, T>> {
        note_end_of_unwind();
        self.poison.try_wrap(self.inner.try_read().map(RwLockReadGuard))
    }

    /// Locks it for reading, and waits for `timeout` at most. A timeout that ends later than an
    /// [`Instant`] can tell has no end.
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
    /// let lock = sedge::sync::RwLock::new(1);
    /// let guard = lock.try_read_for(Duration::from_millis(1)).expect("nobody has it");
    /// assert!(lock.try_write_for(Duration::from_millis(1)).is_err());
    /// ```
    pub fn try_read_for(&self, timeout: Duration) -> TryLockResult<RwLockReadGuard<'_, T>> {
        self.poison.try_wrap(self.inner.try_read_for(timeout).map(RwLockReadGuard))
    }

    /// Locks it for reading, and waits until `deadline` at most.
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
    /// use std::time::Instant;
    ///
    /// let lock = sedge::sync::RwLock::new(1);
    /// let guard = lock.try_read_until(Instant::now()).expect("nobody has it");
    /// assert!(lock.try_write_until(Instant::now()).is_err());
    /// ```
    pub fn try_read_until(&self, deadline: Instant) -> TryLockResult<RwLockReadGuard<'_, T>> {
        self.poison.try_wrap(self.inner.try_read_until(deadline).map(RwLockReadGuard))
    }

    /// Returns a future that locks it for reading, and stands in line meanwhile.
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
    /// The future returns what [`read`](Self::read) returns.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::RwLock;
    ///
    /// let lock = RwLock::new(1);
    /// sedge::task::block_on(async {
    ///     *lock.write_async().await.unwrap() += 1;
    ///     assert_eq!(*lock.read_async().await.unwrap(), 2);
    /// });
    /// ```
    pub fn read_async(&self) -> ReadFuture<'_, T> {
        ReadFuture { lock: self, inner: self.inner.read_async() }
    }

    /// Locks it for writing, and waits until it can.
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
    /// A [`PoisonError`](super::PoisonError) with the guard: the lock is poisoned.
    ///
    /// # Examples
    ///
    /// See [`RwLock`].
    #[inline]
    pub fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        self.poison.wrap(self.writing(self.inner.write()))
    }

    /// Locks it for writing if nobody has it or waits.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Errors
    ///
    /// - [`TryLockError::WouldBlock`]: somebody has it, or waits.
    /// - [`TryLockError::Poisoned`], with the guard: it is poisoned.
    ///
    /// # Examples
    ///
    /// See [`try_read`](Self::try_read).
    pub fn try_write(&self) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        note_end_of_unwind();
        self.poison.try_wrap(self.inner.try_write().map(|inner| self.writing(inner)))
    }

    /// Locks it for writing, and waits for `timeout` at most. A timeout that ends later than an
    /// [`Instant`] can tell has no end.
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
    /// let lock = sedge::sync::RwLock::new(1);
    /// let guard = lock.try_write_for(Duration::from_millis(1)).expect("nobody has it");
    /// assert!(lock.try_write_for(Duration::from_millis(1)).is_err());
    /// ```
    pub fn try_write_for(&self, timeout: Duration) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        self.poison.try_wrap(self.inner.try_write_for(timeout).map(|inner| self.writing(inner)))
    }

    /// Locks it for writing, and waits until `deadline` at most.
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
    /// use std::time::Instant;
    ///
    /// let lock = sedge::sync::RwLock::new(1);
    /// let guard = lock.try_write_until(Instant::now()).expect("nobody has it");
    /// assert!(lock.try_write_until(Instant::now()).is_err());
    /// ```
    pub fn try_write_until(&self, deadline: Instant) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        self.poison.try_wrap(self.inner.try_write_until(deadline).map(|inner| self.writing(inner)))
    }

    /// Returns a future that locks it for writing, and stands in line meanwhile.
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
    /// The future returns what [`write`](Self::write) returns.
    ///
    /// # Examples
    ///
    /// See [`read_async`](Self::read_async).
    pub fn write_async(&self) -> WriteFuture<'_, T> {
        WriteFuture { lock: self, inner: self.inner.write_async() }
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
    /// use sedge::sync::RwLock;
    ///
    /// let lock = RwLock::new(1);
    /// sedge::task::scope(|scope| {
    ///     let panicking = scope.spawn(|| {
    ///         let _guard = lock.write();
    ///         panic!("while it writes");
    ///     });
    ///     assert!(panicking.join().is_err());
    /// });
    /// assert!(lock.is_poisoned() && lock.read().is_err());
    /// lock.clear_poison();
    /// assert_eq!(*lock.read().unwrap(), 1);
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
    /// let mut lock = sedge::sync::RwLock::new(1);
    /// *lock.get_mut().unwrap() += 1;
    /// assert_eq!(lock.into_inner().unwrap(), 2);
    /// ```
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        self.poison.wrap(self.inner.get_mut())
    }

    #[inline]
    fn writing<'a>(&'a self, inner: nonpoison::RwLockWriteGuard<'a, T>) -> RwLockWriteGuard<'a, T> {
        RwLockWriteGuard { watch: self.poison.watch(), inner }
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lock = f.debug_struct("RwLock");
        match self.try_read() {
            Ok(guard) => lock.field("data", &&*guard),
            Err(TryLockError::Poisoned(error)) => lock.field("data", &&**error.get_ref()),
            Err(TryLockError::WouldBlock) => lock.field("data", &format_args!("<locked>")),
        };
        lock.field("poisoned", &self.poison.get()).finish_non_exhaustive()
    }
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Goes on with reading: nobody writes in between.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::{RwLock, RwLockWriteGuard};
    ///
    /// let lock = RwLock::new(1);
    /// let mut writing = lock.write().unwrap();
    /// *writing += 1;
    /// let reading = RwLockWriteGuard::downgrade(writing);
    /// assert_eq!(*reading + *lock.read().unwrap(), 4);
    /// ```
    pub fn downgrade(guard: Self) -> RwLockReadGuard<'a, T> {
        let Self { watch, inner } = guard;
        drop(watch);
        RwLockReadGuard(nonpoison::RwLockWriteGuard::downgrade(inner))
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Locks a [`RwLock`] for reading. Made by [`read_async`](RwLock::read_async).
///
/// # Examples
///
/// See [`read_async`](RwLock::read_async).
#[must_use = "futures do nothing unless they are polled"]
pub struct ReadFuture<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    inner: nonpoison::ReadFuture<'a, T>,
}

impl<'a, T: ?Sized> Future for ReadFuture<'a, T> {
    type Output = LockResult<RwLockReadGuard<'a, T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let lock = self.lock;
        let inner = Pin::new(&mut self.inner).poll(cx);
        inner.map(|inner| lock.poison.wrap(RwLockReadGuard(inner)))
    }
}

impl<T: ?Sized> fmt::Debug for ReadFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadFuture").finish_non_exhaustive()
    }
}

/// Locks a [`RwLock`] for writing. Made by [`write_async`](RwLock::write_async).
///
/// # Examples
///
/// See [`read_async`](RwLock::read_async).
#[must_use = "futures do nothing unless they are polled"]
pub struct WriteFuture<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    inner: nonpoison::WriteFuture<'a, T>,
}

impl<'a, T: ?Sized> Future for WriteFuture<'a, T> {
    type Output = LockResult<RwLockWriteGuard<'a, T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let lock = self.lock;
        let inner = Pin::new(&mut self.inner).poll(cx);
        inner.map(|inner| lock.poison.wrap(lock.writing(inner)))
    }
}

impl<T: ?Sized> fmt::Debug for WriteFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteFuture").finish_non_exhaustive()
    }
}
