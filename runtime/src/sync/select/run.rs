//! How a selection waits for several things, and chooses one.
//!
//! It tries each case; if none can go ahead it stands in the lines of all of them, with one
//! [`Selection`], and looks at each once more as it does: what has become ready by then has it
//! begin again. Otherwise it parks until somebody chooses it, from one of the lines. Then it leaves
//! the others.
//!
//! While it stands in line it chooses nobody: two selections that wait for one another would each
//! hold the other. While it chooses it stands in no line.

use std::io;
use std::time::Instant;

use crate::sync::channel::Token;
use crate::wait::{Limit, Selection, Waiter};
use crate::{clock, context};

/// What a case waits for.
pub(crate) trait Arm {
    /// Goes ahead with it, if that takes no wait.
    fn try_choose(&self) -> Option<Chosen>;

    /// Whether [`try_choose`](Self::try_choose) would, as it seems.
    fn is_ready(&self) -> bool;

    /// When it is ready by itself.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Whether it is to be looked at after every wake: it wakes, and chooses nobody.
    fn only_wakes(&self) -> bool {
        false
    }

    /// Stands in line, to be chosen, or only to be told if it `watches`.
    fn register<'a>(
        &'a self,
        selection: &'a Selection,
        case: usize,
        watches: bool,
    ) -> Registered<'a>;

    /// Gives up what it has gone ahead with.
    fn abandon(&self, _: Chosen) {}

    /// Why it cannot be waited for, if it has gone ahead for that reason.
    fn take_error(&self) -> Option<io::Error> {
        None
    }
}

/// A case's place in line.
pub(crate) trait Standing {
    /// Returns once nobody is between choosing it and having answered it, or holding it.
    fn synchronise(&self);

    /// It was chosen, and goes ahead; none if somebody else was faster.
    fn accept(self: Box<Self>) -> Option<Chosen>;
}

/// What a case has in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chosen {
    Channel(Token),
    /// It is ready, and there is nothing to complete.
    Ready,
}

/// A case that stands in line.
pub(crate) struct Registered<'a> {
    standing: Option<Box<dyn Standing + 'a>>,
    is_ready: bool,
}

impl<'a> Registered<'a> {
    pub(crate) fn new(standing: impl Standing + 'a, is_ready: bool) -> Self {
        Self { standing: Some(Box::new(standing)), is_ready }
    }

    /// One that nobody chooses.
    pub(crate) fn nowhere(is_ready: bool) -> Self {
        Self { standing: None, is_ready }
    }
}

/// One case, and its index for the user.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) arm: &'a dyn Arm,
    pub(super) index: usize,
}

/// What a selection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To go ahead with a case.
    Choose,
    /// To tell which is ready.
    Watch,
}

impl Purpose {
    fn attempt(self, arm: &dyn Arm) -> Option<Chosen> {
        match self {
            Self::Choose => arm.try_choose(),
            Self::Watch => arm.is_ready().then_some(Chosen::Ready),
        }
    }
}

/// Chooses one of the cases that are ready: the first if it is `biased`, any with the same chance
/// if not. None if none is.
pub(super) fn try_run(
    cases: &mut [Case<'_>],
    biased: bool,
    purpose: Purpose,
) -> Option<(usize, Chosen)> {
    if !biased {
        shuffle(cases);
    }
    cases.iter().find_map(|case| Some((case.index, purpose.attempt(case.arm)?)))
}

/// The same, and waits until one is, within the limit.
pub(super) fn run(
    cases: &mut [Case<'_>],
    biased: bool,
    purpose: Purpose,
    limit: Limit,
) -> Option<(usize, Chosen)> {
    let deadline = limit.deadline();
    loop {
        if let Some(found) = try_run(cases, biased, purpose) {
            return Some(found);
        }
        if deadline.is_some_and(|deadline| deadline <= clock::now()) {
            return None;
        }
        if let Some(found) = wait(cases, purpose, deadline) {
            return Some(found);
        }
    }
}

/// Waits until a case is chosen; none if it is to begin again.
fn wait<'a>(
    cases: &'a [Case<'a>],
    purpose: Purpose,
    deadline: Option<Instant>,
) -> Option<(usize, Chosen)> {
    let selection = Selection::new(Waiter::current());
    let registered = Vec::with_capacity(cases.len());
    let mut waiting = Waiting { cases, purpose, selection: &selection, registered };
    let is_ready = cases.iter().enumerate().any(|(at, case)| {
        let one = case.arm.register(&selection, at, purpose == Purpose::Watch);
        let is_ready = one.is_ready;
        waiting.registered.push(one);
        is_ready
    });
    let at = if is_ready {
        waiting.close()?
    } else {
        let ready = cases.iter().filter_map(|case| case.arm.deadline());
        let mut limit = Limit::from(ready.chain(deadline).min());
        let looks = || cases.iter().any(|case| case.arm.only_wakes() && case.arm.is_ready());
        selection.wait(&mut limit, looks, |at| waiting.synchronise(at)).ok()?
    };
    match purpose {
        Purpose::Choose => Some((cases[at].index, waiting.accept(at)?)),
        Purpose::Watch => None,
    }
}

/// A selection that stands in line.
struct Waiting<'a> {
    cases: &'a [Case<'a>],
    purpose: Purpose,
    selection: &'a Selection,
    registered: Vec<Registered<'a>>,
}

impl Waiting<'_> {
    fn synchronise(&self, at: usize) {
        let standing = self.registered.get(at).and_then(|one| one.standing.as_ref());
        standing.into_iter().for_each(|standing| standing.synchronise());
    }

    fn close(&self) -> Option<usize> {
        self.selection.close(|at| self.synchronise(at))
    }

    fn accept(&mut self, at: usize) -> Option<Chosen> {
        self.registered[at].standing.take()?.accept()
    }
}

impl Drop for Waiting<'_> {
    /// A panic in the middle (of a waker, or of a case): what it was chosen for meanwhile is given
    /// up, or somebody would wait for it for ever.
    fn drop(&mut self) {
        if !std::thread::panicking() || self.purpose == Purpose::Watch {
            return;
        }
        if let Some(at) = self.close() {
            if let Some(chosen) = self.accept(at) {
                self.cases[at].arm.abandon(chosen);
            }
        }
    }
}

/// Fisher and Yates' shuffle.
fn shuffle<T>(items: &mut [T]) {
    for end in (2..=items.len()).rev() {
        items.swap(end - 1, context::random_below(end));
    }
}
