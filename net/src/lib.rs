//! Networking for Sedge's green threads, under std's names.
//!
//! Each type does what its namesake in [`std::net`] does, with the same methods, traits and errors,
//! except that where std's blocks the thread, these park the calling task. Code moves over by
//! changing `use std::net` to `use sedge::net`. On a plain thread, outside any runtime, they block
//! it, as std's do.
//!
//! # What differs from std
//!
//! - [`FromRawFd`](std::os::fd::FromRawFd) is missing, since this crate forbids `unsafe` code,
//!   which implementing that trait is. Go by way of an [`OwnedFd`](std::os::fd::OwnedFd):
//!   `TcpStream::from(unsafe { OwnedFd::from_raw_fd(fd) })`.
//! - [`ToSocketAddrs`] is this crate's own, implemented for the same types: a name is looked up
//!   without blocking the worker. A type that implements std's does not implement this one.
//! - What std has in `std::os::linux::net::TcpStreamExt`, and what is unstable there
//!   ([`TcpStream::set_linger`], [`TcpListener::into_incoming`]), are plain methods here.
//! - A timeout is exact: std's, which the kernel keeps, is rounded up to the kernel's tick.
//! - `write_vectored` never raises `SIGPIPE`.
//!
//! # Descriptors
//!
//! A [`TcpStream`]'s descriptor is a blocking one, as std's is, unless
//! [`set_nonblocking`](TcpStream::set_nonblocking) said otherwise: each call asks for no waiting by
//! itself. So it may be converted to std's type, inherited by a child, or duplicated, and means
//! there what it would mean anyway. A [`TcpListener`]'s descriptor has `O_NONBLOCK`, because
//! `accept` has no such way to ask; conversion to std's type, or to an `OwnedFd`, takes it off.
//! That flag belongs to the open file, not to the descriptor: convert a listener only when none of
//! its clones is in use any more.
#![forbid(unsafe_code)]

mod addr;
mod tcp;

pub use addr::ToSocketAddrs;
pub use std::net::{
    AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6,
};
pub use tcp::{Incoming, IntoIncoming, TcpListener, TcpListenerBuilder, TcpStream};
