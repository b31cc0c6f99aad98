//! The ends that receive.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::{RecvError, RecvTimeoutError, TryRecvError};
use super::shared::Shared;
use crate::wait::{self, Limit};

/// Receives every value that is sent while it is there. Made by [`channel`](super::channel()) and
/// [`Sender::subscribe`](super::Sender::subscribe).
///
/// # Examples
///
/// See [`recv`](Self::recv).
#[must_use = "it receives nothing by itself, and keeps what is sent"]
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The number of the next value.
    next: u64,
}

// None of the user's code runs in the middle of a change.
impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

impl<T> Receiver<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Self {
        let next = shared.lock().ring.enter();
        Self { shared, next }
    }

    /// Returns how many values were sent that it has not received. It may have missed some of them
    /// already.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, mut receiver) = sedge::sync::broadcast::channel(16);
    /// sender.send('a').unwrap();
    /// sender.send('b').unwrap();
    /// assert_eq!(receiver.len(), 2);
    /// receiver.recv().unwrap();
    /// assert_eq!(receiver.len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.shared.lock().ring.sent_since(self.next) as usize
    }

    /// Returns whether it has received all that was sent.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, receiver) = sedge::sync::broadcast::channel(16);
    /// assert!(receiver.is_empty());
    /// sender.send('a').unwrap();
    /// assert!(!receiver.is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether both are receivers of one channel.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, receiver) = sedge::sync::broadcast::channel::<u8>(16);
    /// assert!(receiver.same_channel(&sender.subscribe()));
    /// ```
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Returns how many senders there are.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, receiver) = sedge::sync::broadcast::channel::<u8>(16);
    /// let (_second, _weak) = (sender.clone(), sender.downgrade());
    /// assert_eq!((receiver.sender_strong_count(), receiver.sender_weak_count()), (2, 1));
    /// ```
    pub fn sender_strong_count(&self) -> usize {
        self.shared.lock().senders
    }

    /// Returns how many [`WeakSender`](super::WeakSender)s there are.
    ///
    /// # Examples
    ///
    /// See [`sender_strong_count`](Self::sender_strong_count).
    pub fn sender_weak_count(&self) -> usize {
        self.shared.lock().weak_senders
    }

    /// Returns whether no sender is left. There may still be something to receive.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, mut receiver) = sedge::sync::broadcast::channel(16);
    /// sender.send('a').unwrap();
    /// drop(sender);
    /// assert!(receiver.is_closed());
    /// assert_eq!(receiver.recv(), Ok('a'));
    /// ```
    pub fn is_closed(&self) -> bool {
        self.sender_strong_count() == 0
    }

    /// Makes a receiver of the values that are sent from now on, and not of those that this one has
    /// yet to receive.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, mut receiver) = sedge::sync::broadcast::channel(16);
    /// sender.send('a').unwrap();
    /// let mut later = receiver.resubscribe();
    /// sender.send('b').unwrap();
    /// assert_eq!((receiver.recv(), later.recv()), (Ok('a'), Ok('b')));
    /// ```
    pub fn resubscribe(&self) -> Self {
        Self::new(self.shared.clone())
    }
}

impl<T: Clone> Receiver<T> {
    /// Receives the next value, and waits until there is one.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread, if all that was sent has been received.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. Nothing is lost.
    ///
    /// # Errors
    ///
    /// [`Closed`](RecvError::Closed): all has been received, and no sender is left; and
    /// [`Lagged`](RecvError::Lagged), which says how many values it has missed: the next call goes
    /// on with the oldest that is left.
    ///
    /// # Panics
    ///
    /// With the panic of the value's `clone`: it is not received again.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::broadcast::{self, error::RecvError};
    ///
    /// let (sender, mut receiver) = broadcast::channel(1);
    /// sender.send('a').unwrap();
    /// sender.send('b').unwrap();
    /// drop(sender);
    /// assert_eq!(receiver.recv(), Err(RecvError::Lagged(1)));
    /// assert_eq!(receiver.recv(), Ok('b'));
    /// assert_eq!(receiver.recv(), Err(RecvError::Closed));
    /// ```
    pub fn recv(&mut self) -> Result<T, RecvError> {
        wait::checkpoint();
        match self.shared.recv(&mut self.next, &mut Limit::Never) {
            Ok(value) => Ok(Arc::unwrap_or_clone(value)),
            Err(RecvTimeoutError::Lagged(missed)) => Err(RecvError::Lagged(missed)),
            Err(_) => Err(RecvError::Closed),
        }
    }

