//! The address space of one arena, and runs of slots in it.
#![expect(unsafe_code, reason = "unmaps memory, and drops its pages")]

use std::io;

use super::size::StackSize;
use super::{guard, headroom, limits, sys};

/// A mapping that holds a whole number of slots. It does not unmap itself: see
/// [`release`](Self::release).
#[derive(Debug)]
pub(super) struct Mapping {
    start: usize,
    size: StackSize,
    slots: usize,
    /// Slots that split the mapping: see `guard.rs`.
    gaps: usize,
}

impl Mapping {
    /// Reserves address space for `slots` slots, or for half as many, and so on down to one, as
    /// long as the kernel refuses.
    pub(super) fn reserve(size: StackSize, slots: usize) -> io::Result<Self> {
        let mut fewer = slots;
        let result = loop {
            match sys::reserve(fewer * size.bytes()) {
                Ok(start) => break Ok(Self { start, size, slots: fewer, gaps: 0 }),
                Err(error) if fewer == 1 => break Err(limits::on_reserve(&error, size.bytes())),
                Err(_) => fewer /= 2,
            }
        };
        if result.is_err() || fewer < slots {
            headroom::let_go();
        }
        result
    }

    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    pub(super) fn run(&self, first: usize, slots: usize) -> Run {
        assert!(first + slots <= self.slots, "{slots} slots from {first} in {self:?}");
        Run { limit: self.start + first * self.size.bytes(), size: self.size, slots }
    }

    /// The slot whose limit is `limit`.
    pub(super) fn slot_of(&self, limit: usize) -> usize {
        let slot = (limit - self.start) / self.size.bytes();
        debug_assert!(slot < self.slots && self.start + slot * self.size.bytes() == limit);
        slot
    }

    pub(super) fn add_gaps(&mut self, gaps: usize) {
        self.gaps += gaps;
    }

    pub(super) fn has_gaps(&self) -> bool {
        self.gaps > 0
    }

    /// Gives all of it back: pages, guards and page tables.
    ///
    /// # Safety
    ///
    /// No slot of it is in use, and none will be taken from it.
    pub(super) unsafe fn release(self) {
        // SAFETY: the whole mapping, of which nothing is in use, as the caller promises.
        unsafe { sys::unmap(self.start, self.slots * self.size.bytes()) };
        guard::forget_gaps(self.gaps);
    }
}

/// Neighbouring slots.
#[derive(Copy, Clone, Debug)]
pub(super) struct Run {
    limit: usize,
    size: StackSize,
    slots: usize,
}

impl Run {
    pub(super) fn limit(self) -> usize {
        self.limit
    }

    pub(super) fn size(self) -> StackSize {
        self.size
    }

    pub(super) fn slots(self) -> usize {
        self.slots
    }

    pub(super) fn bytes(self) -> usize {
        self.slots * self.size.bytes()
    }

    /// The lower half of the run, rounded up.
    pub(super) fn first_half(self) -> Self {
        Self { slots: self.slots.div_ceil(2), ..self }
    }

    /// The limits of its slots, lowest first.
    pub(super) fn limits(self) -> impl Iterator<Item = usize> {
        (0..self.slots).map(move |slot| self.limit + slot * self.size.bytes())
    }

    /// Makes its slots what they were when their mapping was new: without guards, pages and page
    /// tables, and inaccessible.
    ///
    /// # Safety
    ///
    /// As [`drop_pages`](Self::drop_pages), and nobody prepares slots of this run meanwhile.
    pub(super) unsafe fn renew(self) -> io::Result<()> {
        // SAFETY: as in `drop_pages`.
        unsafe { sys::renew(self.limit, self.bytes()) }
    }

    /// Gives the pages of all its slots back; the guards between them stay.
    ///
    /// # Safety
    ///
    /// The slots are the caller's, out of their arena, and hold nothing that will be used.
    pub(super) unsafe fn drop_pages(self) -> io::Result<()> {
        // SAFETY: it lies in a live mapping, since the slots are out of their arena; the rest is
        // the caller's promise.
        unsafe { sys::drop_pages(self.limit, self.bytes()) }
    }
}
