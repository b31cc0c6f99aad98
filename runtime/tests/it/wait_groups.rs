//! Groups of those who wait for one another.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sedge::sync::WaitGroup;
use sedge::task;
use sedge_runtime as sedge;

use crate::support::{Count, bounded, eventually, everywhere, poll};

const LONG: Duration = Duration::from_secs(3600);
const MOMENT: Duration = Duration::from_millis(1);

/// Every item of crossbeam's, and what has a limit besides.
#[test]
fn items() {
    everywhere(|| {
        WaitGroup::new().wait();
        let group = WaitGroup::default();
        drop(group.clone());
        group.wait();
        assert!(WaitGroup::new().wait_timeout(LONG).is_ok());
        assert!(WaitGroup::new().wait_deadline(Instant::now()).is_ok());
        task::block_on(WaitGroup::new().wait_async());
        assert_eq!(format!("{:?}", WaitGroup::new()), "WaitGroup { members: 1 }");
    });
}

#[test]
fn everybody_waits_for_everybody() {
    everywhere(|| {
        const EACH: usize = 20;
        let (group, arrived) = (WaitGroup::new(), Arc::new(AtomicUsize::new(0)));
        let wait = |how: fn(WaitGroup)| {
            let (group, arrived) = (group.clone(), arrived.clone());
            move || {
                arrived.fetch_add(1, Ordering::Relaxed);
                how(group);
                // Not only done, but seen.
                assert_eq!(arrived.load(Ordering::Relaxed), 4 * EACH);
            }
        };
        let tasks: Vec<_> = (0..EACH)
            .flat_map(|_| {
                [
                    sedge::spawn(wait(WaitGroup::wait)),
                    sedge::spawn(wait(|group| task::block_on(group.wait_async()))),
                    sedge::spawn(wait(|group| group.wait_timeout(LONG).unwrap())),
                ]
            })
            .collect();
        let threads: Vec<_> = (0..EACH).map(|_| thread::spawn(wait(WaitGroup::wait))).collect();
        group.wait();
        tasks.into_iter().for_each(|task| task.join().unwrap());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// It is given back, and counts again.
#[test]
fn who_is_late_stays_in() {
    everywhere(|| {
        let group = WaitGroup::new();
        let other = group.clone();
        let group = group.wait_timeout(MOMENT).unwrap_err();
        let group = group.wait_deadline(Instant::now()).unwrap_err();
        let other = other.wait_timeout(MOMENT).unwrap_err();
        drop(group);
        other.wait();
    });
}

/// A future leaves the group when it is polled, or dropped; a cancelled wait has left it.
#[test]
fn who_is_dropped_has_left() {
    everywhere(|| {
        let group = WaitGroup::new();
        drop(group.clone().wait_async());
        {
            let mut polled = pin!(group.clone().wait_async());
            assert!(poll(polled.as_mut()).is_pending());
            assert_eq!(format!("{group:?}"), "WaitGroup { members: 1 }");
        }
        let waiting = sedge::spawn({
            let group = group.clone();
            move || group.wait()
        });
        waiting.cancel();
        assert!(waiting.join().is_err());
        assert!(group.wait_timeout(LONG).is_ok());
    });
}

/// A member that is dropped by a panic has left, too.
#[test]
fn a_crowd_with_losses() {
    const MEMBERS: usize = 1_000;
    bounded(|| {
        sedge::run(|| {
            let (group, begun) = (WaitGroup::new(), Count::new());
            let tasks: Vec<_> = (0..MEMBERS)
                .map(|_| {
                    let (member, begun) = (group.clone(), begun.clone());
                    sedge::spawn(move || {
                        begun.add();
                        task::park();
                        drop(member);
                    })
                })
                .collect();
            eventually("all have begun", || begun.get() == MEMBERS);
            let group = group.wait_timeout(Duration::ZERO).unwrap_err();
            for (at, member) in tasks.iter().enumerate() {
                if at % 2 == 0 { member.cancel() } else { member.task().unpark() }
            }
            group.wait();
            let left = tasks.into_iter().map(|task| task.join().is_ok());
            assert_eq!(left.filter(|left| *left).count(), MEMBERS / 2);
        });
    });
}
