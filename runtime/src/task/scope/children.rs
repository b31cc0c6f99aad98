//! The tasks of a scope, and how its owner waits for them.
//!
//! They borrow from the owner's stack, so the owner waits until none is left, whatever happens: it
//! is shielded meanwhile, and passes on to them what would be raised in it.
//!
//! A task is done with its scope when nothing of it is left that may borrow: closure, frames, and
//! the result unless its handle has that. Then it takes itself off the count.
//!
//! # The list
//!
//! Those that are to be cancelled are on a list, which keeps a reference to each: what is left of a
//! task that has ended is freed by who spawns the next, most often on the thread that has allocated
//! it. (Where tasks end on other workers, and each freed itself there, two threads were in the
//! allocator at a time: glibc has them wait for each other, which was half of what a task cost.)
//! A spawn that finds more of them than tasks looks at a few, in turn; where none is spawned any
//! more, tasks that end do. So never many more than three have ended for each that has not.
#![expect(unsafe_code, reason = "tasks point to the list on their owner's stack")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;
use std::{fmt, io};

use parking_lot::Mutex;

use super::count::Count;
use crate::abort::AbortOnUnwind;
use crate::scheduler;
use crate::task::builder::Builder;
use crate::task::handle::Counted;
use crate::task::header::{After, End};
use crate::task::{Claimed, JoinHandle, TaskRef, interrupt};
use crate::wait::{self, Waiter};

/// See the module.
pub(super) struct Children {
    count: Count,
    list: Mutex<List>,
    /// How many are on the list, or were. Relaxed: a figure.
    listed: AtomicUsize,
    /// The owner's where the scope begins, which its tasks inherit. In a destructor that runs in
    /// mid-unwind the owner has none.
    deadline: Option<Instant>,
    /// Whether one has panicked that nobody joined. Relaxed: set before the count is changed.
    panicked: AtomicBool,
}

#[derive(Default)]
struct List {
    /// All tasks that have not ended, and some that have.
    tasks: Vec<Counted>,
    /// Where to look next for one that has.
    next: usize,
    /// Those that come now are cancelled, too.
    cancelled: bool,
}

/// How many on the list are looked at for each task that is added.
const SWEPT_PER_SPAWN: usize = 4;

/// How many may be on the list that have ended, however few have not: half as many for who spawns.
const KEPT: usize = 256;

/// How many are looked at by each that ends, where it is theirs to do.
const SWEPT_PER_END: usize = 16;

/// How often those that end are told how long the list has become.
const TOLD_EVERY: usize = 64;

/// A task's way out of its scope.
struct Leave(*const Children);

impl List {
    /// Looks at the next `count` of the list, and lets those go that have ended.
    fn sweep(&mut self, count: usize) {
        for _ in 0..count {
            self.next = self.next.checked_sub(1).unwrap_or(self.tasks.len());
            if self.tasks.get(self.next).is_some_and(Counted::has_ended) {
                self.tasks.swap_remove(self.next);
            }
        }
        if let Some(next) = self.next.checked_sub(1).and_then(|next| self.tasks.get(next)) {
            next.prefetch();
        }
        if self.tasks.capacity() > KEPT && self.tasks.len() < self.tasks.capacity() / 4 {
            self.tasks.shrink_to(self.tasks.len() * 2);
        }
    }
}

impl Children {
    /// Of the calling task or thread.
    pub(super) fn new() -> Self {
        Self {
            count: Count::new(Waiter::current().into_waker()),
            list: Mutex::default(),
            listed: AtomicUsize::new(0),
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
        // SAFETY: it calls `Leave` after the last use of `f` and of a result that is not the
        // handle's, and until then the owner waits. A handle does not outlive the scope. It is
        // submitted below.
        let (made, handle) = unsafe { admitted.make(f, Leave(self)) };
        // SAFETY: nobody else knows of it yet.
        let task = unsafe { Counted::from_borrowed(made.task()) };
        {
            let mut list = self.list.lock();
            if list.tasks.len() > 2 * self.count.get() + KEPT / 2 {
                list.sweep(SWEPT_PER_SPAWN);
            }
            list.tasks.push(task);
            if list.tasks.len() % TOLD_EVERY == 0 {
                self.listed.store(list.tasks.len(), Ordering::Relaxed);
            }
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
            list.tasks.iter().filter_map(|task| task.cancel()).collect()
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

    /// Lets some go that have ended, if these are most of those that are kept.
    fn sweep_if_many_ended(&self) {
        if self.listed.load(Ordering::Relaxed) > 4 * self.count.get() + KEPT {
            if let Some(mut list) = self.list.try_lock() {
                list.sweep(SWEPT_PER_END);
                self.listed.store(list.tasks.len(), Ordering::Relaxed);
            }
        }
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
            let children = unsafe { &*self.0 };
            if end == End::DetachedPanic {
                children.note_panic();
            }
            children.sweep_if_many_ended();
        }
        // SAFETY: as above; it is taken off here, and nothing is touched after that.
        unsafe { Count::leave(&raw const (*self.0).count) };
    }
}
