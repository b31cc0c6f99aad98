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
    stack_size: Option<usize>,
    blocking_threads_max: Option<usize>,
    tasks_max: Option<usize>,
    thread_name: Option<String>,
    shutdown_timeout: Option<Option<Duration>>,
    migrating: bool,
}

impl Builder {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many workers, from 1 to 1,024. Default: `SEDGE_WORKERS`, or one for each CPU that the
    /// process may use (its affinity mask and cgroup quota count).
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Bytes of a task's stack, guard included, rounded up to a power of two from 32 KiB to 64 MiB.
    /// Default: `SEDGE_STACK` (a number, with K or M behind it if wanted), or 256 KiB. It is address
    /// space; what is not touched takes no memory.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// The most threads that [`blocking`](crate::blocking()) may have at work at a time, from 1 to
    /// 16,384. Default: 512.
    pub fn blocking_threads_max(mut self, threads: usize) -> Self {
        self.blocking_threads_max = Some(threads);
        self
    }

    /// The most live tasks, fresh ones included, at least 1. Default: 134,217,728. Spawning fails
    /// beyond; each worker keeps a few permits in hand, so that it may fail slightly before.
    pub fn tasks_max(mut self, tasks: usize) -> Self {
        self.tasks_max = Some(tasks);
        self
    }

    /// What the threads are called: `NAME-worker-0`, `NAME-block-3`, `NAME-monitor`. Default: `sedge`. Linux shows
    /// the first 15 bytes.
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.thread_name = Some(name.into());
        self
    }

    /// How long the end of the runtime waits for cancelled tasks before it abandons them; `None`
    /// waits for ever. Default: 30 seconds.
    pub fn shutdown_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.shutdown_timeout = Some(timeout);
        self
    }

    /// Lets every task migrate.
    ///
    /// # Safety
    ///
    /// Every task of the runtime keeps the contract of
    /// [`task::Builder::migrating`](crate::task::Builder::migrating).
    pub unsafe fn migrating(mut self, migrating: bool) -> Self {
        self.migrating = migrating;
        self
    }

    /// Starts a runtime on threads of its own.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, naming the setting and its limits (or the environment variable); what creating
    /// a thread or an epoll instance returns.
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
    /// # Errors
    ///
    /// As [`build`](Self::build); `OutOfMemory` without a stack for the root task.
    ///
    /// # Panics
    ///
    /// With `f`'s panic.
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
        let config = Config {
            workers,
            stack_size,
            tasks_max: in_range("tasks_max", tasks_max, 1, TASKS_MAX)?,
            shutdown_timeout: self.shutdown_timeout.unwrap_or(Some(SHUTDOWN_TIMEOUT)),
            migrating: self.migrating,
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
