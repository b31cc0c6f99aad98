//! What is compared where tasks talk: batches of messages, each in a process of its own, which
//! measures itself. A runtime, or a library of channels, is one file here and one line in `ALL`.

mod blocking;
mod future;
mod go;
mod may;
mod sedge;
mod threads;
mod tokio;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;

use crate::{
    child::Tether,
    stopwatch::{LEFT, Stopwatch, one_less_left},
};

/// Something by which tasks, or threads, talk.
#[derive(Debug)]
pub(crate) struct Runtime {
    pub(crate) name: &'static str,
    /// What carries the messages, with its version.
    pub(crate) about: fn() -> String,
    /// As for a server.
    pub(crate) prepare: fn() -> Result<()>,
    pub(crate) many_workers: bool,
    /// How many times fewer round trips make a batch, where each takes long.
    pub(crate) shorter: usize,
    /// Under which name the same tasks park in `tasks`; none where there are too few.
    pub(crate) tasks: Option<fn(workers: usize) -> &'static str>,
    /// Runs one batch, and prints what it showed.
    run: fn(Batch, workers: usize) -> Result<()>,
}

pub(crate) static ALL: &[Runtime] = &[
    threads::RUNTIME,
    tokio::CURRENT_THREAD,
    tokio::MULTI_THREAD,
    tokio::ASYNC_CHANNEL,
    tokio::FLUME,
    may::RUNTIME,
    go::RUNTIME,
    sedge::RUNTIME,
];

/// What a batch does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Job {
    /// From hand to hand, there and back, between two
    RoundTrip,
    /// One sends, one receives, without a bound
    OneToOne,
    /// Four send, four receive, through one channel of 64
    FourToFour,
    /// Tasks that wait for a message from one channel for good
    Parked,
}

/// How many send, and how many receive, where there are several.
const CROWD: usize = 4;

/// The capacity of their channel.
const CAPACITY: usize = 64;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    job: Job,
    count: usize,
}

impl Batch {
    fn stopwatch(self) -> Result<Stopwatch> {
        Stopwatch::start(self.count, self.job == Job::Parked)
    }

    /// The messages of each of the crowd.
    fn share(self) -> usize {
        self.count / CROWD
    }
}

/// The hidden subcommand that is one batch.
#[derive(Debug, clap::Args)]
pub(crate) struct RunChannels {
    name: String,
    job: Job,
    count: usize,
    #[arg(long, default_value_t = 1)]
    workers: usize,
    #[command(flatten)]
    tether: Tether,
}

impl RunChannels {
    pub(crate) fn run(self) -> Result<()> {
        self.tether.attach()?;
        ensure!(
            self.count > 0 && self.count % CROWD == 0,
            "a batch is divided among {CROWD}: {} is no multiple",
            self.count
        );
        (find(&self.name)?.run)(Batch { job: self.job, count: self.count }, self.workers)
    }
}

impl Job {
    /// The name by which a command line, and the Go program, know it.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

pub(crate) fn find(name: &str) -> Result<&'static Runtime> {
    ALL.iter().find(|runtime| runtime.name == name).with_context(|| {
        let names: Vec<_> = ALL.iter().map(|runtime| runtime.name).collect();
        format!("nothing here is called {name:?}; there are {}", names.join(", "))
    })
}

/// For what is part of this binary.
fn nothing_to_prepare() -> Result<()> {
    Ok(())
}
