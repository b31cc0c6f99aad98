//! Taking fresh tasks from other workers, where this one has none.

use crossbeam_deque::{Injector, Steal};

use super::placement::clearly_more;
use super::{Remote, Seat, Worker};
use crate::task::TaskRef;

/// How many rounds over all victims a searcher makes before it gives up.
const ROUNDS: usize = 4;

/// How many tasks a thief takes at a time, at most (and never more than half).
const BATCH: usize = 32;

impl Worker {
    /// Searches the other workers' queues.
    pub(super) fn steal(&self) -> Option<TaskRef> {
        if !self.shared.has_several_workers() || !self.start_searching() {
            return None;
        }
        let task = (0..ROUNDS).find_map(|round| {
            if round > 0 {
                std::hint::spin_loop();
            }
            self.steal_round()
        })?;
        self.spin.note_work();
        Some(task)
    }

    fn steal_round(&self) -> Option<TaskRef> {
        let me = self.remote.index();
        // Each begins at its own neighbour: thieves spread out.
        let after = self.shared.remotes().skip(me + 1);
        let before = self.shared.remotes().take(me);
        after.chain(before).find_map(|victim| self.steal_from(victim))
    }

    fn steal_from(&self, victim: &Remote) -> Option<TaskRef> {
        if self.may_steal_from(victim) {
            let steal = || victim.stealer.steal_batch_with_limit_and_pop(&self.deque, BATCH);
            if let Some(task) = until_decided(steal) {
                return Some(task);
            }
        }
        if may_empty_inbox(victim) { victim.take_handed_over() } else { None }
    }

    /// What a worker would start here it would have to hand back if it has clearly more homes than
    /// the victim.
    fn may_steal_from(&self, victim: &Remote) -> bool {
        !victim.stealer.is_empty()
            && (victim.progress.is_stuck()
                || self.shared.config.migrating
                || !clearly_more(self.remote.homes(), victim.homes()))
    }

    /// Whether there is anything that this worker may take, as far as it can see.
    pub(super) fn sees_fresh_work(&self) -> bool {
        !self.shared.injector.is_empty()
            || self.shared.remotes().any(|victim| {
                self.may_steal_from(victim) || (may_empty_inbox(victim) && !victim.inbox.is_empty())
            })
    }

    fn start_searching(&self) -> bool {
        if !self.searching.get() {
            let starters = self.shared.remotes().filter(|remote| remote.seat().takes_homes());
            self.searching.set(self.shared.idle.start_searching(starters.count()));
        }
        self.searching.get()
    }

    /// It has work: stops searching, and wakes the next searcher if it was the last.
    pub(super) fn stop_searching(&self) {
        if self.searching.replace(false) && self.shared.idle.stop_searching() {
            self.shared.wake_one();
        }
    }
}

/// What was handed over to a worker is taken from it only where it is stuck, or has gone.
fn may_empty_inbox(victim: &Remote) -> bool {
    victim.progress.is_stuck() || matches!(victim.seat(), Seat::Vacant | Seat::Retiring)
}

/// Takes one task. A cheap look comes first: stealing from an empty injector costs a fence.
pub(super) fn take_one(injector: &Injector<TaskRef>) -> Option<TaskRef> {
    if injector.is_empty() { None } else { until_decided(|| injector.steal()) }
}

/// Steals until there was something or there was nothing: another thief may be in the way.
pub(super) fn until_decided(mut steal: impl FnMut() -> Steal<TaskRef>) -> Option<TaskRef> {
    loop {
        match steal() {
            Steal::Success(task) => return Some(task),
            Steal::Empty => return None,
            Steal::Retry => {}
        }
    }
}
