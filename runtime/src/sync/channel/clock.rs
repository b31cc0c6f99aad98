//! Channels whose messages are made by the clock.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use slab::Slab;

use super::Token;
use super::err::{RecvTimeoutError, TryRecvError};
use crate::wait::Limit;
use crate::{clock, wait};

/// Messages at certain times: one, or one each period.
#[derive(Debug)]
pub(super) struct Channel {
    /// When the next message is there; none after the last.
    next: Mutex<Option<Instant>>,
    period: Option<Duration>,
    /// Messages that selections have received and not yet fetched.
    pending: Mutex<Slab<Instant>>,
}

impl Channel {
    /// One message at `when`; none if that is never.
    pub(super) fn at(when: Option<Instant>) -> Self {
        Self::new(when, None)
    }

    /// A message after each `period`.
    pub(super) fn tick(period: Duration) -> Self {
        Self::new(clock::after(period), Some(period))
    }

    fn new(next: Option<Instant>, period: Option<Duration>) -> Self {
        Self { next: Mutex::new(next), period, pending: Mutex::default() }
    }

    /// Receives for a selection, which fetches its message later.
    pub(super) fn select(&self) -> Option<Token> {
        let message = self.try_recv().ok()?;
        Some(Token::Pending(self.pending.lock().insert(message)))
    }

    pub(super) fn complete(&self, token: Token) -> Option<Instant> {
        match token {
            Token::Pending(key) => Some(self.pending.lock().remove(key)),
            _ => None,
        }
    }

    /// When there will be a message, if nobody else takes it.
    pub(super) fn next(&self) -> Option<Instant> {
        *self.next.lock()
    }

    pub(super) fn is_ready(&self) -> bool {
        self.next().is_some_and(|next| next <= clock::now())
    }

    pub(super) fn try_recv(&self) -> Result<Instant, TryRecvError> {
        let mut next = self.next.lock();
        let now = clock::now();
        match *next {
            Some(message) if message <= now => {
                // Ticks that nobody came for are left out.
                *next = self.period.and_then(|period| now.max(message).checked_add(period));
                Ok(message)
            }
            _ => Err(TryRecvError::Empty),
        }
    }

    pub(super) fn recv(&self, limit: &mut Limit) -> Result<Instant, RecvTimeoutError> {
        let deadline = limit.deadline();
        *limit = deadline.into();
        loop {
            if let Ok(message) = self.try_recv() {
                return Ok(message);
            }
            if deadline.is_some_and(|deadline| deadline <= clock::now()) {
                return Err(RecvTimeoutError::Timeout);
            }
            let until = [self.next(), deadline].into_iter().flatten().min();
            let _over = wait::park(until);
        }
    }
}
