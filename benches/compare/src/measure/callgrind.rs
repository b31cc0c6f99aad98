//! User-space instructions a request, counted by valgrind's callgrind. The server runs twice, with
//! so many requests and with twice as many: the difference has no start and no end in it.

use std::{fs, process::Stdio, time::Duration};

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use crate::{
    child::{self, Running, serve_arguments},
    cpus::Placement,
    load::{Echo, Until},
};

const REQUESTS: u64 = 3_000;

/// Of one server of the registry, over so many connections.
pub(crate) fn instructions_per_request(
    server: &str,
    placement: &Placement,
    connections: usize,
) -> Result<f64> {
    let once = instructions(server, placement, connections, REQUESTS)?;
    let twice = instructions(server, placement, connections, 2 * REQUESTS)?;
    Ok((twice as f64 - once as f64) / REQUESTS as f64)
}

fn instructions(
    server: &str,
    placement: &Placement,
    connections: usize,
    requests: u64,
) -> Result<u64> {
    let folder = tempfile::tempdir()?;
    let result = folder.path().join("callgrind");
    let mut valgrind = child::foreign("valgrind", &placement.server)?;
    valgrind.args(["--tool=callgrind", "--quiet"]);
    valgrind.arg(format!("--callgrind-out-file={}", result.display()));
    valgrind.args([&child::own_path()?, "serve"]).args(serve_arguments(server, placement));
    let mut running = Running::start(valgrind.stderr(Stdio::null()))
        .context("starting the server under valgrind")?;
    Echo::connect(running.address, connections)?.run(Until::Requests(requests))?;
    running.child.signal(Signal::TERM)?;
    running.child.wait(Duration::from_secs(30))?;
    let text = fs::read_to_string(&result).context("callgrind wrote no result")?;
    let mut totals = text.lines().filter_map(|line| {
        line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: "))
    });
    let total = totals.next_back().context("callgrind's result has no total")?;
    Ok(total.trim().parse()?)
}
