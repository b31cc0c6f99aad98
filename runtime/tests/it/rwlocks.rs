//! The reader-writer lock: first come, first served, and what becomes of those who leave the line.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicIsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use sedge::runtime::Builder;
use sedge::sync::nonpoison::{self, RwLockUpgradableReadGuard, RwLockWriteGuard};
use sedge::sync::{Arc, PoisonError, RawRwLock, RwLock, TryLockError};
use sedge::task;
use sedge::time::{sleep, timeout};
use sedge_runtime as sedge;

use crate::support::{Count, bounded, eventually, everywhere, runtime};

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(2);

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn smoke() {
    everywhere(|| {
        let lock = RwLock::new(1);
        {
            let (one, other) = (lock.read().unwrap(), lock.try_read().unwrap());
            assert_eq!((*one, *other), (1, 1));
            assert!(matches!(lock.try_write(), Err(TryLockError::WouldBlock)));
            assert_eq!(format!("{lock:?}"), "RwLock { data: 1, poisoned: false, .. }");
        }
        let mut writing = lock.write().unwrap();
        *writing += 1;
        assert!(lock.try_read().is_err() && lock.try_write().is_err());
        assert_eq!(format!("{lock:?}"), "RwLock { data: <locked>, poisoned: false, .. }");
        let reading = sedge::sync::RwLockWriteGuard::downgrade(writing);
        assert_eq!(*reading + *lock.read().unwrap(), 4);
        drop(reading);
        assert_eq!(lock.into_inner().unwrap(), 2);
    });
}

#[test]
fn their_time_is_over() {
    everywhere(|| {
        let lock = nonpoison::RwLock::new(());
        let writing = lock.write();
        assert!(lock.try_read_for(SHORT).is_none());
        assert!(lock.try_write_for(SHORT).is_none());
        assert!(timeout(SHORT, || drop(lock.read())).is_err());
        assert!(timeout(SHORT, || drop(lock.upgradable_read())).is_err());
        drop(writing);
        let reading = lock.upgradable_read();
        let other = lock.read();
        assert!(lock.try_write_for(SHORT).is_none());
        let reading = RwLockUpgradableReadGuard::try_upgrade_for(reading, SHORT).unwrap_err();
        // Who has given up keeps nobody out.
        assert!(lock.try_read().is_some());
        drop(other);
        assert!(RwLockUpgradableReadGuard::try_upgrade(reading).is_ok());
        assert!(lock.try_write().is_some());
    });
}

/// As many as there are in the lock, negative for a writer.
fn inside(state: &AtomicIsize, is_writing: bool) {
    let before = state.fetch_add(if is_writing { -1000 } else { 1 }, Ordering::SeqCst);
    assert!(if is_writing { before == 0 } else { before >= 0 }, "{before} inside");
    task::yield_now();
    state.fetch_sub(if is_writing { -1000 } else { 1 }, Ordering::SeqCst);
}

/// Tasks, threads and futures, with limits and without.
#[test]
fn nobody_writes_beside_others() {
    for workers in [1, 2, 8] {
        bounded(move || {
            let shared = Arc::new((nonpoison::RwLock::new(0), AtomicIsize::new(0)));
            let written = Count::new();
            let go = {
                let (shared, written) = (shared.clone(), written.clone());
                move |kind: usize| {
                    let (lock, state) = &*shared;
                    for n in 0..200 {
                        match (kind + n) % 7 {
                            0 => {
                                let mut guard = lock.write();
                                inside(state, true);
                                *guard += 1;
                                written.add();
                            }
                            1 => {
                                let mut guard = task::block_on(lock.write_async());
                                *guard += 1;
                                inside(state, true);
                                written.add();
                                let guard = RwLockWriteGuard::downgrade(guard);
                                inside(state, false);
                                drop(guard);
                            }
                            2 => {
                                if let Some(_guard) = lock.try_write_for(Duration::from_micros(20))
                                {
                                    inside(state, true);
                                }
                            }
                            3 => {
                                let _guard = task::block_on(lock.read_async());
                                inside(state, false);
                            }
                            4 => {
                                let guard = lock.upgradable_read();
                                inside(state, false);
                                let mut guard = RwLockUpgradableReadGuard::upgrade(guard);
                                inside(state, true);
                                *guard += 1;
                                written.add();
                                let guard = RwLockWriteGuard::downgrade_to_upgradable(guard);
                                inside(state, false);
                                drop(guard);
                            }
                            5 => {
                                if let Some(_guard) = lock.try_read_for(Duration::from_micros(20)) {
                                    inside(state, false);
                                }
                            }
                            _ => {
                                let _guard = lock.read();
                                let _again = lock.read_recursive();
                                inside(state, false);
                            }
                        }
                    }
                }
            };
            let runtime = runtime(workers);
            let tasks: Vec<_> = (0..8)
                .map(|kind| {
                    let go = go.clone();
                    runtime.spawn(move || go(kind))
                })
                .collect();
            let threads: Vec<_> = (0..4)
                .map(|kind| {
                    let go = go.clone();
                    thread::spawn(move || go(kind))
                })
                .collect();
            tasks.into_iter().for_each(|task| task.join().unwrap());
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(*shared.0.try_write().expect("all have left"), written.get());
        });
    }
}

