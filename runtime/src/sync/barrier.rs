//! The barrier, with std's methods.
//!
//! Who is ended while it waits leaves the line, and is no longer waited with. The count is not told
//! and may be too high. Where it says that all are there it is made exact, by counting the line.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::pin;

use crate::wait::{self, Caller, Limit, Place, WaitList, Wakeup};

/// Has a number of tasks and threads wait for each other. As [`std::sync::Barrier`].
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::sync::Barrier;
///
/// let barrier = Barrier::new(10);
/// let leaders = sedge::task::scope(|scope| {
///     let tasks: Vec<_> = (0..10).map(|_| scope.spawn(|| barrier.wait().is_leader())).collect();
///     tasks.into_iter().map(|task| task.join().unwrap()).filter(|is_leader| *is_leader).count()
/// });
/// assert_eq!(leaders, 1);
/// ```
pub struct Barrier {
    parties: usize,
    /// With at least the number of those who wait.
    line: WaitList<usize, ()>,
}

// Nothing of the user's runs between two changes that belong together.
impl UnwindSafe for Barrier {}
impl RefUnwindSafe for Barrier {}

/// Whether a call of [`Barrier::wait`] was the one that came last.
///
/// # Examples
///
/// See [`Barrier`].
#[derive(Debug)]
pub struct BarrierWaitResult {
    is_leader: bool,
}

impl Barrier {
    /// Makes one at which `parties` calls wait for each other. With zero it is as with one: nobody
    /// waits.
    ///
    /// # Examples
    ///
    /// See [`Barrier`].
    #[inline]
    #[must_use]
    pub const fn new(parties: usize) -> Self {
        Self { parties, line: WaitList::new(0) }
    }

    /// Waits until as many calls wait as the barrier was made for. The last to come is the leader,
    /// and does not wait. The next call begins a new round.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. A call that is ended counts no longer:
    /// another has to come in its place.
    ///
    /// # Examples
    ///
    /// See [`Barrier`].
    pub fn wait(&self) -> BarrierWaitResult {
        wait::checkpoint();
        let mut place = pin!(Place::new(&self.line, ()));
        let caller = Caller::now();
        place.as_mut().begin(Some(caller.waiter()));
        let mut line = self.line.lock();
        *line += 1;
        if *line >= self.parties {
            *line = line.count(0) + 1;
        }
        if *line >= self.parties {
            *line = 0;
            let mut wakeups = Vec::new();
            while let Some(next) = line.choose(0) {
                wakeups.extend(next.answer());
            }
            drop(line);
            wakeups.into_iter().for_each(Wakeup::deliver);
            return BarrierWaitResult { is_leader: true };
        }
        line.push_back(0, place.as_ref());
        drop(line);
        let _answered = place.as_mut().wait(caller, &mut Limit::Never);
        BarrierWaitResult { is_leader: false }
    }
}

impl BarrierWaitResult {
    /// Returns whether the call came last: one in each round.
    ///
    /// # Examples
    ///
    /// See [`Barrier`].
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.is_leader
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").finish_non_exhaustive()
    }
}
