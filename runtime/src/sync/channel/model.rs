//! Models of the channels: every interleaving of a few calls. A wake that is lost is a deadlock
//! here, which loom reports; a message that is lost or doubled is a sum that is wrong.

use loom::thread;

use super::{Receiver, RecvError, Select, Sender, bounded, unbounded};

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(model);
}

/// Sends these, each with its own call, and goes.
fn send(sender: Sender<u32>, messages: &[u32]) {
    messages.iter().for_each(|&message| sender.send(message).unwrap());
}

fn sum(receiver: &Receiver<u32>) -> u32 {
    receiver.iter().sum()
}

/// Two senders, one receiver, each as often as there is room for.
#[test]
fn many_to_one() {
    for capacity in [None, Some(0), Some(1)] {
        check(move || {
            let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
            let other = sender.clone();
            let threads = [
                thread::spawn(move || send(sender, &[1])),
                thread::spawn(move || send(other, &[2])),
            ];
            assert_eq!(sum(&receiver), 3);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
    }
}

/// One sender, two receivers who want one message each.
#[test]
fn one_to_many() {
    for capacity in [None, Some(0), Some(1)] {
        check(move || {
            let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
            let other = receiver.clone();
            let receiving = thread::spawn(move || other.recv());
            let sending = thread::spawn(move || send(sender, &[1, 2]));
            let sum = receiver.recv().unwrap() + receiving.join().unwrap().unwrap();
            assert_eq!(sum, 3);
            sending.join().unwrap();
        });
    }
}

/// The last of one side goes while the other is about to wait.
#[test]
fn disconnecting() {
    for capacity in [None, Some(0), Some(1)] {
        check(move || {
            let (sender, receiver) = capacity.map_or_else(unbounded, bounded::<u32>);
            let going = thread::spawn(move || drop(sender));
            assert_eq!(receiver.recv(), Err(RecvError));
            going.join().unwrap();
        });
        check(move || {
            let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
            let going = thread::spawn(move || drop(receiver));
            let first = sender.send(1);
            let second = sender.send(2);
            assert!(first.is_ok() || second.is_err());
            assert!(capacity != Some(0) || first.is_err());
            going.join().unwrap();
            assert!(sender.is_empty(), "what was sent into the void is gone");
        });
    }
}

/// A future that is dropped, woken or not, leaves its wake to the one who waits, too. No sender
/// goes meanwhile, which would wake all.
#[test]
fn a_dropped_future() {
    for capacity in [None, Some(0), Some(1)] {
        check(move || {
            let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
            let (back, other) = (sender.clone(), receiver.clone());
            let dropping = thread::spawn(move || {
                let mut future = Box::pin(other.recv_async());
                let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
                if let std::task::Poll::Ready(message) = future.as_mut().poll(&mut cx) {
                    back.send(message.unwrap()).unwrap();
                }
                drop(future);
                back
            });
            let sending = thread::spawn(move || {
                sender.send(1).unwrap();
                sender
            });
            assert_eq!(receiver.recv(), Ok(1));
            drop((dropping.join().unwrap(), sending.join().unwrap()));
        });
    }
}

/// A selection over two channels, each of which gets a message: it takes one, and leaves the other.
#[test]
fn a_selection_takes_one() {
    for capacity in [None, Some(1)] {
        check(move || {
            let (a, receiver) = capacity.map_or_else(unbounded, bounded);
            let (b, other) = capacity.map_or_else(unbounded, bounded);
            let threads =
                [thread::spawn(move || send(a, &[1])), thread::spawn(move || send(b, &[2]))];
            let mut select = Select::new_biased();
            select.recv(&receiver);
            select.recv(&other);
            let operation = select.select();
            let (first, left) = match operation.index() {
                0 => (operation.recv(&receiver), sum(&other)),
                _ => (operation.recv(&other), sum(&receiver)),
            };
            assert_eq!(first.unwrap() + left, 3);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
    }
}

/// A selection and a plain call on either side of a channel of no capacity.
#[test]
fn a_selection_of_no_capacity() {
    check(|| {
        let (sender, receiver) = bounded(0);
        let (_idle, silence) = bounded::<u32>(0);
        let sending = thread::spawn(move || send(sender, &[1]));
        let mut select = Select::new_biased();
        select.recv(&silence);
        select.recv(&receiver);
        let operation = select.select();
        assert_eq!(operation.recv(&receiver), Ok(1));
        sending.join().unwrap();
    });
    check(|| {
        let (sender, receiver) = bounded(0);
        let (_idle, silence) = bounded::<u32>(0);
        let receiving = thread::spawn(move || receiver.recv());
        let mut select = Select::new_biased();
        select.recv(&silence);
        select.send(&sender);
        select.select().send(&sender, 1).unwrap();
        assert_eq!(receiving.join().unwrap(), Ok(1));
    });
}

/// Two selections that can only go ahead with one another.
#[test]
fn two_selections() {
    check(|| {
        let (sender, receiver) = bounded(0);
        let other = receiver.clone();
        let receiving = thread::spawn(move || {
            let mut select = Select::new_biased();
            select.recv(&other);
            let operation = select.select();
            operation.recv(&other)
        });
        let mut select = Select::new_biased();
        select.send(&sender);
        select.select().send(&sender, 1).unwrap();
        assert_eq!(receiving.join().unwrap(), Ok(1));
        drop(receiver);
    });
}

/// One that gives up what it has chosen leaves its partner where it was.
#[test]
fn a_selection_that_gives_up() {
    check(|| {
        let (sender, receiver) = bounded(0);
        let receiving = thread::spawn(move || receiver.recv());
        {
            let mut select = Select::new_biased();
            select.send(&sender);
            select.try_select().into_iter().for_each(super::super::select::give_up);
        }
        sender.send(1).unwrap();
        assert_eq!(receiving.join().unwrap(), Ok(1));
    });
}
