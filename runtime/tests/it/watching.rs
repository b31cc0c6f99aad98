//! Channels that hold one value: no receiver misses the last.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use sedge::sync::watch::error::{RecvError, RecvTimeoutError, SendError};
use sedge::sync::watch::{self, Receiver, Ref, Sender};
use sedge::task;
use sedge::time::timeout;
use sedge_runtime as sedge;

use crate::support::{Count, OnDrop, bounded, eventually, everywhere, poll, runtime};

const LONG: Duration = Duration::from_secs(3600);
const MOMENT: Duration = Duration::from_millis(1);

/// Every item of tokio's, and what has a limit besides.
#[test]
fn items() {
    fn assert_send_sync_unpin(_: &(impl Send + Sync + Unpin)) {}
    fn assert_unpin(_: &impl Unpin) {}

    everywhere(|| {
        let (sender, mut receiver): (Sender<u8>, Receiver<u8>) = watch::channel(1);
        assert_send_sync_unpin(&sender);
        assert_send_sync_unpin(&receiver);
        assert!(receiver.same_channel(&receiver.clone()) && sender.same_channel(&sender.clone()));
        assert!(!sender.same_channel(&Sender::default()));
        assert_eq!((sender.receiver_count(), sender.sender_count()), (1, 1));
        assert_eq!(receiver.has_changed(), Ok(false));
        assert_eq!(receiver.changed_timeout(MOMENT), Err(RecvTimeoutError::Timeout));
        assert_eq!(receiver.changed_deadline(Instant::now()), Err(RecvTimeoutError::Timeout));
        sender.send(2).unwrap();
        assert_eq!(receiver.has_changed(), Ok(true));
        {
            let value: Ref<'_, u8> = receiver.borrow();
            assert!(*value == 2 && value.has_changed());
            assert_eq!(format!("{value:?}"), "Ref { value: 2, has_changed: true }");
        }
        receiver.changed().unwrap();
        assert!(!receiver.borrow_and_update().has_changed());
        receiver.mark_changed();
        {
            let changed = receiver.changed_async();
            assert_unpin(&changed);
            task::block_on(changed).unwrap();
        }
        assert_eq!(sender.send_replace(3), 2);
        sender.send_modify(|value| *value += 1);
        assert!(!sender.send_if_modified(|_| false));
        receiver.mark_unchanged();
        assert_eq!(receiver.has_changed(), Ok(false));
        assert_eq!((*sender.borrow(), *receiver.wait_for(|value| *value == 4).unwrap()), (4, 4));
        assert_eq!(task::block_on(receiver.wait_for_async(|_| true)).map(|value| *value), Ok(4));
        let mut later = sender.subscribe();
        assert!(!later.is_closed() && !sender.is_closed());
        sender.send(5).unwrap();
        drop(sender);
        assert!(later.is_closed());
        let closed: RecvError = later.has_changed().unwrap_err();
        assert_eq!(later.changed_timeout(LONG), Ok(()), "the last value");
        assert_eq!(later.changed(), Err(closed.clone()));
        assert_eq!(later.changed_timeout(LONG), Err(RecvTimeoutError::Closed));
        assert_eq!(task::block_on(later.changed_async()), Err(closed.clone()));
        assert_eq!(receiver.wait_for(|value| *value == 5).map(|value| *value), Ok(5));
        assert_eq!(receiver.wait_for(|value| *value == 6).map(|value| *value), Err(closed));
        assert!(task::block_on(receiver.wait_for_async(|value| *value == 6)).is_err());
        let lonely = Sender::new(1);
        let unsent: SendError<i32> = lonely.send(2).unwrap_err();
        assert_eq!((unsent.0, *lonely.borrow()), (2, 1));
        lonely.closed();
        task::block_on(lonely.closed_async());
    });
}

/// A clone has seen what its original has, and from then on they are apart.
#[test]
fn each_receiver_has_its_own_view() {
    everywhere(|| {
        let (sender, mut first) = watch::channel(0);
        sender.send(1).unwrap();
        let mut second = first.clone();
        first.changed().unwrap();
        assert_eq!((first.has_changed(), second.has_changed()), (Ok(false), Ok(true)));
        second.changed().unwrap();
        assert_eq!(second.has_changed(), Ok(false));
        assert_eq!(sender.subscribe().has_changed(), Ok(false));
    });
}

