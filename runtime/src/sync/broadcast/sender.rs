//! The ends that send.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use super::Receiver;
use super::error::SendError;
use super::shared::Shared;
use crate::wait;

/// Sends values to all receivers. Made by [`channel`](super::channel()); clones are senders of the
/// same channel.
///
/// # Examples
///
/// See [`send`](Self::send).
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// A sender that does not keep its channel open. Made by [`Sender::downgrade`].
///
/// # Examples
///
/// See [`Sender::downgrade`].
pub struct WeakSender<T> {
    shared: Arc<Shared<T>>,
}

// None of the user's code runs in the middle of a change.
impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}
impl<T> UnwindSafe for WeakSender<T> {}
impl<T> RefUnwindSafe for WeakSender<T> {}

impl<T> Sender<T> {
    /// Makes a channel without a receiver. As [`channel`](super::channel()) otherwise.
    ///
    /// # Panics
    ///
    /// If `capacity` is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let events = sedge::sync::broadcast::Sender::new(16);
    /// assert!(events.send(1).is_err(), "nobody listens");
    /// let mut listener = events.subscribe();
    /// events.send(2).unwrap();
    /// assert_eq!(listener.recv(), Ok(2));
    /// ```
    #[track_caller]
    pub fn new(capacity: usize) -> Self {
        Self { shared: super::shared(capacity) }
    }

    /// Sends a value to all receivers that are there. Returns how many these are.
    ///
    /// They may be dropped before they receive it. If the channel is full, the oldest value makes
    /// room, and who has not received it yet has missed it.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Errors
    ///
    /// The value: there is no receiver. Later there may be one: see [`subscribe`](Self::subscribe).
    ///
    /// # Panics
    ///
    /// With the panic of the destructor of the value that makes room; the new one is sent.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::broadcast::{self, error::SendError};
    ///
    /// let (sender, mut receiver) = broadcast::channel(16);
    /// let mut other = sender.subscribe();
    /// assert_eq!(sender.send('a'), Ok(2));
    /// assert_eq!((receiver.recv(), other.recv()), (Ok('a'), Ok('a')));
    /// drop((receiver, other));
    /// assert_eq!(sender.send('b'), Err(SendError('b')));
    /// ```
    pub fn send(&self, value: T) -> Result<usize, SendError<T>> {
        let unsent = |value| SendError(Arc::into_inner(value).expect("it went nowhere"));
        self.shared.send(Arc::new(value)).map_err(unsent)
    }

    /// Makes a receiver of the values that are sent from now on.
    ///
    /// # Examples
    ///
    /// See [`send`](Self::send).
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver::new(self.shared.clone())
    }

    /// Makes a sender that does not keep the channel open.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::broadcast::{self, error::RecvError};
    ///
    /// let (sender, mut receiver) = broadcast::channel(16);
    /// let weak = sender.downgrade();
    /// weak.upgrade().unwrap().send('a').unwrap();
    /// drop(sender);
    /// assert!(weak.upgrade().is_none());
    /// assert_eq!(receiver.recv(), Ok('a'));
    /// assert_eq!(receiver.recv(), Err(RecvError::Closed));
    /// ```
    #[must_use = "it does nothing by itself"]
    pub fn downgrade(&self) -> WeakSender<T> {
        self.shared.lock().weak_senders += 1;
        WeakSender { shared: self.shared.clone() }
    }

    /// Returns how many values wait to be received by somebody.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, mut receiver) = sedge::sync::broadcast::channel(16);
    /// let other = sender.subscribe();
    /// sender.send('a').unwrap();
    /// sender.send('b').unwrap();
    /// receiver.recv().unwrap();
    /// assert_eq!(sender.len(), 2);
    /// drop(other);
    /// assert_eq!(sender.len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.shared.lock().ring.len()
    }

    /// Returns whether all values have been received by all.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, mut receiver) = sedge::sync::broadcast::channel(16);
    /// sender.send('a').unwrap();
    /// assert!(!sender.is_empty());
    /// receiver.recv().unwrap();
    /// assert!(sender.is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many receivers there are.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, receiver) = sedge::sync::broadcast::channel::<u8>(16);
    /// assert_eq!(sender.receiver_count(), 1);
    /// drop(receiver);
    /// assert_eq!(sender.receiver_count(), 0);
    /// ```
    pub fn receiver_count(&self) -> usize {
        self.shared.lock().ring.receivers()
    }

    /// Returns whether both are senders of one channel.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, _receiver) = sedge::sync::broadcast::channel::<u8>(16);
    /// let (other, _receiver) = sedge::sync::broadcast::channel::<u8>(16);
    /// assert!(sender.same_channel(&sender.clone()) && !sender.same_channel(&other));
    /// ```
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
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
    ///     let (sender, receiver) = sedge::sync::broadcast::channel::<u8>(16);
    ///     let waiting = sedge::spawn(move || sender.closed());
    ///     drop(receiver);
    ///     waiting.join().unwrap();
    /// });
    /// ```
    pub fn closed(&self) {
        wait::checkpoint();
        self.shared.closed();
    }

    /// [`closed`](Self::closed), for a future, which is `Unpin` and may be dropped at any time.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let sender = sedge::sync::broadcast::Sender::<u8>::new(16);
    /// sedge::task::block_on(sender.closed_async());
    /// ```
    pub fn closed_async(&self) -> impl Future<Output = ()> {
        let mut place = None;
        std::future::poll_fn(move |cx| self.shared.poll_closed(&mut place, cx))
    }

    /// Returns how many senders there are.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let sender = sedge::sync::broadcast::Sender::<u8>::new(16);
    /// let (_second, _weak) = (sender.clone(), sender.downgrade());
    /// assert_eq!((sender.strong_count(), sender.weak_count()), (2, 1));
    /// ```
    pub fn strong_count(&self) -> usize {
        self.shared.lock().senders
    }

    /// Returns how many [`WeakSender`]s there are.
    ///
    /// # Examples
    ///
    /// See [`strong_count`](Self::strong_count).
    pub fn weak_count(&self) -> usize {
        self.shared.lock().weak_senders
    }
}

impl<T> WeakSender<T> {
    /// Makes a sender, unless the last one was dropped.
    ///
    /// # Examples
    ///
    /// See [`Sender::downgrade`].
    #[must_use = "it does nothing by itself"]
    pub fn upgrade(&self) -> Option<Sender<T>> {
        let mut state = self.shared.lock();
        if state.senders == 0 {
            return None;
        }
        state.senders += 1;
        Some(Sender { shared: self.shared.clone() })
    }

    /// Returns how many senders there are.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let sender = sedge::sync::broadcast::Sender::<u8>::new(16);
    /// let weak = sender.downgrade();
    /// drop(sender);
    /// assert_eq!((weak.strong_count(), weak.weak_count()), (0, 1));
    /// ```
    pub fn strong_count(&self) -> usize {
        self.shared.lock().senders
    }

    /// Returns how many [`WeakSender`]s there are.
    ///
    /// # Examples
    ///
    /// See [`strong_count`](Self::strong_count).
    pub fn weak_count(&self) -> usize {
        self.shared.lock().weak_senders
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.lock().senders += 1;
        Self { shared: self.shared.clone() }
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        self.shared.lock().weak_senders += 1;
        Self { shared: self.shared.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.leave_as_sender();
    }
}

impl<T> Drop for WeakSender<T> {
    fn drop(&mut self) {
        self.shared.lock().weak_senders -= 1;
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for WeakSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakSender").finish_non_exhaustive()
    }
}
