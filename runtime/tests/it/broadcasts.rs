//! Channels on which every receiver receives every value, or is told what it has missed.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use sedge::sync::broadcast::error::{RecvError, RecvTimeoutError, SendError, TryRecvError};
use sedge::sync::broadcast::{self, Receiver, Sender, WeakSender};
use sedge::task;
use sedge::time::timeout;
use sedge_runtime as sedge;

use crate::support::{Count, bounded, eventually, everywhere, poll, runtime};

const LONG: Duration = Duration::from_secs(3600);
const MOMENT: Duration = Duration::from_millis(1);

/// A value that counts its clones, and how often it and they are dropped.
#[derive(Debug)]
struct Counted {
    number: usize,
    clones: Count,
    drops: Count,
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.clones.add();
        Self { number: self.number, clones: self.clones.clone(), drops: self.drops.clone() }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.drops.add();
    }
}

/// Every item of tokio's, and what has a limit besides.
#[test]
fn items() {
    fn assert_send_sync_unpin(_: &(impl Send + Sync + Unpin)) {}

    everywhere(|| {
        let (sender, mut receiver): (Sender<u8>, Receiver<u8>) = broadcast::channel(2);
        assert_send_sync_unpin(&sender);
        assert_send_sync_unpin(&receiver);
        let weak: WeakSender<u8> = sender.downgrade();
        assert_eq!(
            (sender.strong_count(), sender.weak_count(), sender.receiver_count()),
            (1, 1, 1)
        );
        assert_eq!((receiver.sender_strong_count(), receiver.sender_weak_count()), (1, 1));
        let second = weak.upgrade().unwrap();
        assert!(second.same_channel(&sender) && !second.same_channel(&Sender::new(1)));
        let third = weak.clone();
        assert_eq!((third.strong_count(), weak.weak_count()), (2, 2));
        drop(third);
        assert!(sender.is_empty() && receiver.is_empty() && !receiver.is_closed());
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(receiver.recv_timeout(MOMENT), Err(RecvTimeoutError::Timeout));
        assert_eq!(receiver.recv_deadline(Instant::now()), Err(RecvTimeoutError::Timeout));
        let mut later = sender.subscribe();
        assert!(later.same_channel(&receiver));
        assert_eq!(sender.send(7), Ok(2));
        assert_eq!(receiver.resubscribe().try_recv(), Err(TryRecvError::Empty));
        assert_eq!((sender.len(), receiver.len()), (1, 1));
        assert_eq!(receiver.recv(), Ok(7));
        assert_eq!(task::block_on(later.recv_async()), Ok(7));
        assert_eq!(sender.len(), 0);
        drop(sender);
        second.clone().send(8).unwrap();
        drop(second);
        assert!(weak.upgrade().is_none() && receiver.is_closed());
        assert_eq!(receiver.recv_timeout(LONG), Ok(8));
        assert_eq!(receiver.recv(), Err(RecvError::Closed));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
        assert_eq!(receiver.recv_timeout(LONG), Err(RecvTimeoutError::Closed));
        assert_eq!(task::block_on(receiver.recv_async()), Err(RecvError::Closed));
        let lonely = Sender::new(1);
        assert_eq!(lonely.send(9), Err(SendError(9)));
        lonely.closed();
        task::block_on(lonely.closed_async());
    });
}

#[test]
fn who_lags_goes_on_with_the_oldest() {
    everywhere(|| {
        for capacity in 1..5 {
            let (sender, mut slow) = broadcast::channel(capacity);
            let mut fast = sender.subscribe();
            for n in 0..10 {
                sender.send(n).unwrap();
                assert_eq!(fast.recv(), Ok(n), "a slow receiver hurts nobody");
            }
            assert_eq!((slow.len(), sender.len()), (10, capacity));
            let missed = 10 - capacity as u64;
            assert_eq!(slow.recv(), Err(RecvError::Lagged(missed)));
            assert_eq!(slow.try_recv(), Ok(10 - capacity));
            (0..capacity).for_each(|n| assert_eq!(sender.send(n), Ok(2)));
            let missed = capacity as u64 - 1;
            let lagged = if missed > 0 { Err(TryRecvError::Lagged(missed)) } else { Ok(0) };
            assert_eq!(slow.try_recv(), lagged);
            drop(sender);
            assert_eq!(fast.recv_timeout(LONG), Ok(0));
        }
    });
}

#[test]
fn a_new_receiver_gets_what_is_sent_later() {
    everywhere(|| {
        let (sender, mut first) = broadcast::channel(4);
        sender.send(1).unwrap();
        let mut second = sender.subscribe();
        sender.send(2).unwrap();
        let mut third = first.resubscribe();
        sender.send(3).unwrap();
        drop(sender);
        let all = |receiver: &mut Receiver<i32>| {
            std::iter::from_fn(|| receiver.recv().ok()).collect::<Vec<_>>()
        };
        assert_eq!(all(&mut third), [3]);
        assert_eq!(all(&mut first), [1, 2, 3]);
        assert_eq!(all(&mut second), [2, 3]);
    });
}

