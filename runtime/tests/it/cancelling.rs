//! Cancelling a task.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sedge::task::{self, Cancelled, JoinHandle};
use sedge::time::sleep;
use sedge_runtime as sedge;

use crate::support::{Count, OnDrop, bounded, eventually, runtime};

fn is_cancelled<T: std::fmt::Debug>(result: std::thread::Result<T>) -> bool {
    result.unwrap_err().is::<Cancelled>()
}

/// Spawns `f`, and waits until it has begun.
fn spawn_begun<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let begun = Count::new();
    let task = sedge::spawn({
        let begun = begun.clone();
        move || {
            begun.add();
            f()
        }
    });
    eventually("it has begun", || begun.get() == 1);
    task
}

#[test]
fn a_parked_task() {
    bounded(|| {
        sedge::run(|| {
            let dropped = Count::new();
            let task = spawn_begun({
                let dropped = dropped.clone();
                move || {
                    let _drop = OnDrop(|| dropped.add());
                    task::park();
                }
            });
            task.cancel();
            task.cancel();
            assert!(is_cancelled(task.join()));
            assert_eq!(dropped.get(), 1);
        });
    });
}

/// From a plain thread, while the task may be in any state.
#[test]
fn stress_from_a_thread() {
    const ROUNDS: usize = 3_000;
    bounded(|| {
        let runtime = runtime(2);
        let dropped = Count::new();
        for round in 0..ROUNDS {
            let task = runtime.spawn({
                let dropped = dropped.clone();
                move || {
                    let _drop = OnDrop(|| dropped.add());
                    loop {
                        match round % 3 {
                            0 => task::park(),
                            1 => task::yield_now(),
                            _ => sleep(Duration::from_micros(1)),
                        }
                    }
                }
            });
            if round % 2 == 0 {
                std::thread::yield_now();
            }
            task.cancel();
            assert!(is_cancelled(task.join()));
        }
        assert!(dropped.get() <= ROUNDS);
    });
}

/// It never begins, and what it captured is dropped in the task.
#[test]
fn a_fresh_task() {
    bounded(|| {
        sedge::run(|| {
            let (began, dropped) = (Count::new(), Count::new());
            let captured = OnDrop({
                let dropped = dropped.clone();
                move || dropped.add()
            });
            let task = sedge::spawn({
                let began = began.clone();
                move || {
                    let _captured = captured;
                    began.add();
                }
            });
            task.cancel();
            // Another worker may have begun it.
            let result = task.join();
            assert_eq!(result.is_ok(), began.get() == 1);
            assert_eq!(dropped.get(), 1);
        });
    });
}

#[test]
fn one_that_has_ended_keeps_its_result() {
    bounded(|| {
        sedge::run(|| {
            let task = sedge::spawn(|| 7);
            eventually("it has ended", || task.is_finished());
            task.cancel();
            assert_eq!(task.join().unwrap(), 7);
        });
    });
}

#[test]
fn oneself() {
    bounded(|| {
        sedge::run(|| {
            let (sender, receiver) = std::sync::mpsc::channel::<JoinHandle<()>>();
            let (done, after) = (Count::new(), Count::new());
            let task = sedge::spawn({
                let (done, after) = (done.clone(), after.clone());
                move || {
                    let _done = OnDrop(|| done.add());
                    let me = sedge::blocking(move || receiver.recv().unwrap());
                    me.cancel();
                    after.add(); // No cancellation point lies between.
                    task::check();
                    after.add();
                }
            });
            sender.send(task).unwrap();
            eventually("it has ended", || done.get() == 1);
            assert_eq!(after.get(), 1);
        });
    });
}

#[test]
fn a_shield_holds_it_back() {
    bounded(|| {
        sedge::run(|| {
            let (shielded, after) = (Count::new(), Count::new());
            let task = spawn_begun({
                let (shielded, after) = (shielded.clone(), after.clone());
                move || {
                    task::shield(|| {
                        task::park();
                        assert!(task::is_cancelled());
                        task::yield_now();
                        shielded.add();
                    });
                    after.add();
                    task::park();
                    after.add();
                }
            });
            let handle = task.task();
            task.cancel();
            handle.unpark();
            assert!(is_cancelled(task.join()));
            assert_eq!((shielded.get(), after.get()), (1, 1));
        });
    });
}

#[test]
fn one_that_swallows_it_is_told_again() {
    bounded(|| {
        sedge::run(|| {
            let told = Count::new();
            let task = spawn_begun({
                let told = told.clone();
                move || {
                    for _ in 0..5 {
                        assert!(is_cancelled(catch_unwind(task::park)));
                        told.add();
                    }
                    task::park();
                }
            });
            task.cancel();
            assert!(is_cancelled(task.join()));
            assert_eq!(told.get(), 5);
        });
    });
}

