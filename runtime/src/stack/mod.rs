//! Stacks for tasks: where they come from, and how idle memory is given back.
//!
//! A stack is a *slot*: one of many equal pieces of an *arena*, which is one mapping. Its guard is
//! at its limit, and its base a little below its end (`size.rs` says why).
//!
//! ```text
//!         limit     limit + guard                          base       limit + bytes
//!           v             v                                  v              v
//!  previous |    guard    |   never touched   | live frames  | stagger 0..1K | next slot's guard
//!           +-------------+-------------------+--------------+---------------+------
//!           |   a touch is fatal              <- grows down                  |
//! ```
//!
//! Stacks move through three stores, each in its own file:
//!
//! - [`StackCache`] (`cache.rs`) belongs to one worker: a push and a pop, nothing shared.
//! - The pool of a size class (`pool.rs`) is shared by the process; caches exchange batches with
//!   it. It knows its arenas (`arena.rs`), and maps another (`mapping.rs`) when all are in use.
//! - [`trim()`] (`trim.rs`) gives memory that has been idle for a second back to the kernel.
//!
//! A slot gets its guard (`guard.rs`) before it can first be taken and keeps it until its arena is
//! unmapped. No stack is ever without one.
//!
//! # Abandoned stacks
//!
//! Dropping a [`Stack`] leaks it, on purpose: frames of an abandoned task may still be lent to
//! other threads. Its slot is never reused, and so its arena never unmapped.
//!
//! # Locks
//!
//! In this order: the trimmer's, a pool's `growth`, that pool's `arenas`. System calls are made
//! under the first two only, so that a worker that exchanges stacks never waits for the kernel.
//! What is left to the heap at a limit (`headroom.rs`) has a lock that is taken last, under
//! `growth`.
//!
//! # Rejected
//!
//! - `mmap` for each stack: `vm.max_map_count` ends that near 32,000 tasks.
//! - `MAP_GROWSDOWN`, and moving stacks: Rust code holds pointers into its frames.
//! - Arenas that are writable from end to end: under `mlockall` the kernel fills them at once, and
//!   under strict overcommit it charges them at once. They are opened batch by batch instead.
//! - `memfd` mappings: pages cost more, and a fork would share them.

mod arena;
mod bits;
mod cache;
mod guard;
mod headroom;
mod high_water;
mod limits;
mod mapping;
pub(crate) mod overflow;
mod pool;
mod size;
mod slot;
mod sys;
#[cfg(test)]
mod tests;
mod trim;

pub(crate) use cache::StackCache;
pub(crate) use size::{STACK_BYTES_DEFAULT, STACK_BYTES_MAX, STACK_BYTES_MIN, StackSize};
pub(crate) use slot::{Bounds, Stack};
pub(crate) use trim::{trim, trim_for};
