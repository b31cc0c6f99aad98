//! Tasks that borrow.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use sedge::task::{self, CancelToken, Cancelled, scope, try_scope};
use sedge::time::{sleep, timeout};
use sedge_runtime as sedge;

use crate::support::{Count, Inside, OnDrop, bounded, eventually, everywhere, runtime};

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(3600);

#[test]
fn tasks_borrow() {
    everywhere(|| {
        let mut numbers = vec![1, 2, 3];
        let (sum, len) = scope(|s| {
            let sum = s.spawn(|| numbers.iter().sum::<i32>());
            let len = s.spawn(|| numbers.len());
            (sum.join().unwrap(), len.join().unwrap())
        });
        numbers.push(4);
        assert_eq!((sum, len), (6, 3));
    });
}

#[test]
fn the_end_waits_for_all() {
    everywhere(|| {
        let (inside, done) = (Inside::default(), Count::new());
        scope(|s| {
            for _ in 0..20 {
                let (inside, done) = (&inside, &done);
                s.spawn(move || {
                    let _inside = inside.enter();
                    sleep(SHORT);
                    // A task of the scope spawns another.
                    s.spawn(move || {
                        let _inside = inside.enter();
                        task::yield_now();
                        done.add();
                    });
                });
            }
        });
        assert_eq!((inside.get(), done.get()), (0, 20));
    });
}

#[test]
fn scopes_nest() {
    everywhere(|| {
        let total = AtomicUsize::new(0);
        scope(|outer| {
            for _ in 0..5 {
                outer.spawn(|| {
                    let local = AtomicUsize::new(0);
                    scope(|inner| {
                        for n in 0..5 {
                            let local = &local;
                            inner.spawn(move || local.fetch_add(n, Ordering::Relaxed));
                        }
                    });
                    total.fetch_add(local.into_inner(), Ordering::Relaxed);
                });
            }
        });
        assert_eq!(total.into_inner(), 50);
    });
}

#[test]
fn a_panic_of_the_owner_waits_too() {
    everywhere(|| {
        let inside = Inside::default();
        let caught = catch_unwind(AssertUnwindSafe(|| {
            scope(|s| {
                s.spawn(|| {
                    let _inside = inside.enter();
                    sleep(SHORT);
                });
                resume_unwind(Box::new(7_u8));
            })
        }));
        assert_eq!(*caught.unwrap_err().downcast::<u8>().unwrap(), 7);
        assert_eq!(inside.get(), 0);
    });
}

#[test]
fn a_panic_of_a_task() {
    everywhere(|| {
        // Joined: it is the joiner's to deal with.
        scope(|s| {
            let task = s.spawn(|| resume_unwind(Box::new(7_u8)));
            let () = assert_eq!(*task.join().unwrap_err().downcast::<u8>().unwrap(), 7);
        });
        // Not joined: it goes on in the owner, whether the handle is dropped before or after.
        for early in [true, false] {
            let caught = catch_unwind(|| {
                scope(|s| {
                    let task = s.spawn(|| resume_unwind(Box::new(())));
                    if !early {
                        eventually("it has ended", || task.is_finished());
                    }
                    drop(task);
                });
            });
            assert!(caught.is_err());
        }
        // Cancelled: that is no panic.
        scope(|s| s.spawn(task::park).cancel());
        scope(|s| {
            let task = s.spawn(task::park);
            task.cancel();
            eventually("it has ended", || task.is_finished());
        });
    });
}

/// What has ended is dropped before the scope ends, with what the result borrows.
#[test]
fn results_that_borrow() {
    everywhere(|| {
        let inside = Inside::default();
        scope(|s| {
            let kept = s.spawn(|| inside.enter());
            s.spawn(|| inside.enter());
            assert!(kept.join().is_ok());
        });
        assert_eq!(inside.get(), 0);
    });
}

