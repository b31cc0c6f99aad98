//! Tests of the stores together, against the kernel. Those that count run in a process of their
//! own, since pools are the process's.
#![expect(unsafe_code, reason = "touches stack memory, and sets limits")]
#![expect(clippy::print_stdout, reason = "how a child process answers")]
#![expect(clippy::disallowed_methods, reason = "a plain thread sleeps between two visits")]

use std::collections::HashSet;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::{env, io, process, thread};

use corosensei::stack::Stack as _;

use super::pool::Pool;
use super::*;

const IN_CHILD: &str = "SEDGE_STACK_TEST_CHILD";

/// Runs the test `name` (of this file, or of `module` in this directory) again in a process of its
/// own, where `body` is what it does.
pub(super) fn in_child(name: &str, body: impl FnOnce()) -> Option<Output> {
    if env::var_os(IN_CHILD).is_some() {
        // SAFETY: no pointers. A child that hangs dies of it.
        unsafe { libc::alarm(120) };
        body();
        // Not a return: a child that was to die must not pass for one that ran well.
        println!("child done");
        process::exit(0);
    }
    let output = Command::new(env::current_exe().unwrap())
        .args([format!("stack::{name}").as_str(), "--exact", "--nocapture", "--test-threads=1"])
        .env(IN_CHILD, "1")
        // AddressSanitizer would report a fault instead of dying of it.
        .env("ASAN_OPTIONS", "handle_segv=0:handle_sigbus=0:use_sigaltstack=0")
        .output()
        .unwrap();
    Some(output)
}

/// The same for a body that must succeed.
fn passes_in_child(name: &str, body: impl FnOnce()) {
    if let Some(output) = in_child(name, body) {
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success() && out.contains("child done"), "{out}\n{err}");
    }
}

/// Counting kibibytes and meeting limits makes no sense in shadow memory.
fn counts_in_child(name: &str, body: impl FnOnce()) {
    if !cfg!(sedge_asan) {
        passes_in_child(name, body);
    }
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn size(bytes: usize) -> StackSize {
    StackSize::new(bytes).unwrap()
}

fn default_size() -> StackSize {
    size(STACK_BYTES_DEFAULT)
}

/// Writes the word at `depth` bytes below the base.
pub(super) fn write(stack: &Stack, depth: usize, value: usize) {
    // SAFETY: above the guard; the stack is the caller's.
    unsafe { ((stack.base().get() - depth) as *mut usize).write_volatile(value) };
}

fn read(stack: &Stack, depth: usize) -> usize {
    // SAFETY: above the guard; the stack is the caller's.
    unsafe { ((stack.base().get() - depth) as *const usize).read_volatile() }
}

/// Kibibytes of this process's memory: pages, and page tables.
fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
    };
    field("RssAnon:") + field("VmPTE:")
}

fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").unwrap().lines().count()
}

fn take_many(cache: &mut StackCache, size: StackSize, count: usize) -> Vec<Stack> {
    (0..count).map(|_| cache.take(size).unwrap()).collect()
}

fn put_all(cache: &mut StackCache, stacks: Vec<Stack>) {
    stacks.into_iter().for_each(|stack| cache.put(stack));
}

#[test]
fn smoke() {
    let mut cache = StackCache::new();
    for class in 0..StackSize::CLASSES {
        let size = StackSize::of_class(class);
        let stack = cache.take(size).unwrap();
        assert_eq!(stack.size(), size);
        let (base, limit) = (stack.base().get(), stack.limit().get());
        assert!(base - limit <= size.bytes() && base - limit > size.bytes() - 1024);
        assert_eq!(stack.guard(), limit..limit + size.guard_bytes());
        assert_eq!(base % 16, 0);
        write(&stack, 8, 1);
        write(&stack, base - stack.guard().end, 1);
        cache.put(stack);
        assert_eq!(cache.take(size).unwrap().limit().get(), limit, "not the one used last");
    }
}

#[test]
fn a_stack_is_small() {
    assert_eq!(size_of::<Stack>(), 16);
    assert_eq!(size_of::<Option<Stack>>(), 16);
}

