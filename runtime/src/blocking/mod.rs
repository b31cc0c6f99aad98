//! Work that blocks a thread, done on a thread that may block.
//!
//! [`blocking`](fn@blocking) lends a closure to a thread of the runtime's pool while its task
//! parks. The closure may borrow, because its caller does not go on before it has returned.
//!
//! The parts: `job` is the loan, and the only unsafe code; `lane` is a queue and its threads;
//! `pool` is a runtime's lanes, one for each kind of work; `done` is where a caller waits.

mod done;
mod job;
mod lane;
mod pool;
mod resolve;
mod stats;
#[cfg(test)]
mod tests;

use std::panic::Location;
use std::sync::Arc;

use lane::Lane;

pub(crate) use pool::{Config, Pool};
#[doc(hidden)]
pub use resolve::resolve;
pub use stats::{LaneStats, PoolStats};

use crate::{context, wait};

/// Calls `f` on a thread that may block, while the calling task parks, and returns its result.
///
/// For what would hold up a worker: a file, a C library that waits, a long computation, a crate
/// that opens its own sockets. `f` may borrow from the caller, thread-locals aside: it runs on
/// another thread.
///
/// The pool makes threads as they are needed, up to a limit
/// ([`blocking_threads_max`](crate::runtime::Builder::blocking_threads_max), 512 by default), and
/// lets them go when they have been idle for 10 seconds. Beyond the limit calls queue up. Where the
/// system refuses a thread, the call waits for one to be free, or, if there is none at all, is made
/// on the worker. A thread's stack is 2 MiB of address space. The trip to the pool and back costs
/// two wakes of a thread: what takes microseconds is done sooner in place.
///
/// Inside `f`, [`spawn`](crate::spawn()) spawns into the calling task's runtime, and
/// [`task::current`](crate::task::current) gives the thread.
///
/// # Blocking
///
/// Parks the task until `f` has returned. On a plain thread, inside
/// [`no_park`](crate::task::no_park), and inside another call of `blocking`, `f` is called on the
/// spot, and what waits is the thread.
///
/// **Do not wait for other tasks inside `f`** where these may need the pool as well: with 512 such
/// calls, each holds a thread until a task is done that waits for a thread. The runtime reports a
/// pool in which nothing gets done, and names the calls that hold its threads.
///
/// # Cancellation
///
/// A cancellation point at entry: a task that is cancelled there does not call `f`. Once `f` is on
/// its way it is waited for, because it may borrow from this very stack: an `f` that never returns
/// holds its thread, its task, and the end of the runtime for its `shutdown_timeout`. Then the task
/// is abandoned, and the thread that called `run` does not end any more, unless it is the main
/// thread.
///
/// # Panics
///
/// With `f`'s payload, if `f` panics. (The panic's message names the pool's thread, not the task.)
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// sedge::runtime::Builder::new().workers(1).run(|| {
///     // A computation, on what belongs to the task.
///     let mut numbers = vec![3, 1, 2];
///     sedge::blocking(|| numbers.sort());
///     assert_eq!(numbers, [1, 2, 3]);
///
///     // A wait of std's. It blocks a thread of the pool, and the only worker goes on to run the
///     // task that ends it.
///     let (sender, receiver) = std::sync::mpsc::channel();
///     sedge::spawn(move || sender.send(numbers.len()).unwrap());
///     assert_eq!(sedge::blocking(move || receiver.recv()), Ok(3));
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[track_caller]
pub fn blocking<F, T>(f: F) -> T
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    lend_to(|pool| &pool.general, f)
}

/// [`blocking`](fn@blocking) in the lane for files, which has 32 threads for each CPU. For the fs
/// crate.
#[doc(hidden)]
#[track_caller]
pub fn blocking_file<F, T>(f: F) -> T
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    lend_to(|pool| &pool.files, f)
}

#[track_caller]
fn lend_to<F, T>(lane: fn(&Pool) -> &Arc<Lane>, f: F) -> T
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    let caller = Location::caller();
    wait::checkpoint();
    match context::with_parkable(|worker, _| lane(&worker.shared().pool).clone()) {
        // A job that comes back is dropped, which makes it run here.
        Some(lane) => job::lend(caller, f, |job| drop(lane.submit(job))),
        None => f(),
    }
}
