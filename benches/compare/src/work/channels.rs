//! Messages from task to task: each measurement a process of its own.

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum as _};

use super::{
    Common, batches,
    rounds::{Results, interleave},
};
use crate::{
    channels::{self, Job, Runtime},
    cpus::{Mode, Placement},
    report::{Cell, Outcome, Row, Section},
    stopwatch::Outcome as Figures,
    tasks,
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
    /// How many messages, or round trips, there are
    #[arg(long, default_value_t = 1_000_000)]
    count: usize,
    /// How many tasks are parked
    #[arg(long, default_value_t = 100_000)]
    parked: usize,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Address space for each of Sedge's stacks while many are parked
    #[arg(long, default_value_t = 64 * 1024, value_name = "BYTES")]
    sedge_stack: usize,
}

/// What a batch showed, and what a task takes that is parked without a channel.
#[derive(Clone, Copy, Debug)]
struct Batch {
    figures: Figures,
    bytes_alone: f64,
}

pub(crate) fn run(options: Options) -> Result<Vec<Section>> {
    let placement = Placement::new(options.common.mode)?;
    let (runtimes, notes) = choose(&options.common.servers, placement.mode)?;
    let mut sections = Vec::new();
    for &job in &options.jobs {
        let names: Vec<_> = runtimes
            .iter()
            .filter(|runtime| job != Job::Parked || runtime.tasks.is_some())
            .map(|runtime| runtime.name)
            .collect();
        let what = format!("channels, {}", job.name());
        let results = interleave(&what, &names, options.rounds, |name| {
            measure(channels::find(name)?, job, &placement, &options)
        });
        let mut section = section(job, &options, &placement, &results);
        section.notes.extend(notes.iter().cloned());
        println!("{section}");
        sections.push(section);
    }
    Ok(sections)
}

/// What to compare, and notes: what that is, and what cannot be compared.
fn choose(names: &[String], mode: Mode) -> Result<(Vec<&'static Runtime>, Vec<String>)> {
    let wanted = match names {
        [] => channels::ALL.iter().collect(),
        names => names.iter().map(|name| channels::find(name)).collect::<Result<Vec<_>>>()?,
    };
    let (mut chosen, mut notes, mut versions) = (Vec::new(), Vec::new(), Vec::new());
    for runtime in wanted {
        let name = runtime.name;
        if mode == Mode::All && !runtime.many_workers {
            notes.push(format!("{name} is left out: it uses one CPU only"));
        } else if let Err(error) = (runtime.prepare)() {
            notes.push(format!("{name} is left out: {error:#}"));
        } else {
            versions.push(format!("{name}: {}", (runtime.about)()));
            chosen.push(runtime);
        }
    }
    notes.insert(0, versions.join("; "));
    Ok((chosen, notes))
}

/// One batch; beside one that parks without a channel, where it parks.
fn measure(runtime: &Runtime, job: Job, placement: &Placement, options: &Options) -> Result<Batch> {
    let run = |count: usize, stack| {
        let batch = [runtime.name, &job.name(), &count.to_string()];
        batches::measure("run-channels", batch, placement, stack)
    };
    if job != Job::Parked {
        let shorter = if job == Job::RoundTrip { runtime.shorter } else { 1 };
        return Ok(Batch { figures: run(options.count / shorter, None)?, bytes_alone: 0.0 });
    }
    let (count, stack) = (options.parked, Some(options.sedge_stack));
    let figures = run(count, stack)?;
    let tasks = runtime.tasks.context("it has no tasks to park")?;
    let parked = tasks::Job::Parked.name();
    let alone = [tasks(placement.workers()), &parked, &count.to_string()];
    let alone = batches::measure("run-tasks", alone, placement, stack)?;
    Ok(Batch { figures, bytes_alone: alone.bytes_each.unwrap_or_default() })
}

fn section(
    job: Job,
    options: &Options,
    placement: &Placement,
    results: &[Results<Batch>],
) -> Section {
    let mut columns = vec!["ns each", "CPU ns each"];
    if job == Job::Parked {
        columns.extend(["bytes each", "beyond a park"]);
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
            "channels, {}: {}; {}; {}; {} rounds",
            job.name(),
            if job == Job::Parked { options.parked } else { options.count },
            help.unwrap_or_default(),
            match placement.mode {
                Mode::One => "one CPU".to_owned(),
                Mode::All => format!("{} CPUs", placement.workers()),
            },
            options.rounds
        ),
        columns,
        rows: rows.collect(),
        notes: Vec::new(),
    }
}

/// In the order of the columns.
fn cells(job: Job, rounds: &[Batch]) -> Vec<Cell> {
    let mut cells = vec![
        Cell::over(rounds, |batch| batch.figures.ns_each()),
        Cell::over(rounds, |batch| batch.figures.cpu_ns_each()),
    ];
    if job == Job::Parked {
        let bytes = |batch: &Batch| batch.figures.bytes_each.unwrap_or_default();
        cells.push(Cell::over(rounds, bytes));
        cells.push(Cell::over(rounds, |batch| bytes(batch) - batch.bytes_alone));
    }
    cells
}
