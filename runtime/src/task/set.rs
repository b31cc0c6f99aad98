//! A set of tasks, joined as they end.

use std::collections::VecDeque;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Instant;
use std::{fmt, io, thread};

use parking_lot::Mutex;
use slab::Slab;

use super::builder::Builder;
use super::header::{After, End, discard};
use super::{JoinHandle, TaskId, TaskRef};
use crate::wait::{self, WaitQueue};

/// Tasks that are joined in the order in which they end.
///
/// As tokio's. Dropping the set cancels its tasks, and waits for none: a task that is in the middle
/// of something goes on to its next cancellation point; [`shutdown`](Self::shutdown) waits. To
/// borrow, use [`scope`](super::scope()).
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::task::JoinSet;
/// use sedge::time::sleep;
/// use std::time::Duration;
///
/// sedge::run(|| {
///     let mut set = JoinSet::new();
///     for ms in [20, 1, 10] {
///         set.spawn(move || {
///             sleep(Duration::from_millis(ms));
///             ms
///         });
///     }
///     let mut order = Vec::new();
///     while let Some(result) = set.join_next() {
///         order.push(result.unwrap());
///     }
///     assert_eq!(order.len(), 3);
/// });
/// ```
pub struct JoinSet<T> {
    tasks: Slab<JoinHandle<T>>,
    ended: Arc<Ended>,
}

// Nothing unwinds between two changes that belong together.
impl<T> UnwindSafe for JoinSet<T> {}
impl<T> RefUnwindSafe for JoinSet<T> {}

/// Those that have ended and were not joined. Pushed to by each at its end, so a task that is in it
/// has nothing left to do.
#[derive(Default)]
struct Ended {
    /// Where they stand in the set.
    slots: Mutex<VecDeque<usize>>,
    waiter: WaitQueue,
}

/// What a task does at its end.
struct Tell {
    ended: Arc<Ended>,
    slot: usize,
}

impl After for Tell {
    fn finished(self, _: TaskRef, _: End) {
        self.ended.slots.lock().push_back(self.slot);
        self.ended.waiter.wake_one();
    }
}

impl<T> JoinSet<T> {
    /// Makes an empty set.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let mut set = sedge::task::JoinSet::<()>::new();
    /// assert!(set.is_empty() && set.join_next().is_none());
    /// ```
    pub fn new() -> Self {
        Self { tasks: Slab::new(), ended: Arc::default() }
    }

    /// Returns how many tasks of the set were not joined yet, ended or not.
    ///
    /// # Examples
    ///
    /// See [`join_next`](Self::join_next).
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Returns whether all tasks of the set were joined.
    ///
    /// # Examples
    ///
    /// See [`new`](Self::new).
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Waits until a task of the set ends, and returns its result; none if the set is empty. Those
    /// that have ended already come first, in the order in which they have.
    ///
    /// # Blocking
    ///
    /// Parks the calling task, or blocks a plain thread. A task that its runtime has
    /// [abandoned](crate::runtime#the-end) never ends.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. No result is lost: what is not returned
    /// stays in the set.
    ///
    /// # Errors
    ///
    /// What [`JoinHandle::join`] returns for that task.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::task::JoinSet;
    ///
    /// let mut set = JoinSet::new();
    /// set.spawn(|| 1);
    /// set.spawn(|| panic!("this one fails"));
    /// assert_eq!(set.len(), 2);
    /// let results: Vec<_> = std::iter::from_fn(|| set.join_next()).collect();
    /// assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    /// assert_eq!(set.len(), 0);
    /// ```
    pub fn join_next(&mut self) -> Option<thread::Result<T>> {
        self.join_next_with_id().map(|(_, result)| result)
    }

    /// As [`join_next`](Self::join_next), and tells which task it was.
    ///
    /// # Blocking
    ///
    /// Parks the calling task, or blocks a plain thread.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. No result is lost.
    ///
    /// # Errors
    ///
    /// What [`JoinHandle::join`] returns for that task.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let mut set = sedge::task::JoinSet::new();
    /// let spawned = set.spawn(|| "done");
    /// let (id, result) = set.join_next_with_id().unwrap();
    /// assert_eq!(id, spawned);
    /// assert_eq!(result.unwrap(), "done");
    /// ```
    pub fn join_next_with_id(&mut self) -> Option<(TaskId, thread::Result<T>)> {
        self.join_next_until(None)
    }

