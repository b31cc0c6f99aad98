//! What a task is in memory: a header that the runtime works with, followed by the closure and,
//! later, the result.
//!
//! ```text
//!   ┌────────────────────────┐ ◄─ TaskRef, Task, Waker, JoinHandle
//!   │ Header                 │    one allocation, freed when the last reference goes
//!   ├────────────────────────┤
//!   │ closure, later result  │    emptied before: a late reference holds no user value
//!   ├────────────────────────┤
//!   │ after                  │    what is done at the very end; emptied by that
//!   └────────────────────────┘
//! ```
//!
//! A fresh task is this and nothing more; a stack joins it when it first runs and leaves it when it
//! ends.
//!
//! # Fields in the header
//!
//! - `state`: anyone with a reference, at any time; see [`super::state`].
//! - `join_waiter`: the handle while `JOIN_WAITER` is clear, the finisher once it has found it set.
//! - `link`: who holds the task in transit (see [`Claimed`]), then the mailbox it was put in.
//! - `id`, `vtable`, `stack_size`, `migrating`: written at spawn, constant from then on.
//! - `extras`: made once, at spawn or later, by the task or the handle; its fields say for
//!   themselves who may touch them, see [`super::extras`].
//! - `runtime`: the task itself, while it runs.
//! - everything else: who *holds* the task. That is the thread that runs it, or the one that has
//!   claimed it, or its worker while it stands in that worker's queue; the state's transitions and
//!   the queues hand the fields from one to the next.
//!
//! # Invariants
//!
//! 1. A [`TaskRef`] is used only while the task is not finished, or while a counted reference is
//!    held, so its header is there. Who holds one says why.
//! 2. The stage is the closure until the body takes it, the result from before `FINISHING` is set
//!    until its owner (the body, or the handle) takes it, and empty otherwise. `after` is there
//!    until the body takes it, as the last thing it does.
//! 3. A started task that does not migrate is resumed only by the thread of its `home`.
#![expect(unsafe_code, reason = "one allocation holds header, closure and result, type-erased")]

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::mem::ManuallyDrop;
use std::num::{NonZeroU64, NonZeroUsize};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::thread;

use super::cancel::Cancelled;
use super::extras::ExtrasSlot;
use super::interrupt::{Frames, pass_on};
use super::locals::Locals;
use super::monitor::{self, Exit};
use super::state::State;
use crate::context;
use crate::scheduler::{Remote, Shared};
use crate::stack::overflow::CurrentStack;
use crate::stack::{Bounds, Stack, StackSize};
use crate::timer::TaskTimer;
use crate::wait::Waiter;

/// Why a task gives its worker back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suspend {
    /// It parks, unless a wake has come.
    Park,
    /// It stays ready and goes to the end of the queue.
    Yield,
}

pub(crate) type Coroutine = corosensei::Coroutine<(), Suspend, (), Stack>;
pub(crate) type Yielder = corosensei::Yielder<(), Suspend>;

/// The part of a task that does not depend on its types. See the module's header.
#[repr(C)]
pub(crate) struct Header {
    // What a switch touches comes first: two cache lines.
    pub(super) state: State,
    pub(crate) coroutine: UnsafeCell<Option<Coroutine>>,
    pub(super) yielder: Cell<*const Yielder>,
    /// About where its stack pointer was when it suspended: for prefetching only.
    top: Cell<*const u8>,
    id: NonZeroU64,
    /// Where it lives: the worker that first ran it (for a migrating task, that last ran it).
    pub(crate) home: Cell<*const Remote>,
    pub(crate) link: Cell<*mut Self>,
    /// What may end its present code early.
    pub(crate) frames: Frames,
    /// How many `stay_home`s it is inside.
    pub(super) stays: Cell<u16>,
    /// Whether a cancellation was raised in it already.
    pub(super) raised: Cell<bool>,
    pub(crate) migrating: bool,
    pub(crate) stack_size: StackSize,
    /// A name, task-locals, monitors: most tasks have none.
    extras: ExtrasSlot,
    // What its beginning and its end touch.
    vtable: &'static Vtable,
    pub(super) join_waiter: UnsafeCell<Option<Waiter>>,
    /// The lowest address of its stack, which the coroutine owns.
    pub(crate) stack_limit: Cell<usize>,
    /// A runtime entered by `run` inside this task: where it spawns.
    pub(crate) runtime: Cell<*const Shared>,
    /// Of a task with a home; one that migrates has one for each wait.
    pub(crate) timer: TaskTimer,
    /// Where it stands in the list of started tasks.
    pub(crate) index: Cell<u32>,
}

