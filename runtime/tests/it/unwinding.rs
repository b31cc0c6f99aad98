//! Destructors that wait, panics beside them, and cancellation by shutdown.

use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};
use std::thread::panicking;
use std::time::Duration;

use sedge::io::Source;
use sedge::runtime::{Builder, Runtime};
use sedge::task::{self, Cancelled, JoinHandle};
use sedge_runtime as sedge;

use crate::limits::{all_threads_are_up, keep_heap, limit_address_space};
use crate::support::{
    Count, OnDrop, bounded, eventually, is_child, runtime, status_kib, succeed_in_child,
};

/// Ends `runtime`, with time enough, and asserts that everything has ended.
fn shut_down(runtime: Runtime) {
    assert_eq!(runtime.shutdown_timeout(Duration::from_secs(25)), 0, "tasks were abandoned");
}

fn was_cancelled<T>(handle: JoinHandle<T>) -> bool {
    handle.join().is_err_and(|payload| payload.is::<Cancelled>())
}

/// A destructor that waits while its task unwinds, beside an innocent task, a guilty one, and one
/// that catches a panic of its own, all on one worker.
#[test]
fn a_wait_in_mid_unwind_concerns_no_queue_mate() {
    bounded(|| {
        let runtime = runtime(1);
        let checked = Count::new();
        for depth in [1, 2, 3] {
            for round in 0..20 {
                let checked = checked.clone();
                runtime
                    .spawn(move || beside_an_unwind(depth, round % 2 == 0, &checked))
                    .join()
                    .unwrap();
            }
        }
        assert_eq!(checked.get(), 3 * 20 * 5);
    });
}

fn beside_an_unwind(depth: u32, park_with_guard: bool, checked: &Count) {
    let (unwinding, go_on) = (Count::new(), Count::new());
    let innocent_lock = Arc::new(Mutex::new(0));
    let innocent = {
        let (lock, go_on, checked) = (innocent_lock.clone(), go_on.clone(), checked.clone());
        sedge::spawn(move || {
            let guard = lock.lock().unwrap();
            if park_with_guard {
                eventually("the unwind waits", || go_on.is_set());
            }
            assert!(!panicking(), "a queue-mate's panic is not this task's");
            drop(guard);
            checked.add();
        })
    };
    let unwinder = {
        let (unwinding, go_on, checked) = (unwinding.clone(), go_on.clone(), checked.clone());
        sedge::spawn(move || {
            unwind(depth, &mut || {
                assert!(panicking());
                unwinding.add();
                eventually("the others are done", || go_on.get() >= 2);
                task::yield_now();
                sedge::time::sleep(Duration::from_micros(50));
                assert!(panicking(), "this task still unwinds");
            });
            assert!(!panicking(), "the unwind has ended");
            checked.add();
        })
    };
    eventually("it unwinds and waits", || unwinding.is_set());
    assert!(!panicking());
    go_on.add();
    innocent.join().unwrap();
    assert!(!innocent_lock.is_poisoned(), "an innocent task's lock");
    checked.add();
    let guilty_lock = Arc::new(Mutex::new(0));
    let lock = guilty_lock.clone();
    let guilty = sedge::spawn(move || {
        let _guard = lock.lock().unwrap();
        resume_unwind(Box::new("guilty"));
    });
    assert!(guilty.join().is_err());
    assert!(guilty_lock.is_poisoned(), "a guilty task's lock");
    checked.add();
    let catcher = sedge::spawn(|| {
        let caught = catch_unwind(|| {
            let _nested = OnDrop(|| assert!(catch_unwind(|| resume_unwind(Box::new(2))).is_err()));
            resume_unwind(Box::new(1));
        });
        assert!(!panicking());
        caught.is_err()
    });
    assert!(catcher.join().unwrap());
    checked.add();
    go_on.add();
    unwinder.join().unwrap();
}

/// Calls `f` in a destructor, `depth` unwinds deep.
fn unwind(depth: u32, f: &mut dyn FnMut()) {
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let _on_drop = OnDrop(|| if depth == 1 { f() } else { unwind(depth - 1, f) });
        resume_unwind(Box::new(depth));
    }));
    assert_eq!(*caught.unwrap_err().downcast::<u32>().unwrap(), depth);
}

