//! A task that keeps its worker: what goes on all the same, and what is said about it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sedge::io::Source;
use sedge::task;
use sedge_runtime as sedge;

use crate::support::{
    Count, added_workers_are_to_go, bounded, eventually, hog_until, is_child, runtime,
    succeed_in_child, thread_id, thread_names,
};

fn workers_named(prefix: &str) -> usize {
    thread_names().iter().filter(|name| name.starts_with(prefix)).count()
}

/// With every worker stuck, fresh tasks get one more, and it goes when it is not needed.
#[test]
fn fresh_tasks_get_an_extra_worker_that_retires() {
    bounded(|| {
        for workers in [1, 2] {
            let name = format!("hog{workers}");
            let builder = sedge::runtime::Builder::new().workers(workers).thread_name(name.clone());
            let runtime = builder.build().unwrap();
            for _ in 0..5 {
                let fresh_ran = Count::new();
                let started = Count::new();
                let hogs: Vec<_> = (0..workers)
                    .map(|_| {
                        let (fresh_ran, started) = (fresh_ran.clone(), started.clone());
                        runtime.spawn(move || {
                            started.add();
                            hog_until("a fresh task ran", || fresh_ran.get() == 10);
                        })
                    })
                    .collect();
                eventually("all workers are stuck", || started.get() == workers);
                let fresh: Vec<_> = (0..10)
                    .map(|_| {
                        let fresh_ran = fresh_ran.clone();
                        runtime.spawn(move || fresh_ran.add())
                    })
                    .collect();
                hogs.into_iter().for_each(|hog| hog.join().unwrap());
                fresh.into_iter().for_each(|fresh| fresh.join().unwrap());
                let worker = format!("{name}-worker");
                eventually("the extra worker has gone", || workers_named(&worker) == workers);
            }
        }
    });
}

/// An extra worker with tasks of its own keeps them, takes no more once the hog has ended, and goes
/// with the last.
#[test]
fn a_retiring_worker_takes_no_new_homes() {
    bounded(|| {
        let builder = sedge::runtime::Builder::new().workers(1).thread_name("retire");
        let runtime = builder.build().unwrap();
        let (started, kept) = (Count::new(), Count::new());
        let (hog_started, hog_kept) = (started.clone(), kept.clone());
        let hog = runtime.spawn(move || {
            hog_started.add();
            hog_until("the extra worker has a home task", || hog_kept.is_set());
            thread_id()
        });
        eventually("the hog runs", || started.is_set());
        let (extra_sender, extra) = std::sync::mpsc::channel();
        let home = runtime.spawn(move || {
            extra_sender.send(thread_id()).unwrap();
            kept.add();
            task::park();
            thread_id()
        });
        let extra = extra.recv().unwrap();
        let member = hog.join().unwrap();
        assert_ne!(member, extra);
        added_workers_are_to_go(&runtime, member);
        home.task().unpark();
        assert_eq!(home.join().unwrap(), extra, "a home is for life");
        eventually("the extra worker has gone", || workers_named("retire-worker") == 1);
        assert_eq!(runtime.spawn(thread_id).join().unwrap(), member);
    });
}

/// A worker that stays for a last task while it is to go starts none, so it does not stand for one
/// that does: with the member stuck again, fresh tasks run.
#[test]
fn a_retiring_worker_does_not_stand_for_one_that_starts_tasks() {
    bounded(|| {
        let runtime = runtime(1);
        let spawn_hog = |until: &Count| {
            let (started, until) = (Count::new(), until.clone());
            let told = started.clone();
            let hog = runtime.spawn(move || {
                told.add();
                hog_until("a fresh task ran", || until.is_set());
                thread_id()
            });
            eventually("the hog runs", || started.is_set());
            hog
        };
        let kept = Count::new();
        let hog = spawn_hog(&kept);
        let home = runtime.spawn(move || {
            kept.add();
            task::park();
            thread_id()
        });
        let member = hog.join().unwrap();
        added_workers_are_to_go(&runtime, member);
        let ran = Count::new();
        let hog = spawn_hog(&ran);
        let fresh = runtime.spawn(move || {
            ran.add();
            thread_id()
        });
        assert_ne!(hog.join().unwrap(), fresh.join().unwrap());
        home.task().unpark();
        assert_ne!(home.join().unwrap(), member);
    });
}

/// A worker that has last seen the extra one as the least loaded hands it nothing once it has left.
#[test]
fn nothing_is_handed_to_a_worker_that_has_left() {
    bounded(|| {
        // It takes luck: the task between the two starts must not be stolen.
        let met = (0..40).filter(|_| hands_over_across_a_retirement()).take(2).count();
        println!("{met} times the extra worker left between two starts");
    });
}

