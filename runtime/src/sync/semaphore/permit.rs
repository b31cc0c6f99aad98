//! What is held of a semaphore, and given back when it is dropped.

use std::sync::Arc;
use std::{mem, ptr};

use super::Semaphore;

/// Permits of a [`Semaphore`], given back when this is dropped.
///
/// # Examples
///
/// See [`Semaphore::acquire`].
#[derive(Debug)]
#[must_use = "dropping it gives its permits back"]
pub struct SemaphorePermit<'a> {
    semaphore: &'a Semaphore,
    permits: u32,
}

/// Permits of a [`Semaphore`], which it keeps, given back when this is dropped.
///
/// # Examples
///
/// See [`Semaphore::acquire_owned`].
#[derive(Debug)]
#[must_use = "dropping it gives its permits back"]
pub struct OwnedSemaphorePermit {
    semaphore: Arc<Semaphore>,
    permits: u32,
}

impl<'a> SemaphorePermit<'a> {
    #[inline]
    pub(super) fn new(semaphore: &'a Semaphore, permits: u32) -> Self {
        Self { semaphore, permits }
    }

    /// Drops it without giving anything back: the semaphore has fewer permits from now on.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let semaphore = sedge::sync::Semaphore::new(3);
    /// semaphore.acquire_many(2).unwrap().forget();
    /// assert_eq!(semaphore.available_permits(), 1);
    /// ```
    pub fn forget(mut self) {
        self.permits = 0;
    }

    /// Takes over what `other` holds.
    ///
    /// # Panics
    ///
    /// If `other` is of another semaphore, or more than `u32::MAX` permits would be held.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let semaphore = sedge::sync::Semaphore::new(3);
    /// let mut permit = semaphore.acquire().unwrap();
    /// permit.merge(semaphore.acquire_many(2).unwrap());
    /// assert_eq!(permit.num_permits(), 3);
    /// drop(permit);
    /// assert_eq!(semaphore.available_permits(), 3);
    /// ```
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(ptr::eq(self.semaphore, other.semaphore), "the permits are of one semaphore");
        merge(&mut self.permits, &mut other.permits);
    }

    /// Splits `n` permits off. None if it holds fewer.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let semaphore = sedge::sync::Semaphore::new(3);
    /// let mut permit = semaphore.acquire_many(3).unwrap();
    /// let one = permit.split(1).unwrap();
    /// assert_eq!((permit.num_permits(), one.num_permits()), (2, 1));
    /// assert!(permit.split(3).is_none());
    /// ```
    pub fn split(&mut self, n: usize) -> Option<Self> {
        let permits = split(&mut self.permits, n)?;
        Some(Self { semaphore: self.semaphore, permits })
    }

    /// Returns the semaphore.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let semaphore = sedge::sync::Semaphore::new(3);
    /// let permit = semaphore.acquire().unwrap();
    /// assert_eq!(permit.semaphore().available_permits(), 2);
    /// ```
    pub fn semaphore(&self) -> &Semaphore {
        self.semaphore
    }

    /// Returns how many permits it holds.
    ///
    /// # Examples
    ///
    /// See [`split`](Self::split).
    pub fn num_permits(&self) -> usize {
        self.permits as usize
    }
}

impl OwnedSemaphorePermit {
    pub(super) fn new(semaphore: Arc<Semaphore>, permits: u32) -> Self {
        Self { semaphore, permits }
    }

    /// Drops it without giving anything back: the semaphore has fewer permits from now on.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// # use std::sync::Arc;
    /// let semaphore = Arc::new(sedge::sync::Semaphore::new(3));
    /// semaphore.clone().acquire_many_owned(2).unwrap().forget();
    /// assert_eq!(semaphore.available_permits(), 1);
    /// ```
    pub fn forget(mut self) {
        self.permits = 0;
    }

    /// Takes over what `other` holds.
    ///
    /// # Panics
    ///
    /// If `other` is of another semaphore, or more than `u32::MAX` permits would be held.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// # use std::sync::Arc;
    /// let semaphore = Arc::new(sedge::sync::Semaphore::new(3));
    /// let mut permit = semaphore.clone().acquire_owned().unwrap();
    /// permit.merge(semaphore.clone().acquire_many_owned(2).unwrap());
    /// assert_eq!(permit.num_permits(), 3);
    /// ```
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(Arc::ptr_eq(&self.semaphore, &other.semaphore), "the permits are of one semaphore");
        merge(&mut self.permits, &mut other.permits);
    }

    /// Splits `n` permits off. None if it holds fewer.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// # use std::sync::Arc;
    /// let semaphore = Arc::new(sedge::sync::Semaphore::new(3));
    /// let mut permit = semaphore.acquire_many_owned(3).unwrap();
    /// let one = permit.split(1).unwrap();
    /// assert_eq!((permit.num_permits(), one.num_permits()), (2, 1));
    /// ```
    pub fn split(&mut self, n: usize) -> Option<Self> {
        let permits = split(&mut self.permits, n)?;
        Some(Self { semaphore: self.semaphore.clone(), permits })
    }

    /// Returns the semaphore.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// # use std::sync::Arc;
    /// let semaphore = Arc::new(sedge::sync::Semaphore::new(3));
    /// let permit = semaphore.acquire_owned().unwrap();
    /// assert_eq!(permit.semaphore().available_permits(), 2);
    /// ```
    pub fn semaphore(&self) -> &Arc<Semaphore> {
        &self.semaphore
    }

    /// Returns how many permits it holds.
    ///
    /// # Examples
    ///
    /// See [`split`](Self::split).
    pub fn num_permits(&self) -> usize {
        self.permits as usize
    }
}

#[track_caller]
fn merge(own: &mut u32, other: &mut u32) {
    *own = own.checked_add(*other).expect("a permit holds `u32::MAX` at most");
    *other = 0;
}

fn split(own: &mut u32, n: usize) -> Option<u32> {
    let n = u32::try_from(n).ok()?;
    *own = own.checked_sub(n)?;
    Some(n)
}

impl Drop for SemaphorePermit<'_> {
    #[inline]
    fn drop(&mut self) {
        give_back(self.semaphore, &mut self.permits);
    }
}

impl Drop for OwnedSemaphorePermit {
    #[inline]
    fn drop(&mut self) {
        give_back(&self.semaphore, &mut self.permits);
    }
}

#[inline]
fn give_back(semaphore: &Semaphore, permits: &mut u32) {
    let permits = mem::take(permits);
    if permits > 0 {
        semaphore.permits.give(permits);
    }
}
