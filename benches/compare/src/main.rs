//! Compares Sedge with event loops and with other green threads, side by side, on this machine.
//!
//! One program is everything: the parent generates load, measures and prints; each server and each
//! batch of tasks is a child process of its own, made from this same binary by a hidden subcommand.
//!
//! - `servers`: what is compared over a socket, one file each, and the registry.
//! - `tasks`: what is compared without a socket (spawn, yield, park), one file each.
//! - `channels`: what is compared where tasks talk, one file each.
//! - `load`: the clients.
//! - `work`: the workloads, which put a server, a client and the measuring together.
//! - `measure`: CPU time, memory, system calls and instructions of a child, from outside it.
//! - `report`, `table`, `stats`: what is done with the figures.
//!
//! README.md says what each workload asks and what it leaves out.

#![deny(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a command-line program")]
#![expect(
    clippy::disallowed_methods,
    reason = "nothing here runs in a green thread except the servers' own few lines"
)]

mod channels;
mod child;
mod cpus;
mod descriptors;
mod load;
mod machine;
mod measure;
mod report;
mod servers;
mod stats;
mod stopwatch;
mod table;
mod tasks;
mod work;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::{
    machine::Machine,
    report::{Report, Section},
};

#[derive(Debug, Parser)]
#[command(about = "Compares Sedge with event loops and with other green threads")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// 64-byte echo over kept connections: CPU a request, latency, system calls
    Echo(Measured<work::echo::Options>),
    /// Connect, exchange once, close: CPU a cycle
    Storm(Measured<work::storm::Options>),
    /// Connections that wait: bytes each
    Idle(Measured<work::idle::Options>),
    /// Spawn, join, yield and park, without a socket
    Tasks(Measured<work::tasks::Options>),
    /// Messages from task to task
    Channels(Measured<work::channels::Options>),
    /// Lists what can be compared, and what is missing here
    List,
    /// Runs one server until it is killed
    #[command(hide = true)]
    Serve(servers::Serve),
    /// Runs one batch of tasks and prints its figures as JSON
    #[command(hide = true)]
    RunTasks(tasks::RunTasks),
    /// Passes one batch of messages and prints its figures as JSON
    #[command(hide = true)]
    RunChannels(channels::RunChannels),
    /// Becomes another program that ends with its parent
    #[command(hide = true)]
    Become(child::Become),
}

/// A workload's own options, and where its figures go.
#[derive(Debug, clap::Args)]
struct Measured<O: clap::Args> {
    #[command(flatten)]
    options: O,
    /// Also writes the figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl<O: clap::Args> Measured<O> {
    fn run(self, work: impl FnOnce(O) -> Result<Vec<Section>>) -> Result<()> {
        descriptors::raise_limit();
        let machine = Machine::read();
        println!("{machine}\n");
        let report = Report::new(machine, work(self.options)?);
        if let Some(path) = &self.json {
            let text = serde_json::to_string_pretty(&report)?;
            std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Echo(measured) => measured.run(work::echo::run),
        Command::Storm(measured) => measured.run(work::storm::run),
        Command::Idle(measured) => measured.run(work::idle::run),
        Command::Tasks(measured) => measured.run(work::tasks::run),
        Command::Channels(measured) => measured.run(work::channels::run),
        Command::List => list(),
        Command::Serve(serve) => serve.run(),
        Command::RunTasks(run_tasks) => run_tasks.run(),
        Command::RunChannels(run_channels) => run_channels.run(),
        Command::Become(program) => program.run(),
    }
}

fn list() -> Result<()> {
    println!("{}\n", Machine::read());
    for server in servers::ALL {
        let state = match (server.prepare)().and_then(|()| (server.version)()) {
            Ok(version) => version,
            Err(error) => format!("not here: {error:#}"),
        };
        println!("{:<10} {} [{state}]", server.name, server.about);
    }
    Ok(())
}
