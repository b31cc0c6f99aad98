//! The state word under every interleaving.

use super::{Park, State};
use crate::primitive::{AtomicUsize, Ordering};
use loom::sync::Arc;
use loom::thread;

/// A waker publishes a value and wakes; the task parks until it sees it. Whoever claims the
/// parked task is the only one, and the value is visible to it.
#[test]
fn no_wake_is_lost() {
    loom::model(|| {
        let shared = Arc::new((State::new(), AtomicUsize::new(0), AtomicUsize::new(0)));
        let wakers: Vec<_> = (0..2)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || {
                    shared.1.fetch_add(1, Ordering::Relaxed);
                    if shared.0.wake() {
                        shared.2.fetch_add(1, Ordering::Release);
                    }
                })
            })
            .collect();
        let (state, value, claims) = &*shared;
        let mut claimed = 0;
        while value.load(Ordering::Relaxed) != 2 {
            if state.transition_to_parked() == Park::Parked {
                // Suspended: runs again only when a waker has claimed it.
                while claims.load(Ordering::Acquire) == claimed {
                    thread::yield_now();
                }
                claimed += 1;
            }
        }
        for waker in wakers {
            waker.join().unwrap();
        }
        assert!(claims.load(Ordering::Acquire) <= claimed + 1);
    });
}

/// What two threads do with a task that ends: each notes it without ordering.
struct Ending {
    state: State,
    result: AtomicUsize,
    dropped: AtomicUsize,
    last_uses: [AtomicUsize; 2],
    freed: AtomicUsize,
}

impl Ending {
    fn new() -> Self {
        let [result, dropped, freed, ours, theirs] = [(); 5].map(|()| AtomicUsize::new(0));
        Self { state: State::new(), result, dropped, last_uses: [ours, theirs], freed }
    }

