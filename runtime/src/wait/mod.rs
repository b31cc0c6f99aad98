//! How anything waits: a task parks, a thread blocks, a future returns `Pending`.
//!
//! Everything in Sedge that can wait (sources, joins, timers, the blocking pool, locks and
//! channels) waits through this module, so that each of the three kinds of waiter works everywhere.
//! There are two tools. [`WaitList`] is a state under a lock, and lines of calls that wait for it:
//! whoever changes the state answers one. [`WaitQueue`], built on it, is for a condition that is
//! kept elsewhere: its user states it, and who makes it true wakes.
//!
//! # Waking in two steps
//!
//! A [`Waiter`] for a task is a *borrowed* reference: no count is touched. What keeps it alive is
//! that a task leaves its line, under the line's lock, or is answered, before it goes on. So a
//! waker must be done with the reference before it lets go of that lock, yet scheduling a task may
//! take a system call, which does not belong under a lock. [`Waiter::claim`], under the lock, moves
//! the task from parked to active; from then on nobody else can make it run, so it cannot finish.
//! The [`Wakeup`] that comes back is delivered after the lock is released.
//!
//! # Spurious wakes
//!
//! Every wait tolerates them: [`park`] may return at any time, and its caller checks its condition
//! again.
//!
//! # Cancellation
//!
//! [`checkpoint`] raises at the entry of every call that may wait, and [`park`] raises what is due
//! once it is woken. A queue that a waiter leaves that way takes it out in a destructor. Where
//! nothing can be raised, operations that can return an error return a [`refusal`].

mod call;
mod limit;
mod list;
mod queue;
mod selection;
mod thread;
mod wakeups;
pub(crate) use thread::{Parker, pass_wakes_on};

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;
use std::time::Instant;

use crate::scheduler;
use crate::task::{Claimed, TaskRef};
use crate::{clock, context, task};

pub(crate) use crate::task::refusal;

pub(crate) use limit::Limit;
pub(crate) use list::{Caller, Held, Locked, Place, WaitList};
pub(crate) use queue::{QueueKey, Standing, WaitQueue};
pub(crate) use selection::Selection;
pub(crate) use wakeups::Wakeups;

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

    /// The same, to be kept.
    pub(crate) fn into_waker(self) -> Waker {
        match self {
            Self::Task(task) => task.waker(),
            Self::Waker(waker) => waker,
        }
    }

    /// Decides the wake, under the lock that keeps the waiter in its place. Nothing comes back
    /// where there is nothing left to do: the task was active and has been notified.
    #[inline]
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
    #[inline]
    pub(crate) fn deliver(self) {
        match self {
            Self::Task(claimed) => scheduler::schedule(claimed),
            Self::Waker(waker) => wake(waker),
        }
    }
}

#[cold]
fn wake(waker: Waker) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
        // Dropping it might panic again.
        std::mem::forget(payload);
    }
}

/// Waits until somebody wakes the caller's [`Waiter`], or the deadline has passed; may return for
/// no reason. Raises a cancellation that has come. Returns whether the deadline has passed: no
/// clock need be read to find out.
pub(crate) fn park(deadline: Option<Instant>) -> bool {
    match context::parkable_task() {
        Some(task) => task::park_until(task, deadline),
        None => block(deadline),
    }
}

/// The same with a limit, which is fixed by the first wait; and raises nothing: it returns where
/// something is due.
fn pause(limit: &mut Limit) -> bool {
    let task = context::parkable_task();
    if let (Limit::After(duration), Some(task)) = (*limit, task) {
        if task.may_be_counted() {
            return task::pause_for(task, duration, limit);
        }
    }
    let deadline = limit.deadline();
    *limit = deadline.into();
    match task {
        Some(task) => task::pause_until(task, deadline),
        None => block_quietly(deadline),
    }
}

/// The same on a thread.
fn block(deadline: Option<Instant>) -> bool {
    task::raise_if_due_here();
    let is_over = block_quietly(deadline);
    task::raise_if_due_here();
    is_over
}

fn block_quietly(deadline: Option<Instant>) -> bool {
    let until = look_before(deadline);
    if !until.is_some_and(clock::jump_to) {
        thread::block(until);
    }
    deadline.is_some_and(|deadline| clock::now() >= deadline)
}

/// Until when a thread may block at a stretch, in a wait that ends at `deadline`. Raises what is
/// due.
pub(crate) fn next_look(deadline: Option<Instant>) -> Option<Instant> {
    task::raise_if_due_here();
    look_before(deadline)
}

/// The same, without that: it ends where something will be due.
///
/// Where the thread stands in for a task that nothing is raised in, a cancellation wakes it not, so
/// that it has to look for one every millisecond.
fn look_before(deadline: Option<Instant>) -> Option<Instant> {
    let looks = !task::raises() && context::current_task().is_some();
    let tick = looks.then(|| clock::now() + task::TICK);
    [deadline, task::raised_at(), tick].into_iter().flatten().min()
}

/// Every call that may wait begins here: takes one unit of the running task's operation budget
/// (yielding when it is spent), and raises what is due.
///
/// Neither yields nor raises inside `no_park` or an unwind, and never yields on a plain thread.
#[inline]
pub(crate) fn checkpoint() {
    if context::spend_budget() {
        task::checkpoint_slow();
    }
}

/// The same, and returns the running task's id, zero on a plain thread.
#[inline]
pub(crate) fn checkpoint_as() -> u64 {
    let (is_due, id) = context::spend_budget_as();
    if is_due {
        task::checkpoint_slow();
    }
    id
}

/// The condition of a wait that a [`refusal`] ends too: what is `ready`, or the refusal.
pub(crate) fn or_refused<R>(ready: Option<R>) -> Option<io::Result<R>> {
    match ready {
        Some(ready) => Some(Ok(ready)),
        None => refusal().map(Err),
    }
}
