//! The life of a runtime: how it starts, what it refuses, how it ends.

use std::any::Any;
use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use sedge::io::Source;
use sedge::runtime::{self, Builder};
use sedge::task::{self, Cancelled};
use sedge_runtime as sedge;

use crate::support::{
    Count, OnDrop, bounded, child, eventually, hog_until, is_child, output_of, runtime as start,
    succeed_in_child, thread_id, thread_names,
};

#[test]
fn the_root_of_a_kept_runtime_borrows_too() {
    bounded(|| {
        let runtime = start(2);
        let here = thread_id();
        let local = Rc::new(Mutex::new(0));
        for round in 0..20 {
            let children = runtime
                .run(|| {
                    assert_eq!(thread_id(), here);
                    let children: Vec<_> = (0..4).map(|_| sedge::spawn(thread_id)).collect();
                    *local.lock().unwrap() += 1;
                    sedge::time::sleep(Duration::from_micros(20));
                    assert_eq!(thread_id(), here);
                    children.into_iter().map(|child| child.join().unwrap()).collect::<Vec<_>>()
                })
                .unwrap();
            assert!(children.iter().all(|&thread| thread != here), "a guest runs its root only");
            assert_eq!(*local.lock().unwrap(), round + 1);
        }
    });
}

#[test]
fn many_guests_at_a_time() {
    bounded(|| {
        let runtime = Arc::new(start(2));
        let threads: Vec<_> = (0..16)
            .map(|n| {
                let runtime = runtime.clone();
                std::thread::spawn(move || {
                    for _ in 0..10 {
                        let value = runtime.run(|| {
                            let child = sedge::spawn(move || {
                                sedge::time::sleep(Duration::from_micros(100));
                                n
                            });
                            child.join().unwrap()
                        });
                        assert_eq!(value.unwrap(), n);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn too_many_guests_are_an_error() {
    bounded(|| {
        let runtime = Arc::new(start(1));
        let (inside, go_on) = (Count::new(), Count::new());
        let threads: Vec<_> = (0..64)
            .map(|_| {
                let (runtime, inside, go_on) = (runtime.clone(), inside.clone(), go_on.clone());
                std::thread::spawn(move || {
                    runtime.run(|| {
                        inside.add();
                        eventually("all are inside", || go_on.is_set());
                    })
                })
            })
            .collect();
        eventually("64 guests are inside", || inside.get() == 64);
        let error = runtime.run(|| ()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
        assert!(error.to_string().contains("64"), "{error}");
        go_on.add();
        threads.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
        runtime.run(|| ()).unwrap();
    });
}

/// `run` in a task runs there, and what it spawns is the new runtime's.
#[test]
fn run_inside_a_task() {
    bounded(|| {
        sedge::run(|| {
            let (here, outer) = (thread_id(), runtime::workers().unwrap());
            let dropped = Count::new();
            let inner = Builder::new()
                .workers(3)
                .run(|| {
                    assert_eq!(thread_id(), here);
                    assert_eq!(runtime::workers().unwrap(), 3);
                    let seen = sedge::spawn(|| runtime::workers().unwrap()).join().unwrap();
                    let told = dropped.clone();
                    let on_drop = OnDrop(move || told.add());
                    drop(sedge::spawn(move || {
                        let _on_drop = on_drop;
                        task::park();
                    }));
                    sedge::time::sleep(Duration::from_micros(100));
                    seen
                })
                .unwrap();
            assert_eq!(inner, 3);
            assert_eq!(dropped.get(), 1, "the inner runtime has ended");
            assert_eq!(runtime::workers().unwrap(), outer);
            let kept = start(2);
            assert_eq!(kept.run(|| runtime::workers().unwrap()).unwrap(), 2);
            let caught = catch_unwind(AssertUnwindSafe(|| kept.run(|| panic!("inner root"))));
            assert!(caught.is_err());
            assert_eq!(runtime::workers().unwrap(), outer, "put back after a panic");
        });
    });
}

/// While a task waits for a runtime to stop, its queue-mates run.
#[test]
fn a_task_that_stops_a_runtime_parks() {
    bounded(|| {
        let outer = start(1);
        let told = Count::new();
        let seen = told.clone();
        let stopper = outer.spawn(move || {
            let inner = start(1);
            let (inside, ran) = (Count::new(), seen.clone());
            let waiting = inside.clone();
            drop(inner.spawn(move || {
                waiting.add();
                let _wait = OnDrop(|| eventually("the queue-mate ran", || ran.is_set()));
                task::park();
            }));
            eventually("it is parked", || inside.is_set());
            let mate = sedge::spawn(move || {
                sedge::time::sleep(Duration::from_millis(2));
                seen.add();
            });
            assert_eq!(inner.shutdown_timeout(Duration::from_secs(25)), 0);
            mate.join().unwrap();
        });
        stopper.join().unwrap();
        assert_eq!(told.get(), 1);
    });
}

#[test]
fn dropping_a_runtime_in_its_own_task_says_so() {
    bounded(|| {
        for by_method in [false, true] {
            let runtime = Arc::new(Mutex::new(None));
            let own = runtime.clone();
            let (sender, receiver) = mpsc::channel::<()>();
            let kept = start(1);
            let task = kept.spawn(move || {
                receiver.recv().unwrap_err();
                let runtime: runtime::Runtime = own.lock().unwrap().take().unwrap();
                if by_method {
                    runtime.shutdown_timeout(Duration::from_secs(1));
                } else {
                    drop(runtime);
                }
            });
            *runtime.lock().unwrap() = Some(kept);
            drop(sender);
            let payload = task.join().unwrap_err();
            let message = payload.downcast_ref::<String>().cloned();
            let message = message.or(payload.downcast_ref::<&str>().map(|text| (*text).into()));
            assert!(message.unwrap().contains("in one of its own tasks"));
        }
    });
}

/// Tasks that spawn while the runtime stops: what they spawn is dropped, once, and they may join
/// it.
#[test]
fn spawning_in_destructors_during_shutdown() {
    const TASKS: usize = 200;
    bounded(|| {
        for workers in [1, 2, 4] {
            let runtime = start(workers);
            let (parked, ran, dropped, joined) =
                (Count::new(), Count::new(), Count::new(), Count::new());
            for n in 0..TASKS {
                let (parked, ran, dropped, joined) =
                    (parked.clone(), ran.clone(), dropped.clone(), joined.clone());
                drop(runtime.spawn(move || {
                    let _spawns = OnDrop(|| {
                        let (ran, dropped) = (ran.clone(), dropped.clone());
                        let on_drop = OnDrop(move || dropped.add());
                        let child = sedge::spawn(move || {
                            ran.add();
                            drop(on_drop);
                        });
                        if n % 2 == 0 {
                            let payload = child.join().unwrap_err();
                            assert!(payload.is::<Cancelled>());
                            joined.add();
                        }
                    });
                    parked.add();
                    task::park();
                }));
            }
            eventually("all are parked", || parked.get() == TASKS);
            assert_eq!(runtime.shutdown_timeout(Duration::from_secs(25)), 0);
            assert_eq!(dropped.get(), TASKS);
            assert_eq!(joined.get(), TASKS / 2);
            assert_eq!(ran.get(), 0, "a task that is cancelled before it starts does not start");
        }
    });
}

/// Shutdown beside threads that spawn, join and unpark all the time.
#[test]
fn shutdown_while_tasks_are_woken_from_outside() {
    bounded(|| {
        for round in 0..30 {
            let runtime = start(1 + round % 4);
            let (parked, dropped, stop) = (Count::new(), Count::new(), Count::new());
            let handles: Vec<_> = (0..20)
                .map(|_| {
                    let (parked, dropped) = (parked.clone(), dropped.clone());
                    let on_drop = OnDrop(move || dropped.add());
                    let handle = runtime.spawn(move || {
                        let _on_drop = on_drop;
                        loop {
                            parked.add();
                            task::park();
                        }
                    });
                    handle.task()
                })
                .collect();
            let seen = stop.clone();
            let storm = std::thread::spawn(move || {
                while !seen.is_set() {
                    handles.iter().for_each(task::Task::unpark);
                }
            });
            eventually("they run", || parked.get() >= 200);
            assert_eq!(runtime.shutdown_timeout(Duration::from_secs(25)), 0);
            assert_eq!(dropped.get(), 20);
            stop.add();
            storm.join().unwrap();
        }
    });
}

/// While the runtime stops, a task may be made in the memory that was the root's, and is not taken
/// for it: its permit comes back.
#[test]
fn a_task_in_the_roots_memory_is_not_the_root() {
    bounded(|| {
        let ended = Count::new();
        let (tell, builder) = (ended.clone(), Builder::new().workers(1).shutdown_timeout(None));
        let root = move || {
            sedge::spawn(move || {
                let _spawn = OnDrop(|| {
                    // As large as the root: the allocator gives out again what came back last.
                    let tasks: Vec<_> = (0..10)
                        .map(|_| tell.clone())
                        .map(|tell| sedge::spawn(move || drop(tell)))
                        .collect();
                    tasks.into_iter().for_each(|task| drop(task.join()));
                    tell.add();
                });
                task::park();
            });
            // It has begun by then.
            (0..100).for_each(|_| task::yield_now());
        };
        builder.run(root).unwrap();
        assert_eq!(ended.get(), 1);
    });
}

/// A task of another runtime waits for a source that is registered with a worker that is abandoned.
#[test]
fn an_abandoned_runtime_leaves_no_foreign_waiter() {
    bounded(|| {
        let (abandoned, other) = (start(1), start(1));
        let (near, mut far) = UnixStream::pair().unwrap();
        let near = Arc::new(Source::new(near).unwrap());
        // It registers the source by waiting, in vain.
        let registers = near.clone();
        let registered = abandoned.spawn(move || {
            let soon = Some(Duration::from_millis(1));
            registers.reading().timeout(soon).run(|mut stream| stream.read(&mut [0])).unwrap_err()
        });
        assert_eq!(registered.join().unwrap().kind(), io::ErrorKind::WouldBlock);
        let (stays, reads) = (Count::new(), Count::new());
        let told = stays.clone();
        drop(abandoned.spawn(move || {
            task::shield(|| {
                told.add();
                task::park();
            });
        }));
        eventually("one is there to stay", || stays.is_set());
        let told = reads.clone();
        let reader = other.spawn(move || {
            told.add();
            near.read_with(|mut stream| stream.read(&mut [0])).unwrap()
        });
        eventually("the reader runs", || reads.is_set());
        // On the same worker, so that the reader has parked when this runs.
        other.spawn(|| ()).join().unwrap();
        assert_eq!(abandoned.shutdown_timeout(Duration::from_millis(50)), 1);
        far.write_all(b"1").unwrap();
        assert_eq!(reader.join().unwrap(), 1);
    });
}

fn threads_named(prefix: &str) -> usize {
    thread_names().iter().filter(|name| name.starts_with(prefix)).count()
}

/// When a runtime has ended its threads have, too.
#[test]
fn no_thread_is_left_behind() {
    bounded(|| {
        for _ in 0..10 {
            let runtime = Builder::new().workers(3).thread_name("gone").build().unwrap();
            runtime.spawn(|| sedge::blocking(|| ())).join().unwrap();
            assert!(thread_names().iter().any(|name| name.starts_with("gone-worker")));
            drop(runtime);
            // For a moment the kernel lists a thread that has been joined.
            eventually("all have gone", || threads_named("gone") == 0);
        }
    });
}

/// `spawn` on a plain thread starts a runtime that stays.
#[test]
fn the_default_runtime() {
    const NAME: &str = "life::the_default_runtime";
    if is_child(NAME) {
        let threads: Vec<_> = (0..8)
            .map(|n| {
                std::thread::spawn(move || {
                    (0..50).map(|_| sedge::spawn(move || n).join().unwrap()).sum::<usize>()
                })
            })
            .collect();
        let sums: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(sums, 50 * 28);
        let monitors = thread_names().iter().filter(|name| name.ends_with("-monitor")).count();
        assert_eq!(monitors, 1, "one default runtime, whoever starts it");
        drop(sedge::spawn(task::park));
        // And `run` beside it has one of its own.
        assert_eq!(sedge::run(|| sedge::spawn(|| 3).join().unwrap()), 3);
        return;
    }
    succeed_in_child(NAME, |_| {});
}

/// Runs the body of `test` with `SEDGE_WORKERS` or `SEDGE_STACK` as given; returns stdout and
/// stderr.
fn with_variable(test: &str, name: &str, value: &str) -> (bool, String) {
    let output = output_of(child(test).env(name, value));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn sedge_workers_is_read() {
    const NAME: &str = "life::sedge_workers_is_read";
    if is_child(NAME) {
        match Builder::new().run(|| runtime::workers().unwrap()) {
            Ok(workers) => println!("workers: {workers}."),
            Err(error) => println!("error: {:?}: {error}", error.kind()),
        }
        return;
    }
    for (value, workers) in [("1", 1), ("3", 3), (" 8 ", 8)] {
        let (_, text) = with_variable(NAME, "SEDGE_WORKERS", value);
        assert!(text.contains(&format!("workers: {workers}.")), "{value:?}: {text}");
    }
    for value in ["0", "-1", "", "many", "1.5", "1025", "99999999999999999999999"] {
        let (_, text) = with_variable(NAME, "SEDGE_WORKERS", value);
        assert!(text.contains("error: InvalidInput: SEDGE_WORKERS"), "{value:?}: {text}");
    }
}

#[test]
fn sedge_stack_is_read() {
    const NAME: &str = "life::sedge_stack_is_read";
    if is_child(NAME) {
        match Builder::new().run(|| sedge::spawn(|| ()).join().unwrap()) {
            Ok(()) => println!("it runs."),
            Err(error) => println!("error: {:?}: {error}", error.kind()),
        }
        return;
    }
    for value in ["262144", "64K", "1M", "1m", "100k", "67108864"] {
        let (_, text) = with_variable(NAME, "SEDGE_STACK", value);
        assert!(text.contains("it runs."), "{value:?}: {text}");
    }
    for value in ["0", "1K", "65M", "K", "", "-64K", "64KB", "99999999999999999999M"] {
        let (_, text) = with_variable(NAME, "SEDGE_STACK", value);
        assert!(text.contains("error: InvalidInput: SEDGE_STACK"), "{value:?}: {text}");
    }
}

/// `run` panics where the builder returns an error, with its text.
#[test]
fn run_panics_with_the_error() {
    const NAME: &str = "life::run_panics_with_the_error";
    if is_child(NAME) {
        return sedge::run(|| ());
    }
    let (ended_well, text) = with_variable(NAME, "SEDGE_WORKERS", "none");
    assert!(!ended_well);
    assert!(text.contains("failed to start the runtime: SEDGE_WORKERS is \"none\""), "{text}");
}

/// Inside `blocking` a task's runtime is still its own.
#[test]
fn spawn_inside_blocking_stays_in_the_runtime() {
    bounded(|| {
        let builder = Builder::new().workers(2).thread_name("mine");
        let runtime = builder.build().unwrap();
        let name = runtime.spawn(|| {
            assert_eq!(sedge::blocking(|| runtime::workers().unwrap()), 2);
            let name = || std::thread::current().name().map(str::to_owned);
            sedge::blocking(|| sedge::spawn(name).join().unwrap())
        });
        assert_eq!(name.join().unwrap().as_deref(), Some("mine-worker"));
    });
}

/// Has a task drop its own runtime inside `blocking`, by `drop_it`, which returns the panic.
fn drop_own_runtime_in_blocking(drop_it: fn(runtime::Runtime) -> Box<dyn Any + Send>) {
    bounded(move || {
        let (sender, receiver) = mpsc::channel::<runtime::Runtime>();
        let runtime = start(1);
        let task =
            runtime.spawn(move || sedge::blocking(move || drop_it(receiver.recv().unwrap())));
        sender.send(runtime).unwrap();
        let payload = task.join().unwrap();
        let text = payload.downcast_ref::<&str>().copied().unwrap_or_default();
        assert!(text.contains("own tasks"), "{text}");
    });
}

fn panic_of_dropping(runtime: runtime::Runtime) -> Box<dyn Any + Send> {
    catch_unwind(AssertUnwindSafe(|| drop(runtime))).unwrap_err()
}

/// That task would wait for its own end.
#[test]
fn dropping_a_runtime_inside_blocking_of_its_own_task_is_refused() {
    drop_own_runtime_in_blocking(panic_of_dropping);
}

/// The same where the closure drops it in a task of a runtime that it has started itself.
#[test]
fn dropping_a_runtime_in_a_run_inside_blocking_is_refused() {
    drop_own_runtime_in_blocking(|runtime| sedge::run(|| panic_of_dropping(runtime)));
}

/// The last reference to a runtime may be in a thread-local of one of its own threads, for which it
/// does not wait then: all its threads end.
#[test]
fn a_runtime_that_its_own_added_worker_drops() {
    const NAME: &str = "life::a_runtime_that_its_own_added_worker_drops";
    if is_child(NAME) {
        thread_local!(static OWN: RefCell<Option<Arc<runtime::Runtime>>> = const {
            RefCell::new(None)
        });
        let runtime = Arc::new(Builder::new().workers(1).thread_name("own").build().unwrap());
        let (started, kept) = (Count::new(), Count::new());
        let hog = {
            let (started, kept) = (started.clone(), kept.clone());
            runtime.spawn(move || {
                started.add();
                hog_until("an added worker has it", || kept.is_set());
                thread_id()
            })
        };
        eventually("the hog runs", || started.is_set());
        let own = runtime.clone();
        let keeper = runtime.spawn(move || {
            OWN.set(Some(own));
            kept.add();
            thread_id()
        });
        assert_ne!(keeper.join().unwrap(), hog.join().unwrap());
        let dropped = Arc::downgrade(&runtime);
        drop(runtime);
        eventually("the added worker has dropped it", || dropped.strong_count() == 0);
        eventually("its threads have ended", || threads_named("own") == 0);
        return;
    }
    succeed_in_child(NAME, |_| {});
}

/// The destructor of a closure that is refused may wait, as any code of the caller's may.
#[test]
fn a_refused_closure_may_wait_in_its_destructor() {
    bounded(|| {
        let waited = Builder::new().workers(1).tasks_max(1).run(|| {
            let waited = Count::new();
            let parked: Vec<_> =
                (0..64).map_while(|_| task::Builder::new().spawn(task::park).ok()).collect();
            let on_drop = OnDrop({
                let waited = waited.clone();
                move || {
                    sedge::time::sleep(Duration::from_millis(1));
                    task::yield_now();
                    waited.add();
                }
            });
            assert!(task::Builder::new().spawn(move || drop(on_drop)).is_err());
            drop(parked);
            waited.get()
        });
        assert_eq!(waited.unwrap(), 1);
    });
}

/// A forked child that goes on without `exec` is told, and ends; one that calls `exec` is not.
#[test]
fn fork_without_exec_is_refused() {
    const NAME: &str = "life::fork_without_exec_is_refused";
    if is_child(NAME) {
        return sedge::run(|| {
            sedge::time::sleep(Duration::from_millis(1));
            // SAFETY: what the child does here is what must be refused.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                sedge::time::sleep(Duration::from_millis(1));
                // SAFETY: not reached, or the test fails.
                unsafe { libc::_exit(0) };
            }
            let status = sedge::blocking(|| {
                let mut status = 0;
                // SAFETY: a child of this process.
                assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
                status
            });
            assert!(libc::WIFSIGNALED(status), "the child went on: {status}");
            assert_eq!(libc::WTERMSIG(status), libc::SIGABRT);
            let listed = sedge::blocking(|| std::process::Command::new("true").status());
            assert!(listed.unwrap().success(), "fork and exec work");
            sedge::time::sleep(Duration::from_millis(1));
        });
    }
    let stderr = succeed_in_child(NAME, |_| {});
    assert!(stderr.contains("forked"), "{stderr}");
    assert!(stderr.contains("exec"), "{stderr}");
}

/// A runtime that is started after the fork, in the child, works.
#[test]
fn a_runtime_after_a_fork() {
    const NAME: &str = "life::a_runtime_after_a_fork";
    if is_child(NAME) {
        sedge::run(|| sedge::spawn(|| ()).join().unwrap());
        // SAFETY: the only other thread is the harness's, which holds nothing that is needed here.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let value = sedge::run(|| sedge::spawn(|| 42).join().unwrap());
            // SAFETY: ends the child without the harness's epilogue.
            unsafe { libc::_exit(value) };
        }
        let mut status = 0;
        // SAFETY: a child of this process.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        assert!(libc::WIFEXITED(status), "{status}");
        assert_eq!(libc::WEXITSTATUS(status), 42);
        return;
    }
    succeed_in_child(NAME, |_| {});
}
