//! Limits on the time that a stretch of code takes.
use std::time::{Duration, Instant};
use std::{error, fmt, io};

use crate::clock;
use crate::task::enclose;

/// Calls `f`, and ends it if it takes longer than `duration`. Returns what `f` returns, or that the
/// time was over first.
///
/// All of `f` is limited, with what it calls: not one read, as by `set_read_timeout`, but a whole
/// request. Timeouts nest, and each ends its own `f`, the earliest first. What
/// [`scope`](crate::scope) spawns in `f` has to be done in the same time.
///
/// A duration that ends later than an [`Instant`] can tell has no end.
///
/// # Blocking
///
/// Neither the task nor the worker waits, but for what `f` does.
///
/// # Cancellation
///
/// `f` is ended as a cancelled task is: it unwinds, with its destructors, from the call that it
/// waits in when its time is over. [The module `task`](crate::task#cancellation) says what that
/// does to locks, to half-done work, and to bytes that were read already. It is not ended
///
/// - where it waits for nothing. A call that may wait and need not looks at the clock once in 128
///   times; [`task::check`](crate::task::check) does every time. An `f` that is done, late or not,
///   has its result returned;
/// - inside [`shield`](crate::task::shield), [`no_park`](crate::task::no_park) or
///   [`blocking`](crate::blocking()), unless the timeout is inside there, too;
/// - while it unwinds. Operations that would wait then, in a destructor, return an error of kind
///   `TimedOut`.
///
/// `timeout` itself is not a cancellation point.
///
/// # Errors
///
/// [`Elapsed`]: the time was over, and `f` was ended. Converts into an [`io::Error`] of kind
/// `TimedOut`.
///
/// # Panics
///
/// With `f`'s panic.
///
/// # Under `panic = "abort"`
///
/// Nothing can be unwound. When the time is over, the operation that `f` waits in, and each that
/// would wait after it, returns an error of kind `TimedOut` if it returns [`io::Result`], and a
/// [`join`](crate::task::JoinHandle::join) returns a [`Cancelled`](crate::task::Cancelled). Other
/// waits (sleeping, parking) have no error to return and go on: there, ask
/// [`is_cancelled`](crate::task::is_cancelled) in between. Once `f` has returned, so does
/// `timeout`, and in place of a result that such an error had a part in it returns [`Elapsed`].
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::time::{self, timeout};
/// use std::time::Duration;
///
/// sedge::run(|| {
///     assert_eq!(timeout(Duration::from_secs(10), || 6 * 7), Ok(42));
///
///     let slow = || time::sleep(Duration::from_secs(3600));
///     assert!(timeout(Duration::from_millis(1), slow).is_err());
/// });
/// ```
#[inline]
pub fn timeout<F, T>(duration: Duration, f: F) -> Result<T, Elapsed>
where
    F: FnOnce() -> T,
{
    enclose(clock::after(duration), None, f).ok_or(Elapsed(()))
}

/// Calls `f`, and ends it if it is not done by `deadline`. As [`timeout`] otherwise, which is for a
/// duration: several calls share a deadline with this one.
///
/// # Blocking
///
/// Neither the task nor the worker waits, but for what `f` does.
///
/// # Cancellation
///
/// As [`timeout`]. With a deadline that has passed, `f` is called, and is ended where it first
/// waits.
///
/// # Errors
///
/// [`Elapsed`]: `f` was ended.
///
/// # Panics
///
/// With `f`'s panic.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::task;
/// use sedge::time::timeout_at;
/// use std::time::{Duration, Instant};
///
/// sedge::run(|| {
///     let deadline = Instant::now() + Duration::from_millis(2);
///     assert!(timeout_at(deadline, task::park).is_err());
///     assert!(timeout_at(deadline, task::park).is_err(), "no time is left");
/// });
/// ```
#[inline]
pub fn timeout_at<F, T>(deadline: Instant, f: F) -> Result<T, Elapsed>
where
    F: FnOnce() -> T,
{
    enclose(Some(deadline), None, f).ok_or(Elapsed(()))
}

/// The error of [`timeout`] and [`timeout_at`]: the time was over.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::time::{sleep, timeout};
/// use std::io;
/// use std::time::Duration;
///
/// fn nap() -> io::Result<()> {
///     timeout(Duration::from_millis(1), || sleep(Duration::from_secs(3600)))?;
///     Ok(())
/// }
///
/// assert_eq!(nap().unwrap_err().kind(), io::ErrorKind::TimedOut);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed(());

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time was over before the work was done")
    }
}

impl error::Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> Self {
        Self::new(io::ErrorKind::TimedOut, elapsed)
    }
}
