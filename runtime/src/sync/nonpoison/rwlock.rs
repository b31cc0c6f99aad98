//! The reader-writer lock without poisoning.
#![expect(unsafe_code, reason = "guards are made where the raw lock is held")]

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::sync::raw_rwlock::{Access, RawAccess, RawRwLock};
use crate::wait::Limit;

/// Holds a [`RwLock`] for reading, and lets go of it when it is dropped. It is `Send`: see
/// [`RawRwLock`].
///
/// # Examples
///
/// See [`RwLock`].
pub type RwLockReadGuard<'a, T> = lock_api::RwLockReadGuard<'a, RawRwLock, T>;

/// Holds a [`RwLock`] for writing, and lets go of it when it is dropped.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::sync::nonpoison::{RwLock, RwLockWriteGuard};
///
/// let lock = RwLock::new(1);
/// let mut writing = lock.write();
/// *writing += 1;
/// let reading = RwLockWriteGuard::downgrade(writing);
/// assert_eq!(*reading + *lock.read(), 4);
/// ```
pub type RwLockWriteGuard<'a, T> = lock_api::RwLockWriteGuard<'a, RawRwLock, T>;

/// Holds a [`RwLock`] for reading, beside readers, with the right to be the next to write.
///
/// # Examples
///
/// See [`RwLock::upgradable_read`].
pub type RwLockUpgradableReadGuard<'a, T> = lock_api::RwLockUpgradableReadGuard<'a, RawRwLock, T>;

/// A [`RwLockReadGuard`] of a part of the data.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::sync::nonpoison::{RwLock, RwLockReadGuard};
///
/// let pair = RwLock::new((1, 2));
/// let left = RwLockReadGuard::map(pair.read(), |pair| &pair.0);
/// assert_eq!(*left, 1);
/// ```
pub type MappedRwLockReadGuard<'a, T> = lock_api::MappedRwLockReadGuard<'a, RawRwLock, T>;

/// A [`RwLockWriteGuard`] of a part of the data.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::sync::nonpoison::{RwLock, RwLockWriteGuard};
///
/// let pair = RwLock::new((1, 2));
/// *RwLockWriteGuard::map(pair.write(), |pair| &mut pair.0) += 10;
/// assert_eq!(*pair.read(), (11, 2));
/// ```
pub type MappedRwLockWriteGuard<'a, T> = lock_api::MappedRwLockWriteGuard<'a, RawRwLock, T>;

/// A lock that many may read under, or one write, and that a panic does not poison.
///
/// As parking_lot's. First come, first served: a writer in line keeps new readers out, and readers
/// in line go in together. So who reads already and reads again while a writer waits would wait for
/// itself, unless it does so by [`read_recursive`](Self::read_recursive).
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::sync::nonpoison::RwLock;
///
/// static NAMES: RwLock<Vec<&str>> = RwLock::new(Vec::new());
///
/// sedge::run(|| {
///     let other = sedge::spawn(|| NAMES.write().push("other"));
///     NAMES.write().push("root");
///     other.join().unwrap();
///     let (one, another) = (NAMES.read(), NAMES.read_recursive());
///     assert_eq!(one.len() + another.len(), 4);
/// });
/// ```
pub struct RwLock<T: ?Sized>(lock_api::RwLock<RawRwLock, T>);

impl<T> RwLock<T> {
    /// Makes one, unlocked.
    ///
    /// # Examples
    ///
    /// See [`RwLock`].
    #[inline]
    pub const fn new(value: T) -> Self {
        Self(lock_api::RwLock::new(value))
    }

    /// Returns the data.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// assert_eq!(sedge::sync::nonpoison::RwLock::new(7).into_inner(), 7);
    /// ```
    pub fn into_inner(self) -> T {
        self.0.into_inner()
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
    /// # Examples
    ///
    /// See [`RwLock`].
    #[inline]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.raw().lock_or_end(Access::Read);
        // SAFETY: it has just been locked, for this guard.
        unsafe { self.0.make_read_guard_unchecked() }
    }