#[test]
fn a_cancelled_owner_cancels_its_tasks() {
    bounded(|| {
        let runtime = runtime(2);
        for in_body in [true, false] {
            let ended = Count::new();
            let owner = runtime.spawn({
                let ended = ended.clone();
                move || {
                    let inside = Inside::default();
                    let _end = OnDrop(|| {
                        assert_eq!(inside.get(), 0);
                        ended.add();
                    });
                    scope(|s| {
                        for _ in 0..10 {
                            s.spawn(|| inside.park());
                        }
                        s.spawn(|| scope(|s| drop(s.spawn(|| inside.park()))));
                        if in_body {
                            task::park();
                        }
                    });
                    unreachable!("it was cancelled");
                }
            });
            eventually("they run", || runtime.metrics().homes.iter().sum::<usize>() >= 12);
            owner.cancel();
            assert!(owner.join().unwrap_err().is::<Cancelled>());
            assert_eq!(ended.get(), 1);
        }
    });
}

#[test]
fn a_timeout_around_a_scope() {
    everywhere(|| {
        let inside = Inside::default();
        let in_end = timeout(SHORT, || {
            scope(|s| {
                s.spawn(|| inside.park());
                s.spawn(|| scope(|s| drop(s.spawn(|| inside.park()))));
            });
        });
        assert!(in_end.is_err());
        assert_eq!(inside.get(), 0);
        let in_body = timeout(SHORT, || {
            scope(|s| {
                s.spawn(|| inside.park());
                task::park();
            });
        });
        assert!(in_body.is_err());
        assert_eq!(inside.get(), 0);
    });
}

/// The owner is shielded and tells nobody, but its tasks know the deadline.
#[test]
fn deadlines_are_inherited() {
    everywhere(|| {
        let done = Count::new();
        let result = timeout(SHORT, || {
            scope(|s| {
                let task = s.spawn(task::park);
                let nested = s.spawn(|| scope(|s| s.spawn(task::park).join()));
                task::shield(|| {
                    assert!(task.join().unwrap_err().is::<Cancelled>());
                    assert!(nested.join().unwrap_err().is::<Cancelled>());
                    done.add();
                });
            });
        });
        assert!(result.is_err());
        assert_eq!(done.get(), 1);
    });
}

/// It is the scope that governs a task, and not the place where it is spawned.
#[test]
fn a_limit_around_a_spawn_is_not_the_tasks() {
    everywhere(|| {
        let finished = Count::new();
        let result = try_scope(|s| {
            let spawned = timeout(SHORT, || {
                s.spawn(|| {
                    sleep(2 * SHORT);
                    finished.add();
                    Ok::<_, ()>(())
                });
            });
            assert!(spawned.is_ok());
            Ok(())
        });
        assert_eq!((result, finished.get()), (Ok(()), 1));
    });
}

/// A task that sees the deadline first ends, and wakes who joins it: no `Cancelled` of its own.
#[test]
fn joins_under_an_inherited_deadline() {
    const ROUNDS: usize = 20;
    everywhere(|| {
        for _ in 0..ROUNDS {
            let joined = AtomicUsize::new(0);
            let result = timeout(SHORT, || {
                scope(|s| {
                    let checking = s.spawn(|| {
                        loop {
                            task::check();
                        }
                    });
                    let _: Result<(), _> = checking.join();
                    joined.fetch_add(1, Ordering::SeqCst);
                });
            });
            assert!(result.is_err());
            assert_eq!(joined.into_inner(), 0);
        }
    });
}

/// A destructor in mid-unwind is not ended, and neither are the tasks that it needs.
#[test]
fn a_scope_in_mid_unwind() {
    everywhere(|| {
        let done = Count::new();
        let result = timeout(SHORT, || {
            let _on_drop = OnDrop(|| {
                scope(|s| {
                    s.spawn(|| {
                        sleep(SHORT);
                        done.add();
                    });
                });
            });
            task::park();
        });
        assert!(result.is_err());
        assert_eq!(done.get(), 1);
    });
}

#[test]
fn a_token_around_a_scope() {
    everywhere(|| {
        let (token, inside) = (CancelToken::new(), Inside::default());
        let result = token.run_until_cancelled(|| {
            scope(|s| {
                for _ in 0..5 {
                    s.spawn(|| inside.park());
                }
                s.spawn(|| {
                    eventually("they run", || inside.get() == 5);
                    token.cancel();
                });
            });
        });
        assert!(result.is_err());
        assert_eq!(inside.get(), 0);
    });
}

