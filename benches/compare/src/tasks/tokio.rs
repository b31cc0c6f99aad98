//! The batches in tokio. A parked task waits for a `Notify` that is never notified.

use std::{future::Future, io::Write as _, sync::atomic::Ordering};

use anyhow::Result;
use tokio::{runtime::Builder, sync::Notify, task::yield_now};

use super::{Batch, Job, LEFT, Runtime, none_left, one_less_left};

pub(super) const CURRENT_THREAD: Runtime = Runtime {
    name: "tokio",
    run: |batch, _| Builder::new_current_thread().build()?.block_on(run(batch)),
};

pub(super) const MULTI_THREAD: Runtime = Runtime {
    name: "tokio-mt",
    run: |batch, workers| {
        let runtime = Builder::new_multi_thread().worker_threads(workers).build()?;
        // As a task, because the thread that calls `block_on` is none of the workers.
        runtime.block_on(runtime.spawn(run(batch)))?
    },
};

static ROOT: Notify = Notify::const_new();
static NEVER: Notify = Notify::const_new();

async fn run(batch: Batch) -> Result<()> {
    let Batch { job, count } = batch;
    let stopwatch = batch.stopwatch()?;
    match job {
        Job::SpawnJoin => {
            for _ in 0..count {
                tokio::spawn(async {}).await?;
            }
        }
        Job::SpawnFinish => spawn_all(count, || async {}).await,
        Job::SpawnYield => spawn_all(count, yield_now).await,
        Job::YieldTwo | Job::YieldThousand => {
            let tasks = job.yielding_tasks().unwrap_or(1);
            let yields = count / tasks;
            let work = move || async move {
                for _ in 0..yields {
                    yield_now().await;
                }
            };
            spawn_all(tasks, work).await;
        }
        Job::Parked => park_all(count).await,
    }
    stopwatch.stop()?;
    // The tasks that are still parked go with the process.
    std::io::stdout().flush()?;
    std::process::exit(0)
}

/// Spawns so many that do this, and waits until all have.
async fn spawn_all<F>(count: usize, work: impl Fn() -> F + Copy + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    LEFT.store(count, Ordering::Relaxed);
    for _ in 0..count {
        let work = work();
        tokio::spawn(async move {
            work.await;
            count_down();
        });
    }
    wait().await;
}

/// Spawns so many that park for good, and waits until all have, or are about to.
async fn park_all(count: usize) {
    LEFT.store(count, Ordering::Relaxed);
    for _ in 0..count {
        tokio::spawn(async {
            count_down();
            NEVER.notified().await;
        });
    }
    wait().await;
}

fn count_down() {
    if one_less_left() {
        ROOT.notify_one();
    }
}

async fn wait() {
    while !none_left() {
        ROOT.notified().await;
    }
}
