//! What happens at a limit: of live tasks, of address space, of threads.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use sedge::runtime;
use sedge::task::{self, Builder};
use sedge_runtime as sedge;

use crate::support::{
    Count, become_ordinary_user, bounded, eventually, hog_until, is_child, limit, soft_limit,
    status_kib, succeed_in_child, thread_id, thread_names,
};

/// Beyond the limit on live tasks, spawning fails and says which limit it was; as tasks end, it
/// works again.
#[test]
fn spawning_fails_at_the_limit_on_live_tasks() {
    const MAX: usize = 2_000;
    bounded(|| {
        runtime::Builder::new()
            .workers(2)
            .tasks_max(MAX)
            .run(|| {
                for _ in 0..5 {
                    let mut parked = Vec::new();
                    let error = loop {
                        match Builder::new().spawn(task::park) {
                            Ok(handle) => parked.push(handle),
                            Err(error) => break error,
                        }
                    };
                    assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
                    assert!(error.to_string().contains("tasks_max"), "{error}");
                    assert!(error.to_string().contains("2000"), "{error}");
                    assert!(parked.len() <= MAX);
                    assert!(parked.len() >= MAX * 9 / 10, "{} of {MAX}", parked.len());
                    parked.iter().for_each(|parked| parked.task().unpark());
                    parked.into_iter().for_each(|parked| parked.join().unwrap());
                }
            })
            .unwrap();
    });
}

/// Even the smallest limits are limits, not traps: what has ended makes room again, wherever it
/// ran.
#[test]
fn a_small_limit_on_live_tasks_makes_room_again() {
    bounded(|| {
        for max in [1, 2, 3, 10] {
            let runtime = runtime::Builder::new().workers(4).tasks_max(max).build().unwrap();
            runtime
                .run(|| {
                    for _ in 0..200 {
                        let mut handle = None;
                        eventually("a place is free", || {
                            handle = Builder::new().spawn(task::yield_now).ok();
                            handle.is_some()
                        });
                        handle.unwrap().join().unwrap();
                    }
                })
                .unwrap();
        }
    });
}

/// A guest that ends while fresh tasks wait for stacks takes none of them along.
#[test]
fn a_guest_takes_no_waiting_task_along() {
    const NAME: &str = "limits::a_guest_takes_no_waiting_task_along";
    const TASKS: usize = 1_000;
    if is_child(NAME) {
        keep_heap();
        let runtime = runtime::Builder::new().workers(1).stack_size(1 << 20).build().unwrap();
        all_threads_are_up(1);
        runtime.spawn(|| ()).join().unwrap();
        let (started, go_on) = (Count::new(), Count::new());
        let accepted = runtime.run(|| {
            limit_address_space(100 << 20);
            let spawn = |_| {
                let (started, go_on) = (started.clone(), go_on.clone());
                let task = Builder::new().spawn(move || {
                    started.add();
                    if !go_on.is_set() {
                        task::park();
                    }
                });
                task.ok()
            };
            let accepted: Vec<_> = (0..TASKS).map_while(spawn).collect();
            eventually("spawning fails", || Builder::new().spawn(|| ()).is_err());
            accepted
        });
        let accepted = accepted.unwrap();
        assert!(started.get() < accepted.len(), "all found a stack: the limit is too wide");
        go_on.add();
        accepted.iter().for_each(|task| task.task().unpark());
        for task in accepted {
            eventually("a task that waited for a stack ran", || task.is_finished());
            task.join().unwrap();
        }
        return;
    }
    succeed_in_child(NAME, |_| {});
}

