//! What a lock costs that nobody else wants, beside parking_lot's and std's, and one that several
//! want.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sedge::runtime::Builder;
use sedge::{sync, task};

/// Runs `f` as the root task of a runtime with `workers` workers and small stacks.
fn on<T>(workers: usize, f: impl FnOnce() -> T) -> T {
    Builder::new().workers(workers).stack_size(64 << 10).run(f).expect("the runtime starts")
}

/// Locked and unlocked by the only one that knows it.
fn mutex(c: &mut Criterion) {
    let mut group = c.benchmark_group("mutex");
    let sedge = sync::Mutex::new(0_u64);
    let nonpoison = sync::nonpoison::Mutex::new(0_u64);
    let parking_lot = parking_lot::Mutex::new(0_u64);
    let std = std::sync::Mutex::new(0_u64);
    group.bench_function("sedge", |b| {
        on(1, || b.iter(|| *black_box(&sedge).lock().expect("nothing panics") += 1));
    });
    group.bench_function("sedge, on a thread", |b| {
        b.iter(|| *black_box(&sedge).lock().expect("nothing panics") += 1);
    });
    group.bench_function("sedge, nonpoison", |b| {
        on(1, || b.iter(|| *black_box(&nonpoison).lock() += 1));
    });
    group.bench_function("parking_lot", |b| b.iter(|| *black_box(&parking_lot).lock() += 1));
    group.bench_function("std", |b| {
        b.iter(|| *black_box(&std).lock().expect("nothing panics") += 1);
    });
    group.finish();
}

/// The same, for reading.
fn read(c: &mut Criterion) {
    let mut group = c.benchmark_group("read");
    let sedge = sync::RwLock::new(0_u64);
    let nonpoison = sync::nonpoison::RwLock::new(0_u64);
    let parking_lot = parking_lot::RwLock::new(0_u64);
    let std = std::sync::RwLock::new(0_u64);
    group.bench_function("sedge", |b| {
        on(1, || b.iter(|| *black_box(&sedge).read().expect("nothing panics")));
    });
    group.bench_function("sedge, nonpoison", |b| {
        on(1, || b.iter(|| *black_box(&nonpoison).read()));
    });
    group.bench_function("parking_lot", |b| b.iter(|| *black_box(&parking_lot).read()));
    group.bench_function("std", |b| b.iter(|| *black_box(&std).read().expect("nothing panics")));
    group.finish();
}

/// Tasks that want the same mutex again and again, and yield while they hold it, or never.
fn contended(c: &mut Criterion) {
    const TASKS: usize = 100;
    const EACH: usize = 1_000;
    let mut group = c.benchmark_group("contended mutex");
    group.throughput(Throughput::Elements((TASKS * EACH) as u64));
    group.sample_size(20);
    for (workers, yields) in [(1, false), (1, true), (2, false), (2, true)] {
        let name = if yields { "held across a yield" } else { "held shortly" };
        group.bench_function(format!("{name}/{workers} workers"), |b| {
            on(workers, || {
                let mutex = sync::nonpoison::Mutex::new(0_u64);
                let work = || {
                    for _ in 0..EACH {
                        let mut guard = mutex.lock();
                        *guard += 1;
                        if yields {
                            task::yield_now();
                        }
                    }
                };
                b.iter(|| {
                    task::scope(|scope| (0..TASKS).for_each(|_| drop(scope.spawn(work))));
                });
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .measurement_time(Duration::from_secs(3))
        .warm_up_time(Duration::from_secs(1));
    targets = mutex, read, contended
}
criterion_main!(benches);
