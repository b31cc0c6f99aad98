//! The channel without a buffer: a message goes from hand to hand.
//!
//! A sender that finds a receiver in line writes the message into its place, on its stack, and goes
//! on; a receiver that finds a sender takes it from there. Whoever comes first waits.
//!
//! # Selections
//!
//! A selection that has chosen to send has its message only once its caller has evaluated it. Until
//! then the receiver that it has paired with is held, or waits in line with it: see [`Offer`].

use std::pin::pin;
use std::sync::atomic::AtomicUsize;

use super::err::{RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError};
use crate::wait::{Caller, Limit, Locked, Place, TimedOut, WaitList, Wakeup};

const SENDERS: usize = 0;
const RECEIVERS: usize = 1;

/// What a call waits with.
#[derive(Debug)]
enum Offer<T> {
    /// A sender's message, or a receiver's once it has one.
    Message(T),
    /// A receiver's before, and a sender's afterwards.
    Nothing,
    /// All of the other side are gone.
    Disconnected,
}

#[derive(Debug)]
struct State {
    is_disconnected: bool,
}

type List<T> = WaitList<State, Offer<T>, 2>;

/// See the module.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Channel<T> {
    list: List<T>,
}

impl<T> Channel<T> {
    pub(super) fn new() -> Self {
        Self { list: WaitList::new(State { is_disconnected: false }) }
    }

    #[inline(always)]
    fn give(list: &mut Locked<'_, State, Offer<T>, 2>, message: T) -> Result<Option<Wakeup>, T> {
        match list.choose(RECEIVERS) {
            None => Err(message),
            Some(mut receiver) => {
                *receiver = Offer::Message(message);
                Ok(receiver.answer())
            }
        }
    }

    pub(super) fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        let mut list = self.list.lock();
        match Self::give(&mut list, message) {
            Ok(wakeup) => {
                drop(list);
                wakeup.into_iter().for_each(Wakeup::deliver);
                Ok(())
            }
            Err(message) if list.is_disconnected => Err(TrySendError::Disconnected(message)),
            Err(message) => Err(TrySendError::Full(message)),
        }
    }

    #[inline]
    pub(super) fn send(&self, message: T, limit: &mut Limit) -> Result<(), SendTimeoutError<T>> {
        let mut list = self.list.lock();
        let message = match Self::give(&mut list, message) {
            Ok(wakeup) => {
                drop(list);
                wakeup.into_iter().for_each(Wakeup::deliver);
                return Ok(());
            }
            Err(message) => message,
        };
        if list.is_disconnected {
            return Err(SendTimeoutError::Disconnected(message));
        }
        let mut place = pin!(Place::new(&self.list, Offer::Message(message)));
        let caller = Caller::now();
        place.as_mut().begin(Some(caller.waiter()));
        list.push_back(SENDERS, place.as_ref());
        drop(list);
        let result = place.as_mut().wait(caller, limit).map(|_| ());
        let left = place.payload().expect("it waits no more");
        match (std::mem::replace(left, Offer::Nothing), result) {
            (Offer::Nothing | Offer::Disconnected, _) => Ok(()),
            (Offer::Message(message), Err(TimedOut)) => Err(SendTimeoutError::Timeout(message)),
            (Offer::Message(message), Ok(())) => Err(SendTimeoutError::Disconnected(message)),
        }
    }

    #[inline]
    pub(super) fn recv(&self, limit: &mut Limit) -> Result<T, RecvTimeoutError> {
        let mut list = self.list.lock();
        if let Some(mut sender) = list.choose(SENDERS) {
            let offer = std::mem::replace(&mut *sender, Offer::Nothing);
            let wakeup = sender.answer();
            drop(list);
            wakeup.into_iter().for_each(Wakeup::deliver);
            let Offer::Message(message) = offer else { unreachable!() };
            return Ok(message);
        }
        if list.is_disconnected {
            return Err(RecvTimeoutError::Disconnected);
        }
        let mut place = pin!(Place::new(&self.list, Offer::Nothing));
        let caller = Caller::now();
        place.as_mut().begin(Some(caller.waiter()));
        list.push_back(RECEIVERS, place.as_ref());
        drop(list);
        match place.wait(caller, limit) {
            Err(TimedOut) => Err(RecvTimeoutError::Timeout),
            Ok(offer) => match std::mem::replace(offer, Offer::Nothing) {
                Offer::Message(message) => Ok(message),
                _ => Err(RecvTimeoutError::Disconnected),
            },
        }
    }
}
