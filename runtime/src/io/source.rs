//! [`Source`]: anything with a pollable descriptor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::operation::Operation;
use super::poller::Interest;
use super::readiness::Direction;
use super::registration::Registration;
use super::sys;

/// A value with a file descriptor, whose operations park the calling task instead of blocking its
/// worker.
///
/// The descriptor is one that epoll accepts: a socket, a pipe, a terminal, an eventfd, a timerfd, a
/// device. A `Source` wraps its owner and hands out shared references to it only, so that the
/// descriptor stays open for as long as the netpoller knows it.
///
/// Any number of tasks, threads and futures may use one source at a time, for reading and for
/// writing; waiters are woken first come, first served, one for each event, and who is woken and
/// leaves something behind wakes the next.
///
/// A duplicate of the descriptor (`try_clone`, `dup`) in another `Source` waits on its own. The
/// same descriptor in two sources is refused when the second waits.
///
/// # Examples
///
/// A pair of sockets, of a kind that no type in this workspace wraps:
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::io::Source;
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
///
/// # fn main() -> std::io::Result<()> {
/// sedge::run(|| {
///     let (a, b) = UnixStream::pair()?;
///     let (a, b) = (Source::new(a)?, Source::new(b)?);
///     let reader = sedge::spawn(move || {
///         let mut buf = [0; 4];
///         let n = b.read_with(|mut s| s.read(&mut buf))?;
///         Ok::<_, std::io::Error>(buf[..n].to_vec())
///     });
///     a.write_with(|mut s| s.write(b"ping"))?;
///     assert_eq!(reader.join().unwrap()?, b"ping");
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct Source<T: AsFd> {
    // Fields are dropped in this order: the registration ends before the descriptor is closed.
    registration: Registration,
    inner: T,
}

