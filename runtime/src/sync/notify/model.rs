//! Models of [`super`]: who waits is notified, whoever leaves meanwhile.

use std::future::poll_fn;
use std::pin::{Pin, pin};

use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::AtomicUsize;
use loom::thread;

use super::{Notified, Notify};
use crate::primitive::Ordering;

fn wait(mut notified: Notified<'_>) {
    block_on(poll_fn(|cx| Pin::new(&mut notified).poll(cx)));
}

/// Before or during the wait, it is notified, and sees what was done before.
#[test]
fn one_is_notified() {
    loom::model(|| {
        let shared = Arc::new((Notify::new(), AtomicUsize::new(0)));
        let notifier = thread::spawn({
            let shared = shared.clone();
            move || {
                shared.0.notify_one();
                shared.1.store(1, Ordering::Relaxed);
                shared.0.notify_one();
            }
        });
        while shared.1.load(Ordering::Relaxed) == 0 {
            wait(shared.0.notified_async());
        }
        notifier.join().unwrap();
    });
}

/// One notification and two who wait, of whom one leaves: the other has it.
#[test]
fn who_leaves_passes_it_on() {
    loom::model(|| {
        let notify = Arc::new(Notify::new());
        let other = thread::spawn({
            let notify = notify.clone();
            move || wait(notify.notified_async())
        });
        let notifier = thread::spawn({
            let notify = notify.clone();
            move || notify.notify_one()
        });
        let has_it = {
            let mut leaving = pin!(notify.notified_async());
            leaving.as_mut().enable() || leaving.as_mut().enable()
        };
        if has_it {
            notify.notify_one();
        }
        other.join().unwrap();
        notifier.join().unwrap();
        assert!(!notify.take(), "there was one");
    });
}

/// All that were made before are notified, whether polled or not.
#[test]
fn all_are_notified() {
    loom::model(|| {
        let notify = Arc::new(Notify::new());
        let (unpolled, mut enabled) = (notify.notified_async(), notify.notified_async());
        assert!(!Pin::new(&mut enabled).enable());
        let notifier = thread::spawn({
            let notify = notify.clone();
            move || notify.notify_waiters()
        });
        wait(unpolled);
        wait(enabled);
        notifier.join().unwrap();
        assert!(!notify.take(), "nothing is stored");
    });
}
