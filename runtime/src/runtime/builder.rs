//! A runtime's settings.
#![expect(unsafe_code, reason = "migration is the one thing that a caller must vouch for")]

use std::num::NonZeroUsize;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use std::{env, io, thread};

use super::thread::{WorkerThread, prepare_process, start_monitor, start_worker};
use super::{Runtime, run_in_task, run_root, shutdown, unwrap_root};
use crate::blocking::{self, Pool};
use crate::context;
use crate::scheduler::{Config, Seat, Shared, Worker};
use crate::stack::{STACK_BYTES_DEFAULT, StackSize};

/// The most workers: more than any machine has CPUs, and few enough to be no typing error.
const WORKERS_MAX: usize = 1024;

/// As many tasks as 24 GiB could hold, fresh, several times over: a bound on runaway spawning.
const TASKS_MAX: usize = 1 << 27;

/// How long `run` waits for cancelled tasks to unwind.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);

/// Chooses a runtime's settings. What is not set is taken from the environment (`SEDGE_WORKERS`,
/// `SEDGE_STACK`), or else is the default.
///
/// Settings are checked when the runtime starts, by [`build`](Self::build) or [`run`](Self::run).
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// # fn main() -> std::io::Result<()> {
/// let answer = sedge::runtime::Builder::new()
///     .workers(2)
///     .stack_size(64 << 10)
///     .run(|| sedge::spawn(|| 42).join().unwrap())?;
/// assert_eq!(answer, 42);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until it builds or runs"]
pub struct Builder {
    workers: Option<usize>,
    seed: Option<u64>,
    stack_size: Option<usize>,
    blocking_threads_max: Option<usize>,
    tasks_max: Option<usize>,
    thread_name: Option<String>,
    shutdown_timeout: Option<Option<Duration>>,
    migrating: bool,
}

