//! What ends a stretch of code early: the cancellation of its task, and the *frames* around it.
//!
//! A frame is what [`timeout`](crate::time::timeout()) and its like put around a closure: it has a
//! deadline, or watches a flag, and is *due* once the one has passed or the other is set. Frames
//! lie on the stacks of their callers; each knows the one outside it, and [`Frames`] the innermost.
//!
//! What is due is *raised* at the caller's next cancellation point, as an unwind with a
//! [`Cancelled`] that names the frame. The frame catches its own and lets all others by. A task's
//! cancellation is one that no frame catches.
//!
//! # Shields
//!
//! [`shield`](super::shield) holds back what lies outside it, and nothing of what lies inside. Both
//! nest with the frames, so a frame may be raised where as many shields are held as when it was
//! entered, and a cancellation where there is none.
//!
//! # What is raised first
//!
//! A cancellation; then the outermost frame whose flag is set; then the one with the earliest
//! deadline. That is not always the outermost: an inner frame that was due first is told first, and
//! its caller goes on to be told of the other.
//!
//! # Time
//!
//! No clock is read at a cancellation point that does not wait. A wait ends at the frames' earliest
//! deadline, and only then, when a task's budget is spent, and where a call says so, is the time
//! noted in the frames that it has passed.
//!
//! # An unwind is not a panic
//!
//! A lock whose guard a panic drops is poisoned, and one that is let go by what is raised here is
//! not. The two look the same to a destructor, so [`Frames`] has a flag: set where something is
//! raised or passed on, cleared where it is caught, where a panic begins, and where code that does
//! not unwind is seen, as the user's may have caught it.
//!
//! # Who may touch what
//!
//! The caller's task or thread alone. While a task waits in [`blocking`](crate::blocking()), that
//! is the thread of the pool that runs its closure.
#![expect(unsafe_code, reason = "frames are found by pointers along the stack")]

use std::any::Any;
use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::time::{Duration, Instant};

use super::cancel::Cancelled;
use super::park::suspend;
use super::{Suspend, TaskRef};
use crate::abort::AbortOnUnwind;
use crate::primitive::{AtomicBool, Ordering};
use crate::{clock, context};

/// How often a thread looks for what no waker tells it of.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// The frames around a task's, or a thread's, present code.
#[derive(Debug)]
pub(crate) struct Frames {
    innermost: Cell<*const Frame>,
    /// How many shields are held.
    shields: Cell<u16>,
    /// Whether the latest unwind was raised, and was no panic.
    unwinds: Cell<bool>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Frame {
    outer: *const Self,
    deadline: Option<Instant>,
    /// Set by others; lives as long as the frame.
    flag: *const AtomicBool,
    /// The earliest deadline of this frame and those outside it, up to the next shield.
    earliest: Option<Instant>,
    /// How many shields were held when it was entered.
    shields: u16,
    /// Whether its deadline was seen to have passed.
    is_late: Cell<bool>,
    raised: Cell<bool>,
}

/// What is to be raised.
enum Due<'a> {
    Cancellation,
    Frame(&'a Frame),
}

/// Calls `f` in a frame that is due at `deadline`, and once `flag` is set. None if it was raised.
#[inline]
pub(crate) fn enclose<R>(
    deadline: Option<Instant>,
    flag: Option<&AtomicBool>,
    f: impl FnOnce() -> R,
) -> Option<R> {
    let frames = context::frames();
    // SAFETY: the task's header, or the thread's, which this call does not outlive.
    let frame = unsafe { (*frames).inner(deadline, flag) };
    let leave = Leave::enter(frames, &frame);
    let result = catch_unwind(AssertUnwindSafe(f));
    drop(leave);
    // SAFETY: as above.
    unsafe { &*frames }.end_unwind();
    match result {
        // Nothing can be raised, and what was due has made some call in `f` return early.
        Ok(_) if cfg!(panic = "abort") && frame.raised.get() => None,
        Ok(value) => Some(value),
        Err(payload) => match payload.downcast::<Cancelled>() {
            Ok(cancelled) if cancelled.is_of(&raw const frame) && frame.raised.get() => None,
            Ok(cancelled) => pass_on(cancelled),
            Err(payload) => resume_unwind(payload),
        },
    }
}

/// Goes on with an unwind that was caught: a panic, or what was raised.
pub(crate) fn pass_on(payload: Box<dyn Any + Send>) -> ! {
    context::with_frames(|frames| frames.unwinds.set(payload.is::<Cancelled>()));
    resume_unwind(payload)
}

/// Takes a frame out of the caller's frames, again.
struct Leave<'a> {
    frames: *const Frames,
    frame: &'a Frame,
}

