//! Connections as iterators.

use std::io;
use std::iter::FusedIterator;

use super::{TcpListener, TcpStream};

/// An infinite iterator over a listener's connections: [`TcpListener::incoming`].
#[derive(Debug)]
#[must_use = "iterators are lazy and do nothing unless consumed"]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

/// An infinite iterator over a listener's connections, which owns it:
/// [`TcpListener::into_incoming`].
#[derive(Debug)]
#[must_use = "iterators are lazy and do nothing unless consumed"]
pub struct IntoIncoming {
    listener: TcpListener,
}

impl<'a> Incoming<'a> {
    pub(super) fn new(listener: &'a TcpListener) -> Self {
        Self { listener }
    }
}

impl IntoIncoming {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener }
    }
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl Iterator for IntoIncoming {
    type Item = io::Result<TcpStream>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl FusedIterator for Incoming<'_> {}
impl FusedIterator for IntoIncoming {}
