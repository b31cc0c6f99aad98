//! The options of a [`TcpStream`]: how long its calls wait, and how the kernel sends.

use std::io;
use std::time::Duration;

use rustix::net::sockopt;
use socket2::SockRef;

use super::TcpStream;

impl TcpStream {
    /// Limits how long a read waits; `None`, the default, is for ever.
    ///
    /// The limit is exact; what [`read_timeout`](Self::read_timeout) returns is the kernel's copy,
    /// which is rounded up to its tick. It holds for all clones, from their next read on.
    ///
    /// # Errors
    /// `InvalidInput` for zero.
    ///
    /// # Examples
    /// ```
    /// use std::io::{ErrorKind, Read};
    /// use std::time::Duration;
    /// # let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// # let mut stream = sedge_net::TcpStream::connect(listener.local_addr()?)?;
    /// stream.set_read_timeout(Some(Duration::from_millis(1)))?;
    /// assert_eq!(stream.read(&mut [0; 128]).unwrap_err().kind(), ErrorKind::WouldBlock);
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
    /// ```
    /// use std::io::{ErrorKind, Write};
    /// use std::time::Duration;
    /// # let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// # let mut stream = sedge_net::TcpStream::connect(listener.local_addr()?)?;
    /// stream.set_write_timeout(Some(Duration::from_millis(1)))?;
    /// // Nobody reads at the other end: at some point there is no room.
    /// let full = loop {
    ///     if let Err(error) = stream.write(&[0; 64 * 1024]) {
    ///         break error;
    ///     }
    /// };
    /// assert_eq!(full.kind(), ErrorKind::WouldBlock);
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
    /// ```
    /// # let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = sedge_net::TcpStream::connect(listener.local_addr()?)?;
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
    /// ```
    /// # let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = sedge_net::TcpStream::connect(listener.local_addr()?)?;
    /// assert_eq!(stream.write_timeout()?, None);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        self.std().write_timeout()
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
    /// ```
    /// use std::io::{ErrorKind, Read};
    /// use std::time::Duration;
    /// # let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = sedge_net::TcpStream::connect(listener.local_addr()?)?;
    /// # let (mut peer, _) = listener.accept()?;
    /// stream.set_linger(Some(Duration::ZERO))?;
    /// drop(stream);
    /// assert_eq!(peer.read(&mut [0; 128]).unwrap_err().kind(), ErrorKind::ConnectionReset);
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
    /// ```
    /// # let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = sedge_net::TcpStream::connect(listener.local_addr()?)?;
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
    /// ```
    /// # let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = sedge_net::TcpStream::connect(listener.local_addr()?)?;
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
    /// ```
    /// # let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = sedge_net::TcpStream::connect(listener.local_addr()?)?;
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
    /// ```
    /// # let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = sedge_net::TcpStream::connect(listener.local_addr()?)?;
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
    /// ```
    /// # let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = sedge_net::TcpStream::connect(listener.local_addr()?)?;
    /// stream.set_quickack(false)?;
    /// assert!(!stream.quickack()?);
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
    /// ```
    /// # let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = sedge_net::TcpStream::connect(listener.local_addr()?)?;
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
    /// ```
    /// # let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = sedge_net::TcpStream::connect(listener.local_addr()?)?;
    /// stream.set_ttl(100)?;
    /// assert_eq!(stream.ttl()?, 100);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn ttl(&self) -> io::Result<u32> {
        self.std().ttl()
    }
}
