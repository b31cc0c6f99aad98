//! What the monitor sees of a worker, and what it asks of it.
//!
//! # Memory ordering
//!
//! All Relaxed: these are figures and hints that publish nothing.
//! - `resumes`, `running`, `polls` are written by the owner alone, so a load and a store add up.
//!   The monitor may see them late, and judges by what has not changed for a whole tick.
//! - `named` points to a task that is not finished, or is null: it changes under `naming` before
//!   such a task finishes, and is followed under `naming` only.
//! - `urged`, `tidy`, `stuck` are the monitor's. Seen late they take effect a turn later; the owner
//!   that sleeps sees `tidy` because the eventfd that ends its sleep is written after it.
#![expect(unsafe_code, reason = "names the running task by a pointer that a lock keeps good")]

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::task::{Header, TaskRef};

/// See the module's header.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// How many times tasks got the worker.
    resumes: AtomicU64,
    /// The id of the task that has it; zero for none.
    running: AtomicU64,
    /// The running task, or another that is not finished, if it has a name.
    named: AtomicPtr<Header>,
    naming: Mutex<()>,
    /// How often the owner has polled, and whether the monitor urges it to.
    polls: AtomicU64,
    urged: AtomicBool,
    stuck: AtomicBool,
    /// The owner is to give its idle stacks back.
    tidy: AtomicBool,
}

/// How far a worker had come when the monitor looked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    resumes: u64,
    /// The id of the running task; zero for none.
    pub(crate) running: u64,
}

impl Progress {
    /// Notes that `task` gets the worker. Owner only.
    #[inline]
    pub(crate) fn note_running(&self, task: TaskRef) {
        let resumes = self.resumes.load(Ordering::Relaxed);
        self.resumes.store(resumes + 1, Ordering::Relaxed);
        self.running.store(task.id().get(), Ordering::Relaxed);
        if task.name().is_some() && !task.migrating {
            self.named.store(task.as_ptr().as_ptr(), Ordering::Relaxed);
        }
    }

    /// Notes that the task has given the worker back. Owner only.
    #[inline]
    pub(crate) fn note_suspended(&self) {
        self.running.store(0, Ordering::Relaxed);
    }

    /// Notes that `task`, which has run here, is about to finish. Owner only.
    #[inline]
    pub(crate) fn note_finishing(&self, task: TaskRef) {
        if task.name().is_some() {
            let _naming = self.naming.lock();
            self.named.store(ptr::null_mut(), Ordering::Relaxed);
        }
    }

    /// The name of the running task if it is `id` and has one.
    pub(crate) fn name_of_running(&self, id: u64) -> Option<String> {
        // A named task takes this lock before it finishes. So if it is the running one now, as seen
        // under the lock, its header stays until we let go; and `named` is null or such a task's.
        let _naming = self.naming.lock();
        let task = self.named.load(Ordering::Relaxed);
        // SAFETY: null, or a task that has not finished, as argued.
        let task = unsafe { task.as_ref() }?;
        (task.id().get() == id).then(|| task.name().map(str::to_owned)).flatten()
    }

    /// Notes that the owner polls. Owner only.
    pub(crate) fn note_poll(&self) {
        self.polls.store(self.polls() + 1, Ordering::Relaxed);
        if self.is_urged() {
            self.urged.store(false, Ordering::Relaxed);
        }
    }

    /// How often the owner has polled.
    pub(crate) fn polls(&self) -> u64 {
        self.polls.load(Ordering::Relaxed)
    }

    /// Has the owner poll before its turn is over.
    pub(crate) fn urge(&self) {
        self.urged.store(true, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn is_urged(&self) -> bool {
        self.urged.load(Ordering::Relaxed)
    }

    pub(crate) fn sample(&self) -> Sample {
        Sample {
            resumes: self.resumes.load(Ordering::Relaxed),
            running: self.running.load(Ordering::Relaxed),
        }
    }

    /// Asks the owner to give its idle stacks back before it sleeps again.
    pub(crate) fn ask_to_tidy(&self) {
        self.tidy.store(true, Ordering::Relaxed);
    }

    /// Whether the owner was asked to. Owner only.
    pub(crate) fn take_tidy(&self) -> bool {
        self.tidy.load(Ordering::Relaxed) && self.tidy.swap(false, Ordering::Relaxed)
    }

    /// Whether one task has had the worker since the monitor's last look.
    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed)
    }

    pub(crate) fn set_stuck(&self, stuck: bool) {
        self.stuck.store(stuck, Ordering::Relaxed);
    }
}
