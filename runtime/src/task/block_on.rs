//! Running a future to its end.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::current_counted;
use crate::{context, wait};

/// Runs a future to its end and returns its output; the task (or thread) parks while it is pending.
///
/// Futures that need another runtime's reactor (tokio's sockets, say) find none here. The future is
/// polled on the worker: one that computes keeps it from its other tasks.
///
/// # Blocking
///
/// Parks the task, or blocks a plain thread, while the future is pending.
///
/// # Cancellation
///
/// A cancellation point; the future is dropped.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// let answer = sedge::run(|| sedge::task::block_on(async { 42 }));
/// assert_eq!(answer, 42);
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    wait::checkpoint();
    let mut future = pin!(future);
    let waker = match current_counted().filter(|_| context::in_task()) {
        Some(counted) => counted.into_waker(),
        None => wait::thread_waker(),
    };
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
