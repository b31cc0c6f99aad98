//! `Once`, `OnceLock` and `LazyLock`: they run once, waiters park, and panics poison as std's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use sedge::runtime::Builder;
use sedge::sync::{Arc, LazyLock, Mutex, Once, OnceLock};
use sedge::task::{self, no_park};
use sedge::time::{sleep, timeout};
use sedge_runtime as sedge;

use crate::support::{Count, bounded, everywhere, runtime};

const SHORT: Duration = Duration::from_millis(2);

/// What `f` panics with.
#[track_caller]
fn panics(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("it panics");
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
}

#[test]
fn smoke() {
    everywhere(|| {
        let (once, count) = (Once::new(), Count::new());
        assert!(!once.is_completed());
        for _ in 0..3 {
            once.call_once(|| count.add());
            once.call_once_force(|_| count.add());
        }
        once.wait();
        once.wait_force();
        assert!(once.is_completed() && count.get() == 1);
        assert_eq!(format!("{once:?}"), "Once { .. }");

        let lock = OnceLock::new();
        assert_eq!(format!("{lock:?}"), "OnceLock(<uninit>)");
        assert_eq!((lock.get(), lock.get_or_init(|| 1), lock.set(2)), (None, &1, Err(2)));
        assert_eq!(format!("{:?}", lock.clone()), "OnceLock(1)");
        assert!(lock == OnceLock::from(1) && *lock.wait() == 1);

        let lazy = LazyLock::new(|| 1);
        assert_eq!(format!("{lazy:?}"), "LazyLock(<uninit>)");
        assert_eq!(*lazy, 1);
        assert_eq!(format!("{lazy:?}"), "LazyLock(1)");
    });
}

/// Queue-mates of the task that initialises come by while it is parked.
#[test]
fn an_initialiser_may_wait() {
    for workers in [1, 2, 8] {
        bounded(move || {
            let runs = Count::new();
            let shared = Arc::new((
                OnceLock::new(),
                LazyLock::new({
                    let runs = runs.clone();
                    move || {
                        sleep(SHORT);
                        runs.add();
                        2
                    }
                }),
                Once::new(),
            ));
            let runtime = runtime(workers);
            let go = {
                let (shared, runs) = (shared.clone(), runs.clone());
                move || {
                    let (lock, lazy, once) = &*shared;
                    let init = || {
                        sleep(SHORT);
                        runs.add();
                        1
                    };
                    let sum = lock.get_or_init(init) + **lazy;
                    once.call_once(|| {
                        sleep(SHORT);
                        runs.add();
                    });
                    sum
                }
            };
            let tasks: Vec<_> = (0..100).map(|_| runtime.spawn(go.clone())).collect();
            let waiting: Vec<_> = (0..10)
                .map(|_| {
                    let shared = shared.clone();
                    runtime.spawn(move || {
                        shared.2.wait();
                        *shared.0.wait()
                    })
                })
                .collect();
            assert_eq!(go(), 3);
            tasks.into_iter().for_each(|task| assert_eq!(task.join().unwrap(), 3));
            waiting.into_iter().for_each(|task| assert_eq!(task.join().unwrap(), 1));
            assert_eq!(runs.get(), 3);
        });
    }
}

#[test]
fn a_panic_poisons() {
    everywhere(|| {
        let once = Once::new();
        assert_eq!(panics(|| once.call_once(|| panic!("first"))), "first");
        let poisoned = "Once instance has previously been poisoned";
        assert_eq!(panics(|| once.call_once(|| unreachable!())), poisoned);
        assert_eq!(panics(|| once.wait()), poisoned);
        assert_eq!(panics(|| once.call_once_force(|_| panic!("second"))), "second");
        once.call_once_force(|state| assert!(state.is_poisoned()));
        once.call_once(|| unreachable!());

        let lock = OnceLock::new();
        assert_eq!(panics(|| _ = lock.get_or_init(|| -> u32 { panic!("init") })), "init");
        assert_eq!(lock.get_or_init(|| 1), &1);

        let lazy = LazyLock::new(|| -> u32 { panic!("init") });
        assert_eq!(panics(|| _ = *lazy), "init");
        assert_eq!(panics(|| _ = *lazy), "LazyLock instance has previously been poisoned");
    });
}

/// Nothing is raised in an initialiser, and its waiters may be ended.
#[test]
fn cancelling_it() {
    bounded(|| {
        Builder::new().workers(1).run(|| {
            let lock = Arc::new(OnceLock::new());
            let gate = Arc::new(Mutex::new(()));
            let closed = gate.lock().unwrap();
            let initialising = task::spawn_local({
                let (lock, gate) = (lock.clone(), gate.clone());
                move || {
                    lock.get_or_init(|| {
                        drop(gate.lock());
                        1
                    });
                    task::check();
                }
            });
            task::yield_now();
            let waiting = task::spawn_local({
                let lock = lock.clone();
                move || *lock.get_or_init(|| 2)
            });
            task::yield_now();
            initialising.cancel();
            waiting.cancel();
            assert!(waiting.join().is_err());
            assert!(timeout(SHORT, || *lock.wait()).is_err());
            assert!(!initialising.is_finished() && lock.get().is_none());
            drop(closed);
            assert_eq!(*lock.wait(), 1);
            assert!(initialising.join().is_err());
        })
    })
    .unwrap();
}

#[test]
fn it_blocks_the_thread_inside_no_park() {
    static LAZY: LazyLock<u32> = LazyLock::new(|| {
        sleep(SHORT);
        1
    });
    bounded(|| {
        let run = Builder::new().workers(2).run(|| {
            let others: Vec<_> = (0..4).map(|_| sedge::spawn(|| no_park(|| *LAZY))).collect();
            assert_eq!(no_park(|| *LAZY), 1);
            others.into_iter().for_each(|other| assert_eq!(other.join().unwrap(), 1));
        });
        run.unwrap();
    });
}
