//! A scope whose first failure ends it.
#![expect(unsafe_code, reason = "spawns what borrows, and waits for it")]

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::{any, fmt, io};

use parking_lot::Mutex;

use super::children::Children;
use crate::primitive::{AtomicBool, Ordering};
use crate::sync::select::{Joinable, Registered, sealed};
use crate::task::{
    Builder, Cancelled, JoinHandle, Task, enclose, is_cancelled, pass_on, raise_if_due_here,
};

/// Calls `f` with a scope to spawn tasks in that may fail, and waits for all of them. Returns what
/// `f` returns, or the first error of any of them.
///
/// The first error, or panic, of `f` or a task cancels the others, `f` among them: all unwind from
/// the calls that they wait in. In all else it is as [`scope`](super::scope()): the tasks borrow,
/// and the scope ends when its last task does.
///
/// # Blocking
///
/// Parks the calling task until the tasks of the scope have ended, or blocks a plain thread.
///
/// # Cancellation
///
/// As [`scope`](super::scope()).
///
/// # Errors
///
/// The first error that `f` or one of the tasks has returned. What others return after it is
/// dropped.
///
/// # Panics
///
/// With the first panic, if that came before any error, once all tasks have ended. (A panic of `f`
/// goes on in any case.)
///
/// # Under `panic = "abort"`
///
/// `f` and the tasks are ended as [`timeout`](crate::time::timeout()) says: operations that would
/// wait return errors. There is no panic to be returned.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::task;
/// use std::num::ParseIntError;
///
/// fn sum(words: &[&str]) -> Result<i32, ParseIntError> {
///     task::try_scope(|scope| {
///         let tasks: Vec<_> =
///             words.iter().map(|word| scope.spawn(|| word.parse::<i32>())).collect();
///         // Should one have failed, `join` ends this closure: none gives anything but its number.
///         Ok(tasks.into_iter().map(|task| task.join().unwrap()).sum())
///     })
/// }
///
/// assert_eq!(sum(&["1", "2", "3"]), Ok(6));
/// assert!(sum(&["1", "two", "3"]).is_err());
/// ```
pub fn try_scope<'env, F, T, E>(f: F) -> Result<T, E>
where
    F: for<'scope> FnOnce(&'scope TryScope<'scope, 'env, E>) -> Result<T, E>,
    E: Send,
{
    let scope = TryScope {
        children: Children::new(),
        has_failed: AtomicBool::new(false),
        first: Mutex::new(None),
        scope: PhantomData,
        env: PhantomData,
    };
    let result =
        catch_unwind(AssertUnwindSafe(|| enclose(None, Some(&scope.has_failed), || f(&scope))));
    let mut late = None;
    let result = match result {
        Ok(Some(Ok(value))) => Ok(Some(value)),
        Ok(Some(Err(error))) => {
            late = scope.fail(Failure::Error(error));
            Ok(None)
        }
        Ok(None) => Ok(None),
        Err(payload) => {
            scope.children.cancel();
            Err(payload)
        }
    };
    scope.children.wait();
    // Not before: its destructor may unwind, and the tasks borrow from here.
    drop(late);
    let value = result.unwrap_or_else(|payload| pass_on(payload));
    raise_if_due_here();
    let first = scope.first.lock().take();
    match first {
        None => Ok(value.expect("without a failure `f` has returned")),
        Some(Failure::Error(error)) => Err(error),
        Some(Failure::Panic(payload)) => resume_unwind(payload),
    }
}

/// Where to spawn tasks that borrow and may fail. Made by [`try_scope()`].
///
/// # Examples
///
/// See [`try_scope()`].
pub struct TryScope<'scope, 'env: 'scope, E> {
    children: Children,
    has_failed: AtomicBool,
    first: Mutex<Option<Failure<E>>>,
    // As in `Scope`.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

enum Failure<E> {
    Error(E),
    Panic(Box<dyn any::Any + Send>),
}

impl<'scope, E: Send> TryScope<'scope, '_, E> {
    /// Spawns a task in the scope, and returns a handle to wait for it with.
    ///
    /// # Blocking
    ///
    /// As [`spawn`](crate::task::spawn()): nothing waits.
    ///
    /// # Cancellation
    ///
    /// Not a cancellation point. In a scope that has failed the task is cancelled before it begins.
    ///
    /// # Panics
    ///
    /// Where [`Builder::spawn_try_scoped`] returns an error.
    ///
    /// # Examples
    ///
    /// See [`try_scope()`].
    pub fn spawn<F, T>(&'scope self, f: F) -> TryJoinHandle<'scope, T>
    where
        F: FnOnce() -> Result<T, E> + Send + 'scope,
        T: Send + 'scope,
    {
        let spawned = Builder::new().spawn_try_scoped(self, f);
        spawned.unwrap_or_else(|error| panic!("failed to spawn a task: {error}"))
    }

    /// Calls a task's closure, and takes its failure.
    fn guard<T>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<T, Cancelled> {
        let late = match catch_unwind(AssertUnwindSafe(f)) {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => self.fail(Failure::Error(error)),
            Err(payload) if payload.is::<Cancelled>() && is_cancelled() => pass_on(payload),
            // Where it is not its own it has that from another task's handle: a panic like any.
            Err(payload) => self.fail(Failure::Panic(payload)),
        };
        drop(late);
        Err(Cancelled::of_task())
    }

    /// Notes the first failure, and ends the rest. A later one comes back: to drop it is to call
    /// the user's code.
    #[must_use]
    fn fail(&self, failure: Failure<E>) -> Option<Failure<E>> {
        let late = {
            let mut first = self.first.lock();
            if first.is_none() {
                *first = Some(failure);
                None
            } else {
                Some(failure)
            }
        };
        self.has_failed.store(true, Ordering::Relaxed);
        self.children.wake_owner();
        self.children.cancel();
        late
    }
}

