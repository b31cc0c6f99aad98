//! The same for futures: where a task would park, they leave their waker and return `Pending`.

use std::io;
use std::os::fd::AsFd;
use std::task::{Context, Poll};

use super::entry::{Entry, HeldWake};
use super::home;
use super::operation::poll_now;
use super::readiness::Direction;
use super::source::Source;
use crate::wait::QueueKey;

/// A future's place in a source's queue of waiters. Each future needs its own, for each direction.
///
/// Dropped while it waits, it leaves the queue, and passes on a wake that it had received.
///
/// # Examples
///
/// See [`Source::poll_read_with`].
#[derive(Debug, Default)]
pub struct WaitKey {
    key: QueueKey,
    place: Option<(&'static Entry, Direction)>,
}

impl WaitKey {
    /// A place in no queue.
    ///
    /// # Examples
    /// ```
    /// let key = sedge_runtime::io::WaitKey::new();
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves to this queue, out of any other.
    fn enter(&mut self, entry: &'static Entry, direction: Direction) -> &mut QueueKey {
        let stays =
            self.place.is_some_and(|(other, way)| std::ptr::eq(other, entry) && way == direction);
        if !stays {
            self.leave();
            self.place = Some((entry, direction));
        }
        // Also where it stays: the entry may be another source's by now.
        entry.expect_futures();
        &mut self.key
    }

    fn leave(&mut self) {
        if let Some((entry, direction)) = self.place.take() {
            entry.queue(direction).forget(&mut self.key);
        }
    }
}

impl Drop for WaitKey {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<T: AsFd> Source<T> {
    /// Calls `op`; where it returns `WouldBlock`, arranges for `cx`'s task to be woken when the
    /// source may be readable, and returns `Pending`.
    ///
    /// # Blocking
    /// Neither parks nor blocks.
    ///
    /// # Errors
    /// As [`Source::read_with`]. Polled by a plain thread, or inside `no_park`, it waits with a worker
    /// of the default runtime: what starting that returns.
    ///
    /// # Examples
    /// ```no_run
    /// use std::net::UdpSocket;
    /// use sedge_runtime::io::{Source, WaitKey};
    ///
    /// async fn receive(source: &Source<UdpSocket>, buf: &mut [u8]) -> std::io::Result<usize> {
    ///     let mut key = WaitKey::new();
    ///     std::future::poll_fn(|cx| source.poll_read_with(cx, &mut key, |s| s.recv(buf))).await
    /// }
    /// ```
    pub fn poll_read_with<R>(
        &self,
        cx: &mut Context<'_>,
        key: &mut WaitKey,
        op: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_with(Direction::Read, cx, key, op)
    }

    /// [`poll_read_with`](Self::poll_read_with), for writing.
    ///
    /// # Examples
    /// ```no_run
    /// use std::net::UdpSocket;
    /// use sedge_runtime::io::{Source, WaitKey};
    ///
    /// async fn send(source: &Source<UdpSocket>, buf: &[u8]) -> std::io::Result<usize> {
    ///     let mut key = WaitKey::new();
    ///     std::future::poll_fn(|cx| source.poll_write_with(cx, &mut key, |s| s.send(buf))).await
    /// }
    /// ```
    pub fn poll_write_with<R>(
        &self,
        cx: &mut Context<'_>,
        key: &mut WaitKey,
        op: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_with(Direction::Write, cx, key, op)
    }

    /// Returns `Ready` if the source is readable, has ended, or has an error; otherwise arranges for
    /// `cx`'s task to be woken.
    ///
    /// As [`Source::readable`]; errors as for [`poll_read_with`](Self::poll_read_with).
    ///
    /// # Examples
    /// ```no_run
    /// use std::net::UdpSocket;
    /// use sedge_runtime::io::{Source, WaitKey};
    ///
    /// async fn readable(source: &Source<UdpSocket>) -> std::io::Result<()> {
    ///     let mut key = WaitKey::new();
    ///     std::future::poll_fn(|cx| source.poll_readable(cx, &mut key)).await
    /// }
    /// ```
    pub fn poll_readable(&self, cx: &mut Context<'_>, key: &mut WaitKey) -> Poll<io::Result<()>> {
        self.poll_read_with(cx, key, |source| poll_now(source, Direction::Read))
    }

    /// [`poll_readable`](Self::poll_readable), for writing.
    ///
    /// # Examples
    /// ```no_run
    /// use std::net::UdpSocket;
    /// use sedge_runtime::io::{Source, WaitKey};
    ///
    /// async fn writable(source: &Source<UdpSocket>) -> std::io::Result<()> {
    ///     let mut key = WaitKey::new();
    ///     std::future::poll_fn(|cx| source.poll_writable(cx, &mut key)).await
    /// }
    /// ```
    pub fn poll_writable(&self, cx: &mut Context<'_>, key: &mut WaitKey) -> Poll<io::Result<()>> {
        self.poll_write_with(cx, key, |source| poll_now(source, Direction::Write))
    }

    fn poll_with<R>(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        key: &mut WaitKey,
        mut op: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let registration = self.registration();
        // A future that is polled again may have been woken for it.
        let mut held = HeldWake::none(direction);
        if let Some((entry, _)) = key.place {
            held.hold(entry);
        }
        loop {
            let seen = registration.snapshot();
            let tries = seen.is_ready(direction);
            if tries {
                match op(self.get_ref()) {
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    done => {
                        key.leave();
                        return Poll::Ready(done);
                    }
                }
            }
            let entry = registration.entry();
            let fresh =
                home::with_any(|here| entry.register(here, self.as_fd(), registration.interest()));
            let before = match fresh {
                Ok(fresh) => fresh.or(tries.then_some(seen)),
                Err(e) => return Poll::Ready(Err(e)),
            };
            if let Some(before) = before {
                entry.readiness().clear(before, direction);
            }
            let place = key.enter(entry, direction);
            match entry.queue(direction).poll_until(cx, place, || entry.ready(direction)) {
                Poll::Ready(_) => held.hold(entry),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
