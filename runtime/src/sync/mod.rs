//! Locks, channels and other things that tasks wait for one another with.

pub mod channel;
pub mod mpsc;
pub mod select;
mod semaphore;

pub use semaphore::{
    AcquireError, AcquireTimeoutError, OwnedSemaphorePermit, Semaphore, SemaphorePermit,
    TryAcquireError,
};
