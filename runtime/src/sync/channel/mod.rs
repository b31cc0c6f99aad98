//! Channels of many senders and many receivers, with the interface of crossbeam-channel, for tasks.
//!
//! A channel has a capacity: [`bounded`] makes one that holds so many messages, and a sender waits
//! for room; with a capacity of zero a message goes from hand to hand, when a sender and a receiver
//! meet; [`unbounded`] makes one whose senders never wait. [`after`], [`at`], [`tick`] and
//! [`never`](never()) make receivers without a sender, for [`select!`](crate::select) above all.
//!
//! Both ends can be cloned and shared, among tasks, plain threads and futures. Messages of one
//! sender arrive in the order in which they were sent. When all senders are gone the messages that
//! are left can be received, and after them an error; when all receivers are gone the messages that
//! are left are dropped, and sending is an error. Each message is received, or dropped, once.
//!
//! Those who wait are served first come, first served, as a rule: one who comes just when a message
//! does may be faster than one who was woken for it, and that one then is the first again.
//!
//! # Blocking
//!
//! What waits parks its task; a plain thread blocks.
//!
//! # Cancellation
//!
//! A call that may wait is a cancellation point, at entry and while it waits. A message is neither
//! lost nor taken by one that ends so, but for the message that a cancelled `send` was given, which
//! is dropped. In mid-unwind calls wait, as those of locks do.
//!
//! # Examples
//!
//! ```
//! # use sedge_runtime as sedge;
//! use sedge::sync::channel;
//!
//! sedge::run(|| {
//!     let (sender, receiver) = channel::bounded(2);
//!     for worker in 0..3 {
//!         let sender = sender.clone();
//!         sedge::spawn(move || (0..4).try_for_each(|n| sender.send(10 * worker + n)));
//!     }
//!     drop(sender); // The receiver ends when the last sender is gone.
//!     assert_eq!(receiver.iter().sum::<i32>(), 3 * 6 + 4 * (10 + 20));
//! });
//! ```

mod buffered;
mod clock;
mod err;
mod flavor;
mod future;
mod iter;
mod receiver;
mod select;
mod sender;
mod waiters;
mod zero;

#[cfg(all(test, sedge_loom))]
mod model;

use std::time::{Duration, Instant};

pub use err::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
};
pub use future::{RecvFuture, SendFuture};
pub use iter::{IntoIter, Iter, TryIter};
pub use receiver::Receiver;
pub use sender::Sender;

pub use super::select::{
    ReadyTimeoutError, Select, SelectTimeoutError, SelectedOperation, TryReadyError, TrySelectError,
};

pub(crate) use flavor::Token;

use flavor::{Flavor, Shared};

/// Makes a channel without a bound.
///
/// Its memory grows with the messages in it: prefer [`bounded`] where senders may be faster than
/// receivers.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// let (sender, receiver) = sedge::sync::channel::unbounded();
/// (0..1000).for_each(|n| sender.send(n).unwrap());
/// assert_eq!(receiver.len(), 1000);
/// assert_eq!(receiver.recv(), Ok(0));
/// ```
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    Shared::channel(Flavor::unbounded())
}

/// Makes a channel for `capacity` messages.
///
/// With a capacity of zero a message is handed over when a sender and a receiver meet: `send`
/// returns once the message is taken.
///
/// # Panics
///
/// If the memory for so many messages is more than an allocation may have.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::sync::channel::{self, TrySendError};
///
/// sedge::run(|| {
///     let (sender, receiver) = channel::bounded(1);
///     sender.send("first").unwrap();
///     assert_eq!(sender.try_send("second"), Err(TrySendError::Full("second")));
///
///     let (question, questions) = channel::bounded(0);
///     sedge::spawn(move || question.send("who is there?"));
///     assert_eq!(questions.recv(), Ok("who is there?"));
///     assert_eq!(receiver.recv(), Ok("first"));
/// });
/// ```
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    Shared::channel(Flavor::bounded(capacity))
}

/// Makes a receiver that gets one message, the time at which it was due, after `duration`, and then
/// none: it is not disconnected. For a duration that ends later than an [`Instant`] can tell it
/// gets none at all.
///
/// Of several clones one gets the message.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::time::Duration;
///
/// use sedge::sync::channel;
///
/// let (_sender, receiver) = channel::unbounded::<u8>();
/// sedge::select! {
///     recv(receiver) -> message => panic!("{message:?}"),
///     recv(channel::after(Duration::from_millis(2))) -> _ => println!("nothing came"),
/// }
/// ```
pub fn after(duration: Duration) -> Receiver<Instant> {
    Receiver::of(Flavor::clock(clock::Channel::at(crate::clock::after(duration))))
}

/// Makes a receiver that gets one message, `when`, at that time: as [`after`].
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::time::Duration;
///
/// let when = sedge::time::now() + Duration::from_millis(2);
/// assert_eq!(sedge::sync::channel::at(when).recv(), Ok(when));
/// ```
pub fn at(when: Instant) -> Receiver<Instant> {
    Receiver::of(Flavor::clock(clock::Channel::at(Some(when))))
}

/// Makes a receiver that gets a message each `period`, the time at which it was due. Where nobody
/// takes it in time, the messages meanwhile are left out, and the next is due a period after this
/// one was taken.
///
/// Of several clones one gets each message.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::time::Duration;
///
/// let start = sedge::time::now();
/// let ticks = sedge::sync::channel::tick(Duration::from_millis(1));
/// assert_eq!(ticks.iter().take(3).count(), 3);
/// assert!(start.elapsed() >= Duration::from_millis(3));
/// ```
pub fn tick(period: Duration) -> Receiver<Instant> {
    Receiver::of(Flavor::clock(clock::Channel::tick(period)))
}

/// Makes a receiver that never gets a message and is never disconnected: for a case of
/// [`select!`](crate::select) that is not wanted.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::time::Duration;
///
/// use sedge::sync::channel;
///
/// let limit: Option<Duration> = None;
/// let late = limit.map_or_else(channel::never, channel::after);
/// assert!(late.try_recv().unwrap_err().is_empty());
/// ```
pub fn never<T>() -> Receiver<T> {
    Receiver::of(Flavor::Never)
}