    /// The same, and none if `deadline` comes first.
    pub(crate) fn join_next_until(
        &mut self,
        deadline: Option<Instant>,
    ) -> Option<(TaskId, thread::Result<T>)> {
        wait::checkpoint();
        if self.tasks.is_empty() {
            return None;
        }
        let next = || self.ended.slots.lock().pop_front();
        let slot = self.ended.waiter.wait_until(deadline, next).ok()?;
        Some(self.take(slot))
    }

    /// Returns the result of a task that has ended, if there is one.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Errors
    ///
    /// What [`JoinHandle::join`] returns for that task.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::task::{self, JoinSet};
    ///
    /// let mut set = JoinSet::new();
    /// set.spawn(task::park);
    /// assert!(set.try_join_next().is_none());
    /// ```
    pub fn try_join_next(&mut self) -> Option<thread::Result<T>> {
        self.try_join_next_with_id().map(|(_, result)| result)
    }

    /// As [`try_join_next`](Self::try_join_next), and tells which task it was.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Errors
    ///
    /// What [`JoinHandle::join`] returns for that task.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::task::{self, JoinSet};
    ///
    /// sedge::run(|| {
    ///     let mut set = JoinSet::new();
    ///     let spawned = set.spawn(|| "done");
    ///     let (id, result) = loop {
    ///         match set.try_join_next_with_id() {
    ///             Some(joined) => break joined,
    ///             None => task::yield_now(),
    ///         }
    ///     };
    ///     assert_eq!((id, result.unwrap()), (spawned, "done"));
    /// });
    /// ```
    pub fn try_join_next_with_id(&mut self) -> Option<(TaskId, thread::Result<T>)> {
        let slot = self.ended.slots.lock().pop_front()?;
        Some(self.take(slot))
    }

    fn take(&mut self, slot: usize) -> (TaskId, thread::Result<T>) {
        let handle = self.tasks.remove(slot);
        // A few instructions of its worker's are all that is left to wait for.
        (handle.id(), super::shield(|| handle.join()))
    }

    /// Tells every task to stop. Their results are still to be joined. As [`JoinHandle::cancel`].
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::task::{self, Cancelled, JoinSet};
    ///
    /// let mut set = JoinSet::new();
    /// set.spawn(task::park);
    /// set.spawn(task::park);
    /// set.cancel_all();
    /// assert_eq!(set.len(), 2);
    /// while let Some(result) = set.join_next() {
    ///     assert!(result.unwrap_err().is::<Cancelled>());
    /// }
    /// ```
    pub fn cancel_all(&self) {
        self.tasks.iter().for_each(|(_, task)| task.cancel());
    }

    /// Tells one task to stop. Returns whether it is in the set.
    ///
    /// Takes time linear in their number. Ids are those of one runtime: in a set that was filled in
    /// several, another task may have the same.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::task::{self, JoinSet};
    ///
    /// let mut set = JoinSet::new();
    /// let id = set.spawn(task::park);
    /// assert!(set.cancel(id));
    /// assert!(set.join_next().unwrap().is_err());
    /// assert!(!set.cancel(id), "it was joined");
    /// ```
    pub fn cancel(&self, id: TaskId) -> bool {
        let task = self.tasks.iter().map(|(_, task)| task).find(|task| task.id() == id);
        task.inspect(|task| task.cancel()).is_some()
    }

    /// Cancels all tasks, and waits until they have ended. Their results are dropped, panics too.
    ///
    /// # Blocking
    ///
    /// Parks the calling task, or blocks a plain thread. A task that its runtime has
    /// [abandoned](crate::runtime#the-end) never ends.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. The tasks are cancelled in any case,
    /// and those that were not waited for stay in the set.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::task::{self, JoinSet};
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// static OPEN: AtomicUsize = AtomicUsize::new(0);
    ///
    /// /// Counts who is at it.
    /// struct Connection;
    ///
    /// impl Connection {
    ///     fn open() -> Self {
    ///         OPEN.fetch_add(1, Ordering::Relaxed);
    ///         Self
    ///     }
    /// }
    ///
    /// impl Drop for Connection {
    ///     fn drop(&mut self) {
    ///         OPEN.fetch_sub(1, Ordering::Relaxed);
    ///     }
    /// }
    ///
    /// let mut set = JoinSet::new();
    /// for _ in 0..3 {
    ///     set.spawn(|| {
    ///         let _open = Connection::open();
    ///         task::park();
    ///     });
    /// }
    /// set.shutdown();
    /// assert!(set.is_empty());
    /// assert_eq!(OPEN.load(Ordering::Relaxed), 0);
    /// ```
    pub fn shutdown(&mut self) {
        self.cancel_all();
        std::iter::from_fn(|| self.join_next()).for_each(discard);
    }

