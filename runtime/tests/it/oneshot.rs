//! Channels for one value: it arrives, or comes back, and is dropped once.

use std::pin::Pin;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use sedge::sync::oneshot::error::{RecvError, RecvTimeoutError, TryRecvError};
use sedge::sync::oneshot::{self, Receiver, Sender};
use sedge::task;
use sedge::time::timeout;
use sedge_runtime as sedge;

use crate::support::{Count, OnDrop, bounded, eventually, everywhere, poll, runtime};

const LONG: Duration = Duration::from_secs(3600);
const MOMENT: Duration = Duration::from_millis(1);

/// A value that counts how often it is dropped.
fn counted(count: &Count) -> OnDrop<impl FnMut() + Send + 'static> {
    let count = count.clone();
    OnDrop(move || count.add())
}

/// Every item of tokio's, and what has a limit besides.
#[test]
fn items() {
    fn assert_send_unpin(_: &(impl Send + Sync + Unpin)) {}

    everywhere(|| {
        let (mut sender, mut receiver): (Sender<u8>, Receiver<u8>) = oneshot::channel();
        assert_send_unpin(&sender);
        assert_send_unpin(&receiver);
        assert!(!sender.is_closed() && receiver.is_empty() && !receiver.is_terminated());
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(sender.poll_closed(&mut cx).is_pending());
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(receiver.recv_timeout(MOMENT), Err(RecvTimeoutError::Timeout));
        assert_eq!(receiver.recv_deadline(Instant::now()), Err(RecvTimeoutError::Timeout));
        receiver.close();
        sender.closed();
        task::block_on(sender.closed_async());
        assert!(sender.is_closed());
        assert_eq!(sender.send(7), Err(7));
        assert_eq!(receiver.recv().unwrap_err().to_string(), "channel closed");

        let (sender, receiver) = oneshot::channel();
        sender.send(7).unwrap();
        assert!(!receiver.is_empty());
        let received: Result<u8, RecvError> = receiver.recv();
        assert_eq!(received, Ok(7));
    });
}

/// Each way to send, and not to, meets each way to receive, on either side first.
#[test]
fn every_pair() {
    type Receive = fn(Receiver<u32>) -> Result<u32, ()>;
    let ways: [Receive; 6] = [
        |receiver| receiver.recv().map_err(drop),
        |mut receiver| receiver.recv_timeout(LONG).map_err(drop),
        |mut receiver| receiver.recv_deadline(Instant::now() + LONG).map_err(drop),
        |receiver| task::block_on(receiver).map_err(drop),
        |mut receiver| {
            let mut received = Err(TryRecvError::Empty);
            eventually("it is sent", || {
                received = receiver.try_recv();
                received != Err(TryRecvError::Empty)
            });
            received.map_err(drop)
        },
        |mut receiver| {
            // A future, and then a call.
            let polled = poll(Pin::new(&mut receiver));
            match polled {
                Poll::Ready(received) => received.map_err(drop),
                Poll::Pending => receiver.recv().map_err(drop),
            }
        },
    ];
    everywhere(move || {
        for way in ways {
            for sends in [true, false] {
                let send = move |sender: Sender<u32>| {
                    if sends {
                        sender.send(7).unwrap();
                    }
                };
                let expected = if sends { Ok(7) } else { Err(()) };
                let (sender, receiver) = oneshot::channel();
                send(sender);
                assert_eq!(way(receiver), expected);

                let (sender, receiver) = oneshot::channel();
                let task = sedge::spawn(move || way(receiver));
                task::yield_now();
                send(sender);
                assert_eq!(task.join().unwrap(), expected);

                let (sender, receiver) = oneshot::channel();
                let thread = thread::spawn(move || send(sender));
                assert_eq!(way(receiver), expected);
                thread.join().unwrap();
            }
        }
    });
}

#[test]
fn the_value_is_dropped_once() {
    everywhere(|| {
        let drops = Count::new();
        let channel = || {
            let (sender, receiver) = oneshot::channel();
            assert!(sender.send(counted(&drops)).is_ok());
            receiver
        };
        let mut expected = 0;
        let mut dropped = |what: &str| {
            expected += 1;
            assert_eq!(drops.get(), expected, "{what}");
        };
        drop(channel());
        dropped("with the receiver");
        let received = channel().recv().ok().unwrap();
        drop(received);
        dropped("by who received it");
        let mut receiver = channel();
        receiver.close();
        drop(receiver);
        dropped("with a closed receiver");
        let (sender, receiver) = oneshot::channel();
        drop(receiver);
        drop(sender.send(counted(&drops)).err().unwrap());
        dropped("by who could not send it");
        let mut receiver = channel();
        receiver.close();
        let received = receiver.try_recv().ok().unwrap();
        assert!(receiver.is_terminated() && receiver.is_empty());
        assert!(receiver.recv().is_err(), "there was one");
        drop(received);
        dropped("by who received it from a closed channel");
    });
}

