//! Descriptors, std's types and socket2's, in and out.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};

use rustix::net::{AddressFamily, ipproto, sockopt};
use sedge_runtime::io::Source;
use socket2::{SockRef, Socket};

use super::settings::Settings;
use super::{TcpListener, TcpStream};

/// Whether a descriptor is that of a TCP socket, for which alone short counts may be trusted:
/// `From<OwnedFd>` takes any.
pub(super) fn is_tcp(socket: &impl AsFd) -> bool {
    let family = sockopt::socket_domain(socket);
    matches!(family, Ok(AddressFamily::INET | AddressFamily::INET6))
        && matches!(sockopt::socket_protocol(socket), Ok(Some(ipproto::TCP)))
}

/// The stream's mode and timeouts are kept: calls on a non-blocking one return `WouldBlock`.
impl From<std::net::TcpStream> for TcpStream {
    fn from(stream: std::net::TcpStream) -> Self {
        let settings = Settings::default();
        settings.set_nonblocking(SockRef::from(&stream).nonblocking().unwrap_or(false));
        settings.set_read_timeout(stream.read_timeout().unwrap_or(None));
        settings.set_write_timeout(stream.write_timeout().unwrap_or(None));
        let trust = is_tcp(&stream);
        Self::new(Source::assume_nonblocking(stream).trust_short_counts(trust), settings)
    }
}

/// The listener's mode is kept: `accept` on a non-blocking one returns `WouldBlock`.
///
/// The descriptor itself becomes a non-blocking one, and so do its duplicates: the flag belongs to
/// the open file. So a duplicate that becomes a listener of its own is in non-blocking mode, until
/// [`set_nonblocking(false)`](TcpListener::set_nonblocking) says otherwise;
/// [`TcpListener::try_clone`] has no such trap. Who clears the flag on a duplicate, as std's
/// `set_nonblocking` does, makes `accept` block its worker.
impl From<std::net::TcpListener> for TcpListener {
    fn from(listener: std::net::TcpListener) -> Self {
        Self::from_foreign(listener)
    }
}

/// The descriptor is a blocking one, unless [`TcpStream::set_nonblocking`] said otherwise.
impl From<TcpStream> for std::net::TcpStream {
    fn from(stream: TcpStream) -> Self {
        stream.into_std()
    }
}

/// The descriptor becomes a blocking one, unless [`TcpListener::set_nonblocking`] said otherwise.
/// Clones of the listener are not to be used any more: they share the flag, and would block their
/// workers.
impl From<TcpListener> for std::net::TcpListener {
    fn from(listener: TcpListener) -> Self {
        listener.into_std()
    }
}

/// All that goes by way of std's type.
macro_rules! conversions {
    ($($type:ident),*) => {$(
        /// As the conversion from std's type.
        impl From<OwnedFd> for $type {
            fn from(fd: OwnedFd) -> Self {
                std::net::$type::from(fd).into()
            }
        }

        /// As the conversion from std's type.
        impl From<Socket> for $type {
            fn from(socket: Socket) -> Self {
                std::net::$type::from(socket).into()
            }
        }

        /// As the conversion to std's type.
        impl From<$type> for OwnedFd {
            fn from(socket: $type) -> Self {
                socket.into_std().into()
            }
        }

        /// As the conversion to std's type.
        impl From<$type> for Socket {
            fn from(socket: $type) -> Self {
                socket.into_std().into()
            }
        }

        /// As the conversion to std's type.
        impl IntoRawFd for $type {
            fn into_raw_fd(self) -> RawFd {
                self.into_std().into_raw_fd()
            }
        }

        impl AsFd for $type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.std().as_fd()
            }
        }

        impl AsRawFd for $type {
            fn as_raw_fd(&self) -> RawFd {
                self.std().as_raw_fd()
            }
        }
    )*};
}

conversions!(TcpStream, TcpListener);
