//! How a worker goes: when its runtime stops, or, for an extra one, when it is not needed any more.

use super::{Phase, Seat, Worker};
use crate::task::{Claimed, TaskRef};

impl Worker {
    /// The runtime stops: tells every task here. Each unwinds at its next cancellation point.
    pub(super) fn cancel_tasks(&self) {
        if self.stopping.replace(true) {
            return;
        }
        // Collected first: scheduling borrows what the lists are in.
        let mut claimed: Vec<Claimed> =
            self.owned.borrow().iter().filter_map(TaskRef::cancel).collect();
        claimed.extend(self.shared.migrants.lock().iter().filter_map(TaskRef::cancel));
        claimed.into_iter().for_each(|claimed| self.schedule(claimed));
        while let Some(task) = self.shared.take_starved() {
            self.shared.injector.push(task);
        }
        self.give_permits_back();
    }

    /// A guest goes: the local tasks that it has spawned, which run nowhere else, are cancelled,
    /// as are those that these still spawn, and it stays until all have ended.
    pub(crate) fn end_local_tasks(&self) {
        self.leaving.set(true);
        let claimed: Vec<_> = self.owned.borrow().iter().filter_map(TaskRef::cancel).collect();
        claimed.into_iter().for_each(|claimed| self.schedule(claimed));
        self.run(|worker| {
            worker.owned.borrow().is_empty() || worker.shared.phase() == Phase::Abandoned
        });
    }

    /// While the runtime stops no permit is kept: when the last is back, all workers go.
    pub(super) fn give_permits_back(&self) {
        if self.remote.permits.give_all(&self.shared.permits) {
            self.shared.wake_all();
        }
    }

    /// Whether the runtime stops and this worker may go. Asked before every task.
    #[inline(always)]
    pub(crate) fn may_leave(&self) -> bool {
        let stays = self.shared.phase() == Phase::Running && self.remote.seat() == Seat::Member;
        !stays && self.may_leave_slow()
    }

    fn may_leave_slow(&self) -> bool {
        match self.shared.phase() {
            Phase::Running => self.may_retire(),
            Phase::Stopping => {
                self.cancel_tasks();
                // Taken by a spawn since, outside of any task (in a user's waker, say).
                if self.remote.permits.count() > 0 {
                    self.give_permits_back();
                }
                self.shared.permits.all_back()
            }
            Phase::Abandoned => {
                // Those that are missing then are counted as tasks.
                self.give_permits_back();
                true
            }
        }
    }

    /// An extra worker goes when the others are no longer stuck and its last task has ended.
    fn may_retire(&self) -> bool {
        self.remote.seat() == Seat::Retiring
            && self.owned.borrow().is_empty()
            && self.ready.borrow().is_empty()
            && self.remote.inbox.is_empty()
            && self.deque.is_empty()
    }

    /// Whether tasks that will never run again have their home here.
    pub(crate) fn has_tasks(&self) -> bool {
        !self.owned.borrow().is_empty() || !self.shared.migrants.lock().is_empty()
    }

    /// Gives the seat back, for the next who sits down.
    pub(crate) fn leave(self) {
        // The runtime may have begun to stop since this worker saw that it may go. Looked at after
        // the permits are back: who stops it looks at them after that.
        if self.remote.permits.give_all(&self.shared.permits)
            && self.shared.phase() != Phase::Running
        {
            self.shared.wake_all();
        }
        self.remote.vacate(self.deque);
    }
}
