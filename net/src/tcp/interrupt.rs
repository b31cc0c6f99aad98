//! Ending a wait from outside, for a graceful stop.

use std::net::Shutdown;

use sedge_runtime::signal::Interrupt;
use socket2::SockRef;

use super::{TcpListener, TcpStream};

/// Shuts the listening socket down: an `accept` that waits returns `InvalidInput`, and so does
/// every later one, through any descriptor of the socket, in any process that shares it. Its port
/// stays taken until the last of them is closed.
impl Interrupt for TcpListener {
    fn interrupt(&self) {
        // It fails if it was done before: then it is done.
        let _ = SockRef::from(self).shutdown(Shutdown::Read);
    }
}

/// Shuts the reading half down: what was received can still be read, then reads return 0.
impl Interrupt for TcpStream {
    fn interrupt(&self) {
        // It fails if the peer has gone: then reads end by themselves.
        let _ = self.shutdown(Shutdown::Read);
    }
}
