//! The channel without a buffer: a message goes from hand to hand.
//!
//! A sender that finds a receiver in line writes the message into its place, on its stack, and goes
//! on; a receiver that finds a sender takes it from there. Whoever comes first waits.
//!
//! # Selections
//!
//! A selection that is to send has its message only once its caller has evaluated it, after it has
//! been chosen. So it is paired first: who it was paired with is *held*, and answered when the
//! message is there ([`Channel::complete_send`]). It may be paired in two ways:
//!
//! - it finds a receiver in line, and holds it;
//! - it stands in line itself, without a message, and a receiver finds it: that one leaves itself
//!   as held in the sender's [`Note`], and answers it.
//!
//! A selection that is to receive takes the message of a sender in line, and holds a selection that
//! has yet to make it; or it stands in line, and is answered with a message, as anyone. Held calls
//! and messages that selections have yet to fetch are kept in [`Pending`], by the key that the
//! selection's token has.
//!
//! A selection that is dropped in between gives up: who it holds is told to begin again.
//!
//! # Futures
//!
//! A future may be dropped at any time, also with a message in its place. So a receiving future is
//! given none: it stands among the watchers, is woken when a sender waits in line, and takes the
//! message when it is polled. Nor does it meet a selection that is to send: that would count on it
//! while it makes its message.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use slab::Slab;

use super::Token;
use super::err::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
};
use crate::wait::{Caller, Held, Limit, Place, Selection, WaitList, Waiter, Wakeup};

const SENDERS: usize = 0;
const RECEIVERS: usize = 1;
/// Those who want to know that a sender waits, and that a receiver does.
const SENDER_WATCHERS: usize = 2;
const RECEIVER_WATCHERS: usize = 3;

/// See the module.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Channel<T> {
    list: List<T>,
}

type List<T> = WaitList<State<T>, Hand<T>, 4>;
type Locked<'l, T> = crate::wait::Locked<'l, State<T>, Hand<T>, 4>;

/// A call's, or a case's, place in line.
pub(super) type Standing<'l, T> = Pin<Box<Place<'l, State<T>, Hand<T>, 4>>>;

/// What a call waits with.
#[derive(Debug)]
pub(super) struct Hand<T> {
    /// A sender's until it is taken, a receiver's once it is given.
    message: Option<T>,
    note: Note<T>,
}

#[derive(Debug)]
enum Note<T> {
    Nothing,
    /// Who it was paired with has given up: it begins again.
    Again,
    /// All of the other side are gone.
    Disconnected,
    /// To a selection that is to send: who it is to give its message to.
    GiveTo(Held<Hand<T>>),
}

#[derive(Debug)]
pub(super) struct State<T> {
    is_disconnected: bool,
    pending: Option<Box<Slab<Pending<T>>>>,
}

/// What a selection has yet to complete.
#[derive(Debug)]
enum Pending<T> {
    Message(T),
    Held(Held<Hand<T>>),
}

impl<T> Hand<T> {
    fn new(message: Option<T>) -> Self {
        Self { message, note: Note::Nothing }
    }
}

impl<T> Channel<T> {
    pub(super) fn new() -> Self {
        Self { list: WaitList::new(State { is_disconnected: false, pending: None }) }
    }

