//! The system calls under stacks, each with its arguments fixed to the one use made of it.
#![expect(unsafe_code, reason = "calls the kernel")]

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use libc::{c_int, c_void};

/// Linux 6.13: a fault in the range raises SIGSEGV, without splitting the mapping.
const MADV_GUARD_INSTALL: c_int = 102;

/// Linux 5.18: as `MADV_DONTNEED`, for memory that is locked.
const MADV_DONTNEED_LOCKED: c_int = 24;

/// Lock pages as they are touched; do not touch them now.
const MLOCK_ONFAULT: c_int = 1;

/// Bytes of a page: 4 KiB on x86-64, up to 64 KiB on AArch64.
pub(super) fn page_bytes() -> usize {
    // Relaxed: the value depends on nothing else, and every thread would store the same one.
    static PAGE_BYTES: AtomicUsize = AtomicUsize::new(0);
    match PAGE_BYTES.load(Ordering::Relaxed) {
        0 => {
            // SAFETY: a query without arguments that matter.
            let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
            assert!(bytes.is_power_of_two(), "page size {bytes}");
            PAGE_BYTES.store(bytes, Ordering::Relaxed);
            bytes
        }
        bytes => bytes,
    }
}

/// Maps `bytes` of address space that nothing may touch yet, with huge pages off: one touched word
/// must not cost 2 MiB where they are set to `always`.
pub(super) fn reserve(bytes: usize) -> io::Result<usize> {
    // SAFETY: a new mapping where the kernel likes: it replaces none.
    unsafe { map(ptr::null_mut(), bytes, 0) }
}

/// Replaces part of a reservation by what it was when it was new.
///
/// # Safety
///
/// The range lies in a mapping of [`reserve`]'s, and holds nothing that will be used.
pub(super) unsafe fn renew(start: usize, bytes: usize) -> io::Result<()> {
    // SAFETY: the caller's promise: what is replaced is the caller's, and its content nobody's.
    unsafe { map(start as *mut c_void, bytes, libc::MAP_FIXED) }.map(drop)
}

/// # Safety
///
/// With `MAP_FIXED`, nothing in the range will be used.
unsafe fn map(place: *mut c_void, bytes: usize, fixed: c_int) -> io::Result<usize> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | fixed;
    // SAFETY: the caller's promise; without MAP_FIXED, no mapping is replaced.
    let start = unsafe { libc::mmap(place, bytes, libc::PROT_NONE, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // The result does not matter: a kernel without huge pages refuses the advice.
    // SAFETY: the mapping above, which is new, and advice that changes no content.
    let _ = unsafe { libc::madvise(start, bytes, libc::MADV_NOHUGEPAGE) };
    Ok(start as usize)
}

/// Unmaps.
///
/// # Safety
///
/// The range is a whole mapping of [`reserve`]'s, and nobody uses memory in it any more.
pub(super) unsafe fn unmap(start: usize, bytes: usize) {
    // SAFETY: the caller's promise is munmap's whole contract.
    let result = unsafe { libc::munmap(start as *mut c_void, bytes) };
    debug_assert_eq!(result, 0, "munmap: {}", io::Error::last_os_error());
}

/// Makes part of a reservation readable and writable.
///
/// # Safety
///
/// The range lies in a mapping of [`reserve`]'s.
pub(super) unsafe fn open(start: usize, bytes: usize) -> io::Result<()> {
    // SAFETY: it grants access to memory that is the caller's and revokes none.
    check(unsafe {
        libc::mprotect(start as *mut c_void, bytes, libc::PROT_READ | libc::PROT_WRITE)
    })
}

/// Makes a range fatal to touch.
///
/// # Safety
///
/// The range lies in a mapping of [`reserve`]'s, and holds nothing that will be used.
pub(super) unsafe fn guard(start: usize, bytes: usize) -> io::Result<()> {
    // SAFETY: the caller's promise: the content, which is lost, is nobody's.
    check(unsafe { libc::madvise(start as *mut c_void, bytes, MADV_GUARD_INSTALL) })
}

/// The same for many ranges in one call. Returns how many bytes became guards, from the first
/// range on; less than all is a failure at what comes next, which [`guard`] will name.
///
/// # Safety
///
/// As [`guard`], for every range.
pub(super) unsafe fn guard_many(ranges: &[libc::iovec]) -> usize {
    let Some(process) = OwnPidfd::open() else { return 0 };
    // SAFETY: `ranges` outlives the call; the rest is the caller's promise.
    let done = unsafe {
        libc::syscall(
            libc::SYS_process_madvise,
            process.0,
            ranges.as_ptr(),
            ranges.len(),
            MADV_GUARD_INSTALL,
            0,
        )
    };
    usize::try_from(done).unwrap_or(0)
}

/// This process, as `process_madvise` wants it named.
///
/// Opened for one call and closed again: kept, it would take one of the process's descriptors, and
/// after a fork it would name the parent. (`PIDFD_SELF` needs Linux 6.15.)
struct OwnPidfd(c_int);

impl OwnPidfd {
    fn open() -> Option<Self> {
        // SAFETY: two system calls without pointers.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0) };
        c_int::try_from(fd).ok().filter(|fd| *fd >= 0).map(Self)
    }
}

impl Drop for OwnPidfd {
    fn drop(&mut self) {
        // SAFETY: the descriptor is this value's own.
        unsafe { libc::close(self.0) };
    }
}

/// Whether the range is locked in memory (`mlockall`, in a process that wants no page faults).
///
/// # Safety
///
/// The range lies in a mapping of [`reserve`]'s.
pub(super) unsafe fn is_locked(start: usize, bytes: usize) -> bool {
    // SAFETY: anonymous memory has no file to invalidate: the call only looks for locks.
    let result = unsafe { libc::msync(start as *mut c_void, bytes, libc::MS_INVALIDATE) };
    result != 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EBUSY)
}

