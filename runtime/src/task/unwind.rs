//! Making std's panic count, which is per thread, speak of one task.
//!
//! A destructor may park in mid-unwind. The thread's panic count then says that the thread panics,
//! to whichever task runs next: an innocent one's std `Mutex` is poisoned when it is unlocked, a
//! guilty one's is not, and a caught panic may abort the process. So at such a park the task's
//! panics are taken off the count, and put back when it resumes.
//!
//! std offers no call for that, but unwinding itself counts: an unwind that begins adds one on the
//! thread where it begins, and the `catch_unwind` that ends it takes one off where it ends. A
//! [`Token`] is a small stack of the runtime's own whose unwind has begun and waits in a
//! destructor. To *finish* one here, begun elsewhere, counts -1; to *begin* one here counts +1.
//!
//! Only parks in mid-unwind pay for this (9 us at most); all others pay for one look at
//! `thread::panicking`. `begin` and `finish` are out of line: they must not share a frame with code
//! that has read the count.
//!
//! # The bank
//!
//! A task that parks takes a token from the bank and finishes it; when it resumes it begins one and
//! leaves it there. So there are as many tokens as tasks were ever parked in mid-unwind at a time.
//! The first have to be begun by another thread than a worker's, and surplus ones finished by one:
//! the monitor of the runtime does both, in batches ([`Minter`]), as its own count is nobody's
//! business. Where a token or a stack for one cannot be had the worker waits until it can.
//!
//! # Invariants
//!
//! A token's stack holds only frames of this file and of std's unwinder while it waits, and these
//! keep no address of a thread-local across the destructor: it may be finished on any thread.
#![expect(unsafe_code, reason = "moves a suspended stack of the runtime's own between threads")]

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::time::Duration;

use corosensei::{Coroutine, Yielder};
use parking_lot::{Condvar, Mutex};

use crate::context;
use crate::scheduler::Phase;
use crate::stack::{STACK_BYTES_MIN, Stack, StackCache, StackSize};

/// How many tokens are begun at a time.
const BATCH: usize = 64;

/// How many may lie in the bank.
const KEPT: usize = 2 * BATCH;

/// How long to wait for memory before it is asked for again.
const RETRY: Duration = Duration::from_millis(1);

/// An unwind that was begun and not finished. See the module's header.
struct Token(Coroutine<(), (), (), Stack>);

// SAFETY: the module's invariant.
unsafe impl Send for Token {}

static BANK: Mutex<Vec<Token>> = Mutex::new(Vec::new());

/// Notified when tokens were minted.
static MINTED: Condvar = Condvar::new();

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
        let stack = finish(withdraw());
        with_stacks(|stacks| stacks.put(stack));
        hidden += 1;
    }
    hidden
}

/// Puts `count` panics on the thread's count.
#[cold]
pub(crate) fn restore_panics(count: u32) {
    for _ in 0..count {
        let token = begin(wait_for_stack());
        let mut bank = BANK.lock();
        bank.push(token);
        let surplus = bank.len() > KEPT;
        drop(bank);
        if surplus {
            ask_to_mint();
        }
    }
}

/// A token that was begun elsewhere. Blocks the thread until there is one.
fn withdraw() -> Token {
    let mut bank = BANK.lock();
    loop {
        if let Some(token) = bank.pop() {
            return token;
        }
        if ask_to_mint() {
            // Others may take what was minted, and the monitor may lack the memory.
            MINTED.wait_for(&mut bank, RETRY);
        } else {
            MINTED.wait(&mut bank);
        }
    }
}

/// Returns whether anybody will: the worker may be one that was abandoned.
fn ask_to_mint() -> bool {
    context::with_worker(|worker| {
        let shared = worker.expect("only a worker's thread has panics to hide").shared();
        shared.monitor.ask_to_mint();
        shared.phase() != Phase::Abandoned
    })
}

fn take_stack(stacks: &mut StackCache) -> io::Result<Stack> {
    stacks.take(StackSize::new(STACK_BYTES_MIN).expect("the smallest size is a size"))
}

