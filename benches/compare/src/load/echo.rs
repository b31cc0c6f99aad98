//! Kept connections with one outstanding request each: a closed loop.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use rustix::{
    event::epoll::{self, CreateFlags, EventData, EventFlags},
    fd::OwnedFd,
};

use super::{
    EVENTS, PATIENCE,
    message::{Expected, MESSAGE_BYTES},
    next_events,
};

/// Open connections to one server, each of which has exchanged one message.
#[derive(Debug)]
pub(crate) struct Echo {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    spins: bool,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    number: usize,
    requests: u64,
    sent: Instant,
    expected: Expected,
}

/// When no further request is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    Elapsed(Duration),
    Requests(u64),
}

/// What one run saw.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) requests: u64,
    /// From the first request sent to the last answer checked.
    pub(crate) elapsed: Duration,
    pub(crate) latency_ns: Histogram<u64>,
}

impl Echo {
    /// Opens the connections one after another, each with one exchange: the server has then
    /// accepted it, and no listener's backlog is ever asked for more than one.
    pub(crate) fn connect(address: SocketAddr, count: usize) -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let mut connections = Vec::with_capacity(count);
        for number in 0..count {
            let connection = Connection::open(address, number)
                .with_context(|| format!("opening connection {number} of {count}"))?;
            let data = EventData::new_u64(number as u64);
            epoll::add(&epoll, &connection.stream, data, EventFlags::IN | EventFlags::ET)?;
            connections.push(connection);
        }
        Ok(Self { epoll, connections, spins: false })
    }

    /// Polls without sleeping from now on.
    pub(crate) fn spin(&mut self, spins: bool) {
        self.spins = spins;
    }

    /// Keeps one request outstanding on every connection until told to stop, then waits for the
    /// last answers: every request counted was answered within this call, and no other was.
    pub(crate) fn run(&mut self, until: Until) -> Result<Sample> {
        // 3 significant digits, up to a minute; what is above is counted as a minute.
        let mut latency_ns = Histogram::new_with_max(60_000_000_000, 3)?;
        let mut events = Vec::with_capacity(EVENTS);
        let start = Instant::now();
        let mut sent = 0;
        let mut answered = 0;
        for connection in &mut self.connections {
            if !until.allows(sent, Duration::ZERO) {
                break;
            }
            connection.send(Instant::now())?;
            sent += 1;
        }
        let mut elapsed = start.elapsed();
        while answered < sent {
            next_events(&self.epoll, &mut events, self.spins)?;
            for event in &events {
                let connection = &mut self.connections[event.data.u64() as usize];
                let Some(now) = connection.receive()? else { continue };
                answered += 1;
                latency_ns.saturating_record((now - connection.sent).as_nanos() as u64);
                elapsed = now - start;
                if until.allows(sent, elapsed) {
                    connection.send(now)?;
                    sent += 1;
                }
            }
        }
        Ok(Sample { requests: answered, elapsed, latency_ns })
    }
}

impl Until {
    fn allows(self, sent: u64, elapsed: Duration) -> bool {
        match self {
            Self::Elapsed(limit) => elapsed < limit,
            Self::Requests(limit) => sent < limit,
        }
    }
}

impl Sample {
    pub(crate) fn per_second(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64()
    }

    /// Microseconds at which this part of the requests, from 0 to 1, had their answer.
    pub(crate) fn latency_us(&self, quantile: f64) -> f64 {
        self.latency_ns.value_at_quantile(quantile) as f64 / 1e3
    }
}

impl Connection {
    fn open(address: SocketAddr, number: usize) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let expected = Expected::new(number, 0);
        let mut connection = Self { stream, number, requests: 0, sent: Instant::now(), expected };
        connection.send(Instant::now())?;
        while connection.receive()?.is_none() {}
        connection.stream.set_nonblocking(true)?;
        Ok(connection)
    }

    fn send(&mut self, now: Instant) -> Result<()> {
        self.expected = Expected::new(self.number, self.requests);
        self.sent = now;
        self.requests += 1;
        let written = self.stream.write(self.expected.message())?;
        // The socket's buffer is empty: the last message has come back.
        ensure!(written == MESSAGE_BYTES, "a message was written only in part");
        Ok(())
    }

    /// Reads once. The time at which the answer was complete, or `None` if it is not.
    fn receive(&mut self) -> Result<Option<Instant>> {
        let mut buffer = [0; 2 * MESSAGE_BYTES];
        let count = match self.stream.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock && self.requests > 1 => {
                return Ok(None);
            }
            result => result?,
        };
        let complete = self
            .expected
            .check(&buffer[..count])
            .with_context(|| format!("connection {}, request {}", self.number, self.requests))?;
        Ok(complete.then(Instant::now))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // A reset leaves no TIME_WAIT behind, which would use up ports and disturb later rounds.
        // Failure only means that it does.
        let _ = rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{SocketAddr, TcpListener},
        thread,
    };

    use super::{Echo, MESSAGE_BYTES, Until};

    /// A server of one connection that spoils what it echoes from some message on.
    fn serve(spoil: impl Fn(usize, &mut Vec<u8>) + Send + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut message = [0; MESSAGE_BYTES];
            for number in 0.. {
                // The client's end, when it has seen enough.
                if stream.read_exact(&mut message).is_err() {
                    return;
                }
                let mut answer = message.to_vec();
                spoil(number, &mut answer);
                if answer.is_empty() || stream.write_all(&answer).is_err() {
                    return;
                }
            }
        });
        address
    }

    #[test]
    fn counts_what_was_answered() {
        let mut echo = Echo::connect(serve(|_, _| {}), 1).unwrap();
        let sample = echo.run(Until::Requests(10)).unwrap();
        assert_eq!((sample.requests, sample.latency_ns.len()), (10, 10));
        assert_eq!(echo.run(Until::Requests(5)).unwrap().requests, 5);
    }

    #[test]
    fn one_wrong_byte_fails() {
        let mut echo =
            Echo::connect(serve(|number, answer| answer[63] ^= u8::from(number == 3)), 1).unwrap();
        let error = echo.run(Until::Requests(10)).unwrap_err();
        assert!(format!("{error:#}").contains("answered something else"), "{error:#}");
    }

    #[test]
    fn one_byte_too_many_fails() {
        let mut echo =
            Echo::connect(serve(|number, answer| answer.extend((number == 3).then_some(0))), 1)
                .unwrap();
        assert!(echo.run(Until::Requests(10)).is_err());
    }

    #[test]
    fn an_end_fails() {
        let mut echo =
            Echo::connect(serve(|number, answer| answer.truncate(64 * usize::from(number < 3))), 1)
                .unwrap();
        let error = echo.run(Until::Requests(10)).unwrap_err();
        assert!(format!("{error:#}").contains("closed the connection"), "{error:#}");
    }
}