impl Builder {
    /// Makes a builder in which nothing is set.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// // As `sedge::run`, but a runtime that cannot start is an error and not a panic.
    /// let answer = sedge::runtime::Builder::new().run(|| 42)?;
    /// assert_eq!(answer, 42);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many workers there are, from 1 to 1,024. Default: `SEDGE_WORKERS`, or one for each
    /// CPU that the process may use (its affinity mask and cgroup quota count).
    ///
    /// With [`run`](Self::run) the calling thread is one of them; with [`build`](Self::build) each
    /// is a thread of the runtime's.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::runtime;
    ///
    /// let workers = runtime::Builder::new().workers(3).run(runtime::workers)??;
    /// assert_eq!(workers, 3);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Leaves the order in which tasks run to chance, of which `seed` decides the outcome, and
    /// simulates the time: for tests. Default: none, and tasks take their turns.
    ///
    /// There is one worker then, whatever else says how many, and [`Runtime::run`] takes no guest.
    /// Of its ready tasks any may be the next, and a call that may wait gives it up more often than
    /// not. The time of the runtime's own calls (sleeps, timeouts) does not pass by itself: where
    /// every task waits, it jumps to the next deadline, so that an hour is slept in no time.
    /// Deadlines are to be made from [`time::now`](crate::time::now): those that are made from
    /// [`Instant::now`](std::time::Instant::now) come early.
    ///
    /// A test that fails with one seed fails with it again, as far as it does not depend on what is
    /// not chance's: other threads and runtimes, the kernel, the blocking pool, addresses. Run it
    /// with many seeds.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::runtime::Builder;
    /// use std::cell::RefCell;
    /// use std::collections::HashSet;
    /// use std::rc::Rc;
    ///
    /// let order = |seed| {
    ///     Builder::new().seed(seed).run(|| {
    ///         let order = Rc::new(RefCell::new(String::new()));
    ///         let tasks = ["a", "b", "c"].map(|name| {
    ///             let order = order.clone();
    ///             sedge::task::spawn_local(move || order.borrow_mut().push_str(name))
    ///         });
    ///         tasks.into_iter().for_each(|task| task.join().unwrap());
    ///         order.take()
    ///     })
    /// };
    /// assert_eq!(order(7)?, order(7)?);
    /// let orders = (0..100).map(order).collect::<Result<HashSet<_>, _>>()?;
    /// assert_eq!(orders.len(), 6, "any of six is possible: {orders:?}");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets the size of each task's stack in bytes, its guard included: from 32 KiB to 64 MiB,
    /// rounded up to a power of two. Default: `SEDGE_STACK` (a number of bytes, or of KiB or MiB
    /// with `K` or `M` behind it), or 256 KiB.
    ///
    /// It is address space: what a task does not touch takes no memory.
    /// [`task::Builder::stack_size`](crate::task::Builder::stack_size) sets it for one task. The
    /// root task has 8 MiB, or this if it is more.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// // More than the default stack holds.
    /// fn sum() -> u64 {
    ///     let numbers = [1_u64; 128 << 10];
    ///     std::hint::black_box(&numbers).iter().sum()
    /// }
    ///
    /// let builder = sedge::runtime::Builder::new().stack_size(8 << 20);
    /// let sum = builder.run(|| sedge::spawn(sum).join().unwrap())?;
    /// assert_eq!(sum, 128 << 10);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Sets the most threads that [`blocking`](crate::blocking()) may have at a time, from 1 to
    /// 16,384. Default: 512.
    ///
    /// They are made as they are needed, and end when they have been idle for 10 seconds. File work
    /// and name resolution have threads of their own: see [`PoolStats`](blocking::PoolStats).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let metrics = sedge::runtime::Builder::new().blocking_threads_max(2).run(|| {
    ///     let calls: Vec<_> = (0..10).map(|_| sedge::spawn(|| sedge::blocking(|| ()))).collect();
    ///     calls.into_iter().for_each(|call| call.join().unwrap());
    ///     sedge::runtime::metrics().unwrap()
    /// })?;
    /// assert!(metrics.blocking.general.threads <= 2);
    /// assert_eq!(metrics.blocking.general.done, 10);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn blocking_threads_max(mut self, threads: usize) -> Self {
        self.blocking_threads_max = Some(threads);
        self
    }

    /// Sets the most tasks that may live at a time, those that have not started yet included and
    /// the root task aside: from 1 to 134,217,728, which is the default.
    ///
    /// Beyond it spawning fails with `QuotaExceeded`. It may fail somewhat earlier: workers keep
    /// permits in hand, up to 512 each and a quarter of the limit together, none where that would
    /// be less than one each.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::io::ErrorKind;
    ///
    /// use sedge::{runtime, task};
    ///
    /// runtime::Builder::new().tasks_max(1).run(|| {
    ///     let first = task::spawn(task::park);
    ///     let second = task::Builder::new().spawn(|| ());
    ///     assert_eq!(second.unwrap_err().kind(), ErrorKind::QuotaExceeded);
    ///     first.task().unpark();
    ///     first.join().unwrap();
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn tasks_max(mut self, tasks: usize) -> Self {
        self.tasks_max = Some(tasks);
        self
    }

    /// Sets what the runtime's threads are called in debuggers, `top -H` and `/proc`:
    /// `NAME-worker-1`, `NAME-monitor`, and in the blocking pool `NAME-block-0`, `NAME-file-0` and
    /// `NAME-dns-0`. Default: `sedge`. Linux keeps the first 15 bytes.
    ///
    /// [`std::thread::Thread::name`] gives the names in full, a worker's without its number. The
    /// thread that calls [`run`](Self::run) keeps the name that it has.
    ///
    /// Starting the runtime fails with `InvalidInput` if there is a zero byte in the name.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::thread;
    ///
    /// sedge::runtime::Builder::new().thread_name("app").run(|| {
    ///     let name = sedge::blocking(|| thread::current().name().map(str::to_owned));
    ///     assert_eq!(name.as_deref(), Some("app-block-0"));
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.thread_name = Some(name.into());
        self
    }

    /// Sets how long the end of the runtime waits for cancelled tasks before it abandons them;
    /// `None` waits for ever. Default: 30 seconds. See [the module](super#the-end) for what becomes
    /// of abandoned tasks.
    ///
    /// # Examples
    ///
    /// Destructors of cancelled tasks may wait, and are given the time:
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// use std::time::Duration;
    ///
    /// static FLUSHED: AtomicBool = AtomicBool::new(false);
    ///
    /// struct Log;
    ///
    /// impl Drop for Log {
    ///     fn drop(&mut self) {
    ///         sedge::time::sleep(Duration::from_millis(5));
    ///         FLUSHED.store(true, Ordering::Relaxed);
    ///     }
    /// }
    ///
    /// let minute = Duration::from_secs(60);
    /// sedge::runtime::Builder::new().shutdown_timeout(Some(minute)).run(|| {
    ///     let log = Log;
    ///     sedge::spawn(move || {
    ///         let _log = log;
    ///         sedge::task::park();
    ///     });
    /// })?;
    /// assert!(FLUSHED.load(Ordering::Relaxed));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn shutdown_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.shutdown_timeout = Some(timeout);
        self
    }

    /// Lets every task but the root task migrate. Default: `false`.
    ///
    /// # Safety
    ///
    /// Every task that is spawned in the runtime keeps the contract of
    /// [`task::Builder::migrating`](crate::task::Builder::migrating).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::{runtime, task};
    ///
    /// // SAFETY: the one task that is spawned keeps an integer over its wait, and touches no
    /// // thread-local.
    /// let builder = unsafe { runtime::Builder::new().migrating(true) };
    /// let sum = builder.run(|| {
    ///     let count = || {
    ///         let mut sum = 1;
    ///         task::yield_now(); // Any worker may take it from here.
    ///         sum += 1;
    ///         sum
    ///     };
    ///     task::spawn(count).join().unwrap()
    /// })?;
    /// assert_eq!(sum, 2);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub unsafe fn migrating(mut self, migrating: bool) -> Self {
        self.migrating = migrating;
        self
    }

    /// Starts a runtime on threads of its own.
    ///
    /// # Blocking
    ///
    /// Blocks the thread, a worker's too, until the runtime's threads have started.
    ///
    /// # Errors
    ///
    /// - `InvalidInput`: a setting is out of its range, or an environment variable is no number, or
    ///   the thread name has a zero byte in it.
    ///   The text names it and its limits.
    /// - `WouldBlock`: the system makes no more threads.
    /// - `OutOfMemory`: there is none for a thread or its signal stack.
    /// - Whatever else creating a thread or an epoll instance returns. At the limit of descriptors
    ///   that is an error whose kind has no stable name.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let runtime = sedge::runtime::Builder::new().workers(2).build()?;
    /// let handle = runtime.spawn(|| 6 * 7);
    /// // From a plain thread: it blocks until the task has ended.
    /// assert_eq!(handle.join().unwrap(), 42);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn build(self) -> io::Result<Runtime> {
        let shared = self.start()?;
        let runtime = Runtime { shared: shared.clone() };
        for _ in 0..shared.config.workers {
            start_worker(&shared, Seat::Member)?;
        }
        Ok(runtime)
    }

    /// Runs `f` as the root task of a new runtime, with the calling thread as one of its workers,
    /// and returns its result. See [`run`](super::run).
    ///
    /// # Blocking
    ///
    /// Blocks the calling thread until `f` and the shutdown after it are done. In a task, `f` runs
    /// in that task, and the new runtime has all of its workers on threads of its own; the calling
    /// task's worker runs its other tasks where `f` waits.
    ///
    /// # Cancellation
    ///
    /// Not a cancellation point in itself. The root task is cancelled by nobody; in a task of
    /// another runtime, `f` is cancelled with that task.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build); `OutOfMemory` without a stack for the root task.
    ///
    /// # Panics
    ///
    /// With `f`'s panic, after the shutdown; and as [`build`](Self::build).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::rc::Rc;
    ///
    /// // `f` runs on this thread: what it uses need be neither `Send` nor `'static`.
    /// let count = Rc::new(3);
    /// let tasks = sedge::runtime::Builder::new().workers(1).run(|| {
    ///     let tasks: Vec<_> = (0..*count).map(|i| sedge::spawn(move || i * i)).collect();
    ///     tasks.into_iter().map(|task| task.join().unwrap()).collect::<Vec<_>>()
    /// })?;
    /// assert_eq!(tasks, [0, 1, 4]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn run<F, T>(self, f: F) -> io::Result<T>
    where
        F: FnOnce() -> T,
    {
        if context::current_task().is_some() {
            let runtime = self.build()?;
            return Ok(run_in_task(&runtime.shared, f));
        }
        let thread = WorkerThread::prepare()?;
        let shared = self.start()?;
        let guard = Runtime { shared: shared.clone() };
        let worker = Worker::new(&shared, Seat::Member)?;
        for _ in 1..shared.config.workers {
            start_worker(&shared, Seat::Member)?;
        }
        let result = thread.run(&worker, || {
            let result = run_root(&worker, f);
            shutdown::shutdown(&shared, Some(&worker), shared.config.shutdown_timeout);
            result
        });
        shutdown::retire(worker);
        drop(guard);
        result.map(unwrap_root)
    }

    /// Checks the settings and makes the runtime, with its monitor but no worker yet.
    fn start(self) -> io::Result<Arc<Shared>> {
        let workers = match self.workers {
            _ if self.seed.is_some() => 1,
            Some(workers) => in_range("workers", workers, 1, WORKERS_MAX)?,
            None => default_workers()?,
        };
        let stack_size = match self.stack_size {
            Some(bytes) => StackSize::new(bytes)?,
            None => default_stack_size()?,
        };
        let tasks_max = self.tasks_max.unwrap_or(TASKS_MAX);
        let pool = blocking::Config::default();
        let threads_max = self.blocking_threads_max.unwrap_or(pool.threads_max);
        let thread_name = self.thread_name.unwrap_or_else(|| "sedge".into());
        if thread_name.contains('\0') {
            let text = format!("the thread name {thread_name:?} has a zero byte in it");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let config = Config {
            workers,
            stack_size,
            tasks_max: in_range("tasks_max", tasks_max, 1, TASKS_MAX)?,
            shutdown_timeout: self.shutdown_timeout.unwrap_or(Some(SHUTDOWN_TIMEOUT)),
            migrating: self.migrating,
            seed: self.seed,
            thread_name: thread_name.clone(),
        };
        let threads_max = in_range("blocking_threads_max", threads_max, 1, WORKERS_MAX * 16)?;
        let pool = Pool::new(&blocking::Config { threads_max, name_prefix: thread_name, ..pool });
        prepare_process()?;
        let shared = Shared::new(config, Arc::new(pool));
        start_monitor(&shared)?;
        Ok(shared)
    }
}

