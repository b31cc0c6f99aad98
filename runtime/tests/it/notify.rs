//! Notifications: none is lost, none is made, and none goes to two.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sedge::sync::{Notified, Notify};
use sedge::task;
use sedge_runtime as sedge;

use crate::support::{Count, HUNG, bounded, eventually, everywhere, poll, runtime};

const LONG: Duration = Duration::from_secs(3600);

fn is_stored(notify: &Notify) -> bool {
    notify.notified_deadline(Instant::now())
}

/// Futures that stand in line.
fn in_line(notify: &Notify, count: usize) -> Vec<Notified<'_>> {
    let mut futures: Vec<_> = (0..count).map(|_| notify.notified_async()).collect();
    futures.iter_mut().for_each(|future| assert!(poll(pin!(future)).is_pending()));
    futures
}

fn ready(futures: &mut [Notified<'_>]) -> Vec<usize> {
    let ready = |(at, future)| poll(Pin::new(future)).is_ready().then_some(at);
    futures.iter_mut().enumerate().filter_map(ready).collect()
}

/// Every item of tokio's, and what a call that waits has besides.
#[test]
fn items() {
    static NOTIFY: Notify = Notify::const_new();

    fn assert_send_unpin(_: &(impl Send + Unpin)) {}

    everywhere(|| {
        let notify = Notify::new();
        notify.notify_one();
        notify.notified();
        notify.notify_last();
        assert!(notify.notified_timeout(LONG));
        notify.notify_one();
        assert!(notify.notified_deadline(Instant::now() + LONG));
        notify.notify_waiters();
        let mut notified = notify.notified_async();
        assert_send_unpin(&notified);
        assert!(!Pin::new(&mut notified).enable());
        notify.notify_waiters();
        task::block_on(notified);
        assert!(!is_stored(&Notify::default()));
    });
    NOTIFY.notify_one();
    NOTIFY.notified();
}

#[test]
fn one_at_a_time_in_order() {
    everywhere(|| {
        let notify = Notify::new();
        let mut futures = in_line(&notify, 4);
        notify.notify_one();
        assert_eq!(ready(&mut futures), [0]);
        notify.notify_last();
        assert_eq!(ready(&mut futures), [0, 3]);
        notify.notify_one();
        notify.notify_one();
        assert_eq!(ready(&mut futures), [0, 1, 2, 3]);
        assert!(!is_stored(&notify));
        notify.notify_one();
        notify.notify_one();
        assert!(is_stored(&notify));
        assert!(!is_stored(&notify), "two were one");
    });
}

#[test]
fn all_who_wait_and_none_who_come_later() {
    everywhere(|| {
        let notify = Notify::new();
        let mut unpolled = notify.notified_async();
        let mut futures = in_line(&notify, 3);
        notify.notify_waiters();
        let mut later = notify.notified_async();
        assert!(poll(pin!(&mut later)).is_pending());
        assert_eq!(ready(&mut futures), [0, 1, 2]);
        notify.notify_one();
        assert!(poll(pin!(&mut later)).is_ready());
        // It was notified with the others: what is stored is for somebody else.
        notify.notify_one();
        assert!(poll(pin!(&mut unpolled)).is_ready());
        assert!(is_stored(&notify));
        notify.notify_one();
        notify.notify_waiters();
        assert!(is_stored(&notify), "it does not take what is stored");
    });
}

/// A future that was notified and is dropped unseen notifies another, the way that it was.
#[test]
fn who_is_dropped_passes_it_on() {
    everywhere(|| {
        let notify = Notify::new();
        let mut futures = in_line(&notify, 4);
        notify.notify_one();
        drop(futures.remove(0));
        assert_eq!(ready(&mut futures), [0]);
        notify.notify_last();
        drop(futures.pop());
        assert_eq!(ready(&mut futures), [0, 1]);
        drop(futures);
        assert!(!is_stored(&notify), "they have seen theirs");

        let futures = in_line(&notify, 2);
        notify.notify_one();
        drop(futures);
        assert!(is_stored(&notify), "nobody has seen it");

        let futures = in_line(&notify, 2);
        notify.notify_waiters();
        drop(futures);
        assert!(!is_stored(&notify), "that was for those who waited");

        drop(in_line(&notify, 2));
        notify.notify_one();
        assert!(is_stored(&notify), "they have left");
    });
}

#[test]
fn who_leaves_the_middle_of_the_line() {
    everywhere(|| {
        let notify = Arc::new(Notify::new());
        let (begun, notified, timed_out) = (Count::new(), Count::new(), Count::new());
        let tasks: Vec<_> = (0..30)
            .map(|at| {
                let (notify, begun) = (notify.clone(), begun.clone());
                let (notified, timed_out) = (notified.clone(), timed_out.clone());
                sedge::spawn(move || {
                    begun.add();
                    if at % 3 != 0 {
                        notify.notified();
                    } else if !notify.notified_timeout(Duration::from_millis(1)) {
                        return timed_out.add();
                    }
                    notified.add();
                })
            })
            .collect();
        eventually("all have begun", || begun.get() == 30);
        tasks.iter().skip(1).step_by(3).for_each(|task| task.cancel());
        eventually("a third has gone", || timed_out.get() == 10);
        let cancelled = tasks.iter().skip(1).step_by(3);
        eventually("another", || cancelled.clone().all(|task| task.is_finished()));
        assert_eq!(notified.get(), 0);
        for more in 1..=10 {
            notify.notify_one();
            eventually("one more is notified", || notified.get() == more);
        }
        assert_eq!(tasks.into_iter().filter_map(|task| task.join().ok()).count(), 20);
        assert!(!is_stored(&notify));
    });
}

/// A crowd of each kind, notified one by one and then all at once.
#[test]
fn a_crowd_is_notified() {
    const TASKS: usize = 1_000;
    const THREADS: usize = 4;
    everywhere(|| {
        for at_once in [false, true] {
            let (notify, notified) = (Arc::new(Notify::new()), Count::new());
            let wait = || {
                let (notify, notified) = (notify.clone(), notified.clone());
                move || {
                    notify.notified();
                    notified.add();
                }
            };
            let mut futures = in_line(&notify, 100);
            let tasks: Vec<_> = (0..TASKS).map(|_| sedge::spawn(wait())).collect();
            let threads: Vec<_> = (0..THREADS).map(|_| thread::spawn(wait())).collect();
            let mut seen = 0;
            eventually("all are notified", || {
                if at_once {
                    notify.notify_waiters();
                } else {
                    notify.notify_one();
                }
                seen = ready(&mut futures).len() + notified.get();
                seen == TASKS + THREADS + 100
            });
            tasks.into_iter().for_each(|task| task.join().unwrap());
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
    });
}

/// Hands a token round by notifications alone, while others give up in between: if one were lost,
/// this would hang; if one were made, two would hold the token.
#[test]
fn stress() {
    const ROUNDS: usize = 300;

    struct Shared {
        notify: Notify,
        holders: AtomicUsize,
        entered: Count,
    }

    impl Shared {
        fn enter(&self) {
            assert_eq!(self.holders.fetch_add(1, Ordering::SeqCst), 0);
            self.entered.add();
            self.holders.fetch_sub(1, Ordering::SeqCst);
            self.notify.notify_one();
        }

        fn take_turns(&self, seed: usize) {
            for round in 0..ROUNDS {
                match (round + seed) % 4 {
                    0 => self.notify.notified(),
                    1 => task::block_on(self.notify.notified_async()),
                    2 => {
                        let moment = Duration::from_micros(round as u64 % 20);
                        if !self.notify.notified_timeout(moment) {
                            continue;
                        }
                    }
                    _ => {
                        let mut notified = self.notify.notified_async();
                        if poll(pin!(&mut notified)).is_pending() {
                            continue;
                        }
                    }
                }
                self.enter();
            }
        }
    }

    bounded(|| {
        let notify = Notify::new();
        let shared =
            Arc::new(Shared { notify, holders: AtomicUsize::new(0), entered: Count::new() });
        let runtime = runtime(2);
        let turns = |seed| {
            let shared = shared.clone();
            move || shared.take_turns(seed)
        };
        let cancelled: Vec<_> = (0..4)
            .map(|_| {
                let shared = shared.clone();
                runtime.spawn(move || {
                    loop {
                        shared.notify.notified();
                        task::shield(|| shared.enter());
                    }
                })
            })
            .collect();
        let tasks: Vec<_> = (0..4).map(|seed| runtime.spawn(turns(seed))).collect();
        let threads: Vec<_> = (0..2).map(|seed| thread::spawn(turns(seed))).collect();
        shared.notify.notify_one();
        eventually("some have entered", || shared.entered.get() > 50);
        cancelled.iter().for_each(|task| task.cancel());
        tasks.into_iter().for_each(|task| task.join().unwrap());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        cancelled.into_iter().for_each(|task| assert!(task.join().is_err()));
        assert!(shared.entered.get() >= 6 * ROUNDS / 2);
        assert!(shared.notify.notified_timeout(HUNG), "it is still there");
        assert!(!is_stored(&shared.notify));
    });
}