/// Against a model in which every receiver has a queue of its own.
#[test]
fn as_the_model() {
    const CAPACITY: usize = 5;
    let mut state = 12345_u64;
    let mut random = move |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let (clones, drops) = (Count::new(), Count::new());
    let mut made = 0;
    let sender = Sender::new(CAPACITY);
    let mut receivers: Vec<(Receiver<Counted>, VecDeque<usize>, u64)> = Vec::new();
    for number in 0..20_000 {
        match random(10) {
            0 if receivers.len() < 6 => receivers.push((sender.subscribe(), VecDeque::new(), 0)),
            1 if !receivers.is_empty() => {
                let at = random(receivers.len() as u64) as usize;
                drop(receivers.swap_remove(at));
            }
            2..=5 => {
                made += 1;
                let value = Counted { number, clones: clones.clone(), drops: drops.clone() };
                assert_eq!(sender.send(value).ok(), Some(receivers.len()).filter(|n| *n > 0));
                for (_, queue, missed) in &mut receivers {
                    queue.push_back(number);
                    if queue.len() > CAPACITY {
                        queue.pop_front();
                        *missed += 1;
                    }
                }
            }
            _ if !receivers.is_empty() => {
                let at = random(receivers.len() as u64) as usize;
                let (receiver, queue, missed) = &mut receivers[at];
                let received = receiver.try_recv().map(|value| value.number);
                let expected = match std::mem::take(missed) {
                    0 => queue.pop_front().ok_or(TryRecvError::Empty),
                    missed => Err(TryRecvError::Lagged(missed)),
                };
                assert_eq!(received, expected);
            }
            _ => {}
        }
        let longest = receivers.iter().map(|(_, queue, _)| queue.len()).max();
        assert_eq!(sender.len(), longest.unwrap_or(0));
        // What waits to be received is all that is left of what was made.
        assert_eq!(made + clones.get() - drops.get(), sender.len());
    }
    drop(receivers);
    assert_eq!(made + clones.get(), drops.get());
}

/// The last to receive a value has it without a clone.
#[test]
fn the_last_takes_the_value_itself() {
    everywhere(|| {
        let (clones, drops) = (Count::new(), Count::new());
        let (sender, mut receiver) = broadcast::channel(1);
        let mut other = sender.subscribe();
        let value = Counted { number: 7, clones: clones.clone(), drops: drops.clone() };
        sender.send(value).unwrap();
        assert_eq!(receiver.recv().unwrap().number, 7);
        assert_eq!((clones.get(), drops.get()), (1, 1));
        assert_eq!(other.recv().unwrap().number, 7);
        assert_eq!((clones.get(), drops.get()), (1, 2));
    });
}

/// The user's `clone` and `drop` may come back to the channel, wait, and panic: they run without
/// its lock, and what they do is not the others' loss.
#[test]
fn what_clones_and_drops_may_do() {
    struct Value {
        sender: WeakSender<Arc<Self>>,
        panics: bool,
    }

    struct Odd(Arc<Value>);

    impl Clone for Odd {
        fn clone(&self) -> Self {
            assert!(self.0.sender.strong_count() > 0, "it came back");
            sedge::time::sleep(Duration::from_micros(1));
            assert!(!self.0.panics, "a clone that panics");
            Self(self.0.clone())
        }
    }

    impl Drop for Odd {
        fn drop(&mut self) {
            assert!(self.0.sender.strong_count() > 0, "it came back");
            task::yield_now();
        }
    }

    everywhere(|| {
        let inner = Sender::new(1);
        let value = |panics| Odd(Arc::new(Value { sender: inner.downgrade(), panics }));
        let (sender, mut receiver) = broadcast::channel(2);
        let mut other = sender.subscribe();
        assert!(sender.send(value(true)).is_ok());
        assert!(sender.send(value(false)).is_ok());
        assert!(catch_unwind(AssertUnwindSafe(|| receiver.recv())).is_err());
        assert!(receiver.recv().is_ok(), "it goes on with the next");
        assert!(other.recv().is_ok(), "the last needs no clone");
        assert!(other.recv().is_ok());
        (0..3).for_each(|_| assert!(sender.send(value(false)).is_ok()));
        drop(receiver);
        drop(other);
        assert_eq!(sender.len(), 0);
    });
}

#[test]
fn calls_that_end_early_lose_nothing() {
    everywhere(|| {
        let (sender, mut receiver) = broadcast::channel(4);
        assert!(timeout(MOMENT, || receiver.recv()).is_err());
        assert_eq!(receiver.recv_timeout(MOMENT), Err(RecvTimeoutError::Timeout));
        {
            let mut polled = pin!(receiver.recv_async());
            assert!(poll(polled.as_mut()).is_pending());
            sender.send(1).unwrap();
        }
        let polled = poll(pin!(receiver.recv_async()));
        assert_eq!(polled, Poll::Ready(Ok(1)));
        let mut polled = pin!(receiver.recv_async());
        assert!(poll(polled.as_mut()).is_pending());
        assert!(poll(polled.as_mut()).is_pending());
        sender.send(2).unwrap();
        assert_eq!(poll(polled.as_mut()), Poll::Ready(Ok(2)));
        assert!(poll(polled.as_mut()).is_pending(), "it goes on with the next");
        sender.send(3).unwrap();
        assert_eq!(poll(polled.as_mut()), Poll::Ready(Ok(3)));
    });
}

