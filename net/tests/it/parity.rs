//! The same bodies, against std's types and Sedge's: same results, same errors.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use crate::environment::{HUNG, SEDGE, STD};

/// A runs-everywhere test: `name => |on| body`, for std's types and for Sedge's.
macro_rules! parity {
    ($($(#[$doc:meta])* $name:ident($on:ident) $body:block)*) => {
        parity!(with_std, std::net, STD, $($name $on $body)*);
        parity!(with_sedge, sedge_net, SEDGE, $($name $on $body)*);
    };
    ($family:ident, $net:path, $environments:ident, $($name:ident $on:ident $body:block)*) => {
        mod $family {
            use super::*;
            use $net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};

            /// A connection, the accepted end first.
            fn pair() -> (TcpStream, TcpStream) {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                (listener.accept().unwrap().0, there)
            }

            $(#[test]
            fn $name() {
                for on in $environments {
                    on.run(|$on| {
                        let _ = $on;
                        $body
                    });
                }
            })*
        }
    };
}

/// What two errors have in common if they are the same error.
fn same(e: &io::Error) -> (ErrorKind, Option<i32>) {
    (e.kind(), e.raw_os_error())
}

fn os(errno: rustix::io::Errno) -> (ErrorKind, Option<i32>) {
    same(&io::Error::from(errno))
}

parity! {
    echo(on) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let server = on.spawn(move || {
            let (mut stream, from) = listener.accept().unwrap();
            assert_eq!(stream.peer_addr().unwrap(), from);
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            stream.write_all(&all).unwrap();
        });
        let mut stream = TcpStream::connect(addr).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addr);
        // More than the buffers hold, so that both ends wait.
        let reader = on.spawn({
            let mut stream = stream.try_clone().unwrap();
            move || {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).unwrap();
                all
            }
        });
        let sent: Vec<u8> = (0..20 << 20).map(|i| (i % 251) as u8).collect();
        (&stream).write_all(&sent).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
        stream.flush().unwrap();
        assert!(reader.join() == sent);
        server.join();
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    }

    vectored(_on) {
        let (mut here, mut there) = pair();
        let bufs = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")];
        assert_eq!(there.write_vectored(&bufs).unwrap(), 5);
        let (mut one, mut two) = ([0; 3], [0; 9]);
        let mut bufs = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
        assert_eq!(here.read_vectored(&mut bufs).unwrap(), 5);
        assert_eq!((&one, &two[..2]), (b"abc", &b"de"[..]));
        // More buffers than the system takes at a time.
        let many = vec![IoSlice::new(b"x"); 3000];
        let n = there.write_vectored(&many).unwrap();
        assert_eq!(n, 1024);
        let mut bytes = vec![[0; 1]; 3000];
        let mut bufs: Vec<_> = bytes.iter_mut().map(|b| IoSliceMut::new(b)).collect();
        let n = here.read_vectored(&mut bufs).unwrap();
        assert_eq!(n, 1024);
    }

    a_write_of_nothing_does_not_wait(_on) {
        let (_here, mut there) = pair();
        there.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
        while there.write(&[0; 1 << 16]).is_ok() {}
        there.set_write_timeout(Some(HUNG)).unwrap();
        let since = Instant::now();
        assert_eq!(there.write(&[]).unwrap(), 0);
        assert!(since.elapsed() < HUNG, "it waited for room");
        there.shutdown(Shutdown::Write).unwrap();
        assert_eq!(same(&there.write(&[]).unwrap_err()), os(rustix::io::Errno::PIPE));
    }

    vectored_calls_of_nothing_do_not_ask_the_socket(_on) {
        let (mut here, mut there) = pair();
        let soon = Some(Duration::from_millis(20));
        here.set_read_timeout(soon).unwrap();
        there.set_write_timeout(soon).unwrap();
        while there.write(&[0; 1 << 16]).is_ok() {}
        assert_eq!(there.write_vectored(&[]).unwrap(), 0);
        assert_eq!(there.write_vectored(&[IoSlice::new(b""); 2000]).unwrap(), 0);
        there.shutdown(Shutdown::Write).unwrap();
        assert_eq!(there.write_vectored(&[IoSlice::new(b"")]).unwrap(), 0);
        // Nothing comes this way.
        there.set_read_timeout(soon).unwrap();
        assert_eq!(there.read_vectored(&mut []).unwrap(), 0);
        assert_eq!(there.read_vectored(&mut [IoSliceMut::new(&mut [])]).unwrap(), 0);
        // What came is still there.
        assert_eq!(here.read_vectored(&mut [IoSliceMut::new(&mut [])]).unwrap(), 0);
        assert_eq!(here.read(&mut [1; 1]).unwrap(), 1);
    }

    addresses_in_use(_on) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let e = TcpListener::bind(listener.local_addr().unwrap()).unwrap_err();
        assert_eq!(same(&e), os(rustix::io::Errno::ADDRINUSE));
        let e = TcpListener::bind("192.0.2.1:0").unwrap_err();
        assert_eq!(same(&e), os(rustix::io::Errno::ADDRNOTAVAIL));
    }

    refused(_on) {
        let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for e in [
            TcpStream::connect(addr).unwrap_err(),
            TcpStream::connect_timeout(&addr, Duration::from_secs(10)).unwrap_err(),
        ] {
            assert_eq!(same(&e), os(rustix::io::Errno::CONNREFUSED));
        }
        let e = TcpStream::connect_timeout(&addr, Duration::ZERO).unwrap_err();
        assert_eq!(same(&e), (ErrorKind::InvalidInput, None));
    }

    no_route(_on) {
        let e = TcpStream::connect("255.255.255.255:80").unwrap_err();
        assert_eq!(same(&e), os(rustix::io::Errno::NETUNREACH));
        let addr = "255.255.255.255:80".parse().unwrap();
        let e = TcpStream::connect_timeout(&addr, Duration::ZERO).unwrap_err();
        assert_eq!(same(&e), os(rustix::io::Errno::NETUNREACH));
    }

    several_addresses(_on) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let stream = TcpStream::connect(&[refused, good][..]).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        let unreachable: SocketAddr = "255.255.255.255:80".parse().unwrap();
        let e = TcpStream::connect(&[unreachable, refused][..]).unwrap_err();
        assert_eq!(same(&e), os(rustix::io::Errno::CONNREFUSED));
        let e = TcpStream::connect(&[refused, unreachable][..]).unwrap_err();
        assert_eq!(same(&e), os(rustix::io::Errno::NETUNREACH));
        let listener = TcpListener::bind(&[good, "127.0.0.1:0".parse().unwrap()][..]).unwrap();
        assert_ne!(listener.local_addr().unwrap(), good);
    }

    no_address(_on) {
        let none: &[SocketAddr] = &[];
        for e in [
            TcpStream::connect(none).unwrap_err(),
            TcpListener::bind(none).unwrap_err(),
            TcpStream::connect("127.0.0.1").unwrap_err(),
            TcpStream::connect("127.0.0.1:").unwrap_err(),
            TcpStream::connect("localhost:65536").unwrap_err(),
            TcpStream::connect("").unwrap_err(),
        ] {
            assert_eq!(same(&e), (ErrorKind::InvalidInput, None), "{e}");
        }
        let messages: Vec<_> = ["x", "x:y"]
            .iter()
            .map(|addr| TcpStream::connect(addr).unwrap_err().to_string())
            .collect();
        assert_eq!(messages, ["invalid socket address", "invalid port value"]);
        assert_eq!(
            TcpStream::connect(none).unwrap_err().to_string(),
            "could not resolve to any addresses"
        );
    }

    names(_on) {
        let listener = TcpListener::bind("localhost:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect(("localhost", port)).unwrap();
        TcpStream::connect(format!("localhost:{port}")).unwrap();
        TcpStream::connect((String::from("localhost"), port)).unwrap();
        let addrs: Vec<_> = ("::1", 80).to_socket_addrs().unwrap().collect();
        assert_eq!(addrs, ["[::1]:80".parse().unwrap()]);
        assert!(TcpStream::connect("no such name.invalid:80").is_err());
        assert!(TcpStream::connect("nul\0nul:80").is_err());
    }

    connecting_times_out(_on) {
        // A queue of one, which is full: the system drops what comes after.
        let full = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        full.bind(&SockAddr::from("127.0.0.1:0".parse::<SocketAddr>().unwrap())).unwrap();
        full.listen(0).unwrap();
        let addr = full.local_addr().unwrap().as_socket().unwrap();
        let soon = Duration::from_millis(20);
        let mut held = Vec::new();
        let e = loop {
            match TcpStream::connect_timeout(&addr, soon) {
                Ok(stream) => held.push(stream),
                Err(e) => break e,
            }
            assert!(held.len() < 10);
        };
        assert_eq!(same(&e), (ErrorKind::TimedOut, None));
        assert_eq!(e.to_string(), "connection timed out");
        let e = TcpStream::connect_timeout(&addr, Duration::ZERO).unwrap_err();
        assert_eq!(same(&e), (ErrorKind::InvalidInput, None));
        assert_eq!(e.to_string(), "cannot set a 0 duration timeout");
    }

    time_limits(_on) {
        let (mut here, there) = pair();
        assert_eq!(here.read_timeout().unwrap(), None);
        for set in [TcpStream::set_read_timeout, TcpStream::set_write_timeout] {
            let e = set(&here, Some(Duration::ZERO)).unwrap_err();
            assert_eq!(same(&e), (ErrorKind::InvalidInput, None));
            assert_eq!(e.to_string(), "cannot set a 0 duration timeout");
        }
        let clone = here.try_clone().unwrap();
        clone.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        assert_eq!(here.read_timeout().unwrap(), clone.read_timeout().unwrap());
        let e = here.read(&mut [0; 1]).unwrap_err();
        assert_eq!(same(&e), os(rustix::io::Errno::AGAIN));
        let e = here.peek(&mut [0; 1]).unwrap_err();
        assert_eq!(same(&e), os(rustix::io::Errno::AGAIN));
        here.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        assert_eq!(clone.write_timeout().unwrap(), Some(Duration::from_secs(1)));
        here.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
        let e = loop {
            if let Err(e) = here.write(&[0; 1 << 20]) {
                break e;
            }
        };
        assert_eq!(same(&e), os(rustix::io::Errno::AGAIN));
        here.set_read_timeout(None).unwrap();
        assert_eq!(clone.read_timeout().unwrap(), None);
        drop(there);
    }

    reset(_on) {
        let (mut here, there) = pair();
        SockRef::from(&there).set_linger(Some(Duration::ZERO)).unwrap();
        drop(there);
        let e = here.read(&mut [0; 64]).unwrap_err();
        assert_eq!(same(&e), os(rustix::io::Errno::CONNRESET));
        assert_eq!(here.read(&mut [0; 64]).unwrap(), 0);
        assert_eq!(same(&here.write(b"x").unwrap_err()), os(rustix::io::Errno::PIPE));
        let bufs = [IoSlice::new(b"x")];
        assert_eq!(same(&here.write_vectored(&bufs).unwrap_err()), os(rustix::io::Errno::PIPE));
        assert_eq!(same(&here.peer_addr().unwrap_err()), os(rustix::io::Errno::NOTCONN));
        let e = here.shutdown(Shutdown::Both).unwrap_err();
        assert_eq!(same(&e), os(rustix::io::Errno::NOTCONN));
    }

    reset_while_waiting(on) {
        let (here, there) = pair();
        let reader = on.spawn({
            let mut here = here.try_clone().unwrap();
            move || here.read(&mut [0; 64]).unwrap_err()
        });
        (&here).write_all(b"unread, so that the end is a reset").unwrap();
        drop(there);
        assert_eq!(same(&reader.join()), os(rustix::io::Errno::CONNRESET));
    }

    half_closed(_on) {
        let (mut here, mut there) = pair();
        there.write_all(b"last words").unwrap();
        there.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        here.read_to_string(&mut text).unwrap();
        assert_eq!(text, "last words");
        here.write_all(b"reply").unwrap();
        drop(here);
        let mut text = String::new();
        there.read_to_string(&mut text).unwrap();
        assert_eq!(text, "reply");
    }

    shutdown_wakes_reader_and_writer(on) {
        let (here, _there) = pair();
        let reader = on.spawn({
            let mut here = here.try_clone().unwrap();
            move || here.read(&mut [0; 1]).unwrap()
        });
        let writer = on.spawn({
            let mut here = here.try_clone().unwrap();
            move || loop {
                if let Err(e) = here.write(&[0; 1 << 16]) {
                    return e;
                }
            }
        });
        here.shutdown(Shutdown::Both).unwrap();
        assert_eq!(reader.join(), 0);
        assert_eq!(same(&writer.join()), os(rustix::io::Errno::PIPE));
    }

    peeking(on) {
        let (mut here, mut there) = pair();
        let peeker = on.spawn(move || {
            let mut buf = [0; 8];
            for _ in 0..3 {
                assert_eq!(here.peek(&mut buf).unwrap(), 4);
            }
            assert_eq!(here.peek(&mut buf[..2]).unwrap(), 2);
            assert_eq!(here.read(&mut buf[..2]).unwrap(), 2);
            assert_eq!(here.peek(&mut buf).unwrap(), 2);
            assert_eq!(here.read(&mut buf).unwrap(), 2);
            assert_eq!(here.peek(&mut buf).unwrap(), 0);
            assert_eq!(here.read(&mut buf).unwrap(), 0);
        });
        there.write_all(b"1234").unwrap();
        there.shutdown(Shutdown::Write).unwrap();
        peeker.join();
    }

    never_waiting(_on) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let e = listener.accept().unwrap_err();
        assert_eq!(same(&e), os(rustix::io::Errno::AGAIN));
        let e = listener.incoming().next().unwrap().unwrap_err();
        assert_eq!(same(&e), os(rustix::io::Errno::AGAIN));
        listener.set_nonblocking(false).unwrap();
        let mut there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut here, _) = listener.accept().unwrap();
        let clone = here.try_clone().unwrap();
        clone.set_nonblocking(true).unwrap();
        assert_eq!(same(&here.read(&mut [0; 1]).unwrap_err()), os(rustix::io::Errno::AGAIN));
        assert_eq!(same(&here.peek(&mut [0; 1]).unwrap_err()), os(rustix::io::Errno::AGAIN));
        let e = loop {
            if let Err(e) = here.write(&[0; 1 << 16]) {
                break e;
            }
        };
        assert_eq!(same(&e), os(rustix::io::Errno::AGAIN));
        // What was never told is there all the same.
        there.write_all(b"1").unwrap();
        here.set_nonblocking(false).unwrap();
        assert_eq!(here.read(&mut [0; 8]).unwrap(), 1);
    }

    options(_on) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_ttl(99).unwrap();
        assert_eq!(listener.ttl().unwrap(), 99);
        assert_eq!(same(&listener.set_ttl(0).unwrap_err()), os(rustix::io::Errno::INVAL));
        assert!(listener.take_error().unwrap().is_none());
        let socket = SockRef::from(&listener);
        assert!(socket.reuse_address().unwrap());
        assert!(!socket.reuse_port().unwrap());
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        stream.set_nodelay(true).unwrap();
        assert!(stream.nodelay().unwrap());
        stream.set_ttl(77).unwrap();
        assert_eq!(stream.ttl().unwrap(), 77);
        assert!(stream.take_error().unwrap().is_none());
        let text = format!("{stream:?}");
        assert!(text.starts_with("TcpStream { addr: 127.0.0.1:"), "{text}");
        let text = format!("{listener:?}");
        assert!(text.starts_with("TcpListener { addr: 127.0.0.1:"), "{text}");
        // Neither end's descriptor is inherited, nor set not to wait.
        for fd in [&stream, &listener.accept().unwrap().0] {
            let flags = rustix::io::fcntl_getfd(fd).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
            assert!(!SockRef::from(fd).nonblocking().unwrap());
        }
    }

    descriptors(_on) {
        use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = listener.as_raw_fd();
        let fd = OwnedFd::from(listener);
        assert_eq!(fd.as_raw_fd(), number);
        assert!(!SockRef::from(&fd).nonblocking().unwrap());
        let listener = TcpListener::from(fd);
        let there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let here = listener.accept().unwrap().0;
        let here = TcpStream::from(OwnedFd::from(here));
        let mut here = TcpStream::from(Socket::from(here));
        (&there).write_all(b"1").unwrap();
        assert_eq!(here.read(&mut [0; 8]).unwrap(), 1);
        assert_eq!(there.as_fd().as_raw_fd(), there.as_raw_fd());
        let number = there.as_raw_fd();
        assert_eq!(there.into_raw_fd(), number);
    }

    ipv6(_on) {
        // Not every machine has it.
        if let Ok(listener) = TcpListener::bind("[::1]:0") {
            let addr = listener.local_addr().unwrap();
            assert!(addr.is_ipv6());
            let stream = TcpStream::connect(addr).unwrap();
            assert_eq!(listener.accept().unwrap().1, stream.local_addr().unwrap());
        }
    }

    many_acceptors(on) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let acceptors: Vec<_> = (0..4)
            .map(|_| {
                let listener = listener.try_clone().unwrap();
                on.spawn(move || {
                    let mut count = 0;
                    loop {
                        let (mut stream, _) = listener.accept().unwrap();
                        let mut what = [0];
                        stream.read_exact(&mut what).unwrap();
                        if what == *b"q" {
                            return count;
                        }
                        count += 1;
                    }
                })
            })
            .collect();
        let connect = |what| TcpStream::connect(addr).unwrap().write_all(what).unwrap();
        for _ in 0..200 {
            connect(b"1");
        }
        for _ in 0..4 {
            connect(b"q");
        }
        assert_eq!(acceptors.into_iter().map(|acceptor| acceptor.join()).sum::<i32>(), 200);
    }
}
