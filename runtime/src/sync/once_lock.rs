//! A value that is written once, with std's methods.
//!
//! The value is in a lock of std's, which is never waited for: [`Once`] says who sets it.

use std::fmt;
use std::sync::OnceLock as Value;

use super::Once;

/// A value that is written once, by whoever comes first. As [`std::sync::OnceLock`].
///
/// What initialises it runs in a [`shield`](crate::task::shield), and may wait: others wait for it.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::sync::OnceLock;
/// use sedge::time::sleep;
/// use std::time::Duration;
///
/// static ANSWER: OnceLock<u32> = OnceLock::new();
///
/// fn answer() -> u32 {
///     *ANSWER.get_or_init(|| {
///         sleep(Duration::from_millis(1));
///         42
///     })
/// }
///
/// sedge::run(|| {
///     let other = sedge::spawn(answer);
///     assert_eq!(answer() + other.join().unwrap(), 84);
/// });
/// ```
pub struct OnceLock<T> {
    once: Once,
    value: Value<T>,
}

impl<T> OnceLock<T> {
    /// Makes one without a value.
    ///
    /// # Examples
    ///
    /// See [`OnceLock`].
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self { once: Once::new(), value: Value::new() }
    }

    /// Returns the value, if there is one.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Examples
    ///
    /// See [`set`](Self::set).
    #[inline]
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// Returns the value, if there is one, to be changed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let mut lock = sedge::sync::OnceLock::from(1);
    /// *lock.get_mut().unwrap() += 1;
    /// assert_eq!(lock.into_inner(), Some(2));
    /// ```
    #[inline]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut()
    }

    /// Waits until there is a value, and returns it.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits, unless there is a value.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::OnceLock;
    ///
    /// static ANSWER: OnceLock<u32> = OnceLock::new();
    ///
    /// let waiting = sedge::spawn(|| *ANSWER.wait());
    /// ANSWER.set(42).unwrap();
    /// assert_eq!(waiting.join().unwrap(), 42);
    /// ```
    #[inline]
    pub fn wait(&self) -> &T {
        self.once.wait_force();
        self.get().expect("it is set before that is complete")
    }

    /// Sets the value, if there is none; if another is on its way, waits for that.
    ///
    /// # Blocking
    ///
    /// As [`get_or_init`](Self::get_or_init).
    ///
    /// # Cancellation
    ///
    /// As [`get_or_init`](Self::get_or_init).
    ///
    /// # Errors
    ///
    /// With `value`: there is one already.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let lock = sedge::sync::OnceLock::new();
    /// assert_eq!(lock.get(), None);
    /// assert_eq!(lock.set(1), Ok(()));
    /// assert_eq!(lock.set(2), Err(2));
    /// assert_eq!(lock.get(), Some(&1));
    /// ```
    #[inline]
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.get_or_init(|| value.take().expect("it runs once"));
        value.map_or(Ok(()), Err)
    }

    /// Returns the value; if there is none, the one that `f` returns, or that is on its way.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread, while another initialises it. An `f` that
    /// initialises the same waits for itself, for ever.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits, unless there is a value. Not in `f`: that
    /// is shielded.
    ///
    /// # Panics
    ///
    /// With `f`'s panic. The next to come may try again.
    ///
    /// # Examples
    ///
    /// See [`OnceLock`].
    #[inline]
    pub fn get_or_init<F>(&self, f: F) -> &T
    where
        F: FnOnce() -> T,
    {
        if let Some(value) = self.get() {
            return value;
        }
        self.init(f)
    }

    #[cold]
    fn init(&self, f: impl FnOnce() -> T) -> &T {
        self.once.call_once_force(|_| {
            let was_set = self.value.set(f()).is_err();
            debug_assert!(!was_set, "it is set once");
        });
        self.get().expect("it is set before that is complete")
    }

    /// Returns the value, if there is one.
    ///
    /// # Examples
    ///
    /// See [`get_mut`](Self::get_mut).
    #[inline]
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// Takes the value out, if there is one: it can be set again.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let mut lock = sedge::sync::OnceLock::from(1);
    /// assert_eq!(lock.take(), Some(1));
    /// assert_eq!(lock.get_or_init(|| 2), &2);
    /// ```
    #[inline]
    pub fn take(&mut self) -> Option<T> {
        std::mem::take(self).into_inner()
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for OnceLock<T> {
    fn from(value: T) -> Self {
        Self { once: Once::completed(), value: Value::from(value) }
    }
}

impl<T: Clone> Clone for OnceLock<T> {
    fn clone(&self) -> Self {
        self.get().cloned().map_or_else(Self::new, Self::from)
    }
}

impl<T: PartialEq> PartialEq for OnceLock<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceLock<T> {}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lock = f.debug_tuple("OnceLock");
        match self.get() {
            Some(value) => lock.field(value),
            None => lock.field(&format_args!("<uninit>")),
        };
        lock.finish()
    }
}
