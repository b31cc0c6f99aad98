//! [`TcpStream`].

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendFlags, sockopt};
use sedge_runtime::io::Source;
use socket2::SockRef;

use super::connect::connect;
use super::settings::Settings;
use crate::addr::{ToSocketAddrs, try_each};

/// As many buffers as one system call takes.
const MAX_BUFFERS: usize = 1024;

/// A TCP stream between a local and a remote socket: [`std::net::TcpStream`] for tasks.
///
/// Made by [`connect`](Self::connect) or [`accept`](super::TcpListener::accept). Reads and writes
/// may be made through a shared reference, by several tasks at a time. The connection is closed when
/// the stream and its clones are dropped.
///
/// # Blocking
/// Reading, writing, peeking and connecting park the task; on a plain thread they block it. All else
/// is a system call that never waits.
///
/// # Cancellation
/// What parks is a cancellation point. A cancelled read has taken nothing from the stream; a
/// cancelled `write` has written nothing; a cancelled `write_all` may have written a part.
///
/// # Examples
///
/// ```no_run
/// use std::io::prelude::*;
/// use sedge_net::TcpStream;
///
/// fn main() -> std::io::Result<()> {
///     let mut stream = TcpStream::connect("127.0.0.1:34254")?;
///     stream.write_all(&[1])?;
///     stream.read(&mut [0; 128])?;
///     Ok(())
/// }
/// ```
pub struct TcpStream {
    source: Source<std::net::TcpStream>,
    settings: Settings,
}

impl TcpStream {
    /// `source`'s descriptor is a blocking one, unless `settings` say otherwise.
    pub(super) fn new(source: Source<std::net::TcpStream>, settings: Settings) -> Self {
        Self { source, settings }
    }

