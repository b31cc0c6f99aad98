//! The waits that a stop ends.
//!
//! # Invariants
//!
//! 1. A target that stands in a shard is borrowed by a [`Targets::with`] that has not returned, nor
//!    been unwound: its destructor takes the target out, under the shard's lock.
//! 2. Targets are used only under their shard's lock.
//!
//! A `with` whose frame is leaked (a task abandoned at shutdown) never gives its borrow back.
#![expect(unsafe_code, reason = "a list of borrows whose scopes no type can tell")]

use std::any::Any;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use slab::Slab;

/// Something on which a task waits, and whose waits another task can end.
///
/// Listeners and streams implement it. For a type of your own, see that the wait in progress
/// returns an error, or a value that means the end, and soon.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::io::Source;
/// use sedge::signal::{Graceful, Interrupt};
/// use std::io::{self, Read};
/// use std::net::Shutdown;
/// use std::os::unix::net::UnixStream;
///
/// struct Connection(Source<UnixStream>);
///
/// impl Interrupt for Connection {
///     fn interrupt(&self) {
///         // What has been received can still be read; after that, reads return 0. A request here
///         // is one byte, so none is cut off.
///         let _ = self.0.get_ref().shutdown(Shutdown::Read);
///     }
/// }
///
/// # fn main() -> io::Result<()> {
/// sedge::run(|| {
///     let (here, _there) = UnixStream::pair()?;
///     let (conn, stop) = (Connection(Source::new(here)?), Graceful::new());
///     let stopper = stop.clone();
///     sedge::spawn(move || stopper.stop());
///
///     let mut byte = [0];
///     let read = stop.until(&conn, || conn.0.read_with(|mut s| s.read(&mut byte)))?;
///     // The other task stops before the wait, or ends it.
///     assert!(matches!(read, None | Some(0)));
///     Ok(())
/// })
/// # }
/// ```
pub trait Interrupt: Sync {
    /// Ends the wait in progress, and those to come; not where what is waited for has come already,
    /// since that ends the wait by itself, and what follows of it is still to be read. Called by
    /// the task or thread that stops, at most once. Must not wait. A panic keeps the stop from
    /// nobody else: it goes on, in whoever stops, when all have been told.
    fn interrupt(&self);
}

impl<T: Interrupt + ?Sized> Interrupt for &T {
    fn interrupt(&self) {
        (**self).interrupt();
    }
}

impl<T: Interrupt + Send + ?Sized> Interrupt for std::sync::Arc<T> {
    fn interrupt(&self) {
        (**self).interrupt();
    }
}

/// Spreads waits that begin and end at the same time on several workers.
const SHARDS: usize = 16;

/// How many targets are interrupted under one hold of a shard's lock.
const BATCH: usize = 32;

pub(super) struct Targets {
    /// Set once. Written before a stop takes the first shard's lock, and read under that lock by
    /// whoever is about to put in a target (the lock orders the two): so either the reader sees it,
    /// or the stop sees the target.
    stopped: AtomicBool,
    shards: [Mutex<Slab<Target>>; SHARDS],
}

struct Target(*const dyn Interrupt);

// SAFETY: a target is `Sync` (supertrait of `Interrupt`), and all that is done to it elsewhere is a
// call through a shared reference.
unsafe impl Send for Target {}

impl Targets {
    pub(super) const fn new() -> Self {
        Self {
            stopped: AtomicBool::new(false),
            shards: [const { Mutex::new(Slab::new()) }; SHARDS],
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Runs `f`, whose wait on `target` a stop ends. None if the stop came before.
    pub(super) fn with<R>(&self, target: &dyn Interrupt, f: impl FnOnce() -> R) -> Option<R> {
        /// Takes the target out, however the scope is left.
        struct Entered<'a> {
            shard: &'a Mutex<Slab<Target>>,
            key: usize,
        }

        impl Drop for Entered<'_> {
            fn drop(&mut self) {
                self.shard.lock().remove(self.key);
            }
        }

        let address = (&raw const *target).cast::<()>().addr();
        // Values of a kind lie in steps of some power of two: fold the upper bits in.
        let shard = &self.shards[(address >> 4 ^ address >> 12 ^ address >> 18) % SHARDS];
        // SAFETY: only the lifetime of what is pointed to changes, and by invariants 1 and 2 the
        // pointer is not used after it.
        let target = Target(unsafe {
            mem::transmute::<*const (dyn Interrupt + '_), *const (dyn Interrupt + 'static)>(target)
        });
        let mut targets = shard.lock();
        if self.is_stopped() {
            return None;
        }
        let key = targets.insert(target);
        drop(targets);
        // INVARIANT 1.
        let _entered = Entered { shard, key };
        Some(f())
    }

    /// Interrupts every target that stands here; from now on none is let in. None if that has been
    /// done already.
    pub(super) fn stop(&self) -> Option<Interrupted> {
        if self.stopped.swap(true, Ordering::AcqRel) {
            return None;
        }
        let mut interrupted = Interrupted { first_panic: None };
        for shard in &self.shards {
            let mut from = 0;
            while let Some(next) = interrupted.interrupt_batch(&shard.lock(), from) {
                from = next;
            }
        }
        Some(interrupted)
    }
}

/// What came of interrupting all: the first panic of a target's, which is still to go on.
#[must_use = "a panic goes on when all who wait for the stop have been told"]
pub(super) struct Interrupted {
    pub(super) first_panic: Option<Box<dyn Any + Send>>,
}

impl Interrupted {
    /// Interrupts the targets whose keys begin at `from`. Returns where the next batch begins.
    fn interrupt_batch(&mut self, targets: &Slab<Target>, from: usize) -> Option<usize> {
        // Keys lie below the number of slots that have ever been used at once: the capacity.
        let end = targets.capacity().min(from + BATCH);
        for key in from..end {
            if let Some(Target(target)) = targets.get(key) {
                // SAFETY: it stands in its shard, whose lock the caller holds: by invariant 1 it
                // lives.
                let target = unsafe { &**target };
                // What a panic leaves half done is the target's own: nothing here is touched by it.
                let result = catch_unwind(AssertUnwindSafe(|| target.interrupt()));
                if let Err(payload) = result {
                    self.note_panic(payload);
                }
            }
        }
        (end < targets.capacity()).then_some(end)
    }

    fn note_panic(&mut self, payload: Box<dyn Any + Send>) {
        match self.first_panic {
            None => self.first_panic = Some(payload),
            // The hook has reported it. Leaked: dropping it might panic again.
            Some(_) => mem::forget(payload),
        }
    }
}

impl fmt::Debug for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Targets").field("stopped", &self.stopped).finish_non_exhaustive()
    }
}