    /// Receives the next value, and waits for `timeout` at most.
    ///
    /// A timeout that ends later than an [`Instant`] can tell has no end.
    ///
    /// # Blocking
    ///
    /// As [`recv`](Self::recv). It looks for a value before it looks at the time.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. Nothing is lost.
    ///
    /// # Errors
    ///
    /// [`Timeout`](RecvTimeoutError::Timeout), or those of [`recv`](Self::recv).
    ///
    /// # Panics
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::time::Duration;
    ///
    /// use sedge::sync::broadcast::{self, error::RecvTimeoutError};
    ///
    /// let (sender, mut receiver) = broadcast::channel(16);
    /// let moment = Duration::from_millis(1);
    /// assert_eq!(receiver.recv_timeout(moment), Err(RecvTimeoutError::Timeout));
    /// sender.send('a').unwrap();
    /// assert_eq!(receiver.recv_timeout(moment), Ok('a'));
    /// ```
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_within(Limit::After(timeout))
    }

    /// [`recv_timeout`](Self::recv_timeout), until `deadline` at most.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::time::Instant;
    ///
    /// let (sender, mut receiver) = sedge::sync::broadcast::channel(16);
    /// assert!(receiver.recv_deadline(Instant::now()).is_err());
    /// sender.send('a').unwrap();
    /// assert_eq!(receiver.recv_deadline(Instant::now()), Ok('a'));
    /// ```
    pub fn recv_deadline(&mut self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.recv_within(Limit::At(deadline))
    }

    /// Receives the next value if it is there.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Errors
    ///
    /// [`Empty`](TryRecvError::Empty), or those of [`recv`](Self::recv).
    ///
    /// # Panics
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::broadcast::{self, error::TryRecvError};
    ///
    /// let (sender, mut receiver) = broadcast::channel(16);
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.send('a').unwrap();
    /// assert_eq!(receiver.try_recv(), Ok('a'));
    /// ```
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.shared.try_recv(&mut self.next).map(Arc::unwrap_or_clone)
    }

    /// [`recv`](Self::recv), for a future, which is `Unpin`.
    ///
    /// # Cancellation
    ///
    /// It may be dropped at any time: nothing is lost.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, mut receiver) = sedge::sync::broadcast::channel(16);
    /// sender.send('a').unwrap();
    /// assert_eq!(sedge::task::block_on(receiver.recv_async()), Ok('a'));
    /// ```
    pub fn recv_async(&mut self) -> impl Future<Output = Result<T, RecvError>> {
        let (shared, next): (&Shared<T>, _) = (&self.shared, &mut self.next);
        let mut place = None;
        std::future::poll_fn(move |cx| {
            shared.poll_recv(next, &mut place, cx).map(|received| match received {
                Ok(value) => Ok(Arc::unwrap_or_clone(value)),
                Err(TryRecvError::Lagged(missed)) => Err(RecvError::Lagged(missed)),
                Err(_) => Err(RecvError::Closed),
            })
        })
    }

    fn recv_within(&mut self, mut limit: Limit) -> Result<T, RecvTimeoutError> {
        wait::checkpoint();
        self.shared.recv(&mut self.next, &mut limit).map(Arc::unwrap_or_clone)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.leave_as_receiver(self.next);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}
