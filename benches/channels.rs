//! What it costs tasks to talk, beside threads that talk through crossbeam-channel.

use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use sedge::runtime::Builder;
use sedge::sync::channel;
use sedge::task::JoinHandle;

/// Runs `f` as the root task of a runtime with `workers` workers and small stacks.
fn on<T>(workers: usize, f: impl FnOnce() -> T) -> T {
    Builder::new().workers(workers).stack_size(64 << 10).run(f).expect("the runtime starts")
}

/// Spawns the partner of the root task: where there are two workers, on the other one.
fn partner(workers: usize, f: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    if workers == 1 { sedge::spawn(f) } else { elsewhere(f) }
}

/// Spawns `f` on another worker than the caller's. Candidates that start here wait until one has
/// started elsewhere: so there are more and more of them here, and the next is placed elsewhere.
fn elsewhere(f: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let here = thread::current().id();
    let mut rejected = Vec::new();
    loop {
        let (verdict, is_elsewhere) = channel::bounded(1);
        let (job, jobs) = channel::bounded(1);
        let candidate = sedge::spawn(move || {
            verdict.send(thread::current().id() != here).expect("the caller waits for it");
            jobs.into_iter().for_each(|job: Box<dyn FnOnce() + Send>| job());
        });
        if is_elsewhere.recv().expect("the candidate has one") {
            job.send(Box::new(f)).expect("the candidate waits for it");
            return candidate;
        }
        rejected.push(job);
    }
}

/// The end of a run, of which all messages have been received.
fn join(task: JoinHandle<()>) {
    task.join().expect("it only sends and receives");
}

/// There and back, from hand to hand, between two tasks and between two threads; and the floor
/// under what needs two CPUs.
fn round_trips(c: &mut Criterion) {
    let mut group = c.benchmark_group("round trip");
    group.bench_function("two cache lines", |b| b.iter_custom(time_bounce));
    for workers in [1, 2] {
        group.bench_function(format!("bounded(0)/{workers} workers"), |b| {
            b.iter_custom(|iterations| on(workers, || time_round_trips(workers, iterations)));
        });
    }
    group.bench_function("bounded(0)/threads", |b| b.iter_custom(time_round_trips_of_threads));
    group.finish();
}

fn time_round_trips(workers: usize, iterations: u64) -> Duration {
    let (questions, asked) = channel::bounded(0);
    let (answers, answered) = channel::bounded(0);
    let echo = partner(workers, move || asked.iter().try_for_each(|n| answers.send(n)).unwrap());
    let start = Instant::now();
    for n in 0..iterations {
        questions.send(n).expect("the echo receives");
        assert_eq!(answered.recv(), Ok(n));
    }
    let elapsed = start.elapsed();
    drop(questions);
    join(echo);
    elapsed
}

fn time_round_trips_of_threads(iterations: u64) -> Duration {
    let (questions, asked) = crossbeam_channel::bounded(0);
    let (answers, answered) = crossbeam_channel::bounded(0);
    thread::scope(|scope| {
        scope.spawn(move || asked.iter().try_for_each(|n| answers.send(n)).unwrap());
        let start = Instant::now();
        for n in 0..iterations {
            questions.send(n).expect("the echo receives");
            assert_eq!(answered.recv(), Ok(n));
        }
        let elapsed = start.elapsed();
        drop(questions);
        elapsed
    })
}

/// On a cache line of its own.
#[repr(align(128))]
struct Line(AtomicU64);

/// Two threads on two CPUs, each of which waits with open eyes for the other's store.
fn time_bounce(iterations: u64) -> Duration {
    let cpus = sched_getaffinity(None).expect("the CPUs of this process are known");
    let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&cpu| cpus.is_set(cpu)).collect();
    let &[first, .., last] = &*cpus else { panic!("it needs two CPUs") };
    let pin = |cpu| {
        let mut one = CpuSet::new();
        one.set(cpu);
        sched_setaffinity(None, &one).expect("it is one of this process's");
    };
    let turn = |line: &Line, n| {
        while line.0.load(Ordering::Acquire) != n {
            spin_loop();
        }
    };
    let (ping, pong) = (&Line(AtomicU64::new(0)), &Line(AtomicU64::new(0)));
    thread::scope(|scope| {
        scope.spawn(move || {
            pin(first);
            for n in 1..=iterations {
                turn(ping, n);
                pong.0.store(n, Ordering::Release);
            }
        });
        // A thread of its own: the caller stays where it may run.
        let asking = scope.spawn(move || {
            pin(last);
            let start = Instant::now();
            for n in 1..=iterations {
                ping.0.store(n, Ordering::Release);
                turn(pong, n);
            }
            start.elapsed()
        });
        asking.join().expect("it only counts")
    })
}

/// One that sends and one that receives; the time of a message.
fn streams(c: &mut Criterion) {
    for capacity in [None, Some(64)] {
        let name =
            capacity.map_or("unbounded".to_owned(), |capacity| format!("bounded({capacity})"));
        let mut group = c.benchmark_group(format!("one to one/{name}"));
        for workers in [1, 2] {
            group.bench_function(format!("{workers} workers"), |b| {
                b.iter_custom(|messages| on(workers, || time_stream(workers, capacity, messages)));
            });
        }
        group.bench_function("threads", |b| {
            b.iter_custom(|messages| time_stream_of_threads(capacity, messages));
        });
        group.finish();
    }
}

