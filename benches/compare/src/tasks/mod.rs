//! What is compared without a socket: batches of tasks, each in a process of its own, which
//! measures itself and prints one line of JSON. A runtime is one file here and one line in `ALL`.

mod go;
mod may;
mod sedge;
mod stackful;
mod tokio;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::{
    child::Tether,
    measure::{Memory, own_cpu_time},
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

/// What a batch showed. `go/tasks.go` prints the same.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Outcome {
    operations: u64,
    seconds: f64,
    cpu_seconds: f64,
    /// Resident memory and page tables, for parked tasks.
    pub(crate) bytes_each: Option<f64>,
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

impl Outcome {
    pub(crate) fn ns_each(&self) -> f64 {
        self.seconds * 1e9 / self.operations as f64
    }

    pub(crate) fn cpu_ns_each(&self) -> f64 {
        self.cpu_seconds * 1e9 / self.operations as f64
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.seconds
    }
}

/// A batch that is being measured, from within.
struct Stopwatch {
    batch: Batch,
    memory: Memory,
    cpu: std::time::Duration,
    start: Instant,
}

impl Stopwatch {
    fn start(batch: Batch) -> Result<Self> {
        let memory = Memory::of("self")?;
        Ok(Self { batch, memory, cpu: own_cpu_time(), start: Instant::now() })
    }

    /// Prints what the batch showed. Call it inside the runtime, with the tasks still parked.
    fn stop(self) -> Result<()> {
        let seconds = self.start.elapsed().as_secs_f64();
        let cpu_seconds = (own_cpu_time() - self.cpu).as_secs_f64();
        let bytes_each = match self.batch.job {
            Job::Parked => Some(Memory::of("self")?.each_since(self.memory, self.batch.count)),
            _ => None,
        };
        let operations = self.batch.count as u64;
        let outcome = Outcome { operations, seconds, cpu_seconds, bytes_each };
        println!("{}", serde_json::to_string(&outcome)?);
        Ok(())
    }
}

/// How many tasks of the batch have still to do their part: a process runs one batch, so that one
/// counter does. The task that takes the last one tells the root.
static LEFT: AtomicUsize = AtomicUsize::new(0);

/// `true` for the last.
fn one_less_left() -> bool {
    // Ordering: what the root reads after the last one is only this counter, and the runtime's own
    // wake orders the rest.
    LEFT.fetch_sub(1, Ordering::Relaxed) == 1
}

fn none_left() -> bool {
    // Ordering: as above.
    LEFT.load(Ordering::Relaxed) == 0
}
