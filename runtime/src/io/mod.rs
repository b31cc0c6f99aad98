//! The netpoller: how a task waits for a file descriptor.
//!
//! [`Source`] makes anything with a pollable descriptor wait as a green thread should: the system
//! call is tried first; when it would block, the task parks, and epoll says when to try again.
//! `sedge_net`'s sockets are made of it, and so may a user's own device be.
//!
//! # The parts
//!
//! - `source`: [`Source`], what users see; `operation`: one call on it, that is the loop "try,
//!   wait, try again"; `future`: the same for futures.
//! - `poller`: an epoll instance, one for each worker.
//! - `registration`: a source's hold on its entry, which it takes when it first waits.
//! - `entry`: one source that has waited: its readiness, its waiters, and the poller that it is
//!   registered with; `readiness`: the word in it, and the protocol on which all rests; `slab`:
//!   where entries live, so that an event for a source that is gone finds nobody.
//! - `sys`: the system calls.
//!
//! # The life of a read
//!
//! A task calls `read`. The readiness word says "try" (as it does for a new source), so the system
//! call is made. If it succeeds, that was all: no registration, no lock. If it says `EAGAIN`, the
//! source gets an entry and is registered with the poller of the task's worker; the flag is
//! cleared, unless an event has come meanwhile; the task waits in the entry's queue. The worker
//! polls, gets the event, sets the flag, and wakes the task, which makes the system call again.
//!
//! From then on, a read that returns less than it was asked for clears the flag at once, where the
//! source has such reads ([`Source::trust_short_counts`]): the next one parks without having to be
//! told `EAGAIN`. An echo costs two system calls a request, and its share of `epoll_wait`.
//!
//! # Invariants
//!
//! - Readiness is a hint: after every wait, the system call is made again.
//! - While a source's flag is clear, an event is still to come.
//! - While a flag is set and somebody waits for it, a wake is under way, or a woken waiter has not
//!   finished its call.
//! - A source is removed from epoll before its descriptor is closed, since a duplicate may keep the
//!   file open, and its events coming.
//!
//! # Outside tasks
//!
//! On a plain thread, and inside `no_park`, a wait is `poll(2)` on the descriptor; the flags are
//! neither believed nor changed.

mod entry;
mod future;
mod home;
mod operation;
mod poller;
mod readiness;
mod registration;
mod slab;
mod source;
mod sys;
#[cfg(all(test, not(sedge_loom)))]
mod tests;

pub use future::WaitKey;
pub use operation::Operation;
pub(crate) use poller::{Poller, TimerFd};
pub use source::Source;
pub(crate) use sys::Events;