    pub(super) fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        let mut list = self.list.lock();
        if let Some(mut receiver) = list.choose(RECEIVERS) {
            receiver.message = Some(message);
            deliver(receiver.answer(), list);
            return Ok(());
        }
        let error =
            if list.is_disconnected { TrySendError::Disconnected } else { TrySendError::Full };
        Err(error(message))
    }

    // Not in line: its frame is large, and the other kinds of channels would have it, too.
    #[inline(never)]
    pub(super) fn send(
        &self,
        mut message: T,
        limit: &mut Limit,
    ) -> Result<(), SendTimeoutError<T>> {
        loop {
            let mut list = self.list.lock();
            if let Some(mut receiver) = list.choose(RECEIVERS) {
                receiver.message = Some(message);
                deliver(receiver.answer(), list);
                return Ok(());
            }
            if list.is_disconnected {
                return Err(SendTimeoutError::Disconnected(message));
            }
            let caller = Caller::now();
            let mut place = pin!(Place::new(&self.list, Hand::new(Some(message))));
            place.as_mut().begin(Some(caller.waiter()));
            list.push_back(SENDERS, place.as_ref());
            tell_watchers(list, SENDER_WATCHERS);
            let in_time = place.as_mut().wait(caller, limit).is_ok();
            let hand = place.payload().expect("it waits no more");
            let Some(left) = hand.message.take() else { return Ok(()) };
            match hand.note {
                _ if !in_time => return Err(SendTimeoutError::Timeout(left)),
                Note::Disconnected => return Err(SendTimeoutError::Disconnected(left)),
                _ => message = left,
            }
        }
    }

    /// Takes no message that a selection has yet to make: that would have to be waited for.
    pub(super) fn try_recv(&self) -> Result<T, TryRecvError> {
        let mut list = self.list.lock();
        if let Some(mut sender) = list.choose_if(SENDERS, |sender| sender.message.is_some()) {
            let message = sender.message.take();
            deliver(sender.answer(), list);
            return message.ok_or(TryRecvError::Empty);
        }
        Err(if list.is_disconnected { TryRecvError::Disconnected } else { TryRecvError::Empty })
    }

    #[inline(never)]
    pub(super) fn recv(&self, limit: &mut Limit) -> Result<T, RecvTimeoutError> {
        loop {
            let mut list = self.list.lock();
            if let Some(mut sender) = list.choose(SENDERS) {
                if let Some(message) = sender.message.take() {
                    deliver(sender.answer(), list);
                    return Ok(message);
                }
                let sender = sender.hold();
                return match self.recv_from_selection(list, sender) {
                    Some(message) => Ok(message),
                    None => continue,
                };
            }
            if list.is_disconnected {
                return Err(RecvTimeoutError::Disconnected);
            }
            let caller = Caller::now();
            let mut place = pin!(Place::new(&self.list, Hand::new(None)));
            place.as_mut().begin(Some(caller.waiter()));
            list.push_back(RECEIVERS, place.as_ref());
            tell_watchers(list, RECEIVER_WATCHERS);
            match place.wait(caller, limit) {
                Err(_) => return Err(RecvTimeoutError::Timeout),
                Ok(hand) => match (hand.message.take(), &hand.note) {
                    (Some(message), _) => return Ok(message),
                    (None, Note::Disconnected) => return Err(RecvTimeoutError::Disconnected),
                    (None, _) => {}
                },
            }
        }
    }

    /// Waits for the message of a selection that is to send. None if it gives up.
    #[cold]
    fn recv_from_selection<'l>(
        &'l self,
        mut list: Locked<'l, T>,
        sender: Held<Hand<T>>,
    ) -> Option<T> {
        let caller = Caller::now();
        let mut place = pin!(Place::new(&self.list, Hand::new(None)));
        place.as_mut().begin(Some(caller.waiter()));
        let me = list.hold(place.as_ref());
        let mut sender = list.resume(sender);
        sender.note = Note::GiveTo(me);
        deliver(sender.answer(), list);
        place.wait(caller, &mut Limit::Never).ok()?.message.take()
    }

    /// One side has gone: tells all who wait.
    pub(super) fn disconnect(&self) {
        let mut wakeups = Vec::new();
        {
            let mut list = self.list.lock();
            list.is_disconnected = true;
            for line in [SENDERS, RECEIVERS, SENDER_WATCHERS, RECEIVER_WATCHERS] {
                while let Some(mut waiting) = list.choose(line) {
                    waiting.note = Note::Disconnected;
                    wakeups.extend(waiting.answer());
                }
            }
        }
        wakeups.into_iter().for_each(Wakeup::deliver);
    }

    /// Pairs a selection with a receiver.
    pub(super) fn select_send(&self) -> Option<Token> {
        let mut list = self.list.lock();
        match list.choose(RECEIVERS).map(|receiver| receiver.hold()) {
            Some(receiver) => Some(list.keep(Pending::Held(receiver))),
            None => list.is_disconnected.then_some(Token::Disconnected),
        }
    }

    /// Takes a sender's message for a selection, or waits for that of one that has yet to make it.
    pub(super) fn select_recv(&self) -> Option<Token> {
        let mut list = self.list.lock();
        let Some(mut sender) = list.choose(SENDERS) else {
            return list.is_disconnected.then_some(Token::Disconnected);
        };
        if let Some(message) = sender.message.take() {
            let wakeup = sender.answer();
            let token = list.keep(Pending::Message(message));
            deliver(wakeup, list);
            return Some(token);
        }
        let sender = sender.hold();
        match self.recv_from_selection(list, sender) {
            Some(message) => Some(self.list.lock().keep(Pending::Message(message))),
            None => self.select_recv(),
        }
    }

    /// Puts a case of a selection in line. Returns whether it need not wait there.
    pub(super) fn register<'l>(
        &'l self,
        selection: &'l Selection,
        case: usize,
        sends: bool,
        watches: bool,
    ) -> (Standing<'l, T>, bool) {
        let mut place = Box::pin(Place::of(&self.list, Hand::new(None), selection, case));
        place.as_mut().begin(None);
        let (mine, others) = if sends { (SENDERS, RECEIVERS) } else { (RECEIVERS, SENDERS) };
        let watched = if sends { RECEIVER_WATCHERS } else { SENDER_WATCHERS };
        let mut list = self.list.lock();
        list.push_back(if watches { watched } else { mine }, place.as_ref());
        // Who only wants to know will try, and find nothing where a message has yet to be made.
        let is_ready = match sends || !watches {
            true => list.has_other(others, selection),
            false => list.any(SENDERS, |sender| sender.message.is_some()),
        };
        let is_ready = is_ready || list.is_disconnected;
        if !watches {
            tell_watchers(list, if sends { SENDER_WATCHERS } else { RECEIVER_WATCHERS });
        }
        (place, is_ready)
    }

    /// Whether a call would find somebody, with a message if it is to receive.
    pub(super) fn is_ready(&self, sends: bool) -> bool {
        let list = self.list.lock();
        list.is_disconnected
            || match sends {
                true => !list.is_empty(RECEIVERS),
                false => list.any(SENDERS, |sender| sender.message.is_some()),
            }
    }

    /// What a case that was answered in line has in hand; none if it has to begin again.
    pub(super) fn accept(&self, mut place: Standing<'_, T>) -> Option<Token> {
        let hand = place.as_mut().payload()?;
        let pending = match (hand.message.take(), std::mem::replace(&mut hand.note, Note::Nothing))
        {
            (Some(message), _) => Pending::Message(message),
            (None, Note::GiveTo(receiver)) => Pending::Held(receiver),
            (None, Note::Disconnected) => return Some(Token::Disconnected),
            (None, Note::Nothing | Note::Again) => return None,
        };
        Some(self.list.lock().keep(pending))
    }

    /// A selection has its message now.
    pub(super) fn complete_send(&self, token: Token, message: T) -> Result<(), SendError<T>> {
        let Token::Pending(key) = token else { return Err(SendError(message)) };
        let mut list = self.list.lock();
        let Pending::Held(receiver) = list.fetch(key) else { unreachable!("it is to send") };
        let mut receiver = list.resume(receiver);
        receiver.message = Some(message);
        deliver(receiver.answer(), list);
        Ok(())
    }

    /// A selection fetches its message. None if it was disconnected.
    pub(super) fn complete_recv(&self, token: Token) -> Option<T> {
        let Token::Pending(key) = token else { return None };
        match self.list.lock().fetch(key) {
            Pending::Message(message) => Some(message),
            Pending::Held(_) => unreachable!("it is to receive"),
        }
    }

    /// A selection gives up what it has chosen.
    pub(super) fn abandon(&self, token: Token) {
        let Token::Pending(key) = token else { return };
        let mut list = self.list.lock();
        match list.fetch(key) {
            Pending::Held(held) => {
                let mut held = list.resume(held);
                held.note = Note::Again;
                deliver(held.answer(), list);
            }
            Pending::Message(message) => {
                drop(list);
                drop(message);
            }
        }
    }

    /// [`send`](Self::send) for a future. The message is in `message` until it is in line.
    pub(super) fn poll_send<'l>(
        &'l self,
        cx: &mut Context<'_>,
        standing: &mut Option<Standing<'l, T>>,
        message: &mut Option<T>,
    ) -> Poll<Result<(), SendError<T>>> {
        let waiter = Waiter::Waker(cx.waker().clone());
        if let Some(place) = standing {
            let mut list = self.list.lock();
            if place.is_in_line(&list) {
                let _replaced = list.rewait(place.as_mut(), waiter);
                drop(list);
                return Poll::Pending;
            }
            drop(list);
            // Without a hand it is held by a selection, which wakes it.
            let Some(hand) = place.as_mut().payload() else { return Poll::Pending };
            let left = hand.message.take();
            let is_disconnected = matches!(hand.note, Note::Disconnected);
            *standing = None;
            match left {
                None => return Poll::Ready(Ok(())),
                Some(left) if is_disconnected => return Poll::Ready(Err(SendError(left))),
                left => *message = left,
            }
        }
        let left = message.take().expect("polled after it was ready");
        let mut place = Box::pin(Place::new(&self.list, Hand::new(Some(left))));
        place.as_mut().begin(Some(waiter));
        let mut list = self.list.lock();
        if let Some(mut receiver) = list.choose(RECEIVERS) {
            receiver.message = place.as_mut().payload().and_then(|hand| hand.message.take());
            deliver(receiver.answer(), list);
            return Poll::Ready(Ok(()));
        }
        if list.is_disconnected {
            drop(list);
            let left = place.as_mut().payload().and_then(|hand| hand.message.take());
            return Poll::Ready(Err(SendError(left.expect("it is not sent"))));
        }
        list.push_back(SENDERS, place.as_ref());
        tell_watchers(list, SENDER_WATCHERS);
        *standing = Some(place);
        Poll::Pending
    }

    /// [`recv`](Self::recv) for a future.
    pub(super) fn poll_recv<'l>(
        &'l self,
        cx: &mut Context<'_>,
        standing: &mut Option<Standing<'l, T>>,
    ) -> Poll<Result<T, RecvError>> {
        let waiter = Waiter::Waker(cx.waker().clone());
        let place =
            standing.get_or_insert_with(|| Box::pin(Place::new(&self.list, Hand::new(None))));
        let mut list = self.list.lock();
        if let Some(mut sender) = list.choose_if(SENDERS, |sender| sender.message.is_some()) {
            let message = sender.message.take();
            deliver(sender.answer(), list);
            *standing = None;
            return Poll::Ready(message.ok_or(RecvError));
        }
        if list.is_disconnected {
            drop(list);
            return Poll::Ready(Err(RecvError));
        }
        let _replaced;
        if place.is_in_line(&list) {
            _replaced = list.rewait(place.as_mut(), waiter);
        } else {
            place.as_mut().begin(Some(waiter));
            list.push_back(SENDER_WATCHERS, place.as_ref());
        }
        drop(list);
        Poll::Pending
    }
}

/// Lets the lock go, and delivers a wake.
#[inline]
fn deliver<T>(wakeup: Option<Wakeup>, list: Locked<'_, T>) {
    drop(list);
    if let Some(wakeup) = wakeup {
        wakeup.deliver();
    }
}

/// Lets the lock go, and wakes all in `line`.
#[inline]
fn tell_watchers<T>(list: Locked<'_, T>, line: usize) {
    if !list.is_empty(line) {
        tell_watchers_slow(list, line);
    }
}

#[cold]
fn tell_watchers_slow<T>(mut list: Locked<'_, T>, line: usize) {
    let mut wakeups = Vec::new();
    while let Some(watcher) = list.choose(line) {
        wakeups.extend(watcher.answer());
    }
    drop(list);
    wakeups.into_iter().for_each(Wakeup::deliver);
}

impl<T> State<T> {
    fn keep(&mut self, pending: Pending<T>) -> Token {
        Token::Pending(self.pending.get_or_insert_default().insert(pending))
    }

    fn fetch(&mut self, key: usize) -> Pending<T> {
        self.pending.as_mut().expect("something is pending").remove(key)
    }
}
