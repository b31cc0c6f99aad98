//! std's channels, on top of [those of this crate](super::channel): [`std::sync::mpsc`] for tasks.
//!
//! The types and the errors are std's by name and meaning, and the errors std's own types. Futures
//! can wait for the same channels.
//!
//! # Examples
//!
//! ```
//! # use sedge_runtime as sedge;
//! use sedge::sync::mpsc;
//!
//! sedge::run(|| {
//!     let (sender, receiver) = mpsc::channel();
//!     for n in 0..3 {
//!         let sender = sender.clone();
//!         sedge::spawn(move || sender.send(n).unwrap());
//!     }
//!     drop(sender);
//!     assert_eq!(receiver.iter().sum::<i32>(), 3);
//! });
//! ```

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

pub use std::sync::mpsc::{RecvError, RecvTimeoutError, SendError, TryRecvError, TrySendError};

use super::channel;

/// Makes a channel without a bound: its senders never wait.
///
/// # Examples
///
/// See the [module](self).
#[must_use]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = channel::unbounded();
    (Sender { inner: sender }, Receiver::of(receiver))
}

/// Makes a channel for `bound` messages, whose senders wait for room. With a bound of zero a
/// message is handed over when a sender and the receiver meet.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::sync::mpsc;
///
/// let (sender, receiver) = mpsc::sync_channel(1);
/// sender.send(1).unwrap();
/// assert_eq!(sender.try_send(2), Err(mpsc::TrySendError::Full(2)));
/// assert_eq!(receiver.recv(), Ok(1));
/// ```
#[must_use]
pub fn sync_channel<T>(bound: usize) -> (SyncSender<T>, Receiver<T>) {
    let (sender, receiver) = channel::bounded(bound);
    (SyncSender { inner: sender }, Receiver::of(receiver))
}

/// The sending end of a [`channel`](channel()): [`std::sync::mpsc::Sender`].
///
/// # Examples
///
/// See the [module](self).
pub struct Sender<T> {
    inner: channel::Sender<T>,
}

/// The sending end of a [`sync_channel`]: [`std::sync::mpsc::SyncSender`].
///
/// # Examples
///
/// See [`sync_channel`].
pub struct SyncSender<T> {
    inner: channel::Sender<T>,
}

/// The receiving end: [`std::sync::mpsc::Receiver`]. There is one, and it is not shared.
///
/// ```compile_fail
/// # use sedge_runtime as sedge;
/// fn shared<T: Sync>() {}
/// shared::<sedge::sync::mpsc::Receiver<u8>>();
/// ```
///
/// # Examples
///
/// See the [module](self).
pub struct Receiver<T> {
    inner: channel::Receiver<T>,
    not_sync: PhantomData<Cell<()>>,
}

impl<T> Sender<T> {
    /// Sends a message.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry.
    ///
    /// # Errors
    ///
    /// The message, if the receiver is gone.
    ///
    /// # Examples
    ///
    /// See the [module](self).
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.inner.send(message).map_err(|error| SendError(error.0))
    }
}

impl<T> SyncSender<T> {
    /// Sends a message, and waits until there is room for it, or, with a bound of zero, until it is
    /// taken.
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
    /// The message, if the receiver is gone.
    ///
    /// # Examples
    ///
    /// See [`sync_channel`].
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.inner.send(message).map_err(|error| SendError(error.0))
    }

    /// Sends a message if that takes no wait.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Errors
    ///
    /// The message, if there is no room or if the receiver is gone.
    ///
    /// # Examples
    ///
    /// See [`sync_channel`].
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.inner.try_send(message).map_err(|error| match error {
            channel::TrySendError::Full(message) => TrySendError::Full(message),
            channel::TrySendError::Disconnected(message) => TrySendError::Disconnected(message),
        })
    }
}

impl<T> Receiver<T> {
    fn of(inner: channel::Receiver<T>) -> Self {
        Self { inner, not_sync: PhantomData }
    }

