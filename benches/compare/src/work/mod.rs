//! The workloads: each puts a server, a client and the measuring together, for some rounds, and
//! makes a section of it. A workload is one file here and one subcommand in `main`.

pub(crate) mod channels;
pub(crate) mod echo;
pub(crate) mod idle;
pub(crate) mod storm;
pub(crate) mod tasks;

mod batches;
mod rounds;

use clap::Args;

use crate::cpus::Mode;

/// What most workloads can be told.
#[derive(Clone, Debug, Args)]
pub(crate) struct Common {
    /// Only these, by the names that `list` shows
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    servers: Vec<String>,
    /// How many CPUs a server may use
    #[arg(long, value_enum, default_value_t = Mode::One)]
    mode: Mode,
}

/// Below every table with that column.
const BUSY_NOTE: &str = "busy: the part of a CPU that the server used; below 1 it waited for the \
                         generator, and the rate is not its own limit";
