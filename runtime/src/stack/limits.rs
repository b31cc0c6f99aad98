//! Says which limit stopped stacks from growing, and what to do about it.
//!
//! The kernel answers ENOMEM for at least three different limits. These texts name those that can
//! be meant here and now; they are built only after a failure, so they may read files.
use std::{fs, io};

use super::sys;

const MAX_MAP_COUNT: &str = "/proc/sys/vm/max_map_count";
const OVERCOMMIT: &str = "/proc/sys/vm/overcommit_memory";

/// No address space for even one slot.
pub(super) fn on_reserve(error: &io::Error, bytes: usize) -> io::Error {
    let cause = if error.raw_os_error() == Some(libc::EAGAIN) {
        String::from(
            "the process locks its memory (mlockall) and is at its limit: raise `ulimit -l` \
             (RLIMIT_MEMLOCK)",
        )
    } else {
        memory_limit()
    };
    out_of_memory(format!("cannot map a task stack of {bytes} bytes: {error}: {cause}"))
}

/// There is address space, but it cannot be made writable.
pub(super) fn on_open(error: &io::Error) -> io::Error {
    let cause = match sys::data_limit() {
        Some(bytes) => format!(
            "the process may have {bytes} bytes of writable memory: raise `ulimit -d` (RLIMIT_DATA)"
        ),
        None if strict_overcommit() => memory_limit(),
        None => mapping_limit(),
    };
    out_of_memory(format!("cannot open a task stack: {error}: {cause}"))
}

/// Guards take mappings here, and have taken all that they may.
pub(super) fn on_mappings() -> io::Error {
    out_of_memory(format!("cannot guard a task stack: {}", mapping_limit()))
}

/// `mlockall` is in force and pages cannot be locked one by one.
pub(super) fn on_lock(error: &io::Error) -> io::Error {
    out_of_memory(format!(
        "cannot lock a task stack page by page, and the process locks its memory (mlockall): \
         {error}: raise `ulimit -l` (RLIMIT_MEMLOCK)"
    ))
}

/// How many bytes the process may have, if something but the machine's memory limits it: as many as
/// there can be where that is known to the system alone.
pub(super) fn on_memory() -> Option<usize> {
    let bytes = [sys::address_space_limit(), sys::data_limit()].into_iter().flatten().min();
    let bytes = bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    bytes.or_else(|| strict_overcommit().then_some(usize::MAX))
}

fn memory_limit() -> String {
    if let Some(bytes) = sys::address_space_limit() {
        return format!(
            "the process may use {bytes} bytes of address space: raise `ulimit -v` (RLIMIT_AS), or \
             use smaller stacks"
        );
    }
    if strict_overcommit() {
        return String::from(
            "the system commits no more memory (vm.overcommit_memory=2): raise \
             vm.overcommit_ratio or vm.overcommit_kbytes, or use smaller stacks",
        );
    }
    mapping_limit()
}

fn mapping_limit() -> String {
    let count = max_map_count().unwrap_or_default();
    format!(
        "the process is close to its limit of {count} mappings: raise vm.max_map_count by sysctl, \
         or use Linux 6.13 or newer, where guards need no mappings of their own"
    )
}

/// How many mappings a process may have, if that can be read.
pub(super) fn max_map_count() -> Option<usize> {
    fs::read_to_string(MAX_MAP_COUNT).ok()?.trim().parse().ok()
}

fn strict_overcommit() -> bool {
    fs::read_to_string(OVERCOMMIT).is_ok_and(|mode| mode.trim() == "2")
}

fn out_of_memory(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::OutOfMemory, text)
}