/// Turns a lock that fills the range at once into one that takes each page as it is touched.
///
/// # Safety
///
/// The range lies in a mapping of [`reserve`]'s.
pub(super) unsafe fn lock_on_fault(start: usize, bytes: usize) -> io::Result<()> {
    // SAFETY: locks change no content. (The libc crate has no wrapper for every C library.)
    check(unsafe { libc::syscall(libc::SYS_mlock2, start, bytes, MLOCK_ONFAULT) } as c_int)
}

/// Gives the range's pages back: they read as zeros afterwards. Guards inside stay guards, of
/// either kind.
///
/// # Safety
///
/// The range lies in a mapping of [`reserve`]'s, and holds nothing that will be used.
pub(super) unsafe fn drop_pages(start: usize, bytes: usize) -> io::Result<()> {
    let advise = |advice| {
        // SAFETY: the caller's promise: the content, which is lost, is nobody's.
        check(unsafe { libc::madvise(start as *mut c_void, bytes, advice) })
    };
    advise(libc::MADV_DONTNEED).or_else(|_| advise(MADV_DONTNEED_LOCKED))
}

/// Asks which pages are resident: one byte each, the lowest bit set for those that are.
///
/// # Safety
///
/// `start` is a page's, and `pages.len()` pages from there lie in a mapping of [`reserve`]'s.
pub(super) unsafe fn resident(start: usize, pages: &mut [u8]) -> io::Result<()> {
    let bytes = pages.len() * page_bytes();
    // SAFETY: the kernel writes one byte for each page, as many as there are.
    check(unsafe { libc::mincore(start as *mut c_void, bytes, pages.as_mut_ptr()) })
}

/// Asks the C library to give free heap pages back: task headers and closures were there.
pub(super) fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: callable at any time, from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The limit on the process's address space, if there is one.
pub(super) fn address_space_limit() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel fills the struct.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) };
    finite(result, limit)
}

/// The limit on the process's writable memory, if there is one.
pub(super) fn data_limit() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel fills the struct.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_DATA, &mut limit) };
    finite(result, limit)
}

fn finite(result: c_int, limit: libc::rlimit) -> Option<u64> {
    (result == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

fn check(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
