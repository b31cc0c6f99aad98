//! A worker that leaves the order of its tasks to chance, and its time to the tasks: for tests.
//!
//! The generator is all there is of chance, so the same seed makes the same choices: which ready
//! task is next, whether a fresh one comes before them, after how many operations a task is made to
//! yield, and when the worker looks around.
//!
//! Time does not pass by itself. Each choice takes some of it, and where nothing is ready it jumps
//! to the next timer; only while something outside may come, from the kernel or the blocking pool,
//! does it pass as it does elsewhere.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::Worker;
use super::worker::TURN;

/// See the module.
#[derive(Debug)]
pub(super) struct Chance {
    numbers: Numbers,
    now: Cell<Instant>,
}

/// A generator of numbers by chance: Marsaglia's xorshift64*.
#[derive(Debug)]
pub(crate) struct Numbers(Cell<u64>);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        // Not zero, from which the generator would not move.
        Self(Cell::new((seed ^ 0x9e37_79b9_7f4a_7c15) | 1 << 63))
    }

    /// A number less than `end`.
    pub(crate) fn below(&self, end: usize) -> usize {
        let mut state = self.0.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.0.set(state);
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as usize % end
    }
}

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self { numbers: Numbers::new(seed), now: Cell::new(Instant::now()) }
    }

    pub(super) fn now(&self) -> Instant {
        self.now.get()
    }

    pub(super) fn pass(&self, time: Duration) {
        self.now.set(self.now.get() + time);
    }

    /// A number less than `end`.
    pub(super) fn below(&self, end: usize) -> usize {
        self.numbers.below(end)
    }
}

impl Worker {
    /// Makes the choices of the next turn.
    #[cold]
    pub(super) fn leave_to_chance(&self, chance: &Chance) {
        chance.pass(Duration::from_nanos(chance.below(2_000) as u64));
        if chance.below(2) == 0 {
            self.make_all_due();
        }
        if chance.below(4) == 0 {
            self.turn.set(TURN);
        }
        let mut ready = self.ready.borrow_mut();
        if ready.len() > 1 {
            let next = chance.below(ready.len());
            ready.swap(0, next);
        }
    }

    /// How long a worker may sleep whose next timer is due after `time`: not at all where nothing
    /// from outside may come before.
    pub(super) fn sleep_by_chance(&self, chance: &Chance, time: Duration) -> Duration {
        if self.poller().has_sources() || self.shared.pool.may_wake() {
            return time;
        }
        // Afterwards: what the pool does not count any more is here.
        if !self.remote().mailbox().is_empty() || self.shared.has_fresh_work() {
            return time;
        }
        chance.pass(time);
        Duration::ZERO
    }
}
