//! What a lane shows of itself.

use std::fmt;
use std::panic::Location;
use std::time::Instant;

/// The state of one lane of the blocking pool, which is a queue and its threads, at one instant.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// let stats = sedge::run(|| {
///     let inside = sedge::blocking(|| sedge::runtime::metrics().unwrap().blocking.general);
///     assert_eq!((inside.threads, inside.idle, inside.done), (1, 0, 0));
///     sedge::runtime::metrics().unwrap().blocking.general
/// });
/// assert_eq!((stats.threads, stats.idle, stats.done), (1, 1, 1));
/// assert_eq!((stats.queued, stats.threads_max), (0, 512));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LaneStats {
    /// Threads that there are, the idle ones included.
    pub threads: usize,
    /// How many there may be.
    pub threads_max: usize,
    /// Threads that wait for a job. They end after 10 seconds of it.
    pub idle: usize,
    /// Jobs that wait for a thread.
    pub queued: usize,
    /// Jobs that threads have done since the runtime began. Those that were called on the spot are
    /// not counted.
    pub done: u64,
    /// How often, since the runtime began, the system refused to make a thread.
    pub spawn_failures: u64,
}

/// The state of a runtime's blocking pool. Each kind of work has its lane, so that none starves
/// another.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// let pool = sedge::run(|| {
///     sedge::blocking(|| ());
///     sedge::runtime::metrics().unwrap().blocking
/// });
/// assert_eq!((pool.general.done, pool.files.done, pool.resolve.done), (1, 0, 0));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// What [`blocking`](fn@super::blocking) was given. 512 threads at most, or
    /// [`blocking_threads_max`](crate::runtime::Builder::blocking_threads_max).
    pub general: LaneStats,
    /// File operations. 32 threads at most for each CPU.
    pub files: LaneStats,
    /// Name resolution. 16 threads at most.
    pub resolve: LaneStats,
}

/// Every thread of a lane is busy, jobs are queued, and none gets done.
///
/// Either the work is slow, or it waits for itself: jobs that wait for tasks which themselves need
/// the pool. `Display` says which calls hold the threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stuck {
    lane: String,
    since: Instant,
    queued: usize,
    busy: usize,
    /// Most frequent first.
    callers: Vec<(&'static Location<'static>, usize)>,
}

impl Stuck {
    pub(super) fn new(
        lane: &str,
        since: Instant,
        queued: usize,
        callers: impl Iterator<Item = &'static Location<'static>>,
    ) -> Self {
        let mut sorted: Vec<_> = callers.collect();
        sorted.sort_unstable();
        let busy = sorted.len();
        let same = sorted.chunk_by(|a, b| a == b);
        let mut callers: Vec<_> = same.map(|calls| (calls[0], calls.len())).collect();
        callers.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        Self { lane: lane.to_owned(), since, queued, busy, callers }
    }

    pub(super) fn since(&self) -> Instant {
        self.since
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        let Self { lane, since, queued, busy, callers } = self;
        let since = since.elapsed();
        write!(f, "all {busy} threads of {lane} have been busy for {since:.1?}, and {queued} ")?;
        write!(f, "more jobs wait; do jobs wait for tasks that need the pool? They are from: ")?;
        for (i, (caller, count)) in callers.iter().take(SHOWN).enumerate() {
            write!(f, "{}{caller} ({count})", if i == 0 { "" } else { ", " })?;
        }
        match callers.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, ", and {more} more places"),
        }
    }
}
