//! Context switches: how often an idle process wakes for nothing.

use std::fs;

use anyhow::Result;
use rustix::process::Pid;

/// Of all threads that live now, since they began.
pub(crate) fn context_switches(pid: Pid) -> Result<u64> {
    let mut switches = 0;
    for thread in fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()))? {
        let status = fs::read_to_string(thread?.path().join("status"))?;
        switches += status
            .lines()
            .filter(|line| line.contains("voluntary_ctxt_switches:"))
            .filter_map(|line| line.rsplit('\t').next()?.parse::<u64>().ok())
            .sum::<u64>();
    }
    Ok(switches)
}
