//! Cases that are no channels.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sedge_runtime::io::Source;
use sedge_runtime::sync::Notify;
use sedge_runtime::sync::channel::{Select, bounded};
use sedge_runtime::task::{self, CancelToken};
use sedge_runtime::{run, scope, select, spawn};

use super::{LONG, everywhere};
use crate::support;

#[test]
fn ends_of_tasks() {
    run(|| {
        let mut waits = spawn(task::park);
        let mut ends = spawn(|| 42);
        let (_sender, receiver) = bounded::<u8>(0);
        select! {
            join(waits) -> result => panic!("{result:?}"),
            recv(receiver) -> _ => unreachable!(),
            join(ends) -> result => assert_eq!(result.unwrap(), 42),
        }
        waits.cancel();
        select! {
            join(waits) -> result => assert!(result.is_err()),
            recv(receiver) -> _ => unreachable!(),
        }
        scope(|s| {
            let mut child = s.spawn(task::yield_now);
            select! {
                recv(receiver) -> _ => unreachable!(),
                join(child) -> result => result.unwrap(),
            }
        });
    });
}

#[test]
fn tokens() {
    everywhere(|| {
        let token = CancelToken::new();
        let child = token.child_token();
        let (_sender, receiver) = bounded::<u8>(0);
        scope(|s| {
            let waiting = s.spawn(|| {
                select! {
                    recv(receiver) -> _ => unreachable!(),
                    cancelled(child) => "told",
                }
            });
            token.cancel();
            assert_eq!(waiting.join().unwrap(), "told");
        });
    });
}

#[test]
fn notifications() {
    everywhere(|| {
        let notify = Notify::new();
        let (_sender, receiver) = bounded::<u8>(0);
        let told = AtomicUsize::new(0);
        scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    select! {
                        recv(receiver) -> _ => unreachable!(),
                        notified(notify) => told.fetch_add(1, Ordering::SeqCst),
                    }
                });
            }
            for n in 1..=4 {
                notify.notify_one();
                support::eventually("one is told", || told.load(Ordering::SeqCst) >= n);
            }
        });
        assert!(!notify.notified_timeout(Duration::ZERO), "each was used");
        // One that is chosen by something else leaves the notification alone, and so does one that
        // only wants to know.
        let mut select = Select::new();
        select.notified(&notify);
        notify.notify_one();
        assert_eq!((select.ready(), select.try_ready()), (0, Ok(0)));
        assert!(catch_unwind(AssertUnwindSafe(|| drop(select.select()))).is_err());
        assert!(notify.notified_timeout(Duration::ZERO));
    });
}

/// A notification is not lost with a selection that is cancelled, or waits for something else.
#[test]
fn notifications_are_passed_on() {
    everywhere(|| {
        const ROUNDS: usize = 300;
        let notify = Notify::new();
        let (sender, receiver) = bounded(0);
        let told = AtomicUsize::new(0);
        scope(|s| {
            for _ in 0..2 {
                s.spawn(|| {
                    loop {
                        select! {
                            recv(receiver) -> message => if message.is_err() { return },
                            notified(notify) => { told.fetch_add(1, Ordering::SeqCst); }
                        }
                    }
                });
            }
            for n in 1..=ROUNDS {
                let short_lived = s.spawn(|| {
                    select! {
                        notified(notify) => { told.fetch_add(1, Ordering::SeqCst); }
                        default(Duration::from_micros(10)) => {}
                    }
                });
                notify.notify_one();
                let _ = sender.send_timeout((), Duration::from_micros(20));
                if n % 2 == 0 {
                    short_lived.cancel();
                }
                drop(short_lived.join());
                support::eventually("it has arrived", || told.load(Ordering::SeqCst) >= n);
            }
            drop(sender);
        });
        assert_eq!(told.load(Ordering::SeqCst), ROUNDS);
    });
}

#[test]
fn sources() {
    everywhere(|| {
        let (mut near, far) = UnixStream::pair().unwrap();
        let source = Source::new(far).unwrap();
        let (sender, receiver) = bounded(0);
        select! {
            readable(source) -> _ => unreachable!(),
            writable(source) -> ready => ready.unwrap(),
        }
        scope(|s| {
            let reading = s.spawn(|| {
                let mut messages = 0;
                loop {
                    select! {
                        readable(source) -> ready => {
                            ready.unwrap();
                            let mut buf = [0; 4];
                            return (source.read_with(|mut s| s.read(&mut buf)).unwrap(), messages);
                        }
                        recv(receiver) -> message => messages += message.unwrap(),
                    }
                }
            });
            sender.send(1).unwrap();
            sender.send(1).unwrap();
            near.write_all(b"ping").unwrap();
            assert_eq!(reading.join().unwrap(), (4, 2));
        });
        let program = std::env::current_exe().unwrap();
        let file = Source::new(std::fs::File::open(program).unwrap()).unwrap();
        select! {
            // A file is always ready, and cannot be waited for.
            readable(file) -> _ => {}
            default(LONG) => unreachable!(),
        }
    });
}
