//! The monitor: one thread a runtime that looks at the workers every 10 ms while there is work.
//!
//! A worker whose task has kept it since the last look is *stuck*. Its tasks cannot be taken away
//! (they are at home there), but what others wait for can: the monitor asks its netpoller, fires its
//! timers, lets thieves take the fresh tasks in its inbox, and where all workers are stuck while
//! fresh tasks wait it adds an extra worker. A task that keeps its worker for a second is named.
//!
//! Between looks the monitor also gives idle stacks back, and tries again for tasks that found none.
//!
//! # Sleep
//!
//! After a second in which no task ran it sleeps until a worker wakes up: an idle process makes no
//! wake-ups at all. It sets `asleep` and then looks whether every worker sleeps; a worker leaves its
//! sleep (clears the mark in its mailbox) and then looks at `asleep`. Both are `SeqCst`: one of them
//! sees the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::shared::Seat;
use super::{Phase, Remote, Role, Shared};
use crate::stack;

const TICK: Duration = Duration::from_millis(10);

/// Without work for this long, it sleeps.
const RESTLESS: Duration = Duration::from_secs(1);

/// A task that has had its worker for this long is named.
const NAMED_AFTER: Duration = Duration::from_secs(1);

/// How many of the tasks that found no stack try again at each look: a try that fails is expensive.
const FED_PER_LOOK: usize = 8;

/// How many fresh tasks of a stuck worker it moves to where all look, at each look.
const MOVED_PER_LOOK: usize = 64;

/// How long it gives memory back at a time: a look must not be late.
const TRIM_BUDGET: Duration = Duration::from_millis(5);

/// How many workers it adds at most.
const ADDED_MAX: usize = 16;

/// What the workers see of the monitor.
#[derive(Debug)]
pub(crate) struct Monitor {
    asleep: AtomicBool,
    state: Mutex<Wish>,
    condvar: Condvar,
    hogs: AtomicU64,
    added: AtomicUsize,
    /// Whether the present standstill of the pool was reported.
    pool_named: AtomicBool,
}

#[derive(Debug, Default)]
struct Wish {
    wake: bool,
    stop: bool,
}

/// What it saw of one worker at the last look.
#[derive(Debug, Default, Clone)]
struct Seen {
    progress: (u64, u64),
    looks: u64,
    since: Option<Instant>,
    named: bool,
}

impl Monitor {
    pub(crate) fn new() -> Self {
        Self {
            asleep: AtomicBool::new(false),
            state: Mutex::default(),
            condvar: Condvar::new(),
            hogs: AtomicU64::new(0),
            added: AtomicUsize::new(0),
            pool_named: AtomicBool::new(false),
        }
    }

    /// How many times a task was seen to keep its worker for 10 ms or more.
    pub(crate) fn hogs(&self) -> u64 {
        self.hogs.load(Ordering::Relaxed)
    }

    /// A worker is awake.
    #[inline]
    pub(crate) fn notice_work(&self) {
        if self.asleep.load(Ordering::SeqCst) {
            self.wake();
        }
    }

    #[cold]
    pub(crate) fn wake(&self) {
        self.state.lock().wake = true;
        self.condvar.notify_one();
    }

    pub(crate) fn stop(&self) {
        self.state.lock().stop = true;
        self.condvar.notify_one();
    }

    /// Waits for `timeout`, or until woken. False once it is to stop.
    fn wait(&self, timeout: Option<Duration>) -> bool {
        let mut wish = self.state.lock();
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        while !(wish.stop || wish.wake && timeout.is_none()) {
            match deadline {
                None => self.condvar.wait(&mut wish),
                Some(deadline) => {
                    if self.condvar.wait_until(&mut wish, deadline).timed_out() {
                        break;
                    }
                }
            }
        }
        wish.wake = false;
        !wish.stop
    }
}

/// The monitor thread's loop.
pub(crate) fn run(shared: &Arc<Shared>) {
    let mut seen: Vec<Seen> = Vec::new();
    let mut last_work = Instant::now();
    let mut next_trim = last_work;
    let mut tidied = false;
    while shared.monitor.wait(Some(TICK)) {
        let now = Instant::now();
        if look(shared, &mut seen, now) {
            last_work = now;
            tidied = false;
        }
        let idle = now - last_work >= RESTLESS;
        if idle && !tidied {
            shared.remotes().for_each(|remote| remote.ask_to_tidy());
            tidied = true;
            next_trim = now;
        }
        if now < next_trim {
            continue;
        }
        match stack::trim_for(TRIM_BUDGET) {
            Some(wait) => next_trim = now + wait,
            None if idle && !sleep(shared) => return,
            None => next_trim = now + RESTLESS,
        }
    }
}

