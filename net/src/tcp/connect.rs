//! Connecting.
//!
//! The socket has `O_NONBLOCK` while it connects, since `connect(2)` has no other way not to wait.
//! The call is repeated until it is through: on Linux the second `connect` on a socket says how the
//! first one ended, with the very error that a blocking one would have returned.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::io::Errno;
use sedge_runtime::io::Source;
use socket2::{Domain, Protocol, Socket, Type};

/// Connects to `addr`. With a `timeout`, gives up with `TimedOut`.
pub(super) fn connect(
    addr: SocketAddr,
    timeout: Option<Duration>,
) -> io::Result<Source<std::net::TcpStream>> {
    let kind = Type::STREAM.nonblocking();
    let socket = Socket::new(Domain::for_address(addr), kind, Some(Protocol::TCP))?;
    let source =
        Source::assume_nonblocking(std::net::TcpStream::from(socket)).trust_short_counts(true);
    if timeout.is_some_and(|timeout| timeout.is_zero()) {
        // An error that comes at once is reported in its stead, as by std.
        if let Err(e) = rustix::net::connect(source.get_ref(), &addr) {
            if e != Errno::INPROGRESS {
                return Err(e.into());
            }
        }
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "cannot set a 0 duration timeout"));
    }
    // The outcome is wrapped, so that the wait is not confused with an EAGAIN, which to
    // `connect(2)` means something else.
    let outcome = source.writing().timeout(timeout).run(|socket| match attempt(socket, &addr) {
        Err(Errno::ALREADY) => Err(io::ErrorKind::WouldBlock.into()),
        done => Ok(done.map_err(io::Error::from)),
    });
    match outcome {
        Ok(Ok(())) => {
            source.get_ref().set_nonblocking(false)?;
            Ok(source)
        }
        Ok(Err(e)) => Err(e),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
            Err(io::Error::new(io::ErrorKind::TimedOut, "connection timed out"))
        }
        Err(e) => Err(e),
    }
}

/// One look at how far it is. `ALREADY`: not through yet.
fn attempt(socket: &impl AsFd, addr: &SocketAddr) -> rustix::io::Result<()> {
    loop {
        match rustix::net::connect(socket, addr) {
            // It has begun. On one machine it is through by now, and the next call says so.
            Err(Errno::INPROGRESS | Errno::INTR) => {}
            Err(Errno::ISCONN) => return Ok(()),
            other => return other,
        }
    }
}
