//! The mutex that its holder may lock again.
#![expect(unsafe_code, reason = "lock_api's traits are promises")]

use std::num::NonZeroUsize;

use super::RawMutex;
use crate::context;

/// Tells tasks and threads apart, for [`lock_api`]'s re-entrant mutex.
///
/// Each has a number of its own, from when it first asks; no other task or thread of the process
/// ever has the same. A closure in [`blocking`](crate::blocking()) is its thread's, not its task's.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use lock_api::GetThreadId;
/// use sedge::sync::RawTaskId;
///
/// sedge::run(|| {
///     let here = RawTaskId::INIT.nonzero_thread_id();
///     assert_eq!(here, RawTaskId::INIT.nonzero_thread_id());
///     let other = sedge::spawn(|| RawTaskId::INIT.nonzero_thread_id());
///     assert_ne!(here, other.join().unwrap());
/// });
/// ```
#[derive(Debug)]
pub struct RawTaskId;

// SAFETY: the numbers come from one counter.
unsafe impl lock_api::GetThreadId for RawTaskId {
    const INIT: Self = Self;

    #[inline]
    fn nonzero_thread_id(&self) -> NonZeroUsize {
        match context::current_task() {
            Some(task) => task.owner(),
            None => context::thread_owner(),
        }
    }
}

/// A mutex that the task or thread that holds it may lock again; its guards give no exclusive
/// access to the data. As parking_lot's.
///
/// # Blocking
///
/// `lock` parks the task, or blocks a plain thread, while another one holds it. A guard is not
/// `Send`. A closure in [`blocking`](crate::blocking()) is not the task that waits for it, nor is
/// the root task the thread that has called [`run`](crate::run()): what these hold it would wait
/// for in vain.
///
/// # Cancellation
///
/// Not a cancellation point: it is waited for to the end, as [`RawMutex`] says.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::sync::ReentrantMutex;
/// use std::cell::Cell;
///
/// static DEPTH: ReentrantMutex<Cell<u32>> = ReentrantMutex::new(Cell::new(0));
///
/// fn go_down(levels: u32) {
///     let depth = DEPTH.lock();
///     depth.set(depth.get() + 1);
///     if levels > 1 {
///         go_down(levels - 1);
///     }
/// }
///
/// sedge::run(|| {
///     let other = sedge::spawn(|| go_down(3));
///     go_down(3);
///     other.join().unwrap();
///     assert_eq!(DEPTH.lock().get(), 6);
/// });
/// ```
pub type ReentrantMutex<T> = lock_api::ReentrantMutex<RawMutex, RawTaskId, T>;

/// Holds a [`ReentrantMutex`] locked once.
///
/// # Examples
///
/// See [`ReentrantMutex`].
pub type ReentrantMutexGuard<'a, T> = lock_api::ReentrantMutexGuard<'a, RawMutex, RawTaskId, T>;

/// A [`ReentrantMutexGuard`] of a part of the data.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::sync::{ReentrantMutex, ReentrantMutexGuard};
///
/// let pair = ReentrantMutex::new((1, 2));
/// let left = ReentrantMutexGuard::map(pair.lock(), |pair| &pair.0);
/// assert_eq!(*left + pair.lock().1, 3);
/// ```
pub type MappedReentrantMutexGuard<'a, T> =
    lock_api::MappedReentrantMutexGuard<'a, RawMutex, RawTaskId, T>;
