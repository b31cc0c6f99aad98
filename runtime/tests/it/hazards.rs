//! What the home rule does not make safe, each shown as it happens and then cured by `no_park`.
//!
//! These tests document hazards of other code, std's `thread_local!` and crates that nest strictly
//! in a thread-local. Should one fail because the hazard has gone, the documentation is what is
//! wrong. Nothing here reads what has been freed: every value lives long enough to be found alive.

use std::cell::Cell;
use std::time::Duration;

use scoped_tls::scoped_thread_local;
use sedge::runtime::Runtime;
use sedge::task::{self, JoinHandle};
use sedge_runtime as sedge;

use crate::support::{Count, bounded, eventually, runtime};

/// A stage that two tasks of one worker pass in turn: each waits until the other has got somewhere.
#[derive(Clone, Debug, Default)]
struct Stage(Count);

impl Stage {
    /// Waits, as a task that parks or, inside `no_park`, as a thread.
    fn wait(&self) {
        eventually("the other task has got there", || self.is_reached());
    }

    fn reach(&self) {
        self.0.add();
    }

    fn is_reached(&self) -> bool {
        self.0.is_set()
    }
}

/// A task that has its home on the only worker, and waits for `stage` before it does `f`.
fn at_home<T: Send + 'static>(
    runtime: &Runtime,
    stage: &Stage,
    f: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let (started, stage) = (Stage::default(), stage.clone());
    let told = started.clone();
    let task = runtime.spawn(move || {
        told.reach();
        stage.wait();
        f()
    });
    started.wait();
    task
}

/// What the two tasks that want one thread-local tell of it.
#[derive(Debug, Default)]
struct Told {
    initialised: Count,
    dropped: Count,
    first_parks: Stage,
    first_goes_on: Stage,
}

/// A thread-local's value. All of it is in a cell, which may change while it is shared: so what
/// happens here to one that is borrowed is wrong, but breaks no promise to the compiler.
struct Value(Cell<Made>);

#[derive(Clone, Copy)]
struct Made {
    /// 1 for the first that was made, and so on.
    number: usize,
    told: &'static Told,
}

impl Value {
    fn new() -> Self {
        let told = TOLD.get().expect("set by the test");
        let number = told.initialised.add_and_get();
        if number == 1 {
            told.first_parks.reach();
            told.first_goes_on.wait();
        }
        Self(Cell::new(Made { number, told }))
    }

    /// Its number, and how many values have been dropped.
    fn look(&self) -> (usize, usize) {
        let made = self.0.get();
        (made.number, made.told.dropped.get())
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.0.get().told.dropped.add();
    }
}

thread_local! {
    static TOLD: Cell<Option<&'static Told>> = const { Cell::new(None) };
    static VALUE: Value = Value::new();
}

/// A runtime whose only worker has this thread-local, uninitialised, and tells of it.
fn with_thread_local() -> (Runtime, &'static Told) {
    let told: &Told = Box::leak(Box::default());
    let runtime = runtime(1);
    runtime.spawn(|| TOLD.set(Some(told))).join().unwrap();
    (runtime, told)
}

/// Hazard: a task parks in the initialiser of a `thread_local!`; a queue-mate finds it
/// uninitialised, initialises it and borrows it. When the first goes on, std puts its value in the
/// same place and drops the one that is borrowed.
#[test]
fn hazard_parking_in_an_initialiser_drops_a_borrowed_thread_local() {
    bounded(|| {
        let (runtime, told) = with_thread_local();
        let first = runtime.spawn(|| VALUE.with(Value::look));
        let (borrowed, first_done) = (Stage::default(), Stage::default());
        let second = {
            let (borrowed, first_done) = (borrowed.clone(), first_done.clone());
            at_home(&runtime, &told.first_parks, move || {
                VALUE.with(|value| {
                    let before = value.look();
                    borrowed.reach();
                    first_done.wait();
                    // Still the same borrow, and behind it stands the other's value.
                    (before, value.look())
                })
            })
        };
        borrowed.wait();
        told.first_goes_on.reach();
        assert_eq!(first.join().unwrap(), (1, 1));
        first_done.reach();
        assert_eq!(second.join().unwrap(), ((2, 0), (1, 1)), "it was dropped while borrowed");
        drop(runtime);
        assert_eq!((told.initialised.get(), told.dropped.get()), (2, 2));
    });
}

