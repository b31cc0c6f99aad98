//! A channel for one value, from one sender to one receiver.
//!
//! As tokio's, for tasks, threads and futures: an answer to a request, or the result of some work.
//! Both ends are used up: [`Sender::send`] never waits, and [`Receiver::recv`] waits until there is
//! a value, or the sender is gone. The receiver is a future, too.
//!
//! The value is dropped with the receiver if it was not received.
//!
//! # Examples
//!
//! ```
//! # use sedge_runtime as sedge;
//! use sedge::sync::oneshot;
//!
//! sedge::run(|| {
//!     let (sender, receiver) = oneshot::channel();
//!     sedge::spawn(move || sender.send(6 * 7));
//!     assert_eq!(receiver.recv(), Ok(42));
//! });
//! ```

mod cell;
pub mod error;

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::wait::{self, Limit, TimedOut};
use cell::Cell;
use error::{RecvError, RecvTimeoutError, TryRecvError};

/// Makes a channel for one value.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// let (sender, receiver) = sedge::sync::oneshot::channel();
/// sender.send(1).unwrap();
/// assert_eq!(receiver.recv(), Ok(1));
/// ```
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let cell = Arc::new(Cell::new());
    (Sender { cell: Some(cell.clone()) }, Receiver { cell: Some(cell) })
}

/// Sends the one value. Made by [`channel`].
///
/// # Examples
///
/// See [`send`](Self::send).
pub struct Sender<T> {
    /// None once it was used.
    cell: Option<Arc<Cell<T>>>,
}

/// Receives the one value. Made by [`channel`].
///
/// It is a future, for the same as [`recv`](Self::recv).
///
/// # Cancellation
///
/// As a future it may be dropped at any time, with the value if there is one. `&mut Receiver` is a
/// future, too, that is dropped without the channel.
///
/// # Panics
///
/// As a future: if it is polled after it was ready.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// let (sender, receiver) = sedge::sync::oneshot::channel();
/// let sending = std::thread::spawn(move || sender.send("over"));
/// assert_eq!(sedge::task::block_on(receiver), Ok("over"));
/// # sending.join().unwrap().unwrap();
/// ```
#[must_use = "dropping it closes the channel"]
pub struct Receiver<T> {
    /// None once it has received something, or found that nothing will come.
    cell: Option<Arc<Cell<T>>>,
}

// None of the user's code runs in the middle of a change.
impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}
impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

impl<T> Sender<T> {
    /// Sends the value. It never waits, and what is sent need not be received.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Errors
    ///
    /// The value: the receiver is gone, or was [closed](Receiver::close).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::oneshot;
    ///
    /// let (sender, receiver) = oneshot::channel();
    /// assert_eq!(sender.send('a'), Ok(()));
    /// assert_eq!(receiver.recv(), Ok('a'));
    ///
    /// let (sender, receiver) = oneshot::channel();
    /// drop(receiver);
    /// assert_eq!(sender.send('b'), Err('b'));
    /// ```
    pub fn send(mut self, value: T) -> Result<(), T> {
        let cell = self.cell.take().expect("it is used once");
        cell.send(Some(value)).map_err(|value| value.expect("it was given one"))
    }

    /// Returns whether the receiver is gone, or was [closed](Receiver::close).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, receiver) = sedge::sync::oneshot::channel::<()>();
    /// assert!(!sender.is_closed());
    /// drop(receiver);
    /// assert!(sender.is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        self.cell().is_closed()
    }

    /// Waits until the receiver is gone, or is [closed](Receiver::close): nobody wants the value
    /// any more.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread, until then.
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
    ///     let (mut sender, receiver) = sedge::sync::oneshot::channel();
    ///     let waiting = sedge::spawn(move || {
    ///         sender.closed();
    ///         sender.send(1)
    ///     });
    ///     drop(receiver);
    ///     assert_eq!(waiting.join().unwrap(), Err(1));
    /// });
    /// ```
    pub fn closed(&mut self) {
        wait::checkpoint();
        self.cell().closed();
    }

    /// [`closed`](Self::closed), for a future, which may be dropped at any time.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (mut sender, receiver) = sedge::sync::oneshot::channel::<()>();
    /// drop(receiver);
    /// sedge::task::block_on(sender.closed_async());
    /// ```
    pub fn closed_async(&mut self) -> impl Future<Output = ()> {
        std::future::poll_fn(|cx| self.poll_closed(cx))
    }

    /// Returns `Ready` if the receiver is gone, or was [closed](Receiver::close); otherwise
    /// arranges for `cx`'s task to be woken then. The last call counts.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::task::{Context, Poll, Waker};
    ///
    /// let (mut sender, mut receiver) = sedge::sync::oneshot::channel::<()>();
    /// let mut cx = Context::from_waker(Waker::noop());
    /// assert_eq!(sender.poll_closed(&mut cx), Poll::Pending);
    /// receiver.close();
    /// assert_eq!(sender.poll_closed(&mut cx), Poll::Ready(()));
    /// ```
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.cell().poll_closed(cx)
    }

    fn cell(&self) -> &Cell<T> {
        self.cell.as_ref().expect("it was not used yet")
    }
}

