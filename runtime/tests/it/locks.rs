//! The mutex: who gets it, when, and what becomes of those who leave the line.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use sedge::runtime::Builder;
use sedge::sync::nonpoison::{self, MutexGuard};
use sedge::sync::{Arc, Mutex, RawMutex, TryLockError};
use sedge::task::{self, CancelToken, no_park};
use sedge::time::{sleep, timeout};
use sedge_runtime as sedge;

use crate::support::{Count, OnDrop, bounded, eventually, everywhere, runtime};

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(2);

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn smoke() {
    everywhere(|| {
        let mutex = Mutex::new(1);
        *mutex.lock().unwrap() += 1;
        assert!(matches!(mutex.try_lock(), Ok(guard) if *guard == 2));
        let guard = mutex.lock().unwrap();
        assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
        assert_eq!(format!("{mutex:?}"), "Mutex { data: <locked>, poisoned: false, .. }");
        assert_eq!(format!("{guard:?} {guard}"), "2 2");
        drop(guard);
        assert_eq!(format!("{mutex:?}"), "Mutex { data: 2, poisoned: false, .. }");
        assert_eq!(mutex.into_inner().unwrap(), 2);
    });
}

#[test]
fn its_time_is_over() {
    everywhere(|| {
        let mutex = Mutex::new(());
        let guard = mutex.lock().unwrap();
        let start = Instant::now();
        assert!(matches!(mutex.try_lock_for(SHORT), Err(TryLockError::WouldBlock)));
        assert!(start.elapsed() >= SHORT);
        assert!(mutex.try_lock_until(start).is_err());
        assert!(mutex.try_lock_for(Duration::ZERO).is_err());
        assert!(timeout(SHORT, || drop(mutex.lock())).is_err());
        drop(guard);
        // Those who have left are not waited for.
        for limit in [Duration::ZERO, SHORT, LONG, Duration::MAX] {
            assert!(mutex.try_lock_for(limit).is_ok());
        }
        assert!(mutex.try_lock_until(start).is_ok());
    });
}

/// Tasks, threads and futures, with limits and without.
#[test]
fn everyone_counts() {
    const EACH: usize = 500;
    for workers in [1, 2, 8] {
        bounded(move || {
            let mutex = Arc::new(Mutex::new(0));
            let given_up = Count::new();
            let count = {
                let (mutex, given_up) = (mutex.clone(), given_up.clone());
                move |kind: usize| {
                    for n in 0..EACH {
                        match (kind + n) % 4 {
                            0 => *mutex.lock().unwrap() += 1,
                            1 => *task::block_on(mutex.lock_async()).unwrap() += 1,
                            2 => match mutex.try_lock_for(Duration::from_micros(n as u64)) {
                                Ok(mut guard) => *guard += 1,
                                Err(_) => given_up.add(),
                            },
                            _ => {
                                let mut guard = mutex.lock().unwrap();
                                let before = *guard;
                                task::yield_now();
                                *guard = before + 1;
                            }
                        }
                    }
                }
            };
            let runtime = runtime(workers);
            let tasks: Vec<_> = (0..8)
                .map(|kind| {
                    let count = count.clone();
                    runtime.spawn(move || count(kind))
                })
                .collect();
            let threads: Vec<_> = (0..4)
                .map(|kind| {
                    let count = count.clone();
                    thread::spawn(move || count(kind))
                })
                .collect();
            tasks.into_iter().for_each(|task| task.join().unwrap());
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(*mutex.lock().unwrap() + given_up.get(), 12 * EACH);
        });
    }
}

#[test]
fn a_thousand_waiters_all_get_in() {
    for workers in [1, 2, 8] {
        bounded(move || {
            let runtime = runtime(workers);
            let mutex = Arc::new(Mutex::new(0));
            let begun = Count::new();
            let guard = mutex.lock().unwrap();
            let tasks: Vec<_> = (0..1000)
                .map(|_| {
                    let (mutex, begun) = (mutex.clone(), begun.clone());
                    runtime.spawn(move || {
                        begun.add();
                        *mutex.lock().unwrap() += 1;
                    })
                })
                .collect();
            eventually("all have begun", || begun.get() == 1000);
            drop(guard);
            tasks.into_iter().for_each(|task| task.join().unwrap());
            assert_eq!(*mutex.lock().unwrap(), 1000);
        });
    }
}

/// One that never leaves the lock alone hands it over all the same.
#[test]
fn nobody_loses_twice() {
    for workers in [1, 2] {
        bounded(move || {
            let runtime = runtime(workers);
            let mutex = Arc::new(Mutex::new(0));
            let done = Count::new();
            let busy: Vec<_> = (0..2)
                .map(|_| {
                    let (mutex, done) = (mutex.clone(), done.clone());
                    runtime.spawn(move || {
                        while done.get() < 100 {
                            let _guard = mutex.lock().unwrap();
                            // Held across a switch: who is woken meanwhile loses.
                            task::yield_now();
                        }
                    })
                })
                .collect();
            let waiting: Vec<_> = (0..100)
                .map(|_| {
                    let (mutex, done) = (mutex.clone(), done.clone());
                    runtime.spawn(move || {
                        *mutex.lock().unwrap() += 1;
                        done.add();
                    })
                })
                .collect();
            waiting.into_iter().chain(busy).for_each(|task| task.join().unwrap());
            assert_eq!(*mutex.lock().unwrap(), 100);
        });
    }
}

