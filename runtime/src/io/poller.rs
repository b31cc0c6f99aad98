//! An epoll instance: one for each worker.
//!
//! Its owner polls it between tasks and sleeps in it; while the owner is stuck in a task, the
//! monitor may poll in its place. Anybody may [`wake`](Poller::wake) it, and register sources.
//!
//! Everything is edge-triggered, the eventfd and the timerfd included, which are therefore never
//! read: each write to the one, and each time that the other's time comes, is an edge.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::entry::Token;
use super::readiness::Report;
use super::slab;
use super::sys::{self, Event, Events};

/// What a source is registered for, besides both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interest {
    /// Nothing.
    Plain,
    /// Out-of-band data, which ends the trust in short counts.
    Priority,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
    wakeup: OwnedFd,
    /// Stored with Release before the waiters are roused, loaded with Acquire: who was roused sees
    /// it through the readiness word in any case.
    retired: AtomicBool,
    /// How many sources are registered. Relaxed: a figure, for who decides whether to ask.
    sources: AtomicUsize,
}

/// Wakes a poller when its time comes. The time is over, too, when this is dropped.
#[derive(Debug)]
pub(crate) struct TimerFd(OwnedFd);

impl TimerFd {
    /// Has it wake its poller once, after `time`, which is not zero, instead of when it was to.
    pub(crate) fn set(&self, time: Duration) -> io::Result<()> {
        sys::timerfd_set(self.0.as_fd(), time)
    }
}

impl Poller {
    /// # Errors
    /// Those of `epoll_create1(2)` and `eventfd(2)`: `EMFILE`, `ENFILE`, `ENOMEM`.
    pub(crate) fn new() -> io::Result<Self> {
        let poller = Self {
            epoll: sys::epoll_create()?,
            wakeup: sys::eventfd()?,
            retired: AtomicBool::new(false),
            sources: AtomicUsize::new(0),
        };
        poller.add_wakeup(poller.wakeup.as_fd())?;
        Ok(poller)
    }

    /// Has an edge of `fd` end a [`poll`](Self::poll) without an event.
    fn add_wakeup(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        let event = Event { token: Token::WAKEUP, bits: (libc::EPOLLIN | libc::EPOLLET) as u32 };
        sys::epoll_add(self.epoll.as_fd(), fd.as_raw_fd(), event)
    }

    /// # Errors
    /// Those of `timerfd_create(2)`: `EMFILE`, `ENFILE`, `ENOMEM`.
    pub(crate) fn add_timerfd(&self) -> io::Result<TimerFd> {
        let timerfd = sys::timerfd()?;
        self.add_wakeup(timerfd.as_fd())?;
        Ok(TimerFd(timerfd))
    }

    /// Waits for events, at most until `timeout` passes (`None`: for ever; zero: not at all), and
    /// dispatches them: sets readiness and wakes waiters. Returns how many sources had one.
    ///
    /// May return early, with none, after a [`wake`](Self::wake) or a signal.
    ///
    /// # Errors
    /// None that a running program meets: `EBADF` and the like would be a bug.
    pub(crate) fn poll(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<usize> {
        sys::epoll_wait(self.epoll.as_fd(), events, timeout)?;
        let mut sources = 0;
        for Event { token, bits } in events.iter() {
            if token != Token::WAKEUP {
                Token::dispatch(token, Report::from_epoll(bits));
                sources += 1;
            }
        }
        Ok(sources)
    }

    /// Asks without waiting, in the owner's place. A wake that comes out is the owner's, who may be
    /// about to sleep: it is given back.
    pub(crate) fn poll_for_owner(&self, events: &mut Events) -> io::Result<usize> {
        let result = self.poll(events, Some(Duration::ZERO));
        if events.iter().any(|event| event.token == Token::WAKEUP) {
            self.wake();
        }
        result
    }

    /// Ends the present [`poll`](Self::poll), or else the next, without an event. Never waits.
    pub(crate) fn wake(&self) {
        sys::eventfd_add_one(self.wakeup.as_fd());
    }

    /// Nobody will poll this any more. Waits that rely on it are woken, and register elsewhere.
    ///
    /// A worker calls this when its tasks have ended, after its last poll. Looks at every entry of
    /// the slab.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        for entry in slab::all() {
            entry.abandon_home(self);
        }
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// Tells pollers apart, as long as they live. Never zero.
    pub(super) fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    pub(super) fn add(
        &self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        let bits = libc::EPOLLIN
            | libc::EPOLLOUT
            | libc::EPOLLRDHUP
            | libc::EPOLLET
            | match interest {
                Interest::Plain => 0,
                Interest::Priority => libc::EPOLLPRI,
            };
        let event = Event { token: token.to_u64(), bits: bits as u32 };
        // Counted before: a source is never missed, if an event is expected in vain.
        self.sources.fetch_add(1, Ordering::Relaxed);
        sys::epoll_add(self.epoll.as_fd(), fd.as_raw_fd(), event).map_err(|error| {
            self.sources.fetch_sub(1, Ordering::Relaxed);
            explain(error)
        })
    }

    /// Removes a descriptor that [`add`](Self::add) has added.
    pub(super) fn delete(&self, fd: RawFd) {
        // ENOENT or EBADF: somebody has closed the descriptor behind its owner's back. Whatever
        // epoll still says about it finds nobody.
        let _ = sys::epoll_delete(self.epoll.as_fd(), fd);
        self.sources.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether any source is registered, so that asking without waiting may find something.
    pub(crate) fn has_sources(&self) -> bool {
        self.sources.load(Ordering::Relaxed) > 0
    }
}

/// Says in words what epoll says in a number, where the number misleads.
fn explain(e: io::Error) -> io::Error {
    match e.raw_os_error() {
        Some(libc::EPERM) => io::Error::new(
            io::ErrorKind::Unsupported,
            "epoll cannot wait for this kind of file (a regular file or a directory): \
             use sedge_runtime::blocking",
        ),
        Some(libc::EEXIST) => io::Error::new(
            io::ErrorKind::AlreadyExists,
            "the descriptor is already in another Source: share that one, or duplicate the \
             descriptor",
        ),
        Some(libc::ENOSPC) => io::Error::new(
            io::ErrorKind::QuotaExceeded,
            "the limit on epoll registrations is reached: raise fs.epoll.max_user_watches",
        ),
        _ => e,
    }
}
