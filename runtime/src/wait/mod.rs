//! How anything waits: a task parks, a thread blocks, a future returns `Pending`.
//!
//! Everything in Sedge that can wait (sources, joins, timers, the blocking pool, and later locks
//! and channels) waits through this module, so that each of the three kinds of waiter works
//! everywhere. [`WaitQueue`] is the tool: its user states a condition, and who makes the condition
//! true wakes.
//!
//! # Waking in two steps
//!
//! A [`Waiter`] for a task is a *borrowed* reference: no count is touched. What keeps it alive is
//! that a task leaves its queue, under the queue's lock, before it goes on. So a waker must be done
//! with the reference before it lets go of that lock, yet scheduling a task may take a system call,
//! which does not belong under a lock. [`Waiter::claim`], under the lock, moves the task from
//! parked to active; from then on nobody else can make it run, so it cannot finish. The [`Wakeup`]
//! that comes back is delivered after the lock is released.
//!
//! # Spurious wakes
//!
//! Every wait tolerates them: [`park`] may return at any time, and its caller checks its condition
//! again.
//!
//! # Cancellation
//!
//! [`checkpoint`] raises at the entry of every call that may wait, and [`park`] raises when the
//! wake was a cancellation. A queue that a waiter leaves that way takes it out in a destructor.

mod queue;
mod thread;
pub(crate) use thread::Parker;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::scheduler;
use crate::task::{Claimed, TaskRef};
use crate::{context, task};

pub(crate) use queue::{QueueKey, WaitQueue};

/// The deadline of a wait has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimedOut;

/// Who waits.
#[derive(Debug)]
pub(crate) enum Waiter {
    /// A parked task, borrowed: it leaves the place where this stands before it goes on.
    Task(TaskRef),
    /// A future, or a plain thread.
    Waker(Waker),
}

/// A wake that has been decided and is still to be delivered, with no lock held.
#[derive(Debug)]
#[must_use = "the waiter runs again only when this is delivered"]
pub(crate) enum Wakeup {
    Task(Claimed),
    Waker(Waker),
}

impl Waiter {
    /// The caller: its task, or its thread where it is none (or is inside `no_park`).
    pub(crate) fn current() -> Self {
        match context::parkable_task() {
            Some(task) => Self::Task(task),
            None => Self::Waker(thread::current_waker()),
        }
    }

    /// Decides the wake, under the lock that keeps the waiter in its place. Nothing comes back
    /// where there is nothing left to do: the task was active and has been notified.
    pub(crate) fn claim(self) -> Option<Wakeup> {
        match self {
            Self::Task(task) => task.wake().map(Wakeup::Task),
            Self::Waker(waker) => Some(Wakeup::Waker(waker)),
        }
    }
}

impl Wakeup {
    /// Makes the waiter run again. Never unwinds.
    ///
    /// A waker's code is the user's and may panic, yet wakes are delivered where that would hit
    /// others: between the events of a poll, for which it would end the process; between the
    /// waiters of one source; in destructors that run in mid-unwind. So its panic ends here, once
    /// the hook has reported it.
    pub(crate) fn deliver(self) {
        match self {
            Self::Task(claimed) => scheduler::schedule(claimed),
            Self::Waker(waker) => {
                if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                    // Dropping it might panic again.
                    std::mem::forget(payload);
                }
            }
        }
    }
}

/// Waits until somebody wakes the caller's [`Waiter`], or the deadline has passed; may return for
/// no reason. Raises a cancellation that has come.
pub(crate) fn park(deadline: Option<Instant>) {
    match context::parkable_task() {
        Some(task) => task::park_until(task, deadline),
        None => thread::block(next_look(deadline)),
    }
}

/// Until when a thread may block at a stretch, in a wait that ends at `deadline`. Where it stands
/// in for a task that unwinds inside `no_park`, a cancellation wakes it not, so that it has to look
/// for one every millisecond.
pub(crate) fn next_look(deadline: Option<Instant>) -> Option<Instant> {
    if !std::thread::panicking() || context::current_task().is_none() {
        return deadline;
    }
    let tick = Instant::now() + Duration::from_millis(1);
    Some(deadline.map_or(tick, |deadline| deadline.min(tick)))
}

/// Every call that may wait begins here: takes one unit of the running task's operation budget
/// (yielding when it is spent), and raises a pending cancellation.
///
/// Does nothing on a plain thread, and neither yields nor raises inside `no_park` or an unwind.
#[inline]
pub(crate) fn checkpoint() {
    if let Some(task) = context::spend_budget() {
        task::checkpoint_slow(task);
    }
}

/// True in a task that is being cancelled and is unwinding: I/O that would wait returns
/// [`cancelled_error`] instead, so that a flush in a destructor cannot hang on a stuck peer. Inside
/// `no_park` too, where it would hang the worker's thread.
///
/// Nothing is raised in an unwind, so a wait asks this before it begins, and again whenever it is
/// woken, by [`or_cancelled`].
pub(crate) fn cancelled_in_unwind() -> bool {
    std::thread::panicking() && context::is_cancelled()
}

/// What I/O returns where [`cancelled_in_unwind`] holds. Never `Interrupted`, which `write_all`
/// retries for ever.
pub(crate) fn cancelled_error() -> io::Error {
    io::Error::other("the task is being cancelled: this operation would have waited")
}

/// The condition of a wait that a cancellation ends in mid-unwind too: what is `ready`; where
/// nothing is and [`cancelled_in_unwind`] holds, the error.
pub(crate) fn or_cancelled<R>(ready: Option<R>) -> Option<io::Result<R>> {
    match ready {
        Some(ready) => Some(Ok(ready)),
        None => cancelled_in_unwind().then(|| Err(cancelled_error())),
    }
}

pub(crate) use thread::current_waker as thread_waker;
