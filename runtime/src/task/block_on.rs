//! Running a future to its end.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crate::wait::{self, Waiter};

/// Runs a future to its end and returns its output.
///
/// Futures that bring what wakes them (channels, say) work. Those that need another runtime's
/// reactor or timer (tokio's sockets) find none here. The future is polled on the worker: one that
/// computes for long keeps it from its other tasks.
///
/// # Blocking
///
/// Parks the task while the future is pending. On a plain thread, and inside
/// [`no_park`](super::no_park), it blocks the thread.
///
/// # Cancellation
///
/// A cancellation point, at entry and while it waits. The future is dropped.
///
/// # Panics
///
/// With the future's panic.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::future::poll_fn;
/// use std::sync::{Arc, Mutex};
/// use std::task::{Poll, Waker};
///
/// sedge::run(|| {
///     // A channel in small: a value, and who waits for it.
///     let slot = Arc::new(Mutex::new((None, None::<Waker>)));
///     sedge::spawn({
///         let slot = slot.clone();
///         move || {
///             let mut slot = slot.lock().unwrap();
///             slot.0 = Some(42);
///             slot.1.take().into_iter().for_each(Waker::wake);
///         }
///     });
///     let answer = sedge::task::block_on(poll_fn(|cx| {
///         let mut slot = slot.lock().unwrap();
///         slot.1 = Some(cx.waker().clone());
///         slot.0.take().map_or(Poll::Pending, Poll::Ready)
///     }));
///     assert_eq!(answer, 42);
/// });
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    wait::checkpoint();
    let mut future = pin!(future);
    let waker = Waiter::current().into_waker();
    let woken = Arc::new(Woken { flag: AtomicBool::new(false), waker });
    let waker = Waker::from(woken.clone());
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        while !woken.flag.swap(false, Ordering::Acquire) {
            wait::park(None);
        }
    }
}

/// What `block_on` waits for: a wait inside `poll` may use up the task's own wake.
struct Woken {
    flag: AtomicBool,
    waker: Waker,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.flag.store(true, Ordering::Release);
        self.waker.wake_by_ref();
    }
}
