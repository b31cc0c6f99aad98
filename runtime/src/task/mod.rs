//! Tasks: green threads, used as threads are.
//!
//! A task is a function with a stack of its own that runs on a worker's thread until it waits: then
//! it *parks*, and the worker runs another. A task that has started stays on the worker that first
//! ran it, so thread-locals, `Rc`s and lock guards mean what they mean in a thread.
//!
//! # Three rules
//!
//! - Hold no *thread's* lock (std's, `parking_lot`'s) over a call that may wait: another task of the
//!   same worker that wants it blocks the worker, for good. [`no_park`] makes such a stretch safe.
//! - Computing for long, and blocking calls, go into [`blocking`](crate::blocking()): they keep the
//!   worker from its other tasks.
//! - Crates that keep a strict nesting in a thread-local (`scoped-tls`'s `set`) must not be parked
//!   inside, nor must the initialiser of a `thread_local!`: [`no_park`] again.
//!
//! # Outside tasks
//!
//! Everything here works on a plain thread too, where it blocks the thread.
#![expect(unsafe_code, reason = "the running task is there: references to it may be made")]

mod builder;
mod cancel;
mod handle;
mod header;
mod hook;
mod join;
mod state;
mod unwind;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use crate::context;
use crate::scheduler::Remote;
use crate::timer::TimerKey;
use crate::wait;

pub use builder::{Builder, spawn};
pub use cancel::{Cancelled, shield};
pub use handle::{Task, TaskId};
pub use join::JoinHandle;

pub(crate) use builder::{spawn_root, spawns_into};
pub(crate) use header::{Claimed, Coroutine, Header, Suspend, TaskRef};
pub(crate) use state::Park;
pub(crate) use unwind::{hide_panics, restore_panics};

use cancel::raise_if_cancelled;
use handle::Counted;

/// A handle to the running task; on a plain thread, one to the thread.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// sedge::run(|| {
///     let me = sedge::task::current();
///     sedge::spawn(move || me.unpark());
///     sedge::task::park();
/// });
/// ```
pub fn current() -> Task {
    match current_counted() {
        Some(counted) => Task::green(counted),
        None => Task::thread(),
    }
}

fn current_counted() -> Option<Counted> {
    // SAFETY: the task runs, so it is not finished.
    context::current_task().map(|task| unsafe { Counted::from_borrowed(task) })
}

/// Waits until the task's token is there, and takes it: [`Task::unpark`] leaves it. As
/// [`std::thread::park`]; a task is not woken for nothing.
///
/// # Blocking
///
/// Parks the task. On a plain thread it is [`std::thread::park`].
///
/// # Cancellation
///
/// A cancellation point. The token stays.
///
/// # Examples
///
/// See [`current`].
pub fn park() {
    park_deadline(None);
}

/// As [`park`], for `timeout` at most. Does not say which of the two ended it.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::time::Duration;
///
/// sedge::run(|| sedge::task::park_timeout(Duration::from_millis(1)));
/// ```
pub fn park_timeout(timeout: Duration) {
    park_deadline(Instant::now().checked_add(timeout));
}

fn park_deadline(deadline: Option<Instant>) {
    wait::checkpoint();
    let Some(task) = context::current_task() else { return park_thread(deadline) };
    while !task.state.take_token() && deadline.is_none_or(|deadline| Instant::now() < deadline) {
        if context::in_task() {
            park_until(task, deadline);
        } else {
            // Inside `no_park` the thread has to wait for a token that is the task's; an unpark
            // finds the task active and tells no thread. So it looks every millisecond.
            let tick = Instant::now() + Duration::from_millis(1);
            wait::park(Some(deadline.map_or(tick, |deadline| deadline.min(tick))));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "there is no task here")]
fn park_thread(deadline: Option<Instant>) {
    match deadline {
        None => std::thread::park(),
        Some(deadline) => {
            std::thread::park_timeout(deadline.saturating_duration_since(Instant::now()));
        }
    }
}

/// Lets other ready tasks run; goes to the end of the worker's queue. Wakes no other worker, unless
/// the task migrates.
///
/// # Blocking
///
/// The task stays ready. On a plain thread it is [`std::thread::yield_now`].
///
/// # Cancellation
///
/// A cancellation point.
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
            raise_if_cancelled(task);
            suspend(task, Suspend::Yield);
        }
        #[expect(clippy::disallowed_methods, reason = "there is no task here")]
        None => std::thread::yield_now(),
    }
}

/// Runs a future to its end and returns its output; the task (or thread) parks while it is pending.
///
/// Futures that need another runtime's reactor (tokio's sockets, say) find none here. The future is
/// polled on the worker: one that computes keeps it from its other tasks.
///
/// # Blocking
///
/// Parks the task, or blocks a plain thread, while the future is pending.
///
/// # Cancellation
///
/// A cancellation point; the future is dropped.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// let answer = sedge::run(|| sedge::task::block_on(async { 42 }));
/// assert_eq!(answer, 42);
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    wait::checkpoint();
    let mut future = pin!(future);
    let waker = match current_counted().filter(|_| context::in_task()) {
        Some(counted) => counted.into_waker(),
        None => wait::thread_waker(),
    };
    let woken = Arc::new(Woken { flag: AtomicBool::new(false), waker });
    let waker = Waker::from(woken.clone());
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        while !woken.flag.swap(false, Ordering::Acquire) {
            wait::park(None);
        }
    }
}

