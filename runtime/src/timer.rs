//! A worker's timers: which of its tasks wait for a deadline.
//!
//! A heap of deadlines (each parent has four children) beside a slab of timers. The heap knows the
//! slab's keys and the slab knows the heap's positions, so that a timer is cancelled by its key, in
//! place: a million timers that are added and cancelled without firing leave nothing behind.
//! Deadlines are exact to the nanosecond; nothing is rounded to a tick.
//!
//! The lock is the worker's own and normally uncontended. Others take it to fire the timers of a
//! worker that is stuck (firing only unparks), and to cancel the timer of a task that has migrated.
//!
//! # Designs rejected
//!
//! A timing wheel: O(1) for every addition, but it rounds to its tick, and the two costs that
//! matter here are small in a heap too. A later deadline than most (the usual timeout) is added at
//! the end without a move, and cancelled near the end where few moves follow.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use slab::Slab;

use crate::clock;
use crate::task::TaskRef;
use crate::wait::Waiter;
use crate::wait::Wakeup;

/// The instant that deadlines are counted from.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// No deadline.
const NEVER: u64 = u64::MAX;

/// A worker's timers. See the module's header.
#[derive(Debug)]
pub(crate) struct Timers {
    heap: Mutex<Heap>,
    /// The earliest deadline. Written under the lock. Relaxed: only the owner adds, so it misses no
    /// deadline of its own; another thread that reads it too early is the monitor, which comes
    /// back.
    earliest_ns: AtomicU64,
}

/// Names a timer until it is cancelled.
#[derive(Debug)]
#[must_use = "a timer refers to its task until it is cancelled"]
pub(crate) struct TimerKey(usize);

#[derive(Debug, Default)]
struct Heap {
    /// Deadline and slab key; the parent of `i` is `(i - 1) / 4`.
    entries: Vec<(u64, usize)>,
    timers: Slab<Timer>,
}

#[derive(Debug)]
struct Timer {
    /// Where in the heap; none once fired.
    position: Option<usize>,
    task: TaskRef,
}

/// Nanoseconds from the epoch, saturating. Instants before it are due.
fn nanoseconds(instant: Instant) -> u64 {
    instant.saturating_duration_since(*EPOCH).as_nanos().try_into().unwrap_or(NEVER - 1)
}

impl Timers {
    pub(crate) fn new() -> Self {
        LazyLock::force(&EPOCH);
        Self { heap: Mutex::default(), earliest_ns: AtomicU64::new(NEVER) }
    }

    /// Adds a timer that wakes `task` at `deadline`. The task cancels it before it goes on.
    pub(crate) fn add(&self, deadline: Instant, task: TaskRef) -> TimerKey {
        let mut heap = self.heap.lock();
        let key = heap.add(nanoseconds(deadline), task);
        self.earliest_ns.store(heap.earliest(), Ordering::Relaxed);
        TimerKey(key)
    }

    /// Takes a timer away. Returns whether it has fired.
    pub(crate) fn cancel(&self, key: TimerKey) -> bool {
        let mut heap = self.heap.lock();
        let has_fired = heap.cancel(key.0);
        self.earliest_ns.store(heap.earliest(), Ordering::Relaxed);
        has_fired
    }

    /// Wakes every task, early: nobody will fire its timer here.
    pub(crate) fn fire_all(&self) {
        if self.earliest_ns.load(Ordering::Relaxed) != NEVER {
            self.fire_until(NEVER - 1);
        }
    }

    /// Wakes every task whose deadline has passed. Reads the clock only if there is a timer.
    pub(crate) fn fire(&self) {
        if self.earliest_ns.load(Ordering::Relaxed) == NEVER {
            return;
        }
        self.fire_until(nanoseconds(clock::now()));
    }

    fn fire_until(&self, now: u64) {
        loop {
            // A few at a time, so that the lock is not held over thousands of wakes.
            let mut due: [Option<Wakeup>; 32] = [const { None }; 32];
            let count = self.take_due(now, &mut due);
            due.iter_mut().filter_map(Option::take).for_each(Wakeup::deliver);
            if count < due.len() {
                return;
            }
        }
    }

    /// Takes up to `due.len()` timers whose time has come; claims their tasks under the lock, which
    /// each of them takes to cancel its timer before it goes on.
    fn take_due(&self, now: u64, due: &mut [Option<Wakeup>]) -> usize {
        let mut heap = self.heap.lock();
        let mut count = 0;
        while count < due.len() && heap.earliest() <= now {
            due[count] = Waiter::Task(heap.pop()).claim();
            count += 1;
        }
        self.earliest_ns.store(heap.earliest(), Ordering::Relaxed);
        count
    }

    /// How long until the earliest deadline; none without a timer.
    pub(crate) fn until_earliest(&self) -> Option<Duration> {
        match self.earliest_ns.load(Ordering::Relaxed) {
            NEVER => None,
            earliest => {
                Some(Duration::from_nanos(earliest.saturating_sub(nanoseconds(clock::now()))))
            }
        }
    }
}

impl Heap {
    fn earliest(&self) -> u64 {
        self.entries.first().map_or(NEVER, |entry| entry.0)
    }

    fn add(&mut self, deadline_ns: u64, task: TaskRef) -> usize {
        let key = self.timers.insert(Timer { position: None, task });
        self.entries.push((deadline_ns, key));
        self.sift_up(self.entries.len() - 1);
        key
    }

    /// Returns whether it has fired.
    fn cancel(&mut self, key: usize) -> bool {
        let position = self.timers.remove(key).position;
        if let Some(position) = position {
            self.remove_at(position);
        }
        self.shrink();
        position.is_none()
    }

    /// Takes the earliest out of the heap; its slab entry stays until it is cancelled.
    fn pop(&mut self) -> TaskRef {
        let (_, key) = self.entries[0];
        self.remove_at(0);
        let timer = &mut self.timers[key];
        timer.position = None;
        timer.task
    }

    fn remove_at(&mut self, position: usize) {
        self.entries.swap_remove(position);
        if position < self.entries.len() {
            // What was last stands here now: it may belong further down or further up.
            self.sift_down(position);
            self.sift_up(position);
        }
    }

    fn sift_up(&mut self, mut position: usize) {
        let entry = self.entries[position];
        while position > 0 {
            let parent = (position - 1) / 4;
            if self.entries[parent].0 <= entry.0 {
                break;
            }
            self.place(position, self.entries[parent]);
            position = parent;
        }
        self.place(position, entry);
    }

    fn sift_down(&mut self, mut position: usize) {
        let entry = self.entries[position];
        loop {
            let children = 4 * position + 1..(4 * position + 5).min(self.entries.len());
            let Some(least) = children.min_by_key(|&child| self.entries[child].0) else { break };
            if self.entries[least].0 >= entry.0 {
                break;
            }
            self.place(position, self.entries[least]);
            position = least;
        }
        self.place(position, entry);
    }

    fn place(&mut self, position: usize, entry: (u64, usize)) {
        self.entries[position] = entry;
        self.timers[entry.1].position = Some(position);
    }

    /// Gives memory back once most of it is unused. The slab can shrink only while its last entries
    /// are vacant, so it is looked at when it is empty.
    fn shrink(&mut self) {
        const KEPT: usize = 1024;
        if self.entries.capacity() > KEPT && self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to((2 * self.entries.len()).max(KEPT));
        }
        if self.timers.is_empty() && self.timers.capacity() > KEPT {
            self.timers = Slab::with_capacity(KEPT);
        }
    }
}
