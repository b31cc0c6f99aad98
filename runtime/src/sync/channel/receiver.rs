//! The receiving end.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::err::{RecvError, RecvTimeoutError, TryRecvError};
use super::flavor::{self, Flavor, Shared};
use super::future::RecvFuture;
use super::iter::{IntoIter, Iter, TryIter};
use crate::wait::{self, Limit};

/// The receiving end of a channel. Clones receive from the same channel, and each message goes to
/// one of them.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::sync::channel;
///
/// sedge::run(|| {
///     let (jobs, receiver) = channel::bounded(8);
///     let (results, sums) = channel::unbounded();
///     for _ in 0..4 {
///         let (receiver, results) = (receiver.clone(), results.clone());
///         sedge::spawn(move || results.send(receiver.iter().sum::<i32>()));
///     }
///     (1..=100).for_each(|n| jobs.send(n).unwrap());
///     drop((jobs, results));
///     assert_eq!(sums.iter().sum::<i32>(), 5050);
/// });
/// ```
pub struct Receiver<T> {
    pub(super) shared: Arc<Shared<T>>,
}

// No code of the user's runs where a channel is half changed.
impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

impl<T> Receiver<T> {
    pub(super) fn of(flavor: Flavor<T>) -> Self {
        Self { shared: Shared::new(flavor) }
    }

    /// Receives the next message, and waits until there is one.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread, while the channel is empty.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. No message is lost. (In a channel of no
    /// capacity, neither a cancellation nor a limit in time ends the wait for a message that a
    /// [`select!`](crate::select) is just making for this call.)
    ///
    /// # Errors
    ///
    /// [`RecvError`]: the channel is empty and all senders are gone.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::channel::{self, RecvError};
    ///
    /// let (sender, receiver) = channel::unbounded();
    /// sender.send(1).unwrap();
    /// drop(sender);
    /// assert_eq!(receiver.recv(), Ok(1));
    /// assert_eq!(receiver.recv(), Err(RecvError));
    /// ```
    #[inline]
    pub fn recv(&self) -> Result<T, RecvError> {
        wait::checkpoint();
        self.shared.flavor.recv(Limit::Never).map_err(|_| RecvError)
    }

    /// Receives a message if there is one.
    ///
    /// In a channel of no capacity it takes no message of a [`select!`](crate::select) that has yet
    /// to make it.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`]: the channel is empty, and perhaps all senders are gone.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::channel::{self, TryRecvError};
    ///
    /// let (sender, receiver) = channel::unbounded();
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.send(1).unwrap();
    /// drop(sender);
    /// assert_eq!(receiver.try_recv(), Ok(1));
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    /// ```
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.shared.flavor.try_recv()
    }

    /// Receives the next message, and waits for it for `timeout` at most.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread, while the channel is empty.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. No message is lost. (In a channel of no
    /// capacity, neither a cancellation nor a limit in time ends the wait for a message that a
    /// [`select!`](crate::select) is just making for this call.)
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError`]: none came in time, or all senders are gone.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::time::Duration;
    ///
    /// use sedge::sync::channel::{self, RecvTimeoutError};
    ///
    /// let (_sender, receiver) = channel::unbounded::<u8>();
    /// let result = receiver.recv_timeout(Duration::from_millis(1));
    /// assert_eq!(result, Err(RecvTimeoutError::Timeout));
    /// ```
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        wait::checkpoint();
        self.shared.flavor.recv(Limit::After(timeout))
    }

    /// Receives the next message, and waits for it until `deadline` at most.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread, while the channel is empty.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. No message is lost. (In a channel of no
    /// capacity, neither a cancellation nor a limit in time ends the wait for a message that a
    /// [`select!`](crate::select) is just making for this call.)
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError`]: none came in time, or all senders are gone.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, receiver) = sedge::sync::channel::bounded(1);
    /// sender.send(1).unwrap();
    /// let now = sedge::time::now();
    /// assert_eq!(receiver.recv_deadline(now), Ok(1));
    /// assert!(receiver.recv_deadline(now).unwrap_err().is_timeout());
    /// ```
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        wait::checkpoint();
        self.shared.flavor.recv(Limit::At(deadline))
    }

    /// Receives the next message as a future.
    ///
    /// In a channel of no capacity it takes no message of a [`select!`](crate::select), which is
    /// made only for who can be counted on to take it: let futures send, and a selection receive.
    ///
    /// One from [`after`](super::after) or [`tick`](super::tick) is waited for by a task that is
    /// spawned for it.
    ///
    /// # Blocking
    ///
    /// Neither the task nor the thread waits.
    ///
    /// # Cancellation
    ///
    /// Not a cancellation point. A future that is dropped before it is ready has taken no message.
    ///
    /// # Errors
    ///
    /// [`RecvError`]: the channel is empty and all senders are gone.
    ///
    /// # Examples
    ///
    /// See [`Sender::send_async`](super::Sender::send_async).
    pub fn recv_async(&self) -> RecvFuture<'_, T> {
        RecvFuture::new(self)
    }

    /// Returns an iterator that waits for each message, and ends when the channel is empty and all
    /// senders are gone.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, receiver) = sedge::sync::channel::unbounded();
    /// (0..3).for_each(|n| sender.send(n).unwrap());
    /// drop(sender);
    /// assert_eq!(receiver.iter().collect::<Vec<_>>(), [0, 1, 2]);
    /// ```
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
    }

    /// Returns an iterator over the messages that are there. It does not wait.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, receiver) = sedge::sync::channel::unbounded();
    /// (0..3).for_each(|n| sender.send(n).unwrap());
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [0, 1, 2]);
    /// assert_eq!(receiver.try_iter().next(), None);
    /// ```
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { receiver: self }
    }

    /// Returns whether there is no message in the channel. One of no capacity is always empty.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, receiver) = sedge::sync::channel::bounded(1);
    /// assert!(receiver.is_empty() && !receiver.is_full());
    /// sender.send(1).unwrap();
    /// assert!(!receiver.is_empty() && receiver.is_full());
    /// assert_eq!((receiver.len(), receiver.capacity()), (1, Some(1)));
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

    /// Returns whether both receive from the same channel.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (_sender, receiver) = sedge::sync::channel::unbounded::<u8>();
    /// assert!(receiver.same_channel(&receiver.clone()));
    /// assert!(!receiver.same_channel(&sedge::sync::channel::never()));
    /// ```
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        flavor::add(&self.shared.receivers);
        Self { shared: self.shared.clone() }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if flavor::is_last(&self.shared.receivers) {
            self.shared.flavor.disconnect_receivers();
        }
    }
}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter { receiver: self }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("len", &self.len()).finish_non_exhaustive()
    }
}
