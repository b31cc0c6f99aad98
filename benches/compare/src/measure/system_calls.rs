//! System calls of a running process, counted by perf if it may, otherwise by strace. Both slow the
//! process down, so that the counting has a pass of its own and no times are taken in it.

use std::{
    fmt::{self, Display, Formatter},
    fs::{self, File, OpenOptions},
    io::{Read as _, Write as _},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::{
    fs::{CWD, Mode, mkfifoat},
    process::{Pid, Signal},
};
use tempfile::TempDir;

use crate::child::{self, Child};

/// How to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    Perf,
    Strace,
}

const EVENT: &str = "raw_syscalls:sys_enter";
const PATIENCE: Duration = Duration::from_secs(10);

impl Counter {
    /// The best that works here. Each is tried on a program that does little.
    pub(crate) fn choose() -> Option<Self> {
        let counts = |command: &mut Command, read: fn(&str) -> Result<u64>| {
            let output = command.stdin(Stdio::null()).output().ok()?;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            read(&said).ok().filter(|&count| count > 0)
        };
        if counts(Command::new("perf").args(["stat", "-x,", "-e", EVENT, "true"]), perf_count)
            .is_some()
        {
            return Some(Self::Perf);
        }
        counts(Command::new("strace").args(["-f", "-c", "true"]), strace_count)
            .map(|_| Self::Strace)
    }

    /// The calls that a process and all its threads make while `work` runs.
    pub(crate) fn count(self, pid: Pid, work: impl FnOnce() -> Result<()>) -> Result<u64> {
        let folder = tempfile::tempdir()?;
        match self {
            Self::Perf => count_by_perf(pid, &folder, work),
            Self::Strace => count_by_strace(pid, &folder, work),
        }
        .with_context(|| format!("counting system calls with {self}"))
    }
}

impl Display for Counter {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Perf => "perf stat -e raw_syscalls:sys_enter",
            Self::Strace => "strace -f -c",
        })
    }
}

fn count_by_perf(pid: Pid, folder: &TempDir, work: impl FnOnce() -> Result<()>) -> Result<u64> {
    let path = |name: &str| folder.path().join(name);
    let (control, answers, result) = (path("control"), path("answers"), path("result"));
    for fifo in [&control, &answers] {
        mkfifoat(CWD, fifo, Mode::RUSR | Mode::WUSR)?;
    }
    // Opened for both directions, so that neither opening waits for perf.
    let open = |path: &Path| OpenOptions::new().read(true).write(true).open(path);
    let (mut control_end, mut answers_end) = (open(&control)?, open(&answers)?);

    let mut perf = child::foreign("perf", &[])?;
    perf.args(["stat", "-x,", "-e", EVENT, "-p", &pid.to_string(), "-D", "-1", "--control"]);
    perf.arg(format!("fifo:{},{}", control.display(), answers.display()));
    perf.arg("-o").arg(&result).stdout(Stdio::null()).stderr(Stdio::null());
    let mut perf = Child::spawn(&mut perf)?;

    order(&mut control_end, &mut answers_end, "enable\n")?;
    work()?;
    order(&mut control_end, &mut answers_end, "disable\n")?;
    perf.signal(Signal::INT)?;
    perf.wait(PATIENCE)?;
    perf_count(&fs::read_to_string(result)?)
}

/// Gives perf an order and waits until it has done it.
fn order(control: &mut File, answers: &mut File, order: &str) -> Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    control.write_all(order.as_bytes())?;
    let patience = Timespec::try_from(PATIENCE)?;
    let ready = poll(&mut [PollFd::new(answers, PollFlags::IN)], Some(&patience))?;
    ensure!(ready == 1, "perf did not answer");
    let mut answer = [0; 16];
    let count = answers.read(&mut answer)?;
    ensure!(answer[..count].starts_with(b"ack"), "perf answered something else");
    Ok(())
}

/// From perf's comma-separated lines: the count, an empty unit, the event.
fn perf_count(text: &str) -> Result<u64> {
    let line = text.lines().find(|line| line.contains(EVENT)).context("perf counted nothing")?;
    let field = line.split(',').next().unwrap_or_default();
    field.parse().with_context(|| format!("perf said {field:?}"))
}

fn count_by_strace(pid: Pid, folder: &TempDir, work: impl FnOnce() -> Result<()>) -> Result<u64> {
    let result = folder.path().join("result");
    let mut strace = child::foreign("strace", &[])?;
    strace.args(["-f", "-c", "-p", &pid.to_string(), "-o"]).arg(&result);
    let mut strace = Child::spawn(strace.stdout(Stdio::null()).stderr(Stdio::null()))?;
    wait_until_traced(pid)?;
    work()?;
    strace.signal(Signal::INT)?;
    strace.wait(PATIENCE)?;
    strace_count(&fs::read_to_string(result)?)
}

/// Waits until every thread of a process is being traced.
fn wait_until_traced(pid: Pid) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let mut untraced = false;
        for thread in fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()))? {
            let status = fs::read_to_string(thread?.path().join("status"))?;
            untraced |= status.contains("TracerPid:\t0\n");
        }
        if !untraced {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    bail!("strace did not attach")
}

/// From strace's summary: the fourth figure of the line that ends in `total`.
fn strace_count(text: &str) -> Result<u64> {
    let total = text.lines().find(|line| line.ends_with(" total")).context("no total")?;
    let field = total.split_whitespace().nth(3).context("no count in strace's total")?;
    Ok(field.parse()?)
}

#[cfg(test)]
mod tests {
    use super::{perf_count, strace_count};

    #[test]
    fn reads_perf() {
        let text = "# started\n\n1858,,raw_syscalls:sys_enter,7835316,100.00,,\n";
        assert_eq!(perf_count(text).unwrap(), 1858);
        assert!(perf_count("<not counted>,,raw_syscalls:sys_enter,0,100.00,,").is_err());
    }

    #[test]
    fn reads_strace() {
        let text = "% time     seconds  usecs/call     calls    errors syscall\n\
                    ------ ----------- ----------- --------- --------- ----------------\n\
                    100.00    0.000100           3        34         1 read\n\
                    ------ ----------- ----------- --------- --------- ----------------\n\
                    100.00    0.000100           3        34         1 total\n";
        assert_eq!(strace_count(text).unwrap(), 34);
    }
}
