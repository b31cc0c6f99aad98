//! Locks, channels and other things that tasks wait for one another with.

pub mod channel;
pub mod mpsc;
pub mod select;
mod notify;
mod semaphore;

pub use notify::{Notified, Notify};
pub use semaphore::{
    AcquireError, AcquireTimeoutError, OwnedSemaphorePermit, Semaphore, SemaphorePermit,
    TryAcquireError,
};
