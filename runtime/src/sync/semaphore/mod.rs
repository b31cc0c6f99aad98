//! A semaphore: permits that are acquired and given back.
//!
//! [`permits`] is the protocol; the rest is its faces: [`permit`] what is held, [`owned`] the calls
//! of an [`Arc`](std::sync::Arc).

mod error;
mod owned;
mod permit;
mod permits;

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

pub use error::{AcquireError, AcquireTimeoutError, TryAcquireError};
pub use permit::{OwnedSemaphorePermit, SemaphorePermit};

use crate::wait::{self, Limit};
use permits::Permits;

/// Counts permits, and has those wait who ask for more than there are.
///
/// As tokio's, for tasks, threads and futures. It bounds how many do something at a time: open
/// files, requests under way, jobs in memory. A permit is given back when it is dropped.
///
/// First come, first served. Who asks for many permits is handed them as they come, and those
/// behind wait meanwhile, even for one; where such a call ends early, it gives back what it had.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// use sedge::sync::Semaphore;
///
/// let (seats, inside) = (Semaphore::new(3), AtomicUsize::new(0));
/// sedge::scope(|s| {
///     for _ in 0..100 {
///         s.spawn(|| {
///             let _seat = seats.acquire().unwrap();
///             assert!(inside.fetch_add(1, Ordering::Relaxed) < 3);
///             sedge::task::yield_now();
///             inside.fetch_sub(1, Ordering::Relaxed);
///         });
///     }
/// });
/// assert_eq!(seats.available_permits(), 3);
/// ```
pub struct Semaphore {
    permits: Permits,
}

// None of the user's code runs in the middle of a change.
impl UnwindSafe for Semaphore {}
impl RefUnwindSafe for Semaphore {}

impl Semaphore {
    /// The most permits that a semaphore has: `usize::MAX >> 3`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::Semaphore;
    ///
    /// let semaphore = Semaphore::new(Semaphore::MAX_PERMITS);
    /// assert_eq!(semaphore.available_permits(), usize::MAX >> 3);
    /// ```
    pub const MAX_PERMITS: usize = Permits::MAX;

    /// Makes a semaphore with this many permits.
    ///
    /// # Panics
    ///
    /// If that is more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let semaphore = sedge::sync::Semaphore::new(2);
    /// assert_eq!(semaphore.available_permits(), 2);
    /// ```
    pub fn new(permits: usize) -> Self {
        Self { permits: Permits::new(permits) }
    }

    /// [`new`](Self::new), for a `static`.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new): at compile time, in a `static`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::Semaphore;
    ///
    /// static UPLOADS: Semaphore = Semaphore::const_new(16);
    ///
    /// let _upload = UPLOADS.acquire().unwrap();
    /// assert_eq!(UPLOADS.available_permits(), 15);
    /// ```
    #[cfg(not(sedge_loom))]
    pub const fn const_new(permits: usize) -> Self {
        Self { permits: Permits::new(permits) }
    }

    /// Returns how many permits are free at this instant.
    ///
    /// # Examples
    ///
    /// See [`new`](Self::new).
    pub fn available_permits(&self) -> usize {
        self.permits.free()
    }

    /// Adds `n` permits, which go to those who wait first.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Panics
    ///
    /// If more than [`MAX_PERMITS`](Self::MAX_PERMITS) would be free.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::Semaphore;
    ///
    /// let semaphore = Semaphore::new(0);
    /// sedge::scope(|s| {
    ///     let waiting = s.spawn(|| semaphore.acquire_many(2).unwrap().forget());
    ///     semaphore.add_permits(3);
    ///     waiting.join().unwrap();
    /// });
    /// assert_eq!(semaphore.available_permits(), 1);
    /// ```
    pub fn add_permits(&self, n: usize) {
        self.permits.add(n);
    }

    /// Takes up to `n` of the free permits away for good. Returns how many it took.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let semaphore = sedge::sync::Semaphore::new(3);
    /// assert_eq!(semaphore.forget_permits(2), 2);
    /// assert_eq!(semaphore.forget_permits(2), 1);
    /// assert_eq!(semaphore.available_permits(), 0);
    /// ```
    pub fn forget_permits(&self, n: usize) -> usize {
        self.permits.take_up_to(n)
    }

