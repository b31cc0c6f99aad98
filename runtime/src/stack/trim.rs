//! Gives idle memory back to the kernel.
//!
//! Of slots that have been free in their pool for about a second, three things, the most thorough
//! first. An arena that is wholly idle is unmapped. A long idle run in another loses pages, guards
//! and page tables, and is carved again when it is wanted. Of what idles elsewhere, the pages are
//! dropped. When much went, the C library is asked for the heap pages of all those tasks, too.
//!
//! "About a second" is two visits: each visit gives back what was marked on the one before and has
//! not been taken since, and then marks what is free now. Visits that come sooner (several runtimes
//! have a monitor each) do nothing.
//!
//! # Work for each call
//!
//! Dropping a million tasks' pages takes the kernel about half a second, so a visit may end early
//! and be continued by the next call. The pool's lock is held only to pick up to [`RUN_SLOTS`]
//! slots, which are out of the pool while the kernel works on them.
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::pool::Pool;
use super::sys;

/// Least time between two visits.
const IDLE: Duration = Duration::from_millis(900);

/// Slots whose pages are dropped by one system call.
const RUN_SLOTS: usize = 256;

/// The heap is asked after so many slots were given back: asking walks all of it under its locks.
const HEAP_TRIM_SLOTS: usize = 10_000;

/// What [`trim`] works for at most.
const TRIM_BUDGET: Duration = Duration::from_millis(250);

static TRIMMER: Mutex<Trimmer> = Mutex::new(Trimmer { marked_at: None, given_back_slots: 0 });

#[derive(Debug)]
struct Trimmer {
    marked_at: Option<Instant>,
    /// Since the heap was last asked.
    given_back_slots: usize,
}

/// Gives idle memory back, for a quarter of a second at most. Returns whether there is more to give
/// back later: then call again in about a second.
pub(crate) fn trim() -> bool {
    trim_for(TRIM_BUDGET).is_some()
}

/// Gives idle memory back for about `budget`. Returns when to call again, or `None` when there is
/// nothing left to give.
///
/// # Blocking
///
/// Blocks the calling thread, in system calls of up to some 15 ms each. Only one thread at a time
/// does the work: another returns at once.
pub(crate) fn trim_for(budget: Duration) -> Option<Duration> {
    let started = Instant::now();
    let Some(mut trimmer) = TRIMMER.try_lock() else { return Some(IDLE) };
    if let Some(marked_at) = trimmer.marked_at {
        let rest = IDLE.saturating_sub(started.duration_since(marked_at));
        if !rest.is_zero() {
            return Some(rest);
        }
    }
    trimmer.visit(&|| started.elapsed() < budget)
}

/// A whole visit, however soon after the last.
#[cfg(test)]
pub(super) fn visit_now() -> Option<Duration> {
    TRIMMER.lock().visit(&|| true)
}

impl Trimmer {
    fn visit(&mut self, in_time: &dyn Fn() -> bool) -> Option<Duration> {
        if !self.give_back(in_time) {
            return Some(Duration::ZERO);
        }
        self.trim_heap();
        self.mark()
    }

    /// Returns whether it came to the end before its time was over.
    fn give_back(&mut self, in_time: &dyn Fn() -> bool) -> bool {
        Pool::all().all(|pool| {
            while in_time() {
                let slots = pool.unmap_idle();
                let slots = slots.or_else(|| pool.uncarve_idle());
                let slots = slots.or_else(|| pool.trim_idle(RUN_SLOTS));
                let Some(slots) = slots else { return true };
                self.given_back_slots += slots;
            }
            false
        })
    }

    fn trim_heap(&mut self) {
        if self.given_back_slots >= HEAP_TRIM_SLOTS {
            self.given_back_slots = 0;
            sys::trim_heap();
        }
    }

    fn mark(&mut self) -> Option<Duration> {
        // Not `any`: every pool is to be marked.
        let more = Pool::all().filter(|pool| pool.mark_idle()).count() > 0;
        self.marked_at = more.then(Instant::now);
        more.then_some(IDLE)
    }
}