/// Many tasks that all wait in mid-unwind, on several workers: each finds its own panic again.
#[test]
fn many_waits_in_mid_unwind_stress() {
    bounded(|| {
        let runtime = runtime(2);
        let waits = Count::new();
        let tasks: Vec<_> = (0..64)
            .map(|n: u32| {
                let waits = waits.clone();
                runtime.spawn(move || {
                    for round in 0..5 {
                        unwind(1 + (n + round) % 3, &mut || {
                            task::yield_now();
                            sedge::time::sleep(Duration::from_micros(u64::from(n)));
                            assert!(panicking());
                            waits.add();
                        });
                        assert!(!panicking());
                        task::yield_now();
                    }
                })
            })
            .collect();
        tasks.into_iter().for_each(|task| task.join().unwrap());
        assert_eq!(waits.get(), 64 * 5);
    });
}

/// A wait in mid-unwind for which there is no memory returns for no reason, as waits may, and keeps
/// its worker for no longer.
#[test]
fn a_wait_in_mid_unwind_without_memory() {
    const NAME: &str = "unwinding::a_wait_in_mid_unwind_without_memory";
    if is_child(NAME) {
        keep_heap();
        let runtime = runtime(1);
        all_threads_are_up(1);
        return runtime.spawn(wait_in_mid_unwind_without_memory).join().unwrap();
    }
    succeed_in_child(NAME, |_| {});
}

fn wait_in_mid_unwind_without_memory() {
    let (begun, go_on) = (Count::new(), Count::new());
    let unwinder = {
        let (begun, go_on) = (begun.clone(), go_on.clone());
        sedge::spawn(move || {
            begun.add();
            eventually("there is no memory left", || go_on.is_set());
            unwind(1, &mut || {
                sedge::time::sleep(Duration::from_millis(1));
                assert!(panicking());
            });
        })
    };
    eventually("it has its stack", || begun.is_set());
    limit_address_space(100 << 20);
    let mut parked = Vec::new();
    eventually("spawning fails", || match task::Builder::new().spawn(task::park) {
        Ok(task) => {
            parked.push(task);
            false
        }
        Err(_) => true,
    });
    go_on.add();
    unwinder.join().unwrap();
    parked.iter().for_each(|parked| parked.task().unpark());
    parked.into_iter().for_each(|parked| parked.join().unwrap());
}

/// What was begun for tasks of a runtime that has ended, and tasks of another had, is given back
/// when that one is idle.
#[test]
fn what_is_begun_in_mid_unwind_is_given_back() {
    const NAME: &str = "unwinding::what_is_begun_in_mid_unwind_is_given_back";
    const ROUNDS: usize = 30;
    // The sanitizer's shadow of the stacks stays.
    if cfg!(sedge_asan) {
        return;
    }
    if is_child(NAME) {
        // Not the pages of the program itself, which are read in as it runs.
        let resident = || status_kib("RssAnon") + status_kib("VmPTE");
        let (first, second) = (runtime(1), runtime(1));
        let before = resident();
        let (mut of_first, mut of_second) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            // The first task finds none, and what is begun for it is enough for the others.
            of_first.extend(park_in_mid_unwind(&first, 1));
            of_second.extend(park_in_mid_unwind(&second, 63));
        }
        let peak = resident();
        let end = |tasks: Vec<JoinHandle<()>>| {
            tasks.iter().for_each(|task| task.task().unpark());
            tasks.into_iter().for_each(|task| task.join().unwrap());
        };
        end(of_first);
        drop(first);
        end(of_second);
        let limit = before + (peak - before) / 5;
        eventually("at most a fifth of the peak is resident", || {
            std::thread::sleep(Duration::from_millis(100));
            println!("{before} KiB, {peak} KiB at the peak, {} KiB now", resident());
            resident() <= limit
        });
        return;
    }
    succeed_in_child(NAME, |_| {});
}

