//! The monitor: one thread a runtime that looks at the workers every 10 ms while there is work.
//!
//! A worker whose task has kept it since the last look is *stuck*. Its tasks cannot be taken away
//! (they are at home there), but what others wait for can: the monitor asks its netpoller, fires
//! its timers, lets thieves take the fresh tasks in its inbox, and where all workers are stuck
//! while fresh tasks wait it adds an extra worker. A task that keeps its worker for a second is
//! named.
//!
//! At a look it also gives idle stacks back, and has a few of the tasks that found none try again.
//!
//! `look` is what it does at each tick; here is when.
//!
//! # Sleep and memory ordering
//!
//! After a second in which no task ran it sleeps until a worker wakes up, or once or twice until
//! idle memory is due: an idle process makes no wake-ups at all. It sets `asleep`, fences, and
//! looks whether every worker sleeps; a worker leaves its sleep (the mark in its mailbox is
//! cleared, by itself or by its waker), fences, and looks at `asleep`. Both fences are `SeqCst`:
//! one of the two sees the other.
//!
//! `hogs` is a figure: Relaxed.

mod look;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use self::look::Lookout;
use super::{Remote, Seat, Shared};
use crate::stack;

const TICK: Duration = Duration::from_millis(10);

/// Without work for this long, it sleeps.
const IDLE_AFTER: Duration = Duration::from_secs(1);

/// How often it looks for idle memory while there is work, and nothing was found.
const TRIM_EVERY: Duration = Duration::from_secs(1);

/// How long it gives memory back at a time: a look must not be late.
const TRIM_BUDGET: Duration = Duration::from_millis(5);

/// What the workers see of the monitor.
#[derive(Debug)]
pub(crate) struct Monitor {
    asleep: AtomicBool,
    state: Mutex<Wish>,
    condvar: Condvar,
    hogs: AtomicU64,
}

#[derive(Debug, Default)]
struct Wish {
    wake: bool,
    stop: bool,
}

impl Monitor {
    pub(crate) fn new() -> Self {
        Self {
            asleep: AtomicBool::new(false),
            state: Mutex::default(),
            condvar: Condvar::new(),
            hogs: AtomicU64::new(0),
        }
    }

    /// How many times a task was seen to keep its worker for 10 ms or more.
    pub(crate) fn hogs(&self) -> u64 {
        self.hogs.load(Ordering::Relaxed)
    }

    /// A worker is awake.
    #[inline]
    pub(crate) fn notice_work(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) {
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

    /// Waits until `until`, or with `may_wake` until woken. False once it is to stop.
    fn wait(&self, until: Option<Instant>, may_wake: bool) -> bool {
        let mut wish = self.state.lock();
        let mut in_time = true;
        while in_time && !wish.stop && !(may_wake && wish.wake) {
            match until {
                None => self.condvar.wait(&mut wish),
                Some(until) => in_time = !self.condvar.wait_until(&mut wish, until).timed_out(),
            }
        }
        wish.wake = false;
        !wish.stop
    }
}

/// The monitor thread's loop.
pub(crate) fn run(shared: &Arc<Shared>) {
    let mut rounds = Rounds::new();
    while rounds.wait(shared) {
        rounds.look(shared);
    }
}

/// What the monitor goes by.
struct Rounds {
    lookout: Lookout,
    /// When it last saw that a task had run.
    last_work: Instant,
    /// When idle memory is due; none while there is nothing to give back.
    next_trim: Option<Instant>,
    /// Whether the workers were asked for their stacks since the last work.
    tidied: bool,
}

impl Rounds {
    fn new() -> Self {
        let now = Instant::now();
        Self { lookout: Lookout::default(), last_work: now, next_trim: Some(now), tidied: false }
    }

    fn is_idle(&self, now: Instant) -> bool {
        now - self.last_work >= IDLE_AFTER
    }

    /// Waits for the next look: a tick, or where nothing goes on until memory is due or a worker is
    /// awake. False once the monitor is to stop.
    fn wait(&mut self, shared: &Shared) -> bool {
        let monitor = &shared.monitor;
        let now = Instant::now();
        if !self.is_idle(now) || shared.is_starving() {
            return monitor.wait(Some(now + TICK), false);
        }
        monitor.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let sleeps =
            |remote: &Arc<Remote>| remote.mailbox().owner_sleeps() || remote.seat() == Seat::Vacant;
        let go_on = if shared.remotes().all(sleeps) {
            monitor.wait(self.next_trim, true)
        } else {
            monitor.wait(Some(now + TICK), false)
        };
        monitor.asleep.store(false, Ordering::Relaxed);
        go_on
    }

    fn look(&mut self, shared: &Arc<Shared>) {
        let now = Instant::now();
        if self.lookout.look(shared, now) {
            self.last_work = now;
            self.tidied = false;
            self.next_trim = self.next_trim.or(Some(now + TRIM_EVERY));
        }
        let idle = self.is_idle(now);
        if idle && !self.tidied {
            shared.remotes().for_each(|remote| {
                remote.progress.ask_to_tidy();
                remote.wake();
            });
            self.tidied = true;
            // Once they have done it.
            self.next_trim = Some(now + TICK);
        }
        if self.next_trim.is_some_and(|due| due <= now) {
            let wait = stack::trim_for(TRIM_BUDGET).or((!idle).then_some(TRIM_EVERY));
            self.next_trim = wait.map(|wait| now + wait);
        }
    }
}
