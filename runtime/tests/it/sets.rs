//! Sets of tasks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sedge::task::{self, CancelToken, Cancelled, JoinSet};
use sedge::time::{sleep, timeout};
use sedge_runtime as sedge;

use crate::support::{Count, OnDrop, eventually, everywhere};

#[test]
fn in_the_order_of_their_ends() {
    everywhere(|| {
        let mut set = JoinSet::new();
        let parked = Arc::new(Mutex::new(BTreeMap::new()));
        for n in 0..10 {
            let parked = parked.clone();
            set.spawn(move || {
                parked.lock().unwrap().insert(n, task::current());
                task::park();
                n
            });
        }
        eventually("all run", || parked.lock().unwrap().len() == 10);
        assert!(set.try_join_next().is_none());
        for n in [3, 1, 4, 5, 9, 2, 6, 8, 7, 0] {
            parked.lock().unwrap()[&n].unpark();
            assert_eq!(set.join_next().unwrap().unwrap(), n);
        }
        assert!(set.join_next().is_none());
    });
}

#[test]
fn every_task_is_joined_once() {
    everywhere(|| {
        let mut set: JoinSet<usize> = (0..1_000).map(|n| move || n).collect();
        let mut seen: Vec<_> = std::iter::from_fn(|| set.join_next()).map(Result::unwrap).collect();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..1_000));
    });
}

#[test]
fn panics_and_cancellations() {
    everywhere(|| {
        let mut set = JoinSet::new();
        let panics = set.spawn(|| std::panic::resume_unwind(Box::new(7_u8)));
        let parked = set.spawn(task::park);
        let (id, result) = set.join_next_with_id().unwrap();
        assert_eq!((id, *result.unwrap_err().downcast::<u8>().unwrap()), (panics, 7));
        set.cancel(parked);
        assert!(set.join_next().unwrap().unwrap_err().is::<Cancelled>());
    });
}

#[test]
fn dropping_it_cancels() {
    everywhere(|| {
        let ended = Count::new();
        let mut set = JoinSet::new();
        for _ in 0..10 {
            let ended = ended.clone();
            let captured = OnDrop(move || ended.add());
            set.spawn(move || {
                let _captured = captured;
                task::park();
            });
        }
        drop(set);
        eventually("all have ended", || ended.get() == 10);
    });
}

/// It waits for destructors, and is not stopped by a result's that panics.
#[test]
fn shutdown_waits() {
    everywhere(|| {
        let (begun, ended) = (Count::new(), Count::new());
        let mut set = JoinSet::new();
        set.extend((0..10).map(|n| {
            let (begun, ended) = (begun.clone(), ended.clone());
            move || {
                let _captured = OnDrop(|| {
                    task::shield(|| sleep(Duration::from_millis(1)));
                    ended.add();
                });
                begun.add();
                if n == 0 {
                    std::panic::resume_unwind(Box::new(7_u8));
                }
                if n > 1 {
                    task::park();
                }
                OnDrop(|| std::panic::resume_unwind(Box::new(8_u8)))
            }
        }));
        eventually("all have begun", || begun.get() == 10);
        set.shutdown();
        assert!(set.is_empty());
        assert_eq!(ended.get(), 10);
    });
}

#[test]
fn a_shutdown_that_is_ended_leaves_the_rest_cancelled() {
    everywhere(|| {
        let mut set = JoinSet::new();
        let (begun, gate) = (Count::new(), CancelToken::new());
        set.spawn(task::park);
        let held = set.spawn({
            let (begun, gate) = (begun.clone(), gate.clone());
            move || {
                task::shield(|| {
                    begun.add();
                    gate.cancelled();
                });
            }
        });
        eventually("it has begun", || begun.get() == 1);
        assert!(timeout(Duration::from_millis(5), || set.shutdown()).is_err());
        gate.cancel();
        while let Some((id, result)) = set.join_next_with_id() {
            // The shielded one has returned, and met no cancellation point.
            assert_eq!(result.is_ok(), id == held);
        }
    });
}

#[test]
fn a_wait_that_is_ended_loses_nothing() {
    everywhere(|| {
        let mut set = JoinSet::new();
        for _ in 0..50 {
            set.spawn(|| sleep(Duration::from_micros(300)));
        }
        let mut joined = 0;
        while joined < 50 {
            if let Ok(next) = timeout(Duration::from_micros(100), || set.join_next()) {
                next.unwrap().unwrap();
                joined += 1;
            }
        }
        assert!(set.is_empty());
    });
}
