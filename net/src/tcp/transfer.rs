//! How the bytes of a [`TcpStream`] move: `Read`, `Write` and [`peek`](TcpStream::peek).
//!
//! Each call asks for no waiting by itself (`MSG_DONTWAIT`), whatever the descriptor's mode. Where
//! it would have waited the source waits, within the stream's time limit, unless the stream is in
//! non-blocking mode: then there is one system call, and what it says is returned.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};

use rustix::net::{RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendFlags};
use sedge_runtime::io::Operation;

use super::TcpStream;

/// As many buffers as one system call takes.
const MAX_BUFFERS: usize = 1024;

/// No waiting, and no `SIGPIPE`.
const SEND_FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

/// A call that may wait for the stream, outside non-blocking mode.
type Call<'a> = Operation<'a, std::net::TcpStream>;

impl TcpStream {
    /// Reads without taking: the next read returns the same bytes again.
    ///
    /// # Blocking
    /// Parks the task until there is something to read.
    ///
    /// # Cancellation
    /// A cancellation point.
    ///
    /// # Errors
    /// `WouldBlock` when the [read timeout](Self::set_read_timeout) has passed, or at once in
    /// [non-blocking mode](Self::set_nonblocking); `ConnectionReset` and others of `recv(2)`.
    ///
    /// # Examples
    /// ```
    /// use std::io::{Read, Write};
    ///
    /// # let listener = sedge_net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = sedge_net::TcpStream::connect(listener.local_addr()?)?;
    /// # let (mut peer, _) = listener.accept()?;
    /// # peer.write_all(b"GET / HTTP/1.1\r\n")?;
    /// let mut first = [0];
    /// assert_eq!(stream.peek(&mut first)?, 1);
    /// let is_tls = first == [0x16];
    /// assert!(!is_tls);
    ///
    /// let mut method = [0; 3];
    /// (&stream).read_exact(&mut method)?;
    /// assert_eq!(&method, b"GET");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        let peek = |stream: &std::net::TcpStream| receive(stream, buf, RecvFlags::PEEK);
        if self.settings.nonblocking() {
            self.reading().once(peek)
        } else {
            // Not `transfer`: a short peek leaves data behind.
            self.reading().run(peek)
        }
    }

    /// A call that waits for something to read.
    #[inline]
    fn reading(&self) -> Call<'_> {
        self.source.reading().timeout(self.settings.read_timeout())
    }

    /// A call that waits for room.
    #[inline]
    fn writing(&self) -> Call<'_> {
        self.source.writing().timeout(self.settings.write_timeout())
    }

    /// Moves up to `len` bytes by `op`, which is repeated as long as `call` waits.
    #[inline]
    fn transfer(
        &self,
        call: Call<'_>,
        len: usize,
        op: impl FnMut(&std::net::TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if self.settings.nonblocking() { call.once(op) } else { call.transfer(len, op) }
    }
}

/// Receives what is there, without waiting.
pub(super) fn receive(
    stream: &std::net::TcpStream,
    buf: &mut [u8],
    flags: RecvFlags,
) -> io::Result<usize> {
    let (_, n) = rustix::net::recv(stream, buf, RecvFlags::DONTWAIT | flags)?;
    Ok(n)
}

impl Read for &TcpStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.transfer(self.reading(), buf.len(), |stream| receive(stream, buf, RecvFlags::empty()))
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let count = bufs.len().min(MAX_BUFFERS);
        let bufs = &mut bufs[..count];
        let len = bufs.iter().map(|buf| buf.len()).sum();
        if len == 0 {
            // As `readv(2)`, by which std's reads, and which does not ask the socket.
            return Ok(0);
        }
        self.transfer(self.reading(), len, |stream| {
            let mut control = RecvAncillaryBuffer::default();
            Ok(rustix::net::recvmsg(stream, bufs, &mut control, RecvFlags::DONTWAIT)?.bytes)
        })
    }
}

impl Write for &TcpStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let send = |stream: &std::net::TcpStream| Ok(rustix::net::send(stream, buf, SEND_FLAGS)?);
        if buf.is_empty() {
            // Nothing needs no room. The call tells whether the stream can still be written.
            return self.writing().once(send);
        }
        self.transfer(self.writing(), buf.len(), send)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let bufs = &bufs[..bufs.len().min(MAX_BUFFERS)];
        let len = bufs.iter().map(|buf| buf.len()).sum();
        if len == 0 {
            // As `writev(2)`.
            return Ok(0);
        }
        self.transfer(self.writing(), len, |stream| {
            let mut control = SendAncillaryBuffer::default();
            Ok(rustix::net::sendmsg(stream, bufs, &mut control, SEND_FLAGS)?)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for TcpStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(bufs)
    }
}

impl Write for TcpStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