/// Returns whether it came about: one worker, between two fresh tasks that it starts, ran a task
/// until the extra worker had gone.
fn hands_over_across_a_retirement() -> bool {
    let runtime = sedge::runtime::Builder::new().workers(2).thread_name("left").build().unwrap();
    let runtime = Arc::new(runtime);
    // Many homes on both, so that an extra worker is by far the least loaded.
    let at_home = Count::new();
    let parked: Vec<_> = (0..60)
        .map(|_| {
            let at_home = at_home.clone();
            runtime.spawn(move || {
                at_home.add();
                task::park();
            })
        })
        .collect();
    eventually("all have started", || at_home.get() == 60);
    let (started, extra_ran, let_go, met) =
        (Count::new(), Count::new(), Count::new(), Count::new());
    let (seated, may_go) = (Count::new(), Count::new());
    let guest = {
        let (runtime, met, seated, may_go) =
            (runtime.clone(), met.clone(), seated.clone(), may_go.clone());
        std::thread::spawn(move || {
            eventually("the extra worker has left", || met.is_set() || may_go.is_set());
            let stay = || eventually("the guest may go", || may_go.is_set());
            runtime.run(|| {
                seated.add();
                stay();
            })
        })
    };
    let spawner = {
        let (started, extra_ran, let_go, met, seated) =
            (started.clone(), extra_ran.clone(), let_go.clone(), met.clone(), seated.clone());
        runtime.spawn(move || {
            started.add();
            hog_until("an extra worker runs the fresh tasks", || extra_ran.get() == 4);
            let here = thread_id();
            // The first is handed over. The second migrates, so it is not, and keeps this worker;
            // what comes behind it is placed by what the worker saw at the first.
            let first = sedge::spawn(|| ());
            // SAFETY: the task does not wait.
            let keeper = unsafe { task::Builder::new().migrating(true) };
            let keeper = keeper.spawn(move || {
                let_go.add();
                if thread_id() == here {
                    hog_until("the extra worker has gone", || workers_named("left-worker") <= 2);
                    met.add();
                    hog_until("a guest sits in its place", || seated.is_set());
                }
            });
            let rest = (0..8).map(|_| sedge::spawn(|| ()));
            [first, keeper.unwrap()].into_iter().chain(rest).collect::<Vec<_>>()
        })
    };
    let hog = {
        let (started, let_go) = (started.clone(), let_go.clone());
        runtime.spawn(move || {
            started.add();
            hog_until("the spawner is done", || let_go.is_set());
        })
    };
    eventually("both are stuck", || started.get() == 2);
    let fresh: Vec<_> = (0..4)
        .map(|_| {
            let extra_ran = extra_ran.clone();
            runtime.spawn(move || extra_ran.add())
        })
        .collect();
    let spawned = spawner.join().unwrap();
    hog.join().unwrap();
    for task in fresh.into_iter().chain(spawned) {
        eventually("a task that was spawned beside an extra worker", || task.is_finished());
        task.join().unwrap();
    }
    may_go.add();
    guest.join().unwrap().unwrap();
    parked.iter().for_each(|parked| parked.task().unpark());
    parked.into_iter().for_each(|parked| parked.join().unwrap());
    met.is_set()
}

/// A migrating task sleeps on the extra worker, which has no home tasks and goes: its timer fires.
#[test]
fn a_worker_that_leaves_holds_up_no_migrating_timer() {
    bounded(|| {
        let runtime =
            sedge::runtime::Builder::new().workers(1).thread_name("timer").build().unwrap();
        let (slept, about) = (Count::new(), Count::new());
        let hog = {
            let (slept, about) = (slept.clone(), about.clone());
            runtime.spawn(move || {
                let spawn = |_| {
                    let (slept, about) = (slept.clone(), about.clone());
                    // SAFETY: the task keeps nothing of its thread's over a wait.
                    let builder = unsafe { task::Builder::new().migrating(true) };
                    let sleeper = builder.spawn(move || {
                        about.add();
                        sedge::time::sleep(Duration::from_millis(300));
                        slept.add();
                    });
                    sleeper.unwrap()
                };
                let sleepers: Vec<_> = (0..8).map(spawn).collect();
                hog_until("an extra worker has started them", || about.get() == 8);
                sleepers
            })
        };
        let sleepers = hog.join().unwrap();
        eventually("the extra worker has gone", || workers_named("timer-worker") == 1);
        sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
        assert_eq!(slept.get(), 8);
    });
}

