//! What runs here: the one file with a thread-local.
//!
//! A started task may be resumed on another thread (a migrating one), and LLVM assumes that the
//! address of a thread-local does not change inside a function. So every accessor is out of line,
//! reads afresh, and gives no reference to the thread-local itself. What it gives is a reference to
//! the worker: good until the next switch, after which it is asked for again.
#![expect(unsafe_code, reason = "a pointer to the worker whose loop runs below on this thread")]

use std::cell::{Cell, OnceCell};
use std::ptr;
use std::sync::Arc;

use crate::blocking::Pool;
use crate::io::Poller;
use crate::scheduler::Worker;
use crate::stack::overflow::CurrentStack;
use crate::task::TaskRef;
use crate::wait::Parker;

thread_local! {
    /// The worker whose loop this thread runs.
    static WORKER: Cell<*const Worker> = const { Cell::new(ptr::null()) };

    /// What blocks this thread, outside tasks.
    static PARKER: OnceCell<Arc<Parker>> = const { OnceCell::new() };
}

/// Makes `worker` this thread's for as long as the guard lives.
pub(crate) fn enter(worker: &Worker) -> Entered<'_> {
    let previous = WORKER.replace(worker);
    Entered { previous, _worker: worker }
}

/// See [`enter`].
#[derive(Debug)]
pub(crate) struct Entered<'a> {
    previous: *const Worker,
    _worker: &'a Worker,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        WORKER.set(self.previous);
    }
}

/// The address in the thread-local, read now. Out of line: see the module's header.
#[inline(never)]
fn worker_ptr() -> *const Worker {
    // A thread that is being torn down runs no worker any more.
    WORKER.try_with(Cell::get).unwrap_or(ptr::null())
}

/// Calls `f` with this thread's worker, if it has one. `f` must not switch stacks.
#[inline]
pub(crate) fn with_worker<R>(f: impl FnOnce(Option<&Worker>) -> R) -> R {
    // SAFETY: the pointer was set by `enter` from a reference that outlives its guard, on this
    // thread, whose stack below us holds that guard.
    f(unsafe { worker_ptr().as_ref() })
}

/// The running task, also inside `no_park`.
#[inline]
pub(crate) fn current_task() -> Option<TaskRef> {
    with_worker(|worker| worker.and_then(Worker::current))
}

/// The running task, unless it is inside `no_park`: who would park if the caller waited now.
#[inline]
pub(crate) fn parkable_task() -> Option<TaskRef> {
    with_worker(|worker| worker.filter(|worker| worker.may_park()).and_then(Worker::current))
}

/// Whether a wait here parks a task (and does not block the thread).
pub(crate) fn in_task() -> bool {
    parkable_task().is_some()
}

/// Takes one unit of the running task's budget. Gives the task where something is to be done about
/// it: the budget is spent, or it is cancelled.
#[inline]
pub(crate) fn spend_budget() -> Option<TaskRef> {
    with_worker(|worker| worker?.spend_budget())
}

/// The pool that the calling task's `blocking` uses; none where a wait blocks the thread.
pub(crate) fn current_pool() -> Option<Arc<Pool>> {
    with_worker(|worker| {
        let worker = worker.filter(|worker| worker.may_park())?;
        worker.current().map(|_| worker.shared().pool.clone())
    })
}

/// What the overflow handler asks, in a signal handler: only reads.
pub(crate) fn current_stack() -> Option<CurrentStack> {
    current_task().map(TaskRef::current_stack)
}

/// The netpoller of the worker that runs the calling task; none where a wait blocks the thread.
pub(crate) fn current_poller() -> Option<Arc<Poller>> {
    with_worker(|worker| {
        let worker = worker.filter(|worker| worker.may_park())?;
        worker.current().map(|_| worker.poller().clone())
    })
}

/// The calling thread's parker; out of line, as [`worker_ptr`] is. None on a thread that is being torn down and has lost it.
#[inline(never)]
pub(crate) fn thread_parker() -> Option<Arc<Parker>> {
    PARKER.try_with(|parker| parker.get_or_init(Arc::default).clone()).ok()
}
