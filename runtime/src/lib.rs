//! The runtime of Sedge: stacks, tasks, scheduler, netpoller, timers and the blocking pool.
//!
//! **To write a program, depend on [`sedge`](../sedge/index.html)**: it re-exports all of this and
//! adds sockets, and its documentation is the tutorial. This crate is for building on as
//! `sedge-net` is built: it knows no socket and no file, but has the two tools for whatever waits.
//!
//! - [`io::Source`] makes anything that epoll can watch park a task: a socket of another family, a
//!   pipe, a terminal, a timerfd, a device.
//! - [`blocking`](fn@blocking) takes the rest to a thread that may block.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::os::unix::net::UnixStream;
//!
//! use sedge_runtime::io::Source;
//!
//! # fn main() -> std::io::Result<()> {
//! sedge_runtime::run(|| {
//!     let (near, far) = UnixStream::pair()?;
//!     let (near, far) = (Source::new(near)?, Source::new(far)?);
//!     let answer = sedge_runtime::spawn(move || {
//!         let mut buffer = [0; 4];
//!         // Tries, parks where the call would block, and tries again.
//!         far.read_with(|mut socket| socket.read(&mut buffer)).map(|_| buffer)
//!     });
//!     near.write_with(|mut socket| socket.write(b"ping"))?;
//!     assert_eq!(&answer.join().unwrap()?, b"ping");
//!     Ok(())
//! })
//! # }
//! ```
//!
//! | module | what is in it |
//! |---|---|
//! | [`task`] | spawning, joining, scopes, cancelling, parking, task-locals |
//! | [`runtime`] | starting and ending runtimes, their settings and figures |
//! | [`io`] | the netpoller |
//! | [`mod@blocking`] | the pool of threads |
//! | [`time`] | sleeping, and limits on time |
//! | [`supervisor`] | restarting what fails |
//! | [`signal`] | signals, and the graceful stop of a server |
//!
//! `ARCHITECTURE.md` in the repository says how it works inside.
#![deny(unsafe_code)]

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!(
    "Sedge runs on Linux, on x86-64 and AArch64. Elsewhere, run it in a container: \
     docker run --rm -it -v \"$PWD\":/src -w /src rust:1 cargo test"
);

mod abort;
pub mod blocking;
mod clock;
mod context;
pub mod io;
mod primitive;
pub mod runtime;
mod scheduler;
pub mod signal;
mod stack;
pub mod supervisor;
pub mod sync;
pub mod task;
pub mod time;
mod timer;
mod wait;

pub use blocking::blocking;
pub use runtime::run;
pub use task::{scope, spawn, try_scope};
