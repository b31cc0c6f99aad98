//! Making tasks.
#![expect(unsafe_code, reason = "a root task borrows from its caller, who waits for it")]

use std::io;

use super::TaskRef;
use super::extras::ExtrasSlot;
use super::header::{After, Attributes, Nothing};
use super::join::JoinHandle;
use crate::scheduler::{self, Shared, Worker};
use crate::stack::StackSize;
use crate::{context, runtime};

/// Spawns a task and returns a handle to wait for it with, as [`std::thread::spawn`] does for a
/// thread.
///
/// The task belongs to the caller's runtime, where any worker may start it. On a plain thread it
/// belongs to the default runtime, which this call starts if need be. Until it first runs, a task
/// costs one allocation; only then does it get a stack. When the runtime's root task returns, the
/// tasks that are left are cancelled: join those whose work matters.
///
/// # Blocking
///
/// Neither the task nor the worker waits. The first call on a plain thread waits for the threads of
/// the default runtime to start.
///
/// # Panics
///
/// Where [`Builder::spawn`] returns an error.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// let handle = sedge::spawn(|| "done");
/// assert_eq!(handle.join().unwrap(), "done");
/// ```
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new().spawn(f).unwrap_or_else(|error| panic!("failed to spawn a task: {error}"))
}

/// Spawns a task on the calling task's worker, where it stays: what it captures and returns need
/// not be `Send`, and may be shared with other tasks of that worker by `Rc` and `Cell`.
///
/// Unlike a task of [`spawn`](fn@spawn) it gets its stack at once. It takes its turn with the
/// others of the worker, so it runs once the caller waits.
///
/// # Blocking
///
/// Neither the task nor the worker waits.
///
/// # Panics
///
/// Where [`Builder::spawn_local`] returns an error: on a plain thread, among others.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::cell::Cell;
/// use std::rc::Rc;
///
/// sedge::run(|| {
///     let count = Rc::new(Cell::new(0));
///     let tasks: Vec<_> = (0..3)
///         .map(|_| {
///             let count = count.clone();
///             sedge::task::spawn_local(move || count.set(count.get() + 1))
///         })
///         .collect();
///     tasks.into_iter().for_each(|task| task.join().unwrap());
///     assert_eq!(count.get(), 3);
/// });
/// ```
///
/// What it returns stays on the worker, and so does the handle:
///
/// ```compile_fail,E0277
/// # use sedge_runtime as sedge;
/// sedge::run(|| {
///     let handle = sedge::task::spawn_local(|| std::rc::Rc::new(7));
///     sedge::spawn(move || handle.join());
/// });
/// ```
pub fn spawn_local<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    let spawned = Builder::new().spawn_local(f);
    spawned.unwrap_or_else(|error| panic!("failed to spawn a local task: {error}"))
}

/// Chooses a task's properties before it is spawned, as [`std::thread::Builder`] does for a thread.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// # fn main() -> std::io::Result<()> {
/// let handle = sedge::task::Builder::new()
///     .name("deep")
///     .stack_size(1 << 20)
///     .spawn(|| sedge::task::current().name().map(str::to_owned))?;
/// assert_eq!(handle.join().unwrap().as_deref(), Some("deep"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
#[must_use = "a builder does nothing until it spawns"]
pub struct Builder {
    name: Option<Box<str>>,
    stack_size: Option<usize>,
    migrating: bool,
}

