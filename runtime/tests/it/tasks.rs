//! What `task` promises: handles, names, ids, results.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use sedge::task::{self, Builder};
use sedge_runtime as sedge;

use crate::support::{Count, OnDrop, bounded, eventually, thread_id};

#[test]
fn smoke() {
    assert_eq!(bounded(|| sedge::run(|| sedge::spawn(|| 6 * 7).join().unwrap())), 42);
}

#[test]
fn a_task_has_the_name_it_was_given() {
    bounded(|| {
        sedge::run(|| {
            let named = Builder::new().name("quill").spawn(|| {
                let me = task::current();
                (me.name().map(str::to_owned), me.id())
            });
            let named = named.unwrap();
            let handle = named.task();
            assert_eq!(handle.name(), Some("quill"));
            let (name, id) = named.join().unwrap();
            assert_eq!(name.as_deref(), Some("quill"));
            assert_eq!(id, handle.id());
            assert_eq!(handle.name(), Some("quill"), "the name outlives the task");
            let unnamed = sedge::spawn(|| task::current().name().is_none());
            assert!(unnamed.join().unwrap());
        });
    });
}

/// What `Debug` says of handles is for their users: no state word, no references.
#[test]
fn handles_are_debugged_plainly() {
    bounded(|| {
        sedge::run(|| {
            let task = Builder::new().name("quill").spawn(task::park).unwrap();
            let id = task.task().id().unwrap();
            let fields = format!("id: {id}, name: Some(\"quill\")");
            assert_eq!(format!("{:?}", task.task()), format!("Task {{ {fields} }}"));
            let text = |ended| format!("JoinHandle {{ {fields}, is_finished: {ended} }}");
            assert_eq!(format!("{task:?}"), text(false));
            task.task().unpark();
            eventually("it has ended", || task.is_finished());
            assert_eq!(format!("{task:?}"), text(true));

            task::scope(|scope| {
                let task = scope.spawn(task::park);
                let id = task.task().id().unwrap();
                let text = format!("{{ id: {id}, name: None, is_finished: false }}");
                assert_eq!(format!("{task:?}"), format!("ScopedJoinHandle {text}"));
                task.cancel();
            });
        });
        let named = std::thread::Builder::new().name("quill".to_owned());
        let text = named.spawn(|| format!("{:?}", task::current())).unwrap().join().unwrap();
        assert!(text.starts_with("Task { thread: ThreadId("), "{text}");
        assert!(text.ends_with("name: Some(\"quill\") }"), "{text}");
    });
}

#[test]
fn ids_are_unique() {
    bounded(|| {
        sedge::run(|| {
            let spawners: Vec<_> = (0..8)
                .map(|_| {
                    sedge::spawn(|| {
                        let children: Vec<_> = (0..500)
                            .map(|_| sedge::spawn(|| task::current().id().unwrap()))
                            .collect();
                        children.into_iter().map(|child| child.join().unwrap()).collect::<Vec<_>>()
                    })
                })
                .collect();
            let ids: Vec<_> = spawners.into_iter().flat_map(|s| s.join().unwrap()).collect();
            assert_eq!(ids.len(), 4_000);
            assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 4_000);
        });
    });
}

#[test]
fn on_a_plain_thread_there_is_no_task() {
    bounded(|| {
        assert!(task::current().id().is_none());
        assert!(task::stack_high_water().is_none());
        task::yield_now();
        assert_eq!(task::shield(|| task::no_park(|| task::stay_home(|| 3))), 3);
        assert_eq!(task::block_on(async { 4 }), 4);
        let me = task::current();
        let other = std::thread::spawn(move || me.unpark());
        task::park();
        other.join().unwrap();
        task::current().unpark();
        task::park_timeout(Duration::from_secs(3600));
        task::park_timeout(Duration::from_millis(1));
        sedge::time::sleep(Duration::from_millis(1));
        assert_eq!(sedge::blocking(|| 5), 5);
    });
}