impl<'a> Leave<'a> {
    fn enter(frames: *const Frames, frame: &'a Frame) -> Self {
        // SAFETY: they are the caller's, which this does not outlive.
        unsafe { (*frames).innermost.set(frame) };
        Self { frames, frame }
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        // SAFETY: as above.
        let innermost = unsafe { &(*self.frames).innermost };
        if !ptr::eq(innermost.get(), self.frame) {
            end_out_of_order();
        }
        innermost.set(self.frame.outer);
    }
}

/// Frames nest as their callers do, unless these are on stacks that another crate switches between:
/// one that stayed in the list would be found when it is gone.
#[cold]
fn end_out_of_order() {
    drop(AbortOnUnwind(
        "timeouts, tokens or scopes end in another order than they were entered in",
    ));
}

/// Calls `f` in a frame that is due at `deadline`, if there is one, and that nobody catches: what
/// is raised in it ends the task.
pub(super) fn limit<R>(deadline: Option<Instant>, f: impl FnOnce() -> R) -> R {
    if deadline.is_none() {
        return f();
    }
    let frames = context::frames();
    // SAFETY: the running task's header.
    let frame = unsafe { (*frames).inner(deadline, None) };
    let _leave = Leave::enter(frames, &frame);
    f()
}

/// Calls `f` with one more shield held.
pub(crate) fn shielded<R>(f: impl FnOnce() -> R) -> R {
    struct Release(*const Frames);

    impl Drop for Release {
        fn drop(&mut self) {
            // SAFETY: the task's header, or the thread's, which this call does not outlive.
            let shields = unsafe { &(*self.0).shields };
            shields.set(shields.get() - 1);
        }
    }

    let frames = context::frames();
    // SAFETY: as above.
    let shields = unsafe { &(*frames).shields };
    shields.set(shields.get().checked_add(1).expect("shields nest 65,535 deep at most"));
    let _release = Release(frames);
    f()
}

impl Frames {
    pub(crate) const fn new() -> Self {
        Self { innermost: Cell::new(ptr::null()), shields: Cell::new(0), unwinds: Cell::new(false) }
    }

    /// Those of a task that runs as a part of its caller's code: a root task.
    pub(crate) fn adopt(&self, callers: &Self) {
        self.innermost.set(callers.innermost.get());
        self.shields.set(callers.shields.get());
    }

    pub(crate) fn shields(&self) -> u16 {
        self.shields.get()
    }

    /// Whether the unwind that the caller is in was raised, and is no panic.
    pub(crate) fn unwinds(&self) -> bool {
        self.unwinds.get()
    }

    /// A panic begins.
    pub(super) fn begin_panic(&self) {
        self.unwinds.set(false);
    }

    /// What was raised has been caught, unless this is in a destructor in mid-unwind.
    pub(crate) fn end_unwind(&self) {
        if self.unwinds.get() && !std::thread::panicking() {
            self.unwinds.set(false);
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.innermost.get().is_null()
    }

    /// A frame inside the present ones, to be put on the stack.
    fn inner(&self, deadline: Option<Instant>, flag: Option<&AtomicBool>) -> Frame {
        let outer = self.deadline();
        Frame {
            outer: self.innermost.get(),
            deadline,
            flag: flag.map_or(ptr::null(), ptr::from_ref),
            earliest: deadline.into_iter().chain(outer).min(),
            shields: self.shields.get(),
            is_late: Cell::new(false),
            raised: Cell::new(false),
        }
    }

    fn innermost(&self) -> Option<&Frame> {
        // SAFETY: `enclose` takes a frame out before it goes.
        unsafe { self.innermost.get().as_ref() }
    }

    /// All frames, from the innermost.
    fn all(&self) -> impl Iterator<Item = &Frame> {
        // SAFETY: as above: those outside a frame stay at least as long.
        std::iter::successors(self.innermost(), |frame| unsafe { frame.outer.as_ref() })
    }

    /// Those that no shield holds back where so many are held.
    fn open(&self, shields: u16) -> impl Iterator<Item = &Frame> {
        self.all().take_while(move |frame| frame.shields == shields)
    }

    /// The earliest deadline that may be raised here.
    #[inline]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let shields = self.shields.get();
        self.innermost().filter(|frame| frame.shields == shields)?.earliest
    }

