//! Much of everything, and every count exact.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sedge::task;
use sedge_runtime as sedge;

use crate::support::{Count, bounded, runtime};

/// Trees of tasks: every inner one spawns four and joins them.
#[test]
fn spawn_join_trees() {
    fn tree(depth: u32) -> usize {
        if depth == 0 {
            return 1;
        }
        let children: Vec<_> = (0..4).map(|_| sedge::spawn(move || tree(depth - 1))).collect();
        1 + children.into_iter().map(|child| child.join().unwrap()).sum::<usize>()
    }

    bounded(|| {
        assert_eq!(sedge::run(|| tree(6)), (4_usize.pow(7) - 1) / 3);
        let runtime = runtime(8);
        let trees: Vec<_> = (0..4).map(|_| runtime.spawn(|| tree(5))).collect();
        for tree in trees {
            assert_eq!(tree.join().unwrap(), (4_usize.pow(6) - 1) / 3);
        }
    });
}

/// Tokens go round a ring of tasks that live on different workers.
#[test]
fn unpark_storm_around_rings() {
    const RING: usize = 32;
    const LAPS: usize = 100;
    bounded(|| {
        let runtime = runtime(4);
        let counts: Arc<Vec<AtomicUsize>> = Arc::new((0..RING).map(|_| 0.into()).collect());
        let tasks: Vec<_> = (0..RING)
            .map(|me| {
                let counts = counts.clone();
                runtime.spawn(move || {
                    // Each waits until the one before it is a lap ahead, or level for the first.
                    for lap in 1..=LAPS {
                        let before = (me + RING - 1) % RING;
                        let wanted = if me == 0 { lap - 1 } else { lap };
                        while counts[before].load(Ordering::Acquire) < wanted {
                            task::park();
                        }
                        counts[me].store(lap, Ordering::Release);
                        // Whom to wake is told below, by the storm.
                        task::yield_now();
                    }
                })
            })
            .collect();
        let handles: Vec<_> = tasks.iter().map(|task| task.task()).collect();
        let storm = std::thread::spawn(move || {
            while Arc::strong_count(&counts) > 1 {
                handles.iter().for_each(task::Task::unpark);
            }
            counts
        });
        tasks.into_iter().for_each(|task| task.join().unwrap());
        let counts = storm.join().unwrap();
        assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == LAPS));
    });
}

/// Every token that is given is taken: pairs across workers, each unpark answered.
#[test]
fn every_unpark_is_answered() {
    const PAIRS: usize = 16;
    const ROUNDS: usize = 500;
    bounded(|| {
        let runtime = runtime(4);
        let total = Count::new();
        let pairs: Vec<_> = (0..PAIRS)
            .map(|_| {
                let total = total.clone();
                runtime.spawn(move || {
                    let asker = task::current();
                    let (asked, answered) = (Count::new(), Count::new());
                    let (question, answer) = (asked.clone(), answered.clone());
                    let other = sedge::spawn(move || {
                        for round in 1..=ROUNDS {
                            while question.get() < round {
                                task::park();
                            }
                            answer.add();
                            asker.unpark();
                        }
                    });
                    let handle = other.task();
                    for round in 1..=ROUNDS {
                        asked.add();
                        handle.unpark();
                        while answered.get() < round {
                            task::park();
                        }
                        total.add();
                    }
                    other.join().unwrap();
                })
            })
            .collect();
        pairs.into_iter().for_each(|pair| pair.join().unwrap());
        assert_eq!(total.get(), PAIRS * ROUNDS);
    });
}

/// Spawned from tasks and threads at once; every one runs once.
#[test]
fn stampede() {
    let tasks: usize =
        if std::env::var_os("SEDGE_TEST_MILLION").is_some() { 250_000 } else { 5_000 };
    bounded(move || {
        let runtime = Arc::new(runtime(4));
        let ran = Count::new();
        let from_threads: Vec<_> = (0..2)
            .map(|_| {
                let (runtime, ran) = (runtime.clone(), ran.clone());
                std::thread::spawn(move || {
                    for _ in 0..tasks {
                        let ran = ran.clone();
                        drop(runtime.spawn(move || ran.add()));
                    }
                })
            })
            .collect();
        let from_tasks: Vec<_> = (0..2)
            .map(|_| {
                let ran = ran.clone();
                runtime.spawn(move || {
                    for _ in 0..tasks {
                        let ran = ran.clone();
                        drop(sedge::spawn(move || ran.add()));
                    }
                })
            })
            .collect();
        from_threads.into_iter().for_each(|thread| thread.join().unwrap());
        from_tasks.into_iter().for_each(|task| task.join().unwrap());
        crate::support::eventually("all have run", || ran.get() >= 4 * tasks);
        drop(Arc::try_unwrap(runtime).expect("nobody else has it"));
        assert_eq!(ran.get(), 4 * tasks);
    });
}

/// Everything at once: sleeps, joins, `blocking`, yields, and parks with timeouts that may fire.
#[test]
fn a_mixture() {
    bounded(|| {
        let done = sedge::run(|| {
            let tasks: Vec<_> = (0..200_u64)
                .map(|n| {
                    sedge::spawn(move || {
                        let mut sum = 0;
                        for round in 0..20 {
                            sum += match (n + round) % 6 {
                                0 => sedge::blocking(move || round),
                                1 => sedge::spawn(move || round).join().unwrap(),
                                2 => {
                                    sedge::time::sleep(Duration::from_micros(n));
                                    round
                                }
                                3 => {
                                    task::park_timeout(Duration::from_micros(n % 50));
                                    round
                                }
                                4 => task::no_park(|| round),
                                _ => {
                                    task::yield_now();
                                    round
                                }
                            };
                        }
                        sum
                    })
                })
                .collect();
            tasks.into_iter().map(|task| task.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(done, vec![190; 200]);
    });
}

/// Runtimes that come and go, several at a time, with tasks that speak to each other across them.
#[test]
fn runtimes_come_and_go() {
    bounded(|| {
        let ended = Count::new();
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let ended = ended.clone();
                std::thread::spawn(move || {
                    for round in 0..20 {
                        let (one, other) = (runtime(1 + round % 2), runtime(1 + round % 3));
                        let seen = ended.clone();
                        let parked = one.spawn(move || {
                            task::park();
                            seen.add();
                        });
                        let handle = parked.task();
                        let waker = other.spawn(move || handle.unpark());
                        let joiner = other.spawn(move || parked.join().unwrap());
                        waker.join().unwrap();
                        joiner.join().unwrap();
                        if round % 2 == 0 {
                            drop(one);
                        } else {
                            drop(other);
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(ended.get(), 60);
    });
}
