//! What runs here: the one file with thread-locals.
//!
//! A started task may be resumed on another thread (a migrating one), and LLVM assumes that the
//! address of a thread-local does not change inside a function. So what a task may call reads the
//! address in a function that is out of line (`worker_ptr`, `client`, `thread_parker`,
//! `keep_thread`, `thread_frames`, `thread_owner`, `closure_locals`, `thread_locals`), afresh each
//! time, and gives no reference to the thread-local itself. What it gives is a reference to the
//! worker: good until the next switch, after which it is asked for again. `enter` and `work_for`
//! need not be out of line: they run on a thread's own stack, which never moves.
#![expect(
    unsafe_code,
    reason = "pointers to the worker whose loop runs on this thread, or to whom it works for"
)]

use std::cell::{Cell, OnceCell};
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{ptr, thread};

use crate::scheduler::{Numbers, Phase, Shared, Worker};
use crate::stack::overflow::CurrentStack;
use crate::task::{Frames, Locals, Owner, TaskRef};
use crate::wait::Parker;

thread_local! {
    /// The worker whose loop this thread runs.
    static WORKER: Cell<*const Worker> = const { Cell::new(ptr::null()) };

    /// For a thread that is no worker (of the pool, or the monitor): for whom it works.
    static CLIENT: Cell<Option<Client>> = const { Cell::new(None) };

    /// Touched on a thread that is not to end.
    static KEPT: Kept = const { Kept };

    /// What may end the code of this thread early, outside tasks.
    static FRAMES: Frames = const { Frames::new() };

    /// The task-locals of the closure of `blocking` that this thread of the pool runs.
    static LOCALS: Cell<*const Locals> = const { Cell::new(ptr::null()) };

    /// The task-locals of this thread's code, outside tasks.
    static THREAD_LOCALS: ThreadLocals = const { ThreadLocals(Locals::new()) };

    /// This thread's number, outside tasks.
    static OWNER: Owner = const { Owner::new() };

    /// What blocks this thread, outside tasks.
    #[cfg(not(sedge_loom))]
    static PARKER: OnceCell<Arc<Parker>> = const { OnceCell::new() };
}

