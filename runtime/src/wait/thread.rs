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

use parking_lot::{Condvar, Mutex};

use crate::context;

/// A flag that a wake sets and a block takes.
#[derive(Debug, Default)]
pub(crate) struct Parker {
    woken: Mutex<bool>,
    condvar: Condvar,
    root: Mutex<Option<Waker>>,
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.woken.lock() = true;
        self.condvar.notify_one();
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

impl Parker {
    fn block(&self, deadline: Option<Instant>) {
        let mut woken = self.woken.lock();
        while !*woken {
            match deadline {
                None => self.condvar.wait(&mut woken),
                Some(deadline) => {
                    if self.condvar.wait_until(&mut woken, deadline).timed_out() {
                        break;
                    }
                }
            }
        }
        *woken = false;
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
        Some(parker) => parker.block(deadline),
        #[expect(clippy::disallowed_methods, reason = "there is no task here")]
        None => std::thread::sleep(std::time::Duration::from_millis(1)),
    }
}
