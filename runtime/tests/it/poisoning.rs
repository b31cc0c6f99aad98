//! What poisons a lock: panics, and nothing that is raised.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use sedge::sync::{Arc, Condvar, Mutex, PoisonError, TryLockError};
use sedge::task::{self, CancelToken, shield};
use sedge::time::{sleep, timeout};
use sedge_runtime as sedge;

use crate::support::{Count, OnDrop, bounded, eventually, everywhere};

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(2);

fn panics(f: impl FnOnce()) {
    assert!(catch_unwind(AssertUnwindSafe(f)).is_err());
}

#[test]
fn a_panic_poisons() {
    everywhere(|| {
        let mut mutex = Mutex::new(1);
        panics(|| {
            let _guard = mutex.lock();
            panic!("with the lock held");
        });
        assert!(mutex.is_poisoned());
        assert!(
            matches!(mutex.try_lock(), Err(TryLockError::Poisoned(guard)) if **guard.get_ref() == 1)
        );
        assert!(matches!(mutex.try_lock_for(SHORT), Err(TryLockError::Poisoned(_))));
        assert!(mutex.get_mut().is_err());
        assert_eq!(format!("{mutex:?}"), "Mutex { data: 1, poisoned: true, .. }");
        let guard = mutex.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(Condvar::new().wait_timeout(guard, SHORT).is_err());
        mutex.clear_poison();
        assert!(!mutex.is_poisoned() && mutex.lock().is_ok());
        assert!(mutex.into_inner().is_ok());
    });
}

/// As std's: what was locked in a destructor in mid-unwind was not broken by that.
#[test]
fn a_lock_of_a_destructor_is_not_poisoned() {
    everywhere(|| {
        let mutex = Mutex::new(());
        panics(|| {
            let _locks = OnDrop(|| drop(mutex.lock()));
            panic!("on its way out");
        });
        assert!(!mutex.is_poisoned());
    });
}

/// may#13
#[test]
fn a_cancelled_holder_does_not_poison() {
    bounded(|| {
        sedge::run(|| {
            let mutex = Arc::new(Mutex::new(0));
            let begun = Count::new();
            let holder = sedge::spawn({
                let (mutex, begun) = (mutex.clone(), begun.clone());
                move || {
                    let _guard = mutex.lock();
                    begun.add();
                    sleep(LONG);
                }
            });
            eventually("it holds the lock", || begun.get() == 1);
            holder.cancel();
            assert!(mutex.lock().is_ok());
            assert!(holder.join().is_err());
        });
    });
}

/// What it has captured is dropped by the same unwind.
#[test]
fn nor_does_one_that_was_cancelled_before_it_began() {
    static MUTEX: Mutex<u32> = Mutex::new(0);
    bounded(|| {
        let run = sedge::runtime::Builder::new().workers(1).run(|| {
            let guard = MUTEX.lock();
            let fresh = sedge::spawn(|| drop(guard));
            fresh.cancel();
            assert!(fresh.join().is_err() && MUTEX.lock().is_ok());
        });
        run.unwrap();
    });
}

#[test]
fn timeouts_and_tokens_do_not_poison() {
    everywhere(|| {
        let mutex = Mutex::new(0);
        let hold = || {
            let _guard = mutex.lock();
            sleep(LONG);
        };
        for _ in 0..3 {
            assert!(timeout(SHORT, hold).is_err());
            assert!(timeout(SHORT, || timeout(LONG, hold)).is_err());
            assert!(timeout(SHORT, || task::scope(|_| hold())).is_err());
            let token = CancelToken::new();
            token.cancel();
            assert!(token.run_until_cancelled(hold).is_err());
            assert!(!mutex.is_poisoned());
        }
        // And after that a panic does.
        panics(|| {
            let _guard = mutex.lock();
            panic!("with the lock held");
        });
        assert!(mutex.is_poisoned());
    });
}

/// A scope waits for its tasks before it goes on to unwind.
#[test]
fn what_is_passed_on_does_not_poison() {
    bounded(|| {
        sedge::run(|| {
            let mutex = Mutex::new(0);
            let ended = timeout(SHORT, || {
                let _guard = mutex.lock();
                task::scope(|scope| {
                    scope.spawn(|| {
                        let _waits = OnDrop(|| (0..300).for_each(|_| drop(Mutex::new(0).lock())));
                        sleep(LONG);
                    });
                    sleep(LONG);
                });
            });
            assert!(ended.is_err() && !mutex.is_poisoned());
            // On another thread, and from there.
            let ended = timeout(SHORT, || {
                let _guard = mutex.lock();
                let inner = Mutex::new(0);
                let checks = || loop {
                    let _guard = inner.lock();
                    task::check();
                };
                let caught = catch_unwind(AssertUnwindSafe(|| sedge::blocking(checks)));
                assert!(!inner.is_poisoned());
                match caught {
                    Ok(()) => {}
                    Err(payload) => drop(payload),
                }
                sedge::blocking(|| {
                    loop {
                        task::check();
                    }
                })
            });
            assert!(ended.is_err() && !mutex.is_poisoned());
        });
    });
}

#[test]
fn a_panic_poisons_after_a_cancellation_was_swallowed() {
    everywhere(|| {
        let swallow = || drop(catch_unwind(|| sleep(LONG)));
        let [held, locked, tried] = [(); 3].map(|()| Mutex::new(0));
        panics(|| {
            let _ = timeout(SHORT, || {
                let _guard = held.lock();
                swallow();
                panic!("with a lock held since before");
            });
        });
        panics(|| {
            let _ = timeout(SHORT, || {
                swallow();
                let _guard = tried.try_lock();
                panic!("with a lock held");
            });
        });
        panics(|| {
            let _ = timeout(SHORT, || {
                swallow();
                shield(|| {
                    let _guard = locked.lock();
                    panic!("with a lock held");
                });
            });
        });
        assert!(held.is_poisoned() && tried.is_poisoned() && locked.is_poisoned());
    });
}

/// An unwind of another task's, passed on, is a panic here.
#[test]
fn a_payload_of_another_task_poisons() {
    bounded(|| {
        sedge::run(|| {
            let mutex = Mutex::new(0);
            let other = sedge::spawn(task::park);
            other.cancel();
            let payload = other.join().unwrap_err();
            panics(|| {
                let _guard = mutex.lock();
                std::panic::resume_unwind(payload);
            });
            assert!(mutex.is_poisoned());
        });
    });
}