/// The channel is open again when somebody subscribes.
#[test]
fn senders_learn_that_nobody_watches() {
    everywhere(|| {
        let (sender, receiver) = watch::channel(0);
        let told = Count::new();
        let tell = |how: fn(&Sender<i32>)| {
            let (sender, told) = (sender.clone(), told.clone());
            move || {
                how(&sender);
                told.add();
            }
        };
        let tasks = [
            sedge::spawn(tell(Sender::closed)),
            sedge::spawn(tell(|sender| task::block_on(sender.closed_async()))),
        ];
        let thread = thread::spawn(tell(Sender::closed));
        assert!(timeout(MOMENT, || sender.closed()).is_err());
        let second = receiver.clone();
        drop(receiver);
        assert_eq!(told.get(), 0);
        drop(second);
        tasks.into_iter().for_each(|task| task.join().unwrap());
        thread.join().unwrap();
        assert_eq!(told.get(), 3);
        let receiver = sender.subscribe();
        sender.send(1).unwrap();
        assert_eq!(*receiver.borrow(), 1);
    });
}

#[test]
fn a_change_that_panics_is_not_told_and_locks_nobody_out() {
    everywhere(|| {
        let (sender, mut receiver) = watch::channel(0);
        let change = catch_unwind(AssertUnwindSafe(|| {
            sender.send_modify(|value| {
                *value = 1;
                panic!("in the middle");
            });
        }));
        assert!(change.is_err());
        assert_eq!((receiver.has_changed(), *receiver.borrow()), (Ok(false), 1));
        sender.send(2).unwrap();
        let look = catch_unwind(AssertUnwindSafe(|| {
            let _value = receiver.wait_for(|_| panic!("while it looks"));
        }));
        assert!(look.is_err());
        sender.send(3).unwrap();
        assert_eq!(*receiver.borrow_and_update(), 3);
    });
}

#[test]
fn values_are_dropped_once() {
    everywhere(|| {
        let drops = Count::new();
        let value = || {
            let drops = drops.clone();
            OnDrop(move || drops.add())
        };
        let (sender, receiver) = watch::channel(value());
        assert!(sender.send(value()).is_ok());
        assert_eq!(drops.get(), 1);
        drop(sender.send_replace(value()));
        assert_eq!(drops.get(), 2);
        drop(receiver);
        drop(sender.send(value()).err().map(|unsent| unsent.0));
        assert_eq!(drops.get(), 3);
        drop(sender);
        assert_eq!(drops.get(), 4);
    });
}

#[test]
fn calls_that_end_early_have_seen_nothing() {
    everywhere(|| {
        let (sender, mut receiver) = watch::channel(0);
        assert!(timeout(MOMENT, || receiver.changed()).is_err());
        {
            let mut polled = pin!(receiver.changed_async());
            assert!(poll(polled.as_mut()).is_pending());
            sender.send(1).unwrap();
        }
        assert_eq!(receiver.has_changed(), Ok(true));
        let mut polled = pin!(receiver.changed_async());
        assert_eq!(poll(polled.as_mut()), Poll::Ready(Ok(())));
        assert!(poll(polled.as_mut()).is_pending(), "it goes on with the next");
        sender.send(2).unwrap();
        assert_eq!(poll(polled.as_mut()), Poll::Ready(Ok(())));
    });
}

