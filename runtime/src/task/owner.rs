//! A number for whom locks belong to, unlike any other in the process.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A task's or a thread's number. Its own to ask for: it is given at the first time, as few do.
#[derive(Debug)]
pub(crate) struct Owner(Cell<Option<NonZeroUsize>>);

impl Owner {
    pub(crate) const fn new() -> Self {
        Self(Cell::new(None))
    }

    #[inline]
    pub(crate) fn get(&self) -> NonZeroUsize {
        self.0.get().unwrap_or_else(|| self.take())
    }

    #[cold]
    fn take(&self) -> NonZeroUsize {
        /// Relaxed: the numbers differ, and that is all. They do not run out in centuries.
        static LAST: AtomicUsize = AtomicUsize::new(0);
        let number = NonZeroUsize::new(LAST.fetch_add(1, Ordering::Relaxed) + 1);
        self.0.set(number);
        number.expect("they begin at one")
    }
}

impl Default for Owner {
    fn default() -> Self {
        Self::new()
    }
}
