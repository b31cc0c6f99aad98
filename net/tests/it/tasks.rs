//! What only tasks meet: homes, cancellation, `no_park`, other runtimes.

use std::io::{BufWriter, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rustix::net::RecvFlags;
use sedge_net::{TcpListener, TcpStream};
use sedge_runtime::signal::Graceful;
use sedge_runtime::{runtime, spawn, task};

use crate::environment::{HUNG, until};

fn on_workers(workers: usize, body: impl FnOnce()) {
    runtime::Builder::new().workers(workers).run(body).unwrap();
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, there)
}

/// Echoes, one task for each connection, until its runtime ends.
fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            spawn(move || {
                let mut buf = [0; 64];
                while let Ok(n @ 1..) = stream.read(&mut buf) {
                    stream.write_all(&buf[..n]).unwrap();
                }
            });
        }
    });
    addr
}

/// Connections that are passed around among tasks of all workers.
#[test]
fn a_pool_of_connections() {
    // Optimised, a million in all.
    let rounds = if cfg!(debug_assertions) { 5_000 } else { 250_000_u32 };
    on_workers(2, move || {
        let addr = echo_server();
        let pool: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        for _ in 0..4 {
            pool.lock().unwrap().push(TcpStream::connect(addr).unwrap());
        }
        let clients: Vec<_> = (0..4u32)
            .map(|client| {
                let pool = pool.clone();
                spawn(move || {
                    for i in 0..rounds {
                        let mut stream = pool.lock().unwrap().pop().unwrap();
                        let request = [client.to_be_bytes(), i.to_be_bytes()].concat();
                        stream.write_all(&request).unwrap();
                        let mut reply = [0; 8];
                        stream.read_exact(&mut reply).unwrap();
                        assert_eq!(reply[..], request[..]);
                        pool.lock().unwrap().push(stream);
                    }
                })
            })
            .collect();
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
}

/// A reader and a writer of one connection at different homes.
#[test]
fn two_homes() {
    on_workers(2, || {
        let (here, there) = pair();
        let (here, there) = (Arc::new(here), Arc::new(there));
        const TOTAL: usize = 4 << 20;
        let mut ends = Vec::new();
        for end in [here, there] {
            ends.push(spawn({
                let end = end.clone();
                move || (&*end).write_all(&vec![7; TOTAL]).unwrap()
            }));
            ends.push(spawn(move || (&*end).read_exact(&mut vec![0; TOTAL]).unwrap()));
        }
        ends.into_iter().for_each(|end| end.join().unwrap());
    });
}

/// Notes that it was dropped.
struct Flag(Arc<AtomicUsize>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The end of a runtime ends every wait.
#[test]
fn waits_are_cancelled() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let waiting = Arc::new(AtomicUsize::new(0));
    on_workers(2, || {
        let task = |f: Box<dyn FnOnce() + Send>| {
            let (waiting, flag) = (waiting.clone(), Flag(dropped.clone()));
            spawn(move || {
                let _flag = flag;
                waiting.fetch_add(1, Ordering::Relaxed);
                f();
                unreachable!("it waits for ever");
            });
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        task(Box::new(move || drop(listener.accept())));
        let (mut here, there) = pair();
        let keep = here.try_clone().unwrap();
        task(Box::new(move || drop(here.read(&mut [0; 1]))));
        let (mut there, kept) = (there.try_clone().unwrap(), there);
        task(Box::new(move || while there.write(&[0; 1 << 16]).is_ok() {}));
        until(|| waiting.load(Ordering::Relaxed) == 3);
        std::mem::forget((keep, kept));
    });
    assert_eq!(dropped.load(Ordering::Relaxed), 3);
}

/// A buffer that is flushed while its task is being cancelled, to a peer that does not read.
#[test]
fn a_flush_in_a_destructor_does_not_wait() {
    let written = Arc::new(AtomicBool::new(false));
    on_workers(1, || {
        let (here, there) = pair();
        there.set_nonblocking(true).unwrap();
        while (&there).write(&[0; 1 << 16]).is_ok() {}
        there.set_nonblocking(false).unwrap();
        let buffered = written.clone();
        spawn(move || {
            let mut writer = BufWriter::new(there);
            writer.write_all(b"will never be read").unwrap();
            buffered.store(true, Ordering::Relaxed);
            task::park();
        });
        until(|| written.load(Ordering::Relaxed));
        std::mem::forget(here);
    });
}

/// Loops of calls that never wait let other tasks run, and end with their runtime.
#[test]
fn calls_in_nonblocking_mode_starve_nobody_and_are_cancelled() {
    let (dropped, looping) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    on_workers(1, || {
        let task = |mut call: Box<dyn FnMut() + Send>| {
            let (looping, flag) = (looping.clone(), Flag(dropped.clone()));
            spawn(move || {
                let _flag = flag;
                looping.fetch_add(1, Ordering::Relaxed);
                let since = Instant::now();
                loop {
                    call();
                    assert!(since.elapsed() < HUNG, "it keeps its worker");
                }
            })
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (mut here, there) = pair();
        here.set_nonblocking(true).unwrap();
        let (mut full, peeked) = (here.try_clone().unwrap(), here.try_clone().unwrap());
        let tasks = [
            task(Box::new(move || drop(listener.accept()))),
            task(Box::new(move || drop(here.read(&mut [0; 1])))),
            task(Box::new(move || drop(peeked.peek(&mut [0; 1])))),
            task(Box::new(move || drop(full.write(&[0; 1 << 16])))),
        ];
        until(|| looping.load(Ordering::Relaxed) == 4);
        assert!(!tasks.iter().any(|task| task.is_finished()));
        std::mem::forget(there);
    });
    assert_eq!(dropped.load(Ordering::Relaxed), 4);
}

/// The unwind is a panic's, and the cancellation comes when a destructor waits already.
#[test]
fn waits_in_mid_unwind_are_cancelled() {
    struct Finally(Option<Box<dyn FnOnce() -> std::io::Error + Send>>, Arc<AtomicUsize>);

    impl Drop for Finally {
        fn drop(&mut self) {
            if self.0.take().is_some_and(|f| f().kind() == std::io::ErrorKind::Other) {
                self.1.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    let (waiting, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    // One worker: each has parked when the next begins.
    on_workers(1, || {
        let task = |f: Box<dyn FnOnce() -> std::io::Error + Send>| {
            let (waiting, refused) = (waiting.clone(), refused.clone());
            spawn(move || {
                let f = move || {
                    waiting.fetch_add(1, Ordering::Relaxed);
                    f()
                };
                let _finally = Finally(Some(Box::new(f)), refused);
                std::panic::resume_unwind(Box::new("on its way out"));
            });
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        task(Box::new(move || listener.accept().unwrap_err()));
        let ((mut silent, peer), (mut full, other_peer)) = (pair(), pair());
        task(Box::new(move || silent.read(&mut [0; 1]).unwrap_err()));
        task(Box::new(move || {
            loop {
                if let Err(e) = full.write(&[0; 1 << 16]) {
                    return e;
                }
            }
        }));
        until(|| waiting.load(Ordering::Relaxed) == 3);
        std::mem::forget((peer, other_peer));
    });
    assert_eq!(refused.load(Ordering::Relaxed), 3);
}

/// The first byte of a request has arrived when the stop comes, and its task has not run yet. What
/// follows is read all the same; a connection that has nothing is ended.
#[test]
fn a_stop_does_not_cut_off_what_has_begun_to_arrive() {
    on_workers(1, || {
        let stop = Graceful::new();
        let (waiting, begun) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let serve = |mut stream: TcpStream| {
            let (open, waiting, begun) = (stop.guard(), waiting.clone(), begun.clone());
            spawn(move || {
                let mut request = [0; 2];
                waiting.fetch_add(1, Ordering::Relaxed);
                match open.until(&stream, || (&stream).read(&mut request[..1])).unwrap() {
                    Some(1) => {}
                    ended => return ended,
                }
                begun.fetch_add(1, Ordering::Relaxed);
                stream.read_exact(&mut request[1..]).unwrap();
                assert_eq!(&request, b"ab");
                Some(2)
            })
        };
        let ((here, mut there), (idle, _silent)) = (pair(), pair());
        there.set_nodelay(true).unwrap();
        let look = here.try_clone().unwrap();
        let (busy, idle) = (serve(here), serve(idle));
        // One worker: both have parked.
        until(|| waiting.load(Ordering::Relaxed) == 2);
        there.write_all(b"a").unwrap();
        // Without letting go of the worker.
        let since = Instant::now();
        while rustix::net::recv(&look, &mut [0], RecvFlags::PEEK | RecvFlags::DONTWAIT).is_err() {
            assert!(since.elapsed() < HUNG);
        }
        stop.stop();
        until(|| begun.load(Ordering::Relaxed) == 1);
        there.write_all(b"b").unwrap();
        assert_eq!(busy.join().unwrap(), Some(2));
        assert_eq!(idle.join().unwrap(), Some(0));
        stop.wait(HUNG).unwrap();
    });
}

/// Inside `no_park` a wait blocks the thread, and the task's registration is no hindrance.
#[test]
fn waits_inside_no_park() {
    on_workers(1, || {
        let (mut here, there) = pair();
        let peer = std::thread::spawn({
            let mut there = std::net::TcpStream::from(there);
            move || {
                let mut buf = [0; 1];
                while there.read(&mut buf).unwrap() == 1 {
                    there.write_all(&buf).unwrap();
                }
            }
        });
        for _ in 0..100 {
            here.write_all(b"1").unwrap();
            assert_eq!(here.read(&mut [0; 8]).unwrap(), 1);
            here.write_all(b"2").unwrap();
            assert_eq!(task::no_park(|| here.read(&mut [0; 8])).unwrap(), 1);
        }
        drop(here);
        peer.join().unwrap();
    });
}

/// A listener that outlives its runtime goes on in the next, and on a plain thread.
#[test]
fn one_runtime_after_the_other() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let accept_two = || {
        let client = std::thread::spawn(move || {
            // The second comes after the first was served, so that there is a wait for it.
            let mut one = TcpStream::connect(addr).unwrap();
            assert_eq!(one.read(&mut [0; 1]).unwrap(), 1);
            TcpStream::connect(addr).unwrap();
        });
        listener.accept().unwrap().0.write_all(b"1").unwrap();
        listener.accept().unwrap();
        client.join().unwrap();
    };
    for _ in 0..5 {
        on_workers(1, accept_two);
        accept_two();
        on_workers(2, accept_two);
    }
}
