//! Making std's panic count, which is per thread, speak of one task.
//!
//! A destructor may park in mid-unwind. The thread's panic count then says that the thread panics,
//! to whichever task runs next: an innocent one's std `Mutex` is poisoned when it is unlocked, a
//! guilty one's is not, and a caught panic may abort the process. So at such a park the task's
//! panics are taken off the count, and put back when it resumes.
//!
//! std offers no call for that, but unwinding itself counts: an unwind that begins adds one on the
//! thread where it begins, and the `catch_unwind` that ends it takes one off where it ends. A
//! [`Token`] is a small stack of the runtime's own whose unwind has begun and waits in a destructor.
//! To *finish* one here, begun elsewhere, counts -1; to *begin* one here counts +1. Tokens that were
//! begun wait in a bank until somebody finishes them; the first are minted on a thread that ends.
//!
//! Only parks in mid-unwind pay for this (9 us at most); all others pay for one look at
//! `thread::panicking`. `begin` and `finish` are out of line: they must not share a frame with code
//! that has read the count.
//!
//! # Invariants
//!
//! A token's stack holds only frames of this file and of std's unwinder while it waits, and these
//! keep no address of a thread-local across the destructor: it may be finished on any thread.
#![expect(unsafe_code, reason = "moves a suspended stack of the runtime's own between threads")]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use corosensei::{Coroutine, Yielder};
use parking_lot::Mutex;

use crate::stack::{STACK_BYTES_MIN, Stack, StackCache, StackSize};

/// An unwind that was begun and not finished. See the module's header.
struct Token(Coroutine<(), (), (), Stack>);

// SAFETY: the module's invariant.
unsafe impl Send for Token {}

static BANK: Mutex<Vec<Token>> = Mutex::new(Vec::new());

/// Suspends the token's stack when it is dropped by the unwind.
struct SuspendInDrop<'a>(&'a Yielder<(), ()>);

impl Drop for SuspendInDrop<'_> {
    fn drop(&mut self) {
        self.0.suspend(());
    }
}

/// Takes the calling task's panics off the thread's count; returns how many there were.
#[cold]
pub(crate) fn hide_panics() -> u32 {
    let mut hidden = 0;
    while thread::panicking() {
        finish(withdraw());
        hidden += 1;
    }
    hidden
}

/// Puts `count` panics on the thread's count.
#[cold]
pub(crate) fn restore_panics(count: u32) {
    for _ in 0..count {
        let token = begin();
        BANK.lock().push(token);
    }
}

/// A token that was begun elsewhere: from the bank, or a new one.
fn withdraw() -> Token {
    let token = BANK.lock().pop();
    token.unwrap_or_else(|| {
        let minted = thread::Builder::new().name("sedge-mint".into()).spawn(begin).map(thread::JoinHandle::join);
        match minted {
            Ok(Ok(token)) => token,
            // Going on would poison the locks of innocent tasks, or worse.
            _ => {
                eprintln!("sedge: a destructor waits in mid-unwind, and there is no memory or thread to park it");
                std::process::abort();
            }
        }
    })
}

/// Begins an unwind: the thread's count goes up by one.
#[inline(never)]
fn begin() -> Token {
    let size = StackSize::new(STACK_BYTES_MIN).expect("the smallest size is a size");
    let stack = StackCache::new().take(size).unwrap_or_else(|error| {
        eprintln!("sedge: no stack to account for a parked unwind: {error}");
        std::process::abort();
    });
    let mut coroutine = Coroutine::with_stack(stack, |yielder: &Yielder<(), ()>, ()| {
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _suspend = SuspendInDrop(yielder);
            resume_unwind(Box::new(()));
        }));
        debug_assert!(caught.is_err());
    });
    coroutine.resume(());
    Token(coroutine)
}

/// Finishes an unwind: the thread's count goes down by one.
#[inline(never)]
fn finish(mut token: Token) {
    token.0.resume(());
    debug_assert!(token.0.done(), "the destructor has returned and the unwind was caught");
    StackCache::new().put(token.0.into_stack());
}

#[cfg(test)]
mod tests {
    use super::{hide_panics, restore_panics};
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::thread::panicking;

    struct OnDrop<F: FnMut()>(F);

    impl<F: FnMut()> Drop for OnDrop<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }

    fn unwinding(f: impl FnMut()) {
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _on_drop = OnDrop(f);
            resume_unwind(Box::new(()));
        }));
        assert!(caught.is_err());
    }

    #[test]
    fn panics_are_hidden_and_restored_two_deep() {
        unwinding(|| {
            unwinding(|| {
                let hidden = hide_panics();
                assert_eq!(hidden, 2);
                assert!(!panicking());
                unwinding(|| assert!(panicking()));
                assert!(!panicking());
                restore_panics(hidden);
                assert!(panicking());
            });
            assert!(panicking(), "the outer unwind goes on");
        });
        assert!(!panicking());
    }
}
