//! Futures that wait for a source.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use super::{unix_pair, until_cleared};
use crate::io::Source;
use crate::io::WaitKey;
use crate::io::home::pretend;
use crate::io::poller::Poller;
use crate::io::readiness::Direction;
use crate::io::sys::Events;

/// A waker that counts.
#[derive(Default)]
struct Count(AtomicUsize);

impl std::task::Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// One poll of a one-byte read by a future that `count` wakes.
fn poll_read(
    source: &Source<UnixStream>,
    key: &mut WaitKey,
    count: &Arc<Count>,
) -> Poll<io::Result<usize>> {
    let waker = Waker::from(count.clone());
    let mut cx = Context::from_waker(&waker);
    source.poll_read_with(&mut cx, key, |mut s| s.read(&mut [0; 1]))
}

/// Two futures wait, one byte comes, the woken one is dropped unpolled: the other is woken.
#[test]
fn a_dropped_future_passes_its_wake_on() {
    let poller = Arc::new(Poller::new().unwrap());
    pretend::set(&poller);
    let mut events = Events::default();
    let (source, mut there) = unix_pair();
    let (one, two) = (Arc::<Count>::default(), Arc::<Count>::default());
    let (mut first, mut second) = (WaitKey::new(), WaitKey::new());
    let wakes = || (one.0.load(Ordering::Acquire), two.0.load(Ordering::Acquire));
    assert!(poll_read(&source, &mut first, &one).is_pending());
    assert!(poll_read(&source, &mut second, &two).is_pending());
    there.write_all(b"1").unwrap();
    poller.poll(&mut events, Some(Duration::ZERO)).unwrap();
    assert_eq!(wakes(), (1, 0));
    drop(first);
    assert_eq!(wakes(), (1, 1));
    assert!(matches!(poll_read(&source, &mut second, &two), Poll::Ready(Ok(1))));
}

/// What a woken future leaves behind goes to the next.
#[test]
fn a_future_passes_on_what_it_leaves() {
    let poller = Arc::new(Poller::new().unwrap());
    pretend::set(&poller);
    let mut events = Events::default();
    let (source, mut there) = unix_pair();
    let (one, two) = (Arc::<Count>::default(), Arc::<Count>::default());
    let (mut first, mut second) = (WaitKey::new(), WaitKey::new());
    assert!(poll_read(&source, &mut first, &one).is_pending());
    assert!(poll_read(&source, &mut second, &two).is_pending());
    there.write_all(b"12").unwrap();
    poller.poll(&mut events, Some(Duration::ZERO)).unwrap();
    assert!(matches!(poll_read(&source, &mut first, &one), Poll::Ready(Ok(1))));
    assert_eq!(two.0.load(Ordering::Acquire), 1);
    assert!(matches!(poll_read(&source, &mut second, &two), Poll::Ready(Ok(1))));
    assert!(poll_read(&source, &mut second, &two).is_pending());
}

/// The source ends while a future's key still names its entry, which the next source takes.
#[test]
fn a_key_may_outlive_its_source() {
    let poller = Arc::new(Poller::new().unwrap());
    pretend::set(&poller);
    let mut events = Events::default();
    let (source, _there) = unix_pair();
    let count = Arc::<Count>::default();
    let mut key = WaitKey::new();
    assert!(poll_read(&source, &mut key, &count).is_pending());
    drop(Arc::into_inner(source).unwrap());
    assert_eq!(count.0.load(Ordering::Acquire), 1, "its waker went with the source");
    let (next, mut there) = unix_pair();
    let (patient, mut place) = (Arc::<Count>::default(), WaitKey::new());
    assert!(poll_read(&next, &mut place, &patient).is_pending());
    drop(key);
    there.write_all(b"1").unwrap();
    poller.poll(&mut events, Some(Duration::ZERO)).unwrap();
    assert!(patient.0.load(Ordering::Acquire) >= 1);
    assert!(matches!(poll_read(&next, &mut place, &patient), Poll::Ready(Ok(1))));
}

