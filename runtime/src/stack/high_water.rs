//! How deep a stack has been used.
#![expect(unsafe_code, reason = "reads stack memory as words")]

use super::sys;

/// Pages asked about at a time.
const PAGES: usize = 256;

/// Bytes from `base` down to the lowest non-zero word at or above `lowest`, which is a page's first
/// address. Both belong to one stack.
pub(super) fn measure(lowest: usize, base: usize) -> usize {
    let page_bytes = sys::page_bytes();
    let mut resident = [0; PAGES];
    let mut start = lowest;
    while start < base {
        let pages = (base - start).div_ceil(page_bytes).min(PAGES);
        // SAFETY: pages of a slot, from one's first address to no further than the slot's end.
        if unsafe { sys::resident(start, &mut resident[..pages]) }.is_err() {
            return 0;
        }
        for page in (0..pages).filter(|page| resident[*page] & 1 == 1) {
            let from = start + page * page_bytes;
            if let Some(word) = lowest_used(from, base.min(from + page_bytes)) {
                return base - word;
            }
        }
        start += pages * page_bytes;
    }
    0
}

/// The address of the first non-zero word.
fn lowest_used(from: usize, to: usize) -> Option<usize> {
    if cfg!(sedge_asan) {
        // Frames have poisoned gaps, which instrumented code must not read.
        return Some(from);
    }
    // Volatile, because the task may be running on another thread and writing: technically a data
    // race, whose worst outcome is one word taken for the other of zero and non-zero.
    // SAFETY: words of a slot, above its guard, which is readable.
    (from..to)
        .step_by(size_of::<usize>())
        .find(|word| unsafe { (*word as *const usize).read_volatile() } != 0)
}
