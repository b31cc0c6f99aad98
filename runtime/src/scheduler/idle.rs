//! Whom to wake when there is work that any worker may take: fresh (and migrating) tasks.
//!
//! Messages for one worker wake that one through its mailbox; this is about the rest. `README.md`
//! beside this file argues the protocol; the model below checks it.
//!
//! # States of a worker, as counted here
//!
//! *busy* (runs tasks), *searching* (has none and looks at the others' queues), *sleeping* (in
//! `epoll_wait`, listed among the sleepers). At most half of the workers search at a time; of
//! several submitters at most one wakes a sleeper while nobody searches.
//!
//! # Memory ordering
//!
//! `counts` is changed under the lock or by a searcher for itself, always `SeqCst`. A submitter
//! publishes its work, fences (`SeqCst`), and looks at `counts`; the last searcher counts itself
//! out (`SeqCst`), fences, and looks at the queues. In the single order of those one sees the
//! other: either the submitter finds a searcher or sleeper to rely on, or the searcher finds the
//! work.

use crate::primitive::{AtomicUsize, Mutex, Ordering, fence};

const SEARCHING: usize = 1;
const SLEEPING: usize = 1 << 16;

/// See the module's header.
#[derive(Debug)]
pub(crate) struct Idle {
    /// Searching workers in the low half, sleeping ones above.
    counts: AtomicUsize,
    sleepers: Mutex<Vec<usize>>,
}

impl Idle {
    pub(crate) fn new() -> Self {
        Self { counts: AtomicUsize::new(0), sleepers: Mutex::new(Vec::new()) }
    }

    /// There is new work for anyone: returns the sleeper to wake, which is counted as searching
    /// from now on. None if someone searches already, or nobody sleeps.
    pub(crate) fn worker_to_wake(&self) -> Option<usize> {
        // Pairs with the fence in `start_sleeping`: see the module's header.
        fence(Ordering::SeqCst);
        if !Self::should_wake(self.counts.load(Ordering::SeqCst)) {
            return None;
        }
        let mut sleepers = self.sleepers.lock();
        if !Self::should_wake(self.counts.load(Ordering::SeqCst)) {
            return None;
        }
        if sleepers.is_empty() {
            return None;
        }
        // In turn: the one that slept last may be one that must not take this work.
        let worker = sleepers.remove(0);
        self.counts.fetch_sub(SLEEPING - SEARCHING, Ordering::SeqCst);
        Some(worker)
    }

    fn should_wake(counts: usize) -> bool {
        counts % SLEEPING == 0 && counts >= SLEEPING
    }

    /// A worker without work wants to search. Refused when half of the workers do already.
    #[must_use]
    pub(crate) fn start_searching(&self, workers: usize) -> bool {
        if 2 * (self.counts.load(Ordering::SeqCst) % SLEEPING) >= workers {
            return false;
        }
        self.counts.fetch_add(SEARCHING, Ordering::SeqCst);
        true
    }

    /// A searcher has found work. Returns true if it was the last: it wakes the next, for there may
    /// be more.
    #[must_use]
    pub(crate) fn stop_searching(&self) -> bool {
        let before = self.counts.fetch_sub(SEARCHING, Ordering::SeqCst);
        debug_assert!(before % SLEEPING > 0, "stops a search that was not counted");
        before % SLEEPING == 1
    }

    /// A worker lists itself among the sleepers; `searching` says whether it was counted as a
    /// searcher. Returns true if it was the last searcher: it must look at all queues once more,
    /// *after* this, and have somebody woken if it finds anything.
    #[must_use]
    pub(crate) fn start_sleeping(&self, worker: usize, searching: bool) -> bool {
        let mut sleepers = self.sleepers.lock();
        sleepers.push(worker);
        let searcher = if searching { SEARCHING } else { 0 };
        let before = self.counts.fetch_add(SLEEPING - searcher, Ordering::SeqCst);
        drop(sleepers);
        // Pairs with the fence in `worker_to_wake`.
        fence(Ordering::SeqCst);
        searching && before % SLEEPING == 1
    }

