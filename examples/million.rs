//! Parks a million tasks on one gate, opens it, joins them, and prints what that took.
//!
//! ```sh
//! cargo run --release --example million -- 1000000 --stack 64
//! ```
#![expect(clippy::print_stdout, reason = "the table is this program's output")]

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use sedge::task::{self, JoinHandle, Task};

/// Parks many tasks on one gate, opens it, joins them, and prints what that took.
#[derive(Parser)]
struct Args {
    /// How many tasks
    #[arg(default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    tasks: u64,
    /// The stack of each, in KiB of address space
    #[arg(long, value_name = "KIB", default_value_t = 64)]
    stack: usize,
}

/// What a parked task needs: the one page of stack that it touched, its page table, its header.
const TASK_BYTES: u64 = 4_608;

/// How long after the last task's end the memory is looked at again.
const AFTERWARDS: Duration = Duration::from_secs(5);

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args = Args::parse();
    let (needed, available) = (args.tasks.saturating_mul(TASK_BYTES), memory_available()?);
    if needed > available {
        let (needed_mib, available_mib) = (needed >> 20, available >> 20);
        eprintln!(
            "{} tasks need about {needed_mib} MiB of memory, and {available_mib} MiB are \
             available: ask for at most {}",
            args.tasks,
            available / TASK_BYTES
        );
        return Ok(ExitCode::from(2));
    }
    let runtime = sedge::runtime::Builder::new().stack_size(args.stack << 10);
    let report = runtime.run(|| measure(args.tasks as usize))??;
    println!("{:<28}{:>14}", "tasks", args.tasks);
    println!("{:<28}{:>14}", "workers", sedge::runtime::workers()?);
    report.print(args.tasks as f64);
    Ok(ExitCode::SUCCESS)
}

/// Where the tasks wait for the root task, and the root task for them.
struct Gate {
    root: Task,
    tasks: usize,
    open: AtomicBool,
    arrived: AtomicUsize,
    passed: AtomicUsize,
}

impl Gate {
    /// The life of each task: arrives, parks until the gate is open, passes.
    fn pass(&self) {
        self.count(&self.arrived);
        while !self.open.load(Ordering::Acquire) {
            task::park();
        }
        self.count(&self.passed);
    }

    /// Counts one task, and tells the root task of the last.
    fn count(&self, counter: &AtomicUsize) {
        if counter.fetch_add(1, Ordering::AcqRel) + 1 == self.tasks {
            self.root.unpark();
        }
    }

    /// Parks the root task until every task has arrived. Those for which there is no stack would
    /// wait for ever, as the others are parked; what is spawned then is refused, and says why.
    fn wait_for_arrivals(&self) -> Result<(), String> {
        while self.arrived.load(Ordering::Acquire) < self.tasks {
            task::park_timeout(Duration::from_secs(1));
            task::Builder::new().spawn(|| ()).map_err(|error| {
                let arrived = self.arrived.load(Ordering::Acquire);
                format!("{arrived} of {} tasks have a stack: {error}", self.tasks)
            })?;
        }
        Ok(())
    }

    /// Parks the root task until every task has passed.
    fn wait_for_passage(&self) {
        while self.passed.load(Ordering::Acquire) < self.tasks {
            task::park();
        }
    }
}

#[derive(Default)]
struct Report {
    spawn: Duration,
    wake: Duration,
    join: Duration,
    before: Memory,
    parked: Memory,
    after: Memory,
}

fn measure(tasks: usize) -> Result<Report, Box<dyn Error>> {
    let mut report = Report { before: Memory::now()?, ..Report::default() };
    // Tasks may borrow only what lives for ever, and a counted reference each would be measured
    // too.
    let gate: &Gate = Box::leak(Box::new(Gate {
        root: task::current(),
        tasks,
        open: AtomicBool::new(false),
        arrived: AtomicUsize::new(0),
        passed: AtomicUsize::new(0),
    }));

    let bar = progress("spawning", tasks);
    let start = Instant::now();
    let mut handles: Vec<JoinHandle<()>> = Vec::with_capacity(tasks);
    for i in 0..tasks {
        let handle = task::Builder::new().spawn(|| gate.pass());
        handles.push(handle.map_err(|error| format!("cannot spawn task {i}: {error}"))?);
        tick(&bar, i);
    }
    gate.wait_for_arrivals()?;
    report.spawn = start.elapsed();
    report.parked = Memory::now()?;

    let bar = progress("waking", tasks);
    let start = Instant::now();
    gate.open.store(true, Ordering::Release);
    for (i, handle) in handles.iter().enumerate() {
        handle.task().unpark();
        tick(&bar, i);
    }
    gate.wait_for_passage();
    report.wake = start.elapsed();

    let bar = progress("joining", tasks);
    let start = Instant::now();
    for (i, handle) in handles.into_iter().enumerate() {
        handle.join().map_err(|_| format!("task {i} panicked"))?;
        tick(&bar, i);
    }
    report.join = start.elapsed();
    bar.finish_and_clear();

    sedge::time::sleep(AFTERWARDS);
    report.after = Memory::now()?;
    Ok(report)
}

