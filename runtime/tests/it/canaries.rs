//! What the whole design rests on: a started task stays on its thread, and the runtime's own
//! accessors never speak of another.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sedge::task::{self, Builder};
use sedge_runtime as sedge;

use crate::support::{Count, bounded, runtime, thread_id};

thread_local!(static MARK: Cell<i64> = const { Cell::new(0) });

/// Fresh tasks are stolen all the time; started ones see one thread, and one thread-local.
#[test]
fn a_home_task_is_only_ever_seen_on_one_thread() {
    bounded(|| {
        let runtime = runtime(4);
        let stop = Arc::new(AtomicBool::new(false));
        let (fresh_ran, switches) = (Count::new(), Count::new());
        let spawners: Vec<_> = (0..4)
            .map(|_| {
                let (stop, fresh_ran) = (stop.clone(), fresh_ran.clone());
                runtime.spawn(move || {
                    let mut spawned = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let fresh: Vec<_> = (0..16)
                            .map(|_| {
                                let fresh_ran = fresh_ran.clone();
                                sedge::spawn(move || {
                                    let home = thread_id();
                                    task::yield_now();
                                    assert_eq!(thread_id(), home);
                                    fresh_ran.add();
                                })
                            })
                            .collect();
                        spawned += fresh.len();
                        fresh.into_iter().for_each(|fresh| fresh.join().unwrap());
                    }
                    spawned
                })
            })
            .collect();
        let watched: Vec<_> = (0..32_u64)
            .map(|n| {
                let switches = switches.clone();
                runtime.spawn(move || {
                    let (home, id) = (thread_id(), task::current().id());
                    MARK.set(home);
                    for round in 0..200 {
                        match (round + n) % 4 {
                            0 => task::yield_now(),
                            1 => sedge::time::sleep(Duration::from_micros(n)),
                            2 => sedge::blocking(|| assert_ne!(thread_id(), home)),
                            _ => drop(sedge::spawn(task::yield_now).join()),
                        }
                        switches.add();
                        assert_eq!(thread_id(), home, "a home task has moved");
                        assert_eq!(MARK.get(), home, "the thread's thread-local is another");
                        assert_eq!(task::current().id(), id);
                    }
                })
            })
            .collect();
        watched.into_iter().for_each(|task| task.join().unwrap());
        stop.store(true, Ordering::Relaxed);
        let spawned: usize = spawners.into_iter().map(|spawner| spawner.join().unwrap()).sum();
        assert_eq!((switches.get(), fresh_ran.get()), (32 * 200, spawned));
    });
}

/// For a migrating task, in one function into which all accessors may be inlined: what the runtime
/// says before a wait and after it is true of the thread that asks. Meant for `opt-level = 3` and
/// LTO.
#[test]
fn accessors_are_right_after_a_migration() {
    fn wander(moves: &AtomicUsize) {
        let id = task::current().id();
        let mut last = thread_id();
        for round in 0..400_u64 {
            assert_eq!(task::current().id(), id, "another task's id");
            match round % 4 {
                0 => task::yield_now(),
                1 => sedge::time::sleep(Duration::from_micros(20)),
                2 => task::park_timeout(Duration::from_micros(20)),
                _ => task::no_park(|| sedge::time::sleep(Duration::from_nanos(1))),
            }
            assert_eq!(task::current().id(), id, "another task's id");
            assert!(!std::thread::panicking());
            // A spawn uses the worker's own queue, ids and permits; a join waits in its own name.
            let child = sedge::spawn(move || round);
            assert_eq!(child.join().unwrap(), round);
            let here = thread_id();
            moves.fetch_add(usize::from(here != last), Ordering::Relaxed);
            last = here;
        }
    }

    bounded(|| {
        let runtime = runtime(4);
        let moves = Arc::new(AtomicUsize::new(0));
        // As many rounds as it takes until tasks have moved a hundred times.
        while moves.load(Ordering::Relaxed) < 100 {
            let tasks: Vec<_> = (0..16)
                .map(|_| {
                    let moves = moves.clone();
                    runtime.spawn(move || {
                        // SAFETY: the task touches no thread-local around a wait but through the
                        // runtime's own accessors, which is what this is about. `panicking` is read
                        // out of line.
                        let builder = unsafe { Builder::new().migrating(true) };
                        builder.spawn(move || wander(&moves)).unwrap()
                    })
                })
                .map(|task| task.join().unwrap())
                .collect();
            tasks.into_iter().for_each(|task| task.join().unwrap());
        }
    });
}

/// A stack that a program made for itself, as `stacker` does.
struct OwnStack(Box<[u128]>);

impl OwnStack {
    fn new() -> Self {
        Self(vec![0; 8 << 10].into_boxed_slice())
    }
}

// SAFETY: the memory is this value's, and stays where it is; both ends are aligned to 16 bytes.
// There is no guard: what runs on it here takes a small part of its 128 KiB.
unsafe impl corosensei::stack::Stack for OwnStack {
    fn base(&self) -> corosensei::stack::StackPointer {
        std::num::NonZeroUsize::new(self.0.as_ptr_range().end.addr()).unwrap()
    }

    fn limit(&self) -> corosensei::stack::StackPointer {
        std::num::NonZeroUsize::new(self.0.as_ptr().addr()).unwrap()
    }
}

/// A task that parks on a stack of its own making is resumed there, and its own stack is left
/// alone.
#[test]
fn a_task_parks_on_a_nested_stack() {
    use corosensei::{Coroutine, CoroutineResult};

    bounded(|| {
        let runtime = runtime(2);
        let tasks: Vec<_> = (0..16_u64)
            .map(|n| {
                runtime.spawn(move || {
                    let mut nested =
                        Coroutine::with_stack(OwnStack::new(), move |yielder, start: u64| {
                            let mut sum = start;
                            for round in 0..20 {
                                sedge::time::sleep(Duration::from_micros(10));
                                task::yield_now();
                                sum += round + n;
                                yielder.suspend(sum);
                            }
                            sum
                        });
                    let mut last = 0;
                    loop {
                        task::yield_now();
                        match nested.resume(0) {
                            CoroutineResult::Yield(sum) => last = sum,
                            CoroutineResult::Return(sum) => {
                                assert_eq!(sum, last);
                                return sum;
                            }
                        }
                    }
                })
            })
            .collect();
        for (n, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.join().unwrap(), 190 + 20 * n as u64);
        }
    });
}
