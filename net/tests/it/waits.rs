//! Who is woken, and what is never left lying.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::net::SendFlags;
use sedge_net::{Shutdown, TcpListener, TcpStream};
use socket2::SockRef;

use crate::environment::{On, SEDGE, until};

/// Runs a body everywhere.
fn everywhere(body: fn(On)) {
    for on in SEDGE {
        on.run(body);
    }
}

/// A connection, the accepted end first.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    there.set_nodelay(true).unwrap();
    (listener.accept().unwrap().0, there)
}

/// A clone whose timeouts are its own: made behind the type's back.
fn stranger(stream: &TcpStream) -> TcpStream {
    TcpStream::from(stream.as_fd().try_clone_to_owned().unwrap())
}

#[test]
fn data_and_fin_in_one_segment() {
    everywhere(|on| {
        for _ in 0..100 {
            let (mut here, there) = pair();
            let reader = on.spawn(move || {
                let mut counts = Vec::new();
                while counts.last() != Some(&0) {
                    counts.push(here.read(&mut [0; 64]).unwrap());
                }
                counts
            });
            // Corked, so that the end travels with the data.
            SockRef::from(&there).set_tcp_cork(true).unwrap();
            (&there).write_all(b"bye").unwrap();
            drop(there);
            assert_eq!(reader.join(), [3, 0]);
        }
    });
}

#[test]
fn an_out_of_band_byte_hides_nothing() {
    everywhere(|on| {
        for _ in 0..50 {
            let (mut here, there) = pair();
            let reader = on.spawn(move || {
                let mut text = Vec::new();
                let mut buf = [0; 64];
                while text.len() < 15 {
                    let n = here.read(&mut buf).unwrap();
                    text.extend_from_slice(&buf[..n]);
                }
                text
            });
            (&there).write_all(b"GET /a").unwrap();
            rustix::net::send(&there, b"!", SendFlags::OOB).unwrap();
            (&there).write_all(b" HTTP/1.1").unwrap();
            assert_eq!(reader.join(), b"GET /a HTTP/1.1");
        }
    });
}

/// Clones have descriptors and registrations of their own; the end of one is nothing to the other,
/// whatever takes its number.
#[test]
fn clones_come_and_go() {
    everywhere(|on| {
        let (here, mut there) = pair();
        let reader = on.spawn({
            let mut here = here.try_clone().unwrap();
            move || {
                let mut got = 0;
                let mut buf = [0; 1];
                while here.read(&mut buf).unwrap() != 0 {
                    got += 1;
                }
                got
            }
        });
        for _ in 0..100 {
            let mut clone = stranger(&here);
            clone.set_read_timeout(Some(Duration::from_micros(10))).unwrap();
            // It waits, and thereby registers; or it gets the byte that was for the reader.
            match clone.read(&mut [0; 1]) {
                Err(e) => assert_eq!(e.kind(), ErrorKind::WouldBlock),
                Ok(n) => {
                    assert_eq!(n, 1);
                    there.write_all(b"1").unwrap();
                }
            }
            clone.set_read_timeout(None).unwrap();
            drop(clone);
            there.write_all(b"1").unwrap();
        }
        there.shutdown(Shutdown::Write).unwrap();
        assert_eq!(reader.join(), 100);
    });
}

/// One connection is dropped with data unread and events outstanding, and its number is taken by
/// the next, which sees only its own.
#[test]
fn numbers_are_reused_at_once() {
    everywhere(|on| {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let addr = listener.local_addr().unwrap();
        let server = on.spawn(move || {
            for i in 0..500u16 {
                let (mut stream, _) = listener.accept().unwrap();
                let mut buf = [0; 2];
                stream.read_exact(&mut buf).unwrap();
                assert_eq!(u16::from_be_bytes(buf), i);
                stream.write_all(&buf).unwrap();
            }
        });
        for i in 0..500u16 {
            let mut stream = TcpStream::connect(addr).unwrap();
            stream.write_all(&i.to_be_bytes()).unwrap();
            stream.write_all(b"never read").unwrap();
            let mut buf = [0; 2];
            stream.read_exact(&mut buf).unwrap();
            assert_eq!(u16::from_be_bytes(buf), i);
        }
        server.join();
    });
}