impl Builder {
    /// Makes a builder with the defaults: no name, the runtime's stack size (256 KiB of address
    /// space, unless the runtime was given another), and no migration.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// // In place of `sedge::spawn`, where a spawn that fails is no reason to panic.
    /// let handle = sedge::task::Builder::new().spawn(|| 1 + 1)?;
    /// assert_eq!(handle.join().unwrap(), 2);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the task. The name stands in the messages about it: of a panic, of a stack overflow,
    /// and of a task that keeps its worker. Default: none, and the messages have the id alone.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::task;
    ///
    /// let name = || task::current().name().map(str::to_owned);
    /// let handle = task::Builder::new().name("accept loop").spawn(name)?;
    /// assert_eq!(handle.join().unwrap().as_deref(), Some("accept loop"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into().into_boxed_str());
        self
    }

    /// Sets the size of the task's stack in bytes, its guard included: from 32 KiB to 64 MiB,
    /// rounded up to a power of two. Default: the runtime's
    /// ([`runtime::Builder::stack_size`](crate::runtime::Builder::stack_size)).
    ///
    /// It is address space: what the task does not touch takes no memory. The guard is 32 KiB of a
    /// stack of 256 KiB or more, and one page of a smaller one.
    /// [`stack_high_water`](super::stack_high_water) tells how much a task has used.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// // More than the default stack holds.
    /// fn sum() -> u64 {
    ///     let numbers = [1_u64; 128 << 10];
    ///     std::hint::black_box(&numbers).iter().sum()
    /// }
    ///
    /// let handle = sedge::task::Builder::new().stack_size(8 << 20).spawn(sum)?;
    /// assert_eq!(handle.join().unwrap(), 128 << 10);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Lets the task go on with another worker after it has waited, as a goroutine does. Default:
    /// the runtime's setting ([`runtime::Builder::migrating`](crate::runtime::Builder::migrating));
    /// `false` here does not undo that one.
    ///
    /// # Safety
    ///
    /// From its start to its end:
    /// - nothing that is bound to a thread lives across a call that may wait: no lock guard of
    ///   std's or `parking_lot`'s, no `Rc`, no borrow of a thread-local, nothing `!Send`;
    /// - no function, *after inlining*, touches a thread-local on both sides of such a call. That
    ///   includes `errno` and the thread-locals of std and of every dependency; the compiler may
    ///   keep a thread-local's address over the call, and it is then another thread's.
    ///
    /// No caller can check the second for code that is not its own. [`stay_home`](super::stay_home)
    /// keeps the task in its place for a stretch of code that cannot promise this.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::task;
    ///
    /// sedge::run(|| {
    ///     // SAFETY: over its one wait the task keeps an integer, which no thread minds, and it
    ///     // touches no thread-local.
    ///     let builder = unsafe { task::Builder::new().migrating(true) };
    ///     let handle = builder.spawn(|| {
    ///         let mut sum = 1;
    ///         task::yield_now(); // Any worker may take it from here.
    ///         sum += 1;
    ///         sum
    ///     });
    ///     assert_eq!(handle.unwrap().join().unwrap(), 2);
    /// });
    /// ```
    pub unsafe fn migrating(mut self, migrating: bool) -> Self {
        self.migrating = migrating;
        self
    }

    /// Spawns the task. See [`spawn`](fn@spawn) for the runtime that it belongs to.
    ///
    /// # Blocking
    ///
    /// As [`spawn`](fn@spawn): neither the task nor the worker waits.
    ///
    /// # Errors
    ///
    /// The task is not spawned, and its closure is dropped:
    ///
    /// - `InvalidInput`: the stack size is out of its range.
    /// - `QuotaExceeded`: the runtime has as many live tasks as it may have
    ///   ([`runtime::Builder::tasks_max`](crate::runtime::Builder::tasks_max)).
    /// - `OutOfMemory`: tasks that were spawned before are waiting for stacks, and there is no
    ///   memory (or no mapping) for more. The text says which limit it was.
    /// - `Other`: the runtime is stopping, and the caller is none of its tasks. (What these still
    ///   spawn is cancelled before it begins.)
    /// - On a plain thread, what [`runtime::Builder::build`](crate::runtime::Builder::build)
    ///   returns, if the default runtime has to start.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::io::ErrorKind;
    ///
    /// let small = sedge::task::Builder::new().stack_size(1024);
    /// assert_eq!(small.spawn(|| ()).unwrap_err().kind(), ErrorKind::InvalidInput);
    /// ```
    pub fn spawn<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.spawn_with(f, Nothing)
    }

    /// Spawns the task on the calling task's worker: it may be neither `Send` nor moved. See
    /// [`spawn_local`](fn@spawn_local).
    ///
    /// # Blocking
    ///
    /// As [`spawn`](Self::spawn): neither the task nor the worker waits.
    ///
    /// # Errors
    ///
    /// The task is not spawned, and its closure is dropped:
    ///
    /// - `Unsupported`: the caller is no task. A plain thread, one of the blocking pool among them,
    ///   has no worker; [`run`](crate::run) makes a task of it.
    /// - `InvalidInput`, `QuotaExceeded`: as [`spawn`](Self::spawn).
    /// - `OutOfMemory`: there is no memory (or no mapping) for its stack, which it gets at once.
    ///   The text says which limit it was.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::task::Builder;
    /// use std::io::ErrorKind;
    ///
    /// let error = Builder::new().spawn_local(|| ()).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Unsupported, "this is a plain thread");
    /// ```
    pub fn spawn_local<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        let stack_size = self.stack_size.map(StackSize::new).transpose()?;
        let extras = ExtrasSlot::of_spawned(self.name);
        let (id, stack, stack_size) = context::with_worker(|worker| {
            let worker = worker.filter(|worker| worker.current().is_some()).ok_or_else(|| {
                let text = "only a task can spawn a local one: call `run` on this thread, or spawn";
                io::Error::new(io::ErrorKind::Unsupported, text)
            })?;
            let size = stack_size.unwrap_or(worker.shared().config.stack_size);
            worker.admit_local(size).map(|(id, stack)| (id, stack, size))
        })?;
        let attributes = Attributes { id, extras, stack_size, migrating: false };
        // SAFETY: `'static`. It starts on this thread, below, and does not migrate; a handle stays
        // here if the result is not `Send`.
        let (task, handle) = unsafe {
            let task = TaskRef::create(attributes, f, Nothing);
            (task, JoinHandle::new(task))
        };
        context::with_worker(|worker| worker.expect("it was there").start_local(stack, task));
        Ok(handle)
    }

    /// The same, and `after` when the task ends.
    pub(super) fn spawn_with<F, T, A>(self, f: F, after: A) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
        A: After + Send + 'static,
    {
        let admitted = self.admit_here()?;
        // SAFETY: `'static` and `Send`; the caller is in the runtime, or it is the default one,
        // which never ends.
        unsafe {
            let (made, handle) = admitted.make(f, after);
            made.submit();
            Ok(handle)
        }
    }

    /// Takes what the task needs from the runtime that the caller spawns into.
    pub(super) fn admit_here(mut self) -> io::Result<Admitted> {
        let extras = ExtrasSlot::of_spawned(self.name.take());
        let mut admitted = context::with_runtime(|worker, shared| match shared {
            Some(shared) => self.admit(worker, shared),
            None => self.admit(None, runtime::default()?),
        })?;
        admitted.attributes.extras = extras;
        Ok(admitted)
    }

    /// Spawns the task into `shared`, from anywhere.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    pub(crate) fn spawn_into<F, T>(mut self, shared: &Shared, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let extras = ExtrasSlot::of_spawned(self.name.take());
        let mut admitted = context::with_worker(|worker| self.admit(worker, shared))?;
        admitted.attributes.extras = extras;
        // SAFETY: `'static` and `Send`; the caller keeps `shared`.
        unsafe {
            let (made, handle) = admitted.make(f, Nothing);
            made.submit();
            Ok(handle)
        }
    }

    /// Takes what the task needs from `shared`; `worker` is the caller's, if it has one. Its extras
    /// come later: to drop them may wait.
    fn admit(self, worker: Option<&Worker>, shared: &Shared) -> io::Result<Admitted> {
        if shared.is_starving() {
            return Err(shared.starving_error());
        }
        let stack_size = match self.stack_size {
            Some(bytes) => StackSize::new(bytes)?,
            None => shared.config.stack_size,
        };
        let id = match worker.filter(|worker| worker.is_of(shared)) {
            Some(worker) => worker.admit()?,
            None => shared.admit_from_outside()?,
        };
        let migrating = self.migrating || shared.config.migrating;
        let attributes = Attributes { id, extras: ExtrasSlot::default(), stack_size, migrating };
        Ok(Admitted { shared, attributes })
    }
}

