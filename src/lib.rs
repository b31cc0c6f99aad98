//! Green threads for Rust on Linux: servers in straight-line blocking code, at an event loop's
//! cost.
//!
//! A *task* is used as a thread is. `accept`, `read` and `write_all` look as they do in `std::net`;
//! where a thread would block, a task *parks*, and its *worker*, the thread that runs it, runs
//! another. Until it first waits a task costs about as much as a heap allocation, and while it
//! waits, a page of memory and some hundred bytes.
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
//! **It is for** servers with many connections that mostly wait, in plain functions: no `async`, no
//! second set of libraries. Streams implement `Read` and `Write`, so crates that are generic over
//! these work unchanged (rustls, tungstenite, httparse's users).
//!
//! **It is not for** other systems than Linux on x86-64 and AArch64, nor for crates that need
//! tokio. A waiting task keeps its stack, a page at least, where a future keeps a few hundred
//! bytes. UDP and Unix sockets, and files, are still to come. And a task shares its thread with
//! others, from which follow [three rules](#the-three-rules).
//!
//! # Coming from threads, tokio or Go
//!
//! | threads | tokio | Go | here |
//! |---|---|---|---|
//! | `main` | `#[tokio::main]` | `main` | [`run`] |
//! | `thread::spawn` | `tokio::spawn` | `go` | [`spawn`], [`task::Builder`] |
//! | `JoinHandle::join` | `handle.await` | `WaitGroup.Wait` | [`task::JoinHandle::join`] |
//! | `std::net` | `tokio::net` | `net` | [`net`]: TCP; [`io::Source`] for the rest |
//! | `set_read_timeout` | `timeout(…).await` | `SetReadDeadline` | `set_read_timeout` |
//! | `thread::sleep` | `time::sleep` | `time.Sleep` | [`time::sleep`] |
//! | `thread::park`, `unpark` | `Notify` | a channel | [`task::park`], [`task::Task::unpark`] |
//! | `mpsc::channel` | `mpsc` | `chan` | [`sync::channel`], [`sync::mpsc`] |
//! | | `select!` | `select` | [`select!`] |
//! | `Mutex`, `Condvar` | `Mutex`, `Notify` | `sync.Mutex`, `Cond` | the same in [`sync`] |
//! | `thread::yield_now` | `yield_now` | `runtime.Gosched` | [`task::yield_now`] |
//! | any call that blocks | `spawn_blocking` | any call that blocks | [`blocking()`](fn@blocking) |
//! | an executor's `block_on` | `.await` | | [`task::block_on`] |
//! | a flag | `CancellationToken` | `context` | [`task::CancelToken`], [`signal::Graceful`] |
//! | `thread::scope` | `JoinSet` | `errgroup` | [`scope()`], [`try_scope()`], [`task::JoinSet`] |
//! | a timeout for each call | `timeout(…).await` | `context.WithTimeout` | [`time::timeout()`] |
//! | `thread_local!` | `task_local!` | `context.WithValue` | [`task_local!`] |
//! | | `worker_threads` | `GOMAXPROCS` | [`runtime::Builder::workers`] |
//!
//! From threads, change `use std::net` to `use sedge::net` and the calls above, and put `main`'s
//! body into [`run`]. From tokio, drop every `async` and `.await`. From Go, mind that a task which
//! computes is not preempted.
//!
//! Everything also works on a plain thread, outside any runtime, where it blocks that thread.
//!
//! # Tasks
//!
//! A panic ends its task, not the process, and `join` returns it. A handle that is dropped detaches
//! its task. When the closure that was given to [`run`] returns, the tasks that are left are
//! *cancelled*: they unwind from the call that they wait in, with their destructors.
//!
//! ```
//! sedge::run(|| {
//!     let squares: Vec<_> = (0..10_u64).map(|i| sedge::spawn(move || i * i)).collect();
//!     let sum: u64 = squares.into_iter().map(|task| task.join().unwrap()).sum();
//!     assert_eq!(sum, 285);
//!
//!     assert!(sedge::spawn(|| panic!("only this task ends")).join().is_err());
//! });
//! ```
//!
//! Any worker may start a task; from then on it stays with that one. [`task`] has the rest: names,
//! stack sizes, parking, and what cancels a task where.
//!
//! Tasks of a [`scope()`] borrow from whoever has made it, and end before it does. [The guide's
//! page on scopes](guide::scopes) has more of it: the first error that ends the rest, sets of
//! tasks, tasks without `Send`.
//!
//! ```
//! let numbers: Vec<u64> = (1..=1000).collect();
//! let sum: u64 = sedge::scope(|scope| {
//!     let halves = numbers.chunks(500).map(|half| scope.spawn(|| half.iter().sum::<u64>()));
//!     halves.map(|task| task.join().unwrap()).sum()
//! });
//! assert_eq!(sum, 500_500);
//! ```
//!
//! # Channels, and the first of several
//!
//! Tasks, threads and futures hand things over by channels, and wait for several things at a time
//! with [`select!`]. [The guide's page on channels](guide::channels) says which channel is for
//! what, and what else there is in [`sync`].
//!
//! ```
//! use std::time::Duration;
//!
//! use sedge::select;
//! use sedge::sync::channel;
//!
//! sedge::run(|| {
//!     let (sender, receiver) = channel::bounded(8); // The ninth waits for room.
//!     sedge::spawn(move || (1..=3).try_for_each(|n| sender.send(n)));
//!     let mut sum = 0;
//!     loop {
//!         select! {
//!             recv(receiver) -> message => match message {
//!                 Ok(n) => sum += n,
//!                 Err(_) => break, // All senders are gone.
//!             },
//!             default(Duration::from_secs(10)) => panic!("nothing comes"),
//!         }
//!     }
//!     assert_eq!(sum, 6);
//! });
//! ```
//!
//! # Blocking work, and files
//!
//! What would keep a worker from its other tasks goes to a pool of threads, while the task parks:
//! long computations, C libraries that wait, crates that open sockets of their own, and for now
//! files. The closure may borrow.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! let manifest = sedge::run(|| sedge::blocking(|| std::fs::read_to_string("Cargo.toml")))?;
//! assert!(manifest.contains("[package]"));
//! # Ok(())
//! # }
//! ```
//!
//! # Timeouts
//!
//! [`time::timeout()`] limits all that its closure does, and ends it in the call that it waits in.
//! [The guide's page on cancellation](guide::cancellation) says how, and what else ends code early.
//!
//! ```
//! use sedge::time::{sleep, timeout};
//! use std::time::Duration;
//!
//! sedge::run(|| {
//!     let late = timeout(Duration::from_millis(1), || sleep(Duration::from_secs(3600)));
//!     assert!(late.is_err());
//! });
//! ```
//!
//! Those for a single read or write are set on the stream, as std's are, and are kept by the
//! worker: exact, and without a system call. A read that has timed out says `WouldBlock`, as std's
//! does on Linux.
//!
//! ```
//! use std::io::{self, ErrorKind, Read};
//! use std::time::Duration;
//!
//! use sedge::net::{TcpListener, TcpStream};
//!
//! # fn main() -> io::Result<()> {
//! sedge::run(|| {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let _silent = TcpStream::connect(listener.local_addr()?)?;
//!     let (mut stream, _) = listener.accept()?;
//!     stream.set_read_timeout(Some(Duration::from_millis(10)))?;
//!     let error = stream.read(&mut [0; 64]).unwrap_err();
//!     assert_eq!(error.kind(), ErrorKind::WouldBlock);
//!     Ok(())
//! })
//! # }
//! ```
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
//!         loop {
//!             let (conn, _) = match stop.until(&listener, || listener.accept()) {
//!                 Ok(Some(accepted)) => accepted,
//!                 // The stop has begun.
//!                 Ok(None) => break,
//!                 // At a limit `accept` waits a moment by itself: serve on.
//!                 Err(_) => continue,
//!             };
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
//! What has not ended when the root task returns is cancelled, and has
//! [`shutdown_timeout`](runtime::Builder::shutdown_timeout) to unwind: 30 seconds by default. The
//! two limits add up: where a supervisor kills after 30 seconds, choose both smaller.
//!
//! # The three rules
//!
//! They follow from one fact: the tasks of a worker take turns on one thread, and only in a call of
//! Sedge's that may wait does the next one get its turn.
//!
//! ## Hold no thread's lock over a wait
//!
//! If a task parks while it holds a std or `parking_lot` lock, and another task of its worker wants
//! that lock, the second blocks the thread that the first needs to go on: the worker hangs for
//! good. A `LazyLock` whose initialiser waits is such a lock, too. Keep the guard's scope free of
//! waits, or take a lock of [`sync`], which parks who waits for it and may be held over any wait.
//! For a lock that is not yours put the stretch into [`task::no_park`], in which every wait blocks
//! the thread.
//!
//! A thread's locks are fine as long as they are held briefly. But all of std that waits for long
//! blocks the worker: `mpsc`, `Condvar`, `Barrier`, `thread::sleep`, joining a thread, files,
//! stdin. Use what [`sync`] has of them, [`time::sleep`], [`task::JoinHandle::join`], and for the
//! rest [`blocking()`](fn@blocking).
//!
//! ## Compute in `blocking`
//!
//! A task that computes for long, or calls C that blocks, keeps its worker from its other tasks:
//! Rust code cannot be preempted safely. Some ten microseconds are nothing; a millisecond is one
//! that all the others there wait. [`blocking()`](fn@blocking) lends the closure, which may borrow,
//! to a thread of a pool while the task parks.
//!
//! ## Thread-locals are the worker's
//!
//! A started task stays on its worker's thread, so a thread-local stays the same one; but the tasks
//! of a worker share it, and each may find what another has left there. In safe code there are two
//! known ways from here to a use after free. A task must not wait
//!
//! - in the initialiser of a `thread_local!`: another task would initialise it meanwhile, and the
//!   value that the first goes on to borrow be dropped;
//! - inside a call that lends a borrowed value to a thread-local until it returns, as
//!   `scoped-tls`'s `set` does: calls of several tasks then end in another order than they began.
//!
//! Both are safe inside [`task::no_park`].
//!
//! # Settings
//!
//! What is set in code wins over the environment. A value that makes no sense is an error that
//! names the limits.
//!
//! | in code | environment | default |
//! |---|---|---|
//! | [`runtime::Builder::workers`] | `SEDGE_WORKERS` | one for each CPU that the process may use |
//! | [`runtime::Builder::stack_size`] | `SEDGE_STACK`, as in `128K` or `1M` | 256 KiB |
//! | [`runtime::Builder::tasks_max`] | | 134,217,728 |
//! | [`runtime::Builder::blocking_threads_max`] | | 512 |
//! | [`runtime::Builder::seed`] | | none |
//! | [`runtime::Builder::shutdown_timeout`] | | 30 s |
//! | [`runtime::Builder::thread_name`] | | `sedge` |
//!
//! # How many tasks
//!
//! Stacks are address space; only touched pages are memory. Each stack has a guard, and how guards
//! are made decides how many tasks there can be under default limits:
//!
//! - Linux 6.13 and newer: lightweight guards, which split no mapping. A million tasks and more:
//!   about 4.5 KB of memory for each that waits.
//! - Older kernels: guards by `mprotect`, two mappings each. `vm.max_map_count` is 65,530 by
//!   default and allows about 32,000 tasks; `sysctl -w vm.max_map_count=2100000` a million.
//!
//! Each connection is a descriptor, too, and the soft limit is often 1,024 (`ulimit -n`). Sedge
//! does not raise it, as Go does: the examples do, by the `rlimit` crate.
//!
//! At a limit [`task::Builder::spawn`] returns an error that names it, and [`spawn`] panics. A task
//! that was accepted starts as soon as there is a stack.
//!
//! # Debugging
//!
//! - **Names.** [`task::Builder::name`] names a task in the messages about it (of a migrating hog
//!   there is the id alone). A panic says `in task 'parser' (id 3):` before the usual lines.
//! - **A hog.** A task that keeps its worker for a second while others live there is reported:
//!   `sedge: task 'report' (id 2) has kept worker 0 for 1.0 s, and 3 other tasks live there.` It
//!   breaks one of the first two rules. A debugger shows where: the thread of worker 1 is called
//!   `sedge-worker-1`; worker 0 is the thread that called [`run`].
//! - **A stuck pool.** If all threads of the blocking pool are busy for a second, work is queued,
//!   and none gets done, a message names the lines of the calls that hold them.
//! - **A stack overflow** names the task and its stack size, says how to give it more, and aborts.
//!   [`task::stack_high_water`] tells how much of a stack was used.
//! - **Figures.** [`runtime::metrics`](fn@runtime::metrics) has the tasks on each worker, how often
//!   a task kept its worker for 10 ms, and the state of the pool.
//! - **The end.** A runtime that stops says how many of its tasks did not, and were abandoned.
#![forbid(unsafe_code)]

pub use sedge_runtime::{
    blocking, io, run, runtime, scope, select, select_biased, signal, spawn, supervisor, sync,
    task, task_local, time, try_scope,
};

pub mod guide;

/// TCP, in std's names.
pub mod net {
    pub use sedge_net::*;
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
