//! Where tasks make their homes.

use std::collections::HashMap;
use std::sync::mpsc;
use std::time::Duration;

use sedge::task;
use sedge_runtime as sedge;

use crate::support::{bounded, thread_id};

const TASKS: usize = 1_000;

/// The fullest worker holds at most a fifth more than its share.
fn assert_even(workers: usize, homes: Vec<i64>) {
    let mut counts: HashMap<i64, usize> = HashMap::new();
    homes.iter().for_each(|thread| *counts.entry(*thread).or_default() += 1);
    let fullest = *counts.values().max().unwrap();
    assert_eq!(homes.len(), TASKS);
    assert!(counts.len() <= workers, "an extra worker was added: {counts:?}");
    assert!(
        fullest * workers * 10 <= TASKS * 12,
        "{workers} workers, and the fullest has {fullest} of {TASKS}: {counts:?}"
    );
}

/// Spawned one by one by one task, as an accept loop does.
fn by_a_task(workers: usize) {
    let homes = sedge::runtime::Builder::new().workers(workers).run(|| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..TASKS {
            let sender = sender.clone();
            drop(sedge::spawn(move || {
                sender.send(thread_id()).unwrap();
                task::park();
            }));
            sedge::time::sleep(Duration::from_millis(1));
        }
        drop(sender);
        let mut homes = Vec::new();
        crate::support::eventually("all have started", || {
            homes.extend(receiver.try_iter());
            homes.len() == TASKS
        });
        homes
    });
    assert_even(workers, homes.unwrap());
}

/// Spawned one by one by a plain thread.
fn by_a_thread(workers: usize) {
    let runtime = crate::support::runtime(workers);
    let (sender, receiver) = mpsc::channel();
    for _ in 0..TASKS {
        let sender = sender.clone();
        drop(runtime.spawn(move || {
            sender.send(thread_id()).unwrap();
            task::park();
        }));
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_even(workers, receiver.iter().take(TASKS).collect());
}

#[test]
fn arrivals_spread_over_2_workers() {
    bounded(|| by_a_task(2));
}

#[test]
fn arrivals_spread_over_4_workers() {
    bounded(|| by_a_task(4));
}

#[test]
fn arrivals_spread_over_8_workers() {
    bounded(|| by_a_task(8));
}

#[test]
fn arrivals_from_outside_spread_over_4_workers() {
    bounded(|| by_a_thread(4));
}

/// All at once, without a pause: the spawner's queue is full while the others are asleep.
#[test]
fn a_burst_spreads_over_the_workers() {
    bounded(|| {
        for workers in [2, 4] {
            let homes = sedge::runtime::Builder::new().workers(workers).run(|| {
                let (sender, receiver) = mpsc::channel();
                for _ in 0..TASKS {
                    let sender = sender.clone();
                    drop(sedge::spawn(move || {
                        sender.send(thread_id()).unwrap();
                        task::park();
                    }));
                }
                let mut homes = Vec::new();
                crate::support::eventually("all have started", || {
                    homes.extend(receiver.try_iter());
                    homes.len() == TASKS
                });
                homes
            });
            assert_even(workers, homes.unwrap());
        }
    });
}
