//! The process's pool of stacks of one size, and its growth.
//!
//! Caches exchange batches with it. Free slots are found lowest arena first; when there are none,
//! more are carved from the lowest arena that has any, and when all arenas are carved another is
//! mapped, as large as all before it together. So a million stacks are some forty mappings.
//!
//! # Locks
//!
//! `arenas` is held for a batch of bit operations, never across a system call. `growth` is held by
//! the one thread that carves, maps or unmaps, and comes first. A thread that finds the pool empty
//! waits for whoever is growing it, and then mostly finds what that one made.
#![expect(unsafe_code, reason = "changes memory of slots that it knows to be unused")]

use std::io;

use parking_lot::Mutex;

use super::arena::Arena;
use super::mapping::{Mapping, Run};
use super::size::StackSize;
use super::slot::Stack;
use super::{guard, headroom};

/// Slots of the first arena of a class, unless they are so large that [`FIRST_BYTES`] binds.
const FIRST_SLOTS: usize = 64;
const FIRST_BYTES: usize = 64 << 20;

/// Arenas stop growing here: unmapping one is a single system call, of about 15 ms at this size.
const LARGEST_SLOTS: usize = 32_768;
const LARGEST_BYTES: usize = 16 << 30;

/// Slots are carved in batches of a quarter of what there is, within these bounds: a batch costs a
/// system call or two, a slot that is never used costs page tables.
const CARVE_LEAST: usize = 8;
const CARVE_MOST: usize = 512;

static POOLS: [Pool; StackSize::CLASSES] = [const { Pool::new() }; StackSize::CLASSES];

/// The stacks of one size that belong to no cache and no task.
#[derive(Debug)]
pub(super) struct Pool {
    growth: Mutex<()>,
    arenas: Mutex<Arenas>,
}

impl Pool {
    const fn new() -> Self {
        Self { growth: Mutex::new(()), arenas: Mutex::new(Arenas(Vec::new())) }
    }

    pub(super) fn of(size: StackSize) -> &'static Self {
        &POOLS[size.class()]
    }

    /// The pools of all sizes.
    pub(super) fn all() -> impl Iterator<Item = &'static Self> {
        POOLS.iter()
    }

    /// Moves at least one stack and at most `most` into `out`.
    ///
    /// # Errors
    ///
    /// `OutOfMemory`, with the limit that was met and the remedy in its text.
    pub(super) fn take(
        &self,
        size: StackSize,
        most: usize,
        out: &mut Vec<Stack>,
    ) -> io::Result<()> {
        let taken = self.arenas.lock().take(most, out);
        if taken { Ok(()) } else { self.grow(size, most, out) }
    }

    /// Takes stacks of this pool's size back.
    pub(super) fn put(&self, stacks: impl Iterator<Item = Stack>) {
        let mut arenas = self.arenas.lock();
        for stack in stacks {
            arenas.put(&stack);
        }
    }

    #[cold]
    fn grow(&self, size: StackSize, most: usize, out: &mut Vec<Stack>) -> io::Result<()> {
        let _growing = self.growth.lock();
        if self.arenas.lock().take(most, out) {
            // Somebody else grew the pool while this thread waited for the lock.
            return Ok(());
        }
        headroom::keep()?;
        let (index, run) = self.uncarved(size)?;
        // SAFETY: the slots are in an arena that only the holder of `growth` may unmap, and nobody
        // has them before they are carved.
        let prepared = unsafe { guard::prepare(run) }?;
        let mut arenas = self.arenas.lock();
        arenas.arena(index).carve(run, prepared);
        arenas.take(most, out);
        Ok(())
    }

    /// Slots to carve next, and the arena that they are in: an old one, or a new one.
    fn uncarved(&self, size: StackSize) -> io::Result<(usize, Run)> {
        let (slots, carved) = {
            let arenas = self.arenas.lock();
            if let Some(found) = arenas.uncarved() {
                return Ok(found);
            }
            (arenas.slots(), arenas.carved())
        };
        let mapping = Mapping::reserve(size, next_arena_slots(size, slots))?;
        let arena = Arena::new(size, mapping);
        let run = arena.uncarved(batch(carved)).expect("a new arena has slots");
        Ok((self.arenas.lock().add(arena), run))
    }

    /// Unmaps one arena that has been wholly idle, if there is one and nobody grows the pool.
    /// Returns its slots.
    pub(super) fn unmap_idle(&self) -> Option<usize> {
        let mapping = {
            let _growing = self.growth.try_lock()?;
            self.arenas.lock().detach_idle()?.into_mapping()
        };
        let slots = mapping.slots();
        // SAFETY: the arena was wholly free, so no stack of it exists, and none will: it is out of
        // its pool.
        unsafe { mapping.release() };
        Some(slots)
    }

    /// Gives guards and page tables of one long idle run back, if there is one and nobody grows the
    /// pool. Returns its slots.
    pub(super) fn uncarve_idle(&self) -> Option<usize> {
        // Held to the end: the run must not be carved again before it is renewed.
        let _growing = self.growth.try_lock()?;
        let (index, run) = self.arenas.lock().find(Arena::begin_uncarve)?;
        // SAFETY: the slots are out of their pool, and were free: nothing lives on them. Who
        // prepares slots holds `growth`.
        let done = unsafe { run.renew() }.is_ok();
        self.arenas.lock().arena(index).end_uncarve(run, done);
        done.then_some(run.slots())
    }

    /// Gives the pages of some idle slots back, `most` at most. Returns how many.
    pub(super) fn trim_idle(&self, most: usize) -> Option<usize> {
        let (index, run) = self.arenas.lock().find(|arena| arena.begin_trim(most))?;
        // A refusal would be an oddity of the kernel. The run counts as trimmed all the same: tried
        // again and again, it would keep the monitor awake.
        // SAFETY: the slots are out of their pool, and were free: nothing lives on them.
        let _ = unsafe { run.drop_pages() };
        self.arenas.lock().arena(index).end_trim(run);
        Some(run.slots())
    }

    /// Remembers which slots are free now, and returns whether anything is left to give back once
    /// they have been idle.
    pub(super) fn mark_idle(&self) -> bool {
        let mut arenas = self.arenas.lock();
        let mut more = false;
        for (index, arena) in arenas.each() {
            arena.mark_idle();
            more |= arena.has_spare() || (arena.is_wholly_free() && !is_kept(index, arena));
        }
        more
    }

    /// Slots that have guards: in use, cached or free.
    #[cfg(test)]
    pub(super) fn carved(&self) -> usize {
        self.arenas.lock().carved()
    }
}