/// What a spawner chooses.
#[derive(Debug)]
pub(crate) struct Attributes {
    pub(crate) id: NonZeroU64,
    pub(crate) stack_size: StackSize,
    pub(crate) migrating: bool,
    pub(super) extras: ExtrasSlot,
}

/// The operations that know the types.
struct Vtable {
    /// Runs the body on the task's own stack, up to and including `FINISHING`.
    run: unsafe fn(NonNull<Header>),
    /// The payload in the result, if that is an error. It is there as long as the result is.
    payload: unsafe fn(NonNull<Header>) -> Option<*const (dyn Any + Send)>,
    /// Moves the result to where the pointer points.
    take_result: unsafe fn(NonNull<Header>, *mut ()),
    /// Frees the memory; stage and result are gone already.
    free: unsafe fn(NonNull<Header>),
}

/// A task's whole allocation.
#[repr(C)]
struct TaskCell<F, T, A> {
    header: Header,
    stage: UnsafeCell<Stage<F, T>>,
    /// Taken by the body at its end.
    after: UnsafeCell<ManuallyDrop<A>>,
}

/// What is done at the very end of a task, on its stack, once nothing of its closure is left, and
/// its result is the handle's or is gone, too.
pub(super) trait After {
    fn finished(self, task: TaskRef, end: End);
}

/// How a task has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its result is the handle's.
    Joinable,
    /// Without a handle, by a return or a cancellation.
    Detached,
    /// Without a handle, by a panic.
    DetachedPanic,
}

/// For tasks after whose end there is nothing to do.
#[derive(Debug)]
pub(super) struct Nothing;

impl After for Nothing {
    fn finished(self, _: TaskRef, _: End) {}
}

union Stage<F, T> {
    closure: ManuallyDrop<F>,
    result: ManuallyDrop<thread::Result<T>>,
}

/// A borrowed reference to a task (invariant 1).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TaskRef(NonNull<Header>);

// SAFETY: a reference only; what each thread may touch through it is in the module's header.
unsafe impl Send for TaskRef {}
// SAFETY: as above.
unsafe impl Sync for TaskRef {}

/// A task that is active and in no queue: its holder must schedule it, and until then it cannot
/// run, so it cannot finish.
#[must_use = "a claimed task runs again only when it is scheduled"]
pub(crate) struct Claimed(TaskRef);

impl TaskRef {
    /// Makes a fresh task around `f`. The runtime's reference and the handle's are its first two.
    ///
    /// # Safety
    ///
    /// `f` lives until the task has called `after`, and its result until then and until the handle
    /// is gone; what `after` borrows lives until it has returned. If these are not `Send`, the task
    /// starts, and the handle is used, on this thread only.
    pub(super) unsafe fn create<F, T, A>(attributes: Attributes, f: F, after: A) -> Self
    where
        F: FnOnce() -> T,
        A: After,
    {
        let Attributes { id, extras, stack_size, migrating } = attributes;
        // Filled where it is: made on the stack it would be copied.
        let mut cell = Box::<TaskCell<F, T, A>>::new_uninit();
        cell.write(TaskCell {
            header: Header {
                state: State::new(),
                link: Cell::new(std::ptr::null_mut()),
                home: Cell::new(std::ptr::null()),
                join_waiter: UnsafeCell::new(None),
                vtable: &Vtable {
                    run: run::<F, T, A>,
                    payload: payload::<F, T, A>,
                    take_result: take_result::<F, T, A>,
                    free: free::<F, T, A>,
                },
                coroutine: UnsafeCell::new(None),
                yielder: Cell::new(std::ptr::null()),
                top: Cell::new(std::ptr::null()),
                stack_limit: Cell::new(0),
                runtime: Cell::new(std::ptr::null()),
                id,
                extras,
                timer: TaskTimer::new(),
                index: Cell::new(0),
                frames: Frames::new(),
                stays: Cell::new(0),
                raised: Cell::new(false),
                migrating,
                stack_size,
            },
            stage: UnsafeCell::new(Stage { closure: ManuallyDrop::new(f) }),
            after: UnsafeCell::new(ManuallyDrop::new(after)),
        });
        Self(NonNull::from(Box::leak(cell)).cast())
    }

