//! Size classes of stacks.
//!
//! A size is what a stack takes of address space, its guard included. Sizes are powers of two, so
//! that an arena is an array of equal slots and a stack that came back fits every later request of
//! its class; one class is never served from another.
use std::io;

use super::sys;

/// The smallest stack. A signal frame takes up to 12 KiB where AMX is in use, and printing a panic
/// with a full backtrace takes 22 KiB.
pub(crate) const STACK_BYTES_MIN: usize = 32 << 10;

/// The largest stack.
pub(crate) const STACK_BYTES_MAX: usize = 64 << 20;

/// What a task gets that does not ask. Address space, not memory: only touched pages are resident.
pub(crate) const STACK_BYTES_DEFAULT: usize = 256 << 10;

const LOG2_MIN: u8 = STACK_BYTES_MIN.trailing_zeros() as u8;
const LOG2_MAX: u8 = STACK_BYTES_MAX.trailing_zeros() as u8;
const _: () = assert!(STACK_BYTES_MIN == 1 << LOG2_MIN && STACK_BYTES_MAX == 1 << LOG2_MAX);

/// From this size up, a slot can spare a guard of [`GUARD_BYTES_LARGE`].
const LARGE_BYTES: usize = 256 << 10;

/// The guard of a large slot. C code is compiled without stack probes: a frame of some thousand
/// bytes could step over a guard of one page and into the neighbour's live stack.
const GUARD_BYTES_LARGE: usize = 32 << 10;

/// Tops are staggered by this much from slot to slot: a cache line.
pub(super) const STAGGER_BYTES: usize = 64;

/// So many different tops, after which they repeat: they stay within 1 KiB.
const STAGGER_STEPS: usize = 16;

/// A size class: a power of two from 32 KiB to 64 MiB, the guard included.
///
/// # Invariants
///
/// 1. The value is the size's binary logarithm, from `LOG2_MIN` to `LOG2_MAX`.
/// 2. The size is at least four pages (which matters where pages are larger than 8 KiB).
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct StackSize(u8);

impl StackSize {
    /// How many classes there are; [`class`](Self::class) is less.
    pub(super) const CLASSES: usize = (LOG2_MAX - LOG2_MIN + 1) as usize;

    /// The smallest class that holds `bytes`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if `bytes` is less than [`STACK_BYTES_MIN`] or more than [`STACK_BYTES_MAX`].
    pub(crate) fn new(bytes: usize) -> io::Result<Self> {
        if !(STACK_BYTES_MIN..=STACK_BYTES_MAX).contains(&bytes) {
            let limits = format!(
                "a task's stack has from {STACK_BYTES_MIN} bytes (32 KiB) to {STACK_BYTES_MAX} \
                 bytes (64 MiB), its guard included: {bytes} were asked for"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, limits));
        }
        let bytes = bytes.max(4 * sys::page_bytes()).next_power_of_two();
        // INVARIANT: 1 and 2: clamped on both sides, and pages are at most 64 KiB.
        Ok(Self(bytes.trailing_zeros() as u8))
    }

    /// Bytes of address space, the guard included.
    #[inline]
    pub(crate) fn bytes(self) -> usize {
        1 << self.0
    }

    /// Bytes of the guard at the slot's limit.
    pub(super) fn guard_bytes(self) -> usize {
        if self.bytes() >= LARGE_BYTES {
            GUARD_BYTES_LARGE.max(sys::page_bytes())
        } else {
            sys::page_bytes()
        }
    }

    /// The place of this class in an array of all.
    #[inline]
    pub(super) fn class(self) -> usize {
        usize::from(self.0 - LOG2_MIN)
    }

    /// The class at that place, if these pages are small enough for it to exist.
    #[inline]
    pub(super) fn of_class(class: usize) -> Self {
        debug_assert!(class < Self::CLASSES);
        Self(LOG2_MIN + class as u8)
    }

    /// How far below its slot's end the base of a stack lies, in steps of [`STAGGER_BYTES`].
    ///
    /// Slots are aligned alike: without this, the hot frames of all parked tasks would compete for
    /// the same few sets of every cache.
    pub(super) fn stagger_steps(self, limit: usize) -> usize {
        (limit >> self.0) % STAGGER_STEPS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_up_to_powers_of_two() {
        let cases = [
            (STACK_BYTES_MIN, STACK_BYTES_MIN),
            (STACK_BYTES_MIN + 1, 2 * STACK_BYTES_MIN),
            (200_000, STACK_BYTES_DEFAULT),
            (STACK_BYTES_MAX - 1, STACK_BYTES_MAX),
            (STACK_BYTES_MAX, STACK_BYTES_MAX),
        ];
        for (asked, given) in cases {
            assert_eq!(StackSize::new(asked).unwrap().bytes(), given.max(4 * sys::page_bytes()));
        }
    }

    #[test]
    fn out_of_range_names_the_limits() {
        for bytes in [0, STACK_BYTES_MIN - 1, STACK_BYTES_MAX + 1, usize::MAX] {
            let error = StackSize::new(bytes).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains("67108864"), "{error}");
        }
    }

    #[test]
    fn classes_are_numbered_in_order() {
        for class in 0..StackSize::CLASSES {
            let size = StackSize::of_class(class);
            assert_eq!(size.class(), class);
            assert_eq!(size.bytes(), STACK_BYTES_MIN << class);
            assert!(size.guard_bytes() < size.bytes());
        }
    }

    #[test]
    fn tops_stay_within_a_kibibyte() {
        let size = StackSize::new(STACK_BYTES_DEFAULT).unwrap();
        let tops: Vec<usize> =
            (0..64).map(|slot| STAGGER_BYTES * size.stagger_steps(slot * size.bytes())).collect();
        assert!(tops.iter().all(|top| *top < 1024 && top % 16 == 0));
        assert!(tops.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