#[test]
fn join_returns_the_panic() {
    bounded(|| {
        sedge::run(|| {
            let panicking = sedge::spawn(|| -> u8 { std::panic::panic_any(17_u64) });
            let payload = panicking.join().unwrap_err();
            assert_eq!(*payload.downcast::<u64>().unwrap(), 17);
            assert_eq!(sedge::spawn(|| 1).join().unwrap(), 1, "the worker goes on");
        });
    });
}

#[test]
fn a_panic_of_the_root_is_the_panic_of_run() {
    bounded(|| {
        let dropped = Count::new();
        let caught = catch_unwind(AssertUnwindSafe(|| {
            sedge::run(|| {
                let dropped = dropped.clone();
                drop(sedge::spawn(move || {
                    let _count = OnDrop(|| dropped.add());
                    task::park();
                }));
                std::panic::panic_any("root");
            })
        }));
        assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "root");
        assert!(dropped.get() <= 1, "once, or never if it had not started");
    });
}

#[test]
fn is_finished_says_so_in_the_end() {
    bounded(|| {
        sedge::run(|| {
            let parked = sedge::spawn(task::park);
            assert!(!parked.is_finished());
            parked.task().unpark();
            eventually("it has ended", || parked.is_finished());
            parked.join().unwrap();
        });
    });
}

/// The result of a task that nobody joins is dropped by the task itself.
#[test]
fn a_detached_task_drops_its_result_on_its_own_stack() {
    struct Result(mpsc::Sender<Option<task::TaskId>>);

    impl Drop for Result {
        fn drop(&mut self) {
            // It may wait.
            sedge::time::sleep(Duration::from_micros(50));
            self.0.send(task::current().id()).unwrap();
        }
    }

    bounded(|| {
        let (sender, receiver) = mpsc::channel();
        sedge::run(|| {
            let detached = sedge::spawn(move || {
                task::park();
                Result(sender)
            });
            let handle = detached.task();
            drop(detached);
            handle.unpark();
            let mut dropped_by = None;
            eventually("the result was dropped", || {
                dropped_by = receiver.try_recv().ok();
                dropped_by.is_some()
            });
            assert_eq!(dropped_by.unwrap(), handle.id());
        });
        assert!(receiver.recv().is_err(), "once");
    });
}

/// One that has ended before its handle goes is dropped with the handle.
#[test]
fn an_unclaimed_result_goes_with_its_handle() {
    bounded(|| {
        sedge::run(|| {
            let dropped = Count::new();
            let told = dropped.clone();
            let handle = sedge::spawn(move || OnDrop(move || told.add()));
            let waker = handle.task();
            eventually("it has ended", || handle.is_finished());
            assert_eq!(dropped.get(), 0);
            drop(handle);
            assert_eq!(dropped.get(), 1);
            drop(waker);
            assert_eq!(dropped.get(), 1);
        });
    });
}

/// Destructors that panic, in results that nobody asked for, end there.
#[test]
fn a_result_whose_destructor_panics_hurts_nobody() {
    bounded(|| {
        sedge::run(|| {
            let (dropped, told) = (Count::new(), Count::new());
            for detach in [false, true] {
                let (dropped, told) = (dropped.clone(), told.clone());
                let handle = sedge::spawn(move || {
                    told.add();
                    OnDrop(move || {
                        dropped.add();
                        std::panic::resume_unwind(Box::new("in a destructor"));
                    })
                });
                if !detach {
                    eventually("it has ended", || handle.is_finished());
                }
                drop(handle);
            }
            eventually("both are dropped", || dropped.get() == 2);
            assert_eq!(told.get(), 2);
        });
    });
}

#[test]
fn joins_from_tasks_threads_and_no_park() {
    bounded(|| {
        sedge::run(|| {
            let handle = sedge::spawn(|| 1);
            let thread = std::thread::spawn(move || handle.join().unwrap());
            eventually("the thread has joined the task", || thread.is_finished());
            assert_eq!(thread.join().unwrap(), 1);
            let (sender, receiver) = mpsc::channel::<()>();
            let ended = sedge::spawn(move || receiver.recv().is_err());
            drop(sender);
            eventually("it has ended", || ended.is_finished());
            assert!(task::no_park(|| ended.join().unwrap()));
        });
    });
}