/// A task that has its permit and is yet to be made. `admit` runs where nothing may switch, so the
/// closure is kept out of it: to drop one that is refused may wait. A raw pointer, as the borrow
/// ends with `with_runtime`.
pub(super) struct Admitted {
    shared: *const Shared,
    attributes: Attributes,
}

/// A task that was made, and is yet to be given to its runtime.
#[must_use = "a task that is not submitted never runs"]
pub(super) struct Made {
    shared: *const Shared,
    task: TaskRef,
}

impl Admitted {
    /// # Safety
    ///
    /// As [`TaskRef::create`]; and what is made is submitted.
    pub(super) unsafe fn make<F, T, A>(self, f: F, after: A) -> (Made, JoinHandle<T>)
    where
        F: FnOnce() -> T,
        A: After,
    {
        // SAFETY: the caller's word; `create` gives the handle its reference.
        unsafe {
            let task = TaskRef::create(self.attributes, f, after);
            (Made { shared: self.shared, task }, JoinHandle::new(task))
        }
    }
}

impl Made {
    pub(super) fn task(&self) -> TaskRef {
        self.task
    }

    /// # Safety
    ///
    /// The runtime lives.
    pub(super) unsafe fn submit(self) {
        // SAFETY: the caller's word.
        scheduler::submit(unsafe { &*self.shared }, self.task);
    }
}

/// Makes the root task on `worker`, to be run by this thread's loop.
///
/// # Safety
///
/// `f`, and what it and its result borrow, outlive the task and the handle, and both stay on this
/// thread.
pub(crate) unsafe fn spawn_root<F, T>(worker: &Worker, stack_size: StackSize, f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T,
{
    let attributes = Attributes {
        id: worker.next_id(),
        extras: ExtrasSlot::of_spawned(Some("root".into())),
        stack_size,
        migrating: false,
    };
    // SAFETY: the caller's word.
    unsafe {
        let task = TaskRef::create(attributes, f, Nothing);
        // It is a part of the caller's code.
        task.frames.adopt(&*context::thread_frames());
        worker.adopt_root(task);
        JoinHandle::new(task)
    }
}
