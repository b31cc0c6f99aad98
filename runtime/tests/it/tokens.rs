//! Cancelling stretches of code by tokens.

use std::os::unix::net::UnixStream;
use std::panic::catch_unwind;
use std::time::Duration;

use sedge::io::Source;
use sedge::task::{self, CancelToken, Cancelled};
use sedge::time::{sleep, timeout};
use sedge_runtime as sedge;

use crate::support::{Count, bounded, eventually, runtime};

const LONG: Duration = Duration::from_secs(3600);

/// Calls `f` in a task, and on a plain thread, while another thread cancels.
fn cancelled_everywhere(f: impl Fn() + Clone + Send + 'static) {
    let ends = move || {
        let (token, begun) = (CancelToken::new(), Count::new());
        let canceller = std::thread::spawn({
            let (child, token, begun) = (token.child_token(), token.clone(), begun.clone());
            move || {
                eventually("it has begun", || begun.get() == 1);
                child.cancel();
                token.cancel();
            }
        });
        let result = token.run_until_cancelled(|| {
            begun.add();
            f();
            panic!("it was not ended");
        });
        assert!(result.is_err());
        canceller.join().unwrap();
    };
    let in_task = ends.clone();
    bounded(move || sedge::run(in_task));
    bounded(ends);
}

#[test]
fn parks_are_ended() {
    // A thread's park may return for nothing.
    cancelled_everywhere(|| {
        loop {
            task::park();
        }
    });
    cancelled_everywhere(|| {
        loop {
            task::park_timeout(LONG);
        }
    });
    cancelled_everywhere(|| sleep(LONG));
}

#[test]
fn joins_and_futures_are_ended() {
    cancelled_everywhere(|| drop(sedge::spawn(task::park).join()));
    cancelled_everywhere(|| task::block_on(std::future::pending::<()>()));
    cancelled_everywhere(|| CancelToken::new().cancelled());
}

#[test]
fn waits_for_a_source_are_ended() {
    cancelled_everywhere(|| {
        let (a, _b) = UnixStream::pair().unwrap();
        Source::new(a).unwrap().readable().unwrap();
    });
}

#[test]
fn waits_with_a_limit_are_ended() {
    cancelled_everywhere(|| assert!(timeout(LONG, || sleep(2 * LONG)).is_err()));
}

/// The runtime's root task is a part of the code that the token was given, though it is the thread
/// that the token knows.
#[test]
fn around_a_whole_runtime() {
    fn ends(run: impl FnOnce(Count)) {
        let (token, begun) = (CancelToken::new(), Count::new());
        let canceller = std::thread::spawn({
            let (token, begun) = (token.clone(), begun.clone());
            move || {
                eventually("it has begun", || begun.is_set());
                token.cancel();
            }
        });
        assert!(token.run_until_cancelled(|| run(begun)).is_err());
        canceller.join().unwrap();
    }

    // The only worker's next task: it begins once the root waits.
    let tell = |begun: Count| task::spawn_local(move || begun.add());
    let own = sedge::runtime::Builder::new().workers(1);
    bounded(move || ends(|begun| own.run(|| (tell(begun), task::park()).1).unwrap()));
    bounded(move || {
        let runtime = runtime(1);
        ends(|begun| {
            let scope = || task::scope(|s| drop(s.spawn(task::park)));
            runtime.run(|| (tell(begun), scope()).1).unwrap();
        });
    });
}

#[test]
fn the_outermost_of_several_is_told() {
    bounded(|| {
        let (outer, inner, after) = (CancelToken::new(), CancelToken::new(), Count::new());
        let result = outer.run_until_cancelled(|| {
            let result = inner.run_until_cancelled(|| {
                inner.cancel();
                outer.cancel();
                task::check();
            });
            assert!(result.is_err());
            after.add();
        });
        assert!(result.is_err());
        assert_eq!(after.get(), 0);
        let result = CancelToken::new().run_until_cancelled(|| {
            assert!(inner.run_until_cancelled(task::check).is_err());
            7
        });
        assert_eq!(result.unwrap(), 7);
    });
}

/// Parents keep no children, nor the other way round longer than needed; deep chains and wide
/// fans go without a recursion.
#[test]
fn a_tree_deeper_than_a_stack() {
    bounded(|| {
        let root = CancelToken::new();
        let mut chain = vec![root.clone()];
        for _ in 0..200_000 {
            chain.push(chain.last().unwrap().child_token());
        }
        let leaf = chain.pop().unwrap();
        drop(chain);
        let fan: Vec<_> = (0..1_000).map(|_| root.child_token()).collect();
        drop(fan);
        root.cancel();
        assert!(leaf.is_cancelled());
        drop(root);
        drop(leaf);
        let mut token = CancelToken::new();
        for _ in 0..200_000 {
            token = token.child_token();
        }
        drop(token);
    });
}

/// Registration races with the cancellation: a task that begins is never left waiting.
#[test]
fn stress() {
    const ROUNDS: usize = 300;
    const TASKS: usize = 10;
    bounded(|| {
        let runtime = runtime(2);
        for round in 0..ROUNDS {
            let token = CancelToken::new();
            let tasks: Vec<_> = (0..TASKS)
                .map(|n| {
                    let token = if n % 2 == 0 { token.clone() } else { token.child_token() };
                    runtime.spawn(move || {
                        let again = || {
                            // Comes and goes while it is cancelled.
                            for _ in 0..n {
                                let _ = token.run_until_cancelled(|| ());
                            }
                            token.run_until_cancelled(|| {
                                if n % 3 == 0 { sleep(LONG) } else { task::park() }
                            })
                        };
                        again().is_err()
                    })
                })
                .collect();
            (0..round % 5).for_each(|_| std::thread::yield_now());
            token.cancel();
            assert!(tasks.into_iter().all(|task| task.join().unwrap()));
        }
    });
}

/// What has ended the code makes no difference to who is told.
#[test]
fn all_cancelled_are_equal() {
    bounded(|| {
        sedge::run(|| {
            let token = CancelToken::new();
            assert_eq!(token.run_until_cancelled(|| 7), Ok(7));
            token.cancel();
            let ended = token.run_until_cancelled(|| {
                let payload = catch_unwind(task::check).unwrap_err();
                *payload.downcast::<Cancelled>().unwrap()
            });
            let of_token = token.run_until_cancelled(task::park).unwrap_err();
            assert_eq!(ended, Ok(of_token.clone()));
            let task = sedge::spawn(task::park);
            task.cancel();
            let payload = task.join().unwrap_err();
            assert_eq!(payload.downcast_ref(), Some(&of_token));
            assert_eq!(format!("{of_token:?}, {of_token}"), "Cancelled, cancelled");
        });
    });
}

/// A crowd under one token: linear, and each is told once.
#[test]
fn a_crowd_under_one_token() {
    const TASKS: usize = 5_000;
    bounded(|| {
        sedge::run(|| {
            let (token, parked) = (CancelToken::new(), Count::new());
            let spawn = |_| {
                let (token, parked) = (token.clone(), parked.clone());
                sedge::spawn(move || {
                    token.run_until_cancelled(|| {
                        parked.add();
                        task::park();
                    })
                })
            };
            let tasks: Vec<_> = (0..TASKS).map(spawn).collect();
            eventually("all are parked", || parked.get() == TASKS);
            token.cancel();
            assert!(tasks.into_iter().all(|task| task.join().unwrap().is_err()));
        });
    });
}
