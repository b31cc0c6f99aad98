//! Batches that measure themselves, each in a process of its own.

use std::{
    fs::{self, File},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    child::{self, Child},
    cpus::Placement,
    stopwatch::Outcome,
};

/// A batch that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs one batch, of a name, a job and a count, by a hidden subcommand. Sedge has stacks of so
/// many bytes where they are given.
pub(super) fn measure(
    subcommand: &str,
    batch: [&str; 3],
    placement: &Placement,
    sedge_stack: Option<usize>,
) -> Result<Outcome> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let (output, errors) = (path("output"), path("errors"));
    let mut command = child::own(subcommand, &placement.server)?;
    command.args(batch).args(["--workers", &placement.workers().to_string()]);
    command.stdout(Stdio::from(File::create(&output)?));
    command.stderr(Stdio::from(File::create(&errors)?));
    if let Some(bytes) = sedge_stack {
        command.env("SEDGE_STACK", bytes.to_string());
    }
    let status = Child::spawn(&mut command)?.wait(PATIENCE)?;
    if !status.success() {
        let said = fs::read(&errors)?;
        bail!("{} at {}", failure(status, &String::from_utf8_lossy(&said)), batch[2]);
    }
    let said = fs::read_to_string(&output)?;
    serde_json::from_str(&said).with_context(|| format!("said {said:?}"))
}

/// One line that says why a batch ended badly.
fn failure(status: ExitStatus, errors: &str) -> String {
    let mut lines = errors.lines().filter(|line| !line.trim().is_empty());
    // A Rust panic says where, and on the next line why.
    let panic = lines.clone().skip_while(|line| !line.contains("panicked at")).nth(1);
    let reason = panic.or_else(|| lines.next()).unwrap_or("without a word");
    format!("{reason} ({status})")
}
