//! Wakers of the user's whose own code misbehaves, and those that the monitor calls.

use std::cell::Cell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::thread;
use std::time::Duration;

use sedge::io::{Source, WaitKey};
use sedge::runtime::Runtime;
use sedge::task::JoinHandle;
use sedge_runtime as sedge;

use crate::support::{
    Count, OnDrop, bounded, eventually, hog_until, is_child, runtime, succeed_in_child,
};

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
            let panics = waker(Rc::new(|| resume_unwind(Box::new("in clone"))));
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
    bounded(|| {
        let runtime = runtime(1);
        let joined = runtime.spawn(|| {
            let (source, mut there) = pair();
            let (bombed, woken) = (Count::new(), Count::new());
            let (mut first, mut second) = (WaitKey::new(), WaitKey::new());
            let bomb = bomb(&bombed);
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

/// A task of `runtime`, of one worker, that waits with `waker` for what is readable, and keeps the
/// worker until `until` holds: it is the monitor that calls the waker, once the peer has written.
fn wait_and_hog(
    runtime: &Runtime,
    waker: Waker,
    until: impl FnMut() -> bool + Send + 'static,
) -> (JoinHandle<()>, UnixStream) {
    let (here, there) = UnixStream::pair().unwrap();
    let waits = Count::new();
    let told = waits.clone();
    let hog = runtime.spawn(move || {
        let (source, mut key) = (Source::new(here).unwrap(), WaitKey::new());
        assert!(poll_read(&source, &mut key, &waker).is_pending());
        told.add();
        hog_until("the monitor has called the waker", until);
    });
    eventually("the hog waits", || waits.is_set());
    (hog, there)
}

/// No unwind of the runtime's own is to be seen in a waker that the monitor calls, though tasks
/// have waited in mid-unwind.
#[test]
fn a_wake_by_the_monitor_is_in_no_unwind() {
    const NAME: &str = "wakers::a_wake_by_the_monitor_is_in_no_unwind";
    // Otherwise another test's runtime may have minted what this one's task needs.
    if is_child(NAME) {
        let runtime = runtime(1);
        let unwinds = runtime.spawn(|| {
            let _wait = OnDrop(|| sedge::time::sleep(Duration::from_millis(1)));
            resume_unwind(Box::new(()));
        });
        assert!(unwinds.join().is_err());
        let (seen, woken) = (Arc::new(Mutex::new(None)), Count::new());
        let (sees, tells) = (seen.clone(), woken.clone());
        let look = calling(move || {
            let name = thread::current().name().map(str::to_owned);
            *sees.lock().unwrap() = Some((name, thread::panicking()));
            tells.add();
        });
        let (hog, mut there) = wait_and_hog(&runtime, look, move || woken.is_set());
        there.write_all(b"1").unwrap();
        hog.join().unwrap();
        let seen = seen.lock().unwrap().take();
        assert_eq!(seen, Some((Some("sedge-monitor".to_owned()), false)));
        return;
    }
    succeed_in_child(NAME, |_| {});
}

/// A wake that panics leaves the runtime its monitor, which goes on to add workers.
#[test]
fn a_wake_that_panics_is_survived_by_the_monitor() {
    bounded(|| {
        let runtime = runtime(1);
        let (bombed, ran) = (Count::new(), Count::new());
        let seen = ran.clone();
        let (hog, mut there) = wait_and_hog(&runtime, bomb(&bombed), move || seen.is_set());
        there.write_all(b"1").unwrap();
        eventually("the monitor has called the waker", || bombed.is_set());
        let fresh = runtime.spawn(move || ran.add());
        hog.join().unwrap();
        fresh.join().unwrap();
        assert_eq!(bombed.get(), 1);
    });
}

/// What a waker spawns is of the runtime whose monitor calls it.
#[test]
fn a_wake_by_the_monitor_spawns_into_its_runtime() {
    bounded(|| {
        let builder = sedge::runtime::Builder::new().workers(1).thread_name("own");
        let runtime = builder.build().unwrap();
        let (ran_on, ran) = (Arc::new(Mutex::new(None)), Count::new());
        let (tells, told) = (ran_on.clone(), ran.clone());
        let spawns = calling(move || {
            let (tells, told) = (tells.clone(), told.clone());
            drop(sedge::spawn(move || {
                *tells.lock().unwrap() = thread::current().name().map(str::to_owned);
                told.add();
            }));
        });
        let (hog, mut there) = wait_and_hog(&runtime, spawns, move || ran.is_set());
        there.write_all(b"1").unwrap();
        hog.join().unwrap();
        assert_eq!(ran_on.lock().unwrap().as_deref(), Some("own-worker"));
    });
}

/// A waker that the monitor calls cannot end the runtime, which would wait for that call to return.
#[test]
fn a_wake_by_the_monitor_cannot_end_its_runtime() {
    bounded(|| {
        let runtime = Arc::new(runtime(1));
        let own = Arc::new(Mutex::new(None));
        let (refusal, called) = (Arc::new(Mutex::new(None)), Count::new());
        let (last, tells, told) = (own.clone(), refusal.clone(), called.clone());
        let ends = calling(move || {
            let runtime: Option<Runtime> = last.lock().unwrap().take();
            let result = catch_unwind(AssertUnwindSafe(|| drop(runtime)));
            *tells.lock().unwrap() = result.err();
            told.add();
        });
        let (hog, mut there) = wait_and_hog(&runtime, ends, move || called.is_set());
        *own.lock().unwrap() = Arc::into_inner(runtime);
        there.write_all(b"1").unwrap();
        hog.join().unwrap();
        let payload = refusal.lock().unwrap().take().expect("it is refused");
        let text = payload.downcast_ref::<&str>().copied().unwrap_or_default();
        assert!(text.contains("own tasks"), "{text}");
    });
}

/// A waker that counts its wakes.
fn counting(count: &Count) -> Waker {
    let count = count.clone();
    calling(move || count.add())
}

/// The same, and each panics.
fn bomb(count: &Count) -> Waker {
    let count = count.clone();
    calling(move || {
        count.add();
        panic!("what a test expects to see");
    })
}

/// A waker that calls `f`.
fn calling(f: impl Fn() + Send + Sync + 'static) -> Waker {
    struct Calling<F>(F);

    impl<F: Fn() + Send + Sync + 'static> Wake for Calling<F> {
        fn wake(self: Arc<Self>) {
            (self.0)();
        }
    }

    Waker::from(Arc::new(Calling(f)))
}
