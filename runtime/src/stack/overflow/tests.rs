//! Overflows and other faults, each in a process of its own.
#![expect(unsafe_code, reason = "raises and handles signals")]

use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::{mem, ptr, thread};

use corosensei::Coroutine;

use super::*;
use crate::stack::tests::{in_child, text};
use crate::stack::{STACK_BYTES_DEFAULT, Stack, StackCache, StackSize};

/// The guard of the one task of these tests; zero while there is none.
static GUARD: AtomicUsize = AtomicUsize::new(0);

fn current() -> Option<CurrentStack> {
    let start = GUARD.load(Ordering::Relaxed);
    (start != 0).then(|| CurrentStack {
        guard: start..start + (32 << 10),
        stack_bytes: STACK_BYTES_DEFAULT,
        id: 7,
        name: Some(ptr::from_ref("digger")),
    })
}

fn run_on(stack: Stack, body: impl FnOnce() + 'static) -> Stack {
    GUARD.store(stack.guard().start, Ordering::Relaxed);
    let mut task = Coroutine::<(), (), (), Stack>::with_stack(stack, |_, ()| body());
    task.resume(());
    GUARD.store(0, Ordering::Relaxed);
    task.into_stack()
}

fn run_overflowing(body: impl FnOnce() + 'static) -> ! {
    // SAFETY: `current` reads an atomic, and the name is static.
    unsafe { install(current) }.unwrap();
    let _alt_stack = AltStack::install().unwrap();
    let size = StackSize::new(STACK_BYTES_DEFAULT).unwrap();
    let mut cache = StackCache::new();
    let mut stack = cache.take(size).unwrap();
    for _ in 0..3 {
        stack = run_on(stack, || _ = black_box([1u8; 4096]));
    }
    cache.put(run_on(stack, body));
    panic!("survived")
}

fn assert_overflow_told(output: Option<Output>) {
    let Some(output) = output else { return };
    assert_eq!(
        text(&output.stderr),
        "\nsedge: task 'digger' (id 7) has overflowed its stack of 262144 bytes\n\
         help: give it more with task::Builder::stack_size, or all tasks with SEDGE_STACK=512K\n\
         fatal runtime error: stack overflow, aborting\n"
    );
    assert_eq!(output.status.signal(), Some(libc::SIGABRT));
}

fn recurse(depth: usize) -> usize {
    let frame = black_box([depth; 16]);
    if depth == usize::MAX { 0 } else { recurse(depth + 1) + frame[3] }
}

#[test]
fn recursion() {
    assert_overflow_told(in_child("overflow::tests::recursion", || {
        run_overflowing(|| _ = black_box(recurse(0)));
    }));
}

#[test]
fn large_local_array() {
    assert_overflow_told(in_child("overflow::tests::large_local_array", || {
        run_overflowing(|| _ = black_box([1u8; 1 << 20]));
    }));
}

#[test]
fn overflow_on_another_thread() {
    assert_overflow_told(in_child("overflow::tests::overflow_on_another_thread", || {
        thread::spawn(|| run_overflowing(|| _ = black_box(recurse(0)))).join().unwrap();
    }));
}

#[test]
fn a_threads_own_overflow_is_told_by_std() {
    let name = "overflow::tests::a_threads_own_overflow_is_told_by_std";
    let Some(output) = in_child(name, || {
        // SAFETY: as in `run_overflowing`.
        unsafe { install(current) }.unwrap();
        let _alt_stack = AltStack::install().unwrap();
        black_box(recurse(0));
    }) else {
        return;
    };
    let stderr = text(&output.stderr);
    assert!(stderr.contains("thread ") && !stderr.contains("sedge"), "{stderr}");
    assert_eq!(output.status.signal(), Some(libc::SIGABRT));
}

fn touch(address: usize) {
    // SAFETY: none: a fault is what is wanted.
    unsafe { (address as *mut u8).write_volatile(1) };
}

