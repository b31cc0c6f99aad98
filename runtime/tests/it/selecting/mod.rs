//! `select!` and `Select`: what goes ahead when, with what chance, and what is left behind.

mod kinds;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sedge_runtime::sync::channel::{
    RecvError, Select, SendError, TryRecvError, after, bounded, never, tick, unbounded,
};
use sedge_runtime::task::{self, CancelToken};
use sedge_runtime::{run, scope, select, select_biased, spawn, time};

use crate::support;

const SOON: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(60);

/// On a worker, on several, and on a plain thread; it fails if that hangs.
fn everywhere(f: impl Fn() + Clone + Send + 'static) {
    support::everywhere(f);
}

#[test]
fn the_one_that_is_ready() {
    everywhere(|| {
        let (sender, receiver) = unbounded();
        let (other, others) = unbounded::<u8>();
        sender.send("here").unwrap();
        let got = select! {
            recv(receiver) -> message => message,
            recv(others) -> message => panic!("{message:?}"),
        };
        assert_eq!(got, Ok("here"));
        drop(other);
        let got = select! {
            recv(receiver) -> message => panic!("{message:?}"),
            recv(others) -> message => message,
        };
        assert_eq!(got, Err(RecvError), "a channel that is closed is ready");
        let (sender, receiver) = bounded(1);
        select! {
            send(sender, 1) -> sent => assert_eq!(sent, Ok(())),
            recv(receiver) -> message => panic!("{message:?}"),
        }
        select! {
            send(sender, 2) -> sent => panic!("it is full: {sent:?}"),
            recv(receiver) -> message => assert_eq!(message, Ok(1)),
        }
        drop(receiver);
        select! {
            send(sender, 3) -> sent => assert_eq!(sent, Err(SendError(3))),
            default => unreachable!(),
        }
    });
}

fn not_chosen() -> u8 {
    panic!("its case is not chosen")
}

#[test]
fn default_cases() {
    everywhere(|| {
        let (_sender, receiver) = bounded::<u8>(0);
        let (sender, _receiver) = bounded::<u8>(0);
        let start = time::now();
        select! {
            recv(receiver) -> _ => unreachable!(),
            send(sender, 1) -> _ => unreachable!(),
            default => {}
        }
        select! {
            default(SOON) => assert!(time::now() >= start + SOON),
            recv(receiver) -> _ => unreachable!(),
            send(sender, not_chosen()) -> _ => unreachable!(),
        }
        let value = select! { default => 7 };
        assert_eq!(value, 7);
        assert!(select! { recv(never::<u8>()) -> _ => false, default() => true });
        select! {
            recv(receiver) -> _ => unreachable!(),
            recv(after(SOON)) -> due => assert!(due.unwrap() >= start + SOON),
        }
    });
}

/// Bodies may leave the function, go on with a loop, and use what the cases had borrowed.
#[test]
fn bodies() {
    fn first(receiver: sedge_runtime::sync::channel::Receiver<u8>) -> Option<u8> {
        loop {
            select! {
                recv(receiver) -> message => {
                    drop(receiver);
                    return message.ok();
                }
                default(SOON) => continue,
            }
        }
    }
    let (sender, receiver) = unbounded();
    sender.send(3).unwrap();
    assert_eq!(first(receiver), Some(3));
}

/// Of several that are ready, each is as likely as another.
#[test]
fn fairness() {
    const ROUNDS: usize = 100_000;
    everywhere(|| {
        let channels: [_; 3] = std::array::from_fn(|_| bounded(1));
        let (idle, _receiver) = bounded(0);
        let mut counts = [0_usize; 4];
        for (sender, _) in &channels {
            sender.send(()).unwrap();
        }
        let [a, b, c] = &channels;
        for _ in 0..ROUNDS {
            select! {
                recv(a.1) -> _ => { counts[0] += 1; a.0.send(()).unwrap(); }
                send(idle, ()) -> _ => unreachable!(),
                recv(b.1) -> _ => { counts[1] += 1; b.0.send(()).unwrap(); }
                recv(c.1) -> _ => { counts[2] += 1; c.0.send(()).unwrap(); }
                recv(after(Duration::ZERO)) -> _ => counts[3] += 1,
            }
        }
        // Nine standard deviations: 0.02 of the rounds.
        for count in counts {
            assert!(count.abs_diff(ROUNDS / 4) < ROUNDS / 50, "{counts:?}");
        }
    });
}

#[test]
fn biased() {
    let (sender, receiver) = unbounded();
    let (other, others) = unbounded();
    for n in 0..100 {
        sender.send(n).unwrap();
        other.send(n).unwrap();
    }
    for n in 0..100 {
        select_biased! {
            recv(receiver) -> message => assert_eq!(message, Ok(n)),
            recv(others) -> _ => unreachable!(),
        }
    }
}