/// That many tasks of `runtime`, of one worker, parked while they unwind.
fn park_in_mid_unwind(runtime: &Runtime, count: usize) -> Vec<JoinHandle<()>> {
    let unwinding = Count::new();
    let spawn = |_| {
        let unwinding = unwinding.clone();
        runtime.spawn(move || {
            unwind(1, &mut || {
                unwinding.add();
                task::park();
            });
        })
    };
    let tasks = (0..count).map(spawn).collect();
    eventually("all unwind", || unwinding.get() == count);
    // The worker runs this once the last has parked.
    runtime.spawn(|| ()).join().unwrap();
    tasks
}

/// A panic message whose `Display` waits: the queue-mates' panics are theirs.
#[test]
fn a_wait_in_a_panic_message() {
    struct Waits;

    impl std::fmt::Display for Waits {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            sedge::time::sleep(Duration::from_millis(2));
            f.write_str("after a wait")
        }
    }

    bounded(|| {
        let runtime = runtime(1);
        for _ in 0..10 {
            let speaker = runtime.spawn(|| panic!("{Waits}"));
            let mate = runtime.spawn(|| catch_unwind(|| panic!("a queue-mate's")).is_err());
            assert!(mate.join().unwrap());
            let payload = speaker.join().unwrap_err();
            assert_eq!(*payload.downcast::<String>().unwrap(), "after a wait");
        }
    });
}

/// Shutdown runs every destructor of every task exactly once: of parked tasks, of tasks that never
/// started, of results, on the task's own stack where it may wait.
#[test]
fn drop_all() {
    const TASKS: usize = 5_000;
    bounded(|| {
        for workers in [1, 2, 4] {
            let (dropped, parked) = (Count::new(), Count::new());
            let runtime = runtime(workers);
            let handles: Vec<_> = (0..TASKS)
                .map(|n| {
                    let (told, parked) = (dropped.clone(), parked.clone());
                    let on_drop = OnDrop(move || {
                        if n % 50 == 0 {
                            sedge::time::sleep(Duration::from_micros(50));
                        }
                        told.add();
                    });
                    runtime.spawn(move || {
                        let _on_drop = on_drop;
                        parked.add();
                        match n % 3 {
                            0 => task::park(),
                            1 => sedge::time::sleep(Duration::from_secs(86_400)),
                            _ => task::block_on(std::future::pending()),
                        }
                    })
                })
                .collect();
            if workers > 1 {
                eventually("all are parked", || parked.get() == TASKS);
            }
            shut_down(runtime);
            assert_eq!(dropped.get(), TASKS);
            assert!(handles.into_iter().all(was_cancelled));
            assert_eq!(dropped.get(), TASKS);
        }
    });
}

/// The same for `run`: when it returns, everything of its tasks is gone.
#[test]
fn drop_all_when_the_root_returns() {
    const TASKS: usize = 2_000;
    bounded(|| {
        let dropped = Count::new();
        let handles = sedge::run(|| {
            let spawn = |_| {
                let told = dropped.clone();
                let on_drop = OnDrop(move || told.add());
                sedge::spawn(move || {
                    let _on_drop = on_drop;
                    task::park();
                })
            };
            (0..TASKS).map(spawn).collect::<Vec<_>>()
        });
        assert_eq!(dropped.get(), TASKS);
        assert!(handles.into_iter().all(was_cancelled));
    });
}

/// Parked in a destructor, in mid-unwind and not: these waits are finished, not thrown out of.
#[test]
fn shutdown_of_tasks_that_wait_in_destructors() {
    bounded(|| {
        let runtime = runtime(2);
        let (waiting, ended) = (Count::new(), Count::new());
        let handles: Vec<_> = (0..200_u64)
            .map(|n| {
                let (waiting, ended) = (waiting.clone(), ended.clone());
                runtime.spawn(move || {
                    let _outer = OnDrop({
                        let ended = ended.clone();
                        move || ended.add()
                    });
                    let _on_drop = OnDrop(move || {
                        waiting.add();
                        let caught =
                            catch_unwind(|| sedge::time::sleep(Duration::from_millis(20 + n % 7)));
                        // Thrown out of only where it does not unwind already.
                        assert!(!(panicking() && caught.is_err()), "a wait threw in mid-unwind");
                        ended.add();
                    });
                    if n % 2 == 0 {
                        resume_unwind(Box::new("on its way out"));
                    }
                })
            })
            .collect();
        eventually("all wait in a destructor", || waiting.get() == 200);
        shut_down(runtime);
        assert_eq!((waiting.get(), ended.get()), (200, 400));
        for (n, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.join().is_err(), n % 2 == 0);
        }
    });
}

