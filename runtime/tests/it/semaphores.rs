//! Semaphores: first come first served, and no permit is ever lost or made.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use sedge::sync::{
    AcquireError, AcquireTimeoutError, OwnedSemaphorePermit, Semaphore, SemaphorePermit,
    TryAcquireError,
};
use sedge::task;
use sedge_runtime as sedge;

use crate::support::{Count, OnDrop, bounded, eventually, everywhere, poll, runtime};

const LONG: Duration = Duration::from_secs(3600);
const MOMENT: Duration = Duration::from_millis(1);

/// Every item of tokio's, and what a call that waits has besides.
#[test]
fn items() {
    static SEMAPHORE: Semaphore = Semaphore::const_new(2);

    fn assert_send_unpin(_: &(impl Send + Unpin)) {}

    everywhere(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let again = || semaphore.clone();
        let soon = Instant::now() + LONG;
        assert_eq!(Semaphore::MAX_PERMITS, usize::MAX >> 3);
        let borrowed: [SemaphorePermit<'_>; 8] = [
            semaphore.acquire().unwrap(),
            (semaphore.add_permits(7), semaphore.acquire_many(1)).1.unwrap(),
            semaphore.try_acquire().unwrap(),
            semaphore.try_acquire_many(1).unwrap(),
            semaphore.acquire_timeout(LONG).unwrap(),
            semaphore.acquire_many_timeout(1, LONG).unwrap(),
            semaphore.acquire_deadline(soon).unwrap(),
            semaphore.acquire_many_deadline(1, soon).unwrap(),
        ];
        assert_eq!(semaphore.available_permits(), 0);
        drop(borrowed);
        assert_eq!(semaphore.available_permits(), 8);
        let owned: [OwnedSemaphorePermit; 8] = [
            again().acquire_owned().unwrap(),
            again().acquire_many_owned(1).unwrap(),
            again().try_acquire_owned().unwrap(),
            again().try_acquire_many_owned(1).unwrap(),
            again().acquire_owned_timeout(LONG).unwrap(),
            again().acquire_many_owned_timeout(1, LONG).unwrap(),
            again().acquire_owned_deadline(soon).unwrap(),
            again().acquire_many_owned_deadline(1, soon).unwrap(),
        ];
        assert_eq!(semaphore.available_permits(), 0);
        drop(owned);
        task::block_on(async {
            let (one, many) = (semaphore.acquire_async(), semaphore.acquire_many_async(2));
            assert_send_unpin(&one);
            assert_send_unpin(&many);
            let _borrowed = (one.await.unwrap(), many.await.unwrap());
            let _one = again().acquire_owned_async().await.unwrap();
            let _many = again().acquire_many_owned_async(2).await.unwrap();
            assert_eq!(semaphore.available_permits(), 2);
        });
        assert_eq!(semaphore.forget_permits(5), 5);
        let mut owned = again().acquire_many_owned(2).unwrap();
        assert_eq!(owned.split(1).map(|one| one.num_permits()), Some(1));
        assert!(owned.split(2).is_none());
        owned.merge(again().acquire_owned().unwrap());
        assert_eq!((owned.num_permits(), owned.semaphore().available_permits()), (2, 1));
        owned.forget();
        let mut borrowed = semaphore.acquire().unwrap();
        assert_eq!(borrowed.split(0).map(|none| none.num_permits()), Some(0));
        semaphore.add_permits(1);
        borrowed.merge(semaphore.acquire().unwrap());
        assert_eq!((borrowed.num_permits(), borrowed.semaphore().available_permits()), (2, 0));
        borrowed.forget();
        assert!(!semaphore.is_closed());
        semaphore.close();
        assert!(semaphore.is_closed());
        let closed: AcquireError = semaphore.acquire().unwrap_err();
        assert_eq!(TryAcquireError::from(closed.clone()), TryAcquireError::Closed);
        assert_eq!(AcquireTimeoutError::from(closed), AcquireTimeoutError::Closed);
        assert_eq!(SEMAPHORE.acquire_many(2).unwrap().num_permits(), 2);
    });
}

