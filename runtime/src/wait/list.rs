//! Lines of waiting calls, and the state that they wait for, under one lock.
//!
//! This is under every lock, channel and queue of the crate. A call that has to wait pushes a
//! [`Place`], which lies on its own stack, into a line, under the lock under which it has seen that
//! it has to. Who changes the state chooses whom to answer under the same lock, writes the answer
//! into the place, and wakes. So no wake is lost, an answer is for one call, and a call that is
//! answered goes on without the lock.
//!
//! A call that ends early (its time is up, it is cancelled) takes itself out under the lock. If it
//! is chosen already, it was answered, and does not end early: what is due is raised at its next
//! wait. So an answer is never lost, and nothing need be passed on. Only a future may be dropped
//! with an answer that nobody has looked at.
//!
//! # Held
//!
//! Who has chosen a call may answer it later: it is [`Held`] meanwhile, and waits, whatever is due
//! for it.
//!
//! # Memory
//!
//! A place is linked through pointers, and none is on the heap but a future's and a selection's.
#![expect(unsafe_code, reason = "lines are linked through the stacks of those who wait")]

use std::cell::{Cell, UnsafeCell};
use std::marker::{PhantomData, PhantomPinned};
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::task::{Context, Poll};

use super::call::Call;
use super::selection::Selection;
use super::{Limit, TimedOut, Waiter, Wakeup};
use crate::context;
use crate::primitive::{Mutex, MutexGuard};
use crate::task::TaskRef;

/// A state, and `N` lines of calls that wait for it, each with a `P`, which has the answer in the
/// end. See the module.
#[derive(Debug)]
pub(crate) struct WaitList<S, P, const N: usize = 1> {
    inner: Mutex<Inner<S, P, N>>,
}

#[derive(Debug)]
struct Inner<S, P, const N: usize> {
    state: S,
    lines: [Line<P>; N],
}

#[derive(Debug)]
struct Line<P> {
    first: *mut Node<P>,
    last: *mut Node<P>,
}

// SAFETY: the nodes are those of the calls that stand in the line, and touched under its lock; what
// changes hands through them is the `P`.
unsafe impl<P: Send> Send for Line<P> {}

/// The lock, held.
#[derive(Debug)]
pub(crate) struct Locked<'l, S, P, const N: usize = 1> {
    list: &'l WaitList<S, P, N>,
    inner: MutexGuard<'l, Inner<S, P, N>>,
}

/// A call's place in a line, to be pinned.
///
/// # Invariants
///
/// 1. While it is linked (`line` is not [`NOWHERE`]) it stands in that line of `list`.
/// 2. All of the node but `phase` is touched under the list's lock, or by its owner while it is not
///    *waiting*, or once it was answered.
/// 3. It is not dropped while it is linked, or while it is held.
#[derive(Debug)]
pub(crate) struct Place<'l, S, P, const N: usize = 1> {
    list: &'l WaitList<S, P, N>,
    node: Node<P>,
}

/// A cache line has all that another thread touches, with a small answer.
#[derive(Debug)]
#[repr(C, align(64))]
struct Node<P> {
    own_call: Call,
    previous: Cell<*mut Self>,
    next: Cell<*mut Self>,
    /// What it stands in line for, if that is a selection.
    selection: *const Selection,
    line: Cell<u8>,
    /// Its owner's.
    phase: Cell<Phase>,
    payload: UnsafeCell<P>,
    /// Which of the selection's cases it is.
    case: usize,
    pinned: PhantomPinned,
}

/// Who waits, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    task: Option<TaskRef>,
    may_spin: bool,
}

/// What its owner knows of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    /// It has a waiter, and is to be pushed.
    Begun,
    /// It was pushed.
    Waiting,
}

/// Where a place stands that stands nowhere.
const NOWHERE: u8 = u8::MAX;

// SAFETY: guarded as the place's invariant 2 says.
unsafe impl<P: Send> Send for Node<P> {}
// SAFETY: as above; nobody gets a `&P` from a shared place.
unsafe impl<P: Send> Sync for Node<P> {}

/// A call that was taken from its line and is to be answered.
#[derive(Debug)]
#[must_use = "the call waits until it is answered"]
pub(crate) struct Chosen<'k, P> {
    node: NonNull<Node<P>>,
    list: *const (),
    /// The lock is held for as long as this lives.
    locked: PhantomData<&'k mut P>,
}

