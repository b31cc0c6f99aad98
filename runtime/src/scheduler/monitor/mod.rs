//! The monitor: one thread a runtime that looks at the workers every 10 ms while there is work.
//!
//! A worker whose task has kept it since the last look is *stuck*. Its tasks cannot be taken away
//! (they are at home there), but what others wait for can: the monitor asks its netpoller, fires its
//! timers, lets thieves take the fresh tasks in its inbox, and where all workers are stuck while
//! fresh tasks wait it adds an extra worker. A task that keeps its worker for a second is named.
//!
//! Between looks the monitor also gives idle stacks back, and tries again for tasks that found none.
//!
//! `look` is what it does at each tick; here is when.
//!
//! # Sleep and memory ordering
//!
//! After a second in which no task ran it sleeps until a worker wakes up: an idle process makes no
//! wake-ups at all. It sets `asleep`, fences, and looks whether every worker sleeps; a worker leaves
//! its sleep (the mark in its mailbox is cleared, by itself or by its waker), fences, and looks at
//! `asleep`. Both fences are `SeqCst`: one of the two sees the other.
//!
//! `hogs` is a figure: Relaxed.

mod look;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use self::look::Lookout;
use super::{Seat, Shared};
use crate::stack;

const TICK: Duration = Duration::from_millis(10);

/// Without work for this long, it sleeps.
const RESTLESS: Duration = Duration::from_secs(1);

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
    let mut lookout = Lookout::default();
    let mut last_work = Instant::now();
    let mut next_trim = last_work;
    let mut tidied = false;
    while shared.monitor.wait(Some(TICK)) {
        let now = Instant::now();
        if lookout.look(shared, now) {
            last_work = now;
            tidied = false;
        }
        let idle = now - last_work >= RESTLESS;
        if idle && !tidied {
            shared.remotes().for_each(|remote| {
                remote.progress.ask_to_tidy();
                remote.wake();
            });
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
    monitor.asleep.store(true, Ordering::Relaxed);
    fence(Ordering::SeqCst);
    let all_sleep = shared
        .remotes()
        .all(|remote| remote.mailbox().owner_sleeps() || remote.seat() == Seat::Vacant);
    let go_on = !all_sleep || shared.is_starving() || monitor.wait(None);
    monitor.asleep.store(false, Ordering::Relaxed);
    go_on
}
