//! What the monitor does at each tick: looks at every worker, and helps what is stuck.

use std::iter;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::super::progress::Sample;
use super::super::{Phase, Remote, Seat, Shared};

/// What keeps its worker, or the blocking pool, for this long is named.
const NAMED_AFTER: Duration = Duration::from_secs(1);

/// How many of the tasks that found no stack try again at each look: a try that fails is expensive.
const FED_PER_LOOK: usize = 8;

/// How many fresh tasks of a stuck worker it moves to where all look, at each look.
const MOVED_PER_LOOK: usize = 64;

/// How many workers there may be that it has added.
const ADDED_MAX: usize = 16;

/// What the monitor remembers from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    workers: Vec<Seen>,
    /// Whether the present standstill of the pool was reported.
    pool_named: bool,
}

/// What it saw of one worker at the last look.
#[derive(Debug, Default)]
struct Seen {
    progress: Sample,
    polls: u64,
    stuck_since: Option<Instant>,
    named: bool,
}

/// What kind of workers are stuck, all of them.
#[derive(Debug)]
struct AllStuck {
    members: bool,
    /// Those that start fresh tasks, added ones among them.
    starters: bool,
}

impl Lookout {
    /// Looks at everything once. Returns whether any task ran since the last look.
    pub(super) fn look(&mut self, shared: &Arc<Shared>, now: Instant) -> bool {
        let mut worked = false;
        let mut all = AllStuck { members: true, starters: true };
        for (index, remote) in shared.remotes().enumerate() {
            if self.workers.len() <= index {
                self.workers.push(Seen::default());
            }
            let (ran, stuck) = self.workers[index].update(shared, remote, now);
            worked |= ran;
            // Help from outside is not a thing of chance.
            let stuck = stuck && shared.config.seed.is_none();
            all.note(remote.seat(), stuck);
            remote.progress.set_stuck(stuck);
            if stuck {
                stand_in(shared, remote);
            }
        }
        feed(shared);
        self.name_stuck_pool(shared, now);
        help_out(shared, &all);
        worked
    }

    /// Reports, once, a blocking pool in which nothing gets done: its jobs may wait for each other.
    fn name_stuck_pool(&mut self, shared: &Shared, now: Instant) {
        let stuck = shared.pool.stuck_since().is_some_and(|since| now - since >= NAMED_AFTER);
        if stuck && !self.pool_named {
            shared.pool.stuck().into_iter().for_each(|stuck| eprintln!("sedge: {stuck}"));
        }
        self.pool_named = stuck;
    }
}

impl Seen {
    /// Compares with the last look, and names a task that has had the worker for long. Returns
    /// whether any task ran since, and whether one has had the worker all the time.
    fn update(&mut self, shared: &Shared, remote: &Remote, now: Instant) -> (bool, bool) {
        let progress = remote.progress.sample();
        let is_running = progress.running != 0;
        if is_running && progress == self.progress {
            let since = *self.stuck_since.get_or_insert_with(|| {
                shared.monitor.hogs.fetch_add(1, Ordering::Relaxed);
                now
            });
            if !self.named && now - since >= NAMED_AFTER {
                self.named = name_hog(remote, progress.running, now - since);
            }
            return (true, true);
        }
        let ran = is_running || progress != self.progress;
        let polls = remote.progress.polls();
        // Many tasks that each take long: the next look around must not wait for all of them. Where
        // it is left to chance, the clock has no say in it.
        if is_running && polls == self.polls && shared.config.seed.is_none() {
            remote.progress.urge();
        }
        *self = Self { progress, polls, ..Self::default() };
        (ran, false)
    }
}

impl AllStuck {
    fn note(&mut self, seat: Seat, stuck: bool) {
        match seat {
            Seat::Vacant | Seat::Guest | Seat::Retiring => {}
            Seat::Member => {
                self.members &= stuck;
                self.starters &= stuck;
            }
            Seat::Extra => self.starters &= stuck,
        }
    }
}

/// Does for a stuck worker what others wait for.
fn stand_in(shared: &Shared, remote: &Remote) {
    remote.drive();
    // The others search only when they run dry; the injector they ask once a turn.
    let fresh = iter::from_fn(|| remote.steal_fresh()).take(MOVED_PER_LOOK);
    fresh.for_each(|task| shared.submit_from_outside(task));
}

/// Has tasks that found no stack try again.
fn feed(shared: &Shared) {
    if shared.is_starving() {
        let starved = iter::from_fn(|| shared.take_starved()).take(FED_PER_LOOK);
        starved.for_each(|task| shared.submit_from_outside(task));
    }
}

/// Fresh tasks wait while workers are stuck: has the others look, or adds one.
fn help_out(shared: &Arc<Shared>, all_stuck: &AllStuck) {
    if !all_stuck.members {
        retire_added(shared);
    }
    if !shared.has_fresh_work() {
        return;
    }
    if !all_stuck.starters {
        shared.wake_one();
    } else if keep_one(shared) {
        // It is awake, and looks.
    } else if shared.phase() == Phase::Running && added(shared) < ADDED_MAX {
        shared.expect_several_workers();
        // What cannot be had now is tried again at the next look.
        let _ = crate::runtime::start_worker(shared, Seat::Extra);
    }
}

/// The configured workers are free again: the added ones take no new homes, and go with their last.
fn retire_added(shared: &Shared) {
    for remote in shared.remotes().filter(|remote| remote.seat() == Seat::Extra) {
        if remote.change_seat(Seat::Extra, Seat::Retiring) {
            remote.wake();
        }
    }
}

/// Has an added worker that was to go, and is free, take new homes again. Returns whether there is
/// one.
fn keep_one(shared: &Shared) -> bool {
    let kept = shared.remotes().find(|remote| {
        !remote.progress.is_stuck() && remote.change_seat(Seat::Retiring, Seat::Extra)
    });
    kept.inspect(|remote| remote.wake()).is_some()
}

/// How many workers there are that it has added.
fn added(shared: &Shared) -> usize {
    let was_added = |remote: &&Arc<Remote>| matches!(remote.seat(), Seat::Extra | Seat::Retiring);
    shared.remotes().filter(was_added).count()
}

/// Reports a task that keeps its worker while others wait behind it. Returns whether it did.
fn name_hog(remote: &Remote, id: u64, time: Duration) -> bool {
    let others = remote.homes().saturating_sub(1);
    if others == 0 {
        return false;
    }
    let name = remote.progress.name_of_running(id);
    let name = name.map_or(String::new(), |name| format!(" '{name}'"));
    let others = if others == 1 {
        "another task lives".to_owned()
    } else {
        format!("{others} other tasks live")
    };
    eprintln!(
        "sedge: task{name} (id {id}) has kept worker {} for {:.1} s, and {others} there. \
         Wrap computing and blocking calls in `blocking`, and hold no thread's lock over a wait.",
        remote.index(),
        time.as_secs_f64(),
    );
    true
}
