//! The ends that see the value, and are told when it has changed.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Ref;
use super::error::{RecvError, RecvTimeoutError};
use super::shared::{ONE_CHANGE, Shared};
use crate::wait::{self, Limit, QueueKey, TimedOut};

/// Sees the value of a channel. Made by [`channel`](super::channel()) and
/// [`Sender::subscribe`](super::Sender::subscribe); a clone has seen what this one has.
///
/// # Examples
///
/// See [`changed`](Self::changed).
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The version that it has seen.
    seen: usize,
}

// As with a lock that does not poison: a change that panics stays half done.
impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

impl<T> Receiver<T> {
    pub(super) fn new(shared: Arc<Shared<T>>, seen: usize) -> Self {
        shared.enter_as_receiver();
        Self { shared, seen }
    }

    /// Lends the value, without having seen it: [`changed`](Self::changed) still tells of it.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread, while a sender changes the value, or waits to.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, receiver) = sedge::sync::watch::channel(1);
    /// sender.send(2).unwrap();
    /// assert_eq!(*receiver.borrow(), 2);
    /// assert!(receiver.has_changed().unwrap());
    /// ```
    pub fn borrow(&self) -> Ref<'_, T> {
        wait::checkpoint();
        let (value, version) = self.shared.read();
        Ref { value, has_changed: version != self.seen }
    }

    /// Lends the value, which it has seen then. In a loop with [`changed`](Self::changed) this is
    /// the one to call: what is sent between the two is not told of again.
    ///
    /// # Blocking
    ///
    /// As [`borrow`](Self::borrow).
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, mut receiver) = sedge::sync::watch::channel(1);
    /// sender.send(2).unwrap();
    /// assert_eq!(*receiver.borrow_and_update(), 2);
    /// assert!(!receiver.has_changed().unwrap());
    /// ```
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        wait::checkpoint();
        let (value, version) = self.shared.read();
        let has_changed = version != self.seen;
        self.seen = version;
        Ref { value, has_changed }
    }

    /// Returns whether there is a value that it has not seen.
    ///
    /// # Errors
    ///
    /// If no sender is left, whether it has seen the last value or not.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, receiver) = sedge::sync::watch::channel(1);
    /// assert_eq!(receiver.has_changed(), Ok(false));
    /// sender.send(2).unwrap();
    /// assert_eq!(receiver.has_changed(), Ok(true));
    /// drop(sender);
    /// assert!(receiver.has_changed().is_err());
    /// assert!(receiver.borrow().has_changed(), "the last value");
    /// ```
    pub fn has_changed(&self) -> Result<bool, RecvError> {
        match self.shared.version() {
            (_, true) => Err(RecvError(())),
            (version, false) => Ok(version != self.seen),
        }
    }

    /// Returns whether no sender is left.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, receiver) = sedge::sync::watch::channel(1);
    /// assert!(!receiver.is_closed());
    /// drop(sender);
    /// assert!(receiver.is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        self.shared.version().1
    }

    /// Makes it as if it had not seen the value that is there.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (_sender, mut receiver) = sedge::sync::watch::channel(1);
    /// receiver.mark_changed();
    /// assert_eq!(receiver.has_changed(), Ok(true));
    /// receiver.changed().unwrap();
    /// ```
    pub fn mark_changed(&mut self) {
        self.seen = self.shared.version().0.wrapping_sub(ONE_CHANGE);
    }

    /// Makes it as if it had seen the value that is there.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, mut receiver) = sedge::sync::watch::channel(1);
    /// sender.send(2).unwrap();
    /// receiver.mark_unchanged();
    /// assert_eq!(receiver.has_changed(), Ok(false));
    /// ```
    pub fn mark_unchanged(&mut self) {
        self.seen = self.shared.version().0;
    }

    /// Waits until there is a value that it has not seen, which it has seen then.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread, if there is none.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. It has seen nothing then.
    ///
    /// # Errors
    ///
    /// If it has seen the last value, and no sender is left.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// sedge::run(|| {
    ///     let (sender, mut receiver) = sedge::sync::watch::channel(1);
    ///     let watching = sedge::spawn(move || {
    ///         receiver.changed().unwrap();
    ///         assert_eq!(*receiver.borrow(), 2);
    ///         receiver.changed()
    ///     });
    ///     sender.send(2).unwrap();
    ///     drop(sender);
    ///     assert!(watching.join().unwrap().is_err());
    /// });
    /// ```
    pub fn changed(&mut self) -> Result<(), RecvError> {
        wait::checkpoint();
        wait_for_news(&self.shared, &mut self.seen)
    }

    /// Waits as [`changed`](Self::changed) does, for `timeout` at most.
    ///
    /// A timeout that ends later than an [`Instant`] can tell has no end.
    ///
    /// # Blocking
    ///
    /// As [`changed`](Self::changed).
    ///
    /// # Cancellation
    ///
    /// As [`changed`](Self::changed).
    ///
    /// # Errors
    ///
    /// [`Timeout`](RecvTimeoutError::Timeout), or [`Closed`](RecvTimeoutError::Closed).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::time::Duration;
    ///
    /// use sedge::sync::watch::{self, error::RecvTimeoutError};
    ///
    /// let (sender, mut receiver) = watch::channel(1);
    /// let moment = Duration::from_millis(1);
    /// assert_eq!(receiver.changed_timeout(moment), Err(RecvTimeoutError::Timeout));
    /// sender.send(2).unwrap();
    /// assert_eq!(receiver.changed_timeout(moment), Ok(()));
    /// ```
    pub fn changed_timeout(&mut self, timeout: Duration) -> Result<(), RecvTimeoutError> {
        self.changed_within(Limit::After(timeout))
    }

    /// [`changed_timeout`](Self::changed_timeout), until `deadline` at most.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::time::Instant;
    ///
    /// let (sender, mut receiver) = sedge::sync::watch::channel(1);
    /// assert!(receiver.changed_deadline(Instant::now()).is_err());
    /// sender.send(2).unwrap();
    /// assert!(receiver.changed_deadline(Instant::now()).is_ok());
    /// ```
    pub fn changed_deadline(&mut self, deadline: Instant) -> Result<(), RecvTimeoutError> {
        self.changed_within(Limit::At(deadline))
    }

    /// [`changed`](Self::changed), for a future, which is `Unpin` and may be dropped at any time:
    /// it has seen nothing then.
    ///
    /// # Errors
    ///
    /// If it has seen the last value, and no sender is left.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, mut receiver) = sedge::sync::watch::channel(1);
    /// sender.send(2).unwrap();
    /// sedge::task::block_on(receiver.changed_async()).unwrap();
    /// assert!(!receiver.has_changed().unwrap());
    /// ```
    pub fn changed_async(&mut self) -> impl Future<Output = Result<(), RecvError>> {
        news(&self.shared, &mut self.seen)
    }

    /// Waits until `f` returns true for the value, and lends it. It looks at the value that is
    /// there first, and it has seen all at which it has looked.
    ///
    /// # Blocking
    ///
    /// As [`borrow`](Self::borrow) and [`changed`](Self::changed). No sender changes the value
    /// while `f` looks at it.
    ///
    /// # Cancellation
    ///
    /// As [`changed`](Self::changed).
    ///
    /// # Errors
    ///
    /// If it has looked at the last value, and no sender is left.
    ///
    /// # Panics
    ///
    /// With `f`'s panic. It has seen the value.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// sedge::run(|| {
    ///     let (sender, mut receiver) = sedge::sync::watch::channel(0);
    ///     let waiting = sedge::spawn(move || *receiver.wait_for(|n| *n > 3).unwrap());
    ///     for n in 1..=10 {
    ///         let _nobody_is_left = sender.send(n);
    ///     }
    ///     assert!(waiting.join().unwrap() > 3);
    /// });
    /// ```
    pub fn wait_for(&mut self, mut f: impl FnMut(&T) -> bool) -> Result<Ref<'_, T>, RecvError> {
        wait::checkpoint();
        loop {
            let (value, version) = self.shared.read();
            let has_changed = std::mem::replace(&mut self.seen, version) != version;
            if f(&value) {
                return Ok(Ref { value, has_changed });
            }
            drop(value);
            wait_for_news(&self.shared, &mut self.seen)?;
        }
    }

    /// [`wait_for`](Self::wait_for), for a future, which may be dropped at any time and is not
    /// `Unpin`. While it has the value borrowed to look at it, or waits to, it blocks as
    /// [`borrow`](Self::borrow) does.
    ///
    /// # Errors
    ///
    /// If it has looked at the last value, and no sender is left.
    ///
    /// # Panics
    ///
    /// With `f`'s panic.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, mut receiver) = sedge::sync::watch::channel(0);
    /// sender.send(4).unwrap();
    /// let large = sedge::task::block_on(receiver.wait_for_async(|n| *n > 3)).map(|n| *n);
    /// assert_eq!(large, Ok(4));
    /// ```
    pub async fn wait_for_async(
        &mut self,
        mut f: impl FnMut(&T) -> bool,
    ) -> Result<Ref<'_, T>, RecvError> {
        loop {
            {
                let (value, version) = self.shared.read();
                let has_changed = std::mem::replace(&mut self.seen, version) != version;
                if f(&value) {
                    return Ok(Ref { value, has_changed });
                }
            }
            news(&self.shared, &mut self.seen).await?;
        }
    }

    /// Returns whether both are receivers of one channel.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, receiver) = sedge::sync::watch::channel(1);
    /// assert!(receiver.same_channel(&sender.subscribe()));
    /// ```
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    fn changed_within(&mut self, limit: Limit) -> Result<(), RecvTimeoutError> {
        wait::checkpoint();
        wait_within(&self.shared, &mut self.seen, limit)
    }
}

fn wait_for_news<T>(shared: &Shared<T>, seen: &mut usize) -> Result<(), RecvError> {
    loop {
        match wait_within(shared, seen, Limit::Never) {
            Ok(()) => return Ok(()),
            Err(RecvTimeoutError::Closed) => return Err(RecvError(())),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn wait_within<T>(
    shared: &Shared<T>,
    seen: &mut usize,
    limit: Limit,
) -> Result<(), RecvTimeoutError> {
    let news = match shared.news(seen) {
        Some(news) => Ok(news),
        None => shared.changes.wait_until(limit.deadline(), || shared.news(seen)),
    };
    match news {
        Ok(Ok(())) => Ok(()),
        Ok(Err(RecvError(()))) => Err(RecvTimeoutError::Closed),
        Err(TimedOut) => Err(RecvTimeoutError::Timeout),
    }
}

fn news<T>(
    shared: &Shared<T>,
    seen: &mut usize,
) -> impl Future<Output = Result<(), RecvError>> + Unpin {
    let mut key = QueueKey::default();
    std::future::poll_fn(move |cx| shared.changes.poll_until(cx, &mut key, || shared.news(seen)))
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self::new(self.shared.clone(), self.seen)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.leave_as_receiver();
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}