/// Stacks take what a limit allows, but for what the heap is left with: the program goes on.
#[test]
fn the_heap_has_its_share_at_a_limit() {
    const NAME: &str = "limits::the_heap_has_its_share_at_a_limit";
    const TASKS: usize = 20_000;
    if cfg!(sedge_asan) {
        // Its heap grows by more at a time than it is left with.
        return;
    }
    if let Some(name) = is_child(NAME).then(|| std::env::var("SEDGE_TEST_LIMIT").unwrap()) {
        let resource = if name == "data" { libc::RLIMIT_DATA } else { libc::RLIMIT_AS };
        let held = status_kib(if name == "data" { "VmData" } else { "VmSize" }) << 10;
        soft_limit(resource, held + (1 << 30));
        return runtime::Builder::new().workers(2).run(fill_with_stacks).unwrap();
    }
    for limit in ["data", "address space"] {
        let stderr = succeed_in_child(NAME, |child| {
            child.env("SEDGE_TEST_LIMIT", limit);
        });
        assert!(!stderr.contains("memory allocation"), "{limit}: {stderr}");
    }

    fn fill_with_stacks() {
        let spawn = |_| Builder::new().spawn(task::park).ok();
        let parked: Vec<_> = (0..TASKS).map_while(spawn).collect();
        let mut refused = None;
        eventually("spawning fails", || {
            refused = Builder::new().spawn(|| ()).err();
            refused.is_some()
        });
        let text = refused.unwrap().to_string();
        assert!(text.contains("RLIMIT_DATA") || text.contains("RLIMIT_AS"), "{text}");
        let grown: Vec<_> = (0..16).map(|n| vec![n; 256 << 10]).collect();
        assert_eq!(std::hint::black_box(grown)[15][0], 15_u8);
        drop(parked);
    }
}

/// Keeps some of the heap in hand: at the limit the test itself, and the runtime, still have to
/// allocate.
pub(crate) fn keep_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets numbers of the allocator's.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 28);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 30);
    }
    // There are two arenas already, of the main thread and of this one, and threads that begin from
    // now on are given either in turn.
    let take = || drop(std::hint::black_box(vec![vec![1_u8; 64 << 10]; 512]));
    (0..4).for_each(|_| std::thread::spawn(take).join().expect("there is memory yet"));
}

/// Waits until the runtime's threads have all begun: std's part of that needs memory, too.
pub(crate) fn all_threads_are_up(workers: usize) {
    eventually("the runtime's threads are up", || {
        let names = thread_names();
        let count = |part: &str| names.iter().filter(|name| name.contains(part)).count();
        count("sedge-worker-") == workers && count("sedge-monitor") == 1
    });
}

/// Address space for about `bytes` more than the process has now.
pub(crate) fn limit_address_space(bytes: u64) {
    limit(libc::RLIMIT_AS, (status_kib("VmSize") << 10) + bytes);
}

/// With no memory for more stacks: accepted tasks wait for one, spawning fails and names the limit,
/// and everything that was accepted runs, once.
#[test]
fn without_stacks_fresh_tasks_wait_and_spawning_fails() {
    const NAME: &str = "limits::without_stacks_fresh_tasks_wait_and_spawning_fails";
    const TASKS: usize = 1_000;
    if is_child(NAME) {
        keep_heap();
        let runtime = runtime::Builder::new().workers(2).stack_size(1 << 20).build().unwrap();
        all_threads_are_up(2);
        // All in a task: a thread that joins as a guest needs memory of its own.
        return runtime.spawn(|| spawn_until_refused(TASKS)).join().unwrap();
    }
    succeed_in_child(NAME, |_| {});
}

fn spawn_until_refused(tasks: usize) {
    let (started, ended, go_on) = (Count::new(), Count::new(), Count::new());
    let body = || {
        let (started, ended, go_on) = (started.clone(), ended.clone(), go_on.clone());
        move || {
            started.add();
            if !go_on.is_set() {
                task::park();
            }
            task::yield_now();
            ended.add();
        }
    };
    sedge::spawn(|| sedge::blocking(|| ())).join().unwrap();
    limit_address_space(200 << 20);
    // Accepted all at once, before any of them has asked for a stack in vain.
    let mut accepted: Vec<_> = (0..tasks).map(|_| sedge::spawn(body())).collect();
    let mut refused = None;
    eventually("spawning fails", || {
        match Builder::new().spawn(body()) {
            Ok(handle) => accepted.push(handle),
            Err(error) => refused = Some(error),
        }
        refused.is_some()
    });
    let refused = refused.unwrap();
    assert_eq!(refused.kind(), ErrorKind::OutOfMemory);
    assert!(refused.to_string().contains("RLIMIT_AS"), "it names the limit: {refused}");
    let running = started.get();
    assert!(running < tasks, "all {tasks} found a stack: the limit is too wide for this test");
    go_on.add();
    let count = accepted.len();
    accepted.iter().for_each(|handle| handle.task().unpark());
    accepted.into_iter().for_each(|handle| handle.join().unwrap());
    assert_eq!((started.get(), ended.get()), (count, count));
    let mut last = None;
    eventually("spawning works again", || {
        last = Builder::new().spawn(body()).ok();
        last.is_some()
    });
    last.unwrap().join().unwrap();
}

