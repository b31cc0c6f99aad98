//! The mutex under every interleaving.
#![expect(unsafe_code, reason = "what the lock guards is touched")]

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use loom::cell::UnsafeCell;
use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;

use super::{RawLock, RawMutex};

struct Shared {
    mutex: RawMutex,
    /// Two at a time are found by loom.
    count: UnsafeCell<usize>,
}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self { mutex: RawMutex::new(), count: UnsafeCell::new(0) })
    }

    /// Holding the lock.
    fn count(&self) {
        // SAFETY: only the holder does that, which is what is modelled.
        self.count.with_mut(|count| unsafe { *count += 1 });
    }

    fn lock_and_count(&self) {
        let mut lock = RawLock::new(&self.mutex);
        block_on(poll_fn(|cx| lock.poll(cx)));
        drop(lock);
        self.count();
        self.mutex.unlock_as(false);
    }
}

fn spawn(shared: &Arc<Shared>, f: fn(&Shared)) -> thread::JoinHandle<()> {
    let shared = shared.clone();
    thread::spawn(move || f(&shared))
}

/// Everyone gets in, alone: if a wake were lost the model would not end.
#[test]
fn two_lock_it() {
    loom::model(|| {
        let shared = Shared::new();
        let other = spawn(&shared, |shared| {
            shared.lock_and_count();
            shared.lock_and_count();
        });
        shared.lock_and_count();
        other.join().unwrap();
        // SAFETY: nobody else is left.
        assert_eq!(shared.count.with(|count| unsafe { *count }), 3);
        assert_eq!(shared.mutex.holder(), None);
    });
}

/// A third comes and leaves, answered or not, and takes nobody's turn with it.
#[test]
fn one_gives_up() {
    loom::model(|| {
        let shared = Shared::new();
        let other = spawn(&shared, Shared::lock_and_count);
        let leaving = spawn(&shared, |shared| {
            let mut lock = RawLock::new(&shared.mutex);
            if lock.poll(&Context::from_waker(Waker::noop())) == Poll::Ready(()) {
                shared.count();
                shared.mutex.unlock_as(false);
            }
        });
        shared.lock_and_count();
        other.join().unwrap();
        leaving.join().unwrap();
        // SAFETY: nobody else is left.
        let count = shared.count.with(|count| unsafe { *count });
        assert!((2..=3).contains(&count), "{count}");
        assert_eq!(shared.mutex.holder(), None);
    });
}

/// As the first, unlocked fairly.
#[test]
fn it_is_handed_over() {
    loom::model(|| {
        let shared = Shared::new();
        let other = spawn(&shared, Shared::lock_and_count);
        let mut lock = RawLock::new(&shared.mutex);
        block_on(poll_fn(|cx| lock.poll(cx)));
        drop(lock);
        shared.count();
        shared.mutex.unlock_as(true);
        other.join().unwrap();
        assert_eq!(shared.mutex.holder(), None);
    });
}
