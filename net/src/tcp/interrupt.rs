//! Ending a wait from outside, for a graceful stop.

use std::io::ErrorKind;
use std::net::Shutdown;

use rustix::net::RecvFlags;
use sedge_runtime::signal::Interrupt;
use socket2::SockRef;

use super::transfer::receive;
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

/// Shuts the reading half down, unless something has been received that nobody has read: the wait
/// ends with that, and what has begun can be read on to its end, as it arrives. After the shutdown,
/// reads return 0 once they have returned what was received.
///
/// Not guaranteed in the very moment of the stop: of what arrives between the look for it and the
/// shutdown, or was read by a wait that has yet to return, only as much as is there can be read. Of
/// several tasks that wait on *one* stream, only the one that gets what was received is sure to
/// end.
impl Interrupt for TcpStream {
    fn interrupt(&self) {
        // Also where the peer has gone, or the connection has failed, waits end by themselves.
        let received = receive(self.std(), &mut [0], RecvFlags::PEEK);
        if received.is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            // It fails if the peer has gone meanwhile.
            let _ = self.shutdown(Shutdown::Read);
        }
    }
}
