//! A runtime as all its threads see it.
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
//! - `visitors`: counted in while the claim keeps the runtime alive (Relaxed); counted out
//!   (Release) for the Acquire of who frees it.
//! - `starving` is set under the lock on `starved`. It is read Relaxed, as a hint: a worker that
//!   misses it leaves the starved to its next finished task, or to the monitor, which does not
//!   sleep while there are any.
//! - `several` turns true before another worker is added. Relaxed: a worker that sees it late does
//!   not announce its tasks, and the monitor, which added the other, looks for those at each tick.
//! - `next_id`: Relaxed, the numbers only have to differ.
#![expect(unsafe_code, reason = "a task points to its home")]

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{io, thread};

use crossbeam_deque::Injector;
use parking_lot::Mutex;

use super::fork;
use super::idle::Idle;
use super::monitor::Monitor;
use super::permits::Permits;
use super::registry::Registry;
use super::remote::{Remote, Seat};
use crate::blocking::Pool;
use crate::io::Poller;
use crate::runtime::WorkerThreads;
use crate::stack::StackSize;
use crate::task::{Claimed, TaskRef};

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
    pub(crate) seed: Option<u64>,
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
    forks: u32,
    pub(crate) monitor: Monitor,
    pub(crate) pool: Arc<Pool>,
    pub(crate) threads: Mutex<Vec<thread::JoinHandle<()>>>,
    pub(crate) monitor_thread: Mutex<Option<thread::JoinHandle<()>>>,
    pub(crate) worker_threads: WorkerThreads,
}

#[derive(Debug, Default)]
struct Starved {
    tasks: VecDeque<TaskRef>,
    /// Why the last that tried got no stack.
    reason: String,
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
            worker_threads: WorkerThreads::default(),
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
            if let Some(deque) = remote.occupy(seat, &poller) {
                return Ok((remote.clone(), poller, deque));
            }
        }
        let text = format!("no seat is free: a runtime has room for {EXTRA_WORKERS} extra workers");
        Err(io::Error::new(io::ErrorKind::QuotaExceeded, text))
    }

    #[inline]
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

    #[inline]
    pub(crate) fn has_several_workers(&self) -> bool {
        self.several.load(Ordering::Relaxed)
    }

    pub(crate) fn expect_several_workers(&self) {
        self.several.store(true, Ordering::Relaxed);
    }

    /// There is new work for anyone: has a worker look for it, unless one does already.
    pub(crate) fn wake_one(&self) {
        if let Some(index) = self.idle.worker_to_wake() {
            self.remote(index).wake();
        }
    }

    /// Ends the process if it was forked since the runtime began.
    #[inline]
    pub(crate) fn refuse_in_child(&self) {
        fork::refuse_in_child(self.forks);
    }

    /// A fresh task from a thread that is none of the workers.
    pub(crate) fn submit_from_outside(&self, task: TaskRef) {
        self.refuse_in_child();
        self.injector.push(task);
        self.wake_one();
    }

    /// Task ids for `count` tasks.
    pub(crate) fn reserve_ids(&self, count: u64) -> u64 {
        self.next_id.fetch_add(count, Ordering::Relaxed)
    }

    /// Takes a permit for a task that a thread outside spawns, and gives it its id.
    pub(crate) fn admit_from_outside(&self) -> io::Result<NonZeroU64> {
        if !self.permits.take() {
            return Err(self.permits.exhausted());
        }
        // After the permit: see `permits.rs`.
        if self.phase() != Phase::Running {
            if self.permits.give(1) {
                self.wake_all();
            }
            return Err(io::Error::other("the runtime is stopping: it takes no more tasks"));
        }
        Ok(NonZeroU64::new(self.reserve_ids(1)).expect("ids start at one"))
    }

    /// How many tasks are alive, about: while workers go on spawning and finishing, nobody knows.
    pub(crate) fn live_tasks(&self) -> usize {
        let in_hand: usize = self.remotes().map(|remote| remote.permits.count()).sum();
        self.permits.missing().saturating_sub(in_hand)
    }

    /// Keeps a fresh task for which there is no stack until one is given back.
    pub(crate) fn starve(&self, task: TaskRef, reason: &io::Error) {
        let mut starved = self.starved.lock();
        starved.tasks.push_back(task);
        starved.reason = reason.to_string();
        self.starving.store(true, Ordering::Relaxed);
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
        self.starving.store(!starved.tasks.is_empty(), Ordering::Relaxed);
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

    /// Waits until no thread outside is in the middle of a wake. None can begin one: no task is
    /// left.
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
        (remote, remote.shared())
    };
    shared.visitors.fetch_add(1, Ordering::Relaxed);
    if task.may_migrate() {
        shared.submit_from_outside(task);
    } else {
        remote.post(task);
    }
    shared.visitors.fetch_sub(1, Ordering::Release);
}
