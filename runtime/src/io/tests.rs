//! The netpoller with one or two pollers and plain threads: no scheduler.

mod futures;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::entry::Token;
use super::home::pretend;
use super::operation::poll_now;
use super::poller::Poller;
use super::readiness::Direction;
use super::source::Source;
use super::sys::{self, Events};

/// Longer than anything takes here: the test hangs.
const HUNG: Duration = Duration::from_secs(20);

/// A poller, and a thread that polls it until this is dropped.
struct Driven {
    poller: Arc<Poller>,
    ends: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Driven {
    fn new() -> Self {
        let poller = Arc::new(Poller::new().unwrap());
        let ends = Arc::new(AtomicBool::new(false));
        let thread = {
            let (poller, ends) = (poller.clone(), ends.clone());
            thread::spawn(move || {
                let mut events = Events::default();
                while !ends.load(Ordering::Acquire) {
                    poller.poll(&mut events, None).unwrap();
                }
                poller.retire();
            })
        };
        Self { poller, ends, thread: Some(thread) }
    }

    /// Runs `f` on a thread whose waits rely on this poller.
    fn spawn<R: Send + 'static>(
        &self,
        f: impl FnOnce() -> R + Send + 'static,
    ) -> thread::JoinHandle<R> {
        let poller = self.poller.clone();
        thread::spawn(move || {
            pretend::set(&poller);
            f()
        })
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        self.poller.wake();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn unix_pair() -> (Arc<Source<UnixStream>>, UnixStream) {
    let (a, b) = UnixStream::pair().unwrap();
    (Arc::new(Source::new(a).unwrap()), b)
}

fn tcp_pair() -> (Source<TcpStream>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    there.set_nodelay(true).unwrap();
    let (here, _) = listener.accept().unwrap();
    (Source::new(here).unwrap().trust_short_counts(true), there)
}

fn read<T: AsFd>(source: &Source<T>, buf: &mut [u8]) -> io::Result<usize>
where
    for<'a> &'a T: Read,
{
    source.reading().transfer(buf.len(), |mut s| s.read(buf))
}

/// Waits until somebody has found nothing in `direction` and cleared the flag: who is about to
/// wait.
fn until_cleared<T: AsFd>(source: &Source<T>, direction: Direction) {
    let since = Instant::now();
    while source.registration().snapshot().is_ready(direction) {
        assert!(since.elapsed() < HUNG);
        std::hint::spin_loop();
    }
}

#[test]
fn smoke() {
    let worker = Driven::new();
    let (source, mut there) = unix_pair();
    let reader = {
        let source = source.clone();
        worker.spawn(move || {
            let mut buf = [0; 8];
            (0..100).map(|_| read(&source, &mut buf).unwrap()).sum::<usize>()
        })
    };
    until_cleared(&source, Direction::Read);
    for _ in 0..100 {
        there.write_all(b"12345678").unwrap();
    }
    assert_eq!(reader.join().unwrap(), 800);
}

#[test]
fn a_plain_thread_waits_by_poll() {
    let (source, mut there) = unix_pair();
    let reader = thread::spawn({
        let source = source.clone();
        move || read(&source, &mut [0; 8]).unwrap()
    });
    there.write_all(b"123").unwrap();
    assert_eq!(reader.join().unwrap(), 3);
    let soon = Some(Duration::from_millis(1));
    let e = source.reading().timeout(soon).run(|mut s| s.read(&mut [0; 8])).unwrap_err();
    assert_eq!((e.kind(), e.raw_os_error()), (ErrorKind::WouldBlock, Some(libc::EAGAIN)));
}

/// The other end has gone, which `poll` says at once, every time; the operation goes on finding
/// nothing, and neither spins nor outlives its deadline.
#[test]
fn a_plain_thread_does_not_spin_on_a_hang_up() {
    let (source, there) = unix_pair();
    drop(there);
    let mut tries = 0;
    let limited = source.reading().timeout(Some(Duration::from_millis(50)));
    let e = limited.run(|_| {
        tries += 1;
        assert!(tries <= 100, "it spins");
        Err::<(), _>(ErrorKind::WouldBlock.into())
    });
    assert_eq!(e.unwrap_err().raw_os_error(), Some(libc::EAGAIN));
    assert!(tries >= 2, "{tries}: the last comes when time is up");
}

#[test]
fn a_reader_and_a_writer_wait_at_once() {
    let worker = Driven::new();
    let (source, mut there) = unix_pair();
    let reader = worker.spawn({
        let source = source.clone();
        move || read(&source, &mut [0; 8]).unwrap()
    });
    let writer = worker.spawn({
        let source = source.clone();
        move || {
            let block = vec![7; 64 << 10];
            for _ in 0..100 {
                source.write_with(|mut s| s.write_all(&block[..1])).unwrap();
                let mut left = &block[1..];
                while !left.is_empty() {
                    let n = source.write_with(|mut s| s.write(left)).unwrap();
                    left = &left[n..];
                }
            }
        }
    });
    until_cleared(&source, Direction::Write);
    until_cleared(&source, Direction::Read);
    let mut all = vec![0; 100 * (64 << 10)];
    there.read_exact(&mut all).unwrap();
    writer.join().unwrap();
    assert!(!source.registration().snapshot().is_ready(Direction::Read));
    there.write_all(b"1").unwrap();
    assert_eq!(reader.join().unwrap(), 1);
}

/// Both wait; one byte at a time comes; each byte is read once, and nobody is left waiting.
#[test]
fn two_readers_one_source() {
    let worker = Driven::new();
    let (source, mut there) = unix_pair();
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let source = source.clone();
            worker.spawn(move || {
                let mut got = 0;
                while read(&source, &mut [0; 1]).unwrap() == 1 {
                    got += 1;
                }
                got
            })
        })
        .collect();
    for _ in 0..1000 {
        there.write_all(b"1").unwrap();
    }
    drop(there);
    let got: Vec<usize> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
    assert_eq!(got.iter().sum::<usize>(), 1000, "{got:?}");
}