#[test]
fn none_is_overtaken() {
    bounded(|| {
        let semaphore = Semaphore::new(0);
        let mut waiting: Vec<_> = (0..5).map(|_| semaphore.acquire_async()).collect();
        for future in &mut waiting {
            assert!(poll(pin!(future)).is_pending());
        }
        let mut permits = Vec::new();
        for next in 0..5 {
            semaphore.add_permits(1);
            assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
            for (at, future) in waiting.iter_mut().enumerate().skip(next) {
                match poll(pin!(future)) {
                    Poll::Ready(permit) => permits.push((at, permit.unwrap())),
                    Poll::Pending => assert!(at > next),
                }
            }
            assert_eq!(permits.last().map(|(at, _)| *at), Some(next));
        }
        drop(permits);
        assert_eq!(semaphore.available_permits(), 5);
    });
}

/// The same for tasks of one worker, which stand in line in the order in which they began.
#[test]
fn tasks_get_in_as_they_came() {
    bounded(|| {
        sedge::run(|| {
            let semaphore = Arc::new(Semaphore::new(0));
            let (begun, order) = (Count::new(), Arc::new(Mutex::new(Vec::new())));
            let tasks: Vec<_> = (0..100)
                .map(|at| {
                    let (semaphore, told) = (semaphore.clone(), begun.clone());
                    let order = order.clone();
                    let task = task::spawn_local(move || {
                        told.add();
                        let _permit = semaphore.acquire().unwrap();
                        order.lock().unwrap().push(at);
                    });
                    // Once the root runs again, the task has parked.
                    eventually("it has begun", || begun.get() == at + 1);
                    task
                })
                .collect();
            semaphore.add_permits(1);
            tasks.into_iter().for_each(|task| task.join().unwrap());
            assert_eq!(*order.lock().unwrap(), (0..100).collect::<Vec<_>>());
            assert_eq!(semaphore.available_permits(), 1);
        });
    });
}

/// Who wants many is handed them as they come, and who is behind waits.
#[test]
fn a_large_request_is_not_starved() {
    everywhere(|| {
        let semaphore = Semaphore::new(1);
        let mut large = semaphore.acquire_many_async(3);
        let mut small = semaphore.acquire_async();
        assert!(poll(pin!(&mut large)).is_pending());
        assert_eq!(semaphore.available_permits(), 0, "it has been handed one");
        assert!(poll(pin!(&mut small)).is_pending());
        semaphore.add_permits(1);
        assert!(poll(pin!(&mut small)).is_pending());
        semaphore.add_permits(2);
        let Poll::Ready(Ok(three)) = poll(pin!(&mut large)) else { panic!("it has all three") };
        assert!(poll(pin!(&mut small)).is_ready());
        drop(three);
        assert_eq!(semaphore.available_permits(), 4);
    });
}

/// A future that leaves with a part, with all, or with nothing hands it to those behind.
#[test]
fn futures_that_leave_give_back() {
    everywhere(|| {
        let semaphore = Semaphore::new(1);
        let mut first = semaphore.acquire_many_async(3);
        let mut second = semaphore.acquire_async();
        let mut third = semaphore.acquire_async();
        assert!(poll(pin!(&mut first)).is_pending());
        assert!(poll(pin!(&mut second)).is_pending());
        assert!(poll(pin!(&mut third)).is_pending());
        // With the one that it has been handed.
        drop(first);
        // With its answer, which it has not seen.
        drop(second);
        assert!(poll(pin!(&mut third)).is_ready());
        assert_eq!(semaphore.available_permits(), 1);
        let polled = semaphore.acquire_many_async(2);
        drop(semaphore.acquire_async());
        drop(polled);
        assert_eq!(semaphore.available_permits(), 1);
    });
}

/// The one in front takes its part with it when its time is over, or it is cancelled.
#[test]
fn calls_that_end_early_give_back() {
    everywhere(|| {
        let semaphore = Arc::new(Semaphore::new(2));
        let late = semaphore.acquire_many_timeout(3, MOMENT).unwrap_err();
        assert_eq!(late, AcquireTimeoutError::Timeout);
        let past = semaphore.acquire_many_deadline(3, Instant::now()).unwrap_err();
        assert_eq!(past, AcquireTimeoutError::Timeout);
        assert_eq!(semaphore.available_permits(), 2);

        let cancelled = sedge::spawn({
            let semaphore = semaphore.clone();
            move || semaphore.acquire_many(3).map(SemaphorePermit::forget)
        });
        eventually("it has taken what there is", || semaphore.available_permits() == 0);
        let mut behind = semaphore.acquire_many_async(2);
        assert!(poll(pin!(&mut behind)).is_pending());
        cancelled.cancel();
        assert!(cancelled.join().is_err());
        assert!(poll(pin!(&mut behind)).is_ready());
        assert_eq!(semaphore.available_permits(), 2);
    });
}

