//! The batches in Go: `go/channels.go`.

use std::os::unix::process::CommandExt as _;

use anyhow::{Result, bail};

use super::{Batch, CAPACITY, CROWD, Runtime};
use crate::servers::{self, go_program};

pub(super) const RUNTIME: Runtime = Runtime {
    name: "go",
    about: || {
        let version = servers::find("go").and_then(|go| (go.version)());
        version.unwrap_or_else(|_| "version unknown".to_owned())
    },
    prepare: || (servers::find("go")?.prepare)(),
    many_workers: true,
    shorter: 1,
    tasks: Some(|_| "go"),
    run,
};

fn run(batch: Batch, workers: usize) -> Result<()> {
    let numbers = [batch.count, CROWD, CAPACITY].map(|number| number.to_string());
    let mut program = go_program(workers)?;
    bail!(program.args(["channels", &batch.job.name()]).args(numbers).exec())
}
