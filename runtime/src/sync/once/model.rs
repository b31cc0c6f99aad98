//! `Once` under every interleaving.
#![expect(unsafe_code, reason = "what the closure writes is read")]

use std::future::poll_fn;

use loom::cell::UnsafeCell;
use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;

use super::{Once, Step};
use crate::wait::QueueKey;

struct Shared {
    once: Once,
    value: UnsafeCell<usize>,
}

impl Shared {
    fn call(&self, panics: bool) {
        loop {
            match self.once.begin(true) {
                Step::Run(running, state) => {
                    // SAFETY: nobody else is there meanwhile, which is what is modelled.
                    self.value.with_mut(|value| unsafe { *value += 1 });
                    if panics && !state.is_poisoned() {
                        return drop(running);
                    }
                    running.complete();
                }
                Step::Wait => {
                    let mut key = QueueKey::default();
                    let waiters = &self.once.waiters;
                    let ended = || self.once.runs_no_more();
                    block_on(poll_fn(|cx| waiters.poll_until(cx, &mut key, ended)));
                }
                Step::Return | Step::Panic => break,
            }
        }
        // SAFETY: it is complete, so nobody writes any more.
        self.value.with(|value| assert!(unsafe { *value } > 0));
    }
}

/// One at a time, until one has ended well; and all see what it did.
#[test]
fn it_runs_once() {
    for panics in [false, true] {
        loom::model(move || {
            let once = Once::new();
            let shared = Arc::new(Shared { once, value: UnsafeCell::new(0) });
            let others: Vec<_> = [panics, false]
                .into_iter()
                .map(|panics| {
                    let shared = shared.clone();
                    thread::spawn(move || shared.call(panics))
                })
                .collect();
            shared.call(false);
            others.into_iter().for_each(|other| other.join().unwrap());
            // SAFETY: nobody else is left.
            let runs = shared.value.with(|value| unsafe { *value });
            assert!(runs == 1 || panics && runs == 2);
        });
    }
}
