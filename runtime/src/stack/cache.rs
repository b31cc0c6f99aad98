//! A worker's own stacks.
//!
//! Taking and putting back are a pop and a push: the stack that was used last, whose pages and
//! cache lines are warm, is used next. So a task that finishes without parking touches no new page.
//!
//! A shelf (the stacks of one size) is bounded. When it runs empty it is filled to a half from the
//! pool, and when it is full it gives its older half to the pool: a worker that only takes, or only
//! puts, meets the pool's lock once in half a shelf, and nothing piles up.
use std::io;

use super::pool::Pool;
use super::size::StackSize;
use super::slot::Stack;

/// Most stacks on a shelf, where [`SHELF_BYTES`] does not bind.
const SHELF_MOST: usize = 64;

/// Most address space on a shelf, though every shelf holds two: what lies here is out of the
/// trimmer's reach.
const SHELF_BYTES: usize = 16 << 20;

/// Stacks for one worker: any thread may own it, one at a time.
#[derive(Debug, Default)]
pub(crate) struct StackCache {
    shelves: [Vec<Stack>; StackSize::CLASSES],
}

impl StackCache {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Takes a stack, the one put back last if there is one.
    ///
    /// # Errors
    ///
    /// `OutOfMemory` if there is none and no more can be made; the text names the limit and the
    /// remedy.
    #[inline]
    pub(crate) fn take(&mut self, size: StackSize) -> io::Result<Stack> {
        match self.shelves[size.class()].pop() {
            Some(stack) => Ok(stack),
            None => self.take_slow(size),
        }
    }

    /// Takes back a stack that nothing lives on any more. It need not come from this cache.
    #[inline]
    pub(crate) fn put(&mut self, stack: Stack) {
        let shelf = &mut self.shelves[stack.size().class()];
        // Full, or not yet given its full capacity: one comparison for both.
        if shelf.len() == shelf.capacity() {
            make_room(shelf, stack.size());
        }
        shelf.push(stack);
    }

    /// Gives every stack back to the pools, where the trimmer finds them. For a worker that has
    /// nothing to do: 64 cached stacks can keep as many arenas mapped.
    pub(crate) fn flush(&mut self) {
        for shelf in &mut self.shelves {
            if let Some(stack) = shelf.first() {
                Pool::of(stack.size()).put(shelf.drain(..));
            }
        }
    }

    #[cold]
    fn take_slow(&mut self, size: StackSize) -> io::Result<Stack> {
        let shelf = &mut self.shelves[size.class()];
        Pool::of(size).take(size, shelf_most(size) / 2, shelf)?;
        // The pool hands out the lowest first: they are to be used first.
        shelf.reverse();
        shelf.pop().ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))
    }
}

impl Drop for StackCache {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cold]
fn make_room(shelf: &mut Vec<Stack>, size: StackSize) {
    let most = shelf_most(size);
    if shelf.len() < most {
        shelf.reserve_exact(most - shelf.len());
        return;
    }
    Pool::of(size).put(shelf.drain(..most / 2));
}

fn shelf_most(size: StackSize) -> usize {
    (SHELF_BYTES / size.bytes()).clamp(2, SHELF_MOST)
}
