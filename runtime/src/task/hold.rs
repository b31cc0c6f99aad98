//! Holding something back for a stretch of code: parking, migration, cancellation.
//!
//! Each nests, and ends with its closure, by a return or an unwind.

use super::TaskRef;
use super::interrupt::shielded;
use crate::context;

/// Calls `f` without ever parking in it: every wait blocks the thread, as outside the runtime, and
/// no other task of this worker runs meanwhile. Returns what `f` returns.
///
/// This is what makes it safe to hold a thread's lock, or to be inside a thread-local's initialiser
/// or a crate's scoped thread-local, over a call that may wait. Keep it short. Calls nest. On a
/// plain thread it is [`shield`].
///
/// # Blocking
///
/// Blocks the worker for as long as `f` waits, and [`blocking`](crate::blocking()) inside it calls
/// its closure on the spot. Waiting in `f` for a task that lives on the same worker is a deadlock.
///
/// # Cancellation
///
/// As [`shield`].
///
/// # Panics
///
/// With `f`'s panic, after which the task parks again as before; at a depth of 65,536, as
/// [`shield`].
///
/// # Examples
///
/// A lock of std's is held over a sleep, while another task of the same worker wants it. Without
/// `no_park` the other task would block the thread, and this one could never let go of the lock:
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::sync::Mutex;
/// use std::time::Duration;
///
/// static LOG: Mutex<Vec<&str>> = Mutex::new(Vec::new());
///
/// sedge::runtime::Builder::new().workers(1).run(|| {
///     let other = sedge::spawn(|| LOG.lock().unwrap().push("other"));
///     sedge::task::no_park(|| {
///         let mut log = LOG.lock().unwrap();
///         sedge::time::sleep(Duration::from_millis(1));
///         log.push("slept with the lock held");
///     });
///     other.join().unwrap();
///     assert_eq!(*LOG.lock().unwrap(), ["slept with the lock held", "other"]);
/// })?;
/// # Ok::<(), std::io::Error>(())
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
    shielded(f)
}

/// Keeps a migrating task on its present worker while `f` runs, so that what `f` has on its stack
/// may be bound to the thread. Returns what `f` returns.
///
/// Calls nest. For tasks that do not migrate, and outside tasks, it just calls `f`.
///
/// # Blocking
///
/// Neither the task nor the worker waits, but for what `f` does: it may park, and comes back to the
/// same worker.
///
/// # Cancellation
///
/// Changes nothing about it.
///
/// # Panics
///
/// With `f`'s panic, after which the task may migrate again; in a migrating task, at a depth of
/// 65,536.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::rc::Rc;
/// use std::thread;
///
/// use sedge::task;
///
/// sedge::run(|| {
///     // SAFETY: all that is bound to a thread is inside `stay_home`, and no thread-local is
///     // touched before the wait outside it.
///     let builder = unsafe { task::Builder::new().migrating(true) };
///     let handle = builder.spawn(|| {
///         task::yield_now(); // May go on with another worker.
///         task::stay_home(|| {
///             let here = Rc::new(thread::current().id());
///             task::yield_now(); // Goes on with this one.
///             *here == thread::current().id()
///         })
///     });
///     assert!(handle.unwrap().join().unwrap());
/// });
/// ```
pub fn stay_home<R>(f: impl FnOnce() -> R) -> R {
    let _stay = context::current_task().filter(|task| task.migrating).map(Stay::begin);
    f()
}

/// Calls `f` with cancellation held back, and returns what `f` returns.
///
/// For code that must not be unwound half-way, and for calls into C that call back: unwinding
/// through an `extern "C"` frame aborts the process. Calls nest. On a plain thread, which is never
/// cancelled as a whole, it holds back the timeouts and tokens around it.
///
/// # Blocking
///
/// Neither the task nor the worker waits, but for what `f` does. A runtime that stops waits for
/// `f`, within its [`shutdown_timeout`](crate::runtime::Builder::shutdown_timeout).
///
/// # Cancellation
///
/// Nothing that lies outside is raised inside: waits there go on until what they wait for has come,
/// or a timeout or token inside ends them. What came meanwhile from outside is raised at the next
/// cancellation point after it.
///
/// In mid-unwind it does not help: once the task is told to end, operations that would wait for the
/// kernel return an error there, shielded or not.
///
/// # Panics
///
/// With `f`'s panic; at a depth of 65,536, [`no_park`]s included. Whatever shields itself as it
/// waits ([`scope`](super::scope()) at its end, [`blocking`](crate::blocking())) aborts the process
/// at a depth of 65,535.
///
/// # Examples
///
/// The runtime stops while a task is in the middle of something that should be whole:
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::time::Duration;
///
/// use sedge::{task, time};
///
/// let saving = sedge::run(|| {
///     let root = task::current();
///     let saving = task::spawn(move || {
///         task::shield(|| {
///             root.unpark();
///             time::sleep(Duration::from_millis(20));
///             "saved"
///         })
///     });
///     task::park();
///     saving
/// }); // The task is cancelled here, and sleeps on.
/// assert_eq!(saving.join().unwrap(), "saved");
/// ```
pub fn shield<R>(f: impl FnOnce() -> R) -> R {
    shielded(f)
}

/// One level of [`stay_home`], of a migrating task. The outermost is what keeps it.
struct Stay(TaskRef);

impl Stay {
    fn begin(task: TaskRef) -> Self {
        let depth = task.stays.get();
        let deeper = depth.checked_add(1).expect("it nests 65,535 deep at most");
        if depth == 0 {
            context::with_worker(|worker| worker.expect("a task has one").begin_stay(task));
        }
        task.stays.set(deeper);
        Self(task)
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let depth = self.0.stays.get() - 1;
        self.0.stays.set(depth);
        if depth == 0 {
            context::with_worker(|worker| worker.expect("a task has one").end_stay(self.0));
        }
    }
}