    /// Receives a message if there is one.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`]: there is none, and perhaps all senders are gone.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::mpsc::{self, TryRecvError};
    ///
    /// let (sender, receiver) = mpsc::channel();
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.send(1).unwrap();
    /// assert_eq!(receiver.try_recv(), Ok(1));
    /// drop(sender);
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    /// ```
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.inner.try_recv().map_err(|error| match error {
            channel::TryRecvError::Empty => TryRecvError::Empty,
            channel::TryRecvError::Disconnected => TryRecvError::Disconnected,
        })
    }

    /// Receives the next message, and waits until there is one.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread, while there is none.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. No message is lost.
    ///
    /// # Errors
    ///
    /// [`RecvError`]: there is none, and all senders are gone.
    ///
    /// # Examples
    ///
    /// See [`sync_channel`].
    pub fn recv(&self) -> Result<T, RecvError> {
        self.inner.recv().map_err(|_| RecvError)
    }

    /// Receives the next message, and waits for it for `timeout` at most.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread, while there is none.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. No message is lost.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError`]: none came in time, or all senders are gone.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::mpsc::{self, RecvTimeoutError};
    ///
    /// let (_sender, receiver) = mpsc::channel::<u8>();
    /// let result = receiver.recv_timeout(std::time::Duration::from_millis(1));
    /// assert_eq!(result, Err(RecvTimeoutError::Timeout));
    /// ```
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.inner.recv_timeout(timeout).map_err(|error| match error {
            channel::RecvTimeoutError::Timeout => RecvTimeoutError::Timeout,
            channel::RecvTimeoutError::Disconnected => RecvTimeoutError::Disconnected,
        })
    }

    /// Returns an iterator that waits for each message, and ends when there is none and all senders
    /// are gone.
    ///
    /// # Examples
    ///
    /// See the [module](self).
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
    }

    /// Returns an iterator over the messages that are there. It does not wait.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, receiver) = sedge::sync::mpsc::channel();
    /// sender.send(1).unwrap();
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1]);
    /// ```
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { receiver: self }
    }

    /// The same end as one of [those of this crate](super::channel), for [`select!`](crate::select)
    /// and for futures.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, receiver) = sedge::sync::mpsc::channel();
    /// sender.send(1).unwrap();
    /// sedge::select! {
    ///     recv(receiver.as_channel()) -> message => assert_eq!(message, Ok(1)),
    /// }
    /// ```
    pub fn as_channel(&self) -> &channel::Receiver<T> {
        &self.inner
    }
}

impl<T> Sender<T> {
    /// The same end as one of [those of this crate](super::channel), for [`select!`](crate::select)
    /// and for futures.
    ///
    /// # Examples
    ///
    /// See [`Receiver::as_channel`].
    pub fn as_channel(&self) -> &channel::Sender<T> {
        &self.inner
    }
}

impl<T> SyncSender<T> {
    /// The same end as one of [those of this crate](super::channel), for [`select!`](crate::select)
    /// and for futures.
    ///
    /// # Examples
    ///
    /// See [`Receiver::as_channel`].
    pub fn as_channel(&self) -> &channel::Sender<T> {
        &self.inner
    }
}

/// Waits for each message. Made by [`Receiver::iter`].
///
/// # Examples
///
/// See the [module](self).
#[derive(Debug)]
pub struct Iter<'a, T> {
    receiver: &'a Receiver<T>,
}

/// The messages that are there. Made by [`Receiver::try_iter`].
///
/// # Examples
///
/// See [`Receiver::try_iter`].
#[derive(Debug)]
pub struct TryIter<'a, T> {
    receiver: &'a Receiver<T>,
}

/// As [`Iter`], and owns the receiver.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// let (sender, receiver) = sedge::sync::mpsc::channel();
/// sender.send(1).unwrap();
/// drop(sender);
/// assert_eq!(receiver.into_iter().collect::<Vec<_>>(), [1]);
/// ```
#[derive(Debug)]
pub struct IntoIter<T> {
    receiver: Receiver<T>,
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.try_recv().ok()
    }
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
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

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<T> Clone for SyncSender<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for SyncSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncSender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}
