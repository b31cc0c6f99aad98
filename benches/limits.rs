//! What a limit on a call costs where it is not reached: a timeout, a token, a read timeout.

use std::hint::black_box;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use rustix::event::{EventfdFlags, eventfd};
use sedge::io::Source;
use sedge::runtime::Builder;
use sedge::task::{self, CancelToken};
use sedge::time::timeout;

/// What no wait here takes.
const LONG: Duration = Duration::from_secs(3600);
const IN_TIME: &str = "the limit is not reached";

/// Runs `f` as the root task of a runtime with one worker and small stacks.
fn on_one<T>(f: impl FnOnce() -> T) -> T {
    Builder::new().workers(1).stack_size(64 << 10).run(f).expect("the runtime starts")
}

/// Around a call that is done at once: beside the call alone, and one look at the clock.
fn calls(c: &mut Criterion) {
    let call = || black_box(1);
    let token = CancelToken::new();
    let mut group = c.benchmark_group("a call");
    let mut bench = |name: &str, limited: &dyn Fn() -> i32| {
        group.bench_function(name, |b| on_one(|| b.iter(limited)));
    };
    bench("alone", &call);
    bench("and the clock", &|| {
        black_box(Instant::now());
        call()
    });
    bench("in a timeout", &|| timeout(LONG, call).expect(IN_TIME));
    bench("in two timeouts", &|| {
        timeout(LONG, || timeout(LONG, call).expect(IN_TIME)).expect(IN_TIME)
    });
    bench("until a token is cancelled", &|| token.run_until_cancelled(call).expect(IN_TIME));
    group.finish();
}

/// Two tasks that wake each other in turn; the time of a round trip, which is two waits.
fn parks(c: &mut Criterion) {
    let mut group = c.benchmark_group("park and unpark, round trip");
    let mut bench = |name, park: fn(), around: fn(&mut dyn FnMut())| {
        group.bench_function(name, |b| {
            b.iter_custom(|iterations| on_one(|| time_parks(iterations, park, around)));
        });
    };
    bench("no limit", task::park, |all| all());
    bench("a timeout of each wait", || task::park_timeout(LONG), |all| all());
    bench("a timeout around each wait", || timeout(LONG, task::park).expect(IN_TIME), |all| all());
    bench("a timeout around all", task::park, |all| timeout(LONG, all).expect(IN_TIME));
    bench("a token around all", task::park, |all| {
        CancelToken::new().run_until_cancelled(all).expect(IN_TIME);
    });
    group.finish();
}

fn time_parks(iterations: u64, park: fn(), around: fn(&mut dyn FnMut())) -> Duration {
    let root = task::current();
    let echo = sedge::spawn(move || {
        around(&mut || {
            for _ in 0..iterations {
                park();
                root.unpark();
            }
        });
    });
    let other = echo.task();
    let mut elapsed = Duration::ZERO;
    around(&mut || {
        let start = Instant::now();
        for _ in 0..iterations {
            other.unpark();
            park();
        }
        elapsed = start.elapsed();
    });
    echo.join().expect("it only parks");
    elapsed
}

/// Something to wait for in the netpoller, without the system calls of a read: an eventfd reports
/// every write, whether it was read before or not.
struct Bell {
    eventfd: OwnedFd,
    rung: AtomicBool,
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }
}

impl Bell {
    fn source() -> io::Result<Source<Self>> {
        let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Source::assume_nonblocking(Self { eventfd, rung: AtomicBool::new(false) }))
    }

    fn ring(&self) -> io::Result<()> {
        // Ordering: one worker, here and below.
        self.rung.store(true, Ordering::Relaxed);
        rustix::io::write(&self.eventfd, &1_u64.to_ne_bytes())?;
        Ok(())
    }

    fn hear(&self) -> io::Result<()> {
        let was_rung = self.rung.swap(false, Ordering::Relaxed);
        was_rung.then_some(()).ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }
}

/// How a task waits for its bell.
type Hear = fn(&Source<Bell>) -> io::Result<()>;

const UNLIMITED: Hear = |bell| bell.reading().run(Bell::hear);
const LIMITED: Hear = |bell| bell.reading().timeout(Some(LONG)).run(Bell::hear);
const IN_A_TIMEOUT: Hear = |bell| timeout(LONG, || UNLIMITED(bell))?;

/// An operation on a source, in the netpoller but for the system calls of the operation.
fn operations(c: &mut Criterion) {
    let mut group = c.benchmark_group("an operation that need not wait");
    let mut bench = |name, limit| {
        group.bench_function(name, |b| {
            let bell = Bell::source().expect("an eventfd is made");
            on_one(|| b.iter(|| bell.reading().timeout(limit).run(|_| Ok(black_box(1)))));
        });
    };
    bench("no limit", None);
    bench("a read timeout", Some(LONG));
    group.finish();

    for tasks in [1, 250] {
        let mut group = c.benchmark_group(format!("an operation that waits, of {tasks} at a time"));
        let mut bench = |name, hear: Hear, around: fn(&mut dyn FnMut())| {
            group.bench_function(name, |b| {
                b.iter_custom(|iterations| on_one(|| time_bells(tasks, iterations, hear, around)));
            });
        };
        bench("no limit", UNLIMITED, |all| all());
        bench("a read timeout", LIMITED, |all| all());
        bench("a timeout around each", IN_A_TIMEOUT, |all| all());
        bench("a timeout around all", UNLIMITED, |all| timeout(LONG, all).expect(IN_TIME));
        group.finish();
    }
}

/// Tasks that wait for a bell each. All bells are rung, and then it is timed how long the tasks
/// take until all wait again, the root among them.
fn time_bells(tasks: usize, iterations: u64, hear: Hear, around: fn(&mut dyn FnMut())) -> Duration {
    let rounds = iterations.div_ceil(tasks as u64);
    let root = task::current();
    let left = Arc::new(AtomicUsize::new(tasks));
    let bells: Vec<_> =
        (0..tasks).map(|_| Arc::new(Bell::source().expect("an eventfd is made"))).collect();
    let start_task = |bell: &Arc<Source<Bell>>| {
        let (bell, left, root) = (bell.clone(), left.clone(), root.clone());
        sedge::spawn(move || {
            around(&mut || {
                for _ in 0..=rounds {
                    if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                        root.unpark();
                    }
                    hear(&bell).expect("it is rung");
                }
            });
        })
    };
    let waiting: Vec<_> = bells.iter().map(start_task).collect();
    let mut elapsed = Duration::ZERO;
    for round in 0..=rounds {
        let start = Instant::now();
        while left.load(Ordering::Relaxed) > 0 {
            task::park();
        }
        // Not the first, in which they start, and register their bells.
        if round > 0 {
            elapsed += start.elapsed();
        }
        left.store(tasks, Ordering::Relaxed);
        bells.iter().for_each(|bell| bell.get_ref().ring().expect("there is room"));
    }
    waiting.into_iter().for_each(|task| task.join().expect("it only waits"));
    elapsed.mul_f64(iterations as f64 / (rounds * tasks as u64) as f64)
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .measurement_time(Duration::from_secs(3))
        .warm_up_time(Duration::from_secs(1));
    targets = calls, parks, operations
}
criterion_main!(benches);
