//! Why nothing was received.

use std::{error, fmt};

/// The sender is gone and has sent nothing, or the receiver was closed before.
///
/// # Examples
///
/// See [`Receiver::recv`](super::Receiver::recv).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecvError(pub(super) ());

/// Why nothing was received at once.
///
/// # Examples
///
/// See [`Receiver::try_recv`](super::Receiver::try_recv).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TryRecvError {
    /// Nothing has been sent yet.
    Empty,
    /// Nothing will be received any more.
    Closed,
}

/// Why nothing was received in time.
///
/// # Examples
///
/// See [`Receiver::recv_timeout`](super::Receiver::recv_timeout).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecvTimeoutError {
    /// The time was over first. The receiver can go on to wait.
    Timeout,
    /// Nothing will be received any more.
    Closed,
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("channel closed")
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "channel empty",
            Self::Closed => "channel closed",
        })
    }
}

impl fmt::Display for RecvTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "timed out waiting on channel",
            Self::Closed => "channel closed",
        })
    }
}

impl error::Error for RecvError {}
impl error::Error for TryRecvError {}
impl error::Error for RecvTimeoutError {}
