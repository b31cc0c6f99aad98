//! Memory that a process holds: resident pages and page tables. What the kernel holds for its
//! sockets is not here, and is the same for every server.

use std::fs;

use anyhow::{Context as _, Result};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// VmRSS + VmPTE.
    pub(crate) bytes: u64,
}

impl Memory {
    /// Of a process, or of this one by the name `self`.
    pub(crate) fn of(process: impl std::fmt::Display) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let bytes = kib(&status, "VmRSS:")? + kib(&status, "VmPTE:")?;
        Ok(Self { bytes: bytes * 1024 })
    }

    /// What each of so many things added since then.
    pub(crate) fn each_since(self, before: Self, count: usize) -> f64 {
        (self.bytes as f64 - before.bytes as f64) / count as f64
    }
}

fn kib(status: &str, key: &str) -> Result<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(key));
    let value = value.with_context(|| format!("no {key} in the process status"))?;
    Ok(value.trim().trim_end_matches(" kB").parse()?)
}

#[cfg(test)]
mod tests {
    use super::{Memory, kib};

    #[test]
    fn reads_status_lines() {
        let status = "VmRSS:\t    1234 kB\nVmPTE:\t      48 kB\n";
        assert_eq!(kib(status, "VmRSS:").unwrap(), 1234);
        assert!(kib(status, "VmHWM:").is_err());
        assert!(Memory::of("self").unwrap().bytes > 0);
    }
}
