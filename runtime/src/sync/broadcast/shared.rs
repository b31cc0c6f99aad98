//! What all ends of a channel share: its ring, and who waits, under one lock.
//!
//! Receivers wait for a value, and senders that no receiver is left. Both look at the state under
//! the lock, and stand in line before they let it go if it is not so; who changes the state wakes
//! all of that line. So nobody need pass a wake on.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use super::error::{RecvTimeoutError, TryRecvError};
use super::ring::Ring;
use crate::wait::{Caller, Limit, Locked, Place, TimedOut, WaitList, Waiter, Wakeups};

const RECEIVERS: usize = 0;
const SENDERS: usize = 1;

/// See the module.
pub(super) struct Shared<T> {
    list: WaitList<State<T>, (), 2>,
}

pub(super) struct State<T> {
    pub(super) ring: Ring<T>,
    pub(super) senders: usize,
    pub(super) weak_senders: usize,
}

/// A future's place in one of the lines.
pub(super) type FuturePlace<'s, T> = Option<Pin<Box<Place<'s, State<T>, (), 2>>>>;

impl<T> Shared<T> {
    pub(super) fn new(capacity: usize) -> Self {
        let ring = Ring::new(capacity);
        Self { list: WaitList::new(State { ring, senders: 1, weak_senders: 0 }) }
    }

    pub(super) fn lock(&self) -> Locked<'_, State<T>, (), 2> {
        self.list.lock()
    }

    /// Sends a value. Returns how many will receive it; or the value, if nobody will.
    pub(super) fn send(&self, value: Arc<T>) -> Result<usize, Arc<T>> {
        let mut list = self.lock();
        let dropped = list.ring.push(value)?;
        let receivers = list.ring.receivers();
        let wakeups = choose_all(&mut list, RECEIVERS);
        drop(list);
        wakeups.deliver();
        // The user's code, which may panic: last.
        drop(dropped);
        Ok(receivers)
    }

    /// A sender less.
    pub(super) fn leave_as_sender(&self) {
        let wakeups = {
            let mut list = self.lock();
            list.senders -= 1;
            if list.senders > 0 {
                return;
            }
            choose_all(&mut list, RECEIVERS)
        };
        wakeups.deliver();
    }

    /// A receiver less, which would have gone on with `next`.
    pub(super) fn leave_as_receiver(&self, next: u64) {
        let (unwanted, wakeups) = {
            let mut list = self.lock();
            let unwanted = list.ring.leave(next);
            if list.ring.receivers() == 0 {
                (unwanted, choose_all(&mut list, SENDERS))
            } else {
                (unwanted, Wakeups::default())
            }
        };
        wakeups.deliver();
        drop(unwanted);
    }

    pub(super) fn try_recv(&self, next: &mut u64) -> Result<Arc<T>, TryRecvError> {
        self.lock().take(next)
    }

    pub(super) fn recv(
        &self,
        next: &mut u64,
        limit: &mut Limit,
    ) -> Result<Arc<T>, RecvTimeoutError> {
        let taken = self.wait_until(RECEIVERS, limit, |state| state.take_or_wait(next));
        match taken {
            Err(TimedOut) => Err(RecvTimeoutError::Timeout),
            Ok(Ok(value)) => Ok(value),
            Ok(Err(TryRecvError::Lagged(missed))) => Err(RecvTimeoutError::Lagged(missed)),
            Ok(Err(_)) => Err(RecvTimeoutError::Closed),
        }
    }

    pub(super) fn poll_recv<'s>(
        &'s self,
        next: &mut u64,
        place: &mut FuturePlace<'s, T>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Arc<T>, TryRecvError>> {
        self.poll_until(RECEIVERS, place, cx, |state| state.take_or_wait(next))
    }

    /// Waits until no receiver is left.
    pub(super) fn closed(&self) {
        while self.wait_until(SENDERS, &mut Limit::Never, State::has_no_receiver).is_err() {}
    }

    pub(super) fn poll_closed<'s>(
        &'s self,
        place: &mut FuturePlace<'s, T>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        self.poll_until(SENDERS, place, cx, State::has_no_receiver)
    }

    fn wait_until<R>(
        &self,
        line: usize,
        limit: &mut Limit,
        mut look: impl FnMut(&mut State<T>) -> Option<R>,
    ) -> Result<R, TimedOut> {
        let mut list = self.lock();
        if let Some(seen) = look(&mut list) {
            return Ok(seen);
        }
        let mut place = pin!(Place::new(&self.list, ()));
        loop {
            let caller = Caller::now();
            place.as_mut().begin(Some(caller.waiter()));
            list.push_back(line, place.as_ref());
            drop(list);
            place.as_mut().wait(caller, limit)?;
            list = self.lock();
            if let Some(seen) = look(&mut list) {
                return Ok(seen);
            }
        }
    }

    fn poll_until<'s, R>(
        &'s self,
        line: usize,
        place: &mut FuturePlace<'s, T>,
        cx: &mut Context<'_>,
        mut look: impl FnMut(&mut State<T>) -> Option<R>,
    ) -> Poll<R> {
        if let Some(place) = place {
            if place.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        if let Some(seen) = look(&mut self.lock()) {
            return Poll::Ready(seen);
        }
        // How a waker is cloned is the user's code, which runs without the lock; and so does what
        // takes memory.
        let waiter = Waiter::Waker(cx.waker().clone());
        let own = place.get_or_insert_with(|| Box::pin(Place::new(&self.list, ())));
        own.as_mut().begin(Some(waiter));
        let mut list = self.lock();
        if let Some(seen) = look(&mut list) {
            drop(list);
            *place = None;
            return Poll::Ready(seen);
        }
        list.push_back(line, own.as_ref());
        Poll::Pending
    }
}

impl<T> State<T> {
    fn take(&mut self, next: &mut u64) -> Result<Arc<T>, TryRecvError> {
        match self.ring.take(next) {
            Err(TryRecvError::Empty) if self.senders == 0 => Err(TryRecvError::Closed),
            taken => taken,
        }
    }

    /// The same, for who waits where there is nothing.
    fn take_or_wait(&mut self, next: &mut u64) -> Option<Result<Arc<T>, TryRecvError>> {
        match self.take(next) {
            Err(TryRecvError::Empty) => None,
            taken => Some(taken),
        }
    }

    fn has_no_receiver(&mut self) -> Option<()> {
        (self.ring.receivers() == 0).then_some(())
    }
}

/// Answers all who stand in a line.
fn choose_all<T>(list: &mut Locked<'_, State<T>, (), 2>, line: usize) -> Wakeups {
    let mut wakeups = Wakeups::default();
    while let Some(chosen) = list.choose(line) {
        wakeups.push(chosen.answer());
    }
    wakeups
}
