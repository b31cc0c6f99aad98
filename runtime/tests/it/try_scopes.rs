//! Scopes that end at the first failure.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use sedge::task::{self, try_scope};
use sedge::time::sleep;
use sedge_runtime as sedge;

use crate::support::{Count, Inside, eventually, everywhere};

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(3600);

/// Who passes on what `join` returned of a task that was cancelled has panicked, and is not
/// cancelled.
#[test]
fn anothers_cancellation_is_a_panic() {
    everywhere(|| {
        let result = catch_unwind(|| {
            try_scope(|s| {
                s.spawn(|| {
                    let other = sedge::spawn(task::park);
                    other.cancel();
                    other.join().map_or_else(|payload| resume_unwind(payload), Ok::<_, ()>)
                });
                Ok(())
            })
        });
        assert!(result.is_err(), "{result:?}");
    });
}

/// In a scope that has failed `join` does not return, even if the task was first to be joined.
#[test]
fn a_join_in_a_scope_that_has_failed() {
    everywhere(|| {
        for _ in 0..100 {
            let returned = Count::new();
            let result = try_scope(|s| {
                let failing = s.spawn(|| Err::<(), _>("failed"));
                let _ = failing.join();
                returned.add();
                Ok(())
            });
            assert_eq!((result, returned.get()), (Err("failed"), 0));
        }
    });
}

#[test]
fn the_first_error_is_returned() {
    everywhere(|| {
        let inside = Inside::default();
        let result: Result<(), &str> = try_scope(|s| {
            for _ in 0..5 {
                s.spawn(|| {
                    inside.park();
                    Ok(())
                });
            }
            s.spawn(|| {
                eventually("they run", || inside.get() == 5);
                Err::<(), _>("first")
            });
            sleep(LONG);
            Err("the scope's closure is ended, too")
        });
        assert_eq!(result, Err("first"));
        assert_eq!(inside.get(), 0);
        let result = try_scope(|s| {
            s.spawn(|| {
                inside.park();
                Ok(())
            });
            Err::<(), _>("own")
        });
        assert_eq!(result, Err("own"));
        assert_eq!(inside.get(), 0);
        let result = try_scope(|s| {
            let task = s.spawn(|| Ok::<_, ()>(3));
            Ok(task.join().unwrap() + 4)
        });
        assert_eq!(result, Ok(7));
    });
}

#[test]
fn the_first_panic_goes_on() {
    everywhere(|| {
        let inside = Inside::default();
        let caught = catch_unwind(AssertUnwindSafe(|| {
            try_scope::<_, (), ()>(|s| {
                s.spawn(|| {
                    inside.park();
                    Ok(())
                });
                s.spawn(|| -> Result<(), ()> { resume_unwind(Box::new(7_u8)) });
                task::park();
                Ok(())
            })
        }));
        assert_eq!(*caught.unwrap_err().downcast::<u8>().unwrap(), 7);
        assert_eq!(inside.get(), 0);
        let own = catch_unwind(AssertUnwindSafe(|| {
            try_scope::<_, (), ()>(|s| {
                s.spawn(|| {
                    inside.park();
                    Ok(())
                });
                resume_unwind(Box::new(8_u8))
            })
        }));
        assert_eq!(*own.unwrap_err().downcast::<u8>().unwrap(), 8);
        assert_eq!(inside.get(), 0);
    });
}

/// An error that is not the first is dropped, and its destructor unwinds: the tasks borrow yet.
#[test]
fn a_late_error_whose_destructor_unwinds() {
    struct Bad(bool);

    impl Drop for Bad {
        fn drop(&mut self) {
            if self.0 {
                resume_unwind(Box::new(7_u8));
            }
        }
    }

    everywhere(|| {
        let (inside, begun) = (Inside::default(), Count::new());
        let caught = catch_unwind(AssertUnwindSafe(|| {
            try_scope::<_, (), _>(|s| {
                s.spawn(|| {
                    let _inside = inside.enter();
                    begun.add();
                    task::shield(|| sleep(4 * SHORT));
                    Ok(())
                });
                task::shield(|| eventually("it has begun", || begun.get() == 1));
                let failed = s.spawn(|| Err::<(), _>(Bad(false)));
                task::shield(|| eventually("it has failed", || failed.is_finished()));
                Err(Bad(true))
            })
        }));
        assert_eq!(inside.get(), 0);
        assert!(caught.is_err_and(|payload| payload.is::<u8>()));
    });
}

/// A failed task gives no value, and its siblings' are kept.
#[test]
fn joins_in_a_scope_that_may_fail() {
    everywhere(|| {
        let result: Result<i32, &str> = try_scope(|s| {
            let good = s.spawn(|| Ok(1));
            let bad = s.spawn(|| Err::<i32, _>("bad"));
            let good = good.join();
            assert!(bad.join().is_err(), "the scope is about to end, or has");
            Ok(good.unwrap_or(0))
        });
        assert_eq!(result, Err("bad"));
    });
}
