//! A queue of waiters on one condition, first come first served.
//!
//! # Protocol
//!
//! The condition belongs to the queue's user. A waiter takes the lock, looks at the condition, and
//! only if it does not hold stands in the queue before it lets the lock go. Who makes the condition
//! true does so *before* it takes the lock to wake. So either the waiter's look comes after the
//! change, or the waker's lock comes after the waiter stands there: no wake is lost.
//!
//! A waiter that is woken looks again. Where somebody was faster it goes back to the front. Its
//! wake is not lost if it is told to end meanwhile: see [`super::list`].

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Instant;

use super::{
    Limit, Place, Selection, TimedOut, WaitList, Waiter, Wakeup, Wakeups, or_refused, refusal,
};
use crate::task;

/// Waiters on one condition.
#[derive(Debug)]
pub(crate) struct WaitQueue {
    list: WaitList<(), ()>,
}

/// A place in a queue.
pub(crate) type Standing<'q> = Pin<Box<Place<'q, (), ()>>>;

/// What a future left in a queue. Dropped, it leaves, and passes on a wake that it had received.
#[derive(Debug, Default)]
pub(crate) struct QueueKey<'q>(Option<(&'q WaitQueue, Standing<'q>)>);

impl Default for WaitQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl WaitQueue {
    #[cfg(not(sedge_loom))]
    pub(crate) const fn new() -> Self {
        Self { list: WaitList::new(()) }
    }

    #[cfg(sedge_loom)]
    pub(crate) fn new() -> Self {
        Self { list: WaitList::new(()) }
    }

    /// Waits until `ready` returns a value. `ready` runs under the queue's lock, so it must neither
    /// wait nor touch this queue. A `deadline` that has passed still lets it be asked once.
    pub(crate) fn wait_until<R>(
        &self,
        deadline: Option<Instant>,
        ready: impl FnMut() -> Option<R>,
    ) -> Result<R, TimedOut> {
        self.wait_within(&mut deadline.into(), || false, ready)
    }

    fn wait_within<R>(
        &self,
        limit: &mut Limit,
        is_refused: impl Fn() -> bool,
        mut ready: impl FnMut() -> Option<R>,
    ) -> Result<R, TimedOut> {
        let mut place = pin!(Place::new(&self.list, ()));
        let mut was_woken = false;
        loop {
            place.as_mut().begin(Some(Waiter::current()));
            {
                let mut list = self.list.lock();
                if let Some(value) = ready() {
                    return Ok(value);
                }
                if was_woken {
                    list.push_front(0, place.as_ref());
                } else {
                    list.push_back(0, place.as_ref());
                }
            }
            if place.as_mut().wait_unless(limit, was_woken, &is_refused).is_err() {
                return ready().ok_or(TimedOut);
            }
            was_woken = true;
            if let Some(value) = ready() {
                return Ok(value);
            }
        }
    }

    /// The same for a wait that a [`refusal`] ends, too.
    pub(crate) fn wait_unless_refused<R>(
        &self,
        limit: &mut Limit,
        mut ready: impl FnMut() -> Option<R>,
    ) -> Result<io::Result<R>, TimedOut> {
        let is_refused = || refusal().is_some();
        let Some(refused_at) = task::refused_at() else {
            return self.wait_within(limit, is_refused, || or_refused(ready()));
        };
        let deadline = limit.deadline();
        *limit = deadline.into();
        let refused_first = deadline.is_none_or(|deadline| refused_at < deadline);
        let limit = &mut limit.or_at(Some(refused_at));
        match self.wait_within(limit, is_refused, || or_refused(ready())) {
            Err(TimedOut) if refused_first => Ok(Err(refusal().expect("its time has come"))),
            result => result,
        }
    }

