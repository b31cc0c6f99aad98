//! The part of a worker that other threads may touch, and the seat that it takes in its runtime.
//!
//! A [`Remote`] is made with the first worker that sits in its place and lives as long as the
//! runtime: parked tasks point to it. Workers come and go; the queues stay, and are empty in
//! between.
//!
//! # Memory ordering
//!
//! - `seat`: Relaxed. Where it matters, a `SeqCst` fence stands on both sides: who leaves sets it,
//!   fences, and then empties the inbox; who hands a task over fills the inbox, fences (in
//!   [`Mailbox::must_wake`]), and then looks at it. One of the two finds the task. To all others it
//!   is a hint.
//! - `homes` is written by the owner alone, Relaxed: a figure for placement, which publishes
//!   nothing.
//!
//! # Locks
//!
//! `poller` is held for a clone or an eventfd write; `events` by who polls, and under it nothing
//! else but what dispatch takes (a wait queue). `deque` is taken by who sits down or leaves.
#![expect(unsafe_code, reason = "a task points to its home, and stands in its mailbox")]

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering, fence};

use crossbeam_deque::{Injector, Stealer};
use parking_lot::Mutex;

use super::Shared;
use super::mailbox::{Mailbox, Node};
use super::permits::PermitsInHand;
use super::progress::Progress;
use super::steal::{take_one, until_decided};
use crate::io::{Events, Poller};
use crate::task::{Header, TaskRef};
use crate::timer::Timers;

/// See the module's header.
#[derive(Debug)]
pub(crate) struct Remote {
    index: usize,
    shared: *const Shared,
    mailbox: Mailbox<Header>,
    /// Fresh tasks that others handed over for this worker to start.
    pub(crate) inbox: Injector<TaskRef>,
    pub(crate) stealer: Stealer<TaskRef>,
    /// The other end of `stealer`, while no worker sits here.
    deque: Mutex<Option<crossbeam_deque::Worker<TaskRef>>>,
    /// None while no worker sits here.
    poller: Mutex<Option<Arc<Poller>>>,
    /// Held by who polls: the owner, or the monitor where the owner is stuck.
    pub(crate) events: Mutex<Events>,
    pub(crate) timers: Timers,
    seat: AtomicU8,
    homes: AtomicUsize,
    pub(super) permits: PermitsInHand,
    pub(crate) progress: Progress,
}

/// Who sits in a worker's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Seat {
    Vacant,
    /// A configured worker: runs whatever there is.
    Member,
    /// The thread that called `Runtime::run`: runs that root task, and takes no other home.
    Guest,
    /// Added while all others were stuck.
    Extra,
    /// An extra worker that takes no new homes and goes with its last task.
    Retiring,
}

impl Seat {
    /// Whether fresh tasks start there.
    pub(crate) fn takes_homes(self) -> bool {
        matches!(self, Self::Member | Self::Extra)
    }
}

// SAFETY: `shared` is only compared, or followed where the runtime is known to live
// (`Remote::shared`).
unsafe impl Send for Remote {}
// SAFETY: as above.
unsafe impl Sync for Remote {}

impl Node for Header {
    fn link(&self) -> &Cell<*mut Self> {
        &self.link
    }
}

impl Remote {
    pub(super) fn new(index: usize, shared: &Shared) -> Self {
        let deque = crossbeam_deque::Worker::new_fifo();
        Self {
            index,
            shared,
            mailbox: Mailbox::new(),
            inbox: Injector::new(),
            stealer: deque.stealer(),
            deque: Mutex::new(Some(deque)),
            poller: Mutex::new(None),
            events: Mutex::default(),
            timers: Timers::new(),
            seat: AtomicU8::new(Seat::Vacant as u8),
            homes: AtomicUsize::new(0),
            permits: PermitsInHand::default(),
            progress: Progress::default(),
        }
    }

    /// Takes the seat for a worker with this poller, and its deque with it; none if it is taken.
    pub(super) fn occupy(
        &self,
        seat: Seat,
        poller: &Arc<Poller>,
    ) -> Option<crossbeam_deque::Worker<TaskRef>> {
        let deque = self.deque.lock().take()?;
        *self.poller.lock() = Some(poller.clone());
        self.set_seat(seat);
        Some(deque)
    }

    /// The worker goes: sources that relied on its poller register elsewhere.
    pub(crate) fn vacate(&self, deque: crossbeam_deque::Worker<TaskRef>) {
        self.set_seat(Seat::Vacant);
        self.pass_on_handed_over();
        // Those of migrating tasks: they wake early, and set their timers where they go on.
        self.timers.wake_all();
        let poller = self.poller.lock().take();
        if let Some(poller) = poller {
            poller.retire();
        }
        *self.deque.lock() = Some(deque);
    }

