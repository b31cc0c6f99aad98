//! A connection that nobody can hold up: every wait on it ends in time.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use sedge::net::{Shutdown, TcpStream};
use sedge::signal::Graceful;

const MAX_HEAD: usize = 8 * 1024;

/// How long a connection may rest between requests.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a request may take from its first byte to its last. A limit for each read would not do:
/// a client that sends a byte now and then could stay for ever.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take to receive its responses, once they do not fit the socket's buffer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client that is to be left may go on sending before it is cut off.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// What a connection keeps of a buffer that had to grow.
pub(crate) const MAX_KEPT: usize = 64 * 1024;

/// Reads what the client sends, and writes what it is owed before it waits for more.
pub(crate) struct Wire<'a> {
    stream: &'a TcpStream,
    /// What has arrived; of it, `input[start..end]` is not used yet.
    input: Box<[u8]>,
    start: usize,
    end: usize,
    /// Responses not written yet: those to requests that arrive together leave together.
    pub(crate) output: Vec<u8>,
    read_timeout: Duration,
    /// By when the current request must be there, once it has taken more than one read.
    deadline: Option<Instant>,
}

impl<'a> Wire<'a> {
    pub(crate) fn new(stream: &'a TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        Ok(Self {
            stream,
            input: vec![0; MAX_HEAD].into(),
            start: 0,
            end: 0,
            output: Vec::new(),
            read_timeout: Duration::ZERO,
            deadline: None,
        })
    }

    /// Waits for the next request to begin. False if the client leaves, or the server stops, first.
    pub(crate) fn next_begins(&mut self, stop: &Graceful) -> io::Result<bool> {
        self.deadline = None;
        if !self.unread().is_empty() {
            return Ok(true);
        }
        self.flush()?;
        (self.start, self.end) = (0, 0);
        // Nothing is owed and nothing is asked: only here does a stop end the connection.
        let read = stop.until(self.stream, || self.read_within(IDLE_TIMEOUT))?;
        Ok(read.is_some_and(|length| length > 0))
    }

    /// Reads more of a request that has begun, behind what is there of it.
    pub(crate) fn read_more(&mut self) -> io::Result<()> {
        self.flush()?;
        self.input.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + REQUEST_TIMEOUT);
        match self.read_within(time_left(deadline)?)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    pub(crate) fn unread(&self) -> &[u8] {
        &self.input[self.start..self.end]
    }

    /// Whether what is not used yet leaves no room for more.
    pub(crate) fn is_full(&self) -> bool {
        self.unread().len() == self.input.len()
    }

    /// Reads into the free part of the buffer.
    fn read_within(&mut self, timeout: Duration) -> io::Result<usize> {
        if self.read_timeout != timeout {
            // This is a system call, so it is not made for every read.
            self.stream.set_read_timeout(Some(timeout))?;
            self.read_timeout = timeout;
        }
        let mut stream = self.stream;
        let length = stream.read(&mut self.input[self.end..])?;
        self.end += length;
        Ok(length)
    }

    /// Writes all output.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let written = write_all(self.stream, &self.output);
        // Forgotten after a failure, too, since nobody knows how much of it the client has.
        self.output.clear();
        self.output.shrink_to(MAX_KEPT);
        // Whatever it was: nobody is there to be told, not even that time is up.
        written.map_err(|_| ErrorKind::BrokenPipe.into())
    }

    /// Writes all output and, if the client may still be sending, reads on for a while. To close
    /// meanwhile would make the kernel reset the connection, and the client might never see the
    /// last response.
    pub(crate) fn close(&mut self, is_sending: bool) -> io::Result<()> {
        self.flush()?;
        if is_sending || !self.unread().is_empty() {
            self.stream.shutdown(Shutdown::Write)?;
            let deadline = Instant::now() + LINGER_TIMEOUT;
            loop {
                (self.start, self.end) = (0, 0);
                if self.read_within(time_left(deadline)?)? == 0 {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl BufRead for Wire<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.unread().is_empty() {
            self.read_more()?;
        }
        Ok(self.unread())
    }

    fn consume(&mut self, length: usize) {
        self.start += length;
    }
}

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}

/// As [`Write::write_all`], which would give a client that reads a byte now and then for ever.
fn write_all(mut stream: &TcpStream, output: &[u8]) -> io::Result<()> {
    // Nearly always this is all.
    let mut written = stream.write(output)?;
    if written < output.len() {
        let deadline = Instant::now() + WRITE_TIMEOUT;
        while written < output.len() {
            stream.set_write_timeout(Some(time_left(deadline)?))?;
            written += stream.write(&output[written..])?;
        }
        // The last of it may have gone out with the last try, when time was up: a client that does
        // not read is not to be given a while for each bit of room in the socket's buffer.
        time_left(deadline)?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    }
    Ok(())
}

/// What is left of the time until `deadline`; if nothing, the error of a read whose time is up.
fn time_left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::WouldBlock.into()) } else { Ok(left) }
}
