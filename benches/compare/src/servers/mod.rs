//! The servers that are compared, and the registry of them. A server is one file here and one line
//! in `ALL`. Every one answers a connection's bytes with the same bytes, holds a buffer of
//! `BUFFER_BYTES` for each connection, and sets TCP_NODELAY.

mod epoll;
mod go;
mod may;
mod sedge;
mod tokio;

use anyhow::{Context as _, Result, bail};

pub(crate) use self::go::program as go_program;
use crate::{child::Tether, cpus::Mode};

/// The buffer that each connection has to itself, in every server. `go/main.go` has the same.
const BUFFER_BYTES: usize = 1024;

/// Something that can be compared over a socket.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// Cheap, unlike `prepare`; an error if it is not on this machine.
    pub(crate) version: fn() -> Result<String>,
    /// Makes ready what a run needs, or says what is missing on this machine.
    pub(crate) prepare: fn() -> Result<()>,
    /// Whether it can use more than one CPU.
    pub(crate) many_workers: bool,
    /// Listens, says where, and serves until it is killed.
    pub(crate) serve: fn(workers: usize) -> Result<()>,
}

/// In the order in which they are run and shown. The first is what the others are measured against.
pub(crate) static ALL: &[Server] = &[
    epoll::SERVER,
    tokio::CURRENT_THREAD,
    tokio::MULTI_THREAD,
    may::SERVER,
    go::SERVER,
    sedge::SERVER,
];

/// The server whose CPU time is 1 in every ratio.
pub(crate) static BASELINE: &Server = &ALL[0];

pub(crate) fn find(name: &str) -> Result<&'static Server> {
    ALL.iter().find(|server| server.name == name).with_context(|| {
        let names: Vec<_> = ALL.iter().map(|server| server.name).collect();
        format!("no server is called {name:?}; there are {}", names.join(", "))
    })
}

/// The servers to compare, and a note for each that cannot be. The baseline is always among them.
pub(crate) fn choose(names: &[String], mode: Mode) -> Result<(Vec<&'static Server>, Vec<String>)> {
    let wanted = match names {
        [] => ALL.iter().collect(),
        names => names.iter().map(|name| find(name)).collect::<Result<Vec<_>>>()?,
    };
    let mut chosen = vec![BASELINE];
    let mut notes = Vec::new();
    for server in wanted {
        if chosen.iter().any(|other| other.name == server.name) {
            continue;
        }
        if mode == Mode::All && !server.many_workers {
            notes.push(format!("{} is left out: it uses one CPU only", server.name));
        } else if let Err(error) = (server.prepare)() {
            notes.push(format!("{} is left out: {error:#}", server.name));
        } else {
            chosen.push(server);
        }
    }
    Ok((chosen, notes))
}

/// For servers that are part of this binary.
fn nothing_to_prepare() -> Result<()> {
    Ok(())
}

/// The hidden subcommand that is one server.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    name: String,
    #[arg(long, default_value_t = 1)]
    workers: usize,
    #[command(flatten)]
    tether: Tether,
}

impl Serve {
    pub(crate) fn run(self) -> Result<()> {
        self.tether.attach()?;
        let server = find(&self.name)?;
        if self.workers != 1 && !server.many_workers {
            bail!("{} has one worker only", server.name);
        }
        (server.serve)(self.workers)
    }
}
