//! A runtime as all its threads see it, and the part of a worker that others may touch.
//!
//! # Life time
//!
//! A parked task points to its home. A thread outside the runtime that has claimed it may use that
//! pointer until it has delivered the task *and* woken the worker: by then the task may have run,
//! ended, and been the last. So such a thread counts itself among the `visitors` while it still
//! holds the claim, and the runtime is not freed before there are none. The runtime's own workers
//! need no count: they are joined first.
//!
//! # Memory ordering
//!
//! - `phase` (`SeqCst`) only grows. Whoever stops the runtime sets it and then wakes every worker;
//!   a worker reads it after it has marked itself as sleeping.
//! - `visitors`: counted in while the claim keeps the runtime alive (Relaxed); counted out (Release)
//!   for the Acquire of who frees it.
//! - `homes`, `resumes`, `running`, `looks` are written by the owner alone, Relaxed: they are figures for
//!   placement and the monitor, and publish nothing.
#![expect(unsafe_code, reason = "a task points to its home")]

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{io, thread};

use crossbeam_deque::{Injector, Steal, Stealer};
use parking_lot::Mutex;

use super::idle::Idle;
use super::mailbox::Mailbox;
use super::monitor::Monitor;
use super::permits::Permits;
use super::registry::Registry;
use super::{Node, fork};
use crate::blocking::Pool;
use crate::io::{Events, Poller};
use crate::runtime::Gone;
use crate::stack::StackSize;
use crate::task::{Claimed, Header, TaskRef};
use crate::timer::Timers;

/// Workers beyond the configured ones: guests of `Runtime::run`, and those that the monitor adds
/// where all are stuck.
const EXTRA_WORKERS: usize = 64;

/// What a runtime was built with.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) workers: usize,
    pub(crate) stack_size: StackSize,
    pub(crate) tasks_max: usize,
    pub(crate) thread_name: String,
    pub(crate) migrating: bool,
    pub(crate) shutdown_timeout: Option<Duration>,
}

/// How far a runtime's life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    Running,
    /// Every task is cancelled; workers go once none is left.
    Stopping,
    /// Time is up: workers go, and leave what is left for ever.
    Abandoned,
}

/// A runtime. See the module's header.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    remotes: Box<[OnceLock<Arc<Remote>>]>,
    pub(crate) injector: Injector<TaskRef>,
    pub(crate) idle: Idle,
    pub(crate) permits: Permits,
    /// Started tasks that migrate.
    pub(crate) migrants: Mutex<Registry>,
    /// Fresh tasks for which there was no stack; `starving` says that there are any.
    starved: Mutex<Starved>,
    starving: AtomicBool,
    /// Whether more than one worker takes fresh tasks.
    several: AtomicBool,
    phase: AtomicU8,
    visitors: AtomicUsize,
    next_id: AtomicU64,
    /// How many forks lay behind this process when the runtime began.
    pub(crate) forks: u32,
    pub(crate) monitor: Monitor,
    pub(crate) pool: Arc<Pool>,
    pub(crate) threads: Mutex<Vec<thread::JoinHandle<()>>>,
    pub(crate) monitor_thread: Mutex<Option<thread::JoinHandle<()>>>,
    pub(crate) gone: Gone,
}

#[derive(Debug, Default)]
struct Starved {
    tasks: VecDeque<TaskRef>,
    /// Why the last that tried got no stack.
    reason: String,
}

/// The part of a worker that other threads may touch.
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
    resumes: AtomicU64,
    running: AtomicU64,
    /// The running task, or another that is not finished, if it has a name; see `name_of_running`.
    named: AtomicPtr<Header>,
    naming: Mutex<()>,
    stuck: AtomicBool,
    /// The owner is to give its idle stacks back.
    tidy: AtomicBool,
    /// How often the owner has looked around, and whether the monitor urges it to.
    looks: AtomicU64,
    urged: AtomicBool,
}

/// Who sits in a worker's seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Seat {
    Vacant,
    /// A configured worker.
    Member,
    Guest,
    Extra,
    /// An extra worker that takes no new homes and goes with its last task.
    Retiring,
}

