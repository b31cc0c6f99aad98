//! What time it is: std's, but for tasks of a runtime with a [seed](crate::runtime::Builder::seed).

use std::time::{Duration, Instant};

use crate::context;

pub(crate) fn now() -> Instant {
    let simulated = context::with_worker(|worker| worker.and_then(|worker| worker.simulated_now()));
    simulated.unwrap_or_else(Instant::now)
}

/// Where time does not pass by itself, makes it `deadline`, for a thread that would wait until
/// then. Returns whether that is so.
pub(crate) fn jump_to(deadline: Instant) -> bool {
    context::with_worker(|worker| worker.is_some_and(|worker| worker.jump_to(deadline)))
}

/// When `duration` from now on is over; none later than can be told.
pub(crate) fn after(duration: Duration) -> Option<Instant> {
    now().checked_add(duration)
}
