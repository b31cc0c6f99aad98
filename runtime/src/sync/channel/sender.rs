//! The sending end.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::err::{SendError, SendTimeoutError, TrySendError};
use super::flavor::{self, Shared};
use super::future::SendFuture;
use crate::wait::{self, Limit};

/// The sending end of a channel. Clones send into the same channel.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// let (sender, receiver) = sedge::sync::channel::unbounded();
/// let other = sender.clone();
/// other.send(1).unwrap();
/// sender.send(2).unwrap();
/// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 2]);
/// ```
pub struct Sender<T> {
    pub(super) shared: Arc<Shared<T>>,
}

// No code of the user's runs where a channel is half changed.
impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}

impl<T> Sender<T> {
    /// Sends a message, and waits until there is room for it, or, in a channel of no capacity,
    /// until it is taken.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread, while the channel is full.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. The message is dropped, not sent.
    ///
    /// # Errors
    ///
    /// The message, if all receivers are gone.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::channel::{self, SendError};
    ///
    /// let (sender, receiver) = channel::bounded(1);
    /// assert_eq!(sender.send(1), Ok(()));
    /// drop(receiver);
    /// assert_eq!(sender.send(2), Err(SendError(2)));
    /// ```
    #[inline]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        wait::checkpoint();
        self.shared
            .flavor
            .send(message, Limit::Never)
            .map_err(|error| SendError(error.into_inner()))
    }

    /// Sends a message if that takes no wait: if there is room, or, in a channel of no capacity, if
    /// somebody waits for a message. (A future that waits cannot be handed one: it receives from
    /// who waits.)
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Errors
    ///
    /// The message, if there is no room, or if all receivers are gone.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::channel::{self, TrySendError};
    ///
    /// let (sender, receiver) = channel::bounded(1);
    /// assert_eq!(sender.try_send(1), Ok(()));
    /// assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
    /// drop(receiver);
    /// assert_eq!(sender.try_send(3), Err(TrySendError::Disconnected(3)));
    /// ```
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.shared.flavor.try_send(message)
    }

    /// Sends a message as [`send`](Self::send), and waits for `timeout` at most.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread, while the channel is full.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. The message is dropped, not sent.
    ///
    /// # Errors
    ///
    /// The message, if there was no room in time, or if all receivers are gone.
    ///
    /// # Examples
    ///
    /// See [`SendTimeoutError::into_inner`].
    pub fn send_timeout(&self, message: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        wait::checkpoint();
        self.shared.flavor.send(message, Limit::After(timeout))
    }

    /// Sends a message as [`send`](Self::send), and waits until `deadline` at most.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread, while the channel is full.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. The message is dropped, not sent.
    ///
    /// # Errors
    ///
    /// The message, if there was no room in time, or if all receivers are gone.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, _receiver) = sedge::sync::channel::bounded(0);
    /// assert!(sender.send_deadline(1, sedge::time::now()).unwrap_err().is_timeout());
    /// ```
    pub fn send_deadline(&self, message: T, deadline: Instant) -> Result<(), SendTimeoutError<T>> {
        wait::checkpoint();
        self.shared.flavor.send(message, Limit::At(deadline))
    }

    /// Sends a message as [`send`](Self::send), as a future.
    ///
    /// # Blocking
    ///
    /// Neither the task nor the thread waits.
    ///
    /// # Cancellation
    ///
    /// Not a cancellation point. A future that is dropped before it is ready has not sent the
    /// message, which is dropped with it; in a channel of no capacity it may have been taken
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// The message, if all receivers are gone.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, receiver) = sedge::sync::channel::bounded(1);
    /// let (sent, received) = sedge::task::block_on(async {
    ///     (sender.send_async(1).await, receiver.recv_async().await)
    /// });
    /// assert_eq!((sent, received), (Ok(()), Ok(1)));
    /// ```
    pub fn send_async(&self, message: T) -> SendFuture<'_, T> {
        SendFuture::new(self, message)
    }

    /// Returns whether there is no message in the channel. One of no capacity is always empty.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, _receiver) = sedge::sync::channel::bounded(1);
    /// assert!(sender.is_empty() && !sender.is_full());
    /// sender.send(1).unwrap();
    /// assert!(!sender.is_empty() && sender.is_full());
    /// assert_eq!((sender.len(), sender.capacity()), (1, Some(1)));
    /// ```
    pub fn is_empty(&self) -> bool {
        self.shared.flavor.is_empty()
    }

    /// Returns whether there is no room in the channel. One of no capacity is always full.
    ///
    /// # Examples
    ///
    /// See [`is_empty`](Self::is_empty).
    pub fn is_full(&self) -> bool {
        self.shared.flavor.is_full()
    }

    /// Returns how many messages are in the channel.
    ///
    /// # Examples
    ///
    /// See [`is_empty`](Self::is_empty).
    pub fn len(&self) -> usize {
        self.shared.flavor.len()
    }

    /// Returns for how many messages there is room; none if there is no bound.
    ///
    /// # Examples
    ///
    /// See [`is_empty`](Self::is_empty).
    pub fn capacity(&self) -> Option<usize> {
        self.shared.flavor.capacity()
    }

    /// Returns whether both send into the same channel.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, _receiver) = sedge::sync::channel::unbounded::<u8>();
    /// let (other, _receiver) = sedge::sync::channel::unbounded::<u8>();
    /// assert!(sender.same_channel(&sender.clone()) && !sender.same_channel(&other));
    /// ```
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        flavor::add(&self.shared.senders);
        Self { shared: self.shared.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if flavor::is_last(&self.shared.senders) {
            self.shared.flavor.disconnect_senders();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("len", &self.len()).finish_non_exhaustive()
    }
}
