//! Who runs on which CPU.

use std::fmt::{self, Display, Formatter};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// How many CPUs the server may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// One worker on the first CPU, the load generator on the second
    One,
    /// A worker on every CPU, the load generator wherever it finds room
    All,
}

/// The CPUs of one comparison.
#[derive(Clone, Debug)]
pub(crate) struct Placement {
    pub(crate) mode: Mode,
    pub(crate) server: Vec<usize>,
    pub(crate) generator: Vec<usize>,
}

impl Placement {
    /// Divides the CPUs that this process may use. Call it before `pin` narrows them.
    pub(crate) fn new(mode: Mode) -> Result<Self> {
        let allowed = allowed()?;
        Ok(match mode {
            Mode::All => Self { mode, server: allowed.clone(), generator: allowed },
            Mode::One => {
                let server = allowed[0];
                let generator = allowed.get(1).copied().unwrap_or(server);
                Self { mode, server: vec![server], generator: vec![generator] }
            }
        })
    }

    pub(crate) fn workers(&self) -> usize {
        self.server.len()
    }
}

impl Display for Placement {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self.mode {
            Mode::All => write!(out, "all CPUs: {} workers, generator unpinned", self.workers()),
            Mode::One if self.server == self.generator => {
                write!(out, "one CPU for the server AND the generator: there is no second")
            }
            Mode::One => write!(
                out,
                "one CPU: server on CPU {}, generator on CPU {}",
                self.server[0], self.generator[0]
            ),
        }
    }
}

/// The CPUs that this thread may use, in order; at least one.
fn allowed() -> Result<Vec<usize>> {
    let set = sched_getaffinity(None).context("reading the CPU affinity")?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect())
}

/// Keeps the calling thread, and what it starts from now on, to these CPUs.
pub(crate) fn pin(cpus: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu);
    }
    sched_setaffinity(None, &set).with_context(|| format!("pinning to CPUs {cpus:?}"))
}