    /// Acquires one permit, and waits until there is one.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread, if there is no permit or others wait.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. No permit is lost.
    ///
    /// # Errors
    ///
    /// If the semaphore is [closed](Self::close), before or meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::Semaphore;
    ///
    /// # fn main() -> Result<(), sedge::sync::AcquireError> {
    /// let semaphore = Semaphore::new(1);
    /// let permit = semaphore.acquire()?;
    /// assert_eq!(semaphore.available_permits(), 0);
    /// drop(permit);
    /// assert_eq!(semaphore.available_permits(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.acquire_many(1)
    }

    /// Acquires `n` permits together, and waits until it has them.
    ///
    /// # Blocking
    ///
    /// As [`acquire`](Self::acquire). For no permits it does not wait.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. No permit is lost.
    ///
    /// # Errors
    ///
    /// If the semaphore is [closed](Self::close), before or meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::Semaphore;
    ///
    /// // A budget of 1 MiB, one permit for each KiB.
    /// let memory = Semaphore::new(1024);
    /// let buffer = memory.acquire_many(64).unwrap();
    /// assert_eq!((buffer.num_permits(), memory.available_permits()), (64, 960));
    /// ```
    #[inline]
    pub fn acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.wait_for(n)?;
        Ok(SemaphorePermit::new(self, n))
    }

    /// Acquires one permit if there is one and nobody waits.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Errors
    ///
    /// [`NoPermits`](TryAcquireError::NoPermits), or [`Closed`](TryAcquireError::Closed).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::{Semaphore, TryAcquireError};
    ///
    /// let semaphore = Semaphore::new(1);
    /// let permit = semaphore.try_acquire().unwrap();
    /// assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
    /// semaphore.close();
    /// assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
    /// # drop(permit);
    /// ```
    #[inline]
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Acquires `n` permits together if there are as many and nobody waits.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Errors
    ///
    /// [`NoPermits`](TryAcquireError::NoPermits), or [`Closed`](TryAcquireError::Closed).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let semaphore = sedge::sync::Semaphore::new(3);
    /// let two = semaphore.try_acquire_many(2).unwrap();
    /// assert!(semaphore.try_acquire_many(2).is_err());
    /// assert_eq!(two.num_permits() + semaphore.available_permits(), 3);
    /// ```
    #[inline]
    pub fn try_acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.permits.try_take(n)?;
        Ok(SemaphorePermit::new(self, n))
    }

    /// Acquires one permit, and waits for `timeout` at most.
    ///
    /// A timeout that ends later than an [`Instant`] can tell has no end.
    ///
    /// # Blocking
    ///
    /// As [`acquire`](Self::acquire). It looks for a permit before it looks at the time.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. No permit is lost.
    ///
    /// # Errors
    ///
    /// [`Timeout`](AcquireTimeoutError::Timeout), or [`Closed`](AcquireTimeoutError::Closed).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::time::Duration;
    ///
    /// use sedge::sync::{AcquireTimeoutError, Semaphore};
    ///
    /// let semaphore = Semaphore::new(1);
    /// let _permit = semaphore.acquire_timeout(Duration::ZERO).unwrap();
    /// let late = semaphore.acquire_timeout(Duration::from_millis(1));
    /// assert_eq!(late.unwrap_err(), AcquireTimeoutError::Timeout);
    /// ```
    pub fn acquire_timeout(
        &self,
        timeout: Duration,
    ) -> Result<SemaphorePermit<'_>, AcquireTimeoutError> {
        self.acquire_many_timeout(1, timeout)
    }

    /// [`acquire_timeout`](Self::acquire_timeout), for `n` permits together.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::time::Duration;
    ///
    /// let semaphore = sedge::sync::Semaphore::new(2);
    /// let moment = Duration::from_millis(1);
    /// assert!(semaphore.acquire_many_timeout(3, moment).is_err());
    /// assert!(semaphore.acquire_many_timeout(2, moment).is_ok(), "it gave back what it had");
    /// ```
    pub fn acquire_many_timeout(
        &self,
        n: u32,
        timeout: Duration,
    ) -> Result<SemaphorePermit<'_>, AcquireTimeoutError> {
        self.wait_within(n, Limit::After(timeout))?;
        Ok(SemaphorePermit::new(self, n))
    }

    /// [`acquire_timeout`](Self::acquire_timeout), until `deadline` at most.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::time::Instant;
    ///
    /// let semaphore = sedge::sync::Semaphore::new(1);
    /// let now = Instant::now();
    /// let _permit = semaphore.acquire_deadline(now).unwrap();
    /// assert!(semaphore.acquire_deadline(now).is_err());
    /// ```
    pub fn acquire_deadline(
        &self,
        deadline: Instant,
    ) -> Result<SemaphorePermit<'_>, AcquireTimeoutError> {
        self.acquire_many_deadline(1, deadline)
    }

    /// [`acquire_deadline`](Self::acquire_deadline), for `n` permits together.
    ///
    /// # Examples
    ///
    /// See [`acquire_many_timeout`](Self::acquire_many_timeout).
    pub fn acquire_many_deadline(
        &self,
        n: u32,
        deadline: Instant,
    ) -> Result<SemaphorePermit<'_>, AcquireTimeoutError> {
        self.wait_within(n, Limit::At(deadline))?;
        Ok(SemaphorePermit::new(self, n))
    }

    /// [`acquire`](Self::acquire), for a future, which is `Unpin` and does nothing until it is
    /// polled.
    ///
    /// # Cancellation
    ///
    /// Dropped, it leaves the line, and gives back what it was handed.
    ///
    /// # Errors
    ///
    /// If the semaphore is [closed](Self::close), before or meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::Semaphore;
    ///
    /// let semaphore = Semaphore::new(1);
    /// let permit = sedge::task::block_on(semaphore.acquire_async()).unwrap();
    /// assert!(semaphore.try_acquire().is_err());
    /// # drop(permit);
    /// ```
    pub fn acquire_async(&self) -> impl Future<Output = Result<SemaphorePermit<'_>, AcquireError>> {
        self.acquire_many_async(1)
    }

    /// [`acquire_many`](Self::acquire_many), for a future. As
    /// [`acquire_async`](Self::acquire_async) otherwise.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let semaphore = sedge::sync::Semaphore::new(2);
    /// let both = sedge::task::block_on(semaphore.acquire_many_async(2)).unwrap();
    /// assert_eq!(both.num_permits(), 2);
    /// ```
    pub fn acquire_many_async(
        &self,
        n: u32,
    ) -> impl Future<Output = Result<SemaphorePermit<'_>, AcquireError>> {
        let mut taking = self.permits.taking(n);
        std::future::poll_fn(move |cx| {
            std::pin::Pin::new(&mut taking).poll(cx).map(|taken| match taken {
                Ok(()) => Ok(SemaphorePermit::new(self, n)),
                Err(_) => Err(AcquireError(())),
            })
        })
    }

    /// Closes the semaphore: no more permits are acquired. Who waits for one is told, and who has
    /// one keeps it.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::Semaphore;
    ///
    /// let semaphore = Semaphore::new(0);
    /// sedge::scope(|s| {
    ///     let waiting = s.spawn(|| semaphore.acquire().is_err());
    ///     semaphore.close();
    ///     assert!(waiting.join().unwrap());
    /// });
    /// assert!(semaphore.is_closed());
    /// ```
    pub fn close(&self) {
        self.permits.close();
    }

    /// Returns whether the semaphore is closed.
    ///
    /// # Examples
    ///
    /// See [`close`](Self::close).
    pub fn is_closed(&self) -> bool {
        self.permits.is_closed()
    }

    #[inline]
    fn wait_for(&self, n: u32) -> Result<(), AcquireError> {
        wait::checkpoint();
        self.permits.take(n, &mut Limit::Never).map_err(|_| AcquireError(()))
    }

    fn wait_within(&self, n: u32, mut limit: Limit) -> Result<(), AcquireTimeoutError> {
        wait::checkpoint();
        self.permits.take(n, &mut limit)
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("available_permits", &self.available_permits())
            .field("closed", &self.is_closed())
            .finish()
    }
}
