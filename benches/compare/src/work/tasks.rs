//! Spawn, join, yield and park: each measurement a process of its own.

use std::{
    fs::{self, File},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum as _};

use super::{
    Common,
    rounds::{Results, interleave},
};
use crate::{
    child::{self, Child},
    cpus::{Mode, Placement},
    report::{Cell, Outcome, Row, Section},
    servers,
    tasks::{self, Job, Outcome as Figures},
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Only these jobs
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_values_t = Job::value_variants().to_vec(),
    )]
    jobs: Vec<Job>,
    /// How many tasks a batch spawns, and how many yields there are
    #[arg(long, default_value_t = 1_000_000)]
    count: usize,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Address space for each of Sedge's stacks while a million are parked
    #[arg(long, default_value_t = 64 * 1024, value_name = "BYTES")]
    sedge_stack: usize,
}

/// A batch that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn run(options: Options) -> Result<Vec<Section>> {
    let placement = Placement::new(options.common.mode)?;
    let (servers, notes) = servers::choose(&options.common.servers, placement.mode)?;
    let names: Vec<_> = servers
        .iter()
        .map(|server| server.name)
        .filter(|name| tasks::ALL.iter().any(|runtime| runtime.name == *name))
        .collect();
    let mut sections = Vec::new();
    for &job in &options.jobs {
        let results =
            interleave(&format!("tasks, {}", job.name()), &names, options.rounds, |name| {
                measure(name, job, options.count, &placement, &options)
            });
        let mut section = section(job, &options, &placement, &results);
        if job == Job::Parked {
            section.notes.extend(results.iter().filter_map(|result| {
                result.rounds.as_ref().err()?;
                Some(what_fits(result.name, &placement, &options))
            }));
        }
        section.notes.extend(notes.iter().cloned());
        println!("{section}");
        sections.push(section);
    }
    Ok(sections)
}

/// One batch in its own process.
fn measure(
    name: &str,
    job: Job,
    count: usize,
    placement: &Placement,
    options: &Options,
) -> Result<Figures> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let (output, errors) = (path("output"), path("errors"));
    let mut command = child::own("run-tasks", &placement.server)?;
    command.args([name, &job.name(), &count.to_string()]);
    command.args(["--workers", &placement.workers().to_string()]);
    command.stdout(Stdio::from(File::create(&output)?));
    command.stderr(Stdio::from(File::create(&errors)?));
    if job == Job::Parked {
        command.env("SEDGE_STACK", options.sedge_stack.to_string());
    }
    let status = Child::spawn(&mut command)?.wait(PATIENCE)?;
    if !status.success() {
        let said = fs::read(&errors)?;
        bail!("{} at {count}", failure(status, &String::from_utf8_lossy(&said)));
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

/// Tenths of the count, until it fits: how a runtime does that cannot park all.
fn what_fits(name: &str, placement: &Placement, options: &Options) -> String {
    let mut count = options.count / 10;
    while count >= 100 {
        if let Ok(figures) = measure(name, Job::Parked, count, placement, options) {
            let bytes = figures.bytes_each.unwrap_or_default();
            let ns = figures.ns_each();
            return format!("{name} parks {count}: {bytes:.0} bytes and {ns:.0} ns each");
        }
        count /= 10;
    }
    format!("{name} does not park {} either", count * 10)
}

fn section(
    job: Job,
    options: &Options,
    placement: &Placement,
    results: &[Results<Figures>],
) -> Section {
    let mut columns = vec!["ns each", "CPU ns each"];
    if job == Job::Parked {
        columns.extend(["bytes each", "seconds"]);
    }
    let rows = results.iter().map(|result| Row {
        name: result.name.to_owned(),
        outcome: match &result.rounds {
            Err(reason) => Outcome::Failed(reason.clone()),
            Ok(rounds) => Outcome::Cells(cells(job, rounds)),
        },
    });
    let help = job.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string));
    Section {
        title: format!(
            "tasks, {}: {}; {}; {}; {} rounds",
            job.name(),
            options.count,
            help.unwrap_or_default(),
            match placement.mode {
                Mode::One => "one worker".to_owned(),
                Mode::All => format!("{} workers", placement.workers()),
            },
            options.rounds
        ),
        columns,
        rows: rows.collect(),
        notes: Vec::new(),
    }
}

/// In the order of the columns.
fn cells(job: Job, rounds: &[Figures]) -> Vec<Cell> {
    let mut cells =
        vec![Cell::over(rounds, Figures::ns_each), Cell::over(rounds, Figures::cpu_ns_each)];
    if job == Job::Parked {
        cells.push(Cell::over(rounds, |figures| figures.bytes_each.unwrap_or_default()));
        cells.push(Cell::over(rounds, Figures::seconds));
    }
    cells
}
