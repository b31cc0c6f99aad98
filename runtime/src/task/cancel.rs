//! Telling a task to stop.
//!
//! A cancelled task unwinds from its present or next parking point with a private payload, without
//! the panic hook's message; its `join` returns [`Cancelled`]. Shutdown ends tasks this way,
//! through the ordinary scheduler, so that destructors may wait.
//!
//! Nothing is raised while the task unwinds already, inside [`shield`](super::shield) and
//! [`no_park`](super::no_park), and under `panic = "abort"`. A task that swallowed the payload is
//! told again at its next parking point; from the second time on it first yields, so that a loop
//! around `catch_unwind` cannot keep its worker.

use std::panic::resume_unwind;

use super::park::suspend;
use super::{Suspend, TaskRef};

/// What [`JoinHandle::join`](super::JoinHandle::join) returns, as the payload of its `Err`, for a
/// task that was cancelled: its runtime stopped before it ended.
///
/// A cancelled task unwinds with this payload from the call that it waits in, or from the next that
/// may wait, without the panic hook's message. While it unwinds nothing is raised again. If it
/// catches the payload with [`catch_unwind`](std::panic::catch_unwind) it is told again by the next
/// call that may wait.
///
/// Under `panic = "abort"` nothing can unwind: tasks are abandoned as they are, without
/// destructors.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::task::{self, Cancelled};
///
/// let handle = sedge::run(|| task::spawn(task::park));
/// let payload = handle.join().unwrap_err();
/// assert!(payload.is::<Cancelled>());
/// ```
#[derive(Debug)]
pub struct Cancelled(pub(super) ());

impl std::fmt::Display for Cancelled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the task was cancelled")
    }
}

impl std::error::Error for Cancelled {}

/// Raises a cancellation that has come, where it may be raised. `task` is the running one.
#[inline]
pub(super) fn raise_if_cancelled(task: TaskRef) {
    if task.is_cancelled() {
        raise(task);
    }
}

#[cold]
fn raise(task: TaskRef) {
    if cfg!(panic = "abort") || task.shields.get() > 0 || std::thread::panicking() {
        return;
    }
    if task.raised.replace(true) {
        suspend(task, Suspend::Yield);
    }
    resume_unwind(Box::new(Cancelled(())));
}
