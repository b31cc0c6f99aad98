//! Guards: the pages at a slot's limit that are fatal to touch.
//!
//! A slot starts inaccessible, as all of its arena does. [`prepare`] makes a run of slots usable,
//! in one of two ways; either way nothing is opened before its guard stands.
//!
//! - *Markers* (`MADV_GUARD_INSTALL`, Linux 6.13) live in the page table: one call for many slots,
//!   and the mapping stays whole. Then the run is opened, guards included; the markers still hold.
//! - *Gaps*: only the usable part of each slot is opened. Every slot so splits its arena, which
//!   costs two of the process's mappings (`vm.max_map_count`, 65,530 by default).
//!
//! Which of them works is found out by trying, for each run: the kernel may be old, a filter may
//! forbid the call, and memory that is locked (`mlockall`) refuses markers. What was tried in vain
//! costs one failed call a run.
//!
//! # mlockall
//!
//! Opening locked memory fills it: 256 KiB a task. So a locked run is first locked *on fault*,
//! which keeps what the program asked for: no page that was touched is ever paged out.
#![expect(unsafe_code, reason = "changes the protection of memory")]

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::mapping::Run;
use super::{headroom, limits, sys};

/// Most slots that one system call guards.
const BATCH: usize = 512;

/// The gap, and what is open above it.
const MAPPINGS_OF_A_GAP: usize = 2;

/// Slots whose guards are gaps, in all arenas.
///
/// Relaxed throughout: it publishes nothing, and two threads that grow different pools at the same
/// moment may overshoot the bound by a batch.
static GAPS: AtomicUsize = AtomicUsize::new(0);

/// What became of a run: how many of its slots are usable now, from the lowest on, and how many of
/// these cost mappings.
#[derive(Copy, Clone, Debug)]
pub(super) struct Prepared {
    pub(super) slots: usize,
    pub(super) gaps: usize,
}

/// Makes slots usable, each with its guard: at least one, and fewer than asked for where memory or
/// mappings run out.
///
/// # Errors
///
/// `OutOfMemory` if there is none, with the limit and the remedy in its text.
///
/// # Safety
///
/// The run lies in a live mapping, and nobody uses its slots yet.
pub(super) unsafe fn prepare(run: Run) -> io::Result<Prepared> {
    let mut part = run;
    let result = loop {
        // SAFETY: the same contract: a run, and later a part of it.
        match unsafe { prepare_whole(part) } {
            Err(_) if part.slots() > 1 => part = part.first_half(),
            result => break result,
        }
    };
    if result.is_err() || part.slots() < run.slots() {
        headroom::let_go();
    }
    result
}

/// Takes back what a released mapping cost.
pub(super) fn forget_gaps(gaps: usize) {
    GAPS.fetch_sub(gaps, Ordering::Relaxed);
}

/// # Safety
///
/// As [`prepare`].
unsafe fn prepare_whole(run: Run) -> io::Result<Prepared> {
    // SAFETY: the same contract.
    if unsafe { install_markers(run) } {
        // SAFETY: the run lies in a live mapping.
        unsafe { sys::open(run.limit(), run.bytes()) }.map_err(|error| limits::on_open(&error))?;
        return Ok(Prepared { slots: run.slots(), gaps: 0 });
    }
    // SAFETY: the same contract.
    unsafe {
        keep_locked_memory_small(run)?;
        leave_gaps(run)
    }
}

/// Whether every slot of the run has a marker now.
///
/// # Safety
///
/// As [`prepare`].
unsafe fn install_markers(run: Run) -> bool {
    if cfg!(sedge_test_mprotect) {
        return false;
    }
    let bytes = run.size().guard_bytes();
    let guards: Vec<libc::iovec> = run
        .limits()
        .map(|limit| libc::iovec { iov_base: limit as *mut libc::c_void, iov_len: bytes })
        .collect();
    guards.chunks(BATCH).all(|batch| {
        // SAFETY: the guards of slots that nobody uses, in a live mapping.
        let done = unsafe { sys::guard_many(batch) };
        batch.iter().skip(done / bytes).all(|guard| {
            // SAFETY: as above, one by one.
            unsafe { sys::guard(guard.iov_base as usize, bytes) }.is_ok()
        })
    })
}

/// # Safety
///
/// As [`prepare`].
unsafe fn keep_locked_memory_small(run: Run) -> io::Result<()> {
    // SAFETY: the run lies in a live mapping.
    if !unsafe { sys::is_locked(run.limit(), run.bytes()) } {
        return Ok(());
    }
    // SAFETY: the run lies in a live mapping.
    unsafe { sys::lock_on_fault(run.limit(), run.bytes()) }.map_err(|error| limits::on_lock(&error))
}

/// # Safety
///
/// As [`prepare`].
unsafe fn leave_gaps(run: Run) -> io::Result<Prepared> {
    let guard_bytes = run.size().guard_bytes();
    let usable_bytes = run.size().bytes() - guard_bytes;
    let mut slots = 0;
    let mut result = Ok(());
    for limit in run.limits().take(gaps_left()) {
        // SAFETY: a part of the run, which lies in a live mapping.
        result = unsafe { sys::open(limit + guard_bytes, usable_bytes) };
        if result.is_err() {
            break;
        }
        slots += 1;
    }
    GAPS.fetch_add(slots, Ordering::Relaxed);
    match result {
        _ if slots > 0 => Ok(Prepared { slots, gaps: slots }),
        Ok(()) => Err(limits::on_mappings()),
        Err(error) => Err(limits::on_open(&error)),
    }
}

/// How many more slots may cost mappings. A sixteenth of the process's stays for everything else:
/// at the kernel's own limit, the next large allocation anywhere would abort the process.
fn gaps_left() -> usize {
    let Some(mappings) = limits::max_map_count() else { return usize::MAX };
    ((mappings - mappings / 16) / MAPPINGS_OF_A_GAP).saturating_sub(GAPS.load(Ordering::Relaxed))
}