    /// Locks it for reading if nobody writes or waits.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let lock = sedge::sync::nonpoison::RwLock::new(1);
    /// let reading = lock.try_read().unwrap();
    /// assert!(lock.try_read().is_some() && lock.try_write().is_none());
    /// drop(reading);
    /// assert!(lock.try_write().is_some());
    /// ```
    #[inline]
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        self.0.try_read()
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
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::time::Duration;
    ///
    /// let lock = sedge::sync::nonpoison::RwLock::new(1);
    /// let guard = lock.try_read_for(Duration::from_millis(1)).expect("nobody has it");
    /// assert!(lock.try_write_for(Duration::from_millis(1)).is_none());
    /// ```
    pub fn try_read_for(&self, timeout: Duration) -> Option<RwLockReadGuard<'_, T>> {
        // SAFETY: it was locked, for this guard.
        let guard = || unsafe { self.0.make_read_guard_unchecked() };
        self.raw().lock_within(Access::Read, Limit::After(timeout)).then(guard)
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
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::time::Instant;
    ///
    /// let lock = sedge::sync::nonpoison::RwLock::new(1);
    /// let guard = lock.try_read_until(Instant::now()).expect("nobody has it");
    /// assert!(lock.try_write_until(Instant::now()).is_none());
    /// ```
    pub fn try_read_until(&self, deadline: Instant) -> Option<RwLockReadGuard<'_, T>> {
        // SAFETY: it was locked, for this guard.
        let guard = || unsafe { self.0.make_read_guard_unchecked() };
        self.raw().lock_within(Access::Read, Limit::At(deadline)).then(guard)
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
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::nonpoison::RwLock;
    ///
    /// let lock = RwLock::new(1);
    /// sedge::task::block_on(async {
    ///     *lock.write_async().await += 1;
    ///     assert_eq!(*lock.read_async().await, 2);
    /// });
    /// ```
    pub fn read_async(&self) -> ReadFuture<'_, T> {
        ReadFuture { lock: self, raw: RawAccess::new(self.raw(), Access::Read) }
    }

    /// Locks it for reading, past those in line: for who may read already.
    ///
    /// Where that happens again and again, those in line wait for good.
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
    /// See [`RwLock`].
    #[inline]
    pub fn read_recursive(&self) -> RwLockReadGuard<'_, T> {
        self.raw().lock_or_end(Access::ReadRecursively);
        // SAFETY: it has just been locked, for this guard.
        unsafe { self.0.make_read_guard_unchecked() }
    }

    /// Locks it for reading if nobody writes.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Examples
    ///
    /// See [`try_read`](Self::try_read).
    #[inline]
    pub fn try_read_recursive(&self) -> Option<RwLockReadGuard<'_, T>> {
        self.0.try_read_recursive()
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
    /// # Examples
    ///
    /// See [`RwLock`].
    #[inline]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.raw().lock_or_end(Access::Write);
        // SAFETY: it has just been locked, for this guard.
        unsafe { self.0.make_write_guard_unchecked() }
    }

    /// Locks it for writing if nobody has it or waits.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Examples
    ///
    /// See [`try_read`](Self::try_read).
    #[inline]
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        self.0.try_write()
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
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::time::Duration;
    ///
    /// let lock = sedge::sync::nonpoison::RwLock::new(1);
    /// let guard = lock.try_write_for(Duration::from_millis(1)).expect("nobody has it");
    /// assert!(lock.try_write_for(Duration::from_millis(1)).is_none());
    /// ```
    pub fn try_write_for(&self, timeout: Duration) -> Option<RwLockWriteGuard<'_, T>> {
        // SAFETY: it was locked, for this guard.
        let guard = || unsafe { self.0.make_write_guard_unchecked() };
        self.raw().lock_within(Access::Write, Limit::After(timeout)).then(guard)
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
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::time::Instant;
    ///
    /// let lock = sedge::sync::nonpoison::RwLock::new(1);
    /// let guard = lock.try_write_until(Instant::now()).expect("nobody has it");
    /// assert!(lock.try_write_until(Instant::now()).is_none());
    /// ```
    pub fn try_write_until(&self, deadline: Instant) -> Option<RwLockWriteGuard<'_, T>> {
        // SAFETY: it was locked, for this guard.
        let guard = || unsafe { self.0.make_write_guard_unchecked() };
        self.raw().lock_within(Access::Write, Limit::At(deadline)).then(guard)
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
    /// # Examples
    ///
    /// See [`read_async`](Self::read_async).
    pub fn write_async(&self) -> WriteFuture<'_, T> {
        WriteFuture { lock: self, raw: RawAccess::new(self.raw(), Access::Write) }
    }

    /// Locks it for reading, with the right to be the next to write. Others may read, and nobody
    /// else may have that right.
    ///
    /// What upgrades the guard waits for the readers to end, as in a
    /// [`shield`](crate::task::shield), and new ones wait for it.
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
    /// use sedge::sync::nonpoison::{RwLock, RwLockUpgradableReadGuard};
    ///
    /// let lock = RwLock::new(1);
    /// let reading = lock.upgradable_read();
    /// assert_eq!(*reading + *lock.read(), 2);
    /// *RwLockUpgradableReadGuard::upgrade(reading) = 2;
    /// assert_eq!(*lock.read(), 2);
    /// ```
    #[inline]
    pub fn upgradable_read(&self) -> RwLockUpgradableReadGuard<'_, T> {
        self.raw().lock_or_end(Access::Upgradable);
        // SAFETY: it has just been locked, for this guard.
        unsafe { self.0.make_upgradable_guard_unchecked() }
    }

    /// The same, if nobody writes, has that right or waits.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let lock = sedge::sync::nonpoison::RwLock::new(1);
    /// let reading = lock.try_upgradable_read().unwrap();
    /// assert!(lock.try_read().is_some() && lock.try_upgradable_read().is_none());
    /// ```
    #[inline]
    pub fn try_upgradable_read(&self) -> Option<RwLockUpgradableReadGuard<'_, T>> {
        self.0.try_upgradable_read()
    }

    /// Returns the data: the borrow shows that nobody holds the lock.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let mut lock = sedge::sync::nonpoison::RwLock::new(1);
    /// *lock.get_mut() += 1;
    /// assert_eq!(lock.into_inner(), 2);
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }

    /// Returns whether somebody holds it, at this instant.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let lock = sedge::sync::nonpoison::RwLock::new(1);
    /// let reading = lock.read();
    /// assert!(lock.is_locked() && !lock.is_locked_exclusive());
    /// ```
    pub fn is_locked(&self) -> bool {
        self.0.is_locked()
    }

    /// Returns whether somebody holds it for writing, at this instant.
    ///
    /// # Examples
    ///
    /// See [`is_locked`](Self::is_locked).
    pub fn is_locked_exclusive(&self) -> bool {
        self.0.is_locked_exclusive()
    }

    #[inline]
    fn raw(&self) -> &RawRwLock {
        // SAFETY: it is unlocked by guards alone.
        unsafe { self.0.raw() }
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self(lock_api::RwLock::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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
    raw: RawAccess<'a>,
}

impl<'a, T: ?Sized> Future for ReadFuture<'a, T> {
    type Output = RwLockReadGuard<'a, T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(self.raw.poll(cx));
        // SAFETY: it was locked, for this guard.
        Poll::Ready(unsafe { self.lock.0.make_read_guard_unchecked() })
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
    raw: RawAccess<'a>,
}

impl<'a, T: ?Sized> Future for WriteFuture<'a, T> {
    type Output = RwLockWriteGuard<'a, T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(self.raw.poll(cx));
        // SAFETY: it was locked, for this guard.
        Poll::Ready(unsafe { self.lock.0.make_write_guard_unchecked() })
    }
}

impl<T: ?Sized> fmt::Debug for WriteFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteFuture").finish_non_exhaustive()
    }
}
