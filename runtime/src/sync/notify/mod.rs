//! Telling somebody that something has happened.
//!
//! # States
//!
//! - *empty*: nobody waits, and nothing is stored.
//! - *notified*: a notification is stored for who comes next. Nobody waits.
//! - *waiting*: somebody may stand in line. Set under the line's lock by who goes to stand there,
//!   and left under it by who finds the line empty.
//!
//! Without the lock only the first two change places. The word also counts the calls of
//! `notify_waiters`, under the lock, so that a future that was made before one and polled after it
//! knows.
//!
//! A wait that ends early has left the line, or was notified: it does not end early then. Only a
//! future may be dropped that was notified and has not seen it; it notifies another.
//!
//! # Memory ordering
//!
//! A notification is stored with Release, also on top of another, and taken with Acquire; so is the
//! count of calls. Who stands in line is notified by its answer.

#[cfg(all(test, sedge_loom))]
mod model;
mod notified;
mod select;

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::pin;
use std::time::{Duration, Instant};

use crate::primitive::{AtomicUsize, Ordering};
use crate::wait::{self, Caller, Limit, Locked, Place, WaitList, Wakeup, Wakeups};

pub use notified::Notified;

const EMPTY: usize = 0;
const WAITING: usize = 1;
const NOTIFIED: usize = 2;
const STATE: usize = 3;
const ONE_CALL: usize = 4;

/// Tells one waiter, or all of them, that something has happened, without saying what.
///
/// As tokio's, for tasks, threads and futures. [`notify_one`](Self::notify_one) is kept where
/// nobody waits: the next to wait need not. So it makes no difference whether the notification or
/// the wait comes first; but two that come before any wait are one. It carries no data: what
/// happened is in some shared state, at which the waiter looks when it is notified.
///
/// # Examples
///
/// A channel that holds what its sender has sent last:
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::sync::Mutex;
///
/// use sedge::sync::Notify;
///
/// #[derive(Default)]
/// struct Latest {
///     value: Mutex<Option<u32>>,
///     sent: Notify,
/// }
///
/// impl Latest {
///     fn send(&self, value: u32) {
///         *self.value.lock().unwrap() = Some(value);
///         self.sent.notify_one();
///     }
///
///     fn recv(&self) -> u32 {
///         loop {
///             if let Some(value) = self.value.lock().unwrap().take() {
///                 return value;
///             }
///             self.sent.notified();
///         }
///     }
/// }
///
/// let latest = Latest::default();
/// sedge::scope(|s| {
///     let received = s.spawn(|| latest.recv());
///     latest.send(7);
///     assert_eq!(received.join().unwrap(), 7);
/// });
/// ```
pub struct Notify {
    word: AtomicUsize,
    line: WaitList<(), Option<Sent>>,
}

/// Whom a notification was for.
#[derive(Debug, Clone, Copy)]
enum Sent {
    First,
    Last,
    All,
}

type Line<'n> = Locked<'n, (), Option<Sent>>;

// None of the user's code runs in the middle of a change.
impl UnwindSafe for Notify {}
impl RefUnwindSafe for Notify {}

impl Notify {
    /// Makes one that holds no notification.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let notify = sedge::sync::Notify::new();
    /// notify.notify_one();
    /// notify.notified();
    /// ```
    pub fn new() -> Self {
        Self { word: AtomicUsize::new(EMPTY), line: WaitList::new(()) }
    }

    /// [`new`](Self::new), for a `static`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::Notify;
    ///
    /// static RELOAD: Notify = Notify::const_new();
    ///
    /// RELOAD.notify_one();
    /// RELOAD.notified();
    /// ```
    #[cfg(not(sedge_loom))]
    pub const fn const_new() -> Self {
        Self { word: AtomicUsize::new(EMPTY), line: WaitList::new(()) }
    }

    /// Waits until it is notified, or takes the notification that is stored.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread, if no notification is stored.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. No notification is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::sync::Notify;
    ///
    /// let notify = Notify::new();
    /// sedge::scope(|s| {
    ///     let waiting = s.spawn(|| notify.notified());
    ///     notify.notify_one();
    ///     waiting.join().unwrap();
    /// });
    /// ```
    #[inline]
    pub fn notified(&self) {
        wait::checkpoint();
        let is_notified = self.wait(&mut Limit::Never);
        debug_assert!(is_notified, "a wait without a limit does not time out");
    }

    /// Waits until it is notified, for `timeout` at most. Returns whether it was.
    ///
    /// A timeout that ends later than an [`Instant`] can tell has no end.
    ///
    /// # Blocking
    ///
    /// As [`notified`](Self::notified).
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. No notification is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::time::Duration;
    ///
    /// let notify = sedge::sync::Notify::new();
    /// assert!(!notify.notified_timeout(Duration::from_millis(1)));
    /// notify.notify_one();
    /// assert!(notify.notified_timeout(Duration::ZERO));
    /// ```
    #[must_use = "it says whether there was a notification"]
    pub fn notified_timeout(&self, timeout: Duration) -> bool {
        wait::checkpoint();
        self.wait(&mut Limit::After(timeout))
    }

    /// [`notified_timeout`](Self::notified_timeout), until `deadline` at most.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let notify = sedge::sync::Notify::new();
    /// let now = std::time::Instant::now();
    /// assert!(!notify.notified_deadline(now));
    /// notify.notify_one();
    /// assert!(notify.notified_deadline(now));
    /// ```
    #[must_use = "it says whether there was a notification"]
    pub fn notified_deadline(&self, deadline: Instant) -> bool {
        wait::checkpoint();
        self.wait(&mut Limit::At(deadline))
    }

