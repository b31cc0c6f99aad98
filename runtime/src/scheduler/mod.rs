//! The scheduler: which worker runs which task when.
//!
//! `README.md` beside this file argues how workers fall asleep and are woken.
//!
//! - [`Shared`] is a runtime as all its threads see it; [`Remote`] is the part of a worker that
//!   others may touch; [`Worker`] is the rest, and its loop.
//! - [`mailbox`]: tasks left for one worker. [`idle`]: whom to wake for work that anyone may take.
//! - [`placement`]: where a fresh task makes its home. [`permits`]: how many tasks there may be.
//! - [`monitor`](mod@monitor): sees workers that are stuck, and gives idle memory back.
//!
//! Who makes a task run ends up in one of two functions here: [`submit`] for a fresh one,
//! [`schedule`] for one that was parked.

mod alarm;
mod chance;
mod fork;
mod fresh;
mod idle;
mod leave;
mod mailbox;
mod monitor;
mod permits;
mod placement;
mod progress;
mod registry;
mod remote;
mod shared;
mod sleep;
mod spin;
mod steal;
mod worker;

use crate::context;
use crate::task::{Claimed, TaskRef};

pub(crate) use chance::Numbers;
pub(crate) use fork::forks;
pub(crate) use monitor::run as monitor;
pub(crate) use remote::{Remote, Seat};
pub(crate) use shared::{Config, Phase, Shared};
pub(crate) use worker::Worker;

/// Puts a claimed task where it will run: its worker's ready queue or mailbox, or for a migrating
/// one a queue that any worker takes from.
pub(crate) fn schedule(claimed: Claimed) {
    context::with_worker(|worker| match worker {
        Some(worker) => worker.schedule(claimed),
        None => shared::schedule_from_outside(claimed),
    });
}

/// Puts a fresh task, which has its permit, into a queue of `shared`.
pub(crate) fn submit(shared: &Shared, task: TaskRef) {
    context::with_worker(|worker| match worker {
        Some(worker) if worker.is_of(shared) => worker.submit(task),
        _ => shared.submit_from_outside(task),
    });
}
