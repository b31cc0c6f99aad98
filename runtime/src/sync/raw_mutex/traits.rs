//! [`lock_api`]'s traits. All is waited for to the end.
#![expect(unsafe_code, reason = "lock_api's traits are promises")]

use std::time::{Duration, Instant};

use super::{LOCKED, RawMutex, WAITERS, locker};
use crate::context;
use crate::primitive::Ordering;
use crate::wait::Limit;

// SAFETY: `LOCKED` is set by an exchange of a word without it, whose maker has the lock; or stays
// set, for one call that is told so. Who has the lock clears it.
unsafe impl lock_api::RawMutex for RawMutex {
    const INIT: Self = Self::new();

    type GuardMarker = lock_api::GuardSend;

    #[inline]
    fn lock(&self) {
        self.lock_quietly(Limit::Never);
    }

    #[inline]
    fn try_lock(&self) -> bool {
        self.try_lock_as(locker(context::current_id()))
    }

    #[inline]
    unsafe fn unlock(&self) {
        self.unlock_as(false);
    }

    fn is_locked(&self) -> bool {
        self.word.load(Ordering::Relaxed) & LOCKED != 0
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawMutexFair for RawMutex {
    unsafe fn unlock_fair(&self) {
        self.unlock_as(true);
    }

    unsafe fn bump(&self) {
        if self.word.load(Ordering::Relaxed) & WAITERS != 0 {
            self.unlock_as(true);
            self.lock_quietly(Limit::Never);
        }
    }
}

// SAFETY: as above; true is returned where it is locked.
unsafe impl lock_api::RawMutexTimed for RawMutex {
    type Duration = Duration;
    type Instant = Instant;

    fn try_lock_for(&self, timeout: Duration) -> bool {
        self.lock_quietly(Limit::After(timeout))
    }

    fn try_lock_until(&self, deadline: Instant) -> bool {
        self.lock_quietly(Limit::At(deadline))
    }
}
