//! Waiting for a task to end.
//!
//! The handle is one of the header's first two references, and there is one handle a task, so there
//! is at most one joiner: its waiter stands in the header itself. `state.rs` tells who may touch
//! that slot when.
#![expect(unsafe_code, reason = "fills the join slot and takes the result out of the header")]

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::task::Waker;
use std::{fmt, thread};

use super::handle::{Counted, Task};
use super::{Cancelled, Exit, TaskId, TaskRef, header, monitor, refused_at};
use crate::scheduler;
use crate::sync::select::{Chosen, Joinable, Registered, Standing, sealed};
use crate::wait::{self, Waiter};

/// Owns the right to wait for a task, as [`std::thread::JoinHandle`] does for a thread.
///
/// Dropping it *detaches* the task, which goes on. Its result is then dropped where it ends, on its
/// own stack; or by the handle, if it has ended already. A panic of that destructor is reported and
/// goes no further.
///
/// # Blocking
///
/// Dropping a handle waits for nothing, unless the destructor of the result does.
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

// Nobody but who takes the result ever sees it, and a `Place` leaves its slot in an unwind.
impl<T> UnwindSafe for JoinHandle<T> {}
impl<T> RefUnwindSafe for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    /// # Safety
    ///
    /// `task` was just created with result type `T`, and this is its handle's reference.
    pub(super) unsafe fn new(task: TaskRef) -> Self {
        Self { task, result: PhantomData }
    }

    /// Waits for the task to end and returns its result.
    ///
    /// By then all that the task had on its stack has been dropped.
    ///
    /// # Blocking
    ///
    /// Parks the calling task. On a plain thread, and inside [`no_park`](super::no_park), it blocks
    /// the thread; inside `no_park` a task that lives on the same worker then never ends. A task
    /// that joins itself waits until it is cancelled. A task that its runtime has
    /// [abandoned](crate::runtime#the-end) never ends, and `join` waits for good.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. A caller that is cancelled here detaches
    /// the task.
    ///
    /// # Errors
    ///
    /// The payload of the panic that ended the task, or a [`Cancelled`] if it was cancelled, by the
    /// end of its runtime among others.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// sedge::run(|| {
    ///     assert_eq!(sedge::spawn(|| 6 * 7).join().unwrap(), 42);
    ///
    ///     let payload = sedge::spawn(|| panic!("it failed")).join().unwrap_err();
    ///     assert_eq!(payload.downcast_ref::<&str>(), Some(&"it failed"));
    /// });
    /// ```
    pub fn join(self) -> thread::Result<T> {
        if self.wait_for_end() { self.into_result() } else { Err(Box::new(Cancelled::of_task())) }
    }

    /// What comes before the result can be taken. False if the wait ended early.
    pub(super) fn wait_for_end(&self) -> bool {
        wait::checkpoint();
        self.wait()
    }

    /// The result of a task that was [waited for](Self::wait_for_end).
    pub(super) fn into_result(self) -> thread::Result<T> {
        assert!(self.is_finished(), "the task was waited for");
        let handle = ManuallyDrop::new(self);
        // SAFETY: `FINISHED` was seen while the handle existed, so the result is the handle's; it
        // is taken once, as the handle is gone.
        let result = unsafe { handle.task.take_result() };
        // The result is out, so nobody is asked to drop it: only the reference goes.
        // SAFETY: the handle's own reference, given up here.
        drop(unsafe { Counted::from_counted(handle.task) });
        result
    }

    /// Tells the task to stop. It unwinds from the call that it waits in, or from the next that may
    /// wait, and [`join`](Self::join) then returns a [`Cancelled`]. A task that
    /// has not begun yet never does: its closure is dropped. To cancel from several places, share a
    /// [`CancelToken`](super::CancelToken).
    ///
    /// What has ended stays as it is. A task that returns before it meets a cancellation point has
    /// not noticed, and `join` returns its result. [The module](super#cancellation) says what a
    /// cancellation does to locks, to half-done work, and to bytes that were read already.
    ///
    /// # Blocking
    ///
    /// Nothing waits: neither for the task to stop nor for anything else.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::task::{self, Cancelled};
    ///
    /// sedge::run(|| {
    ///     let waiting = task::spawn(task::park);
    ///     waiting.cancel();
    ///     assert!(waiting.join().unwrap_err().is::<Cancelled>());
    /// });
    /// ```
    pub fn cancel(&self) {
        if let Some(claimed) = self.task.cancel() {
            scheduler::schedule(claimed);
        }
    }

    /// Calls `f` with how the task has ended, before whoever joins it goes on. There may be any
    /// number of these, and the handle may be dropped.
    ///
    /// `f` runs in the task, as the last thing there (or here and at once, if it has ended
    /// already). What the task had on its stack and its task-locals are gone by then, and its
    /// result is the handle's yet. A panic in `f` is reported and goes no further. A task that its
    /// runtime has [abandoned](crate::runtime#the-end) never ends, and `f` is not called.
    ///
    /// # Blocking
    ///
    /// Nothing waits. `f` may, and whoever joins the task waits for it, too.
    ///
    /// # Cancellation
    ///
    /// Not a cancellation point. `f` runs [shielded](super::shield).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::task::{self, Exit};
    ///
    /// sedge::run(|| {
    ///     let root = task::current();
    ///     let worker = sedge::spawn(task::park);
    ///     worker.on_exit(move |exit| {
    ///         assert_eq!(exit, Exit::Cancelled);
    ///         root.unpark();
    ///     });
    ///     worker.cancel();
    ///     task::park();
    /// });
    /// ```
    pub fn on_exit<F>(&self, f: F)
    where
        F: FnOnce(Exit<'_>) + Send + 'static,
    {
        self.task.extras().get_or_init().monitors.lock().push(Box::new(f));
        if !self.task.state.set_monitored() {
            // SAFETY: the task is finishing, and who takes the result takes the handle, too.
            monitor::call_all(&self.task, unsafe { self.task.exit() });
        }
    }

    /// Returns whether the task has ended: [`join`](Self::join) would then not wait for it.
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
    ///     let parked = task::spawn(task::park);
    ///     assert!(!parked.is_finished());
    ///     parked.task().unpark();
    ///     while !parked.is_finished() {
    ///         task::yield_now();
    ///     }
    /// });
    /// ```
    pub fn is_finished(&self) -> bool {
        self.task.state.load().is_finished()
    }

    /// Returns a handle to the task: to unpark it, or to ask for its name. As
    /// [`std::thread::JoinHandle::thread`]; it may outlive this handle and the task.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::task;
    ///
    /// sedge::run(|| {
    ///     let waiting = task::spawn(|| {
    ///         task::park();
    ///         "unparked"
    ///     });
    ///     waiting.task().unpark();
    ///     assert_eq!(waiting.join().unwrap(), "unparked");
    /// });
    /// ```
    pub fn task(&self) -> Task {
        // SAFETY: the handle's reference keeps the header.
        Task::green(unsafe { Counted::from_borrowed(self.task) })
    }

    pub(crate) fn waker(&self) -> Waker {
        // SAFETY: as above.
        unsafe { Counted::from_borrowed(self.task) }.into_waker()
    }

    pub(super) fn id(&self) -> TaskId {
        TaskId(self.task.id())
    }

    /// False if it was refused.
    fn wait(&self) -> bool {
        let mut place = Place { task: self.task, filled: false };
        while !self.task.state.load().is_finished() {
            // A joiner that was active when the finisher woke it has used up that wake: there is no
            // other, so it must not park again. It sees `FINISHING`, set before the wake.
            if !place.fill() || self.task.state.load().is_finishing() {
                wait_for_finisher(self.task);
            } else if is_refused() {
                return false;
            } else {
                let _over = wait::park(if cfg!(panic = "abort") { refused_at() } else { None });
            }
        }
        place.filled = false;
        true
    }
}

