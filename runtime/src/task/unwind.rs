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
//! Only parks in mid-unwind pay for this; all others pay for one look at `thread::panicking`.
//! `begin` and `finish` are out of line: they must not share a frame with code that has read the
//! count.
//!
//! # The bank
//!
//! A task that parks takes a token from the bank for each of its panics and finishes it; when it
//! resumes it begins one, on the same stack, and leaves it there. So there are as many tokens as
//! tasks were ever parked in mid-unwind at a time. The first have to be begun by another thread
//! than a worker's, and surplus ones finished by one: by the *minter*, a thread that runs no other
//! code, so that its own count is nobody's business. It is started when it is first needed, and
//! stays.
//!
//! Where no token can be had, for want of memory or of that thread, the task does not park: its
//! wait returns for no reason, as waits may, and meanwhile its worker blocks.
//!
//! # Invariants
//!
//! 1. While a token waits its stack holds only frames of this file and of std's unwinder.
//! 2. None of these keeps the address of a thread-local across the destructor.
#![expect(unsafe_code, reason = "moves a suspended stack of the runtime's own between threads")]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::time::{Duration, Instant};

use corosensei::{Coroutine, Yielder};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::scheduler;
use crate::stack::{self, STACK_BYTES_MIN, Stack, StackCache, StackSize};

/// How many tokens are begun at a time.
const BATCH: usize = 64;

/// How many may lie in the bank.
const KEPT: usize = 2 * BATCH;

/// How long a worker waits for a token before it does without.
const PATIENCE: Duration = Duration::from_millis(10);

/// An unwind that was begun and not finished. See the module's header.
struct Token(Coroutine<(), (), (), Stack>);

// SAFETY: by invariants 1 and 2 no frame on it is bound to a thread: any may finish it.
unsafe impl Send for Token {}

struct Bank {
    tokens: Vec<Token>,
    /// Whether somebody waits for tokens.
    wanted: bool,
    /// The number of forks before the process that the minter runs in.
    minter: Option<u32>,
}

static BANK: Mutex<Bank> = Mutex::new(Bank { tokens: Vec::new(), wanted: false, minter: None });

/// Notified when tokens are wanted, or too many.
static ASKED: Condvar = Condvar::new();

/// Notified when tokens were minted.
static MINTED: Condvar = Condvar::new();

/// Panics that were taken off a thread's count, as the stacks to put them back with.
#[must_use = "the task unwinds on once its panics are restored"]
pub(crate) struct Hidden(Vec<Stack>);

/// Takes the calling task's panics off the thread's count. None, and nothing taken, if there are no
/// tokens to be had.
#[cold]
pub(crate) fn hide_panics() -> Option<Hidden> {
    let mut hidden = Hidden(Vec::new());
    while thread::panicking() {
        let Some(token) = withdraw() else {
            restore_panics(hidden);
            return None;
        };
        hidden.0.push(finish(token));
    }
    Some(hidden)
}

/// Puts them back on the thread's count.
#[cold]
pub(crate) fn restore_panics(hidden: Hidden) {
    for stack in hidden.0 {
        let token = begin(stack);
        let mut bank = BANK.lock();
        bank.tokens.push(token);
        if bank.tokens.len() > KEPT {
            ASKED.notify_one();
        }
    }
}

/// A token that was begun elsewhere. Blocks the thread for a moment if there is none.
fn withdraw() -> Option<Token> {
    let mut bank = BANK.lock();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let token = bank.tokens.pop();
        if token.is_some() || !bank.ask() || MINTED.wait_until(&mut bank, deadline).timed_out() {
            return token.or_else(|| bank.tokens.pop());
        }
    }
}

impl Bank {
    /// Has tokens minted. False if there is nobody to do it.
    fn ask(&mut self) -> bool {
        let here = Some(scheduler::forks());
        if self.minter != here {
            let minter = thread::Builder::new().name("sedge-unwind".into()).stack_size(128 << 10);
            if minter.spawn(mint).is_err() {
                return false;
            }
            self.minter = here;
        }
        self.wanted = true;
        ASKED.notify_one();
        true
    }
}

/// The minter: fills an empty bank when asked to, and empties a full one down to what is kept.
fn mint() {
    let mut stacks = StackCache::new();
    // Less those that it has finished: this thread's count.
    let mut begun = 0_usize;
    let mut bank = BANK.lock();
    loop {
        if bank.wanted && bank.tokens.is_empty() {
            let tokens = MutexGuard::unlocked(&mut bank, || begin_batch(&mut stacks));
            begun += tokens.len();
            bank.tokens.extend(tokens);
            bank.wanted = false;
            MINTED.notify_all();
        } else if bank.tokens.len() > KEPT && begun > 0 {
            let token = bank.tokens.pop();
            MutexGuard::unlocked(&mut bank, || stacks.put(finish(token.expect("there are many"))));
            begun -= 1;
        } else {
            bank.wanted = false;
            bank.tokens.shrink_to(KEPT);
            stacks.flush();
            ASKED.wait(&mut bank);
        }
    }
}

/// As many tokens as there are stacks for; if there is none, idle ones of other sizes are given
/// back.
fn begin_batch(stacks: &mut StackCache) -> Vec<Token> {
    let size = StackSize::new(STACK_BYTES_MIN).expect("the smallest size is a size");
    let tokens: Vec<_> = (0..BATCH).map_while(|_| stacks.take(size).ok().map(begin)).collect();
    if tokens.is_empty() {
        stack::trim();
    }
    tokens
}

/// Suspends the token's stack when it is dropped by the unwind.
struct SuspendInDrop<'a>(&'a Yielder<(), ()>);

impl Drop for SuspendInDrop<'_> {
    fn drop(&mut self) {
        self.0.suspend(());
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
                    let hidden = hide_panics().expect("there is memory");
                    assert_eq!(hidden.0.len(), 2);
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
            eventually("the bank is emptied", || BANK.lock().tokens.len() <= 2 * KEPT);
        });
    }
}
