//! The values that some receiver has yet to receive.
//!
//! Values are numbered in the order in which they were sent, and each receiver knows the number of
//! its next. A value counts the receivers that have yet to receive it. Whoever has yet to receive
//! one has yet to receive all later ones, so the counts never fall from one value to the next: the
//! first that nobody wants stands in front, and goes at once.
//!
//! Nothing of the user's runs here: what leaves the ring is the caller's to drop, or to clone.

use std::collections::VecDeque;
use std::sync::Arc;

use super::error::TryRecvError;

/// See the module.
pub(super) struct Ring<T> {
    values: VecDeque<Slot<T>>,
    capacity: usize,
    /// The number of the next value to be sent.
    next: u64,
    receivers: usize,
}

struct Slot<T> {
    value: Arc<T>,
    unseen: usize,
}

impl<T> Ring<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { values: VecDeque::new(), capacity, next: 0, receivers: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn receivers(&self) -> usize {
        self.receivers
    }

    /// How many values have been sent since the one with this number, and it.
    pub(super) fn sent_since(&self, number: u64) -> u64 {
        self.next - number
    }

    /// The number of the oldest value that is there.
    fn oldest(&self) -> u64 {
        self.next - self.values.len() as u64
    }

    /// A receiver more. Returns the number of its first value.
    pub(super) fn enter(&mut self) -> u64 {
        self.receivers += 1;
        self.next
    }

    /// A receiver less, which would have gone on with `next`. Returns what nobody wants any more.
    pub(super) fn leave(&mut self, next: u64) -> Vec<Arc<T>> {
        self.receivers -= 1;
        let seen = next.saturating_sub(self.oldest()) as usize;
        self.values.iter_mut().skip(seen).for_each(|slot| slot.unseen -= 1);
        let unwanted = self.values.iter().take_while(|slot| slot.unseen == 0).count();
        self.values.drain(..unwanted).map(|slot| slot.value).collect()
    }

    /// Adds a value. Returns the one that had to make room, or the value, if nobody receives.
    pub(super) fn push(&mut self, value: Arc<T>) -> Result<Option<Arc<T>>, Arc<T>> {
        if self.receivers == 0 {
            return Err(value);
        }
        let is_full = self.values.len() == self.capacity;
        let dropped = if is_full { self.values.pop_front() } else { None };
        self.values.push_back(Slot { value, unseen: self.receivers });
        self.next += 1;
        Ok(dropped.map(|slot| slot.value))
    }

    /// Takes the value with the number `next` for a receiver, or the ring's part in it, too, if it
    /// is the last; and moves `next` on.
    pub(super) fn take(&mut self, next: &mut u64) -> Result<Arc<T>, TryRecvError> {
        if *next == self.next {
            return Err(TryRecvError::Empty);
        }
        let oldest = self.oldest();
        if *next < oldest {
            let missed = oldest - *next;
            *next = oldest;
            return Err(TryRecvError::Lagged(missed));
        }
        let at = (*next - oldest) as usize;
        *next += 1;
        let slot = &mut self.values[at];
        slot.unseen -= 1;
        if slot.unseen > 0 {
            return Ok(slot.value.clone());
        }
        debug_assert_eq!(at, 0, "nobody wants those in front, either");
        Ok(self.values.pop_front().expect("it is there").value)
    }
}
