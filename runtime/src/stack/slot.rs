//! One stack.
#![expect(unsafe_code, reason = "promises corosensei that the memory is a stack with a guard")]

use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Range;

use corosensei::stack::StackPointer;

use super::high_water;
use super::size::{STAGGER_BYTES, StackSize};

/// A slot of an arena, and the right to run on it. Sixteen bytes: one lives in every task's header.
///
/// It comes from [`StackCache::take`](super::StackCache::take) and ends in
/// [`StackCache::put`](super::StackCache::put). Dropping it instead leaks the slot: see the
/// module's header.
///
/// # Invariants
///
/// 1. `limit()..limit() + size().bytes()` is a slot of the live arena `arena()` of that size's
///    pool.
/// 2. Its guard is installed, and the rest of it is readable and writable.
/// 3. No two live `Stack`s name one slot, so owning one is owning that memory.
#[must_use = "dropping a stack leaks it: put it back"]
pub(crate) struct Stack {
    /// What every switch asks for.
    base: NonZeroUsize,
    /// The size in the lowest byte, the steps of the stagger in the next, the arena above. Two
    /// words move as two words; more fields were stored one by one and loaded as a whole, and that
    /// load had to wait for the stores.
    place: u64,
}

impl Stack {
    /// Names a slot. The caller has taken it out of its arena, which is what upholds the
    /// invariants.
    pub(super) fn of_slot(limit: usize, arena: u32, size: StackSize) -> Self {
        let steps = size.stagger_steps(limit);
        let base = limit + size.bytes() - steps * STAGGER_BYTES;
        let base = NonZeroUsize::new(base).expect("no mapping ends at address zero");
        Self { base, place: u64::from(arena) << 16 | (steps as u64) << 8 | size.class() as u64 }
    }

    /// The stack's size class.
    #[inline]
    pub(crate) fn size(&self) -> StackSize {
        StackSize::of_class((self.place & 0xff) as usize)
    }

    /// Where the stack is, for who runs on it while another owns it.
    #[inline]
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds::of(self.limit_address(), self.size())
    }

    /// See [`Bounds::guard`].
    #[cfg(test)]
    pub(crate) fn guard(&self) -> Range<usize> {
        self.bounds().guard()
    }

    /// See [`Bounds::high_water`].
    #[cfg(test)]
    pub(crate) fn high_water(&self) -> usize {
        self.bounds().high_water()
    }

    pub(super) fn limit_address(&self) -> usize {
        let steps = (self.place >> 8 & 0xff) as usize;
        self.base.get() + steps * STAGGER_BYTES - self.size().bytes()
    }

    pub(super) fn arena(&self) -> u32 {
        (self.place >> 16) as u32
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Stack({:#x}, {} bytes, arena {})",
            self.limit_address(),
            self.size().bytes(),
            self.arena()
        )
    }
}

/// Where a stack is, without the right to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    limit: usize,
    size: StackSize,
}

impl Bounds {
    /// Of the stack whose lowest address is `limit`.
    pub(crate) fn of(limit: usize, size: StackSize) -> Self {
        Self { limit, size }
    }

    /// The stack's lowest address.
    pub(crate) fn limit(self) -> usize {
        self.limit
    }

    /// The addresses of the guard: a fault there is an overflow of this stack.
    pub(crate) fn guard(self) -> Range<usize> {
        self.limit..self.limit + self.size.guard_bytes()
    }

    fn base(self) -> usize {
        self.limit + self.size.bytes() - self.size.stagger_steps(self.limit) * STAGGER_BYTES
    }

    /// Bytes from the base down to the lowest word that was ever written (to a value other than
    /// zero), found without touching a page that is not resident.
    ///
    /// This is the mark of the slot, not of the running task alone: it speaks of every task that
    /// used the slot since its pages were last given back. A page that was swapped out counts as
    /// never touched. One system call for each 1 MiB of the stack. The stack is not back in a cache
    /// yet: of one that is, the trimmer may be unmapping what is read here.
    pub(crate) fn high_water(self) -> usize {
        high_water::measure(self.guard().end, self.base())
    }
}

// SAFETY: by invariant 2 there is a guard at the limit, and what is left is at least three pages of
// a slot of four (`StackSize`, invariant 2) less 1 KiB: more than MIN_STACK_SIZE. By invariant 3 it
// is this value's alone. Slots begin on a page and the stagger is a multiple of 64, so both ends
// are aligned.
unsafe impl corosensei::stack::Stack for Stack {
    #[inline]
    fn base(&self) -> StackPointer {
        self.base
    }

    #[inline]
    fn limit(&self) -> StackPointer {
        NonZeroUsize::new(self.limit_address()).expect("no mapping begins at address zero")
    }
}
