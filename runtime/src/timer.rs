//! A worker's timers: which of its tasks wait for a deadline.
//!
//! A heap of deadlines (each parent has four children) beside a slab of timers. The heap knows the
//! slab's keys and the slab knows the heap's positions, so that a timer is cancelled by its key, in
//! place: a million timers that are added and cancelled without firing leave nothing behind.
//! Deadlines are exact to the nanosecond; nothing is rounded to a tick.
//!
//! # A task's timer stays
//!
//! Most deadlines do not come: a read with a time limit is done long before, and the next has a
//! later one. So a task that has a home has one timer, which is left where it is when a wait ends.
//! A wait says in the task's header until when it waits, and moves the timer only if that is
//! earlier. A timer whose time comes too early is moved to where its task waits now, or is taken
//! out of the heap until it is wanted. It goes when the task ends.
//!
//! # A wait begins without a clock
//!
//! The most frequent limit is a duration, set anew for each read. Such a wait is only noted, as
//! *pending*. Before the worker sleeps, and when it looks around, it reads the clock once, and from
//! then on counts the time of all that are pending: somewhat later than they began, and never too
//! early. Most are over by then.
//!
//! A migrating task's timer is added and cancelled for each wait, as it may go on elsewhere.
//!
//! # Who may touch what
//!
//! The lock is the worker's own and normally uncontended. Others take it to wake the tasks of a
//! worker that is stuck, and to cancel the timer of a task that has migrated. Only the owner moves
//! timers: so a task that finds its timer early enough, without the lock, may rely on it. Who wakes
//! tasks from outside leaves their timers alone, and may wake them again.
//!
//! `until_ns` is Relaxed. The owner's thread writes it; another may only replace a time that has
//! come by [`FIRED`], and fails if the task has gone on. It reads a deadline too late or one that
//! is over: it comes back, and a wake for nothing is nothing.
//!
//! # Designs rejected
//!
//! A timing wheel: O(1) for every addition, but it rounds to its tick, and the two costs that
//! matter here are small in a heap too. A later deadline than most (the usual timeout) is added at
//! the end without a move, and cancelled near the end where few moves follow.

use std::cell::{Cell, RefCell};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use slab::Slab;

use crate::clock;
use crate::task::TaskRef;
use crate::wait::{Waiter, Wakeup};

/// The instant that deadlines are counted from.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// No deadline.
const NEVER: u64 = u64::MAX;

/// The deadline of a wait that is over because it has come.
const FIRED: u64 = NEVER - 1;

/// The latest deadline.
const LATEST: u64 = FIRED - 1;

/// How many timers are seen to under the lock at a time, and how many tasks are woken after it.
const BATCH: usize = 32;

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

/// The earliest deadline, and what time it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Next {
    pub(crate) at_ns: u64,
    pub(crate) now_ns: u64,
}

/// What a task with a home has of its timer, in its header.
#[derive(Debug)]
pub(crate) struct TaskTimer {
    /// Until when the task waits.
    until_ns: AtomicU64,
    /// When the timer fires: the owner's.
    armed_ns: Cell<u64>,
    /// One more than its slab key, or zero: the owner's.
    key: Cell<u32>,
    /// One more than where it is pending, or zero: the owner's.
    pending: Cell<u32>,
    /// How long a pending wait may take: the owner's.
    after_ns: Cell<u64>,
}

/// The waits of a worker whose time is not counted yet.
#[derive(Debug, Default)]
pub(crate) struct Pending(RefCell<Vec<TaskRef>>);

/// What came of a wait that was pending.
#[derive(Debug)]
pub(crate) enum Counted {
    /// Its time has come.
    Fired,
    /// Its time comes then.
    Until(Instant),
    /// Its time was not counted.
    Not,
}

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
    /// Whether it is a [`TaskTimer`]'s.
    stays: bool,
}

/// Nanoseconds from the epoch, saturating. Instants before it are due.
fn nanoseconds(instant: Instant) -> u64 {
    let time = instant.saturating_duration_since(*EPOCH);
    u64::try_from(time.as_nanos()).map_or(LATEST, |time| time.min(LATEST))
}

impl Next {
    pub(crate) fn left(self) -> Duration {
        Duration::from_nanos(self.at_ns.saturating_sub(self.now_ns))
    }
}

impl TaskTimer {
    pub(crate) fn new() -> Self {
        let (until_ns, armed_ns) = (AtomicU64::new(NEVER), Cell::new(NEVER));
        let (key, pending, after_ns) = (Cell::new(0), Cell::new(0), Cell::new(0));
        Self { until_ns, armed_ns, key, pending, after_ns }
    }

