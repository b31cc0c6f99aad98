//! Tasks: green threads, used as threads are.
//!
//! A task is a function with a stack of its own. It runs on a *worker*, a thread of its runtime's,
//! until it waits: then it *parks*, and the worker runs another. A task that has started stays on
//! the worker that first ran it, so thread-locals, `Rc`s and lock guards mean what they mean in a
//! thread.
//!
//! Since tasks share their worker's thread, three rules differ from those of threads: hold no
//! thread's lock over a call that may wait, compute in [`blocking`](crate::blocking()), and know
//! the limits of thread-locals. [The crate's documentation](../../sedge/index.html#the-three-rules)
//! has them in full; [`no_park`] is the tool.
//!
//! A task that makes 128 calls that may wait, and waits in none, is made to yield, so that it does
//! not starve the others.
//!
//! # Cancellation
//!
//! What ends code early is an unwind, as of a panic but without the hook's message: its destructors
//! run, and may wait. It begins at a *cancellation point*. Every call that may wait is one, at its
//! entry and while it waits, and no other call is but [`check`]: not spawning, unparking, `try_*`,
//! unlocking or dropping. (A destructor that waits is one, unless it runs in an unwind: nothing is
//! raised there.)
//!
//! | what ends | by what | and who catches it |
//! |---|---|---|
//! | a task | [`JoinHandle::cancel`], and the end of its runtime | `join` returns a [`Cancelled`] |
//! | a [`scope()`]'s tasks | the end of the scope's caller | the scope |
//! | a [`try_scope()`]'s tasks | the same, and their first error | the scope, which returns it |
//! | a stretch of code | [`timeout`](crate::time::timeout()) | itself: it returns an error |
//! | the same | a [`CancelToken`] | [`run_until_cancelled`](CancelToken::run_until_cancelled) |
//!
//! [`shield`] holds all of these back for a stretch of code, where they lie outside it. Code that
//! catches the payload with [`catch_unwind`](std::panic::catch_unwind) and goes on is told again at
//! its next cancellation point.
//!
//! What that does to the work in hand is what a panic there would do:
//!
//! - **A lock of std's** whose guard is dropped by the unwind is poisoned. (To hold one over a wait
//!   is a mistake in itself: see [the three rules](../../sedge/index.html#the-three-rules).) A lock
//!   of [`sync`](crate::sync) is not: only a panic poisons it.
//! - **Updates that are half done** stay so. Where two changes belong together, make them without a
//!   wait in between, or put them into a [`shield`].
//! - **Bytes that were read already** are lost with the buffer that they are in: a `read_exact`, a
//!   `read_line` or a `read_to_end` that is ended in the middle has taken them from the stream, and
//!   the stream cannot go on from where it was. A single `read` loses none.
//! - **What was written already** stays written: of a `write_all`, a part may have gone.
//! - **Waits lose nothing** that was not theirs: a waiter that is ended passes a wake that it had
//!   received on to the next.
//! - **`extern "C"`**: an unwind that gets to such a frame ends the process. Before C that calls
//!   back, [`shield`].
//!
//! In mid-unwind operations that would wait for the kernel or the blocking pool return an error
//! instead, once the task is told to end: a flush in a destructor does not hang on a stuck peer.
//! Sleeps, joins and locks wait.
//!
//! Under `panic = "abort"` nothing unwinds. What is told to end meets errors: in operations that
//! return [`io::Result`](std::io::Result), and in `join`. All else goes on, and has
//! [`is_cancelled`] to ask.
//!
//! # Outside tasks
//!
//! Everything here works on a plain thread too, where what waits is the thread.
#![expect(unsafe_code, reason = "the running task is there: references to it may be made")]

mod block_on;
mod builder;
mod cancel;
mod extras;
mod handle;
mod header;
mod hold;
mod hook;
pub(crate) mod interrupt;
mod join;
mod local;
mod locals;
mod monitor;
mod owner;
mod park;
mod scope;
mod set;
mod state;
mod token;
mod unwind;

use crate::context;

pub use crate::task_local;
pub use block_on::block_on;
pub use builder::{Builder, spawn, spawn_local};
pub use cancel::{Cancelled, check, is_cancelled};
pub use handle::{Task, TaskId};
pub use hold::{no_park, shield, stay_home};
pub use join::JoinHandle;
pub use local::{AccessError, LocalKey};
pub use monitor::Exit;
pub use park::{park, park_timeout, yield_now};
pub use scope::{Scope, ScopedJoinHandle, TryJoinHandle, TryScope, scope, try_scope};
pub use set::JoinSet;
pub use token::{CancelToken, DropGuard};

pub(crate) use builder::spawn_root;
pub(crate) use header::{Claimed, Coroutine, Header, Suspend, TaskRef, discard};
pub(crate) use hook::install as install_panic_hook;
pub(crate) use interrupt::{
    Frames, TICK, enclose, is_raise_due, next_look_at_flags, pass_on, raise_if_due_here, raised_at,
    raises, refusal, refused_at,
};
pub(crate) use locals::{Locals, inherited as inherited_locals};
pub(crate) use owner::Owner;
pub(crate) use park::{checkpoint_slow, park_until, pause, pause_for, pause_until};
pub(crate) use state::Park;
pub(crate) use unwind::{Hidden, hide_panics, restore_panics};

use handle::Counted;

/// Returns a handle to the running task; on a plain thread, and in a closure that
/// [`blocking`](crate::blocking()) has taken to another thread, one to that thread.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::task;
///
/// sedge::run(|| {
///     let me = task::current();
///     let other = task::spawn(move || {
///         me.unpark();
///         me.id()
///     });
///     task::park(); // Until the other task has unparked this one.
///     assert_eq!(other.join().unwrap(), task::current().id());
/// });
/// ```
pub fn current() -> Task {
    match current_counted() {
        Some(counted) => Task::green(counted),
        None => Task::thread(),
    }
}

impl TaskRef {
    /// A waker for this task, which is the running one.
    pub(crate) fn waker(self) -> std::task::Waker {
        // SAFETY: it runs, so it is not finished.
        unsafe { Counted::from_borrowed(self) }.into_waker()
    }
}

fn current_counted() -> Option<Counted> {
    // SAFETY: the task runs, so it is not finished.
    context::current_task().map(|task| unsafe { Counted::from_borrowed(task) })
}

/// Returns how many bytes of the running task's stack are in use or have been; none on a plain
/// thread.
///
/// Stacks are used again, so it tells how deep any task went that had this one since its memory was
/// last given to the system. Zero where the kernel does not tell which pages are resident. It is
/// for choosing a [stack size](Builder::stack_size): look at it at the end of a task's work. It
/// takes a system call for each MiB of stack.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::hint::black_box;
///
/// use sedge::task;
///
/// let bytes = sedge::spawn(|| {
///     black_box([1_u8; 16 << 10]).iter().for_each(|byte| assert_eq!(*byte, 1));
///     task::stack_high_water().unwrap()
/// });
/// assert!(bytes.join().unwrap() >= 16 << 10);
/// assert_eq!(task::stack_high_water(), None, "this is a plain thread");
/// ```
pub fn stack_high_water() -> Option<usize> {
    context::current_task().map(TaskRef::stack_high_water)
}
