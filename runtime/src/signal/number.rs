//! A signal's number, and its name.

use std::fmt;
use std::io;

/// A signal, by its number.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::signal::{SIGTERM, Signal};
///
/// assert_eq!(Signal::from_raw(15), SIGTERM);
/// assert_eq!(SIGTERM.to_string(), "SIGTERM");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(i32);

/// The greatest number, real-time signals included.
pub(super) const MAX: i32 = 64;

/// Numbers that the C library keeps for itself.
const RESERVED: [i32; 2] = [32, 33];

const FAULTS: [i32; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGSYS];

impl Signal {
    /// The signal with a number, as the C library numbers them. Any number is taken:
    /// [`Signals::new`](super::Signals::new) is what looks at it.
    ///
    /// # Examples
    ///
    /// See [`Signal`].
    pub const fn from_raw(number: i32) -> Self {
        Self(number)
    }

    /// The signal's number.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// assert_eq!(sedge::signal::SIGINT.as_raw(), 2);
    /// ```
    pub const fn as_raw(self) -> i32 {
        self.0
    }

    /// Whether it can be watched.
    pub(super) fn check(self) -> io::Result<()> {
        let problem = match self.0 {
            libc::SIGKILL | libc::SIGSTOP => "no process can handle it",
            number if FAULTS.contains(&number) => "it reports a fault in the code that runs",
            1..=MAX if !RESERVED.contains(&self.0) => return Ok(()),
            _ => "there is no such signal",
        };
        let text = format!("cannot wait for {self}: {problem}");
        Err(io::Error::new(io::ErrorKind::InvalidInput, text))
    }
}

impl From<i32> for Signal {
    fn from(number: i32) -> Self {
        Self(number)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match signal_hook::low_level::signal_name(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! signals {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        $($(#[$doc])+ pub const $name: Signal = Signal(libc::$name);)+
    };
}

signals! {
    /// The terminal was closed; by custom, daemons read their configuration again.
    SIGHUP,
    /// Ctrl-C in the terminal.
    SIGINT,
    /// Ctrl-\ in the terminal.
    SIGQUIT,
    /// For the program to use as it likes.
    SIGUSR1,
    /// For the program to use as it likes.
    SIGUSR2,
    /// A write to a pipe that nobody reads. Rust programs ignore it from the start.
    SIGPIPE,
    /// The timer of `alarm(2)`.
    SIGALRM,
    /// The polite request to end: what `kill`, service managers and container runtimes send.
    SIGTERM,
    /// A child process has stopped, or ended.
    SIGCHLD,
    /// The process goes on after a stop.
    SIGCONT,
    /// Ctrl-Z in the terminal.
    SIGTSTP,
    /// A read from the terminal, in the background.
    SIGTTIN,
    /// A write to the terminal, in the background.
    SIGTTOU,
    /// A descriptor with `O_ASYNC` is ready.
    SIGIO,
    /// The terminal's window has changed its size.
    SIGWINCH,
}
