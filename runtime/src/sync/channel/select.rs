//! The ends of a channel as cases of a selection.

use std::time::Instant;

use super::flavor::Flavor;
use super::{Receiver, Sender, Token, waiters, zero};
use crate::sync::select::{Arm, Chosen, Registered, Standing};
use crate::wait::Selection;

use super::err::{RecvError, SendError};

impl<T> Sender<T> {
    /// Completes what a selection has chosen.
    pub(crate) fn complete(&self, token: Token, message: T) -> Result<(), SendError<T>> {
        match &self.shared.flavor {
            Flavor::Bounded(channel) => channel.complete_send(token, message),
            Flavor::Unbounded(channel) => channel.complete_send(token, message),
            Flavor::Zero(channel) => channel.complete_send(token, message),
            Flavor::Clock(..) | Flavor::Never => unreachable!("it has no sender"),
        }
    }
}

impl<T> Receiver<T> {
    /// Completes what a selection has chosen.
    pub(crate) fn complete(&self, token: Token) -> Result<T, RecvError> {
        let message = match &self.shared.flavor {
            Flavor::Bounded(channel) => channel.complete_recv(token),
            Flavor::Unbounded(channel) => channel.complete_recv(token),
            Flavor::Zero(channel) => channel.complete_recv(token),
            Flavor::Clock(channel, message) => channel.complete(token).map(message),
            Flavor::Never => None,
        };
        message.ok_or(RecvError)
    }
}

impl<T> Arm for Sender<T> {
    fn try_choose(&self) -> Option<Chosen> {
        let token = match &self.shared.flavor {
            Flavor::Bounded(channel) => channel.select_send(),
            Flavor::Unbounded(channel) => channel.select_send(),
            Flavor::Zero(channel) => channel.select_send(),
            Flavor::Clock(..) | Flavor::Never => unreachable!("it has no sender"),
        };
        token.map(Chosen::Channel)
    }

    fn is_ready(&self) -> bool {
        match &self.shared.flavor {
            Flavor::Bounded(channel) => channel.may_send(),
            Flavor::Unbounded(_) => true,
            Flavor::Zero(channel) => channel.is_ready(true),
            Flavor::Clock(..) | Flavor::Never => unreachable!("it has no sender"),
        }
    }

    fn register<'a>(
        &'a self,
        selection: &'a Selection,
        case: usize,
        watches: bool,
    ) -> Registered<'a> {
        match &self.shared.flavor {
            Flavor::Bounded(channel) => {
                let place = channel.senders.register(selection, case, watches);
                Registered::new(Buffered { arm: self, place }, channel.may_send())
            }
            Flavor::Unbounded(_) => Registered::nowhere(true),
            Flavor::Zero(channel) => register_zero(channel, selection, case, true, watches),
            Flavor::Clock(..) | Flavor::Never => unreachable!("it has no sender"),
        }
    }

    fn abandon(&self, chosen: Chosen) {
        let Chosen::Channel(token) = chosen else { return };
        match &self.shared.flavor {
            Flavor::Bounded(channel) => channel.abandon(token),
            Flavor::Unbounded(channel) => channel.abandon(token),
            Flavor::Zero(channel) => channel.abandon(token),
            Flavor::Clock(..) | Flavor::Never => {}
        }
    }
}

impl<T> Arm for Receiver<T> {
    fn try_choose(&self) -> Option<Chosen> {
        let token = match &self.shared.flavor {
            Flavor::Bounded(channel) => channel.select_recv(),
            Flavor::Unbounded(channel) => channel.select_recv(),
            Flavor::Zero(channel) => channel.select_recv(),
            Flavor::Clock(channel, _) => channel.select(),
            Flavor::Never => None,
        };
        token.map(Chosen::Channel)
    }

    fn is_ready(&self) -> bool {
        match &self.shared.flavor {
            Flavor::Bounded(channel) => channel.may_recv(),
            Flavor::Unbounded(channel) => channel.may_recv(),
            Flavor::Zero(channel) => channel.is_ready(false),
            Flavor::Clock(channel, _) => channel.is_ready(),
            Flavor::Never => false,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.shared.flavor {
            Flavor::Clock(channel, _) => channel.next(),
            _ => None,
        }
    }

    fn register<'a>(
        &'a self,
        selection: &'a Selection,
        case: usize,
        watches: bool,
    ) -> Registered<'a> {
        match &self.shared.flavor {
            Flavor::Bounded(channel) => {
                let place = channel.receivers.register(selection, case, watches);
                Registered::new(Buffered { arm: self, place }, channel.may_recv())
            }
            Flavor::Unbounded(channel) => {
                let place = channel.receivers.register(selection, case, watches);
                Registered::new(Buffered { arm: self, place }, channel.may_recv())
            }
            Flavor::Zero(channel) => register_zero(channel, selection, case, false, watches),
            Flavor::Clock(..) | Flavor::Never => Registered::nowhere(self.is_ready()),
        }
    }

    fn abandon(&self, chosen: Chosen) {
        let Chosen::Channel(token) = chosen else { return };
        match &self.shared.flavor {
            Flavor::Bounded(channel) => channel.abandon(token),
            Flavor::Unbounded(channel) => channel.abandon(token),
            Flavor::Zero(channel) => channel.abandon(token),
            Flavor::Clock(channel, _) => drop(channel.complete(token)),
            Flavor::Never => {}
        }
    }
}

/// A case that waits for a buffer.
struct Buffered<'a, A> {
    arm: &'a A,
    place: waiters::Standing<'a>,
}

impl<A: Arm> Standing for Buffered<'_, A> {
    fn synchronise(&self) {
        self.place.synchronise();
    }

    /// Woken: it tries, as everybody does.
    fn accept(self: Box<Self>) -> Option<Chosen> {
        self.arm.try_choose()
    }
}

/// A case that waits for a hand.
struct Zero<'a, T> {
    channel: &'a zero::Channel<T>,
    place: zero::Standing<'a, T>,
}

fn register_zero<'a, T>(
    channel: &'a zero::Channel<T>,
    selection: &'a Selection,
    case: usize,
    sends: bool,
    watches: bool,
) -> Registered<'a> {
    let (place, is_ready) = channel.register(selection, case, sends, watches);
    Registered::new(Zero { channel, place }, is_ready)
}

impl<T> Standing for Zero<'_, T> {
    fn synchronise(&self) {
        self.place.synchronise();
    }

    fn accept(self: Box<Self>) -> Option<Chosen> {
        self.channel.accept(self.place).map(Chosen::Channel)
    }
}
