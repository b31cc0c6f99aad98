//! Green threads for Rust on Linux: servers in straight-line blocking code, at an event loop's cost.
//!
//! A *task* is used as a thread is, and costs about as much as a heap allocation until it waits, and
//! a page of memory while it does. `accept`, `read` and `write_all` look as they do in `std::net`;
//! where a thread would block, a task *parks*, and its worker runs another.
//!
//! ```no_run
//! use std::io::{self, Read, Write};
//!
//! fn main() -> io::Result<()> {
//!     sedge::run(|| {
//!         let listener = sedge::net::TcpListener::bind("127.0.0.1:7777")?;
//!         loop {
//!             let Ok((mut stream, _)) = listener.accept() else { continue };
//!             sedge::spawn(move || -> io::Result<()> {
//!                 let mut buffer = [0; 1024];
//!                 loop {
//!                     match stream.read(&mut buffer)? {
//!                         0 => return Ok(()),
//!                         n => stream.write_all(&buffer[..n])?,
//!                     }
//!                 }
//!             });
//!         }
//!     })
//! }
//! ```
//!
//! # Coming from threads
//!
//! Change `use std::net` to `use sedge::net`, the calls below to their counterparts, and put `main`'s
//! body into [`run`]. The rest of std stays as it is:
//!
//! | threads | here |
//! |---|---|
//! | `std::thread::spawn`, `JoinHandle`, `Builder` | [`spawn`], [`task::JoinHandle`], [`task::Builder`] |
//! | `std::thread::{park, yield_now, sleep, current}` | [`task::park`], [`task::yield_now`], [`time::sleep`], [`task::current`] |
//! | `std::net` | [`net`]: TCP so far; [`io::Source`] takes a `UdpSocket` or a `UnixStream` |
//! | a call that blocks, or computes for long | [`blocking()`](fn@blocking) around it |
//! | signal handlers | [`signal`] |
//!
//! Streams implement `Read` and `Write`, so crates that are generic over these work unchanged
//! (rustls, tungstenite, httparse's users). Crates that open a `std::net::TcpStream` of their own
//! block their worker: call them in [`blocking()`](fn@blocking). Everything also works on a plain
//! thread, which it then blocks.
//!
//! # The three rules
//!
//! ## Hold no thread's lock over a wait
//!
//! Tasks that live on one worker take turns on its thread. If one parks while it holds a std or
//! `parking_lot` lock and another wants that lock, the second blocks the thread that the first needs
//! to go on: the worker hangs. The runtime names such a task after a second. Keep the guard's scope
//! free of waits, or put the stretch into [`task::no_park`]. The same goes for a `LazyLock` whose
//! initialiser waits.
//!
//! All of std that waits blocks the worker: `mpsc`, `Condvar`, `Barrier`, `thread::sleep`, joining a
//! thread, files, stdin. Use [`task::park`], [`task::JoinHandle::join`], [`time::sleep`], a channel
//! for futures in [`task::block_on`], or [`blocking()`](fn@blocking).
//!
//! ## Compute in `blocking`
//!
//! A task that computes for long, or calls C that blocks, keeps its worker from its other tasks: in
//! Rust it cannot be preempted safely. [`blocking()`](fn@blocking) lends the closure, which may
//! borrow, to a thread of a pool while the task parks.
//!
//! ## Thread-locals are the worker's
//!
//! A started task stays on its worker's thread, so a thread-local means what it means in a thread,
//! except that the tasks of a worker share it. Two things must not be parked in: the initialiser of
//! a `thread_local!` (another task would initialise it meanwhile, and the borrowed value be
//! dropped), and crates that nest strictly in a thread-local, as `scoped-tls`'s `set` does. Both are
//! safe inside [`task::no_park`].
//!
//! # Stopping
//!
//! [`signal::Graceful`] ends a server in good order: it takes no more connections, closes the idle
//! ones, and finishes the requests in flight, within a time limit.
//!
//! ```
//! use sedge::net::{TcpListener, TcpStream};
//! use sedge::signal::{Graceful, SIGINT, SIGTERM};
//! use std::io::{self, BufRead, BufReader, Write};
//! use std::time::Duration;
//!
//! fn main() -> io::Result<()> {
//!     sedge::run(|| {
//!         let listener = TcpListener::bind("127.0.0.1:0")?;
//!         let stop = Graceful::new();
//!         stop.on_signals([SIGINT, SIGTERM])?;
//! #       let (addr, stopper) = (listener.local_addr()?, stop.clone());
//! #       let client = sedge::spawn(move || {
//! #           let mut stream = TcpStream::connect(addr)?;
//! #           stream.write_all(b"ping\n")?;
//! #           let mut answers = BufReader::new(stream).lines();
//! #           let first = answers.next().unwrap()?;
//! #           stopper.stop();
//! #           Ok::<_, io::Error>((first, answers.count()))
//! #       });
//!         while let Some((conn, _)) = stop.until(&listener, || listener.accept())? {
//!             let open = stop.guard();
//!             sedge::spawn(move || serve(&conn, &open));
//!         }
//!         drop(listener);
//!         stop.wait(Duration::from_secs(30))?;
//! #       assert_eq!(client.join().unwrap()?, ("ping".into(), 0));
//!         Ok(())
//!     })
//! }
//!
//! /// Sends every line back.
//! fn serve(mut conn: &TcpStream, stop: &Graceful) -> io::Result<()> {
//!     let mut requests = BufReader::new(conn);
//!     let mut line = Vec::new();
//!     // Between two requests is the one place where this connection may be ended.
//!     while let Some(true) = stop.until(conn, || Ok(!requests.fill_buf()?.is_empty()))? {
//!         requests.read_until(b'\n', &mut line)?;
//!         conn.write_all(&line)?;
//!         line.clear();
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # How many tasks
//!
//! Stacks are 256 KiB of address space by default ([`runtime::Builder::stack_size`]); only touched
//! pages are memory. Each stack has a guard, and how guards are made decides how many tasks there
//! can be under default limits:
//!
//! - Linux 6.13 and newer: lightweight guards, which split no mapping. A million tasks and more.
//! - Older kernels: guards by `mprotect`, two mappings each. `vm.max_map_count` is 65,530 by default
//!   and allows about 32,000 tasks; `sysctl vm.max_map_count=2100000` a million.
//!
//! # Environment
//!
//! `SEDGE_WORKERS` is the number of workers (default: one for each CPU that the process may use);
//! `SEDGE_STACK` the stack size, as in `128K` or `1M`.
#![forbid(unsafe_code)]

pub use sedge_runtime::{blocking, io, run, runtime, signal, spawn, task, time};

/// TCP, in std's names.
pub mod net {
    pub use sedge_net::*;
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
