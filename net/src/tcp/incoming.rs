//! Connections as iterators.

use std::io;
use std::iter::FusedIterator;

use super::{TcpListener, TcpStream};

/// An infinite iterator over a listener's connections: [`TcpListener::incoming`].
///
/// # Blocking
/// `next` waits as [`accept`](TcpListener::accept) does, whose cancellation and errors are its own.
/// An error is an item like any other: the iterator goes on after it.
///
/// # Examples
/// ```
/// use sedge_net::{TcpListener, TcpStream};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let clients = [0; 3].map(|_| TcpStream::connect(listener.local_addr().unwrap()).unwrap());
/// for (client, stream) in clients.iter().zip(listener.incoming()) {
///     assert_eq!(stream?.peer_addr()?, client.local_addr()?);
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "iterators are lazy and do nothing unless consumed"]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

/// An infinite iterator over a listener's connections, which owns it:
/// [`TcpListener::into_incoming`].
///
/// Blocking, cancellation and errors are those of [`Incoming`].
///
/// # Examples
/// ```
/// use sedge_net::{IntoIncoming, TcpListener, TcpStream};
///
/// fn connections() -> std::io::Result<IntoIncoming> {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
/// #   let addr = listener.local_addr()?;
/// #   std::thread::spawn(move || TcpStream::connect(addr).unwrap());
///     Ok(listener.into_incoming())
/// }
///
/// for stream in connections()?.take(1) {
///     assert!(stream?.peer_addr()?.ip().is_loopback());
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "iterators are lazy and do nothing unless consumed"]
pub struct IntoIncoming {
    listener: TcpListener,
}

impl<'a> Incoming<'a> {
    pub(super) fn new(listener: &'a TcpListener) -> Self {
        Self { listener }
    }
}

impl IntoIncoming {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener }
    }
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl Iterator for IntoIncoming {
    type Item = io::Result<TcpStream>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl FusedIterator for Incoming<'_> {}
impl FusedIterator for IntoIncoming {}
