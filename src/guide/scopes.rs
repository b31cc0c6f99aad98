//! Tasks that borrow, and that end together.
//!
//! A spawned task may outlive whoever spawned it, so it can borrow nothing. A task of a *scope*
//! ends before the scope does, so it borrows what lives around the scope: locals of a task or of a
//! thread, without `Arc`, clones or locks for what is only read.
//!
//! ```
//! let words = ["green", "threads", "borrow"];
//! let mut longest = 0;
//! sedge::run(|| {
//!     sedge::scope(|scope| {
//!         let lengths = words.each_ref().map(|word| scope.spawn(|| word.len()));
//!         longest = lengths.into_iter().map(|task| task.join().unwrap()).max().unwrap_or(0);
//!     });
//! });
//! assert_eq!(longest, 7);
//! ```
//!
//! Everything is as in [`std::thread::scope`]: the closure gets the scope, `spawn` returns a
//! handle, tasks may spawn more into the scope, scopes nest, and a panic that nobody has joined
//! goes on in the caller. The scope ends when its last task does, however its closure ends: by a
//! return, a `?`, a panic or a cancellation. No task of it is left behind.
//!
//! # A server that takes its connections along
//!
//! A scope around an accept loop lends the connections what the server has, and the server cannot
//! return before they are done:
//!
//! ```
//! use std::io::{self, Read, Write};
//! use std::sync::atomic::{AtomicUsize, Ordering};
//! use std::time::Duration;
//!
//! use sedge::net::{TcpListener, TcpStream};
//!
//! /// Echoes for a while, and says how many bytes there were.
//! fn serve(listener: &TcpListener, time: Duration) -> usize {
//!     let total = AtomicUsize::new(0);
//!     let _over = sedge::time::timeout(time, || {
//!         sedge::scope(|scope| {
//!             loop {
//!                 let Ok((stream, _)) = listener.accept() else { continue };
//!                 scope.spawn(|| echo(stream, &total));
//!             }
//!         })
//!     });
//!     // The time was over: the loop was ended, and the connections with it.
//!     total.into_inner()
//! }
//!
//! fn echo(mut stream: TcpStream, total: &AtomicUsize) -> io::Result<()> {
//!     let mut buffer = [0; 512];
//!     loop {
//!         let n = stream.read(&mut buffer)?;
//!         if n == 0 {
//!             return Ok(());
//!         }
//!         stream.write_all(&buffer[..n])?;
//!         total.fetch_add(n, Ordering::Relaxed);
//!     }
//! }
//!
//! # fn main() -> io::Result<()> {
//! sedge::run(|| {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let address = listener.local_addr()?;
//!     let client = sedge::spawn(move || -> io::Result<()> {
//!         let mut stream = TcpStream::connect(address)?;
//!         stream.write_all(b"hello")?;
//!         stream.read_exact(&mut [0; 5])?;
//!         // Stays, and is shown out.
//!         assert_eq!(stream.read(&mut [0; 1])?, 0);
//!         Ok(())
//!     });
//!     assert_eq!(serve(&listener, Duration::from_millis(200)), 5);
//!     client.join().unwrap()
//! })
//! # }
//! ```
//!
//! Whoever ends the caller of a scope ends its tasks: they are cancelled, the scope waits for them,
//! and then the caller unwinds. They inherit deadlines, too, so that a task of a scope is ended in
//! time even where its scope's caller cannot be told, because it computes.
//!
//! # All or nothing
//!
//! In a [`try_scope`](crate::try_scope()) tasks return `Result`, and the first error cancels the
//! rest, the scope's own closure among them, and is what `try_scope` returns. A panic does the
//! same, and goes on.
//!
//! ```
//! use std::io;
//! use std::time::Duration;
//!
//! use sedge::time::sleep;
//!
//! fn load(name: &str) -> io::Result<String> {
//!     match name {
//!         "missing" => Err(io::Error::new(io::ErrorKind::NotFound, "missing")),
//!         "slow" => {
//!             sleep(Duration::from_secs(3600));
//!             unreachable!("it is cancelled long before");
//!         }
//!         name => Ok(name.to_uppercase()),
//!     }
//! }
//!
//! fn load_all(names: &[&str]) -> io::Result<Vec<String>> {
//!     sedge::try_scope(|scope| {
//!         let tasks: Vec<_> = names.iter().map(|name| scope.spawn(|| load(name))).collect();
//!         tasks.into_iter().map(|task| Ok(task.join()?)).collect()
//!     })
//! }
//!
//! sedge::run(|| {
//!     assert_eq!(load_all(&["a", "b"]).unwrap(), ["A", "B"]);
//!     let error = load_all(&["a", "slow", "missing", "slow"]).unwrap_err();
//!     assert_eq!(error.kind(), io::ErrorKind::NotFound);
//! });
//! ```
//!
//! A handle's `join` returns the value. In a scope that has failed it does not return, but ends the
//! closure that called it, as every wait there does. What is left is an error for a task that was
//! cancelled alone, a [`Cancelled`](crate::task::Cancelled), which converts into an
//! [`io::Error`](std::io::Error) and into a boxed one, so `?` does. The example `pipeline_scope`
//! fetches pages this way, with Ctrl-C as one more error.
//!
//! A task belongs to its scope, and not to the place where it is spawned: a
//! [`timeout`](crate::time::timeout()) inside the scope does not end it, one around the scope does.
//!
//! # Tasks that come and go
//!
//! A scope waits for its tasks at its end. To deal with each as it ends, there is
//! [`JoinSet`](crate::task::JoinSet); its tasks borrow nothing.
//!
//! ```
//! use sedge::task::JoinSet;
//!
//! sedge::run(|| {
//!     let mut set: JoinSet<u64> = (1..=10).map(|n| move || n * n).collect();
//!     let mut sum = 0;
//!     while let Some(square) = set.join_next() {
//!         sum += square.unwrap();
//!         if sum > 1_000 {
//!             break; // What is left is cancelled when the set is dropped.
//!         }
//!     }
//!     assert_eq!(sum, 385);
//! });
//! ```
//!
//! # The first of several
//!
//! Where tokio and Go select over what may happen, here a task waits for each of them, the first
//! that ends is taken from the set, and dropping the set cancels the rest. "Or it takes too long"
//! and "or it is not wanted any more" need no task: they are a
//! [`timeout`](crate::time::timeout()) and a [`CancelToken`](crate::task::CancelToken) around the
//! wait.
//!
//! ```
//! use std::io;
//! use std::time::Duration;
//!
//! use sedge::task::{CancelToken, JoinSet};
//! use sedge::time::{sleep, timeout};
//!
//! fn ask(mirror: &str) -> String {
//!     sleep(if mirror == "near" { Duration::ZERO } else { Duration::from_secs(3600) });
//!     format!("from {mirror}")
//! }
//!
//! /// The first answer of any mirror.
//! fn fastest(mirrors: &[&'static str], stop: &CancelToken) -> io::Result<String> {
//!     let mut asked: JoinSet<_> = mirrors.iter().map(|&mirror| move || ask(mirror)).collect();
//!     let first = timeout(Duration::from_secs(60), || {
//!         stop.run_until_cancelled(|| asked.join_next())
//!     })??;
//!     // It is an error if there are no mirrors, and if the first to end has panicked.
//!     let first = first.ok_or(io::ErrorKind::NotFound)?;
//!     first.map_err(|_panic| io::ErrorKind::Other.into())
//! } // The set is dropped, and the others are cancelled.
//!
//! sedge::run(|| {
//!     let stop = CancelToken::new();
//!     assert_eq!(fastest(&["far", "near"], &stop).unwrap(), "from near");
//!     stop.cancel();
//!     assert!(fastest(&["far"], &stop).is_err());
//! });
//! ```
//!
//! Over tasks, channels and tokens together there is [`select!`](crate::select!): see
//! [the page on channels](super::channels#several-at-a-time).
//!
//! # Without `Send`
//!
//! Tasks of one worker take turns on one thread. [`spawn_local`](crate::task::spawn_local()) spawns
//! one that stays with the caller's worker, so what it captures need not be `Send`: `Rc` and `Cell`
//! do where a lock would be needed otherwise.
//!
//! ```
//! use std::cell::Cell;
//! use std::rc::Rc;
//!
//! use sedge::task::{self, spawn_local};
//!
//! sedge::run(|| {
//!     let turns = Rc::new(Cell::new(0));
//!     let players: Vec<_> = (0..2)
//!         .map(|_| {
//!             let turns = turns.clone();
//!             spawn_local(move || {
//!                 for _ in 0..5 {
//!                     turns.set(turns.get() + 1); // Nobody comes in between.
//!                     task::yield_now();
//!                 }
//!             })
//!         })
//!         .collect();
//!     players.into_iter().for_each(|player| player.join().unwrap());
//!     assert_eq!(turns.get(), 10);
//! });
//! ```
//!
//! # Which one
//!
//! | | borrows | ends with | first error |
//! |---|---|---|---|
//! | [`spawn`](crate::spawn()) | no | itself, or its runtime | is the joiner's |
//! | [`scope`](crate::scope()) | yes | the scope | is the joiner's |
//! | [`try_scope`](crate::try_scope()) | yes | the scope | ends the others, and is returned |
//! | [`JoinSet`](crate::task::JoinSet) | no | itself; is cancelled with the set | is the joiner's |
//! | [`spawn_local`] | no, but shares by `Rc` | itself, or its runtime | is the joiner's |
//! | [`supervisor`](crate::supervisor) | no | its supervisor | starts it again |
//!
//! [`spawn_local`]: crate::task::spawn_local()
