//! Being told of a task's end.

use std::sync::{Arc, Mutex};

use sedge::task::{self, Exit};
use sedge_runtime as sedge;

use crate::support::{Count, bounded, eventually, runtime};

/// Where monitors write what they see.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn monitor(&self) -> impl FnOnce(Exit<'_>) + Send + use<> {
        let log = self.clone();
        move |exit| log.0.lock().unwrap().push(exit.to_string())
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

#[test]
fn how_tasks_end() {
    bounded(|| {
        sedge::run(|| {
            let log = Log::default();
            let gate = || {
                task::park();
            };
            let returns = sedge::spawn(gate);
            let panics = sedge::spawn(move || {
                gate();
                std::panic::resume_unwind(Box::new("why"));
            });
            let formatted = sedge::spawn(move || {
                gate();
                std::panic::resume_unwind(Box::new(format!("why {}", 7)));
            });
            let odd = sedge::spawn(move || {
                gate();
                std::panic::resume_unwind(Box::new(7));
            });
            for (task, exit) in [
                (returns, "returned"),
                (panics, "panicked: why"),
                (formatted, "panicked: why 7"),
                (odd, "panicked"),
            ] {
                task.on_exit(log.monitor());
                task.on_exit(log.monitor());
                task.task().unpark();
                let _ = task.join();
                assert_eq!(log.take(), [exit, exit]);
            }
            let cancelled = sedge::spawn(task::park);
            cancelled.on_exit(log.monitor());
            cancelled.cancel();
            drop(cancelled);
            eventually("it is told", || log.take() == ["was cancelled"]);
        });
    });
}

#[test]
fn after_the_end() {
    bounded(|| {
        sedge::run(|| {
            let log = Log::default();
            let task = sedge::spawn(|| std::panic::resume_unwind(Box::new("why")));
            eventually("it has ended", || task.is_finished());
            task.on_exit(log.monitor());
            assert_eq!(log.take(), ["panicked: why"]);
            let () = assert!(task.join().is_err(), "the payload is there yet");
        });
    });
}

/// They may wait, and panic; who joins waits for them.
#[test]
fn monitors_that_wait_and_panic() {
    bounded(|| {
        sedge::run(|| {
            let done = Count::new();
            let task = sedge::spawn(task::park);
            let tell = done.clone();
            task.on_exit(move |_| {
                sedge::time::sleep(std::time::Duration::from_millis(2));
                tell.add();
            });
            task.on_exit(|_| std::panic::resume_unwind(Box::new("of the monitor")));
            let tell = done.clone();
            task.on_exit(move |_| tell.add());
            task.cancel();
            assert!(task.join().is_err());
            assert_eq!(done.get(), 2);
        });
    });
}

/// Set while the task ends: each is called once, by one or the other.
#[test]
fn stress() {
    const ROUNDS: usize = 2_000;
    bounded(|| {
        let runtime = runtime(2);
        let called = Count::new();
        for round in 0..ROUNDS {
            let task = runtime.spawn(|| ());
            for _ in 0..round % 50 {
                std::hint::spin_loop();
            }
            let tell = called.clone();
            task.on_exit(move |exit| {
                assert_eq!(exit, Exit::Returned);
                tell.add();
            });
            task.join().unwrap();
            assert_eq!(called.get(), round + 1);
        }
    });
}
