//! The batches in Sedge.

use anyhow::Result;
use sedge::{
    runtime::Builder,
    task::{self, JoinHandle, Task},
};

use super::{
    Batch, Runtime,
    stackful::{self, Stackful},
};

pub(super) const RUNTIME: Runtime = Runtime { name: "sedge", run };

fn run(batch: Batch, workers: usize) -> Result<()> {
    Builder::new().workers(workers).run(|| stackful::run::<Sedge>(batch))?
}

struct Sedge;

impl Stackful for Sedge {
    type JoinHandle = JoinHandle<()>;
    type Root = Task;

    fn spawn(task: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
        sedge::spawn(task)
    }

    fn join(handle: JoinHandle<()>) {
        // Errors are panics, and these tasks have none.
        let _ = handle.join();
    }

    fn yield_now() {
        task::yield_now();
    }

    fn park() {
        task::park();
    }

    fn root() -> Task {
        task::current()
    }

    fn park_root(_root: &Task) {
        task::park();
    }

    fn unpark_root(root: &Task) {
        root.unpark();
    }
}
