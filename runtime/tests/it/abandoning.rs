//! Tasks that have not ended when their runtime has: what is said of them, and that they do no
//! harm.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use sedge::runtime::Builder;
use sedge::task;
use sedge_runtime as sedge;

use crate::support::{
    Count, OnDrop, bounded, eventually, hog_until, is_child, runtime as start, succeed_in_child,
};

/// Exactly the tasks that are alive are counted, though their worker hears of the end only when it
/// is over: not what the worker keeps in hand for tasks to come. It has a tenth of a second to hear
/// of it, which a machine that is very busy may not give it each time.
#[test]
fn the_count_of_abandoned_tasks_is_exact() {
    const TASKS: usize = 10;
    bounded(|| {
        let counts = [(); 5].map(|()| {
            let runtime = start(1);
            // One that has ended, so that its worker has some in hand.
            runtime.spawn(|| sedge::spawn(|| ()).join().unwrap()).join().unwrap();
            let (parked, busy) = (Count::new(), Count::new());
            for _ in 1..TASKS {
                let parked = parked.clone();
                drop(runtime.spawn(move || {
                    parked.add();
                    task::shield(|| sedge::time::sleep(Duration::from_secs(86_400)));
                }));
            }
            eventually("all are parked", || parked.get() == TASKS - 1);
            let told = busy.clone();
            drop(runtime.spawn(move || {
                told.add();
                let until = Instant::now() + Duration::from_millis(3);
                hog_until("the runtime is given up", || Instant::now() >= until);
                task::shield(|| sedge::time::sleep(Duration::from_secs(86_400)));
            }));
            eventually("one keeps the worker", || busy.is_set());
            runtime.shutdown_timeout(Duration::ZERO)
        });
        let exact = counts.iter().filter(|count| **count == TASKS).count();
        assert!(exact >= 3, "{TASKS} tasks were counted as {counts:?}");
    });
}

/// What a worker that hears of nothing has in hand for tasks to come is not counted among them.
#[test]
fn what_a_hog_has_in_hand_is_not_abandoned() {
    bounded(|| {
        let runtime = start(1);
        let (started, given_up) = (Count::new(), Count::new());
        let (told, seen) = (started.clone(), given_up.clone());
        drop(runtime.spawn(move || {
            // It has taken more than it needs for this one.
            sedge::spawn(|| ()).join().unwrap();
            told.add();
            hog_until("the runtime is given up", || seen.is_set());
        }));
        eventually("the hog runs", || started.is_set());
        assert_eq!(runtime.shutdown_timeout(Duration::from_millis(50)), 1);
        given_up.add();
    });
}

#[test]
fn shutdown_timeout_abandons_and_says_what() {
    const NAME: &str = "abandoning::shutdown_timeout_abandons_and_says_what";
    if is_child(NAME) {
        let runtime = start(2);
        let (stuck, parked, dropped, go_on) =
            (Count::new(), Count::new(), Count::new(), Count::new());
        let handles: Vec<_> = (0..3)
            .map(|_| {
                let (stuck, dropped, go_on) = (stuck.clone(), dropped.clone(), go_on.clone());
                runtime.spawn(move || {
                    let _on_drop = OnDrop(|| dropped.add());
                    stuck.add();
                    task::shield(|| {
                        while !go_on.is_set() {
                            task::park();
                        }
                    });
                })
            })
            .collect();
        for _ in 0..5 {
            let (parked, dropped) = (parked.clone(), dropped.clone());
            drop(runtime.spawn(move || {
                let _on_drop = OnDrop(|| dropped.add());
                parked.add();
                task::park();
            }));
        }
        eventually("all wait", || (stuck.get(), parked.get()) == (3, 5));
        assert_eq!(runtime.shutdown_timeout(Duration::from_millis(500)), 3);
        assert_eq!(dropped.get(), 5, "abandoned tasks are leaked, the others dropped");
        // They are still there to be woken, and never run again.
        go_on.add();
        handles.iter().for_each(|handle| handle.task().unpark());
        assert!(handles.iter().all(|handle| !handle.is_finished()));
        drop(handles);
        // Another runtime works beside the leaked one.
        assert_eq!(sedge::run(|| sedge::spawn(|| 1).join().unwrap()), 1);
        return;
    }
    let stderr = succeed_in_child(NAME, |_| {});
    assert!(stderr.contains("3 tasks"), "{stderr}");
    assert!(stderr.contains("abandoned"), "{stderr}");
}

