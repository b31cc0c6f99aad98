//! What the figures were measured on, and with what.

use std::{
    fmt::{self, Display, Formatter},
    fs,
    process::Command,
};

use rustix::system::{sysinfo, uname};
use serde::Serialize;

/// The lock file that this binary was built with: the rivals' versions stand in it.
const LOCK: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock"));

#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    cpu: String,
    cpus: usize,
    memory_gib: f64,
    kernel: String,
    load: String,
    commit: String,
    rustc: &'static str,
    build: &'static str,
    versions: Vec<(&'static str, String)>,
}

impl Machine {
    pub(crate) fn read() -> Self {
        let info = sysinfo();
        let memory = info.totalram as f64 * f64::from(info.mem_unit);
        let versions = crate::servers::ALL
            .iter()
            .filter_map(|server| Some((server.name, (server.version)().ok()?)))
            .collect();
        Self {
            cpu: cpu_model(),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: (memory / f64::from(1 << 30) * 10.0).round() / 10.0,
            kernel: uname().release().to_string_lossy().into_owned(),
            load: fs::read_to_string("/proc/loadavg")
                .map(|line| line.split(' ').take(3).collect::<Vec<_>>().join(" "))
                .unwrap_or_default(),
            commit: commit(),
            rustc: env!("SEDGE_COMPARE_RUSTC"),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            versions,
        }
    }
}

impl Display for Machine {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let versions: Vec<String> =
            self.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        write!(
            out,
            "{} x {}, {} GiB, Linux {}, load average {} at start\n{} ({}), commit {}; {}",
            self.cpus,
            self.cpu,
            self.memory_gib,
            self.kernel,
            self.load,
            self.rustc,
            self.build,
            self.commit,
            versions.join(", ")
        )?;
        if cfg!(debug_assertions) {
            write!(out, "\nA DEBUG BUILD: these figures say nothing. Build with --release.")?;
        }
        Ok(())
    }
}

/// The version of a package in the lock file.
pub(crate) fn locked_version(package: &str) -> String {
    let entry = format!("name = \"{package}\"\nversion = \"");
    let version = LOCK.split_once(&entry).and_then(|(_, rest)| rest.split_once('"'));
    version.map_or("version unknown", |(version, _)| version).to_owned()
}

fn cpu_model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split_once(": "))
        .map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, model)| model.to_owned())
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .args(["-C", env!("CARGO_MANIFEST_DIR")])
            .args(arguments)
            .output()
            .ok()
            .filter(|output| output.status.success())?;
        Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else {
        return "unknown".to_owned();
    };
    match git(&["status", "--porcelain"]).as_deref() {
        Some("") => commit,
        _ => format!("{commit} with changes"),
    }
}
