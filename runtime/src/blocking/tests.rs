//! The pool, with threads in the part of tasks: what waits for a job is a thread.
#![expect(clippy::disallowed_methods, reason = "no task runs here: threads sleep and yield")]

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::job::{Job, lend};
use super::lane::{Lane, LaneConfig};
use super::{Config, Pool, blocking};

const HUNG: Duration = Duration::from_secs(60);

fn config(threads_max: usize) -> LaneConfig {
    LaneConfig {
        name: "test".to_owned(),
        threads_max,
        keep_alive: HUNG,
        test_thread_limit: usize::MAX,
    }
}

/// A lane whose threads stay.
pub(super) fn lane(threads_max: usize) -> Arc<Lane> {
    Arc::new(Lane::new(config(threads_max)))
}

#[track_caller]
fn run<T: Send>(lane: &Arc<Lane>, f: impl FnOnce() -> T + Send) -> T {
    lend(Location::caller(), f, |job| drop(lane.submit(job)))
}

#[track_caller]
fn wait_until(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < HUNG, "hung");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn smoke_inline_on_a_plain_thread() {
    let here = thread::current().id();
    assert_eq!(blocking(|| thread::current().id()), here);
}

#[test]
fn borrows_from_the_caller() {
    let lane = lane(2);
    let mut numbers = vec![3, 1, 2];
    let first = run(&lane, || {
        numbers.sort_unstable();
        &numbers[0]
    });
    assert_eq!(*first, 1);
    assert_eq!(numbers, [1, 2, 3]);
    let name = run(&lane, || thread::current().name().map(str::to_owned));
    assert_eq!(name.as_deref(), Some("test-0"));
    assert_eq!(lane.stats().done, 2);
    assert_eq!(lane.stats().threads, 1);
}

#[test]
fn a_panic_comes_back() {
    let lane = lane(1);
    let held = Arc::new(());
    let captured = held.clone();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        run(&lane, move || {
            let _captured = captured;
            std::panic::resume_unwind(Box::new("out"));
        });
    }));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"out"));
    assert_eq!(Arc::strong_count(&held), 1);
    assert_eq!(run(&lane, || 1), 1);
    assert_eq!(lane.stats().done, 2);
}

#[test]
fn drop_all() {
    let lane = lane(1);
    let held = Arc::new(());
    let (captured, returned) = (held.clone(), held.clone());
    let result = run(&lane, move || {
        drop(captured);
        returned
    });
    assert_eq!(Arc::strong_count(&held), 2);
    drop(result);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn a_dropped_job_is_run_by_its_caller() {
    let here = thread::current().id();
    assert_eq!(lend(Location::caller(), || thread::current().id(), drop::<Job>), here);
}

#[test]
fn grows_and_shrinks() {
    let lane =
        Arc::new(Lane::new(LaneConfig { keep_alive: Duration::from_millis(50), ..config(64) }));
    let together = Barrier::new(8);
    thread::scope(|scope| {
        for _ in 0..8 {
            // Returns only when eight jobs run at once.
            scope.spawn(|| run(&lane, || together.wait().is_leader()));
        }
    });
    assert_eq!(lane.stats().done, 8);
    wait_until(|| lane.stats().threads == 0);
    assert_eq!(lane.stats().idle, 0);
    assert_eq!(run(&lane, || 7), 7);
}

#[test]
fn shrinks_under_a_trickle() {
    let lane =
        Arc::new(Lane::new(LaneConfig { keep_alive: Duration::from_millis(200), ..config(64) }));
    let together = Barrier::new(8);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| run(&lane, || together.wait().is_leader()));
        }
    });
    // Round robin would give each of eight threads a job in time to stay.
    wait_until(|| {
        run(&lane, || ());
        lane.stats().threads <= 2
    });
}

#[test]
fn keeps_to_its_limit() {
    let lane = lane(3);
    let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..50 {
                    run(&lane, || {
                        most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                        thread::yield_now();
                        running.fetch_sub(1, SeqCst);
                    });
                }
            });
        }
    });
    let stats = lane.stats();
    assert_eq!((stats.done, stats.queued), (800, 0));
    assert!(stats.threads <= 3 && most.into_inner() <= 3);
}

#[test]
fn inline_where_no_thread_can_be_made() {
    let lane = Arc::new(Lane::new(LaneConfig { test_thread_limit: 0, ..config(4) }));
    let here = thread::current().id();
    assert_eq!(run(&lane, || thread::current().id()), here);
    assert_eq!((lane.stats().spawn_failures, lane.stats().threads), (1, 0));
}

#[test]
fn waits_for_a_thread_where_no_more_can_be_made() {
    let lane = Arc::new(Lane::new(LaneConfig { test_thread_limit: 1, ..config(4) }));
    let together = Barrier::new(2);
    let (first, second) = thread::scope(|scope| {
        let first = scope.spawn(|| {
            run(&lane, || {
                together.wait();
                thread::current().id()
            })
        });
        wait_until(|| lane.stats().threads == 1);
        let second = scope.spawn(|| run(&lane, || thread::current().id()));
        wait_until(|| lane.stats().queued == 1);
        together.wait();
        (first.join().unwrap(), second.join().unwrap())
    });
    assert_eq!(first, second);
    assert_eq!((lane.stats().done, lane.stats().spawn_failures), (2, 1));
}

