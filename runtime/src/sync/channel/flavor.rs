//! What the ends of a channel share: the counts of them, and the channel of one kind or another.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::buffered::{self, Blocks, Buffer, Ring};
use super::err::{RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError};
use super::{Receiver, Sender, clock, zero};
use crate::primitive::{AtomicUsize, Ordering};
use crate::wait::{self, Limit};

/// What the ends share.
///
/// A count is changed with Relaxed where it grows, as the end that is cloned keeps it from zero,
/// and AcqRel where it falls: who takes it to zero has seen all that the others did.
#[derive(Debug)]
pub(super) struct Shared<T> {
    pub(super) senders: AtomicUsize,
    pub(super) receivers: AtomicUsize,
    pub(super) flavor: Flavor<T>,
}

/// A channel of one kind or another.
pub(super) enum Flavor<T> {
    /// Boxed, as is the next: they are much larger than the others.
    Bounded(Box<buffered::Channel<T, Ring<T>>>),
    Unbounded(Box<buffered::Channel<T, Blocks<T>>>),
    Zero(zero::Channel<T>),
    /// And what makes a message of a time.
    Clock(clock::Channel, fn(Instant) -> T),
    Never,
}

/// What a selection that has chosen a channel has in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// Nothing: the other side is gone.
    Disconnected,
    /// A slot of the buffer, to send into.
    Reserved,
    /// What the channel keeps for it under this key.
    Pending(usize),
}

impl<T> Shared<T> {
    pub(super) fn new(flavor: Flavor<T>) -> Arc<Self> {
        let one = || AtomicUsize::new(1);
        Arc::new(Self { senders: one(), receivers: one(), flavor })
    }

    pub(super) fn channel(flavor: Flavor<T>) -> (Sender<T>, Receiver<T>) {
        let shared = Self::new(flavor);
        (Sender { shared: shared.clone() }, Receiver { shared })
    }
}

/// One more of an end.
pub(super) fn add(count: &AtomicUsize) {
    if count.fetch_add(1, Ordering::Relaxed) > isize::MAX as usize {
        // Clones are leaked in a loop, and the count is about to overflow.
        std::process::abort();
    }
}

/// One less. Returns whether it was the last.
pub(super) fn is_last(count: &AtomicUsize) -> bool {
    count.fetch_sub(1, Ordering::AcqRel) == 1
}

impl<T> Flavor<T> {
    pub(super) fn unbounded() -> Self {
        Self::Unbounded(Box::new(buffered::Channel::new(Blocks::new())))
    }

    pub(super) fn bounded(capacity: usize) -> Self {
        match capacity {
            0 => Self::Zero(zero::Channel::new()),
            _ => Self::Bounded(Box::new(buffered::Channel::new(Ring::new(capacity)))),
        }
    }

    #[inline]
    pub(super) fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        match self {
            Self::Bounded(channel) => channel.try_send(message),
            Self::Unbounded(channel) => channel.try_send(message),
            Self::Zero(channel) => channel.try_send(message),
            Self::Clock(..) | Self::Never => unreachable!("it has no sender"),
        }
    }

    #[inline]
    pub(super) fn send(&self, message: T, mut limit: Limit) -> Result<(), SendTimeoutError<T>> {
        match self {
            Self::Bounded(channel) => channel.send(message, &mut limit),
            Self::Unbounded(channel) => channel.send(message, &mut limit),
            Self::Zero(channel) => channel.send(message, &mut limit),
            Self::Clock(..) | Self::Never => unreachable!("it has no sender"),
        }
    }

    #[inline]
    pub(super) fn try_recv(&self) -> Result<T, TryRecvError> {
        match self {
            Self::Bounded(channel) => channel.try_recv(),
            Self::Unbounded(channel) => channel.try_recv(),
            Self::Zero(channel) => channel.try_recv(),
            Self::Clock(channel, message) => channel.try_recv().map(message),
            Self::Never => Err(TryRecvError::Empty),
        }
    }

    #[inline]
    pub(super) fn recv(&self, mut limit: Limit) -> Result<T, RecvTimeoutError> {
        match self {
            Self::Bounded(channel) => channel.recv(&mut limit),
            Self::Unbounded(channel) => channel.recv(&mut limit),
            Self::Zero(channel) => channel.recv(&mut limit),
            Self::Clock(channel, message) => channel.recv(&mut limit).map(message),
            Self::Never => recv_never(limit),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Bounded(channel) => channel.buffer.len(),
            Self::Unbounded(channel) => channel.buffer.len(),
            Self::Clock(channel, _) => usize::from(channel.is_ready()),
            Self::Zero(_) | Self::Never => 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Bounded(channel) => channel.buffer.is_empty(),
            Self::Unbounded(channel) => channel.buffer.is_empty(),
            Self::Zero(_) | Self::Clock(..) | Self::Never => self.len() == 0,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        match self {
            Self::Bounded(channel) => channel.buffer.is_full(),
            Self::Zero(_) | Self::Never => true,
            Self::Unbounded(_) => false,
            Self::Clock(..) => self.len() == 1,
        }
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        match self {
            Self::Bounded(channel) => Some(channel.buffer.capacity()),
            Self::Unbounded(_) => None,
            Self::Zero(_) | Self::Never => Some(0),
            Self::Clock(..) => Some(1),
        }
    }

    /// The last sender has gone.
    pub(super) fn disconnect_senders(&self) {
        match self {
            Self::Bounded(channel) => channel.disconnect_senders(),
            Self::Unbounded(channel) => channel.disconnect_senders(),
            Self::Zero(channel) => channel.disconnect(),
            Self::Clock(..) | Self::Never => {}
        }
    }

    /// The last receiver has gone.
    pub(super) fn disconnect_receivers(&self) {
        match self {
            Self::Bounded(channel) => channel.disconnect_receivers(),
            Self::Unbounded(channel) => channel.disconnect_receivers(),
            Self::Zero(channel) => channel.disconnect(),
            Self::Clock(..) | Self::Never => {}
        }
    }
}

impl Flavor<Instant> {
    pub(super) fn clock(channel: clock::Channel) -> Self {
        Self::Clock(channel, |time| time)
    }
}

fn recv_never<T>(limit: Limit) -> Result<T, RecvTimeoutError> {
    let deadline = limit.deadline();
    while !wait::park(deadline) {}
    Err(RecvTimeoutError::Timeout)
}

impl<T> fmt::Debug for Flavor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bounded(_) => f.write_str("Bounded"),
            Self::Unbounded(_) => f.write_str("Unbounded"),
            Self::Zero(_) => f.write_str("Zero"),
            Self::Clock(..) => f.write_str("Clock"),
            Self::Never => f.write_str("Never"),
        }
    }
}
