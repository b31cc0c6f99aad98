//! How the running task gives its worker up, and what brings it back.
//!
//! [`park_until`] is under every wait of the runtime; [`park`] is the user's, with a token of its
//! own; [`yield_now`] gives the worker up without waiting for anything.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::interrupt::{
    Frames, TICK, may_be_due, next_look_at_flags, raise_if_due, raise_if_due_here, raised_at,
};
use super::unwind::{hide_panics, restore_panics};
use super::{Suspend, TaskRef};
use crate::scheduler::Remote;
use crate::timer::{Counted, TimerKey};
use crate::wait::Limit;
use crate::{clock, context, wait};

/// Waits until the task's token is there, and takes it. [`Task::unpark`](super::Task::unpark)
/// leaves it, before or during the wait. As [`std::thread::park`], but a task does not return for
/// nothing.
///
/// # Blocking
///
/// Parks the task. On a plain thread it is [`std::thread::park`], which may return for nothing:
/// under a [`CancelToken`](super::CancelToken) or in a [`try_scope`](super::try_scope()) it does,
/// about every millisecond, as it has to look whether that is over. Inside
/// [`no_park`](super::no_park) it blocks the thread, and looks for the task's token every
/// millisecond.
///
/// # Cancellation
///
/// A cancellation point, at entry and while it waits. The token stays.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// use sedge::task;
///
/// sedge::run(|| {
///     let ready = Arc::new(AtomicBool::new(false));
///     let waiting = task::spawn({
///         let ready = ready.clone();
///         move || {
///             while !ready.load(Ordering::Acquire) {
///                 task::park();
///             }
///         }
///     });
///     assert!(!waiting.is_finished());
///     ready.store(true, Ordering::Release);
///     waiting.task().unpark();
///     waiting.join().unwrap();
/// });
/// ```
pub fn park() {
    park_deadline(None);
}

/// Waits as [`park`] does, for `timeout` at most. Does not say which of the two ended it.
///
/// A timeout that ends later than an [`Instant`] can tell has no end.
///
/// # Blocking
///
/// Parks the task. On a plain thread it is [`std::thread::park_timeout`], which may return for
/// nothing, as [`park`] does; inside [`no_park`](super::no_park) it blocks the thread.
///
/// # Cancellation
///
/// A cancellation point, at entry and while it waits. The token stays.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::time::{Duration, Instant};
///
/// use sedge::task;
///
/// sedge::run(|| {
///     let start = Instant::now();
///     task::park_timeout(Duration::from_millis(2)); // Nobody unparks it.
///     assert!(start.elapsed() >= Duration::from_millis(2));
///
///     task::current().unpark();
///     task::park_timeout(Duration::from_secs(3600)); // The token is there.
///     assert!(start.elapsed() < Duration::from_secs(3600));
/// });
/// ```
pub fn park_timeout(timeout: Duration) {
    park_deadline(clock::after(timeout));
}

fn park_deadline(deadline: Option<Instant>) {
    wait::checkpoint();
    let Some(task) = context::current_task() else { return park_thread(deadline) };
    let mut is_over = false;
    while !task.state.take_token() && !is_over {
        is_over = if context::in_task() {
            park_until(task, deadline)
        } else {
            // Inside `no_park` the thread has to wait for a token that is the task's; an unpark
            // finds the task active and tells no thread. So it looks every millisecond.
            let tick = clock::now() + TICK;
            wait::park(Some(deadline.map_or(tick, |deadline| deadline.min(tick))));
            deadline.is_some_and(|deadline| clock::now() >= deadline)
        };
    }
}

#[expect(clippy::disallowed_methods, reason = "there is no task here")]
fn park_thread(deadline: Option<Instant>) {
    let until = [deadline, raised_at(), next_look_at_flags()];
    match until.into_iter().flatten().min() {
        None => thread::park(),
        Some(deadline) => {
            thread::park_timeout(deadline.saturating_duration_since(Instant::now()));
        }
    }
    raise_if_due_here();
}

/// Lets the worker's other ready tasks run: the task goes to the end of the queue, and stays ready.
///
/// A migrating task may be taken by another worker there.
///
/// # Blocking
///
/// Neither the task nor the worker waits. On a plain thread, and inside
/// [`no_park`](super::no_park), it is [`std::thread::yield_now`].
///
/// # Cancellation
///
/// A cancellation point, at entry.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// sedge::run(|| {
///     let other = sedge::spawn(|| 7);
///     while !other.is_finished() {
///         sedge::task::yield_now();
///     }
///     assert_eq!(other.join().unwrap(), 7);
/// });
/// ```
#[inline]
pub fn yield_now() {
    match context::parkable_task() {
        Some(task) => {
            if may_be_due(task) {
                look_before_yield(task);
            }
            suspend(task, Suspend::Yield);
        }
        None => yield_thread(),
    }
}