fn time_stream(workers: usize, capacity: Option<usize>, messages: u64) -> Duration {
    let (sender, receiver) = capacity.map_or_else(channel::unbounded, channel::bounded);
    let (begin, begun) = channel::bounded(0);
    let producer = partner(workers, move || {
        begun.recv().expect("the root sends it");
        (0..messages).try_for_each(|n| sender.send(n)).expect("the root receives");
    });
    begin.send(()).expect("the producer receives it");
    let start = Instant::now();
    assert_eq!(receiver.iter().map(black_box).count() as u64, messages);
    let elapsed = start.elapsed();
    join(producer);
    elapsed
}

fn time_stream_of_threads(capacity: Option<usize>, messages: u64) -> Duration {
    let (sender, receiver) =
        capacity.map_or_else(crossbeam_channel::unbounded, crossbeam_channel::bounded);
    let (begin, begun) = crossbeam_channel::bounded(0);
    thread::scope(|scope| {
        scope.spawn(move || {
            begun.recv().expect("the other thread sends it");
            (0..messages).try_for_each(|n| sender.send(n)).expect("the other thread receives");
        });
        begin.send(()).expect("the producer receives it");
        let start = Instant::now();
        assert_eq!(receiver.iter().map(black_box).count() as u64, messages);
        start.elapsed()
    })
}

/// How many send, and how many receive, on one channel.
const CROWD: u64 = 4;

const MILLION: u64 = 1_000_000;

/// A million messages from four tasks to four others, all over one channel.
fn crowds(c: &mut Criterion) {
    let mut group = c.benchmark_group("a million, four to four/bounded(64)");
    group.sample_size(10).throughput(Throughput::Elements(MILLION));
    for workers in [1, 2] {
        group.bench_function(format!("{workers} workers"), |b| {
            on(workers, || b.iter(|| assert_eq!(crowd(), MILLION)));
        });
    }
    group.bench_function("threads", |b| b.iter(|| assert_eq!(crowd_of_threads(), MILLION)));
    group.finish();
}

/// Returns how many messages were received.
fn crowd() -> u64 {
    let (sender, receiver) = channel::bounded(64);
    let mut producers = Vec::new();
    let mut consumers = Vec::new();
    for _ in 0..CROWD {
        let (sender, receiver) = (sender.clone(), receiver.clone());
        producers.push(sedge::spawn(move || {
            (0..MILLION / CROWD).try_for_each(|n| sender.send(n)).expect("all are received");
        }));
        consumers.push(sedge::spawn(move || receiver.iter().map(black_box).count() as u64));
    }
    drop((sender, receiver));
    producers.into_iter().for_each(join);
    consumers.into_iter().map(|task| task.join().expect("it only receives")).sum()
}

fn crowd_of_threads() -> u64 {
    let (sender, receiver) = crossbeam_channel::bounded(64);
    thread::scope(|scope| {
        let mut consumers = Vec::new();
        for _ in 0..CROWD {
            let (sender, receiver) = (sender.clone(), receiver.clone());
            scope.spawn(move || {
                (0..MILLION / CROWD).try_for_each(|n| sender.send(n)).expect("all are received");
            });
            consumers.push(scope.spawn(move || receiver.iter().map(black_box).count() as u64));
        }
        drop((sender, receiver));
        consumers.into_iter().map(|thread| thread.join().expect("it only receives")).sum()
    })
}

/// One task that sends a message and receives it, by itself and by a selection between two
/// receivers, of which the other is never ready. Nothing waits.
fn selections(c: &mut Criterion) {
    let mut group = c.benchmark_group("send, and");
    group.bench_function("receive", |b| {
        let (sender, receiver) = channel::bounded(1);
        on(1, || {
            b.iter(|| {
                sender.send(1).expect("there is room");
                receiver.recv().expect("there is a message")
            });
        });
    });
    group.bench_function("select from two", |b| {
        let (sender, receiver) = channel::bounded(1);
        let (_kept, silent) = channel::bounded(1);
        on(1, || {
            b.iter(|| {
                sender.send(1).expect("there is room");
                sedge::select! {
                    recv(silent) -> message => message.expect("it has a sender"),
                    recv(receiver) -> message => message.expect("there is a message"),
                }
            });
        });
    });
    group.bench_function("receive/threads", |b| {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        b.iter(|| {
            sender.send(1).expect("there is room");
            receiver.recv().expect("there is a message")
        });
    });
    group.bench_function("select from two/threads", |b| {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        let (_kept, silent) = crossbeam_channel::bounded(1);
        b.iter(|| {
            sender.send(1).expect("there is room");
            crossbeam_channel::select! {
                recv(silent) -> message => message.expect("it has a sender"),
                recv(receiver) -> message => message.expect("there is a message"),
            }
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .measurement_time(Duration::from_secs(3))
        .warm_up_time(Duration::from_secs(1));
    targets = round_trips, streams, crowds, selections
}
criterion_main!(benches);
