//! Memory that stacks leave to the heap.
//!
//! Under a limit on memory (RLIMIT_AS, RLIMIT_DATA, strict overcommit) stacks would take all that
//! there is, and the next allocation, anybody's, would end the process. So where such a limit is in
//! force some memory is held, untouched, while the pools grow. It is let go when the kernel first
//! refuses a pool something. After that no pool grows until twice as much is free: once to be held
//! again, and once for the heap.
//!
//! A thread that allocates in the microsecond between the last growth and the letting go may still
//! find nothing.
#![expect(unsafe_code, reason = "maps memory, and unmaps what it has mapped")]

use std::io;

use parking_lot::Mutex;

use super::{limits, sys};

/// How much is held, where that is no more than a sixteenth of the limit.
const BYTES: usize = 16 << 20;

static HELD: Mutex<Option<Held>> = Mutex::new(None);

/// A mapping that nobody uses.
#[derive(Debug)]
struct Held {
    start: usize,
    bytes: usize,
}

/// Sees that the heap has its share, before a pool grows.
///
/// # Errors
///
/// `OutOfMemory`, with the limit and the remedy in its text.
pub(super) fn keep() -> io::Result<()> {
    let mut held = HELD.lock();
    if held.is_none() {
        if let Some(limit) = limits::on_memory() {
            let bytes = BYTES.min(limit / 16).next_multiple_of(sys::page_bytes());
            let kept = Held::map(bytes)?;
            // As much again has to be free: to hold the last of it would take it from the heap.
            drop(Held::map(bytes)?);
            *held = kept;
        }
    }
    Ok(())
}

/// Lets the heap have it: the kernel has refused a pool something.
pub(super) fn let_go() {
    *HELD.lock() = None;
}

impl Held {
    /// None where memory is locked, so that it would be filled.
    fn map(bytes: usize) -> io::Result<Option<Self>> {
        let start = sys::reserve(bytes).map_err(|error| limits::on_reserve(&error, bytes))?;
        let held = Self { start, bytes };
        // SAFETY: the mapping above.
        if unsafe { sys::is_locked(start, bytes) } {
            return Ok(None);
        }
        // SAFETY: the mapping above.
        unsafe { sys::open(start, bytes) }.map_err(|error| limits::on_open(&error))?;
        Ok(Some(held))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: a whole mapping of `reserve`'s, which nobody has touched.
        unsafe { sys::unmap(self.start, self.bytes) };
    }
}
