//! A worker's mailbox: where other threads leave tasks for it, and the flag that says it sleeps.
//!
//! A list of tasks linked through their headers: many push, the owner takes all. The head is the
//! only atomic. Besides a task it can hold the mark [`sleeping`](Mailbox::prepare_to_sleep), so
//! that leaving a task and learning that its owner must be woken are one exchange: there is no
//! window between them in which the owner could fall asleep.
//!
//! # Memory ordering
//!
//! - push: the exchange is a Release (publishes the link and the task's fields) for the owner's
//!   Acquire in `take_all`.
//! - `prepare_to_sleep` and `must_wake` are `SeqCst`, each beside a `SeqCst` fence: they pair for
//!   work that is *not* in the mailbox (an inbox, a deque, the injector, a flag). The sleeper marks
//!   and then looks at those; the waker fills those and then looks at the mark. One of them sees
//!   the other.
#![expect(unsafe_code, reason = "the list is made of borrowed tasks")]

use std::cell::Cell;
use std::ptr::{self, NonNull};

use crate::primitive::{AtomicPtr, Ordering, fence};

/// What can stand in a mailbox: it has room for a link.
pub(crate) trait Node {
    /// Touched only by who holds the node, and then by the mailbox it is in.
    fn link(&self) -> &Cell<*mut Self>;
}

/// See the module's header.
#[derive(Debug)]
pub(crate) struct Mailbox<N> {
    head: AtomicPtr<N>,
}

impl<N: Node> Mailbox<N> {
    pub(crate) fn new() -> Self {
        Self { head: AtomicPtr::new(ptr::null_mut()) }
    }

    /// The mark of a sleeping owner: an address that no node has.
    fn sleeping() -> *mut N {
        ptr::without_provenance_mut(1)
    }

    /// Leaves `node`. Returns true if the owner sleeps and the caller must wake it: exactly one
    /// caller is told.
    ///
    /// # Safety
    ///
    /// `node` stays valid, and the caller does not touch it again, until the owner has taken it.
    #[must_use]
    pub(crate) unsafe fn push(&self, node: NonNull<N>) -> bool {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            let was_sleeping = head == Self::sleeping();
            // SAFETY: valid, and still the caller's until the exchange below succeeds.
            let link = unsafe { node.as_ref() }.link();
            link.set(if was_sleeping { ptr::null_mut() } else { head });
            match self.head.compare_exchange_weak(
                head,
                node.as_ptr(),
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return was_sleeping,
                Err(seen) => head = seen,
            }
        }
    }

    /// A cheap look. Relaxed: it is repeated every turn, and sleeping takes an exchange.
    pub(crate) fn is_empty(&self) -> bool {
        let head = self.head.load(Ordering::Relaxed);
        head.is_null() || head == Self::sleeping()
    }

    /// Takes everything, oldest first. Owner only.
    pub(crate) fn take_all(&self) -> TakeAll<N> {
        let mut newest = self.head.swap(ptr::null_mut(), Ordering::Acquire);
        if newest == Self::sleeping() {
            newest = ptr::null_mut();
        }
        // The list runs from the newest to the oldest: turn it round.
        let mut oldest = ptr::null_mut();
        while let Some(node) = NonNull::new(newest) {
            // SAFETY: it was pushed and nobody has taken it before: it is valid and ours.
            let link = unsafe { node.as_ref() }.link();
            newest = link.replace(oldest);
            oldest = node.as_ptr();
        }
        TakeAll { next: oldest }
    }

    /// Marks the owner as sleeping, unless something was left. Owner only.
    #[must_use]
    pub(crate) fn prepare_to_sleep(&self) -> bool {
        let marked = self
            .head
            .compare_exchange(
                ptr::null_mut(),
                Self::sleeping(),
                Ordering::SeqCst,
                Ordering::Relaxed,
            )
            .is_ok();
        fence(Ordering::SeqCst);
        marked
    }

    /// Takes the mark away, if a waker has not done it. Owner only.
    pub(crate) fn finish_sleeping(&self) {
        let _ = self.clear_mark();
    }

    /// Whether the owner has marked itself as sleeping.
    pub(crate) fn owner_sleeps(&self) -> bool {
        self.head.load(Ordering::SeqCst) == Self::sleeping()
    }

    /// For work that was put elsewhere: returns true if the owner sleeps and the caller must wake
    /// it.
    #[must_use]
    pub(crate) fn must_wake(&self) -> bool {
        fence(Ordering::SeqCst);
        self.owner_sleeps() && self.clear_mark()
    }

    fn clear_mark(&self) -> bool {
        self.head
            .compare_exchange(
                Self::sleeping(),
                ptr::null_mut(),
                Ordering::SeqCst,
                Ordering::Relaxed,
            )
            .is_ok()
    }
}