    /// The earliest deadline of all, shields or not.
    pub(crate) fn earliest(&self) -> Option<Instant> {
        self.all().filter_map(|frame| frame.deadline).min()
    }

    /// Notes the time in every frame.
    pub(crate) fn note_time(&self) {
        if self.all().all(|frame| frame.deadline.is_none()) {
            return;
        }
        let now = clock::now();
        self.all()
            .filter(|frame| frame.deadline.is_some_and(|deadline| deadline <= now))
            .for_each(|frame| frame.is_late.set(true));
    }

    /// What is due where so many shields are held, given whether the task is cancelled.
    fn due(&self, shields: u16, is_cancelled: bool) -> Option<Due<'_>> {
        if is_cancelled && shields == 0 {
            return Some(Due::Cancellation);
        }
        let flagged = self.open(shields).filter(|frame| frame.is_flagged()).last();
        let late = || self.open(shields).filter(|frame| frame.is_late.get());
        // The first of several minima is the innermost, so the order is turned round.
        let earliest = || late().max_by_key(|frame| std::cmp::Reverse(frame.deadline));
        flagged.or_else(earliest).map(Due::Frame)
    }

    /// What is due in the running code, at this time.
    fn due_now(&self) -> Option<Due<'_>> {
        self.note_time();
        let is_cancelled = context::current_task().is_some_and(|task| task.is_cancelled());
        self.due(self.shields.get(), is_cancelled)
    }

    /// Whether any frame is due, shields or not.
    pub(super) fn any_due(&self) -> bool {
        self.note_time();
        self.all().any(Frame::is_due)
    }
}

impl Frame {
    fn is_due(&self) -> bool {
        self.is_flagged() || self.is_late.get()
    }

    /// Relaxed: the flag publishes nothing but itself, and who sets it wakes afterwards.
    fn is_flagged(&self) -> bool {
        // SAFETY: it lives as long as the frame.
        unsafe { self.flag.as_ref() }.is_some_and(|flag| flag.load(Ordering::Relaxed))
    }
}

/// Raises what is due in `task`, the running one.
#[inline]
pub(super) fn raise_if_due(task: TaskRef) {
    if may_be_due(task) {
        raise(&task.frames, Some(task));
    }
}

/// A first look, which costs next to nothing.
#[inline]
pub(super) fn may_be_due(task: TaskRef) -> bool {
    task.is_cancelled() || !task.frames.is_empty()
}

/// Raises what is due where the thread waits: in code that is no task's, or that may not park.
#[cold]
pub(crate) fn raise_if_due_here() {
    context::with_frames(|frames| {
        frames.note_time();
        raise(frames, context::current_task());
    });
}

/// Whether [`raise_if_due_here`] would raise something.
#[inline]
pub(crate) fn is_raise_due() -> bool {
    let may_be_due = match context::current_task() {
        Some(task) => may_be_due(task),
        None => context::with_frames(|frames| !frames.is_empty()),
    };
    may_be_due && raises() && context::with_frames(|frames| frames.due_now().is_some())
}

/// When something will be raised by [`raise_if_due_here`].
pub(crate) fn raised_at() -> Option<Instant> {
    if raises() { context::with_frames(Frames::deadline) } else { None }
}

/// When to look for flags, where the thread waits in the kernel and no waker reaches it.
pub(crate) fn next_look_at_flags() -> Option<Instant> {
    let watches = context::with_frames(|frames| {
        frames.open(frames.shields.get()).any(|frame| !frame.flag.is_null())
    });
    watches.then(|| clock::now() + TICK)
}