/// A handle that travels: made in one task, joined in another, which has the result.
#[test]
fn handles_go_from_task_to_task() {
    bounded(|| {
        sedge::run(|| {
            let handle = sedge::spawn(|| vec![1, 2, 3]);
            let joined = sedge::spawn(move || handle.join().unwrap().len());
            assert_eq!(joined.join().unwrap(), 3);
        });
    });
}

/// The root borrows what is neither `Send` nor `'static`, and stays on the calling thread.
#[test]
fn the_root_borrows_from_its_caller() {
    bounded(|| {
        let text = String::from("borrowed");
        let (local, mut list) = (Rc::new(5), Vec::new());
        let here = thread_id();
        let length = sedge::run(|| {
            list.push(*local);
            for _ in 0..20 {
                sedge::spawn(task::yield_now).join().unwrap();
                sedge::time::sleep(Duration::from_micros(10));
                assert_eq!(thread_id(), here);
            }
            text.len()
        });
        assert_eq!((length, list, Rc::strong_count(&local)), (8, vec![5], 1));
    });
}

#[test]
fn shields_and_pins_nest_and_end_with_a_panic() {
    bounded(|| {
        sedge::run(|| {
            for _ in 0..3 {
                let caught = catch_unwind(|| {
                    task::shield(|| {
                        task::stay_home(|| task::no_park(|| std::panic::resume_unwind(Box::new(1))))
                    })
                });
                assert!(caught.is_err());
            }
            // The worker parks tasks again.
            sedge::spawn(task::yield_now).join().unwrap();
        });
    });
}

#[test]
fn a_stack_size_out_of_range_is_an_error() {
    bounded(|| {
        sedge::run(|| {
            for bytes in [0, 1, 32 * 1024 - 1, (64 << 20) + 1, usize::MAX] {
                let error = Builder::new().stack_size(bytes).spawn(|| ()).unwrap_err();
                assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
                assert!(error.to_string().contains("64 MiB"), "{error}");
            }
        });
    });
}

/// A spawn that fails drops its closure, once, in the caller.
#[test]
fn a_failed_spawn_drops_its_closure() {
    bounded(|| {
        sedge::run(|| {
            let dropped = Arc::new(());
            let held = dropped.clone();
            assert!(Builder::new().stack_size(1).spawn(move || drop(held)).is_err());
            assert_eq!(Arc::strong_count(&dropped), 1);
        });
    });
}

/// The panic message of a task names it.
#[test]
fn a_panic_message_names_the_task() {
    const NAME: &str = "tasks::a_panic_message_names_the_task";
    if crate::support::is_child(NAME) {
        return sedge::run(|| {
            let handle = Builder::new().name("inkwell").spawn(|| panic!("spilt")).unwrap();
            assert!(handle.join().is_err());
        });
    }
    let stderr = crate::support::succeed_in_child(NAME, |_| {});
    assert!(stderr.contains("in task 'inkwell' (id "), "{stderr}");
    assert!(stderr.contains("spilt"), "{stderr}");
}

/// The first runtime of a process starts in a destructor, in mid-unwind, where no hook can be
/// installed; the next one makes up for it.
#[test]
fn a_runtime_that_starts_in_mid_unwind_leaves_the_hook_to_the_next() {
    const NAME: &str = "tasks::a_runtime_that_starts_in_mid_unwind_leaves_the_hook_to_the_next";
    if crate::support::is_child(NAME) {
        let ran = Count::new();
        let payload = catch_unwind(|| {
            let _on_drop = OnDrop(|| {
                if sedge::run(|| sedge::spawn(|| 1).join()).is_ok_and(|one| one == 1) {
                    ran.add();
                }
            });
            std::panic::resume_unwind(Box::new("on its way out"));
        });
        assert_eq!(payload.unwrap_err().downcast_ref(), Some(&"on its way out"));
        assert_eq!(ran.get(), 1);
        return sedge::run(|| {
            let handle = Builder::new().name("inkwell").spawn(|| panic!("spilt")).unwrap();
            assert!(handle.join().is_err());
        });
    }
    let stderr = crate::support::succeed_in_child(NAME, |_| {});
    assert!(stderr.contains("in task 'inkwell' (id "), "{stderr}");
}
