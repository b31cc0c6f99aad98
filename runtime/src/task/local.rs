//! Task-locals: statics of which every task has a value of its own.
#![expect(unsafe_code, reason = "the values are lent by pointers")]

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{error, fmt};

use super::locals::{Found, Inherit, Locals};
use crate::context;

/// Declares statics of which every task has a value of its own, as [`std::thread_local!`] does for
/// threads.
///
/// A value is made when its task first asks for it, and dropped when the task ends, on its stack,
/// the last made first. Outside tasks a thread has a value of its own, until it ends. A closure in
/// [`blocking`](crate::blocking()) has values of its own, too, and they go with it.
///
/// With `inherit` before `static` a task begins with clones of the values that its spawner has at
/// that moment, where it has any; so does a closure in `blocking`. The type is then `Clone` and
/// `Send`. Tasks that are spawned outside tasks inherit nothing.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::cell::Cell;
///
/// sedge::task_local! {
///     static STEPS: Cell<u32> = Cell::new(0);
///
///     /// The number of the request that a task works for.
///     pub inherit static REQUEST: Cell<u64> = Cell::new(0);
/// }
///
/// sedge::run(|| {
///     STEPS.set(7);
///     REQUEST.set(42);
///     let other = sedge::spawn(|| (STEPS.get(), REQUEST.get()));
///     assert_eq!(other.join().unwrap(), (0, 42));
///     assert_eq!(sedge::blocking(|| REQUEST.get()), 42);
/// });
/// ```
#[macro_export]
macro_rules! task_local {
    () => {};
    (
        $(#[$attr:meta])* $vis:vis inherit static $name:ident: $type:ty = $init:expr
        $(; $($rest:tt)*)?
    ) => {
        $crate::task_local!(@one [$(#[$attr])* $vis] $name, $type, $init, inherited);
        $($crate::task_local!($($rest)*);)?
    };
    ($(#[$attr:meta])* $vis:vis static $name:ident: $type:ty = $init:expr $(; $($rest:tt)*)?) => {
        $crate::task_local!(@one [$(#[$attr])* $vis] $name, $type, $init, new);
        $($crate::task_local!($($rest)*);)?
    };
    (@one [$($before:tt)*] $name:ident, $type:ty, $init:expr, $new:ident) => {
        $($before)* static $name: $crate::task::LocalKey<$type> = {
            fn init() -> $type {
                $init
            }
            $crate::task::LocalKey::$new(init)
        };
    };
}

/// A task-local: what [`task_local!`](crate::task_local!) declares. Its methods are those of
/// [`std::thread::LocalKey`].
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::cell::RefCell;
///
/// sedge::task_local! {
///     static WORDS: RefCell<Vec<String>> = RefCell::default();
/// }
///
/// sedge::run(|| {
///     WORDS.with_borrow_mut(|words| words.push("here".to_owned()));
///     sedge::spawn(|| assert!(WORDS.take().is_empty())).join().unwrap();
///     assert_eq!(WORDS.take(), ["here"]);
/// });
/// ```
pub struct LocalKey<T: 'static> {
    init: fn() -> T,
    inherit: Option<Inherit>,
    /// Its place in every task's table, and one more; zero until it is first used.
    number: AtomicUsize,
}

/// A task-local was asked for in its own destructor, or in that of one that was made before it.
///
/// # Examples
///
/// See [`LocalKey::try_with`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessError;

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task-local is destroyed already: its task ends")
    }
}

impl error::Error for AccessError {}

impl<T: Clone + Send + 'static> LocalKey<T> {
    /// For the macro.
    #[doc(hidden)]
    pub const fn inherited(init: fn() -> T) -> Self {
        let inherit: Inherit = |value| {
            let value = value.downcast_ref::<T>()?;
            Some(Box::new(value.clone()) as Box<dyn Any + Send>)
        };
        Self { init, inherit: Some(inherit), number: AtomicUsize::new(0) }
    }
}

impl<T: 'static> LocalKey<T> {
    /// For the macro.
    #[doc(hidden)]
    pub const fn new(init: fn() -> T) -> Self {
        Self { init, inherit: None, number: AtomicUsize::new(0) }
    }

    /// Calls `f` with the calling task's value, which is made if there is none, and returns what
    /// `f` returns.
    ///
    /// # Blocking
    ///
    /// Nothing waits, but for what `f` and the initialiser do. Both may: no other task shares the
    /// value.
    ///
    /// # Panics
    ///
    /// Where [`try_with`](Self::try_with) returns an error; in the value's own initialiser; and
    /// with a panic of `f` or of the initialiser.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// sedge::task_local! {
    ///     static NAME: String = format!("{:?}", sedge::task::current().id());
    /// }
    ///
    /// sedge::run(|| {
    ///     let other = sedge::spawn(|| NAME.with(String::clone)).join().unwrap();
    ///     NAME.with(|name| assert_ne!(*name, other));
    /// });
    /// ```
    pub fn with<F, R>(&'static self, f: F) -> R
    where
        F: FnOnce(&T) -> R,
    {
        self.try_with(f).unwrap_or_else(|error| panic!("{error}"))
    }

    /// As [`with`](Self::with), for destructors.
    ///
    /// # Errors
    ///
    /// [`AccessError`]: the value was there, and was destroyed.
    ///
    /// # Panics
    ///
    /// In the value's own initialiser, and with a panic of `f` or of the initialiser.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::cell::Cell;
    ///
    /// struct Last;
    ///
    /// impl Drop for Last {
    ///     fn drop(&mut self) {
    ///         assert!(LAST.try_with(|_| ()).is_err());
    ///     }
    /// }
    ///
    /// sedge::task_local! {
    ///     static LAST: Last = Last;
    /// }
    ///
    /// sedge::spawn(|| LAST.with(|_| ())).join().unwrap();
    /// ```
    pub fn try_with<F, R>(&'static self, f: F) -> Result<R, AccessError>
    where
        F: FnOnce(&T) -> R,
    {
        self.try_with_or(None, |value, _| f(value))
    }

    /// Calls `f` with the value. `first` is what it is made of if there is none; `f` is given that
    /// if it was not needed.
    fn try_with_or<R>(
        &'static self,
        mut first: Option<T>,
        f: impl FnOnce(&T, Option<T>) -> R,
    ) -> Result<R, AccessError> {
        // SAFETY: they are the running code's own.
        let locals = unsafe { context::locals().ok_or(AccessError)?.as_ref() };
        let number = self.number();
        let value = match locals.find(number) {
            Found::Value(value) => value,
            Found::Destroyed => return Err(AccessError),
            Found::Initialising => panic!("a task-local was asked for in its own initialiser"),
            Found::Nothing => {
                let value = first.take().unwrap_or_else(|| make(self.init, locals, number));
                locals.put(number, value, self.inherit)
            }
        };
        // SAFETY: it stays in its place until the task ends, and this is its code.
        Ok(f(unsafe { value.as_ref() }, first))
    }

    fn number(&self) -> usize {
        static NEXT: AtomicUsize = AtomicUsize::new(1);

        // Relaxed: the number is all there is to it.
        let mut number = self.number.load(Ordering::Relaxed);
        if number == 0 {
            let new = NEXT.fetch_add(1, Ordering::Relaxed);
            let set = self.number.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed);
            number = set.map_or_else(|theirs| theirs, |_| new);
        }
        number - 1
    }
}

/// Makes a value, and leaves none behind if that panics.
fn make<T>(init: fn() -> T, locals: &Locals, number: usize) -> T {
    struct Forget<'a>(&'a Locals, usize);

    impl Drop for Forget<'_> {
        fn drop(&mut self) {
            self.0.forget(self.1);
        }
    }

    let forget = Forget(locals, number);
    let value = init();
    std::mem::forget(forget);
    value
}

impl<T: 'static> LocalKey<Cell<T>> {
    /// Sets the calling task's value. Does not run the initialiser.
    ///
    /// # Panics
    ///
    /// As [`with`](Self::with).
    ///
    /// # Examples
    ///
    /// See [`task_local!`](crate::task_local!).
    pub fn set(&'static self, value: T) {
        let set = |cell: &Cell<T>, value: Option<Cell<T>>| {
            value.into_iter().for_each(|value| cell.set(value.into_inner()));
        };
        self.try_with_or(Some(Cell::new(value)), set).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Returns a copy of the calling task's value.
    ///
    /// # Panics
    ///
    /// As [`with`](Self::with).
    ///
    /// # Examples
    ///
    /// See [`task_local!`](crate::task_local!).
    pub fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.with(Cell::get)
    }

    /// Takes the calling task's value, and leaves the type's default.
    ///
    /// # Panics
    ///
    /// As [`with`](Self::with).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// # use std::cell::Cell;
    /// sedge::task_local! {
    ///     static COUNT: Cell<u32> = Cell::new(3);
    /// }
    ///
    /// assert_eq!((COUNT.take(), COUNT.replace(5), COUNT.get()), (3, 0, 5));
    /// ```
    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(Cell::take)
    }

    /// Sets the calling task's value, and returns what it was.
    ///
    /// # Panics
    ///
    /// As [`with`](Self::with).
    ///
    /// # Examples
    ///
    /// See [`take`](Self::take).
    pub fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}

