//! Locks, channels and other things that tasks wait for one another with.
//!
//! All of them work between tasks, plain threads and futures, mixed: a task parks, a thread blocks,
//! and a future waits by the methods with the suffix `_async`. They may be held, and waited for,
//! over other waits: the first of [the three rules](../../sedge/index.html#the-three-rules), which
//! is about the locks of threads, is not about these.
//!
//! | what for | here | with the names of |
//! |---|---|---|
//! | data that several change | [`Mutex`], [`RwLock`], [`Condvar`] | std |
//! | the same without poisoning | [`nonpoison`] | std, parking_lot |
//! | locking again what one holds | [`ReentrantMutex`] | parking_lot |
//! | what runs once | [`Once`], [`OnceLock`], [`LazyLock`] | std |
//! | meeting | [`Barrier`], [`WaitGroup`] | std, crossbeam |
//! | so many at a time | [`Semaphore`] | tokio |
//! | something has happened | [`Notify`] | tokio |
//! | messages to one of several | [`channel`], [`mpsc`] | crossbeam, std |
//! | one message | [`oneshot`] | tokio |
//! | messages to all | [`broadcast`] | tokio |
//! | the latest value, to all | [`watch`] | tokio |
//! | several of these at a time | [`select!`](crate::select), [`select`] | crossbeam |
//!
//! [`RawMutex`] and [`RawRwLock`] are for types of other crates that are generic over their lock.

pub mod broadcast;
pub mod channel;
pub mod mpsc;
mod notify;
mod once;
pub mod oneshot;
mod raw_mutex;
mod raw_rwlock;
pub mod select;
mod semaphore;
mod wait_group;

// What follows is made in constants, which loom's atomics cannot be: models leave it out.
#[cfg(not(sedge_loom))]
mod barrier;
#[cfg(not(sedge_loom))]
mod condvar;
#[cfg(not(sedge_loom))]
mod lazy_lock;
#[cfg(not(sedge_loom))]
mod mutex;
#[cfg(not(sedge_loom))]
pub mod nonpoison;
#[cfg(not(sedge_loom))]
mod once_lock;
#[cfg(not(sedge_loom))]
mod poison;
#[cfg(not(sedge_loom))]
mod reentrant;
#[cfg(not(sedge_loom))]
mod rwlock;
#[cfg(not(sedge_loom))]
pub mod watch;

pub use std::sync::{Arc, LockResult, PoisonError, TryLockError, TryLockResult, Weak, atomic};

pub use notify::{Notified, Notify};
pub use once::{Once, OnceState};
pub use raw_mutex::RawMutex;
pub use raw_rwlock::RawRwLock;
pub use semaphore::{
    AcquireError, AcquireTimeoutError, OwnedSemaphorePermit, Semaphore, SemaphorePermit,
    TryAcquireError,
};
pub use wait_group::WaitGroup;

#[cfg(not(sedge_loom))]
pub use self::{
    barrier::{Barrier, BarrierWaitResult},
    condvar::{Condvar, WaitTimeoutResult},
    lazy_lock::LazyLock,
    mutex::{LockFuture, Mutex, MutexGuard},
    once_lock::OnceLock,
    reentrant::{MappedReentrantMutexGuard, RawTaskId, ReentrantMutex, ReentrantMutexGuard},
    rwlock::{ReadFuture, RwLock, RwLockReadGuard, RwLockWriteGuard, WriteFuture},
};