/// 1,000 receivers of each kind see the last value, whichever they miss; some leave before.
#[test]
fn a_crowd_sees_the_last() {
    const RECEIVERS: usize = 1_000;
    const LAST: usize = 20;
    everywhere(|| {
        let (sender, receiver) = watch::channel(0);
        let (begun, ended) = (Count::new(), Count::new());
        let watch = |at: usize| {
            let (mut receiver, begun, ended) = (receiver.clone(), begun.clone(), ended.clone());
            move || {
                begun.add();
                let mut seen = 0;
                while seen < LAST {
                    match at % 4 {
                        0 => receiver.changed().unwrap(),
                        1 => receiver.changed_timeout(LONG).unwrap(),
                        2 => task::block_on(receiver.changed_async()).unwrap(),
                        _ => drop(receiver.wait_for(|value| *value > seen).unwrap()),
                    }
                    let value = *receiver.borrow_and_update();
                    assert!(value > seen || at % 4 != 3);
                    seen = value;
                }
                ended.add();
            }
        };
        let leaving: Vec<_> = (0..100).map(|at| sedge::spawn(watch(at))).collect();
        let tasks: Vec<_> = (0..RECEIVERS).map(|at| sedge::spawn(watch(at))).collect();
        let threads: Vec<_> = (0..4).map(|at| thread::spawn(watch(at))).collect();
        eventually("all have begun", || begun.get() == RECEIVERS + 104);
        for value in 1..LAST {
            sender.send(value).unwrap();
        }
        leaving.iter().for_each(|task| task.cancel());
        assert!(leaving.into_iter().all(|task| task.join().is_err()));
        assert_eq!(ended.get(), 0);
        sender.send(LAST).unwrap();
        tasks.into_iter().for_each(|task| task.join().unwrap());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!((ended.get(), sender.receiver_count()), (RECEIVERS + 4, 1));
    });
}

/// Who has the value borrowed may wait meanwhile: senders wait, and nobody blocks a worker.
#[test]
fn a_value_that_is_borrowed_over_a_wait() {
    everywhere(|| {
        let (sender, receiver) = watch::channel(0);
        let (sender, borrowed, goes_on) = (Arc::new(sender), Count::new(), Count::new());
        let holders: Vec<_> = (0..3)
            .map(|_| {
                let (receiver, borrowed) = (receiver.clone(), borrowed.clone());
                let goes_on = goes_on.clone();
                sedge::spawn(move || {
                    let value = receiver.borrow();
                    borrowed.add();
                    eventually("it may go on", || goes_on.is_set());
                    *value
                })
            })
            .collect();
        eventually("all have it", || borrowed.get() == 3);
        let senders: Vec<_> = (1..=3)
            .map(|value| {
                let sender = sender.clone();
                sedge::spawn(move || sender.send_replace(value))
            })
            .collect();
        let thread = thread::spawn({
            let sender = sender.clone();
            move || sender.send_replace(4)
        });
        assert_eq!(receiver.has_changed(), Ok(false));
        goes_on.add();
        assert!(holders.into_iter().all(|holder| holder.join().unwrap() == 0));
        let replaced: Vec<_> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
        let last = *receiver.borrow();
        let mut values = [replaced, vec![thread.join().unwrap(), *receiver.borrow()]].concat();
        values.sort_unstable();
        assert_eq!(values, [0, 1, 2, 3, 4]);
        assert!(last > 0);
    });
}

/// Several senders count up, and receivers see the count rise; each sees the last.
#[test]
fn stress() {
    const EACH: usize = 2_000;
    const SENDERS: usize = 3;
    bounded(|| {
        let runtime = runtime(2);
        let (sender, receiver) = watch::channel(0_usize);
        let watch = || {
            let mut receiver = receiver.clone();
            move || {
                let mut last = 0;
                while receiver.changed().is_ok() {
                    let value = *receiver.borrow_and_update();
                    assert!(value >= last);
                    last = value;
                }
                let value = *receiver.borrow();
                (last <= value).then_some(value)
            }
        };
        let tasks: Vec<_> = (0..3).map(|_| runtime.spawn(watch())).collect();
        let thread = thread::spawn(watch());
        let sender = Arc::new(sender);
        let senders: Vec<_> = (0..SENDERS)
            .map(|_| {
                let sender = sender.clone();
                runtime.spawn(move || {
                    for round in 0..EACH {
                        sender.send_modify(|count| *count += 1);
                        if round % 16 == 0 {
                            task::yield_now();
                        }
                    }
                })
            })
            .collect();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        drop(sender);
        let seen = tasks.into_iter().map(|task| task.join().unwrap());
        assert!(seen.chain([thread.join().unwrap()]).all(|seen| seen == Some(SENDERS * EACH)));
    });
}
