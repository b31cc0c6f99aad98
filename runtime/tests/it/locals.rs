//! Task-locals.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sedge::task::{self, Cancelled};
use sedge::task_local;
use sedge_runtime as sedge;

use crate::support::{Count, OnDrop, bounded, eventually, runtime, thread_id};

#[test]
fn every_task_has_its_own() {
    task_local! {
        static NUMBER: Cell<usize> = Cell::new(7);
        static SHARED: Rc<Cell<usize>> = Rc::default();
    }

    bounded(|| {
        let runtime = runtime(2);
        let tasks: Vec<_> = (0..500)
            .map(|n| {
                runtime.spawn(move || {
                    assert_eq!(NUMBER.get(), 7);
                    NUMBER.set(n);
                    SHARED.with(|shared| shared.set(n));
                    task::yield_now();
                    assert_eq!(NUMBER.replace(0), n);
                    SHARED.with(|shared| {
                        task::yield_now();
                        assert_eq!(shared.get(), n);
                    });
                })
            })
            .collect();
        tasks.into_iter().for_each(|task| task.join().unwrap());
        assert_eq!(NUMBER.get(), 7, "a plain thread, too");
    });
}

/// An initialiser may wait: no queue-mate makes the value meanwhile.
#[test]
fn a_wait_in_the_initialiser() {
    static MADE: AtomicUsize = AtomicUsize::new(0);

    task_local! {
        static VALUE: Box<usize> = {
            task::yield_now();
            sedge::time::sleep(std::time::Duration::from_micros(10));
            Box::new(MADE.fetch_add(1, Ordering::Relaxed))
        };
    }

    bounded(|| {
        sedge::runtime::Builder::new()
            .workers(1)
            .run(|| {
                let tasks: Vec<_> = (0..100)
                    .map(|_| {
                        sedge::spawn(|| {
                            VALUE.with(|value| {
                                task::yield_now();
                                **value
                            })
                        })
                    })
                    .collect();
                let mut seen: Vec<_> = tasks.into_iter().map(|task| task.join().unwrap()).collect();
                seen.sort_unstable();
                assert!(seen.into_iter().eq(0..100));
            })
            .unwrap();
    });
}

/// On the task's stack, the last first, each once; and before `join` returns.
#[test]
fn values_are_dropped_at_the_end() {
    static ORDER: std::sync::Mutex<Vec<&str>> = std::sync::Mutex::new(Vec::new());

    struct Tell(&'static str);

    impl Drop for Tell {
        fn drop(&mut self) {
            task::yield_now();
            ORDER.lock().unwrap().push(self.0);
            match self.0 {
                // Made while the others are destroyed.
                "second" => LATE.with(|_| ()),
                "first" => assert!(SECOND.try_with(|_| ()).is_err()),
                _ => {}
            }
        }
    }

    task_local! {
        static FIRST: Tell = Tell("first");
        static SECOND: Tell = Tell("second");
        static LATE: Tell = Tell("late");
    }

    bounded(|| {
        sedge::run(|| {
            let ways: [fn(); 3] = [
                || (),
                || std::panic::resume_unwind(Box::new(())),
                || {
                    task::current().unpark();
                    loop {
                        task::park();
                    }
                },
            ];
            for way in ways {
                let task = sedge::spawn(move || {
                    FIRST.with(|_| ());
                    SECOND.with(|_| ());
                    way();
                });
                sedge::time::sleep(std::time::Duration::from_millis(5));
                task.cancel();
                let _ = task.join();
                let order = std::mem::take(&mut *ORDER.lock().unwrap());
                assert!(order.is_empty() || order == ["second", "late", "first"], "{order:?}");
            }
        });
    });
}

/// Made by a monitor, or by the destructor of a result, after the others have gone: dropped at home
/// all the same, and not by who happens to have the last reference to the task.
#[test]
fn late_values_are_dropped_at_home() {
    #[derive(Clone)]
    struct Drops {
        at_home: Count,
        elsewhere: Count,
    }

    struct Home(i64, Drops);

    impl Drop for Home {
        fn drop(&mut self) {
            let Drops { at_home, elsewhere } = &self.1;
            if thread_id() == self.0 { at_home } else { elsewhere }.add();
        }
    }

    task_local! {
        static LATE: RefCell<Option<Rc<Home>>> = RefCell::default();
    }

    bounded(|| {
        let runtime = runtime(1);
        let drops = Drops { at_home: Count::new(), elsewhere: Count::new() };
        let make = {
            let drops = drops.clone();
            move || LATE.set(Some(Rc::new(Home(thread_id(), drops.clone()))))
        };

        let monitored = runtime.spawn(task::park);
        let reference = monitored.task();
        let in_monitor = make.clone();
        monitored.on_exit(move |_| in_monitor());
        reference.unpark();
        monitored.join().unwrap();
        drop(reference);

        let detached = runtime.spawn(|| {
            task::park();
            OnDrop(make)
        });
        let reference = detached.task();
        let tasks = || runtime.metrics().homes.iter().sum::<usize>();
        eventually("it has begun", || tasks() == 1);
        drop(detached);
        reference.unpark();
        eventually("it has ended", || tasks() == 0);
        drop(reference);
        assert_eq!((drops.at_home.get(), drops.elsewhere.get()), (2, 0));
    });
}

#[test]
fn panics_of_initialisers() {
    static TRIES: AtomicUsize = AtomicUsize::new(0);

    task_local! {
        static SECOND_TRY: usize = match TRIES.fetch_add(1, Ordering::Relaxed) {
            0 => std::panic::resume_unwind(Box::new("not yet")),
            n => n,
        };
        static ITSELF: usize = ITSELF.with(|n| *n);
    }

    bounded(|| {
        sedge::run(|| {
            assert!(catch_unwind(|| SECOND_TRY.with(|_| ())).is_err());
            assert_eq!(SECOND_TRY.with(|n| *n), 1);
            assert!(catch_unwind(|| ITSELF.with(|_| ())).is_err());
        });
    });
}

/// The task has returned by then: what it returned is dropped.
#[test]
fn a_panic_of_a_destructor_drops_the_result() {
    struct Unwinds;

    impl Drop for Unwinds {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new(()));
        }
    }

    task_local! {
        static UNWINDS: Unwinds = Unwinds;
    }

    bounded(|| {
        sedge::run(|| {
            let dropped = Count::new();
            let result = || {
                UNWINDS.with(|_| ());
                let tell = dropped.clone();
                OnDrop(move || tell.add())
            };
            assert!(
                sedge::spawn({
                    let dropped = dropped.clone();
                    move || {
                        UNWINDS.with(|_| ());
                        OnDrop(move || dropped.add())
                    }
                })
                .join()
                .is_err()
            );
            assert_eq!(dropped.get(), 1);
            let caught = catch_unwind(AssertUnwindSafe(|| sedge::blocking(result)));
            assert!(caught.is_err());
            assert_eq!(dropped.get(), 2);
        });
    });
}

