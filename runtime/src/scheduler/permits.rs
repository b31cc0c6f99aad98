//! The limit on live tasks, and the count of them.
//!
//! A task holds a permit from its spawn to its end. Workers keep some in hand, so that spawning and
//! finishing touch no shared line; a runtime that stops has them all given back, and is empty when
//! none is missing.
//!
//! # Memory ordering
//!
//! `available` is `SeqCst`. Shutdown closes the runtime and then reads it; a thread outside takes a
//! permit and then looks whether the runtime is closed. In the single order of these, either the
//! closer waits for that permit or the spawner is turned away.
//!
//! What a worker has in hand is changed by that worker alone, Relaxed: to others it is a figure,
//! for the count of tasks that are abandoned.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A runtime's permits. See the module's header.
#[derive(Debug)]
pub(crate) struct Permits {
    available: AtomicUsize,
    max: usize,
    /// How many a worker takes, and keeps, at a time.
    batch: usize,
}

/// A worker's permits in hand: the owner's to change, anybody's to count.
#[derive(Debug, Default)]
pub(crate) struct PermitsInHand(AtomicUsize);

impl Permits {
    /// `holders` is how many workers may keep some in hand: together a quarter of all at most, and
    /// none where that is less than one each.
    pub(crate) fn new(max: usize, holders: usize) -> Self {
        let batch = (max / (8 * holders)).min(256);
        Self { available: AtomicUsize::new(max), max, batch }
    }

    /// The error where there is none to take.
    pub(crate) fn exhausted(&self) -> io::Error {
        let max = self.max;
        let text = format!(
            "the runtime has {max} live tasks, as many as it may have: \
             raise runtime::Builder::tasks_max"
        );
        io::Error::new(io::ErrorKind::QuotaExceeded, text)
    }

    /// Takes one, from a thread that keeps none.
    #[must_use]
    pub(crate) fn take(&self) -> bool {
        self.take_up_to(1) == 1
    }

    fn take_up_to(&self, wanted: usize) -> usize {
        let update = |available: usize| (available > 0).then(|| available.saturating_sub(wanted));
        match self.available.fetch_update(Ordering::SeqCst, Ordering::SeqCst, update) {
            Ok(before) => before.min(wanted),
            Err(_) => 0,
        }
    }

    /// Gives `count` back. Returns true if none is missing now.
    pub(crate) fn give(&self, count: usize) -> bool {
        self.available.fetch_add(count, Ordering::SeqCst) + count == self.max
    }

    /// How many tasks are alive, once every worker has given back what it had in hand.
    pub(crate) fn missing(&self) -> usize {
        self.max - self.available.load(Ordering::SeqCst)
    }

    /// Whether no task is alive, once every worker has given back what it had in hand.
    pub(crate) fn all_back(&self) -> bool {
        self.missing() == 0
    }
}

impl PermitsInHand {
    #[must_use]
    #[inline]
    pub(crate) fn take(&self, permits: &Permits) -> bool {
        if self.count() == 0 {
            self.set(permits.take_up_to(permits.batch.max(1)));
        }
        match self.count() {
            0 => false,
            held => {
                self.set(held - 1);
                true
            }
        }
    }

    #[inline]
    pub(crate) fn give(&self, permits: &Permits) {
        let held = self.count() + 1;
        if held > 2 * permits.batch {
            permits.give(held - permits.batch);
            self.set(permits.batch);
        } else {
            self.set(held);
        }
    }

    /// How many there are.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    fn set(&self, held: usize) {
        self.0.store(held, Ordering::Relaxed);
    }

    /// Gives all in hand back. Returns true if none is missing now.
    pub(crate) fn give_all(&self, permits: &Permits) -> bool {
        match self.count() {
            0 => permits.all_back(),
            held => {
                self.set(0);
                permits.give(held)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Permits, PermitsInHand};

    #[test]
    fn the_limit_is_exact_for_one_worker() {
        let permits = Permits::new(10, 2);
        let hand = PermitsInHand::default();
        assert_eq!((0..20).filter(|_| hand.take(&permits)).count(), 10);
        hand.give(&permits);
        assert!(hand.take(&permits));
        (0..10).for_each(|_| hand.give(&permits));
        assert!(hand.give_all(&permits));
    }

    #[test]
    fn nothing_is_kept_of_a_few() {
        let permits = Permits::new(1, 2);
        let (one, other) = (PermitsInHand::default(), PermitsInHand::default());
        for _ in 0..3 {
            assert!(one.take(&permits));
            assert!(!other.take(&permits));
            other.give(&permits);
        }
    }

    #[test]
    fn hoarding_leaves_most_to_others() {
        let permits = Permits::new(100, 2);
        let hand = PermitsInHand::default();
        assert!(hand.take(&permits));
        assert!((0..90).all(|_| permits.take()));
        assert!(!permits.all_back());
    }
}
