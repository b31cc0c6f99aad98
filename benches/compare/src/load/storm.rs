//! Short connections: connect, one exchange, close, and again.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use rustix::{
    event::epoll::{self, CreateFlags, EventData, EventFlags},
    fd::OwnedFd,
    net::{AddressFamily, SocketFlags, SocketType, sockopt},
};

use super::{
    EVENTS,
    message::{Expected, MESSAGE_BYTES},
    next_events,
};

/// Who is left with what after a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Closing {
    /// The client resets (SO_LINGER 0): no port is held and nothing is left to disturb the next
    /// round
    Reset,
    /// The client sends FIN and holds the port in TIME_WAIT; its address goes round 127.0.0.0/8
    Fin,
}

/// What one run saw.
#[derive(Debug)]
pub(crate) struct Cycles {
    pub(crate) count: u64,
    pub(crate) elapsed: Duration,
}

impl Cycles {
    pub(crate) fn per_second(&self) -> f64 {
        self.count as f64 / self.elapsed.as_secs_f64()
    }
}

/// Keeps so many cycles under way for so long, then waits for the last ones.
pub(crate) fn storm(
    server: SocketAddr,
    at_once: usize,
    duration: Duration,
    closing: Closing,
    sources: &mut Sources,
) -> Result<Cycles> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let mut events = Vec::with_capacity(EVENTS);
    let mut slots: Vec<Option<Cycle>> = (0..at_once).map(|_| None).collect();
    let start = Instant::now();
    let mut begun = 0;
    for (number, slot) in slots.iter_mut().enumerate() {
        *slot = Some(Cycle::begin(&epoll, server, number, begun, closing, sources)?);
        begun += 1;
    }
    let mut ended = 0;
    while ended < begun {
        next_events(&epoll, &mut events, false)?;
        for event in &events {
            let number = event.data.u64() as usize;
            let Some(cycle) = &mut slots[number] else { continue };
            if !cycle.receive()? {
                continue;
            }
            slots[number] = None;
            ended += 1;
            if start.elapsed() < duration {
                slots[number] =
                    Some(Cycle::begin(&epoll, server, number, begun, closing, sources)?);
                begun += 1;
            }
        }
    }
    Ok(Cycles { count: ended, elapsed: start.elapsed() })
}

/// One connection's life. The socket blocks: it connects at once on the loopback, and is read only
/// when readable.
#[derive(Debug)]
struct Cycle {
    socket: OwnedFd,
    expected: Expected,
}

impl Cycle {
    fn begin(
        epoll: &OwnedFd,
        server: SocketAddr,
        slot: usize,
        number: u64,
        closing: Closing,
        sources: &mut Sources,
    ) -> Result<Self> {
        let kind = (AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC);
        let socket = rustix::net::socket_with(kind.0, kind.1, kind.2, None)?;
        match closing {
            Closing::Reset => sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?,
            Closing::Fin => rustix::net::bind(&socket, &sources.next_address())?,
        }
        sockopt::set_tcp_nodelay(&socket, true)?;
        rustix::net::connect(&socket, &server).context("connecting")?;
        let expected = Expected::new(slot, number);
        let written = rustix::io::write(&socket, expected.message())?;
        ensure!(written == MESSAGE_BYTES, "a message was written only in part");
        epoll::add(epoll, &socket, EventData::new_u64(slot as u64), EventFlags::IN)?;
        Ok(Self { socket, expected })
    }

    /// Reads once. `true` once the answer is complete.
    fn receive(&mut self) -> Result<bool> {
        let mut buffer = [0; 2 * MESSAGE_BYTES];
        let count = rustix::io::read(&self.socket, &mut buffer)?;
        self.expected.check(&buffer[..count])
    }
}

/// Client addresses in 127.0.0.0/8, each for a part of its ports only, so that none is asked for a
/// port that is still in TIME_WAIT.
#[derive(Debug)]
pub(crate) struct Sources {
    used: u32,
}

impl Sources {
    const PORTS_EACH: u32 = 5_000;

    pub(crate) fn new() -> Self {
        Self { used: 0 }
    }

    fn next_address(&mut self) -> SocketAddr {
        // From 127.1.0.1 on, away from the addresses that people use.
        let host = (1 << 16) + 1 + (self.used / Self::PORTS_EACH) % 0x00F0_0000;
        self.used = self.used.wrapping_add(1);
        SocketAddrV4::new(Ipv4Addr::from((127 << 24) | host), 0).into()
    }
}
