//! The batches in `may`, with its default stacks (32 KiB).

#![expect(unsafe_code, reason = "may's spawn is an unsafe function")]

use std::sync::Arc;

use anyhow::Result;
use may::{
    coroutine::{self, JoinHandle},
    sync::Blocker,
};

use super::{
    Batch, Job, Runtime,
    stackful::{self, Stackful},
};

pub(super) const RUNTIME: Runtime = Runtime { name: "may", run };

fn run(batch: Batch, workers: usize) -> Result<()> {
    may::config().set_workers(workers);
    // may takes a stack at spawn. A coroutine that spawns a million holds its worker until all have
    // one, which fails; a thread beside the workers lets the first end before the last begins.
    // Joining and yielding are cheapest among coroutines. So each job has the root that suits may
    // best.
    if matches!(batch.job, Job::SpawnFinish | Job::SpawnYield) {
        return stackful::run::<May>(batch);
    }
    let root = may::go!(move || stackful::run::<May>(batch));
    root.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

struct May;

impl Stackful for May {
    type JoinHandle = JoinHandle<()>;
    type Root = Arc<Blocker>;

    fn spawn(task: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
        // SAFETY: the tasks of `stackful` touch no thread-local on both sides of a yield, and use a
        // few hundred bytes of their stack.
        unsafe { coroutine::spawn(task) }
    }

    fn join(handle: JoinHandle<()>) {
        // Errors are panics, and these tasks have none.
        let _ = handle.join();
    }

    fn yield_now() {
        coroutine::yield_now();
    }

    fn park() {
        coroutine::park();
    }

    fn root() -> Arc<Blocker> {
        Blocker::current()
    }

    fn park_root(root: &Arc<Blocker>) {
        // Errors are timeouts and cancellations, and there are none.
        let _ = root.park(None);
    }

    fn unpark_root(root: &Arc<Blocker>) {
        root.unpark();
    }
}
