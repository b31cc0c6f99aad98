//! The floor: an edge-triggered epoll loop with nothing between it and the kernel, as one would
//! write it in C. A read is repeated only if it filled the buffer, so that a request costs one
//! read, one write, and its part of an `epoll_wait`.
//!
//! With several workers the first accepts for all and deals the connections out in turn.

use std::{
    net::TcpListener,
    ops::Range,
    os::fd::{AsRawFd as _, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use anyhow::Result;
use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, Event, EventData, EventFlags},
    io::{Errno, read, write},
    net::{SocketFlags, accept_with, sockopt::set_tcp_nodelay},
};

use super::{BUFFER_BYTES, Server, nothing_to_prepare};
use crate::child::say_listening;

pub(super) const SERVER: Server = Server {
    name: "epoll",
    about: "raw epoll, edge-triggered: the floor",
    version: || Ok("edge-triggered".to_owned()),
    prepare: nothing_to_prepare,
    many_workers: true,
    serve,
};

const LISTENER: u64 = u64::MAX;
const EVENTS: usize = 1024;

fn serve(workers: usize) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let inboxes: Vec<Arc<Inbox>> =
        (0..workers).map(|_| Inbox::new().map(Arc::new)).collect::<Result<_>>()?;
    epoll::add(
        &inboxes[0].epoll,
        &listener,
        EventData::new_u64(LISTENER),
        EventFlags::IN | EventFlags::ET,
    )?;
    for inbox in &inboxes[1..] {
        let inbox = Arc::clone(inbox);
        thread::spawn(move || Worker::new(inbox).run(|| Ok(())));
    }
    say_listening(listener.local_addr()?);

    let mut next = 0;
    Worker::new(Arc::clone(&inboxes[0])).run(|| {
        loop {
            let socket = match accept_with(&listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)
            {
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::CONNABORTED) => continue,
                accepted => accepted?,
            };
            inboxes[next].give(socket)?;
            next = (next + 1) % inboxes.len();
        }
    })
}

/// A worker's epoll instance, and the accepted sockets that it does not yet own.
struct Inbox {
    epoll: OwnedFd,
    arrived: Mutex<Vec<OwnedFd>>,
}

impl Inbox {
    fn new() -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, arrived: Mutex::default() })
    }

    fn give(&self, socket: OwnedFd) -> Result<()> {
        set_tcp_nodelay(&socket, true)?;
        // The lock is held until the registration: the worker cannot close the socket before it.
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let data = EventData::new_u64(socket.as_raw_fd() as u64);
        epoll::add(
            &self.epoll,
            &socket,
            data,
            EventFlags::IN | EventFlags::RDHUP | EventFlags::ET,
        )?;
        arrived.push(socket);
        Ok(())
    }
}

/// Connections by descriptor number, as small and dense as a process's descriptors are.
#[derive(Default)]
struct Connections(Vec<Option<Box<Connection>>>);

struct Worker {
    inbox: Arc<Inbox>,
    connections: Connections,
}

impl Worker {
    fn new(inbox: Arc<Inbox>) -> Self {
        Self { inbox, connections: Connections::default() }
    }

    /// Serves for good; `accept` is called when the listener is ready.
    fn run(mut self, mut accept: impl FnMut() -> Result<()>) -> Result<()> {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        loop {
            events.clear();
            match epoll::wait(&self.inbox.epoll, spare_capacity(&mut events), None) {
                Err(Errno::INTR) => continue,
                waited => waited?,
            };
            for event in &events {
                match event.data.u64() {
                    LISTENER => accept()?,
                    number => self.serve_ready(number as usize, event.flags),
                }
            }
        }
    }

    fn serve_ready(&mut self, number: usize, flags: EventFlags) {
        if self.connections.get(number).is_none() {
            self.take_arrived();
        }
        let Some(connection) = self.connections.get(number) else { return };
        if !connection.echo(&self.inbox.epoll, flags).unwrap_or(false) {
            // Closing takes the descriptor out of epoll too.
            self.connections.0[number] = None;
        }
    }

    fn take_arrived(&mut self) {
        let mut arrived = self.inbox.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        for socket in arrived.drain(..) {
            self.connections.insert(socket);
        }
    }
}

impl Connections {
    fn get(&mut self, number: usize) -> Option<&mut Connection> {
        self.0.get_mut(number)?.as_deref_mut()
    }

    fn insert(&mut self, socket: OwnedFd) {
        let number = socket.as_raw_fd() as usize;
        if self.0.len() <= number {
            self.0.resize_with(number + 1, || None);
        }
        self.0[number] = Some(Box::new(Connection::new(socket)));
    }
}

struct Connection {
    socket: OwnedFd,
    buffer: [u8; BUFFER_BYTES],
    /// What of the buffer the peer has not taken yet. While there is some, nothing is read.
    unsent: Range<usize>,
}

impl Connection {
    fn new(socket: OwnedFd) -> Self {
        Self { socket, buffer: [0; BUFFER_BYTES], unsent: 0..0 }
    }

    /// Echoes what there is. `false` once the peer is done.
    fn echo(&mut self, epoll: &OwnedFd, flags: EventFlags) -> Result<bool, Errno> {
        let ended = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        if !self.unsent.is_empty() && !self.flush(epoll)? {
            return Ok(true);
        }
        loop {
            let count = match read(&self.socket, &mut self.buffer) {
                Err(Errno::AGAIN) => return Ok(true),
                result => result?,
            };
            if count == 0 {
                return Ok(false);
            }
            self.unsent = 0..count;
            if !self.flush(epoll)? {
                return Ok(true);
            }
            // A short read has emptied the socket, and what comes next makes a new edge; but an end
            // that came with this edge makes none.
            if count < BUFFER_BYTES && !ended {
                return Ok(true);
            }
        }
    }

    /// Writes what is unsent. `false` if the peer must first make room.
    fn flush(&mut self, epoll: &OwnedFd) -> Result<bool, Errno> {
        while !self.unsent.is_empty() {
            match write(&self.socket, &self.buffer[self.unsent.clone()]) {
                Err(Errno::AGAIN) => {
                    let data = EventData::new_u64(self.socket.as_raw_fd() as u64);
                    let both =
                        EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
                    epoll::modify(epoll, &self.socket, data, both)?;
                    return Ok(false);
                }
                result => self.unsent.start += result?,
            }
        }
        Ok(true)
    }
}