/// A call that was chosen and is to be answered later.
#[derive(Debug)]
#[must_use = "the call waits until it is answered"]
pub(crate) struct Held<P> {
    node: NonNull<Node<P>>,
    /// The list whose lock guards it.
    list: *const (),
}

// SAFETY: it stands for the right to answer, which goes with the lock.
unsafe impl<P: Send> Send for Held<P> {}

impl<S, P, const N: usize> WaitList<S, P, N> {
    const EMPTY: Line<P> = Line { first: ptr::null_mut(), last: ptr::null_mut() };

    #[cfg(not(sedge_loom))]
    pub(crate) const fn new(state: S) -> Self {
        Self { inner: Mutex::new(Inner { state, lines: [Self::EMPTY; N] }) }
    }

    #[cfg(sedge_loom)]
    pub(crate) fn new(state: S) -> Self {
        Self { inner: Mutex::new(Inner { state, lines: [Self::EMPTY; N] }) }
    }

    #[inline]
    pub(crate) fn lock(&self) -> Locked<'_, S, P, N> {
        Locked { list: self, inner: self.inner.lock() }
    }
}

impl<S, P, const N: usize> Deref for Locked<'_, S, P, N> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.inner.state
    }
}

impl<S, P, const N: usize> DerefMut for Locked<'_, S, P, N> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.inner.state
    }
}

impl<'l, S, P, const N: usize> Locked<'l, S, P, N> {
    fn id(&self) -> *const () {
        ptr::from_ref(self.list).cast()
    }

    #[inline]
    pub(crate) fn is_empty(&self, line: usize) -> bool {
        self.inner.lines[line].first.is_null()
    }

    /// How many stand in line. Takes time linear in that.
    pub(crate) fn count(&self, line: usize) -> usize {
        let first = self.inner.lines[line].first;
        // SAFETY: what is in line is there, and we hold the lock (invariants 1 and 2).
        let next = |node: &*mut Node<P>| unsafe { node.as_ref() }.map(|node| node.next.get());
        std::iter::successors(Some(first), next).take_while(|node| !node.is_null()).count()
    }

    /// What the first in line waits with. Somebody else may have chosen it.
    pub(crate) fn first(&mut self, line: usize) -> Option<&mut P> {
        // SAFETY: what is in line is there, and we hold the lock (invariants 1 and 2).
        unsafe { self.inner.lines[line].first.as_ref().map(|node| &mut *node.payload.get()) }
    }

    /// Puts `place`, which has [begun](Place::begin) to wait, at the end of a line.
    #[inline]
    pub(crate) fn push_back(&mut self, line: usize, place: Pin<&Place<'l, S, P, N>>) {
        let last = self.inner.lines[line].last;
        self.push(line, place, last, ptr::null_mut());
    }

    /// The same, at the front: it stood there before.
    pub(crate) fn push_front(&mut self, line: usize, place: Pin<&Place<'l, S, P, N>>) {
        let first = self.inner.lines[line].first;
        self.push(line, place, ptr::null_mut(), first);
    }

    #[inline]
    fn push(
        &mut self,
        line: usize,
        place: Pin<&Place<'l, S, P, N>>,
        previous: *mut Node<P>,
        next: *mut Node<P>,
    ) {
        assert!(ptr::eq(place.list, self.list), "a place is for one list");
        let node = &place.get_ref().node;
        assert!(node.phase.replace(Phase::Waiting) == Phase::Begun, "it has begun to wait");
        node.line.set(line as u8);
        node.previous.set(previous);
        node.next.set(next);
        let node = ptr::from_ref(node).cast_mut();
        let ends = &mut self.inner.lines[line];
        // SAFETY: the neighbours are in line, and we hold the lock.
        match unsafe { previous.as_ref() } {
            Some(previous) => previous.next.set(node),
            None => ends.first = node,
        }
        // SAFETY: as above.
        match unsafe { next.as_ref() } {
            Some(next) => next.previous.set(node),
            None => ends.last = node,
        }
    }

