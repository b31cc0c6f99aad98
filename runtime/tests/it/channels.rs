//! Channels: what each operation returns when, and that every message ends up in one place.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sedge_runtime::sync::channel::{
    self, RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
    after, bounded, never, tick, unbounded,
};
use sedge_runtime::task::{self, block_on};
use sedge_runtime::{run, spawn, time};

use crate::support::eventually;

const SOON: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(60);

/// Counts how many of it were dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn smoke() {
    for capacity in [None, Some(0), Some(1), Some(3)] {
        run(|| {
            let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
            assert_eq!(sender.capacity(), capacity);
            assert_eq!(receiver.capacity(), capacity);
            let sending = spawn(move || (0..10).try_for_each(|n| sender.send(n)));
            assert_eq!(receiver.iter().collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
            assert_eq!(sending.join().unwrap(), Ok(()));
            assert_eq!(receiver.recv(), Err(RecvError));
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
            assert_eq!(receiver.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
        });
    }
}

#[test]
fn full_and_empty() {
    let (sender, receiver) = bounded(2);
    assert!(receiver.is_empty() && !receiver.is_full());
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(receiver.recv_timeout(SOON), Err(RecvTimeoutError::Timeout));
    sender.send(1).unwrap();
    sender.try_send(2).unwrap();
    assert!(!sender.is_empty() && sender.is_full());
    assert_eq!(sender.len(), 2);
    assert_eq!(sender.try_send(3), Err(TrySendError::Full(3)));
    assert_eq!(sender.send_timeout(3, SOON), Err(SendTimeoutError::Timeout(3)));
    assert_eq!(sender.send_deadline(3, Instant::now()), Err(SendTimeoutError::Timeout(3)));
    assert_eq!(receiver.recv(), Ok(1));
    sender.send_timeout(3, SOON).unwrap();
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn rendezvous_of_nobody() {
    let (sender, receiver) = bounded(0);
    assert!(sender.is_empty() && sender.is_full() && receiver.is_empty() && receiver.is_full());
    assert_eq!(sender.try_send(1), Err(TrySendError::Full(1)));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(sender.send_timeout(1, SOON), Err(SendTimeoutError::Timeout(1)));
    assert_eq!(receiver.recv_timeout(SOON), Err(RecvTimeoutError::Timeout));
    drop(receiver);
    assert_eq!(sender.send(1), Err(SendError(1)));
    assert_eq!(sender.try_send(1), Err(TrySendError::Disconnected(1)));
}

/// A send through a channel of no capacity returns once the message is taken.
#[test]
fn rendezvous_waits_for_the_receiver() {
    run(|| {
        let (sender, receiver) = bounded(0);
        let sent = Arc::new(AtomicUsize::new(0));
        let sending = spawn({
            let sent = sent.clone();
            move || {
                for n in 0..3 {
                    sender.send(n).unwrap();
                    sent.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        for n in 0..3 {
            assert!(sent.load(Ordering::SeqCst) <= n);
            assert_eq!(receiver.recv(), Ok(n));
        }
        sending.join().unwrap();
        assert_eq!(sent.load(Ordering::SeqCst), 3);
    });
}

#[test]
fn try_send_to_who_waits() {
    run(|| {
        let (sender, receiver) = bounded(0);
        let receiving = spawn(move || receiver.recv());
        eventually("the receiver waits", || sender.try_send(7).is_ok());
        assert_eq!(receiving.join().unwrap(), Ok(7));
        let (sender, receiver) = bounded(0);
        let sending = spawn(move || sender.send(8));
        let mut received = None;
        eventually("the sender waits", || {
            received = receiver.try_recv().ok();
            received.is_some()
        });
        assert_eq!((received, sending.join().unwrap()), (Some(8), Ok(())));
    });
}

#[test]
fn disconnecting_wakes_all() {
    for capacity in [0, 1] {
        run(|| {
            let (sender, receiver) = bounded::<u32>(capacity);
            let receiving: Vec<_> = (0..5)
                .map(|_| {
                    spawn({
                        let receiver = receiver.clone();
                        move || receiver.recv()
                    })
                })
                .collect();
            task::yield_now();
            drop(sender);
            for task in receiving {
                assert_eq!(task.join().unwrap(), Err(RecvError));
            }
            let (sender, receiver) = bounded(capacity);
            (0..capacity).for_each(|n| sender.send(n).unwrap());
            let sending: Vec<_> = (0..5)
                .map(|n| {
                    spawn({
                        let sender = sender.clone();
                        move || sender.send(n)
                    })
                })
                .collect();
            task::yield_now();
            drop(receiver);
            for (n, task) in sending.into_iter().enumerate() {
                assert_eq!(task.join().unwrap(), Err(SendError(n)));
            }
        });
    }
}

/// What was sent before the last sender went is received.
#[test]
fn closed_and_not_empty() {
    for capacity in [None, Some(4)] {
        let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
        (0..4).for_each(|n| sender.send(n).unwrap());
        drop(sender);
        assert_eq!(receiver.len(), 4);
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(receiver.recv(), Err(RecvError));
    }
}

/// The last receiver takes the messages with it, though there are senders.
#[test]
fn the_last_receiver_drops_what_is_left() {
    for capacity in [None, Some(4)] {
        let dropped = Arc::new(AtomicUsize::new(0));
        let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
        (0..4).for_each(|_| sender.send(Counted(dropped.clone())).ok().unwrap());
        let other = receiver.clone();
        drop(receiver);
        assert_eq!(dropped.load(Ordering::SeqCst), 0);
        drop(other);
        assert_eq!(dropped.load(Ordering::SeqCst), 4);
        assert!(sender.send(Counted(dropped.clone())).is_err());
        assert_eq!(dropped.load(Ordering::SeqCst), 5);
    }
}

/// Many senders and receivers, tasks and threads, who go in any order: each message is received or
/// dropped, once.
#[test]
fn drop_all() {
    const SENDERS: usize = 4;
    const EACH: usize = 500;
    for capacity in [None, Some(0), Some(1), Some(16)] {
        let dropped = Arc::new(AtomicUsize::new(0));
        run(|| {
            let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
            let send = {
                let (sender, dropped) = (sender.clone(), dropped.clone());
                move || {
                    let (sender, dropped) = (sender.clone(), dropped.clone());
                    (0..EACH).for_each(|_| drop(sender.send(Counted(dropped.clone()))));
                }
            };
            let receive = |most: usize| {
                let receiver = receiver.clone();
                move || receiver.iter().take(most).count()
            };
            let mut tasks: Vec<_> = (0..SENDERS - 1).map(|_| spawn(send.clone())).collect();
            let receivers = [spawn(receive(usize::MAX)), spawn(receive(EACH))];
            let threads = [
                std::thread::spawn(send),
                std::thread::spawn({
                    let f = receive(EACH);
                    move || {
                        f();
                    }
                }),
            ];
            drop((sender, receiver));
            tasks.drain(..).for_each(|task| task.join().unwrap());
            receivers.into_iter().for_each(|task| assert!(task.join().is_ok()));
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        assert_eq!(dropped.load(Ordering::SeqCst), SENDERS * EACH, "capacity {capacity:?}");
    }
}

/// Messages of one sender arrive in order, and all arrive.
#[test]
fn mpmc() {
    const TASKS: usize = 4;
    const EACH: usize = 1000;
    for capacity in [None, Some(0), Some(1), Some(7)] {
        run(|| {
            let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
            for who in 0..TASKS {
                let sender = sender.clone();
                spawn(move || (0..EACH).try_for_each(|n| sender.send((who, n))));
            }
            drop(sender);
            let receiving: Vec<_> = (0..TASKS)
                .map(|_| {
                    let receiver = receiver.clone();
                    spawn(move || {
                        let mut next = [0; TASKS];
                        receiver.iter().fold(0, |count, (who, n)| {
                            assert!(n >= next[who], "{who}'s messages are in order");
                            next[who] = n + 1;
                            count + 1
                        })
                    })
                })
                .collect();
            let count: usize = receiving.into_iter().map(|task| task.join().unwrap()).sum();
            assert_eq!(count, TASKS * EACH);
        });
    }
}

/// The one in the middle is cancelled, another times out: the rest are served, in turn.
#[test]
fn waiters_that_leave_a_line() {
    for capacity in [0, 1] {
        run(|| {
            let (sender, receiver) = bounded(capacity);
            (0..capacity).for_each(|_| sender.send(100).unwrap());
            let started = Arc::new(AtomicUsize::new(0));
            let mut senders: Vec<_> = (0..5)
                .map(|n| {
                    let (sender, begun) = (sender.clone(), started.clone());
                    let sending = spawn(move || {
                        begun.fetch_add(1, Ordering::SeqCst);
                        match n {
                            3 => sender.send_timeout(n, SOON).is_ok(),
                            _ => sender.send(n).is_ok(),
                        }
                    });
                    eventually("it has begun", || started.load(Ordering::SeqCst) > n);
                    sending
                })
                .collect();
            let late = senders.remove(3);
            let cancelled = senders.remove(1);
            cancelled.cancel();
            assert!(cancelled.join().unwrap_err().is::<task::Cancelled>());
            assert!(!late.join().unwrap());
            let mut received: Vec<_> =
                (0..3 + capacity).map(|_| receiver.recv().unwrap()).collect();
            received.sort_unstable();
            assert_eq!(received, [&[0, 2, 4], &[100][..capacity]].concat());
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
            assert!(senders.into_iter().all(|task| task.join().unwrap()));
        });
    }
}

/// A receiver that is cancelled takes no message with it.
#[test]
fn cancelled_receivers_lose_nothing() {
    for capacity in [Some(0), Some(1), None] {
        run(|| {
            let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
            let mut sent = 0;
            let mut got = 0;
            for _ in 0..200 {
                let receiving = spawn({
                    let receiver = receiver.clone();
                    move || receiver.recv()
                });
                task::yield_now();
                let sending = spawn({
                    let sender = sender.clone();
                    move || sender.send(1).unwrap()
                });
                sent += 1;
                receiving.cancel();
                got += usize::from(receiving.join().is_ok());
                if got < sent {
                    receiver.recv().unwrap();
                    got += 1;
                }
                sending.join().unwrap();
            }
            assert_eq!((got, receiver.try_recv()), (sent, Err(TryRecvError::Empty)));
        });
    }
}

#[test]
fn futures_tasks_and_threads() {
    for capacity in [Some(0), Some(1), None] {
        run(|| {
            let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
            let senders = [sender.clone(), sender.clone(), sender];
            let [a, b, c] = senders;
            spawn(move || (0..100).for_each(|n| a.send(n).unwrap()));
            let thread = std::thread::spawn(move || (0..100).for_each(|n| b.send(n).unwrap()));
            spawn(move || {
                block_on(async {
                    for n in 0..100 {
                        c.send_async(n).await.unwrap();
                    }
                });
            });
            let receivers = [receiver.clone(), receiver.clone(), receiver];
            let [a, b, c] = receivers;
            let task = spawn(move || a.iter().sum::<i32>());
            let other = std::thread::spawn(move || b.iter().sum::<i32>());
            let future = spawn(move || {
                block_on(async {
                    let mut sum = 0;
                    while let Ok(n) = c.recv_async().await {
                        sum += n;
                    }
                    sum
                })
            });
            let sum = task.join().unwrap() + other.join().unwrap() + future.join().unwrap();
            assert_eq!(sum, 3 * 4950);
            thread.join().unwrap();
        });
    }
}

/// A future that was woken and is dropped wakes the next.
#[test]
fn dropped_futures_pass_on() {
    use std::future::Future;
    use std::task::{Context, Waker};

    run(|| {
        let mut cx = Context::from_waker(Waker::noop());
        let (sender, receiver) = bounded(1);
        let mut dropped = Box::pin(receiver.recv_async());
        assert!(dropped.as_mut().poll(&mut cx).is_pending());
        let waiting = spawn({
            let receiver = receiver.clone();
            move || receiver.recv()
        });
        task::yield_now();
        sender.send(1).unwrap();
        drop(dropped);
        assert_eq!(waiting.join().unwrap(), Ok(1));
    });
}

#[test]
fn clocks() {
    let start = time::now();
    let receiver = after(SOON);
    assert_eq!((receiver.capacity(), receiver.len()), (Some(1), 0));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(receiver.recv_deadline(start), Err(RecvTimeoutError::Timeout));
    let due = receiver.recv().unwrap();
    assert!(due >= start + SOON && time::now() >= due);
    assert_eq!(receiver.recv_timeout(SOON), Err(RecvTimeoutError::Timeout), "there is one");
    assert!(after(Duration::ZERO).recv().is_ok());
    assert_eq!(after(Duration::MAX).recv_timeout(SOON), Err(RecvTimeoutError::Timeout));

    let ticks = tick(SOON);
    let times: Vec<_> = ticks.iter().take(3).collect();
    assert!(times.windows(2).all(|pair| pair[1] >= pair[0] + SOON));
    let when = time::now() + SOON;
    assert_eq!(block_on(channel::at(when).recv_async()), Ok(when));
    assert_eq!(never::<u8>().recv_timeout(SOON), Err(RecvTimeoutError::Timeout));
}

/// All kinds of calls, at once.
#[test]
fn stress() {
    const EACH: usize = 2000;
    for capacity in [Some(0), Some(1), Some(8), None] {
        run(|| {
            let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
            let sent = Arc::new(AtomicUsize::new(0));
            let sending: Vec<_> = (0..4)
                .map(|who| {
                    let (sender, sent) = (sender.clone(), sent.clone());
                    spawn(move || {
                        for n in 0..EACH {
                            let done = match (n + who) % 4 {
                                0 => sender.try_send(1).is_ok(),
                                1 => sender.send_timeout(1, Duration::from_micros(20)).is_ok(),
                                2 => block_on(sender.send_async(1)).is_ok(),
                                _ => sender.send(1).is_ok(),
                            };
                            sent.fetch_add(usize::from(done), Ordering::SeqCst);
                        }
                    })
                })
                .collect();
            drop(sender);
            let receiving: Vec<_> = (0..4)
                .map(|who| {
                    let receiver = receiver.clone();
                    spawn(move || {
                        let mut count = 0;
                        for n in who.. {
                            let received = match n % 4 {
                                0 => receiver.try_recv().map_err(|e| e.is_disconnected()),
                                1 => receiver
                                    .recv_timeout(Duration::from_micros(20))
                                    .map_err(|e| e.is_disconnected()),
                                2 => block_on(receiver.recv_async()).map_err(|_| true),
                                _ => receiver.recv().map_err(|_| true),
                            };
                            match received {
                                Ok(one) => count += one,
                                Err(true) => return count,
                                Err(false) => task::yield_now(),
                            }
                        }
                        unreachable!()
                    })
                })
                .collect();
            sending.into_iter().for_each(|task| task.join().unwrap());
            let received: usize = receiving.into_iter().map(|task| task.join().unwrap()).sum();
            assert_eq!(received, sent.load(Ordering::SeqCst), "capacity {capacity:?}");
        });
    }
}
