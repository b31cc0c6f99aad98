//! A job, and the frame that it may borrow.
//!
//! [`lend`] keeps a closure, and later its result, in a *frame* on its caller's stack, and makes a
//! [`Job`] that points there. The job goes to a pool thread; the caller waits.
//!
//! ```text
//!   caller                                 pool thread
//!   frame { closure }
//!   submit(job) ------------------------->  takes the closure out, calls it
//!   waits, shielded                         frame { result }
//!   sees `finished`        <--------------  finishes: touches the frame no more
//!   takes the result out                    wakes the caller
//! ```
//!
//! # Invariants
//!
//! 1. A frame stays where it is, and its caller does not touch it, from the making of its [`Work`]
//!    until its [`Done`] is finished. Unwinding meets an abort guard.
//! 2. A `Done` is finished once, by its job's destructor, after the job's `Work` is gone.
//! 3. There is one `Work` for a frame, it is not `Clone`, and running it consumes it. So until
//!    `finished` its holder is the frame's only user, and from then on the caller is.
//!
//! A frame that is leaked (a task that was abandoned at shutdown) is never freed: 1 still holds.
#![expect(unsafe_code, reason = "a job points into the frame of the caller that waits for it")]

use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;
use std::{fmt, thread};

use super::done::Done;
use crate::abort::AbortOnUnwind;
use crate::context::{self, Client};
use crate::task::{self, Frames, Locals};

/// A piece of blocking work. Dropped without having run, it still finishes: see [`lend`].
pub(super) struct Job {
    /// Taken by `run`, or by the destructor.
    work: Option<Work>,
    done: Arc<Done>,
    caller: &'static Location<'static>,
}

enum Work {
    /// `run` is `run_frame::<F, T>`, and `frame` points to a `Frame<F, T>`.
    Borrowed {
        frame: *const (),
        run: unsafe fn(*const ()),
    },
    Owned(Box<dyn FnOnce() + Send>),
}

// SAFETY: what a borrowed work makes use of on the other thread is the frame's closure, taken from
// this one (`F: Send`), and its result, given back to it (`T: Send`): bounds of `lend`, the only
// maker. Invariants 1 and 3 exclude any use at the same time.
unsafe impl Send for Work {}

impl Job {
    /// A job that borrows nothing. The `Done` tells when it has finished.
    pub(super) fn owned(
        caller: &'static Location<'static>,
        work: impl FnOnce() + Send + 'static,
    ) -> (Self, Arc<Done>) {
        let done = Arc::new(Done::new());
        let job = Self { work: Some(Work::Owned(Box::new(work))), done: done.clone(), caller };
        (job, done)
    }

    /// Does the work. The destructor, which is due next, tells the caller. An owned job must not
    /// unwind; a borrowing one does not.
    pub(super) fn run(&mut self) {
        match self.work.take() {
            // SAFETY: by invariants 1 and 3 the frame lives, and nobody else uses it.
            Some(Work::Borrowed { frame, run }) => unsafe { run(frame) },
            Some(Work::Owned(work)) => work(),
            None => {}
        }
    }

    /// Who asked for it.
    pub(super) fn caller(&self) -> &'static Location<'static> {
        self.caller
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        drop(self.work.take());
        // INVARIANT 2: the work is gone, and a destructor runs once.
        self.done.finish();
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("caller", &self.caller).finish_non_exhaustive()
    }
}

struct Frame<F, T> {
    client: Option<Client>,
    /// What the closure begins with.
    locals: Locals,
    closure: UnsafeCell<Option<F>>,
    result: UnsafeCell<Option<thread::Result<T>>>,
}

/// Makes a job of `f`, hands it to `submit`, waits until it has finished, and gives its result.
///
/// A job that `submit` drops is run here, by the caller: that is how a pool that has no thread, and
/// can make none, declines. Panics if `f` panicked, with its payload.
pub(super) fn lend<F, T>(caller: &'static Location<'static>, f: F, submit: impl FnOnce(Job)) -> T
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    let frame = Frame {
        client: Client::current(),
        locals: task::inherited_locals(),
        closure: UnsafeCell::new(Some(f)),
        result: UnsafeCell::new(None),
    };
    let done = Arc::new(Done::new());
    // From here to `disarm`, INVARIANT 1: `frame` is not moved, nor touched, and nothing leaves.
    let guard = AbortOnUnwind("a caller was unwound while a pool thread worked in its frame");
    // INVARIANT 3: the one work of this frame.
    let work = Work::Borrowed { frame: (&raw const frame).cast(), run: run_frame::<F, T> };
    submit(Job { work: Some(work), done: done.clone(), caller });
    task::shield(|| done.wait());
    guard.disarm();
    match frame.result.into_inner() {
        Some(Ok(value)) => value,
        Some(Err(payload)) => task::pass_on(payload),
        None => {
            let f = frame.closure.into_inner();
            f.expect("a job that did not run leaves its closure")()
        }
    }
}

/// Runs the closure in a frame.
///
/// # Safety
///
/// `frame` points to a live `Frame<F, T>`, which nobody else uses until this returns.
unsafe fn run_frame<F: FnOnce() -> T, T>(frame: *const ()) {
    // SAFETY: it lives, and is a `Frame<F, T>`, as the caller promised.
    let frame = unsafe { &*frame.cast::<Frame<F, T>>() };
    // SAFETY: no other use, as the caller promised; the reference ends with the statement.
    let f = unsafe { &mut *frame.closure.get() }.take().expect("a job runs once");
    // SAFETY: who made the frame waits until this returns.
    let _working = unsafe { context::work_for(frame.client) };
    // A closure that panics has broken only what it captured, which went with it.
    let result = catch_unwind(AssertUnwindSafe(|| {
        context::with_locals(&frame.locals, || frame.locals.destroyed_after(f))
    }));
    context::with_frames(Frames::end_unwind);
    // SAFETY: as above.
    unsafe { *frame.result.get() = Some(result) };
}
