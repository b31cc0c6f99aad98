//! Overflows: a message that names the task, and SIGABRT.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use sedge::task::{self, Builder};
use sedge_runtime as sedge;

use crate::support::{Count, child, eventually, is_child, is_present, output_of};

#[expect(unconditional_recursion, reason = "that is the point")]
fn recurse(depth: u64) -> u64 {
    let block = std::hint::black_box([depth; 16]);
    recurse(depth + 1) + block[3]
}

#[inline(never)]
fn large_array() -> u8 {
    let mut block = [1_u8; 1 << 20];
    std::hint::black_box(&mut block)[77]
}

/// Runs the body of `test` in a child, which must overflow in a task called `name`.
fn overflows(test: &str, name: &str) {
    let output = output_of(&mut child(test));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{:?}: {stderr}", output.status);
    assert!(stderr.contains(&format!("task '{name}'")), "{stderr}");
    assert!(stderr.contains("overflowed its stack"), "{stderr}");
    assert!(stderr.contains("stack_size"), "it says what to do: {stderr}");
}

fn spawn_named<T: Send + 'static>(name: &str, f: impl FnOnce() -> T + Send + 'static) {
    drop(Builder::new().name(name).spawn(f).unwrap().join());
}

#[test]
fn by_recursion() {
    const NAME: &str = "overflow::by_recursion";
    if is_child(NAME) {
        return sedge::run(|| spawn_named("deep", || recurse(0)));
    }
    overflows(NAME, "deep");
}

#[test]
fn by_a_large_array() {
    // The sanitizer sees this one first, and reports it as its own.
    if cfg!(sedge_asan) {
        return;
    }
    const NAME: &str = "overflow::by_a_large_array";
    if is_child(NAME) {
        return sedge::run(|| spawn_named("wide", large_array));
    }
    overflows(NAME, "wide");
}

#[test]
fn on_a_reused_stack() {
    const NAME: &str = "overflow::on_a_reused_stack";
    if is_child(NAME) {
        return sedge::run(|| {
            for _ in 0..200 {
                sedge::spawn(task::yield_now).join().unwrap();
            }
            spawn_named("again", || {
                task::yield_now();
                recurse(0)
            });
        });
    }
    overflows(NAME, "again");
}

/// What parks, and returns an address on the stack of its task.
fn park_and_tell_page(parked: &Count) -> impl FnOnce() -> usize + Send + use<> {
    let parked = parked.clone();
    move || {
        let on_stack = 0_u8;
        parked.add();
        task::park();
        std::ptr::from_ref(std::hint::black_box(&on_stack)).addr()
    }
}

/// After many tasks have ended and their pages were given back.
#[test]
fn on_a_stack_whose_pages_were_given_back() {
    const NAME: &str = "overflow::on_a_stack_whose_pages_were_given_back";
    if is_child(NAME) {
        return sedge::run(|| {
            let parked = Count::new();
            let spawn = |_| sedge::spawn(park_and_tell_page(&parked));
            let tasks: Vec<_> = (0..2_000).map(spawn).collect();
            eventually("all are parked", || parked.get() == tasks.len());
            tasks.iter().for_each(|task| task.task().unpark());
            let pages: Vec<_> = tasks.into_iter().map(|task| task.join().unwrap()).collect();
            // The workers' caches keep some.
            eventually("most pages are given back", || {
                sedge::time::sleep(Duration::from_millis(50));
                let kept = pages.iter().filter(|page| is_present(**page)).count();
                kept < pages.len() / 2
            });
            let fresh: Vec<_> = (0..500).map(|_| sedge::spawn(task::yield_now)).collect();
            fresh.into_iter().for_each(|task| task.join().unwrap());
            spawn_named("returned", || recurse(0));
        });
    }
    overflows(NAME, "returned");
}

/// Parked tasks around it, on several workers; the message names the one that overflows.
#[test]
fn beside_other_tasks() {
    const NAME: &str = "overflow::beside_other_tasks";
    if is_child(NAME) {
        let runtime = crate::support::runtime(2);
        for n in 0..50 {
            drop(runtime.spawn(move || spawn_named(&format!("mate {n}"), task::park)));
        }
        return runtime.spawn(|| spawn_named("culprit", || recurse(0))).join().unwrap();
    }
    overflows(NAME, "culprit");
}

#[test]
fn of_the_root() {
    const NAME: &str = "overflow::of_the_root";
    if is_child(NAME) {
        sedge::run(|| std::hint::black_box(recurse(0)));
        return;
    }
    overflows(NAME, "root");
}
