//! A channel on which every receiver receives every value.
//!
//! As tokio's, for tasks, threads and futures. Values are kept until all receivers that were there
//! when they were sent have received them, but no more than the channel's capacity: then the oldest
//! makes room. So sending never waits, and a slow receiver holds up nobody; it is told how many
//! values it [has missed](error::RecvError::Lagged), and goes on with the oldest that is left.
//!
//! Each receiver receives a clone, the last one the value itself. Several may be cloning one value
//! at a time, so it has to be [`Sync`] to go to other threads. Where values are large, send an
//! [`Arc`].
//!
//! # Examples
//!
//! ```
//! # use sedge_runtime as sedge;
//! use sedge::sync::broadcast::{self, error::RecvError};
//!
//! sedge::run(|| {
//!     let (sender, mut receiver) = broadcast::channel(16);
//!     let mut other = sender.subscribe();
//!     let other = sedge::spawn(move || [other.recv(), other.recv(), other.recv()]);
//!     sender.send('a').unwrap();
//!     sender.send('b').unwrap();
//!     drop(sender);
//!     let expected = [Ok('a'), Ok('b'), Err(RecvError::Closed)];
//!     assert_eq!([receiver.recv(), receiver.recv(), receiver.recv()], expected);
//!     assert_eq!(other.join().unwrap(), expected);
//! });
//! ```
//!
//! A receiver that lags:
//!
//! ```
//! # use sedge_runtime as sedge;
//! use sedge::sync::broadcast::{self, error::RecvError};
//!
//! let (sender, mut receiver) = broadcast::channel(2);
//! for n in 1..=5 {
//!     sender.send(n).unwrap();
//! }
//! assert_eq!(receiver.recv(), Err(RecvError::Lagged(3)));
//! assert_eq!(receiver.recv(), Ok(4));
//! assert_eq!(receiver.recv(), Ok(5));
//! ```

pub mod error;
mod receiver;
mod ring;
mod sender;
mod shared;

use std::sync::Arc;

pub use receiver::Receiver;
pub use sender::{Sender, WeakSender};

use shared::Shared;

/// Makes a channel that keeps `capacity` values for slow receivers. That is exact, where tokio
/// takes the next power of two; memory is taken as it is needed.
///
/// # Panics
///
/// If `capacity` is zero.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// let (sender, mut receiver) = sedge::sync::broadcast::channel(1);
/// sender.send("hello").unwrap();
/// assert_eq!(receiver.recv(), Ok("hello"));
/// ```
#[track_caller]
pub fn channel<T: Clone>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(capacity);
    let receiver = sender.subscribe();
    (sender, receiver)
}

#[track_caller]
fn shared<T>(capacity: usize) -> Arc<Shared<T>> {
    assert!(capacity > 0, "a broadcast channel has a capacity of one at least");
    Arc::new(Shared::new(capacity))
}