/// What `block_on` waits for: a wait inside `poll` may use up the task's own wake.
struct Woken {
    flag: AtomicBool,
    waker: Waker,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.flag.store(true, Ordering::Release);
        self.waker.wake_by_ref();
    }
}

/// Runs `f` without parking: every wait in it blocks the thread, as outside the runtime, and no
/// other task of this worker runs meanwhile.
///
/// This is what makes it safe to hold a thread's lock, or to be inside a thread-local's initialiser
/// or a crate's scoped thread-local, over a call that may wait. Keep it short, and do not wait in
/// it for a task that lives on the same worker: that is a deadlock.
///
/// # Cancellation
///
/// Nothing is raised inside.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::sync::Mutex;
/// use std::time::Duration;
///
/// let log = Mutex::new(Vec::new());
/// sedge::run(|| {
///     sedge::task::no_park(|| {
///         let mut log = log.lock().unwrap();
///         sedge::time::sleep(Duration::from_micros(10));
///         log.push("slept with the lock held");
///     });
/// });
/// ```
pub fn no_park<R>(f: impl FnOnce() -> R) -> R {
    struct Leave;

    impl Drop for Leave {
        fn drop(&mut self) {
            change_no_park(|depth| depth - 1);
        }
    }

    fn change_no_park(change: impl FnOnce(u32) -> u32) {
        context::with_worker(|worker| {
            if let Some(worker) = worker {
                worker.no_park().set(change(worker.no_park().get()));
            }
        });
    }

    change_no_park(|depth| depth + 1);
    let _leave = Leave;
    f()
}

/// Keeps a migrating task on its present worker while `f` runs, so that what `f` has on its stack
/// may be bound to the thread. For other tasks, and outside tasks, it just calls `f`.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::rc::Rc;
///
/// sedge::run(|| {
///     sedge::task::stay_home(|| {
///         let local = Rc::new(1);
///         sedge::task::yield_now();
///         assert_eq!(*local, 1);
///     });
/// });
/// ```
pub fn stay_home<R>(f: impl FnOnce() -> R) -> R {
    struct Unpin(TaskRef);

    impl Drop for Unpin {
        fn drop(&mut self) {
            self.0.pins.set(self.0.pins.get() - 1);
        }
    }

    let _unpin = context::current_task().map(|task| {
        task.pins.set(task.pins.get().checked_add(1).expect("stay_home nests 65,535 deep"));
        Unpin(task)
    });
    f()
}

/// Bytes of the running task's stack that are in use or have been, as far as the kernel can tell:
/// how deep any task went that had this stack since it was last given back. None on a plain thread.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// let bytes = sedge::run(sedge::task::stack_high_water).unwrap();
/// assert!(bytes > 0);
/// ```
pub fn stack_high_water() -> Option<usize> {
    context::current_task().map(TaskRef::stack_high_water)
}

/// Gives the worker back.
///
/// In line, as is [`Worker::resume`](crate::scheduler::Worker): a switch leaves the processor's
/// prediction of returns behind, so every frame that is returned from after one costs some 5 ns.
#[inline(always)]
fn suspend(task: TaskRef, how: Suspend) {
    let hidden = if std::thread::panicking() { hide_panics() } else { 0 };
    task.suspend(how);
    if hidden > 0 {
        restore_panics(hidden);
    }
}

/// Parks `task`, the running one, until a wake or `deadline`; may return for no reason.
pub(crate) fn park_until(task: TaskRef, deadline: Option<Instant>) {
    raise_if_cancelled(task);
    if task.state.take_notified() {
        return;
    }
    match deadline {
        None => suspend(task, Suspend::Park),
        Some(deadline) => {
            let timer = Timer::add(task, deadline);
            suspend(task, Suspend::Park);
            drop(timer);
        }
    }
    raise_if_cancelled(task);
}

/// A parked task's timer, taken away before the task goes on.
struct Timer {
    key: Option<TimerKey>,
    /// Where it is, if the task may be elsewhere by then.
    remote: Option<Arc<Remote>>,
}

impl Timer {
    fn add(task: TaskRef, deadline: Instant) -> Self {
        context::with_worker(|worker| {
            let remote = worker.expect("a task runs on a worker").remote();
            let key = remote.timers.add(deadline, task);
            Self { key: Some(key), remote: task.migrating.then(|| remote.clone()) }
        })
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        match &self.remote {
            Some(remote) => remote.timers.cancel(key),
            None => context::with_worker(|worker| {
                worker.expect("a task runs on a worker").remote().timers.cancel(key);
            }),
        }
    }
}

/// The rest of [`wait::checkpoint`]: the budget is spent, or `task` (the running one) is cancelled.
#[cold]
pub(crate) fn checkpoint_slow(task: TaskRef) {
    raise_if_cancelled(task);
    let spent =
        context::with_worker(|worker| worker.is_some_and(|worker| worker.budget_is_spent()));
    if spent && !std::thread::panicking() {
        suspend(task, Suspend::Yield);
    }
}

pub(crate) use hook::install as install_panic_hook;
