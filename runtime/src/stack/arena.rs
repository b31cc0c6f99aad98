//! The books of one arena: which of its slots are free, and which of those are worth giving back.
//!
//! A slot moves through these states. The pool's locks protect them; memory itself is touched by
//! others, with the slots in question taken out.
//!
//! ```text
//!             carve              take            put              mark_idle
//!  uncarved --------> free, cold ----> taken ----> free, warm ---------> free, warm, idle
//!      ^                  ^  ^           ^             |                     |  |
//!      |                  |  |           +----take-----+--------take---------+  |
//!      |                  |  +-------------------end_trim--------(trimmed)------+
//!      +--------------end_uncarve-------(trimmed)------begin_uncarve------------+
//! ```
//!
//! *Warm* slots may have pages, *cold* ones have none. *Idle* ones were free when the trimmer last
//! came by and have been ever since; cold ones get idle, too. A *trimmed* one is out of the arena
//! as a taken one is, in the trimmer's hands.
//!
//! Slots are taken lowest first. So live ones gather at low addresses of early arenas, and late
//! arenas become wholly free, which is when they can go as a whole.
use std::ops::Range;

use super::bits::{Bits, WORD_BITS, find_run};
use super::guard::Prepared;
use super::mapping::{Mapping, Run};
use super::size::StackSize;
use super::slot::Stack;

/// Least slots and bytes of a run that gives its page tables back: every such hole costs up to two
/// mappings, and gains 4 KiB of page table for every 2 MiB. (Little in tests, to reach it often.)
const UNCARVE_SLOTS: usize = if cfg!(test) { 16 } else { 128 };
const UNCARVE_BYTES: usize = if cfg!(test) { 1 << 20 } else { 128 << 20 };

/// Most slots of such a run: the kernel takes about 2 ms for them, and the pool cannot grow
/// meanwhile.
const UNCARVE_SLOTS_MOST: usize = 4096;

/// An arena. Its address space is released by the trimmer only, when it is wholly free.
#[derive(Debug)]
pub(super) struct Arena {
    mapping: Mapping,
    size: StackSize,
    /// How many slots are members of `free`.
    free_slots: usize,
    /// How many slots are members of `carved`.
    carved_slots: usize,
    /// No word of `free` below this one has a member.
    lowest_word: usize,
    /// Slots that have guards.
    carved: Bits,
    free: Bits,
    warm: Bits,
    idle: Bits,
}

impl Arena {
    pub(super) fn new(size: StackSize, mapping: Mapping) -> Self {
        let [carved, free, warm, idle] = [(); 4].map(|()| Bits::new(mapping.slots()));
        let (free_slots, carved_slots, lowest_word) = (0, 0, 0);
        Self { mapping, size, free_slots, carved_slots, lowest_word, carved, free, warm, idle }
    }

    pub(super) fn slots(&self) -> usize {
        self.mapping.slots()
    }

    pub(super) fn carved_slots(&self) -> usize {
        self.carved_slots
    }

    /// The lowest slots without guards that lie together, at most `most`. None if all have guards.
    pub(super) fn uncarved(&self, most: usize) -> Option<Run> {
        if self.carved_slots == self.slots() {
            return None;
        }
        let slots = find_run(self.slots(), 1, most, |word| !self.carved.word(word))?;
        Some(self.run(&slots))
    }

    /// The first slots of a run of [`uncarved`](Self::uncarved)'s are ready: makes them free.
    pub(super) fn carve(&mut self, run: Run, prepared: Prepared) {
        let first = self.mapping.slot_of(run.limit());
        assert!(prepared.slots <= run.slots());
        self.mapping.add_gaps(prepared.gaps);
        self.carved_slots += prepared.slots;
        for slot in first..first + prepared.slots {
            debug_assert!(!self.carved.contains(slot));
            self.carved.insert(slot);
            self.set_free(slot);
        }
    }

    /// Takes up to `most` free slots, the lowest, into `out`. `index` is this arena's in its pool.
    pub(super) fn take(&mut self, most: usize, index: u32, out: &mut Vec<Stack>) {
        for _ in 0..most.min(self.free_slots) {
            while self.free.word(self.lowest_word) == 0 {
                self.lowest_word += 1;
            }
            let bit = self.free.word(self.lowest_word).trailing_zeros() as usize;
            let slot = self.lowest_word * WORD_BITS + bit;
            self.set_taken(slot);
            self.idle.remove(slot);
            self.warm.insert(slot);
            out.push(Stack::of_slot(self.mapping.run(slot, 1).limit(), index, self.size));
        }
    }

