//! A thread's signal stack.
#![expect(unsafe_code, reason = "maps memory, and tells the kernel to handle signals on it")]

use std::marker::PhantomData;
use std::{io, ptr};

use libc::c_void;

use crate::stack::sys;

/// Room for handlers, the previous ones and their backtraces included, beyond the signal frame.
const HANDLER_BYTES: usize = 16 << 10;

/// A signal stack for the calling thread, in force until this is dropped.
///
/// What std gives a thread holds a signal frame, but not always a frame with AMX state *and* a
/// handler. A guard of its own lies below it.
#[derive(Debug)]
pub(crate) struct AltStack {
    memory: Memory,
    previous: libc::stack_t,
    /// It belongs to the thread that installed it: not `Send`.
    thread: PhantomData<*const ()>,
}

impl AltStack {
    /// Maps a stack and makes it this thread's.
    ///
    /// # Errors
    ///
    /// Those of `mmap(2)`, and of `sigaltstack(2)`, which refuses in a signal handler.
    pub(crate) fn install() -> io::Result<Self> {
        let memory = Memory::map(handler_stack_bytes())?;
        let stack = libc::stack_t {
            ss_sp: memory.lowest() as *mut c_void,
            ss_flags: 0,
            ss_size: memory.stack_bytes,
        };
        let mut previous = stack;
        // SAFETY: the memory is the new value's, which unmaps it only after another stack, or none,
        // was put in its place.
        if unsafe { libc::sigaltstack(&stack, &mut previous) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { memory, previous, thread: PhantomData })
    }
}

impl Drop for AltStack {
    fn drop(&mut self) {
        // SAFETY: the stack that was there before, or none. Who installed it keeps it mapped while
        // it may come back, as std does until its thread ends.
        let result = unsafe { libc::sigaltstack(&self.previous, ptr::null_mut()) };
        if result != 0 {
            // This runs in a signal handler, on the very stack: it has to stay.
            self.memory.leak();
        }
    }
}

/// The stack's mapping: a guard, and the stack above it.
#[derive(Debug)]
struct Memory {
    start: usize,
    stack_bytes: usize,
}

impl Memory {
    fn map(stack_bytes: usize) -> io::Result<Self> {
        let start = sys::reserve(sys::page_bytes() + stack_bytes)?;
        let memory = Self { start, stack_bytes };
        // SAFETY: the mapping's upper part.
        unsafe { sys::open(memory.lowest(), stack_bytes) }?;
        Ok(memory)
    }

    fn lowest(&self) -> usize {
        self.start + sys::page_bytes()
    }

    fn leak(&mut self) {
        self.stack_bytes = 0;
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.stack_bytes > 0 {
            // SAFETY: a whole mapping of `reserve`'s, which is no thread's signal stack any more.
            unsafe { sys::unmap(self.start, sys::page_bytes() + self.stack_bytes) };
        }
    }
}

fn handler_stack_bytes() -> usize {
    // SAFETY: a query. Kernels that do not know it answer 0.
    let frame_bytes = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) } as usize;
    let bytes = frame_bytes.max(libc::MINSIGSTKSZ) + HANDLER_BYTES;
    bytes.next_multiple_of(sys::page_bytes())
}
