//! Waiting for several things at a time: [`select!`](crate::select), and [`Select`] for cases that
//! are not known beforehand. With the interface of crossbeam-channel, and more kinds of cases.
//!
//! A case is a message to be received or sent, the end of a task, the cancellation of a token, a
//! notification, or the readiness of a source. A selection waits until one of them can go ahead,
//! and goes ahead with that one. Where several can, chance decides, and each is as likely as
//! another; `select_biased!` takes the first.
//!
//! # Blocking
//!
//! What waits parks its task; a plain thread blocks. There is no task for a case, and nothing
//! spins.
//!
//! # Cancellation
//!
//! A selection that may wait is a cancellation point, at entry and while it waits. Where it ends
//! so, no case has gone ahead.

mod arms;
mod err;
mod macros;
mod operation;
mod run;

use std::cell::Cell;
use std::fmt;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

pub use err::{ReadyTimeoutError, SelectTimeoutError, TryReadyError, TrySelectError};

pub(crate) use run::{Arm, Chosen, Registered, Standing};

pub use arms::Joinable;
pub(crate) use arms::sealed;
pub use operation::SelectedOperation;
#[cfg(all(test, sedge_loom))]
pub(super) use operation::give_up;

use super::Notify;
use super::channel::{Receiver, Sender};
use crate::io::Source;
use crate::task::CancelToken;
use crate::wait::{self, Limit};
use arms::{Join, Readiness};
use run::{Case, Purpose, run, try_run};

/// A selection whose cases are added one by one.
///
/// [`select`](Self::select) goes ahead with a case, which is to be completed by the operation that
/// comes back; [`ready`](Self::ready) only tells which could, and leaves it alone.
///
/// # Examples
///
/// The first message of any of many channels:
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::sync::channel::{self, Select};
///
/// sedge::run(|| {
///     let (senders, receivers): (Vec<_>, Vec<_>) =
///         (0..5).map(|_| channel::bounded(0)).unzip();
///     sedge::spawn(move || senders[3].send("here"));
///
///     let mut select = Select::new();
///     receivers.iter().for_each(|receiver| {
///         select.recv(receiver);
///     });
///     let mut messages = Vec::new();
///     while messages.len() < 5 {
///         let operation = select.select();
///         let index = operation.index();
///         messages.push((index, operation.recv(&receivers[index])));
///         select.remove(index); // The others have no sender any more.
///     }
///     assert!(messages.contains(&(3, Ok("here"))));
/// });
/// ```
#[derive(Clone)]
pub struct Select<'a> {
    cases: Vec<(usize, Entry<'a>)>,
    next_index: usize,
    biased: bool,
}