#[test]
fn one_class_is_never_served_for_another() {
    let mut cache = StackCache::new();
    let small = take_many(&mut cache, size(32 << 10), 200);
    put_all(&mut cache, small);
    for bytes in [64 << 10, 256 << 10, 32 << 10] {
        for stack in take_many(&mut cache, size(bytes), 200) {
            assert_eq!(stack.size().bytes(), bytes);
            write(&stack, bytes - 1024 - stack.size().guard_bytes(), 1);
            cache.put(stack);
        }
    }
}

/// Threads take, mark, check and put back at random, and hand stacks to each other, while another
/// trims: no stack ever has two owners.
#[test]
fn stress() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 30_000;
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..THREADS).map(|_| mpsc::channel::<(Stack, usize)>()).unzip();
    let running = AtomicUsize::new(THREADS);
    thread::scope(|scope| {
        for (me, inbox) in receivers.into_iter().enumerate() {
            let next = senders[(me + 1) % THREADS].clone();
            let running = &running;
            scope.spawn(move || {
                owner(me, ROUNDS, &inbox, &next);
                running.fetch_sub(1, Ordering::Relaxed);
            });
        }
        drop(senders);
        while running.load(Ordering::Relaxed) > 0 {
            trim::visit_now();
            thread::sleep(std::time::Duration::from_micros(100));
        }
    });
}

fn owner(
    me: usize,
    rounds: usize,
    inbox: &mpsc::Receiver<(Stack, usize)>,
    next: &mpsc::Sender<(Stack, usize)>,
) {
    let mut cache = StackCache::new();
    let mut mine: Vec<(Stack, usize)> = Vec::new();
    let mut random = me as u64 * 2 + 1;
    for round in 0..rounds {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let dice = (random >> 33) as usize;
        let mark = (me + 1) << 32 | round;
        match dice % 5 {
            0 | 1 if mine.len() < 500 => {
                let stack = cache.take(size((32 << 10) << (dice / 5 % 2))).unwrap();
                write(&stack, 64, mark);
                mine.push((stack, mark));
            }
            2 if !mine.is_empty() => {
                // The other end may have finished: then the stack comes back in the error.
                if let Err(error) = next.send(mine.swap_remove(dice / 5 % mine.len())) {
                    mine.push(error.0);
                }
            }
            3 | 4 if !mine.is_empty() => {
                let (stack, mark) = mine.swap_remove(dice / 5 % mine.len());
                assert_eq!(read(&stack, 64), mark);
                cache.put(stack);
            }
            _ => mine.extend(inbox.try_iter()),
        }
    }
    for (stack, mark) in mine {
        assert_eq!(read(&stack, 64), mark);
        cache.put(stack);
    }
}

#[test]
fn ten_million_across_threads_grow_nothing() {
    passes_in_child("tests::ten_million_across_threads_grow_nothing", || {
        const BATCH: usize = 100;
        let (sender, receiver) = mpsc::sync_channel::<Vec<Stack>>(2);
        let releaser = thread::spawn(move || {
            let mut cache = StackCache::new();
            receiver.into_iter().for_each(|stacks| put_all(&mut cache, stacks));
        });
        let mut cache = StackCache::new();
        let mut carved = 0;
        for round in 0..10_000_000 / BATCH {
            sender.send(take_many(&mut cache, default_size(), BATCH)).unwrap();
            if round == 1000 {
                carved = Pool::of(default_size()).carved();
            }
        }
        drop(sender);
        releaser.join().unwrap();
        // At most five batches are on their way and two shelves full at any time, and the first
        // thousand rounds need not have seen the worst of it.
        let now = Pool::of(default_size()).carved();
        assert!(carved < 1000 && now < 1000, "{carved} and then {now} slots");
    });
}

/// What happens on a touch of each stack's guard, in a process of its own: nothing may survive.
fn touch_guard(stack: &Stack, at: usize) -> ! {
    // SAFETY: none: the write is to be fatal.
    unsafe { ((stack.guard().start + at) as *mut u8).write_volatile(1) };
    println!("survived");
    process::exit(1)
}

fn assert_faulted(output: Option<Output>) {
    let Some(output) = output else { return };
    let signal = output.status.signal();
    assert!(!text(&output.stdout).contains("survived"));
    assert_eq!(signal, Some(libc::SIGSEGV), "{}", text(&output.stderr));
}

