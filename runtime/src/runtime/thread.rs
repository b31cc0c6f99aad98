//! The threads of a runtime, and what each is given before it runs tasks.
#![expect(unsafe_code, reason = "sets a thread's name and timer slack, and for whom it works")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use std::{io, thread};

use super::shutdown;
use crate::abort::AbortOnUnwind;
use crate::scheduler::{self, Seat, Shared, Worker};
use crate::stack::overflow;
use crate::wait::WaitQueue;
use crate::{context, task};

/// What the process needs once: the overflow handler and the panic hook.
pub(super) fn prepare_process() -> io::Result<()> {
    task::install_panic_hook();
    // SAFETY: `current_stack` only reads this thread's worker and the header of its running task.
    unsafe { overflow::install(context::current_stack) }
}

/// The calling thread with all that a thread needs that runs tasks; put back at the end.
#[derive(Debug)]
pub(super) struct WorkerThread {
    _signal_stack: overflow::AltStack,
    _timer_slack: TimerSlack,
}

impl WorkerThread {
    /// Before the worker is made: what cannot be had leaves no trace.
    pub(super) fn prepare() -> io::Result<Self> {
        let signal_stack = overflow::AltStack::install()?;
        Ok(Self { _signal_stack: signal_stack, _timer_slack: TimerSlack::finest() })
    }

    /// Calls `run`, which runs the loop of `worker` on this thread. A panic that leaves the loop
    /// would leave tasks half-run: it ends the process.
    pub(super) fn run<R>(&self, worker: &Worker, run: impl FnOnce() -> R) -> R {
        let _entered = context::enter(worker);
        let abort = AbortOnUnwind("a worker failed: this is a bug in the runtime");
        // `run` may be called in a destructor while this thread unwinds: its tasks do not.
        let hidden = thread::panicking().then(hide_panics_or_wait);
        let result = run();
        hidden.into_iter().for_each(task::restore_panics);
        abort.disarm();
        result
    }
}

/// As [`task::hide_panics`], and waits until that can be.
fn hide_panics_or_wait() -> task::Hidden {
    loop {
        match task::hide_panics() {
            Some(hidden) => return hidden,
            #[expect(clippy::disallowed_methods, reason = "this thread runs no task yet")]
            None => thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// The threads of a runtime's workers that have not ended, as a count. Relaxed: who ends counts
/// itself out and then takes the queue's lock to wake; who waits looks at the count under that
/// lock.
#[derive(Debug, Default)]
pub(crate) struct WorkerThreads {
    count: AtomicUsize,
    waiters: WaitQueue,
}

impl WorkerThreads {
    fn one_starts(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    fn one_ends(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.waiters.wake_all();
    }

    /// False if `deadline` passes first. No cancellation point.
    pub(super) fn wait_until_none(&self, deadline: Option<Instant>) -> bool {
        let none = || (self.count.load(Ordering::Relaxed) == 0).then_some(());
        task::shield(|| self.waiters.wait_until(deadline, none)).is_ok()
    }
}

/// Starts a worker on a new thread, where it runs until the runtime stops (or, for an extra worker,
/// until its last task has ended). Returns once it has sat down: what cannot be had leaves no
/// trace.
pub(crate) fn start_worker(shared: &Arc<Shared>, seat: Seat) -> io::Result<()> {
    let (sat_down, outcome) = mpsc::sync_channel(1);
    let for_thread = shared.clone();
    shared.worker_threads.one_starts();
    let spawned = thread::Builder::new()
        .name(format!("{}-worker", shared.config.thread_name))
        .spawn(move || worker_thread(&for_thread, seat, &sat_down));
    match spawned {
        Ok(thread) => {
            let mut threads = shared.threads.lock();
            // Added workers that have gone: a thread's stack is kept until it is joined or let go.
            threads.retain(|thread| !thread.is_finished());
            threads.push(thread);
            drop(threads);
            outcome.recv().unwrap_or_else(|_| Err(io::Error::other("a worker's thread has ended")))
        }
        Err(error) => {
            shared.worker_threads.one_ends();
            Err(named(error, "a worker's thread"))
        }
    }
}

fn worker_thread(shared: &Arc<Shared>, seat: Seat, sat_down: &mpsc::SyncSender<io::Result<()>>) {
    let prepared = WorkerThread::prepare()
        .and_then(|thread| Worker::new(shared, seat).map(|worker| (thread, worker)));
    match prepared {
        Ok((thread, worker)) => {
            name_thread(&worker);
            // Who started us waits for this, and for nothing else.
            let _ = sat_down.send(Ok(()));
            thread.run(&worker, || worker.run(Worker::may_leave));
            shutdown::retire(worker);
        }
        Err(error) => drop(sat_down.send(Err(error))),
    }
    shared.worker_threads.one_ends();
}

/// Gives the thread the number of its seat, as debuggers show it.
fn name_thread(worker: &Worker) {
    let name = format!("{}-worker-{}", worker.shared().config.thread_name, worker.remote().index());
    let shown: Vec<u8> = name.bytes().filter(|&byte| byte != 0).take(15).chain([0]).collect();
    // SAFETY: a string of fifteen bytes at most, with its end.
    unsafe { libc::prctl(libc::PR_SET_NAME, shown.as_ptr()) };
}

pub(super) fn start_monitor(shared: &Arc<Shared>) -> io::Result<()> {
    let for_thread = shared.clone();
    let thread = thread::Builder::new()
        .name(format!("{}-monitor", shared.config.thread_name))
        .stack_size(256 << 10)
        .spawn(move || {
            // It wakes what waits for a stuck worker, and how a waker wakes is the user's code.
            // SAFETY: the runtime is there until its monitor has ended.
            let _working = unsafe { context::work_for(Some(context::Client::of(&for_thread))) };
            scheduler::monitor(&for_thread);
        })
        .map_err(|error| named(error, "the monitor's thread"))?;
    *shared.monitor_thread.lock() = Some(thread);
    Ok(())
}

fn named(error: io::Error, what: &str) -> io::Error {
    let text = format!("cannot start {what}: {error} (see `ulimit -u` and the cgroup's pids.max)");
    io::Error::new(error.kind(), text)
}

/// The thread's timer slack, put back at the end: the default of 50 us would round every sleep.
#[derive(Debug)]
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
