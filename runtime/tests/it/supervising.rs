//! Supervisors.

use std::panic::{catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sedge::supervisor::{BoxError, Restart, Strategy, Supervisor};
use sedge::task::{self, Cancelled};
use sedge::time::{sleep, timeout};
use sedge_runtime as sedge;

use crate::support::{Count, OnDrop, bounded, eventually};

/// What happened, in its order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// A child that notes its start and its end, and fails when `fails` says so, given how often it has
/// been started before. It parks otherwise.
fn child(
    log: &Log,
    name: &'static str,
    fails: impl Fn(usize) -> bool + Send + Sync + 'static,
) -> impl Fn() -> Result<(), BoxError> + Send + Sync + 'static {
    let (log, starts) = (log.clone(), Count::new());
    move || {
        let start = starts.get();
        starts.add();
        log.note(format!("+{name}"));
        let _end = OnDrop(|| log.note(format!("-{name}")));
        if fails(start) {
            // The others have begun.
            eventually("all run", || log.0.lock().unwrap().iter().any(|line| line == "+c"));
            return Err("failed".into());
        }
        task::park();
        Ok(())
    }
}

fn supervise(log: &Log, strategy: Strategy) -> Vec<String> {
    let supervisor = Supervisor::new(strategy)
        .backoff(Duration::ZERO, Duration::ZERO)
        .child("a", Restart::Permanent, child(log, "a", |_| false))
        .child("b", Restart::Permanent, child(log, "b", |start| start == 0))
        .child("c", Restart::Permanent, child(log, "c", |_| false));
    let task = sedge::spawn(move || supervisor.run());
    let is_started_again = || {
        let log = log.0.lock().unwrap();
        let starts = |name| log.iter().filter(|line| *line == name).count();
        let (a, c) = match strategy {
            Strategy::OneForOne => (1, 1),
            Strategy::OneForAll => (2, 2),
            Strategy::RestForOne => (1, 2),
        };
        (starts("+a"), starts("+b"), starts("+c")) == (a, 2, c)
    };
    eventually("the right ones are started again", is_started_again);
    task.cancel();
    assert!(task.join().unwrap_err().is::<Cancelled>());
    log.take()
}

/// The index of the n-th such line.
fn nth(log: &[String], line: &str, n: usize) -> usize {
    let at = log.iter().enumerate().filter(|(_, found)| *found == line).map(|(at, _)| at).nth(n);
    at.unwrap_or_else(|| panic!("{n} times {line}: {log:?}"))
}

#[test]
fn strategies() {
    bounded(|| {
        sedge::run(|| {
            let log = supervise(&Log::default(), Strategy::OneForOne);
            assert_eq!(log.len(), 8, "{log:?}");
            let log = supervise(&Log::default(), Strategy::OneForAll);
            assert!(nth(&log, "-c", 0) < nth(&log, "-a", 0), "the last first: {log:?}");
            assert!(nth(&log, "-a", 0) < nth(&log, "+a", 1), "{log:?}");
            let log = supervise(&Log::default(), Strategy::RestForOne);
            assert!(nth(&log, "-c", 0) < nth(&log, "+b", 1), "{log:?}");
            // The end: each is stopped once the one after it has ended.
            let end: Vec<_> = log[log.len() - 3..].iter().map(String::as_str).collect();
            assert_eq!(end, ["-c", "-b", "-a"]);
        });
    });
}

#[test]
fn kinds_of_children() {
    bounded(|| {
        sedge::run(|| {
            let (permanent, transient, temporary) = (Count::new(), Count::new(), Count::new());
            let count = |count: &Count, fails: bool| {
                let count = count.clone();
                move || {
                    count.add();
                    if fails { Err("failed".into()) } else { Ok(()) }
                }
            };
            let others = [transient.clone(), temporary.clone()];
            let count_last = count(&permanent, false);
            let gave_up = Supervisor::new(Strategy::OneForOne)
                .backoff(Duration::ZERO, Duration::ZERO)
                .child("permanent", Restart::Permanent, move || {
                    eventually("the others run", || others.iter().all(|other| other.get() == 1));
                    count_last()
                })
                .child("transient", Restart::Transient, count(&transient, false))
                .child("temporary", Restart::Temporary, count(&temporary, true))
                .run()
                .unwrap_err();
            assert_eq!(gave_up.child(), "permanent");
            assert_eq!(gave_up.failure().to_string(), "returned");
            assert_eq!((permanent.get(), transient.get(), temporary.get()), (4, 1, 1));
        });
    });
}

#[test]
fn panics_and_cancellations_are_failures() {
    bounded(|| {
        sedge::run(|| {
            let seen = Arc::new(Mutex::new(Vec::new()));
            let (log, starts) = (seen.clone(), Count::new());
            Supervisor::new(Strategy::OneForOne)
                .backoff(Duration::ZERO, Duration::ZERO)
                .on_restart(move |name, why| log.lock().unwrap().push(format!("{name} {why}")))
                .child("odd", Restart::Transient, move || {
                    starts.add();
                    match starts.get() {
                        1 => resume_unwind(Box::new("by panic")),
                        2 => resume_unwind(Box::new(7)),
                        _ => Ok(()),
                    }
                })
                .run()
                .unwrap();
            assert_eq!(*seen.lock().unwrap(), ["odd panicked: by panic", "odd panicked"]);
        });
    });
}