#[test]
fn stress_each_job_once() {
    const THREADS: usize = 8;
    const EACH: usize = 12_500;
    let lane = lane(4);
    let times: Vec<_> = (0..THREADS * EACH).map(|_| AtomicUsize::new(0)).collect();
    thread::scope(|scope| {
        for mine in times.chunks(EACH) {
            let lane = &lane;
            scope.spawn(move || {
                for (i, cell) in mine.iter().enumerate() {
                    assert_eq!(run(lane, || (cell.fetch_add(1, Relaxed), i)), (0, i));
                }
            });
        }
    });
    assert!(times.iter().all(|cell| cell.load(Relaxed) == 1));
    assert_eq!(lane.stats().done, (THREADS * EACH) as u64);
}

#[test]
fn stampede_while_threads_come_and_go() {
    // A keep-alive of nothing: every thread is about to leave when the next job comes.
    let lane = Arc::new(Lane::new(LaneConfig { keep_alive: Duration::ZERO, ..config(4) }));
    let total = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    run(&lane, || total.fetch_add(1, Relaxed));
                }
            });
        }
    });
    assert_eq!(total.into_inner(), 2000);
    assert_eq!(lane.stats().done, 2000);
    wait_until(|| lane.stats().threads == 0);
}

/// A lane of one thread, busy until told, with `queued` jobs behind.
fn with_queue(queued: usize, body: impl FnOnce(&Arc<Lane>, &dyn Fn())) -> (Arc<Lane>, usize) {
    let lane = lane(1);
    let ran = AtomicUsize::new(0);
    let (go, gate) = mpsc::channel();
    let gate = Mutex::new(gate);
    thread::scope(|scope| {
        for _ in 0..=queued {
            scope.spawn(|| {
                run(&lane, || {
                    gate.lock().unwrap().recv().unwrap();
                    ran.fetch_add(1, Relaxed);
                });
            });
        }
        wait_until(|| lane.stats().queued == queued);
        body(&lane, &|| (0..=queued).for_each(|_| go.send(()).unwrap()));
    });
    let ran = ran.into_inner();
    (lane, ran)
}

#[test]
fn shutdown_runs_what_is_queued() {
    let (lane, ran) = with_queue(3, |lane, release| {
        lane.close();
        release();
        assert_eq!(lane.join(None), 0);
        assert_eq!(lane.stats().threads, 0);
    });
    assert_eq!((ran, lane.stats().done), (4, 4));
    let here = thread::current().id();
    assert_eq!(run(&lane, || thread::current().id()), here, "a closed lane makes no threads");
}

#[test]
fn shutdown_gives_up_at_its_deadline() {
    let (lane, ran) = with_queue(2, |lane, release| {
        lane.close();
        assert_eq!(lane.join(Some(Instant::now() + Duration::from_millis(20))), 3);
        release();
    });
    assert_eq!(ran, 3);
    assert_eq!(lane.join(None), 0);
}

#[test]
fn abandoning_waits_for_no_job() {
    let lane = lane(2);
    let (go, gate) = mpsc::channel::<()>();
    let (job, busy) = Job::owned(Location::caller(), move || gate.recv().unwrap());
    lane.submit(job).unwrap();
    run(&lane, || ());
    wait_until(|| lane.stats().idle == 1);
    lane.close();
    lane.abandon(None);
    assert_eq!(lane.stats().threads, 1, "the idle thread is joined, the busy one is not");
    go.send(()).unwrap();
    busy.wait();
    assert_eq!(lane.join(None), 0);
}

#[test]
fn stampede_into_a_shutdown() {
    for _ in 0..50 {
        let lane = lane(2);
        let ran = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        run(&lane, || ran.fetch_add(1, Relaxed));
                    }
                });
            }
            thread::yield_now();
            lane.close();
            assert_eq!(lane.join(Some(Instant::now() + HUNG)), 0);
        });
        assert_eq!(ran.into_inner(), 60);
        lane.join(None);
        assert_eq!((lane.stats().threads, lane.stats().queued), (0, 0));
    }
}

#[test]
fn jobs_that_wait_for_each_other_are_reported() {
    let (lane, ran) = with_queue(2, |lane, release| {
        let since = lane.stuck_since().expect("every thread is busy and jobs are queued");
        assert!(since <= Instant::now());
        let told = lane.stuck().unwrap().to_string();
        assert!(told.contains("all 1 threads of test"), "{told}");
        assert!(told.contains("2 more jobs wait"), "{told}");
        assert!(told.contains("tests.rs"), "{told}");
        release();
    });
    assert_eq!(ran, 3);
    assert_eq!((lane.stuck_since(), lane.stuck()), (None, None));
}

