//! Channels with a buffer: a queue without locks, and who waits at either end.
//!
//! The queues are crossbeam's: a ring where there is a capacity, a list of blocks where there is
//! none.
//!
//! # Disconnecting
//!
//! `is_disconnected` is set when the last sender, or the last receiver, has gone. Senders push and
//! then look at it, and the last receiver sets it and then empties the buffer, with fences between:
//! so what is sent into the void is dropped by one or the other. Receivers look at it and then once
//! more at the buffer: what the last sender had sent before is received.

use slab::Slab;

use super::Token;
use super::err::{RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError};
use super::waiters::Waiters;
use crate::primitive::{
    ArrayQueue, AtomicBool, AtomicUsize, CachePadded, Mutex, Ordering, SegQueue, fence,
};
use crate::wait::{Limit, TimedOut};

/// A queue that many push to and many pop from, and how many messages it has room for.
pub(super) trait Buffer<T> {
    /// Takes one slot of those that are free. Who has one may push.
    fn reserve(&self) -> bool;
    /// Gives a slot back. Returns whether anyone may have waited for it.
    fn release(&self) -> bool;
    fn push(&self, message: T);
    /// A slot is to be given back afterwards.
    fn pop(&self) -> Option<T>;
    fn len(&self) -> usize;
    fn is_empty(&self) -> bool;
    fn is_full(&self) -> bool;
}

/// A ring with a count of the slots that are free.
#[derive(Debug)]
pub(super) struct Ring<T> {
    queue: ArrayQueue<T>,
    /// Changed with AcqRel: who takes a slot comes after the pop that has freed it.
    free: CachePadded<AtomicUsize>,
}

/// A list of blocks, in which there is always a slot.
#[derive(Debug)]
pub(super) struct Blocks<T>(SegQueue<T>);

/// See the module.
#[derive(Debug)]
pub(super) struct Channel<T, B> {
    pub(super) buffer: B,
    is_disconnected: AtomicBool,
    pub(super) senders: Waiters,
    pub(super) receivers: Waiters,
    /// Messages that selections have received and not yet fetched.
    pending: Mutex<Slab<T>>,
}

impl<T, B: Buffer<T>> Channel<T, B> {
    pub(super) fn new(buffer: B) -> Self {
        Self {
            buffer,
            is_disconnected: AtomicBool::new(false),
            senders: Waiters::new(),
            receivers: Waiters::new(),
            pending: Mutex::new(Slab::new()),
        }
    }

    /// Sends for a selection, which has its message later.
    pub(super) fn select_send(&self) -> Option<Token> {
        if self.is_disconnected() {
            return Some(Token::Disconnected);
        }
        self.buffer.reserve().then_some(Token::Reserved)
    }

    /// Receives for a selection, which fetches its message later.
    pub(super) fn select_recv(&self) -> Option<Token> {
        match self.try_recv() {
            Ok(message) => Some(Token::Pending(self.pending.lock().insert(message))),
            Err(TryRecvError::Disconnected) => Some(Token::Disconnected),
            Err(TryRecvError::Empty) => None,
        }
    }

    pub(super) fn complete_send(&self, token: Token, message: T) -> Result<(), SendError<T>> {
        match token {
            Token::Reserved => {
                self.push(message);
                Ok(())
            }
            _ => Err(SendError(message)),
        }
    }

    pub(super) fn complete_recv(&self, token: Token) -> Option<T> {
        match token {
            Token::Pending(key) => Some(self.pending.lock().remove(key)),
            _ => None,
        }
    }

    /// A selection gives up what it has chosen.
    pub(super) fn abandon(&self, token: Token) {
        match token {
            Token::Reserved => self.release(),
            token => drop(self.complete_recv(token)),
        }
    }

    /// Whether one side is gone. Acquire: what the last sender had sent before is in the buffer.
    #[inline]
    pub(super) fn is_disconnected(&self) -> bool {
        self.is_disconnected.load(Ordering::Acquire)
    }