    /// The owner polls no more, though its seat is never given back: its tasks are abandoned.
    pub(crate) fn retire_poller(&self) {
        let poller = self.poller.lock().clone();
        poller.into_iter().for_each(|poller| poller.retire());
    }

    /// The poller, for a source that waits without a worker of its own.
    pub(crate) fn poller(&self) -> io::Result<Arc<Poller>> {
        let poller = self.poller.lock().clone();
        poller.ok_or_else(|| io::Error::other("the runtime has stopped"))
    }

    /// Ends the owner's sleep, or else its next.
    pub(crate) fn wake(&self) {
        if let Some(poller) = &*self.poller.lock() {
            poller.wake();
        }
    }

    /// Does for a stuck owner what others wait for: asks its poller and fires its timers.
    pub(crate) fn drive(&self) {
        let poller = self.poller.lock().clone();
        if let (Some(poller), Some(mut events)) = (poller, self.events.try_lock()) {
            // An error is the owner's to report, when it polls again.
            let _ = poller.poll_for_owner(&mut events);
        }
        self.timers.fire_from_outside();
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    pub(crate) fn is_of(&self, shared: &Shared) -> bool {
        std::ptr::eq(self.shared, shared)
    }

    /// The runtime that it is part of.
    ///
    /// # Safety
    ///
    /// That runtime lives.
    pub(super) unsafe fn shared(&self) -> &Shared {
        // SAFETY: the caller's word.
        unsafe { &*self.shared }
    }

    pub(crate) fn mailbox(&self) -> &Mailbox<Header> {
        &self.mailbox
    }

    /// Leaves a claimed task for this worker, and wakes it if it sleeps.
    pub(crate) fn post(&self, task: TaskRef) {
        // SAFETY: the task is claimed: valid until it has run, and nobody else's meanwhile.
        if unsafe { self.mailbox.push(task.as_ptr()) } {
            self.wake();
        }
    }

    /// Takes what was left, oldest first.
    pub(crate) fn take_mail(&self) -> impl Iterator<Item = TaskRef> + use<> {
        // SAFETY: what is in a mailbox is an active task (see `post`), not finished.
        self.mailbox.take_all().map(|header| unsafe { TaskRef::from_raw(header) })
    }

    /// Hands a fresh task over for this worker to start, and wakes it if it sleeps.
    pub(crate) fn hand_over(&self, task: TaskRef) {
        self.inbox.push(task);
        // Has a `SeqCst` fence, which pairs with the one in `pass_on_handed_over`.
        if self.mailbox.must_wake() {
            self.wake();
        }
        if !self.seat().takes_homes() {
            // It has begun to leave since it was chosen.
            self.pass_on_handed_over();
        }
    }

    /// Gives what was handed over to a worker that will not start it to all. Called by that worker
    /// once its seat says so, and by who handed it something and then saw that: one of them finds
    /// it.
    pub(super) fn pass_on_handed_over(&self) {
        fence(Ordering::SeqCst);
        while let Some(task) = self.take_handed_over() {
            // SAFETY: the caller is a worker of the runtime: it lives.
            unsafe { self.shared() }.submit_from_outside(task);
        }
    }

    /// A fresh (or migrating) task of a worker that is stuck, from either of its queues.
    pub(crate) fn steal_fresh(&self) -> Option<TaskRef> {
        self.take_handed_over().or_else(|| until_decided(|| self.stealer.steal()))
    }

    pub(crate) fn take_handed_over(&self) -> Option<TaskRef> {
        take_one(&self.inbox)
    }

    #[inline]
    pub(crate) fn seat(&self) -> Seat {
        match self.seat.load(Ordering::Relaxed) {
            0 => Seat::Vacant,
            1 => Seat::Member,
            2 => Seat::Guest,
            3 => Seat::Extra,
            _ => Seat::Retiring,
        }
    }

    pub(crate) fn set_seat(&self, seat: Seat) {
        self.seat.store(seat as u8, Ordering::Relaxed);
    }

    /// Changes the seat if it is `from`: its worker may be leaving meanwhile.
    pub(crate) fn change_seat(&self, from: Seat, to: Seat) -> bool {
        let (from, to) = (from as u8, to as u8);
        self.seat.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Whether fresh tasks may be handed over to it now.
    pub(crate) fn takes_homes(&self) -> bool {
        self.seat().takes_homes() && !self.progress.is_stuck()
    }

    /// How many started tasks live here.
    pub(crate) fn homes(&self) -> usize {
        self.homes.load(Ordering::Relaxed)
    }

    /// Owner only.
    pub(crate) fn add_home(&self) {
        self.homes.store(self.homes() + 1, Ordering::Relaxed);
    }

    /// Owner only.
    pub(crate) fn drop_home(&self) {
        self.homes.store(self.homes() - 1, Ordering::Relaxed);
    }
}