/// A waiter that was woken and comes too late is handed the lock by the next to unlock it.
#[test]
fn who_has_lost_is_handed_the_lock() {
    let mutex = nonpoison::Mutex::new(());
    let guard = mutex.lock();
    let mut first = pin!(mutex.lock_async());
    let mut second = pin!(mutex.lock_async());
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(poll_once(second.as_mut()).is_pending());
    drop(guard); // Wakes the first.
    let barging = mutex.try_lock().expect("it is free");
    assert!(poll_once(first.as_mut()).is_pending(), "it has lost");
    drop(barging);
    assert!(mutex.try_lock().is_none(), "it was handed over");
    let Poll::Ready(guard) = poll_once(first.as_mut()) else { panic!("it has the lock") };
    drop(guard); // Wakes the second.
    assert!(poll_once(second.as_mut()).is_ready());
}

/// Dropped in line, woken, or with the lock in hand: the next gets in.
#[test]
fn a_dropped_future_takes_nothing_with_it() {
    for fairly in [false, true] {
        for answered in [false, true] {
            let mutex = nonpoison::Mutex::new(());
            let guard = mutex.lock();
            let mut first = Box::pin(mutex.lock_async());
            let mut second = pin!(mutex.lock_async());
            assert!(poll_once(first.as_mut()).is_pending());
            assert!(poll_once(second.as_mut()).is_pending());
            let mut first = Some(first);
            if !answered {
                first = None;
            }
            if fairly {
                MutexGuard::unlock_fair(guard);
            } else {
                drop(guard);
            }
            drop(first);
            assert!(poll_once(second.as_mut()).is_ready());
            assert!(mutex.try_lock().is_some());
        }
    }
}

#[test]
fn a_cancelled_waiter_leaves_the_middle_of_the_line() {
    bounded(|| {
        Builder::new().workers(1).run(|| {
            let mutex = Arc::new(Mutex::new(Vec::new()));
            let guard = mutex.lock().unwrap();
            let token = CancelToken::new();
            let tasks: Vec<_> = (0..5)
                .map(|n| {
                    let (mutex, token) = (mutex.clone(), token.clone());
                    let task = task::spawn_local(move || match n {
                        3 => drop(token.run_until_cancelled(|| drop(mutex.lock()))),
                        _ => mutex.lock().unwrap().push(n),
                    });
                    task::yield_now(); // It is in line from then on.
                    task
                })
                .collect();
            tasks[1].cancel();
            token.cancel();
            task::yield_now();
            assert!(tasks[1].is_finished() && tasks[3].is_finished(), "they have left");
            drop(guard);
            let ends: Vec<_> = tasks.into_iter().map(|task| task.join().is_ok()).collect();
            assert_eq!(ends, [true, false, true, true, true]);
            assert_eq!(*mutex.lock().unwrap(), [0, 2, 4]);
        })
    })
    .unwrap();
}

/// Cancelled as it is woken: it has the lock, or somebody else gets it.
#[test]
fn a_waiter_is_cancelled_as_it_is_its_turn() {
    bounded(|| {
        let runtime = runtime(2);
        for round in 0..500 {
            let mutex = Arc::new(Mutex::new(0));
            let guard = mutex.lock().unwrap();
            let tasks: Vec<_> = (0..3)
                .map(|_| {
                    let mutex = mutex.clone();
                    runtime.spawn(move || *mutex.lock().unwrap() += 1)
                })
                .collect();
            for _ in 0..round % 50 {
                std::hint::spin_loop();
            }
            thread::scope(|scope| {
                scope.spawn(|| tasks[round % 3].cancel());
                drop(guard);
            });
            let got_in = tasks.into_iter().map(|task| task.join().is_ok()).filter(|ok| *ok).count();
            let count = *mutex.try_lock().expect("nobody holds it, dead or alive");
            assert!(got_in >= 2 && count == got_in, "{count} of {got_in}");
        }
    });
}

/// Nothing is raised while a task unwinds: a destructor has the lock when it says so.
#[test]
fn a_destructor_locks_in_mid_unwind() {
    bounded(|| {
        Builder::new().workers(1).run(|| {
            let mutex = Arc::new(Mutex::new(0));
            let guard = mutex.lock().unwrap();
            let unwinding = task::spawn_local({
                let mutex = mutex.clone();
                move || {
                    let _locks = OnDrop(|| *mutex.lock().unwrap() += 1);
                    task::park();
                }
            });
            task::yield_now();
            unwinding.cancel();
            task::yield_now(); // It is in line, in its destructor.
            unwinding.cancel();
            drop(guard);
            assert!(unwinding.join().is_err());
            assert_eq!(*mutex.lock().unwrap(), 1);
        })
    })
    .unwrap();
}

