//! The threads of a runtime, and what each is given before it runs tasks.
#![expect(unsafe_code, reason = "sets the timer slack of a thread")]

use std::sync::Arc;
use std::{io, mem, process, thread};

use crate::scheduler::{self, Phase, Role, Shared, Worker};
use crate::stack::overflow;
use crate::{context, task};

/// What the process needs once: the overflow handler and the panic hook.
pub(super) fn prepare_process() -> io::Result<()> {
    task::install_panic_hook();
    // SAFETY: `current_stack` only reads this thread's worker and the header of its running task.
    unsafe { overflow::install(context::current_stack) }
}

/// Calls `run`, which runs the loop of `worker` on this thread, with all that a worker's thread
/// needs. A panic that leaves the loop would leave tasks half-run: it ends the process.
pub(super) fn on_this_thread<R>(worker: &Worker, run: impl FnOnce() -> R) -> io::Result<R> {
    struct AbortOnUnwind;

    impl Drop for AbortOnUnwind {
        fn drop(&mut self) {
            eprintln!("sedge: a worker failed: this is a bug in the runtime; aborting");
            process::abort();
        }
    }

    let _signal_stack = overflow::AltStack::install()?;
    let _timer_slack = TimerSlack::finest();
    let _entered = context::enter(worker);
    let abort = AbortOnUnwind;
    // `run` may be called in a destructor while this thread unwinds: its tasks do not.
    let hidden = if thread::panicking() { task::hide_panics() } else { 0 };
    let result = run();
    if hidden > 0 {
        task::restore_panics(hidden);
    }
    mem::forget(abort);
    Ok(result)
}

/// Runs `worker` on a new thread until the runtime stops (or, for an extra worker, until its last
/// task has ended).
pub(crate) fn start_worker(worker: Worker) -> io::Result<()> {
    let shared = worker.shared().clone();
    let index = worker.remote().index();
    shared.gone.thread_starts();
    let spawned = thread::Builder::new()
        .name(format!("{}-worker-{index}", shared.config.thread_name))
        .spawn(move || worker_thread(worker));
    match spawned {
        Ok(thread) => {
            shared.threads.lock().push(thread);
            Ok(())
        }
        Err(error) => {
            shared.gone.thread_ends();
            Err(named(error, "a worker's thread"))
        }
    }
}

fn worker_thread(worker: Worker) {
    let shared = worker.shared().clone();
    let is_extra = worker.role() == Role::Extra;
    if let Err(error) = on_this_thread(&worker, || worker.run(Worker::may_leave)) {
        eprintln!("sedge: a worker's thread cannot be prepared: {error}; aborting");
        process::abort();
    }
    if shared.phase() == Phase::Abandoned && worker.has_tasks() {
        // Abandoned tasks may have lent out this thread's thread-locals: they are never destroyed.
        mem::forget(worker);
        loop {
            #[expect(clippy::disallowed_methods, reason = "this thread runs no task any more")]
            thread::park();
        }
    }
    worker.leave();
    if is_extra {
        scheduler::note_retired(&shared);
    }
    shared.gone.thread_ends();
}

pub(super) fn start_monitor(shared: &Arc<Shared>) -> io::Result<()> {
    let for_thread = shared.clone();
    let thread = thread::Builder::new()
        .name(format!("{}-monitor", shared.config.thread_name))
        .stack_size(256 << 10)
        .spawn(move || scheduler::monitor(&for_thread))
        .map_err(|error| named(error, "the monitor's thread"))?;
    *shared.monitor_thread.lock() = Some(thread);
    Ok(())
}

fn named(error: io::Error, what: &str) -> io::Error {
    let text = format!("cannot start {what}: {error} (see `ulimit -u` and the cgroup's pids.max)");
    io::Error::new(error.kind(), text)
}

/// The thread's timer slack, put back at the end: the default of 50 us would round every sleep.
struct TimerSlack(libc::c_int);

impl TimerSlack {
    fn finest() -> Self {
        // SAFETY: reads and sets a number of this thread's.
        unsafe {
            let before = libc::prctl(libc::PR_GET_TIMERSLACK);
            libc::prctl(libc::PR_SET_TIMERSLACK, 1);
            Self(before)
        }
    }
}

impl Drop for TimerSlack {
    fn drop(&mut self) {
        if self.0 > 0 {
            // SAFETY: as above.
            unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, self.0) };
        }
    }
}
