//! Tasks that migrate, and what keeps them in place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sedge::runtime::Runtime;
use sedge::task::{self, Builder, JoinHandle};
use sedge_runtime as sedge;

use crate::support::{
    Count, added_workers_are_to_go, bounded, eventually, hog_until, runtime, thread_id,
};

fn spawn_migrating<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    // SAFETY: what these tests spawn touches no thread-local around a wait but through the runtime,
    // and keeps nothing of a thread's over one.
    unsafe { Builder::new().migrating(true) }.spawn(f).expect("there is room")
}

/// Waits until this task runs on another thread than `thread`, or has tried `tries` times.
fn move_away_from(thread: i64, tries: usize) -> bool {
    (0..tries).any(|_| {
        task::yield_now();
        thread_id() != thread
    })
}

/// A task that shares its worker with a hog goes on elsewhere, and is itself there.
#[test]
fn a_migrating_task_leaves_a_hog_behind() {
    bounded(|| {
        for _ in 0..5 {
            let runtime = runtime(2);
            let moved = Count::new();
            let told = moved.clone();
            let migrant = runtime.spawn(move || {
                spawn_migrating(move || {
                    let (id, begun) = (task::current().id(), thread_id());
                    while thread_id() == begun {
                        task::yield_now();
                        assert_eq!(task::current().id(), id);
                    }
                    told.add();
                })
            });
            let migrant = migrant.join().unwrap();
            // Whatever worker the migrant is on is stuck in the end, and the other one, too. On a
            // busy machine an extra worker may have come and taken a hog: then there is one more.
            let (started, mut hogs) = (Count::new(), Vec::new());
            eventually("the migrant has moved", || {
                if started.get() == hogs.len() {
                    let (started, moved) = (started.clone(), moved.clone());
                    hogs.push(runtime.spawn(move || {
                        started.add();
                        hog_until("the migrant has moved", || moved.is_set());
                    }));
                }
                moved.is_set()
            });
            hogs.into_iter().for_each(|hog| hog.join().unwrap());
            migrant.join().unwrap();
            assert_eq!(moved.get(), 1);
        }
    });
}

/// A pinned task comes back to the thread that it was pinned on, not to the one it began on.
#[test]
fn stay_home_holds_where_the_task_is_now() {
    bounded(|| {
        let runtime = runtime(4);
        let stop = Arc::new(AtomicBool::new(false));
        let pinned_elsewhere = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..16)
            .map(|_| {
                let (stop, pinned_elsewhere) = (stop.clone(), pinned_elsewhere.clone());
                runtime.spawn(move || {
                    spawn_migrating(move || {
                        let begun = thread_id();
                        let mut rounds = 0;
                        while !stop.load(Ordering::Relaxed) {
                            let moved = move_away_from(begun, 100);
                            task::stay_home(|| {
                                let here = thread_id();
                                for _ in 0..4 {
                                    sedge::time::sleep(Duration::from_micros(20));
                                    assert_eq!(thread_id(), here, "a pinned task has moved");
                                    task::yield_now();
                                    assert_eq!(thread_id(), here, "a pinned task has moved");
                                }
                            });
                            pinned_elsewhere.fetch_add(usize::from(moved), Ordering::Relaxed);
                            rounds += 1;
                            if rounds > 2_000 {
                                break;
                            }
                        }
                    })
                })
            })
            .map(|spawned| spawned.join().unwrap())
            .collect();
        eventually("100 pins away from where the task began", || {
            pinned_elsewhere.load(Ordering::Relaxed) >= 100
                || tasks.iter().all(JoinHandle::is_finished)
        });
        stop.store(true, Ordering::Relaxed);
        tasks.into_iter().for_each(|task| task.join().unwrap());
        assert!(pinned_elsewhere.load(Ordering::Relaxed) >= 100);
    });
}

/// A task that migrates and is parked inside `stay_home` on a worker that the monitor has added to
/// `runtime`, of one worker, and that is to go. It ends with the threads that it was on before and
/// after.
fn pinned_where_the_worker_is_to_go(runtime: &Runtime) -> JoinHandle<(i64, i64)> {
    let (started, pinned) = (Count::new(), Count::new());
    let hog = runtime.spawn({
        let (started, pinned) = (started.clone(), pinned.clone());
        move || {
            started.add();
            hog_until("the migrant is pinned elsewhere", || pinned.is_set());
            thread_id()
        }
    });
    eventually("the hog runs", || started.is_set());
    let pin = move || {
        task::stay_home(|| {
            let before = thread_id();
            pinned.add();
            task::park();
            (before, thread_id())
        })
    };
    let migrant = runtime.run(|| spawn_migrating(pin)).unwrap();
    added_workers_are_to_go(runtime, hog.join().unwrap());
    migrant
}

/// Inside `stay_home` a migrating task keeps an added worker as a home task does, so that there is
/// one to resume it.
#[test]
fn a_pinned_task_is_not_lost_with_an_added_worker() {
    bounded(|| {
        let runtime = runtime(1);
        let migrant = pinned_where_the_worker_is_to_go(&runtime);
        migrant.task().unpark();
        let (before, after) = migrant.join().unwrap();
        assert_eq!(before, after);
    });
}

/// Nor does a guest that takes an added worker's place resume the task that is pinned there.
#[test]
fn a_pinned_task_is_not_resumed_by_a_guest() {
    bounded(|| {
        let runtime = runtime(1);
        let migrant = pinned_where_the_worker_is_to_go(&runtime);
        migrant.task().unpark();
        eventually("the migrant has ended", || {
            runtime.run(|| sedge::time::sleep(Duration::from_millis(1))).unwrap();
            migrant.is_finished()
        });
        let (before, after) = migrant.join().unwrap();
        assert_eq!(before, after, "a pinned task has moved");
    });
}

