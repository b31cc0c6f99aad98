//! Where a test's body runs.

use std::time::{Duration, Instant};

use sedge_runtime::runtime;
use sedge_runtime::task::JoinHandle;

/// Longer than anything takes: the test hangs.
pub(crate) const HUNG: Duration = Duration::from_secs(20);

/// A body runs once in each environment that its types work in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    /// Plain threads, no runtime.
    Threads,
    /// Tasks of a runtime with so many workers.
    Tasks(usize),
}

/// Where std's types work.
pub(crate) const STD: &[On] = &[On::Threads];
/// Where Sedge's do.
pub(crate) const SEDGE: &[On] = &[On::Threads, On::Tasks(1), On::Tasks(2)];

/// What [`On::spawn`] has started.
pub(crate) enum Handle<T> {
    Thread(std::thread::JoinHandle<T>),
    Task(JoinHandle<T>),
}

impl<T> Handle<T> {
    pub(crate) fn join(self) -> T {
        match self {
            Self::Thread(thread) => thread.join().unwrap(),
            Self::Task(task) => task.join().unwrap(),
        }
    }
}

impl On {
    pub(crate) fn run(self, body: impl FnOnce(Self) + Send + 'static) {
        match self {
            Self::Threads => std::thread::spawn(move || body(self)).join().unwrap(),
            Self::Tasks(workers) => {
                runtime::Builder::new().workers(workers).run(move || body(self)).unwrap();
            }
        }
    }

    pub(crate) fn spawn<T: Send + 'static>(
        self,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> Handle<T> {
        match self {
            Self::Threads => Handle::Thread(std::thread::spawn(f)),
            Self::Tasks(_) => Handle::Task(sedge_runtime::spawn(f)),
        }
    }
}

/// Waits for a condition that another task or thread brings about.
pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    let since = Instant::now();
    while !condition() {
        assert!(since.elapsed() < HUNG);
        sedge_runtime::time::sleep(Duration::from_micros(100));
    }
}