#[test]
fn another_fault_in_a_task_ends_as_it_did_before() {
    let name = "overflow::tests::another_fault_in_a_task_ends_as_it_did_before";
    let Some(output) = in_child(name, || run_overflowing(|| touch(64))) else { return };
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV));
}

#[test]
fn a_sent_signal_ends_the_process_as_before() {
    let name = "overflow::tests::a_sent_signal_ends_the_process_as_before";
    let Some(output) = in_child(name, || {
        set_handler(libc::SIG_DFL, 0);
        run_overflowing(|| {
            // SAFETY: no pointers.
            unsafe { libc::raise(libc::SIGSEGV) };
        })
    }) else {
        return;
    };
    assert_eq!((text(&output.stderr).as_str(), output.status.signal()), ("", Some(libc::SIGSEGV)));
}

fn set_handler(handler: usize, flags: c_int) {
    // SAFETY: the handlers of these tests have the signature that the flags call for, and do
    // nothing but store to atomics and change the protection of a page.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        libc::sigaddset(&mut action.sa_mask, libc::SIGUSR1);
        assert_eq!(libc::sigaction(libc::SIGSEGV, &action, ptr::null_mut()), 0);
    }
}

fn handler_of(signal: c_int) -> usize {
    // SAFETY: all zeros is an action, which the kernel overwrites.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        assert_eq!(libc::sigaction(signal, ptr::null(), &mut action), 0);
        action.sa_sigaction
    }
}

fn succeeds(name: &str, body: impl FnOnce()) {
    if let Some(output) = in_child(name, body) {
        assert!(text(&output.stdout).contains("child done"), "{}", text(&output.stderr));
    }
}

#[test]
fn an_ignored_signal_stays_ignored() {
    succeeds("overflow::tests::an_ignored_signal_stays_ignored", || {
        set_handler(libc::SIG_IGN, 0);
        // SAFETY: as in `run_overflowing`.
        unsafe { install(current) }.unwrap();
        // SAFETY: no pointers.
        (0..3).for_each(|_| assert_eq!(unsafe { libc::raise(libc::SIGSEGV) }, 0));
    });
}

#[test]
fn an_ignored_fault_kills() {
    let name = "overflow::tests::an_ignored_fault_kills";
    let Some(output) = in_child(name, || {
        set_handler(libc::SIG_IGN, 0);
        run_overflowing(|| touch(64))
    }) else {
        return;
    };
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV));
}

/// A page that [`mend`] opens: a fault in it is resumed.
static BROKEN: AtomicUsize = AtomicUsize::new(0);
static MASKED: AtomicBool = AtomicBool::new(false);

extern "C" fn mend(signal: c_int, info: *mut siginfo_t, _context: *mut c_void) {
    // SAFETY: the page is this test's own mapping, and the queries are async-signal-safe.
    unsafe {
        assert_eq!(signal, libc::SIGSEGV);
        let page = BROKEN.load(Ordering::Relaxed);
        assert_eq!((*info).si_addr() as usize, page);
        let mut mask: libc::sigset_t = mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &mut mask);
        MASKED.store(libc::sigismember(&mask, libc::SIGUSR1) == 1, Ordering::Relaxed);
        libc::mprotect(page as *mut c_void, 4096, libc::PROT_READ | libc::PROT_WRITE);
        *libc::__errno_location() = libc::EIO;
    }
}

#[test]
fn the_previous_handler_mends_and_resumes() {
    succeeds("overflow::tests::the_previous_handler_mends_and_resumes", || {
        let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = mend;
        set_handler(handler as usize, libc::SA_SIGINFO | libc::SA_ONSTACK);
        // SAFETY: as in `run_overflowing`.
        unsafe { install(current) }.unwrap();
        // SAFETY: as above: a second installation does nothing.
        unsafe { install(current) }.unwrap();
        let _alt_stack = AltStack::install().unwrap();
        let page = crate::stack::sys::reserve(4096).unwrap();
        BROKEN.store(page, Ordering::Relaxed);
        // SAFETY: the thread's own errno.
        unsafe { *libc::__errno_location() = 0 };
        touch(page);
        assert_eq!(io::Error::last_os_error().raw_os_error(), Some(0));
        assert!(MASKED.load(Ordering::Relaxed), "the handler's mask was not applied");
    });
}

