//! Names every item of std's `TcpStream` and `TcpListener`: one that is missing, or has another
//! signature, does not compile.

use std::fmt::Debug;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::iter::FusedIterator;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

/// Each line is a path with a type: the methods of one of the two families of types.
macro_rules! surface {
    ($family:ident, $net:path) => {
        mod $family {
            use super::*;
            use $net::{
                AddrParseError, Incoming, IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr,
                SocketAddrV4, SocketAddrV6, TcpListener, TcpStream, ToSocketAddrs,
            };

            type Result<T> = io::Result<T>;

            #[test]
            fn streams() {
                let _: fn(&'static str) -> Result<TcpStream> = TcpStream::connect;
                let _: fn(&SocketAddr, Duration) -> Result<TcpStream> = TcpStream::connect_timeout;
                let _: fn(&TcpStream) -> Result<SocketAddr> = TcpStream::peer_addr;
                let _: fn(&TcpStream) -> Result<SocketAddr> = TcpStream::local_addr;
                let _: fn(&TcpStream, Shutdown) -> Result<()> = TcpStream::shutdown;
                let _: fn(&TcpStream) -> Result<TcpStream> = TcpStream::try_clone;
                let _: fn(&TcpStream, Option<Duration>) -> Result<()> = TcpStream::set_read_timeout;
                let _: fn(&TcpStream, Option<Duration>) -> Result<()> =
                    TcpStream::set_write_timeout;
                let _: fn(&TcpStream) -> Result<Option<Duration>> = TcpStream::read_timeout;
                let _: fn(&TcpStream) -> Result<Option<Duration>> = TcpStream::write_timeout;
                let _: fn(&TcpStream, &mut [u8]) -> Result<usize> = TcpStream::peek;
                let _: fn(&TcpStream, bool) -> Result<()> = TcpStream::set_nodelay;
                let _: fn(&TcpStream) -> Result<bool> = TcpStream::nodelay;
                let _: fn(&TcpStream, u32) -> Result<()> = TcpStream::set_ttl;
                let _: fn(&TcpStream) -> Result<u32> = TcpStream::ttl;
                let _: fn(&TcpStream) -> Result<Option<io::Error>> = TcpStream::take_error;
                let _: fn(&TcpStream, bool) -> Result<()> = TcpStream::set_nonblocking;
                io_traits::<TcpStream>();
                io_traits::<&TcpStream>();
                socket_traits::<TcpStream>();
            }

            #[test]
            fn listeners() {
                let _: fn(&'static str) -> Result<TcpListener> = TcpListener::bind;
                let _: fn(&TcpListener) -> Result<SocketAddr> = TcpListener::local_addr;
                let _: fn(&TcpListener) -> Result<TcpListener> = TcpListener::try_clone;
                let _: fn(&TcpListener) -> Result<(TcpStream, SocketAddr)> = TcpListener::accept;
                let _: fn(&TcpListener) -> Incoming<'_> = TcpListener::incoming;
                let _: fn(&TcpListener, u32) -> Result<()> = TcpListener::set_ttl;
                let _: fn(&TcpListener) -> Result<u32> = TcpListener::ttl;
                #[expect(deprecated, reason = "std has it")]
                let _: fn(&TcpListener, bool) -> Result<()> = TcpListener::set_only_v6;
                #[expect(deprecated, reason = "std has it")]
                let _: fn(&TcpListener) -> Result<bool> = TcpListener::only_v6;
                let _: fn(&TcpListener) -> Result<Option<io::Error>> = TcpListener::take_error;
                let _: fn(&TcpListener, bool) -> Result<()> = TcpListener::set_nonblocking;
                socket_traits::<TcpListener>();
                incoming::<Incoming<'_>, TcpStream>();
            }

            #[test]
            fn addresses() {
                addrs::<SocketAddr>();
                addrs::<SocketAddrV4>();
                addrs::<SocketAddrV6>();
                addrs::<(IpAddr, u16)>();
                addrs::<(Ipv4Addr, u16)>();
                addrs::<(Ipv6Addr, u16)>();
                addrs::<(&str, u16)>();
                addrs::<(String, u16)>();
                addrs::<str>();
                addrs::<&str>();
                addrs::<String>();
                addrs::<&String>();
                addrs::<&[SocketAddr]>();
                let _: std::result::Result<IpAddr, AddrParseError> = "::1".parse();
            }

            fn addrs<T: ToSocketAddrs + ?Sized>()
            where
                T::Iter: Iterator<Item = SocketAddr>,
            {
                let _ = T::to_socket_addrs;
            }
        }
    };
}

surface!(of_std, std::net);
surface!(of_sedge, sedge_net);

fn io_traits<T: Read + Write>() {
    let _: fn(&mut T, &mut [u8]) -> io::Result<usize> = T::read;
    let _: fn(&mut T, &mut [IoSliceMut<'_>]) -> io::Result<usize> = T::read_vectored;
    let _: fn(&mut T, &[IoSlice<'_>]) -> io::Result<usize> = T::write_vectored;
}

fn socket_traits<T>()
where
    T: AsFd + AsRawFd + IntoRawFd + From<OwnedFd> + From<socket2::Socket> + Debug,
    T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + 'static,
    OwnedFd: From<T>,
    socket2::Socket: From<T>,
{
}

fn incoming<I: FusedIterator<Item = io::Result<S>> + Debug, S>() {}

/// What Sedge has besides: std's unstable methods, those of its extension trait, and conversions.
#[test]
fn more_than_std() {
    use sedge_net::{IntoIncoming, TcpListener, TcpListenerBuilder, TcpStream};

    let _: fn(&TcpStream, Option<Duration>) -> io::Result<()> = TcpStream::set_linger;
    let _: fn(&TcpStream) -> io::Result<Option<Duration>> = TcpStream::linger;
    let _: fn(&TcpStream, bool) -> io::Result<()> = TcpStream::set_quickack;
    let _: fn(&TcpStream) -> io::Result<bool> = TcpStream::quickack;
    let _: fn(TcpListener) -> IntoIncoming = TcpListener::into_incoming;
    let _: fn() -> TcpListenerBuilder = TcpListener::builder;
    incoming::<IntoIncoming, TcpStream>();

    fn both_ways<A: From<B>, B: From<A>>() {}
    both_ways::<TcpStream, std::net::TcpStream>();
    both_ways::<TcpListener, std::net::TcpListener>();
}
