//! A worker: a thread that runs tasks, and its loop.
//!
//! # The turn
//!
//! Ready tasks run one after the other. After [`TURN`] of them the worker looks around: the whole
//! mailbox becomes ready, due timers fire, the netpoller is asked without waiting, and one fresh
//! task each becomes due from its inbox, its own deque and the injector. Where it runs dry it takes
//! mail and fresh work as it comes (its own, what was handed over, the injector's, another's), and
//! sleeps where there is none. So nothing waits for more than a turn; and the kernel is asked once
//! a turn, when the worker runs dry, and when the monitor urges.
//!
//! Everything in [`Worker`] belongs to its thread. Tasks reach it through [`crate::context`],
//! between two switches, so no borrow of a cell here ever lives across one.
#![expect(unsafe_code, reason = "switches to the stacks of tasks, and follows where they spawn")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::num::NonZeroU64;
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use corosensei::CoroutineResult;

use super::alarm::Alarm;
use super::chance::{Chance, Numbers};
use super::placement::Placement;
use super::registry::Registry;
use super::spin::Spin;
use super::{Phase, Remote, Seat, Shared, shared};
use crate::io::Poller;
use crate::stack::{Stack, StackCache, StackSize};
use crate::task::{Claimed, Coroutine, Park, Suspend, TaskRef};
use crate::timer::Pending;

/// How many tasks run before the worker looks around. Go's figure: prime, so that it does not fall
/// into step with what the tasks do.
pub(super) const TURN: u32 = 61;

/// How many operations that may wait but need not a task does before it is made to yield.
const BUDGET: u32 = 128;

/// How far ahead in a long ready queue the memory of tasks is fetched: a switch takes some 15 ns,
/// and a miss 100. The stack's address is in the header, which is fetched before.
const FETCH_HEADER: usize = 12;
const FETCH_STACK: usize = 6;

/// Task ids are reserved this many at a time.
const IDS: u64 = 1024;

/// See the module's header.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) remote: Arc<Remote>,
    pub(super) poller: Arc<Poller>,
    pub(super) deque: crossbeam_deque::Worker<TaskRef>,
    pub(super) ready: RefCell<VecDeque<TaskRef>>,
    pub(super) owned: RefCell<Registry>,
    pub(super) stacks: RefCell<StackCache>,
    pub(super) placement: RefCell<Placement>,
    /// The task that has the thread.
    current: Cell<Option<TaskRef>>,
    budget: Cell<u32>,
    /// How many `no_park`s the running task is inside.
    no_park: Cell<u32>,
    /// Tasks run since the worker last looked around.
    pub(super) turn: Cell<u32>,
    /// How many kinds of fresh tasks it has yet to take one of; see `next_due`.
    pub(super) fresh_due: Cell<usize>,
    /// Ids in hand: the next, and the end.
    ids: Cell<(u64, u64)>,
    pub(super) searching: Cell<bool>,
    /// Whether it has cancelled its tasks because the runtime stops.
    pub(super) stopping: Cell<bool>,
    /// Whether it is a guest that goes, and cancels what it still spawns.
    pub(super) leaving: Cell<bool>,
    /// The root task, and whether it has ended.
    root: Cell<Option<TaskRef>>,
    root_ended: Cell<bool>,
    /// Until when the loop may sleep at most.
    pub(super) sleep_limit: Cell<Option<Instant>>,
    /// Waits of its tasks whose time is not counted yet.
    pub(crate) pending: Pending,
    pub(super) alarm: Alarm,
    pub(super) spin: Spin,
    /// Of a runtime with a seed.
    pub(super) chance: Option<Box<Chance>>,
    /// Of any other.
    numbers: Numbers,
}