/// Sleeps until a worker is awake. False once it is to stop.
fn sleep(shared: &Shared) -> bool {
    let monitor = &shared.monitor;
    monitor.asleep.store(true, Ordering::SeqCst);
    fence(Ordering::SeqCst);
    let all_sleep = shared
        .remotes()
        .all(|remote| remote.mailbox().owner_sleeps() || remote.seat() == Seat::Vacant);
    let go_on = !all_sleep || shared.is_starving() || monitor.wait(None);
    monitor.asleep.store(false, Ordering::SeqCst);
    go_on
}

/// Looks at every worker, and helps the stuck. Returns whether any task ran since the last look.
fn look(shared: &Arc<Shared>, seen: &mut Vec<Seen>, now: Instant) -> bool {
    let mut worked = false;
    let mut all_stuck = true;
    let mut members_stuck = true;
    for (index, remote) in shared.remotes().enumerate() {
        if seen.len() <= index {
            seen.push(Seen::default());
        }
        let seen = &mut seen[index];
        let progress = remote.progress();
        let stuck = progress.1 != 0 && progress == seen.progress;
        worked |= progress.1 != 0 || progress != seen.progress;
        if stuck {
            let since = *seen.since.get_or_insert_with(|| {
                shared.monitor.hogs.fetch_add(1, Ordering::Relaxed);
                now
            });
            if !seen.named && now - since >= NAMED_AFTER {
                seen.named = name_hog(remote, progress.1, now - since);
            }
        } else {
            // Many tasks that each take long: the next look around must not wait for all of them.
            if progress.1 != 0 && remote.looks() == seen.looks {
                remote.urge();
            }
            *seen = Seen { progress, looks: remote.looks(), ..Seen::default() };
        }
        match remote.seat() {
            Seat::Vacant | Seat::Guest => {}
            Seat::Member => {
                all_stuck &= stuck;
                members_stuck &= stuck;
            }
            Seat::Extra | Seat::Retiring => all_stuck &= stuck,
        }
        remote.set_stuck(stuck);
        if stuck {
            remote.drive();
            // The others search only when they run dry; the injector they ask once a turn.
            let fresh = std::iter::from_fn(|| remote.steal_fresh()).take(MOVED_PER_LOOK);
            fresh.for_each(|task| shared.submit_from_outside(task));
        }
    }
    for _ in 0..FED_PER_LOOK {
        if !shared.is_starving() {
            break;
        }
        shared.take_starved().into_iter().for_each(|task| shared.submit_from_outside(task));
    }
    name_stuck_pool(shared, now);
    help_out(shared, all_stuck, members_stuck);
    worked
}

/// Fresh tasks wait while workers are stuck: has the others look, or adds one.
fn help_out(shared: &Arc<Shared>, all_stuck: bool, members_stuck: bool) {
    let added = shared.monitor.added.load(Ordering::Relaxed);
    if added > 0 && !members_stuck {
        retire_added(shared);
    }
    if !shared.has_fresh_work() {
        return;
    }
    if !all_stuck {
        shared.wake_one();
    } else if added < ADDED_MAX && shared.phase() == Phase::Running {
        add_worker(shared);
    }
}

/// The configured workers are free again: the added ones take no new homes, and go with their last.
fn retire_added(shared: &Shared) {
    for remote in shared.remotes().filter(|remote| remote.seat() == Seat::Extra) {
        remote.set_seat(Seat::Retiring);
        remote.wake();
    }
}

fn add_worker(shared: &Arc<Shared>) {
    shared.expect_several_workers();
    shared.monitor.added.fetch_add(1, Ordering::Relaxed);
    // What cannot be had now is tried again at the next look.
    if crate::runtime::start_worker(shared, Role::Extra).is_err() {
        note_retired(shared);
    }
}

/// Reports, once, a blocking pool in which nothing gets done: its jobs may wait for each other.
fn name_stuck_pool(shared: &Shared, now: Instant) {
    let stuck = shared.pool.stuck_since().is_some_and(|since| now - since >= NAMED_AFTER);
    if !stuck {
        shared.monitor.pool_named.store(false, Ordering::Relaxed);
    } else if !shared.monitor.pool_named.swap(true, Ordering::Relaxed) {
        if let Some(stuck) = shared.pool.stuck() {
            eprintln!("sedge: {stuck}");
        }
    }
}

/// An added worker has gone.
pub(crate) fn note_retired(shared: &Shared) {
    shared.monitor.added.fetch_sub(1, Ordering::Relaxed);
}

/// Reports a task that keeps its worker while others wait behind it. Returns whether it did.
fn name_hog(remote: &Remote, id: u64, time: Duration) -> bool {
    let others = remote.homes().saturating_sub(1);
    if others == 0 {
        return false;
    }
    let name = remote.name_of_running(id);
    let name = name.map_or(String::new(), |name| format!(" '{name}'"));
    eprintln!(
        "sedge: task{name} (id {id}) has kept worker {} for {:.1} s, and {others} other tasks live \
         there. Wrap computing and blocking calls in `blocking`, and hold no thread's lock over a wait.",
        remote.index(),
        time.as_secs_f64(),
    );
    true
}
