//! A runtime's lanes.
//!
//! Each kind of work has its own queue and threads, so that none starves the others: 512 threads
//! in slow name look-ups would leave none for files. A lane that is not used costs nothing.

use std::num::NonZero;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::lane::{Lane, LaneConfig};
use super::stats::{PoolStats, Stuck};

/// How many threads wait for a disk at once, for each CPU. More add latency, and no throughput.
const FILE_THREADS_PER_CPU: usize = 32;

/// How many names are resolved at once.
pub(super) const RESOLVE_THREADS: usize = 16;

/// The settings of a [`Pool`].
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The limit of the general lane. At least 1.
    pub(crate) threads_max: usize,
    /// How long an idle thread waits for a job before it leaves.
    pub(crate) keep_alive: Duration,
    /// Threads are named `<prefix>-block-<n>`, `<prefix>-file-<n>` and `<prefix>-dns-<n>`: Linux
    /// shows 15 bytes of a name, and with `sedge` and three digits the number is among them.
    pub(crate) name_prefix: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            threads_max: 512,
            keep_alive: Duration::from_secs(10),
            name_prefix: "sedge".to_owned(),
        }
    }
}

/// The threads on which a runtime's tasks do what blocks.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(super) general: Arc<Lane>,
    pub(super) files: Arc<Lane>,
    pub(super) resolve: Arc<Lane>,
}

impl Pool {
    pub(crate) fn new(config: &Config) -> Self {
        let lane = |kind: &str, threads_max: usize| {
            Arc::new(Lane::new(LaneConfig {
                name: format!("{}-{kind}", config.name_prefix),
                threads_max: threads_max.max(1),
                keep_alive: config.keep_alive,
                #[cfg(test)]
                test_thread_limit: usize::MAX,
            }))
        };
        let cpus = thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            general: lane("block", config.threads_max),
            files: lane("file", cpus * FILE_THREADS_PER_CPU),
            resolve: lane("dns", RESOLVE_THREADS),
        }
    }

    /// Lets the threads do what is queued, end, and be joined. Blocks the calling thread until
    /// then, or until `deadline`. Makes no threads any more: a job that finds none is run by its
    /// caller.
    ///
    /// Returns how many jobs were still queued or running at the deadline, each of which holds its
    /// task. Name look-ups hold nobody: they are not waited for, and not counted.
    pub(crate) fn shutdown(&self, deadline: Option<Instant>) -> usize {
        for lane in [&self.general, &self.files, &self.resolve] {
            lane.close();
        }
        let unfinished = self.general.join(deadline) + self.files.join(deadline);
        self.resolve.abandon(deadline);
        unfinished
    }

    /// Whether any job that borrows from its caller is queued or running.
    pub(crate) fn is_at_work(&self) -> bool {
        [&self.general, &self.files].into_iter().any(|lane| lane.is_at_work())
    }

    /// Whether any job, even one whose caller may abandon it, has yet to tell that it is done.
    pub(crate) fn may_wake(&self) -> bool {
        [&self.general, &self.files, &self.resolve].into_iter().any(|lane| lane.may_wake())
    }

    pub(crate) fn stats(&self) -> PoolStats {
        PoolStats {
            general: self.general.stats(),
            files: self.files.stats(),
            resolve: self.resolve.stats(),
        }
    }

    /// Since when a lane has had all threads busy, jobs queued and none done. For the monitor.
    pub(crate) fn stuck_since(&self) -> Option<Instant> {
        let lanes = [&self.general, &self.files, &self.resolve];
        lanes.into_iter().filter_map(|lane| lane.stuck_since()).min()
    }

    /// The same, to be told to the user: which lane, and which calls hold its threads.
    pub(crate) fn stuck(&self) -> Option<Stuck> {
        let lanes = [&self.general, &self.files, &self.resolve];
        lanes.into_iter().filter_map(|lane| lane.stuck()).min_by_key(Stuck::since)
    }
}
