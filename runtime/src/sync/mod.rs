//! Locks, channels and other things that tasks wait for one another with.

#[cfg(not(sedge_loom))]
mod barrier;
pub mod broadcast;
pub mod channel;
pub mod mpsc;
mod notify;
pub mod oneshot;
pub mod select;
mod semaphore;
mod wait_group;
#[cfg(not(sedge_loom))]
pub mod watch;

pub use notify::{Notified, Notify};
pub use semaphore::{
    AcquireError, AcquireTimeoutError, OwnedSemaphorePermit, Semaphore, SemaphorePermit,
    TryAcquireError,
};
pub use wait_group::WaitGroup;
#[cfg(not(sedge_loom))]
mod condvar;
#[cfg(not(sedge_loom))]
mod lazy_lock;
#[cfg(not(sedge_loom))]
mod mutex;
#[cfg(not(sedge_loom))]
pub mod nonpoison;
mod once;
#[cfg(not(sedge_loom))]
mod once_lock;
#[cfg(not(sedge_loom))]
mod poison;
mod raw_mutex;
mod raw_rwlock;
#[cfg(not(sedge_loom))]
mod reentrant;
#[cfg(not(sedge_loom))]
mod rwlock;

pub use std::sync::{Arc, LockResult, PoisonError, TryLockError, TryLockResult, Weak, atomic};

#[cfg(not(sedge_loom))]
pub use barrier::{Barrier, BarrierWaitResult};
#[cfg(not(sedge_loom))]
pub use condvar::{Condvar, WaitTimeoutResult};
#[cfg(not(sedge_loom))]
pub use lazy_lock::LazyLock;
#[cfg(not(sedge_loom))]
pub use mutex::{LockFuture, Mutex, MutexGuard};
pub use once::{Once, OnceState};
#[cfg(not(sedge_loom))]
pub use once_lock::OnceLock;
pub use raw_mutex::RawMutex;
pub use raw_rwlock::RawRwLock;
#[cfg(not(sedge_loom))]
pub use reentrant::{MappedReentrantMutexGuard, RawTaskId, ReentrantMutex, ReentrantMutexGuard};
#[cfg(not(sedge_loom))]
pub use rwlock::{ReadFuture, RwLock, RwLockReadGuard, RwLockWriteGuard, WriteFuture};