/// A selection on either side of a channel of no capacity, or on both.
#[test]
fn rendezvous() {
    everywhere(|| {
        let (sender, receiver) = bounded(0);
        let (_idle, silence) = bounded::<u8>(0);
        scope(|s| {
            s.spawn(|| (0..50).for_each(|n| sender.send(n).unwrap()));
            for n in 0..50 {
                select! {
                    recv(receiver) -> message => assert_eq!(message, Ok(n)),
                    recv(silence) -> _ => unreachable!(),
                }
            }
        });
        scope(|s| {
            s.spawn(|| (0..50).for_each(|n| assert_eq!(receiver.recv(), Ok(n))));
            for n in 0..50 {
                select! {
                    recv(silence) -> _ => unreachable!(),
                    send(sender, n) -> sent => sent.unwrap(),
                }
            }
        });
        scope(|s| {
            s.spawn(|| {
                for n in 0..50 {
                    select! {
                        send(sender, n) -> sent => sent.unwrap(),
                        recv(silence) -> _ => unreachable!(),
                    }
                }
            });
            for n in 0..50 {
                select! {
                    recv(receiver) -> message => assert_eq!(message, Ok(n)),
                    recv(silence) -> _ => unreachable!(),
                }
            }
        });
    });
}

/// A selection does not hand a message to itself.
#[test]
fn both_ends_in_one() {
    everywhere(|| {
        let (sender, receiver) = bounded(0);
        select! {
            send(sender, 1) -> _ => unreachable!(),
            recv(receiver) -> _ => unreachable!(),
            default(SOON) => {}
        }
        // Two of them do, one to the other.
        scope(|s| {
            let either = || {
                select! {
                    send(sender, 1) -> sent => { sent.unwrap(); 0 }
                    recv(receiver) -> message => message.unwrap(),
                }
            };
            let other = s.spawn(either);
            assert_eq!(either() + other.join().unwrap(), 1);
        });
    });
}

/// The message is made once its case is chosen, and may take a while; the receiver waits.
#[test]
fn a_message_that_takes_time() {
    everywhere(|| {
        let (sender, receiver) = bounded(0);
        let (_idle, silence) = bounded::<u8>(0);
        scope(|s| {
            s.spawn(|| {
                select! {
                    send(sender, { time::sleep(SOON); 1 }) -> sent => sent.unwrap(),
                    recv(silence) -> _ => unreachable!(),
                }
            });
            assert_eq!(receiver.recv(), Ok(1));
            s.spawn(|| {
                select! {
                    send(sender, { time::sleep(SOON); 2 }) -> sent => sent.unwrap(),
                    recv(silence) -> _ => unreachable!(),
                }
            });
            select! {
                recv(receiver) -> message => assert_eq!(message, Ok(2)),
                recv(silence) -> _ => unreachable!(),
            }
        });
    });
}

/// One that panics while it makes its message gives its partner up, who goes on waiting.
#[test]
fn a_message_that_panics() {
    fn fail() -> u8 {
        std::panic::resume_unwind(Box::new(()))
    }
    everywhere(|| {
        let (sender, receiver) = bounded(0);
        let (_idle, silence) = bounded::<u8>(0);
        let panics = || {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                select! {
                    send(sender, fail()) -> _ => unreachable!(),
                    recv(silence) -> _ => unreachable!(),
                }
            }));
            assert!(caught.is_err());
        };
        scope(|s| {
            s.spawn(|| {
                panics();
                panics();
                sender.send(1).unwrap();
            });
            assert_eq!(receiver.recv(), Ok(1));
            s.spawn(|| {
                panics();
                sender.send(2).unwrap();
            });
            select! {
                recv(receiver) -> message => assert_eq!(message, Ok(2)),
                recv(silence) -> _ => unreachable!(),
            }
        });
    });
}

#[test]
fn an_operation_that_is_not_completed() {
    everywhere(|| {
        let (sender, receiver) = bounded(1);
        let mut select = Select::new();
        select.send(&sender);
        assert!(catch_unwind(AssertUnwindSafe(|| drop(select.select()))).is_err());
        assert!(!sender.is_full(), "the slot is free again");
        sender.send(1).unwrap();
        assert_eq!(receiver.recv(), Ok(1));
    });
}

/// One that is cancelled has left every line, and taken nothing.
#[test]
fn cancelled() {
    run(|| {
        for _ in 0..100 {
            let (sender, receiver) = bounded(0);
            let (other, others) = unbounded::<u8>();
            let (full, drain) = bounded(1);
            full.send(0).unwrap();
            let selecting = spawn({
                let (receiver, others, full) = (receiver.clone(), others.clone(), full.clone());
                move || {
                    select! {
                        recv(receiver) -> _ => {}
                        recv(others) -> _ => {}
                        send(full, 1) -> _ => {}
                    }
                }
            });
            task::yield_now();
            selecting.cancel();
            assert!(selecting.join().is_err());
            assert!(sender.try_send(1).is_err(), "nobody waits");
            other.send(1).unwrap();
            assert_eq!(others.try_recv(), Ok(1));
            assert_eq!(drain.try_recv(), Ok(0));
            assert_eq!(drain.try_recv(), Err(TryRecvError::Empty));
        }
    });
}

