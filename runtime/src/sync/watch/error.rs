//! Why nothing was sent, and why nothing will change.

use std::{error, fmt};

/// There is no receiver. Has the value.
///
/// # Examples
///
/// See [`Sender::send`](super::Sender::send).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

/// No sender is left, so that nothing will change.
///
/// # Examples
///
/// See [`Receiver::changed`](super::Receiver::changed).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecvError(pub(super) ());

/// Why nothing has changed in time.
///
/// # Examples
///
/// See [`Receiver::changed_timeout`](super::Receiver::changed_timeout).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecvTimeoutError {
    /// The time was over first.
    Timeout,
    /// No sender is left.
    Closed,
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError").finish_non_exhaustive()
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("channel closed")
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("channel closed")
    }
}

impl fmt::Display for RecvTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "timed out waiting for a change",
            Self::Closed => "channel closed",
        })
    }
}

impl<T> error::Error for SendError<T> {}
impl error::Error for RecvError {}
impl error::Error for RecvTimeoutError {}
