//! A runtime's life: how it starts, and how it ends.
//!
//! - [`run`] and [`Builder::run`]: a runtime for as long as one root task runs, with the calling
//!   thread as one of its workers.
//! - [`Runtime`]: one that is kept, on threads of its own.
//! - the default runtime: started by the first [`spawn`](crate::spawn()) on a plain thread; its
//!   tasks die with the process, as detached threads do.
//!
//! # The end
//!
//! Every task is cancelled, through the ordinary scheduler: each unwinds at its cancellation point,
//! and its destructors run (and may wait), each once. Then the threads are joined.
//!
//! What has not ended when the time is up is *abandoned*, and a message says how many tasks that
//! are. Their memory is leaked, never freed. A thread that is home to abandoned tasks does not end
//! either: what such a task has lent out, to a closure in `blocking` say, may lie in its
//! thread-locals. That goes for the thread that called [`run`], too: it blocks where it would end,
//! or where it calls [`exit`](std::process::exit). Only the main thread is let go, as the process
//! ends with it.
//!
//! Under `panic = "abort"` nothing can be unwound. Tasks are abandoned within a moment, without
//! destructors and without a message, and their threads are kept only if the blocking pool was at
//! work then.
//!
//! A process that was forked while it had a runtime cannot use it in the child, which aborts with a
//! message when it tries. `fork` followed by `exec` is no such case.
#![expect(unsafe_code, reason = "a root task borrows from its caller's frame, which waits for it")]

mod builder;
mod default;
mod metrics;
mod shutdown;
mod thread;

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use self::thread::WorkerThread;
use crate::context;
use crate::scheduler::{Seat, Shared, Worker};
use crate::stack::StackSize;
use crate::task::{self, Cancelled, JoinHandle, spawn_root};
use crate::wait;

pub use builder::Builder;
pub(crate) use default::default;
pub use metrics::{Metrics, metrics};
pub(crate) use thread::{WorkerThreads, start_worker};

/// The root task's stack, where the runtime's are not larger: it is the program's `main`, and it is
/// one. Address space only.
const ROOT_STACK_BYTES: usize = 8 << 20;

/// Runs `f` as the root task of a new runtime with the default settings, on the calling thread, and
/// returns its result. The other tasks are cancelled when it returns.
///
/// The calling thread is one of the workers, so `f` need be neither `Send` nor `'static`. In a
/// task, `f` runs in that task, and what it spawns in the new runtime.
///
/// # Blocking
///
/// Blocks the calling thread until `f` and the shutdown after it are done, the latter for 30
/// seconds at most ([`Builder::shutdown_timeout`]). In a task, it waits as `f` does, and then parks
/// the task for the shutdown.
///
/// # Cancellation
///
/// Not a cancellation point in itself.
///
/// # Panics
///
/// If the runtime cannot start ([`Builder::run`] returns the error instead), and with `f`'s panic,
/// after the shutdown.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// let words = ["green", "threads"];
/// let lengths = sedge::run(|| {
///     let len = words[0].len();
///     sedge::spawn(move || len + 7).join().unwrap()
/// });
/// assert_eq!(lengths, 12);
/// ```
pub fn run<F, T>(f: F) -> T
where
    F: FnOnce() -> T,
{
    Builder::new().run(f).unwrap_or_else(|error| panic!("failed to start the runtime: {error}"))
}

/// Returns how many workers the calling task's runtime was built with; on a plain thread, how many
/// a new one would get by default.
///
/// # Errors
///
/// `InvalidInput`: there is no runtime here, and `SEDGE_WORKERS` is no number of workers.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// let workers = sedge::runtime::Builder::new().workers(2).run(sedge::runtime::workers);
/// assert_eq!(workers.unwrap().unwrap(), 2);
/// ```
pub fn workers() -> io::Result<usize> {
    let here = context::with_runtime(|_, shared| shared.map(|shared| shared.config.workers));
    here.map_or_else(builder::default_workers, Ok)
}

