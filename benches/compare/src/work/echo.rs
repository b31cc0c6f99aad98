//! 64-byte echo over kept connections, one outstanding request each.

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;

use super::{
    BUSY_NOTE, Common,
    rounds::{Results, interleave, ratio},
};
use crate::{
    child::Running,
    cpus::{self, Placement},
    descriptors,
    load::{Echo, Until},
    measure::{Counter, CpuClock, instructions_per_request},
    report::{Cell, Outcome, Row, Section},
    servers::{self, BASELINE, Server},
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// How many connections; a table for each
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64, 1000, 10_000])]
    conns: Vec<usize>,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of one measurement, after the warm-up
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    #[arg(long, default_value_t = 0.3, value_name = "SECONDS")]
    warm_up: f64,
    /// The generator polls without sleeping: a server's answer then wakes no sleeping CPU
    #[arg(long)]
    spin: bool,
    /// Counts no system calls
    #[arg(long)]
    no_system_calls: bool,
    /// Also counts user-space instructions a request, of raw epoll and Sedge, under valgrind
    #[arg(long)]
    callgrind: bool,
}

/// What one round of one server showed.
#[derive(Debug)]
struct Figures {
    per_second: f64,
    cpu_us: f64,
    /// The part of one CPU that the server used: well below 1, the generator held it back.
    busy: f64,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
    max_us: f64,
}

/// Requests in the pass that counts system calls: enough for two decimals.
const COUNTED_REQUESTS: u64 = 20_000;

/// Under valgrind a server takes seconds to accept many.
const MOST_UNDER_VALGRIND: usize = 256;

pub(crate) fn run(options: Options) -> Result<Vec<Section>> {
    let placement = Placement::new(options.common.mode)?;
    cpus::pin(&placement.generator)?;
    let (servers, notes) = servers::choose(&options.common.servers, placement.mode)?;
    let counter = if options.no_system_calls { None } else { Counter::choose() };
    let mut sections = Vec::new();
    for &conns in &options.conns {
        let mut section = match descriptors::check_room(conns) {
            Ok(()) => section(&options, conns, &placement, &servers, counter),
            Err(error) => Section::skipped(format!("echo, {conns} connections"), &error),
        };
        section.notes.extend(notes.iter().cloned());
        println!("{section}");
        sections.push(section);
    }
    Ok(sections)
}

