//! A source's side of the netpoller: the entry that it has once something has waited.
//!
//! The entry is taken at the first wait and given back when the source ends. A source that never
//! waits takes none: it is one empty cell, and is always tried.

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::OnceLock;

use super::entry::Entry;
use super::poller::Interest;
use super::readiness::{Direction, Snapshot};
use super::slab;

/// See the module.
#[derive(Debug)]
pub(super) struct Registration {
    entry: OnceLock<&'static Entry>,
    interest: Interest,
}

// The entry's words and queues are consistent after a panic anywhere: a `HeldWake` passes on what
// the panicking call held.
impl UnwindSafe for Registration {}
impl RefUnwindSafe for Registration {}

impl Registration {
    pub(super) const fn new(interest: Interest) -> Self {
        Self { entry: OnceLock::new(), interest }
    }

    #[inline]
    pub(super) fn snapshot(&self) -> Snapshot {
        self.entry.get().map_or(Snapshot::UNREGISTERED, |entry| entry.readiness().load())
    }

    /// The entry, for somebody who is going to wait.
    pub(super) fn entry(&self) -> &'static Entry {
        self.entry.get_or_init(slab::allocate)
    }

    pub(super) fn interest(&self) -> Interest {
        self.interest
    }

    /// A system call, made after `seen`, has moved less than it was asked for.
    #[inline]
    pub(super) fn note_short_count(&self, seen: Snapshot, direction: Direction) {
        if self.interest == Interest::Priority && seen.trusts_short_counts() {
            if let Some(entry) = self.entry.get() {
                entry.readiness().clear(seen, direction);
            }
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.get() {
            entry.release();
        }
    }
}
