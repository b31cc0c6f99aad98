//! The tasks of a scope, and how its owner waits for them.
//!
//! They borrow from the owner's stack, so the owner waits until none is left, whatever happens: it
//! is shielded meanwhile, and passes on to them what would be raised in it.
//!
//! A task is done with its scope when nothing of it is left that may borrow: closure, frames, and
//! the result unless its handle has that. It takes itself out of the list, and then off the count.
#![expect(unsafe_code, reason = "tasks point to the list on their owner's stack")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use std::{fmt, io};

use parking_lot::Mutex;
use slab::Slab;

use super::count::Count;
use crate::abort::AbortOnUnwind;
use crate::scheduler;
use crate::task::builder::Builder;
use crate::task::header::{After, End};
use crate::task::{Claimed, JoinHandle, TaskRef, interrupt};
use crate::wait::{self, Waiter};

/// See the module.
pub(super) struct Children {
    count: Count,
    list: Mutex<List>,
    /// The owner's where the scope begins, which its tasks inherit. In a destructor that runs in
    /// mid-unwind the owner has none.
    deadline: Option<Instant>,
    /// Whether one has panicked that nobody joined. Relaxed: set before the count is changed.
    panicked: AtomicBool,
}

#[derive(Default)]
struct List {
    tasks: Slab<TaskRef>,
    /// Those that come now are cancelled, too.
    cancelled: bool,
}

/// A task's way out of its scope.
struct Leave {
    children: *const Children,
    /// Where it stands in the list: set once it does.
    slot: usize,
}

impl Children {
    /// Of the calling task or thread.
    pub(super) fn new() -> Self {
        Self {
            count: Count::new(Waiter::current().into_waker()),
            list: Mutex::default(),
            deadline: interrupt::due_at(),
            panicked: AtomicBool::new(false),
        }
    }

    /// Spawns a task that is counted from now on.
    ///
    /// # Safety
    ///
    /// `f` is `Send`, as is its result, and both live until [`wait`](Self::wait) has returned; it
    /// is called, and `self` stays where it is until then.
    pub(super) unsafe fn spawn<F, T>(&self, builder: Builder, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T,
    {
        let admitted = builder.admit_here()?;
        let deadline = self.deadline;
        let f = move || interrupt::limit(deadline, f);
        self.count.add_one();
        let leave = Leave { children: self, slot: usize::MAX };
        // SAFETY: it calls `leave` after the last use of `f` and of a result that is not the
        // handle's, and until then the owner waits. A handle does not outlive the scope. It is
        // submitted below.
        let (mut made, handle) = unsafe { admitted.make(f, leave) };
        {
            let mut list = self.list.lock();
            made.after().slot = list.tasks.insert(made.task());
            if list.cancelled {
                assert!(made.task().cancel().is_none(), "a fresh task is active");
            }
        }
        // SAFETY: the caller spawns into this runtime, so it lives.
        unsafe { made.submit() };
        Ok(handle)
    }

    /// Cancels those that there are, and those that come.
    pub(super) fn cancel(&self) {
        let claimed: Vec<Claimed> = {
            let mut list = self.list.lock();
            list.cancelled = true;
            // On the list, so not finished.
            list.tasks.iter().filter_map(|(_, task)| task.cancel()).collect()
        };
        claimed.into_iter().for_each(scheduler::schedule);
    }

    /// Waits until there are none. Raises nothing, but passes on what is due.
    pub(super) fn wait(&self) {
        let guard = AbortOnUnwind("a scope was unwound while it had tasks");
        let mut told = false;
        while !self.count.is_zero() {
            if !told && interrupt::is_due() {
                told = true;
                self.cancel();
            }
            let until = if told { None } else { interrupt::due_at() };
            interrupt::shielded(|| wait::park(until));
        }
        guard.disarm();
    }

    /// Wakes the owner, to look what is due.
    pub(super) fn wake_owner(&self) {
        self.count.wake_owner();
    }

    pub(super) fn note_panic(&self) {
        self.panicked.store(true, Ordering::Relaxed);
    }

    /// Whether one has panicked that nobody joined.
    pub(super) fn has_panicked(&self) -> bool {
        self.panicked.load(Ordering::Relaxed)
    }
}

/// Without the list: what is written to may wait, and a task that ends needs the list's lock.
impl fmt::Debug for Children {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Children").field("count", &self.count).finish_non_exhaustive()
    }
}

impl After for Leave {
    fn finished(self, _: TaskRef, end: End) {
        {
            // SAFETY: the task is counted, so its owner waits.
            let children = unsafe { &*self.children };
            if end == End::DetachedPanic {
                children.note_panic();
            }
            children.list.lock().tasks.remove(self.slot);
        }
        // SAFETY: as above; it is taken off here, and nothing is touched after that.
        unsafe { Count::leave(&raw const (*self.children).count) };
    }
}
