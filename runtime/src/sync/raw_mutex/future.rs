//! The lock, waited for by a future.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::{RawMutex, Turn, locker};
use crate::context;
use crate::wait::{Place, Waiter};

/// Waits for the lock. Once it is ready its poller has the lock. Dropped, it leaves the line; and
/// if it was answered meanwhile, it lets the lock go, or sees to it that others are woken.
#[derive(Debug)]
pub(in super::super) struct RawLock<'m> {
    mutex: &'m RawMutex,
    /// In line, or answered.
    place: Option<Pin<Box<Place<'m, (), Turn>>>>,
}

impl<'m> RawLock<'m> {
    pub(in super::super) fn new(mutex: &'m RawMutex) -> Self {
        Self { mutex, place: None }
    }

    pub(in super::super) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let locker = locker(context::current_id());
        let mutex = self.mutex;
        let Some(place) = &mut self.place else {
            if mutex.try_lock_as(locker) {
                return Poll::Ready(());
            }
            return self.push(Box::pin(Place::new(&mutex.list, Turn::new(locker))), cx);
        };
        if !place.is_answered() {
            // How a waker is cloned and dropped is the user's code: not under the lock.
            let waiter = Waiter::Waker(cx.waker().clone());
            let _dropped;
            let mut list = mutex.list.lock();
            _dropped = list.rewait(place.as_mut(), waiter);
            if place.is_in_line(&list) {
                return Poll::Pending;
            }
        }
        let mut place = self.place.take().expect("it was there");
        let turn = place.as_mut().payload().expect("it is answered");
        if turn.is_handed_over || mutex.try_lock_as(locker) {
            return Poll::Ready(());
        }
        *turn = Turn { has_lost: true, ..Turn::new(locker) };
        self.push(place, cx)
    }

    fn push(&mut self, mut place: Pin<Box<Place<'m, (), Turn>>>, cx: &Context<'_>) -> Poll<()> {
        place.as_mut().begin(Some(Waiter::Waker(cx.waker().clone())));
        if self.mutex.lock_or_push(place.as_mut()) {
            return Poll::Ready(());
        }
        self.place = Some(place);
        Poll::Pending
    }
}

impl Drop for RawLock<'_> {
    fn drop(&mut self) {
        let Some(mut place) = self.place.take() else { return };
        if !place.as_ref().leave() {
            return;
        }
        let turn = place.as_mut().payload().expect("it is answered");
        // Where it cannot be locked its holder wakes the next.
        if turn.is_handed_over || self.mutex.try_lock_as(turn.locker) {
            self.mutex.unlock_as(false);
        }
    }
}