// SAFETY: `shared` is only compared, or used where the runtime is known to live (`Remote::shared`).
unsafe impl Send for Remote {}
// SAFETY: as above.
unsafe impl Sync for Remote {}

impl Node for Header {
    fn link(&self) -> &std::cell::Cell<*mut Self> {
        &self.link
    }
}

impl Shared {
    pub(crate) fn new(config: Config, pool: Arc<Pool>) -> Arc<Self> {
        let seats = config.workers + EXTRA_WORKERS;
        Arc::new(Self {
            remotes: (0..seats).map(|_| OnceLock::new()).collect(),
            injector: Injector::new(),
            idle: Idle::new(),
            permits: Permits::new(config.tasks_max, seats),
            migrants: Mutex::default(),
            starved: Mutex::default(),
            starving: AtomicBool::new(false),
            several: AtomicBool::new(config.workers > 1),
            phase: AtomicU8::new(Phase::Running as u8),
            visitors: AtomicUsize::new(0),
            next_id: AtomicU64::new(1),
            forks: fork::watch(),
            monitor: Monitor::new(),
            pool,
            threads: Mutex::default(),
            monitor_thread: Mutex::default(),
            gone: Gone::default(),
            config,
        })
    }

    /// The workers that there are or have been.
    pub(crate) fn remotes(&self) -> impl Iterator<Item = &Arc<Remote>> {
        self.remotes.iter().map_while(OnceLock::get)
    }

    pub(crate) fn remote(&self, index: usize) -> &Arc<Remote> {
        self.remotes[index].get().expect("only indices of workers that have sat down go round")
    }

    /// Takes a free seat, making one where none is free.
    pub(crate) fn sit_down(
        &self,
        seat: Seat,
    ) -> io::Result<(Arc<Remote>, Arc<Poller>, crossbeam_deque::Worker<TaskRef>)> {
        let poller = Arc::new(Poller::new()?);
        for (index, slot) in self.remotes.iter().enumerate() {
            let remote = slot.get_or_init(|| Arc::new(Remote::new(index, self)));
            let deque = remote.deque.lock().take();
            if let Some(deque) = deque {
                *remote.poller.lock() = Some(poller.clone());
                remote.set_seat(seat);
                return Ok((remote.clone(), poller, deque));
            }
        }
        let text = format!("no seat is free: a runtime has room for {EXTRA_WORKERS} extra workers");
        Err(io::Error::new(io::ErrorKind::QuotaExceeded, text))
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            0 => Phase::Running,
            1 => Phase::Stopping,
            _ => Phase::Abandoned,
        }
    }

    /// Enters a later phase and wakes everyone to see it.
    pub(crate) fn enter_phase(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::SeqCst);
        self.wake_all();
    }

    pub(crate) fn wake_all(&self) {
        self.remotes().for_each(|remote| remote.wake());
    }

    pub(crate) fn has_several_workers(&self) -> bool {
        self.several.load(Ordering::Relaxed)
    }

    pub(crate) fn expect_several_workers(&self) {
        self.several.store(true, Ordering::SeqCst);
    }

    /// There is new work for anyone: has a worker look for it, unless one does already.
    pub(crate) fn wake_one(&self) {
        if let Some(index) = self.idle.worker_to_wake() {
            self.remote(index).wake();
        }
    }

    /// A fresh task from a thread that is none of the workers.
    pub(crate) fn submit_from_outside(&self, task: TaskRef) {
        fork::refuse_in_child(self.forks);
        self.injector.push(task);
        self.wake_one();
    }

    /// Task ids for `count` tasks.
    pub(crate) fn reserve_ids(&self, count: u64) -> u64 {
        self.next_id.fetch_add(count, Ordering::Relaxed)
    }

    pub(crate) fn next_id(&self) -> NonZeroU64 {
        NonZeroU64::new(self.reserve_ids(1)).expect("ids start at one")
    }

    /// Keeps a fresh task for which there is no stack until one is given back.
    pub(crate) fn starve(&self, task: TaskRef, reason: &io::Error) {
        let mut starved = self.starved.lock();
        starved.tasks.push_back(task);
        starved.reason = reason.to_string();
        self.starving.store(true, Ordering::SeqCst);
        drop(starved);
        self.monitor.wake();
    }

    /// Whether stacks are known to be exhausted.
    #[inline]
    pub(crate) fn is_starving(&self) -> bool {
        self.starving.load(Ordering::Relaxed)
    }

    /// A stack may be had again: takes the task that has waited longest.
    #[cold]
    pub(crate) fn take_starved(&self) -> Option<TaskRef> {
        let mut starved = self.starved.lock();
        let task = starved.tasks.pop_front();
        self.starving.store(!starved.tasks.is_empty(), Ordering::SeqCst);
        task
    }

    /// Why another task would find no stack.
    pub(crate) fn starving_error(&self) -> io::Error {
        let starved = self.starved.lock();
        let (count, reason) = (starved.tasks.len(), &starved.reason);
        let text = format!("{count} spawned tasks wait for a stack already: {reason}");
        io::Error::new(io::ErrorKind::OutOfMemory, text)
    }

    /// Whether any queue that others take from has something. Not all of them may take it.
    pub(crate) fn has_fresh_work(&self) -> bool {
        let has = |remote: &Arc<Remote>| !remote.stealer.is_empty() || !remote.inbox.is_empty();
        !self.injector.is_empty() || self.remotes().any(has)
    }

    /// Waits until no thread outside is in the middle of a wake. None can begin one: no task is left.
    pub(crate) fn wait_for_visitors(&self) {
        while self.visitors.load(Ordering::Acquire) != 0 {
            #[expect(
                clippy::disallowed_methods,
                reason = "a thread waits here, for a few instructions"
            )]
            thread::yield_now();
        }
    }
}

