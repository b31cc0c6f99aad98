//! Channels and selections: a test for each bug that was found.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use sedge::sync::channel::{
    Receiver, RecvFuture, Select, SendFuture, Sender, after, bounded, never, unbounded,
};
use sedge::task::{self, CancelToken};
use sedge::{run, select, spawn, time};
use sedge_runtime as sedge;

use crate::support::{self, eventually, runtime};

const LONG: Duration = Duration::from_secs(3600);

/// A waker that does something, once.
struct Act(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Wake for Act {
    fn wake(self: Arc<Self>) {
        let act = self.0.lock().unwrap().take();
        act.into_iter().for_each(|act| act());
    }
}

fn act(f: impl FnOnce() + Send + 'static) -> Waker {
    Waker::from(Arc::new(Act(Mutex::new(Some(Box::new(f))))))
}

/// A waker that counts.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// A selection was paired with one that gave up while it made its message, and then received
/// without a limit.
#[test]
fn a_limit_outlasts_a_partner_that_gives_up() {
    support::bounded(|| {
        run(|| {
            let (sender, receiver) = bounded::<u32>(0);
            let (making, made) = unbounded();
            let keep = sender.clone();
            let slow = move || {
                making.send(()).unwrap();
                time::sleep(LONG);
                1
            };
            let sends = spawn(move || {
                select! { send(sender, slow()) -> _ => unreachable!() }
            });
            let receives = spawn(move || {
                select! {
                    recv(receiver) -> message => Some(message),
                    default(Duration::from_millis(20)) => None,
                }
            });
            made.recv().unwrap();
            sends.cancel();
            assert!(sends.join().is_err());
            assert_eq!(receives.join().unwrap(), None);
            drop(keep);
        });
    });
}

/// The same with a `default` that does not wait, and a partner that panics.
#[test]
fn a_default_case_after_a_partner_that_panics() {
    support::bounded(|| {
        let (sender, receiver) = bounded::<u8>(0);
        let keep = sender.clone();
        let sending = thread::spawn(move || {
            let fail = || -> u8 { resume_unwind(Box::new(())) };
            let failed = catch_unwind(AssertUnwindSafe(|| {
                select! { send(sender, fail()) -> _ => unreachable!() }
            }));
            assert!(failed.is_err());
        });
        while !sending.is_finished() {
            select! {
                recv(receiver) -> message => panic!("{message:?}"),
                default => thread::yield_now(),
            }
        }
        sending.join().unwrap();
        drop(keep);
    });
}

/// A future that stands in line takes a message that was another's, and is woken for the next one
/// before it has left the line: that wake is for whoever else waits.
#[test]
fn a_future_that_is_faster_passes_its_wake_on() {
    let (sender, receiver) = bounded::<u32>(1);
    let (sender, receiver) = (leak(sender), leak(receiver));
    let wakes = Arc::new(Wakes::default());
    let first: &'static Mutex<Option<RecvFuture<'static, u32>>> =
        leak(Mutex::new(Some(receiver.recv_async())));
    let (mut faster, mut last) = (receiver.recv_async(), receiver.recv_async());
    assert!(poll(first.lock().unwrap().as_mut().unwrap(), Waker::noop()).is_pending());
    assert!(poll(&mut faster, Waker::noop()).is_pending());
    assert!(poll(&mut last, &Waker::from(wakes.clone())).is_pending());
    sender.try_send(1).unwrap(); // Wakes the first.
    // Woken by the slot that is free once the message is taken.
    let when_taken = act(move || {
        let mut first = first.lock().unwrap();
        assert!(poll(first.as_mut().unwrap(), Waker::noop()).is_pending());
        *first = None;
        sender.try_send(2).unwrap();
    });
    let mut sends = sender.send_async(3);
    assert!(poll(&mut sends, &when_taken).is_pending());
    assert_eq!(poll(&mut faster, Waker::noop()), Poll::Ready(Ok(1)));
    assert_eq!((receiver.len(), wakes.0.load(Ordering::SeqCst)), (1, 1));
}

/// The same with a slot.
#[test]
fn a_future_that_is_faster_to_send_passes_its_wake_on() {
    let (sender, receiver) = bounded::<u32>(1);
    let (sender, receiver) = (leak(sender), leak(receiver));
    sender.try_send(0).unwrap();
    let wakes = Arc::new(Wakes::default());
    let first: &'static Mutex<Option<SendFuture<'static, u32>>> =
        leak(Mutex::new(Some(sender.send_async(1))));
    let (mut faster, mut last) = (sender.send_async(2), sender.send_async(3));
    assert!(poll(first.lock().unwrap().as_mut().unwrap(), Waker::noop()).is_pending());
    assert!(poll(&mut faster, Waker::noop()).is_pending());
    assert!(poll(&mut last, &Waker::from(wakes.clone())).is_pending());
    receiver.try_recv().unwrap(); // Wakes the first.
    let when_sent = act(move || {
        let mut first = first.lock().unwrap();
        assert!(poll(first.as_mut().unwrap(), Waker::noop()).is_pending());
        *first = None;
        receiver.try_recv().unwrap();
    });
    let mut receives = receiver.recv_async();
    assert!(poll(&mut receives, &when_sent).is_pending());
    assert!(poll(&mut faster, Waker::noop()).is_ready());
    assert_eq!((sender.len(), wakes.0.load(Ordering::SeqCst)), (0, 1));
}

/// A selection that panics on its way into the lines lets go of whom it was paired with meanwhile.
#[test]
fn a_selection_that_panics_half_way() {
    support::bounded(|| {
        let (sender, receiver) = bounded::<u8>(0);
        let keep = sender.clone();
        let (go, gone) = mpsc::channel();
        let peer = thread::spawn({
            let receiver = receiver.clone();
            move || {
                gone.recv().unwrap();
                receiver.recv_timeout(Duration::from_millis(100))
            }
        });
        run(move || {
            let (sender, receiver): (&'static Sender<u8>, &'static Receiver<u8>) =
                (leak(sender), leak(receiver));
            let stop = CancelToken::new();
            let handle = Box::leak(Box::new(spawn({
                let stop = stop.clone();
                move || stop.cancelled()
            })));
            let mut select = Select::new_biased();
            let sends = select.send(sender);
            select.join(handle);
            let mut other = select.clone();
            other.remove(sends);
            // It has the handle's one place.
            let waits = task::spawn_local(move || other.select().done());
            task::yield_now();
            task::yield_now();
            // Woken when the selection stands in line to send.
            let when_in_line = act(move || {
                go.send(()).unwrap();
                thread::sleep(Duration::from_millis(50));
            });
            let mut watches = receiver.recv_async();
            assert!(poll(&mut watches, &when_in_line).is_pending());
            let selected = catch_unwind(AssertUnwindSafe(|| drop(select.select())));
            assert!(selected.is_err(), "two wait for one handle");
            assert!(peer.join().unwrap().is_err(), "nobody has sent");
            stop.cancel();
            waits.join().unwrap();
            drop(watches);
        });
        drop(keep);
    });
}

/// The future of a clock has one task at a time to sleep for it, which goes with it.
#[test]
fn polling_the_future_of_a_clock() {
    support::bounded(|| {
        let runtime = runtime(1);
        let polls = || {
            let clock = after(LONG);
            let mut future = clock.recv_async();
            (0..1000).for_each(|_| assert!(poll(&mut future, Waker::noop()).is_pending()));
        };
        runtime.spawn(polls).join().unwrap();
        eventually("the sleeper has gone", || runtime.metrics().homes == [0]);
    });
}

/// It was sent: there is nothing more to put in line.
#[test]
fn a_future_that_is_polled_when_it_is_over() {
    support::bounded(|| {
        run(|| {
            let (sender, receiver) = bounded::<u8>(0);
            let receiving = spawn({
                let receiver = receiver.clone();
                move || receiver.recv()
            });
            let mut future = sender.send_async(1);
            eventually("it is received", || poll(&mut future, Waker::noop()).is_ready());
            assert_eq!(receiving.join().unwrap(), Ok(1));
            assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut future, Waker::noop()))).is_err());
            assert!(receiver.recv_timeout(Duration::from_millis(5)).unwrap_err().is_timeout());
        });
    });
}

