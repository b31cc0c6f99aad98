//! What all ends of a channel share: the value under its lock, its version, and who waits.
//!
//! # Memory ordering
//!
//! The version goes up while the value is locked for writing, so who has it locked for reading sees
//! the version of what it reads, whatever the ordering. Who only looks at the version does so with
//! Acquire, and the version goes up, and is closed, with Release: what was done before is seen by
//! who is told. The wakes come after, as [`WaitQueue`] asks.
//!
//! The last of its kind leaves with AcqRel, after all that the others have done. New ones come
//! Relaxed: they publish nothing.

use lock_api::RwLock;

use super::error::RecvError;
use crate::primitive::{AtomicUsize, Ordering};
use crate::sync::RawRwLock;
use crate::wait::WaitQueue;

pub(super) type ReadGuard<'a, T> = lock_api::RwLockReadGuard<'a, RawRwLock, T>;

/// See the module.
pub(super) struct Shared<T> {
    value: RwLock<RawRwLock, T>,
    /// The lowest bit says that no sender is left. The rest counts.
    version: AtomicUsize,
    pub(super) senders: AtomicUsize,
    pub(super) receivers: AtomicUsize,
    /// Receivers that wait for a change.
    pub(super) changes: WaitQueue,
    /// Senders that wait until there is no receiver.
    pub(super) departures: WaitQueue,
}

const CLOSED: usize = 1;
pub(super) const ONE_CHANGE: usize = 2;

impl<T> Shared<T> {
    /// With one sender, and no receiver.
    pub(super) fn new(value: T) -> Self {
        Self {
            value: RwLock::new(value),
            version: AtomicUsize::new(0),
            senders: AtomicUsize::new(1),
            receivers: AtomicUsize::new(0),
            changes: WaitQueue::new(),
            departures: WaitQueue::new(),
        }
    }

    /// The current version, and whether no sender is left.
    pub(super) fn version(&self) -> (usize, bool) {
        let version = self.version.load(Ordering::Acquire);
        (version & !CLOSED, version & CLOSED != 0)
    }

    /// The value, and its version, which stay as long as the guard.
    pub(super) fn read(&self) -> (ReadGuard<'_, T>, usize) {
        let value = self.value.read();
        let (version, _) = self.version();
        (value, version)
    }

    /// What a receiver that has seen `seen` is told, if anything.
    pub(super) fn news(&self, seen: &mut usize) -> Option<Result<(), RecvError>> {
        let (version, is_closed) = self.version();
        if version != *seen {
            *seen = version;
            return Some(Ok(()));
        }
        is_closed.then_some(Err(RecvError(())))
    }

    /// Changes the value, and tells the receivers if `change` says so.
    pub(super) fn change(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        {
            let mut value = self.value.write();
            if !change(&mut value) {
                return false;
            }
            self.version.fetch_add(ONE_CHANGE, Ordering::Release);
        }
        self.changes.wake_all();
        true
    }

    pub(super) fn enter_as_sender(&self) {
        self.senders.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn leave_as_sender(&self) {
        if self.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.version.fetch_or(CLOSED, Ordering::Release);
            self.changes.wake_all();
        }
    }

    pub(super) fn enter_as_receiver(&self) {
        self.receivers.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn leave_as_receiver(&self) {
        if self.receivers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.departures.wake_all();
        }
    }

    pub(super) fn has_no_receiver(&self) -> Option<()> {
        (self.receivers.load(Ordering::Acquire) == 0).then_some(())
    }
}
