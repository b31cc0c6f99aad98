//! Sleeping.

use std::time::{Duration, Instant};

use crate::{context, task, wait};

/// Waits for `duration` at least, as [`std::thread::sleep`]. Exact to some microseconds on an idle
/// machine.
///
/// # Blocking
///
/// Parks the task; on a plain thread, and inside [`no_park`](crate::task::no_park), sleeps in it.
///
/// # Cancellation
///
/// A cancellation point.
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
    sleep_deadline(Instant::now().checked_add(duration));
}

/// Waits until `deadline`; returns at once if it has passed. Otherwise as [`sleep`].
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::time::{Duration, Instant};
///
/// sedge::run(|| {
///     let mut next = Instant::now();
///     for _ in 0..3 {
///         next += Duration::from_millis(1);
///         sedge::time::sleep_until(next);
///     }
/// });
/// ```
pub fn sleep_until(deadline: Instant) {
    sleep_deadline(Some(deadline));
}

fn sleep_deadline(deadline: Option<Instant>) {
    wait::checkpoint();
    while deadline.is_none_or(|deadline| Instant::now() < deadline) {
        match (context::parkable_task(), deadline) {
            (Some(task), _) => task::park_until(task, deadline),
            #[expect(clippy::disallowed_methods, reason = "there is no task to park")]
            (None, Some(deadline)) => {
                std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
            }
            (None, None) => wait::park(None),
        }
    }
}