/// A guest runs its root only, so a migrating task that the root wakes must run elsewhere.
#[test]
fn a_guest_wakes_a_migrating_task() {
    bounded(|| {
        for workers in [1, 2] {
            let runtime = runtime(workers);
            // The members have more homes than the guest: none of them takes from it to be level.
            let parked: Vec<_> = (0..16).map(|_| runtime.spawn(task::park)).collect();
            for _ in 0..50 {
                let ran = Count::new();
                let seen = ran.clone();
                let about_to_park = Count::new();
                let about = about_to_park.clone();
                let migrant = runtime
                    .spawn(move || {
                        spawn_migrating(move || {
                            about.add();
                            task::park();
                            seen.add();
                        })
                    })
                    .join()
                    .unwrap();
                let handle = migrant.task();
                runtime
                    .run(|| {
                        eventually("the migrant is about to park", || about_to_park.is_set());
                        sedge::time::sleep(Duration::from_micros(100));
                        handle.unpark();
                        // The guest keeps its thread: if the migrant is to run, then elsewhere.
                        hog_until("the migrant goes on", || ran.is_set());
                    })
                    .unwrap();
                migrant.join().unwrap();
            }
            parked.iter().for_each(|parked| parked.task().unpark());
            parked.into_iter().for_each(|parked| parked.join().unwrap());
        }
    });
}

/// Counts are exact while tasks wander: none is lost, none runs twice at a time.
#[test]
fn wandering_tasks_stress() {
    bounded(|| {
        let runtime = runtime(4);
        let (tasks, rounds) = (32, 500);
        let inside: Arc<Vec<AtomicBool>> = Arc::new((0..tasks).map(|_| false.into()).collect());
        let total = Count::new();
        let handles: Vec<_> = (0..tasks)
            .map(|me| {
                let (inside, total) = (inside.clone(), total.clone());
                runtime.spawn(move || {
                    spawn_migrating(move || {
                        for round in 0..rounds {
                            assert!(!inside[me].swap(true, Ordering::SeqCst), "resumed twice");
                            total.add();
                            assert!(inside[me].swap(false, Ordering::SeqCst));
                            match round % 3 {
                                0 => task::yield_now(),
                                1 => sedge::time::sleep(Duration::from_micros(10)),
                                _ => task::park_timeout(Duration::from_micros(10)),
                            }
                        }
                    })
                })
            })
            .map(|handle| handle.join().unwrap())
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        assert_eq!(total.get(), tasks * rounds);
    });
}

/// A panic that a destructor carries over a wait arrives on the other thread whole.
#[test]
fn unwinding_moves_with_its_task() {
    struct WaitInDrop(Count);

    impl Drop for WaitInDrop {
        fn drop(&mut self) {
            for _ in 0..20 {
                task::yield_now();
                sedge::time::sleep(Duration::from_micros(20));
                assert!(std::thread::panicking(), "the unwind has stayed behind");
            }
            self.0.add();
        }
    }

    bounded(|| {
        let runtime = runtime(4);
        let dropped = Count::new();
        let handles: Vec<_> = (0..32)
            .map(|_| {
                let dropped = dropped.clone();
                runtime.spawn(move || {
                    spawn_migrating(move || {
                        let _wait = WaitInDrop(dropped);
                        std::panic::resume_unwind(Box::new("on purpose"));
                    })
                })
            })
            .map(|handle| handle.join().unwrap())
            .collect();
        for handle in handles {
            let payload: Box<dyn std::any::Any + Send> = handle.join().unwrap_err();
            assert_eq!(*payload.downcast::<&str>().unwrap(), "on purpose");
        }
        assert_eq!(dropped.get(), 32);
    });
}

/// A migrating task that leaves `stay_home` and enters it again elsewhere, while the runtime stops,
/// passes from list to list: one of the two workers has told its tasks before it came, the other
/// does after it has gone. It is cancelled all the same.
#[test]
fn a_task_that_stays_elsewhere_while_the_runtime_stops_is_cancelled() {
    bounded(|| {
        let (parked, stays, go_on) = (Count::new(), Count::new(), Count::new());
        let spin = |time: Duration| {
            let start = Instant::now();
            while start.elapsed() < time {
                std::hint::spin_loop();
            }
        };
        let run = sedge::runtime::Builder::new().workers(2).run(|| {
            // Keeps the worker that it shares with the other, as soon as that has left `stay_home`.
            let hog = sedge::spawn({
                let parked = parked.clone();
                move || {
                    parked.add();
                    task::park();
                    spin(Duration::from_millis(200));
                }
            });
            // The root keeps its own worker, so that both are the other's.
            hog_until("the hog waits", || parked.is_set());
            let hog = hog.task();
            let mover = spawn_migrating({
                let (stays, go_on) = (stays.clone(), go_on.clone());
                move || {
                    task::stay_home(|| {
                        stays.add();
                        hog_until("the root has ended", || go_on.is_set());
                        spin(Duration::from_millis(50));
                        hog.unpark();
                    });
                    task::yield_now();
                    task::stay_home(task::park);
                }
            });
            hog_until("the task stays", || stays.is_set());
            go_on.add();
            mover
        });
        assert!(run.unwrap().join().unwrap_err().is::<task::Cancelled>());
    });
}
