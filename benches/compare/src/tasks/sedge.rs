//! The batches in Sedge.

use anyhow::Result;
use sedge::task::{self, JoinHandle, Task};

use super::{
    Batch, Runtime,
    stackful::{self, Stackful},
};

pub(super) const RUNTIME: Runtime = Runtime { name: "sedge", run };

// The number of workers is that of the CPUs, and those have been set.
fn run(batch: Batch, _workers: usize) -> Result<()> {
    sedge::run(|| stackful::run::<Sedge>(batch))
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