    /// Takes the first out of a line that nobody else has chosen.
    #[inline]
    pub(crate) fn choose(&mut self, line: usize) -> Option<Chosen<'_, P>> {
        self.choose_if(line, |_| true)
    }

    /// Takes the first that nobody else has chosen and that is `wanted`.
    #[inline]
    pub(crate) fn choose_if(
        &mut self,
        line: usize,
        wanted: impl Fn(&P) -> bool,
    ) -> Option<Chosen<'_, P>> {
        let mut next = self.inner.lines[line].first;
        while let Some(node) = NonNull::new(next) {
            // SAFETY: what is in line is there, and we hold the lock.
            let this = unsafe { node.as_ref() };
            next = this.next.get();
            // SAFETY: as above.
            if !wanted(unsafe { &*this.payload.get() }) {
                continue;
            }
            self.unlink(this);
            if this.selection().is_none_or(|all| all.choose(this.case)) {
                return Some(Chosen { node, list: self.id(), locked: PhantomData });
            }
        }
        None
    }

    /// Takes the last that nobody else has chosen.
    pub(crate) fn choose_last(&mut self, line: usize) -> Option<Chosen<'_, P>> {
        loop {
            let node = NonNull::new(self.inner.lines[line].last)?;
            // SAFETY: as in `choose_if`.
            let this = unsafe { node.as_ref() };
            self.unlink(this);
            if this.selection().is_none_or(|all| all.choose(this.case)) {
                return Some(Chosen { node, list: self.id(), locked: PhantomData });
            }
        }
    }

    /// Whether anyone is in line who is `wanted`.
    pub(crate) fn any(&self, line: usize, wanted: impl Fn(&P) -> bool) -> bool {
        let mut next = self.inner.lines[line].first;
        // SAFETY: as in `choose_if`.
        while let Some(node) = unsafe { next.as_ref() } {
            // SAFETY: as in `choose_if`.
            if wanted(unsafe { &*node.payload.get() }) {
                return true;
            }
            next = node.next.get();
        }
        false
    }

    /// Whether anyone is in line but for this selection.
    pub(crate) fn has_other(&self, line: usize, selection: &Selection) -> bool {
        let mut next = self.inner.lines[line].first;
        // SAFETY: as in `choose_if`.
        while let Some(node) = unsafe { next.as_ref() } {
            if !ptr::eq(node.selection, selection) {
                return true;
            }
            next = node.next.get();
        }
        false
    }

    /// Holds a call that has [begun](Place::begin) to wait, without a line: who is told of it
    /// answers it.
    pub(crate) fn hold(&mut self, place: Pin<&Place<'l, S, P, N>>) -> Held<P> {
        assert!(ptr::eq(place.list, self.list), "a place is for one list");
        let node = &place.get_ref().node;
        assert!(node.phase.replace(Phase::Waiting) == Phase::Begun, "it has begun to wait");
        Held { node: NonNull::from(node), list: self.id() }
    }

    /// Goes on with what was [held](Chosen::hold) under this lock.
    pub(crate) fn resume(&mut self, held: Held<P>) -> Chosen<'_, P> {
        assert!(ptr::eq(held.list, self.id()), "it was held under another lock");
        Chosen { node: held.node, list: held.list, locked: PhantomData }
    }

    /// Takes `place` out of its line. False if it stands in none (any more).
    pub(crate) fn remove(&mut self, place: &Place<'l, S, P, N>) -> bool {
        assert!(ptr::eq(place.list, self.list), "a place is for one list");
        let is_in_line = place.node.line.get() != NOWHERE;
        if is_in_line {
            self.unlink(&place.node);
            place.node.phase.set(Phase::Idle);
        }
        is_in_line
    }

    /// Has `place` wait for `waiter` from now on. Returns what is to be dropped without the lock:
    /// its old waiter, or the new one if it is chosen already.
    pub(crate) fn rewait(
        &mut self,
        place: Pin<&mut Place<'l, S, P, N>>,
        waiter: Waiter,
    ) -> Option<Waiter> {
        assert!(ptr::eq(place.list, self.list), "a place is for one list");
        if place.node.line.get() == NOWHERE {
            return Some(waiter);
        }
        // SAFETY: the caller owns the place, and holds the lock.
        unsafe { place.node.own_call.begin(waiter) }
    }

    #[inline]
    fn unlink(&mut self, node: &Node<P>) {
        let ends = &mut self.inner.lines[usize::from(node.line.replace(NOWHERE))];
        let (previous, next) = (node.previous.get(), node.next.get());
        // SAFETY: the neighbours are in line, and we hold the lock.
        match unsafe { previous.as_ref() } {
            Some(previous) => previous.next.set(next),
            None => ends.first = next,
        }
        // SAFETY: as above.
        match unsafe { next.as_ref() } {
            Some(next) => next.previous.set(previous),
            None => ends.last = previous,
        }
    }
}

