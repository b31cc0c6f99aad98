//! Being told of a task's end.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{fmt, mem};

use super::header::{Header, discard};
use super::{Cancelled, shield};

/// How a task has ended. See [`JoinHandle::on_exit`](super::JoinHandle::on_exit).
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// let exits = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
/// let seen = exits.clone();
/// let task = sedge::spawn(|| panic!("out of luck"));
/// task.on_exit(move |exit| seen.lock().unwrap().push(exit.to_string()));
/// let _ = task.join();
/// assert_eq!(*exits.lock().unwrap(), ["panicked: out of luck"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit<'a> {
    /// Its closure has returned.
    Returned,
    /// It was cancelled.
    Cancelled,
    /// It panicked, with this message; none where the payload is no string.
    Panicked(Option<&'a str>),
}

/// A closure that is to be called.
pub(super) type Monitor = Box<dyn FnOnce(Exit<'_>) + Send>;

impl<'a> Exit<'a> {
    /// Given the payload, where there is one.
    pub(crate) fn of(payload: Option<&'a (dyn Any + Send)>) -> Self {
        match payload {
            None => Self::Returned,
            Some(payload) if payload.is::<Cancelled>() => Self::Cancelled,
            Some(payload) => Self::Panicked(message(payload)),
        }
    }
}

fn message(payload: &(dyn Any + Send)) -> Option<&str> {
    let owned = || payload.downcast_ref::<String>().map(String::as_str);
    payload.downcast_ref::<&str>().copied().or_else(owned)
}

impl fmt::Display for Exit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Returned => f.write_str("returned"),
            Self::Cancelled => f.write_str("was cancelled"),
            Self::Panicked(Some(message)) => write!(f, "panicked: {message}"),
            Self::Panicked(None) => f.write_str("panicked"),
        }
    }
}

/// Calls those that there are, on a task's stack or by its handle.
pub(super) fn call_all(header: &Header, exit: Exit<'_>) {
    let Some(extras) = header.extras().get() else { return };
    let monitors = mem::take(&mut *extras.monitors.lock());
    for monitor in monitors {
        // A panic ends here, as that of a detached result does: the hook has reported it.
        discard(catch_unwind(AssertUnwindSafe(|| shield(|| monitor(exit)))));
    }
}
