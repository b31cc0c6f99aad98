//! Stacks where the kernel would make more of each page: huge pages, and locked memory.
//!
//! What is counted are the mappings that hold the stacks of parked tasks, as the kernel tells of
//! them.

use std::fs;
use std::sync::{Arc, Mutex};

use sedge::task::{self, Builder};
use sedge_runtime as sedge;

use crate::limits::keep_heap;
use crate::support::{
    Count, become_ordinary_user, eventually, is_child, limit, status_kib, succeed_in_child,
    thread_names,
};

/// What `/proc/self/smaps` says of one mapping.
#[derive(Debug, Default)]
struct Mapping {
    range: std::ops::Range<usize>,
    resident_kib: usize,
    huge_kib: usize,
}

fn all_mappings() -> Vec<Mapping> {
    let smaps = fs::read_to_string("/proc/self/smaps").expect("procfs is mounted");
    let mut all: Vec<Mapping> = Vec::new();
    for line in smaps.lines() {
        let mut words = line.split_whitespace();
        let (name, value) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        match (name, all.last_mut()) {
            ("Rss:", Some(last)) => last.resident_kib = value.parse().unwrap(),
            ("AnonHugePages:", Some(last)) => last.huge_kib = value.parse().unwrap(),
            _ => {
                let hex = |text| usize::from_str_radix(text, 16).ok();
                let range = name.split_once('-').and_then(|(from, to)| Some(hex(from)?..hex(to)?));
                all.extend(range.map(|range| Mapping { range, ..Mapping::default() }));
            }
        }
    }
    all
}

/// Those that hold any of the addresses.
fn mappings_of(mut addresses: Vec<usize>) -> Vec<Mapping> {
    addresses.sort_unstable();
    let holds_any = |mapping: &Mapping| {
        let next = addresses.partition_point(|address| *address < mapping.range.start);
        addresses.get(next).is_some_and(|address| mapping.range.contains(address))
    };
    all_mappings().into_iter().filter(holds_any).collect()
}

/// Tasks that are parked, with an address on the stack of each.
#[derive(Clone, Default)]
struct Crowd {
    parked: Count,
    addresses: Arc<Mutex<Vec<usize>>>,
}

impl Crowd {
    /// What each task does.
    fn join_in(&self) {
        let on_stack = 0_u8;
        self.addresses.lock().unwrap().push((&raw const on_stack).addr());
        self.parked.add();
        task::park();
    }

    fn addresses(&self) -> Vec<usize> {
        self.addresses.lock().unwrap().clone()
    }
}

/// Huge pages set to `always` give no stack more than the pages that it touched. Where they are set
/// to `madvise` or `never`, this proves only that nobody asks for them.
#[test]
fn no_stack_is_a_huge_page() {
    const NAME: &str = "kernel_memory::no_stack_is_a_huge_page";
    // The sanitizer's own memory is mixed with what is counted.
    if cfg!(sedge_asan) {
        return;
    }
    if is_child(NAME) {
        let enabled = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
        println!("huge pages: {}", enabled.unwrap_or_default().trim());
        // In the small ones, the guards alone would keep huge pages away.
        touch_stacks(300, 8 << 20);
        touch_stacks(4_000, 256 << 10);
        return;
    }
    succeed_in_child(NAME, |_| {});
}

fn touch_stacks(tasks: usize, stack_bytes: usize) {
    let builder = sedge::runtime::Builder::new().workers(2).stack_size(stack_bytes);
    let (runtime, crowd) = (builder.build().expect("a runtime starts"), Crowd::default());
    for _ in 0..tasks {
        let crowd = crowd.clone();
        drop(runtime.spawn(move || crowd.join_in()));
    }
    eventually("all are parked", || crowd.parked.get() == tasks);
    let stacks = mappings_of(crowd.addresses());
    let sum = |of: fn(&Mapping) -> usize| stacks.iter().map(of).sum::<usize>();
    let space = sum(|mapping| mapping.range.len());
    assert!(space >= tasks * stack_bytes / 5 * 4, "the stacks are elsewhere: {stacks:?}");
    let (resident, huge) = (sum(|mapping| mapping.resident_kib), sum(|mapping| mapping.huge_kib));
    println!("{tasks} stacks: {resident} KiB are resident, {huge} KiB in huge pages");
    assert_eq!(huge, 0);
    // One page each, or two in a debug build.
    assert!(resident >= tasks * 4 && resident <= tasks * 16, "{resident} KiB");
}

/// Locks memory of this process, present and future. False where that is not allowed.
fn lock(flags: libc::c_int) -> bool {
    // SAFETY: no pointers.
    unsafe { libc::mlockall(flags) == 0 }
}

/// A runtime whose threads have all begun, so that what they take is there before it is counted.
fn started_runtime(stack_bytes: usize) -> sedge::runtime::Runtime {
    let builder = sedge::runtime::Builder::new().workers(2).stack_size(stack_bytes);
    let runtime = builder.build().expect("a runtime starts");
    eventually("its threads are up", || {
        thread_names().iter().filter(|name| name.starts_with("sedge-")).count() == 3
    });
    (0..100).for_each(|_| runtime.spawn(|| ()).join().unwrap());
    runtime
}

