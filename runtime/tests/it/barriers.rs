//! Barriers: rounds do not mix, each has one leader, and who is ended is not waited with.

use std::time::Duration;

use sedge::runtime::Builder;
use sedge::sync::{Arc, Barrier};
use sedge::task;
use sedge::time::timeout;
use sedge_runtime as sedge;

use crate::support::{Count, bounded, runtime};

#[test]
fn many_rounds() {
    const ROUNDS: usize = 200;
    for (workers, parties) in [(1, 10), (2, 3), (8, 16), (2, 0), (1, 1)] {
        bounded(move || {
            let runtime = runtime(workers);
            let barrier = Arc::new(Barrier::new(parties));
            let (came, led) = (Count::new(), Count::new());
            let parties = parties.max(1);
            let go = {
                let (came, led) = (came.clone(), led.clone());
                move || {
                    for round in 1..=ROUNDS {
                        came.add();
                        if barrier.wait().is_leader() {
                            led.add();
                        }
                        assert!(came.get() >= round * parties, "somebody was not waited for");
                        assert!(came.get() < (round + 1) * parties + 1, "rounds mix");
                    }
                }
            };
            let tasks: Vec<_> = (1..parties).map(|_| runtime.spawn(go.clone())).collect();
            go(); // A plain thread is one of them.
            tasks.into_iter().for_each(|task| task.join().unwrap());
            assert_eq!((came.get(), led.get()), (ROUNDS * parties, ROUNDS));
        });
    }
}

#[test]
fn who_is_ended_counts_no_longer() {
    bounded(|| {
        Builder::new().workers(1).run(|| {
            let barrier = Arc::new(Barrier::new(3));
            let passed = Count::new();
            let spawn = || {
                let (barrier, passed) = (barrier.clone(), passed.clone());
                let task = task::spawn_local(move || {
                    barrier.wait();
                    passed.add();
                });
                task::yield_now(); // It waits from then on, or has passed.
                task
            };
            for _ in 0..10 {
                assert!(timeout(Duration::from_millis(1), || barrier.wait()).is_err());
            }
            let (first, second) = (spawn(), spawn());
            first.cancel();
            assert!(first.join().is_err());
            let third = spawn();
            assert_eq!(passed.get(), 0, "two of three wait");
            assert!(barrier.wait().is_leader());
            [second, third].into_iter().for_each(|task| task.join().unwrap());
            assert_eq!(passed.get(), 2);
        })
    })
    .unwrap();
}