fn in_range(what: &str, value: usize, min: usize, max: usize) -> io::Result<usize> {
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    let text = format!("{what} is {value}; it must be from {min} to {max}");
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

/// `SEDGE_WORKERS`, or one for each CPU that the process may use.
pub(super) fn default_workers() -> io::Result<usize> {
    match variable::<usize>("SEDGE_WORKERS")? {
        Some(workers) => in_range("SEDGE_WORKERS", workers, 1, WORKERS_MAX),
        // It looks at the affinity mask and the cgroup quota. Where it cannot tell, one is safe.
        None => Ok(thread::available_parallelism().map_or(1, NonZeroUsize::get).min(WORKERS_MAX)),
    }
}

fn default_stack_size() -> io::Result<StackSize> {
    let bytes = variable::<Bytes>("SEDGE_STACK")?.map_or(STACK_BYTES_DEFAULT, |bytes| bytes.0);
    StackSize::new(bytes)
        .map_err(|error| io::Error::new(error.kind(), format!("SEDGE_STACK: {error}")))
}

fn variable<T: FromStr>(name: &str) -> io::Result<Option<T>> {
    let Some(value) = env::var_os(name) else { return Ok(None) };
    let parsed = value.to_str().and_then(|value| value.trim().parse().ok());
    parsed.map(Some).ok_or_else(|| {
        let text = format!("{name} is {value:?}, which is not a number");
        io::Error::new(io::ErrorKind::InvalidInput, text)
    })
}

/// A number of bytes, as in `262144`, `256K` or `1M`.
struct Bytes(usize);

impl FromStr for Bytes {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (digits, unit) = match text.char_indices().last() {
            Some((at, 'k' | 'K')) => (&text[..at], 1 << 10),
            Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
            _ => (text, 1),
        };
        let number: usize = digits.parse().map_err(|_| ())?;
        number.checked_mul(unit).map(Self).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Builder, Bytes, WORKERS_MAX};
    use std::io::ErrorKind;

    #[test]
    fn settings_out_of_range_name_the_limit() {
        for builder in [Builder::new().workers(0), Builder::new().workers(WORKERS_MAX + 1)] {
            let error = builder.build().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("1024"), "{error}");
        }
        let error = Builder::new().workers(1).stack_size(1024).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let error = Builder::new().workers(1).thread_name("a\0b").build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("zero byte"), "{error}");
        let error = Builder::new().workers(1).tasks_max(0).build().unwrap_err();
        assert!(error.to_string().contains("tasks_max"), "{error}");
    }

    #[test]
    fn bytes_have_units() {
        let parse = |text: &str| text.parse().map(|bytes: Bytes| bytes.0).ok();
        assert_eq!(parse("262144"), Some(262_144));
        assert_eq!(parse("256K"), Some(256 << 10));
        assert_eq!(parse("2m"), Some(2 << 20));
        assert_eq!(parse("K"), None);
        assert_eq!(parse("-1"), None);
        assert_eq!(parse("99999999999999999999M"), None);
    }
}
