//! Signals, waited for as anything else.
//!
//! [`Signals`] is a stream of the signals that it names; [`ctrl_c`] waits for one SIGINT. Every
//! stream sees every signal. [`Graceful`] is what a server does about SIGTERM: finish what is open,
//! and accept no more.
//!
//! A handler stays installed for the rest of the process, also when the last stream that names its
//! signal has gone: the signal's default action does not come back. Nothing is polled: a handler
//! writes to a socket, and one thread (`sedge-signal`, started by the first stream) reads from it.

mod altstack;
mod graceful;
mod hub;
mod number;
mod targets;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use graceful::{Graceful, Guard, StillOpen};
pub use number::{
    SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGIO, SIGPIPE, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN,
    SIGTTOU, SIGUSR1, SIGUSR2, SIGWINCH, Signal,
};
pub use targets::Interrupt;

use crate::{clock, wait};

/// Waits for the next SIGINT, which is what Ctrl-C in a terminal sends.
///
/// From the first call on, SIGINT no longer ends the process, neither after the call nor between
/// two: one that comes while nobody waits is lost. A [`Signals`] that is kept loses none.
///
/// # Blocking
///
/// Parks the task, or blocks a plain thread.
///
/// # Cancellation
///
/// A cancellation point, at entry and while it waits.
///
/// # Errors
///
/// Those of [`Signals::new`] and [`Signals::recv`].
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// # use sedge::signal::{SIGINT, Signals};
/// # fn main() -> std::io::Result<()> {
/// # let _handled = Signals::new([SIGINT])?;
/// # std::thread::spawn(|| loop {
/// #     signal_hook::low_level::raise(SIGINT.as_raw()).unwrap();
/// #     std::thread::yield_now();
/// # });
/// sedge::signal::ctrl_c()?;
/// eprintln!("stopping");
/// # Ok(())
/// # }
/// ```
pub fn ctrl_c() -> io::Result<()> {
    Signals::new([SIGINT])?.recv().map(drop)
}

/// A stream of the arrivals of some signals.
///
/// It sees what arrives from its making on, whether or not somebody waits. Streams do not take
/// signals from each other; of several tasks that wait on *one* stream, one gets each signal.
///
/// A stream tells *that* a signal came, not how often: arrivals that nobody has picked up count as
/// one, as they do in the kernel. Different signals come in no particular order.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::signal::{SIGHUP, SIGINT, SIGTERM, Signals};
///
/// # fn raise(signal: sedge::signal::Signal) {
/// #     signal_hook::low_level::raise(signal.as_raw()).unwrap();
/// # }
/// # fn reload() {
/// #     raise(SIGTERM);
/// # }
/// # fn main() -> std::io::Result<()> {
/// let signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
/// # raise(SIGHUP);
/// for signal in &signals {
///     match signal {
///         SIGHUP => reload(),
///         _ => break,
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Signals {
    watched: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    signal: Signal,
    /// Up to which arrival this stream has told. Only grows.
    seen: AtomicU64,
}

impl Signals {
    /// Begins to watch `signals`, in place of their default actions.
    ///
    /// # Blocking
    ///
    /// Never parks.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there are none, for a number that is no signal, for SIGKILL and SIGSTOP,
    /// which no process can handle, and for the signals by which the processor reports a fault
    /// (SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS): they are about the code that runs, which
    /// cannot go on. Those of `socketpair(2)`, of making a thread, and of `sigaction(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::signal::{SIGUSR1, Signal, Signals};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let signals = Signals::new([SIGUSR1])?;
    /// assert_eq!(signals.try_recv(), None);
    ///
    /// const SIGKILL: Signal = Signal::from_raw(9);
    /// assert_eq!(Signals::new([SIGKILL]).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new<I>(signals: I) -> io::Result<Self>
    where
        I: IntoIterator,
        I::Item: Into<Signal>,
    {
        let mut signals: Vec<Signal> = signals.into_iter().map(Into::into).collect();
        signals.sort_unstable();
        signals.dedup();
        if signals.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no signal to wait for"));
        }
        // All are looked at before the first handler is installed.
        signals.iter().try_for_each(|signal| signal.check())?;
        let watch = |signal| {
            hub::watch(signal)?;
            Ok(Watched { signal, seen: AtomicU64::new(hub::arrivals(signal)) })
        };
        Ok(Self { watched: signals.into_iter().map(watch).collect::<io::Result<_>>()? })
    }

    /// Waits for the next signal.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits.
    ///
    /// # Errors
    ///
    /// `Other`, and only in a destructor of a task that is being cancelled, where it would wait.
    ///
    /// # Examples
    ///
    /// See [`Signals`].
    pub fn recv(&self) -> io::Result<Signal> {
        self.recv_until(None)
    }

    /// Waits for the next signal, for `timeout` at most.
    ///
    /// Blocking and cancellation are those of [`recv`](Self::recv).
    ///
    /// # Errors
    ///
    /// `TimedOut`, and that of [`recv`](Self::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::signal::{SIGUSR1, Signals};
    /// use std::time::Duration;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let error = Signals::new([SIGUSR1])?.recv_timeout(Duration::from_millis(1)).unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    /// # Ok(())
    /// # }
    /// ```
    pub fn recv_timeout(&self, timeout: Duration) -> io::Result<Signal> {
        self.recv_until(clock::after(timeout))
    }

    fn recv_until(&self, deadline: Option<Instant>) -> io::Result<Signal> {
        wait::checkpoint();
        if let Some(signal) = self.try_recv() {
            return Ok(signal);
        }
        if let Some(refusal) = wait::refusal() {
            return Err(refusal);
        }
        hub::wait(deadline, || self.try_recv())
            .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no signal in time")))
    }

    /// The next signal, if one has come.
    ///
    /// # Blocking
    ///
    /// Never waits, and is no cancellation point.
    ///
    /// # Examples
    ///
    /// See [`Signals::new`].
    pub fn try_recv(&self) -> Option<Signal> {
        self.watched.iter().find_map(|Watched { signal, seen }| {
            let arrivals = hub::arrivals(*signal);
            // Relaxed: the stream's own bookkeeping, which nothing else hangs on. Of two callers
            // who saw the same arrival only one raises `seen` to it, and it never falls.
            let is_new = seen.load(Ordering::Relaxed) < arrivals
                && seen.fetch_max(arrivals, Ordering::Relaxed) < arrivals;
            is_new.then_some(*signal)
        })
    }

    /// An iterator that [waits](Self::recv) for each signal. It ends only where `recv` fails.
    ///
    /// # Examples
    ///
    /// See [`Signals`].
    pub fn iter(&self) -> Iter<'_> {
        Iter { signals: self }
    }
}

/// An endless iterator of signals, by [`Signals::iter`].
///
/// # Blocking
///
/// `next` waits as [`Signals::recv`] does; where that fails, it ends.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::signal::{SIGUSR1, SIGUSR2, Signals};
///
/// # fn main() -> std::io::Result<()> {
/// let signals = Signals::new([SIGUSR1, SIGUSR2])?;
/// # signal_hook::low_level::raise(SIGUSR1.as_raw())?;
/// # signal_hook::low_level::raise(SIGUSR2.as_raw())?;
/// let mut both: Vec<_> = signals.iter().take(2).collect();
/// both.sort();
/// assert_eq!(both, [SIGUSR1, SIGUSR2]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    signals: &'a Signals,
}

impl Iterator for Iter<'_> {
    type Item = Signal;

    fn next(&mut self) -> Option<Signal> {
        self.signals.recv().ok()
    }
}

impl<'a> IntoIterator for &'a Signals {
    type Item = Signal;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}