#[test]
fn guard_faults() {
    assert_faulted(in_child("tests::guard_faults", || {
        let stack = StackCache::new().take(default_size()).unwrap();
        write(&stack, stack.base().get() - stack.guard().end, 1);
        touch_guard(&stack, default_size().guard_bytes() - 1);
    }));
}

#[test]
fn guard_faults_at_its_far_end() {
    assert_faulted(in_child("tests::guard_faults_at_its_far_end", || {
        // Not a first slot, below which nothing may be mapped.
        let stacks = take_many(&mut StackCache::new(), default_size(), 100);
        touch_guard(&stacks[77], 0);
    }));
}

#[test]
fn guard_faults_after_reuse() {
    assert_faulted(in_child("tests::guard_faults_after_reuse", || {
        let mut cache = StackCache::new();
        for _ in 0..3 {
            let stacks = take_many(&mut cache, size(64 << 10), 1000);
            stacks.iter().for_each(|stack| write(stack, 8, 1));
            put_all(&mut cache, stacks);
        }
        let stacks = take_many(&mut cache, size(64 << 10), 1000);
        touch_guard(&stacks[500], 0);
    }));
}

#[test]
fn guard_faults_after_trimming() {
    assert_faulted(in_child("tests::guard_faults_after_trimming", || {
        let mut cache = StackCache::new();
        let mut stacks = take_many(&mut cache, size(64 << 10), 1000);
        stacks.iter().for_each(|stack| write(stack, 8, 1));
        // One in ten stays, so that no arena can go.
        let mut left = Vec::new();
        for (index, stack) in stacks.drain(..).enumerate() {
            if index % 10 == 0 { left.push(stack) } else { cache.put(stack) }
        }
        cache.flush();
        trim::visit_now();
        trim::visit_now();
        let again = take_many(&mut cache, size(64 << 10), 900);
        let trimmed = again.iter().filter(|stack| read(stack, 8) == 0).count();
        assert_eq!(trimmed, 900, "stacks were not trimmed");
        assert!(left.iter().all(|stack| read(stack, 8) == 1), "a live stack was trimmed");
        touch_guard(&again[450], 0);
    }));
}

/// Resident memory, page tables included, after a crowd has left.
#[test]
fn trim_gives_a_crowd_back() {
    counts_in_child("tests::trim_gives_a_crowd_back", || {
        // What needs mappings cannot have many.
        const CROWD: usize = if cfg!(sedge_test_mprotect) { 20_000 } else { 50_000 };
        let mut cache = StackCache::new();
        let (before_kib, mappings_before) = (resident_kib(), mappings());
        let stacks = take_many(&mut cache, default_size(), CROWD);
        stacks.iter().for_each(|stack| write(stack, 8, 1));
        let peak_kib = resident_kib() - before_kib;
        let new_mappings = mappings() - mappings_before;
        assert!(peak_kib > CROWD * 4, "{peak_kib} KiB");
        if !cfg!(sedge_test_mprotect) {
            assert!(new_mappings < 40, "{new_mappings} mappings");
        }
        put_all(&mut cache, stacks);
        cache.flush();
        trim::visit_now();
        assert!(trim::visit_now().is_none(), "one visit marks and the next gives back");
        let left_kib = resident_kib().saturating_sub(before_kib);
        assert!(left_kib * 20 <= peak_kib, "{left_kib} KiB of {peak_kib} are left");
        assert!(Pool::of(default_size()).carved() <= 64);
        println!("peak {peak_kib} KiB, left {left_kib} KiB, {new_mappings} mappings");
    });
}