#[test]
fn a_thousand_waiters_all_get_in() {
    for workers in [1, 2, 8] {
        bounded(move || {
            let runtime = runtime(workers);
            let lock = Arc::new(RwLock::new(0));
            let (begun, read) = (Count::new(), Count::new());
            let guard = lock.write().unwrap();
            let tasks: Vec<_> = (0..1000)
                .map(|n| {
                    let (lock, begun, read) = (lock.clone(), begun.clone(), read.clone());
                    runtime.spawn(move || {
                        begun.add();
                        if n % 4 == 0 {
                            *lock.write().unwrap() += 1;
                        } else {
                            let _guard = lock.read().unwrap();
                            read.add();
                        }
                    })
                })
                .collect();
            eventually("all have begun", || begun.get() == 1000);
            drop(guard);
            tasks.into_iter().for_each(|task| task.join().unwrap());
            assert_eq!((*lock.read().unwrap(), read.get()), (250, 750));
        });
    }
}

#[test]
fn first_come_first_served() {
    let lock = nonpoison::RwLock::new(());
    let reading = lock.read();
    let mut first_writer = pin!(lock.write_async());
    let (mut one, mut other) = (pin!(lock.read_async()), pin!(lock.read_async()));
    let mut second_writer = pin!(lock.write_async());
    let mut last = pin!(lock.read_async());
    assert!(poll_once(first_writer.as_mut()).is_pending());
    assert!(lock.try_read().is_none(), "the writer in line keeps it out");
    assert!(lock.try_read_recursive().is_some(), "but who reads already");
    assert!(poll_once(one.as_mut()).is_pending() && poll_once(other.as_mut()).is_pending());
    assert!(poll_once(second_writer.as_mut()).is_pending());
    assert!(poll_once(last.as_mut()).is_pending());
    drop(reading);
    let Poll::Ready(writing) = poll_once(first_writer.as_mut()) else { panic!("it comes first") };
    assert!(poll_once(one.as_mut()).is_pending());
    drop(writing);
    let (Poll::Ready(one), Poll::Ready(other)) =
        (poll_once(one.as_mut()), poll_once(other.as_mut()))
    else {
        panic!("they go in together");
    };
    drop(one);
    assert!(poll_once(second_writer.as_mut()).is_pending());
    assert!(poll_once(last.as_mut()).is_pending());
    drop(other);
    let Poll::Ready(writing) = poll_once(second_writer.as_mut()) else { panic!("it is its turn") };
    drop(writing);
    assert!(poll_once(last.as_mut()).is_ready());
    assert!(lock.try_write().is_some());
}

/// Who stands behind one that leaves may go with those who hold the lock.
#[test]
fn readers_go_in_once_a_writer_has_left_the_line() {
    let lock = nonpoison::RwLock::new(());
    let reading = lock.read();
    let mut writer = Box::pin(lock.write_async());
    let mut behind = pin!(lock.read_async());
    assert!(poll_once(writer.as_mut()).is_pending() && poll_once(behind.as_mut()).is_pending());
    drop(writer);
    assert!(poll_once(behind.as_mut()).is_ready());
    drop(reading);
    // Dropped with the lock in hand.
    let writing = lock.write();
    let mut writer = Box::pin(lock.write_async());
    let mut behind = pin!(lock.read_async());
    assert!(poll_once(writer.as_mut()).is_pending() && poll_once(behind.as_mut()).is_pending());
    drop(writing);
    drop(writer);
    assert!(poll_once(behind.as_mut()).is_ready());
}

