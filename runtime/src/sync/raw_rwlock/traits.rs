//! [`lock_api`]'s traits. All unlocking is fair here, and all is waited for to the end.
#![expect(unsafe_code, reason = "lock_api's traits are promises")]

use std::time::{Duration, Instant};

use super::{Access, RawRwLock, WAITERS, WRITER};
use crate::primitive::Ordering;
use crate::wait::Limit;

// SAFETY: `WRITER` is set in a word without readers, `UPGRADABLE` and `WRITER`. A reader is
// counted, and `UPGRADABLE` set, in one without `WRITER`; the latter in one without itself. Who has
// such a share takes it back.
unsafe impl lock_api::RawRwLock for RawRwLock {
    const INIT: Self = Self::new();

    type GuardMarker = lock_api::GuardSend;

    #[inline]
    fn lock_shared(&self) {
        self.lock_quietly(Access::Read, Limit::Never);
    }

    #[inline]
    fn try_lock_shared(&self) -> bool {
        self.try_lock_as(Access::Read)
    }

    #[inline]
    unsafe fn unlock_shared(&self) {
        self.unlock_as(Access::Read);
    }

    #[inline]
    fn lock_exclusive(&self) {
        self.lock_quietly(Access::Write, Limit::Never);
    }

    #[inline]
    fn try_lock_exclusive(&self) -> bool {
        self.try_lock_as(Access::Write)
    }

    #[inline]
    unsafe fn unlock_exclusive(&self) {
        self.unlock_as(Access::Write);
    }

    fn is_locked(&self) -> bool {
        self.word.load(Ordering::Relaxed) & !WAITERS != 0
    }

    fn is_locked_exclusive(&self) -> bool {
        self.word.load(Ordering::Relaxed) & WRITER != 0
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawRwLockFair for RawRwLock {
    unsafe fn unlock_shared_fair(&self) {
        self.unlock_as(Access::Read);
    }

    unsafe fn unlock_exclusive_fair(&self) {
        self.unlock_as(Access::Write);
    }

    unsafe fn bump_shared(&self) {
        self.bump(Access::Read);
    }

    unsafe fn bump_exclusive(&self) {
        self.bump(Access::Write);
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawRwLockDowngrade for RawRwLock {
    unsafe fn downgrade(&self) {
        self.exchange_share(Access::Write, Access::Read);
    }
}

// SAFETY: as above; true is returned where it is locked.
unsafe impl lock_api::RawRwLockTimed for RawRwLock {
    type Duration = Duration;
    type Instant = Instant;

    fn try_lock_shared_for(&self, timeout: Duration) -> bool {
        self.lock_quietly(Access::Read, Limit::After(timeout))
    }

    fn try_lock_shared_until(&self, deadline: Instant) -> bool {
        self.lock_quietly(Access::Read, Limit::At(deadline))
    }

    fn try_lock_exclusive_for(&self, timeout: Duration) -> bool {
        self.lock_quietly(Access::Write, Limit::After(timeout))
    }

    fn try_lock_exclusive_until(&self, deadline: Instant) -> bool {
        self.lock_quietly(Access::Write, Limit::At(deadline))
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawRwLockRecursive for RawRwLock {
    #[inline]
    fn lock_shared_recursive(&self) {
        self.lock_quietly(Access::ReadRecursively, Limit::Never);
    }

    #[inline]
    fn try_lock_shared_recursive(&self) -> bool {
        self.try_lock_as(Access::ReadRecursively)
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawRwLockRecursiveTimed for RawRwLock {
    fn try_lock_shared_recursive_for(&self, timeout: Duration) -> bool {
        self.lock_quietly(Access::ReadRecursively, Limit::After(timeout))
    }

    fn try_lock_shared_recursive_until(&self, deadline: Instant) -> bool {
        self.lock_quietly(Access::ReadRecursively, Limit::At(deadline))
    }
}

// SAFETY: as above. Who upgrades has `UPGRADABLE` until it has `WRITER` in its place.
unsafe impl lock_api::RawRwLockUpgrade for RawRwLock {
    #[inline]
    fn lock_upgradable(&self) {
        self.lock_quietly(Access::Upgradable, Limit::Never);
    }

    #[inline]
    fn try_lock_upgradable(&self) -> bool {
        self.try_lock_as(Access::Upgradable)
    }

    #[inline]
    unsafe fn unlock_upgradable(&self) {
        self.unlock_as(Access::Upgradable);
    }

    #[inline]
    unsafe fn upgrade(&self) {
        self.lock_quietly(Access::Upgrade, Limit::Never);
    }

    #[inline]
    unsafe fn try_upgrade(&self) -> bool {
        self.try_lock_as(Access::Upgrade)
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawRwLockUpgradeFair for RawRwLock {
    unsafe fn unlock_upgradable_fair(&self) {
        self.unlock_as(Access::Upgradable);
    }

    unsafe fn bump_upgradable(&self) {
        self.bump(Access::Upgradable);
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawRwLockUpgradeDowngrade for RawRwLock {
    unsafe fn downgrade_upgradable(&self) {
        self.exchange_share(Access::Upgradable, Access::Read);
    }

    unsafe fn downgrade_to_upgradable(&self) {
        self.exchange_share(Access::Write, Access::Upgradable);
    }
}

// SAFETY: as above; true is returned where it is locked, or upgraded.
unsafe impl lock_api::RawRwLockUpgradeTimed for RawRwLock {
    fn try_lock_upgradable_for(&self, timeout: Duration) -> bool {
        self.lock_quietly(Access::Upgradable, Limit::After(timeout))
    }

    fn try_lock_upgradable_until(&self, deadline: Instant) -> bool {
        self.lock_quietly(Access::Upgradable, Limit::At(deadline))
    }

    unsafe fn try_upgrade_for(&self, timeout: Duration) -> bool {
        self.lock_quietly(Access::Upgrade, Limit::After(timeout))
    }

    unsafe fn try_upgrade_until(&self, deadline: Instant) -> bool {
        self.lock_quietly(Access::Upgrade, Limit::At(deadline))
    }
}

impl RawRwLock {
    /// Lets go of it, and locks it again behind those who wait.
    fn bump(&self, access: Access) {
        if self.word.load(Ordering::Relaxed) & WAITERS != 0 {
            self.unlock_as(access);
            self.lock_quietly(access, Limit::Never);
        }
    }
}