/// Its destructors all wait, and each runs to its end.
#[test]
fn a_vector_of_values_whose_destructors_wait() {
    const VALUES: usize = 20;
    static DROPPED: AtomicUsize = AtomicUsize::new(0);

    struct Waits;

    impl Drop for Waits {
        fn drop(&mut self) {
            sleep(Duration::from_micros(100));
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }

    bounded(|| {
        sedge::run(|| {
            let task = spawn_begun(|| {
                let _values: Vec<_> = (0..VALUES).map(|_| Waits).collect();
                task::park();
            });
            task.cancel();
            assert!(is_cancelled(task.join()));
            assert_eq!(DROPPED.load(Ordering::Relaxed), VALUES);
        });
    });
}

/// Who joins is cancelled; the task that it waited for goes on.
#[test]
fn a_joiner() {
    bounded(|| {
        sedge::run(|| {
            let ended = Count::new();
            let joiner = spawn_begun({
                let ended = ended.clone();
                move || {
                    let inner = sedge::spawn(move || {
                        sleep(Duration::from_millis(5));
                        ended.add();
                    });
                    inner.join().unwrap();
                }
            });
            joiner.cancel();
            assert!(is_cancelled(joiner.join()));
            eventually("the other has ended", || ended.get() == 1);
        });
    });
}

/// The user's token and the runtime's own wakes are apart.
#[test]
fn unpark_is_not_eaten_by_another_wait() {
    bounded(|| {
        sedge::run(|| {
            let task = spawn_begun(|| {
                // None of these takes the token.
                sleep(Duration::from_millis(2));
                sedge::blocking(|| std::thread::sleep(Duration::from_millis(1)));
                sedge::spawn(|| sleep(Duration::from_millis(1))).join().unwrap();
                let _ = sedge::time::timeout(Duration::from_millis(1), || sleep(Duration::MAX));
                task::park();
            });
            task.task().unpark();
            task.join().unwrap();
        });
    });
}

/// Nothing that is cancelled is left in a queue: the next waiter gets what there is.
#[test]
fn a_crowd_of_waiters_on_one_source() {
    use std::io::{Read, Write};
    const TASKS: usize = 100;
    bounded(|| {
        sedge::run(|| {
            let (near, mut far) = std::os::unix::net::UnixStream::pair().unwrap();
            let near = std::sync::Arc::new(sedge::io::Source::new(near).unwrap());
            let got = Count::new();
            let spawn = |_| {
                let (near, got) = (near.clone(), got.clone());
                sedge::spawn(move || {
                    near.read_with(|mut s| s.read(&mut [0])).unwrap();
                    got.add();
                })
            };
            let tasks: Vec<_> = (0..TASKS).map(spawn).collect();
            for (n, task) in tasks.iter().enumerate() {
                if n % 10 != 0 {
                    task.cancel();
                }
                if n % 10 == 5 {
                    far.write_all(b".").unwrap();
                    task::yield_now();
                }
            }
            // A byte may have gone to one that was cancelled only after it had read.
            far.write_all(&[0; TASKS]).unwrap();
            let results: Vec<_> = tasks.into_iter().map(|task| task.join().is_ok()).collect();
            assert_eq!(results.iter().filter(|ok| **ok).count(), got.get());
            assert!(got.get() >= TASKS / 10);
        });
    });
}

/// A panic hook is not run for a cancellation, and the panic count is right afterwards.
#[test]
fn no_message_and_no_count() {
    bounded(|| {
        sedge::run(|| {
            let task = spawn_begun(|| {
                let caught = catch_unwind(AssertUnwindSafe(task::park));
                assert!(!std::thread::panicking());
                drop(caught);
            });
            task.cancel();
            assert!(task.join().is_ok(), "it has swallowed it and returned");
        });
    });
}

/// The pool fills a buffer on the task's stack: the task is not unwound before that is over.
#[test]
fn while_the_pool_works_for_it() {
    bounded(|| {
        sedge::run(|| {
            let (began, filled) = (Count::new(), Count::new());
            let task = spawn_begun({
                let (began, filled) = (began.clone(), filled.clone());
                move || {
                    let mut buffer = [0_u8; 1_000];
                    sedge::blocking(|| {
                        began.add();
                        for byte in &mut buffer {
                            std::thread::sleep(Duration::from_micros(10));
                            *byte = 7;
                        }
                        filled.add();
                    });
                    task::park();
                }
            });
            eventually("the pool has begun", || began.get() == 1);
            task.cancel();
            assert!(is_cancelled(task.join()));
            assert_eq!(filled.get(), 1);
        });
    });
}

/// An unpark is for `park` alone: it ends no other wait.
#[test]
fn unpark_ends_no_other_wait() {
    bounded(|| {
        sedge::run(|| {
            let gate = Count::new();
            let task = spawn_begun({
                let gate = gate.clone();
                move || {
                    let inner = sedge::spawn(move || eventually("it opens", || gate.get() == 1));
                    inner.join().unwrap();
                    let slept = std::time::Instant::now();
                    sleep(Duration::from_millis(5));
                    assert!(slept.elapsed() >= Duration::from_millis(5));
                    task::park(); // The token of them all.
                }
            });
            for _ in 0..10 {
                task.task().unpark();
                task::yield_now();
            }
            assert!(!task.is_finished());
            gate.add();
            let unparked = task.task();
            eventually("it has ended", || {
                unparked.unpark();
                task.is_finished()
            });
            task.join().unwrap();
        });
    });
}
