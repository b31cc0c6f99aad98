//! Where a caller waits for its job.
//!
//! # Memory ordering
//!
//! `finished` is stored with Release after the last thing that its job did, and read with Acquire
//! by the caller, which then owns what the job wrote. The wake comes after the store, so that no
//! caller misses it: see [`WaitQueue::wait_until`].

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::wait::{Limit, WaitQueue};

/// Whether a job has finished, and who waits for it.
///
/// Its own allocation, not a part of the caller's frame: a caller that sees `finished` goes on at
/// once, while the pool thread has yet to wake.
#[derive(Debug)]
pub(super) struct Done {
    finished: AtomicBool,
    waiter: WaitQueue,
}

impl Done {
    pub(super) fn new() -> Self {
        Self { finished: AtomicBool::new(false), waiter: WaitQueue::new() }
    }

    /// Waits until the job has finished. A cancellation point, unless shielded.
    pub(super) fn wait(&self) {
        let is_finished = || self.finished.load(Ordering::Acquire).then_some(());
        // Without a deadline there is no timing out; were there, the answer is to wait again.
        while self.waiter.wait_until(None, is_finished).is_err() {}
    }

    /// The same, for who may leave before the job has finished: a refusal ends it, too.
    pub(super) fn wait_unless_refused(&self) -> io::Result<()> {
        let is_finished = || self.finished.load(Ordering::Acquire).then_some(());
        loop {
            if let Ok(ended) = self.waiter.wait_unless_refused(&mut Limit::Never, is_finished) {
                return ended;
            }
        }
    }

    pub(super) fn finish(&self) {
        self.finished.store(true, Ordering::Release);
        self.waiter.wake_one();
    }
}