fn section(
    options: &Options,
    conns: usize,
    placement: &Placement,
    servers: &[&'static Server],
    counter: Option<Counter>,
) -> Section {
    let names: Vec<_> = servers.iter().map(|server| server.name).collect();
    let results =
        interleave(&format!("echo, {conns} connections"), &names, options.rounds, |name| {
            measure(name, conns, placement, options)
        });
    let mut notes = vec![BUSY_NOTE.to_owned()];
    notes.push(match counter {
        Some(counter) => {
            format!("system calls a request, counted by {counter} in a pass of its own")
        }
        None if options.no_system_calls => "system calls not counted, as asked".to_owned(),
        None => "system calls not counted: neither perf nor strace works here".to_owned(),
    });
    if options.callgrind && conns > MOST_UNDER_VALGRIND {
        notes.push(format!("instructions counted over {MOST_UNDER_VALGRIND} connections"));
    }
    let rows = results
        .iter()
        .map(|result| Row {
            name: result.name.to_owned(),
            outcome: match &result.rounds {
                Err(reason) => Outcome::Failed(reason.clone()),
                Ok(rounds) => {
                    let counts = count(result.name, conns, placement, counter, options, &mut notes);
                    Outcome::Cells(cells(rounds, &results[0], counts))
                }
            },
        })
        .collect();
    Section {
        title: format!(
            "echo, 64 bytes, {conns} connections; {placement}{}; {} rounds of {} s",
            if options.spin { " that never sleeps" } else { "" },
            options.rounds,
            options.seconds
        ),
        columns: columns(counter, options),
        rows,
        notes,
    }
}

/// One server, one round: a process of its own from start to end.
fn measure(
    name: &'static str,
    conns: usize,
    placement: &Placement,
    options: &Options,
) -> Result<Figures> {
    let server = Running::server(name, placement)?;
    let clock = CpuClock::of(server.child.pid())?;
    let mut load = Echo::connect(server.address, conns)?;
    load.spin(options.spin);
    load.run(Until::Elapsed(Duration::try_from_secs_f64(options.warm_up)?))
        .context("warming up")?;
    let before = clock.read()?;
    let sample = load.run(Until::Elapsed(Duration::try_from_secs_f64(options.seconds)?))?;
    let cpu = (clock.read()? - before).as_secs_f64();
    Ok(Figures {
        per_second: sample.per_second(),
        cpu_us: cpu * 1e6 / sample.requests as f64,
        busy: cpu / sample.elapsed.as_secs_f64(),
        p50_us: sample.latency_us(0.5),
        p99_us: sample.latency_us(0.99),
        p999_us: sample.latency_us(0.999),
        max_us: sample.latency_us(1.0),
    })
}

/// What perf, strace and valgrind can say of one server. What they cannot becomes a note.
fn count(
    name: &'static str,
    conns: usize,
    placement: &Placement,
    counter: Option<Counter>,
    options: &Options,
    notes: &mut Vec<String>,
) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut or_note = |what: &str, result: Result<f64>| {
        result.map_err(|error| notes.push(format!("{name}: {what} not counted: {error:#}"))).ok()
    };
    if let Some(counter) = counter {
        eprintln!("echo, {conns} connections, system calls: {name}");
        let calls = system_calls_per_request(counter, name, conns, placement);
        cells.push(or_note("system calls", calls).into());
    }
    if options.callgrind && [BASELINE.name, "sedge"].contains(&name) {
        eprintln!("echo, {conns} connections, instructions: {name}");
        let conns = conns.min(MOST_UNDER_VALGRIND);
        let instructions = instructions_per_request(name, placement, conns);
        cells.push(or_note("instructions", instructions).into());
    } else if options.callgrind {
        cells.push(Cell::Absent);
    }
    cells
}

fn system_calls_per_request(
    counter: Counter,
    name: &'static str,
    conns: usize,
    placement: &Placement,
) -> Result<f64> {
    let server = Running::server(name, placement)?;
    let mut load = Echo::connect(server.address, conns)?;
    load.run(Until::Requests(COUNTED_REQUESTS))?;
    // Every connection takes part several times, however many there are.
    let requests = COUNTED_REQUESTS.max(4 * conns as u64);
    let calls =
        counter.count(server.child.pid(), || load.run(Until::Requests(requests)).map(drop))?;
    Ok(calls as f64 / requests as f64)
}

/// With the columns of `counts` only where something was to be counted.
fn columns(counter: Option<Counter>, options: &Options) -> Vec<&'static str> {
    let mut columns = vec![
        "requests/s",
        "CPU us/request",
        "over epoll's",
        "busy",
        "p50 us",
        "p99 us",
        "p99.9 us",
        "worst us",
    ];
    columns.extend(counter.map(|_| "system calls"));
    columns.extend(options.callgrind.then_some("instructions"));
    columns
}

/// In the order of `columns`.
fn cells(rounds: &[Figures], baseline: &Results<Figures>, counts: Vec<Cell>) -> Vec<Cell> {
    let over = |figure: fn(&Figures) -> f64| Cell::over(rounds, figure);
    let mut cells = vec![
        over(|round| round.per_second),
        over(|round| round.cpu_us),
        ratio(rounds, baseline, |round| round.cpu_us),
        over(|round| round.busy).median_only(),
        over(|round| round.p50_us).median_only(),
        over(|round| round.p99_us).median_only(),
        over(|round| round.p999_us).median_only(),
        over(|round| round.max_us).max_only(),
    ];
    cells.extend(counts);
    cells
}
