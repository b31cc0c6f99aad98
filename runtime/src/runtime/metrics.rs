//! Figures of a running runtime.

use crate::blocking::PoolStats;
use crate::context;
use crate::scheduler::Shared;

/// What a runtime is doing, at about one instant.
///
/// # Examples
///
/// Where tasks were made to live, and how much the blocking pool has to do:
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::{runtime, task};
///
/// let metrics = runtime::Builder::new().workers(2).run(|| {
///     let root = task::current();
///     let parked = task::spawn(move || {
///         root.unpark();
///         task::park();
///     });
///     task::park();
///     let metrics = runtime::metrics().unwrap();
///     parked.task().unpark();
///     metrics
/// })?;
/// assert_eq!(metrics.homes.len(), 2);
/// assert_eq!(metrics.homes.iter().sum::<usize>(), 2, "the root task and the parked one");
/// assert_eq!(metrics.blocking.general.queued, 0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// For each worker, how many started tasks live on it, migrating tasks aside. The configured
    /// workers come first, then guests and those that the monitor has added; a place that such a
    /// one has left stays, with 0.
    pub homes: Vec<usize>,
    /// How many times, since the runtime began, a task was seen to keep its worker for 10 ms or
    /// more.
    pub hogs: u64,
    /// The threads for blocking work.
    pub blocking: PoolStats,
}

impl Metrics {
    pub(super) fn of(shared: &Shared) -> Self {
        Self {
            homes: shared.remotes().map(|remote| remote.homes()).collect(),
            hogs: shared.monitor.hogs(),
            blocking: shared.pool.stats(),
        }
    }
}

/// Returns figures of the calling task's runtime; none on a plain thread.
///
/// Inside [`run`](super::run) or [`Runtime::run`](super::Runtime::run) in a task they are those of
/// the runtime that was entered, and inside [`blocking`](crate::blocking()) those of the task that
/// waits.
///
/// # Blocking
///
/// Takes a lock for a moment; nothing waits for a task.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// let metrics = sedge::run(sedge::runtime::metrics).unwrap();
/// assert_eq!(metrics.homes.iter().sum::<usize>(), 1, "the root task");
/// ```
pub fn metrics() -> Option<Metrics> {
    context::with_runtime(|_, shared| shared.map(Metrics::of))
}