    /// Connects to `addr`: if that stands for several addresses, to the first that answers.
    ///
    /// # Blocking
    /// Parks the task until the connection is made or refused, and while a name is looked up.
    ///
    /// # Cancellation
    /// A cancellation point. A connection that was begun is dropped.
    ///
    /// # Errors
    /// That of the last address that was tried: `ConnectionRefused`, `TimedOut`, `HostUnreachable`,
    /// `NetworkUnreachable`, `AddrNotAvailable`, and others of `socket(2)` and `connect(2)`;
    /// `InvalidInput` if there is no address; those of [`ToSocketAddrs`].
    ///
    /// # Examples
    /// ```no_run
    /// use sedge_net::{SocketAddr, TcpStream};
    ///
    /// let addrs = [SocketAddr::from(([127, 0, 0, 1], 8080)), SocketAddr::from(([127, 0, 0, 1], 80))];
    /// let stream = TcpStream::connect(&addrs[..])?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        try_each(addr, |addr| Ok(Self::new(connect(addr, None)?, Settings::default())))
    }

    /// Connects to `addr` within `timeout`.
    ///
    /// # Blocking
    /// Parks the task until the connection is made or refused, at most for `timeout`.
    ///
    /// # Cancellation
    /// As [`connect`](Self::connect).
    ///
    /// # Errors
    /// `InvalidInput` for a timeout of zero, `TimedOut` when it passes; and as
    /// [`connect`](Self::connect).
    ///
    /// # Examples
    /// ```no_run
    /// use std::time::Duration;
    /// use sedge_net::{SocketAddr, TcpStream};
    ///
    /// let addr = SocketAddr::from(([127, 0, 0, 1], 8080));
    /// let stream = TcpStream::connect_timeout(&addr, Duration::from_secs(1))?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn connect_timeout(addr: &SocketAddr, timeout: Duration) -> io::Result<Self> {
        Ok(Self::new(connect(*addr, Some(timeout))?, Settings::default()))
    }

    /// The remote end's address.
    ///
    /// # Errors
    /// `NotConnected` once the connection has been reset, and those of `getpeername(2)`.
    ///
    /// # Examples
    /// ```no_run
    /// # let stream = sedge_net::TcpStream::connect("127.0.0.1:8080")?;
    /// assert_eq!(stream.peer_addr()?, "127.0.0.1:8080".parse().unwrap());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.std().peer_addr()
    }

    /// The local end's address.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    ///
    /// # Examples
    /// ```no_run
    /// # let stream = sedge_net::TcpStream::connect("127.0.0.1:8080")?;
    /// println!("from port {}", stream.local_addr()?.port());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.std().local_addr()
    }

    /// Ends the connection's reading half, its writing half, or both, for all clones. Who waits in a
    /// half that ends is woken: reads return 0, writes `BrokenPipe`.
    ///
    /// # Errors
    /// `NotConnected` if it has ended already, and others of `shutdown(2)`.
    ///
    /// # Examples
    /// ```no_run
    /// use sedge_net::{Shutdown, TcpStream};
    ///
    /// let stream = TcpStream::connect("127.0.0.1:8080")?;
    /// stream.shutdown(Shutdown::Write)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.std().shutdown(how)
    }

    /// Another handle to the same connection, with a descriptor of its own. Timeouts and the
    /// non-blocking mode are shared.
    ///
    /// # Errors
    /// At the limit on descriptors (`EMFILE`, `ENFILE`).
    ///
    /// # Examples
    /// ```no_run
    /// # let stream = sedge_net::TcpStream::connect("127.0.0.1:8080")?;
    /// let reader = stream.try_clone()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn try_clone(&self) -> io::Result<Self> {
        let twin = Source::assume_nonblocking(self.std().try_clone()?);
        let trusts = self.source.trusts_short_counts();
        Ok(Self::new(twin.trust_short_counts(trusts), self.settings.share()))
    }

    /// Limits how long a read waits; `None`, the default, is for ever.
    ///
    /// The limit is exact; what [`read_timeout`](Self::read_timeout) returns is the kernel's copy,
    /// which is rounded up to its tick. It holds for all clones, from their next read on.
    ///
    /// # Errors
    /// `InvalidInput` for zero.
    ///
    /// # Examples
    /// ```no_run
    /// use std::io::{ErrorKind, Read};
    /// use std::time::Duration;
    /// # let mut stream = sedge_net::TcpStream::connect("127.0.0.1:8080")?;
    /// stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    /// match stream.read(&mut [0; 128]) {
    ///     Err(e) if e.kind() == ErrorKind::WouldBlock => println!("nothing came"),
    ///     other => println!("{} bytes", other?),
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_read_timeout(&self, dur: Option<Duration>) -> io::Result<()> {
        self.std().set_read_timeout(dur)?;
        self.settings.set_read_timeout(dur);
        Ok(())
    }

    /// Limits how long a write waits; `None`, the default, is for ever.
    ///
    /// As [`set_read_timeout`](Self::set_read_timeout).
    ///
    /// # Errors
    /// `InvalidInput` for zero.
    ///
    /// # Examples
    /// ```no_run
    /// use std::time::Duration;
    /// # let stream = sedge_net::TcpStream::connect("127.0.0.1:8080")?;
    /// stream.set_write_timeout(Some(Duration::from_secs(1)))?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_write_timeout(&self, dur: Option<Duration>) -> io::Result<()> {
        self.std().set_write_timeout(dur)?;
        self.settings.set_write_timeout(dur);
        Ok(())
    }

    /// How long a read waits, rounded up to the kernel's tick. `None`: for ever.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    ///
    /// # Examples
    /// ```no_run
    /// # let stream = sedge_net::TcpStream::connect("127.0.0.1:8080")?;
    /// assert_eq!(stream.read_timeout()?, None);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        self.std().read_timeout()
    }

    /// How long a write waits, rounded up to the kernel's tick. `None`: for ever.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    ///
    /// # Examples
    /// ```no_run
    /// # let stream = sedge_net::TcpStream::connect("127.0.0.1:8080")?;
    /// assert_eq!(stream.write_timeout()?, None);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        self.std().write_timeout()
    }

    /// Reads without taking: the next read returns the same bytes again.
    ///
    /// # Blocking
    /// Parks the task until there is something to read.
    ///
    /// # Cancellation
    /// A cancellation point.
    ///
    /// # Errors
    /// As [`read`](Read::read).
    ///
    /// # Examples
    /// ```no_run
    /// # let stream = sedge_net::TcpStream::connect("127.0.0.1:8080")?;
    /// let mut first = [0];
    /// let is_tls = stream.peek(&mut first)? == 1 && first[0] == 0x16;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut peek = |stream: &_| receive(stream, buf, RecvFlags::PEEK);
        if self.settings.nonblocking() {
            return peek(self.std());
        }
        // `run`, not `transfer`: a short peek leaves data behind.
        self.source.reading().timeout(self.settings.read_timeout()).run(peek)
    }

    /// Whether, and for how long, the kernel goes on sending after the connection was dropped.
    /// `Some(0)` drops what is unsent and resets the connection. Whole seconds count.
    ///
    /// A positive time makes the last `drop` **block its worker**, as `close(2)` then waits.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    ///
    /// # Examples
    /// ```no_run
    /// use std::time::Duration;
    /// # let stream = sedge_net::TcpStream::connect("127.0.0.1:8080")?;
    /// stream.set_linger(Some(Duration::ZERO))?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        SockRef::from(self.std()).set_linger(linger)
    }

    /// What [`set_linger`](Self::set_linger) has set. `None` is the default.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    ///
    /// # Examples
    /// ```no_run
    /// # let stream = sedge_net::TcpStream::connect("127.0.0.1:8080")?;
    /// assert_eq!(stream.linger()?, None);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        SockRef::from(self.std()).linger()
    }

    /// Sends small writes at once (`TCP_NODELAY`), instead of waiting for more. Off by default.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    ///
    /// # Examples
    /// ```no_run
    /// # let stream = sedge_net::TcpStream::connect("127.0.0.1:8080")?;
    /// stream.set_nodelay(true)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.std().set_nodelay(nodelay)
    }

    /// What [`set_nodelay`](Self::set_nodelay) has set.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    ///
    /// # Examples
    /// ```no_run
    /// # let stream = sedge_net::TcpStream::connect("127.0.0.1:8080")?;
    /// assert!(!stream.nodelay()?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn nodelay(&self) -> io::Result<bool> {
        self.std().nodelay()
    }

    /// Acknowledges at once (`TCP_QUICKACK`). Linux may take this back by itself.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    ///
    /// # Examples
    /// ```no_run
    /// # let stream = sedge_net::TcpStream::connect("127.0.0.1:8080")?;
    /// stream.set_quickack(true)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        Ok(sockopt::set_tcp_quickack(self.std(), quickack)?)
    }

    /// Whether acknowledgements are sent at once.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    ///
    /// # Examples
    /// ```no_run
    /// # let stream = sedge_net::TcpStream::connect("127.0.0.1:8080")?;
    /// println!("{}", stream.quickack()?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn quickack(&self) -> io::Result<bool> {
        Ok(sockopt::tcp_quickack(self.std())?)
    }

    /// Sets the time to live of the packets that are sent (`IP_TTL`).
    ///
    /// # Errors
    /// `InvalidInput` outside 1 to 255.
    ///
    /// # Examples
    /// ```no_run
    /// # let stream = sedge_net::TcpStream::connect("127.0.0.1:8080")?;
    /// stream.set_ttl(100)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.std().set_ttl(ttl)
    }

    /// The time to live of the packets that are sent.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    ///
    /// # Examples
    /// ```no_run
    /// # let stream = sedge_net::TcpStream::connect("127.0.0.1:8080")?;
    /// println!("{}", stream.ttl()?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn ttl(&self) -> io::Result<u32> {
        self.std().ttl()
    }

    /// Takes the socket's pending error (`SO_ERROR`).
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    ///
    /// # Examples
    /// ```no_run
    /// # let stream = sedge_net::TcpStream::connect("127.0.0.1:8080")?;
    /// assert!(stream.take_error()?.is_none());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.std().take_error()
    }

    /// Makes reads and writes return `WouldBlock` where they would wait. Off by default.
    ///
    /// Holds for all clones, and sets `O_NONBLOCK` on the open file. Calls that wait already go on
    /// waiting. In this mode no call parks, and each makes its system call.
    ///
    /// # Errors
    /// Those of `ioctl(2)`.
    ///
    /// # Examples
    /// ```no_run
    /// use std::io::{ErrorKind, Read};
    /// # let mut stream = sedge_net::TcpStream::connect("127.0.0.1:8080")?;
    /// stream.set_nonblocking(true)?;
    /// match stream.read(&mut [0; 128]) {
    ///     Err(e) if e.kind() == ErrorKind::WouldBlock => println!("nothing there"),
    ///     other => println!("{} bytes", other?),
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.std().set_nonblocking(nonblocking)?;
        self.settings.set_nonblocking(nonblocking);
        Ok(())
    }

    pub(super) fn std(&self) -> &std::net::TcpStream {
        self.source.get_ref()
    }

    pub(super) fn into_std(self) -> std::net::TcpStream {
        self.source.into_inner()
    }

    #[inline]
    fn read_some(
        &self,
        len: usize,
        mut op: impl FnMut(&std::net::TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if self.settings.nonblocking() {
            return op(self.std());
        }
        self.source.reading().timeout(self.settings.read_timeout()).transfer(len, op)
    }

    #[inline]
    fn write_some(
        &self,
        len: usize,
        mut op: impl FnMut(&std::net::TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if self.settings.nonblocking() {
            return op(self.std());
        }
        self.source.writing().timeout(self.settings.write_timeout()).transfer(len, op)
    }
}

fn receive(stream: &std::net::TcpStream, buf: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
    let (_, n) = rustix::net::recv(stream, buf, RecvFlags::DONTWAIT | flags)?;
    Ok(n)
}

impl Read for &TcpStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_some(buf.len(), |stream| receive(stream, buf, RecvFlags::empty()))
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let count = bufs.len().min(MAX_BUFFERS);
        let bufs = &mut bufs[..count];
        let len = bufs.iter().map(|buf| buf.len()).sum();
        self.read_some(len, |stream| {
            let mut control = RecvAncillaryBuffer::default();
            Ok(rustix::net::recvmsg(stream, bufs, &mut control, RecvFlags::DONTWAIT)?.bytes)
        })
    }
}

impl Write for &TcpStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        self.write_some(buf.len(), |stream| Ok(rustix::net::send(stream, buf, flags)?))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let bufs = &bufs[..bufs.len().min(MAX_BUFFERS)];
        let len = bufs.iter().map(|buf| buf.len()).sum();
        self.write_some(len, |stream| {
            let mut control = SendAncillaryBuffer::default();
            Ok(rustix::net::sendmsg(stream, bufs, &mut control, flags)?)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for TcpStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(bufs)
    }
}

impl Write for TcpStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.std().fmt(f)
    }
}
