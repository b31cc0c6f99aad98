//! What is said of tasks that a runtime leaves behind.

use std::time::{Duration, Instant};

use sedge::task;
use sedge_runtime as sedge;

use crate::support::{Count, bounded, eventually, hog_until, runtime};

/// Exactly the tasks that are alive are counted, though their worker hears of the end only when it is
/// over: not what the worker keeps in hand for tasks to come. It has a tenth of a second to hear of
/// it, which a machine that is very busy may not give it each time.
#[test]
fn the_count_of_abandoned_tasks_is_exact() {
    const TASKS: usize = 10;
    bounded(|| {
        let counts = [(); 5].map(|()| {
            let runtime = runtime(1);
            // One that has ended, so that its worker has some in hand.
            runtime.spawn(|| sedge::spawn(|| ()).join().unwrap()).join().unwrap();
            let (parked, busy) = (Count::new(), Count::new());
            for _ in 1..TASKS {
                let parked = parked.clone();
                drop(runtime.spawn(move || {
                    parked.add();
                    task::shield(|| sedge::time::sleep(Duration::from_secs(86_400)));
                }));
            }
            eventually("all are parked", || parked.get() == TASKS - 1);
            let told = busy.clone();
            drop(runtime.spawn(move || {
                told.add();
                let until = Instant::now() + Duration::from_millis(3);
                hog_until("the runtime is given up", || Instant::now() >= until);
                task::shield(|| sedge::time::sleep(Duration::from_secs(86_400)));
            }));
            eventually("one keeps the worker", || busy.is_set());
            runtime.shutdown_timeout(Duration::ZERO)
        });
        let exact = counts.iter().filter(|count| **count == TASKS).count();
        assert!(exact >= 3, "{TASKS} tasks were counted as {counts:?}");
    });
}
