//! Waiting until all who take part are done.
//!
//! # Memory ordering
//!
//! A member leaves with Release, and who waits sees that all have left with Acquire: what they have
//! done before is done. A member joins Relaxed: another is there already, or it comes back, which
//! synchronises with nobody. The wake of the queue comes after the count, as [`WaitQueue`] asks.

use std::fmt;
use std::future::poll_fn;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::primitive::{AtomicUsize, Ordering};
use crate::wait::{self, Limit, QueueKey, WaitQueue};

/// Waits until all of its clones have been dropped.
///
/// As crossbeam's, for tasks, threads and futures. Each part of a job is given a clone, and drops
/// it when it is done; whoever [waits](Self::wait) goes on once all others have dropped theirs, or
/// wait, too. Where the parts are tasks that are to be joined, a [`scope`](crate::scope) or a
/// [`JoinSet`](crate::task::JoinSet) does it.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// use sedge::sync::WaitGroup;
///
/// sedge::run(|| {
///     let (group, done) = (WaitGroup::new(), Arc::new(AtomicUsize::new(0)));
///     for _ in 0..10 {
///         let (member, done) = (group.clone(), done.clone());
///         sedge::spawn(move || {
///             done.fetch_add(1, Ordering::Relaxed);
///             drop(member);
///         });
///     }
///     group.wait();
///     assert_eq!(done.load(Ordering::Relaxed), 10);
/// });
/// ```
pub struct WaitGroup {
    inner: Arc<Inner>,
}

struct Inner {
    members: AtomicUsize,
    waiting: WaitQueue,
}

// None of the user's code runs in the middle of a change.
impl UnwindSafe for WaitGroup {}
impl RefUnwindSafe for WaitGroup {}

impl WaitGroup {
    /// Makes a group of one.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// sedge::sync::WaitGroup::new().wait();
    /// ```
    pub fn new() -> Self {
        let (members, waiting) = (AtomicUsize::new(1), WaitQueue::new());
        Self { inner: Arc::new(Inner { members, waiting }) }
    }

    /// Drops this one, and waits until all others are dropped.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread, if there are others.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. This one is dropped then, too.
    ///
    /// # Examples
    ///
    /// Several wait for one another:
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::WaitGroup;
    ///
    /// sedge::run(|| {
    ///     let group = WaitGroup::new();
    ///     let other = sedge::spawn({
    ///         let group = group.clone();
    ///         move || group.wait()
    ///     });
    ///     group.wait();
    ///     other.join().unwrap();
    /// });
    /// ```
    pub fn wait(self) {
        wait::checkpoint();
        let inner = self.leave();
        while inner.waiting.wait_until(None, || inner.is_done()).is_err() {}
    }

    /// Waits as [`wait`](Self::wait) does, for `timeout` at most.
    ///
    /// While it waits this one is not counted, so that it holds up nobody.
    ///
    /// A timeout that ends later than an [`Instant`] can tell has no end.
    ///
    /// # Blocking
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Cancellation
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// This one, counted again: there are others, and the time is over.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::time::Duration;
    ///
    /// use sedge::sync::WaitGroup;
    ///
    /// let group = WaitGroup::new();
    /// let other = group.clone();
    /// let group = group.wait_timeout(Duration::from_millis(1)).unwrap_err();
    /// drop(other);
    /// assert!(group.wait_timeout(Duration::ZERO).is_ok());
    /// ```
    pub fn wait_timeout(self, timeout: Duration) -> Result<(), Self> {
        self.wait_within(Limit::After(timeout))
    }

    /// [`wait_timeout`](Self::wait_timeout), until `deadline` at most.
    ///
    /// # Errors
    ///
    /// This one, counted again: there are others, and the deadline has passed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let group = sedge::sync::WaitGroup::new();
    /// assert!(group.wait_deadline(std::time::Instant::now()).is_ok());
    /// ```
    pub fn wait_deadline(self, deadline: Instant) -> Result<(), Self> {
        self.wait_within(Limit::At(deadline))
    }

    /// [`wait`](Self::wait), for a future: this one is dropped when it is first polled, or with it.
    ///
    /// # Cancellation
    ///
    /// It may be dropped at any time.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::WaitGroup;
    ///
    /// sedge::run(|| {
    ///     let group = WaitGroup::new();
    ///     let member = group.clone();
    ///     sedge::spawn(move || drop(member));
    ///     sedge::task::block_on(group.wait_async());
    /// });
    /// ```
    pub async fn wait_async(self) {
        let inner = self.leave();
        let mut key = QueueKey::default();
        poll_fn(|cx| inner.waiting.poll_until(cx, &mut key, || inner.is_done())).await;
    }

    fn wait_within(self, limit: Limit) -> Result<(), Self> {
        wait::checkpoint();
        let inner = self.leave();
        if inner.waiting.wait_until(limit.deadline(), || inner.is_done()).is_ok() {
            return Ok(());
        }
        let come_back = |members: usize| (members > 0).then_some(members + 1);
        match inner.members.fetch_update(Ordering::Relaxed, Ordering::Acquire, come_back) {
            Ok(_) => Err(Self { inner }),
            Err(_) => Ok(()),
        }
    }

    fn leave(self) -> Arc<Inner> {
        self.inner.clone()
    }
}

impl Inner {
    fn is_done(&self) -> Option<()> {
        (self.members.load(Ordering::Acquire) == 0).then_some(())
    }
}

impl Default for WaitGroup {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for WaitGroup {
    fn clone(&self) -> Self {
        self.inner.members.fetch_add(1, Ordering::Relaxed);
        Self { inner: self.inner.clone() }
    }
}

impl Drop for WaitGroup {
    fn drop(&mut self) {
        // AcqRel, though nobody may be waiting yet: who comes last has seen all that was done.
        if self.inner.members.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.inner.waiting.wake_all();
        }
    }
}

impl fmt::Debug for WaitGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = self.inner.members.load(Ordering::Relaxed);
        f.debug_struct("WaitGroup").field("members", &members).finish()
    }
}
