//! Counted references to a task: [`Task`], for users, and the task's [`Waker`].
#![expect(unsafe_code, reason = "a waker is made of a vtable over raw pointers")]

use std::fmt;
use std::mem::ManuallyDrop;
use std::num::NonZeroU64;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::{Claimed, TaskRef};
use crate::scheduler;

/// A counted reference: keeps the header, and nothing of the user's.
#[derive(Debug)]
pub(crate) struct Counted(TaskRef);

// A header is consistent whenever the user's code runs, and so after a panic there.
impl UnwindSafe for Counted {}
impl RefUnwindSafe for Counted {}

impl Counted {
    /// # Safety
    ///
    /// As for [`TaskRef`]: the header is there.
    pub(crate) unsafe fn from_borrowed(task: TaskRef) -> Self {
        task.state.add_reference();
        Self(task)
    }

    /// Takes a reference over that was counted already.
    ///
    /// # Safety
    ///
    /// The caller gives its reference up.
    pub(crate) unsafe fn from_counted(task: TaskRef) -> Self {
        Self(task)
    }

    /// Whether nothing will happen to the task any more.
    pub(super) fn has_ended(&self) -> bool {
        self.0.state.load().is_finished()
    }

    /// As [`TaskRef::cancel`].
    pub(super) fn cancel(&self) -> Option<Claimed> {
        self.0.cancel()
    }

    /// As [`TaskRef::prefetch`].
    pub(super) fn prefetch(&self) {
        self.0.prefetch();
    }

    pub(crate) fn into_waker(self) -> Waker {
        let data = ManuallyDrop::new(self).0.as_ptr().as_ptr().cast_const().cast();
        // SAFETY: the functions below keep `RawWaker`'s contract: thread-safe, and the data is a
        // counted reference, which each clone adds to and each drop or wake by value takes away.
        unsafe { Waker::from_raw(RawWaker::new(data, &VTABLE)) }
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        // SAFETY: this reference keeps the header.
        unsafe { Self::from_borrowed(self.0) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.0.state.drop_reference() {
            // SAFETY: it was the last.
            unsafe { self.0.free() };
        }
    }
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

/// # Safety
///
/// `data` came from `into_waker` and its reference is still counted.
unsafe fn counted(data: *const ()) -> ManuallyDrop<Counted> {
    let header = NonNull::new(data.cast_mut()).expect("made from a reference").cast();
    // SAFETY: it came from a `TaskRef` whose header the counted reference keeps.
    ManuallyDrop::new(Counted(unsafe { TaskRef::from_raw(header) }))
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: `RawWaker`'s contract.
    unsafe { counted(data) }.0.state.add_reference();
    RawWaker::new(data, &VTABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: `RawWaker`'s contract; the reference is given up here.
    let counted = ManuallyDrop::into_inner(unsafe { counted(data) });
    if let Some(claimed) = counted.0.wake() {
        scheduler::schedule(claimed);
    }
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: `RawWaker`'s contract.
    let counted = unsafe { counted(data) };
    if let Some(claimed) = counted.0.wake() {
        scheduler::schedule(claimed);
    }
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: `RawWaker`'s contract; the reference is given up here.
    drop(ManuallyDrop::into_inner(unsafe { counted(data) }));
}

/// A handle to a task, as [`std::thread::Thread`] is one to a thread.
///
/// [`JoinHandle::task`](super::JoinHandle::task) and [`current`](super::current) give one; outside
/// tasks the latter gives one to the calling thread. Clones are handles to the same task. A handle
/// may outlive its task and its runtime, and keeps nothing of the user's.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::task;
///
/// sedge::run(|| {
///     let parked = task::Builder::new().name("parked").spawn(task::park).unwrap();
///     assert_eq!(parked.task().name(), Some("parked"));
///     parked.task().unpark();
///     parked.join().unwrap();
/// });
/// ```
#[derive(Clone)]
pub struct Task(Inner);

#[derive(Clone)]
enum Inner {
    Green(Counted),
    Thread(std::thread::Thread),
}

impl Task {
    pub(super) fn green(counted: Counted) -> Self {
        Self(Inner::Green(counted))
    }

    pub(super) fn thread() -> Self {
        Self(Inner::Thread(std::thread::current()))
    }

    /// Leaves the task its token: the [`park`](super::park()) that it is in, or else its next,
    /// takes the token and returns. As [`std::thread::Thread::unpark`].
    ///
    /// A task has one token at most: unparking it twice before it parks is as good as once. Does
    /// nothing once the task has ended.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::task;
    ///
    /// sedge::run(|| {
    ///     let main = task::current();
    ///     let other = task::spawn(move || main.unpark());
    ///     task::park(); // Returns, whether the other task has run before or runs now.
    ///     other.join().unwrap();
    /// });
    /// ```
    pub fn unpark(&self) {
        match &self.0 {
            Inner::Green(counted) => {
                if let Some(claimed) = counted.0.unpark() {
                    scheduler::schedule(claimed);
                }
            }
            Inner::Thread(thread) => thread.unpark(),
        }
    }

    /// Returns the task's id; none for a thread.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::task;
    ///
    /// assert_eq!(task::current().id(), None, "this is a plain thread");
    /// sedge::run(|| {
    ///     let other = task::spawn(|| task::current().id());
    ///     assert_eq!(other.task().id(), other.join().unwrap());
    /// });
    /// ```
    pub fn id(&self) -> Option<TaskId> {
        match &self.0 {
            Inner::Green(counted) => Some(TaskId(counted.0.id())),
            Inner::Thread(_) => None,
        }
    }

    /// Returns the name that was given to [`Builder::name`](super::Builder::name), if any; for a
    /// thread, the thread's. A runtime's root task is called `root`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::task;
    ///
    /// sedge::run(|| {
    ///     assert_eq!(task::current().name(), Some("root"));
    ///     assert_eq!(task::spawn(task::park).task().name(), None);
    /// });
    /// ```
    pub fn name(&self) -> Option<&str> {
        match &self.0 {
            Inner::Green(counted) => counted.header().name(),
            Inner::Thread(thread) => thread.name(),
        }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("Task");
        match &self.0 {
            Inner::Green(counted) => f.field("id", &counted.0.id()),
            Inner::Thread(thread) => f.field("thread", &thread.id()),
        };
        f.field("name", &self.name()).finish()
    }
}

impl Counted {
    fn header(&self) -> &super::header::Header {
        &self.0
    }
}

/// A task's number, as the runtime's messages print it: unique in its runtime, never used again.
///
/// Tasks that were spawned later need not have larger numbers.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::task;
///
/// sedge::run(|| {
///     let id = || task::current().id().unwrap();
///     let other = task::spawn(id).join().unwrap();
///     assert_ne!(id(), other);
///     assert!(other.to_string().parse::<u64>().is_ok());
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub(super) NonZeroU64);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
