//! Tasks that borrow: they end before what they borrow from does.
#![expect(unsafe_code, reason = "spawns what borrows, and waits for it")]

mod children;
mod count;
mod try_scope;

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::{fmt, io, thread};

use self::children::Children;
use super::header::discard;
use super::{Builder, Cancelled, JoinHandle, Task, pass_on, raise_if_due_here};
use crate::sync::select::{Joinable, Registered, sealed};

pub use try_scope::{TryJoinHandle, TryScope, try_scope};

/// Calls `f` with a scope to spawn tasks in that borrow from the caller, and waits for all of them.
/// Returns what `f` returns. As [`std::thread::scope`].
///
/// However `f` ends, the scope ends when its last task does: also where `f` panics or is cancelled.
/// The tasks may run on any worker, and what is borrowed may lie in a task or in a thread. Scopes
/// nest, and a task of the scope may spawn more.
///
/// # Blocking
///
/// Parks the calling task until the tasks of the scope have ended, or blocks a plain thread.
///
/// # Cancellation
///
/// A cancellation point, at its end and while it waits there. If the caller is cancelled, or a
/// [`timeout`](crate::time::timeout()) or a token around the scope ends it, in `f` or at the end,
/// so are the tasks of the scope, and the caller unwinds once they have ended. They inherit the
/// deadline that holds around the scope. A panic in `f` cancels nothing:
/// [`try_scope()`] is the one that does.
///
/// # Panics
///
/// With `f`'s panic; and if a task panicked and its handle was not joined.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// sedge::run(|| {
///     let mut numbers = [1, 2, 3, 4];
///     let (left, right) = numbers.split_at_mut(2);
///     let sum = sedge::task::scope(|scope| {
///         let left = scope.spawn(|| left.iter().sum::<i32>());
///         right.iter_mut().for_each(|number| *number *= 10);
///         left.join().unwrap() + right.iter().sum::<i32>()
///     });
///     assert_eq!(sum, 73);
///     assert_eq!(numbers, [1, 2, 30, 40]);
/// });
/// ```
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let scope = Scope { children: Children::new(), scope: PhantomData, env: PhantomData };
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    if result.as_ref().is_err_and(|payload| payload.is::<Cancelled>()) {
        scope.children.cancel();
    }
    scope.children.wait();
    let value = result.unwrap_or_else(|payload| pass_on(payload));
    raise_if_due_here();
    assert!(!scope.children.has_panicked(), "a task of the scope panicked, and was not joined");
    value
}

/// Where to spawn tasks that borrow. Made by [`scope()`].
///
/// # Examples
///
/// See [`scope()`].
#[derive(Debug)]
pub struct Scope<'scope, 'env: 'scope> {
    children: Children,
    // Both invariant, as std's: 'scope must not shrink, nor 'env grow.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

// As a `JoinSet`.
impl RefUnwindSafe for Scope<'_, '_> {}
impl<E> RefUnwindSafe for TryScope<'_, '_, E> {}

impl<'scope> Scope<'scope, '_> {
    /// Spawns a task in the scope, and returns a handle to wait for it with.
    ///
    /// The task belongs to the runtime that [`spawn`](super::spawn()) would give it to.
    ///
    /// # Blocking
    ///
    /// As [`spawn`](super::spawn()): nothing waits.
    ///
    /// # Cancellation
    ///
    /// Not a cancellation point. In a scope whose caller is cancelled the task is cancelled before
    /// it begins.
    ///
    /// # Panics
    ///
    /// Where [`Builder::spawn_scoped`] returns an error.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let words = ["borrowed", "words"];
    /// let lengths: Vec<usize> = sedge::task::scope(|scope| {
    ///     let tasks = words.each_ref().map(|word| scope.spawn(|| word.len()));
    ///     tasks.into_iter().map(|task| task.join().unwrap()).collect()
    /// });
    /// assert_eq!(lengths, [8, 5]);
    /// ```
    pub fn spawn<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let spawned = Builder::new().spawn_scoped(self, f);
        spawned.unwrap_or_else(|error| panic!("failed to spawn a task: {error}"))
    }
}