/// The arenas of one size. A place is empty once its arena was unmapped, until the next is added.
#[derive(Debug)]
struct Arenas(Vec<Option<Arena>>);

impl Arenas {
    fn each(&mut self) -> impl Iterator<Item = (usize, &mut Arena)> {
        self.0.iter_mut().enumerate().filter_map(|(index, arena)| Some((index, arena.as_mut()?)))
    }

    fn find<T>(&mut self, mut f: impl FnMut(&mut Arena) -> Option<T>) -> Option<(usize, T)> {
        self.each().find_map(|(index, arena)| Some((index, f(arena)?)))
    }

    fn arena(&mut self, index: usize) -> &mut Arena {
        self.0[index].as_mut().expect("an arena with slots in use stays")
    }

    /// Returns whether there was anything to take.
    fn take(&mut self, most: usize, out: &mut Vec<Stack>) -> bool {
        let before = out.len();
        for (index, arena) in self.each() {
            arena.take(most - (out.len() - before), index as u32, out);
            if out.len() - before == most {
                break;
            }
        }
        out.len() > before
    }

    fn put(&mut self, stack: &Stack) {
        self.arena(stack.arena() as usize).put(stack);
    }

    fn uncarved(&self) -> Option<(usize, Run)> {
        let most = batch(self.carved());
        let runs = self.0.iter().map(|arena| arena.as_ref()?.uncarved(most));
        runs.enumerate().find_map(|(index, run)| Some((index, run?)))
    }

    fn add(&mut self, arena: Arena) -> usize {
        let index = self.0.iter().position(Option::is_none).unwrap_or(self.0.len());
        if index == self.0.len() {
            self.0.push(None);
        }
        self.0[index] = Some(arena);
        index
    }

    fn detach_idle(&mut self) -> Option<Arena> {
        let idle = |(index, arena): (usize, &mut Arena)| {
            (arena.is_wholly_idle() && !is_kept(index, arena)).then_some(index)
        };
        let index = self.each().find_map(idle)?;
        self.0[index].take()
    }

    fn slots(&self) -> usize {
        self.0.iter().flatten().map(Arena::slots).sum()
    }

    fn carved(&self) -> usize {
        self.0.iter().flatten().map(Arena::carved_slots).sum()
    }
}

/// The working set that is never unmapped: a small first arena. Its pages are dropped all the same.
fn is_kept(index: usize, arena: &Arena) -> bool {
    index == 0 && arena.slots() <= FIRST_SLOTS
}

fn batch(carved: usize) -> usize {
    (carved / 4).clamp(CARVE_LEAST, CARVE_MOST)
}

fn next_arena_slots(size: StackSize, slots: usize) -> usize {
    let first = FIRST_SLOTS.min(FIRST_BYTES / size.bytes());
    let largest = LARGEST_SLOTS.min(LARGEST_BYTES / size.bytes());
    slots.clamp(first, largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_stacks_are_few_mappings() {
        for bytes in [64 << 10, 256 << 10] {
            let size = StackSize::new(bytes).unwrap();
            let (mut slots, mut arenas) = (0, 0);
            while slots < 1_000_000 {
                slots += next_arena_slots(size, slots);
                arenas += 1;
            }
            assert!(arenas < 50, "{arenas} arenas of {bytes}");
        }
    }

    #[test]
    fn every_class_has_room_for_arenas() {
        for class in 0..StackSize::CLASSES {
            let size = StackSize::of_class(class);
            assert!(next_arena_slots(size, 0) >= 1);
            assert!(next_arena_slots(size, usize::MAX) * size.bytes() <= LARGEST_BYTES);
        }
    }
}
