//! What the steps of a task's life cost. Each function says what its figure asks.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use corosensei::{Coroutine, CoroutineResult};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sedge::runtime::Builder;
use sedge::task;

/// Runs `f` as the root task of a runtime with `workers` workers and small stacks.
fn on<T>(workers: usize, f: impl FnOnce() -> T) -> T {
    Builder::new().workers(workers).stack_size(64 << 10).run(f).expect("the runtime starts")
}

/// The floor: a resume and a suspend of a bare coroutine.
fn switch(c: &mut Criterion) {
    c.bench_function("switch/corosensei", |b| {
        let mut coroutine = Coroutine::<(), (), ()>::new(|yielder, ()| {
            loop {
                yielder.suspend(());
            }
        });
        b.iter(|| assert!(matches!(coroutine.resume(()), CoroutineResult::Yield(()))));
        // It never ends by itself.
        #[expect(unsafe_code, reason = "nothing on the stack needs dropping")]
        // SAFETY: its frames own nothing.
        unsafe {
            coroutine.force_reset();
        }
    });
}

/// `tasks` tasks that do nothing but yield; the time of one yield.
fn yields(c: &mut Criterion) {
    let mut group = c.benchmark_group("yield");
    for tasks in [2_u64, 1_000, 100_000] {
        group.bench_with_input(BenchmarkId::from_parameter(tasks), &tasks, |b, &tasks| {
            b.iter_custom(|iterations| on(1, || time_yields(tasks, iterations)));
        });
    }
    group.finish();
}

fn time_yields(tasks: u64, iterations: u64) -> Duration {
    let rounds = iterations.div_ceil(tasks).max(3);
    let started = Arc::new(AtomicBool::new(false));
    let handles: Vec<_> = (0..tasks)
        .map(|_| {
            let started = started.clone();
            sedge::spawn(move || {
                while !started.load(Ordering::Relaxed) {
                    task::park();
                }
                for _ in 0..rounds {
                    task::yield_now();
                }
            })
        })
        .collect();
    // Every task has started and parked once the root has the worker again.
    sedge::time::sleep(Duration::from_millis(1));
    started.store(true, Ordering::Relaxed);
    handles.iter().for_each(|handle| handle.task().unpark());
    let start = Instant::now();
    handles.into_iter().for_each(|handle| handle.join().expect("it only yields"));
    scale(start.elapsed(), iterations, rounds * tasks)
}

/// The time of `iterations`, where `done` took `elapsed`.
fn scale(elapsed: Duration, iterations: u64, done: u64) -> Duration {
    elapsed.mul_f64(iterations as f64 / done as f64)
}

fn spawns(c: &mut Criterion) {
    for workers in [1, 2] {
        c.bench_function(&format!("spawn and join, one by one/{workers} workers"), |b| {
            b.iter_custom(|iterations| {
                on(workers, || {
                    let start = Instant::now();
                    for _ in 0..iterations {
                        sedge::spawn(|| black_box(1)).join().expect("it only returns");
                    }
                    start.elapsed()
                })
            });
        });
    }
    let mut group = c.benchmark_group("batch of a million");
    group.sample_size(10).throughput(Throughput::Elements(1_000_000));
    for workers in [1, 2] {
        let mut bench = |name, batch: fn(usize)| {
            group.bench_function(format!("{name}/{workers} workers"), |b| {
                b.iter_custom(|batches| on(workers, || time_batches(batches, batch)));
            });
        };
        bench("that end", ending);
        bench("that yield once", yielding);
        bench("that park once", parking);
    }
    group.finish();
}

fn time_batches(batches: u64, batch: fn(usize)) -> Duration {
    let start = Instant::now();
    (0..batches).for_each(|_| batch(1_000_000));
    start.elapsed()
}

/// Each ends at once, and takes the stack that the one before it had.
fn ending(size: usize) {
    let handles: Vec<_> = (0..size).map(|_| sedge::spawn(|| ())).collect();
    handles.into_iter().for_each(|handle| handle.join().expect("it does nothing"));
}

/// Each is suspended once, by itself: few are alive at a time.
fn yielding(size: usize) {
    let handles: Vec<_> = (0..size).map(|_| sedge::spawn(task::yield_now)).collect();
    handles.into_iter().for_each(|handle| handle.join().expect("it only yields"));
}

/// Each parks until it is woken, after the last was spawned: nearly all have a stack at a time.
fn parking(size: usize) {
    let handles: Vec<_> = (0..size).map(|_| sedge::spawn(task::park)).collect();
    handles.iter().for_each(|handle| handle.task().unpark());
    handles.into_iter().for_each(|handle| handle.join().expect("it only parks"));
}

/// Two tasks that wake each other in turn; the time of a round trip.
fn park_unpark(c: &mut Criterion) {
    for workers in [1, 2] {
        c.bench_function(&format!("park and unpark, round trip/{workers} workers"), |b| {
            b.iter_custom(|iterations| {
                on(workers, || {
                    let root = task::current();
                    let echo = sedge::spawn(move || {
                        for _ in 0..iterations {
                            task::park();
                            root.unpark();
                        }
                    });
                    let other = echo.task();
                    let start = Instant::now();
                    for _ in 0..iterations {
                        other.unpark();
                        task::park();
                    }
                    let elapsed = start.elapsed();
                    echo.join().expect("it only parks");
                    elapsed
                })
            });
        });
    }
}

fn timers(c: &mut Criterion) {
    // Lateness: what is beyond the 50 us asked for.
    c.bench_function("sleep of 50 us, lateness", |b| {
        const ASKED: Duration = Duration::from_micros(50);
        b.iter_custom(|iterations| {
            on(1, || {
                let mut late = Duration::ZERO;
                for _ in 0..iterations {
                    let start = Instant::now();
                    sedge::time::sleep(ASKED);
                    late += start.elapsed() - ASKED;
                }
                late
            })
        });
    });
    c.bench_function("park with a timeout that is cancelled", |b| {
        b.iter_custom(|iterations| {
            on(1, || {
                let root = task::current();
                let waker = sedge::spawn(move || {
                    for _ in 0..iterations {
                        root.unpark();
                        task::yield_now();
                    }
                });
                let start = Instant::now();
                for _ in 0..iterations {
                    task::park_timeout(Duration::from_secs(60));
                }
                let elapsed = start.elapsed();
                waker.join().expect("it only yields");
                elapsed
            })
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .measurement_time(Duration::from_secs(3))
        .warm_up_time(Duration::from_secs(1));
    targets = switch, yields, spawns, park_unpark, timers
}
criterion_main!(benches);