    /// # Safety
    ///
    /// `header` came from a `TaskRef`, and invariant 1 holds for the new one.
    pub(crate) unsafe fn from_raw(header: NonNull<Header>) -> Self {
        Self(header)
    }

    pub(crate) fn as_ptr(self) -> NonNull<Header> {
        self.0
    }

    /// A wake; the caller schedules what it gets, if anything, once it holds no lock.
    #[inline]
    pub(crate) fn wake(self) -> Option<Claimed> {
        self.state.wake().then_some(Claimed(self))
    }

    /// A wake that leaves the user's token.
    pub(crate) fn unpark(self) -> Option<Claimed> {
        self.state.unpark().then_some(Claimed(self))
    }

    /// A wake that tells the task to stop.
    pub(crate) fn cancel(self) -> Option<Claimed> {
        self.state.cancel().then_some(Claimed(self))
    }

    /// Runs the body, up to and including `FINISHING`.
    ///
    /// # Safety
    ///
    /// Called once, on the task's own stack.
    pub(crate) unsafe fn run(self, yielder: &Yielder) {
        self.yielder.set(yielder);
        // SAFETY: passed on.
        unsafe { (self.vtable.run)(self.0) }
    }

    /// Gives the worker back. The task is the running one.
    #[inline(always)]
    pub(super) fn suspend(self, how: Suspend) {
        let here = 0_u8;
        self.top.set(&raw const here);
        // SAFETY: set by `run`, from the yielder of the stack that we are on.
        unsafe { (*self.yielder.get()).suspend(how) }
    }

    fn bounds(self) -> Bounds {
        Bounds::of(self.stack_limit.get(), self.stack_size)
    }

    /// See [`super::stack_high_water`]. The task is the running one.
    pub(super) fn stack_high_water(self) -> usize {
        self.bounds().high_water()
    }

    /// What the overflow handler reports. The task is the running one.
    pub(crate) fn current_stack(self) -> CurrentStack {
        CurrentStack {
            guard: self.bounds().guard(),
            stack_bytes: self.stack_size.bytes(),
            id: self.id.get(),
            name: self.name().map(std::ptr::from_ref),
        }
    }

    /// Fetches the header ahead of its use.
    #[inline]
    pub(crate) fn prefetch(self) {
        prefetch_lines::<{ size_of::<Header>().div_ceil(64) }>(self.0.as_ptr().cast());
    }

    /// Fetches what a resume reads of the task's stack. Its header should be in the cache.
    #[inline]
    pub(crate) fn prefetch_stack(self) {
        prefetch_lines::<4>(self.top.get().wrapping_sub(64));
    }

    /// Moves the result out.
    ///
    /// # Safety
    ///
    /// `FINISHING` has been seen, the caller owns the result (invariant 2) and takes it once, and
    /// `T` is the type that the task was made with.
    pub(super) unsafe fn take_result<T>(self) -> thread::Result<T> {
        let mut result = std::mem::MaybeUninit::<thread::Result<T>>::uninit();
        // SAFETY: the destination has room for the result, by the caller's word on `T`; the rest is
        // passed on.
        unsafe {
            (self.vtable.take_result)(self.0, result.as_mut_ptr().cast());
            result.assume_init()
        }
    }

    /// How the task has ended.
    ///
    /// # Safety
    ///
    /// The result is stored, and nobody takes it meanwhile.
    pub(super) unsafe fn exit<'a>(self) -> Exit<'a> {
        // SAFETY: passed on; the payload stays where it is meanwhile.
        Exit::of(unsafe { (self.vtable.payload)(self.0).map(|payload| &*payload) })
    }

