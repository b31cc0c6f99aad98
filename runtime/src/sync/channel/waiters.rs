//! Who waits for a buffer to have room, or a message.
//!
//! The buffer has no lock, so this is the protocol of [`WaitQueue`](crate::wait::WaitQueue) with a
//! flag in place of the lock:
//!
//! - who waits stands in line, sets the flag, *fences*, and looks at the buffer once more;
//! - who changes the buffer does so, *fences*, and looks at the flag.
//!
//! Both fences are `SeqCst`: one of the two sees the other. So while somebody waits, the buffer was
//! not ready when they looked, and each change since has woken one more of them, as long as there
//! were any. One that is woken tries; where somebody was faster it goes back to the front.
//!
//! The flag is changed under the line's lock, and may stay set when the last in line has left by
//! itself. Relaxed otherwise: the fences order it.
//!
//! # Watchers
//!
//! Those that only want to know stand in a line of their own, and every change wakes them all.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use crate::primitive::{AtomicBool, Ordering, fence};
use crate::wait::{Caller, Limit, Place, Selection, TimedOut, WaitList, Waiter, Wakeup};

const WAITERS: usize = 0;
const WATCHERS: usize = 1;

/// See the module.
#[derive(Debug)]
pub(super) struct Waiters {
    anyone: AtomicBool,
    list: WaitList<(), (), 2>,
}

/// A call's, or a case's, place in line.
pub(super) type Standing<'w> = Pin<Box<Place<'w, (), (), 2>>>;

impl Waiters {
    pub(super) fn new() -> Self {
        Self { anyone: AtomicBool::new(false), list: WaitList::new(()) }
    }

    /// The buffer has changed: wakes one who waits for that.
    #[inline]
    pub(super) fn notify(&self) {
        fence(Ordering::SeqCst);
        if self.anyone.load(Ordering::Relaxed) {
            self.notify_slow(1);
        }
    }

    /// The same, for all of them.
    pub(super) fn notify_all(&self) {
        fence(Ordering::SeqCst);
        if self.anyone.load(Ordering::Relaxed) {
            self.notify_slow(usize::MAX);
        }
    }

    #[inline(never)]
    fn notify_slow(&self, most: usize) {
        let (first, rest) = {
            let mut list = self.list.lock();
            let first = list.choose(WAITERS).and_then(|chosen| chosen.answer());
            let mut rest = Vec::new();
            for _ in 1..most {
                let Some(chosen) = list.choose(WAITERS) else { break };
                rest.extend(chosen.answer());
            }
            while let Some(chosen) = list.choose(WATCHERS) {
                rest.extend(chosen.answer());
            }
            if list.is_empty(WAITERS) {
                self.anyone.store(false, Ordering::Relaxed);
            }
            (first, rest)
        };
        first.into_iter().chain(rest).for_each(Wakeup::deliver);
    }

    /// Waits until `is_ready`, or for no reason. `again` says that it was
    /// woken before.
    #[inline]
    pub(super) fn wait(
        &self,
        limit: &mut Limit,
        again: &mut bool,
        is_ready: impl Fn() -> bool,
    ) -> Result<(), TimedOut> {
        let caller = Caller::now();
        if caller.spin_until(&is_ready) {
            return Ok(());
        }
        let mut place = pin!(Place::new(&self.list, ()));
        place.as_mut().begin(Some(caller.waiter()));
        self.stand(place.as_ref(), WAITERS, *again);
        if is_ready() {
            return Ok(());
        }
        *again = true;
        place.wait(caller, limit).copied()
    }

    /// A place for a case of a selection, in line.
    pub(super) fn register<'w>(
        &'w self,
        selection: &'w Selection,
        case: usize,
        watches: bool,
    ) -> Standing<'w> {
        let mut place = Box::pin(Place::of(&self.list, (), selection, case));
        place.as_mut().begin(None);
        self.stand(place.as_ref(), if watches { WATCHERS } else { WAITERS }, false);
        place
    }

    /// What [`wait`](Self::wait) is for a future, which keeps its place in `standing`.
    pub(super) fn poll<'w>(
        &'w self,
        cx: &mut Context<'_>,
        standing: &mut Option<Standing<'w>>,
        is_ready: impl Fn() -> bool,
    ) -> Poll<()> {
        // Cloned, and what it replaces dropped, without the lock: both are the user's code.
        let mut waiter = Some(Waiter::Waker(cx.waker().clone()));
        let again = standing.is_some();
        let place = standing.get_or_insert_with(|| Box::pin(Place::new(&self.list, ())));
        let _replaced = {
            let mut list = self.list.lock();
            let waiter = if place.is_in_line(&list) { waiter.take() } else { None };
            waiter.and_then(|waiter| list.rewait(place.as_mut(), waiter))
        };
        if waiter.is_some() {
            place.as_mut().begin(waiter);
            self.stand(place.as_ref(), WAITERS, again);
        }
        if is_ready() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// A future leaves without what it was woken for, if it was: that is for the next.
    pub(super) fn forget(&self, standing: Option<Standing<'_>>) {
        if standing.is_some_and(|place| place.leave()) {
            self.notify();
        }
    }

    fn stand<'w>(&'w self, place: Pin<&Place<'w, (), (), 2>>, line: usize, again: bool) {
        {
            let mut list = self.list.lock();
            self.anyone.store(true, Ordering::Relaxed);
            if again {
                list.push_front(line, place);
            } else {
                list.push_back(line, place);
            }
        }
        fence(Ordering::SeqCst);
    }
}
