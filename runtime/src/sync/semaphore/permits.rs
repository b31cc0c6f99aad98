//! The count of a semaphore, and the line of those who wait for it.
//!
//! # States
//!
//! The word holds the permits that are free, and two flags.
//!
//! - *waited for*: somebody may stand in line. Set under the line's lock by who goes to stand
//!   there, taken back under it by who finds the line empty. While it is set nobody takes permits
//!   without the lock, so nobody overtakes; and who gives permits back goes on to hand them out.
//! - *closed*: for good. Set under the lock.
//!
//! Permits that are free go to the first in line, as many as there are, until it has all. So while
//! somebody stands in line none are free, but for those that are just being handed out.
//!
//! # Why no permit is lost
//!
//! Who goes to stand in line takes what is free in the same exchange that sets *waited for*. What
//! is given back before that it has; who gives back after that sees the flag, and takes the lock.
//!
//! A call that ends early gives back what it had been handed so far; see [`Asking`].
//!
//! # Memory ordering
//!
//! Permits are given back with Release and taken with Acquire, so that who takes one sees what was
//! done by who had it before; exchanges in between belong to the same release sequence. Who is
//! handed permits has them from the lock, or by its answer. The flags publish nothing that is not
//! under the lock, but for *closed*: what was done before `close` is seen by who finds it closed.

use std::ops::DerefMut;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use super::error::{AcquireTimeoutError, TryAcquireError};
use crate::primitive::{AtomicUsize, Ordering};
use crate::wait::{Caller, Limit, Locked, Place, WaitList, Waiter, Wakeups};

const CLOSED: usize = 1;
const WAITED_FOR: usize = 2;
const FLAGS: usize = CLOSED | WAITED_FOR;
const SHIFT: u32 = 2;

/// See the module.
#[derive(Debug)]
pub(super) struct Permits {
    word: AtomicUsize,
    line: WaitList<(), Want>,
}

/// What a call stands in line for.
#[derive(Debug)]
struct Want {
    wanted: u32,
    /// What it has not been handed yet.
    missing: u32,
    is_refused: bool,
}

/// Why none were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Closed;

impl Want {
    fn new(wanted: u32) -> Self {
        Self { wanted, missing: wanted, is_refused: false }
    }
}

impl Permits {
    pub(super) const MAX: usize = usize::MAX >> 3;

    #[cfg(not(sedge_loom))]
    pub(super) const fn new(permits: usize) -> Self {
        Self { word: AtomicUsize::new(Self::checked(permits) << SHIFT), line: WaitList::new(()) }
    }

    #[cfg(sedge_loom)]
    pub(super) fn new(permits: usize) -> Self {
        Self { word: AtomicUsize::new(Self::checked(permits) << SHIFT), line: WaitList::new(()) }
    }

    const fn checked(permits: usize) -> usize {
        assert!(permits <= Self::MAX, "a semaphore has `MAX_PERMITS` permits at most");
        permits
    }

    pub(super) fn free(&self) -> usize {
        self.word.load(Ordering::Acquire) >> SHIFT
    }

    pub(super) fn is_closed(&self) -> bool {
        self.word.load(Ordering::Acquire) & CLOSED != 0
    }

