//! What a selection goes ahead with.

use std::{fmt, io};

use super::Entry;
use super::run::Chosen;
use crate::sync::channel::{Receiver, RecvError, SendError, Sender};

/// The case that a selection goes ahead with. To be completed by the method that belongs to the
/// case: dropped without, it panics.
///
/// # Examples
///
/// See [`Select`](super::Select).
#[must_use = "the case that was chosen is to be completed"]
pub struct SelectedOperation<'a> {
    index: usize,
    /// None for the default case of `select!`.
    entry: Option<Entry<'a>>,
    chosen: Chosen,
    is_complete: bool,
}

impl<'a> SelectedOperation<'a> {
    pub(super) fn of(index: usize, entry: Entry<'a>, chosen: Chosen) -> Self {
        Self { index, entry: Some(entry), chosen, is_complete: false }
    }

    /// That of the default case of `select!`, which has no index.
    #[doc(hidden)]
    pub fn none() -> Self {
        Self { index: usize::MAX, entry: None, chosen: Chosen::Ready, is_complete: true }
    }

    /// Whether it is the case of this arm.
    fn is_of<A>(&self, arm: &A) -> bool {
        self.entry.as_ref().is_some_and(|entry| std::ptr::addr_eq(entry.arm(), arm))
    }

    /// Returns the index of the case.
    ///
    /// # Examples
    ///
    /// See [`Select`](super::Select).
    pub fn index(&self) -> usize {
        self.index
    }

    /// Completes the case of sending.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Errors
    ///
    /// The message, if all receivers are gone.
    ///
    /// # Panics
    ///
    /// If `sender` is not that of the case.
    ///
    /// # Examples
    ///
    /// See [`Select::send`](super::Select::send).
    pub fn send<T>(mut self, sender: &Sender<T>, message: T) -> Result<(), SendError<T>> {
        assert!(self.is_of(sender), "the selection has chosen another case than this sender's");
        let Chosen::Channel(token) = self.take() else { unreachable!("it is a channel's") };
        sender.complete(token, message)
    }

    /// Completes the case of receiving.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Errors
    ///
    /// [`RecvError`]: the channel is empty and all senders are gone.
    ///
    /// # Panics
    ///
    /// If `receiver` is not that of the case.
    ///
    /// # Examples
    ///
    /// See [`Select`](super::Select).
    pub fn recv<T>(mut self, receiver: &Receiver<T>) -> Result<T, RecvError> {
        assert!(self.is_of(receiver), "the selection has chosen another case than this receiver's");
        let Chosen::Channel(token) = self.take() else { unreachable!("it is a channel's") };
        receiver.complete(token)
    }

    /// Completes a case that there is nothing to do for: the end of a task, a token,
    /// or a notification.
    ///
    /// # Panics
    ///
    /// If the case is a channel's.
    ///
    /// # Examples
    ///
    /// See [`Select::join`](super::Select::join).
    pub fn done(mut self) {
        assert_eq!(self.chosen, Chosen::Ready, "the selection has chosen a channel");
        self.take();
    }

    /// Completes the case of a source.
    ///
    /// # Errors
    ///
    /// Why the source cannot be waited for: as [`Source::readable`](crate::io::Source::readable).
    ///
    /// # Panics
    ///
    /// If the case is a channel's.
    ///
    /// # Examples
    ///
    /// See [`Select::readable`](super::Select::readable).
    pub fn ready(mut self) -> io::Result<()> {
        assert_eq!(self.chosen, Chosen::Ready, "the selection has chosen a channel");
        self.take();
        let error = self.entry.as_ref().and_then(|entry| entry.arm().take_error());
        error.map_or(Ok(()), Err)
    }

    fn take(&mut self) -> Chosen {
        self.is_complete = true;
        self.chosen
    }
}

impl Drop for SelectedOperation<'_> {
    fn drop(&mut self) {
        let Some(entry) = self.entry.as_ref().filter(|_| !self.is_complete) else { return };
        entry.arm().abandon(self.chosen);
        if !std::thread::panicking() {
            panic!("a selected operation is dropped without being completed");
        }
    }
}

impl fmt::Debug for SelectedOperation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SelectedOperation").field("index", &self.index).finish_non_exhaustive()
    }
}

/// Drops an operation as an unwind would.
#[cfg(all(test, sedge_loom))]
pub(crate) fn give_up(mut operation: SelectedOperation<'_>) {
    let entry = operation.entry.take().expect("it was chosen");
    entry.arm().abandon(operation.take());
}