/// A runtime that is kept: workers on threads of their own, until it is dropped.
///
/// Dropping it cancels its tasks and waits for them, as
/// [`shutdown_timeout`](Self::shutdown_timeout) does, with the time limit of
/// [`Builder::shutdown_timeout`] (30 seconds by default).
///
/// # Blocking
///
/// Dropping it parks the calling task, which is one of another runtime, or blocks the thread.
///
/// # Cancellation
///
/// Dropping it is not a cancellation point.
///
/// # Panics
///
/// Dropping it in one of its own tasks, or in what such a task calls in
/// [`blocking`](crate::blocking()): that task would wait for its own end. If the task unwinds
/// already, the runtime is left running in place of a second panic.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// # fn main() -> std::io::Result<()> {
/// let runtime = sedge::runtime::Builder::new().workers(1).build()?;
/// let handle = runtime.spawn(|| 6 * 7);
/// assert_eq!(handle.join().unwrap(), 42);
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a runtime stops it"]
pub struct Runtime {
    shared: Arc<Shared>,
}

impl Runtime {
    /// Starts a runtime with the default settings.
    ///
    /// # Blocking
    ///
    /// As [`Builder::build`].
    ///
    /// # Errors
    ///
    /// As [`Builder::build`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let runtime = sedge::runtime::Runtime::new()?;
    /// assert_eq!(runtime.spawn(|| "done").join().unwrap(), "done");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new() -> io::Result<Self> {
        Builder::new().build()
    }

    /// Spawns a task in this runtime, from anywhere: from a plain thread, or from a task of any
    /// runtime.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Panics
    ///
    /// Where [`task::Builder::spawn`](crate::task::Builder::spawn) returns an error.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let runtime = sedge::runtime::Builder::new().workers(1).build()?;
    /// let squares: Vec<_> = (0..3).map(|i| runtime.spawn(move || i * i)).collect();
    /// let squares = squares.into_iter().map(|task| task.join().unwrap());
    /// assert_eq!(squares.collect::<Vec<_>>(), [0, 1, 4]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn spawn<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let spawned = task::Builder::new().spawn_into(&self.shared, f);
        spawned.unwrap_or_else(|error| panic!("failed to spawn a task: {error}"))
    }

    /// Runs `f` as a task on the calling thread and returns its result. The runtime, and what `f`
    /// has spawned in it, go on.
    ///
    /// The thread joins the runtime as a guest: it runs `f` and no other task, so `f` need be
    /// neither `Send` nor `'static`. In a task, `f` runs in that task, and what it spawns in this
    /// runtime. [Local tasks](crate::task::spawn_local()) that `f` has spawned on this thread are
    /// cancelled when it returns.
    ///
    /// # Blocking
    ///
    /// Blocks the calling thread until `f`, and its local tasks, have returned. In a task, it waits
    /// as `f` does.
    ///
    /// # Cancellation
    ///
    /// Not a cancellation point in itself.
    ///
    /// # Errors
    ///
    /// - `QuotaExceeded`: there are 64 guests already (fewer where the monitor has added workers,
    ///   of which there are 16 at most).
    /// - `OutOfMemory`: there is no stack for the task, or no signal stack for the thread.
    /// - What creating an epoll instance returns.
    /// - `Unsupported`: the runtime has a [seed](Builder::seed), and with it one worker only.
    ///
    /// In a task there is no error.
    ///
    /// # Panics
    ///
    /// With `f`'s panic.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = sedge::runtime::Builder::new().workers(1).build()?;
    /// let mut total = 0;
    /// runtime.run(|| total += sedge::spawn(|| 1).join().unwrap())?;
    /// assert_eq!(total, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn run<F, T>(&self, f: F) -> io::Result<T>
    where
        F: FnOnce() -> T,
    {
        if context::current_task().is_some() {
            return Ok(run_in_task(&self.shared, f));
        }
        if self.shared.config.seed.is_some() {
            // It would have a time of its own, which jumps while the worker runs.
            let text = "a runtime with a seed has one worker, and takes no guest: use Builder::run";
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        let thread = WorkerThread::prepare()?;
        let worker = Worker::new(&self.shared, Seat::Guest)?;
        let result = thread.run(&worker, || {
            let result = run_root(&worker, f);
            worker.end_local_tasks();
            result
        });
        shutdown::retire(worker);
        result.map(unwrap_root)
    }

    /// Returns figures of this runtime. [`metrics`](fn@metrics) gives those of the calling task's.
    ///
    /// # Blocking
    ///
    /// Takes a lock for a moment; nothing waits for a task.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let runtime = sedge::runtime::Builder::new().workers(2).build()?;
    /// assert_eq!(runtime.metrics().homes, [0, 0]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn metrics(&self) -> Metrics {
        Metrics::of(&self.shared)
    }

    /// Cancels every task, waits `timeout` for them at most, and abandons the rest. Returns how
    /// many tasks were abandoned; see [the module](self#the-end) for what becomes of them.
    ///
    /// A tenth of a second more goes by where any are.
    ///
    /// # Blocking
    ///
    /// Parks the calling task, which is one of another runtime, or blocks the thread.
    ///
    /// # Cancellation
    ///
    /// Not a cancellation point.
    ///
    /// # Panics
    ///
    /// As dropping it does: in one of this runtime's own tasks.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::time::Duration;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = sedge::runtime::Builder::new().workers(1).build()?;
    /// runtime.spawn(sedge::task::park);
    /// assert_eq!(runtime.shutdown_timeout(Duration::from_secs(10)), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn shutdown_timeout(self, timeout: Duration) -> usize {
        self.stop(Some(timeout))
    }

    fn stop(&self, timeout: Option<Duration>) -> usize {
        let own = context::is_inside(&self.shared);
        assert!(
            !own || std::thread::panicking(),
            "a Runtime was dropped in one of its own tasks, which would wait for its own end: \
             drop it outside, or keep it in an Arc that outlives its tasks"
        );
        if own { 0 } else { shutdown::shutdown(&self.shared, None, timeout) }
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime")
            .field("workers", &self.shared.config.workers)
            .finish_non_exhaustive()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if !shutdown::is_over(&self.shared) {
            self.stop(self.shared.config.shutdown_timeout);
        }
    }
}

