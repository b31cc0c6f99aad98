//! Tells which task overflowed its stack, and aborts.
//!
//! An overflow is a fault in a guard. It arrives as a SIGSEGV on a stack that is used up, so the
//! handler needs one of its own: every thread that runs tasks holds an [`AltStack`].
//!
//! [`install`] replaces the process's handlers of SIGSEGV and SIGBUS, once, and never takes them
//! back. A fault that is not an overflow of the running task goes to the handler that was there
//! before (`previous.rs`); std's, which knows the guards of threads, is usually that one.
//!
//! # In the handler
//!
//! Nothing but async-signal-safe code: no allocation, no lock, no thread-local that needs to be
//! made. It reads the two statics below, asks the hook which task runs, writes one message and
//! aborts.
//!
//! # Not here
//!
//! A frame without stack probes (of C code) that is larger than the guard steps over it. Rust code
//! probes every page.
#![expect(unsafe_code, reason = "handles signals")]

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::{io, mem, ptr};

use libc::{c_int, c_void, siginfo_t};
use parking_lot::Mutex;

use self::message::Message;
use self::previous::Previous;

mod alt_stack;
mod message;
mod previous;
#[cfg(test)]
mod tests;

pub(crate) use alt_stack::AltStack;

/// What the handler needs to know of the task that runs on this thread.
#[derive(Debug, Clone)]
pub(crate) struct CurrentStack {
    /// The guard of its stack.
    pub(crate) guard: Range<usize>,
    /// The size of its stack, the guard included.
    pub(crate) stack_bytes: usize,
    /// The task's number.
    pub(crate) id: u64,
    /// The task's name, if it has one: valid for as long as the task is the current one.
    pub(crate) name: Option<*const str>,
}

/// Finds the running task of the calling thread.
pub(crate) type CurrentFn = fn() -> Option<CurrentStack>;

/// Set before the handlers are installed.
static CURRENT: OnceLock<CurrentFn> = OnceLock::new();

/// The handlers that were there before, by place in [`SIGNALS`]; set before ours replace them, and
/// leaked. Release and Acquire: who reads the pointer reads what it points to.
static PREVIOUS: [AtomicPtr<Previous>; 2] = [const { AtomicPtr::new(ptr::null_mut()) }; 2];

/// A guard raises SIGSEGV; std handles both, and so must who stands in front of it.
const SIGNALS: [c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// Installs the handlers, the first time it is called.
///
/// # Errors
///
/// Those of `sigaction(2)`; a later call tries again, for the signals that are still missing.
///
/// # Safety
///
/// `current` is async-signal-safe, and the name that it returns is valid until its thread has left
/// the signal handler.
pub(crate) unsafe fn install(current: CurrentFn) -> io::Result<()> {
    /// Which of [`SIGNALS`] have our handler. A call that failed half-way must not be repeated for
    /// those that have it: it would come before itself, and call itself for ever.
    static INSTALLED: Mutex<[bool; 2]> = Mutex::new([false; 2]);
    let mut installed = INSTALLED.lock();
    CURRENT.get_or_init(|| current);
    for (place, signal) in SIGNALS.into_iter().enumerate() {
        if installed[place] {
            continue;
        }
        let previous = Box::into_raw(Box::new(Previous::of(signal)));
        PREVIOUS[place].store(previous, Ordering::Release);
        handle(signal)?;
        installed[place] = true;
    }
    Ok(())
}

fn handle(signal: c_int) -> io::Result<()> {
    // SAFETY: all zeros is an action: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = on_fault as extern "C" fn(c_int, *mut siginfo_t, *mut c_void) as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the handler has the signature that SA_SIGINFO calls for, and is async-signal-safe.
    let result = unsafe { libc::sigaction(signal, &action, ptr::null_mut()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

extern "C" fn on_fault(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a valid siginfo; for these two signals it has an address, if the
    // kernel raised them, and otherwise something that is read as one and compared only.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    let raised_by_kernel = code > 0;
    if raised_by_kernel {
        let current = CURRENT.get().and_then(|current| current());
        if let Some(task) = current.filter(|task| task.guard.contains(&address)) {
            die(&task);
        }
    }
    let place = SIGNALS.iter().position(|handled| *handled == signal);
    // SAFETY: null, or leaked by `install`.
    let previous =
        place.and_then(|place| unsafe { PREVIOUS[place].load(Ordering::Acquire).as_ref() });
    if let Some(previous) = previous {
        // SAFETY: these are the arguments of this very handler.
        unsafe { previous.call(signal, raised_by_kernel, info, context) };
    }
}

fn die(task: &CurrentStack) -> ! {
    // SAFETY: `install`'s caller promised it: the task is current, and stays so in the handler.
    let name = task.name.map(|name| unsafe { &*name });
    let message = Message::overflow(name, task.id, task.stack_bytes);
    let mut rest = message.as_bytes();
    while !rest.is_empty() {
        // SAFETY: the slice is valid for reading.
        let written = unsafe { libc::write(libc::STDERR_FILENO, rest.as_ptr().cast(), rest.len()) };
        match usize::try_from(written) {
            Ok(written) if written > 0 => rest = &rest[written..],
            // A closed or full stderr must not keep the process from ending.
            _ => break,
        }
    }
    // SAFETY: async-signal-safe; it does not return.
    unsafe { libc::abort() }
}