    #[inline]
    pub(super) fn try_take(&self, wanted: u32) -> Result<(), TryAcquireError> {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if word & FLAGS != 0 {
                if word & CLOSED != 0 {
                    return Err(TryAcquireError::Closed);
                }
                // Who is in line comes first; nobody waits for nothing.
                if wanted > 0 {
                    return Err(TryAcquireError::NoPermits);
                }
            }
            if word >> SHIFT < wanted as usize {
                return Err(TryAcquireError::NoPermits);
            }
            match self.exchange(word, word - ((wanted as usize) << SHIFT)) {
                Ok(()) => return Ok(()),
                Err(now) => word = now,
            }
        }
    }

    #[inline]
    fn exchange(&self, from: usize, to: usize) -> Result<(), usize> {
        let exchanged =
            self.word.compare_exchange_weak(from, to, Ordering::Acquire, Ordering::Acquire);
        exchanged.map(|_| ())
    }

    /// Takes `wanted` permits, after all who have come before.
    #[inline]
    pub(super) fn take(&self, wanted: u32, limit: &mut Limit) -> Result<(), AcquireTimeoutError> {
        if self.try_take(wanted).is_ok() {
            return Ok(());
        }
        self.take_slow(wanted, limit)
    }

    #[inline(never)]
    fn take_slow(&self, wanted: u32, limit: &mut Limit) -> Result<(), AcquireTimeoutError> {
        let mut place = pin!(Place::new(&self.line, Want::new(wanted)));
        let caller = Caller::now();
        let mut asking = Asking { permits: self, place: place.as_mut() };
        if let Some(taken) = asking.begin(caller.waiter()) {
            return taken.map_err(|Closed| AcquireTimeoutError::Closed);
        }
        if asking.place.as_mut().wait(caller, limit).is_err() {
            return Err(AcquireTimeoutError::Timeout);
        }
        asking.accept().map_err(|Closed| AcquireTimeoutError::Closed)
    }

    /// The same for a future.
    pub(super) fn taking(&self, wanted: u32) -> Taking<'_> {
        Taking { permits: self, wanted, asking: None }
    }

    /// Takes at most `count` of those that are free, whoever waits.
    pub(super) fn take_up_to(&self, count: usize) -> usize {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let taken = count.min(word >> SHIFT);
            match self.exchange(word, word - (taken << SHIFT)) {
                Ok(()) => return taken,
                Err(now) => word = now,
            }
        }
    }

    /// Gives back permits that were taken.
    #[inline]
    pub(super) fn give(&self, permits: u32) {
        // The count cannot run over into nothing: of permits that were forgotten and made anew a
        // billion calls would have to hold the most that one can.
        let before = self.word.fetch_add((permits as usize) << SHIFT, Ordering::Release);
        if before & WAITED_FOR != 0 {
            self.hand_out();
        }
    }

    /// Makes permits.
    pub(super) fn add(&self, permits: usize) {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let sum = (word >> SHIFT).checked_add(permits).filter(|sum| *sum <= Self::MAX);
            let sum = sum.expect("a semaphore has `MAX_PERMITS` permits at most");
            let next = (sum << SHIFT) | (word & FLAGS);
            match self.word.compare_exchange_weak(word, next, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        if word & WAITED_FOR != 0 {
            self.hand_out();
        }
    }

    /// Hands what is free to those in line.
    #[cold]
    fn hand_out(&self) {
        let mut wakeups = Wakeups::default();
        {
            let mut line = self.line.lock();
            loop {
                let Some(first) = line.first(0) else {
                    // Relaxed: the lock orders it with who sets it.
                    self.word.fetch_and(!WAITED_FOR, Ordering::Relaxed);
                    break;
                };
                first.missing -= self.take_up_to(first.missing as usize) as u32;
                if first.missing > 0 {
                    break;
                }
                wakeups.push(line.choose(0).and_then(|first| first.answer()));
            }
        }
        wakeups.deliver();
    }

    /// Refuses those in line, and all who come later.
    pub(super) fn close(&self) {
        let mut wakeups = Wakeups::default();
        {
            let mut line = self.line.lock();
            self.word.fetch_or(CLOSED, Ordering::Release);
            while let Some(mut first) = line.choose(0) {
                first.is_refused = true;
                wakeups.push(first.answer());
            }
            self.word.fetch_and(!WAITED_FOR, Ordering::Relaxed);
        }
        wakeups.deliver();
    }

    /// Under the lock: takes `wanted` permits at once, if it is its caller's turn. Otherwise what
    /// there is, and returns how many are missing; nobody overtakes from then on.
    fn take_or_reserve(
        &self,
        line: &Locked<'_, (), Want>,
        wanted: u32,
    ) -> Result<Option<u32>, Closed> {
        let is_first = line.is_empty(0);
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if word & CLOSED != 0 {
                return Err(Closed);
            }
            let free = if is_first { word >> SHIFT } else { 0 };
            let taken = free.min(wanted as usize) as u32;
            let missing = wanted - taken;
            let flag = if missing > 0 { WAITED_FOR } else { 0 };
            let next = (word - ((taken as usize) << SHIFT)) | flag;
            match self.exchange(word, next) {
                Ok(()) => return Ok((missing > 0).then_some(missing)),
                Err(now) => word = now,
            }
        }
    }
}

/// A call that asks for permits. Dropped, it leaves the line, and gives back what it has not
/// [accepted](Self::accept): a cancelled wait, a future that is dropped, or one that was refused.
#[derive(Debug)]
struct Asking<'p, P: DerefMut<Target = Place<'p, (), Want>>> {
    permits: &'p Permits,
    place: Pin<P>,
}

impl<'p, P: DerefMut<Target = Place<'p, (), Want>>> Asking<'p, P> {
    /// Takes the permits at once, or stands in line for them.
    fn begin(&mut self, waiter: Waiter) -> Option<Result<(), Closed>> {
        self.place.as_mut().begin(Some(waiter));
        let want = self.place.as_mut().payload().expect("it does not wait yet");
        let mut line = self.permits.line.lock();
        match self.permits.take_or_reserve(&line, want.wanted) {
            Err(Closed) => Some(Err(Closed)),
            Ok(None) => {
                want.missing = want.wanted;
                Some(Ok(()))
            }
            Ok(Some(missing)) => {
                want.missing = missing;
                line.push_back(0, self.place.as_ref());
                None
            }
        }
    }

    /// The answer. What it has been handed is the caller's from now on.
    fn accept(&mut self) -> Result<(), Closed> {
        let want = self.place.as_mut().payload().expect("it is answered");
        if want.is_refused {
            return Err(Closed);
        }
        want.missing = want.wanted;
        Ok(())
    }
}