#[test]
fn who_upgrades_comes_first() {
    static LOCK: nonpoison::RwLock<Vec<&str>> = nonpoison::RwLock::new(Vec::new());
    bounded(|| {
        Builder::new().workers(1).run(|| {
            let reading = LOCK.read();
            let upgradable = LOCK.upgradable_read();
            assert!(LOCK.try_upgradable_read().is_none(), "one at a time");
            let writing = task::spawn_local(|| LOCK.write().push("written"));
            task::yield_now(); // It is in line.
            let reader = task::spawn_local(|| LOCK.read().len());
            let let_go = task::spawn_local(|| drop(reading));
            RwLockUpgradableReadGuard::upgrade(upgradable).push("upgraded");
            let_go.join().unwrap();
            writing.join().unwrap();
            assert_eq!(reader.join().unwrap(), 2);
            assert_eq!(*LOCK.read(), ["upgraded", "written"]);
        })
    })
    .unwrap();
}

#[test]
fn a_cancelled_waiter_leaves_the_middle_of_the_line() {
    bounded(|| {
        Builder::new().workers(1).run(|| {
            let lock = Arc::new(RwLock::new(0));
            let reading = lock.read().unwrap();
            let read = Count::new();
            let spawn = |writes: bool| {
                let (lock, read) = (lock.clone(), read.clone());
                let task = task::spawn_local(move || {
                    if writes {
                        *lock.write().unwrap() += 1;
                    } else {
                        drop(lock.read().unwrap());
                        read.add();
                    }
                });
                task::yield_now(); // It is in line from then on, or done.
                task
            };
            let tasks = [spawn(true), spawn(false), spawn(true), spawn(false), spawn(true)];
            assert_eq!(read.get(), 0);
            tasks[2].cancel();
            task::yield_now();
            assert!(tasks[2].is_finished());
            assert_eq!(read.get(), 0);
            tasks[0].cancel();
            // The readers behind it go in beside this one, up to the last writer.
            eventually("they read", || read.get() == 2);
            assert!(!tasks[4].is_finished());
            drop(reading);
            let ends = tasks.map(|task| task.join().is_ok());
            assert_eq!(ends, [false, true, false, true, true]);
            assert_eq!(*lock.read().unwrap(), 1);
        })
    })
    .unwrap();
}

#[test]
fn a_writer_is_cancelled_as_it_is_its_turn() {
    bounded(|| {
        let runtime = runtime(2);
        for round in 0..500 {
            let lock = Arc::new(RwLock::new(0));
            let guard = lock.write().unwrap();
            let tasks: Vec<_> = (0..4)
                .map(|n| {
                    let lock = lock.clone();
                    runtime.spawn(move || match n % 2 {
                        0 => *lock.write().unwrap() += 1,
                        _ => drop(lock.read().unwrap()),
                    })
                })
                .collect();
            thread::scope(|scope| {
                scope.spawn(|| tasks[round % 4].cancel());
                drop(guard);
            });
            let ends: Vec<_> = tasks.into_iter().map(|task| task.join().is_ok()).collect();
            assert!(ends.iter().filter(|ended| **ended).count() >= 3);
            let count = *lock.try_write().expect("nobody holds it, dead or alive");
            assert_eq!(count, ends.iter().step_by(2).filter(|ended| **ended).count());
        }
    });
}

#[test]
fn what_poisons_it() {
    everywhere(|| {
        let mut lock = RwLock::new(1);
        let reading = catch_unwind(AssertUnwindSafe(|| {
            let _guard = lock.read();
            panic!("while it reads");
        }));
        let ended = timeout(SHORT, || {
            let _guard = lock.write();
            sleep(LONG);
        });
        assert!(reading.is_err() && ended.is_err() && !lock.is_poisoned());
        let writing = catch_unwind(AssertUnwindSafe(|| {
            let _guard = lock.write();
            panic!("while it writes");
        }));
        assert!(writing.is_err() && lock.is_poisoned());
        assert!(matches!(lock.try_read(), Err(TryLockError::Poisoned(_))));
        assert!(lock.get_mut().is_err() && lock.write().is_err());
        let guard = lock.read().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(*guard, 1);
        drop(guard);
        lock.clear_poison();
        assert!(lock.into_inner().is_ok());
    });
}

/// What lock_api's types do with it, for other crates.
#[test]
fn as_a_raw_lock() {
    bounded(|| {
        let lock = lock_api::RwLock::<RawRwLock, _>::new(0);
        sedge::run(|| {
            task::scope(|scope| {
                for _ in 0..10 {
                    scope.spawn(|| *lock.write() += 1);
                    scope.spawn(|| {
                        let mut guard = lock.read();
                        lock_api::RwLockReadGuard::bump(&mut guard);
                        assert!(*guard <= 10);
                    });
                }
            });
        });
        assert_eq!(lock.into_inner(), 10);
    });
}
