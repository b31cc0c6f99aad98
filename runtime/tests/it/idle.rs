//! An idle process.

use std::time::Duration;

use sedge::task;
use sedge_runtime as sedge;

use crate::support::{Count, context_switches, eventually, is_child, succeed_in_child};

/// With parked tasks of every kind and nothing to do, no thread of the process ever wakes.
#[test]
fn an_idle_process_makes_no_wake_ups() {
    const NAME: &str = "idle::an_idle_process_makes_no_wake_ups";
    if is_child(NAME) {
        return idle();
    }
    succeed_in_child(NAME, |_| {});
}

fn idle() {
    for workers in [1, 2, 8] {
        let builder = sedge::runtime::Builder::new().workers(workers).thread_name("still");
        let runtime = builder.build().unwrap();
        // Some work first, so that everything has been awake: tasks, timers, a hog.
        let parked: Vec<_> = (0..100)
            .map(|n| {
                runtime.spawn(move || {
                    sedge::time::sleep(Duration::from_micros(n));
                    match n % 3 {
                        0 => task::park(),
                        1 => task::park_timeout(Duration::from_secs(86_400)),
                        _ => sedge::spawn(task::park).join().unwrap(),
                    }
                })
            })
            .collect();
        runtime.spawn(|| std::thread::sleep(Duration::from_millis(50))).join().unwrap();
        let mut before = context_switches("still");
        let mut last = 0;
        eventually("two seconds without a wake-up", || {
            std::thread::sleep(Duration::from_secs(2));
            let now = context_switches("still");
            last = now - std::mem::replace(&mut before, now);
            last == 0
        });
        assert!(parked.iter().all(|parked| !parked.is_finished()));
        assert_eq!(runtime.spawn(|| 1).join().unwrap(), 1, "and it wakes again");
    }
}

/// Nor does what is left of a runtime that was abandoned.
#[test]
fn an_abandoned_runtime_makes_no_wake_ups() {
    const NAME: &str = "idle::an_abandoned_runtime_makes_no_wake_ups";
    if is_child(NAME) {
        let builder = sedge::runtime::Builder::new().workers(2).thread_name("left");
        let runtime = builder.build().unwrap();
        let inside = Count::new();
        let told = inside.clone();
        drop(runtime.spawn(move || {
            task::shield(|| {
                told.add();
                task::park();
            });
        }));
        eventually("it is parked", || inside.is_set());
        assert_eq!(runtime.shutdown_timeout(Duration::from_millis(50)), 1);
        let mut before = context_switches("left");
        eventually("a second without a wake-up", || {
            std::thread::sleep(Duration::from_secs(1));
            let now = context_switches("left");
            std::mem::replace(&mut before, now) == now
        });
        return;
    }
    succeed_in_child(NAME, |_| {});
}
