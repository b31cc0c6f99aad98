//! The user's park token, futures, and waits that block the thread.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use sedge::task;
use sedge_runtime as sedge;

use crate::support::{Count, bounded, eventually, runtime};

/// As long as no test runs.
const FOREVER: Duration = Duration::from_secs(86_400);

#[test]
fn an_unpark_before_the_park_is_kept_once() {
    bounded(|| {
        sedge::run(|| {
            let me = task::current();
            me.unpark();
            me.unpark();
            task::park();
            let start = Instant::now();
            task::park_timeout(Duration::from_millis(5));
            assert!(start.elapsed() >= Duration::from_millis(5), "two unparks are one token");
        });
    });
}

/// Every internal wait leaves the token where it is, and does not end early because of it.
#[test]
fn an_internal_wait_never_eats_the_token() {
    fn keeps_token(what: &str, wait: impl FnOnce()) {
        let me = task::current();
        me.unpark();
        wait();
        let start = Instant::now();
        task::park_timeout(FOREVER);
        assert!(start.elapsed() < Duration::from_secs(3600), "{what} has eaten the token");
    }

    bounded(|| {
        sedge::run(|| {
            keeps_token("sleep", || {
                let start = Instant::now();
                sedge::time::sleep(Duration::from_millis(3));
                assert!(start.elapsed() >= Duration::from_millis(3));
            });
            keeps_token("join", || {
                let slow = sedge::spawn(|| sedge::time::sleep(Duration::from_millis(3)));
                slow.join().unwrap();
            });
            keeps_token("blocking", || {
                assert_eq!(
                    sedge::blocking(|| {
                        std::thread::sleep(Duration::from_millis(3));
                        9
                    }),
                    9
                );
            });
            keeps_token("yield", task::yield_now);
            keeps_token("block_on", || {
                let mut polls = 0;
                task::block_on(poll_fn(|cx| {
                    polls += 1;
                    cx.waker().wake_by_ref();
                    if polls < 5 { Poll::Pending } else { Poll::Ready(()) }
                }));
            });
            keeps_token("no_park", || {
                task::no_park(|| sedge::time::sleep(Duration::from_millis(1)));
            });
        });
    });
}

/// An unpark that comes in the middle of an internal wait is there after it.
#[test]
fn a_token_that_comes_during_an_internal_wait_stays() {
    bounded(|| {
        let runtime = runtime(2);
        for round in 0..100 {
            let waiting = runtime.spawn(move || {
                if round % 2 == 0 {
                    sedge::time::sleep(Duration::from_micros(300));
                } else {
                    sedge::blocking(|| std::thread::sleep(Duration::from_micros(300)));
                }
                task::park();
            });
            waiting.task().unpark();
            waiting.join().unwrap();
        }
    });
}

/// Unparks from everywhere neither end an internal wait early nor hang it.
#[test]
fn internal_waits_under_a_storm_of_unparks() {
    bounded(|| {
        let runtime = runtime(2);
        let stop = Count::new();
        let seen = stop.clone();
        let waiting = runtime.spawn(move || {
            let start = Instant::now();
            let mut rounds = 0;
            while start.elapsed() < Duration::from_millis(300) || rounds < 50 {
                let begun = Instant::now();
                sedge::time::sleep(Duration::from_micros(500));
                assert!(begun.elapsed() >= Duration::from_micros(500), "ended early");
                let n = rounds;
                let child = sedge::spawn(move || {
                    task::yield_now();
                    n
                });
                assert_eq!(child.join().unwrap(), n);
                assert_eq!(sedge::blocking(move || n), n);
                rounds += 1;
            }
            seen.add();
        });
        // One without a pause, one with.
        let stormers = [Duration::ZERO, Duration::from_micros(20)].map(|pause| {
            let (handle, stop) = (waiting.task(), stop.clone());
            std::thread::spawn(move || {
                while !stop.is_set() {
                    handle.unpark();
                    if !pause.is_zero() {
                        std::thread::sleep(pause);
                    }
                }
            })
        });
        waiting.join().unwrap();
        stormers.into_iter().for_each(|stormer| stormer.join().unwrap());
    });
}