impl<P> Chosen<'_, P> {
    /// Answers it. The wake is to be delivered once the lock is let go.
    #[inline]
    pub(crate) fn answer(self) -> Option<Wakeup> {
        // SAFETY: it is there until it is answered, and its selection with it.
        let call = unsafe { ptr::from_ref(self.node.as_ref().call()) };
        // SAFETY: it was taken out of its line, and whoever did that answers it once; the lock is
        // held.
        unsafe { Call::answer(call) }
    }

    /// Keeps it, to be answered later.
    pub(crate) fn hold(self) -> Held<P> {
        Held { node: self.node, list: self.list }
    }
}

impl<P> Deref for Chosen<'_, P> {
    type Target = P;

    fn deref(&self) -> &P {
        // SAFETY: it is there until it is answered, and we hold the lock.
        unsafe { &*self.node.as_ref().payload.get() }
    }
}

impl<P> DerefMut for Chosen<'_, P> {
    fn deref_mut(&mut self) -> &mut P {
        // SAFETY: as above.
        unsafe { &mut *self.node.as_ref().payload.get() }
    }
}

impl<P> Node<P> {
    fn new(payload: P, selection: *const Selection, case: usize) -> Self {
        Self {
            previous: Cell::new(ptr::null_mut()),
            next: Cell::new(ptr::null_mut()),
            line: Cell::new(NOWHERE),
            phase: Cell::new(Phase::Idle),
            own_call: Call::new(),
            selection,
            case,
            payload: UnsafeCell::new(payload),
            pinned: PhantomPinned,
        }
    }

    #[inline]
    fn selection(&self) -> Option<&Selection> {
        // SAFETY: it is there as long as the place is: see `Place::of`.
        unsafe { self.selection.as_ref() }
    }

    fn call(&self) -> &Call {
        self.selection().map_or(&self.own_call, Selection::call)
    }

    /// Whether it was chosen, given that it was pushed and stands in line no more.
    fn is_chosen(&self) -> bool {
        self.selection().is_none_or(|all| all.has_chosen(self.case))
    }
}

impl<'l, S, P, const N: usize> Place<'l, S, P, N> {
    /// A place in no line.
    pub(crate) fn new(list: &'l WaitList<S, P, N>, payload: P) -> Self {
        Self { list, node: Node::new(payload, ptr::null(), 0) }
    }

    /// A place for one case of a selection.
    pub(crate) fn of(
        list: &'l WaitList<S, P, N>,
        payload: P,
        selection: &'l Selection,
        case: usize,
    ) -> Self {
        Self { list, node: Node::new(payload, selection, case) }
    }

    /// Makes it ready to be pushed, and has it wake `waiter`; none where that is its selection's to
    /// do. Also after an answer.
    #[inline]
    pub(crate) fn begin(self: Pin<&mut Self>, waiter: Option<Waiter>) {
        assert!(self.is_ours(), "it waits");
        debug_assert_eq!(waiter.is_none(), !self.node.selection.is_null());
        if let Some(waiter) = waiter {
            // SAFETY: it stands in no line, and is ours.
            let _before = unsafe { self.node.own_call.begin(waiter) };
        }
        self.node.phase.set(Phase::Begun);
    }

