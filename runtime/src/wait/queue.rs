//! A queue of waiters on one condition, first come first served.
//!
//! # Protocol
//!
//! The condition belongs to the queue's user. A waiter takes the lock, looks at the condition, and
//! only if it does not hold stands in the queue before it lets the lock go. Who makes the condition
//! true does so *before* it takes the lock to wake. So either the waiter's look comes after the
//! change, or the waker's lock comes after the waiter stands there: no wake is lost.
//!
//! A waiter is taken out either by a waker, who has then claimed its wake, or by itself. It knows
//! which by looking for its ticket under the lock. One that was woken and leaves without having
//! used the wake (its deadline passed, it was cancelled) wakes the next.
//!
//! # Memory
//!
//! Most conditions have one waiter at a time: the first stands in the queue itself, the rest in a
//! vector that is freed when it is empty again.

use std::task::{Context, Poll};
use std::time::Instant;
use std::{io, mem};

use super::{Limit, TimedOut, Waiter, Wakeup, or_refused, park_within, refusal};
use crate::primitive::Mutex;
use crate::task;

/// Waiters on one condition.
#[derive(Debug)]
pub(crate) struct WaitQueue {
    waiters: Mutex<Waiters>,
}

/// Names a waiter that a future left in a queue.
#[derive(Debug, Default)]
pub(crate) struct QueueKey(Option<u64>);

#[derive(Debug)]
struct Waiters {
    next_ticket: u64,
    first: Option<(u64, Waiter)>,
    // Boxed: an idle queue is five words, and there are two in every source.
    #[expect(clippy::box_collection, reason = "one word while there is at most one waiter")]
    rest: Option<Box<std::collections::VecDeque<(u64, Waiter)>>>,
}

impl Default for WaitQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl WaitQueue {
    #[cfg(not(sedge_loom))]
    pub(crate) const fn new() -> Self {
        Self { waiters: Mutex::new(Waiters { next_ticket: 0, first: None, rest: None }) }
    }

    #[cfg(sedge_loom)]
    pub(crate) fn new() -> Self {
        Self { waiters: Mutex::new(Waiters { next_ticket: 0, first: None, rest: None }) }
    }

    /// Waits until `ready` returns a value. `ready` runs under the queue's lock, so it must neither
    /// wait nor touch this queue. A `deadline` that has passed still lets it be asked once.
    pub(crate) fn wait_until<R>(
        &self,
        deadline: Option<Instant>,
        ready: impl FnMut() -> Option<R>,
    ) -> Result<R, TimedOut> {
        self.wait_within(&mut deadline.into(), ready)
    }

    fn wait_within<R>(
        &self,
        limit: &mut Limit,
        mut ready: impl FnMut() -> Option<R>,
    ) -> Result<R, TimedOut> {
        let mut place = Place { queue: self, ticket: None };
        let mut is_over = false;
        loop {
            {
                let mut waiters = self.waiters.lock();
                if let Some(value) = ready() {
                    place.leave_used(&mut waiters);
                    return Ok(value);
                }
                place.stand(&mut waiters);
            }
            if is_over {
                return Err(TimedOut);
            }
            is_over = park_within(limit);
        }
    }

    /// The same for a wait that a [`refusal`] ends, too.
    pub(crate) fn wait_unless_refused<R>(
        &self,
        limit: &mut Limit,
        mut ready: impl FnMut() -> Option<R>,
    ) -> Result<io::Result<R>, TimedOut> {
        let Some(refused_at) = task::refused_at() else {
            return self.wait_within(limit, || or_refused(ready()));
        };
        let deadline = limit.deadline();
        *limit = deadline.into();
        let is_refused = deadline.is_none_or(|deadline| refused_at < deadline);
        match self.wait_within(&mut limit.or_at(Some(refused_at)), || or_refused(ready())) {
            Err(TimedOut) if is_refused => Ok(Err(refusal().expect("its time has come"))),
            result => result,
        }
    }

    /// The same for a future: leaves `cx`'s waker in the queue under `key` while pending.
    /// The future's destructor calls [`forget`](Self::forget).
    pub(crate) fn poll_until<R>(
        &self,
        cx: &mut Context<'_>,
        key: &mut QueueKey,
        mut ready: impl FnMut() -> Option<R>,
    ) -> Poll<R> {
        // How a waker is cloned and dropped is the user's code, which may panic and may come back
        // to this queue: it runs before the lock is taken, and after it was let go.
        let waker = cx.waker().clone();
        let _old;
        let mut waiters = self.waiters.lock();
        match ready() {
            Some(value) => {
                _old = key.0.take().and_then(|ticket| waiters.remove(ticket));
                Poll::Ready(value)
            }
            None => {
                let waiter = Waiter::Waker(waker);
                match key.0.and_then(|ticket| waiters.find_mut(ticket)) {
                    // Polled again without a wake: it keeps its place.
                    Some(place) => _old = Some(mem::replace(place, waiter)),
                    None => key.0 = Some(waiters.push(waiter)),
                }
                Poll::Pending
            }
        }
    }