/// Some of those in the middle of a line give up; the others get in, and the count is exact.
#[test]
fn who_leaves_from_the_middle() {
    everywhere(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let (begun, entered) = (Count::new(), Count::new());
        let tasks: Vec<_> = (0..300)
            .map(|at| {
                let (semaphore, begun, entered) =
                    (semaphore.clone(), begun.clone(), entered.clone());
                sedge::spawn(move || {
                    begun.add();
                    let permit = match at % 3 {
                        0 => semaphore.acquire_many_timeout(at % 5 + 1, MOMENT).ok(),
                        _ => semaphore.acquire_many(at % 5 + 1).ok(),
                    };
                    permit.iter().for_each(|_| entered.add());
                })
            })
            .collect();
        eventually("all have begun", || begun.get() == 300);
        tasks.iter().skip(1).step_by(3).for_each(|task| task.cancel());
        semaphore.add_permits(7);
        let done = tasks.into_iter().map(|task| task.join().is_ok());
        let done = done.filter(|done| *done).count();
        assert!((200..=300).contains(&done), "only those that were cancelled may fail");
        assert!((100..=done).contains(&entered.get()));
        assert_eq!(semaphore.available_permits(), 7);
    });
}

#[test]
fn closing_tells_who_waits() {
    everywhere(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let refused = Count::new();
        let mut future = semaphore.acquire_many_async(2);
        assert!(poll(pin!(&mut future)).is_pending());
        let tasks: Vec<_> = (0..10)
            .map(|at| {
                let (semaphore, refused) = (semaphore.clone(), refused.clone());
                sedge::spawn(move || {
                    assert!(semaphore.acquire_many(at).is_err() || at == 0);
                    assert!(semaphore.acquire_timeout(LONG).is_err());
                    refused.add();
                })
            })
            .collect();
        let thread = thread::spawn({
            let semaphore = semaphore.clone();
            move || semaphore.acquire_timeout(LONG).unwrap_err()
        });
        semaphore.close();
        assert_eq!(thread.join().unwrap(), AcquireTimeoutError::Closed);
        tasks.into_iter().for_each(|task| task.join().unwrap());
        assert_eq!(refused.get(), 10);
        let Poll::Ready(Err(_)) = poll(pin!(&mut future)) else { panic!("it is refused") };
        assert_eq!(semaphore.available_permits(), 1, "it gave back the one that it had");
        semaphore.close();
        semaphore.add_permits(1);
        assert_eq!(semaphore.available_permits(), 2);
        assert_eq!(semaphore.try_acquire_many(0).unwrap_err(), TryAcquireError::Closed);
    });
}

#[test]
fn a_crowd_gets_in() {
    everywhere(|| {
        const WAITERS: usize = 1_000;
        let semaphore = Arc::new(Semaphore::new(0));
        let (inside, entered) = (Arc::new(AtomicUsize::new(0)), Count::new());
        let tasks: Vec<_> = (0..WAITERS)
            .map(|_| {
                let (semaphore, inside, entered) =
                    (semaphore.clone(), inside.clone(), entered.clone());
                sedge::spawn(move || {
                    let _permit = semaphore.acquire().unwrap();
                    assert!(inside.fetch_add(1, Ordering::SeqCst) < 3);
                    task::yield_now();
                    inside.fetch_sub(1, Ordering::SeqCst);
                    entered.add();
                })
            })
            .collect();
        semaphore.add_permits(3);
        tasks.into_iter().for_each(|task| task.join().unwrap());
        assert_eq!((entered.get(), semaphore.available_permits()), (WAITERS, 3));
    });
}