#[test]
fn a_pool_keeps_its_lanes_apart() {
    let pool = Pool::new(&Config { threads_max: 1, ..Config::default() });
    let names: HashSet<_> = [&pool.general, &pool.files, &pool.resolve]
        .map(|lane| run(lane, || thread::current().name().map(str::to_owned)))
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(names, ["sedge-block-0", "sedge-file-0", "sedge-dns-0"].map(str::to_owned).into());
    let stats = pool.stats();
    assert_eq!((stats.general.threads_max, stats.general.done), (1, 1));
    assert_eq!((stats.files.done, stats.resolve.done), (1, 1));
    assert!(pool.stuck_since().is_none() && pool.stuck().is_none());
    assert_eq!(pool.shutdown(None), 0);
    let stats = pool.stats();
    assert_eq!((stats.general.threads, stats.files.threads, stats.resolve.threads), (0, 0, 0));
}

/// The system's own refusal (`EAGAIN`), as an ordinary user at his limit of processes meets it.
#[test]
fn at_the_limit_of_processes() {
    let test = std::env::current_exe().unwrap();
    let mut child = Command::new("prlimit");
    child.arg("--nproc=1").arg(test).args(["--exact", "--test-threads=1"]);
    child.env("SEDGE_TEST_CHILD", "1");
    child.arg("blocking::tests::child_at_the_limit_of_processes");
    // The limit does not bind root.
    if is_root() {
        std::os::unix::process::CommandExt::uid(&mut child, 54_321);
    }
    let output = child.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{output:?}");
}

/// The child of [`at_the_limit_of_processes`]; nothing on its own.
#[test]
fn child_at_the_limit_of_processes() {
    if std::env::var_os("SEDGE_TEST_CHILD").is_none() {
        return;
    }
    let lane = lane(4);
    let here = thread::current().id();
    assert_eq!(run(&lane, || thread::current().id()), here);
    assert_eq!((lane.stats().spawn_failures, lane.stats().threads), (1, 0));
}

fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0
}

#[test]
fn smoke_in_a_task() {
    crate::run(|| {
        let mut numbers = vec![3, 1, 2];
        let here = thread::current().id();
        let there = blocking(|| {
            numbers.sort_unstable();
            (thread::current().id(), blocking(|| thread::current().id()))
        });
        assert_ne!(there.0, here);
        assert_eq!(there.0, there.1, "a job's own jobs run inline");
        assert_eq!(numbers, [1, 2, 3]);
        crate::task::no_park(|| assert_eq!(blocking(|| thread::current().id()), here));
    });
}

#[test]
fn stress_in_tasks() {
    const TASKS: usize = 100;
    const EACH: usize = 100;
    let total = Arc::new(AtomicUsize::new(0));
    crate::run(|| {
        let tasks: Vec<_> = (0..TASKS)
            .map(|i| {
                let total = total.clone();
                crate::spawn(move || {
                    for j in 0..EACH {
                        let mut mine = [i, j];
                        blocking(|| {
                            mine.swap(0, 1);
                            total.fetch_add(1, Relaxed);
                        });
                        assert_eq!(mine, [j, i]);
                    }
                })
            })
            .collect();
        tasks.into_iter().for_each(|task| task.join().unwrap());
    });
    assert_eq!(total.load(Relaxed), TASKS * EACH);
}

#[test]
fn a_cancelled_task_waits_for_its_job() {
    /// Sets its flag when dropped, as the buffer that a job fills would be freed.
    struct Buffer<'a>(&'a AtomicUsize);

    impl Drop for Buffer<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    static FREED: AtomicUsize = AtomicUsize::new(0);
    let (started, go) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let task = crate::run(|| {
        let (started_there, go_there) = (started.clone(), go.clone());
        let task = crate::spawn(move || {
            let buffer = Buffer(&FREED);
            blocking(|| {
                started_there.wait();
                // The root has returned, and this task has been told to stop.
                go_there.wait();
                assert_eq!(buffer.0.load(SeqCst), 0);
            });
            // The first cancellation point after it raises.
            crate::task::yield_now();
            unreachable!("cancelled");
        });
        blocking(|| started.wait());
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            go.wait();
        });
        task
    });
    assert!(task.join().unwrap_err().is::<crate::task::Cancelled>());
    assert_eq!(FREED.load(SeqCst), 1);
}

#[test]
fn a_panicking_task_blocks_in_its_destructors() {
    struct Blocks(Arc<AtomicUsize>);

    impl Drop for Blocks {
        fn drop(&mut self) {
            blocking(|| {
                assert!(!thread::panicking());
                self.0.fetch_add(1, SeqCst);
            });
        }
    }

    let dropped = Arc::new(AtomicUsize::new(0));
    crate::run(|| {
        let dropped = dropped.clone();
        let task = crate::spawn(move || {
            let _first = Blocks(dropped.clone());
            let _second = Blocks(dropped);
            blocking(|| std::panic::resume_unwind(Box::new("out")))
        });
        assert_eq!(task.join().unwrap_err().downcast_ref(), Some(&"out"));
    });
    assert_eq!(dropped.load(SeqCst), 2);
}
