//! Gives idle memory back to the kernel.
//!
//! Two things, of slots that have been free in their pool for about a second: an arena that is wholly
//! idle is unmapped, and of what idles elsewhere the pages are dropped; guards stay. When much went,
//! the C library is asked for the heap pages of all those tasks, too.
//!
//! "About a second" is two visits: each visit gives back what was marked on the one before and has
//! not been taken since, and then marks what is free now. Visits that come sooner (several runtimes
//! have a monitor each) do nothing.
//!
//! # Work for each call
//!
//! Dropping a million tasks' pages takes the kernel about half a second, so a visit may end early
//! and be continued by the next call. The pool's lock is held only to pick up to [`RUN_SLOTS`] slots,
//! which are out of the pool while the kernel works on them.
#![expect(unsafe_code, reason = "unmaps arenas, and drops pages of slots")]

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::pool::Pool;
use super::sys;

/// Least time between two visits.
const IDLE: Duration = Duration::from_millis(900);

/// Slots whose pages are dropped by one system call.
const RUN_SLOTS: usize = 256;

/// The heap is asked after so much address space went: asking walks the whole heap under its locks.
const HEAP_TRIM_BYTES: usize = 256 << 20;

/// What [`trim`] works for at most.
const TRIM_BUDGET: Duration = Duration::from_millis(250);

static TRIMMER: Mutex<Trimmer> = Mutex::new(Trimmer { marked_at: None, given_back_bytes: 0 });

#[derive(Debug)]
struct Trimmer {
    marked_at: Option<Instant>,
    /// Since the heap was last asked.
    given_back_bytes: usize,
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
                let bytes = unmap_arena(pool).or_else(|| drop_run(pool));
                let Some(bytes) = bytes else { return true };
                self.given_back_bytes += bytes;
            }
            false
        })
    }

    fn trim_heap(&mut self) {
        if self.given_back_bytes >= HEAP_TRIM_BYTES {
            self.given_back_bytes = 0;
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

/// Unmaps one arena that was idle. Returns its bytes of address space.
fn unmap_arena(pool: &Pool) -> Option<usize> {
    let mapping = pool.detach_idle()?;
    let bytes = mapping.run(0, mapping.slots()).bytes();
    // SAFETY: the arena was wholly free, so no stack of it exists, and none will: it is out of its
    // pool.
    unsafe { mapping.release() };
    Some(bytes)
}

/// Drops the pages of one run of slots that were idle. Returns its bytes of address space.
fn drop_run(pool: &Pool) -> Option<usize> {
    let (index, run) = pool.begin_trim(RUN_SLOTS)?;
    // A refusal would be a kernel's oddity. The run counts as given back all the same, or the monitor
    // would try again for ever.
    // SAFETY: the slots are out of their pool, and free: nothing lives on them.
    let _ = unsafe { run.drop_pages() };
    pool.end_trim(index, run);
    Some(run.bytes())
}