    /// Ends a wait that [`Timers::set`] has begun. Returns whether its deadline has come; it may
    /// have, too, if not.
    #[inline]
    pub(crate) fn unset(&self) -> bool {
        let has_fired = self.until_ns.load(Ordering::Relaxed) == FIRED;
        self.until_ns.store(NEVER, Ordering::Relaxed);
        has_fired
    }

    /// Notes that the deadline has come, if it has. From any thread.
    fn fire(&self, now: u64) -> bool {
        let until = self.until_ns.load(Ordering::Relaxed);
        let fired =
            || self.until_ns.compare_exchange(until, FIRED, Ordering::Relaxed, Ordering::Relaxed);
        until <= now && fired().is_ok()
    }
}

impl Pending {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Notes that `task`, the running one, whose home is the owner, is about to wait for so long at
    /// most: it calls [`remove`](Self::remove) afterwards.
    #[inline]
    pub(crate) fn push(&self, task: TaskRef, duration: Duration) {
        let mut tasks = self.0.borrow_mut();
        tasks.push(task);
        let after = u64::try_from(duration.as_nanos()).unwrap_or(LATEST);
        task.timer.after_ns.set(after);
        task.timer.pending.set(tasks.len() as u32);
    }

    /// Ends the wait.
    #[inline]
    pub(crate) fn remove(&self, task: TaskRef) -> Counted {
        let Some(index) = task.timer.pending.replace(0).checked_sub(1) else {
            let until = task.timer.until_ns.load(Ordering::Relaxed);
            return match task.timer.unset() {
                true => Counted::Fired,
                false => Counted::Until(*EPOCH + Duration::from_nanos(until)),
            };
        };
        let mut tasks = self.0.borrow_mut();
        tasks.swap_remove(index as usize);
        if let Some(moved) = tasks.get(index as usize) {
            moved.timer.pending.set(index + 1);
        }
        Counted::Not
    }

    /// Counts the time of all from now on.
    fn count(&self, timers: &Timers, now: u64) {
        let mut tasks = self.0.borrow_mut();
        for task in tasks.drain(..) {
            task.timer.pending.set(0);
            timers.set_ns(now.saturating_add(task.timer.after_ns.get()).min(LATEST), task);
        }
        if tasks.capacity() > 1024 {
            *tasks = Vec::new();
        }
    }
}

impl Timers {
    pub(crate) fn new() -> Self {
        LazyLock::force(&EPOCH);
        Self { heap: Mutex::default(), earliest_ns: AtomicU64::new(NEVER) }
    }

    /// Adds a timer that wakes `task` at `deadline`. The task cancels it before it goes on.
    pub(crate) fn add(&self, deadline: Instant, task: TaskRef) -> TimerKey {
        let mut heap = self.heap.lock();
        let key = heap.timers.insert(Timer { position: None, task, stays: false });
        heap.push(nanoseconds(deadline), key);
        self.earliest_ns.store(heap.earliest(), Ordering::Relaxed);
        TimerKey(key)
    }

    /// Takes a timer away. Returns whether it has fired.
    pub(crate) fn cancel(&self, key: TimerKey) -> bool {
        let mut heap = self.heap.lock();
        let has_fired = heap.remove(key.0);
        self.earliest_ns.store(heap.earliest(), Ordering::Relaxed);
        has_fired
    }

    /// Has `task`, the running one, whose home is the owner, woken at `deadline`: it is about to
    /// wait, and calls [`TaskTimer::unset`] afterwards.
    #[inline]
    pub(crate) fn set(&self, deadline: Instant, task: TaskRef) {
        self.set_ns(nanoseconds(deadline), task);
    }

    #[inline]
    fn set_ns(&self, until: u64, task: TaskRef) {
        task.timer.until_ns.store(until, Ordering::Relaxed);
        if task.timer.armed_ns.get() > until {
            self.arm(until, task);
        }
    }

    #[inline(never)]
    fn arm(&self, deadline_ns: u64, task: TaskRef) {
        let mut heap = self.heap.lock();
        let key = match task.timer.key.get() {
            0 => {
                let key = heap.timers.insert(Timer { position: None, task, stays: true });
                task.timer.key.set(u32::try_from(key + 1).expect("there are fewer tasks"));
                key
            }
            key => key as usize - 1,
        };
        match heap.timers[key].position {
            Some(position) => heap.make_earlier(position, deadline_ns),
            None => heap.push(deadline_ns, key),
        }
        task.timer.armed_ns.set(deadline_ns);
        self.earliest_ns.store(heap.earliest(), Ordering::Relaxed);
    }