/// A process that locks its memory, with the right to lock any amount: tasks take the pages that
/// they touch, or are refused with a message. They do not take their stacks whole.
#[test]
fn tasks_in_locked_memory_stay_small() {
    const NAME: &str = "kernel_memory::tasks_in_locked_memory_stay_small";
    const TASKS: usize = 1_000;
    if cfg!(sedge_asan) {
        return;
    }
    if is_child(NAME) {
        // Some stacks are from before, and have markers for guards; later ones cannot.
        let (runtime, crowd) = (started_runtime(1 << 20), Crowd::default());
        let join_in = || {
            let crowd = crowd.clone();
            move || crowd.join_in()
        };
        for _ in 0..10 {
            drop(runtime.spawn(join_in()));
        }
        eventually("the first are parked", || crowd.parked.get() == 10);
        if !lock(libc::MCL_CURRENT | libc::MCL_FUTURE) {
            return println!("not allowed here");
        }
        let before_kib = status_kib("VmRSS");
        let (accepted, crowd_of_all) = runtime
            .spawn({
                let crowd = crowd.clone();
                move || {
                    let spawn = |_| {
                        let crowd = crowd.clone();
                        Builder::new().spawn(move || crowd.join_in())
                    };
                    ((0..TASKS).map_while(|n| spawn(n).ok()).count(), crowd)
                }
            })
            .join()
            .unwrap();
        // Those for which there was no stack wait for one.
        eventually("all are parked, or none starts any more", || {
            crowd_of_all.parked.get() == accepted + 10 || is_refused(&runtime)
        });
        let grown_kib = status_kib("VmRSS").saturating_sub(before_kib);
        let parked = crowd.parked.get();
        println!("{parked} tasks in locked memory took {grown_kib} KiB");
        // Stacks taken whole would be a gibibyte.
        assert!(grown_kib < 64 << 10, "{parked} tasks took {grown_kib} KiB");
        return;
    }
    succeed_in_child(NAME, |_| {});
}

/// Whether no stack can be had: the error says that locked memory is limited.
fn is_refused(runtime: &sedge::runtime::Runtime) -> bool {
    let error = runtime.spawn(|| Builder::new().spawn(|| ()).err()).join().unwrap();
    error.is_some_and(|error| {
        assert!(error.to_string().contains("RLIMIT_MEMLOCK"), "it names the limit: {error}");
        true
    })
}

/// At the limit on locked memory, which binds an ordinary user, spawning fails and says so, and
/// what was accepted runs.
#[test]
fn the_limit_on_locked_memory_is_an_error() {
    const NAME: &str = "kernel_memory::the_limit_on_locked_memory_is_an_error";
    const TASKS: usize = 4_000;
    if cfg!(sedge_asan) {
        return;
    }
    if is_child(NAME) {
        keep_heap();
        lower_locked_limit(8 << 20);
        let runtime = started_runtime(1 << 20);
        runtime.spawn(|| sedge::blocking(|| ())).join().unwrap();
        // Root locks more than the limit, and is then held to it: whatever is mapped later is
        // refused. An ordinary user cannot lock what the process has already, and has the limit
        // left.
        if lock(libc::MCL_CURRENT | libc::MCL_FUTURE) {
            become_ordinary_user();
        } else if !lock(libc::MCL_FUTURE) {
            return println!("not allowed here");
        }
        let (started, go_on) = (Count::new(), Count::new());
        let accepted = runtime
            .spawn({
                let (started, go_on) = (started.clone(), go_on.clone());
                move || spawn_until_refused(TASKS, &started, &go_on)
            })
            .join()
            .unwrap();
        println!("{} of {TASKS} were accepted, {} started", accepted.len(), started.get());
        assert!(started.get() < TASKS, "the limit is too wide for this test");
        go_on.add();
        let count = accepted.len();
        accepted.iter().for_each(|task| task.task().unpark());
        accepted.into_iter().for_each(|task| task.join().unwrap());
        assert_eq!(started.get(), count);
        return;
    }
    succeed_in_child(NAME, |_| {});
}

fn spawn_until_refused(tasks: usize, started: &Count, go_on: &Count) -> Vec<task::JoinHandle<()>> {
    let mut accepted = Vec::with_capacity(tasks);
    let mut refused = None;
    eventually("spawning fails", || {
        let (started, go_on) = (started.clone(), go_on.clone());
        let body = move || {
            started.add();
            while !go_on.is_set() {
                task::park();
            }
        };
        match Builder::new().spawn(body) {
            Ok(task) if accepted.len() < tasks => accepted.push(task),
            Ok(_) => panic!("{tasks} tasks met no limit"),
            Err(error) => refused = Some(error),
        }
        refused.is_some()
    });
    let refused = refused.unwrap();
    assert_eq!(refused.kind(), std::io::ErrorKind::OutOfMemory);
    assert!(refused.to_string().contains("RLIMIT_MEMLOCK"), "it names the limit: {refused}");
    accepted
}

/// Lowers the limit on locked memory, for good, where it is higher.
fn lower_locked_limit(bytes: u64) {
    let mut now = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel fills the structure.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut now) }, 0);
    limit(libc::RLIMIT_MEMLOCK, bytes.min(now.rlim_max));
}
