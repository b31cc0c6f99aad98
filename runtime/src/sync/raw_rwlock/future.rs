//! The lock, waited for by a future.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::{Access, RawRwLock};
use crate::wait::{Place, Waiter};

/// Waits for one kind of access. Once it is ready its poller has that. Dropped, it leaves the line,
/// or lets go of what it was given meanwhile.
#[derive(Debug)]
pub(in super::super) struct RawAccess<'r> {
    lock: &'r RawRwLock,
    access: Access,
    /// In line, or answered.
    place: Option<Pin<Box<Place<'r, (), Access, 2>>>>,
}

impl<'r> RawAccess<'r> {
    pub(in super::super) fn new(lock: &'r RawRwLock, access: Access) -> Self {
        Self { lock, access, place: None }
    }

    pub(in super::super) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let (lock, access) = (self.lock, self.access);
        if self.place.is_none() && lock.try_lock_as(access) {
            return Poll::Ready(());
        }
        // How a waker is cloned and dropped is the user's code: not under the lock.
        let waiter = Waiter::Waker(cx.waker().clone());
        let Some(place) = &mut self.place else {
            let mut place = Box::pin(Place::new(&lock.list, access));
            place.as_mut().begin(Some(waiter));
            if lock.lock_or_push(place.as_ref(), access) {
                return Poll::Ready(());
            }
            self.place = Some(place);
            return Poll::Pending;
        };
        if !place.is_answered() {
            let _dropped;
            let mut list = lock.list.lock();
            _dropped = list.rewait(place.as_mut(), waiter);
            if place.is_in_line(&list) {
                return Poll::Pending;
            }
        }
        self.place = None;
        Poll::Ready(())
    }
}

impl Drop for RawAccess<'_> {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        if place.leave() {
            self.lock.unlock_as(self.access);
        } else {
            self.lock.admit();
        }
    }
}