/// I/O that would wait returns an error, also inside `no_park`, where it would keep the thread.
#[test]
fn a_cancelled_tasks_io_in_no_park_does_not_wait_in_mid_unwind() {
    bounded(|| {
        let runtime = runtime(1);
        let (waiting, refused) = (Count::new(), Count::new());
        let (told, counted) = (waiting.clone(), refused.clone());
        let (near, _stuck_peer) = UnixStream::pair().unwrap();
        let handle = runtime.spawn(move || {
            let near = Source::new(near).unwrap();
            let _on_drop = OnDrop(|| {
                let read = task::no_park(|| near.read_with(|mut stream| stream.read(&mut [0; 1])));
                if read.is_err_and(|error| error.kind() == ErrorKind::Other) {
                    counted.add();
                }
            });
            told.add();
            task::park();
        });
        eventually("it waits", || waiting.is_set());
        shut_down(runtime);
        assert_eq!(refused.get(), 1);
        assert!(was_cancelled(handle));
    });
}

/// The unwind is a panic's, and the cancellation comes when a destructor waits already. Nothing is
/// raised then: the wait has to see it, also inside `no_park`, where nothing wakes it.
#[test]
fn a_cancellation_ends_io_that_waits_in_mid_unwind() {
    bounded(|| {
        for in_no_park in [false, true] {
            let runtime = runtime(1);
            let (tried, refused) = (Count::new(), Count::new());
            let (told, counted) = (tried.clone(), refused.clone());
            let (near, _silent_peer) = UnixStream::pair().unwrap();
            let handle = runtime.spawn(move || {
                let near = Source::new(near).unwrap();
                let _on_drop = OnDrop(|| {
                    let read = || {
                        near.read_with(|mut stream| {
                            told.add();
                            stream.read(&mut [0; 1])
                        })
                    };
                    let read = if in_no_park { task::no_park(read) } else { read() };
                    if read.is_err_and(|error| error.kind() == ErrorKind::Other) {
                        counted.add();
                    }
                });
                resume_unwind(Box::new("on its way out"));
            });
            eventually("it has to wait", || tried.is_set());
            if !in_no_park {
                // The one worker runs another task: the first has parked.
                runtime.spawn(|| ()).join().unwrap();
            }
            shut_down(runtime);
            assert_eq!(refused.get(), 1);
            assert!(!was_cancelled(handle));
        }
    });
}

extern "C" fn compare(_: *const libc::c_void, _: *const libc::c_void) -> libc::c_int {
    sedge::time::sleep(Duration::from_millis(5));
    task::park_timeout(Duration::from_millis(5));
    0
}

/// Inside a C callback, shielded: the wait goes on, and the task is told after it.
#[test]
fn shutdown_of_tasks_in_c_callbacks() {
    bounded(|| {
        let runtime = runtime(2);
        let (inside, sorted, dropped) = (Count::new(), Count::new(), Count::new());
        let handles: Vec<_> = (0..50)
            .map(|_| {
                let (inside, sorted, dropped) = (inside.clone(), sorted.clone(), dropped.clone());
                runtime.spawn(move || {
                    let _on_drop = OnDrop(|| dropped.add());
                    task::shield(|| {
                        let mut numbers = [3, 1, 2];
                        inside.add();
                        // SAFETY: three elements of four bytes, and a callback that touches none.
                        unsafe { libc::qsort(numbers.as_mut_ptr().cast(), 3, 4, Some(compare)) };
                        sorted.add();
                    });
                    task::park();
                    unreachable!("cancelled at the first wait after the shield");
                })
            })
            .collect();
        eventually("all are in the callback", || inside.get() == 50);
        shut_down(runtime);
        assert_eq!((inside.get(), sorted.get(), dropped.get()), (50, 50, 50));
        assert!(handles.into_iter().all(was_cancelled));
    });
}