#[test]
fn senders_learn_that_nobody_listens() {
    everywhere(|| {
        let (sender, receiver) = broadcast::channel::<u8>(1);
        let told = Count::new();
        let tell = |how: fn(&Sender<u8>)| {
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
        let other = receiver.resubscribe();
        drop(receiver);
        assert_eq!(told.get(), 0);
        drop(other);
        tasks.into_iter().for_each(|task| task.join().unwrap());
        thread.join().unwrap();
        assert_eq!(told.get(), 3);
    });
}

/// 1,000 receivers of each kind receive every value in order, while others leave in the middle.
#[test]
fn a_crowd_receives() {
    const RECEIVERS: usize = 1_000;
    const VALUES: usize = 10;
    everywhere(|| {
        let sender = Sender::new(VALUES);
        let (received, begun) = (Count::new(), Count::new());
        let receive = |at: usize| {
            let (mut receiver, received) = (sender.subscribe(), received.clone());
            let begun = begun.clone();
            move || {
                begun.add();
                for n in 0..VALUES {
                    let value = match at % 3 {
                        0 => task::block_on(receiver.recv_async()).map_err(drop),
                        1 => receiver.recv_timeout(LONG).map_err(drop),
                        _ => receiver.recv().map_err(drop),
                    };
                    assert_eq!(value, Ok(n));
                    received.add();
                }
                assert_eq!(receiver.recv(), Err(RecvError::Closed));
            }
        };
        let leaving: Vec<_> = (0..100).map(|at| sedge::spawn(receive(at))).collect();
        let tasks: Vec<_> = (0..RECEIVERS).map(|at| sedge::spawn(receive(at))).collect();
        let threads: Vec<_> = (0..4).map(|at| thread::spawn(receive(at))).collect();
        eventually("all have begun", || begun.get() == RECEIVERS + 104);
        for n in 0..VALUES {
            if n == VALUES / 2 {
                leaving.iter().for_each(|task| task.cancel());
            }
            sender.send(n).unwrap();
        }
        drop(sender);
        tasks.into_iter().for_each(|task| task.join().unwrap());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let left = leaving.into_iter().filter_map(|task| task.join().ok()).count();
        let (least, most) = ((RECEIVERS + 4 + left) * VALUES, (RECEIVERS + 104) * VALUES);
        assert!((least..=most).contains(&received.get()));
    });
}

/// Several senders, and receivers that are now and then too slow: each receives what it has not
/// missed, of every sender in order, and all is dropped in the end.
#[test]
fn stress() {
    const EACH: usize = 2_000;
    const SENDERS: usize = 3;

    fn receive(mut receiver: Receiver<Counted>) -> usize {
        let mut last = [None; SENDERS];
        let mut seen = 0;
        loop {
            match receiver.recv() {
                Ok(value) => {
                    let sender = value.number % SENDERS;
                    assert!(last[sender] < Some(value.number));
                    last[sender] = Some(value.number);
                    seen += 1;
                }
                Err(RecvError::Lagged(missed)) => seen += missed as usize,
                Err(RecvError::Closed) => return seen,
            }
        }
    }

    bounded(|| {
        let runtime = runtime(2);
        let (clones, drops) = (Count::new(), Count::new());
        let (sender, first) = broadcast::channel(16);
        let receivers: Vec<_> = (0..3)
            .map(|_| {
                let receiver = sender.subscribe();
                runtime.spawn(move || receive(receiver))
            })
            .collect();
        let thread = thread::spawn(move || receive(first));
        let senders: Vec<_> = (0..SENDERS)
            .map(|at| {
                let (sender, clones, drops) = (sender.clone(), clones.clone(), drops.clone());
                runtime.spawn(move || {
                    for n in 0..EACH {
                        let number = n * SENDERS + at;
                        let (clones, drops) = (clones.clone(), drops.clone());
                        sender.send(Counted { number, clones, drops }).unwrap();
                        if n % 8 == 0 {
                            task::yield_now();
                        }
                    }
                })
            })
            .collect();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        drop(sender);
        let seen = receivers.into_iter().map(|receiver| receiver.join().unwrap());
        assert!(seen.chain([thread.join().unwrap()]).all(|seen| seen == SENDERS * EACH));
        assert_eq!(SENDERS * EACH + clones.get(), drops.get());
    });
}

#[test]
#[should_panic = "a broadcast channel has a capacity of one at least"]
fn without_a_capacity() {
    let _channel = broadcast::channel::<u8>(0);
}
