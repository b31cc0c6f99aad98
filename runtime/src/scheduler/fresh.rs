//! Fresh (and migrating) tasks: where a worker puts them, and in which order it takes them.
//!
//! They stand in three kinds of queues: a worker's own deque, which others steal from; its inbox,
//! for what others handed over; and the runtime's injector. None of them is in the ready queue,
//! where a task that hogs would keep them from everybody.

use std::iter;

use super::Worker;
use super::steal::take_one;
use crate::task::TaskRef;

/// Where a fresh task that is due comes from, the first of them last.
const KINDS: [fn(&Worker) -> Option<TaskRef>; 3] =
    [Worker::next_injected, Worker::next_own, Worker::next_handed_over];

impl Worker {
    /// See [`super::submit`].
    pub(super) fn submit(&self, task: TaskRef) {
        if self.takes_fresh() {
            self.deque.push(task);
            self.announce();
        } else {
            self.shared.submit_from_outside(task);
        }
    }

    /// Tells an idle worker that there is something in this one's deque.
    pub(super) fn announce(&self) {
        if self.shared.has_several_workers() {
            self.shared.wake_one();
        }
    }

    /// Whether it starts fresh tasks: a guest does not, nor an extra worker that is to go.
    pub(super) fn takes_fresh(&self) -> bool {
        self.remote.seat().takes_homes()
    }

    /// The next fresh task that is within reach without stealing.
    pub(super) fn next_fresh(&self) -> Option<TaskRef> {
        self.next_own().or_else(|| self.next_handed_over()).or_else(|| self.next_injected())
    }

    /// Has one fresh task of each kind run next.
    pub(super) fn make_all_due(&self) {
        self.fresh_due.set(KINDS.len());
    }

    /// One fresh task of those that are due, taken when it is to run.
    #[cold]
    pub(super) fn next_due(&self) -> Option<TaskRef> {
        while self.fresh_due.get() > 0 {
            self.fresh_due.set(self.fresh_due.get() - 1);
            let task = KINDS[self.fresh_due.get()](self);
            if task.is_some() {
                return task;
            }
        }
        None
    }

    fn next_handed_over(&self) -> Option<TaskRef> {
        let task = self.remote.take_handed_over()?;
        self.spin.note_work();
        Some(task)
    }

    /// One of its own that makes its home here. Those before it go where homes are scarce.
    fn next_own(&self) -> Option<TaskRef> {
        iter::from_fn(|| self.deque.pop()).find_map(|task| self.keep_or_hand_over(task))
    }

    /// The same from the injector. The rest stay there, for whoever is free next.
    fn next_injected(&self) -> Option<TaskRef> {
        let task = iter::from_fn(|| take_one(&self.shared.injector))
            .find_map(|task| self.keep_or_hand_over(task))?;
        self.spin.note_work();
        Some(task)
    }

    /// A task that would make its home here makes it where homes are scarce instead.
    fn keep_or_hand_over(&self, task: TaskRef) -> Option<TaskRef> {
        if !self.shared.has_several_workers() || task.may_migrate() {
            return Some(task);
        }
        let (me, homes) = (self.remote.index(), self.remote.homes());
        match self.placement.borrow_mut().hand_over(&self.shared, me, homes) {
            None => Some(task),
            Some(index) => {
                self.shared.remote(index).hand_over(task);
                None
            }
        }
    }

    /// Leaves the fresh tasks that it still has to the others.
    pub(super) fn give_up_fresh(&self) {
        let handed_over = iter::from_fn(|| self.next_handed_over());
        iter::from_fn(|| self.deque.pop())
            .chain(handed_over)
            .for_each(|task| self.shared.submit_from_outside(task));
    }

    /// A stack was put back: who has waited longest for one is told, wherever it will run.
    #[cold]
    pub(super) fn feed(&self) {
        if let Some(task) = self.shared.take_starved() {
            self.stacks.borrow_mut().flush();
            self.submit(task);
        }
    }
}