#[test]
fn a_hog_is_abandoned() {
    const NAME: &str = "abandoning::a_hog_is_abandoned";
    if is_child(NAME) {
        let runtime = start(1);
        let (started, go_on, ended) = (Count::new(), Count::new(), Count::new());
        let hog = runtime.spawn({
            let (started, go_on, ended) = (started.clone(), go_on.clone(), ended.clone());
            move || {
                started.add();
                while !go_on.is_set() {
                    std::thread::yield_now();
                }
                drop(sedge::spawn(|| ()));
                ended.add();
                task::park();
            }
        });
        eventually("the hog runs", || started.is_set());
        assert_eq!(runtime.shutdown_timeout(Duration::from_millis(50)), 1);
        go_on.add();
        eventually("the hog goes on", || ended.is_set());
        hog.task().unpark();
        std::thread::sleep(Duration::from_millis(20));
        return;
    }
    succeed_in_child(NAME, |_| {});
}

#[test]
fn abandoned_tasks_of_the_calling_thread() {
    const NAME: &str = "abandoning::abandoned_tasks_of_the_calling_thread";
    if is_child(NAME) {
        let (done, is_done) = mpsc::channel();
        // Not joined: it blocks at its end.
        std::thread::spawn(move || {
            let run = Builder::new().workers(1).shutdown_timeout(Some(Duration::from_millis(20)));
            let handle = run.run(|| {
                let inside = Count::new();
                let told = inside.clone();
                let handle = sedge::spawn(move || {
                    task::shield(|| {
                        told.add();
                        task::park();
                    });
                });
                eventually("it is parked", || inside.is_set());
                handle
            });
            let handle = handle.unwrap();
            assert!(!handle.is_finished());
            handle.task().unpark();
            assert_eq!(sedge::run(|| sedge::spawn(|| 2).join().unwrap()), 2);
            done.send(()).unwrap();
        });
        return is_done.recv().unwrap();
    }
    let stderr = succeed_in_child(NAME, |_| {});
    assert!(stderr.contains("with 1 task that"), "{stderr}");
}

/// A thread-local that an abandoned task has lent to the blocking pool outlives the end of the
/// thread that called `run`: the thread blocks there.
#[test]
fn what_an_abandoned_task_has_lent_stays() {
    const NAME: &str = "abandoning::what_an_abandoned_task_has_lent_stays";
    if is_child(NAME) {
        struct Lent;
        impl Drop for Lent {
            fn drop(&mut self) {
                eprintln!("the thread-local is gone");
            }
        }
        thread_local!(static LENT: Lent = const { Lent });
        let (inside, returned) = (Count::new(), Count::new());
        let (told, tell) = (inside.clone(), returned.clone());
        let thread = std::thread::spawn(move || {
            let run = Builder::new().workers(1).shutdown_timeout(Some(Duration::from_millis(20)));
            let root = move || {
                drop(sedge::spawn({
                    let told = told.clone();
                    move || {
                        LENT.with(|lent| {
                            sedge::blocking(|| {
                                told.add();
                                loop {
                                    std::thread::park();
                                    std::hint::black_box(lent);
                                }
                            })
                        })
                    }
                }));
                eventually("the pool has it", || told.is_set());
            };
            run.run(root).unwrap();
            tell.add();
        });
        eventually("run has returned", || returned.is_set());
        assert!(inside.is_set());
        std::thread::sleep(Duration::from_millis(100));
        // It has ended as far as std's handle can tell, and still does not destroy what it has.
        drop(thread);
        return;
    }
    let stderr = succeed_in_child(NAME, |_| {});
    assert!(stderr.contains("abandoned"), "{stderr}");
    assert!(!stderr.contains("the thread-local is gone"), "{stderr}");
}
