//! Ending a server without breaking off what it does.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::targets::{Interrupt, Targets};
use super::{Signal, Signals};
use crate::clock;
use crate::task;
use crate::wait::{self, WaitQueue};

/// Stops a server: no new work, what is open is finished, within a time limit.
///
/// Clones are handles to the same stop. It has three sides:
///
/// - [`stop`](Self::stop) is called once it is time, by whoever finds that out.
/// - Work that must be finished holds a [`guard`](Self::guard). Waits for *new* work, which must
///   not hold up the stop, go through [`until`](Self::until), which the stop ends: an `accept`, or
///   the wait for the next request on an idle connection.
/// - [`wait`](Self::wait) waits until all guards are gone.
///
/// # Examples
///
/// A connection that is closed between two requests, not inside one. With a listener, and signals,
/// it is a whole server: see "Stopping" in the `sedge` crate.
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::io::Source;
/// use sedge::signal::{Graceful, Interrupt};
/// use std::io::{self, Read, Write};
/// use std::net::Shutdown;
/// use std::os::unix::net::UnixStream;
/// use std::time::Duration;
///
/// struct Connection(Source<UnixStream>);
///
/// impl Interrupt for Connection {
///     fn interrupt(&self) {
///         let _ = self.0.get_ref().shutdown(Shutdown::Read);
///     }
/// }
///
/// /// Answers requests of one byte. Returns how many.
/// fn serve(conn: &Connection, stop: &Graceful) -> io::Result<usize> {
///     let mut answered = 0;
///     // The one wait that the stop may end.
///     while let Some(1) = stop.until(conn, || conn.0.read_with(|mut s| s.read(&mut [0])))? {
///         conn.0.write_with(|mut s| s.write(b"!"))?;
///         answered += 1;
///     }
///     Ok(answered)
/// }
///
/// # fn main() -> io::Result<()> {
/// sedge::run(|| {
///     let (here, there) = UnixStream::pair()?;
///     let (conn, client) = (Connection(Source::new(here)?), Source::new(there)?);
///     let stop = Graceful::new();
///     let open = stop.guard();
///     let server = sedge::spawn(move || serve(&conn, &open));
///
///     client.write_with(|mut s| s.write(b"?"))?;
///     client.read_with(|mut s| s.read(&mut [0]))?;
///     stop.stop();
///     stop.wait(Duration::from_secs(30))?;
///     assert_eq!(server.join().unwrap()?, 1);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Graceful {
    shared: Arc<Shared>,
}

/// One piece of open work of a [`Graceful`], which it stands for: it has the same methods.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::signal::Graceful;
/// use std::time::Duration;
///
/// let stop = Graceful::new();
/// let open = stop.guard();
/// let work = sedge::spawn(move || open.is_stopping());
/// // Whoever waits for the work waits for the guard to be dropped, be it by a panic.
/// assert!(stop.wait(Duration::from_secs(30)).is_ok());
/// assert!(!work.join().unwrap());
/// ```
#[derive(Debug)]
pub struct Guard {
    graceful: Graceful,
}

/// Work was still open when [`Graceful::wait`] gave up.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::signal::Graceful;
/// use std::io;
/// use std::time::Duration;
///
/// let stop = Graceful::new();
/// let _open = stop.guard();
/// let still_open = stop.wait(Duration::ZERO).unwrap_err();
/// assert_eq!(still_open.count(), 1);
/// assert_eq!(io::Error::from(still_open).kind(), io::ErrorKind::TimedOut);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StillOpen {
    count: usize,
}

#[derive(Debug)]
struct Shared {
    targets: Targets,
    /// Waits for the stop.
    stopped: WaitQueue,
    /// Guards that there are. The last one's decrement (AcqRel) comes before its wake, and is read
    /// (Acquire) under the queue's lock: what was done under guards is seen by who has waited.
    open: AtomicUsize,
    closed: WaitQueue,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            targets: Targets::new(),
            stopped: WaitQueue::new(),
            open: AtomicUsize::new(0),
            closed: WaitQueue::new(),
        }
    }
}

impl Graceful {
    /// A stop that has not begun, with nothing open.
    ///
    /// # Examples
    ///
    /// See [`Graceful`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins the stop: every [`until`](Self::until) in progress is interrupted, and none waits any
    /// more. Only the first call does anything.
    ///
    /// # Blocking
    ///
    /// Never waits. Takes a system call for each wait that it interrupts.
    ///
    /// # Panics
    ///
    /// With the first panic of an [`interrupt`](Interrupt::interrupt), after all have been told.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::signal::Graceful;
    ///
    /// let stop = Graceful::new();
    /// stop.clone().stop();
    /// assert!(stop.is_stopping());
    /// ```
    pub fn stop(&self) {
        if let Some(interrupted) = self.shared.targets.stop() {
            self.shared.stopped.wake_all();
            if let Some(payload) = interrupted.first_panic {
                resume_unwind(payload);
            }
        }
    }