/// [`super::schedule`] on a thread that is no worker.
pub(super) fn schedule_from_outside(claimed: Claimed) {
    let task = claimed.into_task();
    // SAFETY: claimed, so not finished: its runtime lives, and lives on while it has a visitor.
    let (remote, shared) = unsafe {
        let remote = &*task.home.get();
        (remote, &*remote.shared)
    };
    shared.visitors.fetch_add(1, Ordering::Relaxed);
    if task.may_migrate() {
        shared.submit_from_outside(task);
    } else {
        remote.post(task);
    }
    shared.visitors.fetch_sub(1, Ordering::Release);
}

impl Remote {
    fn new(index: usize, shared: &Shared) -> Self {
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
            resumes: AtomicU64::new(0),
            running: AtomicU64::new(0),
            named: AtomicPtr::new(std::ptr::null_mut()),
            naming: Mutex::new(()),
            stuck: AtomicBool::new(false),
            tidy: AtomicBool::new(false),
            looks: AtomicU64::new(0),
            urged: AtomicBool::new(false),
        }
    }

    /// The worker goes: sources that relied on its poller register elsewhere.
    pub(crate) fn vacate(&self, deque: crossbeam_deque::Worker<TaskRef>) {
        self.set_seat(Seat::Vacant);
        self.pass_on_handed_over();
        // Those of migrating tasks: they wake early, and set their timers where they go on.
        self.timers.fire_all();
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
        self.timers.fire();
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    pub(crate) fn is_of(&self, shared: &Shared) -> bool {
        std::ptr::eq(self.shared, shared)
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
        if self.mailbox.wake() {
            self.wake();
        }
        if !matches!(self.seat(), Seat::Member | Seat::Extra) {
            // It has begun to leave since it was chosen.
            self.pass_on_handed_over();
        }
    }

    /// Gives what was handed over to a worker that will not start it to all. Called by that worker
    /// once its seat says so, and by who handed it something and then saw that: one of them finds it.
    pub(super) fn pass_on_handed_over(&self) {
        fence(Ordering::SeqCst);
        while let Some(task) = self.take_handed_over() {
            // SAFETY: the caller is a worker of the runtime: it lives.
            unsafe { &*self.shared }.submit_from_outside(task);
        }
    }

    /// A fresh (or migrating) task of a worker that is stuck, from either of its queues.
    pub(crate) fn steal_fresh(&self) -> Option<TaskRef> {
        self.take_handed_over().or_else(|| {
            loop {
                match self.stealer.steal() {
                    Steal::Success(task) => return Some(task),
                    Steal::Empty => return None,
                    Steal::Retry => {}
                }
            }
        })
    }

    pub(crate) fn take_handed_over(&self) -> Option<TaskRef> {
        // A cheap look first: stealing from an empty injector costs a fence.
        if self.inbox.is_empty() {
            return None;
        }
        loop {
            match self.inbox.steal() {
                Steal::Success(task) => return Some(task),
                Steal::Empty => return None,
                Steal::Retry => {}
            }
        }
    }

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

    /// Whether fresh tasks may be handed over to it.
    pub(crate) fn takes_homes(&self) -> bool {
        matches!(self.seat(), Seat::Member | Seat::Extra) && !self.is_stuck()
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

    /// Notes that `task` gets the worker. Owner only.
    #[inline]
    pub(crate) fn note_running(&self, task: TaskRef) {
        let resumes = self.resumes.load(Ordering::Relaxed);
        self.resumes.store(resumes + 1, Ordering::Relaxed);
        self.running.store(task.id().get(), Ordering::Relaxed);
        if task.name().is_some() && !task.migrating {
            self.named.store(task.as_ptr().as_ptr(), Ordering::Relaxed);
        }
    }

    /// Notes that the worker is given back. Owner only.
    #[inline]
    pub(crate) fn note_idle(&self) {
        self.running.store(0, Ordering::Relaxed);
    }

    /// Notes that `task`, which has run here, is about to finish. Owner only.
    #[inline]
    pub(crate) fn note_finishing(&self, task: TaskRef) {
        if task.name().is_some() {
            let _naming = self.naming.lock();
            self.named.store(std::ptr::null_mut(), Ordering::Relaxed);
        }
    }

    /// The name of the running task if it is `id` and has one.
    pub(crate) fn name_of_running(&self, id: u64) -> Option<String> {
        // A named task takes this lock before it finishes. So if it is the running one now, as seen
        // under the lock, its header stays until we let go; and `named` is null or such a task's.
        let _naming = self.naming.lock();
        let task = self.named.load(Ordering::Relaxed);
        // SAFETY: null, or a task that has not finished, as argued.
        let task = unsafe { task.as_ref() }?;
        (task.id().get() == id).then(|| task.name().map(str::to_owned)).flatten()
    }

    /// Notes that the owner polls. Owner only.
    pub(crate) fn note_look(&self) {
        self.looks.store(self.looks() + 1, Ordering::Relaxed);
        if self.is_urged() {
            self.urged.store(false, Ordering::Relaxed);
        }
    }

    /// How often the owner has polled.
    pub(crate) fn looks(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }

    /// Has the owner poll before its turn is over.
    pub(crate) fn urge(&self) {
        self.urged.store(true, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn is_urged(&self) -> bool {
        self.urged.load(Ordering::Relaxed)
    }

    /// How many times tasks got the worker, and the id of the one that has it (or zero).
    pub(crate) fn progress(&self) -> (u64, u64) {
        (self.resumes.load(Ordering::Relaxed), self.running.load(Ordering::Relaxed))
    }

    /// Asks the owner, who has had nothing to do for long, to give its idle stacks back.
    pub(crate) fn ask_to_tidy(&self) {
        self.tidy.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Whether the owner was asked to. Owner only.
    pub(crate) fn take_tidy(&self) -> bool {
        self.tidy.load(Ordering::Relaxed) && self.tidy.swap(false, Ordering::SeqCst)
    }

    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed)
    }

    pub(crate) fn set_stuck(&self, stuck: bool) {
        self.stuck.store(stuck, Ordering::Relaxed);
    }
}
