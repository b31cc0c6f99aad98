//! Sleeping, and deadlines that do not come.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sedge::task;
use sedge_runtime as sedge;

use crate::support::{Count, bounded, is_child, runtime, status_kib, succeed_in_child};

#[test]
fn a_sleep_is_never_too_short() {
    bounded(|| {
        sedge::run(|| {
            let sleepers: Vec<_> = (0..200_u64)
                .map(|n| {
                    sedge::spawn(move || {
                        let (start, duration) = (Instant::now(), Duration::from_micros(n * 37));
                        sedge::time::sleep(duration);
                        assert!(start.elapsed() >= duration);
                    })
                })
                .collect();
            sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
        });
    });
}

/// On one worker, tasks wake in the order of their deadlines, however they were added. Not if the
/// worker is held up, by other programs say: some have begun too late then, or the monitor has
/// woken them in its place. So this has several tries, with more and more time.
#[test]
fn sleepers_wake_in_the_order_of_their_deadlines() {
    fn order_of_wakes(until_first: Duration) -> Vec<u64> {
        let order = Arc::new(Mutex::new(Vec::new()));
        let start = Instant::now() + until_first;
        let sleepers: Vec<_> = (0..500_u64)
            .map(|n| {
                let n = n * 7 % 500;
                let seen = order.clone();
                sedge::spawn(move || {
                    sedge::time::sleep_until(start + Duration::from_micros(n));
                    seen.lock().unwrap().push(n);
                })
            })
            .collect();
        sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
        Arc::into_inner(order).unwrap().into_inner().unwrap()
    }

    bounded(|| {
        let mut tries = (0..8).map(|n| Duration::from_millis(20 << n));
        let runtime = runtime(1);
        let root = runtime.spawn(move || {
            let is_sorted = |time| order_of_wakes(time).into_iter().eq(0..500);
            assert!(tries.any(is_sorted), "never in order");
        });
        root.join().unwrap();
    });
}

/// The best of many short sleeps shows what the clock is rounded to.
#[test]
fn a_short_sleep_is_not_rounded_to_a_millisecond() {
    bounded(|| {
        let best = sedge::run(|| {
            let sleep = |_| {
                let start = Instant::now();
                sedge::time::sleep(Duration::from_micros(50));
                start.elapsed()
            };
            (0..2_000).map(sleep).min().unwrap()
        });
        assert!(best >= Duration::from_micros(50));
        assert!(
            best < Duration::from_micros(900),
            "the best of 2,000 sleeps of 50 us was {best:?}"
        );
    });
}

/// Timers that are added and cancelled and never fire leave nothing behind.
#[test]
fn cancelled_timers_leave_nothing_behind() {
    const NAME: &str = "timers::cancelled_timers_leave_nothing_behind";
    const PAIRS: usize = if cfg!(debug_assertions) { 10 } else { 50 };
    const ROUNDS: usize = if cfg!(debug_assertions) { 3_000 } else { 10_000 };
    if is_child(NAME) {
        let pass = || {
            let runtime = runtime(2);
            let pairs: Vec<_> = (0..PAIRS)
                .map(|pair| {
                    runtime.spawn(move || {
                        let (me, done) = (task::current(), Count::new());
                        let told = done.clone();
                        let other = sedge::spawn(move || {
                            for _ in 0..ROUNDS {
                                me.unpark();
                                task::park_timeout(Duration::from_secs(3_600 + pair as u64));
                            }
                            told.add();
                            me.unpark();
                        });
                        let partner = other.task();
                        while !done.is_set() {
                            partner.unpark();
                            task::park_timeout(Duration::from_secs(3_600));
                        }
                        other.join().unwrap();
                    })
                })
                .collect();
            pairs.into_iter().for_each(|pair| pair.join().unwrap());
        };
        pass();
        let before = status_kib("VmRSS");
        (0..3).for_each(|_| pass());
        let after = status_kib("VmRSS");
        assert!(after < before + 4_096, "grew from {before} KiB to {after} KiB");
        return;
    }
    succeed_in_child(NAME, |_| {});
}

/// As many timers at a time as tasks, cancelled by unparks in another order than they were set.
#[test]
fn many_timers_cancelled_at_once() {
    bounded(|| {
        let runtime = runtime(2);
        let tasks: Vec<_> = (0..3_000_u64)
            .map(|n| {
                runtime.spawn(move || {
                    task::park_timeout(Duration::from_secs(3_600 + n * 31 % 977));
                })
            })
            .collect();
        for step in 0..7 {
            tasks.iter().skip(step).step_by(7).for_each(|task| task.task().unpark());
        }
        tasks.into_iter().for_each(|task| task.join().unwrap());
    });
}

#[test]
fn a_deadline_out_of_range_is_none() {
    bounded(|| {
        let runtime = runtime(1);
        let sleepers: Vec<_> =
            [Duration::MAX, Duration::from_secs(u64::MAX), Duration::from_secs(1 << 40)]
                .into_iter()
                .map(|duration| runtime.spawn(move || sedge::time::sleep(duration)))
                .collect();
        assert_eq!(runtime.spawn(|| 1).join().unwrap(), 1);
        drop(runtime);
        for sleeper in sleepers {
            assert!(sleeper.join().unwrap_err().is::<task::Cancelled>());
        }
    });
}