    /// Frees the allocation.
    ///
    /// # Safety
    ///
    /// The last reference has just been dropped.
    pub(crate) unsafe fn free(self) {
        // SAFETY: passed on.
        unsafe { (self.vtable.free)(self.0) }
    }

    /// The body has run and its stack is gone: wakes the joiner and drops the runtime's reference.
    /// The joiner, if it was parked, is the caller's to schedule.
    pub(crate) fn finish(self) -> Option<crate::wait::Wakeup> {
        let wakeup = if self.state.load().has_join_waiter() {
            // SAFETY: the bit is set, and after `FINISHING` nobody clears it: the slot is ours
            // until `FINISHED` is seen, and the waiter's task does not leave before.
            let waiter = unsafe { (*self.join_waiter.get()).take() };
            waiter.and_then(Waiter::claim)
        } else {
            None
        };
        if self.state.transition_to_finished() {
            // SAFETY: that was the last reference.
            unsafe { self.free() };
        }
        wakeup
    }
}

impl std::ops::Deref for TaskRef {
    type Target = Header;

    fn deref(&self) -> &Header {
        // SAFETY: invariant 1.
        unsafe { self.0.as_ref() }
    }
}

impl Claimed {
    /// # Safety
    ///
    /// The task is active and in no queue, and the caller gives up any other hold on it.
    pub(crate) unsafe fn new(task: TaskRef) -> Self {
        Self(task)
    }

    /// The task, to be put into a queue.
    pub(crate) fn into_task(self) -> TaskRef {
        self.0
    }
}

impl Header {
    pub(crate) fn id(&self) -> NonZeroU64 {
        self.id
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.extras.get()?.name.as_deref()
    }

    pub(super) fn extras(&self) -> &ExtrasSlot {
        &self.extras
    }

    /// The running task's own.
    pub(crate) fn locals(&self) -> &Locals {
        &self.extras.get_or_init().locals
    }

    /// The running task's number: see [`Owner`](super::Owner).
    pub(crate) fn owner(&self) -> NonZeroUsize {
        self.extras.get_or_init().owner.get()
    }

    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        self.state.is_cancelled()
    }

    pub(crate) fn transition_to_parked(&self) -> super::Park {
        self.state.transition_to_parked()
    }

    /// Whether its worker may count the time of its waits: it has one for life, and nothing around
    /// it that knows the time.
    pub(crate) fn may_be_counted(&self) -> bool {
        !self.migrating && self.frames.is_empty()
    }

    /// True where it may go on with another worker.
    pub(crate) fn may_migrate(&self) -> bool {
        self.migrating && self.stays.get() == 0
    }
}

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "task {} {:?}: {:?}", self.id, self.name(), self.state)
    }
}

impl std::fmt::Debug for TaskRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

impl std::fmt::Debug for Claimed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[inline]
fn prefetch_lines<const LINES: usize>(address: *const u8) {
    for line in 0..LINES {
        let address = address.wrapping_add(64 * line);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a hint, for any address.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = address;
    }
}