    /// Takes away the timer of a task that has ended, on its home.
    #[inline]
    pub(crate) fn forget(&self, task: TaskRef) {
        if task.timer.key.get() != 0 {
            let _fired = self.cancel(TimerKey(task.timer.key.get() as usize - 1));
        }
    }

    /// Wakes every task, early: nobody will fire its timer here.
    pub(crate) fn wake_all(&self) {
        self.wake_due(NEVER);
    }

    /// Wakes the tasks whose deadlines have passed, from another thread than the owner's.
    pub(crate) fn fire_from_outside(&self) {
        if self.earliest_ns.load(Ordering::Relaxed) != NEVER {
            self.wake_due(nanoseconds(clock::now()));
        }
    }

    fn wake_due(&self, now: u64) {
        let mut wakeups = Vec::new();
        let heap = self.heap.lock();
        let mut next = vec![0];
        while let Some(position) = next.pop() {
            let Some(&(deadline, key)) = heap.entries.get(position) else { continue };
            if deadline > now {
                continue;
            }
            next.extend(4 * position + 1..4 * position + 5);
            let timer = &heap.timers[key];
            if !timer.stays || now == NEVER || timer.task.timer.fire(now) {
                wakeups.extend(Waiter::Task(timer.task).claim());
            }
        }
        drop(heap);
        wakeups.into_iter().for_each(Wakeup::deliver);
    }

    /// Wakes every task whose deadline has passed, and counts the time of those that are pending.
    /// For the owner. Reads the clock only if there is any.
    pub(crate) fn fire(&self, pending: &Pending) {
        if self.earliest_ns.load(Ordering::Relaxed) == NEVER && pending.is_empty() {
            return;
        }
        let now = nanoseconds(clock::now());
        pending.count(self, now);
        while self.earliest_ns.load(Ordering::Relaxed) <= now {
            // A few at a time, so that the lock is not held over thousands of wakes.
            let mut due: [Option<Wakeup>; BATCH] = [const { None }; BATCH];
            self.take_due(now, &mut due);
            due.iter_mut().filter_map(Option::take).for_each(Wakeup::deliver);
        }
    }

    /// Sees to as many timers whose time has come as there is room in `due`; claims their tasks
    /// under the lock, where a task that goes on cancels its timer.
    fn take_due(&self, now: u64, due: &mut [Option<Wakeup>]) {
        let mut heap = self.heap.lock();
        for wakeup in due {
            if heap.earliest() > now {
                break;
            }
            *wakeup = heap.fire_first(now).and_then(|task| Waiter::Task(task).claim());
        }
        self.earliest_ns.store(heap.earliest(), Ordering::Relaxed);
    }

    /// The earliest deadline, counting the time of those that are pending; none without a timer.
    /// For the owner.
    pub(crate) fn next(&self, pending: &Pending) -> Option<Next> {
        if self.earliest_ns.load(Ordering::Relaxed) == NEVER && pending.is_empty() {
            return None;
        }
        let now_ns = nanoseconds(clock::now());
        pending.count(self, now_ns);
        let at_ns = self.earliest_ns.load(Ordering::Relaxed);
        (at_ns != NEVER).then_some(Next { at_ns, now_ns })
    }
}

impl Heap {
    fn earliest(&self) -> u64 {
        self.entries.first().map_or(NEVER, |entry| entry.0)
    }

    fn push(&mut self, deadline_ns: u64, key: usize) {
        self.entries.push((deadline_ns, key));
        self.sift_up(self.entries.len() - 1);
    }

    fn make_earlier(&mut self, position: usize, deadline_ns: u64) {
        self.entries[position].0 = deadline_ns;
        self.sift_up(position);
    }

    /// Returns whether it has fired.
    fn remove(&mut self, key: usize) -> bool {
        let position = self.timers.remove(key).position;
        if let Some(position) = position {
            self.remove_at(position);
        }
        self.shrink();
        position.is_none()
    }

    /// The time of the earliest has come: takes it out of the heap, or moves it to where its task
    /// waits now. Gives the task if it is to be woken. Its slab entry stays until it is cancelled.
    fn fire_first(&mut self, now: u64) -> Option<TaskRef> {
        let key = self.entries[0].1;
        let Timer { task, stays, .. } = self.timers[key];
        let is_due = !stays || task.timer.fire(now);
        if stays {
            let until = task.timer.until_ns.load(Ordering::Relaxed);
            if until <= LATEST {
                // It waits for a later time.
                task.timer.armed_ns.set(until);
                self.entries[0].0 = until;
                self.sift_down(0);
                return None;
            }
            task.timer.armed_ns.set(NEVER);
        }
        self.remove_at(0);
        self.timers[key].position = None;
        is_due.then_some(task)
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
