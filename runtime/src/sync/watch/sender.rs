//! The ends that change the value.

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::{fmt, mem};

use super::error::SendError;
use super::shared::Shared;
use super::{Receiver, Ref};
use crate::primitive::Ordering;
use crate::wait::{self, QueueKey};

/// Changes the value. Made by [`channel`](super::channel()); clones are senders of the same
/// channel.
///
/// # Examples
///
/// See [`send`](Self::send).
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

// As with a lock that does not poison: a change that panics stays half done.
impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}

impl<T> Sender<T> {
    /// Makes a channel without a receiver.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let state = sedge::sync::watch::Sender::new("starting");
    /// state.send_replace("running");
    /// assert_eq!(*state.subscribe().borrow(), "running");
    /// ```
    pub fn new(init: T) -> Self {
        Self { shared: Arc::new(Shared::new(init)) }
    }

    /// Replaces the value, and tells all receivers.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread, while somebody has the value borrowed, or another
    /// sender changes it.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry: nothing is changed then.
    ///
    /// # Errors
    ///
    /// The value: there is no receiver, and nothing was changed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, receiver) = sedge::sync::watch::channel(1);
    /// sender.send(2).unwrap();
    /// assert_eq!(*receiver.borrow(), 2);
    /// drop(receiver);
    /// assert_eq!(sender.send(3).unwrap_err().0, 3);
    /// assert_eq!(*sender.borrow(), 2);
    /// ```
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.is_closed() {
            return Err(SendError(value));
        }
        self.send_replace(value);
        Ok(())
    }

    /// Has `modify` change the value, and tells all receivers. It does not matter whether there is
    /// one.
    ///
    /// # Blocking
    ///
    /// As [`send`](Self::send); and nobody can look at the value meanwhile.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry: nothing is changed then.
    ///
    /// # Panics
    ///
    /// With `modify`'s panic. What it has changed stays, and nobody is told.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, receiver) = sedge::sync::watch::channel(vec![1]);
    /// sender.send_modify(|values| values.push(2));
    /// assert!(receiver.has_changed().unwrap());
    /// assert_eq!(*receiver.borrow(), [1, 2]);
    /// ```
    pub fn send_modify<F>(&self, modify: F)
    where
        F: FnOnce(&mut T),
    {
        self.send_if_modified(|value| {
            modify(value);
            true
        });
    }

    /// Has `modify` change the value, and tells all receivers if it returns true. Returns what it
    /// returns.
    ///
    /// # Blocking
    ///
    /// As [`send_modify`](Self::send_modify).
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry: nothing is changed then.
    ///
    /// # Panics
    ///
    /// With `modify`'s panic. What it has changed stays, and nobody is told.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, receiver) = sedge::sync::watch::channel(5);
    /// let raise_to = |to: i32| {
    ///     sender.send_if_modified(|value| {
    ///         let is_more = *value < to;
    ///         *value = to.max(*value);
    ///         is_more
    ///     })
    /// };
    /// assert!(!raise_to(3) && !receiver.has_changed().unwrap());
    /// assert!(raise_to(7) && receiver.has_changed().unwrap());
    /// ```
    pub fn send_if_modified<F>(&self, modify: F) -> bool
    where
        F: FnOnce(&mut T) -> bool,
    {
        wait::checkpoint();
        self.shared.change(modify)
    }

    /// Replaces the value, tells all receivers, and returns the value before. It does not matter
    /// whether there is a receiver.
    ///
    /// # Blocking
    ///
    /// As [`send`](Self::send).
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry: nothing is changed then.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let sender = sedge::sync::watch::Sender::new(1);
    /// assert_eq!(sender.send_replace(2), 1);
    /// assert_eq!(*sender.borrow(), 2);
    /// ```
    pub fn send_replace(&self, mut value: T) -> T {
        self.send_modify(|old| mem::swap(old, &mut value));
        value
    }

    /// Lends the value.
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
    /// See [`send_replace`](Self::send_replace).
    pub fn borrow(&self) -> Ref<'_, T> {
        wait::checkpoint();
        Ref { value: self.shared.read().0, has_changed: false }
    }

    /// Makes a receiver, which has seen the value that is there.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let sender = sedge::sync::watch::Sender::new(1);
    /// sender.send_replace(2);
    /// let receiver = sender.subscribe();
    /// assert!(!receiver.has_changed().unwrap());
    /// sender.send(3).unwrap();
    /// assert!(receiver.has_changed().unwrap());
    /// ```
    pub fn subscribe(&self) -> Receiver<T> {
        let (version, _) = self.shared.version();
        Receiver::new(self.shared.clone(), version)
    }

    /// Returns whether there is no receiver.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, receiver) = sedge::sync::watch::channel(1);
    /// assert!(!sender.is_closed());
    /// drop(receiver);
    /// assert!(sender.is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }

    /// Waits until there is no receiver.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread, until the last one is dropped.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// sedge::run(|| {
    ///     let (sender, receiver) = sedge::sync::watch::channel(1);
    ///     let waiting = sedge::spawn(move || sender.closed());
    ///     drop(receiver);
    ///     waiting.join().unwrap();
    /// });
    /// ```
    pub fn closed(&self) {
        wait::checkpoint();
        let shared = &self.shared;
        while shared.departures.wait_until(None, || shared.has_no_receiver()).is_err() {}
    }

    /// [`closed`](Self::closed), for a future, which is `Unpin` and may be dropped at any time.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let sender = sedge::sync::watch::Sender::new(1);
    /// sedge::task::block_on(sender.closed_async());
    /// ```
    pub fn closed_async(&self) -> impl Future<Output = ()> {
        let shared: &Shared<T> = &self.shared;
        let mut key = QueueKey::default();
        std::future::poll_fn(move |cx| {
            shared.departures.poll_until(cx, &mut key, || shared.has_no_receiver())
        })
    }

    /// Returns how many receivers there are.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, receiver) = sedge::sync::watch::channel(1);
    /// let _second = receiver.clone();
    /// assert_eq!((sender.receiver_count(), sender.sender_count()), (2, 1));
    /// ```
    pub fn receiver_count(&self) -> usize {
        self.shared.receivers.load(Ordering::Acquire)
    }

    /// Returns how many senders there are.
    ///
    /// # Examples
    ///
    /// See [`receiver_count`](Self::receiver_count).
    pub fn sender_count(&self) -> usize {
        self.shared.senders.load(Ordering::Acquire)
    }

    /// Returns whether both are senders of one channel.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::watch::Sender;
    ///
    /// let sender = Sender::new(1);
    /// assert!(sender.same_channel(&sender.clone()) && !sender.same_channel(&Sender::new(1)));
    /// ```
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.enter_as_sender();
        Self { shared: self.shared.clone() }
    }
}

impl<T: Default> Default for Sender<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.leave_as_sender();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}
