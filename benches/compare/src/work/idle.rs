//! Connections that have exchanged one message and now wait: what each costs, and what waiting
//! costs.

use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::{
    Common,
    rounds::{Results, interleave},
};
use crate::{
    child::Running,
    cpus::{self, Placement},
    descriptors,
    load::Echo,
    measure::{CpuClock, Memory, context_switches},
    report::{Cell, Outcome, Row, Section},
    servers,
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// How many connections; a table for each
    #[arg(long, value_delimiter = ',', default_values_t = [10_000])]
    conns: Vec<usize>,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long the idle server is watched
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Address space for each of Sedge's stacks
    #[arg(long, default_value_t = 64 * 1024, value_name = "BYTES")]
    sedge_stack: usize,
}

#[derive(Debug)]
struct Figures {
    bytes_each: f64,
    switches_per_second: f64,
    /// CPU microseconds in a second of idleness.
    cpu_us_per_second: f64,
}

/// Until a server has parked its last connection.
const SETTLE: Duration = Duration::from_millis(200);

/// Until whatever watches a busy runtime has seen that it is idle: Sedge's monitor ticks on for one
/// to three seconds.
const CALM: Duration = Duration::from_secs(4);

pub(crate) fn run(options: Options) -> Result<Vec<Section>> {
    let placement = Placement::new(options.common.mode)?;
    cpus::pin(&placement.generator)?;
    let (servers, notes) = servers::choose(&options.common.servers, placement.mode)?;
    let names: Vec<_> = servers.iter().map(|server| server.name).collect();
    let mut sections = Vec::new();
    for &conns in &options.conns {
        let what = format!("idle, {conns} connections");
        let mut section = match descriptors::check_room(conns) {
            Err(error) => Section::skipped(what, &error),
            Ok(()) => {
                let results = interleave(&what, &names, options.rounds, |name| {
                    measure(name, conns, &placement, &options)
                });
                section(&options, conns, &placement, &results)
            }
        };
        section.notes.extend(notes.iter().cloned());
        println!("{section}");
        sections.push(section);
    }
    Ok(sections)
}

fn measure(
    name: &'static str,
    conns: usize,
    placement: &Placement,
    options: &Options,
) -> Result<Figures> {
    let stack = ("SEDGE_STACK", options.sedge_stack.to_string());
    let server = Running::server_with(name, placement, &[stack])?;
    let pid = server.child.pid();
    // One connection before the first look: what a server makes once, it has made.
    drop(Echo::connect(server.address, 1)?);
    std::thread::sleep(SETTLE);
    let before = Memory::of(pid)?;
    let idle = Echo::connect(server.address, conns)?;
    std::thread::sleep(SETTLE);
    let after = Memory::of(pid)?;

    std::thread::sleep(CALM);
    let clock = CpuClock::of(pid)?;
    let (switches, cpu) = (context_switches(pid)?, clock.read()?);
    std::thread::sleep(Duration::try_from_secs_f64(options.seconds)?);
    let (switches, cpu) = (context_switches(pid)? - switches, clock.read()? - cpu);
    drop(idle);
    Ok(Figures {
        bytes_each: after.each_since(before, conns),
        switches_per_second: switches as f64 / options.seconds,
        cpu_us_per_second: cpu.as_secs_f64() * 1e6 / options.seconds,
    })
}

fn section(
    options: &Options,
    conns: usize,
    placement: &Placement,
    results: &[Results<Figures>],
) -> Section {
    let rows = results.iter().map(|result| Row {
        name: result.name.to_owned(),
        outcome: match &result.rounds {
            Err(reason) => Outcome::Failed(reason.clone()),
            Ok(rounds) => Outcome::Cells(vec![
                Cell::over(rounds, |round| round.bytes_each),
                Cell::over(rounds, |round| round.switches_per_second),
                Cell::over(rounds, |round| round.cpu_us_per_second),
            ]),
        },
    });
    Section {
        title: format!(
            "idle: {conns} connections that have each echoed 64 bytes; {placement}; {} rounds",
            options.rounds
        ),
        columns: vec!["bytes each", "context switches/s", "CPU us/s"],
        rows: rows.collect(),
        notes: vec![
            "bytes: VmRSS + VmPTE of the server, with its 1 KiB buffer each, of which the first \
             page is touched; the kernel's memory for the socket is not counted"
                .to_owned(),
        ],
    }
}
