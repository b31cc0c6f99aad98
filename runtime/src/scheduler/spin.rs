//! How a worker without work looks about for a while before it sleeps.
//!
//! To put a worker to sleep and to wake it costs two system calls and, for the one that waits for
//! the other's answer, some microseconds. Where the answer of another worker is on its way, it is
//! cheaper to wait for it with open eyes, for as long as the sleep would cost at most. So a worker
//! spins in two places:
//!
//! - *in a task* that is about to wait for an answer of another task's (a lock, a channel), if the
//!   worker has nothing else to run: there the answer is seen where it is written, without a wake;
//! - *before it sleeps*, if since it last slept another thread has given it work: more may follow.
//!
//! It never spins for the kernel: a worker whose tasks wait for sockets sleeps at once. A spin
//! counts as a task that was run, and after a turn of them there is none: a task that finds each
//! answer that way never parks, and its worker has others to look after.
//!
//! # For how long
//!
//! [`SPIN_MAX`] at most. A spin that finds nothing halves the next, down to nothing; one that finds
//! something doubles it. Every [`PROBE`]th that would be nothing is made all the same, so that a
//! worker whose neighbours have become busy finds out.
//!
//! Where the process has one CPU, nobody could answer meanwhile, so there is no spin; and none
//! under a seed, where there are no other workers.

use std::cell::Cell;
use std::hint;
use std::num::NonZero;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use super::Worker;
use super::worker::TURN;

/// About what it costs both sides to sleep and be woken. If it were less, two that wait for one
/// another would both sleep after one disturbance, each longer than the other spins, for ever.
const SPIN_MAX: Duration = Duration::from_micros(25);

/// Below this, it does not spin.
const SPIN_MIN: Duration = Duration::from_nanos(500);

const PROBE: u32 = 16;

/// How many looks it takes between two at the clock.
const LOOKS: u32 = 16;

/// See the module.
#[derive(Debug)]
pub(super) struct Spin {
    /// How long the next may take; zero where there is nobody to wait for.
    limit: Cell<Duration>,
    skipped: Cell<u32>,
    is_useful: bool,
    /// Whether it has had work from another thread since it last slept.
    got_work: Cell<bool>,
}

impl Spin {
    pub(super) fn new(has_others: bool) -> Self {
        static CPUS: LazyLock<usize> =
            LazyLock::new(|| thread::available_parallelism().map_or(1, NonZero::get));
        Self {
            limit: Cell::new(SPIN_MAX),
            skipped: Cell::new(0),
            is_useful: has_others && *CPUS > 1,
            got_work: Cell::new(false),
        }
    }

    /// Another thread has given it work.
    #[inline]
    pub(super) fn note_work(&self) {
        self.got_work.set(true);
    }

    /// How long to spin now.
    fn allowance(&self) -> Duration {
        if self.limit.get() >= SPIN_MIN {
            return self.limit.get();
        }
        self.skipped.set(self.skipped.get() + 1);
        if self.skipped.get() < PROBE {
            return Duration::ZERO;
        }
        self.skipped.set(0);
        SPIN_MAX
    }

    fn learn(&self, was_worth_it: bool, allowance: Duration) {
        let next = if was_worth_it { (allowance * 2).min(SPIN_MAX) } else { allowance / 2 };
        self.limit.set(next);
    }
}

impl Worker {
    /// Whether the worker has nothing to run but the running task, which may spin.
    #[inline]
    pub(crate) fn may_spin(&self) -> bool {
        self.spin.is_useful
            && self.turn.get() < TURN
            && self.shared.has_several_workers()
            && !self.has_ready()
            && !self.has_unseen_work()
    }

    /// Spins before it sleeps, if that makes sense. Returns whether there is something to do.
    pub(super) fn spin_before_sleep(&self) -> bool {
        let see_work = || self.takes_fresh() && self.sees_fresh_work();
        self.spin.got_work.replace(false) && self.may_spin() && self.spin_until(see_work)
    }

    /// Spins until `done`, or until there is something else to do. False if it took too long.
    pub(crate) fn spin_until(&self, done: impl Fn() -> bool) -> bool {
        let allowance = self.spin.allowance();
        if allowance.is_zero() {
            return false;
        }
        // It stands for a park, which the worker would look around after now and then.
        self.turn.set(self.turn.get() + 1);
        let until = Instant::now() + allowance;
        let is_over = || done() || self.has_unseen_work();
        let was_worth_it = loop {
            if (0..LOOKS).any(|_| {
                hint::spin_loop();
                is_over()
            }) {
                break true;
            }
            if Instant::now() >= until {
                break false;
            }
        };
        self.spin.learn(was_worth_it, allowance);
        was_worth_it
    }

    /// Whether another thread has left something for this worker, or anyone, to run.
    fn has_unseen_work(&self) -> bool {
        !self.remote.mailbox().is_empty()
            || !self.deque.is_empty()
            || !self.remote.inbox.is_empty()
            || !self.shared.injector.is_empty()
            || self.remote.progress.is_urged()
    }
}