/// # Safety
///
/// As [`TaskRef::run`]; `F` and `T` are the types that the task was made with.
unsafe fn run<F: FnOnce() -> T, T, A: After>(task: NonNull<Header>) {
    let cell: NonNull<TaskCell<F, T, A>> = task.cast();
    // SAFETY: the task runs, so it is not finished (invariant 1); the pointer came from `create`,
    // where it covers the whole cell.
    let (header, stage) = unsafe { (task.as_ref(), &(*cell.as_ptr()).stage) };
    // SAFETY: the stage is still the closure (invariant 2), and the body takes it once.
    let f = unsafe { ManuallyDrop::take(&mut (*stage.get()).closure) };
    let result = if header.is_cancelled() && cfg!(panic = "abort") {
        if context::is_stopping() {
            // It is abandoned as it is, as started tasks are.
            std::mem::forget(f);
        } else {
            drop(f);
        }
        Err(Box::new(Cancelled::of_task()) as Box<dyn Any + Send>)
    } else if header.is_cancelled() {
        // Cancelled before it began: the closure is dropped here, where its destructors may park,
        // and by an unwind, as a started task's frames are: no wait throws in it.
        let unwind = || {
            let _dropped = f;
            pass_on(Box::new(Cancelled::of_task()))
        };
        catch_unwind(AssertUnwindSafe(|| and_locals(header, unwind)))
    } else {
        catch_unwind(AssertUnwindSafe(|| and_locals(header, f)))
    };
    header.frames.end_unwind();
    let panicked = result.as_ref().is_err_and(|payload| !payload.is::<Cancelled>());
    // SAFETY: the stage is empty, and ours until `FINISHING`.
    unsafe { (*stage.get()).result = ManuallyDrop::new(result) };
    let before = loop {
        match header.state.transition_to_finishing() {
            Some(before) => break before,
            None => and_late_locals(header, || {
                // SAFETY: the result is ours yet.
                monitor::call_all(header, unsafe { TaskRef(task).exit() });
            }),
        }
    };
    let end = if before.is_joinable() {
        End::Joinable
    } else {
        // SAFETY: without a handle the result is ours (invariant 2).
        let result = unsafe { ManuallyDrop::take(&mut (*stage.get()).result) };
        and_late_locals(header, || discard(result));
        if panicked { End::DetachedPanic } else { End::Detached }
    };
    // SAFETY: only the body takes it, once, here.
    let after = unsafe { ManuallyDrop::take(&mut *(*cell.as_ptr()).after.get()) };
    after.finished(TaskRef(task), end);
}

/// Calls a task's closure, and drops its task-locals.
fn and_locals<T>(header: &Header, f: impl FnOnce() -> T) -> T {
    struct Locals<'a>(&'a Header);

    impl Drop for Locals<'_> {
        fn drop(&mut self) {
            if let Some(extras) = self.0.extras.get() {
                extras.locals.destroyed_after(|| ());
            }
        }
    }

    // Asked afterwards: they may come while it runs.
    let locals = Locals(header);
    let value = f();
    // The compiler leaks what is on its way out when a destructor unwinds, so it is a local yet.
    drop(locals);
    value
}

/// The same for what the user's code does after the closure, when other keys may be used than
/// before: what is left in the header is dropped by whoever has the last reference, anywhere.
fn and_late_locals(header: &Header, f: impl FnOnce()) {
    discard(catch_unwind(AssertUnwindSafe(|| and_locals(header, f))));
}

/// Drops a result that nobody asked for. A panic of its destructor ends here (the hook has reported
/// it), and the payload of such a panic is leaked: dropping it might panic again.
pub(crate) fn discard<T>(result: thread::Result<T>) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(result))) {
        std::mem::forget(payload);
    }
}

/// # Safety
///
/// The stage is the result, which nobody takes meanwhile.
unsafe fn payload<F, T, A>(header: NonNull<Header>) -> Option<*const (dyn Any + Send)> {
    let cell: NonNull<TaskCell<F, T, A>> = header.cast();
    // SAFETY: the caller's word.
    let result = unsafe { &(*(*cell.as_ptr()).stage.get()).result };
    result.as_ref().err().map(|payload| &raw const **payload)
}

/// # Safety
///
/// As [`TaskRef::take_result`].
unsafe fn take_result<F, T, A>(header: NonNull<Header>, to: *mut ()) {
    let cell: NonNull<TaskCell<F, T, A>> = header.cast();
    // SAFETY: the stage is the result and the caller's (invariant 2); `to` has room for one.
    unsafe {
        let result = ManuallyDrop::take(&mut (*(*cell.as_ptr()).stage.get()).result);
        to.cast::<thread::Result<T>>().write(result);
    }
}

/// # Safety
///
/// As [`TaskRef::free`].
unsafe fn free<F, T, A>(header: NonNull<Header>) {
    // SAFETY: `create` made it by `Box`, and no reference is left. The stage is a union: its drop
    // does nothing, and by now it is empty (invariant 2), as is `after`.
    drop(unsafe { Box::from_raw(header.cast::<TaskCell<F, T, A>>().as_ptr()) });
}