/// A case's arm: the user's channel or token, or one that is made for the case.
#[derive(Clone)]
enum Entry<'a> {
    Borrowed(&'a dyn Arm),
    Made(Rc<dyn Arm + 'a>),
}

impl<'a> Select<'a> {
    /// Makes a selection without a case, which would wait for ever.
    ///
    /// # Examples
    ///
    /// See [`Select`].
    pub fn new() -> Self {
        Self { cases: Vec::new(), next_index: 0, biased: false }
    }

    /// Makes one that prefers the cases that were added first.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::channel::{self, Select};
    ///
    /// let (urgent, urgents) = channel::bounded(1);
    /// let (usual, usuals) = channel::bounded(1);
    /// usual.send(1).unwrap();
    /// urgent.send(2).unwrap();
    /// let mut select = Select::new_biased();
    /// let first = select.recv(&urgents);
    /// select.recv(&usuals);
    /// let operation = select.select();
    /// assert_eq!(operation.index(), first);
    /// assert_eq!(operation.recv(&urgents), Ok(2));
    /// ```
    pub fn new_biased() -> Self {
        Self { biased: true, ..Self::new() }
    }

    fn add(&mut self, entry: Entry<'a>) -> usize {
        let index = self.next_index;
        self.next_index += 1;
        self.cases.push((index, entry));
        index
    }

    /// Adds the case of sending into a channel, and returns its index: they count from zero.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::channel::{self, Select};
    ///
    /// let (sender, receiver) = channel::bounded(1);
    /// let mut select = Select::new();
    /// let index = select.send(&sender);
    /// let operation = select.select();
    /// assert_eq!(operation.index(), index);
    /// operation.send(&sender, "sent").unwrap();
    /// assert_eq!(receiver.recv(), Ok("sent"));
    /// ```
    pub fn send<T>(&mut self, sender: &'a Sender<T>) -> usize {
        self.add(Entry::Borrowed(sender))
    }

    /// Adds the case of receiving from a channel, and returns its index.
    ///
    /// # Examples
    ///
    /// See [`Select`].
    pub fn recv<T>(&mut self, receiver: &'a Receiver<T>) -> usize {
        self.add(Entry::Borrowed(receiver))
    }

    /// Adds the case that a task has ended, and returns its index. Complete it with
    /// [`done`](SelectedOperation::done); joining the task waits no more then.
    ///
    /// # Panics
    ///
    /// A selection that waits, if a clone of it waits for the handle at the same time.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::channel::Select;
    ///
    /// sedge::run(|| {
    ///     let mut handle = sedge::spawn(|| 42);
    ///     let mut select = Select::new();
    ///     select.join(&mut handle);
    ///     select.select().done();
    ///     drop(select);
    ///     assert_eq!(handle.join().unwrap(), 42);
    /// });
    /// ```
    pub fn join<H: Joinable + 'a>(&mut self, handle: &'a mut H) -> usize {
        let arm = Join { handle, in_use: Cell::new(false) };
        self.add(Entry::Made(Rc::new(arm)))
    }

    /// Adds the case that a token is cancelled, and returns its index. Complete it with
    /// [`done`](SelectedOperation::done).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let token = sedge::task::CancelToken::new();
    /// let mut select = sedge::sync::channel::Select::new();
    /// select.cancelled(&token);
    /// assert!(select.try_select().is_err());
    /// token.cancel();
    /// select.select().done();
    /// ```
    pub fn cancelled(&mut self, token: &'a CancelToken) -> usize {
        self.add(Entry::Borrowed(token))
    }

    /// Adds the case of being notified, and returns its index. Complete it with
    /// [`done`](SelectedOperation::done): the notification is taken then.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let notify = sedge::sync::Notify::new();
    /// let mut select = sedge::sync::channel::Select::new();
    /// select.notified(&notify);
    /// assert!(select.try_select().is_err());
    /// notify.notify_one();
    /// select.select().done();
    /// assert!(select.try_select().is_err());
    /// ```
    pub fn notified(&mut self, notify: &'a Notify) -> usize {
        self.add(Entry::Borrowed(notify))
    }

    /// Adds the case that a source is readable, has ended, or has an error, and returns its index.
    /// Complete it with [`ready`](SelectedOperation::ready).
    ///
    /// That is asked of the kernel, by `poll(2)`. Others may read the source meanwhile, so a read
    /// that follows may have to wait.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::io::Write;
    /// use std::os::unix::net::UnixStream;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (mut near, far) = UnixStream::pair()?;
    /// let source = sedge::io::Source::new(far)?;
    /// let mut select = sedge::sync::channel::Select::new();
    /// select.readable(&source);
    /// assert!(select.try_select().is_err());
    /// near.write_all(b"ping")?;
    /// select.select().ready()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn readable<T: AsFd>(&mut self, source: &'a Source<T>) -> usize {
        self.add(Entry::Made(Rc::new(Readiness::new(source, false))))
    }

    /// Adds the case that a source is writable, or has an error, and returns its index: as
    /// [`readable`](Self::readable).
    ///
    /// # Examples
    ///
    /// See [`readable`](Self::readable).
    pub fn writable<T: AsFd>(&mut self, source: &'a Source<T>) -> usize {
        self.add(Entry::Made(Rc::new(Readiness::new(source, true))))
    }

    /// Takes a case out. The others keep their indices.
    ///
    /// # Panics
    ///
    /// If there is none with this index.
    ///
    /// # Examples
    ///
    /// See [`Select`].
    pub fn remove(&mut self, index: usize) {
        let found = self.cases.iter().position(|case| case.0 == index);
        let at = found.unwrap_or_else(|| panic!("the selection has no case {index}"));
        self.cases.remove(at);
    }

    /// Goes ahead with a case, if one is ready.
    ///
    /// # Blocking
    ///
    /// Nothing waits, but for the message of another selection, in a channel of no capacity, which
    /// was chosen and has yet to make it.
    ///
    /// # Errors
    ///
    /// [`TrySelectError`]: none is ready.
    ///
    /// # Examples
    ///
    /// See [`cancelled`](Self::cancelled).
    pub fn try_select(&mut self) -> Result<SelectedOperation<'a>, TrySelectError> {
        let found = self.with_cases(|cases, biased| try_run(cases, biased, Purpose::Choose));
        found.map(|found| self.operation(found)).ok_or(TrySelectError)
    }

    /// Goes ahead with a case, and waits until one is ready.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. No case has gone ahead then.
    ///
    /// # Panics
    ///
    /// If there is no case.
    ///
    /// # Examples
    ///
    /// See [`Select`].
    pub fn select(&mut self) -> SelectedOperation<'a> {
        assert!(!self.cases.is_empty(), "a selection without a case would wait for ever");
        let found = self.choose(Limit::Never, Purpose::Choose);
        self.operation(found.expect("there is no limit"))
    }

    /// The same, and waits for `timeout` at most.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. No case has gone ahead then.
    ///
    /// # Errors
    ///
    /// [`SelectTimeoutError`]: none was ready in time.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::channel::{self, Select};
    ///
    /// let (_sender, receiver) = channel::unbounded::<u8>();
    /// let mut select = Select::new();
    /// select.recv(&receiver);
    /// assert!(select.select_timeout(std::time::Duration::from_millis(1)).is_err());
    /// ```
    pub fn select_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        let found = self.choose(Limit::After(timeout), Purpose::Choose);
        found.map(|found| self.operation(found)).ok_or(SelectTimeoutError)
    }

    /// The same, and waits until `deadline` at most.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. No case has gone ahead then.
    ///
    /// # Errors
    ///
    /// [`SelectTimeoutError`]: none was ready in time.
    ///
    /// # Examples
    ///
    /// See [`select_timeout`](Self::select_timeout).
    pub fn select_deadline(
        &mut self,
        deadline: Instant,
    ) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        let found = self.choose(Limit::At(deadline), Purpose::Choose);
        found.map(|found| self.operation(found)).ok_or(SelectTimeoutError)
    }

    /// Returns the index of a case that is ready, if one is. Somebody else may be faster to use it.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Errors
    ///
    /// [`TryReadyError`]: none is ready.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::channel::{self, Select};
    ///
    /// let (sender, receiver) = channel::unbounded();
    /// let mut select = Select::new();
    /// let index = select.recv(&receiver);
    /// assert!(select.try_ready().is_err());
    /// sender.send(1).unwrap();
    /// assert_eq!(select.ready(), index);
    /// assert_eq!(receiver.try_recv(), Ok(1));
    /// ```
    pub fn try_ready(&mut self) -> Result<usize, TryReadyError> {
        let found = self.with_cases(|cases, biased| try_run(cases, biased, Purpose::Watch));
        found.map(|found| found.0).ok_or(TryReadyError)
    }

    /// Returns the index of a case that is ready, and waits until one is.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits.
    ///
    /// # Panics
    ///
    /// If there is no case.
    ///
    /// # Examples
    ///
    /// See [`try_ready`](Self::try_ready).
    pub fn ready(&mut self) -> usize {
        assert!(!self.cases.is_empty(), "a selection without a case would wait for ever");
        self.choose(Limit::Never, Purpose::Watch).expect("there is no limit").0
    }

    /// The same, and waits for `timeout` at most.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits.
    ///
    /// # Errors
    ///
    /// [`ReadyTimeoutError`]: none was ready in time.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::channel::{self, Select};
    ///
    /// let (_sender, receiver) = channel::unbounded::<u8>();
    /// let mut select = Select::new();
    /// select.recv(&receiver);
    /// assert!(select.ready_timeout(std::time::Duration::from_millis(1)).is_err());
    /// ```
    pub fn ready_timeout(&mut self, timeout: Duration) -> Result<usize, ReadyTimeoutError> {
        let found = self.choose(Limit::After(timeout), Purpose::Watch);
        found.map(|found| found.0).ok_or(ReadyTimeoutError)
    }

    /// The same, and waits until `deadline` at most.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits.
    ///
    /// # Errors
    ///
    /// [`ReadyTimeoutError`]: none was ready in time.
    ///
    /// # Examples
    ///
    /// See [`ready_timeout`](Self::ready_timeout).
    pub fn ready_deadline(&mut self, deadline: Instant) -> Result<usize, ReadyTimeoutError> {
        let found = self.choose(Limit::At(deadline), Purpose::Watch);
        found.map(|found| found.0).ok_or(ReadyTimeoutError)
    }

    fn choose(&self, limit: Limit, purpose: Purpose) -> Option<(usize, Chosen)> {
        wait::checkpoint();
        self.with_cases(|cases, biased| run(cases, biased, purpose, limit))
    }

    /// Calls `f` with the cases in an order of its own.
    fn with_cases(
        &self,
        f: impl FnOnce(&mut [Case<'_>], bool) -> Option<(usize, Chosen)>,
    ) -> Option<(usize, Chosen)> {
        let mut cases: Vec<_> = self
            .cases
            .iter()
            .map(|(index, entry)| Case { arm: entry.arm(), index: *index })
            .collect();
        f(&mut cases, self.biased)
    }

    fn operation(&self, (index, chosen): (usize, Chosen)) -> SelectedOperation<'a> {
        let entry =
            self.cases.iter().find(|case| case.0 == index).expect("it was chosen").1.clone();
        SelectedOperation::of(index, entry, chosen)
    }
}

impl Default for Select<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> Entry<'a> {
    fn arm(&self) -> &(dyn Arm + 'a) {
        match self {
            Self::Borrowed(arm) => *arm,
            Self::Made(arm) => &**arm,
        }
    }
}

impl fmt::Debug for Select<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Select").field("cases", &self.cases.len()).finish_non_exhaustive()
    }
}