#[test]
fn cases_that_are_added_and_removed() {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| bounded(1)).unzip();
    let mut select = Select::new();
    for (n, receiver) in receivers.iter().enumerate() {
        assert_eq!(select.recv(receiver), n);
    }
    assert!(select.try_select().is_err() && select.try_ready().is_err());
    assert!(select.select_timeout(SOON).is_err() && select.ready_timeout(SOON).is_err());
    senders[1].send(1).unwrap();
    assert_eq!((select.ready(), select.try_ready()), (1, Ok(1)));
    select.remove(1);
    assert!(select.try_ready().is_err());
    assert_eq!(select.recv(&receivers[1]), 3, "indices are not used again");
    let operation = select.try_select().unwrap();
    assert_eq!(operation.index(), 3);
    assert_eq!(operation.recv(&receivers[1]), Ok(1));
    assert!(catch_unwind(AssertUnwindSafe(|| select.remove(1))).is_err());
    assert!(catch_unwind(|| Select::new().select().index()).is_err());
}

/// Those that only want to know are told, and whoever waits gets the message all the same.
#[test]
fn watchers() {
    for capacity in [0, 1] {
        run(move || {
            let (sender, receiver) = bounded(capacity);
            let watching: Vec<_> = (0..3)
                .map(|_| {
                    let receiver = receiver.clone();
                    spawn(move || {
                        let mut select = Select::new();
                        select.recv(&receiver);
                        select.ready()
                    })
                })
                .collect();
            task::yield_now();
            let sending = spawn(move || sender.send(1).unwrap());
            watching.into_iter().for_each(|task| assert_eq!(task.join().unwrap(), 0));
            assert_eq!(receiver.recv(), Ok(1));
            sending.join().unwrap();
        });
    }
}

/// Selections of all kinds, against one another and plain calls: every message arrives once.
#[test]
fn stress() {
    const EACH: usize = 500;
    for capacity in [0, 1, 4] {
        everywhere(move || {
            let sent = AtomicUsize::new(0);
            let received = AtomicUsize::new(0);
            let channels: Vec<_> = (0..3).map(|_| bounded(capacity)).collect();
            let done = CancelToken::new();
            scope(|s| {
                let senders: Vec<_> = (0..4)
                    .map(|who| {
                        let (channels, sent) = (&channels, &sent);
                        s.spawn(move || {
                            for n in 0..EACH {
                                let sum = match (n + who) % 3 {
                                    0 => {
                                        channels[n % 3].0.send(n).unwrap();
                                        n
                                    }
                                    1 => select! {
                                        send(channels[0].0, n) -> r => { r.unwrap(); n }
                                        send(channels[1].0, n + 1) -> r => { r.unwrap(); n + 1 }
                                        send(channels[2].0, n + 2) -> r => { r.unwrap(); n + 2 }
                                    },
                                    _ => select! {
                                        send(channels[1].0, n) -> r => { r.unwrap(); n }
                                        send(channels[2].0, n + 1) -> r => { r.unwrap(); n + 1 }
                                        default(Duration::from_micros(30)) => 0,
                                    },
                                };
                                sent.fetch_add(sum, Ordering::SeqCst);
                            }
                        })
                    })
                    .collect();
                for who in 0..4 {
                    let (channels, received, done) = (&channels, &received, &done);
                    s.spawn(move || {
                        let mut select = Select::new();
                        channels.iter().for_each(|channel| {
                            select.recv(&channel.1);
                        });
                        let ticks = tick(Duration::from_micros(50));
                        loop {
                            let got = if who % 2 == 0 {
                                match select.select_timeout(Duration::from_micros(30)) {
                                    Ok(op) => {
                                        let at = op.index();
                                        op.recv(&channels[at].1).unwrap()
                                    }
                                    Err(_) if done.is_cancelled() => return,
                                    Err(_) => 0,
                                }
                            } else {
                                select! {
                                    recv(channels[0].1) -> n => n.unwrap(),
                                    recv(channels[2].1) -> n => n.unwrap(),
                                    recv(channels[1].1) -> n => n.unwrap(),
                                    recv(ticks) -> _ => 0,
                                    cancelled(done) => return,
                                }
                            };
                            received.fetch_add(got, Ordering::SeqCst);
                        }
                    });
                }
                senders.into_iter().for_each(|task| task.join().unwrap());
                support::eventually("all is received", || {
                    received.load(Ordering::SeqCst) == sent.load(Ordering::SeqCst)
                });
                done.cancel();
            });
        });
    }
}