    /// The same for a future: leaves `cx`'s waker in the queue, under `key`, while pending.
    pub(crate) fn poll_until<'q, R>(
        &'q self,
        cx: &mut Context<'_>,
        key: &mut QueueKey<'q>,
        mut ready: impl FnMut() -> Option<R>,
    ) -> Poll<R> {
        // How a waker is cloned and dropped is the user's code, which may panic and may come back
        // to this queue: it runs before the lock is taken, and after it was let go.
        let waiter = Waiter::Waker(cx.waker().clone());
        if !key.is_in(self) {
            key.forget();
        }
        let place =
            &mut key.0.get_or_insert_with(|| (self, Box::pin(Place::new(&self.list, ())))).1;
        let _dropped;
        let mut list = self.list.lock();
        if let Some(value) = ready() {
            let _was_in_line = list.remove(place);
            drop(list);
            // A wake that had come was for this: it is not passed on.
            key.0 = None;
            return Poll::Ready(value);
        }
        if place.is_in_line(&list) {
            // Polled again without a wake: it keeps its place.
            _dropped = list.rewait(place.as_mut(), waiter);
        } else {
            let was_woken = place.is_answered();
            place.as_mut().begin(Some(waiter));
            if was_woken {
                list.push_front(0, place.as_ref());
            } else {
                list.push_back(0, place.as_ref());
            }
        }
        Poll::Pending
    }

    /// A case of a selection, in the queue. The condition is to be looked at afterwards.
    pub(crate) fn register<'q>(&'q self, selection: &'q Selection, case: usize) -> Standing<'q> {
        let mut place = Box::pin(Place::of(&self.list, (), selection, case));
        place.as_mut().begin(None);
        self.list.lock().push_back(0, place.as_ref());
        place
    }

    /// Wakes the waiter that has waited longest. Returns whether there was one.
    pub(crate) fn wake_one(&self) -> bool {
        let wakeup = {
            let mut list = self.list.lock();
            let Some(chosen) = list.choose(0) else { return false };
            chosen.answer()
        };
        wakeup.into_iter().for_each(Wakeup::deliver);
        true
    }

    /// Wakes every waiter.
    pub(crate) fn wake_all(&self) {
        let mut wakeups = Wakeups::default();
        let mut list = self.list.lock();
        while let Some(chosen) = list.choose(0) {
            wakeups.push(chosen.answer());
        }
        drop(list);
        wakeups.deliver();
    }

    /// Whether anyone waits, at this instant.
    #[cfg(test)]
    pub(crate) fn has_waiters(&self) -> bool {
        !self.list.lock().is_empty(0)
    }
}

impl QueueKey<'_> {
    fn is_in(&self, queue: &WaitQueue) -> bool {
        self.0.as_ref().is_some_and(|(other, _)| std::ptr::eq(*other, queue))
    }

    /// Leaves the queue, passing on a wake that had come.
    pub(crate) fn forget(&mut self) {
        if let Some((queue, place)) = self.0.take() {
            if place.as_ref().leave() {
                queue.wake_one();
            }
        }
    }
}

impl Drop for QueueKey<'_> {
    fn drop(&mut self) {
        self.forget();
    }
}
#[cfg(all(test, not(sedge_loom)))]
mod tests {
    use super::{QueueKey, WaitQueue};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Whatever else it waits for may have it polled at any time.
    #[test]
    fn a_future_that_is_polled_again_keeps_its_place() {
        let queue = WaitQueue::new();
        let counts: [Arc<Count>; 3] = Default::default();
        let mut keys: [QueueKey<'_>; 3] = Default::default();
        for at in [0, 1, 2, 0, 1, 0] {
            let waker = Waker::from(counts[at].clone());
            let mut cx = Context::from_waker(&waker);
            let polled = queue.poll_until(&mut cx, &mut keys[at], || None::<()>);
            assert_eq!(polled, Poll::Pending);
        }
        for woken in 1..=3 {
            assert!(queue.wake_one());
            let counted = counts.each_ref().map(|count| count.0.load(Ordering::SeqCst));
            assert_eq!(counted, [0, 1, 2].map(|at| usize::from(at < woken)));
        }
        assert!(!queue.wake_one());
    }
}

#[cfg(all(test, sedge_loom))]
mod model {
    use super::{QueueKey, WaitQueue};
    use crate::primitive::{AtomicUsize, Ordering};
    use loom::future::block_on;
    use loom::sync::Arc;
    use loom::thread;
    use std::future::poll_fn;

    /// Two permits, given one at a time with one wake each; each of two waiters gets one, though
    /// one of them may have left the queue and come back meanwhile.
    #[test]
    fn every_wake_finds_a_waiter() {
        loom::model(|| {
            let shared = Arc::new((WaitQueue::new(), AtomicUsize::new(0)));
            let waiters: Vec<_> = (0..2)
                .map(|_| {
                    let shared = shared.clone();
                    thread::spawn(move || {
                        let (queue, permits) = &*shared;
                        let mut key = QueueKey::default();
                        let take = || {
                            let take = |n: usize| n.checked_sub(1);
                            permits.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).ok()
                        };
                        block_on(poll_fn(|cx| queue.poll_until(cx, &mut key, take)));
                        drop(key);
                    })
                })
                .collect();
            let (queue, permits) = &*shared;
            for _ in 0..2 {
                permits.fetch_add(1, Ordering::Release);
                queue.wake_one();
            }
            for waiter in waiters {
                waiter.join().unwrap();
            }
        });
    }
}