/// A shield around a scope holds back what would end it.
#[test]
fn a_shielded_scope() {
    everywhere(|| {
        let done = Count::new();
        let result = timeout(SHORT, || {
            task::shield(|| {
                scope(|s| {
                    s.spawn(|| {
                        sleep(4 * SHORT);
                        done.add();
                    });
                });
                done.add();
            });
            task::check();
        });
        assert!(result.is_err());
        assert_eq!(done.get(), 2);
    });
}

/// Where it is written to may wait, and the tasks that end meanwhile are not held up.
#[test]
fn a_scope_is_written_slowly() {
    struct Slow;

    impl std::fmt::Write for Slow {
        fn write_str(&mut self, _: &str) -> std::fmt::Result {
            sleep(Duration::from_millis(1));
            Ok(())
        }
    }

    bounded(|| {
        let on_one = sedge::runtime::Builder::new().workers(1);
        let written = on_one.run(|| {
            scope(|s| {
                let tasks: Vec<_> =
                    (0..100).map(|n| s.spawn(move || sleep(Duration::from_millis(n)))).collect();
                while tasks.iter().any(|task| !task.is_finished()) {
                    std::fmt::write(&mut Slow, format_args!("{s:?}")).unwrap();
                }
            });
        });
        written.unwrap();
    });
}

/// Spawned into a scope that is cancelled already: it does not begin.
#[test]
fn a_late_task_of_a_cancelled_scope() {
    everywhere(|| {
        let (token, inside, begun) = (CancelToken::new(), Inside::default(), Count::new());
        let result = token.run_until_cancelled(|| {
            scope(|s| {
                s.spawn(|| {
                    let _spawn = OnDrop(|| {
                        s.spawn(|| begun.add());
                    });
                    inside.park();
                });
                eventually("it runs", || inside.get() == 1);
                token.cancel();
            });
        });
        assert!(result.is_err());
        assert_eq!(begun.get(), 0);
    });
}

/// Many owners, many tasks, all that may end them at once, and the worker's threads compete.
#[test]
fn stress() {
    const OWNERS: usize = 200;
    bounded(|| {
        let runtime = runtime(2);
        let owners: Vec<_> = (0..OWNERS)
            .map(|n| {
                runtime.spawn(move || {
                    let inside = Inside::default();
                    let limit = Duration::from_micros((n % 10 * 100) as u64);
                    let result = timeout(limit, || {
                        try_scope(|s| {
                            for m in 0..10 {
                                let inside = &inside;
                                s.spawn(move || {
                                    let _inside = inside.enter();
                                    match (n + m) % 4 {
                                        0 => sleep(Duration::from_micros(200)),
                                        1 => task::yield_now(),
                                        2 if m > 7 => return Err(m),
                                        _ => task::park_timeout(LONG),
                                    }
                                    Ok(())
                                });
                            }
                            Ok(())
                        })
                    });
                    assert_eq!(inside.get(), 0);
                    result.is_err()
                })
            })
            .collect();
        for (n, owner) in owners.into_iter().enumerate() {
            if n % 3 == 0 {
                owner.cancel();
            }
            match owner.join() {
                Ok(_) => {}
                Err(payload) => assert!(payload.is::<Cancelled>()),
            }
        }
    });
}

/// A waker outlives its task, its scope and its runtime: nothing of the user's is left in it, and
/// waking it is nothing.
#[test]
fn a_stale_waker() {
    bounded(|| {
        let captured = Arc::new(());
        let waker = sedge::run(|| {
            let slot = Mutex::new(None);
            scope(|s| {
                let captured = captured.clone();
                let slot = &slot;
                let task = s.spawn(move || {
                    let _captured = captured;
                    // Parks once it has left its waker.
                    task::block_on(poll_fn(|cx| {
                        *slot.lock().unwrap() = Some(cx.waker().clone());
                        Poll::<()>::Pending
                    }));
                });
                eventually("it has left its waker", || slot.lock().unwrap().is_some());
                task.cancel();
            });
            let waker: Waker = slot.into_inner().unwrap().unwrap();
            assert_eq!(Arc::strong_count(&captured), 1);
            waker.wake_by_ref();
            task::yield_now();
            waker
        });
        waker.wake_by_ref();
        drop(waker.clone());
        waker.wake();
    });
}