/// Apart, so that the rest is short enough to be in line: see [`suspend`].
#[cold]
fn look_before_yield(task: TaskRef) {
    task.frames.note_time();
    raise_if_due(task);
}

#[cold]
#[expect(clippy::disallowed_methods, reason = "there is no task here")]
fn yield_thread() {
    raise_if_due_here();
    thread::yield_now();
}

/// Gives the worker back.
///
/// In line, as is [`Worker::resume`](crate::scheduler::Worker): a switch leaves the processor's
/// prediction of returns behind, so every frame that is returned from after one costs some 5 ns.
#[inline(always)]
pub(super) fn suspend(task: TaskRef, how: Suspend) {
    if thread::panicking() {
        return suspend_in_unwind(task, how);
    }
    task.suspend(how);
}

#[cold]
#[inline(never)]
fn suspend_in_unwind(task: TaskRef, how: Suspend) {
    match hide_panics() {
        Some(hidden) => {
            task.suspend(how);
            restore_panics(hidden);
        }
        #[expect(clippy::disallowed_methods, reason = "the worker cannot run another task now")]
        None => thread::sleep(Duration::from_millis(1)),
    }
}

/// Parks `task`, the running one, until a wake or `deadline`; may return for no reason. Returns
/// whether the deadline has come, as far as it knows: what waits in a loop ends it by that.
pub(crate) fn park_until(task: TaskRef, deadline: Option<Instant>) -> bool {
    raise_if_due(task);
    let is_over = pause_until(task, deadline);
    raise_if_due(task);
    is_over
}

/// Parks `task`, the running one, until a wake, or until something in a frame is due; may return
/// for no reason, and raises nothing.
#[inline(always)]
pub(crate) fn pause(task: TaskRef) {
    if !task.frames.is_empty() {
        let _over = pause_until(task, None);
    } else if !task.state.take_notified() {
        suspend(task, Suspend::Park);
    }
}

/// The same, and raises nothing: it returns where something is due.
pub(crate) fn pause_until(task: TaskRef, deadline: Option<Instant>) -> bool {
    if task.state.take_notified() {
        return false;
    }
    let frames_deadline = frames_deadline(task);
    let until = deadline.into_iter().chain(frames_deadline).min();
    let has_come = match until {
        None => {
            suspend(task, Suspend::Park);
            false
        }
        Some(until) if task.migrating => {
            let timer = Timer::add(task, until);
            suspend(task, Suspend::Park);
            timer.end()
        }
        Some(until) => {
            context::with_worker(|worker| {
                worker.expect("a task runs on a worker").remote().timers.set(until, task);
            });
            suspend(task, Suspend::Park);
            task.timer.unset()
        }
    };
    if has_come && frames_deadline == until {
        task.frames.note_time();
    }
    has_come && deadline == until
}

/// The same for a task whose time the worker counts: it is not until the task waits for longer than
/// most. Says in `limit` what is left.
pub(crate) fn pause_for(task: TaskRef, duration: Duration, limit: &mut Limit) -> bool {
    if task.state.take_notified() {
        return false;
    }
    context::with_worker(|worker| {
        worker.expect("a task runs on a worker").pending.push(task, duration);
    });
    suspend(task, Suspend::Park);
    let counted = context::with_worker(|worker| {
        worker.expect("a task runs on a worker").pending.remove(task)
    });
    match counted {
        Counted::Fired => return true,
        Counted::Until(deadline) => *limit = Limit::At(deadline),
        Counted::Not => *limit = Limit::Left(duration),
    }
    false
}

/// When a wait of the running task ends because something is raised.
#[inline]
fn frames_deadline(task: TaskRef) -> Option<Instant> {
    if task.frames.is_empty() { None } else { raised_at() }
}

/// A parked migrating task's timer, taken away before the task goes on, which may be elsewhere.
struct Timer {
    key: TimerKey,
    remote: Arc<Remote>,
}

impl Timer {
    fn add(task: TaskRef, deadline: Instant) -> Self {
        context::with_worker(|worker| {
            let remote = worker.expect("a task runs on a worker").remote();
            Self { key: remote.timers.add(deadline, task), remote: remote.clone() }
        })
    }

    /// Returns whether its time had come.
    fn end(self) -> bool {
        self.remote.timers.cancel(self.key)
    }
}

/// The rest of [`wait::checkpoint`]: the running task's budget is spent, or something may be due.
#[cold]
pub(crate) fn checkpoint_slow() {
    let task = context::current_task();
    context::with_frames(Frames::end_unwind);
    let Some(task) = task else { return raise_if_due_here() };
    let is_spent =
        context::with_worker(|worker| worker.is_some_and(|worker| worker.budget_is_spent()));
    if is_spent && !task.frames.is_empty() {
        task.frames.note_time();
    }
    raise_if_due(task);
    if is_spent && context::in_task() && !thread::panicking() {
        suspend(task, Suspend::Yield);
    }
}
