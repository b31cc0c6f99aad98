//! Figures of a running runtime.

use crate::blocking::PoolStats;
use crate::context;
use crate::scheduler::Shared;

/// What a runtime is doing, at about one instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Started tasks that live on each worker (the configured ones first, then guests and added
    /// ones), migrating tasks aside.
    pub homes: Vec<usize>,
    /// How many times a task was seen to keep its worker for 10 ms or more.
    pub hogs: u64,
    /// The threads that do blocking work.
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

/// Figures of the calling task's runtime; none on a plain thread.
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
