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
    key: QueueKey<'static>,
    place: Option<(&'static Entry, Direction)>,
}

impl WaitKey {
    /// A place in no queue.
    ///
    /// # Examples
    /// See [`Source::poll_read_with`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves to this queue, out of any other.
    fn enter(&mut self, entry: &'static Entry, direction: Direction) -> &mut QueueKey<'static> {
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
        self.place = None;
        self.key.forget();
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
    /// # Cancellation
    /// Not a cancellation point. Dropped while pending, the future has moved nothing; its `key`
    /// takes it out of the queue.
    ///
    /// # Errors
    /// What `op` returns, `WouldBlock` excepted; and when it has to wait: `Unsupported` for a file
    /// that epoll refuses, `AlreadyExists` for a descriptor that another source has,
    /// `QuotaExceeded` at the limit on registrations. Polled by a plain thread, or inside
    /// `no_park`, it waits with a worker of the default runtime: what starting that returns.
    ///
    /// # Examples
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::io::{Source, WaitKey};
    /// use std::net::UdpSocket;
    ///
    /// async fn receive(source: &Source<UdpSocket>, buf: &mut [u8]) -> std::io::Result<usize> {
    ///     let mut key = WaitKey::new();
    ///     std::future::poll_fn(|cx| source.poll_read_with(cx, &mut key, |s| s.recv(buf))).await
    /// }
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let source = Source::new(UdpSocket::bind("127.0.0.1:0")?)?;
    /// # source.get_ref().connect(source.get_ref().local_addr()?)?;
    /// # source.get_ref().send(b"ping")?;
    /// assert_eq!(sedge::task::block_on(receive(&source, &mut [0; 1500]))?, 4);
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_read_with<R>(
        &self,
        cx: &mut Context<'_>,
        key: &mut WaitKey,
        op: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_with(Direction::Read, cx, key, op)
    }

    /// [`poll_read_with`](Self::poll_read_with), for writing: `Pending` until the source may be
    /// writable.
    ///
    /// Blocking, cancellation and errors are those of [`poll_read_with`](Self::poll_read_with).
    ///
    /// # Examples
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::io::{Source, WaitKey};
    /// use std::net::UdpSocket;
    ///
    /// async fn send(source: &Source<UdpSocket>, buf: &[u8]) -> std::io::Result<usize> {
    ///     let mut key = WaitKey::new();
    ///     std::future::poll_fn(|cx| source.poll_write_with(cx, &mut key, |s| s.send(buf))).await
    /// }
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let source = Source::new(UdpSocket::bind("127.0.0.1:0")?)?;
    /// # source.get_ref().connect(source.get_ref().local_addr()?)?;
    /// assert_eq!(sedge::task::block_on(send(&source, b"ping"))?, 4);
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_write_with<R>(
        &self,
        cx: &mut Context<'_>,
        key: &mut WaitKey,
        op: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_with(Direction::Write, cx, key, op)
    }

    /// Returns `Ready` if the source is readable, has ended, or has an error; otherwise arranges
    /// for `cx`'s task to be woken.
    ///
    /// As [`Source::readable`], the answer is the kernel's, and may no longer hold.
    ///
    /// # Errors
    /// Those of `poll(2)`; and, when it has to wait, those of
    /// [`poll_read_with`](Self::poll_read_with).
    ///
    /// # Examples
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::io::{Source, WaitKey};
    /// use std::net::UdpSocket;
    ///
    /// async fn readable(source: &Source<UdpSocket>) -> std::io::Result<()> {
    ///     let mut key = WaitKey::new();
    ///     std::future::poll_fn(|cx| source.poll_readable(cx, &mut key)).await
    /// }
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let source = Source::new(UdpSocket::bind("127.0.0.1:0")?)?;
    /// # source.get_ref().connect(source.get_ref().local_addr()?)?;
    /// # source.get_ref().send(b"ping")?;
    /// sedge::task::block_on(readable(&source))?;
    /// assert_eq!(source.get_ref().recv(&mut [0; 1500])?, 4);
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_readable(&self, cx: &mut Context<'_>, key: &mut WaitKey) -> Poll<io::Result<()>> {
        self.poll_read_with(cx, key, |source| poll_now(source, Direction::Read))
    }

    /// [`poll_readable`](Self::poll_readable), for writing, with the same errors.
    ///
    /// # Examples
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::io::{Source, WaitKey};
    /// use std::net::UdpSocket;
    ///
    /// async fn writable(source: &Source<UdpSocket>) -> std::io::Result<()> {
    ///     let mut key = WaitKey::new();
    ///     std::future::poll_fn(|cx| source.poll_writable(cx, &mut key)).await
    /// }
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let source = Source::new(UdpSocket::bind("127.0.0.1:0")?)?;
    /// # source.get_ref().connect(source.get_ref().local_addr()?)?;
    /// sedge::task::block_on(writable(&source))?;
    /// source.get_ref().send(b"ping")?;
    /// # Ok(())
    /// # }
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