/// A joiner that is woken for nothing at the moment when its task ends still learns of it.
#[test]
fn a_join_under_a_storm_of_unparks() {
    bounded(|| {
        let runtime = runtime(4);
        let stop = Count::new();
        let joiner = {
            let stop = stop.clone();
            runtime.spawn(move || {
                let mut joined = 0_usize;
                let start = Instant::now();
                while start.elapsed() < Duration::from_secs(1) || joined < 1_000 {
                    let children: Vec<_> = (0..16).map(|n| sedge::spawn(move || n)).collect();
                    let sum: usize = children.into_iter().map(|child| child.join().unwrap()).sum();
                    assert_eq!(sum, 120);
                    joined += 16;
                }
                stop.add();
                joined
            })
        };
        let handle = joiner.task();
        let storm = std::thread::spawn(move || {
            while !stop.is_set() {
                handle.unpark();
            }
        });
        assert!(joiner.join().unwrap() >= 1_000);
        storm.join().unwrap();
    });
}

#[test]
fn park_timeout_ends_without_a_token() {
    bounded(|| {
        sedge::run(|| {
            for timeout in [0, 1, 2_000] {
                let (start, timeout) = (Instant::now(), Duration::from_micros(timeout));
                task::park_timeout(timeout);
                assert!(start.elapsed() >= timeout);
            }
            task::current().unpark();
            task::park_timeout(FOREVER);
            task::current().unpark();
            task::park_timeout(Duration::MAX);
        });
    });
}

/// Tokens that two tasks pass to each other, on one worker and across several.
#[test]
fn ping_pong() {
    bounded(|| {
        sedge::run(|| {
            let rounds = 5_000;
            let turn = Arc::new(AtomicUsize::new(0));
            let main = task::current();
            let seen = turn.clone();
            let other = sedge::spawn(move || {
                for round in 0..rounds {
                    while seen.load(Ordering::Relaxed) != 2 * round + 1 {
                        task::park();
                    }
                    seen.store(2 * round + 2, Ordering::Relaxed);
                    main.unpark();
                }
            });
            let partner = other.task();
            for round in 0..rounds {
                turn.store(2 * round + 1, Ordering::Relaxed);
                partner.unpark();
                while turn.load(Ordering::Relaxed) != 2 * round + 2 {
                    task::park();
                }
            }
            other.join().unwrap();
        });
    });
}

/// A future that leaves its waker to others, who use it from threads and tasks, by value and not.
#[test]
fn block_on_is_woken_from_other_threads() {
    fn rendezvous(rounds: usize) -> usize {
        let shared = Arc::new((AtomicUsize::new(0), Mutex::new(None::<Waker>)));
        let other = shared.clone();
        let thread = std::thread::spawn(move || {
            for round in 0..rounds {
                let waker = loop {
                    if let Some(waker) = other.1.lock().unwrap().take() {
                        break waker;
                    }
                    std::thread::yield_now();
                };
                other.0.fetch_add(1, Ordering::SeqCst);
                if round % 2 == 0 {
                    waker.wake();
                } else {
                    waker.wake_by_ref();
                    drop(waker);
                }
            }
        });
        for round in 1..=rounds {
            let mut waits = false;
            task::block_on(poll_fn(|cx| {
                if shared.0.load(Ordering::SeqCst) == round {
                    return Poll::Ready(());
                }
                if !std::mem::replace(&mut waits, true) {
                    *shared.1.lock().unwrap() = Some(cx.waker().clone());
                }
                Poll::Pending
            }));
        }
        thread.join().unwrap();
        shared.0.load(Ordering::SeqCst)
    }

    bounded(|| {
        assert_eq!(rendezvous(200), 200, "on a plain thread");
        let (root, task, blocked) = sedge::run(|| {
            let task = sedge::spawn(|| rendezvous(200));
            let root = task::no_park(|| rendezvous(20));
            (rendezvous(200), task.join().unwrap(), root)
        });
        assert_eq!((root, task, blocked), (200, 200, 20));
    });
}

