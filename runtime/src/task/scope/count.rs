//! How many tasks of a scope there are, and who wakes its owner when there are none.
//!
//! It lies on the owner's stack, and goes with the owner, who may leave as soon as the count is
//! zero. So the task that takes the last one off has what wakes the owner in hand before, and
//! touches nothing here afterwards.
//!
//! # Memory ordering
//!
//! Taking one off is a Release, and the owner's look an Acquire: what the tasks did comes before
//! what the owner does next. All changes are read-modify-writes, so that none cuts another's
//! Release off. Adding one is Relaxed: who adds is the owner, or a task that is counted itself.
//! Asking how many there are is, too: a figure.
#![expect(unsafe_code, reason = "its last user touches it up to the moment that its owner may go")]

use std::task::Waker;

use crate::primitive::{AtomicUsize, Ordering};

/// See the module.
#[derive(Debug)]
pub(super) struct Count {
    /// Wakes the owner.
    owner: Waker,
    tasks: AtomicUsize,
}

impl Count {
    pub(super) fn new(owner: Waker) -> Self {
        Self { owner, tasks: AtomicUsize::new(0) }
    }

    pub(super) fn add_one(&self) {
        self.tasks.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there are, at some moment.
    pub(super) fn get(&self) -> usize {
        self.tasks.load(Ordering::Relaxed)
    }

    pub(super) fn is_zero(&self) -> bool {
        self.tasks.load(Ordering::Acquire) == 0
    }

    /// Wakes the owner, for another reason than that the count is zero.
    pub(super) fn wake_owner(&self) {
        self.owner.wake_by_ref();
    }

    /// Takes one off. The count may be gone when this returns.
    ///
    /// # Safety
    ///
    /// `this` is there until the one that the caller takes off has been taken.
    pub(super) unsafe fn leave(this: *const Self) {
        // SAFETY: the caller is counted yet, so it is there.
        let count = unsafe { &*this };
        let mut tasks = count.tasks.load(Ordering::Relaxed);
        loop {
            // Others may come and go meanwhile: then the exchange fails, and it is looked at again.
            let owner = (tasks == 1).then(|| count.owner.clone());
            let left = count.tasks.compare_exchange(
                tasks,
                tasks - 1,
                Ordering::Release,
                Ordering::Relaxed,
            );
            match left {
                // Not counted any more: `count` is not touched after this.
                Ok(_) => return owner.into_iter().for_each(Waker::wake),
                Err(seen) => tasks = seen,
            }
        }
    }
}

#[cfg(all(test, sedge_loom))]
mod model {
    use std::sync::Arc as StdArc;
    use std::task::{Wake, Waker};

    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::thread;

    use super::Count;

    /// Counts wakes.
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: StdArc<Self>) {
            self.0.fetch_add(1, Ordering::Release);
        }
    }

    /// The owner that has seen what its tasks did takes the count away: nobody touches it any more,
    /// and an owner that waits is woken.
    #[test]
    fn the_owner_leaves_after_the_last() {
        loom::model(|| {
            let wakes = StdArc::new(Wakes(AtomicUsize::new(0)));
            let done = Arc::new(AtomicUsize::new(0));
            let count = Box::new(Count::new(Waker::from(wakes.clone())));
            count.add_one();
            count.add_one();
            // Each of its tasks is one that runs on another thread.
            let address = std::ptr::from_ref::<Count>(&count).expose_provenance();
            let tasks: Vec<_> = (0..2)
                .map(|_| {
                    let done = done.clone();
                    thread::spawn(move || {
                        done.fetch_add(1, Ordering::Relaxed);
                        // SAFETY: the owner waits until both have left.
                        unsafe { Count::leave(std::ptr::with_exposed_provenance(address)) };
                    })
                })
                .collect();
            let mut seen = 0;
            while !count.is_zero() {
                // Parked: without a wake the model never ends.
                while wakes.0.load(Ordering::Acquire) == seen {
                    thread::yield_now();
                }
                seen += 1;
            }
            assert_eq!(done.load(Ordering::Relaxed), 2, "what they did is seen");
            // loom's atomics notice a later use.
            drop(count);
            tasks.into_iter().for_each(|task| task.join().unwrap());
        });
    }
}
