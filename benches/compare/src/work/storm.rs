//! Short connections: connect, one exchange, close.

use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::{
    BUSY_NOTE, Common,
    rounds::{Results, interleave, ratio},
};
use crate::{
    child::Running,
    cpus::{self, Placement},
    load::{Closing, Sources, storm},
    measure::CpuClock,
    report::{Cell, Outcome, Row, Section},
    servers,
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// How many cycles are under way at once; a table for each
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64])]
    conns: Vec<usize>,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of one measurement, after the warm-up
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    #[arg(long, default_value_t = 0.3, value_name = "SECONDS")]
    warm_up: f64,
    /// How the client closes
    #[arg(long, value_enum, default_value_t = Closing::Reset)]
    close: Closing,
}

#[derive(Debug)]
struct Figures {
    per_second: f64,
    cpu_us: f64,
    busy: f64,
}

/// Until a server has closed the last connections, it has not paid for them.
const SETTLE: Duration = Duration::from_millis(20);

/// Below the smallest backlog among the listeners (std's and may's 128).
const MOST_AT_ONCE: usize = 100;

pub(crate) fn run(options: Options) -> Result<Vec<Section>> {
    let placement = Placement::new(options.common.mode)?;
    cpus::pin(&placement.generator)?;
    let (servers, notes) = servers::choose(&options.common.servers, placement.mode)?;
    let names: Vec<_> = servers.iter().map(|server| server.name).collect();
    let mut sources = Sources::new();
    let mut sections = Vec::new();
    for &at_once in &options.conns {
        anyhow::ensure!(
            (1..=MOST_AT_ONCE).contains(&at_once),
            "1 to {MOST_AT_ONCE} at once: more do not fit into every listener's backlog"
        );
        let what = format!("storm, {at_once} at once");
        let results = interleave(&what, &names, options.rounds, |name| {
            measure(name, at_once, &placement, &options, &mut sources)
        });
        let section = section(&options, at_once, &placement, &results, notes.clone());
        println!("{section}");
        sections.push(section);
    }
    Ok(sections)
}

fn measure(
    name: &'static str,
    at_once: usize,
    placement: &Placement,
    options: &Options,
    sources: &mut Sources,
) -> Result<Figures> {
    let server = Running::server(name, placement)?;
    let clock = CpuClock::of(server.child.pid())?;
    let mut run = |seconds| {
        let duration = Duration::try_from_secs_f64(seconds)?;
        let cycles = storm(server.address, at_once, duration, options.close, sources)?;
        std::thread::sleep(SETTLE);
        anyhow::Ok(cycles)
    };
    run(options.warm_up)?;
    let before = clock.read()?;
    let cycles = run(options.seconds)?;
    let cpu = (clock.read()? - before).as_secs_f64();
    Ok(Figures {
        per_second: cycles.per_second(),
        cpu_us: cpu * 1e6 / cycles.count as f64,
        busy: cpu / cycles.elapsed.as_secs_f64(),
    })
}

fn section(
    options: &Options,
    at_once: usize,
    placement: &Placement,
    results: &[Results<Figures>],
    mut notes: Vec<String>,
) -> Section {
    notes.push(BUSY_NOTE.to_owned());
    notes.push(match options.close {
        Closing::Reset => "the client closes by reset (SO_LINGER 0): no TIME_WAIT".to_owned(),
        Closing::Fin => "the client closes by FIN and keeps TIME_WAIT, on changing addresses of \
                         127.0.0.0/8; its timers disturb later rounds"
            .to_owned(),
    });
    let rows = results.iter().map(|result| Row {
        name: result.name.to_owned(),
        outcome: match &result.rounds {
            Err(reason) => Outcome::Failed(reason.clone()),
            Ok(rounds) => Outcome::Cells(vec![
                Cell::over(rounds, |round| round.per_second),
                Cell::over(rounds, |round| round.cpu_us),
                ratio(rounds, &results[0], |round| round.cpu_us),
                Cell::over(rounds, |round| round.busy).median_only(),
            ]),
        },
    });
    Section {
        title: format!(
            "storm: connect, exchange 64 bytes, close; {at_once} at once; {placement}; {} rounds \
             of {} s",
            options.rounds, options.seconds
        ),
        columns: vec!["cycles/s", "CPU us/cycle", "over epoll's", "busy"],
        rows: rows.collect(),
        notes,
    }
}
