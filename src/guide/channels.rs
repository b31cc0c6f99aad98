//! Channels, and waiting for several things at a time.
//!
//! Tasks that do not borrow from one another talk over channels. A task that has to wait at one
//! parks, and its worker runs another, which is most often the one that it waits for.
//!
//! # Which one
//!
//! | it carries | to | sending waits | |
//! |---|---|---|---|
//! | messages, so many at a time | one of the receivers | for room | [`bounded`] |
//! | messages, from hand to hand | one of the receivers | until it is taken | `bounded(0)` |
//! | messages, however many | one of the receivers | never | [`unbounded`] |
//! | the same under std's names | the one receiver | as above | [`mpsc`] |
//! | one value | the one receiver | never | [`oneshot`] |
//! | the last value only | all receivers | for who is looking at it | [`watch`] |
//! | the last so many messages | all receivers | never | [`broadcast`] |
//! | nothing but that something is so | one who waits, or all | never | [`Notify`] |
//! | the time | one of the receivers | | [`after`], [`tick`] |
//!
//! Three more count: a [`Semaphore`] how many are doing something, a [`WaitGroup`] how many are not
//! done yet, and a [`Barrier`] how many have come so far. For the results of tasks no channel is
//! needed: [`JoinHandle`](crate::task::JoinHandle), [`JoinSet`](crate::task::JoinSet) and
//! [scopes](super::scopes) hand them over.
//!
//! # Back-pressure
//!
//! Take a bounded channel if you have no reason for another one. Who sends faster than the other
//! end receives finds it full and waits, so that memory is bounded and the slow end sets the pace
//! of both. How much room? A little, to even out the pace: a few messages for each worker. More
//! room makes nothing faster, it only makes messages older.
//!
//! ```
//! use sedge::sync::channel::{self, TrySendError};
//!
//! sedge::run(|| {
//!     let (sender, receiver) = channel::bounded(2);
//!     sender.send(0).unwrap();
//!     sender.send(1).unwrap();
//!     // Who does not want to wait says so, and gets back what there is no room for.
//!     assert_eq!(sender.try_send(7), Err(TrySendError::Full(7)));
//!     sedge::spawn(move || (2..100).try_for_each(|n| sender.send(n)));
//!     for n in 0..100 {
//!         assert!(receiver.len() <= 2);
//!         assert_eq!(receiver.recv(), Ok(n));
//!     }
//! });
//! ```
//!
//! With no room at all a message goes from hand to hand, and `send` returns when somebody has it:
//! then both know of each other where they are.
//!
//! # Closing
//!
//! There is no `close`: a channel is closed by dropping all ends of one side. Receivers get what is
//! left, and then an error, which ends a loop over them; senders get their message back. So an end
//! that is kept by mistake, in the task that has made the channel most often, keeps the other side
//! waiting for ever.
//!
//! ```
//! use sedge::sync::channel;
//!
//! sedge::run(|| {
//!     let (sender, receiver) = channel::bounded(8);
//!     for worker in 0..3 {
//!         let sender = sender.clone();
//!         sedge::spawn(move || sender.send(worker));
//!     }
//!     drop(sender); // Without this the loop would not end.
//!     assert_eq!(receiver.into_iter().sum::<i32>(), 3);
//! });
//! ```
//!
//! # Several at a time
//!
//! [`select!`] waits for the first of several cases that can go ahead. Those of channels:
//!
//! ```
//! use std::time::Duration;
//!
//! use sedge::select;
//! use sedge::sync::channel::{self, Receiver, Sender};
//!
//! fn event(inbox: &Receiver<u32>, outbox: &Sender<u32>) -> String {
//!     select! {
//!         recv(inbox) -> message => match message {
//!             Ok(message) => format!("got {message}"),
//!             Err(_) => "nobody is left to send".into(),
//!         },
//!         // Evaluated only if there is room, so nothing is lost otherwise.
//!         send(outbox, 6 * 7) -> sent => match sent {
//!             Ok(()) => "sent".into(),
//!             Err(unsent) => format!("nobody wants {}", unsent.0),
//!         },
//!         default(Duration::from_millis(1)) => "nothing in time".into(),
//!     }
//! }
//!
//! let (to_inbox, inbox) = channel::unbounded();
//! let (outbox, results) = channel::bounded(1);
//! assert_eq!(event(&inbox, &outbox), "sent");
//! assert_eq!(event(&inbox, &outbox), "nothing in time");
//! to_inbox.send(1).unwrap();
//! assert_eq!(event(&inbox, &outbox), "got 1");
//! drop(to_inbox);
//! assert_eq!(event(&inbox, &outbox), "nobody is left to send");
//! drop((inbox, results));
//! assert_eq!(event(&channel::never(), &outbox), "nobody wants 42");
//! ```
//!
//! and the others, of tasks, tokens, notifications and whatever can be polled:
//!
//! ```
//! use std::io::{self, Read, Write};
//! use std::os::unix::net::UnixStream;
//!
//! use sedge::io::Source;
//! use sedge::select;
//! use sedge::sync::Notify;
//! use sedge::task::{self, CancelToken, JoinHandle};
//!
//! fn event(
//!     mut work: JoinHandle<u32>,
//!     stop: &CancelToken,
//!     reload: &Notify,
//!     socket: &Source<UnixStream>,
//! ) -> io::Result<&'static str> {
//!     select! {
//!         join(work) -> result => Ok(if result.is_ok() { "done" } else { "failed" }),
//!         cancelled(stop) => Ok("stopped"),
//!         notified(reload) => Ok("told to reload"),
//!         // Ready, and not yet read.
//!         readable(socket) -> ready => ready.map(|()| "somebody says something"),
//!     }
//! }
//!
//! fn forever() -> u32 {
//!     task::park();
//!     0
//! }
//!
//! sedge::run(|| {
//!     let (stop, reload) = (CancelToken::new(), Notify::new());
//!     let (mut there, here) = UnixStream::pair()?;
//!     let here = Source::new(here)?;
//!     let event = |work| event(work, &stop, &reload, &here);
//!     assert_eq!(event(sedge::spawn(|| 1))?, "done");
//!     reload.notify_one();
//!     assert_eq!(event(sedge::spawn(forever))?, "told to reload");
//!     there.write_all(b"!")?;
//!     assert_eq!(event(sedge::spawn(forever))?, "somebody says something");
//!     here.read_with(|mut here| here.read(&mut [0]))?;
//!     stop.cancel();
//!     assert_eq!(event(sedge::spawn(forever))?, "stopped");
//!     io::Result::Ok(())
//! })?;
//! # Ok::<_, io::Error>(())
//! ```
//!
//! `writable` is the same for writing, and a bare `default` makes it a look that does not wait.
//! Cases that are not known beforehand are added to a [`Select`]. A handle is moved into its case,
//! so in a loop that case is the last thing that happens. What can be no case, a [`broadcast`] or a
//! signal say, is waited for by a task of its own, which passes it on or is itself the case.
//!
//! Where several can go ahead at once chance decides, so that one busy channel cannot starve
//! another; [`select_biased!`] takes the first, for what is urgent:
//!
//! ```
//! use sedge::sync::channel;
//!
//! let (stop, stopped) = channel::bounded::<()>(0);
//! let (job, jobs) = channel::unbounded();
//! job.send(1).unwrap();
//! drop(stop); // To close a channel is to tell all who receive from it.
//! let took = sedge::select_biased! {
//!     recv(stopped) -> _ => None,
//!     recv(jobs) -> job => job.ok(),
//! };
//! assert_eq!(took, None);
//! ```
//!
//! # Timeouts and cancellation
//!
//! Each call that may wait is a cancellation point, as a read of a socket is, and a call that was
//! ended has done nothing: no message is taken, no permit held. What `send` was given is dropped.
//! For one call there are `recv_timeout`, `send_deadline` and their kind, which return an error.
//! For several together there is [`timeout`](crate::time::timeout()), which unwinds:
//!
//! ```
//! use std::time::Duration;
//!
//! use sedge::sync::channel;
//! use sedge::time::timeout;
//!
//! let (sender, receiver) = channel::bounded(8);
//! (1..=3).for_each(|n| sender.send(n).unwrap());
//! let mut sum = 0;
//! let late = timeout(Duration::from_millis(1), || receiver.iter().for_each(|n| sum += n));
//! assert!(late.is_err() && sum == 6);
//! ```
//!
//! A token has two faces. Code inside [`run_until_cancelled`] is ended in *any* of its waits;
//! `cancelled(token)` in a `select!` ends a loop at one place, between two jobs, say.
//!
//! # Patterns
//!
//! **A pool of workers.** One channel brings jobs to whoever is free, another takes results away.
//! Feed it from a task of its own: who would first send all jobs, and then look at results, waits
//! for room that only comes with looking.
//!
//! ```
//! use sedge::sync::channel;
//!
//! fn squares(numbers: &[u64], workers: usize) -> u64 {
//!     let (jobs, to_do) = channel::bounded(workers);
//!     let (results, done) = channel::bounded(workers);
//!     sedge::scope(|scope| {
//!         scope.spawn(move || numbers.iter().try_for_each(|n| jobs.send(n)));
//!         for _ in 0..workers {
//!             let (to_do, results) = (to_do.clone(), results.clone());
//!             scope.spawn(move || to_do.iter().try_for_each(|n| results.send(n * n)));
//!         }
//!         drop(results);
//!         done.iter().sum()
//!     })
//! }
//!
//! assert_eq!(squares(&[1, 2, 3, 4], 2), 30);
//! ```
//!
//! **A question with its answer's way back.** A task that owns some state, and messages with a
//! [`oneshot`] in them, in place of a lock around it:
//!
//! ```
//! use sedge::sync::channel::{self, Sender};
//! use sedge::sync::oneshot;
//!
//! struct Add {
//!     amount: u64,
//!     total: oneshot::Sender<u64>,
//! }
//!
//! /// The total after the amount was added; none if the counter has failed.
//! fn add(counter: &Sender<Add>, amount: u64) -> Option<u64> {
//!     let (total, answer) = oneshot::channel();
//!     counter.send(Add { amount, total }).ok()?;
//!     answer.recv().ok()
//! }
//!
//! sedge::run(|| {
//!     let (counter, inbox) = channel::bounded::<Add>(16);
//!     sedge::spawn(move || {
//!         let mut sum = 0;
//!         for Add { amount, total } in inbox {
//!             sum += amount;
//!             let _ = total.send(sum); // The one who asked may have left.
//!         }
//!     });
//!     assert_eq!(add(&counter, 2), Some(2));
//!     assert_eq!(add(&counter, 3), Some(5));
//! });
//! ```
//!
//! **Fan in, stop, and not too fast.** Clones of one sender bring everything into one channel;
//! where the channels differ, a `select!` does. Here it also stops by a token, and takes a job at a
//! tick:
//!
//! ```
//! use std::time::Duration;
//!
//! use sedge::select;
//! use sedge::sync::channel::{self, Receiver};
//! use sedge::task::CancelToken;
//!
//! /// Does a job each millisecond, those of the house first, until it is stopped.
//! fn serve(house: &Receiver<u32>, guests: &Receiver<u32>, stop: &CancelToken) -> Vec<u32> {
//!     let mut done = Vec::new();
//!     let turns = channel::tick(Duration::from_millis(1));
//!     loop {
//!         select! {
//!             recv(turns) -> _ => {}
//!             cancelled(stop) => return done,
//!         }
//!         sedge::select_biased! {
//!             cancelled(stop) => return done,
//!             recv(house) -> job => done.extend(job),
//!             recv(guests) -> job => done.extend(job),
//!         }
//!     }
//! }
//!
//! sedge::run(|| {
//!     let ((house, for_house), (guest, for_guests)) = (channel::bounded(4), channel::bounded(4));
//!     let stop = CancelToken::new();
//!     guest.send(2).unwrap();
//!     house.send(1).unwrap();
//!     sedge::scope(|scope| {
//!         let serving = scope.spawn(|| serve(&for_house, &for_guests, &stop));
//!         while !guest.is_empty() {
//!             sedge::task::yield_now();
//!         }
//!         stop.cancel();
//!         assert_eq!(serving.join().unwrap(), [1, 2]);
//!     });
//! });
//! ```
//!
//! **At most so many at a time.** A [`Semaphore`], whose permit is given back by dropping it:
//!
//! ```
//! use sedge::sync::Semaphore;
//!
//! let seats = Semaphore::new(2);
//! let pages = sedge::scope(|scope| {
//!     let fetch = |page: usize| {
//!         let _seat = seats.acquire().unwrap();
//!         page.to_string() // From a server that wants two connections of us at most.
//!     };
//!     let tasks: Vec<_> = (0..10).map(|page| scope.spawn(move || fetch(page))).collect();
//!     tasks.into_iter().map(|task| task.join().unwrap().len()).sum::<usize>()
//! });
//! assert_eq!(pages, 10);
//! ```
//!
//! # Locks over waits
//!
//! The [first of the three rules](crate#hold-no-threads-lock-over-a-wait) is about locks of
//! threads: who waits for one blocks the worker, and perhaps the holder, too. Who waits for a lock
//! of [`sync`](crate::sync) parks, so that these may be held over any wait: while a line is written
//! to a client, say, that must not be mixed with another.
//!
//! ```
//! use std::time::Duration;
//!
//! use sedge::sync::Mutex;
//! use sedge::time::sleep;
//!
//! let log = Mutex::new(String::new());
//! sedge::runtime::Builder::new().workers(1).run(|| {
//!     sedge::scope(|scope| {
//!         for name in ["a", "b", "c"] {
//!             let log = &log;
//!             scope.spawn(move || {
//!                 let mut log = log.lock().unwrap();
//!                 log.push_str(name);
//!                 sleep(Duration::from_millis(1)); // std's lock would hang the worker here.
//!                 log.push_str(name);
//!             });
//!         }
//!     });
//! })?;
//! assert_eq!(log.into_inner().unwrap(), "aabbcc");
//! # Ok::<_, std::io::Error>(())
//! ```
//!
//! Their names and their methods are std's. To be cancelled while it holds one does not poison it,
//! as a panic does. std's locks remain right where they are held for a few instructions and over no
//! wait.
//!
//! # Threads and futures at the other end
//!
//! All of this works on plain threads, too, inside a runtime or without one: there it blocks the
//! thread. So a thread that only reads from a terminal, or a C library's callback, can feed tasks,
//! with back-pressure. For futures there are twins: `recv_async`, `lock_async` and their kind.
//!
//! ```
//! use std::thread;
//!
//! use sedge::sync::channel;
//! use sedge::task::block_on;
//!
//! let (sender, numbers) = channel::bounded(1);
//! let (doubled, receiver) = channel::bounded(1);
//! let thread = thread::spawn(move || (0..10).try_for_each(|n| sender.send(n)));
//! let future = thread::spawn(move || {
//!     block_on(async {
//!         while let Ok(n) = numbers.recv_async().await {
//!             doubled.send_async(2 * n).await.unwrap();
//!         }
//!     });
//! });
//! assert_eq!(sedge::run(|| receiver.iter().sum::<i32>()), 90);
//! thread.join().unwrap().unwrap();
//! future.join().unwrap();
//! ```
//!
//! # Pitfalls
//!
//! - *An unbounded channel is a leak that waits for a busy day.* It is right where something else
//!   is the bound: one message for each task, or an answer for each question.
//! - *A message in hand is lost with who holds it.* `timeout(limit, || work(jobs.recv()))` may end
//!   after the job was taken. Put the limit around the wait alone, by `recv_timeout`, and around
//!   the work another.
//! - *A circle of full channels stands still:* A waits for room at B, and B for room at A. Let one
//!   of them drop what it finds no room for, or let a third task do the receiving.
//! - *A lock that is held while sending* is another such circle, if the receiver wants the lock
//!   before it makes room:
//!
//! ```
//! use std::time::Duration;
//!
//! use sedge::sync::{Mutex, channel};
//!
//! let (sender, receiver) = channel::bounded(1);
//! let state = Mutex::new(0);
//! sedge::run(|| {
//!     sedge::scope(|scope| {
//!         let mut held = state.lock().unwrap();
//!         scope.spawn(|| {
//!             for n in receiver {
//!                 *state.lock().unwrap() += n;
//!             }
//!         });
//!         // One is in its hands, and one in the channel: no third while we hold the lock.
//!         let moment = Duration::from_millis(10);
//!         let sent = (1..=3).take_while(|n| sender.send_timeout(*n, moment).is_ok()).count();
//!         assert!(sent < 3);
//!         *held += 1;
//!         drop((held, sender));
//!     });
//! });
//! assert!(state.into_inner().unwrap() <= 4);
//! ```
//!
//! - *Two clones of a receiver share the messages;* each does not get all. That is [`broadcast`].
//! - *Who never waits never lets go:* a loop of `try_send`, or of sending into a [`broadcast`],
//!   with nothing in it that may wait keeps its worker. Let it
//!   [`yield_now`](crate::task::yield_now()).
//!
//! # The same in other places
//!
//! | threads | crossbeam | tokio | Go | here |
//! |---|---|---|---|---|
//! | `sync_channel(n)` | `bounded(n)` | `mpsc::channel(n)` | `make(chan T, n)` | [`bounded`] |
//! | `sync_channel(0)` | `bounded(0)` | | `make(chan T)` | `bounded(0)` |
//! | `mpsc::channel()` | `unbounded()` | `unbounded_channel()` | | [`unbounded`] |
//! | | | `oneshot` | a channel for one | [`oneshot`] |
//! | | | `watch` | | [`watch`] |
//! | | | `broadcast` | | [`broadcast`] |
//! | | `select!` | `select!`, of futures | `select` | [`select!`] |
//! | | `Select` | `FuturesUnordered` | `reflect.Select` | [`Select`] |
//! | | `after`, `tick` | `sleep`, `interval` | `time.After`, `Tick` | [`after`], [`tick`] |
//! | | `never` | `pending` | `nil` | [`never`] |
//! | dropping all | dropping all | dropping all | `close`, once | dropping all |
//! | `Mutex`, `RwLock` | `ShardedLock` | `Mutex`, `RwLock` | `sync.Mutex` | [`Mutex`], [`RwLock`] |
//! | `Condvar` | | `Notify` | `sync.Cond` | [`Condvar`], [`Notify`] |
//! | | | `Semaphore` | a full channel | [`Semaphore`] |
//! | | `WaitGroup` | `TaskTracker` | `sync.WaitGroup` | [`WaitGroup`], [`scope`] |
//!
//! Two differences. In tokio's `select!` the futures of the other cases are dropped, with what they
//! have begun; here nothing was begun. And Go panics when it sends into a closed channel, where
//! here the message comes back in an error.
//!
//! [`mpsc`]: crate::sync::mpsc
//! [`bounded`]: crate::sync::channel::bounded
//! [`unbounded`]: crate::sync::channel::unbounded
//! [`after`]: crate::sync::channel::after
//! [`tick`]: crate::sync::channel::tick
//! [`never`]: crate::sync::channel::never
//! [`oneshot`]: crate::sync::oneshot
//! [`watch`]: crate::sync::watch
//! [`broadcast`]: crate::sync::broadcast
//! [`Notify`]: crate::sync::Notify
//! [`Semaphore`]: crate::sync::Semaphore
//! [`WaitGroup`]: crate::sync::WaitGroup
//! [`Barrier`]: crate::sync::Barrier
//! [`Select`]: crate::sync::channel::Select
//! [`select!`]: crate::select!
//! [`select_biased!`]: crate::select_biased!
//! [`run_until_cancelled`]: crate::task::CancelToken::run_until_cancelled
//! [`Mutex`]: crate::sync::Mutex
//! [`RwLock`]: crate::sync::RwLock
//! [`Condvar`]: crate::sync::Condvar
//! [`scope`]: crate::scope()