#[test]
fn a_lock_blocks_the_thread_inside_no_park() {
    bounded(|| {
        let mutex = Arc::new(Mutex::new(0));
        let (locked, is_locked) = mpsc::channel();
        let (go, may_go) = mpsc::channel();
        let holder = thread::spawn({
            let mutex = mutex.clone();
            move || {
                let mut guard = mutex.lock().unwrap();
                locked.send(()).unwrap();
                may_go.recv().unwrap();
                *guard += 1;
            }
        });
        is_locked.recv().unwrap();
        let ran = Count::new();
        Builder::new()
            .workers(1)
            .run(|| {
                let other = sedge::spawn({
                    let ran = ran.clone();
                    move || ran.add()
                });
                no_park(|| {
                    assert!(mutex.try_lock_for(SHORT).is_err());
                    go.send(()).unwrap();
                    *mutex.lock().unwrap() += 1;
                    assert_eq!(ran.get(), 0, "another task ran on this worker");
                });
                other.join().unwrap();
            })
            .unwrap();
        holder.join().unwrap();
        assert_eq!(*mutex.lock().unwrap(), 2);
    });
}

/// lock_api locks again in a destructor and relies on it: a cancelled task waits there.
#[test]
fn a_guard_that_was_unlocked_for_a_while_is_right_again() {
    bounded(|| {
        Builder::new().workers(1).run(|| {
            let mutex = Arc::new(nonpoison::Mutex::new(0));
            let unlocked = task::spawn_local({
                let mutex = mutex.clone();
                move || {
                    let mut guard = mutex.lock();
                    MutexGuard::unlocked(&mut guard, || {
                        let _ = std::panic::catch_unwind(task::park);
                    });
                    *guard += 1;
                    MutexGuard::bump(&mut guard);
                    *guard += 1;
                    drop(guard);
                    task::park(); // And is ended here.
                }
            });
            task::yield_now();
            let guard = mutex.lock();
            unlocked.cancel();
            for _ in 0..10 {
                task::yield_now();
                assert_eq!(*guard, 0, "two at a time");
            }
            drop(guard);
            assert!(unlocked.join().is_err());
            assert_eq!(*mutex.lock(), 2);
        })
    })
    .unwrap();
}

/// A guard may be given away, and a lock is bound to no runtime.
#[test]
fn guards_change_hands() {
    static MUTEX: nonpoison::Mutex<u32> = nonpoison::Mutex::new(0);
    bounded(|| {
        let (one, other) = (runtime(1), runtime(1));
        let mut guard = MUTEX.lock();
        *guard += 1;
        let waiting = one.spawn(|| *MUTEX.lock() += 1);
        let unlocking = other.spawn(move || drop(guard));
        unlocking.join().unwrap();
        waiting.join().unwrap();
        assert_eq!(*MUTEX.lock(), 2);
    });
}

#[test]
fn guards_migrate_with_their_task() {
    bounded(|| {
        let runtime = runtime(4);
        let mutex = Arc::new(Mutex::new(0));
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let mutex = mutex.clone();
                // SAFETY: it touches no thread-local around a wait but through the runtime, and
                // keeps nothing of a thread's over one.
                let builder = unsafe { task::Builder::new().migrating(true) };
                let work = move || {
                    for _ in 0..500 {
                        let mut guard = mutex.lock().unwrap();
                        let before = *guard;
                        task::yield_now();
                        *guard = before + 1;
                    }
                };
                runtime.spawn(move || builder.spawn(work).unwrap())
            })
            .collect();
        tasks.into_iter().for_each(|task| task.join().unwrap().join().unwrap());
        assert_eq!(*mutex.lock().unwrap(), 4_000);
    });
}

/// The same seed, the same order.
#[test]
fn a_seed_repeats_the_order() {
    let order = |seed| {
        bounded(move || {
            Builder::new().seed(seed).run(|| {
                let mutex = Arc::new(Mutex::new(Vec::new()));
                let tasks: Vec<_> = (0..20)
                    .map(|n| {
                        let mutex = mutex.clone();
                        sedge::spawn(move || {
                            for _ in 0..5 {
                                let mut guard = mutex.lock().unwrap();
                                sleep(Duration::from_millis(n));
                                guard.push(n);
                            }
                        })
                    })
                    .collect();
                tasks.into_iter().for_each(|task| task.join().unwrap());
                Arc::into_inner(mutex).unwrap().into_inner().unwrap()
            })
        })
        .unwrap()
    };
    for seed in 0..20 {
        let first = order(seed);
        assert_eq!(first.len(), 100);
        assert_eq!(first, order(seed), "seed {seed}");
    }
}

/// What lock_api's types do with it, for other crates.
#[test]
fn as_a_raw_lock() {
    bounded(|| {
        let mutex = Arc::new(lock_api::Mutex::<RawMutex, _>::new(0));
        sedge::run(|| {
            let guard = mutex.lock();
            assert!(mutex.try_lock_for(SHORT).is_none());
            let other = sedge::spawn({
                let mutex = mutex.clone();
                move || *mutex.lock() += 1
            });
            drop(guard);
            other.join().unwrap();
        });
        assert_eq!(format!("{:?}", *mutex.lock()), "1");
    });
}