/// Runs `f` as the root task of `worker`, whose loop runs on this thread until `f` has returned.
fn run_root<F, T>(worker: &Worker, f: F) -> io::Result<std::thread::Result<T>>
where
    F: FnOnce() -> T,
{
    let root_stack = StackSize::new(ROOT_STACK_BYTES).expect("within the limits");
    let default = worker.shared().config.stack_size;
    let stack = if default.bytes() > root_stack.bytes() { default } else { root_stack };
    worker.reserve_stack(stack)?;
    // SAFETY: the loop below ends when the root has finished, and the handle is joined here:
    // nothing of it is left when this frame goes. Should the loop panic, the process ends
    // (`WorkerThread::run`).
    let handle = unsafe { spawn_root(worker, stack, f) };
    let passing_on = wait::pass_wakes_on(handle.waker());
    worker.run(Worker::root_has_ended);
    drop(passing_on);
    Ok(handle.join())
}

/// Runs `f` in the running task, which spawns into `shared` meanwhile.
fn run_in_task<F, T>(shared: &Arc<Shared>, f: F) -> T
where
    F: FnOnce() -> T,
{
    struct PutBack<'a>(&'a Cell<*const Shared>, *const Shared);

    impl Drop for PutBack<'_> {
        fn drop(&mut self) {
            self.0.set(self.1);
        }
    }

    let task = context::current_task().expect("the caller looked");
    let _put_back = PutBack(&task.runtime, task.runtime.replace(Arc::as_ptr(shared)));
    f()
}

/// Passes a panic of the root task on. Nobody has told of an unwind that is none, and that ends a
/// program, unless the caller waits for it.
fn unwrap_root<T>(result: std::thread::Result<T>) -> T {
    result.unwrap_or_else(|payload| {
        if payload.is::<Cancelled>() && !task::is_cancelled() {
            eprintln!(
                "sedge: the root task has unwound with a `Cancelled`: it was cancelled, or has \
                 passed on what `join` returned of another task"
            );
        }
        task::pass_on(payload)
    })
}