    #[inline]
    pub(super) fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        if self.is_disconnected() {
            return Err(TrySendError::Disconnected(message));
        }
        if !self.buffer.reserve() {
            return Err(TrySendError::Full(message));
        }
        self.push(message);
        Ok(())
    }

    /// Sends a message for which a slot is reserved.
    #[inline]
    pub(super) fn push(&self, message: T) {
        self.buffer.push(message);
        self.receivers.notify();
        if self.is_disconnected.load(Ordering::Relaxed) {
            self.discard();
        }
    }

    /// Gives up a slot that was reserved, or emptied.
    #[inline]
    pub(super) fn release(&self) {
        if self.buffer.release() {
            self.senders.notify();
        }
    }

    #[inline]
    pub(super) fn send(&self, message: T, limit: &mut Limit) -> Result<(), SendTimeoutError<T>> {
        match self.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(message)) => {
                Err(SendTimeoutError::Disconnected(message))
            }
            Err(TrySendError::Full(message)) => self.send_slow(message, limit),
        }
    }

    #[inline(never)]
    fn send_slow(&self, mut message: T, limit: &mut Limit) -> Result<(), SendTimeoutError<T>> {
        let mut again = false;
        loop {
            if let Err(TimedOut) = self.senders.wait(limit, &mut again, || self.may_send()) {
                return Err(SendTimeoutError::Timeout(message));
            }
            message = match self.try_send(message) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(message)) => message,
                Err(TrySendError::Disconnected(message)) => {
                    return Err(SendTimeoutError::Disconnected(message));
                }
            };
        }
    }

    /// Whether a send need not wait.
    pub(super) fn may_send(&self) -> bool {
        !self.buffer.is_full() || self.is_disconnected()
    }

    #[inline]
    pub(super) fn try_recv(&self) -> Result<T, TryRecvError> {
        match self.buffer.pop() {
            Some(message) => {
                self.release();
                Ok(message)
            }
            None if self.is_disconnected() => self.buffer.pop().ok_or(TryRecvError::Disconnected),
            None => Err(TryRecvError::Empty),
        }
    }

    #[inline]
    pub(super) fn recv(&self, limit: &mut Limit) -> Result<T, RecvTimeoutError> {
        match self.try_recv() {
            Ok(message) => Ok(message),
            Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) => self.recv_slow(limit),
        }
    }

    #[inline(never)]
    fn recv_slow(&self, limit: &mut Limit) -> Result<T, RecvTimeoutError> {
        let mut again = false;
        loop {
            if let Err(TimedOut) = self.receivers.wait(limit, &mut again, || self.may_recv()) {
                return Err(RecvTimeoutError::Timeout);
            }
            match self.try_recv() {
                Ok(message) => return Ok(message),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
            }
        }
    }

    /// Whether a receive need not wait.
    pub(super) fn may_recv(&self) -> bool {
        !self.buffer.is_empty() || self.is_disconnected()
    }

    /// The last sender has gone.
    pub(super) fn disconnect_senders(&self) {
        self.is_disconnected.store(true, Ordering::Release);
        self.receivers.notify_all();
    }

    /// The last receiver has gone.
    pub(super) fn disconnect_receivers(&self) {
        self.is_disconnected.store(true, Ordering::Release);
        self.senders.notify_all();
        fence(Ordering::SeqCst);
        self.discard();
    }

    /// Drops all messages, though a destructor may panic.
    #[cold]
    fn discard(&self) {
        struct Rest<F: Fn()>(F);

        impl<F: Fn()> Drop for Rest<F> {
            fn drop(&mut self) {
                (self.0)();
            }
        }

        let drop_all = || while self.buffer.pop().is_some() {};
        let rest = Rest(drop_all);
        drop_all();
        std::mem::forget(rest);
    }
}

impl<T> Ring<T> {
    pub(super) fn new(capacity: usize) -> Self {
        let free = AtomicUsize::new(capacity).into();
        Self { queue: ArrayQueue::new(capacity), free }
    }

    pub(super) fn capacity(&self) -> usize {
        self.queue.capacity()
    }
}

impl<T> Blocks<T> {
    pub(super) fn new() -> Self {
        Self(SegQueue::new())
    }
}

impl<T> Buffer<T> for Ring<T> {
    #[inline]
    fn reserve(&self) -> bool {
        let take = |free: usize| free.checked_sub(1);
        self.free.fetch_update(Ordering::AcqRel, Ordering::Relaxed, take).is_ok()
    }

    #[inline]
    fn release(&self) -> bool {
        self.free.fetch_add(1, Ordering::AcqRel);
        true
    }

    #[inline]
    fn push(&self, message: T) {
        let pushed = self.queue.push(message);
        assert!(pushed.is_ok(), "a slot is reserved");
    }

    #[inline]
    fn pop(&self) -> Option<T> {
        self.queue.pop()
    }

    fn len(&self) -> usize {
        self.queue.len()
    }

    fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    fn is_full(&self) -> bool {
        self.free.load(Ordering::Relaxed) == 0
    }
}

impl<T> Buffer<T> for Blocks<T> {
    #[inline]
    fn reserve(&self) -> bool {
        true
    }

    #[inline]
    fn release(&self) -> bool {
        false
    }

    #[inline]
    fn push(&self, message: T) {
        self.0.push(message);
    }

    #[inline]
    fn pop(&self) -> Option<T> {
        self.0.pop()
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn is_full(&self) -> bool {
        false
    }
}
