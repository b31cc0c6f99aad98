//! Locks, channels and other things that tasks wait for one another with.

pub mod channel;
pub mod mpsc;
pub mod select;
