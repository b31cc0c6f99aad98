//! The batches in Go: `go/tasks.go`. A parked goroutine receives from a channel that nobody sends
//! to.

use std::os::unix::process::CommandExt as _;

use anyhow::{Result, bail};

use super::{Batch, Runtime};
use crate::servers::go_program;

pub(super) const RUNTIME: Runtime = Runtime { name: "go", run };

fn run(batch: Batch, workers: usize) -> Result<()> {
    let mut program = go_program(workers)?;
    bail!(program.args(["tasks", &batch.job.name(), &batch.count.to_string()]).exec())
}