/// Whether anything can be raised at all: not in mid-unwind, nor under `panic = "abort"`.
#[inline]
pub(crate) fn raises() -> bool {
    cfg!(not(panic = "abort")) && !std::thread::panicking()
}

#[cold]
fn raise(frames: &Frames, task: Option<TaskRef>) {
    if !raises() {
        return;
    }
    let is_cancelled = task.is_some_and(|task| task.is_cancelled());
    let Some(due) = frames.due(frames.shields.get(), is_cancelled) else { return };
    let was_raised = match due {
        Due::Cancellation => task.expect("a task was cancelled").raised.replace(true),
        Due::Frame(frame) => frame.raised.replace(true),
    };
    if let Some(task) = task.filter(|_| was_raised && context::in_task()) {
        // It has swallowed it before: a loop that does must not keep its worker.
        suspend(task, Suspend::Yield);
    }
    due.unwind();
}

impl Due<'_> {
    fn unwind(self) -> ! {
        pass_on(Box::new(match self {
            Self::Cancellation => Cancelled::of_task(),
            Self::Frame(frame) => Cancelled::of_frame(frame),
        }))
    }
}

/// See [`super::check`].
pub(super) fn check() {
    raise_if_due_here();
    let Some((task, shields)) = context::client_task().filter(|_| raises()) else { return };
    task.frames.note_time();
    if let Some(due) = task.frames.due(shields, task.is_cancelled()) {
        if let Due::Frame(frame) = due {
            frame.raised.set(true);
        }
        due.unwind();
    }
}

/// See [`super::is_cancelled`].
pub(super) fn is_anything_due() -> bool {
    let is_due = |(task, _): (TaskRef, u16)| task.is_cancelled() || task.frames.any_due();
    context::is_cancelled()
        || context::with_frames(Frames::any_due)
        || context::client_task().is_some_and(is_due)
}

/// See [`crate::time::deadline`].
pub(crate) fn deadline() -> Option<Instant> {
    let clients = context::client_task().and_then(|(task, shields)| {
        task.frames.open(shields).filter_map(|frame| frame.deadline).min()
    });
    clients.into_iter().chain(context::with_frames(Frames::deadline)).min()
}

/// Where nothing can be raised though something is due: the error of an operation that can return
/// one, in place of a wait. Never `Interrupted`, which `write_all` retries for ever.
///
/// Such an operation asks before it waits and whenever it is woken, and waits until [`refused_at`]
/// at most. In mid-unwind shields hold nothing back, nor does `no_park`: a flush in a destructor is
/// not to hang on a stuck peer.
#[inline]
pub(crate) fn refusal() -> Option<io::Error> {
    if raises() { None } else { refusal_slow() }
}

#[cold]
fn refusal_slow() -> Option<io::Error> {
    if !std::thread::panicking() {
        return context::with_frames(|frames| match frames.due_now()? {
            Due::Cancellation => Some(cancelled_error()),
            Due::Frame(frame) => {
                frame.raised.set(true);
                Some(frame.error())
            }
        });
    }
    if context::is_cancelled() {
        return Some(cancelled_error());
    }
    context::with_frames(|frames| {
        frames.note_time();
        frames.all().find(|frame| frame.is_due()).map(Frame::error)
    })
}

/// Until when an operation that meets a [`refusal`] may wait.
pub(crate) fn refused_at() -> Option<Instant> {
    if raises() {
        return None;
    }
    context::with_frames(|frames| {
        if std::thread::panicking() { frames.earliest() } else { frames.deadline() }
    })
}

/// Whether anything is due that the caller's code should be ended by, if only it could be.
pub(super) fn is_due() -> bool {
    !std::thread::panicking() && context::with_frames(|frames| frames.due_now().is_some())
}

/// When something will be due, as [`is_due`] says.
pub(super) fn due_at() -> Option<Instant> {
    if std::thread::panicking() { None } else { context::with_frames(Frames::deadline) }
}

fn cancelled_error() -> io::Error {
    io::Error::other("cancelled: this operation would have waited")
}

impl Frame {
    fn error(&self) -> io::Error {
        if self.is_flagged() {
            return cancelled_error();
        }
        let text = "the time of an enclosing timeout is over: this operation would have waited";
        io::Error::new(io::ErrorKind::TimedOut, text)
    }
}
