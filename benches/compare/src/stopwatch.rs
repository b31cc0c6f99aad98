//! A batch of work that measures itself, in a process of its own, and prints one line of JSON.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::measure::{Memory, own_cpu_time};

/// What a batch showed. The Go program prints the same.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Outcome {
    operations: u64,
    seconds: f64,
    cpu_seconds: f64,
    /// Resident memory and page tables, for parked tasks.
    pub(crate) bytes_each: Option<f64>,
}

impl Outcome {
    pub(crate) fn ns_each(&self) -> f64 {
        self.seconds * 1e9 / self.operations as f64
    }

    pub(crate) fn cpu_ns_each(&self) -> f64 {
        self.cpu_seconds * 1e9 / self.operations as f64
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.seconds
    }
}

/// A batch that is being measured, from within.
pub(crate) struct Stopwatch {
    operations: usize,
    /// Where the memory is asked for.
    memory: Option<Memory>,
    cpu: Duration,
    start: Instant,
}

impl Stopwatch {
    /// For so many operations, each of which leaves a parked task if `parks`.
    pub(crate) fn start(operations: usize, parks: bool) -> Result<Self> {
        let memory = if parks { Some(Memory::of("self")?) } else { None };
        Ok(Self { operations, memory, cpu: own_cpu_time(), start: Instant::now() })
    }

    /// Prints what the batch showed. Call it inside the runtime, with the tasks still parked.
    pub(crate) fn stop(self) -> Result<()> {
        let seconds = self.start.elapsed().as_secs_f64();
        let cpu_seconds = (own_cpu_time() - self.cpu).as_secs_f64();
        let bytes_each = match self.memory {
            Some(before) => Some(Memory::of("self")?.each_since(before, self.operations)),
            None => None,
        };
        let operations = self.operations as u64;
        let outcome = Outcome { operations, seconds, cpu_seconds, bytes_each };
        println!("{}", serde_json::to_string(&outcome)?);
        Ok(())
    }
}

/// How many tasks of the batch have still to do their part: a process runs one batch, so that one
/// counter does. The task that takes the last one tells the root.
pub(crate) static LEFT: AtomicUsize = AtomicUsize::new(0);

/// `true` for the last.
pub(crate) fn one_less_left() -> bool {
    // Ordering: what the root reads after the last one is only this counter, and the runtime's own
    // wake orders the rest.
    LEFT.fetch_sub(1, Ordering::Relaxed) == 1
}

pub(crate) fn none_left() -> bool {
    // Ordering: as above.
    LEFT.load(Ordering::Relaxed) == 0
}