    /// [`notified`](Self::notified), for a future.
    ///
    /// It stands in line from its first poll on, or from when it is
    /// [enabled](Notified::enable); but [`notify_waiters`](Self::notify_waiters) notifies it from
    /// when it was made.
    ///
    /// # Cancellation
    ///
    /// Dropped, it leaves the line; if it was notified and has not been polled since, the
    /// notification goes to another.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let notify = sedge::sync::Notify::new();
    /// let notified = notify.notified_async();
    /// notify.notify_waiters();
    /// sedge::task::block_on(notified);
    /// ```
    pub fn notified_async(&self) -> Notified<'_> {
        Notified::new(self, calls(self.word.load(Ordering::Acquire)))
    }

    /// Notifies the waiter that has waited longest, or, if nobody waits, the next to come.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::time::Duration;
    ///
    /// let notify = sedge::sync::Notify::new();
    /// notify.notify_one();
    /// notify.notify_one();
    /// notify.notified();
    /// assert!(!notify.notified_timeout(Duration::from_millis(1)), "two were one");
    /// ```
    #[inline]
    pub fn notify_one(&self) {
        self.notify(Sent::First);
    }

    /// Notifies the waiter that came last, or, if nobody waits, the next to come.
    ///
    /// For waiters that are alike, such as the workers of a pool: the one that came last is the
    /// most likely to have its memory in the caches still. The others may starve.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::pin::pin;
    ///
    /// let notify = sedge::sync::Notify::new();
    /// let (mut first, mut last) = (pin!(notify.notified_async()), pin!(notify.notified_async()));
    /// assert!(!first.as_mut().enable() && !last.as_mut().enable());
    /// notify.notify_last();
    /// assert!(!first.as_mut().enable() && last.as_mut().enable());
    /// ```
    #[inline]
    pub fn notify_last(&self) {
        self.notify(Sent::Last);
    }

    /// Notifies all who wait now, and stores nothing for those who come later.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::time::Duration;
    ///
    /// let notify = sedge::sync::Notify::new();
    /// notify.notify_waiters();
    /// assert!(!notify.notified_timeout(Duration::from_millis(1)));
    ///
    /// let futures = [notify.notified_async(), notify.notified_async()];
    /// notify.notify_waiters();
    /// futures.into_iter().for_each(sedge::task::block_on);
    /// ```
    pub fn notify_waiters(&self) {
        let mut wakeups = Wakeups::default();
        {
            let mut line = self.line.lock();
            let before = self.word.fetch_add(ONE_CALL, Ordering::Release);
            if before & STATE != WAITING {
                return;
            }
            while let Some(mut next) = line.choose(0) {
                *next = Some(Sent::All);
                wakeups.push(next.answer());
            }
            self.leave_waiting();
        }
        wakeups.deliver();
    }

    #[inline]
    fn notify(&self, sent: Sent) {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & STATE != WAITING {
            match self.exchange(word, word & !STATE | NOTIFIED) {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
        self.notify_slow(sent);
    }

    #[inline(never)]
    fn notify_slow(&self, sent: Sent) {
        let wakeup = {
            let mut line = self.line.lock();
            let next = match sent {
                Sent::Last => line.choose_last(0),
                Sent::First | Sent::All => line.choose(0),
            };
            let Some(mut next) = next else { return self.store() };
            *next = Some(sent);
            let wakeup = next.answer();
            if line.is_empty(0) {
                self.leave_waiting();
            }
            wakeup
        };
        wakeup.into_iter().for_each(Wakeup::deliver);
    }

    /// Under the lock: stores a notification, as there is nobody in line.
    fn store(&self) {
        let mut word = self.word.load(Ordering::Relaxed);
        while let Err(now) = self.exchange(word, word & !STATE | NOTIFIED) {
            word = now;
        }
    }

    /// Under the lock: there is nobody in line. The count stays.
    fn leave_waiting(&self) {
        self.word.fetch_and(!STATE, Ordering::Release);
    }

    #[inline]
    fn exchange(&self, from: usize, to: usize) -> Result<usize, usize> {
        self.word.compare_exchange_weak(from, to, Ordering::AcqRel, Ordering::Acquire)
    }

    /// Takes the notification that is stored.
    #[inline]
    fn take(&self) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & STATE == NOTIFIED {
            match self.exchange(word, word & !STATE) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// Under the lock: takes what is stored, or says that somebody will stand in line. For who has
    /// seen this many `calls`, another one will do.
    fn take_or_expect(&self, _line: &Line<'_>, seen: Option<usize>) -> bool {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if seen.is_some_and(|seen| seen != calls(word)) {
                return true;
            }
            let is_notified = word & STATE == NOTIFIED;
            let next = if is_notified { EMPTY } else { WAITING };
            match self.exchange(word, word & !STATE | next) {
                Ok(_) => return is_notified,
                Err(now) => word = now,
            }
        }
    }

    /// Whether it was notified within `limit`.
    #[inline]
    fn wait(&self, limit: &mut Limit) -> bool {
        self.take() || self.wait_slow(limit)
    }

    #[inline(never)]
    fn wait_slow(&self, limit: &mut Limit) -> bool {
        let mut place = pin!(Place::new(&self.line, None));
        let caller = Caller::now();
        place.as_mut().begin(Some(caller.waiter()));
        {
            let mut line = self.line.lock();
            if self.take_or_expect(&line, None) {
                return true;
            }
            line.push_back(0, place.as_ref());
        }
        place.as_mut().wait(caller, limit).is_ok()
    }
}

fn calls(word: usize) -> usize {
    word / ONE_CALL
}

impl Default for Notify {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_notified = self.word.load(Ordering::Relaxed) & STATE == NOTIFIED;
        f.debug_struct("Notify").field("notified", &is_notified).finish_non_exhaustive()
    }
}
