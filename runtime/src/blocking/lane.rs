//! A queue of jobs and the threads that run them.
//!
//! # Protocol
//!
//! All state is under one lock, so that there is little to prove:
//!
//! - A thread has a *seat* from before it starts until it leaves. It is *busy* (its seat names the
//!   job), or *idle* (it stands in `idle`, and waits on its seat's condition variable).
//! - A job goes to the thread that became idle last; where none is idle, to a new thread; where
//!   none can be made, to the queue; and where there is no thread at all, back to its caller.
//! - A thread that has done a job takes one from the queue, and becomes idle only if there is none;
//!   then it tells the job's caller, for whose next job it is there.
//!
//! So jobs are queued only while every thread is busy, and a job that is handed to a seat, under
//! the lock, wakes exactly the thread that will run it. That the *last* to become idle goes first
//! is what lets a lane shrink: under a trickle of jobs the threads at the bottom of the stack stay
//! idle for the whole keep-alive, and leave.
//!
//! Threads are made under the lock. It holds up other callers for some 20 microseconds, which only
//! happens while a lane grows; in return a failure to make one is dealt with on the spot.
//!
//! # Shutdown
//!
//! A closed lane makes no threads. Those that it has go on until the queue is empty, and leave. A
//! job that comes when all have left is run by its caller.

use std::collections::VecDeque;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use slab::Slab;

use super::job::Job;
use super::stats::{LaneStats, Stuck};
use crate::abort::AbortOnUnwind;

/// The address space of a thread's stack: std's default, but not subject to `RUST_MIN_STACK`.
const STACK_BYTES: usize = 2 << 20;

pub(super) struct Lane {
    config: LaneConfig,
    state: Mutex<State>,
    /// Notified when a thread leaves a closed lane.
    left: Condvar,
}

#[derive(Debug, Clone)]
pub(super) struct LaneConfig {
    /// Threads are named for it, with their seat's number appended. Linux shows 15 bytes.
    pub(super) name: String,
    pub(super) threads_max: usize,
    pub(super) keep_alive: Duration,
    /// How many threads the system would give.
    #[cfg(test)]
    pub(super) test_thread_limit: usize,
}

struct State {
    queue: VecDeque<Job>,
    seats: Slab<Seat>,
    /// The seats of idle threads; whoever came last is taken first.
    idle: Vec<usize>,
    closed: bool,
    done: u64,
    /// How many of these have yet to tell their callers.
    telling: usize,
    spawn_failures: u64,
    /// When a job last left the queue, or the queue was last empty. Of no meaning while it is.
    progress: Instant,
    /// Threads that have left since the lane was closed, to be joined.
    leavers: Vec<JoinHandle<()>>,
}

struct Seat {
    /// Handed over, and not yet picked up by the thread.
    job: Option<Job>,
    /// Whose job the thread has, from when it is handed over until it is done.
    busy_with: Option<&'static Location<'static>>,
    wake: Arc<Condvar>,
    thread: JoinHandle<()>,
}

impl Lane {
    pub(super) fn new(config: LaneConfig) -> Self {
        let state = State {
            queue: VecDeque::new(),
            seats: Slab::new(),
            idle: Vec::new(),
            closed: false,
            done: 0,
            telling: 0,
            spawn_failures: 0,
            progress: Instant::now(),
            leavers: Vec::new(),
        };
        Self { config, state: Mutex::new(state), left: Condvar::new() }
    }

    /// Finds a thread for `job`. Gives it back if there is no thread, and none can be made.
    pub(super) fn submit(self: &Arc<Self>, job: Job) -> Result<(), Job> {
        let mut state = self.state.lock();
        if let Some(key) = state.idle.pop() {
            let wake = state.hand_over(key, job);
            drop(state);
            wake.notify_one();
            return Ok(());
        }
        let job = match self.grow(&mut state, job) {
            Ok(()) => return Ok(()),
            Err(job) => job,
        };
        if state.seats.is_empty() {
            return Err(job);
        }
        if state.queue.is_empty() {
            state.progress = Instant::now();
        }
        state.queue.push_back(job);
        Ok(())
    }

    /// Makes a thread whose first job is `job`. Gives it back if that cannot be.
    fn grow(self: &Arc<Self>, state: &mut State, job: Job) -> Result<(), Job> {
        if state.closed || state.seats.len() >= self.config.threads_max {
            return Err(job);
        }
        let entry = state.seats.vacant_entry();
        let wake = Arc::new(Condvar::new());
        // The thread first takes the lock, and so finds its seat.
        match self.spawn(entry.key(), wake.clone()) {
            Ok(thread) => {
                let busy_with = Some(job.caller());
                entry.insert(Seat { job: Some(job), busy_with, wake, thread });
                Ok(())
            }
            Err(_) => {
                state.spawn_failures += 1;
                Err(job)
            }
        }
    }

    fn spawn(self: &Arc<Self>, key: usize, wake: Arc<Condvar>) -> std::io::Result<JoinHandle<()>> {
        #[cfg(test)]
        if key >= self.config.test_thread_limit {
            return Err(std::io::ErrorKind::WouldBlock.into());
        }
        let lane = self.clone();
        thread::Builder::new()
            .name(format!("{}-{key}", self.config.name))
            .stack_size(STACK_BYTES)
            .spawn(move || lane.work(key, &wake))
    }