impl<T> Joinable for JoinHandle<T> {}

impl<T> sealed::Joinable for JoinHandle<T> {
    fn has_ended(&self) -> bool {
        let is_ending = self.is_ending();
        if is_ending {
            wait_for_finisher(self.task);
        }
        is_ending
    }

    fn is_ending(&self) -> bool {
        self.task.state.load().is_finishing()
    }

    #[expect(private_interfaces, reason = "the trait is sealed")]
    fn watch(&self) -> Registered<'_> {
        let mut place = Place { task: self.task, filled: false };
        let is_ready = !place.fill();
        Registered::new(place, is_ready)
    }
}

impl Standing for Place {
    fn synchronise(&self) {}

    fn accept(self: Box<Self>) -> Option<Chosen> {
        unreachable!("nobody chooses it")
    }
}

impl<T> JoinHandle<T> {
    /// Detaches the task. Returns its result if it has ended.
    pub(super) fn detach(self) -> Option<thread::Result<T>> {
        let handle = ManuallyDrop::new(self);
        // SAFETY: the handle's own reference, given up at the end of this function.
        let _counted = unsafe { Counted::from_counted(handle.task) };
        let has_ended = handle.task.state.drop_joinable().is_finishing();
        // SAFETY: `FINISHING` was seen with the handle there, so the result is the handle's, and
        // `T` is its type.
        has_ended.then(|| unsafe { handle.task.take_result() })
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        // SAFETY: the handle is not used after this.
        let handle = unsafe { Self::new(self.task) };
        handle.detach().into_iter().for_each(header::discard);
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

/// Whether the caller is to end, and nothing can be raised: under `panic = "abort"`. In mid-unwind
/// it waits, as the unwind is what ends the caller.
fn is_refused() -> bool {
    cfg!(panic = "abort") && !thread::panicking() && wait::refusal().is_some()
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

impl<T> JoinHandle<T> {
    /// What `Debug` says of a handle of this type.
    pub(super) fn fmt_as(&self, type_name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(type_name)
            .field("id", &self.task.id())
            .field("name", &self.task.name())
            .field("is_finished", &self.is_finished())
            .finish()
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as("JoinHandle", f)
    }
}
