//! Sleeping, and limits on time. Durations and instants are std's.

mod timeout;

use std::time::{Duration, Instant};

use crate::task::interrupt;
use crate::{clock, wait};

pub use timeout::{Elapsed, timeout, timeout_at};

/// Waits for `duration` at least, as [`std::thread::sleep`].
///
/// On an idle machine it is some tens of microseconds late (not guaranteed, just a description). A
/// duration that ends later than an [`Instant`] can tell has no end.
///
/// # Blocking
///
/// Parks the task. On a plain thread, and inside [`no_park`](crate::task::no_park), it blocks the
/// thread.
///
/// # Cancellation
///
/// A cancellation point, at entry (a duration of zero too) and while it waits.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::time::{Duration, Instant};
///
/// sedge::run(|| {
///     let start = Instant::now();
///     sedge::time::sleep(Duration::from_millis(2));
///     assert!(start.elapsed() >= Duration::from_millis(2));
/// });
/// ```
pub fn sleep(duration: Duration) {
    wait::checkpoint();
    if !duration.is_zero() {
        sleep_deadline(clock::after(duration));
    }
}

/// Waits until `deadline`; returns at once if it has passed. As [`sleep`] otherwise, which waits
/// for a duration: a loop with a fixed period keeps its step with this one.
///
/// # Blocking
///
/// Parks the task. On a plain thread, and inside [`no_park`](crate::task::no_park), it blocks the
/// thread.
///
/// # Cancellation
///
/// A cancellation point, at entry (a deadline that has passed too) and while it waits.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::time::{Duration, Instant};
///
/// sedge::run(|| {
///     let start = Instant::now();
///     for tick in 1..=3 {
///         sedge::time::sleep_until(start + tick * Duration::from_millis(1));
///     }
///     assert!(start.elapsed() >= Duration::from_millis(3));
/// });
/// ```
pub fn sleep_until(deadline: Instant) {
    wait::checkpoint();
    if clock::now() < deadline {
        sleep_deadline(Some(deadline));
    }
}

/// Returns what time it is: [`Instant::now`], but for the tasks of a runtime with a
/// [seed](crate::runtime::Builder::seed), whose time is simulated.
///
/// # Blocking
///
/// Nothing waits.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::time::{self, timeout_at};
/// use std::time::Duration;
///
/// // An hour, which does not take one.
/// let result = sedge::runtime::Builder::new().seed(7).run(|| {
///     let deadline = time::now() + Duration::from_secs(3600);
///     timeout_at(deadline, sedge::task::park)
/// })?;
/// assert!(result.is_err());
/// # Ok::<_, std::io::Error>(())
/// ```
#[must_use]
pub fn now() -> Instant {
    clock::now()
}

/// Returns until when the calling code may go on at most: the earliest deadline of the timeouts
/// around it, and of the scope that the calling task belongs to; none if there is none.
///
/// For what can be told of it: a peer, or a library that blocks, inside
/// [`blocking`](crate::blocking()), where it is the waiting task's. What a
/// [`shield`](crate::task::shield) holds back is not counted.
///
/// # Blocking
///
/// Nothing waits.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::time::{self, timeout};
/// use std::time::Duration;
///
/// assert_eq!(time::deadline(), None);
/// timeout(Duration::from_secs(2), || {
///     let left = time::deadline().unwrap().saturating_duration_since(time::now());
///     println!("timeout-ms: {}", left.as_millis());
/// })?;
/// # Ok::<_, time::Elapsed>(())
/// ```
#[must_use]
pub fn deadline() -> Option<Instant> {
    interrupt::deadline()
}

fn sleep_deadline(deadline: Option<Instant>) {
    while !wait::park(deadline) {}
}