impl<T> Receiver<T> {
    /// Receives the value, and waits until there is one.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread, until there is a value or the sender is gone.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. The receiver is dropped then, and the
    /// value with it, if there is one.
    ///
    /// # Errors
    ///
    /// If the sender is gone and has sent nothing, or nothing was there when the receiver was
    /// [closed](Self::close), or the value was received before.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::oneshot;
    ///
    /// let (sender, receiver) = oneshot::channel::<u8>();
    /// drop(sender);
    /// assert_eq!(receiver.recv().unwrap_err().to_string(), "channel closed");
    /// ```
    #[inline]
    pub fn recv(mut self) -> Result<T, RecvError> {
        wait::checkpoint();
        let cell = self.cell.as_ref().ok_or(RecvError(()))?;
        let received = cell.recv(&mut Limit::Never);
        self.cell = None;
        received.ok().flatten().ok_or(RecvError(()))
    }

    /// Receives the value, and waits for `timeout` at most.
    ///
    /// A timeout that ends later than an [`Instant`] can tell has no end.
    ///
    /// # Blocking
    ///
    /// As [`recv`](Self::recv). It looks for the value before it looks at the time.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. The value is not lost.
    ///
    /// # Errors
    ///
    /// [`Timeout`](RecvTimeoutError::Timeout): the receiver can go on to wait. Otherwise
    /// [`Closed`](RecvTimeoutError::Closed), where [`recv`](Self::recv) returns an error, and after
    /// the value was received.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::time::Duration;
    ///
    /// use sedge::sync::oneshot::{self, error::RecvTimeoutError};
    ///
    /// let (sender, mut receiver) = oneshot::channel();
    /// let moment = Duration::from_millis(1);
    /// assert_eq!(receiver.recv_timeout(moment), Err(RecvTimeoutError::Timeout));
    /// sender.send('a').unwrap();
    /// assert_eq!(receiver.recv_timeout(moment), Ok('a'));
    /// assert_eq!(receiver.recv_timeout(moment), Err(RecvTimeoutError::Closed));
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
    /// let (sender, mut receiver) = sedge::sync::oneshot::channel();
    /// assert!(receiver.recv_deadline(Instant::now()).is_err());
    /// sender.send('a').unwrap();
    /// assert_eq!(receiver.recv_deadline(Instant::now()), Ok('a'));
    /// ```
    pub fn recv_deadline(&mut self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.recv_within(Limit::At(deadline))
    }

    /// Receives the value if it is there.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Errors
    ///
    /// [`Empty`](TryRecvError::Empty): nothing was sent yet. Otherwise
    /// [`Closed`](TryRecvError::Closed), where [`recv`](Self::recv) returns an error, and after the
    /// value was received.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::oneshot::{self, error::TryRecvError};
    ///
    /// let (sender, mut receiver) = oneshot::channel();
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.send('a').unwrap();
    /// assert_eq!(receiver.try_recv(), Ok('a'));
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    /// ```
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let received = match &self.cell {
            None => None,
            Some(cell) => cell.try_recv().ok_or(TryRecvError::Empty)?,
        };
        self.cell = None;
        received.ok_or(TryRecvError::Closed)
    }

    /// Closes the channel: the sender can send no more. What it has sent can still be received.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, mut receiver) = sedge::sync::oneshot::channel();
    /// receiver.close();
    /// assert_eq!(sender.send('a'), Err('a'));
    /// assert!(receiver.recv().is_err());
    /// ```
    pub fn close(&mut self) {
        self.cell.iter().for_each(|cell| cell.close());
    }

    /// Returns whether it has received the value, or has found that there will be none: as a future
    /// it would panic.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, mut receiver) = sedge::sync::oneshot::channel();
    /// sender.send('a').unwrap();
    /// assert!(!receiver.is_terminated());
    /// assert_eq!(receiver.try_recv(), Ok('a'));
    /// assert!(receiver.is_terminated());
    /// ```
    pub fn is_terminated(&self) -> bool {
        self.cell.is_none()
    }

    /// Returns whether there is nothing to be received at this instant.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, receiver) = sedge::sync::oneshot::channel();
    /// assert!(receiver.is_empty());
    /// sender.send('a').unwrap();
    /// assert!(!receiver.is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.cell.as_ref().is_none_or(|cell| cell.is_empty())
    }

    fn recv_within(&mut self, mut limit: Limit) -> Result<T, RecvTimeoutError> {
        wait::checkpoint();
        let Some(cell) = &self.cell else { return Err(RecvTimeoutError::Closed) };
        let received = cell.recv(&mut limit).map_err(|TimedOut| RecvTimeoutError::Timeout)?;
        self.cell = None;
        received.ok_or(RecvTimeoutError::Closed)
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let cell = self.cell.as_ref().expect("nothing was received yet");
        cell.poll_recv(cx).map(|received| {
            self.cell = None;
            received.ok_or(RecvError(()))
        })
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if let Some(cell) = self.cell.take() {
            let _closed = cell.send(None);
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if let Some(cell) = self.cell.take() {
            cell.close();
            drop(cell.try_recv());
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("terminated", &self.is_terminated()).finish()
    }
}