static CALLS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(signal: c_int) {
    assert_eq!(signal, libc::SIGSEGV);
    CALLS.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn a_previous_handler_without_siginfo() {
    succeeds("overflow::tests::a_previous_handler_without_siginfo", || {
        let handler: extern "C" fn(c_int) = count;
        set_handler(handler as usize, 0);
        // SAFETY: as in `run_overflowing`.
        unsafe { install(current) }.unwrap();
        // SAFETY: no pointers.
        (0..3).for_each(|_| assert_eq!(unsafe { libc::raise(libc::SIGSEGV) }, 0));
        assert_eq!(CALLS.load(Ordering::Relaxed), 3);
    });
}

/// Has the kernel refuse this thread, for good, any new handler of `signal`.
fn forbid_handlers(signal: c_int) {
    const fn step(code: u32, k: u32, jump_unless: u8) -> libc::sock_filter {
        libc::sock_filter { code: code as u16, jt: 0, jf: jump_unless, k }
    }
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const GO_ON_IF: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    let arguments = mem::offset_of!(libc::seccomp_data, args) as u32;
    let mut steps = [
        step(LOAD, mem::offset_of!(libc::seccomp_data, nr) as u32, 0),
        step(GO_ON_IF, libc::SYS_rt_sigaction as u32, 5),
        step(LOAD, arguments, 0),
        step(GO_ON_IF, signal as u32, 3),
        // A query has no new action. The lower half of the address tells, on a little-endian
        // machine.
        step(LOAD, arguments + 8, 0),
        libc::sock_filter { code: GO_ON_IF as u16, jt: 1, jf: 0, k: 0 },
        step(RETURN, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32, 0),
        step(RETURN, libc::SECCOMP_RET_ALLOW, 0),
    ];
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: the program is read during the call; what it refuses is this thread's alone.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let mode = libc::SECCOMP_MODE_FILTER;
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, mode, &program), 0);
    }
}

/// The second signal's handler cannot be installed at first. The next call installs that one, and
/// leaves the first as it is.
#[test]
fn a_failed_installation_is_made_up_for() {
    succeeds("overflow::tests::a_failed_installation_is_made_up_for", || {
        let handler: extern "C" fn(c_int) = count;
        set_handler(handler as usize, 0);
        thread::spawn(|| {
            forbid_handlers(libc::SIGBUS);
            // SAFETY: as in `run_overflowing`.
            let error = unsafe { install(current) }.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        })
        .join()
        .unwrap();
        for _ in 0..2 {
            // SAFETY: as in `run_overflowing`.
            unsafe { install(current) }.unwrap();
        }
        assert_eq!(SIGNALS.map(handler_of), [on_fault as *const () as usize; 2]);
        // SAFETY: no pointers.
        (0..3).for_each(|_| assert_eq!(unsafe { libc::raise(libc::SIGSEGV) }, 0));
        assert_eq!(CALLS.load(Ordering::Relaxed), 3);
    });
}

fn signal_stack() -> (usize, usize, c_int) {
    let mut stack = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: 0, ss_size: 0 };
    // SAFETY: a query.
    assert_eq!(unsafe { libc::sigaltstack(ptr::null(), &mut stack) }, 0);
    (stack.ss_sp as usize, stack.ss_size, stack.ss_flags)
}

#[test]
fn alt_stack_is_put_back() {
    thread::spawn(|| {
        let before = signal_stack();
        let outer = AltStack::install().unwrap();
        let outer_stack = signal_stack();
        assert_ne!(outer_stack, before);
        let inner = AltStack::install().unwrap();
        // SAFETY: a query.
        let frame_bytes = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) } as usize;
        assert!(signal_stack().1 >= frame_bytes + (16 << 10));
        drop(inner);
        assert_eq!(signal_stack(), outer_stack);
        drop(outer);
        assert_eq!(signal_stack(), before);
    })
    .join()
    .unwrap();
}
