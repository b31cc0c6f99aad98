//! Handlers off the stacks of tasks.
//!
//! signal-hook's handlers run on the stack of whatever is interrupted. A signal frame may take
//! 12 KiB, and the smallest stack of a task is 32: a signal must not be what makes it overflow.
//! Workers have an alternate signal stack, and so has each thread that std made.
#![expect(unsafe_code, reason = "changes a flag of an installed handler")]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use super::Signal;

/// Makes the handler of `signal` run on the thread's alternate stack, where there is one.
pub(super) fn use_for(signal: Signal) -> io::Result<()> {
    let mut action = MaybeUninit::uninit();
    // SAFETY: no new action is given, and `action` has room for the present one.
    if unsafe { libc::sigaction(signal.as_raw(), ptr::null(), action.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has succeeded, and so has written it.
    let mut action: libc::sigaction = unsafe { action.assume_init() };
    if action.sa_flags & libc::SA_ONSTACK != 0 {
        return Ok(());
    }
    action.sa_flags |= libc::SA_ONSTACK;
    // SAFETY: the same handler as before, which does not care on which stack it runs; the old
    // action is not asked for.
    if unsafe { libc::sigaction(signal.as_raw(), &action, ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
