//! One call on a source: try, wait, try again.

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::entry::HeldWake;
use super::home;
use super::readiness::{Direction, Snapshot};
use super::source::Source;
use super::sys;
use crate::wait::{self, Limit, TimedOut};
use crate::{clock, task};

/// One operation on a [`Source`], in one direction: made by [`Source::reading`] and
/// [`Source::writing`], limited in time if need be, then run.
///
/// # Blocking
/// [`run`](Self::run), [`transfer`](Self::transfer) and [`ready`](Self::ready) park the task; on a
/// plain thread and in `no_park` they block the thread. [`once`](Self::once) does neither.
///
/// # Cancellation
/// They are cancellation points, at entry and while they wait. In a destructor of a task that is
/// being cancelled, where they would wait, they return an error of the kind `Other`.
///
/// # Errors
/// What the operation returns, `WouldBlock` excepted. When time is up, `WouldBlock` (`EAGAIN`), as
/// a socket's `SO_RCVTIMEO` gives it on Linux; no operation is given up without a last try. When it
/// has to wait: `Unsupported` for a file that epoll refuses, `AlreadyExists` for a descriptor that
/// another source has, `QuotaExceeded` at the limit on registrations.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use std::time::Duration;
/// # fn main() -> std::io::Result<()> {
/// # let source = sedge::io::Source::new(std::net::UdpSocket::bind("127.0.0.1:0")?)?;
/// let mut buf = [0; 1500];
/// let soon = Some(Duration::from_millis(1));
/// match source.reading().timeout(soon).run(|s| s.recv(&mut buf)) {
///     Ok(n) => println!("{n} bytes"),
///     Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => println!("nothing came"),
///     Err(e) => return Err(e),
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "an operation does nothing before it is run"]
pub struct Operation<'a, T: AsFd> {
    source: &'a Source<T>,
    direction: Direction,
    timeout: Option<Duration>,
    deadline: Option<Instant>,
}

impl<'a, T: AsFd> Operation<'a, T> {
    pub(super) const fn new(source: &'a Source<T>, direction: Direction) -> Self {
        Self { source, direction, timeout: None, deadline: None }
    }

    /// Gives up when it has waited for `timeout` in all; `None`, the default, is for ever. The
    /// clock is read only if the operation has to wait.
    ///
    /// # Examples
    /// See [`Operation`].
    pub const fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    /// Gives up at `deadline`; `None`, the default, is never. With a timeout too, the earlier
    /// counts.
    ///
    /// An operation that succeeds at once succeeds even if the deadline has passed.
    ///
    /// # Examples
    /// ```
    /// use std::time::{Duration, Instant};
    /// # use sedge_runtime as sedge;
    /// # use std::net::UdpSocket;
    /// # fn main() -> std::io::Result<()> {
    /// # let source = sedge::io::Source::new(UdpSocket::bind("127.0.0.1:0")?)?;
    /// # source.get_ref().connect(source.get_ref().local_addr()?)?;
    /// let deadline = Instant::now() + Duration::from_secs(1);
    /// let mut buf = [0; 1500];
    /// source.writing().deadline(Some(deadline)).run(|s| s.send(b"ping"))?;
    /// source.reading().deadline(Some(deadline)).run(|s| s.recv(&mut buf))?;
    /// # Ok(())
    /// # }
    /// ```
    pub const fn deadline(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }

    /// Calls `op` until it returns something else than `WouldBlock`, waiting in between.
    ///
    /// `op` is not called at all as long as the source is known not to be ready.
    ///
    /// # Errors
    /// Those of [`Operation`].
    ///
    /// # Examples
    /// See [`Operation`].
    #[inline]
    pub fn run<R>(self, op: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.drive(op, |_| false)
    }

