//! Sending and receiving as futures.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use parking_lot::Mutex;

use super::buffered::{self, Buffer};
use super::clock;
use super::err::{RecvError, SendError, TryRecvError, TrySendError};
use super::flavor::Flavor;
use super::{Receiver, Sender, waiters, zero};
use crate::task::{self, JoinHandle};
use crate::time;

/// Sends a message. Made by [`Sender::send_async`].
///
/// # Examples
///
/// See [`Sender::send_async`].
#[must_use = "nothing is sent until it is awaited"]
pub struct SendFuture<'a, T> {
    sender: &'a Sender<T>,
    /// Until it is sent, or in line.
    message: Option<T>,
    standing: Standing<'a, T>,
}

/// Receives a message. Made by [`Receiver::recv_async`].
///
/// # Examples
///
/// See [`Sender::send_async`].
#[must_use = "nothing is received until it is awaited"]
pub struct RecvFuture<'a, T> {
    receiver: &'a Receiver<T>,
    standing: Standing<'a, T>,
    sleeper: Option<Sleeper>,
}

/// Futures have no timers here: a task sleeps for one, until it is dropped.
struct Sleeper {
    task: JoinHandle<()>,
    waker: Arc<Mutex<Waker>>,
}

impl Sleeper {
    fn new(until: Instant, waker: &Waker) -> Self {
        let waker = Arc::new(Mutex::new(waker.clone()));
        let task = task::spawn({
            let waker = waker.clone();
            move || {
                time::sleep_until(until);
                let waker = waker.lock().clone();
                waker.wake();
            }
        });
        Self { task, waker }
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.task.cancel();
    }
}

/// A future's place in line.
enum Standing<'a, T> {
    Buffered(Option<waiters::Standing<'a>>),
    Zero(Option<zero::Standing<'a, T>>),
}

// The message is moved in and out of them, and never pinned.
impl<T> Unpin for SendFuture<'_, T> {}
impl<T> Unpin for RecvFuture<'_, T> {}

impl<'a, T> Standing<'a, T> {
    fn nowhere(flavor: &Flavor<T>) -> Self {
        match flavor {
            Flavor::Zero(_) => Self::Zero(None),
            _ => Self::Buffered(None),
        }
    }

    fn buffered(&mut self) -> &mut Option<waiters::Standing<'a>> {
        match self {
            Self::Buffered(standing) => standing,
            Self::Zero(_) => unreachable!("a channel stays what it is"),
        }
    }

    fn zero(&mut self) -> &mut Option<zero::Standing<'a, T>> {
        match self {
            Self::Zero(standing) => standing,
            Self::Buffered(_) => unreachable!("a channel stays what it is"),
        }
    }
}

fn is_woken(standing: &Option<waiters::Standing<'_>>) -> bool {
    standing.as_ref().is_some_and(|place| place.is_answered())
}

impl<'a, T> SendFuture<'a, T> {
    pub(super) fn new(sender: &'a Sender<T>, message: T) -> Self {
        let standing = Standing::nowhere(&sender.shared.flavor);
        Self { sender, message: Some(message), standing }
    }

    fn poll_buffered<B: Buffer<T>>(
        &mut self,
        channel: &'a buffered::Channel<T, B>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError<T>>> {
        loop {
            let message = self.message.take().expect("polled after it was ready");
            let was_woken = is_woken(self.standing.buffered());
            let message = match channel.try_send(message) {
                Ok(()) => {
                    // If it has been woken since, that was for another slot.
                    let standing = self.standing.buffered().take();
                    channel.senders.forget(standing.filter(|_| !was_woken));
                    return Poll::Ready(Ok(()));
                }
                Err(TrySendError::Disconnected(message)) => {
                    return Poll::Ready(Err(SendError(message)));
                }
                Err(TrySendError::Full(message)) => message,
            };
            self.message = Some(message);
            let may_send = || channel.may_send();
            if channel.senders.poll(cx, self.standing.buffered(), may_send).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl<T> Future for SendFuture<'_, T> {
    type Output = Result<(), SendError<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        match &this.sender.shared.flavor {
            Flavor::Bounded(channel) => this.poll_buffered(channel, cx),
            Flavor::Unbounded(channel) => this.poll_buffered(channel, cx),
            Flavor::Zero(channel) => channel.poll_send(cx, this.standing.zero(), &mut this.message),
            Flavor::Clock(..) | Flavor::Never => unreachable!("it has no sender"),
        }
    }
}

impl<T> Drop for SendFuture<'_, T> {
    fn drop(&mut self) {
        if let Standing::Buffered(standing) = &mut self.standing {
            match &self.sender.shared.flavor {
                Flavor::Bounded(channel) => channel.senders.forget(standing.take()),
                Flavor::Unbounded(channel) => channel.senders.forget(standing.take()),
                _ => {}
            }
        }
    }
}

impl<'a, T> RecvFuture<'a, T> {
    pub(super) fn new(receiver: &'a Receiver<T>) -> Self {
        let standing = Standing::nowhere(&receiver.shared.flavor);
        Self { receiver, standing, sleeper: None }
    }

    fn poll_buffered<B: Buffer<T>>(
        &mut self,
        channel: &'a buffered::Channel<T, B>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, RecvError>> {
        loop {
            let was_woken = is_woken(self.standing.buffered());
            match channel.try_recv() {
                Ok(message) => {
                    // If it has been woken since, that was for another message.
                    let standing = self.standing.buffered().take();
                    channel.receivers.forget(standing.filter(|_| !was_woken));
                    return Poll::Ready(Ok(message));
                }
                Err(TryRecvError::Disconnected) => return Poll::Ready(Err(RecvError)),
                Err(TryRecvError::Empty) => {}
            }
            let may_recv = || channel.may_recv();
            if channel.receivers.poll(cx, self.standing.buffered(), may_recv).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl<T> Future for RecvFuture<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        match &this.receiver.shared.flavor {
            Flavor::Bounded(channel) => this.poll_buffered(channel, cx),
            Flavor::Unbounded(channel) => this.poll_buffered(channel, cx),
            Flavor::Zero(channel) => channel.poll_recv(cx, this.standing.zero()),
            Flavor::Clock(channel, message) => {
                poll_clock(channel, &mut this.sleeper, cx).map(|at| Ok(message(at)))
            }
            Flavor::Never => Poll::Pending,
        }
    }
}

fn poll_clock(
    channel: &clock::Channel,
    sleeper: &mut Option<Sleeper>,
    cx: &mut Context<'_>,
) -> Poll<Instant> {
    match sleeper {
        Some(sleeper) if !sleeper.task.is_finished() => {
            let waker = cx.waker().clone();
            let _replaced = std::mem::replace(&mut *sleeper.waker.lock(), waker);
        }
        _ => *sleeper = channel.next().map(|next| Sleeper::new(next, cx.waker())),
    }
    // Afterwards: it may have slept long enough before it had this waker.
    channel.try_recv().map_or(Poll::Pending, Poll::Ready)
}

impl<T> Drop for RecvFuture<'_, T> {
    fn drop(&mut self) {
        if let Standing::Buffered(standing) = &mut self.standing {
            match &self.receiver.shared.flavor {
                Flavor::Bounded(channel) => channel.receivers.forget(standing.take()),
                Flavor::Unbounded(channel) => channel.receivers.forget(standing.take()),
                _ => {}
            }
        }
    }
}

impl<T> fmt::Debug for SendFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendFuture").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for RecvFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvFuture").finish_non_exhaustive()
    }
}