impl Builder {
    /// Spawns the task in `scope`, where it may borrow and fail. As
    /// [`spawn_scoped`](Self::spawn_scoped) otherwise.
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
    /// use std::io;
    ///
    /// let answer = 42;
    /// task::try_scope(|scope| {
    ///     let task = Builder::new().name("borrower").spawn_try_scoped(scope, || Ok(answer))?;
    ///     assert_eq!(task.join()?, 42);
    ///     Ok::<_, io::Error>(())
    /// })?;
    /// # Ok::<_, io::Error>(())
    /// ```
    pub fn spawn_try_scoped<'scope, F, T, E>(
        self,
        scope: &'scope TryScope<'scope, '_, E>,
        f: F,
    ) -> io::Result<TryJoinHandle<'scope, T>>
    where
        F: FnOnce() -> Result<T, E> + Send + 'scope,
        T: Send + 'scope,
        E: Send,
    {
        let f = move || scope.guard(f);
        // SAFETY: `Send`, and it all lives for `'scope`, which ends after `try_scope` has waited.
        let handle = unsafe { scope.children.spawn(self, f)? };
        Ok(TryJoinHandle { handle, scope: PhantomData })
    }
}

impl<E> fmt::Debug for TryScope<'_, '_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryScope").field("has_failed", &self.has_failed).finish_non_exhaustive()
    }
}

/// Owns the right to wait for a task of a [`TryScope`].
///
/// Dropping it leaves the task to the scope, which waits for it.
///
/// # Examples
///
/// See [`try_scope()`].
#[derive(Debug)]
pub struct TryJoinHandle<'scope, T> {
    handle: JoinHandle<Result<T, Cancelled>>,
    scope: PhantomData<&'scope ()>,
}

impl<T> Joinable for TryJoinHandle<'_, T> {}

impl<T> sealed::Joinable for TryJoinHandle<'_, T> {
    fn has_ended(&self) -> bool {
        self.handle.has_ended()
    }

    fn is_ending(&self) -> bool {
        self.handle.is_ending()
    }

    #[expect(private_interfaces, reason = "the trait is sealed")]
    fn watch(&self) -> Registered<'_> {
        self.handle.watch()
    }
}

impl<T> TryJoinHandle<'_, T> {
    /// Waits for the task to end and returns its value.
    ///
    /// # Blocking
    ///
    /// Parks the calling task, or blocks a plain thread.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. In a scope that has failed it does not
    /// return, but ends the caller, as any other wait does: the failure is the scope's to return.
    ///
    /// # Errors
    ///
    /// [`Cancelled`]: this task alone was cancelled, or the caller cannot be ended, as in a
    /// [`shield`](crate::task::shield). Converts into an [`io::Error`] of kind
    /// `Other`, and into any boxed error. Where the scope's error is neither, and no task is
    /// cancelled alone, `unwrap` it.
    ///
    /// # Examples
    ///
    /// See [`try_scope()`].
    pub fn join(self) -> Result<T, Cancelled> {
        if let Ok(Ok(value)) = self.handle.join() {
            return Ok(value);
        }
        // What has ended the task, a failure in the scope say, mostly ends the caller, too.
        raise_if_due_here();
        Err(Cancelled::of_task())
    }

    /// Tells this task to stop. That is no failure of it: the others go on. As
    /// [`JoinHandle::cancel`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::task;
    ///
    /// let result = task::try_scope(|scope| {
    ///     let waiting = scope.spawn(|| Ok::<_, ()>(task::park()));
    ///     waiting.cancel();
    ///     assert!(waiting.join().is_err());
    ///     Ok(7)
    /// });
    /// assert_eq!(result, Ok(7));
    /// ```
    pub fn cancel(&self) {
        self.handle.cancel();
    }

    /// Returns whether the task has ended. As [`JoinHandle::is_finished`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::task;
    ///
    /// let result = task::try_scope(|scope| {
    ///     let waiting = scope.spawn(|| Ok::<_, ()>(task::park()));
    ///     assert!(!waiting.is_finished());
    ///     waiting.task().unpark();
    ///     Ok(7)
    /// });
    /// assert_eq!(result, Ok(7));
    /// ```
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// Returns a handle to the task. As [`JoinHandle::task`].
    ///
    /// # Examples
    ///
    /// See [`is_finished`](Self::is_finished).
    pub fn task(&self) -> Task {
        self.handle.task()
    }
}
