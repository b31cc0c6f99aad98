//! Tasks: green threads, used as threads are.
//!
//! A task is a function with a stack of its own that runs on a worker's thread until it waits: then
//! it *parks*, and the worker runs another. A task that has started stays on the worker that first
//! ran it, so thread-locals, `Rc`s and lock guards mean what they mean in a thread.
//!
//! # Three rules
//!
//! - Hold no *thread's* lock (std's, `parking_lot`'s) over a call that may wait: another task of the
//!   same worker that wants it blocks the worker, for good. [`no_park`] makes such a stretch safe.
//! - Computing for long, and blocking calls, go into [`blocking`](crate::blocking()): they keep the
//!   worker from its other tasks.
//! - Crates that keep a strict nesting in a thread-local (`scoped-tls`'s `set`) must not be parked
//!   inside, nor must the initialiser of a `thread_local!`: [`no_park`] again.
//!
//! # Outside tasks
//!
//! Everything here works on a plain thread too, where it blocks the thread.
#![expect(unsafe_code, reason = "the running task is there: references to it may be made")]

mod block_on;
mod builder;
mod cancel;
mod handle;
mod header;
mod hold;
mod hook;
mod join;
mod park;
mod state;
mod unwind;

use crate::context;

pub use block_on::block_on;
pub use builder::{Builder, spawn};
pub use cancel::Cancelled;
pub use handle::{Task, TaskId};
pub use hold::{no_park, shield, stay_home};
pub use join::JoinHandle;
pub use park::{park, park_timeout, yield_now};

pub(crate) use builder::spawn_root;
pub(crate) use header::{Claimed, Coroutine, Header, Suspend, TaskRef};
pub(crate) use hook::install as install_panic_hook;
pub(crate) use park::{checkpoint_slow, park_until};
pub(crate) use state::Park;
pub(crate) use unwind::{Minter, hide_panics, restore_panics};

use handle::Counted;

/// A handle to the running task; on a plain thread, one to the thread.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// sedge::run(|| {
///     let me = sedge::task::current();
///     sedge::spawn(move || me.unpark());
///     sedge::task::park();
/// });
/// ```
pub fn current() -> Task {
    match current_counted() {
        Some(counted) => Task::green(counted),
        None => Task::thread(),
    }
}

fn current_counted() -> Option<Counted> {
    // SAFETY: the task runs, so it is not finished.
    context::current_task().map(|task| unsafe { Counted::from_borrowed(task) })
}

/// Bytes of the running task's stack that are in use or have been, as far as the kernel can tell:
/// how deep any task went that had this stack since it was last given back. None on a plain thread.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// let bytes = sedge::run(sedge::task::stack_high_water).unwrap();
/// assert!(bytes > 0);
/// ```
pub fn stack_high_water() -> Option<usize> {
    context::current_task().map(TaskRef::stack_high_water)
}
