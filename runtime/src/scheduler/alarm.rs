//! A worker's alarm clock: a timerfd for a deadline that outlasts many sleeps.
//!
//! A time limit on a sleep costs 130 ns, or 220 where it is exact to the nanosecond: the kernel
//! sets up a timer, and takes it down when an event comes first. The usual deadline is that of a
//! read timeout, far away, and the same from one sleep to the next, as a task's timer stays where
//! it is (see [`crate::timer`]). So a deadline that has not come in one sleep is set on the alarm
//! in the next, which costs a system call once, and the sleeps until then have no limit.
//!
//! It is the owner's, as are the sleeps: nobody else sets it. Its event is that of a wake from
//! another thread, edge-triggered and never read. Who polls in the owner's place gives it back as
//! such a wake, so an alarm that is still to come is never missed.

use std::cell::{Cell, OnceCell};
use std::time::Duration;

use crate::io::{Poller, TimerFd};
use crate::timer::Next;

/// Setting the alarm costs as much as two or three limits on sleeps.
const WORTHWHILE: Duration = Duration::from_millis(1);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    /// None if there is none to be had: then sleeps have limits.
    timerfd: OnceCell<Option<TimerFd>>,
    /// When it rings; in the past, or zero, if it is not set.
    rings_ns: Cell<u64>,
    /// The deadline of the last sleep that had a limit.
    last_ns: Cell<u64>,
}

impl Alarm {
    /// Whether the alarm ends a sleep in `poller` that begins now and has to end at `next`.
    pub(super) fn rings_for(&self, next: Next, poller: &Poller) -> bool {
        let is_set = next.now_ns < self.rings_ns.get() && self.rings_ns.get() <= next.at_ns;
        is_set || (self.last_ns.replace(next.at_ns) == next.at_ns && self.set(next, poller))
    }

    #[cold]
    fn set(&self, next: Next, poller: &Poller) -> bool {
        let left = next.left();
        if left < WORTHWHILE {
            return false;
        }
        let timerfd = self.timerfd.get_or_init(|| poller.add_timerfd().ok());
        let is_set = timerfd.as_ref().is_some_and(|timerfd| timerfd.set(left).is_ok());
        self.rings_ns.set(if is_set { next.at_ns } else { 0 });
        is_set
    }
}