/// One event for several bytes, one waiter woken, which takes one byte: the others get theirs.
#[test]
fn a_wake_is_passed_on() {
    let worker = Driven::new();
    let (source, mut there) = unix_pair();
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let source = source.clone();
            worker.spawn(move || read(&source, &mut [0; 1]).unwrap())
        })
        .collect();
    until_cleared(&source, Direction::Read);
    there.write_all(b"1234").unwrap();
    assert_eq!(readers.into_iter().map(|r| r.join().unwrap()).sum::<usize>(), 4);
}

/// The woken one's operation panics, and the other gets the wake.
#[test]
fn a_panic_passes_the_wake_on() {
    let worker = Driven::new();
    let (source, mut there) = unix_pair();
    let panics = worker.spawn({
        let source = source.clone();
        move || {
            source.read_with(|s| match poll_now(s, Direction::Read) {
                Ok(()) => std::panic::resume_unwind(Box::new("mine")),
                Err(e) => Err::<(), _>(e),
            })
        }
    });
    until_cleared(&source, Direction::Read);
    let second = worker.spawn({
        let source = source.clone();
        move || read(&source, &mut [0; 1]).unwrap()
    });
    there.write_all(b"1").unwrap();
    // Which of them waits first is the system's choice: if the second, another byte is for the
    // first.
    assert_eq!(second.join().unwrap(), 1);
    there.write_all(b"1").unwrap();
    assert!(panics.join().is_err());
}

#[test]
fn time_runs_out_and_the_other_waiter_stays() {
    let worker = Driven::new();
    let (source, mut there) = unix_pair();
    let patient = worker.spawn({
        let source = source.clone();
        move || read(&source, &mut [0; 1]).unwrap()
    });
    until_cleared(&source, Direction::Read);
    for _ in 0..20 {
        let hasty = worker.spawn({
            let source = source.clone();
            move || {
                let soon = Some(Duration::from_micros(100));
                source.reading().timeout(soon).run(|mut s| s.read(&mut [0; 1]))
            }
        });
        assert_eq!(hasty.join().unwrap().unwrap_err().kind(), ErrorKind::WouldBlock);
    }
    there.write_all(b"1").unwrap();
    assert_eq!(patient.join().unwrap(), 1);
}

/// The whole economy: a steady request costs one read, not two.
#[test]
fn a_short_read_saves_the_second_call() {
    let worker = Driven::new();
    let (source, mut there) = tcp_pair();
    let source = Arc::new(source);
    let calls = Arc::new(AtomicUsize::new(0));
    let (got, gets) = mpsc::channel();
    let reader = worker.spawn({
        let (source, calls) = (source.clone(), calls.clone());
        move || {
            let mut buf = [0; 64];
            for _ in 0..100 {
                let read = source.reading().transfer(buf.len(), |mut s| {
                    calls.fetch_add(1, Ordering::Relaxed);
                    s.read(&mut buf)
                });
                got.send(read.unwrap()).unwrap();
            }
        }
    });
    until_cleared(&source, Direction::Read);
    for _ in 0..100 {
        there.write_all(b"request").unwrap();
        assert_eq!(gets.recv().unwrap(), 7);
    }
    reader.join().unwrap();
    // The first that found nothing; and at most one for the event with which ADD said "writable".
    let calls = calls.load(Ordering::Relaxed);
    assert!((101..=102).contains(&calls), "{calls} reads for 100 requests");
}