    fn drop_result(&self) {
        assert_eq!(self.result.load(Ordering::Relaxed), 1, "the result is seen");
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    fn free(&self) {
        let is_noted = |last_use: &AtomicUsize| last_use.load(Ordering::Relaxed) == 1;
        assert!(self.last_uses.iter().all(is_noted), "nobody uses it any more");
        self.freed.fetch_add(1, Ordering::Relaxed);
    }
}

/// The finisher and the handle agree on who drops the result and who frees the header, and that
/// one sees what the other has done.
#[test]
fn result_has_one_owner() {
    loom::model(|| {
        let shared = Arc::new(Ending::new());
        let task = shared.clone();
        let finisher = thread::spawn(move || {
            task.result.store(1, Ordering::Relaxed);
            if !task.state.transition_to_finishing().unwrap().is_joinable() {
                task.drop_result();
            }
            task.last_uses[0].store(1, Ordering::Relaxed);
            if task.state.transition_to_finished() {
                task.free();
            }
        });
        if shared.state.drop_joinable().is_finishing() {
            shared.drop_result();
        }
        shared.last_uses[1].store(1, Ordering::Relaxed);
        if shared.state.drop_reference() {
            shared.free();
        }
        finisher.join().unwrap();
        let (dropped, freed) = (&shared.dropped, &shared.freed);
        assert_eq!((dropped.load(Ordering::Relaxed), freed.load(Ordering::Relaxed)), (1, 1));
    });
}

/// The joiner never leaves while the finisher may use its waiter: the slot is either taken back
/// or used, never both, and `FINISHED` is seen after the use.
#[test]
fn joiner_outlives_the_use_of_its_waiter() {
    loom::model(|| {
        let shared = Arc::new((State::new(), AtomicUsize::new(0), AtomicUsize::new(0)));
        let task = shared.clone();
        let finisher = thread::spawn(move || {
            let (state, alive, used) = &*task;
            if state.transition_to_finishing().unwrap().has_join_waiter() {
                assert_eq!(alive.load(Ordering::Relaxed), 1, "the waiter's task is there");
                used.store(1, Ordering::Relaxed);
            }
            let _ = state.transition_to_finished();
        });
        let (state, alive, used) = &*shared;
        alive.store(1, Ordering::Relaxed);
        if state.set_join_waiter() && !state.clear_join_waiter() {
            while !state.load().is_finished() {
                thread::yield_now();
            }
            assert_eq!(used.load(Ordering::Relaxed), 1, "the use is over");
        }
        alive.store(0, Ordering::Relaxed);
        finisher.join().unwrap();
    });
}

/// The joiner of `JoinHandle::wait` never parks for ever: either it parks before the finisher's
/// wake, which claims it, or it sees `FINISHING` and needs no wake. The wake that it uses up
/// while it is active, and another's that comes at any time, must not cost it the only one.
#[test]
fn an_active_joiner_does_not_park_after_its_wake() {
    loom::model(|| {
        // The task that ends, the task that joins it, and how often the latter was claimed.
        let shared = Arc::new((State::new(), State::new(), AtomicUsize::new(0)));
        let wake_joiner = |shared: &(State, State, AtomicUsize)| {
            if shared.1.wake() {
                shared.2.fetch_add(1, Ordering::Release);
            }
        };
        let finisher = thread::spawn({
            let shared = shared.clone();
            move || {
                let task = &shared.0;
                let _ = task.transition_to_finishing();
                if task.load().has_join_waiter() {
                    wake_joiner(&shared);
                }
                let _ = task.transition_to_finished();
            }
        });
        let other = thread::spawn({
            let shared = shared.clone();
            move || wake_joiner(&shared)
        });
        let (task, joiner, claims) = &*shared;
        let (mut filled, mut claimed) = (false, 0);
        while !task.load().is_finished() {
            filled = filled || task.set_join_waiter();
            if !filled || task.load().is_finishing() {
                // The finisher is between two of its steps.
                thread::yield_now();
            } else if !joiner.take_notified() && joiner.transition_to_parked() == Park::Parked {
                // Suspended: without a claim the model never ends.
                while claims.load(Ordering::Acquire) == claimed {
                    thread::yield_now();
                }
                claimed += 1;
            }
        }
        finisher.join().unwrap();
        other.join().unwrap();
    });
}

/// Parks `state` once, and runs again only when somebody has claimed it.
fn park_until_claimed(state: &State, claims: &AtomicUsize, claimed: &mut usize) {
    if state.transition_to_parked() == Park::Parked {
        // Without a claim the model never ends.
        while claims.load(Ordering::Acquire) == *claimed {
            thread::yield_now();
        }
        *claimed += 1;
    }
}

/// A task that is cancelled, woken and unparked at a time is claimed by one of them for each
/// time that it parks, sees that it is cancelled, and finds its token.
#[test]
fn a_cancelled_task_does_not_stay_parked() {
    loom::model(|| {
        let shared = Arc::new((State::new(), AtomicUsize::new(0)));
        let tellers = [State::cancel, State::unpark].map(|tell| {
            let shared = shared.clone();
            thread::spawn(move || {
                if tell(&shared.0) {
                    shared.1.fetch_add(1, Ordering::Release);
                }
            })
        });
        let (state, claims) = &*shared;
        let (mut has_token, mut claimed) = (false, 0);
        while !(state.is_cancelled() && has_token) {
            has_token = has_token || state.take_token();
            if !(state.is_cancelled() && has_token) {
                park_until_claimed(state, claims, &mut claimed);
            }
        }
        for teller in tellers {
            teller.join().unwrap();
        }
        assert!(claims.load(Ordering::Acquire) <= claimed + 1);
    });
}

/// A flag that is set before the wake, and read without ordering, as the frames read it: who
/// was woken sees it.
#[test]
fn a_flag_is_seen_after_its_wake() {
    loom::model(|| {
        let shared = Arc::new((State::new(), AtomicUsize::new(0), AtomicUsize::new(0)));
        let setter = thread::spawn({
            let shared = shared.clone();
            move || {
                shared.2.store(1, Ordering::Relaxed);
                if shared.0.wake() {
                    shared.1.fetch_add(1, Ordering::Release);
                }
            }
        });
        let (state, claims, flag) = &*shared;
        let mut claimed = 0;
        while flag.load(Ordering::Relaxed) == 0 {
            park_until_claimed(state, claims, &mut claimed);
        }
        setter.join().unwrap();
    });
}

/// A monitor that is left while the task finishes is called by the task, or by who left it.
#[test]
fn a_monitor_is_called_once() {
    loom::model(|| {
        let shared = Arc::new((State::new(), AtomicUsize::new(0), AtomicUsize::new(0)));
        let task = shared.clone();
        let finisher = thread::spawn(move || {
            let (state, left, called) = &*task;
            while state.transition_to_finishing().is_none() {
                called.fetch_add(left.swap(0, Ordering::Relaxed), Ordering::Relaxed);
            }
        });
        let (state, left, called) = &*shared;
        for _ in 0..2 {
            left.fetch_add(1, Ordering::Relaxed);
            if !state.set_monitored() {
                called.fetch_add(left.swap(0, Ordering::Relaxed), Ordering::Relaxed);
            }
        }
        finisher.join().unwrap();
        assert_eq!((left.load(Ordering::Relaxed), called.load(Ordering::Relaxed)), (0, 2));
    });
}
