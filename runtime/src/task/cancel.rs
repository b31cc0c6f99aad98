//! Telling a task to stop.
//!
//! A cancelled task unwinds from its present or next cancellation point with a payload of its own,
//! without the panic hook's message; its `join` returns [`Cancelled`]. Shutdown ends tasks this
//! way, through the ordinary scheduler, so that destructors may wait. The same payload ends a
//! stretch of code; [`super::interrupt`] has the whole of it.

use super::interrupt::{self, Frame};

/// Code was ended from outside: by [`JoinHandle::cancel`](super::JoinHandle::cancel), by a
/// [`CancelToken`](super::CancelToken) or a [`timeout`](crate::time::timeout()), by the end of its
/// scope or of its runtime, or, in a task of a scope, by a deadline that it has inherited.
///
/// It is the payload that such code unwinds with, and so that of the `Err` of
/// [`JoinHandle::join`](super::JoinHandle::join), and it is an error by itself where a token or a
/// scope tells of it. (A timeout tells by an [`Elapsed`](crate::time::Elapsed).) It converts into
/// an [`io::Error`](std::io::Error) of kind `Other`. [The module](super#cancellation) says where it
/// is raised. It does not tell what has ended the code: all are equal.
///
/// One that `join` has returned of another task is not to be passed to
/// [`resume_unwind`](std::panic::resume_unwind): the caller would end as if it had been cancelled
/// itself, and without a message. Panic, or return an error.
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
#[derive(Clone)]
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
/// Not a cancellation point; [`check`] is.
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

/// Without the frame, which is nothing to its users.
impl PartialEq for Cancelled {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Cancelled {}

impl std::fmt::Debug for Cancelled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cancelled")
    }
}

impl std::fmt::Display for Cancelled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cancelled")
    }
}

impl std::error::Error for Cancelled {}

impl From<Cancelled> for std::io::Error {
    fn from(cancelled: Cancelled) -> Self {
        Self::other(cancelled)
    }
}