/// Tasks that wait for a stack cost next to nothing while they wait.
#[test]
fn waiting_for_a_stack_is_cheap() {
    const NAME: &str = "limits::waiting_for_a_stack_is_cheap";
    const TASKS: usize = 5_000;
    if is_child(NAME) {
        keep_heap();
        let runtime = runtime::Builder::new().workers(1).stack_size(1 << 20).build().unwrap();
        all_threads_are_up(1);
        return runtime
            .spawn(|| {
                limit_address_space(200 << 20);
                let started = Count::new();
                let spawn = || {
                    let started = started.clone();
                    Builder::new().spawn(move || {
                        started.add();
                        sedge::time::sleep(Duration::from_micros(200));
                    })
                };
                // At once, before the first of them asks for a stack in vain.
                let accepted: Vec<_> = (0..TASKS).map_while(|_| spawn().ok()).collect();
                assert!(accepted.len() > TASKS / 5, "only {} were accepted", accepted.len());
                let count = accepted.len();
                accepted.into_iter().for_each(|handle| handle.join().unwrap());
                assert_eq!(started.get(), count);
            })
            .join()
            .unwrap();
    }
    succeed_in_child(NAME, |_| {});
}

/// A root for which there is no stack is an error of `run`; it never runs on another thread.
#[test]
fn a_root_without_a_stack_is_an_error() {
    const NAME: &str = "limits::a_root_without_a_stack_is_an_error";
    if is_child(NAME) {
        keep_heap();
        let here = thread_id();
        let runtime = runtime::Builder::new().workers(2).build().unwrap();
        all_threads_are_up(2);
        (0..100).for_each(|_| runtime.spawn(|| ()).join().unwrap());
        // Room for what a guest needs, not for a root's stack of 8 MiB. Later there is: a root that
        // waited would now be started by whoever finds it.
        let _later = std::thread::spawn({
            let room = status_kib("VmSize") << 10;
            soft_limit(libc::RLIMIT_AS, room + (6 << 20));
            move || {
                std::thread::sleep(Duration::from_millis(300));
                soft_limit(libc::RLIMIT_AS, room + (1 << 30));
            }
        });
        let mut ran_on = None;
        let result = runtime.run(|| {
            ran_on = Some(thread_id());
            if thread_id() != here {
                // Its caller would wait for ever.
                eprintln!("the root runs on another thread");
                std::process::abort();
            }
        });
        match result {
            Ok(()) => assert_eq!(ran_on, Some(here), "the root ran on another thread"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::OutOfMemory);
                assert!(error.to_string().contains("RLIMIT_AS"), "it names the limit: {error}");
                assert_eq!(ran_on, None);
            }
        }
        assert_eq!(runtime.spawn(|| 7).join().unwrap(), 7, "the runtime goes on");
        assert_eq!(runtime.shutdown_timeout(Duration::from_secs(20)), 0);
        return;
    }
    succeed_in_child(NAME, |_| {});
}

/// Fresh tasks that wait for a stack when the runtime stops are dropped all the same.
#[test]
fn shutdown_of_tasks_that_wait_for_a_stack() {
    const NAME: &str = "limits::shutdown_of_tasks_that_wait_for_a_stack";
    const TASKS: usize = 600;
    if is_child(NAME) {
        keep_heap();
        let runtime = runtime::Builder::new().workers(2).stack_size(1 << 20).build().unwrap();
        all_threads_are_up(2);
        runtime.spawn(|| ()).join().unwrap();
        limit_address_space(200 << 20);
        let dropped = Count::new();
        let spawner = runtime.spawn({
            let dropped = dropped.clone();
            move || {
                for _ in 0..TASKS {
                    let dropped = dropped.clone();
                    let on_drop = crate::support::OnDrop(move || dropped.add());
                    drop(sedge::spawn(move || {
                        let _on_drop = on_drop;
                        task::park();
                    }));
                }
            }
        });
        spawner.join().unwrap();
        assert_eq!(runtime.shutdown_timeout(Duration::from_secs(20)), 0);
        assert_eq!(dropped.get(), TASKS);
        return;
    }
    succeed_in_child(NAME, |_| {});
}