/// Several readers on one connection: every byte once, every reader ends.
#[test]
fn several_readers() {
    everywhere(|on| {
        let (here, mut there) = pair();
        let (here, got) = (Arc::new(here), Arc::new(AtomicUsize::new(0)));
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let (here, got) = (here.clone(), got.clone());
                on.spawn(move || {
                    while (&*here).read(&mut [0; 1]).unwrap() == 1 {
                        got.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        there.write_all(&[1; 1000]).unwrap();
        until(|| got.load(Ordering::Relaxed) == 1000);
        // All are waiting now, or about to.
        there.write_all(&[1; 1000]).unwrap();
        there.shutdown(Shutdown::Write).unwrap();
        readers.into_iter().for_each(|reader| reader.join());
        assert_eq!(got.load(Ordering::Relaxed), 2000);
    });
}

/// The woken one's time runs out at that moment: the other gets what is there.
#[test]
fn a_timeout_takes_no_wake_with_it() {
    everywhere(|on| {
        let (here, mut there) = pair();
        let hasty = here.try_clone().unwrap();
        for _ in 0..200 {
            let patient = on.spawn({
                let mut here = here.try_clone().unwrap();
                move || here.read(&mut [0; 1]).unwrap()
            });
            let hasty = on.spawn({
                let mut hasty = stranger(&hasty);
                move || {
                    hasty.set_read_timeout(Some(Duration::from_micros(50))).unwrap();
                    let read = hasty.read(&mut [0; 1]);
                    hasty.set_read_timeout(None).unwrap();
                    read
                }
            });
            there.write_all(b"1").unwrap();
            if hasty.join().is_ok_and(|n| n == 1) {
                there.write_all(b"2").unwrap();
            }
            assert_eq!(patient.join(), 1);
        }
    });
}

/// The limit is another task's to set, change and clear at any moment, also between the reader's
/// look and its park: no byte is lost, no read ends otherwise than by a byte or by its limit, and
/// the timer of one read ends no later one.
#[test]
fn a_time_limit_is_changed_by_another() {
    const BYTES: usize = 2_000;
    everywhere(|on| {
        let (here, mut there) = pair();
        let here = Arc::new(here);
        let done = Arc::new(AtomicUsize::new(0));
        let changer = on.spawn({
            let (here, done) = (here.clone(), done.clone());
            move || {
                let limits = [None, Some(20), Some(1), Some(200), Some(3_600_000_000)];
                for limit in limits.iter().cycle() {
                    here.set_read_timeout(limit.map(Duration::from_micros)).unwrap();
                    if done.load(Ordering::SeqCst) == BYTES {
                        break;
                    }
                    sedge_runtime::task::yield_now();
                }
                here.set_read_timeout(None).unwrap();
            }
        });
        let reader = on.spawn({
            let (here, done) = (here.clone(), done.clone());
            move || {
                let mut read = Vec::new();
                while read.len() < BYTES {
                    let mut byte = [0];
                    match (&*here).read(&mut byte) {
                        Ok(count) => read.extend_from_slice(&byte[..count]),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                    }
                    done.store(read.len(), Ordering::SeqCst);
                }
                read
            }
        });
        let sent: Vec<u8> = (0..BYTES).map(|n| n as u8).collect();
        for byte in &sent {
            there.write_all(&[*byte]).unwrap();
            if byte % 7 == 0 {
                sedge_runtime::time::sleep(Duration::from_micros(30));
            }
        }
        assert_eq!(reader.join(), sent);
        changer.join();
        // What is left of those timers does not end this one.
        let reader = on.spawn(move || (&*here).read(&mut [0]).unwrap());
        sedge_runtime::time::sleep(Duration::from_millis(1));
        there.write_all(b"!").unwrap();
        assert_eq!(reader.join(), 1);
    });
}

#[test]
fn a_time_limit_is_exact() {
    everywhere(|_| {
        let (mut here, _there) = pair();
        here.set_read_timeout(Some(Duration::from_micros(50))).unwrap();
        let began = std::time::Instant::now();
        for _ in 0..100 {
            assert_eq!(here.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
        }
        assert!(began.elapsed() >= Duration::from_millis(5));
    });
}

#[test]
fn conversions_keep_the_mode() {
    everywhere(|_| {
        let (here, there) = pair();
        here.set_read_timeout(Some(Duration::from_secs(4))).unwrap();
        let here = std::net::TcpStream::from(here);
        assert!(!SockRef::from(&here).nonblocking().unwrap());
        assert_eq!(here.read_timeout().unwrap(), Some(Duration::from_secs(4)));
        here.set_nonblocking(true).unwrap();
        let mut here = TcpStream::from(here);
        assert_eq!(here.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(SockRef::from(&std::net::TcpStream::from(here)).nonblocking().unwrap());

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(SockRef::from(&listener).nonblocking().unwrap());
        let listener = std::net::TcpListener::from(listener);
        assert!(!SockRef::from(&listener).nonblocking().unwrap());
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from(listener);
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(SockRef::from(&std::net::TcpListener::from(listener)).nonblocking().unwrap());
        drop(there);
    });
}

/// `From<OwnedFd>` takes anything. A Unix stream works, and its short reads are not trusted.
#[test]
fn a_descriptor_of_another_kind() {
    everywhere(|on| {
        let (a, b) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut a = TcpStream::from(OwnedFd::from(a));
        let reader = on.spawn(move || {
            let mut all = Vec::new();
            a.read_to_end(&mut all).unwrap();
            all.len()
        });
        for _ in 0..10 {
            (&b).write_all(b"12345").unwrap();
        }
        drop(b);
        assert_eq!(reader.join(), 50);
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let mut file = TcpStream::from(OwnedFd::from(file));
        assert_eq!(
            file.read(&mut [0; 1]).unwrap_err().raw_os_error(),
            Some(rustix::io::Errno::NOTSOCK.raw_os_error())
        );
    });
}

#[test]
fn what_a_builder_sets() {
    everywhere(|_| {
        let one = TcpListener::builder().reuse_port(true).nodelay(true).bind("127.0.0.1:0");
        let one = one.unwrap();
        let addr = one.local_addr().unwrap();
        let two = TcpListener::builder().reuse_port(true).backlog(1).bind(addr).unwrap();
        assert_eq!(two.local_addr().unwrap(), addr);
        drop(two);
        let there = TcpStream::connect(addr).unwrap();
        assert!(one.accept().unwrap().0.nodelay().unwrap());
        assert!(!there.nodelay().unwrap());
        there.set_linger(Some(Duration::from_secs(0))).unwrap();
        assert_eq!(there.linger().unwrap(), Some(Duration::ZERO));
        there.set_quickack(false).unwrap();
        assert!(!there.quickack().unwrap());
        there.set_quickack(true).unwrap();
        assert!(there.quickack().unwrap());
        let plain = TcpListener::builder().reuse_address(false).bind("127.0.0.1:0").unwrap();
        assert!(!SockRef::from(&plain).reuse_address().unwrap());
        if let Ok(listener) = TcpListener::builder().only_v6(true).bind("[::1]:0") {
            assert!(SockRef::from(&listener).only_v6().unwrap());
        }
    });
}
