//! The clients: single-threaded epoll loops in the parent process. Every answered byte is checked.

mod echo;
mod message;
mod storm;

pub(crate) use echo::{Echo, Until};
pub(crate) use storm::{Closing, Sources, storm};

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
    fd::OwnedFd,
    io::Errno,
};

/// A server that leaves every outstanding request unanswered for so long has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many events one wait takes at most.
const EVENTS: usize = 1024;

/// Waits for events, sleeping or spinning, and says so if the server has stopped answering.
fn next_events(epoll: &OwnedFd, events: &mut Vec<epoll::Event>, spin: bool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let timeout = Timespec::try_from(if spin { Duration::ZERO } else { PATIENCE })?;
    events.clear();
    while events.is_empty() {
        match epoll::wait(epoll, spare_capacity(events), Some(&timeout)) {
            Ok(0) => ensure!(Instant::now() < deadline, "no answer for {} s", PATIENCE.as_secs()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