impl Worker {
    /// Takes a seat in `shared`. The caller runs the loop on this thread.
    pub(crate) fn new(shared: &Arc<Shared>, seat: Seat) -> io::Result<Self> {
        let (remote, poller, deque) = shared.sit_down(seat)?;
        Ok(Self {
            shared: shared.clone(),
            remote,
            poller,
            deque,
            ready: RefCell::default(),
            owned: RefCell::default(),
            stacks: RefCell::new(StackCache::new()),
            placement: RefCell::default(),
            current: Cell::new(None),
            budget: Cell::new(0),
            no_park: Cell::new(0),
            turn: Cell::new(0),
            fresh_due: Cell::new(0),
            ids: Cell::new((0, 0)),
            searching: Cell::new(false),
            stopping: Cell::new(false),
            leaving: Cell::new(false),
            root: Cell::new(None),
            root_ended: Cell::new(false),
            sleep_limit: Cell::new(None),
            pending: Pending::default(),
            alarm: Alarm::default(),
            spin: Spin::new(shared.config.seed.is_none()),
            numbers: Numbers::new(ptr::from_ref(&shared).addr() as u64),
            chance: shared.config.seed.map(|seed| Box::new(Chance::new(seed))),
        })
    }

    /// Runs tasks until `done`.
    pub(crate) fn run(&self, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            if let Some(chance) = &self.chance {
                self.leave_to_chance(chance);
            }
            if self.turn.get() >= TURN || self.remote.progress.is_urged() {
                self.look_around();
            }
            let due = if self.fresh_due.get() > 0 { self.next_due() } else { None };
            if let Some(task) = due.or_else(|| self.next_ready()).or_else(|| self.next_other()) {
                self.turn.set(self.turn.get() + 1);
                if self.searching.get() {
                    self.stop_searching();
                }
                self.resume(task);
            } else {
                self.sleep(&done);
            }
        }
        self.stop_searching();
    }

    /// The next ready task. Its successors' memory is fetched ahead: with many tasks every header
    /// and every stack is a cache miss.
    #[inline]
    fn next_ready(&self) -> Option<TaskRef> {
        let mut ready = self.ready.borrow_mut();
        let task = ready.pop_front()?;
        if ready.len() > FETCH_HEADER {
            ready[FETCH_HEADER].prefetch();
            ready[FETCH_STACK].prefetch_stack();
        }
        Some(task)
    }

    /// What to run when nothing is ready.
    fn next_other(&self) -> Option<TaskRef> {
        if !self.remote.mailbox().is_empty() {
            self.take_mail();
            return self.ready.borrow_mut().pop_front();
        }
        if !self.takes_fresh() {
            self.give_up_fresh();
            return None;
        }
        self.next_fresh().or_else(|| self.steal())
    }

    /// Once a turn: everything that must not wait for the ready queue to run dry.
    fn look_around(&self) {
        self.turn.set(0);
        self.take_mail();
        self.poll(Some(Duration::ZERO));
        if !self.takes_fresh() {
            return self.give_up_fresh();
        }
        self.make_all_due();
    }

    pub(super) fn take_mail(&self) {
        if !self.remote.mailbox().is_empty() {
            self.spin.note_work();
            self.ready.borrow_mut().extend(self.remote.take_mail());
        }
    }

    /// Asks the netpoller, waiting for `timeout` at most, and fires due timers.
    pub(super) fn poll(&self, timeout: Option<Duration>) {
        self.shared.refuse_in_child();
        self.placement.borrow_mut().invalidate();
        self.remote.progress.note_poll();
        let mut found = 0;
        // Without a source there is nothing to be found, only to be waited for.
        if timeout != Some(Duration::ZERO) || self.poller.has_sources() {
            let began = self.chance.as_ref().map(|_| Instant::now());
            let mut events = self.remote.events.lock();
            found = self.poller.poll(&mut events, timeout).unwrap_or_else(|error| {
                panic!("the netpoller of worker {} failed: {error}", self.remote.index());
            });
            if let (Some(chance), Some(began)) = (&self.chance, began) {
                chance.pass(began.elapsed());
            }
        }
        // After a sleep that an event has ended nothing need be due: the next look is not far.
        if found == 0 || timeout == Some(Duration::ZERO) {
            self.remote.timers.fire(&self.pending);
        }
        if self.shared.phase() != Phase::Running {
            self.cancel_tasks();
        }
    }

    /// Gives `task` the thread until it parks, yields or ends. In line: see `task::suspend`.
    #[inline(always)]
    fn resume(&self, task: TaskRef) {
        // SAFETY: the task is active and was in our queue, so we hold it: nobody else touches its
        // coroutine, and a task that does not migrate is resumed on its home's thread only.
        let slot = unsafe { &mut *task.coroutine.get() };
        if slot.is_none() && !self.start(task, slot) {
            return;
        }
        let coroutine = slot.as_mut().expect("it is started");
        if task.migrating {
            // It may have come from another worker: should it stay here when it parks, it comes
            // back here.
            task.home.set(Arc::as_ptr(&self.remote));
        }
        self.budget.set(self.chance.as_ref().map_or(BUDGET, |chance| chance.below(4) as u32));
        self.remote.progress.note_running(task);
        self.current.set(Some(task));
        let outcome = coroutine.resume(());
        assert!(!std::thread::panicking(), "a task left a panic on its thread's count");
        self.current.set(None);
        self.remote.progress.note_suspended();
        match outcome {
            CoroutineResult::Yield(Suspend::Yield) => self.make_ready(task),
            // Once it is parked it may run elsewhere: not touched after that.
            CoroutineResult::Yield(Suspend::Park) => {
                if task.transition_to_parked() == Park::Notified {
                    self.make_ready(task);
                }
            }
            CoroutineResult::Return(()) => self.finish(task),
        }
    }

    /// Gives a fresh task its stack and its home. False if there is no stack: it waits for one, and
    /// is no longer ours.
    #[inline(never)]
    fn start(&self, task: TaskRef, slot: &mut Option<Coroutine>) -> bool {
        match self.stacks.borrow_mut().take(task.stack_size) {
            Ok(stack) => {
                self.start_on(stack, task, slot);
                true
            }
            Err(error) => {
                self.shared.starve(task, &error);
                false
            }
        }
    }

    /// The coroutine is made in its slot, as moving it there costs a stall.
    fn start_on(&self, stack: Stack, task: TaskRef, slot: &mut Option<Coroutine>) {
        task.stack_limit.set(stack.bounds().limit());
        // SAFETY: the closure borrows nothing, and it ends before the task does: a coroutine that
        // is not finished is leaked, never dropped (`Stack` stays taken).
        *slot = Some(unsafe {
            Coroutine::with_stack_unchecked(stack, move |yielder, ()| {
                // SAFETY: this is the task's own stack, once.
                task.run(yielder);
            })
        });
        task.home.set(Arc::as_ptr(&self.remote));
        if task.migrating {
            self.shared.migrants.lock().insert(task);
        } else {
            self.house(task);
        }
        if self.shared.phase() != Phase::Running || self.leaving.get() {
            // Nobody else holds it: it is active, so there is nothing to schedule.
            assert!(task.cancel().is_none(), "a fresh task is active");
        }
    }

    /// Takes what a task that starts here at once needs.
    pub(crate) fn admit_local(&self, size: StackSize) -> io::Result<(NonZeroU64, Stack)> {
        let stack = self.stacks.borrow_mut().take(size)?;
        match self.admit() {
            Ok(id) => Ok((id, stack)),
            Err(error) => {
                self.stacks.borrow_mut().put(stack);
                Err(error)
            }
        }
    }

    /// Starts a fresh task, which does not migrate, on this worker, as the last of its queue.
    pub(crate) fn start_local(&self, stack: Stack, task: TaskRef) {
        // SAFETY: nobody else knows the task yet but its handle, which does not touch this.
        self.start_on(stack, task, unsafe { &mut *task.coroutine.get() });
        self.ready.borrow_mut().push_back(task);
    }

    /// The body has returned: takes the stack back and tells who waits for the task.
    #[inline(never)]
    fn finish(&self, task: TaskRef) {
        // SAFETY: we hold the task, as in `resume`.
        let coroutine = unsafe { (*task.coroutine.get()).take() };
        let stack = coroutine.expect("it has just run").into_stack();
        self.stacks.borrow_mut().put(stack);
        if self.shared.is_starving() {
            self.feed();
        }
        if task.migrating {
            self.shared.migrants.lock().remove(task);
        } else {
            self.unhouse(task);
        }
        self.remote.timers.forget(task);
        self.remote.progress.note_finishing(task);
        let is_root = self.root.get() == Some(task);
        if let Some(wakeup) = task.finish() {
            wakeup.deliver();
        }
        if is_root {
            // Its memory may be another task's from now on.
            self.root.set(None);
            self.root_ended.set(true);
            return;
        }
        self.remote.permits.give(&self.shared.permits);
        if self.stopping.get() {
            self.give_permits_back();
        }
    }

    fn house(&self, task: TaskRef) {
        self.owned.borrow_mut().insert(task);
        self.remote.add_home();
    }

    fn unhouse(&self, task: TaskRef) {
        self.owned.borrow_mut().remove(task);
        self.remote.drop_home();
    }

    /// `task`, the running one, migrates, and stays here from now on. It moves from `migrants` to
    /// this worker's list, so this worker does not retire before it.
    pub(crate) fn begin_stay(&self, task: TaskRef) {
        self.shared.migrants.lock().remove(task);
        self.house(task);
        // This worker may have cancelled its tasks before this one came, and the one that it came
        // from may do so only now, when it finds it in neither list.
        if self.shared.phase() != Phase::Running {
            assert!(task.cancel().is_none(), "the running task is active");
        }
    }

    /// The end of [`begin_stay`](Self::begin_stay). Whoever reads the phase as running now cancels
    /// later, and then finds the task among the migrants.
    pub(crate) fn end_stay(&self, task: TaskRef) {
        self.unhouse(task);
        self.shared.migrants.lock().insert(task);
    }

    /// Puts an active task of this thread's at the end of its queue.
    #[inline]
    fn make_ready(&self, task: TaskRef) {
        if task.may_migrate() {
            self.make_stealable(task);
        } else {
            self.ready.borrow_mut().push_back(task);
        }
    }

    #[inline(never)]
    fn make_stealable(&self, task: TaskRef) {
        let others_wait = self.has_ready() || !self.deque.is_empty();
        self.deque.push(task);
        // A lone task that yields wakes nobody: it runs here next.
        if others_wait {
            self.announce();
        }
    }

    /// See [`super::schedule`].
    pub(super) fn schedule(&self, claimed: Claimed) {
        let task = claimed.into_task();
        // SAFETY: claimed, so not finished: its home's runtime lives.
        let home = unsafe { &*task.home.get() };
        if !home.is_of(&self.shared) {
            // SAFETY: it was claimed a moment ago and is in no queue.
            shared::schedule_from_outside(unsafe { Claimed::new(task) });
        } else if task.may_migrate() {
            self.submit(task);
        } else if ptr::eq(home, Arc::as_ptr(&self.remote)) {
            self.ready.borrow_mut().push_back(task);
        } else {
            home.post(task);
        }
    }

    /// Makes sure that the next task of this size that starts here finds a stack.
    pub(crate) fn reserve_stack(&self, size: StackSize) -> io::Result<()> {
        let mut stacks = self.stacks.borrow_mut();
        // What is put back last is taken first.
        let stack = stacks.take(size)?;
        stacks.put(stack);
        Ok(())
    }

    /// Runs `task`, which is fresh and in no queue, before anything else here: the root.
    pub(crate) fn adopt_root(&self, task: TaskRef) {
        self.root.set(Some(task));
        self.ready.borrow_mut().push_front(task);
    }

    pub(crate) fn root_has_ended(&self) -> bool {
        self.root_ended.get()
    }

    /// What time it is for its tasks, where that is not for the clock to say.
    #[inline]
    pub(crate) fn simulated_now(&self) -> Option<Instant> {
        self.chance.as_ref().map(|chance| chance.now())
    }

    /// A number less than `end`, by chance.
    pub(crate) fn random_below(&self, end: usize) -> usize {
        match &self.chance {
            Some(chance) => chance.below(end),
            None => self.numbers.below(end),
        }
    }

    /// See [`crate::clock::jump_to`].
    pub(crate) fn jump_to(&self, deadline: Instant) -> bool {
        let Some(chance) = &self.chance else { return false };
        chance.pass(deadline.saturating_duration_since(chance.now()));
        true
    }

    pub(crate) fn runs_root_or_none(&self) -> bool {
        self.current.get().is_none_or(|task| self.root.get() == Some(task))
    }

    pub(crate) fn is_of(&self, shared: &Shared) -> bool {
        ptr::eq(Arc::as_ptr(&self.shared), shared)
    }

    /// Until when the loop may sleep at most.
    pub(crate) fn limit_sleep(&self, deadline: Option<Instant>) {
        self.sleep_limit.set(deadline);
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn remote(&self) -> &Arc<Remote> {
        &self.remote
    }

    pub(crate) fn poller(&self) -> &Arc<Poller> {
        &self.poller
    }

    pub(crate) fn current(&self) -> Option<TaskRef> {
        self.current.get()
    }

    #[inline]
    pub(crate) fn may_park(&self) -> bool {
        self.no_park.get() == 0
    }

    pub(crate) fn no_park(&self) -> &Cell<u32> {
        &self.no_park
    }

    /// Takes a permit for a task that the running one spawns here, and gives it its id.
    pub(crate) fn admit(&self) -> io::Result<NonZeroU64> {
        if self.remote.permits.take(&self.shared.permits) {
            Ok(self.next_id())
        } else {
            Err(self.shared.permits.exhausted())
        }
    }

    pub(crate) fn next_id(&self) -> NonZeroU64 {
        let (mut next, mut end) = self.ids.get();
        if next == end {
            next = self.shared.reserve_ids(IDS);
            end = next + IDS;
        }
        self.ids.set((next + 1, end));
        NonZeroU64::new(next).expect("ids start at one")
    }

    /// The runtime that the running task spawns into: the one that it entered by `run`, or this.
    #[inline]
    pub(crate) fn spawns_into(&self) -> &Shared {
        let entered = self.current.get().map_or(ptr::null(), |task| task.runtime.get());
        // SAFETY: `run` in a task keeps the runtime that it entered until it has put the field
        // back.
        unsafe { entered.as_ref() }.unwrap_or(&self.shared)
    }

    /// See [`crate::context::spend_budget`].
    #[inline]
    pub(crate) fn spend_budget(&self) -> bool {
        let Some(task) = self.current.get() else { return false };
        let budget = self.budget.get();
        self.budget.set(budget.saturating_sub(1));
        budget == 0 || task.is_cancelled() || !task.frames.is_empty()
    }

    pub(crate) fn budget_is_spent(&self) -> bool {
        self.budget.get() == 0
    }

    /// Gives memory back before sleeping: the ready queue's, which is empty, after a burst, and
    /// idle stacks when asked to.
    pub(super) fn shrink(&self) {
        if self.remote.progress.take_tidy() {
            self.stacks.borrow_mut().flush();
        }
        let mut ready = self.ready.borrow_mut();
        if ready.is_empty() && ready.capacity() > 4096 {
            *ready = VecDeque::new();
        }
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.borrow().is_empty()
    }
}
