//! The started tasks of one worker (or the migrating ones of a runtime): whom shutdown cancels.

use crate::task::TaskRef;

/// A list that a task leaves in constant time: its header says where it stands.
#[derive(Debug, Default)]
pub(crate) struct Registry(Vec<TaskRef>);

impl Registry {
    pub(crate) fn insert(&mut self, task: TaskRef) {
        task.index.set(self.0.len() as u32);
        self.0.push(task);
    }

    pub(crate) fn remove(&mut self, task: TaskRef) {
        let index = task.index.get() as usize;
        debug_assert!(self.0[index] == task, "a task that is registered elsewhere");
        self.0.swap_remove(index);
        if let Some(moved) = self.0.get(index) {
            moved.index.set(index as u32);
        }
        if self.0.capacity() > 1024 && self.0.len() < self.0.capacity() / 4 {
            self.0.shrink_to(self.0.capacity() / 2);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = TaskRef> + '_ {
        self.0.iter().copied()
    }
}