/// Tasks that swallow the cancellation and wait again are told again, and keep no worker.
#[test]
fn shutdown_of_tasks_in_catch_unwind_loops() {
    bounded(|| {
        let runtime = runtime(1);
        let (waiting, told, dropped) = (Count::new(), Count::new(), Count::new());
        let handles: Vec<_> = (0..50)
            .map(|_| {
                let (waiting, told, dropped) = (waiting.clone(), told.clone(), dropped.clone());
                runtime.spawn(move || {
                    let _on_drop = OnDrop(|| dropped.add());
                    waiting.add();
                    for _ in 0..20 {
                        let payload = catch_unwind(task::park).unwrap_err();
                        assert!(payload.is::<Cancelled>());
                        told.add();
                    }
                })
            })
            .collect();
        eventually("all wait", || waiting.get() == 50);
        shut_down(runtime);
        assert_eq!((told.get(), dropped.get()), (50 * 20, 50));
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

/// One that never gives up is abandoned when the time is up, and the others still end.
#[test]
fn an_endless_catch_unwind_loop_is_abandoned() {
    bounded(|| {
        let runtime = Builder::new().workers(1).build().unwrap();
        let (endless, waiting, dropped) = (Count::new(), Count::new(), Count::new());
        let told = endless.clone();
        drop(runtime.spawn(move || {
            loop {
                let _ = catch_unwind(task::park);
                told.add();
            }
        }));
        let mates: Vec<_> = (0..10)
            .map(|_| {
                let (waiting, dropped) = (waiting.clone(), dropped.clone());
                runtime.spawn(move || {
                    let _on_drop = OnDrop(|| dropped.add());
                    waiting.add();
                    task::park();
                })
            })
            .collect();
        eventually("all wait", || waiting.get() == 10);
        assert_eq!(runtime.shutdown_timeout(Duration::from_secs(1)), 1);
        assert!(endless.get() > 2);
        assert_eq!(dropped.get(), 10);
        assert!(mates.into_iter().all(was_cancelled));
    });
}

/// Cancelled tasks that hold and wait for each other: joins, `blocking`, tasks spawned on the way.
#[test]
fn shutdown_of_tasks_that_wait_for_tasks() {
    bounded(|| {
        for _ in 0..20 {
            let runtime = runtime(2);
            let (waiting, dropped) = (Count::new(), Count::new());
            for _ in 0..20 {
                let (waiting, dropped) = (waiting.clone(), dropped.clone());
                drop(runtime.spawn(move || {
                    let on_drop = |dropped: &Count| {
                        let dropped = dropped.clone();
                        OnDrop(move || dropped.add())
                    };
                    let _outer = on_drop(&dropped);
                    let inner = on_drop(&dropped);
                    let child = sedge::spawn(move || {
                        let _inner = inner;
                        sedge::blocking(|| std::thread::sleep(Duration::from_millis(1)));
                        task::park();
                    });
                    waiting.add();
                    let _ = child.join();
                }));
            }
            eventually("all wait", || waiting.get() == 20);
            shut_down(runtime);
            assert_eq!(dropped.get(), 40);
        }
    });
}

/// A million parked tasks end, each destructor once, in bounded time. The bound is for a debug
/// build on a shared machine with a fortieth of that.
#[test]
fn shutting_down_with_very_many_parked_tasks() {
    let tasks = crate::memory::very_many();
    let shut_down_all = move || {
        let (parked, dropped) = (Count::new(), Count::new());
        let runtime = Builder::new().workers(2).stack_size(64 << 10).shutdown_timeout(None).build();
        let runtime = runtime.unwrap();
        for _ in 0..tasks {
            let (parked, dropped) = (parked.clone(), dropped.clone());
            drop(runtime.spawn(move || {
                let _on_drop = OnDrop(|| dropped.add());
                parked.add();
                task::park();
            }));
        }
        eventually("all are parked", || parked.get() == tasks);
        drop(runtime);
        assert_eq!((parked.get(), dropped.get()), (tasks, tasks));
    };
    bounded(shut_down_all);
}