    /// The same for an operation that moves up to `len` bytes and returns how many. If the source
    /// trusts short counts ([`Source::trust_short_counts`]), a count between zero and `len` says
    /// that the source is not ready any more.
    ///
    /// # Errors
    /// Those of [`Operation`].
    ///
    /// # Examples
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::io::{Read, Write};
    /// # fn main() -> std::io::Result<()> {
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = std::net::TcpStream::connect(listener.local_addr()?)?;
    /// # listener.accept()?.0.write_all(b"ping")?;
    /// let source = sedge::io::Source::new(stream)?.trust_short_counts(true);
    /// let mut buf = [0; 4096];
    /// let n = source.reading().transfer(buf.len(), |mut s| s.read(&mut buf))?;
    /// assert_eq!(&buf[..n], b"ping");
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn transfer(
        self,
        len: usize,
        op: impl FnMut(&T) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.drive(op, |&n| 0 < n && n < len)
    }

    /// Waits until the kernel says, by `poll(2)`, that the source is ready in this direction, has
    /// ended, or has an error.
    ///
    /// # Errors
    /// Those of `poll(2)`, and those of [`Operation`].
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// # use sedge_runtime as sedge;
    /// # use std::net::UdpSocket;
    /// # fn main() -> std::io::Result<()> {
    /// # let source = sedge::io::Source::new(UdpSocket::bind("127.0.0.1:0")?)?;
    /// # source.get_ref().connect(source.get_ref().local_addr()?)?;
    /// let soon = Some(Duration::from_millis(1));
    /// let error = source.reading().timeout(soon).ready().unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    /// source.writing().timeout(soon).ready()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn ready(self) -> io::Result<()> {
        let direction = self.direction;
        self.run(|source| poll_now(source, direction))
    }

    /// Calls `op` once, and does not wait: for sources in a mode in which calls say `WouldBlock`.
    /// The limits in time have no effect.
    ///
    /// What calling `op` on [`Source::get_ref`] lacks: a loop of these calls lets other tasks run
    /// now and then, and ends when its task is cancelled.
    ///
    /// # Blocking
    /// Neither parks nor blocks.
    ///
    /// # Cancellation
    /// A cancellation point, at entry.
    ///
    /// # Errors
    /// Those of `op`, `WouldBlock` included.
    ///
    /// # Examples
    /// ```
    /// # use sedge_runtime as sedge;
    /// # use std::net::UdpSocket;
    /// # fn main() -> std::io::Result<()> {
    /// let source = sedge::io::Source::new(UdpSocket::bind("127.0.0.1:0")?)?;
    /// let error = source.reading().once(|s| s.recv(&mut [0; 1500])).unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn once<R>(self, op: impl FnOnce(&T) -> io::Result<R>) -> io::Result<R> {
        wait::checkpoint();
        op(self.source.get_ref())
    }

    #[inline]
    fn drive<R>(
        self,
        mut op: impl FnMut(&T) -> io::Result<R>,
        was_short: impl Fn(&R) -> bool,
    ) -> io::Result<R> {
        wait::checkpoint();
        let registration = self.source.registration();
        let mut seen = registration.snapshot();
        let mut next = if seen.is_ready(self.direction) { Next::Try } else { Next::Wait };
        let mut waiting = Waiting::new(&self);
        loop {
            if next != Next::Wait {
                match op(self.source.get_ref()) {
                    Ok(r) => {
                        if was_short(&r) {
                            registration.note_short_count(seen, self.direction);
                        }
                        return Ok(r);
                    }
                    Err(e) if e.kind() != io::ErrorKind::WouldBlock => return Err(e),
                    Err(_) if next == Next::TryLast => return Err(timed_out()),
                    Err(_) => {}
                }
            }
            (seen, next) = waiting.wait(self.source, seen, next)?;
        }
    }
}

/// What an operation does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Wait,
    Try,
    /// Time is up.
    TryLast,
}

/// An operation between its tries.
struct Waiting {
    direction: Direction,
    /// Taken when it first waits.
    timeout: Option<Duration>,
    limit: Limit,
    held: HeldWake,
    /// How often `poll(2)` has said that a try makes sense.
    polls: u32,
}

impl Waiting {
    fn new<T: AsFd>(operation: &Operation<'_, T>) -> Self {
        Self {
            direction: operation.direction,
            timeout: operation.timeout,
            limit: operation.deadline.into(),
            held: HeldWake::none(operation.direction),
            polls: 0,
        }
    }

