//! The parker of a plain thread: what blocks a thread where a task would park.
//!
//! One parker a thread, made at its first wait. Its token is apart from `std::thread::park`'s,
//! which belongs to the user.
//!
//! While a root task runs as a part of the thread's code, the thread's wakes are the task's, too: a
//! token around `run` knows the thread only.

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Instant;

#[cfg(not(sedge_loom))]
use parking_lot::Condvar;
use parking_lot::Mutex;

use crate::context;

/// A flag that a wake sets and a block takes.
#[derive(Debug, Default)]
pub(crate) struct Parker {
    flag: Flag,
    root: Mutex<Option<Waker>>,
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.flag.set();
        let root = self.root.lock().clone();
        root.into_iter().for_each(Waker::wake);
    }
}

/// Has the wakes of the calling thread wake `root`, too, until the guard is dropped.
pub(crate) fn pass_wakes_on(root: Waker) -> impl Drop {
    struct Stop(Option<Arc<Parker>>);

    impl Drop for Stop {
        fn drop(&mut self) {
            let root = self.0.as_ref().and_then(|parker| parker.root.lock().take());
            drop(root);
        }
    }

    let parker = context::thread_parker();
    parker.iter().for_each(|parker| *parker.root.lock() = Some(root.clone()));
    Stop(parker)
}

#[cfg(not(sedge_loom))]
#[derive(Debug, Default)]
struct Flag {
    is_set: Mutex<bool>,
    condvar: Condvar,
}

#[cfg(not(sedge_loom))]
impl Flag {
    fn set(&self) {
        *self.is_set.lock() = true;
        self.condvar.notify_one();
    }

    fn take(&self, deadline: Option<Instant>) {
        let mut is_set = self.is_set.lock();
        while !*is_set {
            match deadline {
                None => self.condvar.wait(&mut is_set),
                Some(deadline) => {
                    if self.condvar.wait_until(&mut is_set, deadline).timed_out() {
                        break;
                    }
                }
            }
        }
        *is_set = false;
    }
}

/// The same for a model's threads, which have no deadlines.
#[cfg(sedge_loom)]
struct Flag(loom::sync::Notify);

#[cfg(sedge_loom)]
impl std::fmt::Debug for Flag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Flag")
    }
}

#[cfg(sedge_loom)]
impl Default for Flag {
    fn default() -> Self {
        Self(loom::sync::Notify::new())
    }
}

#[cfg(sedge_loom)]
impl Flag {
    fn set(&self) {
        self.0.notify();
    }

    fn take(&self, deadline: Option<Instant>) {
        assert!(deadline.is_none(), "a model has no clock");
        self.0.wait();
    }
}

/// A waker for the calling thread.
pub(crate) fn current_waker() -> Waker {
    context::thread_parker().map_or_else(|| Waker::noop().clone(), Waker::from)
}

/// Blocks the calling thread until its waker is used or the deadline has passed. A thread in
/// teardown, which has no parker, looks every millisecond.
pub(super) fn block(deadline: Option<Instant>) {
    match context::thread_parker() {
        Some(parker) => parker.flag.take(deadline),
        #[expect(clippy::disallowed_methods, reason = "there is no task here")]
        None => std::thread::sleep(std::time::Duration::from_millis(1)),
    }
}