    /// A worker is awake. Returns true if a submitter woke it: it is counted as searching.
    #[must_use]
    pub(crate) fn stop_sleeping(&self, worker: usize) -> bool {
        let mut sleepers = self.sleepers.lock();
        match sleepers.iter().position(|&sleeper| sleeper == worker) {
            // Woken for another reason (an event, a message, a timer): it counts itself out.
            Some(at) => {
                sleepers.swap_remove(at);
                self.counts.fetch_sub(SLEEPING, Ordering::SeqCst);
                false
            }
            None => true,
        }
    }
}

#[cfg(all(test, not(sedge_loom)))]
mod tests {
    use super::Idle;

    #[test]
    fn one_searcher_a_burst() {
        let idle = Idle::new();
        assert_eq!(idle.worker_to_wake(), None, "nobody sleeps");
        assert!(!idle.start_sleeping(0, false));
        assert!(!idle.start_sleeping(1, false));
        let woken = idle.worker_to_wake().expect("two sleep");
        assert_eq!(idle.worker_to_wake(), None, "one searches already");
        assert!(idle.stop_sleeping(woken), "woken as a searcher");
        assert!(idle.stop_searching(), "the last searcher, who wakes the next");
        assert!(idle.worker_to_wake().is_some());
    }

    #[test]
    fn half_may_search() {
        let idle = Idle::new();
        assert!(idle.start_searching(4));
        assert!(idle.start_searching(4));
        assert!(!idle.start_searching(4));
        assert!(!idle.stop_searching());
        assert!(idle.start_sleeping(0, true), "the last searcher looks again");
        assert!(!idle.stop_sleeping(0));
    }
}

#[cfg(all(test, sedge_loom))]
mod model {
    use super::Idle;
    use crate::primitive::{AtomicUsize, Ordering};
    use loom::sync::{Arc, Notify};
    use loom::thread;

    struct World {
        idle: Idle,
        queue: AtomicUsize,
        done: AtomicUsize,
        eventfd: [Notify; 2],
    }

    fn submit(world: &World) {
        world.queue.fetch_add(1, Ordering::Release);
        if let Some(worker) = world.idle.worker_to_wake() {
            world.eventfd[worker].notify();
        }
    }

    fn take(world: &World) -> bool {
        let taken =
            world.queue.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1));
        taken.is_ok()
    }

    /// A worker as `Worker::run` has it, until `total` pieces of work are done or it would sleep
    /// for ever (which the model reports as a deadlock).
    fn work(world: &World, me: usize, total: usize) {
        let mut searching = false;
        while world.done.load(Ordering::SeqCst) < total {
            if !searching {
                searching = world.idle.start_searching(2);
            }
            if searching && take(world) {
                if world.idle.stop_searching() {
                    wake_next(world);
                }
                searching = false;
                finish_one(world, total);
                continue;
            }
            let last = world.idle.start_sleeping(me, searching);
            if last && world.queue.load(Ordering::SeqCst) > 0 {
                wake_next(world);
            }
            world.eventfd[me].wait();
            searching = world.idle.stop_sleeping(me);
        }
        if searching {
            let _ = world.idle.stop_searching();
        }
    }

    fn wake_next(world: &World) {
        if let Some(worker) = world.idle.worker_to_wake() {
            world.eventfd[worker].notify();
        }
    }

    fn finish_one(world: &World, total: usize) {
        if world.done.fetch_add(1, Ordering::SeqCst) + 1 == total {
            world.eventfd.iter().for_each(Notify::notify);
        }
    }

    fn model(workers: usize, submissions: usize) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(2);
        builder.check(move || {
            let world = Arc::new(World {
                idle: Idle::new(),
                queue: AtomicUsize::new(0),
                done: AtomicUsize::new(0),
                eventfd: [Notify::new(), Notify::new()],
            });
            let threads: Vec<_> = (0..workers)
                .map(|me| {
                    let world = world.clone();
                    thread::spawn(move || work(&world, me, submissions))
                })
                .collect();
            (0..submissions).for_each(|_| submit(&world));
            for thread in threads {
                thread.join().unwrap();
            }
        });
    }

    #[test]
    fn no_work_is_left_with_everyone_asleep() {
        model(1, 2);
    }

    #[test]
    fn nor_with_two_workers() {
        model(2, 1);
    }
}
