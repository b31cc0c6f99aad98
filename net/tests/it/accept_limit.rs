//! Accepting at the limit on descriptors, in a process of its own.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sedge_net::{TcpListener, TcpStream};

use crate::environment::{SEDGE, until};

const CHILD: &str = "SEDGE_TEST_ACCEPT_LIMIT";

/// No spin, no lost listener, recovery when descriptors come back.
#[test]
fn an_accept_loop_survives_emfile() {
    if std::env::var_os(CHILD).is_some() {
        SEDGE.iter().for_each(|on| on.run(child));
        return;
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "accept_limit::an_accept_loop_survives_emfile", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

fn child(on: crate::environment::On) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (errors, accepted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let acceptor = on.spawn({
        let (errors, accepted) = (errors.clone(), accepted.clone());
        move || {
            // The loop that everybody writes.
            loop {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let quits = stream.peek(&mut [0; 1]).unwrap() == 1;
                        drop(stream);
                        accepted.fetch_add(1, Ordering::Relaxed);
                        if quits {
                            return;
                        }
                    }
                    Err(e) => {
                        assert_eq!(e.raw_os_error(), Some(rustix::io::Errno::MFILE.raw_os_error()));
                        errors.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
    });
    // One connection to begin with, so that the acceptor is past its first wait, and has
    // registered.
    drop(TcpStream::connect(addr).unwrap());
    until(|| accepted.load(Ordering::Relaxed) == 1);
    // The limit falls to what is open now, and a connection comes.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let before = getrlimit(Resource::Nofile);
    let next_free = socket.try_clone().unwrap().as_raw_fd() as u64;
    let none_left = Rlimit { current: Some(next_free), maximum: before.maximum };
    setrlimit(Resource::Nofile, none_left).unwrap();
    socket.connect(&addr.into()).unwrap();
    until(|| errors.load(Ordering::Relaxed) >= 6);
    let after_six = std::time::Instant::now();
    // 1, 2, 4, .. ms: six errors take 31 ms, the next three another 224. A spin would make
    // thousands.
    until(|| after_six.elapsed() >= Duration::from_millis(100));
    assert!(errors.load(Ordering::Relaxed) <= 9, "{}", errors.load(Ordering::Relaxed));
    setrlimit(Resource::Nofile, before).unwrap();
    let mut there = std::net::TcpStream::from(socket);
    there.write_all(b"q").unwrap();
    acceptor.join();
    assert_eq!(accepted.load(Ordering::Relaxed), 2);
}
