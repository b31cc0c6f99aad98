//! A pipeline whose slowest stage sets the pace: read lines, work on them, write them.
//!
//! ```sh
//! seq 1000000000000 1000000001000 | cargo run --release --example pipeline -- --ordered
//! seq 1000 | cargo run --release --example pipeline -- --room 8 --slow-write 5 >/dev/null
//! ```
//!
//! Each line is a number, and comes out with its prime factors. Between two stages there is room
//! for some lines, and who finds none waits: so memory is bounded, however long the input is. The
//! table at the end tells who has waited for whom. In the second line above the reader has waited
//! for room nearly all of the time, though it is the last stage that is slow.
//!
//! A stage that fails ends all of them at once: at a line that is no number, say, or when nobody
//! reads the output any more.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use sedge::sync::{channel, oneshot};
use sedge::{task, time};

/// Reads numbers, one a line, and writes them with their prime factors
#[derive(Parser)]
struct Args {
    /// The file with the numbers; without it, standard input
    file: Option<PathBuf>,
    /// How many workers
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    workers: u16,
    /// For how many lines there is room between two stages
    #[arg(long, value_name = "LINES", default_value_t = 64)]
    room: usize,
    /// Write lines in the order in which they were read, not as they are done
    #[arg(long)]
    ordered: bool,
    /// How much longer a worker takes over each line, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    slow_work: u64,
    /// How much longer the writer takes over each line, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    slow_write: u64,
}

/// What takes no longer than some ten microseconds to factor is not worth a trip to another thread.
const SMALL: u64 = 1 << 24;