    /// Takes a stack of this arena back.
    pub(super) fn put(&mut self, stack: &Stack) {
        let slot = self.mapping.slot_of(stack.limit_address());
        debug_assert!(self.carved.contains(slot));
        self.set_free(slot);
    }

    /// Remembers which slots are free now.
    pub(super) fn mark_idle(&mut self) {
        self.idle.clone_from(&self.free);
    }

    /// Whether every slot has been free since the last [`mark_idle`](Self::mark_idle).
    pub(super) fn is_wholly_idle(&self) -> bool {
        self.is_wholly_free() && self.idle.len() == self.carved_slots
    }

    pub(super) fn is_wholly_free(&self) -> bool {
        self.free_slots == self.carved_slots
    }

    /// Whether something would be given back if all that is free now were idle.
    pub(super) fn has_spare(&self) -> bool {
        let free = |word| self.free.word(word);
        (0..self.free.words()).any(|word| free(word) & self.warm.word(word) != 0)
            || self.find_uncarvable(free).is_some()
    }

    /// Takes the lowest idle and warm slots that lie together, at most `most`, for the trimmer.
    pub(super) fn begin_trim(&mut self, most: usize) -> Option<Run> {
        let slots = find_run(self.slots(), 1, most, |word| self.idle(word) & self.warm.word(word))?;
        slots.clone().for_each(|slot| self.set_taken(slot));
        Some(self.run(&slots))
    }

    /// Takes back what [`begin_trim`](Self::begin_trim) gave: the pages are gone.
    pub(super) fn end_trim(&mut self, run: Run) {
        for slot in self.slots_of(run) {
            self.warm.remove(slot);
            self.set_free(slot);
        }
    }

    /// Takes idle slots that lie together, and are many, for the trimmer.
    pub(super) fn begin_uncarve(&mut self) -> Option<Run> {
        let slots = self.find_uncarvable(|word| self.idle(word))?;
        slots.clone().for_each(|slot| self.set_taken(slot));
        Some(self.run(&slots))
    }

    /// Ends what [`begin_uncarve`](Self::begin_uncarve) began: the slots are as they were when the
    /// arena was new. If that could not be done, they are free and idle still.
    pub(super) fn end_uncarve(&mut self, run: Run, done: bool) {
        if !done {
            return self.slots_of(run).for_each(|slot| self.set_free(slot));
        }
        self.carved_slots -= run.slots();
        for slot in self.slots_of(run) {
            self.carved.remove(slot);
            self.warm.remove(slot);
            self.idle.remove(slot);
        }
    }

    /// Ends the books, for the trimmer to release the address space.
    pub(super) fn into_mapping(self) -> Mapping {
        assert!(self.is_wholly_free());
        self.mapping
    }

    fn find_uncarvable(&self, candidates: impl Fn(usize) -> u64) -> Option<Range<usize>> {
        // Where guards are gaps, the slots are mappings already, and may be of either kind.
        let least = UNCARVE_SLOTS.max(UNCARVE_BYTES / self.size.bytes());
        if self.mapping.has_gaps() || self.free_slots < least {
            return None;
        }
        find_run(self.slots(), least, least.max(UNCARVE_SLOTS_MOST), candidates)
    }

    /// The slots of a word of bits that are free and idle.
    fn idle(&self, word: usize) -> u64 {
        self.free.word(word) & self.idle.word(word)
    }

    fn run(&self, slots: &Range<usize>) -> Run {
        self.mapping.run(slots.start, slots.len())
    }

    fn slots_of(&self, run: Run) -> Range<usize> {
        let first = self.mapping.slot_of(run.limit());
        first..first + run.slots()
    }

    fn set_taken(&mut self, slot: usize) {
        debug_assert!(self.free.contains(slot));
        self.free.remove(slot);
        self.free_slots -= 1;
    }

    fn set_free(&mut self, slot: usize) {
        debug_assert!(!self.free.contains(slot), "slot {slot} is free already");
        self.free.insert(slot);
        self.free_slots += 1;
        self.lowest_word = self.lowest_word.min(slot / WORD_BITS);
    }
}
