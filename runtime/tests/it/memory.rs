//! Stacks under the scheduler: mappings, reuse, and what is given back.

use std::time::Duration;

use sedge::runtime::Builder;
use sedge::task;
use sedge_runtime as sedge;

use crate::support::{
    Count, bounded, eventually, is_child, mappings, runtime, status_kib, succeed_in_child,
};

/// A million where it is asked for (`SEDGE_TEST_MILLION=1`, in a release build), or else what fits
/// beside the other tests.
pub(crate) fn very_many() -> usize {
    if std::env::var_os("SEDGE_TEST_MILLION").is_some() { 1_000_000 } else { 20_000 }
}

/// Mappings grow with arenas, not with tasks, and the default `vm.max_map_count` is enough.
#[test]
fn parked_tasks_take_no_mappings_of_their_own() {
    const NAME: &str = "memory::parked_tasks_take_no_mappings_of_their_own";
    // Guards made the old way take mappings: two for each task.
    if cfg!(sedge_test_mprotect) {
        return;
    }
    if is_child(NAME) {
        let tasks = very_many();
        let before = mappings();
        let parked = Count::new();
        Builder::new()
            .stack_size(64 << 10)
            .run(|| {
                for _ in 0..tasks {
                    let parked = parked.clone();
                    drop(sedge::spawn(move || {
                        parked.add();
                        task::park();
                    }));
                }
                eventually("all are parked", || parked.get() == tasks);
                let grown = mappings() - before;
                assert!(grown < 400, "{tasks} tasks took {grown} mappings");
            })
            .unwrap();
        return;
    }
    succeed_in_child(NAME, |_| {});
}

/// A scope that lasts keeps little of the tasks that have ended in it, whether they come one by one
/// or many at a time.
#[test]
fn a_scope_that_lasts_keeps_little() {
    const NAME: &str = "memory::a_scope_that_lasts_keeps_little";
    const CROWD: usize = 5_000;
    // The sanitizer keeps what is freed.
    if cfg!(sedge_asan) {
        return;
    }
    if is_child(NAME) {
        // What a task captures lies beside its header, and is kept with it.
        let ballast = [1_u8; 2048];
        let task = move || std::hint::black_box(ballast.len());
        let grown = runtime(2).run(|| {
            task::scope(|scope| {
                let crowd = || {
                    let gate = Count::new();
                    let tasks: Vec<_> = (0..CROWD)
                        .map(|_| {
                            scope.spawn({
                                let gate = gate.clone();
                                move || {
                                    gate.add();
                                    task::park();
                                    task()
                                }
                            })
                        })
                        .collect();
                    eventually("all are parked", || gate.get() == CROWD);
                    tasks.iter().for_each(|task| task.task().unpark());
                    tasks.into_iter().for_each(|task| {
                        task.join().unwrap();
                    });
                };
                crowd();
                let before = status_kib("RssAnon");
                (0..20_000).for_each(|_| drop(scope.spawn(task).join()));
                (0..10).for_each(|_| crowd());
                status_kib("RssAnon").saturating_sub(before)
            })
        });
        // All of them would be 150 MiB.
        let grown = grown.unwrap();
        assert!(grown < 40 << 10, "it has grown by {grown} KiB");
        return;
    }
    succeed_in_child(NAME, |_| {});
}

/// After many tasks have ended and a few idle seconds, what they took is given back, page tables
/// included.
#[test]
fn memory_is_given_back_when_idle() {
    const NAME: &str = "memory::memory_is_given_back_when_idle";
    if is_child(NAME) {
        let tasks = very_many().max(30_000);
        // Not the pages of the program itself, which are read in as it runs.
        let resident = || status_kib("RssAnon") + status_kib("VmPTE");
        let runtime = Builder::new().workers(2).build().unwrap();
        // What the runtime itself takes.
        runtime.spawn(|| sedge::spawn(|| ()).join().unwrap()).join().unwrap();
        let before = resident();
        let (parked, ended) = (Count::new(), Count::new());
        let spawner = {
            let (parked, ended) = (parked.clone(), ended.clone());
            runtime.spawn(move || {
                let spawn = |_| {
                    let (parked, ended) = (parked.clone(), ended.clone());
                    let handle = sedge::spawn(move || {
                        parked.add();
                        task::park();
                        ended.add();
                    });
                    handle.task()
                };
                (0..tasks).map(spawn).collect::<Vec<_>>()
            })
        };
        let handles = spawner.join().unwrap();
        eventually("all are parked", || parked.get() == tasks);
        let peak = resident();
        handles.into_iter().for_each(|handle| handle.unpark());
        eventually("all have ended", || ended.get() == tasks);
        let limit = before + (peak - before) / 20;
        eventually("at most 5% of the peak is resident", || {
            std::thread::sleep(Duration::from_millis(100));
            println!("{before} KiB, {peak} KiB at the peak, {} KiB now", resident());
            resident() <= limit
        });
        return;
    }
    succeed_in_child(NAME, |_| {});
}

