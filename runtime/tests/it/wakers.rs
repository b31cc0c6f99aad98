//! Wakers of the user's whose own code misbehaves.

use std::cell::Cell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use sedge::io::{Source, WaitKey};
use sedge_runtime as sedge;

use crate::support::{Count, bounded, eventually, runtime};

/// What a [`waker`] calls when it is cloned.
type OnClone = Rc<dyn Fn()>;

/// A waker that calls `on_clone` when it is cloned; a clone does nothing when it is woken. Both
/// stay on this thread.
fn waker(on_clone: OnClone) -> Waker {
    fn clone(data: *const ()) -> RawWaker {
        // SAFETY: `waker` leaked it.
        let on_clone = unsafe { &*data.cast::<OnClone>() };
        on_clone();
        RawWaker::new(data, &VTABLE)
    }

    const VTABLE: RawWakerVTable = RawWakerVTable::new(clone, |_| {}, |_| {}, |_| {});

    let data: *const OnClone = Box::into_raw(Box::new(on_clone));
    // SAFETY: the functions of the table touch nothing but the closure, which lives for ever and is
    // used on this thread only.
    unsafe { Waker::from_raw(RawWaker::new(data.cast(), &VTABLE)) }
}

fn pair() -> (Rc<Source<UnixStream>>, UnixStream) {
    let (here, there) = UnixStream::pair().unwrap();
    (Rc::new(Source::new(here).unwrap()), there)
}

fn poll_read(
    source: &Source<UnixStream>,
    key: &mut WaitKey,
    waker: &Waker,
) -> Poll<std::io::Result<usize>> {
    let mut cx = Context::from_waker(waker);
    source.poll_read_with(&mut cx, key, |mut stream| stream.read(&mut [0; 1]))
}

/// It was cloned under the lock of the queue, which a wake of the same source takes too.
#[test]
fn a_clone_that_comes_back_to_its_queue_meets_no_lock() {
    bounded(|| {
        sedge::run(|| {
            let (source, mut there) = pair();
            let clones = Rc::new(Cell::new(0));
            let on_clone: OnClone = Rc::new({
                let (source, clones) = (source.clone(), clones.clone());
                move || {
                    clones.set(clones.get() + 1);
                    let polled = poll_read(&source, &mut WaitKey::new(), Waker::noop());
                    assert!(polled.is_pending());
                }
            });
            let mut key = WaitKey::new();
            assert!(poll_read(&source, &mut key, &waker(on_clone)).is_pending());
            assert_eq!(clones.get(), 1);
            drop(key);
            there.write_all(b"1").unwrap();
            assert_eq!(source.read_with(|mut stream| stream.read(&mut [0; 1])).unwrap(), 1);
        });
    });
}

/// The panic is its caller's; who waits there, and who waits there next, is woken.
#[test]
fn a_clone_that_panics_leaves_its_queue_as_it_was() {
    bounded(|| {
        sedge::run(|| {
            let (source, mut there) = pair();
            let woken = Count::new();
            let mut key = WaitKey::new();
            let polled = poll_read(&source, &mut key, &counting(&woken));
            assert!(polled.is_pending());
            let panics = waker(Rc::new(|| std::panic::resume_unwind(Box::new("in clone"))));
            let payload = catch_unwind(AssertUnwindSafe(|| poll_read(&source, &mut key, &panics)));
            assert_eq!(payload.unwrap_err().downcast_ref(), Some(&"in clone"));
            there.write_all(b"1").unwrap();
            eventually("the place in the queue was kept", || woken.is_set());
            assert!(matches!(poll_read(&source, &mut key, Waker::noop()), Poll::Ready(Ok(1))));
            assert_eq!(woken.get(), 1);
        });
    });
}

/// Nor does a wake that panics on a worker's loop end the process.
#[test]
fn a_wake_that_panics_is_survived_by_its_worker() {
    struct Bomb(Count);

    impl std::task::Wake for Bomb {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.add();
            panic!("what a test expects to see");
        }
    }

    bounded(|| {
        let runtime = runtime(1);
        let joined = runtime.spawn(|| {
            let (source, mut there) = pair();
            let (bombed, woken) = (Count::new(), Count::new());
            let (mut first, mut second) = (WaitKey::new(), WaitKey::new());
            let bomb = Waker::from(std::sync::Arc::new(Bomb(bombed.clone())));
            assert!(poll_read(&source, &mut first, &bomb).is_pending());
            assert!(poll_read(&source, &mut second, &counting(&woken)).is_pending());
            there.write_all(b"12").unwrap();
            eventually("the worker has polled", || bombed.is_set());
            // It passes the wake on, as ever.
            assert!(matches!(poll_read(&source, &mut first, &bomb), Poll::Ready(Ok(1))));
            assert_eq!(woken.get(), 1);
            assert!(matches!(poll_read(&source, &mut second, &bomb), Poll::Ready(Ok(1))));
            assert!(poll_read(&source, &mut second, &bomb).is_pending());
            // In a destructor of the user's, too.
            drop(source);
            bombed.get()
        });
        assert_eq!(joined.join().unwrap(), 2);
        assert_eq!(runtime.spawn(|| 1).join().unwrap(), 1);
    });
}

/// A waker that counts its wakes.
fn counting(count: &Count) -> Waker {
    struct Counting(Count);

    impl std::task::Wake for Counting {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.add();
        }
    }

    Waker::from(std::sync::Arc::new(Counting(count.clone())))
}