    /// Takes a future's waker out of the queue, passing on a wake that it had received.
    pub(crate) fn forget(&self, key: &mut QueueKey) {
        if let Some(ticket) = key.0.take() {
            self.leave_unused(ticket);
        }
    }

    /// Wakes the waiter that has waited longest. Returns whether there was one.
    pub(crate) fn wake_one(&self) -> bool {
        let (found, wakeup) = {
            let mut waiters = self.waiters.lock();
            let waiter = waiters.pop();
            (waiter.is_some(), waiter.and_then(Waiter::claim))
        };
        wakeup.into_iter().for_each(Wakeup::deliver);
        found
    }

    /// Wakes every waiter.
    pub(crate) fn wake_all(&self) {
        let (first, rest) = {
            let mut waiters = self.waiters.lock();
            let first = waiters.first.take();
            let rest = waiters.rest.take();
            let claim = |(_, waiter): (u64, Waiter)| waiter.claim();
            let rest: Vec<_> =
                rest.map(|rest| rest.into_iter().filter_map(claim).collect()).unwrap_or_default();
            (first.and_then(claim), rest)
        };
        first.into_iter().chain(rest).for_each(Wakeup::deliver);
    }

    /// Whether anyone waits, at this instant.
    #[cfg(test)]
    pub(crate) fn has_waiters(&self) -> bool {
        self.waiters.lock().first.is_some()
    }

    fn leave_unused(&self, ticket: u64) {
        let removed = self.waiters.lock().remove(ticket);
        if removed.is_none() {
            self.wake_one();
        }
    }
}

impl Waiters {
    fn push(&mut self, waiter: Waiter) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket = ticket + 1;
        if self.first.is_none() {
            self.first = Some((ticket, waiter));
        } else {
            self.rest.get_or_insert_default().push_back((ticket, waiter));
        }
        ticket
    }

    fn pop(&mut self) -> Option<Waiter> {
        let (_, waiter) = self.first.take()?;
        self.first = self.rest.as_mut().and_then(|rest| rest.pop_front());
        self.shrink();
        Some(waiter)
    }

    fn holds(&self, ticket: u64) -> bool {
        self.first.as_ref().is_some_and(|first| first.0 == ticket) || self.find(ticket).is_some()
    }

    /// Where in the rest a ticket stands. Tickets only grow, so the rest is sorted by them.
    fn find(&self, ticket: u64) -> Option<usize> {
        self.rest.as_ref()?.binary_search_by_key(&ticket, |entry| entry.0).ok()
    }

    fn find_mut(&mut self, ticket: u64) -> Option<&mut Waiter> {
        if self.first.as_ref().is_some_and(|first| first.0 == ticket) {
            return self.first.as_mut().map(|first| &mut first.1);
        }
        let at = self.find(ticket)?;
        self.rest.as_mut()?.get_mut(at).map(|entry| &mut entry.1)
    }

    fn remove(&mut self, ticket: u64) -> Option<Waiter> {
        if self.first.as_ref().is_some_and(|first| first.0 == ticket) {
            return self.pop();
        }
        let at = self.find(ticket)?;
        let removed = self.rest.as_mut()?.remove(at);
        self.shrink();
        removed.map(|(_, waiter)| waiter)
    }

    fn shrink(&mut self) {
        if self.rest.as_ref().is_some_and(|rest| rest.is_empty()) {
            self.rest = None;
        }
    }
}

/// A waiting call's place in the queue. Left in the destructor too: the wait may unwind.
struct Place<'a> {
    queue: &'a WaitQueue,
    ticket: Option<u64>,
}

impl Place<'_> {
    /// Stands in the queue, if it does not stand there any more (or yet).
    fn stand(&mut self, waiters: &mut Waiters) {
        if !self.ticket.is_some_and(|ticket| waiters.holds(ticket)) {
            self.ticket = Some(waiters.push(Waiter::current()));
        }
    }

    /// Leaves with what it came for.
    fn leave_used(&mut self, waiters: &mut Waiters) {
        if let Some(ticket) = self.ticket.take() {
            drop(waiters.remove(ticket));
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.queue.leave_unused(ticket);
        }
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
        let mut keys: [QueueKey; 3] = Default::default();
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
        keys.iter_mut().for_each(|key| queue.forget(key));
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
                        queue.forget(&mut key);
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
