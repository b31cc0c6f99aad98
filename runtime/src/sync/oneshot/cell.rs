//! What a oneshot channel's two ends share.
//!
//! # States
//!
//! - *open*: both ends are there.
//! - *sent*: the value is in the cell, or was handed to the receiver, or taken. The sender is gone.
//! - *dropped*: the sender is gone and has sent nothing.
//!
//! Besides, the receiver *closes* the cell, once: then an open cell is never sent to.
//!
//! The receiver waits in line as a call, which is answered with the value, or leaves its waker as a
//! future. What waits for the receiver to close leaves its waker, too, whatever it is: that one is
//! seldom.
//!
//! Everything is under the line's lock. No value is dropped under it, and no waker: that is the
//! user's code.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::wait::{self, Caller, Limit, Place, TimedOut, WaitList, Waiter, Wakeup};

/// See the module.
pub(super) struct Cell<T> {
    list: WaitList<State<T>, Option<T>>,
}

struct State<T> {
    value: Option<T>,
    has_sender: bool,
    is_closed: bool,
    receiver: Option<Waker>,
    sender: Option<Waker>,
}

impl<T> State<T> {
    /// What there is to be received at once: the value, or that none will come.
    fn take(&mut self) -> Option<Option<T>> {
        if self.value.is_some() || !self.has_sender || self.is_closed {
            return Some(self.value.take());
        }
        None
    }
}

impl<T> Cell<T> {
    pub(super) fn new() -> Self {
        Self {
            list: WaitList::new(State {
                value: None,
                has_sender: true,
                is_closed: false,
                receiver: None,
                sender: None,
            }),
        }
    }

    /// Ends the sender's part: with its value, or with nothing. Gives the value back where it is
    /// closed.
    #[inline]
    pub(super) fn send(&self, value: Option<T>) -> Result<(), Option<T>> {
        let mut list = self.list.lock();
        list.has_sender = false;
        let own = list.sender.take();
        if list.is_closed {
            drop(list);
            drop(own);
            return Err(value);
        }
        let wakeup = match list.choose(0) {
            Some(mut receiver) => {
                *receiver = value;
                receiver.answer()
            }
            None => {
                list.value = value;
                list.receiver.take().map(Wakeup::Waker)
            }
        };
        drop(list);
        drop(own);
        wakeup.into_iter().for_each(Wakeup::deliver);
        Ok(())
    }

    /// Receives the value; `None` where none will come.
    #[inline]
    pub(super) fn recv(&self, limit: &mut Limit) -> Result<Option<T>, TimedOut> {
        let mut list = self.list.lock();
        if let Some(received) = list.take() {
            return Ok(received);
        }
        let mut place = pin!(Place::new(&self.list, None));
        let caller = Caller::now();
        place.as_mut().begin(Some(caller.waiter()));
        list.push_back(0, place.as_ref());
        drop(list);
        place.as_mut().wait(caller, limit).map(Option::take)
    }

    pub(super) fn try_recv(&self) -> Option<Option<T>> {
        self.list.lock().take()
    }

    pub(super) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let changed =
            |waker: &Option<Waker>| waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker()));
        {
            let mut list = self.list.lock();
            if let Some(received) = list.take() {
                return Poll::Ready(received);
            }
            if !changed(&list.receiver) {
                return Poll::Pending;
            }
        }
        let waker = Some(cx.waker().clone());
        let _before;
        let mut list = self.list.lock();
        match list.take() {
            Some(received) => Poll::Ready(received),
            None => {
                _before = std::mem::replace(&mut list.receiver, waker);
                drop(list);
                Poll::Pending
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.lock().value.is_none()
    }

    /// Ends the receiver's part, or makes it one that takes what has been sent already.
    pub(super) fn close(&self) {
        let (receiver, sender) = {
            let mut list = self.list.lock();
            list.is_closed = true;
            (list.receiver.take(), list.sender.take())
        };
        drop(receiver);
        sender.map(Wakeup::Waker).into_iter().for_each(Wakeup::deliver);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.list.lock().is_closed
    }

    /// Waits until the receiver is closed. A waker that is left behind wakes for nothing.
    pub(super) fn closed(&self) {
        while !self.is_closed_or(|| Waiter::current().into_waker()) {
            let _is_over = wait::park(None);
        }
    }

    pub(super) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_closed_or(|| cx.waker().clone()) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether it is closed. If not, it will wake what `waker` returns when it is.
    fn is_closed_or(&self, waker: impl FnOnce() -> Waker) -> bool {
        if self.is_closed() {
            return true;
        }
        let waker = waker();
        let _before;
        let mut list = self.list.lock();
        if list.is_closed {
            drop(list);
            return true;
        }
        _before = list.sender.replace(waker);
        drop(list);
        false
    }
}

#[cfg(all(test, sedge_loom))]
mod model {
    use std::future::poll_fn;

    use loom::future::block_on;
    use loom::sync::Arc;
    use loom::thread;

    use super::Cell;

    fn race(sends: Option<u8>, receiver: impl FnOnce(&Cell<u8>) -> Option<u8>) -> [Option<u8>; 2] {
        let cell = Arc::new(Cell::new());
        let sender = thread::spawn({
            let cell = cell.clone();
            move || cell.send(sends).err().flatten()
        });
        let received = receiver(&cell);
        [sender.join().unwrap(), received]
    }

    fn recv(cell: &Cell<u8>) -> Option<u8> {
        block_on(poll_fn(|cx| cell.poll_recv(cx)))
    }

    #[test]
    fn the_receiver_is_told() {
        loom::model(|| {
            assert_eq!(race(Some(7), recv), [None, Some(7)]);
            assert_eq!(race(None, recv), [None, None]);
        });
    }

    /// The value is received, or given back, never both.
    #[test]
    fn closing_gives_it_back() {
        loom::model(|| {
            let close = |cell: &Cell<u8>| {
                cell.close();
                cell.try_recv().flatten()
            };
            let [back, received] = race(Some(7), close);
            assert_eq!(back.is_some(), received.is_none());
        });
    }

    #[test]
    fn the_sender_is_told() {
        loom::model(|| {
            let cell = Arc::new(Cell::<u8>::new());
            let receiver = thread::spawn({
                let cell = cell.clone();
                move || cell.close()
            });
            block_on(poll_fn(|cx| cell.poll_closed(cx)));
            receiver.join().unwrap();
        });
    }
}