/// A value that was sent while its receiver is cancelled, or times out, is dropped once; a receiver
/// whose time was over has it later.
#[test]
fn who_ends_early() {
    everywhere(|| {
        let (drops, received) = (Count::new(), Count::new());
        for round in 0..200 {
            let (sender, mut receiver) = oneshot::channel();
            let task = sedge::spawn({
                let received = received.clone();
                move || {
                    let value = if round % 2 == 0 {
                        receiver.recv().ok()
                    } else {
                        let first = receiver.recv_timeout(Duration::from_micros(round)).ok();
                        first.or_else(|| receiver.recv().ok())
                    };
                    received.add();
                    drop(value.expect("it is sent"));
                }
            });
            if round % 4 == 1 {
                task::yield_now();
            }
            if round % 4 == 0 {
                task.cancel();
            }
            let sent = sender.send(counted(&drops));
            drop(sent);
            let ended = task.join();
            assert!(ended.is_ok() || round % 4 == 0);
            assert_eq!(drops.get(), round as usize + 1);
        }
        assert!(received.get() >= 150);
    });
}

#[test]
fn the_sender_learns_that_nobody_waits() {
    everywhere(|| {
        let told = Count::new();
        let channels = (0..60).map(|at| {
            let (mut sender, receiver) = oneshot::channel::<()>();
            let told = told.clone();
            let tell = move || {
                if at % 2 == 0 {
                    sender.closed();
                } else {
                    task::block_on(sender.closed_async());
                }
                assert!(sender.is_closed());
                told.add();
            };
            (tell, receiver)
        });
        let (tells, receivers): (Vec<_>, Vec<_>) = channels.unzip();
        let mut tells = tells.into_iter();
        let threads: Vec<_> = tells.by_ref().take(4).map(thread::spawn).collect();
        let tasks: Vec<_> = tells.map(sedge::spawn).collect();
        for (at, mut receiver) in receivers.into_iter().enumerate() {
            if at % 3 == 0 {
                receiver.close();
            }
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        tasks.into_iter().for_each(|task| task.join().unwrap());
        assert_eq!(told.get(), 60);

        // Ended while it waits for that, it leaves a channel that works.
        let (mut sender, receiver) = oneshot::channel();
        assert!(timeout(MOMENT, || sender.closed()).is_err());
        sender.send(7).unwrap();
        assert_eq!(receiver.recv(), Ok(7));
    });
}

/// Polled by one task and then by another, it wakes the last.
#[test]
fn a_receiver_that_moves() {
    everywhere(|| {
        let (sender, mut receiver) = oneshot::channel();
        assert!(poll(Pin::new(&mut receiver)).is_pending());
        let waiting = sedge::spawn(move || task::block_on(receiver));
        task::yield_now();
        sender.send(7).unwrap();
        assert_eq!(waiting.join().unwrap(), Ok(7));
    });
}

#[test]
#[should_panic = "nothing was received yet"]
fn polled_after_it_was_ready() {
    let (sender, mut receiver) = oneshot::channel();
    sender.send(7).unwrap();
    assert_eq!(poll(Pin::new(&mut receiver)), Poll::Ready(Ok(7)));
    let _polled = poll(Pin::new(&mut receiver));
}

/// Requests that carry the way of their answer, between tasks and threads.
#[test]
fn stress() {
    const REQUESTS: usize = 1_000;
    bounded(|| {
        let runtime = runtime(2);
        let (requests, served) = std::sync::mpsc::channel::<(usize, Sender<usize>)>();
        let server = thread::spawn(move || {
            served.into_iter().filter_map(|(n, answer)| answer.send(n * 2).ok()).count()
        });
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let requests = requests.clone();
                runtime.spawn(move || {
                    for n in 0..REQUESTS {
                        let (answer, receiver) = oneshot::channel();
                        requests.send((n, answer)).unwrap();
                        let answer = match (n + client) % 2 {
                            0 => receiver.recv(),
                            _ => task::block_on(receiver),
                        };
                        assert_eq!(answer, Ok(n * 2));
                    }
                })
            })
            .collect();
        drop(requests);
        clients.into_iter().for_each(|client| client.join().unwrap());
        assert_eq!(server.join().unwrap(), 4 * REQUESTS);
    });
}
