//! The re-entrant mutex: it tells tasks of one worker apart.

use std::cell::Cell;
use std::collections::HashSet;
use std::thread;

use lock_api::GetThreadId;
use sedge::runtime::Builder;
use sedge::sync::{Arc, Mutex, RawTaskId, ReentrantMutex};
use sedge::task;
use sedge_runtime as sedge;

use crate::support::{bounded, runtime};

#[test]
fn tasks_of_one_worker_take_turns() {
    for workers in [1, 2, 8] {
        bounded(move || {
            let mutex = Arc::new(ReentrantMutex::new(Cell::new(0)));
            let go = {
                let mutex = mutex.clone();
                move || {
                    for _ in 0..50 {
                        let outer = mutex.lock();
                        let before = outer.get();
                        task::yield_now();
                        let inner = mutex.try_lock().expect("it is ours");
                        inner.set(before + 1);
                        drop(outer);
                        task::yield_now();
                        assert_eq!(inner.get(), before + 1, "somebody else was there");
                    }
                }
            };
            let runtime = runtime(workers);
            let tasks: Vec<_> = (0..20).map(|_| runtime.spawn(go.clone())).collect();
            let threads: Vec<_> = (0..2).map(|_| thread::spawn(go.clone())).collect();
            tasks.into_iter().for_each(|task| task.join().unwrap());
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(mutex.lock().get(), 22 * 50);
        });
    }
}

/// Of several runtimes, alive and gone, and of threads.
#[test]
fn no_two_have_the_same_number() {
    bounded(|| {
        let seen = Arc::new(Mutex::new(HashSet::new()));
        let look = {
            let seen = seen.clone();
            move || {
                let number = RawTaskId.nonzero_thread_id();
                assert!(seen.lock().unwrap().insert(number), "{number} was there before");
                task::yield_now();
                assert_eq!(number, RawTaskId.nonzero_thread_id());
            }
        };
        for _ in 0..5 {
            let (one, other) = (runtime(1), runtime(2));
            let tasks: Vec<_> = (0..20)
                .flat_map(|_| [one.spawn(look.clone()), other.spawn(look.clone())])
                .collect();
            tasks.into_iter().for_each(|task| task.join().unwrap());
            thread::spawn(look.clone()).join().unwrap();
            Builder::new().workers(1).run(&look).unwrap();
        }
        assert_eq!(seen.lock().unwrap().len(), 5 * 42);
    });
}
