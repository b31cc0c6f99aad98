//! [`TcpListener`].

use std::fmt;
use std::io;
use std::net::SocketAddr;

use sedge_runtime::io::Source;
use socket2::SockRef;

use super::backoff::Backoff;
use super::convert::is_tcp;
use super::settings::Settings;
use super::{Incoming, IntoIncoming, TcpListenerBuilder, TcpStream};
use crate::addr::ToSocketAddrs;

/// A TCP socket that listens for connections: [`std::net::TcpListener`] for tasks.
///
/// Any number of tasks may accept from one listener, through shared references or clones.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use sedge_net::{TcpListener, TcpStream};
///
/// # fn main() -> std::io::Result<()> {
/// sedge_runtime::run(|| {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let addr = listener.local_addr()?;
///     sedge_runtime::spawn(move || -> std::io::Result<()> {
///         for stream in listener.incoming() {
///             stream?.write_all(b"hello\n")?;
///         }
///         Ok(())
///     });
///     let mut greeting = String::new();
///     TcpStream::connect(addr)?.read_to_string(&mut greeting)?;
///     assert_eq!(greeting, "hello\n");
///     Ok(())
/// })
/// # }
/// ```
pub struct TcpListener {
    source: Source<std::net::TcpListener>,
    settings: Settings,
    backoff: Backoff,
    /// What is accepted is TCP. A foreign descriptor may be of another kind.
    accepts_tcp: bool,
}

impl TcpListener {
    /// `listener` is TCP, and its descriptor has `O_NONBLOCK`.
    pub(super) fn new_nonblocking(listener: std::net::TcpListener) -> Self {
        Self {
            source: Source::assume_nonblocking(listener),
            settings: Settings::default(),
            backoff: Backoff::default(),
            accepts_tcp: true,
        }
    }

    /// A listener from elsewhere: its mode is kept.
    pub(super) fn from_foreign(listener: std::net::TcpListener) -> Self {
        let settings = Settings::default();
        settings.set_nonblocking(SockRef::from(&listener).nonblocking().unwrap_or(false));
        let accepts_tcp = is_tcp(&listener);
        // A conversion cannot report an error, nor does this give one for a socket. For another
        // kind of file, `accept` will say what is wrong.
        let _ = listener.set_nonblocking(true);
        Self { settings, accepts_tcp, ..Self::new_nonblocking(listener) }
    }

