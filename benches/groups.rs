//! What tasks cost that are spawned, joined and cancelled together, and what is their own.

use std::cell::Cell;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sedge::runtime::Builder;
use sedge::task::{self, JoinSet};

/// Runs `f` as the root task of a runtime with `workers` workers and small stacks.
fn on<T>(workers: usize, f: impl FnOnce() -> T) -> T {
    Builder::new().workers(workers).stack_size(64 << 10).run(f).expect("the runtime starts")
}

const BATCH: usize = 10_000;

/// Tasks that end at once, and the wait for all of them.
///
/// Another task, which stays, lies above them in the heap, so that glibc keeps between batches what
/// they had. It would give it back, and page faults would be a third of what is timed.
fn batches(c: &mut Criterion) {
    let mut group = c.benchmark_group("batch of 10,000");
    group.throughput(Throughput::Elements(BATCH as u64));
    for workers in [1, 2] {
        let mut bench = |name, batch: fn()| {
            group.bench_function(format!("{name}/{workers} workers"), |b| {
                on(workers, || {
                    let below: Vec<_> = (0..2 * BATCH).map(|_| sedge::spawn(|| ())).collect();
                    let above = sedge::spawn(task::park);
                    below.into_iter().for_each(|task| task.join().expect("it does nothing"));
                    b.iter(batch);
                    above.task().unpark();
                    above.join().expect("it only parks");
                });
            });
        };
        bench("spawn and join", joined);
        bench("scope", scoped);
        bench("scope, joined by handles", scoped_and_joined);
        bench("JoinSet", set);
    }
    group.finish();
}

fn joined() {
    let handles: Vec<_> = (0..BATCH).map(|_| sedge::spawn(|| ())).collect();
    handles.into_iter().for_each(|handle| handle.join().expect("it does nothing"));
}

/// The end of the scope waits, and each task has lost its handle.
fn scoped() {
    task::scope(|scope| (0..BATCH).for_each(|_| drop(scope.spawn(|| ()))));
}

fn scoped_and_joined() {
    task::scope(|scope| {
        let handles: Vec<_> = (0..BATCH).map(|_| scope.spawn(|| ())).collect();
        handles.into_iter().for_each(|handle| handle.join().expect("it does nothing"));
    });
}

fn set() {
    let mut set = JoinSet::new();
    for _ in 0..BATCH {
        set.spawn(|| ());
    }
    while let Some(result) = set.join_next() {
        result.expect("it does nothing");
    }
}

/// Parked tasks that are all cancelled, and joined: each unwinds. Only that is timed.
fn cancelling(c: &mut Criterion) {
    let mut group = c.benchmark_group("cancel and join parked tasks");
    group.sample_size(10);
    for tasks in [100_000, 1_000_000] {
        group.throughput(Throughput::Elements(tasks));
        group.bench_with_input(BenchmarkId::from_parameter(tasks), &tasks, |b, &tasks| {
            b.iter_custom(|batches| on(1, || (0..batches).map(|_| time_cancelling(tasks)).sum()));
        });
    }
    group.finish();
}

fn time_cancelling(tasks: u64) -> Duration {
    let handles: Vec<_> = (0..tasks).map(|_| sedge::spawn(task::park)).collect();
    // The root comes last: all have started, and parked, once it has the worker again.
    sedge::spawn(|| ()).join().expect("it does nothing");
    let start = Instant::now();
    handles.iter().for_each(|handle| handle.cancel());
    handles.into_iter().for_each(|handle| drop(handle.join().expect_err("it only parks")));
    start.elapsed()
}

task::task_local! {
    static COUNT: Cell<u64> = Cell::new(1);
}

/// A look at a value that is there.
fn task_locals(c: &mut Criterion) {
    c.bench_function("a task-local", |b| on(1, || b.iter(|| COUNT.with(|n| black_box(n.get())))));
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .measurement_time(Duration::from_secs(3))
        .warm_up_time(Duration::from_secs(1));
    targets = batches, cancelling, task_locals
}
criterion_main!(benches);
