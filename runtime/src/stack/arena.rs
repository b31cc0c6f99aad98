//! The books of one arena: which of its slots are free, and which of those are worth trimming.
//!
//! A slot moves through these states; only the pool's lock is needed, for the books alone.
//!
//! ```text
//!  uncarved --carve--> free, cold --take--> taken --put--> free, warm --mark--> free, warm, idle
//!                          ^                  ^                |                      |
//!                          |                  +------take------+---------take---------+
//!                          +------- put_cold ------- trimming <------begin_trim-------+
//! ```
//!
//! *Warm* slots may have pages, *cold* ones have none; *idle* ones were free when the trimmer last
//! came by and have been ever since. `trimming` is `taken` by the trimmer, which drops the pages
//! without a lock.
//!
//! Slots are taken lowest first. So live ones gather at low addresses of early arenas, and late
//! arenas become wholly free, which is when their page tables can go.
use super::guard::Prepared;
use super::mapping::{Mapping, Run};
use super::size::StackSize;
use super::slot::Stack;

const BITS: usize = u64::BITS as usize;

/// An arena. Its address space is released by the trimmer only, when it is wholly free.
#[derive(Debug)]
pub(super) struct Arena {
    mapping: Mapping,
    size: StackSize,
    /// Slots below have guards; those from here on were never used.
    carved: usize,
    /// How many bits of `free` are set.
    free_slots: usize,
    /// No word of `free` below this one has a bit set.
    lowest_word: usize,
    free: Box<[u64]>,
    warm: Box<[u64]>,
    idle: Box<[u64]>,
}

impl Arena {
    pub(super) fn new(size: StackSize, mapping: Mapping) -> Self {
        let bits = || vec![0; mapping.slots().div_ceil(BITS)].into_boxed_slice();
        let (free, warm, idle) = (bits(), bits(), bits());
        Self { mapping, size, carved: 0, free_slots: 0, lowest_word: 0, free, warm, idle }
    }

    pub(super) fn slots(&self) -> usize {
        self.mapping.slots()
    }

    pub(super) fn carved(&self) -> usize {
        self.carved
    }

    /// The next slots to be prepared, at most `most`. None if all are.
    pub(super) fn uncarved(&self, most: usize) -> Option<Run> {
        let slots = most.min(self.slots() - self.carved);
        (slots > 0).then(|| self.mapping.run(self.carved, slots))
    }

    /// The first slots of [`uncarved`](Self::uncarved) are ready: makes them free.
    pub(super) fn carve(&mut self, prepared: Prepared) {
        let first = self.carved;
        assert!(first + prepared.slots <= self.slots());
        self.carved += prepared.slots;
        self.mapping.add_gaps(prepared.gaps);
        (first..self.carved).for_each(|slot| self.set_free(slot));
    }

    /// Takes up to `most` free slots, the lowest, into `out`. `index` is this arena's in its pool.
    pub(super) fn take(&mut self, most: usize, index: u32, out: &mut Vec<Stack>) {
        let mut left = most.min(self.free_slots);
        self.free_slots -= left;
        while left > 0 {
            let word = self.lowest_word;
            if self.free[word] == 0 {
                self.lowest_word += 1;
                continue;
            }
            let bit = self.free[word].trailing_zeros() as usize;
            let mask = 1 << bit;
            self.free[word] &= !mask;
            self.idle[word] &= !mask;
            self.warm[word] |= mask;
            let limit = self.mapping.run(word * BITS + bit, 1).limit();
            out.push(Stack::of_slot(limit, index, self.size));
            left -= 1;
        }
    }

    /// Takes a stack of this arena back.
    pub(super) fn put(&mut self, stack: &Stack) {
        let slot = self.mapping.slot_of(stack.limit_address());
        debug_assert!(slot < self.carved);
        self.set_free(slot);
    }

    /// Whether every slot has been free since the last [`mark_idle`](Self::mark_idle).
    pub(super) fn is_wholly_idle(&self) -> bool {
        let idle = || self.idle.iter().map(|word| word.count_ones() as usize).sum::<usize>();
        self.is_wholly_free() && idle() == self.carved
    }

    pub(super) fn is_wholly_free(&self) -> bool {
        self.free_slots == self.carved
    }

    /// Whether a free slot may have pages.
    pub(super) fn has_warm_free(&self) -> bool {
        self.free.iter().zip(&self.warm).any(|(free, warm)| free & warm != 0)
    }

    /// Remembers which slots are free now.
    pub(super) fn mark_idle(&mut self) {
        self.idle.copy_from_slice(&self.free);
    }

    /// Takes the lowest run of idle and warm slots, at most `most` of them, for the trimmer.
    pub(super) fn begin_trim(&mut self, most: usize) -> Option<Run> {
        let word = (0..self.free.len()).find(|word| self.trimmable(*word) != 0)?;
        let first = word * BITS + self.trimmable(word).trailing_zeros() as usize;
        let slots = (first..self.carved.min(first + most))
            .take_while(|slot| self.trimmable(slot / BITS) & 1 << (slot % BITS) != 0)
            .count();
        for slot in first..first + slots {
            self.free[slot / BITS] &= !(1 << (slot % BITS));
        }
        self.free_slots -= slots;
        Some(self.mapping.run(first, slots))
    }

    /// Takes back what [`begin_trim`](Self::begin_trim) gave: the pages are gone.
    pub(super) fn end_trim(&mut self, run: Run) {
        let first = self.mapping.slot_of(run.limit());
        for slot in first..first + run.slots() {
            self.warm[slot / BITS] &= !(1 << (slot % BITS));
            self.set_free(slot);
        }
    }

    /// Ends the books, for the trimmer to release the address space.
    pub(super) fn into_mapping(self) -> Mapping {
        assert!(self.is_wholly_free());
        self.mapping
    }

    /// The slots of a word of bits that are free, idle and warm.
    fn trimmable(&self, word: usize) -> u64 {
        self.free[word] & self.idle[word] & self.warm[word]
    }

    fn set_free(&mut self, slot: usize) {
        let (word, mask) = (slot / BITS, 1 << (slot % BITS));
        debug_assert!(self.free[word] & mask == 0, "slot {slot} is free already");
        self.free[word] |= mask;
        self.free_slots += 1;
        self.lowest_word = self.lowest_word.min(word);
    }
}
