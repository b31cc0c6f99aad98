//! Several wakes that are decided under one lock, to be delivered without it.

use super::Wakeup;

/// Wakes that were decided. Most often it is one, which needs no memory.
#[derive(Debug, Default)]
#[must_use = "the waiters run again only when these are delivered"]
pub(crate) struct Wakeups {
    first: Option<Wakeup>,
    rest: Vec<Wakeup>,
}

impl Wakeups {
    #[inline]
    pub(crate) fn push(&mut self, wakeup: Option<Wakeup>) {
        let Some(wakeup) = wakeup else { return };
        if self.first.is_none() {
            self.first = Some(wakeup);
        } else {
            self.rest.push(wakeup);
        }
    }

    /// Makes the waiters run again, in the order in which they were pushed.
    #[inline]
    pub(crate) fn deliver(self) {
        self.first.into_iter().chain(self.rest).for_each(Wakeup::deliver);
    }
}