    /// The life of a thread.
    fn work(&self, key: usize, wake: &Condvar) {
        // A thread that died would keep its seat, and jobs would be handed to it.
        let guard = AbortOnUnwind("a thread of the blocking pool panicked outside of a job");
        let mut state = self.state.lock();
        let mut next = state.take_job(key);
        while let Some(mut job) = next {
            MutexGuard::unlocked(&mut state, || job.run());
            next = state.after_job(key);
            // Which tells its caller. By then the job is counted, and the thread is there for the
            // caller's next one.
            MutexGuard::unlocked(&mut state, || drop(job));
            state.telling -= 1;
            next = next.or_else(|| self.wait_for_job(&mut state, key, wake));
        }
        let seat = state.seats.remove(key);
        if state.closed {
            state.leavers.push(seat.thread);
            self.left.notify_all();
        }
        // Else the thread is detached: it touches the lane no more.
        drop(state);
        guard.disarm();
    }

    /// Waits until a thread that `after_job` made idle has a job. None: it is to leave.
    fn wait_for_job(
        &self,
        state: &mut MutexGuard<'_, State>,
        key: usize,
        wake: &Condvar,
    ) -> Option<Job> {
        let deadline = Instant::now() + self.config.keep_alive;
        while state.seats[key].job.is_none() && !state.closed {
            if wake.wait_until(state, deadline).timed_out() {
                break;
            }
        }
        // Who hands over a job takes the seat out of `idle`; so does `close`.
        if state.seats[key].job.is_none() {
            state.idle.retain(|&idle| idle != key);
        }
        // Jobs that came since the lane was closed count on the threads that have yet to leave.
        state.take_job(key)
    }

    /// Makes no more threads, and lets those that there are leave when the queue is empty.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        for key in std::mem::take(&mut state.idle) {
            state.seats[key].wake.notify_one();
        }
    }

    /// Blocks the calling thread until all threads of a closed lane have left, or until
    /// `deadline`. Returns how many jobs are not done.
    pub(super) fn join(&self, deadline: Option<Instant>) -> usize {
        self.join_while(deadline, |state| !state.seats.is_empty())
    }

    /// The same, but waits for no job: forgets those in the queue, and leaves behind the threads
    /// that are busy.
    pub(super) fn abandon(&self, deadline: Option<Instant>) {
        let forgotten = std::mem::take(&mut self.state.lock().queue);
        drop(forgotten);
        self.join_while(deadline, |state| state.busy() < state.seats.len());
    }

    fn join_while(&self, deadline: Option<Instant>, more: impl Fn(&State) -> bool) -> usize {
        let mut state = self.state.lock();
        while more(&state) {
            match deadline {
                None => self.left.wait(&mut state),
                Some(deadline) => {
                    if self.left.wait_until(&mut state, deadline).timed_out() {
                        break;
                    }
                }
            }
        }
        let unfinished = state.unfinished();
        let leavers = std::mem::take(&mut state.leavers);
        drop(state);
        for thread in leavers {
            // It has let go of the lock for the last time, and does not unwind.
            let _ = thread.join();
        }
        unfinished
    }

    /// Whether any job is queued or running.
    pub(super) fn is_at_work(&self) -> bool {
        self.state.lock().unfinished() > 0
    }

    /// Whether any job is, or has yet to tell its caller that it is done.
    pub(super) fn may_wake(&self) -> bool {
        let state = self.state.lock();
        state.unfinished() + state.telling > 0
    }

    pub(super) fn stats(&self) -> LaneStats {
        let state = self.state.lock();
        LaneStats {
            threads: state.seats.len(),
            threads_max: self.config.threads_max,
            idle: state.idle.len(),
            queued: state.queue.len(),
            done: state.done,
            spawn_failures: state.spawn_failures,
        }
    }

    /// Since when all threads are busy, jobs are queued and none was done.
    pub(super) fn stuck_since(&self) -> Option<Instant> {
        let state = self.state.lock();
        (!state.queue.is_empty()).then_some(state.progress)
    }

    /// The same, and who keeps the threads busy.
    pub(super) fn stuck(&self) -> Option<Stuck> {
        let state = self.state.lock();
        if state.queue.is_empty() {
            return None;
        }
        let callers = state.seats.iter().filter_map(|(_, seat)| seat.busy_with);
        Some(Stuck::new(&self.config.name, state.progress, state.queue.len(), callers))
    }
}

impl State {
    fn hand_over(&mut self, key: usize, job: Job) -> Arc<Condvar> {
        let seat = &mut self.seats[key];
        seat.busy_with = Some(job.caller());
        seat.job = Some(job);
        seat.wake.clone()
    }

    /// Counts a job that has been done, and takes the next; without one, makes the thread idle.
    fn after_job(&mut self, key: usize) -> Option<Job> {
        self.done += 1;
        self.telling += 1;
        self.seats[key].busy_with = None;
        let next = self.take_job(key);
        if next.is_none() && !self.closed {
            self.idle.push(key);
        }
        next
    }

    /// The job that was handed over, or the first of the queue.
    fn take_job(&mut self, key: usize) -> Option<Job> {
        let seat = &mut self.seats[key];
        if let Some(job) = seat.job.take() {
            return Some(job);
        }
        let job = self.queue.pop_front()?;
        self.progress = Instant::now();
        seat.busy_with = Some(job.caller());
        Some(job)
    }

    /// Jobs that are queued or running.
    fn unfinished(&self) -> usize {
        self.queue.len() + self.busy()
    }

    fn busy(&self) -> usize {
        self.seats.iter().filter(|(_, seat)| seat.busy_with.is_some()).count()
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("config", &self.config).field("stats", &self.stats()).finish()
    }
}
