//! What is compared without a socket: batches of tasks, each in a process of its own, which
//! measures itself and prints one line of JSON. A runtime is one file here and one line in `ALL`.

mod go;
mod may;
mod sedge;
mod stackful;
mod tokio;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;

use crate::{
    child::Tether,
    stopwatch::{LEFT, Stopwatch, none_left, one_less_left},
};

/// Something that runs tasks. Its name is that of its server, which knows version and preparation.
#[derive(Debug)]
pub(crate) struct Runtime {
    pub(crate) name: &'static str,
    /// Runs one batch, and prints what it showed.
    run: fn(Batch, workers: usize) -> Result<()>,
}

pub(crate) static ALL: &[Runtime] =
    &[tokio::CURRENT_THREAD, tokio::MULTI_THREAD, may::RUNTIME, go::RUNTIME, sedge::RUNTIME];

/// What a batch does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Job {
    /// Spawns a task and joins it, one after another
    SpawnJoin,
    /// Spawns all, then waits until all have finished
    SpawnFinish,
    /// As spawn-finish, and each yields once
    SpawnYield,
    /// Two tasks yield in turn; counts the yields
    YieldTwo,
    /// A thousand tasks yield in turn; counts the yields
    YieldThousand,
    /// Spawns tasks that park for good, and waits until all have
    Parked,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    pub(crate) job: Job,
    pub(crate) count: usize,
}

impl Batch {
    fn stopwatch(self) -> Result<Stopwatch> {
        Stopwatch::start(self.count, self.job == Job::Parked)
    }
}

/// The hidden subcommand that is one batch.
#[derive(Debug, clap::Args)]
pub(crate) struct RunTasks {
    name: String,
    job: Job,
    count: usize,
    #[arg(long, default_value_t = 1)]
    workers: usize,
    #[command(flatten)]
    tether: Tether,
}

impl RunTasks {
    pub(crate) fn run(self) -> Result<()> {
        self.tether.attach()?;
        ensure!(self.count > 0, "a batch needs a task");
        let runtime = ALL
            .iter()
            .find(|runtime| runtime.name == self.name)
            .with_context(|| format!("no runtime is called {:?}", self.name))?;
        (runtime.run)(Batch { job: self.job, count: self.count }, self.workers)
    }
}

impl Job {
    /// The name by which a command line, and the Go program, know it.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// How many tasks share the yields of a job that counts those.
    fn yielding_tasks(self) -> Option<usize> {
        match self {
            Self::YieldTwo => Some(2),
            Self::YieldThousand => Some(1000),
            _ => None,
        }
    }
}
