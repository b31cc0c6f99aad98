//! [`TcpStream`]: how a connection is made, shared and ended. Its bytes are in `transfer`, its
//! options in `options`.

use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use sedge_runtime::io::Source;

use super::connect::connect;
use super::settings::Settings;
use crate::addr::{ToSocketAddrs, try_each};

/// A TCP stream between a local and a remote socket: [`std::net::TcpStream`] for tasks.
///
/// Made by [`connect`](Self::connect) or [`accept`](super::TcpListener::accept). Reads and writes
/// may be made through a shared reference, by several tasks at a time. The connection is closed
/// when the stream and its clones are dropped.
///
/// # Blocking
/// Reading, writing, peeking and connecting park the task; on a plain thread they block it. All
/// else is a system call that never waits.
///
/// # Cancellation
/// What parks is a cancellation point. A cancelled read has taken nothing from the stream; a
/// cancelled `write` has written nothing; a cancelled `write_all` may have written a part.
///
/// # Examples
///
/// ```
/// use std::io::prelude::*;
/// use sedge_net::{TcpListener, TcpStream};
///
/// # fn main() -> std::io::Result<()> {
/// sedge_runtime::run(|| {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let addr = listener.local_addr()?;
///     let client = sedge_runtime::spawn(move || -> std::io::Result<String> {
///         let mut stream = TcpStream::connect(addr)?;
///         stream.write_all(b"ping")?;
///         let mut answer = String::new();
///         stream.read_to_string(&mut answer)?;
///         Ok(answer)
///     });
///     let (mut stream, _) = listener.accept()?;
///     let mut request = [0; 4];
///     stream.read_exact(&mut request)?;
///     stream.write_all(&request)?;
///     drop(stream);
///     assert_eq!(client.join().unwrap()?, "ping");
///     Ok(())
/// })
/// # }
/// ```
pub struct TcpStream {
    pub(super) source: Source<std::net::TcpStream>,
    pub(super) settings: Settings,
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
    /// ```
    /// use sedge_net::{SocketAddr, TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// // Nobody listens at the first: its port was taken and given back.
    /// let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    /// let stream = TcpStream::connect(&[closed, listener.local_addr()?][..])?;
    /// assert_eq!(stream.peer_addr()?, listener.local_addr()?);
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
    /// ```
    /// use std::time::Duration;
    /// use sedge_net::{TcpListener, TcpStream};
    ///
    /// let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    /// let refused = TcpStream::connect_timeout(&addr, Duration::from_secs(10)).unwrap_err();
    /// assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
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
    /// ```
    /// # let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = sedge_net::TcpStream::connect(listener.local_addr()?)?;
    /// assert_eq!(stream.peer_addr()?, listener.local_addr()?);
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
    /// ```
    /// # let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = sedge_net::TcpStream::connect(listener.local_addr()?)?;
    /// let (_, client) = listener.accept()?;
    /// assert_eq!(stream.local_addr()?, client);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.std().local_addr()
    }

    /// Ends the connection's reading half, its writing half, or both, for all clones. Who waits in
    /// a half that ends is woken: reads return 0, writes `BrokenPipe`.
    ///
    /// # Errors
    /// `NotConnected` if it has ended already, and others of `shutdown(2)`.
    ///
    /// # Examples
    /// ```
    /// use std::io::Read;
    /// use sedge_net::Shutdown;
    ///
    /// # let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = sedge_net::TcpStream::connect(listener.local_addr()?)?;
    /// let (mut peer, _) = listener.accept()?;
    /// stream.shutdown(Shutdown::Write)?;
    /// assert_eq!(peer.read(&mut [0; 128])?, 0);
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
    /// ```
    /// use std::io::{Read, Write};
    ///
    /// # let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = sedge_net::TcpStream::connect(listener.local_addr()?)?;
    /// # let (mut peer, _) = listener.accept()?;
    /// let (mut reader, mut writer) = (stream.try_clone()?, stream);
    /// writer.write_all(b"ping")?;
    /// # std::io::copy(&mut peer.try_clone()?.take(4), &mut peer)?;
    /// let mut echo = [0; 4];
    /// reader.read_exact(&mut echo)?;
    /// assert_eq!(&echo, b"ping");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn try_clone(&self) -> io::Result<Self> {
        let twin = Source::assume_nonblocking(self.std().try_clone()?);
        let trusts = self.source.trusts_short_counts();
        Ok(Self::new(twin.trust_short_counts(trusts), self.settings.share()))
    }

    /// Takes the socket's pending error (`SO_ERROR`).
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    ///
    /// # Examples
    /// ```
    /// # let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = sedge_net::TcpStream::connect(listener.local_addr()?)?;
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
    /// # Cancellation
    /// In this mode too reads, writes and peeks are cancellation points, at entry, and a loop of
    /// them lets other tasks run now and then.
    ///
    /// # Errors
    /// Those of `ioctl(2)`.
    ///
    /// # Examples
    /// ```
    /// use std::io::{ErrorKind, Read};
    /// # let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// # let mut stream = sedge_net::TcpStream::connect(listener.local_addr()?)?;
    /// stream.set_nonblocking(true)?;
    /// assert_eq!(stream.read(&mut [0; 128]).unwrap_err().kind(), ErrorKind::WouldBlock);
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
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.std().fmt(f)
    }
}
