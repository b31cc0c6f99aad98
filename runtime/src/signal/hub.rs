//! From the handlers to the streams.
//!
//! One thread for the process is told by signal-hook's handlers, through a socket, which signals
//! came. It counts them, and wakes the streams' waiters. A stream compares counts: so every stream
//! sees every signal, and there is nothing to undo when one ends.
//!
//! # Memory ordering
//!
//! A count is raised (Release) *before* the waiters' lock is taken to wake, and read (Acquire)
//! under that lock by who is about to wait: no arrival is missed.
//!
//! # Rejected
//!
//! A socket for each stream, waited on as a `Source`: two descriptors and a set of handlers each, a
//! registration that moves with its waiter, and a deadline path of its own; a thread costs nothing
//! while no signals come, is there before and after any runtime, and waits like all else.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use parking_lot::Mutex;
use signal_hook::iterator::{Handle, Signals};

use super::number::MAX;
use super::{Signal, altstack};
use crate::wait::{TimedOut, WaitQueue};

#[derive(Debug)]
struct Hub {
    /// How often each signal has come, by number.
    arrivals: [AtomicU64; MAX as usize + 1],
    waiters: WaitQueue,
    /// Adds signals to those that the thread is told of. None before there is a thread.
    handle: Mutex<Option<Handle>>,
}

fn hub() -> &'static Hub {
    static HUB: OnceLock<Hub> = OnceLock::new();
    HUB.get_or_init(|| Hub {
        arrivals: [const { AtomicU64::new(0) }; MAX as usize + 1],
        waiters: WaitQueue::new(),
        handle: Mutex::new(None),
    })
}

/// Has the arrivals of a signal counted from now on. The signal has been checked.
pub(super) fn watch(signal: Signal) -> io::Result<()> {
    let mut handle = hub().handle.lock();
    let handle = match &mut *handle {
        Some(handle) => handle,
        none => none.insert(start()?),
    };
    // Nothing happens where it is watched already.
    handle.add_signal(signal.as_raw())?;
    altstack::use_for(signal)
}

fn start() -> io::Result<Handle> {
    let mut signals = Signals::new([] as [i32; 0])?;
    let handle = signals.handle();
    let run = move || {
        for number in signals.forever() {
            arrived(number);
        }
    };
    thread::Builder::new().name("sedge-signal".into()).spawn(run)?;
    Ok(handle)
}

fn arrived(number: i32) {
    let arrivals = usize::try_from(number).ok().and_then(|number| hub().arrivals.get(number));
    if let Some(arrivals) = arrivals {
        arrivals.fetch_add(1, Ordering::Release);
        hub().waiters.wake_all();
    }
}

/// How often `signal` has come since it was first watched. The signal has been checked.
pub(super) fn arrivals(signal: Signal) -> u64 {
    hub().arrivals[signal.as_raw() as usize].load(Ordering::Acquire)
}

/// Waits until `ready` finds an arrival.
pub(super) fn wait<R>(
    deadline: Option<Instant>,
    ready: impl FnMut() -> Option<R>,
) -> Result<io::Result<R>, TimedOut> {
    hub().waiters.wait_unless_refused(&mut deadline.into(), ready)
}
