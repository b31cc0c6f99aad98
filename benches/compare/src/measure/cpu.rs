//! CPU time from the kernel's accounting: user and system time of all threads, also of those that
//! have ended, in nanoseconds. It does not count what the kernel does elsewhere on a process's
//! behalf; on the loopback interface the sender's own CPU delivers, so that little is elsewhere.

use std::time::Duration;

use anyhow::Result;
use nix::time::{ClockId, clock_getcpuclockid};
use rustix::{process::Pid, time::clock_gettime};

/// The CPU clock of another process.
#[derive(Debug)]
pub(crate) struct CpuClock(ClockId);

impl CpuClock {
    pub(crate) fn of(pid: Pid) -> Result<Self> {
        let pid = nix::unistd::Pid::from_raw(pid.as_raw_nonzero().get());
        Ok(Self(clock_getcpuclockid(pid)?))
    }

    /// The CPU time used so far.
    pub(crate) fn read(&self) -> Result<Duration> {
        Ok(self.0.now()?.into())
    }
}

/// The CPU time that this process has used so far.
pub(crate) fn own_cpu_time() -> Duration {
    let time = clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