impl Builder {
    /// Spawns the task in `scope`, where it may borrow. As
    /// [`std::thread::Builder::spawn_scoped`].
    ///
    /// # Blocking
    ///
    /// As [`spawn`](Self::spawn): nothing waits.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::task::{self, Builder};
    ///
    /// let answer = 42;
    /// task::scope(|scope| {
    ///     let task = Builder::new().name("borrower").spawn_scoped(scope, || answer)?;
    ///     assert_eq!(task.join().unwrap(), 42);
    ///     Ok::<_, std::io::Error>(())
    /// })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn spawn_scoped<'scope, F, T>(
        self,
        scope: &'scope Scope<'scope, '_>,
        f: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let children = &scope.children;
        // SAFETY: `Send`, and it all lives for `'scope`, which ends after `scope()` has waited.
        let handle = unsafe { children.spawn(self, f)? };
        Ok(ScopedJoinHandle { handle: Some(handle), children })
    }
}

/// Owns the right to wait for a task of a scope. As [`JoinHandle`], and
/// [`std::thread::ScopedJoinHandle`].
///
/// Dropping it leaves the task to the scope, which waits for it. A handle that is forgotten
/// ([`std::mem::forget`]) is as one that was joined: the task's result is leaked, and if that is a
/// panic, the scope tells of none.
///
/// # Examples
///
/// See [`Scope::spawn`].
pub struct ScopedJoinHandle<'scope, T> {
    /// Taken once.
    handle: Option<JoinHandle<T>>,
    children: &'scope Children,
}

impl<T> Joinable for ScopedJoinHandle<'_, T> {}

impl<T> sealed::Joinable for ScopedJoinHandle<'_, T> {
    fn has_ended(&self) -> bool {
        self.handle().has_ended()
    }

    fn is_ending(&self) -> bool {
        self.handle().is_ending()
    }

    #[expect(private_interfaces, reason = "the trait is sealed")]
    fn watch(&self) -> Registered<'_> {
        self.handle().watch()
    }
}

// As a `JoinHandle`, and a `Scope`.
impl<T> UnwindSafe for ScopedJoinHandle<'_, T> {}
impl<T> RefUnwindSafe for ScopedJoinHandle<'_, T> {}

impl<T> ScopedJoinHandle<'_, T> {
    /// Waits for the task to end and returns its result. Blocking, cancellation and errors are
    /// those of [`JoinHandle::join`].
    ///
    /// # Errors
    ///
    /// The payload of the panic that ended the task, or a [`Cancelled`].
    ///
    /// # Examples
    ///
    /// See [`Scope::spawn`].
    pub fn join(mut self) -> thread::Result<T> {
        // Should the wait unwind, this is dropped as a whole: a panic of the task's is noted.
        if !self.handle().wait_for_end() {
            return Err(Box::new(Cancelled::of_task()));
        }
        let result = self.handle.take().expect(TAKEN).into_result();
        raise_if_cancelled(&result);
        result
    }

    /// Tells the task to stop. As [`JoinHandle::cancel`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::task;
    ///
    /// task::scope(|scope| {
    ///     let waiting = scope.spawn(task::park);
    ///     waiting.cancel();
    /// });
    /// ```
    pub fn cancel(&self) {
        self.handle().cancel();
    }

    /// Returns whether the task has ended. As [`JoinHandle::is_finished`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::task;
    ///
    /// task::scope(|scope| {
    ///     let waiting = scope.spawn(task::park);
    ///     assert!(!waiting.is_finished());
    ///     waiting.task().unpark();
    /// });
    /// ```
    pub fn is_finished(&self) -> bool {
        self.handle().is_finished()
    }

    /// Returns a handle to the task. As [`JoinHandle::task`].
    ///
    /// # Examples
    ///
    /// See [`is_finished`](Self::is_finished).
    pub fn task(&self) -> Task {
        self.handle().task()
    }

    fn handle(&self) -> &JoinHandle<T> {
        self.handle.as_ref().expect(TAKEN)
    }
}

/// What has ended a task of the scope, a deadline that it has inherited say, may be due in the
/// caller, too, who is then told of that and not of the task.
fn raise_if_cancelled<T>(result: &thread::Result<T>) {
    if result.as_ref().is_err_and(|payload| payload.is::<Cancelled>()) {
        raise_if_due_here();
    }
}

/// Why the handle of a [`ScopedJoinHandle`] is there.
const TAKEN: &str = "`join` and `drop` take it, and nothing runs after them";

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle().fmt_as("ScopedJoinHandle", f)
    }
}

impl<T> Drop for ScopedJoinHandle<'_, T> {
    fn drop(&mut self) {
        let result = self.handle.take().and_then(JoinHandle::detach);
        if let Some(result) = result {
            if result.as_ref().is_err_and(|payload| !payload.is::<Cancelled>()) {
                self.children.note_panic();
            }
            discard(result);
        }
    }
}
