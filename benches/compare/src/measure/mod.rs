//! Figures about a child process, taken from outside it.

mod callgrind;
mod cpu;
mod memory;
mod switches;
mod system_calls;

pub(crate) use callgrind::instructions_per_request;
pub(crate) use cpu::{CpuClock, own_cpu_time};
pub(crate) use memory::Memory;
pub(crate) use switches::context_switches;
pub(crate) use system_calls::Counter;
