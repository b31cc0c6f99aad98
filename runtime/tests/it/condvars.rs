//! Condition variables: no notification is lost, and guards are right whatever ends a wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sedge::runtime::Builder;
use sedge::sync::{Condvar, Mutex, nonpoison};
use sedge::task::{self, CancelToken};
use sedge::time::timeout;
use sedge_runtime as sedge;

use crate::support::{Count, OnDrop, bounded, eventually, everywhere, runtime};

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(2);

#[test]
fn its_time_is_over() {
    everywhere(|| {
        let (mutex, condvar) = (Mutex::new(0), Condvar::new());
        let start = Instant::now();
        let (guard, result) = condvar.wait_timeout(mutex.lock().unwrap(), SHORT).unwrap();
        assert!(result.timed_out() && start.elapsed() >= SHORT);
        let (guard, result) = condvar.wait_until(guard, start).unwrap();
        assert!(result.timed_out());
        let (guard, result) = condvar.wait_timeout_while(guard, SHORT, |n| *n == 0).unwrap();
        assert!(result.timed_out());
        let (guard, result) = condvar.wait_timeout_while(guard, LONG, |n| *n == 1).unwrap();
        assert!(!result.timed_out());
        assert!(mutex.try_lock().is_err(), "the guard holds it");
        drop(guard);
        assert!(timeout(SHORT, || drop(condvar.wait(mutex.lock().unwrap()))).is_err());
        assert_eq!(*mutex.try_lock().unwrap(), 0);
        condvar.notify_one();
        condvar.notify_all();
    });
}

/// In the order in which they came, one for each notification.
#[test]
fn one_by_one_and_all_at_once() {
    for workers in [1, 2, 8] {
        bounded(move || {
            let runtime = runtime(workers);
            let shared = Arc::new((nonpoison::Mutex::new((0, 0)), nonpoison::Condvar::new()));
            let tasks: Vec<_> = (0..100)
                .map(|_| {
                    let shared = shared.clone();
                    runtime.spawn(move || {
                        let (mutex, condvar) = &*shared;
                        let mut guard = mutex.lock();
                        guard.0 += 1;
                        condvar.wait(&mut guard);
                        guard.1 += 1;
                    })
                })
                .collect();
            let (mutex, condvar) = &*shared;
            eventually("all wait", || mutex.lock().0 == 100);
            for woken in 1..=10 {
                let guard = mutex.lock();
                assert!(condvar.notify_one());
                drop(guard);
                eventually("one is woken", || mutex.lock().1 == woken);
            }
            assert_eq!(condvar.notify_all(), 90);
            tasks.into_iter().for_each(|task| task.join().unwrap());
            assert!(!condvar.notify_one());
            assert_eq!(mutex.lock().1, 100);
        });
    }
}

#[test]
fn a_bounded_buffer() {
    const EACH: usize = 2_000;
    for workers in [1, 2, 8] {
        bounded(move || {
            let buffer = Mutex::new(Vec::new());
            let (pushed, popped) = (Condvar::new(), Condvar::new());
            let sum = Count::new();
            let run = Builder::new().workers(workers).run(|| {
                task::scope(|scope| {
                    for _ in 0..4 {
                        scope.spawn(|| {
                            for _ in 0..EACH {
                                let full = |items: &mut Vec<_>| items.len() == 3;
                                let mut items =
                                    popped.wait_while(buffer.lock().unwrap(), full).unwrap();
                                items.push(1);
                                pushed.notify_one();
                            }
                        });
                        scope.spawn(|| {
                            for _ in 0..EACH {
                                let empty = |items: &mut Vec<_>| items.is_empty();
                                let mut items =
                                    pushed.wait_while(buffer.lock().unwrap(), empty).unwrap();
                                items.pop();
                                drop(items);
                                popped.notify_one();
                                sum.add();
                            }
                        });
                    }
                });
            });
            run.unwrap();
            assert_eq!(sum.get(), 4 * EACH);
        });
    }
}

/// Cancelled while it waits, it takes the lock again, in mid-unwind: its guard is right.
#[test]
fn a_cancelled_waiter_has_the_lock_again() {
    bounded(|| {
        Builder::new().workers(1).run(|| {
            let shared = Arc::new((nonpoison::Mutex::new(0), nonpoison::Condvar::new()));
            let seen = Count::new();
            let waiting = task::spawn_local({
                let (shared, seen) = (shared.clone(), seen.clone());
                move || {
                    let (mutex, condvar) = &*shared;
                    let mut guard = mutex.lock();
                    let looks = OnDrop(|| {
                        *guard += 1;
                        assert!(mutex.try_lock().is_none(), "the guard holds it");
                        seen.add();
                    });
                    let _looks = looks;
                    // The guard is the destructor's: this one is of another mutex.
                    let other = nonpoison::Mutex::new(());
                    let mut other = other.lock();
                    condvar.wait(&mut other);
                }
            });
            let holding = task::spawn_local({
                let shared = shared.clone();
                move || {
                    let mut guard = shared.0.lock();
                    shared.1.wait(&mut guard);
                }
            });
            task::yield_now();
            waiting.cancel();
            assert!(waiting.join().is_err());
            assert_eq!(seen.get(), 1);
            task::yield_now(); // The other waits to be notified.
            let guard = shared.0.lock();
            holding.cancel();
            for _ in 0..10 {
                task::yield_now();
                assert!(!holding.is_finished(), "it waits for the lock, though it unwinds");
            }
            drop(guard);
            assert!(holding.join().is_err());
            assert_eq!(*shared.0.try_lock().expect("it was unlocked"), 1);
        })
    })
    .unwrap();
}

/// Two wait, and one is told to end just as one is notified. Whoever is not ended is notified.
#[test]
fn a_notification_is_not_lost() {
    bounded(|| {
        let runtime = runtime(2);
        for round in 0..2_000_usize {
            let shared = Arc::new((nonpoison::Mutex::new(0), nonpoison::Condvar::new()));
            let token = CancelToken::new();
            let notified = Count::new();
            let tasks: Vec<_> = (0..2)
                .map(|n| {
                    let (shared, token, notified) =
                        (shared.clone(), token.clone(), notified.clone());
                    runtime.spawn(move || {
                        let wait = || {
                            let (mutex, condvar) = &*shared;
                            let mut guard = mutex.lock();
                            *guard += 1;
                            if n == 0 && round % 2 == 0 {
                                let timeout = Duration::from_micros(round as u64 % 100);
                                if condvar.wait_for(&mut guard, timeout).timed_out() {
                                    return;
                                }
                            } else {
                                condvar.wait(&mut guard);
                            }
                            notified.add();
                        };
                        if n == 0 { drop(token.run_until_cancelled(wait)) } else { wait() }
                    })
                })
                .collect();
            eventually("both wait", || *shared.0.lock() == 2);
            let cancelling = runtime.spawn(move || token.cancel());
            let had_one = shared.1.notify_one();
            assert!(had_one, "one of them waits for good");
            cancelling.join().unwrap();
            eventually("one is notified", || notified.get() == 1);
            shared.1.notify_all();
            tasks.into_iter().for_each(|task| task.join().unwrap());
        }
    });
}
