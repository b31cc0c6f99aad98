//! Locks, channels and other things that tasks wait for one another with.

pub mod broadcast;
pub mod channel;
pub mod mpsc;
pub mod select;
mod notify;
pub mod oneshot;
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
