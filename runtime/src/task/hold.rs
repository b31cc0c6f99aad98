//! Holding something back for a stretch of code: parking, migration, cancellation.
//!
//! Each nests, and ends with its closure, by a return or an unwind.

use std::cell::Cell;

use super::{Header, TaskRef};
use crate::context;

/// Runs `f` without parking: every wait in it blocks the thread, as outside the runtime, and no
/// other task of this worker runs meanwhile.
///
/// This is what makes it safe to hold a thread's lock, or to be inside a thread-local's initialiser
/// or a crate's scoped thread-local, over a call that may wait. Keep it short, and do not wait in
/// it for a task that lives on the same worker: that is a deadlock.
///
/// # Cancellation
///
/// Nothing is raised inside.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::sync::Mutex;
/// use std::time::Duration;
///
/// let log = Mutex::new(Vec::new());
/// sedge::run(|| {
///     sedge::task::no_park(|| {
///         let mut log = log.lock().unwrap();
///         sedge::time::sleep(Duration::from_micros(10));
///         log.push("slept with the lock held");
///     });
/// });
/// ```
pub fn no_park<R>(f: impl FnOnce() -> R) -> R {
    struct Leave;

    impl Drop for Leave {
        fn drop(&mut self) {
            change_no_park(|depth| depth - 1);
        }
    }

    fn change_no_park(change: impl FnOnce(u32) -> u32) {
        context::with_worker(|worker| {
            if let Some(worker) = worker {
                worker.no_park().set(change(worker.no_park().get()));
            }
        });
    }

    change_no_park(|depth| depth + 1);
    let _leave = Leave;
    f()
}

/// Keeps a migrating task on its present worker while `f` runs, so that what `f` has on its stack
/// may be bound to the thread. For other tasks, and outside tasks, it just calls `f`.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::rc::Rc;
///
/// sedge::run(|| {
///     sedge::task::stay_home(|| {
///         let local = Rc::new(1);
///         sedge::task::yield_now();
///         assert_eq!(*local, 1);
///     });
/// });
/// ```
pub fn stay_home<R>(f: impl FnOnce() -> R) -> R {
    hold(|task| &task.pins, f)
}

/// Runs `f` with cancellation held back: no parking point in it raises. A cancellation that came
/// meanwhile is raised at the first parking point after it.
///
/// For code that must not be unwound half-way, and for calls into C that call back: unwinding
/// through an `extern "C"` frame aborts the process. Shields nest. On a plain thread, which is never
/// cancelled, it just calls `f`.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::time::Duration;
///
/// sedge::run(|| {
///     sedge::task::shield(|| sedge::time::sleep(Duration::from_millis(1)));
/// });
/// ```
pub fn shield<R>(f: impl FnOnce() -> R) -> R {
    hold(|task| &task.shields, f)
}

/// Calls `f` with a depth of the running task's one deeper.
fn hold<R>(depth: fn(&Header) -> &Cell<u16>, f: impl FnOnce() -> R) -> R {
    struct Release(TaskRef, fn(&Header) -> &Cell<u16>);

    impl Drop for Release {
        fn drop(&mut self) {
            let depth = self.1(&self.0);
            depth.set(depth.get() - 1);
        }
    }

    let _release = context::current_task().map(|task| {
        let now = depth(&task);
        now.set(now.get().checked_add(1).expect("it nests 65,535 deep at most"));
        Release(task, depth)
    });
    f()
}
