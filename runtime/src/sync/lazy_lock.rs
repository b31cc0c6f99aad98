//! A value that is computed when it is first used, with std's methods.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::OnceLock as Value;

use parking_lot::Mutex;

use super::Once;

/// A value that is computed when it is first used. As [`std::sync::LazyLock`], which must not be
/// used where its initialiser may wait: another task of the worker would block the thread on it for
/// good.
///
/// The initialiser runs in a [`shield`](crate::task::shield), and may wait: others wait for it.
///
/// # Blocking
///
/// To dereference it parks the task, or blocks a plain thread, while another initialises it. An
/// initialiser that uses the value waits for itself, for ever.
///
/// # Cancellation
///
/// To dereference it is a cancellation point, at entry and while it waits, unless there is a value.
///
/// # Panics
///
/// To dereference it panics with the initialiser's panic, which poisons it for good; and if it is
/// poisoned.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::sync::LazyLock;
/// use sedge::time::sleep;
/// use std::time::Duration;
///
/// static ANSWER: LazyLock<u32> = LazyLock::new(|| {
///     sleep(Duration::from_millis(1));
///     42
/// });
///
/// sedge::run(|| {
///     let other = sedge::spawn(|| *ANSWER);
///     assert_eq!(*ANSWER + other.join().unwrap(), 84);
/// });
/// ```
pub struct LazyLock<T, F = fn() -> T> {
    once: Once,
    value: Value<T>,
    /// Taken by the one that runs it.
    init: Mutex<Option<F>>,
}

// What the initialiser leaves behind as it panics is told of by the poison.
impl<T: UnwindSafe, F: UnwindSafe> UnwindSafe for LazyLock<T, F> {}
impl<T: RefUnwindSafe + UnwindSafe, F: UnwindSafe> RefUnwindSafe for LazyLock<T, F> {}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    /// Makes one that calls `f` when it is first used.
    ///
    /// # Examples
    ///
    /// See [`LazyLock`].
    #[inline]
    pub const fn new(f: F) -> Self {
        Self { once: Once::new(), value: Value::new(), init: Mutex::new(Some(f)) }
    }

    /// Computes the value, if that was not done yet, and returns it. This is what dereferencing
    /// does.
    ///
    /// # Blocking
    ///
    /// See [`LazyLock`].
    ///
    /// # Cancellation
    ///
    /// See [`LazyLock`].
    ///
    /// # Panics
    ///
    /// See [`LazyLock`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::LazyLock;
    ///
    /// let lazy = LazyLock::new(|| 42);
    /// assert_eq!(LazyLock::force(&lazy), &42);
    /// ```
    #[inline]
    pub fn force(this: &Self) -> &T {
        match this.value.get() {
            Some(value) => value,
            None => this.init(),
        }
    }

    /// The same, to be changed.
    ///
    /// # Blocking
    ///
    /// See [`LazyLock`].
    ///
    /// # Cancellation
    ///
    /// See [`LazyLock`].
    ///
    /// # Panics
    ///
    /// See [`LazyLock`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::LazyLock;
    ///
    /// let mut lazy = LazyLock::new(|| 42);
    /// *LazyLock::force_mut(&mut lazy) += 1;
    /// assert_eq!(*lazy, 43);
    /// ```
    #[inline]
    pub fn force_mut(this: &mut Self) -> &mut T {
        Self::force(this);
        this.value.get_mut().expect("it was forced")
    }

    #[cold]
    fn init(&self) -> &T {
        let is_good = self.once.call(false, &mut |_| {
            let init = self.init.lock().take();
            let was_set = self.value.set(init.expect("it runs once")()).is_err();
            debug_assert!(!was_set, "it is set once");
        });
        assert!(is_good, "LazyLock instance has previously been poisoned");
        self.value.get().expect("it is set before that is complete")
    }
}

impl<T, F> LazyLock<T, F> {
    /// Returns the value, if it was computed.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::LazyLock;
    ///
    /// let lazy = LazyLock::new(|| 42);
    /// assert_eq!(LazyLock::get(&lazy), None);
    /// assert_eq!(*lazy, 42);
    /// assert_eq!(LazyLock::get(&lazy), Some(&42));
    /// ```
    #[inline]
    pub fn get(this: &Self) -> Option<&T> {
        this.value.get()
    }

    /// The same, to be changed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::LazyLock;
    ///
    /// let mut lazy = LazyLock::new(|| 42);
    /// assert_eq!(LazyLock::get_mut(&mut lazy), None);
    /// ```
    #[inline]
    pub fn get_mut(this: &mut Self) -> Option<&mut T> {
        this.value.get_mut()
    }
}

impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        Self::force(self)
    }
}

impl<T, F: FnOnce() -> T> DerefMut for LazyLock<T, F> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        Self::force_mut(self)
    }
}

impl<T: Default> Default for LazyLock<T> {
    fn default() -> Self {
        Self::new(T::default)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for LazyLock<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lock = f.debug_tuple("LazyLock");
        match Self::get(self) {
            Some(value) => lock.field(value),
            None => lock.field(&format_args!("<uninit>")),
        };
        lock.finish()
    }
}