impl<T: AsFd> Source<T> {
    /// Wraps `inner`, and sets `O_NONBLOCK` on its descriptor.
    ///
    /// The flag belongs to the open file: duplicates of the descriptor, and children that inherit
    /// it, have it too. It stays set when the source ends.
    ///
    /// Nothing is registered before something has to wait, so files that epoll refuses are not
    /// found out here.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    ///
    /// # Examples
    /// ```
    /// # use sedge_runtime as sedge;
    /// # fn main() -> std::io::Result<()> {
    /// let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    /// let source = sedge::io::Source::new(socket)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(inner: T) -> io::Result<Self> {
        sys::set_nonblocking(inner.as_fd())?;
        Ok(Self::assume_nonblocking(inner))
    }

    /// Wraps `inner` as it is: either its descriptor has `O_NONBLOCK`, or every operation that it
    /// is used with asks for no waiting by itself (`MSG_DONTWAIT`, `RWF_NOWAIT`). An operation that
    /// waits all the same blocks its worker.
    ///
    /// # Examples
    /// ```
    /// # use sedge_runtime as sedge;
    /// # fn main() -> std::io::Result<()> {
    /// let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    /// socket.set_nonblocking(true)?;
    /// let source = sedge::io::Source::assume_nonblocking(socket);
    /// # Ok(())
    /// # }
    /// ```
    pub const fn assume_nonblocking(inner: T) -> Self {
        Self { registration: Registration::new(Interest::Plain), inner }
    }

    /// Whether [`Operation::transfer`] concludes from a short count that nothing is left, which
    /// saves the system call that would say so. Off by default.
    ///
    /// **For TCP streams only.** Elsewhere data may be queued behind a short read without a further
    /// event: Unix streams after a descriptor was passed, terminals, pipes in packet mode, inotify,
    /// datagrams, kernel TLS. A read that is never told of it waits for ever.
    ///
    /// # Examples
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::net::TcpStream;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let addr = listener.local_addr()?;
    /// let source = sedge::io::Source::new(TcpStream::connect(addr)?)?.trust_short_counts(true);
    /// assert!(source.trusts_short_counts());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn trust_short_counts(mut self, trust: bool) -> Self {
        // What is registered already was registered for the other interest.
        let interest = if trust { Interest::Priority } else { Interest::Plain };
        self.registration = Registration::new(interest);
        self
    }

    /// What [`trust_short_counts`](Self::trust_short_counts) has set. Off by default.
    ///
    /// # Examples
    /// See [`trust_short_counts`](Self::trust_short_counts).
    pub fn trusts_short_counts(&self) -> bool {
        self.registration.interest() == Interest::Priority
    }

    /// The wrapped value. Its descriptor must not be put into non-waiting operations' way by
    /// clearing `O_NONBLOCK`; all else is allowed.
    ///
    /// # Examples
    /// ```
    /// # use sedge_runtime as sedge;
    /// # use std::net::UdpSocket;
    /// # fn main() -> std::io::Result<()> {
    /// # let source = sedge::io::Source::new(UdpSocket::bind("127.0.0.1:0")?)?;
    /// assert!(source.get_ref().local_addr()?.ip().is_loopback());
    /// # Ok(())
    /// # }
    /// ```
    pub const fn get_ref(&self) -> &T {
        &self.inner
    }

    /// Takes the value out, and its descriptor out of the netpoller. `O_NONBLOCK` stays as it is.
    ///
    /// # Examples
    /// ```
    /// # use sedge_runtime as sedge;
    /// # use std::net::UdpSocket;
    /// # fn main() -> std::io::Result<()> {
    /// # let source = sedge::io::Source::new(UdpSocket::bind("127.0.0.1:0")?)?;
    /// let socket = source.into_inner();
    /// socket.set_nonblocking(false)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_inner(self) -> T {
        let Self { registration, inner } = self;
        drop(registration);
        inner
    }

    /// Begins an operation that reads: one that waits until there is something to read, or to
    /// accept.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// # use sedge_runtime as sedge;
    /// # use std::net::UdpSocket;
    /// # fn main() -> std::io::Result<()> {
    /// # let source = sedge::io::Source::new(UdpSocket::bind("127.0.0.1:0")?)?;
    /// # source.get_ref().connect(source.get_ref().local_addr()?)?;
    /// # source.get_ref().send(b"ping")?;
    /// let mut buf = [0; 1500];
    /// let one_second = Some(Duration::from_secs(1));
    /// let (n, from) = source.reading().timeout(one_second).run(|s| s.recv_from(&mut buf))?;
    /// assert_eq!(&buf[..n], b"ping");
    /// # Ok(())
    /// # }
    /// ```
    pub const fn reading(&self) -> Operation<'_, T> {
        Operation::new(self, Direction::Read)
    }

    /// Begins an operation that writes: one that waits until there is room.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// # use sedge_runtime as sedge;
    /// # use std::net::UdpSocket;
    /// # fn main() -> std::io::Result<()> {
    /// # let source = sedge::io::Source::new(UdpSocket::bind("127.0.0.1:0")?)?;
    /// # source.get_ref().connect(source.get_ref().local_addr()?)?;
    /// let one_second = Some(Duration::from_secs(1));
    /// source.writing().timeout(one_second).run(|s| s.send(b"ping"))?;
    /// # Ok(())
    /// # }
    /// ```
    pub const fn writing(&self) -> Operation<'_, T> {
        Operation::new(self, Direction::Write)
    }

    /// Calls `op` until it returns something else than `WouldBlock`, waiting in between until the
    /// source may be readable: [`reading`](Self::reading) without a time limit.
    ///
    /// # Blocking
    /// Parks the task, or blocks a plain thread.
    ///
    /// # Cancellation
    /// A cancellation point, at entry and while it waits. In a task that is being cancelled, where
    /// it would wait, it returns an error.
    ///
    /// # Errors
    /// What `op` returns, `WouldBlock` excepted; and when it has to wait: `Unsupported` for a file
    /// that epoll refuses, `AlreadyExists` for a descriptor that another source has,
    /// `QuotaExceeded` at the limit on registrations, `Other` in a destructor of a task that is
    /// being cancelled.
    ///
    /// # Examples
    /// ```
    /// # use sedge_runtime as sedge;
    /// # use std::net::UdpSocket;
    /// # fn main() -> std::io::Result<()> {
    /// # let source = sedge::io::Source::new(UdpSocket::bind("127.0.0.1:0")?)?;
    /// # source.get_ref().connect(source.get_ref().local_addr()?)?;
    /// # source.get_ref().send(b"ping")?;
    /// let mut buf = [0; 1500];
    /// let (n, from) = source.read_with(|s| s.recv_from(&mut buf))?;
    /// assert_eq!(&buf[..n], b"ping");
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn read_with<R>(&self, op: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.reading().run(op)
    }

    /// Calls `op` until it returns something else than `WouldBlock`, waiting in between until the
    /// source may be writable: [`writing`](Self::writing) without a time limit.
    ///
    /// Blocking, cancellation and errors are those of [`read_with`](Self::read_with).
    ///
    /// # Examples
    /// ```
    /// # use sedge_runtime as sedge;
    /// # use std::net::UdpSocket;
    /// # fn main() -> std::io::Result<()> {
    /// # let source = sedge::io::Source::new(UdpSocket::bind("127.0.0.1:0")?)?;
    /// # source.get_ref().connect(source.get_ref().local_addr()?)?;
    /// assert_eq!(source.write_with(|s| s.send(b"ping"))?, 4);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn write_with<R>(&self, op: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.writing().run(op)
    }

    /// Waits until the source is readable, has ended, or has an error.
    ///
    /// The answer is the kernel's, by `poll(2)`. It may no longer hold when this returns, if others
    /// read from the source.
    ///
    /// # Blocking
    /// Parks the task, or blocks a plain thread.
    ///
    /// # Cancellation
    /// As [`read_with`](Self::read_with).
    ///
    /// # Errors
    /// Those of `poll(2)`; and, when it has to wait, those of [`read_with`](Self::read_with).
    ///
    /// # Examples
    /// ```
    /// # use sedge_runtime as sedge;
    /// # use std::net::UdpSocket;
    /// # fn main() -> std::io::Result<()> {
    /// # let source = sedge::io::Source::new(UdpSocket::bind("127.0.0.1:0")?)?;
    /// # source.get_ref().connect(source.get_ref().local_addr()?)?;
    /// source.get_ref().send(b"ping")?;
    /// source.readable()?;
    /// assert_eq!(source.get_ref().recv(&mut [0; 1500])?, 4);
    /// # Ok(())
    /// # }
    /// ```
    pub fn readable(&self) -> io::Result<()> {
        self.reading().ready()
    }

    /// Waits until the source is writable, its other end has gone, or it has an error.
    ///
    /// Blocking, cancellation and errors are those of [`readable`](Self::readable).
    ///
    /// # Examples
    /// ```
    /// # use sedge_runtime as sedge;
    /// # use std::net::UdpSocket;
    /// # fn main() -> std::io::Result<()> {
    /// # let source = sedge::io::Source::new(UdpSocket::bind("127.0.0.1:0")?)?;
    /// # source.get_ref().connect(source.get_ref().local_addr()?)?;
    /// source.writable()?;
    /// source.get_ref().send(b"ping")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn writable(&self) -> io::Result<()> {
        self.writing().ready()
    }

    /// Whether the kernel says that it is ready.
    pub(crate) fn is_ready_now(&self, writes: bool) -> io::Result<bool> {
        let direction = if writes { Direction::Write } else { Direction::Read };
        sys::poll(self.as_fd(), direction.poll_bits(), Some(Duration::ZERO))
    }

    pub(super) const fn registration(&self) -> &Registration {
        &self.registration
    }
}

impl<T: AsFd> AsFd for Source<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}