impl<'p, P: DerefMut<Target = Place<'p, (), Want>>> Drop for Asking<'p, P> {
    fn drop(&mut self) {
        self.place.leave();
        let want = self.place.as_mut().payload().expect("it has left the line");
        let handed = want.wanted - want.missing;
        if handed > 0 {
            self.permits.give(handed);
        }
    }
}

/// See [`Permits::taking`].
#[derive(Debug)]
pub(super) struct Taking<'p> {
    permits: &'p Permits,
    wanted: u32,
    asking: Option<Asking<'p, Box<Place<'p, (), Want>>>>,
}

impl Future for Taking<'_> {
    type Output = Result<(), TryAcquireError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let permits = self.permits;
        let wanted = self.wanted;
        let taken = match &mut self.asking {
            Some(asking) => match asking.place.as_mut().poll(cx) {
                Poll::Ready(_) => asking.accept(),
                Poll::Pending => return Poll::Pending,
            },
            None => {
                if permits.try_take(wanted).is_ok() {
                    return Poll::Ready(Ok(()));
                }
                let waiter = Waiter::Waker(cx.waker().clone());
                let place = Box::pin(Place::new(&permits.line, Want::new(wanted)));
                let mut asking = Asking { permits, place };
                match asking.begin(waiter) {
                    Some(taken) => taken,
                    None => {
                        self.asking = Some(asking);
                        return Poll::Pending;
                    }
                }
            }
        };
        self.asking = None;
        Poll::Ready(taken.map_err(|Closed| TryAcquireError::Closed))
    }
}

#[cfg(all(test, sedge_loom))]
mod model {
    use std::future::poll_fn;
    use std::pin::{Pin, pin};
    use std::task::{Context, Waker};

    use loom::future::block_on;
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicUsize;
    use loom::thread;

    use super::Permits;
    use crate::primitive::Ordering;

    fn take(permits: &Permits, wanted: u32) -> bool {
        let mut taking = permits.taking(wanted);
        block_on(poll_fn(|cx| Pin::new(&mut taking).poll(cx))).is_ok()
    }

    /// One permit for two: each gets in, one at a time, and sees what the other has done.
    #[test]
    fn a_permit_goes_round() {
        loom::model(|| {
            let shared = Arc::new((Permits::new(1), AtomicUsize::new(0)));
            let enter = |shared: &(Permits, AtomicUsize)| {
                assert!(take(&shared.0, 1));
                let seen = shared.1.load(Ordering::Relaxed);
                shared.1.store(seen + 1, Ordering::Relaxed);
                shared.0.give(1);
            };
            let other = thread::spawn({
                let shared = shared.clone();
                move || enter(&shared)
            });
            enter(&shared);
            other.join().unwrap();
            assert_eq!((shared.0.free(), shared.1.load(Ordering::Relaxed)), (1, 2));
        });
    }

    /// Who wants two is handed them one by one, while somebody else comes for one.
    #[test]
    fn a_large_request_gets_its_turn() {
        loom::model(|| {
            let permits = Arc::new(Permits::new(1));
            let large = thread::spawn({
                let permits = permits.clone();
                move || {
                    assert!(take(&permits, 2));
                    permits.give(2);
                }
            });
            if permits.try_take(1).is_ok() {
                permits.give(1);
            }
            permits.add(1);
            large.join().unwrap();
            assert_eq!(permits.free(), 2);
        });
    }

    /// A future is dropped while permits come: with them, or before.
    #[test]
    fn who_leaves_gives_back() {
        loom::model(|| {
            let permits = Arc::new(Permits::new(0));
            let other = thread::spawn({
                let permits = permits.clone();
                move || assert!(take(&permits, 1))
            });
            let giver = thread::spawn({
                let permits = permits.clone();
                move || permits.add(1)
            });
            {
                let mut leaving = pin!(permits.taking(1));
                if leaving.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                    permits.give(1);
                }
            }
            other.join().unwrap();
            giver.join().unwrap();
            assert_eq!(permits.free(), 0);
        });
    }

    /// Whoever waits or comes when it is closed is told, or was before.
    #[test]
    fn closing_tells_all() {
        loom::model(|| {
            let permits = Arc::new(Permits::new(1));
            let takers: Vec<_> = (0..2)
                .map(|_| {
                    let permits = permits.clone();
                    thread::spawn(move || u32::from(take(&permits, 1)))
                })
                .collect();
            permits.close();
            let taken: u32 = takers.into_iter().map(|taker| taker.join().unwrap()).sum();
            assert!(taken <= 1);
            assert_eq!(permits.free(), 1 - taken as usize);
        });
    }
}