/// What was in the mailbox, oldest first.
#[derive(Debug)]
pub(crate) struct TakeAll<N> {
    next: *mut N,
}

impl<N: Node> Iterator for TakeAll<N> {
    type Item = NonNull<N>;

    fn next(&mut self) -> Option<NonNull<N>> {
        let node = NonNull::new(self.next)?;
        // SAFETY: taken from the mailbox and not handed out yet: valid and ours.
        self.next = unsafe { node.as_ref() }.link().replace(ptr::null_mut());
        Some(node)
    }
}

#[cfg(all(test, sedge_loom))]
mod model {
    use super::{Mailbox, Node};
    use crate::primitive::{AtomicUsize, Ordering};
    use loom::sync::{Arc, Notify};
    use loom::thread;
    use std::cell::Cell;
    use std::ptr::NonNull;

    struct Letter(Cell<*mut Letter>);

    impl Node for Letter {
        fn link(&self) -> &Cell<*mut Self> {
            &self.0
        }
    }

    struct World {
        mailbox: Mailbox<Letter>,
        eventfd: Notify,
        elsewhere: AtomicUsize,
    }

    /// The owner's half: takes until it has `expected`, sleeping in between. A notified "eventfd"
    /// stays so until it is waited for.
    fn receive(world: &World, expected: usize) -> usize {
        let mut received = 0;
        while received < expected {
            for letter in world.mailbox.take_all() {
                // SAFETY: allocated by the sender and taken once.
                drop(unsafe { Box::from_raw(letter.as_ptr()) });
                received += 1;
            }
            received += world.elsewhere.swap(0, Ordering::SeqCst);
            if received == expected || !world.mailbox.prepare_to_sleep() {
                continue;
            }
            if world.elsewhere.load(Ordering::SeqCst) == 0 {
                world.eventfd.wait();
            }
            world.mailbox.finish_sleeping();
        }
        received
    }

    fn model(senders: Vec<fn(&World)>) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(2);
        builder.check(move || {
            let world = Arc::new(World {
                mailbox: Mailbox::new(),
                eventfd: Notify::new(),
                elsewhere: AtomicUsize::new(0),
            });
            let threads: Vec<_> = senders
                .iter()
                .map(|send| {
                    let (world, send) = (world.clone(), *send);
                    thread::spawn(move || send(&world))
                })
                .collect();
            assert_eq!(receive(&world, threads.len()), threads.len());
            for thread in threads {
                thread.join().unwrap();
            }
        });
    }

    fn post(world: &World) {
        let letter = Box::leak(Box::new(Letter(Cell::new(std::ptr::null_mut()))));
        // SAFETY: valid until taken, and not touched again here.
        if unsafe { world.mailbox.push(NonNull::from(letter)) } {
            world.eventfd.notify();
        }
    }

    fn put_elsewhere(world: &World) {
        world.elsewhere.fetch_add(1, Ordering::SeqCst);
        if world.mailbox.must_wake() {
            world.eventfd.notify();
        }
    }

    #[test]
    fn no_letter_is_lost() {
        model(vec![post, post]);
    }

    #[test]
    fn no_wake_for_work_elsewhere_is_lost() {
        model(vec![post, put_elsewhere]);
    }
}