    /// Waits until it is answered, and gives the answer. Where that is to end early, it leaves its
    /// line first, unless it is chosen already: then it is answered.
    ///
    /// It was pushed, and not as a case of a selection.
    ///
    /// `caller` is the waiter that it has begun with, as [`Caller::now`] has it.
    #[inline(always)]
    pub(crate) fn wait(
        self: Pin<&mut Self>,
        caller: Caller,
        limit: &mut Limit,
    ) -> Result<&mut P, TimedOut> {
        if caller.may_spin {
            self.node.own_call.spin();
        }
        let simple = caller.task.filter(|_| matches!(limit, Limit::Never));
        if simple.is_some_and(|task| self.node.own_call.park(task)) {
            return Ok(self.payload().expect("it is answered"));
        }
        // A thread has one flag for all wakes: what it was woken for may be due now, and not
        // raised.
        let may_have_parked = simple.is_some() || caller.task.is_none();
        self.wait_unless(limit, may_have_parked, || false)
    }

    /// The same, and ends early if `is_refused` after a wake, too.
    pub(super) fn wait_unless(
        self: Pin<&mut Self>,
        limit: &mut Limit,
        has_parked: bool,
        is_refused: impl Fn() -> bool,
    ) -> Result<&mut P, TimedOut> {
        assert!(self.node.selection.is_null() && self.node.phase.get() == Phase::Waiting);
        let synchronise = || self.synchronise();
        let leave = || self.list.lock().remove(&self);
        self.node.own_call.wait(limit, has_parked, is_refused, synchronise, leave)?;
        Ok(self.payload().expect("it is answered"))
    }

    /// The same for a future, which looks whether it is answered: has it wake `cx`'s waker if not.
    pub(crate) fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<&mut P> {
        if !self.is_answered() {
            // Cloned before the lock is taken, and dropped after it was let go: the user's code.
            let waiter = Waiter::Waker(cx.waker().clone());
            let list = self.list;
            let _dropped = list.lock().rewait(self.as_mut(), waiter);
        }
        if self.is_answered() {
            return Poll::Ready(self.payload().expect("it is answered"));
        }
        Poll::Pending
    }

    /// Whether it waits no more, or not yet, so that its owner may touch it.
    #[inline]
    fn is_ours(&self) -> bool {
        self.node.phase.get() != Phase::Waiting || self.is_answered()
    }

    /// Whether it was pushed and answered.
    #[inline]
    pub(crate) fn is_answered(&self) -> bool {
        self.node.phase.get() == Phase::Waiting
            && self.node.call().is_answered()
            && self.node.is_chosen()
    }

    /// What it waits with, and what has its answer; none while it waits.
    #[inline]
    pub(crate) fn payload(self: Pin<&mut Self>) -> Option<&mut P> {
        // SAFETY: it is its owner's (invariant 2), who has no other reference to it.
        self.is_ours().then(|| unsafe { &mut *self.node.payload.get() })
    }

    /// Returns once nobody is between choosing it and having answered it, or holding it.
    pub(crate) fn synchronise(&self) {
        drop(self.list.lock());
    }

    /// Leaves its line, if it stands in one, or waits for its answer, if it is held. Returns
    /// whether there is an answer.
    #[cold]
    pub(crate) fn leave(&self) -> bool {
        if !self.is_ours() {
            if self.list.lock().remove(self) || !self.node.is_chosen() {
                return false;
            }
            self.node.call().wait_for_answer(|| self.synchronise());
        }
        self.is_answered()
    }

    pub(crate) fn is_in_line(&self, locked: &Locked<'l, S, P, N>) -> bool {
        assert!(ptr::eq(self.list, locked.list), "a place is for one list");
        self.node.line.get() != NOWHERE
    }
}

impl<S, P, const N: usize> Drop for Place<'_, S, P, N> {
    #[inline]
    fn drop(&mut self) {
        if !self.is_ours() {
            self.leave();
        }
    }
}

impl Caller {
    #[inline]
    pub(crate) fn now() -> Self {
        let task = context::with_parkable(|worker, task| (task, worker.may_spin()));
        Self { task: task.map(|task| task.0), may_spin: task.is_some_and(|task| task.1) }
    }

    #[inline]
    pub(crate) fn waiter(self) -> Waiter {
        self.task.map_or_else(Waiter::current, Waiter::Task)
    }

    /// Looks for a while whether `done`, where the worker has nothing else to do.
    #[inline]
    pub(crate) fn spin_until(self, done: impl Fn() -> bool) -> bool {
        self.may_spin && {
            context::with_parkable(|worker, _| worker.spin_until(&done));
            done()
        }
    }
}