fn main() -> ExitCode {
    let args = Args::parse();
    let meters = Arc::new(Meters::default());
    let start = Instant::now();
    let ended = sedge::run(|| run(&args, &meters));
    meters.print(start.elapsed());
    if let Err(error) = ended {
        eprintln!("pipeline: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// A line on its way to a worker.
struct Job {
    line: usize,
    text: io::Result<String>,
    outlet: Outlet,
}

/// Where the result of one line goes.
enum Outlet {
    /// To the writer, after those that were done before.
    AsDone(channel::Sender<String>),
    /// To the writer, who waits for it in its turn.
    InTurn(oneshot::Sender<String>),
}

/// What makes an outlet for each line.
enum Outlets {
    AsDone(channel::Sender<String>),
    InTurn(channel::Sender<oneshot::Receiver<String>>),
}

/// Where the writer gets the results from.
enum Results {
    AsDone(channel::Receiver<String>),
    InTurn(channel::Receiver<oneshot::Receiver<String>>),
}

fn run(args: &Args, meters: &Arc<Meters>) -> Result<(), String> {
    let input: Box<dyn Read + Send> = match &args.file {
        None => Box::new(io::stdin()),
        Some(file) => {
            let opened = sedge::blocking(|| File::open(file));
            Box::new(opened.map_err(|error| format!("{}: {error}", file.display()))?)
        }
    };
    let (jobs, to_do) = channel::bounded(args.room);
    let (outlets, results) = outlets(args);

    // A thread, and not a task: a read from a terminal cannot be ended early, and would hold up the
    // scope. The thread ends when it is rid of its last line, or finds that nobody wants the next.
    let meter = meters.clone();
    let reader = move || read(input, &jobs, &outlets, &meter.read);
    thread::Builder::new().spawn(reader).map_err(|error| format!("no thread: {error}"))?;

    task::try_scope(|scope| {
        for _ in 0..args.workers {
            scope.spawn(|| work(&to_do, Duration::from_millis(args.slow_work), &meters.work));
        }
        write(&results, Duration::from_millis(args.slow_write), &meters.write)
    })
}

fn outlets(args: &Args) -> (Outlets, Results) {
    if args.ordered {
        let (sender, receiver) = channel::bounded(args.room);
        (Outlets::InTurn(sender), Results::InTurn(receiver))
    } else {
        let (sender, receiver) = channel::bounded(args.room);
        (Outlets::AsDone(sender), Results::AsDone(receiver))
    }
}

/// The first stage. It ends with the input, or when the others have.
fn read(input: impl Read, jobs: &channel::Sender<Job>, outlets: &Outlets, meter: &Meter) {
    for (line, text) in (1..).zip(BufReader::new(input).lines()) {
        let failed = text.is_err();
        let Some(outlet) = meter.held_up(|| outlets.next()) else { return };
        if meter.held_up(|| jobs.send(Job { line, text, outlet })).is_err() || failed {
            return;
        }
        meter.count();
    }
}

/// The second stage, of which there are several. It ends when no job is left and no reader.
fn work(jobs: &channel::Receiver<Job>, slow: Duration, meter: &Meter) -> Result<(), String> {
    while let Ok(Job { line, text, outlet }) = meter.starved(|| jobs.recv()) {
        let text = text.map_err(|error| format!("cannot read line {line}: {error}"))?;
        let number = text.trim().parse();
        let number = number.map_err(|error| format!("line {line} is no number: {error}"))?;
        let factors =
            if number < SMALL { factor(number) } else { sedge::blocking(|| factor(number)) };
        if !slow.is_zero() {
            time::sleep(slow);
        }
        let factors: String = factors.iter().map(|factor| format!(" {factor}")).collect();
        meter.held_up(|| outlet.send(format!("{number}:{factors}\n")));
        meter.count();
    }
    Ok(())
}

/// The last stage. It ends when no result is left and none can come.
fn write(results: &Results, slow: Duration, meter: &Meter) -> Result<(), String> {
    let mut output = io::stdout();
    while let Some(result) = meter.starved(|| results.next()) {
        if !slow.is_zero() {
            time::sleep(slow);
        }
        // That may have to wait for whoever reads it.
        let written = sedge::blocking(|| output.write_all(result.as_bytes()));
        written.map_err(|error| format!("cannot write: {error}"))?;
        meter.count();
    }
    Ok(())
}

impl Outlets {
    /// An outlet for the next line; none if there is no writer any more.
    fn next(&self) -> Option<Outlet> {
        match self {
            Self::AsDone(results) => Some(Outlet::AsDone(results.clone())),
            Self::InTurn(turns) => {
                let (outlet, turn) = oneshot::channel();
                turns.send(turn).ok()?;
                Some(Outlet::InTurn(outlet))
            }
        }
    }
}

impl Outlet {
    /// Sends the result. Where there is no writer any more, its failure ends the worker, too.
    fn send(self, result: String) {
        match self {
            Self::AsDone(results) => drop(results.send(result)),
            Self::InTurn(outlet) => drop(outlet.send(result)),
        }
    }
}

impl Results {
    /// The next result; none after the last, or if a worker has failed over it.
    fn next(&self) -> Option<String> {
        match self {
            Self::AsDone(results) => results.recv().ok(),
            Self::InTurn(turns) => turns.recv().ok()?.recv().ok(),
        }
    }
}

/// The prime factors of a number, the smallest first.
fn factor(mut number: u64) -> Vec<u64> {
    let mut factors = Vec::new();
    let mut divisor = 2;
    while divisor <= number / divisor {
        if number % divisor == 0 {
            factors.push(divisor);
            number /= divisor;
        } else {
            divisor += 1 + divisor % 2;
            // It may take seconds, in which another stage may have failed.
            if divisor % 65_536 == 1 {
                task::check();
            }
        }
    }
    factors.extend((number > 1).then_some(number));
    factors
}

#[derive(Default)]
struct Meters {
    read: Meter,
    work: Meter,
    write: Meter,
}

/// What a stage has done, and how long it has waited.
#[derive(Default)]
struct Meter {
    lines: AtomicU64,
    /// Time without a line to go on with, and without room for one that was done.
    starved_ns: AtomicU64,
    held_up_ns: AtomicU64,
}

impl Meter {
    fn count(&self) {
        self.lines.fetch_add(1, Ordering::Relaxed);
    }

    fn starved<T>(&self, wait: impl FnOnce() -> T) -> T {
        timed(&self.starved_ns, wait)
    }

    fn held_up<T>(&self, wait: impl FnOnce() -> T) -> T {
        timed(&self.held_up_ns, wait)
    }
}

fn timed<T>(total_ns: &AtomicU64, wait: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = wait();
    total_ns.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
    result
}

impl Meters {
    /// Prints the table, apart from the output.
    fn print(&self, time: Duration) {
        eprintln!(
            "{:<8}{:>10}{:>22}{:>22}",
            "stage", "lines", "s without a line", "s without room"
        );
        for (stage, meter) in [("read", &self.read), ("work", &self.work), ("write", &self.write)] {
            let lines = meter.lines.load(Ordering::Relaxed);
            let seconds = |ns: &AtomicU64| ns.load(Ordering::Relaxed) as f64 / 1e9;
            let (starved, held_up) = (seconds(&meter.starved_ns), seconds(&meter.held_up_ns));
            eprintln!("{stage:<8}{lines:>10}{starved:>22.3}{held_up:>22.3}");
        }
        eprintln!("{:.3} s in all; several workers wait side by side", time.as_secs_f64());
    }
}