#[cfg(sedge_loom)]
loom::thread_local! {
    static PARKER: OnceCell<Arc<Parker>> = OnceCell::new();
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

/// A number less than `end`, by chance.
pub(crate) fn random_below(end: usize) -> usize {
    /// For threads that are no workers.
    static SEED: AtomicU64 = AtomicU64::new(0);
    with_worker(|worker| match worker {
        Some(worker) => worker.random_below(end),
        None => {
            let seed = SEED.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            Numbers::new(seed.rotate_left(17)).below(end)
        }
    })
}

/// The running task, also inside `no_park`.
#[inline]
pub(crate) fn current_task() -> Option<TaskRef> {
    with_worker(|worker| worker.and_then(Worker::current))
}

/// Whether the running task is cancelled, or will be by its worker, which is told that the runtime
/// stops but blocks in a wait inside `no_park`.
pub(crate) fn is_cancelled() -> bool {
    current_task().is_some_and(|task| task.is_cancelled() || is_stopping())
}

/// Whether the runtime of this thread's worker stops.
pub(crate) fn is_stopping() -> bool {
    with_worker(|worker| worker.is_some_and(|worker| worker.shared().phase() != Phase::Running))
}

/// Calls `f` with the running task and its worker, unless the task is inside `no_park` (or there is
/// none): where a wait blocks the thread. `f` must not switch stacks.
#[inline]
pub(crate) fn with_parkable<R>(f: impl FnOnce(&Worker, TaskRef) -> R) -> Option<R> {
    with_worker(|worker| {
        let worker = worker.filter(|worker| worker.may_park())?;
        worker.current().map(|task| f(worker, task))
    })
}

/// The running task, unless it is inside `no_park`: who would park if the caller waited now.
#[inline]
pub(crate) fn parkable_task() -> Option<TaskRef> {
    with_parkable(|_, task| task)
}

/// Whether a wait here parks a task (and does not block the thread).
pub(crate) fn in_task() -> bool {
    parkable_task().is_some()
}

/// Takes one unit of the running task's budget. True where a look is due: the budget is spent, the
/// task is cancelled, or there are frames around it, or around the thread's code.
#[inline]
pub(crate) fn spend_budget() -> bool {
    with_worker(|worker| match worker {
        Some(worker) => worker.spend_budget(),
        // SAFETY: this thread's own.
        None => !unsafe { &*thread_frames() }.is_empty(),
    })
}

/// The same, and the running task's id, for one look at the thread-local: zero where there is none.
#[inline]
pub(crate) fn spend_budget_as() -> (bool, u64) {
    with_worker(|worker| match worker {
        Some(worker) => (worker.spend_budget(), worker.current().map_or(0, |task| task.id().get())),
        // SAFETY: as above.
        None => (!unsafe { &*thread_frames() }.is_empty(), 0),
    })
}

/// The running task's id, zero where there is none.
#[inline]
pub(crate) fn current_id() -> u64 {
    current_task().map_or(0, |task| task.id().get())
}

/// What may end the caller's code early: the running task's frames, or the thread's. There until
/// the task or the thread ends.
#[inline]
pub(crate) fn frames() -> *const Frames {
    current_task().map_or_else(thread_frames, |task| &raw const task.frames)
}

/// Calls `f` with what may end the caller's code early. `f` may raise that.
#[inline]
pub(crate) fn with_frames<R>(f: impl FnOnce(&Frames) -> R) -> R {
    // SAFETY: `f` runs in the task, or on the thread, whose frames they are.
    f(unsafe { &*frames() })
}

/// Out of line, as [`worker_ptr`] is. For code that is no task's: it does not migrate.
#[inline(never)]
pub(crate) fn thread_frames() -> *const Frames {
    FRAMES.with(ptr::from_ref)
}

/// The thread's number. Out of line, as [`worker_ptr`] is. It outlives the destructors of
/// thread-locals, as it has none itself.
#[inline(never)]
pub(crate) fn thread_owner() -> NonZeroUsize {
    OWNER.with(Owner::get)
}

/// Calls `f` with this thread's worker and the runtime that the caller spawns into: the one that
/// its task entered by `run`, or its worker's; on a thread of the pool, that of the task whose
/// closure it runs; on the monitor, its own. `f` must not switch stacks.
#[inline]
pub(crate) fn with_runtime<R>(f: impl FnOnce(Option<&Worker>, Option<&Shared>) -> R) -> R {
    with_worker(|worker| match worker {
        Some(worker) => f(Some(worker), Some(worker.spawns_into())),
        // SAFETY: set by `work_for`, whose client (a task that waits, or the monitor's runtime)
        // outlives the guard.
        None => f(None, client().and_then(|client| unsafe { client.spawns_into.as_ref() })),
    })
}

/// Whether the caller is a task of `shared`, runs a closure for one on a thread of the pool, or is
/// its monitor.
pub(crate) fn is_inside(shared: &Shared) -> bool {
    // A thread of the pool may have started a runtime of its own meanwhile.
    client().is_some_and(|client| ptr::eq(client.home, shared))
        || with_worker(|worker| worker.is_some_and(|worker| worker.is_of(shared)))
}

/// For whom a thread that is no worker works: for the task whose closure a thread of the pool runs,
/// which waits meanwhile and so keeps both runtimes; the monitor for its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    home: *const Shared,
    spawns_into: *const Shared,
    /// The task, with the shields that it held when it called; none for the monitor.
    task: Option<(TaskRef, u16)>,
}

impl Client {
    /// One of `shared`'s own threads.
    pub(crate) fn of(shared: &Arc<Shared>) -> Self {
        Self { home: Arc::as_ptr(shared), spawns_into: Arc::as_ptr(shared), task: None }
    }

    /// The running task.
    pub(crate) fn current() -> Option<Self> {
        with_worker(|worker| {
            let worker = worker?;
            let home = Arc::as_ptr(worker.shared());
            let task = worker.current().map(|task| (task, task.frames.shields()));
            Some(Self { home, spawns_into: worker.spawns_into(), task })
        })
    }
}