/// The future is woken and then waits inside `poll`, which uses up the wake of the task.
#[test]
fn a_wait_inside_poll_takes_no_wake_from_block_on() {
    fn wait_in_poll() {
        let mut polls = 0;
        task::block_on(poll_fn(|cx| {
            polls += 1;
            if polls == 2 {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            sedge::time::sleep(Duration::from_millis(1));
            Poll::Pending
        }));
        assert_eq!(polls, 2);
    }

    bounded(|| {
        wait_in_poll();
        sedge::run(|| {
            wait_in_poll();
            sedge::spawn(wait_in_poll).join().unwrap();
            task::no_park(wait_in_poll);
        });
    });
}

/// In `no_park` the token still arrives, from another thread.
#[test]
fn park_in_no_park_waits_for_the_tasks_token() {
    bounded(|| {
        sedge::run(|| {
            let me = task::current();
            let thread = std::thread::spawn(move || me.unpark());
            task::no_park(task::park);
            thread.join().unwrap();
            task::no_park(|| task::park_timeout(Duration::from_millis(1)));
        });
    });
}

/// Nothing switches inside `no_park`: no queue-mate runs.
#[test]
fn nothing_runs_beside_no_park() {
    bounded(|| {
        let runtime = runtime(1);
        let ran = Count::new();
        let seen = ran.clone();
        let guarded = runtime.spawn(move || {
            let (told, started) = (seen.clone(), Count::new());
            let starts = started.clone();
            // Started, so that it is at home here and nowhere else.
            let mate = sedge::spawn(move || {
                starts.add();
                task::park();
                told.add();
            });
            eventually("the queue-mate is parked", || started.is_set());
            mate.task().unpark();
            task::no_park(|| {
                for _ in 0..10 {
                    task::yield_now();
                    sedge::time::sleep(Duration::from_micros(100));
                    task::park_timeout(Duration::from_micros(100));
                    sedge::blocking(|| ());
                }
                // More operations than the budget has.
                for _ in 0..1_000 {
                    task::current().unpark();
                    task::park();
                }
                assert_eq!(seen.get(), 0);
            });
            mate.join().unwrap();
        });
        guarded.join().unwrap();
        assert_eq!(ran.get(), 1);
    });
}

/// A waker outlives its task and its runtime; using it is nothing then.
#[test]
fn a_waker_outlives_its_task_and_its_runtime() {
    bounded(|| {
        let wakers = Arc::new(Mutex::new(Vec::new()));
        let held = Arc::new(());
        let mut handles = Vec::new();
        {
            let runtime = runtime(2);
            for n in 0..8 {
                let (left, held) = (wakers.clone(), held.clone());
                let task = runtime.spawn(move || {
                    let mut polls = 0;
                    task::block_on(poll_fn(|cx| {
                        let _of_the_users = &held;
                        left.lock().unwrap().push(cx.waker().clone());
                        polls += 1;
                        if polls == 2 { Poll::Ready(()) } else { Poll::Pending }
                    }));
                });
                handles.push(task.task());
                eventually("it has polled", || wakers.lock().unwrap().len() > 2 * n);
                wakers.lock().unwrap().last().unwrap().wake_by_ref();
                task.join().unwrap();
            }
        }
        assert_eq!(Arc::strong_count(&held), 1, "a waker holds no value of the user's");
        for handle in handles {
            handle.unpark();
            handle.unpark();
        }
        let wakers = std::mem::take(&mut *wakers.lock().unwrap());
        assert_eq!(wakers.len(), 16);
        for waker in wakers {
            waker.wake_by_ref();
            waker.wake_by_ref();
            waker.wake();
        }
    });
}