/// A task of another worker that waits on the stuck one's netpoller is woken.
#[test]
fn a_stuck_worker_holds_up_no_foreign_waiter() {
    bounded(|| {
        let runtime = runtime(2);
        let (far, near) = UnixStream::pair().unwrap();
        let near = Arc::new(Source::new(near).unwrap());
        // Fill the socket, so that a writer has to wait.
        while near.get_ref().write(&[0; 4096]).is_ok() {}
        let (told, done) = (Count::new(), Count::new());
        // Registers the source with its worker, by waiting for what never comes, and is stuck then.
        let reader = {
            let (near, told) = (near.clone(), told.clone());
            runtime.spawn(move || {
                told.add();
                let timeout = Some(Duration::from_millis(20));
                let error =
                    near.reading().timeout(timeout).run(|mut s| s.read(&mut [0])).unwrap_err();
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                thread_id()
            })
        };
        let stuck_thread = reader.join().unwrap();
        // One hog and one writer, on different workers: whoever comes to the registering worker
        // hogs.
        let far = Arc::new(far);
        let writer_waits = Count::new();
        let role = |near: Arc<Source<UnixStream>>,
                    done: Count,
                    writer_waits: Count,
                    far: Arc<UnixStream>| {
            move || {
                if thread_id() == stuck_thread {
                    hog_until("the writer is about to wait", || writer_waits.is_set());
                    let until = Instant::now() + Duration::from_millis(5);
                    hog_until("a moment has passed", || Instant::now() >= until);
                    far.set_nonblocking(true).unwrap();
                    while (&*far).read(&mut [0; 4096]).is_ok() {}
                    hog_until("the writer went on", || done.is_set());
                    return false;
                }
                writer_waits.add();
                near.write_with(|mut s| s.write(&[1])).unwrap();
                done.add();
                true
            }
        };
        let spawn =
            || runtime.spawn(role(near.clone(), done.clone(), writer_waits.clone(), far.clone()));
        // Homes are dealt out evenly while tasks are there, so both workers get one before long.
        let mut handles = Vec::new();
        eventually("a hog and a writer have met", || {
            handles.push(spawn());
            done.is_set()
        });
        let writers = handles.into_iter().filter(|_| true).map(|h| h.join().unwrap());
        assert!(writers.filter(|&wrote| wrote).count() >= 1);
    });
}

/// A migrating task's timer fires though the worker that it was set on is stuck.
#[test]
fn a_stuck_worker_holds_up_no_migrating_timer() {
    bounded(|| {
        let runtime = runtime(2);
        for _ in 0..10 {
            let (slept, about) = (Count::new(), Count::new());
            let (told, seen) = (about.clone(), slept.clone());
            let sleeper = runtime
                .spawn(move || {
                    // SAFETY: the task keeps nothing of its thread's over a wait.
                    let builder = unsafe { task::Builder::new().migrating(true) };
                    builder
                        .spawn(move || {
                            told.add();
                            sedge::time::sleep(Duration::from_millis(5));
                            seen.add();
                        })
                        .unwrap()
                })
                .join()
                .unwrap();
            eventually("it is about to sleep", || about.is_set());
            // One worker is stuck, either; the other stays free.
            let hog = runtime.spawn(move || hog_until("the sleeper woke", || slept.is_set()));
            hog.join().unwrap();
            sleeper.join().unwrap();
        }
    });
}

/// A std `Mutex` held over a wait and wanted by a queue-mate: the message says who keeps the
/// worker.
#[test]
fn a_hog_is_named() {
    const NAME: &str = "hogs::a_hog_is_named";
    if is_child(NAME) {
        let lock = Arc::new(Mutex::new(()));
        let _ = sedge::runtime::Builder::new()
            .workers(1)
            .shutdown_timeout(Some(Duration::ZERO))
            .run(|| {
                let held = Count::new();
                let (owner_lock, told) = (lock.clone(), held.clone());
                let _owner = task::Builder::new()
                    .name("keeps the lock")
                    .spawn(move || {
                        let _guard = owner_lock.lock().unwrap();
                        told.add();
                        task::park();
                    })
                    .unwrap();
                eventually("the lock is held", || held.is_set());
                let _mate = task::Builder::new()
                    .name("wants the lock")
                    .spawn(move || drop(lock.lock()))
                    .unwrap();
                std::thread::spawn(|| {
                    std::thread::sleep(Duration::from_secs(3));
                    std::process::exit(0);
                });
                task::park();
            });
        unreachable!("the worker is stuck for good");
    }
    let mut command = crate::support::child(NAME);
    let output = crate::support::output_of(&mut command);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("task 'wants the lock'"), "{stderr}");
    assert!(stderr.contains("blocking"), "it says what to do: {stderr}");
    assert!(!stderr.contains("keeps the lock"), "the parked task is no hog: {stderr}");
}

/// Inside `no_park` the same cannot happen: the holder keeps its worker until it lets go.
#[test]
fn no_park_keeps_a_lock_from_queue_mates() {
    bounded(|| {
        let runtime = runtime(1);
        let lock = Arc::new(Mutex::new(0));
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let lock = lock.clone();
                runtime.spawn(move || {
                    for _ in 0..20 {
                        task::no_park(|| {
                            let mut count = lock.lock().unwrap();
                            sedge::time::sleep(Duration::from_micros(50));
                            task::yield_now();
                            *count += 1;
                        });
                        task::yield_now();
                    }
                })
            })
            .collect();
        tasks.into_iter().for_each(|task| task.join().unwrap());
        assert_eq!(*lock.lock().unwrap(), 160);
    });
}

/// A computation is not named where nobody waits behind it, nor is an idle worker.
#[test]
fn who_holds_up_nobody_is_not_named() {
    const NAME: &str = "hogs::who_holds_up_nobody_is_not_named";
    if is_child(NAME) {
        return sedge::run(|| {
            let until = Instant::now() + Duration::from_millis(2_500);
            hog_until("two seconds and a half have passed", || Instant::now() >= until);
        });
    }
    let stderr = succeed_in_child(NAME, |_| {});
    assert!(!stderr.contains("has kept worker"), "{stderr}");
}