/// Where the monitor finds no thread for an extra worker, nothing is left for one that never was.
#[test]
fn no_thread_for_an_extra_worker() {
    const NAME: &str = "limits::no_thread_for_an_extra_worker";
    if is_child(NAME) {
        keep_heap();
        let runtime = runtime::Builder::new().workers(2).build().unwrap();
        all_threads_are_up(2);
        let parked: Vec<_> = (0..20).map(|_| runtime.spawn(task::park)).collect();
        // Each worker has stacks in hand before there is no memory for more.
        let started = Count::new();
        let meet = |_| {
            let started = started.clone();
            runtime.spawn(move || {
                started.add();
                hog_until("both workers run", || started.get() == 2);
            })
        };
        let met: Vec<_> = (0..2).map(meet).collect();
        met.into_iter().for_each(|task| task.join().unwrap());
        // A thread's stack is 2 MiB of address space: room for tasks, not for threads.
        limit_address_space(1 << 20);
        for _ in 0..3 {
            let started = Count::new();
            let until = Instant::now() + Duration::from_millis(150);
            let hogs: Vec<_> = (0..2)
                .map(|_| {
                    let started = started.clone();
                    runtime.spawn(move || {
                        started.add();
                        while Instant::now() < until {}
                        // Spawned while the extra worker that could not be had would be the least
                        // loaded.
                        (0..10).map(|n| sedge::spawn(move || n)).collect::<Vec<_>>()
                    })
                })
                .collect();
            eventually("both are stuck", || started.get() == 2);
            let fresh: Vec<_> = (0..20).map(|n| runtime.spawn(move || n)).collect();
            for task in hogs.into_iter().flat_map(|hog| hog.join().unwrap()).chain(fresh) {
                eventually("a fresh task ran", || task.is_finished());
                task.join().unwrap();
            }
        }
        parked.iter().for_each(|parked| parked.task().unpark());
        parked.into_iter().for_each(|parked| parked.join().unwrap());
        assert_eq!(runtime.shutdown_timeout(Duration::from_secs(20)), 0);
        return;
    }
    succeed_in_child(NAME, |_| {});
}

/// An ordinary user who may have no more threads gets an error that names the limit, again and
/// again, and a runtime once there may be more.
#[test]
fn a_runtime_without_threads_is_an_error() {
    const NAME: &str = "limits::a_runtime_without_threads_is_an_error";
    if is_child(NAME) {
        become_ordinary_user();
        let threads = || thread_names().len();
        let before = threads();
        // This process alone has more than that.
        set_soft_limit(libc::RLIMIT_NPROC, 1);
        for _ in 0..3 {
            let error = runtime::Builder::new().workers(2).build().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            assert!(error.to_string().contains("ulimit -u"), "it names the limit: {error}");
            eventually("no thread is left behind", || threads() == before);
        }
        set_soft_limit(libc::RLIMIT_NPROC, u64::MAX);
        let runtime = runtime::Builder::new().workers(2).build().unwrap();
        assert_eq!(runtime.spawn(|| 7).join().unwrap(), 7);
        return;
    }
    succeed_in_child(NAME, |_| {});
}

/// Changes what can be raised again, as far as it may be.
fn set_soft_limit(resource: libc::__rlimit_resource_t, wanted: u64) {
    let mut now = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel fills the structure, and then reads it.
    unsafe {
        assert_eq!(libc::getrlimit(resource, &mut now), 0);
        now.rlim_cur = wanted.min(now.rlim_max);
        assert_eq!(libc::setrlimit(resource, &now), 0);
    }
}
