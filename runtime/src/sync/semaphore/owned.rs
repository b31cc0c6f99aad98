//! The calls that return a permit of its own, which keeps the semaphore.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{AcquireError, AcquireTimeoutError, OwnedSemaphorePermit, Semaphore, TryAcquireError};
use crate::wait::Limit;

/// # Permits that keep their semaphore
impl Semaphore {
    /// [`acquire`](Self::acquire), for a permit that keeps the semaphore, so that it can be moved
    /// into a task.
    ///
    /// Blocking, cancellation and errors are those of [`acquire`](Self::acquire); so it is with
    /// each of the others.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::sync::Arc;
    ///
    /// use sedge::sync::Semaphore;
    ///
    /// sedge::run(|| {
    ///     let seats = Arc::new(Semaphore::new(2));
    ///     for _ in 0..10 {
    ///         // Accepts the next only when there is a seat for it.
    ///         let seat = seats.clone().acquire_owned().unwrap();
    ///         sedge::spawn(move || {
    ///             sedge::task::yield_now();
    ///             drop(seat);
    ///         });
    ///     }
    ///     // Until all of them are back.
    ///     let _all = seats.acquire_many(2).unwrap();
    /// });
    /// ```
    #[inline]
    pub fn acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.acquire_many_owned(1)
    }

    /// [`acquire_many`](Self::acquire_many), for a permit that keeps the semaphore.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::sync::Arc;
    ///
    /// use sedge::sync::Semaphore;
    ///
    /// let semaphore = Arc::new(Semaphore::new(5));
    /// let permit = semaphore.clone().acquire_many_owned(3).unwrap();
    /// assert_eq!(semaphore.available_permits(), 2);
    /// # drop(permit);
    /// ```
    pub fn acquire_many_owned(
        self: Arc<Self>,
        n: u32,
    ) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.wait_for(n)?;
        Ok(OwnedSemaphorePermit::new(self, n))
    }

    /// [`try_acquire`](Self::try_acquire), for a permit that keeps the semaphore.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::sync::Arc;
    ///
    /// use sedge::sync::Semaphore;
    ///
    /// let semaphore = Arc::new(Semaphore::new(1));
    /// let permit = semaphore.clone().try_acquire_owned().unwrap();
    /// assert!(semaphore.try_acquire_owned().is_err());
    /// # drop(permit);
    /// ```
    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.try_acquire_many_owned(1)
    }

    /// [`try_acquire_many`](Self::try_acquire_many), for a permit that keeps the semaphore.
    ///
    /// # Examples
    ///
    /// See [`try_acquire_owned`](Self::try_acquire_owned).
    pub fn try_acquire_many_owned(
        self: Arc<Self>,
        n: u32,
    ) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.permits.try_take(n)?;
        Ok(OwnedSemaphorePermit::new(self, n))
    }

    /// [`acquire_timeout`](Self::acquire_timeout), for a permit that keeps the semaphore.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// use sedge::sync::Semaphore;
    ///
    /// let semaphore = Arc::new(Semaphore::new(1));
    /// let moment = Duration::from_millis(1);
    /// let permit = semaphore.clone().acquire_owned_timeout(moment).unwrap();
    /// assert!(semaphore.acquire_owned_timeout(moment).is_err());
    /// # drop(permit);
    /// ```
    pub fn acquire_owned_timeout(
        self: Arc<Self>,
        timeout: Duration,
    ) -> Result<OwnedSemaphorePermit, AcquireTimeoutError> {
        self.acquire_many_owned_timeout(1, timeout)
    }

    /// [`acquire_many_timeout`](Self::acquire_many_timeout), for a permit that keeps the semaphore.
    ///
    /// # Examples
    ///
    /// See [`acquire_owned_timeout`](Self::acquire_owned_timeout).
    pub fn acquire_many_owned_timeout(
        self: Arc<Self>,
        n: u32,
        timeout: Duration,
    ) -> Result<OwnedSemaphorePermit, AcquireTimeoutError> {
        self.wait_within(n, Limit::After(timeout))?;
        Ok(OwnedSemaphorePermit::new(self, n))
    }

    /// [`acquire_deadline`](Self::acquire_deadline), for a permit that keeps the semaphore.
    ///
    /// # Examples
    ///
    /// See [`acquire_deadline`](Self::acquire_deadline).
    pub fn acquire_owned_deadline(
        self: Arc<Self>,
        deadline: Instant,
    ) -> Result<OwnedSemaphorePermit, AcquireTimeoutError> {
        self.acquire_many_owned_deadline(1, deadline)
    }

    /// [`acquire_many_deadline`](Self::acquire_many_deadline), for a permit that keeps the
    /// semaphore.
    ///
    /// # Examples
    ///
    /// See [`acquire_deadline`](Self::acquire_deadline).
    pub fn acquire_many_owned_deadline(
        self: Arc<Self>,
        n: u32,
        deadline: Instant,
    ) -> Result<OwnedSemaphorePermit, AcquireTimeoutError> {
        self.wait_within(n, Limit::At(deadline))?;
        Ok(OwnedSemaphorePermit::new(self, n))
    }

    /// [`acquire_async`](Self::acquire_async), for a permit that keeps the semaphore. It is not
    /// `Unpin`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::sync::Arc;
    ///
    /// use sedge::sync::Semaphore;
    ///
    /// let semaphore = Arc::new(Semaphore::new(1));
    /// let permit = sedge::task::block_on(semaphore.clone().acquire_owned_async()).unwrap();
    /// assert_eq!(semaphore.available_permits(), 0);
    /// # drop(permit);
    /// ```
    pub async fn acquire_owned_async(
        self: Arc<Self>,
    ) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.acquire_many_owned_async(1).await
    }

    /// [`acquire_many_async`](Self::acquire_many_async), for a permit that keeps the semaphore. It
    /// is not `Unpin`.
    ///
    /// # Examples
    ///
    /// See [`acquire_owned_async`](Self::acquire_owned_async).
    pub async fn acquire_many_owned_async(
        self: Arc<Self>,
        n: u32,
    ) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.permits.taking(n).await.map_err(|_| AcquireError(()))?;
        Ok(OwnedSemaphorePermit::new(self, n))
    }
}
