//! Why nothing was sent, or received.

use std::{error, fmt};

/// There is no receiver. Has the value.
///
/// # Examples
///
/// See [`Sender::send`](super::Sender::send).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

/// Why nothing was received.
///
/// # Examples
///
/// See [`Receiver::recv`](super::Receiver::recv).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecvError {
    /// All has been received, and no sender is left.
    Closed,
    /// The receiver was too slow, and this many values were dropped before it received them. The
    /// next call goes on with the oldest that is left.
    Lagged(u64),
}

/// Why nothing was received at once.
///
/// # Examples
///
/// See [`Receiver::try_recv`](super::Receiver::try_recv).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TryRecvError {
    /// All has been received so far.
    Empty,
    /// All has been received, and no sender is left.
    Closed,
    /// As [`RecvError::Lagged`].
    Lagged(u64),
}

/// Why nothing was received in time.
///
/// # Examples
///
/// See [`Receiver::recv_timeout`](super::Receiver::recv_timeout).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecvTimeoutError {
    /// The time was over first.
    Timeout,
    /// All has been received, and no sender is left.
    Closed,
    /// As [`RecvError::Lagged`].
    Lagged(u64),
}

const CLOSED: &str = "channel closed";

fn lagged(f: &mut fmt::Formatter<'_>, missed: u64) -> fmt::Result {
    write!(f, "channel lagged by {missed}")
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(CLOSED)
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str(CLOSED),
            Self::Lagged(missed) => lagged(f, *missed),
        }
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("channel empty"),
            Self::Closed => f.write_str(CLOSED),
            Self::Lagged(missed) => lagged(f, *missed),
        }
    }
}

impl fmt::Display for RecvTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("timed out waiting on channel"),
            Self::Closed => f.write_str(CLOSED),
            Self::Lagged(missed) => lagged(f, *missed),
        }
    }
}

impl<T: fmt::Debug> error::Error for SendError<T> {}
impl error::Error for RecvError {}
impl error::Error for TryRecvError {}
impl error::Error for RecvTimeoutError {}
