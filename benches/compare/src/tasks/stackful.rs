//! The batches for runtimes whose tasks are plain closures with a stack: the same code for each.

use std::{io::Write as _, sync::atomic::Ordering};

use anyhow::Result;

use super::{Batch, Job, LEFT, none_left, one_less_left};

/// What such a runtime offers.
pub(super) trait Stackful {
    type JoinHandle;
    /// The task or thread that spawns the others and waits for them.
    type Root: Send + Sync + 'static;

    fn spawn(task: impl FnOnce() + Send + 'static) -> Self::JoinHandle;
    fn join(handle: Self::JoinHandle);
    fn yield_now();
    fn park();
    /// The caller's.
    fn root() -> Self::Root;
    /// For the caller of `root` only.
    fn park_root(root: &Self::Root);
    fn unpark_root(root: &Self::Root);
}

/// Runs one batch, called by the root.
pub(super) fn run<S: Stackful + 'static>(batch: Batch) -> Result<()> {
    let Batch { job, count } = batch;
    let root: &Root<S> = Box::leak(Box::new(Root(S::root())));
    let stopwatch = batch.stopwatch()?;
    match job {
        Job::SpawnJoin => {
            for _ in 0..count {
                S::join(S::spawn(|| {}));
            }
        }
        Job::SpawnFinish => root.spawn_all(count, || {}),
        Job::SpawnYield => root.spawn_all(count, S::yield_now),
        Job::YieldTwo | Job::YieldThousand => {
            let tasks = job.yielding_tasks().unwrap_or(1);
            root.spawn_all(tasks, move || (0..count / tasks).for_each(|_| S::yield_now()));
        }
        Job::Parked => root.park_all(count),
    }
    stopwatch.stop()?;
    // The tasks that are still parked go with the process.
    std::io::stdout().flush()?;
    std::process::exit(0)
}

/// Who waits for the others, for as long as the process lives.
struct Root<S: Stackful>(S::Root);

impl<S: Stackful + 'static> Root<S> {
    /// Spawns so many that do this, and waits until all have.
    fn spawn_all(&'static self, count: usize, work: impl Fn() + Copy + Send + 'static) {
        LEFT.store(count, Ordering::Relaxed);
        for _ in 0..count {
            S::spawn(move || {
                work();
                self.count_down();
            });
        }
        self.wait();
    }

    /// Spawns so many that park for good, and waits until all have, or are about to.
    fn park_all(&'static self, count: usize) {
        LEFT.store(count, Ordering::Relaxed);
        for _ in 0..count {
            S::spawn(move || {
                self.count_down();
                loop {
                    S::park();
                }
            });
        }
        self.wait();
    }

    fn count_down(&self) {
        if one_less_left() {
            S::unpark_root(&self.0);
        }
    }

    fn wait(&self) {
        while !none_left() {
            S::park_root(&self.0);
        }
    }
}