/// A key that is kept from one source to the next names the same entry, where the second source got
/// that of the first: its waker goes with the second, too.
#[test]
fn a_stale_key_leaves_no_waker_behind() {
    pretend::set(&Arc::new(Poller::new().unwrap()));
    // The other tests take entries meanwhile: which one a source gets is not certain.
    let same_entry = (0..10_000).any(|_| {
        let count = Arc::<Count>::default();
        let mut key = WaitKey::new();
        let mut wait = || {
            let (source, _there) = unix_pair();
            assert!(poll_read(&source, &mut key, &count).is_pending());
            std::ptr::from_ref(source.registration().entry())
        };
        let (first, second) = (wait(), wait());
        assert_eq!(count.0.load(Ordering::Acquire), 2, "its waker went with each source");
        first == second
    });
    assert!(same_entry);
}

/// A waker that counts, then panics.
struct Bomb(Arc<Count>);

impl std::task::Wake for Bomb {
    fn wake(self: Arc<Self>) {
        self.0.clone().wake();
        std::panic::resume_unwind(Box::new("in a wake"));
    }
}

/// Bombs and others wait for both directions of two sources, whose events come in one poll: each
/// event wakes one, a panic in the first costs none of the other three its wake. When the poller
/// retires, all are woken.
#[test]
fn a_waker_that_panics_costs_no_other_its_wake() {
    let poller = Arc::new(Poller::new().unwrap());
    pretend::set(&poller);
    let mut events = Events::default();
    let count = Arc::<Count>::default();
    let wakes = || count.0.load(Ordering::Acquire);
    let bomb = Waker::from(Arc::new(Bomb(count.clone())));
    let mut keys = Vec::new();
    let pairs = [unix_pair(), unix_pair()];
    for (source, _) in &pairs {
        for waker in [bomb.clone(), Waker::from(count.clone()), bomb.clone()] {
            let mut cx = Context::from_waker(&waker);
            let nothing = |_: &UnixStream| Err::<(), _>(io::ErrorKind::WouldBlock.into());
            let mut key = WaitKey::new();
            assert!(source.poll_read_with(&mut cx, &mut key, nothing).is_pending());
            keys.push(key);
            let mut key = WaitKey::new();
            assert!(source.poll_write_with(&mut cx, &mut key, nothing).is_pending());
            keys.push(key);
        }
    }
    for (_, there) in &pairs {
        there.shutdown(std::net::Shutdown::Both).unwrap();
    }
    assert_eq!(poller.poll(&mut events, Some(Duration::ZERO)).unwrap(), 2);
    // Or more: a key of another test that has outlived its source wakes whoever has its entry now.
    assert!((4..=12).contains(&wakes()));
    poller.retire();
    assert_eq!(wakes(), 12);
}

/// It waits with a worker of the default runtime.
#[test]
fn a_future_on_a_plain_thread() {
    let (source, mut there) = unix_pair();
    let waits = {
        let source = source.clone();
        thread::spawn(move || {
            let mut key = WaitKey::new();
            crate::task::block_on(std::future::poll_fn(|cx| {
                source.poll_read_with(cx, &mut key, |mut stream| stream.read(&mut [0; 4]))
            }))
        })
    };
    until_cleared(&source, Direction::Read);
    there.write_all(b"1").unwrap();
    assert_eq!(waits.join().unwrap().unwrap(), 1);
}

#[test]
fn a_future_in_a_task() {
    crate::run(|| {
        let (source, mut there) = unix_pair();
        let reader = crate::spawn({
            let source = source.clone();
            move || {
                let mut key = WaitKey::new();
                for _ in 0..100 {
                    let read = std::future::poll_fn(|cx| {
                        source.poll_read_with(cx, &mut key, |mut s| s.read(&mut [0; 1]))
                    });
                    assert_eq!(crate::task::block_on(read).unwrap(), 1);
                }
                crate::task::block_on(std::future::poll_fn(|cx| source.poll_readable(cx, &mut key)))
            }
        });
        for _ in 0..101 {
            there.write_all(b"1").unwrap();
            crate::task::yield_now();
        }
        reader.join().unwrap().unwrap();
    });
}
