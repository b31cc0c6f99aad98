//! The runtime as its users see it: one binary, one module for each part.
//!
//! Tests count what happens and assert the counts; where they have to wait, they wait for a
//! condition, and [`support::HUNG`] only says when to give up. What measures or ends a whole
//! process does so in a child: this binary again, told by an environment variable which body to
//! run.
//!
//! `SEDGE_WORKERS` decides where a test does not: the suite is run with 1, 2 and 8.
#![expect(clippy::print_stdout, reason = "children tell their parents what they saw")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests play the plain thread too, and look at thread-locals across switches"
)]

mod abandoning;
mod auto_traits;
mod barriers;
mod broadcasts;
mod canaries;
mod cancelling;
mod channel_bugs;
mod channels;
mod condvars;
mod exits;
mod hazards;
mod hogs;
mod idle;
mod kernel_memory;
mod life;
mod limits;
mod local;
mod locals;
mod locks;
mod memory;
mod migration;
mod notify;
mod once;
mod oneshot;
mod overflow;
mod parking;
mod placement;
mod poisoning;
mod random;
mod reentrant;
mod rwlocks;
mod scopes;
mod selecting;
mod semaphores;
mod sets;
mod starvation;
mod stress;
mod supervising;
mod support;
mod sync_surface;
mod tasks;
mod timeouts;
mod timers;
mod tokens;
mod try_scopes;
mod unwinding;
mod wait_groups;
mod wakers;
mod watching;
