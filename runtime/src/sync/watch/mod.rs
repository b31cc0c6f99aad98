//! A channel that holds one value, and tells its receivers when it has changed.
//!
//! As tokio's, for tasks, threads and futures: for a configuration, a state, the latest price. The
//! receivers see the last value only, not each that was sent; a channel in which none is missed is
//! [`broadcast`](super::broadcast).
//!
//! # The value's lock
//!
//! [`borrow`](Receiver::borrow) lends the value: no sender changes it while a [`Ref`] is there, and
//! a sender that would waits. A `Ref` may be held over a wait, but who holds it keeps all senders
//! waiting. A task that borrows a second time while it has a `Ref` may wait forever: for a sender
//! that came in between, and waits for that `Ref`.
//!
//! # Examples
//!
//! ```
//! # use sedge_runtime as sedge;
//! use sedge::sync::watch;
//!
//! sedge::run(|| {
//!     let (sender, mut receiver) = watch::channel("starting");
//!     let watching = sedge::spawn(move || {
//!         let mut seen = Vec::new();
//!         while receiver.changed().is_ok() {
//!             seen.push(*receiver.borrow_and_update());
//!         }
//!         seen
//!     });
//!     sender.send("running").unwrap();
//!     sender.send("stopping").unwrap();
//!     drop(sender);
//!     assert_eq!(watching.join().unwrap().last(), Some(&"stopping"));
//! });
//! ```

pub mod error;
mod receiver;
mod sender;
mod shared;

use std::fmt;
use std::ops::Deref;

pub use receiver::Receiver;
pub use sender::Sender;

use shared::ReadGuard;

/// Makes a channel that holds `init`, which the receiver has seen.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// let (sender, receiver) = sedge::sync::watch::channel(1);
/// assert_eq!(*receiver.borrow(), 1);
/// sender.send(2).unwrap();
/// assert_eq!(*receiver.borrow(), 2);
/// ```
pub fn channel<T>(init: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(init);
    let receiver = sender.subscribe();
    (sender, receiver)
}

/// The value of a channel, which does not change as long as this is there.
///
/// # Examples
///
/// See [`Receiver::borrow`].
#[must_use = "it keeps the value from being changed"]
pub struct Ref<'a, T> {
    value: ReadGuard<'a, T>,
    has_changed: bool,
}

impl<T> Ref<'_, T> {
    /// Returns whether the receiver had not seen this value. Of a sender's, it is false.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let (sender, mut receiver) = sedge::sync::watch::channel(1);
    /// sender.send(2).unwrap();
    /// assert!(receiver.borrow_and_update().has_changed());
    /// assert!(!receiver.borrow_and_update().has_changed());
    /// assert!(!sender.borrow().has_changed());
    /// ```
    pub fn has_changed(&self) -> bool {
        self.has_changed
    }
}

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Ref<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ref")
            .field("value", &**self)
            .field("has_changed", &self.has_changed)
            .finish()
    }
}
