//! The handler that was there before ours, called as the kernel would have called it.
#![expect(unsafe_code, reason = "calls a foreign signal handler")]

use std::{mem, ptr};

use libc::{c_int, c_void, siginfo_t};

/// A signal's disposition.
#[derive(Clone, Copy)]
pub(super) struct Previous(libc::sigaction);

impl Previous {
    /// What is in force for `signal` now.
    pub(super) fn of(signal: c_int) -> Self {
        // SAFETY: all zeros is an action (SIG_DFL), and the kernel overwrites it.
        let mut action: libc::sigaction = unsafe { mem::zeroed() };
        // SAFETY: a query; both pointers are what the call expects.
        unsafe { libc::sigaction(signal, ptr::null(), &mut action) };
        Self(action)
    }

    /// Handles `signal` as if this disposition had never been replaced.
    ///
    /// # Safety
    ///
    /// Called by a handler of `signal`, with that handler's arguments.
    pub(super) unsafe fn call(
        &self,
        signal: c_int,
        raised_by_kernel: bool,
        info: *mut siginfo_t,
        context: *mut c_void,
    ) {
        match self.0.sa_sigaction {
            libc::SIG_IGN if !raised_by_kernel => {}
            // A fault cannot be ignored: the kernel kills for SIG_IGN, too.
            libc::SIG_DFL | libc::SIG_IGN => restore_default(signal, raised_by_kernel),
            handler => {
                self.enter(signal);
                // SAFETY: the caller's promise, for the handler that SA_SIGINFO names.
                unsafe { self.call_handler(handler, signal, info, context) };
            }
        }
    }

    /// # Safety
    ///
    /// As [`call`](Self::call), and `handler` is this disposition's, a function.
    unsafe fn call_handler(
        &self,
        handler: usize,
        signal: c_int,
        info: *mut siginfo_t,
        context: *mut c_void,
    ) {
        // SAFETY: `__errno_location` is the calling thread's. The code that was interrupted must
        // not see it change.
        let errno = unsafe { *libc::__errno_location() };
        if self.0.sa_flags & libc::SA_SIGINFO != 0 {
            type Handler = unsafe extern "C" fn(c_int, *mut siginfo_t, *mut c_void);
            // SAFETY: the flag says that the function has this signature.
            let handler = unsafe { mem::transmute::<usize, Handler>(handler) };
            // SAFETY: the arguments are those that the kernel gave.
            unsafe { handler(signal, info, context) };
        } else {
            type Handler = unsafe extern "C" fn(c_int);
            // SAFETY: without the flag, the function has this signature.
            let handler = unsafe { mem::transmute::<usize, Handler>(handler) };
            // SAFETY: the argument is the one that the kernel gave.
            unsafe { handler(signal) };
        }
        // SAFETY: as above.
        unsafe { *libc::__errno_location() = errno };
    }

    /// Does what the kernel does before it calls a handler: its mask, and the flags that act on
    /// entry. The kernel undoes the mask when our handler returns.
    fn enter(&self, signal: c_int) {
        if self.0.sa_flags & libc::SA_RESETHAND != 0 {
            set_default(signal);
        }
        // SAFETY: the masks are initialised, and changing this thread's mask is async-signal-safe.
        unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, &self.0.sa_mask, ptr::null_mut());
            if self.0.sa_flags & libc::SA_NODEFER != 0 && !self.blocks(signal) {
                let mut own: libc::sigset_t = mem::zeroed();
                libc::sigemptyset(&mut own);
                libc::sigaddset(&mut own, signal);
                libc::pthread_sigmask(libc::SIG_UNBLOCK, &own, ptr::null_mut());
            }
        }
    }

    fn blocks(&self, signal: c_int) -> bool {
        // SAFETY: the mask is initialised.
        unsafe { libc::sigismember(&self.0.sa_mask, signal) == 1 }
    }
}

/// Lets the default action happen once our handler has returned: a fault happens again by itself, a
/// signal that somebody sent is sent again.
fn restore_default(signal: c_int, raised_by_kernel: bool) {
    set_default(signal);
    if !raised_by_kernel {
        // SAFETY: async-signal-safe. The signal is blocked in the handler, so it stays pending
        // until that returns.
        unsafe { libc::raise(signal) };
    }
}

fn set_default(signal: c_int) {
    // SAFETY: all zeros is SIG_DFL, with no flags and an empty mask; sigaction is
    // async-signal-safe.
    unsafe {
        let action: libc::sigaction = mem::zeroed();
        libc::sigaction(signal, &action, ptr::null_mut());
    }
}