/// A few that stay keep their arenas, but not the page tables of all the others.
#[test]
fn trim_gives_page_tables_back_around_those_who_stay() {
    counts_in_child("tests::trim_gives_page_tables_back_around_those_who_stay", || {
        const CROWD: usize = 20_000;
        if cfg!(sedge_test_mprotect) {
            return;
        }
        let mut cache = StackCache::new();
        let before_kib = resident_kib();
        let mut stacks = take_many(&mut cache, default_size(), CROWD);
        stacks.iter().for_each(|stack| write(stack, 8, 7));
        let peak_kib = resident_kib() - before_kib;
        let mut kept = Vec::new();
        for (index, stack) in stacks.drain(..).enumerate() {
            if index % 2000 == 1999 { kept.push(stack) } else { cache.put(stack) }
        }
        cache.flush();
        let mappings_before = mappings();
        trim::visit_now();
        assert!(trim::visit_now().is_none());
        let left_kib = resident_kib().saturating_sub(before_kib);
        assert!(left_kib * 20 <= peak_kib, "{left_kib} KiB of {peak_kib} are left");
        assert!(mappings() <= mappings_before + 2 * kept.len() + 2);
        assert!(kept.iter().all(|stack| read(stack, 8) == 7), "a live stack was trimmed");
        // What was given back comes again, empty, with guards.
        let again = take_many(&mut cache, default_size(), CROWD);
        assert!(again.iter().all(|stack| read(stack, 8) == 0));
        again.iter().for_each(|stack| write(stack, stack.base().get() - stack.guard().end, 1));
        assert!(mappings() <= mappings_before + 2, "the holes did not close");
        // SAFETY: a child of a fork that does nothing else.
        let child = unsafe { libc::fork() };
        if child == 0 {
            touch_guard(&again[CROWD / 2], 100);
        }
        let mut status = 0;
        // SAFETY: the child above, and a valid pointer.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(libc::WTERMSIG(status), libc::SIGSEGV);
    });
}

#[test]
fn trim_waits_until_idle_and_then_is_done() {
    passes_in_child("tests::trim_waits_until_idle_and_then_is_done", || {
        assert!(!trim(), "there is nothing to give back yet");
        let mut cache = StackCache::new();
        let stacks = take_many(&mut cache, default_size(), 100);
        let kept = cache.take(default_size()).unwrap();
        stacks.iter().for_each(|stack| write(stack, 8, 1));
        put_all(&mut cache, stacks);
        cache.flush();
        assert!(trim(), "all is warm");
        assert!(trim(), "nothing has been idle for long");
        let again = take_many(&mut cache, default_size(), 10);
        assert!(again.iter().all(|stack| read(stack, 8) == 1), "trimmed too early");
        put_all(&mut cache, again);
        cache.flush();
        let mut visits = 0;
        while let Some(wait) = trim_for(std::time::Duration::from_millis(10)) {
            thread::sleep(wait);
            visits += 1;
            assert!(visits < 10, "never done");
        }
        cache.put(kept);
    });
}

#[test]
fn an_abandoned_stack_keeps_its_arena() {
    passes_in_child("tests::an_abandoned_stack_keeps_its_arena", || {
        let mut cache = StackCache::new();
        let mut stacks = take_many(&mut cache, default_size(), 5000);
        let abandoned = stacks.pop().unwrap();
        let (base, limit) = (abandoned.base().get(), abandoned.limit().get());
        write(&abandoned, 8, 42);
        drop(abandoned);
        put_all(&mut cache, stacks);
        cache.flush();
        (0..3).for_each(|_| _ = trim::visit_now());
        let limits: HashSet<usize> = take_many(&mut cache, default_size(), 5000)
            .iter()
            .map(|stack| stack.limit().get())
            .collect();
        assert!(limits.len() == 5000 && !limits.contains(&limit));
        // SAFETY: the arena is still mapped, which is what is tested.
        assert_eq!(unsafe { *((base - 8) as *const usize) }, 42);
    });
}

/// The kernel's flags of the mapping that holds `address`.
fn mapping_flags(address: usize) -> String {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let holds = |line: &&str| {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        range.is_some_and(|(start, end)| {
            let [start, end] = [start, end].map(|hex| usize::from_str_radix(hex, 16));
            start.is_ok_and(|start| start <= address) && end.is_ok_and(|end| address < end)
        })
    };
    let mut lines = smaps.lines().skip_while(|line| !holds(line));
    lines.find(|line| line.starts_with("VmFlags:")).unwrap().to_owned()
}

#[test]
fn huge_pages_are_off() {
    if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
        return;
    }
    let mut cache = StackCache::new();
    for bytes in [STACK_BYTES_MIN, STACK_BYTES_DEFAULT, STACK_BYTES_MAX] {
        let stack = cache.take(size(bytes)).unwrap();
        let flags = mapping_flags(stack.base().get() - 8);
        assert!(flags.contains(" nh"), "{flags}");
        cache.put(stack);
    }
}

