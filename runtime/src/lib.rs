//! The runtime of Sedge: stacks, tasks, scheduler, netpoller, timers and the blocking pool.
//!
//! Users depend on the facade, `sedge`, whose documentation is the tutorial. This crate is what the
//! facade, `sedge-net` and `sedge-fs` are built on, and what a device of your own can be built on as
//! they are: [`io::Source`] for anything that epoll can wait for, [`blocking`](fn@blocking) for the
//! rest.
#![deny(unsafe_code)]

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!(
    "Sedge runs on Linux, on x86-64 and AArch64. Elsewhere, run it in a container: \
     docker run --rm -it -v \"$PWD\":/src -w /src rust:1 cargo test"
);

pub mod blocking;
mod context;
pub mod io;
mod primitive;
pub mod runtime;
mod scheduler;
pub mod signal;
mod stack;
pub mod task;
pub mod time;
mod timer;
mod wait;

pub use blocking::blocking;
pub use runtime::run;
pub use task::spawn;
