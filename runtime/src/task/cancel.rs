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

use super::interrupt::{self, Frame};

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
pub struct Cancelled {
    /// The address of the frame that catches it; none where the whole task is cancelled.
    frame: usize,
}

impl Cancelled {
    pub(super) fn of_task() -> Self {
        Self { frame: 0 }
    }

    pub(super) fn of_frame(frame: *const Frame) -> Self {
        Self { frame: frame.addr() }
    }

    pub(super) fn is_of(&self, frame: *const Frame) -> bool {
        self.frame == frame.addr()
    }
}

/// Returns whether the calling task was told to stop: it was cancelled, its runtime stops, or a
/// [`timeout`](crate::time::timeout()) or [token](super::CancelToken::run_until_cancelled) around
/// the call has ended.
///
/// For loops that compute, and so meet no cancellation point, and for code inside a
/// [`shield`](super::shield), which holds nothing back from this function. In a closure that
/// [`blocking`](crate::blocking()) runs it tells of the task that waits for it. On a plain thread,
/// of the timeouts and tokens there.
///
/// # Blocking
///
/// Nothing waits. It reads the clock if there is a timeout around it.
///
/// # Cancellation
///
/// Not a cancellation point: [`check`] is the one that does not wait.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::task;
/// use sedge::time::timeout;
/// use std::time::Duration;
///
/// // As good an answer as five milliseconds give.
/// let rounds = timeout(Duration::from_millis(5), || {
///     (0_u64..).take_while(|_| !task::is_cancelled()).count()
/// });
/// assert!(rounds.is_ok());
/// ```
pub fn is_cancelled() -> bool {
    interrupt::is_anything_due()
}

/// Ends the calling code here if it was told to stop, as any call that may wait does. Returns at
/// once otherwise.
///
/// For loops that compute. In a closure that [`blocking`](crate::blocking()) runs it ends that
/// closure, and then the code that has called `blocking`.
///
/// # Blocking
///
/// Nothing waits. It reads the clock if there is a timeout around it.
///
/// # Cancellation
///
/// A cancellation point, and nothing else. Under `panic = "abort"` it does nothing: ask
/// [`is_cancelled`].
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::task;
/// use sedge::time::timeout;
/// use std::time::Duration;
///
/// sedge::run(|| {
///     let endless = || sedge::blocking(|| loop {
///         task::check();
///     });
///     assert!(timeout(Duration::from_millis(5), endless).is_err());
/// });
/// ```
pub fn check() {
    interrupt::check();
}

impl std::fmt::Display for Cancelled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the task was cancelled")
    }
}

impl std::error::Error for Cancelled {}

impl From<Cancelled> for std::io::Error {
    fn from(cancelled: Cancelled) -> Self {
        Self::other(cancelled)
    }
}
