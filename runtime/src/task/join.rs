//! Waiting for a task to end.
//!
//! The handle is one of the header's first two references, and there is one handle a task, so there
//! is at most one joiner: its waiter stands in the header itself. `state.rs` tells who may touch
//! that slot when.
#![expect(unsafe_code, reason = "fills the join slot and takes the result out of the header")]

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::thread;

use super::handle::{Counted, Task};
use super::{TaskRef, header};
use crate::wait::{self, Waiter};

/// Owns the right to wait for a task, as [`std::thread::JoinHandle`] does for a thread. Dropping it
/// detaches the task, which goes on; its result is then dropped on its own stack.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// let sum = sedge::run(|| sedge::spawn(|| 1 + 1).join().unwrap());
/// assert_eq!(sum, 2);
/// ```
pub struct JoinHandle<T> {
    /// Counted; dropped by `Drop`.
    task: TaskRef,
    result: PhantomData<T>,
}

// SAFETY: the handle gives a `T` to the thread that joins, and shares nothing but the header.
unsafe impl<T: Send> Send for JoinHandle<T> {}
// SAFETY: `&JoinHandle` gives no `&T`.
unsafe impl<T: Send> Sync for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    /// # Safety
    ///
    /// `task` was just created with result type `T`, and this is its handle's reference.
    pub(super) unsafe fn new(task: TaskRef) -> Self {
        Self { task, result: PhantomData }
    }

    /// Waits for the task to end and returns its result, or `Err` with the payload of the panic that
    /// ended it (a [`Cancelled`](super::Cancelled) if its runtime stopped first).
    ///
    /// # Blocking
    ///
    /// Parks the calling task; blocks the thread where there is none.
    ///
    /// # Cancellation
    ///
    /// A caller that is cancelled while it waits detaches the task.
    ///
    /// # Errors
    ///
    /// The payload of the task's panic.
    pub fn join(self) -> thread::Result<T> {
        wait::checkpoint();
        self.wait();
        let handle = ManuallyDrop::new(self);
        // SAFETY: `FINISHED` was seen while the handle existed, so the result is the handle's; it is
        // taken once, as the handle is gone.
        let result = unsafe { handle.task.take_result() };
        // The result is out, so nobody is asked to drop it: only the reference goes.
        // SAFETY: the handle's own reference, given up here.
        drop(unsafe { Counted::from_counted(handle.task) });
        result
    }

    /// Whether the task has ended. Never waits.
    pub fn is_finished(&self) -> bool {
        self.task.state.load().is_finished()
    }

    /// A handle to the task: to unpark it, or to ask for its name.
    pub fn task(&self) -> Task {
        // SAFETY: the handle's reference keeps the header.
        Task::green(unsafe { Counted::from_borrowed(self.task) })
    }

    fn wait(&self) {
        let mut place = Place { task: self.task, filled: false };
        while !self.task.state.load().is_finished() {
            // A joiner that was active when the finisher woke it has used up that wake: there is no
            // other, so it must not park again. It sees `FINISHING`, set before the wake.
            if place.fill() && !self.task.state.load().is_finishing() {
                wait::park(None);
            } else {
                wait_for_finisher(self.task);
            }
        }
        place.filled = false;
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        // SAFETY: the handle's own reference, given up at the end of this function.
        let _counted = unsafe { Counted::from_counted(self.task) };
        if self.task.state.drop_joinable().is_finishing() {
            // SAFETY: `FINISHING` was seen with the handle there, so the result is the handle's, and
            // `T` is its type.
            header::discard(unsafe { self.task.take_result::<T>() });
        }
    }
}

/// The joiner's waiter in the header's slot, taken out again if the wait unwinds.
struct Place {
    task: TaskRef,
    filled: bool,
}

impl Place {
    /// Puts the caller's waiter into the slot, once. False if the task is finishing.
    fn fill(&mut self) -> bool {
        if !self.filled {
            // SAFETY: `JOIN_WAITER` is clear, so the slot is the handle's, and there is one handle.
            unsafe { *self.task.join_waiter.get() = Some(Waiter::current()) };
            self.filled = self.task.state.set_join_waiter();
        }
        self.filled
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.filled && !self.task.state.clear_join_waiter() {
            wait_for_finisher(self.task);
        }
    }
}

/// Waits for the few instructions between `FINISHING` and `FINISHED`. They are another thread's: on
/// this one nothing runs between them.
fn wait_for_finisher(task: TaskRef) {
    while !task.state.load().is_finished() {
        #[expect(
            clippy::disallowed_methods,
            reason = "a thread waits here, for a few instructions"
        )]
        thread::yield_now();
    }
}

impl<T> std::fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("JoinHandle").field(&self.task).finish()
    }
}