impl Report {
    fn print(&self, tasks: f64) {
        let each = |time: Duration| time.as_nanos() as f64 / tasks;
        for (name, time) in [("spawn", self.spawn), ("wake", self.wake), ("join", self.join)] {
            let name = format!("{name}, seconds (ns each)");
            println!("{name:<28}{:>14.3}{:>12.0}", time.as_secs_f64(), each(time));
        }
        let resident = self.parked.resident.saturating_sub(self.before.resident) as f64 / tasks;
        let tables = self.parked.page_tables.saturating_sub(self.before.page_tables) as f64 / tasks;
        println!("{:<28}{resident:>14.0}", "resident bytes a task");
        println!("{:<28}{tables:>14.0}", "page-table bytes a task");
        println!("{:<28}{:>14.0}", "together", resident + tables);
        println!("{:<28}{:>14}", "mappings", self.parked.mappings);
        let (after, peak) = (self.after.total(), self.parked.total());
        let name = format!("resident {} s later (of peak)", AFTERWARDS.as_secs());
        println!("{name:<28}{after:>14}{:>11.1}%", 100.0 * after as f64 / peak as f64);
    }
}

/// What this process holds, in bytes; its page tables are counted apart by the kernel.
#[derive(Default)]
struct Memory {
    resident: u64,
    page_tables: u64,
    mappings: usize,
}

impl Memory {
    fn now() -> Result<Self, Box<dyn Error>> {
        let status = fs::read_to_string("/proc/self/status")?;
        Ok(Self {
            resident: bytes(&status, "VmRSS:")?,
            page_tables: bytes(&status, "VmPTE:")?,
            mappings: fs::read_to_string("/proc/self/maps")?.lines().count(),
        })
    }

    fn total(&self) -> u64 {
        self.resident + self.page_tables
    }
}

/// What this process can still take: the machine's free memory, or less where a cgroup allows less.
fn memory_available() -> Result<u64, Box<dyn Error>> {
    let free = bytes(&fs::read_to_string("/proc/meminfo")?, "MemAvailable:")?;
    Ok(cgroup_limit().map_or(free, |limit| limit.min(free)))
}

/// The least memory limit of this process's cgroups and of those above them.
fn cgroup_limit() -> Option<u64> {
    // A line for each hierarchy: `0::/path` in version 2, `4:memory:/path` in version 1.
    let cgroups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let limit = |line: &str| {
        let (controller, path) = line.split_once(':')?.1.split_once(":/")?;
        let (root, file) = match controller {
            "" => ("/sys/fs/cgroup", "memory.max"),
            "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => return None,
        };
        let limit_of = |dir: &Path| fs::read_to_string(dir.join(file)).ok()?.trim().parse().ok();
        let dir = Path::new(root).join(path);
        dir.ancestors().take_while(|dir| dir.starts_with(root)).filter_map(limit_of).min()
    };
    cgroups.lines().filter_map(limit).min()
}

/// The value of one line of a file of `/proc`, where amounts stand as `Name:  1234 kB`.
fn bytes(file: &str, name: &str) -> Result<u64, Box<dyn Error>> {
    let value = file.lines().find_map(|line| line.strip_prefix(name)?.strip_suffix("kB"));
    let kib: u64 = value.ok_or_else(|| format!("/proc says nothing of {name}"))?.trim().parse()?;
    Ok(kib << 10)
}

/// A bar on a terminal, and nothing elsewhere.
fn progress(what: &'static str, tasks: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:>8} {wide_bar} {human_pos}/{human_len}");
    let bar = ProgressBar::new(tasks as u64).with_message(what);
    bar.with_style(style.expect("the template is well-formed"))
}

/// Moves the bar, but seldom: it looks at the clock each time.
fn tick(bar: &ProgressBar, i: usize) {
    if i % 4096 == 0 {
        bar.set_position(i as u64);
    }
}
