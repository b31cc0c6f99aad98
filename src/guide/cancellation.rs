//! Ending what takes too long, or is not wanted any more.
//!
//! Code that waits can be ended: because it takes too long, because nobody wants its result any
//! more, because the program stops. The call that it waits in then does not return, but unwinds, as
//! a panic does, without a message. Destructors run; whoever has set the limit is told.
//!
//! # Time
//!
//! [`timeout`](crate::time::timeout()) limits whatever its closure does, not one call: a whole
//! request, with all that it reads and writes.
//!
//! ```
//! use std::io::{self, BufRead, BufReader, Write};
//! use std::time::Duration;
//!
//! use sedge::net::{TcpListener, TcpStream};
//! use sedge::time::timeout;
//!
//! /// A request is a line, and has to be there and answered within the time.
//! fn answer(stream: &TcpStream, time: Duration) -> io::Result<()> {
//!     timeout(time, || {
//!         let mut line = String::new();
//!         BufReader::new(stream).read_line(&mut line)?;
//!         write!({ stream }, "you said {line}")
//!     })?
//! }
//!
//! # fn main() -> io::Result<()> {
//! sedge::run(|| {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let _silent = TcpStream::connect(listener.local_addr()?)?;
//!     let (stream, _) = listener.accept()?;
//!     let error = answer(&stream, Duration::from_millis(10)).unwrap_err();
//!     assert_eq!(error.kind(), io::ErrorKind::TimedOut);
//!     Ok(())
//! })
//! # }
//! ```
//!
//! The error converts into an [`io::Error`](std::io::Error) of kind `TimedOut`, which is what the
//! first `?` does there. Timeouts nest: the earliest ends its own closure, and no other. For
//! several calls that share one limit there is [`timeout_at`](crate::time::timeout_at()).
//!
//! # Tasks
//!
//! [`JoinHandle::cancel`](crate::task::JoinHandle::cancel) ends a task, and `join` tells:
//!
//! ```
//! use std::time::Duration;
//!
//! use sedge::task::{self, Cancelled};
//!
//! sedge::run(|| {
//!     let background = task::spawn(|| loop {
//!         sedge::time::sleep(Duration::from_secs(60));
//!     });
//!     background.cancel();
//!     assert!(background.join().unwrap_err().is::<Cancelled>());
//! });
//! ```
//!
//! # Tokens
//!
//! A [`CancelToken`](crate::task::CancelToken) ends a stretch of code in any number of tasks.
//! Children of a token end with it, and can be ended by themselves: one for the server, one for
//! each connection, one for each request.
//!
//! ```
//! use sedge::task::{self, CancelToken};
//!
//! sedge::run(|| {
//!     let server = CancelToken::new();
//!     let connection = server.child_token();
//!     let serving = task::spawn({
//!         let connection = connection.clone();
//!         move || {
//!             let served = connection.run_until_cancelled(|| -> u32 {
//!                 task::park(); // A request that never comes.
//!                 1
//!             });
//!             // Outside of it the task goes on: here it says goodbye.
//!             served.unwrap_or(0)
//!         }
//!     });
//!     server.cancel();
//!     assert!(connection.is_cancelled());
//!     assert_eq!(serving.join().unwrap(), 0);
//! });
//! ```
//!
//! # What must not be cut short
//!
//! [`shield`](crate::task::shield()) holds back what comes from outside it. What is inside, a
//! timeout of its own for example, works there as anywhere.
//!
//! ```
//! use std::time::Duration;
//!
//! use sedge::task;
//! use sedge::time::{sleep, timeout};
//!
//! sedge::run(|| {
//!     let mut accounts = [100, 0];
//!     let late = timeout(Duration::from_millis(1), || {
//!         loop {
//!             task::shield(|| {
//!                 accounts[0] -= 10;
//!                 sleep(Duration::from_micros(200)); // An audit, say.
//!                 accounts[1] += 10;
//!             });
//!             task::check();
//!         }
//!     });
//!     assert!(late.is_err());
//!     assert_eq!(accounts[0] + accounts[1], 100);
//! });
//! ```
//!
//! A shield is for a moment. Whoever joins the task, its scope, and the end of the runtime wait for
//! it.
//!
//! # What computes
//!
//! Only a call that may wait can be ended. A loop that computes asks, with
//! [`check`](crate::task::check()), which ends it there, or with
//! [`is_cancelled`](crate::task::is_cancelled()), which lets it end in its own way. Both also speak
//! of the calling task inside [`blocking`](crate::blocking()), where computing belongs:
//!
//! ```
//! use std::time::Duration;
//!
//! use sedge::task;
//! use sedge::time::timeout;
//!
//! /// How many of the numbers are prime; or as many as were counted in time.
//! fn primes(end: u64) -> (u64, bool) {
//!     let mut count = 0;
//!     for n in 2..end {
//!         if task::is_cancelled() {
//!             return (count, false);
//!         }
//!         count += u64::from((2..n).take_while(|d| d * d <= n).all(|d| n % d != 0));
//!     }
//!     (count, true)
//! }
//!
//! sedge::run(|| {
//!     let count = || sedge::blocking(|| primes(1_000));
//!     assert_eq!(timeout(Duration::from_secs(60), count), Ok((168, true)));
//!     let count = || sedge::blocking(|| primes(u64::MAX));
//!     let counted = timeout(Duration::from_millis(1), count);
//!     assert!(counted.is_ok_and(|(_, done)| !done));
//! });
//! ```
//!
//! A closure in `blocking` that does not ask is waited for, because it may borrow from the task.
//!
//! # Cleaning up
//!
//! Destructors run, and may wait. What would wait there for the kernel returns an error, so that a
//! flush to a peer that is stuck does not hold up the timeout that has ended it; sleeps and joins
//! wait. While a task unwinds nothing more is raised. (A destructor that waits *outside* of an
//! unwind is as any other code, and may be ended in the middle: shield what has to be whole.)
//!
//! ```
//! use std::time::Duration;
//!
//! use sedge::task;
//! use sedge::time::{sleep, timeout};
//!
//! struct Goodbye<'a>(&'a mut bool);
//!
//! impl Drop for Goodbye<'_> {
//!     fn drop(&mut self) {
//!         sleep(Duration::from_millis(1)); // Waits, though the time is over.
//!         *self.0 = true;
//!     }
//! }
//!
//! sedge::run(|| {
//!     let mut said = false;
//!     let late = timeout(Duration::from_millis(1), || {
//!         let _goodbye = Goodbye(&mut said);
//!         task::park();
//!     });
//!     assert!(late.is_err() && said);
//! });
//! ```
//!
//! # What is lost
//!
//! An ended `read_exact`, `read_line` or `read_to_end` has taken bytes from the stream that nobody
//! gets: the stream is of no more use, unless the buffer was kept outside. A single `read` loses
//! none. A lock of std's that the unwind goes through is poisoned. Half of two changes may be done.
//! All of that is as with a panic; [`task`](crate::task#cancellation) has the whole list.
//!
//! # Programs that abort on panic
//!
//! With `panic = "abort"` in its profile a program cannot unwind. There, operations that return
//! [`io::Result`](std::io::Result) return an error when their time is over or they are cancelled,
//! `join` returns a [`Cancelled`](crate::task::Cancelled), and `timeout` an
//! [`Elapsed`](crate::time::Elapsed) once its closure has returned. Sleeping and parking go on: ask
//! `is_cancelled` in between.
//!
//! # Starting again
//!
//! A task that fails is gone. What has to be there again is a [`supervisor`](crate::supervisor)'s
//! child:
//!
//! ```
//! use std::sync::atomic::{AtomicU32, Ordering};
//!
//! use sedge::supervisor::{Restart, Strategy, Supervisor};
//!
//! static STARTS: AtomicU32 = AtomicU32::new(0);
//!
//! sedge::run(|| {
//!     Supervisor::new(Strategy::OneForOne)
//!         .child("worker", Restart::Transient, || {
//!             match STARTS.fetch_add(1, Ordering::Relaxed) {
//!                 0 => Err("the first start fails".into()),
//!                 _ => Ok(()),
//!             }
//!         })
//!         .run()
//! })?;
//! assert_eq!(STARTS.load(Ordering::Relaxed), 2);
//! # Ok::<_, sedge::supervisor::GaveUp>(())
//! ```