/// The worker's own stacks: what it puts back when it hides a panic it finds when it restores one.
fn with_stacks<R>(f: impl FnOnce(&mut StackCache) -> R) -> R {
    context::with_worker(|worker| f(&mut worker.expect("a worker's thread").stacks().borrow_mut()))
}

/// Blocks the thread until there is a stack: without one the task cannot go on unwinding.
fn wait_for_stack() -> Stack {
    loop {
        match with_stacks(take_stack) {
            Ok(stack) => return stack,
            #[expect(clippy::disallowed_methods, reason = "the worker cannot run another task now")]
            Err(_) => thread::sleep(RETRY),
        }
    }
}

/// Begins an unwind: the thread's count goes up by one.
#[inline(never)]
fn begin(stack: Stack) -> Token {
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
fn finish(mut token: Token) -> Stack {
    token.0.resume(());
    debug_assert!(token.0.done(), "the destructor has returned and the unwind was caught");
    token.0.into_stack()
}

/// Begins and finishes tokens on a thread whose panic count nobody asks for. At its end it has
/// finished what it can of as many as it has begun.
#[derive(Debug, Default)]
pub(crate) struct Minter {
    stacks: StackCache,
    /// How many it has begun, less those that it has finished: this thread's count.
    begun: usize,
}

impl Minter {
    /// Fills an empty bank with a batch, and empties a full one down to what is kept.
    pub(crate) fn settle(&mut self) {
        if BANK.lock().is_empty() {
            self.mint();
        }
        self.finish_beyond(KEPT);
    }

    fn mint(&mut self) {
        for _ in 0..BATCH {
            // Who waits for tokens asks again.
            let Ok(stack) = take_stack(&mut self.stacks) else { break };
            let token = begin(stack);
            self.begun += 1;
            BANK.lock().push(token);
            MINTED.notify_one();
        }
    }

    fn finish_beyond(&mut self, kept: usize) {
        while self.begun > 0 {
            let mut bank = BANK.lock();
            let token = if bank.len() > kept { bank.pop() } else { None };
            if bank.is_empty() {
                *bank = Vec::new();
            }
            drop(bank);
            let Some(token) = token else { break };
            self.stacks.put(finish(token));
            self.begun -= 1;
        }
        self.stacks.flush();
    }
}

impl Drop for Minter {
    fn drop(&mut self) {
        self.finish_beyond(0);
    }
}

#[cfg(all(test, not(sedge_loom)))]
mod tests {
    use super::{BANK, KEPT, hide_panics, restore_panics};
    use crate::wait::WaitQueue;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::thread::panicking;
    use std::time::{Duration, Instant};

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
        crate::run(|| {
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
        });
    }

    fn eventually(what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !condition() {
            assert!(Instant::now() < deadline, "never: {what}");
            crate::time::sleep(Duration::from_millis(1));
        }
    }

    /// A task that is parked in mid-unwind has taken a token, and leaves one when it goes on.
    #[test]
    fn tokens_do_not_pile_up() {
        const TASKS: usize = 5_000;
        static GATE: WaitQueue = WaitQueue::new();
        static OPEN: AtomicBool = AtomicBool::new(false);
        static PARKED: AtomicUsize = AtomicUsize::new(0);
        crate::run(|| {
            let park_in_mid_unwind = || {
                unwinding(|| {
                    PARKED.fetch_add(1, Ordering::SeqCst);
                    let open = || OPEN.load(Ordering::SeqCst).then_some(());
                    GATE.wait_until(None, open).expect("there is no deadline");
                    assert!(panicking());
                });
            };
            let tasks: Vec<_> = (0..TASKS).map(|_| crate::spawn(park_in_mid_unwind)).collect();
            eventually("all are in their destructors", || PARKED.load(Ordering::SeqCst) == TASKS);
            OPEN.store(true, Ordering::SeqCst);
            GATE.wake_all();
            tasks.into_iter().for_each(|task| task.join().unwrap());
            // Other tests of this process may have some in use.
            eventually("the bank is emptied", || BANK.lock().len() <= 2 * KEPT);
        });
    }
}
