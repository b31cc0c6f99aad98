//! Refusing to go on in a forked child: it would share the epoll instances with its parent, and the
//! other workers' threads are gone. `fork` followed by `exec` never gets here.
#![expect(unsafe_code, reason = "registers a fork handler, and aborts")]

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many forks lie between the first runtime's process and this one.
static FORKS: AtomicU32 = AtomicU32::new(0);

extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// Has forks counted, from the first runtime on. Returns how many there were.
pub(super) fn watch() -> u32 {
    static WATCH: Once = Once::new();
    // SAFETY: the handler only adds to an atomic, which is allowed after a fork.
    WATCH.call_once(|| unsafe {
        libc::pthread_atfork(None, None, Some(in_child));
    });
    forks()
}

/// How many forks lie between the first runtime's process and this one.
pub(crate) fn forks() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// Ends the process if it was forked since its runtime began.
pub(super) fn refuse_in_child(forks: u32) {
    // Relaxed: counted before the only thread of the child returns from `fork`.
    if self::forks() != forks {
        eprintln!(
            "sedge: this process was forked from one that runs tasks; that runtime does not work \
             here. Call exec after fork, or start the runtime after it."
        );
        std::process::abort();
    }
}