/// A destructor that panics leaves no message behind.
#[test]
fn destructors_that_panic() {
    struct Bomb(bool, Arc<AtomicUsize>);

    impl Drop for Bomb {
        fn drop(&mut self) {
            self.1.fetch_add(1, Ordering::SeqCst);
            if self.0 {
                resume_unwind(Box::new(()));
            }
        }
    }

    let dropped = Arc::new(AtomicUsize::new(0));
    let (sender, receiver) = unbounded();
    (0..3).for_each(|n| sender.send(Bomb(n == 0, dropped.clone())).ok().unwrap());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(receiver))).is_err());
    assert_eq!(dropped.load(Ordering::SeqCst), 3);
}

/// What is only told that somebody sends finds a message, or is not told.
#[test]
fn ready_and_try_recv_agree() {
    support::bounded(|| {
        let (sender, receiver) = bounded::<u8>(0);
        let done = CancelToken::new();
        let sending = thread::spawn({
            let done = done.clone();
            move || {
                select! {
                    send(sender, 7) -> sent => sent.unwrap(),
                    cancelled(done) => {}
                }
            }
        });
        let mut select = Select::new();
        select.recv(&receiver);
        for _ in 0..20 {
            if select.ready_timeout(Duration::from_millis(1)).is_ok() {
                assert!(!receiver.try_recv().is_err_and(|error| error.is_empty()));
            }
        }
        done.cancel();
        sending.join().unwrap();
    });
}

/// A comma after a block, with more cases behind it.
#[test]
fn a_comma_after_a_block() {
    let (sender, receiver) = unbounded();
    sender.send(1).unwrap();
    select! {
        recv(receiver) -> message => {
            assert_eq!(message, Ok(1));
        },
        recv(never::<u8>()) -> _ => { unreachable!("nothing comes") },
        default => { unreachable!("there is one") },
    }
}
