//! The reader-writer lock under every interleaving.
#![expect(unsafe_code, reason = "what the lock guards is touched")]

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use loom::cell::UnsafeCell;
use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;

use super::{Access, RawAccess, RawRwLock};
use crate::primitive::Ordering;

struct Shared {
    lock: RawRwLock,
    /// A writer beside anyone else is found by loom.
    count: UnsafeCell<usize>,
}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self { lock: RawRwLock::new(), count: UnsafeCell::new(0) })
    }

    fn lock(&self, access: Access) {
        let mut future = RawAccess::new(&self.lock, access);
        block_on(poll_fn(|cx| future.poll(cx)));
    }

    fn look(&self) {
        // SAFETY: nobody writes meanwhile, which is what is modelled.
        self.count.with(|count| assert!(unsafe { *count } < 9));
    }

    fn count(&self) {
        // SAFETY: nobody else is there meanwhile.
        self.count.with_mut(|count| unsafe { *count += 1 });
    }

    fn read(&self) {
        self.lock(Access::Read);
        self.look();
        self.lock.unlock_as(Access::Read);
    }

    fn write(&self) {
        self.lock(Access::Write);
        self.count();
        self.lock.unlock_as(Access::Write);
    }

    fn upgrade(&self) {
        self.lock(Access::Upgradable);
        self.look();
        self.lock(Access::Upgrade);
        self.count();
        self.lock.exchange_share(Access::Write, Access::Read);
        self.look();
        self.lock.unlock_as(Access::Read);
    }
}

/// Runs these and one more at the same time: nobody is left waiting, and the lock is free in the
/// end.
fn run(others: &'static [fn(&Shared)], last: fn(&Shared), count: usize) {
    loom::model(move || {
        let shared = Shared::new();
        let others: Vec<_> = others
            .iter()
            .map(|f| {
                let shared = shared.clone();
                thread::spawn(move || f(&shared))
            })
            .collect();
        last(&shared);
        others.into_iter().for_each(|other| other.join().unwrap());
        // SAFETY: nobody else is left.
        assert_eq!(shared.count.with(|count| unsafe { *count }), count);
        assert_eq!(shared.lock.word.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn writers_and_a_reader() {
    run(&[Shared::write, Shared::read], Shared::write, 2);
}

#[test]
fn an_upgrade_beside_a_reader() {
    run(&[Shared::read], Shared::upgrade, 1);
}

#[test]
fn an_upgrade_beside_a_writer() {
    run(&[Shared::write], Shared::upgrade, 2);
}

/// A writer comes and leaves, answered or not: the reader behind it gets in.
#[test]
fn a_writer_gives_up() {
    fn give_up(shared: &Shared) {
        let mut future = RawAccess::new(&shared.lock, Access::Write);
        if future.poll(&Context::from_waker(Waker::noop())) == Poll::Ready(()) {
            shared.lock.unlock_as(Access::Write);
        }
    }

    run(&[give_up, Shared::read], Shared::read, 0);
}