impl<T: 'static> LocalKey<RefCell<T>> {
    /// Calls `f` with a shared borrow of the calling task's value.
    ///
    /// # Panics
    ///
    /// If the value is borrowed mutably; and as [`with`](Self::with).
    ///
    /// # Examples
    ///
    /// See [`LocalKey`].
    pub fn with_borrow<F, R>(&'static self, f: F) -> R
    where
        F: FnOnce(&T) -> R,
    {
        self.with(|cell| f(&cell.borrow()))
    }

    /// Calls `f` with a mutable borrow of the calling task's value.
    ///
    /// # Panics
    ///
    /// If the value is borrowed; and as [`with`](Self::with).
    ///
    /// # Examples
    ///
    /// See [`LocalKey`].
    pub fn with_borrow_mut<F, R>(&'static self, f: F) -> R
    where
        F: FnOnce(&mut T) -> R,
    {
        self.with(|cell| f(&mut cell.borrow_mut()))
    }

    /// Sets the calling task's value. Does not run the initialiser.
    ///
    /// # Panics
    ///
    /// If the value is borrowed; and as [`with`](Self::with).
    ///
    /// # Examples
    ///
    /// See [`LocalKey`].
    pub fn set(&'static self, value: T) {
        let set = |cell: &RefCell<T>, value: Option<RefCell<T>>| {
            value.into_iter().for_each(|value| drop(cell.replace(value.into_inner())));
        };
        self.try_with_or(Some(RefCell::new(value)), set).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Takes the calling task's value, and leaves the type's default.
    ///
    /// # Panics
    ///
    /// If the value is borrowed; and as [`with`](Self::with).
    ///
    /// # Examples
    ///
    /// See [`LocalKey`].
    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(RefCell::take)
    }

    /// Sets the calling task's value, and returns what it was.
    ///
    /// # Panics
    ///
    /// If the value is borrowed; and as [`with`](Self::with).
    ///
    /// # Examples
    ///
    /// See [`LocalKey`].
    pub fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}

impl<T: 'static> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").finish_non_exhaustive()
    }
}