/// The cure: inside `no_park` nobody comes between, and there is one value.
#[test]
fn no_park_keeps_queue_mates_out_of_an_initialiser() {
    bounded(|| {
        let (runtime, told) = with_thread_local();
        let ready = Stage::default();
        let second = at_home(&runtime, &ready, || VALUE.with(Value::look));
        let first = runtime.spawn({
            let ready = ready.clone();
            move || {
                // From here on the queue-mate has nothing to wait for but its worker.
                ready.reach();
                task::no_park(|| VALUE.with(Value::look))
            }
        });
        told.first_parks.wait();
        // Time enough for the queue-mate to come between, if it could.
        std::thread::sleep(Duration::from_millis(3));
        told.first_goes_on.reach();
        assert_eq!((first.join().unwrap(), second.join().unwrap()), ((1, 0), (1, 0)));
        drop(runtime);
        assert_eq!((told.initialised.get(), told.dropped.get()), (1, 1));
    });
}

scoped_thread_local!(static SCOPED: u32);

/// The values outlive every task: a pointer to them that stays behind does not dangle.
static VALUES: [u32; 2] = [1, 2];

/// What `SCOPED` is now, if it is anything.
fn scoped() -> Option<u32> {
    SCOPED.is_set().then(|| SCOPED.with(|value| *value))
}

/// Hazard: `scoped-tls` keeps the value that was set before in the frame of `set`, so the frames of
/// a thread must end in the reverse order. Two tasks that park inside end in any order: each sees
/// the other's value or none, and what stays set at last is a pointer into a frame that has gone.
#[test]
fn hazard_parking_inside_set_breaks_the_nesting_of_scoped_tls() {
    bounded(|| {
        let runtime = runtime(1);
        let (first_in, second_in, first_out) =
            (Stage::default(), Stage::default(), Stage::default());
        let first = runtime.spawn({
            let (first_in, second_in) = (first_in.clone(), second_in.clone());
            move || {
                SCOPED.set(&VALUES[0], || {
                    let before = scoped();
                    first_in.reach();
                    second_in.wait();
                    (before, scoped())
                })
            }
        });
        let second = {
            let first_out = first_out.clone();
            at_home(&runtime, &first_in, move || {
                SCOPED.set(&VALUES[1], || {
                    let before = scoped();
                    second_in.reach();
                    first_out.wait();
                    (before, scoped())
                })
            })
        };
        assert_eq!(first.join().unwrap(), (Some(1), Some(2)), "inside, the other's value is seen");
        first_out.reach();
        assert_eq!(second.join().unwrap(), (Some(2), None), "inside, none is seen");
        let left = runtime.spawn(scoped).join().unwrap();
        assert_eq!(left, Some(1), "outside, the value of a `set` that has ended is seen");
    });
}

/// The cure: inside `no_park` each `set` ends before another begins.
#[test]
fn no_park_keeps_the_nesting_of_scoped_tls() {
    bounded(|| {
        let runtime = runtime(1);
        let ran = Count::new();
        let tasks: Vec<_> = (0..8)
            .map(|n| {
                let ran = ran.clone();
                runtime.spawn(move || {
                    for _ in 0..20 {
                        assert_eq!(scoped(), None);
                        task::no_park(|| {
                            SCOPED.set(&VALUES[n % 2], || {
                                task::yield_now();
                                sedge::time::sleep(Duration::from_micros(20));
                                assert_eq!(scoped(), Some(VALUES[n % 2]));
                            });
                        });
                        task::yield_now();
                        ran.add();
                    }
                })
            })
            .collect();
        tasks.into_iter().for_each(|task| task.join().unwrap());
        assert_eq!(ran.get(), 8 * 20);
    });
}