#[test]
fn data_and_fin_in_one_segment() {
    let worker = Driven::new();
    for _ in 0..50 {
        let (source, mut there) = tcp_pair();
        let source = Arc::new(source);
        let reader = worker.spawn({
            let source = source.clone();
            move || {
                let mut buf = [0; 64];
                let mut counts = Vec::new();
                while counts.last() != Some(&0) {
                    counts.push(read(&source, &mut buf).unwrap());
                }
                counts
            }
        });
        until_cleared(&source, Direction::Read);
        there.write_all(b"bye").unwrap();
        drop(there);
        assert_eq!(reader.join().unwrap(), [3, 0]);
    }
}

#[test]
fn an_out_of_band_byte_hides_nothing() {
    let worker = Driven::new();
    for before_the_wait in [true, false] {
        let (source, there) = tcp_pair();
        let source = Arc::new(source);
        let send = |bytes: &[u8], flags| {
            assert_eq!(sys::send(there.as_fd(), bytes, flags).unwrap(), bytes.len());
        };
        let all = || {
            send(b"GET /a", 0);
            send(b"!", libc::MSG_OOB);
            send(b" HTTP/1.1", 0);
        };
        if before_the_wait {
            all();
        }
        let reader = worker.spawn({
            let source = source.clone();
            move || {
                let mut text = Vec::new();
                let mut buf = [0; 64];
                while text.len() < 15 {
                    let n = read(&source, &mut buf).unwrap();
                    text.extend_from_slice(&buf[..n]);
                }
                text
            }
        });
        if !before_the_wait {
            until_cleared(&source, Direction::Read);
            all();
        }
        assert_eq!(reader.join().unwrap(), b"GET /a HTTP/1.1");
    }
}

#[test]
fn a_late_event_finds_nobody() {
    let poller = Arc::new(Poller::new().unwrap());
    pretend::set(&poller);
    let mut events = Events::default();
    let (source, mut there) = unix_pair();
    let soon = Some(Duration::ZERO);
    source.reading().timeout(soon).run(|mut s| s.read(&mut [0; 1])).unwrap_err();
    poller.poll(&mut events, Some(Duration::ZERO)).unwrap();
    // A duplicate keeps the file open, and with it what epoll knows of it, were it not removed.
    let keeper = source.get_ref().try_clone().unwrap();
    let (fd, entry) = (source.as_fd().as_raw_fd(), source.registration().entry());
    there.write_all(b"1").unwrap();
    drop(Arc::into_inner(source).unwrap());
    assert_eq!(poller.poll(&mut events, Some(Duration::ZERO)).unwrap(), 0);
    // The same by token, as if the event had already been fetched: the next owner of the entry, and
    // of the descriptor's number, is not disturbed.
    let (next, _there) = unix_pair();
    next.reading().timeout(soon).run(|mut s| s.read(&mut [0; 1])).unwrap_err();
    if std::ptr::eq(next.registration().entry(), entry) {
        let now = next.registration().snapshot();
        let all = super::readiness::Report::from_epoll(u32::MAX);
        entry.dispatch(now.generation().wrapping_sub(1), all);
        assert_eq!(next.registration().snapshot(), now);
    }
    assert!(fd >= 0);
    drop(keeper);
}

