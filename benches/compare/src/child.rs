//! Child processes that end with their parent, whatever ends it.
//!
//! A child asks the kernel to be killed when its parent dies (`PR_SET_PDEATHSIG`), which covers
//! Ctrl-C, a panic and SIGKILL alike; the parent kills and reaps it on drop besides. The request
//! survives `exec`, so a program that is not ours (a Go binary, perf, valgrind) is started through
//! the hidden subcommand `become`, which makes the request and then becomes that program. The
//! kernel means the parent's *thread*: children are started by the main thread only.

use std::{
    io::{Read as _, Write as _},
    net::SocketAddr,
    os::{fd::AsFd, unix::process::CommandExt as _},
    process::{self, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{
        Pid, PidfdFlags, Signal, getppid, kill_process, pidfd_open, set_parent_process_death_signal,
    },
};

use crate::{cpus, cpus::Placement};

/// What a child does before anything else.
#[derive(Debug, clap::Args)]
pub(crate) struct Tether {
    /// Ends when this process does
    #[arg(long)]
    parent: Option<i32>,
    /// Runs on these CPUs only
    #[arg(long, value_delimiter = ',')]
    cpus: Vec<usize>,
}

impl Tether {
    pub(crate) fn attach(&self) -> Result<()> {
        if let Some(parent) = self.parent {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // The parent may have died before the request was made.
            ensure!(
                getppid().is_some_and(|pid| pid.as_raw_nonzero().get() == parent),
                "the parent process has gone"
            );
        }
        if !self.cpus.is_empty() {
            cpus::pin(&self.cpus)?;
        }
        Ok(())
    }
}

/// The hidden subcommand that ties itself to its parent and becomes another program.
#[derive(Debug, clap::Args)]
pub(crate) struct Become {
    #[command(flatten)]
    tether: Tether,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    program: Vec<String>,
}

impl Become {
    pub(crate) fn run(self) -> Result<()> {
        self.tether.attach()?;
        let error = Command::new(&self.program[0]).args(&self.program[1..]).exec();
        Err(error).with_context(|| format!("starting {}", self.program[0]))
    }
}

/// This binary with one of its hidden subcommands, tied to this process. No CPUs: those of this
/// thread.
pub(crate) fn own(subcommand: &str, cpus: &[usize]) -> Result<Command> {
    let mut command = Command::new(own_path()?);
    command.args([subcommand, "--parent", &process::id().to_string()]).stdin(Stdio::null());
    if !cpus.is_empty() {
        let cpus: Vec<String> = cpus.iter().map(usize::to_string).collect();
        command.args(["--cpus", &cpus.join(",")]);
    }
    Ok(command)
}

/// Another program, tied to this process. Its arguments are to be added.
pub(crate) fn foreign(program: &str, cpus: &[usize]) -> Result<Command> {
    let mut command = own("become", cpus)?;
    command.args(["--", program]);
    Ok(command)
}

/// Where this binary is.
pub(crate) fn own_path() -> Result<String> {
    let path = std::env::current_exe().context("finding this program's own file")?;
    path.into_os_string().into_string().ok().context("this program's path is not UTF-8")
}

/// A child process, killed and reaped on drop.
#[derive(Debug)]
pub(crate) struct Child {
    process: process::Child,
}

impl Child {
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        let process = command.spawn().with_context(|| format!("starting {command:?}"))?;
        Ok(Self { process })
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        // The process is not reaped yet, so that its number is still its own.
        Ok(kill_process(self.pid(), signal)?)
    }

    /// Waits for its end, and kills it if that does not come in time.
    pub(crate) fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let pidfd = pidfd_open(self.pid(), PidfdFlags::empty())?;
        if !becomes_readable(&pidfd, timeout)? {
            self.process.kill()?;
            self.process.wait()?;
            bail!("did not end within {} s", timeout.as_secs());
        }
        Ok(self.process.wait()?)
    }

    /// Its first line of output, without waiting for more.
    fn first_line(&mut self, timeout: Duration) -> Result<String> {
        let deadline = Instant::now() + timeout;
        let output = self.process.stdout.as_mut().context("its output is not piped")?;
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            let left = deadline.saturating_duration_since(Instant::now());
            ensure!(becomes_readable(&*output, left)?, "said nothing within {timeout:?}");
            let mut byte = [0];
            ensure!(output.read(&mut byte)? == 1, "ended before it said anything");
            line.push(byte[0]);
        }
        Ok(String::from_utf8(line)?.trim_end().to_owned())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn becomes_readable(fd: impl AsFd, timeout: Duration) -> Result<bool> {
    let mut fds = [PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)];
    Ok(poll(&mut fds, Some(&Timespec::try_from(timeout)?))? == 1)
}

/// A server that has said where it listens.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
}

const LISTENING: &str = "listening on ";

impl Running {
    /// Starts a server of the registry.
    pub(crate) fn server(name: &str, placement: &Placement) -> Result<Self> {
        Self::server_with(name, placement, &[])
    }

    /// The same, with more in its environment.
    pub(crate) fn server_with(
        name: &str,
        placement: &Placement,
        environment: &[(&str, String)],
    ) -> Result<Self> {
        let mut command = own("serve", &placement.server)?;
        command.args(serve_arguments(name, placement)).envs(environment.iter().cloned());
        Self::start(&mut command)
    }

    /// Starts a server in its own words, for example under valgrind.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut child = Child::spawn(command.stdout(Stdio::piped()))?;
        // Generous: under valgrind a start takes seconds.
        let line = child.first_line(Duration::from_secs(30))?;
        let address = line.strip_prefix(LISTENING).with_context(|| format!("said {line:?}"))?;
        Ok(Self { address: address.parse()?, child })
    }
}

pub(crate) fn serve_arguments(name: &str, placement: &Placement) -> [String; 3] {
    [name.to_owned(), "--workers".to_owned(), placement.workers().to_string()]
}

/// What every server says once it can be connected to.
pub(crate) fn say_listening(address: SocketAddr) {
    println!("{LISTENING}{address}");
    // Into a pipe the line is complete and flushed already; a failure shows as silence.
    let _ = std::io::stdout().flush();
}
