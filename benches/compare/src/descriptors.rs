//! How many descriptors a process may hold. Client and server are two processes, with a limit each.

use anyhow::{Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a process holds besides its connections: epoll instances, pipes, standard streams.
const SPARE: u64 = 100;

/// Raises the soft limit to the hard one; children inherit it.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Refusal leaves the limit as it was, and `check_room` then says what does not fit.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Says whether one process can hold so many connections.
pub(crate) fn check_room(connections: usize) -> Result<()> {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    ensure!(
        connections as u64 + SPARE <= limit,
        "{connections} connections do not fit: a process may hold {limit} descriptors here \
         (client and server each have that limit; raise the hard limit with `ulimit -Hn`)"
    );
    Ok(())
}