#[test]
fn a_panic_of_a_destructor_drops_the_others() {
    type Destructor = Option<OnDrop<Box<dyn FnMut()>>>;

    task_local! {
        static FIRST: RefCell<Destructor> = RefCell::new(None);
        static SECOND: RefCell<Destructor> = RefCell::new(None);
    }

    bounded(|| {
        sedge::run(|| {
            let dropped = Count::new();
            let tell = dropped.clone();
            let task = sedge::spawn(move || {
                FIRST.set(Some(OnDrop(Box::new(move || tell.add()))));
                SECOND.set(Some(OnDrop(Box::new(|| std::panic::resume_unwind(Box::new(7_u8))))));
            });
            assert!(task.join().unwrap_err().is::<u8>());
            assert_eq!(dropped.get(), 1);
        });
    });
}

#[test]
fn what_is_inherited() {
    task_local! {
        inherit static TRACE: Cell<u32> = Cell::new(0);
        inherit static UNUSED: Cell<u32> = panic!("nobody asks for it");
        static OWN: Cell<u32> = Cell::new(0);
    }

    bounded(|| {
        sedge::run(|| {
            TRACE.set(1);
            OWN.set(1);
            let nested = || {
                let seen = (TRACE.get(), OWN.get());
                TRACE.set(2);
                let inner = sedge::spawn(|| TRACE.get()).join().unwrap();
                (seen, inner)
            };
            assert_eq!(sedge::spawn(nested).join().unwrap(), ((1, 0), 2));
            assert_eq!(task::spawn_local(nested).join().unwrap(), ((1, 0), 2));
            assert_eq!(sedge::scope(|s| s.spawn(nested).join().unwrap()), ((1, 0), 2));
            let mut set = task::JoinSet::new();
            set.spawn(nested);
            assert_eq!(set.join_next().unwrap().unwrap(), ((1, 0), 2));
            // A closure in the pool has its own, and leaves none behind.
            for _ in 0..3 {
                assert_eq!(sedge::blocking(nested), ((1, 0), 2));
            }
            assert_eq!(TRACE.get(), 1);
        });
    });
}

/// A clone is the user's code, and may fail: no task comes of it, and none is missed.
#[test]
fn a_clone_that_panics() {
    struct Fragile(Cell<bool>);

    impl Clone for Fragile {
        fn clone(&self) -> Self {
            assert!(!self.0.get(), "it breaks");
            Self(Cell::new(false))
        }
    }

    task_local! {
        inherit static FRAGILE: Fragile = Fragile(Cell::new(false));
    }

    bounded(|| {
        let runtime = sedge::runtime::Builder::new().workers(1).tasks_max(2).build().unwrap();
        let task = runtime.spawn(|| {
            FRAGILE.with(|fragile| fragile.0.set(true));
            for _ in 0..5 {
                let spawned = catch_unwind(AssertUnwindSafe(|| drop(sedge::spawn(|| ()))));
                assert!(spawned.is_err());
            }
            FRAGILE.with(|fragile| fragile.0.set(false));
            sedge::spawn(|| FRAGILE.with(|fragile| fragile.0.get())).join().unwrap()
        });
        assert!(!task.join().unwrap());
    });
}

/// Of a fresh task that is cancelled the inherited values are dropped, too.
#[test]
fn a_cancelled_fresh_task_drops_what_it_inherited() {
    #[derive(Clone)]
    struct Counted(std::sync::Arc<()>);

    task_local! {
        inherit static COUNTED: Counted = Counted(std::sync::Arc::new(()));
    }

    bounded(|| {
        sedge::run(|| {
            let weak = COUNTED.with(|counted| std::sync::Arc::downgrade(&counted.0));
            let tasks: Vec<_> = (0..10).map(|_| sedge::spawn(task::park)).collect();
            tasks.iter().for_each(task::JoinHandle::cancel);
            for task in tasks {
                assert!(task.join().unwrap_err().is::<Cancelled>());
            }
            assert_eq!(weak.strong_count(), 1);
        });
    });
}