    /// Waits until another try makes sense. `last` says whether one, made after `seen` was loaded,
    /// has just found nothing, or was not worth while.
    #[inline(never)]
    fn wait<T: AsFd>(
        &mut self,
        source: &Source<T>,
        seen: Snapshot,
        last: Next,
    ) -> io::Result<(Snapshot, Next)> {
        if let Some(refusal) = wait::refusal() {
            return Err(refusal);
        }
        if let Some(timeout) = self.timeout.take() {
            self.limit = Limit::After(timeout).or_at(self.limit.deadline());
        }
        let registration = source.registration();
        let entry = registration.entry();
        let fresh = home::with_current(|here| {
            here.map(|here| entry.register(here, source.as_fd(), registration.interest()))
        });
        let Some(fresh) = fresh else {
            let next = self.block(source, last)?;
            return Ok((registration.snapshot(), next));
        };
        // What the readiness was before the call that found nothing; or before an ADD that has
        // reported anything that call missed.
        let before = fresh?.or((last == Next::Try).then_some(seen));
        if let Some(before) = before {
            entry.readiness().clear(before, self.direction);
        }
        let ready = || entry.ready(self.direction);
        match entry.queue(self.direction).wait_unless_refused(&mut self.limit, ready) {
            Ok(seen) => {
                let seen = seen?;
                self.held.hold(entry);
                Ok((seen, Next::Try))
            }
            Err(TimedOut) => Ok((registration.snapshot(), Next::TryLast)),
        }
    }

    /// Waits on a thread that is no worker's, or not to be parked. It has no use for the readiness:
    /// it asks the kernel, and first of all by the operation itself.
    fn block<T: AsFd>(&mut self, source: &Source<T>, last: Next) -> io::Result<Next> {
        if last == Next::Wait {
            return Ok(Next::Try);
        }
        let deadline = self.limit.deadline();
        self.limit = deadline.into();
        self.pause(deadline);
        loop {
            if let Some(refusal) = wait::refusal() {
                return Err(refusal);
            }
            let look = [wait::next_look(deadline), task::refused_at(), task::next_look_at_flags()];
            let look = look.into_iter().flatten().min();
            let now = clock::now();
            let next = if deadline.is_some_and(|at| at <= now) { Next::TryLast } else { Next::Try };
            let left = look.map(|at| at.saturating_duration_since(now));
            match sys::poll(source.as_fd(), self.direction.poll_bits(), left) {
                Ok(true) => {
                    self.polls = self.polls.saturating_add(1);
                    return Ok(next);
                }
                Ok(false) if next == Next::TryLast => return Ok(next),
                Ok(false) => {
                    let _jumped = look.is_some_and(clock::jump_to);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Waits a moment if the last poll's word was worth nothing, and longer each time. What another
    /// reader has taken meanwhile costs a few microseconds; what the operation never takes, such as
    /// a hang-up that it does not care about, does not cost a CPU.
    fn pause(&self, deadline: Option<Instant>) {
        const FIRST: Duration = Duration::from_micros(1);
        const LONGEST: Duration = Duration::from_millis(1);
        let Some(fruitless) = self.polls.checked_sub(1) else { return };
        let pause = FIRST.saturating_mul(1 << fruitless.min(10)).min(LONGEST);
        #[expect(clippy::disallowed_methods, reason = "it is the thread that waits here")]
        std::thread::sleep(match deadline {
            Some(at) => pause.min(at.saturating_duration_since(Instant::now())),
            None => pause,
        });
    }
}

/// What `SO_RCVTIMEO` gives on Linux.
fn timed_out() -> io::Error {
    io::Error::from_raw_os_error(libc::EAGAIN)
}

/// `WouldBlock`, unless the kernel says that the source is ready.
pub(super) fn poll_now(source: &impl AsFd, direction: Direction) -> io::Result<()> {
    if sys::poll(source.as_fd(), direction.poll_bits(), Some(Duration::ZERO))? {
        Ok(())
    } else {
        Err(timed_out())
    }
}

impl<T: AsFd> fmt::Debug for Operation<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation")
            .field("fd", &self.source.as_fd())
            .field("direction", &self.direction)
            .field("timeout", &self.timeout)
            .field("deadline", &self.deadline)
            .finish()
    }
}