fn set_limit(resource: libc::__rlimit_resource_t, bytes: usize) {
    let limit = libc::rlimit { rlim_cur: bytes as u64, rlim_max: bytes as u64 };
    // SAFETY: the struct is valid.
    assert_eq!(unsafe { libc::setrlimit(resource, &limit) }, 0);
}

/// Takes stacks until it is refused.
fn exhaust(cache: &mut StackCache, size: StackSize) -> (Vec<Stack>, io::Error) {
    let mut stacks = Vec::new();
    loop {
        match cache.take(size) {
            Ok(stack) => stacks.push(stack),
            Err(error) => return (stacks, error),
        }
        assert!(stacks.len() < 1_000_000, "no limit was met");
    }
}

fn exhausts_and_recovers(size: StackSize, least: usize, words: &[&str]) {
    let mut cache = StackCache::new();
    let (stacks, error) = exhaust(&mut cache, size);
    assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
    let text = error.to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
    assert!(stacks.len() >= least, "{} stacks: {text}", stacks.len());
    let count = stacks.len();
    put_all(&mut cache, stacks);
    put_all(&mut StackCache::new(), exhaust(&mut cache, size).0);
    assert!(exhaust(&mut cache, size).0.len() >= count);
}

#[test]
fn address_space_limit_is_an_error() {
    counts_in_child("tests::address_space_limit_is_an_error", || {
        set_limit(libc::RLIMIT_AS, 1 << 30);
        exhausts_and_recovers(size(1 << 20), 700, &["RLIMIT_AS", "ulimit -v", "1073741824"]);
    });
}

#[test]
fn data_limit_is_an_error() {
    counts_in_child("tests::data_limit_is_an_error", || {
        set_limit(libc::RLIMIT_DATA, 1 << 30);
        exhausts_and_recovers(size(1 << 20), 700, &["RLIMIT_DATA", "ulimit -d", "1073741824"]);
    });
}

#[test]
fn mapping_limit_is_an_error() {
    if !cfg!(sedge_test_mprotect) {
        return;
    }
    counts_in_child("tests::mapping_limit_is_an_error", || {
        exhausts_and_recovers(size(64 << 10), 30_000, &["vm.max_map_count", "6.13"]);
        let (_all, error) = exhaust(&mut StackCache::new(), size(128 << 10));
        assert!(error.to_string().contains("vm.max_map_count"), "{error}");
        thread::spawn(|| Vec::<u8>::with_capacity(64 << 20)).join().unwrap();
    });
}

#[test]
fn locked_memory_stays_small() {
    counts_in_child("tests::locked_memory_stays_small", || {
        let mut cache = StackCache::new();
        let early = take_many(&mut cache, default_size(), 10);
        // SAFETY: no pointers.
        if unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) } != 0 {
            println!("not allowed here");
            return;
        }
        let before_kib = resident_kib();
        let mut stacks = Vec::new();
        for _ in 0..2000 {
            match cache.take(default_size()) {
                Ok(stack) => stacks.push(stack),
                Err(error) => {
                    assert!(error.to_string().contains("RLIMIT_MEMLOCK"), "{error}");
                    break;
                }
            }
        }
        stacks.iter().for_each(|stack| write(stack, 8, 1));
        let kib = resident_kib() - before_kib;
        assert!(kib < 2000 * 16, "{} locked stacks take {kib} KiB", stacks.len());
        put_all(&mut cache, stacks);
        cache.flush();
        trim::visit_now();
        trim::visit_now();
        let left_kib = resident_kib().saturating_sub(before_kib);
        assert!(left_kib < 2000, "{left_kib} KiB are left");
        put_all(&mut cache, early);
    });
}

#[test]
fn high_water_is_the_lowest_word() {
    counts_in_child("tests::high_water_is_the_lowest_word", || {
        let mut cache = StackCache::new();
        let stack = cache.take(size(4 << 20)).unwrap();
        let resident_before = resident_kib();
        assert_eq!(stack.high_water(), 0);
        for depth in [8, 16, 4096, 100_000, 3 << 20] {
            write(&stack, depth, 1);
            let measured = stack.high_water();
            if cfg!(sedge_asan) {
                assert!(measured >= depth && measured < depth + sys::page_bytes());
            } else {
                assert_eq!(measured, depth);
            }
        }
        assert!(resident_kib() - resident_before < 100, "measuring touched pages");
    });
}