/// Threads, tasks and futures ask for different numbers, some give up: never too many inside, all
/// that do not give up get in, and all permits are there in the end.
#[test]
fn stress() {
    const PERMITS: usize = 5;
    const ROUNDS: u32 = 200;

    struct Shared {
        semaphore: Arc<Semaphore>,
        inside: AtomicUsize,
        entered: Count,
    }

    impl Shared {
        fn enter(&self, permit: &SemaphorePermit<'_>) {
            let before = self.inside.fetch_add(permit.num_permits(), Ordering::SeqCst);
            let _leaves = OnDrop(|| {
                self.inside.fetch_sub(permit.num_permits(), Ordering::SeqCst);
            });
            assert!(before + permit.num_permits() <= PERMITS);
            task::yield_now();
            self.entered.add();
        }

        fn take_turns(&self, seed: u32) {
            for round in 0..ROUNDS {
                let wanted = (round * 7 + seed) % PERMITS as u32 + 1;
                match (round + seed) % 4 {
                    0 => self.enter(&self.semaphore.acquire_many(wanted).unwrap()),
                    1 => {
                        let polled = self.semaphore.acquire_many_async(wanted);
                        self.enter(&task::block_on(polled).unwrap());
                    }
                    2 => {
                        let timeout = Duration::from_micros(u64::from(round) % 50);
                        let permit = self.semaphore.acquire_many_timeout(wanted, timeout);
                        permit.iter().for_each(|permit| self.enter(permit));
                    }
                    _ => {
                        let mut future = self.semaphore.acquire_many_async(wanted);
                        if let Poll::Ready(permit) = poll(pin!(&mut future)) {
                            self.enter(&permit.unwrap());
                        }
                    }
                }
            }
        }
    }

    bounded(|| {
        let shared = Arc::new(Shared {
            semaphore: Arc::new(Semaphore::new(PERMITS)),
            inside: AtomicUsize::new(0),
            entered: Count::new(),
        });
        let runtime = runtime(2);
        let turns = |seed| {
            let shared = shared.clone();
            move || shared.take_turns(seed)
        };
        let cancelled: Vec<_> = (0..4).map(|seed| runtime.spawn(turns(seed))).collect();
        let tasks: Vec<_> = (0..4).map(|seed| runtime.spawn(turns(seed))).collect();
        let threads: Vec<_> = (0..2).map(|seed| thread::spawn(turns(seed))).collect();
        eventually("some have entered", || shared.entered.get() > 50);
        cancelled.iter().for_each(|task| task.cancel());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        tasks.into_iter().for_each(|task| task.join().unwrap());
        cancelled.into_iter().for_each(|task| drop(task.join()));
        assert!(shared.entered.get() >= 6 * ROUNDS as usize / 2);
        assert_eq!(shared.semaphore.available_permits(), PERMITS);
        assert_eq!(
            shared.semaphore.try_acquire_many(PERMITS as u32).unwrap().num_permits(),
            PERMITS
        );
    });
}

/// A destructor that runs in an unwind waits for its permit.
#[test]
fn in_an_unwind_it_waits() {
    bounded(|| {
        sedge::run(|| {
            let semaphore = Arc::new(Semaphore::new(0));
            let (unwinding, entered) = (Count::new(), Count::new());
            let task = sedge::spawn({
                let (semaphore, unwinding, entered) =
                    (semaphore.clone(), unwinding.clone(), entered.clone());
                move || {
                    let _acquires = OnDrop(|| {
                        unwinding.add();
                        semaphore.acquire().unwrap().forget();
                        entered.add();
                    });
                    task::park();
                }
            });
            task.cancel();
            eventually("it unwinds", || unwinding.get() == 1 || task.is_finished());
            semaphore.add_permits(usize::from(unwinding.is_set()));
            assert!(task.join().is_err());
            assert_eq!(entered.get(), unwinding.get());
            assert_eq!(semaphore.available_permits(), 0);
        });
    });
}

#[test]
fn what_panics() {
    fn panics(f: impl FnOnce() + std::panic::UnwindSafe) {
        assert!(std::panic::catch_unwind(f).is_err());
    }

    panics(|| assert!(!Semaphore::new(Semaphore::MAX_PERMITS + 1).is_closed()));
    let full = Semaphore::new(Semaphore::MAX_PERMITS);
    panics(|| full.add_permits(1));
    panics(|| full.add_permits(usize::MAX));
    let other = Semaphore::new(1);
    panics(|| full.acquire().unwrap().merge(other.acquire().unwrap()));
    assert_eq!(full.available_permits(), Semaphore::MAX_PERMITS);
    assert_eq!(other.available_permits(), 1);
    let mut most = full.acquire_many(u32::MAX).unwrap();
    panics(std::panic::AssertUnwindSafe(|| most.merge(full.acquire().unwrap())));
    drop(most);
    assert_eq!(full.available_permits(), Semaphore::MAX_PERMITS);
}