    /// Takes every task out of the set; they go on, and their results are dropped.
    ///
    /// # Blocking
    ///
    /// Nothing waits, unless the destructor of a result does that is there already.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let mut set = sedge::task::JoinSet::new();
    /// set.spawn(|| println!("this is printed, though the set is gone"));
    /// set.detach_all();
    /// assert!(set.is_empty());
    /// ```
    pub fn detach_all(&mut self) {
        self.tasks.clear();
        // Those that end from now on tell nobody.
        self.ended = Arc::default();
    }
}

impl<T: Send + 'static> JoinSet<T> {
    /// Spawns a task into the set. Returns its id.
    ///
    /// # Blocking
    ///
    /// Nothing waits, as with [`spawn`](super::spawn()).
    ///
    /// # Panics
    ///
    /// Where [`Builder::spawn`] returns an error.
    ///
    /// # Examples
    ///
    /// See [`JoinSet`].
    pub fn spawn<F>(&mut self, f: F) -> TaskId
    where
        F: FnOnce() -> T + Send + 'static,
    {
        let spawned = Builder::new().spawn_in_set(self, f);
        spawned.unwrap_or_else(|error| panic!("failed to spawn a task: {error}"))
    }

    /// Joins every task of the set, and returns their results in the order in which they have
    /// ended.
    ///
    /// # Blocking
    ///
    /// Parks the calling task, or blocks a plain thread. A task that its runtime has
    /// [abandoned](crate::runtime#the-end) never ends.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. The tasks are cancelled then, and the
    /// results that there were are dropped.
    ///
    /// # Errors
    ///
    /// Each result is what [`JoinHandle::join`] returns for that task.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::task::JoinSet;
    ///
    /// let set: JoinSet<_> = (0..3).map(|n| move || 10 * n).collect();
    /// let sum: i32 = set.join_all().into_iter().map(Result::unwrap).sum();
    /// assert_eq!(sum, 30);
    /// ```
    #[must_use = "the results tell which tasks have failed"]
    pub fn join_all(mut self) -> Vec<thread::Result<T>> {
        std::iter::from_fn(|| self.join_next()).collect()
    }
}

impl Builder {
    /// Spawns the task into `set`. Returns its id.
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
    /// use sedge::task::{Builder, JoinSet};
    ///
    /// let mut set = JoinSet::new();
    /// Builder::new().name("one of many").spawn_in_set(&mut set, || 7)?;
    /// assert_eq!(set.join_next().unwrap().unwrap(), 7);
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn spawn_in_set<F, T>(self, set: &mut JoinSet<T>, f: F) -> io::Result<TaskId>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let slot = set.tasks.vacant_key();
        let handle = self.spawn_with(f, Tell { ended: set.ended.clone(), slot })?;
        let id = handle.id();
        set.tasks.insert(handle);
        Ok(id)
    }
}

impl<F, T> FromIterator<F> for JoinSet<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    /// Spawns every closure.
    ///
    /// # Panics
    ///
    /// Where [`Builder::spawn`] returns an error; the tasks that there are by then are cancelled.
    ///
    /// # Examples
    ///
    /// See [`join_all`](JoinSet::join_all).
    fn from_iter<I: IntoIterator<Item = F>>(closures: I) -> Self {
        let mut set = Self::new();
        set.extend(closures);
        set
    }
}

impl<F, T> Extend<F> for JoinSet<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    /// Spawns every closure.
    ///
    /// # Panics
    ///
    /// Where [`Builder::spawn`] returns an error; the tasks that there are by then stay in the set.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let mut set = sedge::task::JoinSet::new();
    /// set.spawn(|| 1_000);
    /// set.extend((1..=3).map(|n| move || n));
    /// assert_eq!(set.join_all().into_iter().map(Result::unwrap).sum::<u32>(), 1_006);
    /// ```
    fn extend<I: IntoIterator<Item = F>>(&mut self, closures: I) {
        for f in closures {
            self.spawn(f);
        }
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        self.cancel_all();
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet").field("len", &self.len()).finish()
    }
}
