//! Locks that a panic does not poison, with parking_lot's methods.
//!
//! What panics, or is cancelled, while it holds such a lock lets go of it, and the next to lock it
//! finds the data as it was left. The guards are [`lock_api`]'s, with all that they can do: be
//! mapped to a part of the data, be unlocked for a while, hand the lock over.
//!
//! They wait, and may be ended while they wait, as the [poisoning ones](super) do; what guards do
//! that lock again (`unlocked`, `bump`, `upgrade`) waits to the end, as in a
//! [`shield`](crate::task::shield).

mod condvar;
mod mutex;
mod rwlock;

pub use condvar::Condvar;
pub use mutex::{LockFuture, MappedMutexGuard, Mutex, MutexGuard};
pub use rwlock::{
    MappedRwLockReadGuard, MappedRwLockWriteGuard, ReadFuture, RwLock, RwLockReadGuard,
    RwLockUpgradableReadGuard, RwLockWriteGuard, WriteFuture,
};