/// Stacks taken on one worker and released on another go round: neither memory nor mappings grow.
/// Ten million in all where very many are asked for.
#[test]
fn stacks_that_change_workers_do_not_pile_up() {
    const NAME: &str = "memory::stacks_that_change_workers_do_not_pile_up";
    // The sanitizer keeps what is freed, for a while.
    if cfg!(sedge_asan) {
        return;
    }
    if is_child(NAME) {
        let tasks = match very_many() {
            1_000_000 => 10_000_000,
            few if cfg!(debug_assertions) => few,
            _ => 1_000_000,
        };
        let runtime = runtime(2);
        let pass = |tasks| (0..tasks / 200).map(|_| move_stacks(&runtime)).sum::<usize>();
        pass(tasks / 4);
        let (rss, maps) = (status_kib("VmRSS"), mappings());
        let mut moved = pass(tasks / 4 * 3);
        assert!(status_kib("VmRSS") < rss + 4_096, "{rss} KiB and more");
        // Guards made the old way take two mappings for each stack, and the workers' caches may
        // still be filling up. A leak would show in tens of thousands.
        let slack = if cfg!(sedge_test_mprotect) { 1_000 } else { 50 };
        assert!(mappings() < maps + slack);
        eventually("enough of them changed workers", || {
            moved += pass(200);
            moved >= tasks / 50
        });
        println!("{moved} stacks changed workers");
        return;
    }
    succeed_in_child(NAME, |_| {});
}

/// Parks two hundred migrating tasks where they start, and wakes them from a task that waits for
/// another worker than theirs. Returns how many ended elsewhere.
fn move_stacks(runtime: &sedge::runtime::Runtime) -> usize {
    let (parked, moved) = (Count::new(), Count::new());
    let (told, seen) = (moved.clone(), parked.clone());
    let spawner = runtime.spawn(move || {
        let spawn = |_| {
            let (parked, moved) = (seen.clone(), told.clone());
            // SAFETY: the task keeps nothing of its thread's over a wait.
            let builder = unsafe { task::Builder::new().migrating(true) };
            let migrant = builder.spawn(move || {
                let begun = crate::support::thread_id();
                parked.add();
                task::park();
                if crate::support::thread_id() != begun {
                    moved.add();
                }
            });
            migrant.unwrap()
        };
        (0..200).map(spawn).collect::<Vec<_>>()
    });
    let migrants = spawner.join().unwrap();
    eventually("all are parked", || parked.get() == 200);
    let waker = runtime.spawn(move || {
        migrants.iter().for_each(|migrant| migrant.task().unpark());
        migrants.into_iter().for_each(|migrant| migrant.join().unwrap());
    });
    waker.join().unwrap();
    moved.get()
}

#[inline(never)]
fn touch(bytes: usize) -> usize {
    let mut block = [0_u8; 1024];
    std::hint::black_box(&mut block);
    if bytes <= block.len() { block[0] as usize + 1 } else { 1 + touch(bytes - block.len()) }
}

/// Stacks are pooled by size: none is served for a larger request.
#[test]
fn a_large_request_never_gets_a_small_stack() {
    bounded(|| {
        for default in [32 << 10, 256 << 10] {
            let runtime = Builder::new().workers(1).stack_size(default).build().unwrap();
            for _ in 0..5 {
                runtime.spawn(|| touch(4 << 10)).join().unwrap();
                let sized = |bytes| task::Builder::new().stack_size(bytes);
                let large = runtime.spawn(move || {
                    let large = sized(1 << 20).spawn(|| touch(600 << 10)).unwrap();
                    let small = sized(32 << 10).spawn(|| touch(4 << 10)).unwrap();
                    let larger = sized(8 << 20).spawn(|| touch(5 << 20)).unwrap();
                    large.join().unwrap() + small.join().unwrap() + larger.join().unwrap()
                });
                assert!(large.join().unwrap() > 1_000);
            }
        }
    });
}

/// A panic that prints a full backtrace fits in the default stack, with room to spare.
#[test]
fn a_full_backtrace_fits_in_the_default_stack() {
    const NAME: &str = "memory::a_full_backtrace_fits_in_the_default_stack";
    if is_child(NAME) {
        return sedge::run(|| {
            let used = sedge::spawn(|| {
                assert!(std::panic::catch_unwind(|| panic!("with a backtrace")).is_err());
                task::stack_high_water().unwrap()
            });
            let used = used.join().unwrap();
            assert!(used < 192 << 10, "a backtrace took {used} bytes");
        });
    }
    let stderr = succeed_in_child(NAME, |child| {
        child.env("RUST_BACKTRACE", "full");
    });
    assert!(stderr.contains("stack backtrace"), "{stderr}");
}
