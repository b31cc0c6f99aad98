//! Spawn, join, yield and park: each measurement a process of its own.

use anyhow::Result;
use clap::{Args, ValueEnum as _};

use super::{
    Common, batches,
    rounds::{Results, interleave},
};
use crate::{
    cpus::{Mode, Placement},
    report::{Cell, Outcome, Row, Section},
    servers,
    stopwatch::Outcome as Figures,
    tasks::{self, Job},
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
    let stack = (job == Job::Parked).then_some(options.sedge_stack);
    batches::measure("run-tasks", [name, &job.name(), &count.to_string()], placement, stack)
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