    /// Begins the stop when one of `signals` comes. A second one ends the process, as it would have
    /// without this: somebody is out of patience.
    ///
    /// # Blocking
    ///
    /// Never waits: a task of its own does.
    ///
    /// # Errors
    ///
    /// Those of [`Signals::new`], and of spawning a task.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::signal::{Graceful, SIGINT, SIGTERM};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let stop = Graceful::new();
    /// stop.on_signals([SIGINT, SIGTERM])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_signals<I>(&self, signals: I) -> io::Result<()>
    where
        I: IntoIterator,
        I::Item: Into<Signal>,
    {
        let signals = Signals::new(signals)?;
        let stop = self.clone();
        let watch = move || {
            if signals.recv().is_ok() {
                // A target's panic has been reported; it must not cost the second signal its
                // effect.
                let _ = catch_unwind(AssertUnwindSafe(|| stop.stop()));
            }
            if let Ok(second) = signals.recv() {
                // Nothing is left to be done if it fails: the first stop goes on.
                let _ = signal_hook::low_level::emulate_default_handler(second.as_raw());
            }
        };
        task::Builder::new().spawn(watch).map(drop)
    }

    /// Whether the stop has begun: a keep-alive connection asks before it promises to stay open.
    ///
    /// # Examples
    ///
    /// See [`stop`](Self::stop).
    pub fn is_stopping(&self) -> bool {
        self.shared.targets.is_stopped()
    }

    /// Counts one more piece of open work, until the guard is dropped. Also while stopping: what
    /// has been accepted is served.
    ///
    /// # Examples
    ///
    /// See [`wait`](Self::wait).
    pub fn guard(&self) -> Guard {
        // Relaxed: whoever waits for this guard learnt of it by other means, or may miss it.
        self.shared.open.fetch_add(1, Ordering::Relaxed);
        Guard { graceful: self.clone() }
    }

    /// Runs `f`, which waits for new work on `target`, and ends that wait when the stop begins.
    ///
    /// Returns `None` if the stop has begun already, without running `f`, or if `f` failed because
    /// of it. What `f` got hold of in the last moment is returned, and is to be finished. If it is
    /// the beginning of a request, the rest can still be read where the target spares what has
    /// begun to arrive ([`Interrupt::interrupt`]), as a TCP stream does.
    ///
    /// The interruption is for good, and for all who wait on `target` in the same way: a connection
    /// that is read by several tasks is ended for all of them.
    ///
    /// # Blocking
    ///
    /// Parks as `f` does.
    ///
    /// # Cancellation
    ///
    /// Not a cancellation point in itself.
    ///
    /// # Errors
    ///
    /// Those of `f`, unless the stop has begun.
    ///
    /// # Examples
    ///
    /// See [`Graceful`] and [`Interrupt`].
    pub fn until<T>(
        &self,
        target: &impl Interrupt,
        f: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<Option<T>> {
        match self.shared.targets.with(target, f) {
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(_)) if self.is_stopping() => Ok(None),
            Some(Err(error)) => Err(error),
            None => Ok(None),
        }
    }

    /// Waits until the stop begins.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread.
    ///
    /// # Cancellation
    ///
    /// A cancellation point.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::signal::Graceful;
    ///
    /// let stop = Graceful::new();
    /// stop.stop();
    /// stop.wait_for_stop();
    /// ```
    pub fn wait_for_stop(&self) {
        wait::checkpoint();
        let is_stopping = || self.is_stopping().then_some(());
        while self.shared.stopped.wait_until(None, is_stopping).is_err() {}
    }

    /// Waits until nothing is open any more, for `timeout` at most. Does not begin the stop.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread.
    ///
    /// # Cancellation
    ///
    /// A cancellation point.
    ///
    /// # Errors
    ///
    /// How many guards there still are. As an [`io::Error`] its kind is `TimedOut`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::signal::Graceful;
    /// use std::time::Duration;
    ///
    /// let stop = Graceful::new();
    /// let open = stop.guard();
    /// stop.stop();
    /// assert_eq!(stop.wait(Duration::from_millis(1)).unwrap_err().count(), 1);
    /// drop(open);
    /// assert!(stop.wait(Duration::from_secs(30)).is_ok());
    /// ```
    pub fn wait(&self, timeout: Duration) -> Result<(), StillOpen> {
        wait::checkpoint();
        let none_open = || (self.shared.open.load(Ordering::Acquire) == 0).then_some(());
        let deadline = clock::after(timeout);
        self.shared.closed.wait_until(deadline, none_open).or_else(|_| {
            match self.shared.open.load(Ordering::Acquire) {
                0 => Ok(()),
                count => Err(StillOpen { count }),
            }
        })
    }
}

impl Deref for Guard {
    type Target = Graceful;

    fn deref(&self) -> &Graceful {
        &self.graceful
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let shared = &self.graceful.shared;
        if shared.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            shared.closed.wake_all();
        }
    }
}

impl StillOpen {
    /// How many guards there were.
    ///
    /// # Examples
    ///
    /// See [`Graceful::wait`].
    pub fn count(self) -> usize {
        self.count
    }
}

impl fmt::Display for StillOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "work was still open when the time for it was up: {}", self.count)
    }
}

impl Error for StillOpen {}

impl From<StillOpen> for io::Error {
    fn from(error: StillOpen) -> Self {
        Self::new(io::ErrorKind::TimedOut, error)
    }
}