/// Restarts long ago do not count, and the delay begins anew.
#[test]
fn intensity_is_a_rate() {
    bounded(|| {
        sedge::run(|| {
            let starts = Count::new();
            let count = starts.clone();
            let result = Supervisor::new(Strategy::OneForOne)
                .intensity(1, Duration::from_millis(5))
                .backoff(Duration::from_millis(1), Duration::from_secs(3600))
                .child("slow", Restart::Transient, move || {
                    count.add();
                    sleep(Duration::from_millis(10));
                    if count.get() < 8 { Err("again".into()) } else { Ok(()) }
                })
                .run();
            assert!(result.is_ok());
            assert_eq!(starts.get(), 8);
        });
    });
}

/// While one waits for its restart the others are seen to.
#[test]
fn a_delay_holds_up_nobody_else() {
    bounded(|| {
        sedge::run(|| {
            let starts = Count::new();
            let count = starts.clone();
            let supervisor = Supervisor::new(Strategy::OneForOne)
                .intensity(u32::MAX, Duration::from_secs(5))
                .backoff(Duration::from_micros(100), Duration::from_secs(3600))
                .child("often", Restart::Permanent, move || {
                    count.add();
                    if count.get() < 4 {
                        Err("again".into())
                    } else {
                        task::park();
                        Ok(())
                    }
                });
            let task = sedge::spawn(|| supervisor.run());
            eventually("it is restarted", || starts.get() == 4);
            task.cancel();
            assert!(task.join().is_err());
            assert_eq!(starts.get(), 4);
        });
    });
}

/// A supervisor that is cancelled while it stops a child waits for that child.
#[test]
fn cancelled_while_it_stops_a_child() {
    bounded(|| {
        sedge::run(|| {
            let (begun, stopping, ended) = (Count::new(), Count::new(), Count::new());
            let (begins, stops, ends) = (begun.clone(), stopping.clone(), ended.clone());
            let supervisor = Supervisor::new(Strategy::OneForAll)
                .backoff(Duration::ZERO, Duration::ZERO)
                .child("failing", Restart::Permanent, || Err("failed".into()))
                .child("slow to end", Restart::Permanent, move || {
                    begins.add();
                    let _end = OnDrop(|| {
                        stops.add();
                        sleep(Duration::from_millis(20));
                        ends.add();
                    });
                    task::park();
                    Ok(())
                });
            let task = sedge::spawn(move || supervisor.run());
            // It may be that the second had not begun when it was stopped: then they start again.
            eventually("it stops one", || stopping.get() > 0 || task.is_finished());
            task.cancel();
            let _ = task.join();
            assert_eq!(ended.get(), begun.get());
        });
    });
}

/// A back-off without end, and one that begins above its longest.
#[test]
fn long_delays() {
    bounded(|| {
        sedge::run(|| {
            let failing = |first, longest| {
                Supervisor::new(Strategy::OneForOne).backoff(first, longest).child(
                    "failing",
                    Restart::Transient,
                    || Err("failed".into()),
                )
            };
            let mut for_ever = failing(Duration::MAX, Duration::MAX);
            for_ever = for_ever.child("steady", Restart::Permanent, || {
                task::park();
                Ok(())
            });
            assert!(timeout(Duration::from_millis(5), || for_ever.run()).is_err());
            let start = Instant::now();
            let first = Duration::from_millis(2);
            assert!(failing(first, Duration::ZERO).run().is_err());
            assert!(start.elapsed() >= 3 * first);
        });
    });
}

/// A child's closure may run a supervisor.
#[test]
fn supervisors_nest() {
    bounded(|| {
        sedge::run(|| {
            let starts = Count::new();
            let count = starts.clone();
            let inner = move || {
                let count = count.clone();
                Supervisor::new(Strategy::OneForOne)
                    .intensity(1, Duration::from_secs(5))
                    .backoff(Duration::ZERO, Duration::ZERO)
                    .child("leaf", Restart::Permanent, move || {
                        count.add();
                        Err("failed".into())
                    })
                    .run()?;
                Ok(())
            };
            let gave_up = Supervisor::new(Strategy::OneForOne)
                .intensity(2, Duration::from_secs(5))
                .child("inner", Restart::Permanent, inner)
                .run()
                .unwrap_err();
            assert!(gave_up.to_string().contains("'leaf' failed: failed"), "{gave_up}");
            assert_eq!(starts.get(), 6);
        });
    });
}

/// Outside tasks, too.
#[test]
fn on_a_plain_thread() {
    bounded(|| {
        let ended = Count::new();
        let end = ended.clone();
        let supervisor =
            Supervisor::new(Strategy::OneForAll).child("parked", Restart::Permanent, move || {
                let _end = OnDrop(|| end.add());
                task::park();
                Ok(())
            });
        assert!(timeout(Duration::from_millis(5), || supervisor.run()).is_err());
        assert!(ended.get() <= 1, "it may not have begun");
    });
}

#[test]
fn payloads_whose_destructors_unwind() {
    struct Unwinds;

    impl Drop for Unwinds {
        fn drop(&mut self) {
            resume_unwind(Box::new("a payload is dropped"));
        }
    }

    bounded(|| {
        let runs = Count::new();
        // One ends by itself, and one is stopped; the first is there all the time.
        let supervisor = Supervisor::new(Strategy::RestForOne)
            .intensity(1, Duration::from_secs(3600))
            .backoff(Duration::ZERO, Duration::ZERO)
            .child("stays", Restart::Permanent, || {
                task::park();
                Ok(())
            })
            .child("ends", Restart::Permanent, {
                let runs = runs.clone();
                move || {
                    eventually("the other runs", || runs.is_set());
                    resume_unwind(Box::new(Unwinds))
                }
            })
            .child("is stopped", Restart::Permanent, move || {
                runs.add();
                drop(catch_unwind(task::park));
                resume_unwind(Box::new(Unwinds))
            });
        let gave_up = supervisor.run().unwrap_err();
        assert_eq!(gave_up.failure().to_string(), "panicked");
    });
}