#[test]
fn the_same_descriptor_twice_is_refused() {
    let poller = Arc::new(Poller::new().unwrap());
    pretend::set(&poller);
    let (a, _b) = UnixStream::pair().unwrap();
    a.set_nonblocking(true).unwrap();
    let (one, two) = (Source::assume_nonblocking(&a), Source::assume_nonblocking(&a));
    let try_once = |source: &Source<&UnixStream>| {
        let soon = Some(Duration::ZERO);
        source.reading().timeout(soon).run(|s| (&mut &**s).read(&mut [0; 1])).unwrap_err()
    };
    assert_eq!(try_once(&one).kind(), ErrorKind::WouldBlock);
    assert_eq!(try_once(&two).kind(), ErrorKind::AlreadyExists);
    drop(one);
    assert_eq!(try_once(&two).kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_regular_file_never_waits_and_says_why() {
    let poller = Arc::new(Poller::new().unwrap());
    pretend::set(&poller);
    let source = Source::new(std::fs::File::open("/proc/self/exe").unwrap()).unwrap();
    assert_eq!(read(&source, &mut [0; 4]).unwrap(), 4);
    source.readable().unwrap();
    let e = source.read_with(|_| Err::<(), _>(ErrorKind::WouldBlock.into())).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unsupported);
}

/// The connection is handed to another worker for good: the registration follows.
#[test]
fn the_registration_moves() {
    let (one, two) = (Driven::new(), Driven::new());
    let (source, mut there) = unix_pair();
    let mut turn = |worker: &Driven| {
        let reader = worker.spawn({
            let source = source.clone();
            move || read(&source, &mut [0; 1]).unwrap()
        });
        until_cleared(&source, Direction::Read);
        there.write_all(b"1").unwrap();
        assert_eq!(reader.join().unwrap(), 1);
        source.registration().entry().home_id()
    };
    assert_eq!(turn(&one), one.poller.id());
    assert_eq!(turn(&two), one.poller.id());
    assert_eq!(turn(&one), one.poller.id());
    assert_eq!(turn(&two), one.poller.id());
    assert_eq!(turn(&two), two.poller.id());
    assert_eq!(turn(&two), two.poller.id());
}

/// A waiter that relies on another runtime's poller, which ends.
#[test]
fn a_poller_that_retires_leaves_nobody_behind() {
    let stays = Driven::new();
    let (source, mut there) = unix_pair();
    let ends = Driven::new();
    ends.spawn({
        let source = source.clone();
        move || {
            let soon = Some(Duration::ZERO);
            source.reading().timeout(soon).run(|mut s| s.read(&mut [0; 1])).unwrap_err()
        }
    })
    .join()
    .unwrap();
    assert_eq!(source.registration().entry().home_id(), ends.poller.id());
    let reader = stays.spawn({
        let source = source.clone();
        move || read(&source, &mut [0; 1]).unwrap()
    });
    until_cleared(&source, Direction::Read);
    drop(ends);
    let since = Instant::now();
    while source.registration().entry().home_id() != stays.poller.id() {
        assert!(since.elapsed() < HUNG);
        std::hint::spin_loop();
    }
    there.write_all(b"1").unwrap();
    assert_eq!(reader.join().unwrap(), 1);
}

/// The monitor asks in the place of an owner who is about to sleep: the owner's wake, which is an
/// edge and comes out once, is given back, every time.
#[test]
fn a_wake_is_the_owners_whoever_polls() {
    let poller = Poller::new().unwrap();
    let mut events = Events::default();
    let mut woken = || {
        poller.poll(&mut events, Some(Duration::ZERO)).unwrap();
        events.iter().any(|event| event.token == Token::WAKEUP)
    };
    poller.wake();
    assert!(woken() && !woken());
    poller.wake();
    for _ in 0..3 {
        assert_eq!(poller.poll_for_owner(&mut Events::default()).unwrap(), 0);
    }
    assert!(woken() && !woken());
    assert_eq!(poller.poll_for_owner(&mut Events::default()).unwrap(), 0);
    assert!(!woken(), "nor does it make up one");
}

#[test]
fn shutdown_wakes_reader_and_writer() {
    let worker = Driven::new();
    let (source, _there) = tcp_pair();
    let source = Arc::new(source);
    let reader = worker.spawn({
        let source = source.clone();
        move || read(&source, &mut [0; 1])
    });
    let writer = worker.spawn({
        let source = source.clone();
        move || {
            loop {
                if let Err(e) = source.write_with(|mut s| s.write(&[0; 64 << 10])) {
                    return e.kind();
                }
            }
        }
    });
    until_cleared(&source, Direction::Read);
    until_cleared(&source, Direction::Write);
    source.get_ref().shutdown(std::net::Shutdown::Both).unwrap();
    assert_eq!(reader.join().unwrap().unwrap(), 0);
    assert_eq!(writer.join().unwrap(), ErrorKind::BrokenPipe);
}

#[test]
fn readable_asks_the_kernel() {
    let worker = Driven::new();
    let (source, mut there) = unix_pair();
    let (ready, readies) = mpsc::channel();
    let reader = worker.spawn({
        let source = source.clone();
        move || {
            for _ in 0..3 {
                source.readable().unwrap();
                ready.send(source.get_ref().read(&mut [0; 8]).unwrap()).unwrap();
            }
        }
    });
    for _ in 0..3 {
        until_cleared(&source, Direction::Read);
        there.write_all(b"123").unwrap();
        assert_eq!(readies.recv().unwrap(), 3);
    }
    reader.join().unwrap();
    source.writable().unwrap();
}

#[test]
fn a_source_is_as_unwind_safe_as_its_owner() {
    fn check<T: std::panic::UnwindSafe + std::panic::RefUnwindSafe + Send + Sync>() {}
    check::<Source<TcpStream>>();
}