    /// Listens at `addr`: if that stands for several addresses, at the first that can be bound.
    /// Port 0 takes a free one, which [`local_addr`](Self::local_addr) tells.
    ///
    /// # Blocking
    /// Parks the task while a name is looked up.
    ///
    /// # Errors
    /// That of the last address that was tried: `AddrInUse`, `AddrNotAvailable`,
    /// `PermissionDenied`, and others of `socket(2)`, `bind(2)` and `listen(2)`; `InvalidInput` if
    /// there is no address; those of [`ToSocketAddrs`].
    ///
    /// # Examples
    /// ```
    /// let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        Self::builder().bind(addr)
    }

    /// More ways to listen: a longer backlog, a shared port. Not in std.
    ///
    /// # Examples
    /// ```
    /// let listener = sedge_net::TcpListener::builder().backlog(1024).bind("127.0.0.1:0")?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn builder() -> TcpListenerBuilder {
        TcpListenerBuilder::default()
    }

    /// The address at which this listens.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    ///
    /// # Examples
    /// ```
    /// let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// assert_ne!(listener.local_addr()?.port(), 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.std().local_addr()
    }

    /// Another handle to the same socket, with a descriptor of its own. The non-blocking mode is
    /// shared.
    ///
    /// So is `O_NONBLOCK`, which the descriptor of a listener always has: turn none of the clones
    /// into std's type while others are in use, since that clears it for all.
    ///
    /// # Errors
    /// At the limit on descriptors (`EMFILE`, `ENFILE`).
    ///
    /// # Examples
    /// ```
    /// let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// let clone = listener.try_clone()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            settings: self.settings.share(),
            accepts_tcp: self.accepts_tcp,
            ..Self::new_nonblocking(self.std().try_clone()?)
        })
    }

    /// Takes the next connection, and the address that it comes from.
    ///
    /// # Blocking
    /// Parks the task until there is a connection.
    ///
    /// # Cancellation
    /// A cancellation point. A connection that was not returned stays in the queue.
    ///
    /// # Errors
    /// Those of `accept(2)`. At the limit on descriptors or memory (`EMFILE`, `ENFILE`, `ENOMEM`,
    /// `ENOBUFS`) the connection stays in the queue, and the next call first waits a moment: a
    /// millisecond, and longer after each further such error, up to a second. So a loop that
    /// ignores errors does not spin, and goes on when descriptors are free again.
    ///
    /// # Examples
    /// ```
    /// # let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// # let client = sedge_net::TcpStream::connect(listener.local_addr()?)?;
    /// let (stream, addr) = listener.accept()?;
    /// assert_eq!(stream.peer_addr()?, addr);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let accepted = if self.settings.nonblocking() {
            self.source.reading().once(std::net::TcpListener::accept)
        } else {
            self.backoff.wait();
            let accepted = self.source.read_with(std::net::TcpListener::accept);
            self.backoff.note(&accepted);
            accepted
        };
        let (stream, addr) = accepted?;
        let source = Source::assume_nonblocking(stream).trust_short_counts(self.accepts_tcp);
        Ok((TcpStream::new(source, Settings::default()), addr))
    }

    /// The connections, one [`accept`](Self::accept) after the other. Never ends.
    ///
    /// # Examples
    /// ```
    /// # let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// # let client = sedge_net::TcpStream::connect(listener.local_addr()?)?;
    /// for stream in listener.incoming() {
    ///     println!("a connection from {}", stream?.peer_addr()?);
    /// #   break;
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming::new(self)
    }

    /// The same, owning the listener.
    ///
    /// # Examples
    /// ```
    /// # let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// # let client = sedge_net::TcpStream::connect(listener.local_addr()?)?;
    /// let mut connections = listener.into_incoming().filter_map(Result::ok);
    /// assert!(connections.next().is_some());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn into_incoming(self) -> IntoIncoming {
        IntoIncoming::new(self)
    }

    /// Sets the time to live of the packets that are sent (`IP_TTL`), also by accepted streams.
    ///
    /// # Errors
    /// `InvalidInput` outside 1 to 255.
    ///
    /// # Examples
    /// ```
    /// let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// listener.set_ttl(100)?;
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
    /// ```
    /// let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// listener.set_ttl(100)?;
    /// assert_eq!(listener.ttl()?, 100);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn ttl(&self) -> io::Result<u32> {
        self.std().ttl()
    }

    /// Has no effect: the option has to be set before the socket is bound, for which there is
    /// [`TcpListenerBuilder::only_v6`].
    ///
    /// # Errors
    /// Always, on a bound socket: those of `setsockopt(2)`.
    ///
    /// # Examples
    /// See [`TcpListenerBuilder::only_v6`].
    #[deprecated(note = "this option can only be set before the socket is bound")]
    pub fn set_only_v6(&self, only_v6: bool) -> io::Result<()> {
        #[expect(deprecated, reason = "it mirrors a deprecated method")]
        self.std().set_only_v6(only_v6)
    }

    /// Whether IPv4 connections are refused.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`, as for an IPv4 listener.
    ///
    /// # Examples
    /// See [`TcpListenerBuilder::only_v6`].
    #[deprecated(note = "this option can only be set before the socket is bound")]
    pub fn only_v6(&self) -> io::Result<bool> {
        #[expect(deprecated, reason = "it mirrors a deprecated method")]
        self.std().only_v6()
    }

    /// Takes the socket's pending error (`SO_ERROR`).
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    ///
    /// # Examples
    /// ```
    /// let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// assert!(listener.take_error()?.is_none());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.std().take_error()
    }

    /// Makes [`accept`](Self::accept) return `WouldBlock` where it would wait. Off by default.
    ///
    /// Holds for all clones, and not for the streams that are accepted.
    ///
    /// # Cancellation
    /// In this mode too `accept` is a cancellation point, at entry, and a loop of it lets other
    /// tasks run now and then.
    ///
    /// # Errors
    /// None: the descriptor has the flag in any case.
    ///
    /// # Examples
    /// ```
    /// let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// listener.set_nonblocking(true)?;
    /// assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.settings.set_nonblocking(nonblocking);
        Ok(())
    }

    pub(super) fn std(&self) -> &std::net::TcpListener {
        self.source.get_ref()
    }

    /// With a blocking descriptor, unless the user's mode is non-blocking.
    pub(super) fn into_std(self) -> std::net::TcpListener {
        let nonblocking = self.settings.nonblocking();
        let listener = self.source.into_inner();
        if !nonblocking {
            // As in `from_foreign`.
            let _ = listener.set_nonblocking(false);
        }
        listener
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.std().fmt(f)
    }
}
