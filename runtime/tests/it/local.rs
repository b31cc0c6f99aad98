//! Tasks that are not `Send`.

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::rc::Rc;

use sedge::task::{self, Builder, Cancelled, spawn_local};
use sedge_runtime as sedge;

use crate::support::{Count, OnDrop, bounded, runtime, thread_id};

#[test]
fn what_is_shared_needs_no_lock() {
    bounded(|| {
        sedge::run(|| {
            let log = Rc::new(RefCell::new(Vec::new()));
            let tasks: Vec<_> = (0..1_000)
                .map(|n| {
                    let log = log.clone();
                    spawn_local(move || {
                        task::yield_now();
                        log.borrow_mut().push(n);
                        Rc::new(thread_id())
                    })
                })
                .collect();
            let here = thread_id();
            assert!(tasks.into_iter().all(|task| *task.join().unwrap() == here));
            assert_eq!(log.borrow().len(), 1_000);
        });
    });
}

/// The same in tasks that other workers have started, which spawn their own.
#[test]
fn on_every_worker() {
    bounded(|| {
        let runtime = runtime(2);
        let tasks: Vec<_> = (0..200)
            .map(|_| {
                runtime.spawn(|| {
                    let sum = Rc::new(Cell::new(0));
                    let spawn = |n| {
                        let sum = sum.clone();
                        spawn_local(move || {
                            task::yield_now();
                            sum.set(sum.get() + n);
                        })
                    };
                    let tasks: Vec<_> = (0..10).map(spawn).collect();
                    tasks.into_iter().for_each(|task| task.join().unwrap());
                    sum.get()
                })
            })
            .collect();
        assert!(tasks.into_iter().all(|task| task.join().unwrap() == 45));
    });
}

#[test]
fn a_plain_thread_has_none() {
    assert_eq!(Builder::new().spawn_local(|| ()).unwrap_err().kind(), ErrorKind::Unsupported);
    bounded(|| {
        sedge::run(|| {
            let spawn = || Builder::new().spawn_local(|| ()).map(drop);
            assert_eq!(sedge::blocking(spawn).unwrap_err().kind(), ErrorKind::Unsupported);
        });
    });
}

/// What they captured is dropped at home: where they are cancelled before they begin, where they
/// are detached, and where the runtime stops.
#[test]
fn values_are_dropped_at_home() {
    bounded(|| {
        let dropped = Count::new();
        let value = |here: i64| {
            let dropped = dropped.clone();
            OnDrop(move || {
                assert_eq!(thread_id(), here);
                dropped.add();
            })
        };
        sedge::run(|| {
            let here = thread_id();
            let (cancelled, detached, left) = (value(here), value(here), value(here));
            let task = spawn_local(move || drop(cancelled));
            task.cancel();
            assert!(task.join().unwrap_err().is::<Cancelled>());
            drop(spawn_local(move || detached));
            drop(spawn_local(move || {
                let _left = left;
                task::park();
            }));
            task::yield_now();
        });
        assert_eq!(dropped.get(), 3);
    });
}

/// What a local task spawns while a guest thread ends it is ended, too.
#[test]
fn a_guest_ends_what_comes_late() {
    bounded(|| {
        let runtime = runtime(1);
        let dropped = Count::new();
        let tell = dropped.clone();
        runtime
            .run(|| {
                spawn_local(move || {
                    let _tell = OnDrop(|| {
                        let _late = OnDrop(|| tell.add());
                        let tell = tell.clone();
                        spawn_local(move || {
                            let _tell = OnDrop(|| tell.add());
                            task::park();
                        });
                    });
                    task::park();
                });
                spawn_local(task::yield_now).join().unwrap();
            })
            .unwrap();
        assert_eq!(dropped.get(), 1, "a cancelled task does not begin");
    });
}

/// A guest thread takes its local tasks with it.
#[test]
fn a_guest_ends_its_local_tasks() {
    bounded(|| {
        let runtime = runtime(1);
        let dropped = Count::new();
        for _ in 0..3 {
            let tell = dropped.clone();
            runtime
                .run(|| {
                    spawn_local(move || {
                        let _tell = OnDrop(|| tell.add());
                        task::park();
                    });
                    spawn_local(task::yield_now).join().unwrap();
                })
                .unwrap();
        }
        assert_eq!(dropped.get(), 3);
        assert_eq!(runtime.metrics().homes.iter().sum::<usize>(), 0);
    });
}
