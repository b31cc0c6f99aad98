//! [`TcpListenerBuilder`].

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::TcpListener;
use crate::addr::{ToSocketAddrs, try_each};

/// What has to be set on a listening socket before it listens.
///
/// For options that are not here, make the socket with the `socket2` crate, and convert it:
/// `TcpListener::from(socket)`.
///
/// # Examples
///
/// One acceptor for each worker, all on one port, among which the kernel distributes:
///
/// ```
/// use sedge_net::TcpListener;
///
/// # let first = TcpListener::builder().reuse_port(true).bind("127.0.0.1:0")?;
/// # let addr = first.local_addr()?;
/// let shared = TcpListener::builder().reuse_port(true).backlog(4096).clone();
/// let acceptors = [shared.bind(addr)?, shared.bind(addr)?];
/// # assert_eq!(acceptors[0].local_addr()?, acceptors[1].local_addr()?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct TcpListenerBuilder {
    backlog: i32,
    reuse_address: bool,
    reuse_port: bool,
    only_v6: Option<bool>,
    nodelay: bool,
}

impl Default for TcpListenerBuilder {
    fn default() -> Self {
        // These are std's.
        Self { backlog: 128, reuse_address: true, reuse_port: false, only_v6: None, nodelay: false }
    }
}

impl TcpListenerBuilder {
    /// How many connections may wait to be accepted. 128 by default, as in std; the system's limit
    /// (`net.core.somaxconn`) applies.
    ///
    /// # Examples
    /// ```
    /// let listener = sedge_net::TcpListener::builder().backlog(1024).bind("127.0.0.1:0")?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn backlog(mut self, backlog: u32) -> Self {
        self.backlog = backlog.try_into().unwrap_or(i32::MAX);
        self
    }

    /// Whether the address may be bound while connections of an earlier listener linger
    /// (`SO_REUSEADDR`). On by default, as in std.
    ///
    /// # Examples
    /// ```
    /// let listener = sedge_net::TcpListener::builder().reuse_address(false).bind("127.0.0.1:0")?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn reuse_address(mut self, reuse_address: bool) -> Self {
        self.reuse_address = reuse_address;
        self
    }

    /// Whether several listeners may have the same address, and share its connections
    /// (`SO_REUSEPORT`). Off by default.
    ///
    /// # Examples
    /// ```
    /// let one = sedge_net::TcpListener::builder().reuse_port(true).bind("127.0.0.1:0")?;
    /// let addr = one.local_addr()?;
    /// let two = sedge_net::TcpListener::builder().reuse_port(true).bind(addr)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn reuse_port(mut self, reuse_port: bool) -> Self {
        self.reuse_port = reuse_port;
        self
    }

    /// Whether an IPv6 listener refuses IPv4 connections (`IPV6_V6ONLY`). By default the system's
    /// setting (`net.ipv6.bindv6only`) holds. Ignored for IPv4 addresses.
    ///
    /// # Examples
    /// ```
    /// # if std::net::TcpListener::bind("[::1]:0").is_ok() {
    /// let listener = sedge_net::TcpListener::builder().only_v6(true).bind("[::1]:0")?;
    /// assert!(listener.local_addr()?.is_ipv6());
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn only_v6(mut self, only_v6: bool) -> Self {
        self.only_v6 = Some(only_v6);
        self
    }

    /// Whether accepted streams have `TCP_NODELAY` from the start, without a system call each. Off
    /// by default.
    ///
    /// # Examples
    /// ```
    /// let listener = sedge_net::TcpListener::builder().nodelay(true).bind("127.0.0.1:0")?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// Listens at `addr`: if that stands for several addresses, at the first that can be bound.
    ///
    /// # Blocking
    /// Parks the task while a name is looked up.
    ///
    /// # Errors
    /// Those of [`TcpListener::bind`].
    ///
    /// # Examples
    /// ```
    /// let listener = sedge_net::TcpListener::builder().bind("127.0.0.1:0")?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn bind<A: ToSocketAddrs>(&self, addr: A) -> io::Result<TcpListener> {
        try_each(addr, |addr| self.bind_one(addr))
    }

    fn bind_one(&self, addr: SocketAddr) -> io::Result<TcpListener> {
        let kind = Type::STREAM.nonblocking();
        let socket = Socket::new(Domain::for_address(addr), kind, Some(Protocol::TCP))?;
        if self.reuse_address {
            socket.set_reuse_address(true)?;
        }
        if self.reuse_port {
            socket.set_reuse_port(true)?;
        }
        if let (Some(only_v6), true) = (self.only_v6, addr.is_ipv6()) {
            socket.set_only_v6(only_v6)?;
        }
        if self.nodelay {
            socket.set_tcp_nodelay(true)?;
        }
        socket.bind(&SockAddr::from(addr))?;
        socket.listen(self.backlog)?;
        Ok(TcpListener::new_nonblocking(socket.into()))
    }
}
