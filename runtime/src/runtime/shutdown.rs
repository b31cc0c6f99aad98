//! The end of a runtime, led by the thread that called `run` or drops the
//! [`Runtime`](super::Runtime).
//!
//! 1. The phase becomes *stopping*. Every worker cancels its tasks and goes on until none is left
//!    anywhere (all permits are back). No task can be spawned from outside any more.
//! 2. Worker threads leave; each counts itself out of [`WorkerThreads`](super::WorkerThreads).
//! 3. The blocking pool ends, then the monitor.
//! 4. Pollers are retired, and no thread outside is in the middle of a wake: the memory may go.
//!
//! If time is up before 3 is done (a worker, a job of the pool or a task is left), the phase
//! becomes *abandoned*, and from then on nothing is freed.

use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{mem, thread};

use crate::scheduler::{Phase, Shared, Worker};
use crate::{context, stack};

/// How long abandoned workers get to notice.
const GRACE: Duration = Duration::from_millis(100);

/// Whether a runtime has been shut down.
pub(super) fn is_over(shared: &Shared) -> bool {
    shared.phase() != Phase::Running
}

/// Ends `shared`; `own` is the worker whose loop the calling thread runs. Returns how many tasks
/// were abandoned.
pub(super) fn shutdown(
    shared: &Arc<Shared>,
    own: Option<&Worker>,
    timeout: Option<Duration>,
) -> usize {
    shared.refuse_in_child();
    // Nothing can be unwound, so only those who have nothing to do end.
    let timeout = if cfg!(panic = "abort") { Some(GRACE) } else { timeout };
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let late = || deadline.is_some_and(|deadline| Instant::now() >= deadline);
    shared.enter_phase(Phase::Stopping);
    if let Some(worker) = own {
        worker.limit_sleep(deadline);
        worker.run(|worker| worker.may_leave() || late());
    }
    let workers_left = shared.worker_threads.wait_until_none(deadline);
    let jobs = if workers_left { shared.pool.shutdown(deadline) } else { 0 };
    if workers_left && jobs == 0 && shared.permits.all_back() {
        end(shared);
        return 0;
    }
    abandon(shared)
}

fn end(shared: &Shared) {
    shared.monitor.stop();
    // The monitor first: it may be about to add a worker, for which it takes the lock on `threads`.
    // A worker's panic aborts, so there is none to report.
    let monitor = shared.monitor_thread.lock().take();
    monitor.into_iter().for_each(join);
    let threads = mem::take(&mut *shared.threads.lock());
    threads.into_iter().for_each(join);
    shared.wait_for_visitors();
    stack::trim();
}

/// Waits for a thread to end, unless it is the calling one: the runtime may end in a destructor of
/// one of its own threads' locals.
fn join(handle: thread::JoinHandle<()>) {
    if handle.thread().id() != thread::current().id() {
        let _ = handle.join();
    }
}

/// Leaves what has not ended for ever: tasks, and with them the runtime that they point to.
fn abandon(shared: &Arc<Shared>) -> usize {
    shared.enter_phase(Phase::Abandoned);
    shared.worker_threads.wait_until_none(Some(Instant::now() + GRACE));
    // Sources that tasks of other runtimes wait for, too.
    shared.remotes().for_each(|remote| remote.retire_poller());
    // Nobody is left whom it could help, and it would never sleep.
    shared.monitor.stop();
    // They end by themselves, or never.
    shared.threads.lock().clear();
    shared.monitor_thread.lock().take();
    let tasks = shared.live_tasks();
    if !cfg!(panic = "abort") {
        let (tasks, they_are) = match tasks {
            1 => ("1 task".to_owned(), "it is"),
            _ => (format!("{tasks} tasks"), "they are"),
        };
        eprintln!(
            "sedge: the runtime stopped with {tasks} that had not ended in time: {they_are} \
             abandoned. Memory is leaked, and threads that ran such tasks never end. help: a task \
             may wait in `blocking`, in `task::shield` or in a destructor, or compute: end it \
             before the root task returns, or raise runtime::Builder::shutdown_timeout"
        );
    }
    mem::forget(shared.clone());
    tasks
}

/// Gives up a worker whose loop has ended, on its thread. One that has abandoned tasks is leaked
/// with them, and keeps its thread if they may have lent out its thread-locals.
pub(super) fn retire(worker: Worker) {
    let shared = worker.shared().clone();
    if shared.phase() < Phase::Abandoned || !worker.has_tasks() {
        return worker.leave();
    }
    mem::forget(worker);
    // Under `panic = "abort"` every end abandons tasks, and a thread that never ended would be
    // news. There it ends, unless the pool is at work. Technically UB because a task may have lent
    // them to a thread of its own, in `std::thread::scope`, and be parked inside.
    if cfg!(panic = "unwind") || shared.pool.is_at_work() {
        context::keep_thread();
    }
}