/// Makes this thread work for `client` while the guard lives.
///
/// # Safety
///
/// The client waits until then.
pub(crate) unsafe fn work_for(client: Option<Client>) -> impl Drop {
    struct Stop(Option<Client>);

    impl Drop for Stop {
        fn drop(&mut self) {
            CLIENT.set(self.0);
        }
    }

    Stop(CLIENT.replace(client))
}

/// The table of task-locals that the caller's code has: its task's, that of the closure of
/// `blocking` that it is a part of, or its thread's. Good while that code runs. None on a thread
/// that is being torn down.
pub(crate) fn locals() -> Option<NonNull<Locals>> {
    match current_task() {
        Some(task) => Some(NonNull::from(task.locals())),
        None => closure_locals().or_else(thread_locals),
    }
}

/// That of the closure of `blocking`, if that is what the caller is a part of. Out of line, as
/// [`worker_ptr`] is.
#[inline(never)]
pub(crate) fn closure_locals() -> Option<NonNull<Locals>> {
    NonNull::new(LOCALS.try_with(Cell::get).unwrap_or(ptr::null()).cast_mut())
}

/// Out of line, as [`worker_ptr`] is.
#[inline(never)]
fn thread_locals() -> Option<NonNull<Locals>> {
    THREAD_LOCALS.try_with(|locals| NonNull::from(&locals.0)).ok()
}

/// Drops the values with their thread.
struct ThreadLocals(Locals);

impl Drop for ThreadLocals {
    fn drop(&mut self) {
        self.0.destroyed_after(|| ());
    }
}

/// Calls `f`, a closure of `blocking`, with task-locals of its own.
pub(crate) fn with_locals<R>(locals: &Locals, f: impl FnOnce() -> R) -> R {
    struct PutBack(*const Locals);

    impl Drop for PutBack {
        fn drop(&mut self) {
            LOCALS.set(self.0);
        }
    }

    let _put_back = PutBack(LOCALS.replace(locals));
    f()
}

/// The task that waits for what this thread of the pool does, and the shields that it held then.
/// None in a task that the thread runs meanwhile, in a runtime of the closure's: only a root task
/// is a part of the closure.
pub(crate) fn client_task() -> Option<(TaskRef, u16)> {
    let is_part = with_worker(|worker| worker.is_none_or(Worker::runs_root_or_none));
    client()?.task.filter(|_| is_part)
}

/// Out of line, as [`worker_ptr`] is.
#[inline(never)]
fn client() -> Option<Client> {
    CLIENT.try_with(Cell::get).ok().flatten()
}

/// What the overflow handler asks, in a signal handler: only reads.
pub(crate) fn current_stack() -> Option<CurrentStack> {
    current_task().map(TaskRef::current_stack)
}

/// The calling thread's parker; out of line, as [`worker_ptr`] is. None on a thread that is being
/// torn down and has lost it.
#[inline(never)]
pub(crate) fn thread_parker() -> Option<Arc<Parker>> {
    PARKER.try_with(|parker| parker.get_or_init(Arc::default).clone()).ok()
}

/// Keeps the calling thread from ending: where it would, it blocks for ever before it destroys its
/// thread-locals. They are destroyed last come, first served, so those that were there before this
/// call stay. The main thread is let go, as the process ends with it.
#[inline(never)]
pub(crate) fn keep_thread() {
    // A thread that is in teardown already has lost what was to be kept.
    let _ = KEPT.try_with(|_| ());
}

/// See [`keep_thread`].
struct Kept;

impl Drop for Kept {
    fn drop(&mut self) {
        // Asked now: in a forked child this may be the main thread.
        while !is_main_thread() {
            #[expect(clippy::disallowed_methods, reason = "this thread runs nothing any more")]
            thread::park();
        }
    }
}

/// Whether this is the thread that the process began with.
fn is_main_thread() -> bool {
    // SAFETY: both only return a number.
    unsafe { libc::gettid() == libc::getpid() }
}
