//! No task starves another: while some keep a worker busy without ever letting it run dry,
//! everything else still gets its turn.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sedge::io::Source;
use sedge::runtime::Runtime;
use sedge::task::{self, JoinHandle};
use sedge_runtime as sedge;

use crate::support::{Count, OnDrop, bounded, context_switches, eventually, hog_until, runtime};

/// Keeps the only worker of `runtime` busy until `stop`.
type Noise = fn(&Runtime, &Arc<AtomicBool>) -> Vec<JoinHandle<()>>;

const NOISES: [(&str, Noise); 6] = [
    ("two that yield", two_that_yield),
    ("two that wake each other", two_that_wake_each_other),
    ("a chain of spawns", a_chain_of_spawns),
    ("one that migrates and yields", one_that_migrates_and_yields),
    ("a source that is always readable", an_always_readable_source),
    ("one that parks and never has to", parks_with_its_token),
];

fn stopped(stop: &AtomicBool) -> bool {
    stop.load(Ordering::Relaxed)
}

fn two_that_yield(runtime: &Runtime, stop: &Arc<AtomicBool>) -> Vec<JoinHandle<()>> {
    (0..2)
        .map(|_| {
            let stop = stop.clone();
            runtime.spawn(move || {
                while !stopped(&stop) {
                    task::yield_now();
                }
            })
        })
        .collect()
}

fn two_that_wake_each_other(runtime: &Runtime, stop: &Arc<AtomicBool>) -> Vec<JoinHandle<()>> {
    let (left_stop, right_stop) = (stop.clone(), stop.clone());
    vec![runtime.spawn(move || {
        let left = task::current();
        let right = sedge::spawn(move || {
            while !stopped(&right_stop) {
                left.unpark();
                task::park();
            }
            left.unpark();
        });
        let other = right.task();
        while !stopped(&left_stop) {
            other.unpark();
            task::park();
        }
        while !right.is_finished() {
            other.unpark();
            task::yield_now();
        }
        right.join().unwrap();
    })]
}

fn a_chain_of_spawns(runtime: &Runtime, stop: &Arc<AtomicBool>) -> Vec<JoinHandle<()>> {
    fn link(stop: Arc<AtomicBool>, ended: Count) {
        if stopped(&stop) {
            ended.add();
        } else {
            drop(sedge::spawn(move || link(stop, ended)));
        }
    }

    let stop = stop.clone();
    vec![runtime.spawn(move || {
        let ended = Count::new();
        link(stop, ended.clone());
        eventually("the chain has ended", || ended.is_set());
    })]
}

fn one_that_migrates_and_yields(runtime: &Runtime, stop: &Arc<AtomicBool>) -> Vec<JoinHandle<()>> {
    let stop = stop.clone();
    vec![runtime.spawn(move || {
        // SAFETY: the task keeps nothing of its thread's over a wait.
        let builder = unsafe { task::Builder::new().migrating(true) };
        let migrant = builder.spawn(move || {
            while !stopped(&stop) {
                task::yield_now();
            }
        });
        migrant.unwrap().join().unwrap();
    })]
}

fn an_always_readable_source(runtime: &Runtime, stop: &Arc<AtomicBool>) -> Vec<JoinHandle<()>> {
    let (mut far, near) = UnixStream::pair().unwrap();
    far.write_all(&[7]).unwrap();
    let stop = stop.clone();
    vec![runtime.spawn(move || {
        let near = Source::new(near).unwrap();
        while !stopped(&stop) {
            let mut byte = [0_u8];
            let peek = |stream: &UnixStream| {
                // SAFETY: one byte, and room for it.
                let n = unsafe {
                    libc::recv(stream.as_raw_fd(), byte.as_mut_ptr().cast(), 1, libc::MSG_PEEK)
                };
                if n < 0 { Err(std::io::Error::last_os_error()) } else { Ok(n) }
            };
            assert_eq!(near.read_with(peek).unwrap(), 1);
            assert_eq!(byte, [7]);
        }
        drop(far);
    })]
}

/// A call that may wait and never has to: the budget makes it yield.
fn parks_with_its_token(runtime: &Runtime, stop: &Arc<AtomicBool>) -> Vec<JoinHandle<()>> {
    let stop = stop.clone();
    vec![runtime.spawn(move || {
        while !stopped(&stop) {
            task::current().unpark();
            task::park();
        }
    })]
}

/// Has `victim` done while each of the noises keeps the worker busy.
fn goes_on_beside_noise(victim: fn(&Runtime)) {
    bounded(move || {
        for (name, noise) in NOISES {
            let runtime = runtime(1);
            let stop = Arc::new(AtomicBool::new(false));
            let noises = noise(&runtime, &stop);
            println!("beside {name}");
            victim(&runtime);
            stop.store(true, Ordering::Relaxed);
            noises.into_iter().for_each(|noise| noise.join().unwrap());
        }
    });
}

#[test]
fn no_starvation_of_a_third_ready_task() {
    goes_on_beside_noise(|runtime| {
        let third = runtime.spawn(|| (0..1_000).for_each(|_| task::yield_now()));
        third.join().unwrap();
    });
}

#[test]
fn no_starvation_of_an_unpark_from_another_thread() {
    goes_on_beside_noise(|runtime| {
        let turns = Count::new();
        let seen = turns.clone();
        let parked = runtime.spawn(move || {
            for _ in 0..50 {
                task::park();
                seen.add();
            }
        });
        let handle = parked.task();
        for turn in 1..=50 {
            handle.unpark();
            eventually("the unparked task ran", || turns.get() == turn);
        }
        parked.join().unwrap();
    });
}

#[test]
fn no_starvation_of_an_own_fresh_task() {
    goes_on_beside_noise(|runtime| {
        let spawner = runtime
            .spawn(|| (0..50).map(|n| sedge::spawn(move || n).join().unwrap()).sum::<usize>());
        assert_eq!(spawner.join().unwrap(), 49 * 50 / 2);
    });
}

#[test]
fn no_starvation_of_the_injector() {
    goes_on_beside_noise(|runtime| {
        let sum: usize = (0..50).map(|n| runtime.spawn(move || n).join().unwrap()).sum();
        assert_eq!(sum, 49 * 50 / 2);
    });
}

#[test]
fn no_starvation_of_a_timer() {
    goes_on_beside_noise(|runtime| {
        let sleeper = runtime.spawn(|| {
            (0..20).for_each(|_| sedge::time::sleep(Duration::from_micros(100)));
        });
        sleeper.join().unwrap();
    });
}

#[test]
fn no_starvation_of_a_readable_source() {
    goes_on_beside_noise(|runtime| {
        let (mut far, near) = UnixStream::pair().unwrap();
        let echo = runtime.spawn(move || {
            let near = Source::new(near).unwrap();
            for expected in 0..50 {
                let mut byte = [0];
                near.read_with(|mut stream| stream.read(&mut byte)).unwrap();
                assert_eq!(byte, [expected]);
                near.write_with(|mut stream| stream.write(&byte)).unwrap();
            }
        });
        for expected in 0..50 {
            far.write_all(&[expected]).unwrap();
            let mut byte = [0];
            far.read_exact(&mut byte).unwrap();
            assert_eq!(byte, [expected]);
        }
        echo.join().unwrap();
    });
}

/// A worker whose own queue of fresh tasks never runs dry still starts what others hand it.
#[test]
fn no_starvation_of_tasks_that_were_handed_over() {
    bounded(|| {
        let runtime = runtime(2);
        let stop = Arc::new(AtomicBool::new(false));
        // Both workers run a chain, so that neither is free to take the other's work; the one with
        // more homes hands what it spawns to the other.
        let chains: Vec<_> = (0..2).flat_map(|_| a_chain_of_spawns(&runtime, &stop)).collect();
        let spawner = runtime.spawn(|| {
            for _ in 0..20 {
                let homes: Vec<_> = (0..20).map(|_| sedge::spawn(task::park)).collect();
                let fresh: Vec<_> = (0..20).map(|_| sedge::spawn(|| 1)).collect();
                assert_eq!(fresh.into_iter().map(|fresh| fresh.join().unwrap()).sum::<i32>(), 20);
                homes.iter().for_each(|home| home.task().unpark());
                homes.into_iter().for_each(|home| home.join().unwrap());
            }
        });
        spawner.join().unwrap();
        stop.store(true, Ordering::Relaxed);
        chains.into_iter().for_each(|chain| chain.join().unwrap());
    });
}

/// Workers that never run dry start fresh tasks once a turn, of several kinds: one that hogs must
/// not have others behind it where nobody can take them.
#[test]
fn no_fresh_task_is_caught_behind_another() {
    const LIGHT: usize = 100;
    bounded(|| {
        for _ in 0..20 {
            let runtime = runtime(2);
            let stop = Arc::new(AtomicBool::new(false));
            let mut noises = two_that_yield(&runtime, &stop);
            noises.extend(two_that_yield(&runtime, &stop));
            let ran = Count::new();
            let seen = ran.clone();
            let spawner = runtime.spawn(move || {
                eventually("light tasks come in", || seen.get() > LIGHT / 10);
                sedge::spawn(move || hog_until("all light tasks ran", || seen.get() == LIGHT))
            });
            let light: Vec<_> = (0..LIGHT)
                .map(|_| {
                    let ran = ran.clone();
                    runtime.spawn(move || ran.add())
                })
                .collect();
            let hog = spawner.join().unwrap();
            for task in light {
                eventually("a light task ran", || task.is_finished());
                task.join().unwrap();
            }
            hog.join().unwrap();
            stop.store(true, Ordering::Relaxed);
            noises.into_iter().for_each(|noise| noise.join().unwrap());
        }
    });
}

/// Fresh tasks in the queues of a stuck worker run, though the others never run dry and so never
/// search.
#[test]
fn no_starvation_of_what_a_stuck_worker_has() {
    bounded(|| {
        let runtime = runtime(2);
        let stop = Arc::new(AtomicBool::new(false));
        let mut noises = two_that_yield(&runtime, &stop);
        noises.extend(two_that_yield(&runtime, &stop));
        for _ in 0..5 {
            let hog = runtime.spawn(|| {
                let ran = Count::new();
                let fresh: Vec<_> = (0..10)
                    .map(|_| {
                        let ran = ran.clone();
                        sedge::spawn(move || ran.add())
                    })
                    .collect();
                hog_until("what it spawned has run elsewhere", || ran.get() == 10);
                fresh
            });
            hog.join().unwrap().into_iter().for_each(|fresh| fresh.join().unwrap());
        }
        stop.store(true, Ordering::Relaxed);
        noises.into_iter().for_each(|noise| noise.join().unwrap());
    });
}

/// A task that is being cancelled and holds that back, and whose calls never have to wait, goes on
/// yielding: its queue-mate ends, which it waits for.
#[test]
fn no_starvation_by_a_task_that_is_being_cancelled() {
    bounded(|| {
        let runtime = runtime(1);
        let (stop, started) = (Arc::new(AtomicBool::new(false)), Count::new());
        let (ends, told) = (stop.clone(), started.clone());
        let mate = runtime.spawn(move || {
            let _on_drop = OnDrop(|| ends.store(true, Ordering::Relaxed));
            told.add();
            task::park();
        });
        let told = started.clone();
        let busy = runtime.spawn(move || {
            told.add();
            task::shield(|| {
                while !stopped(&stop) {
                    task::current().unpark();
                    task::park();
                }
            });
        });
        eventually("both have started", || started.get() == 2);
        assert_eq!(runtime.shutdown_timeout(Duration::from_secs(25)), 0);
        assert!(mate.join().is_err() && busy.join().is_ok());
    });
}

/// An idle worker takes what a busy one spawns, whatever the two have at home.
#[test]
fn an_idle_worker_takes_over_at_once() {
    bounded(|| {
        let runtime = runtime(2);
        for homes in [0, 1, 8] {
            let parked: Vec<_> = (0..homes).map(|_| runtime.spawn(task::park)).collect();
            for _ in 0..200 {
                let busy = runtime.spawn(|| {
                    let ran = Count::new();
                    let seen = ran.clone();
                    let fresh = sedge::spawn(move || seen.add_and_get());
                    hog_until("another worker has run it", || ran.is_set());
                    fresh
                });
                assert_eq!(busy.join().unwrap().join().unwrap(), 1);
            }
            parked.iter().for_each(|parked| parked.task().unpark());
            parked.into_iter().for_each(|parked| parked.join().unwrap());
        }
    });
}

/// A worker that is woken to look for fresh work, and finds mail, runs the mail: the fresh work
/// must not wait for it.
#[test]
fn a_woken_worker_with_mail_has_another_search() {
    bounded(|| {
        const ROUNDS: usize = 200;
        let runtime = runtime(3);
        let hogs: Vec<_> = (0..3)
            .map(|_| {
                let (wanted, fresh_ran) = (Count::new(), Count::new());
                let (wants, ran) = (wanted.clone(), fresh_ran.clone());
                let hog = runtime.spawn(move || {
                    // Rounds may pass before it is on: then it waits for the present one.
                    while ran.get() < ROUNDS {
                        task::park();
                        let round = wants.get();
                        hog_until("the fresh task ran elsewhere", || ran.get() >= round);
                    }
                });
                (hog, wanted, fresh_ran)
            })
            .collect();
        for round in 1..=ROUNDS {
            for (hog, wanted, fresh_ran) in &hogs {
                wanted.add();
                hog.task().unpark();
                let fresh_ran = fresh_ran.clone();
                let fresh = runtime.spawn(move || fresh_ran.add_and_get());
                assert_eq!(fresh.join().unwrap(), round);
            }
        }
        hogs.iter().for_each(|(hog, ..)| hog.task().unpark());
        hogs.into_iter().for_each(|(hog, ..)| hog.join().unwrap());
    });
}

/// Nothing happens for the other workers to see while one task yields.
#[test]
fn a_lone_yielding_task_wakes_no_other_worker() {
    bounded(|| {
        let builder = sedge::runtime::Builder::new().workers(2).thread_name("lone");
        let (yields, switches) = builder
            .run(|| {
                // Worker 1 has found nothing to do for a while.
                let mut before = context_switches("lone-worker-1");
                eventually("the other worker sleeps", || {
                    sedge::time::sleep(Duration::from_millis(50));
                    let now = context_switches("lone-worker-1");
                    std::mem::replace(&mut before, now) == now
                });
                let yields = 100_000;
                (0..yields).for_each(|_| task::yield_now());
                (yields, context_switches("lone-worker-1") - before)
            })
            .unwrap();
        assert!(switches <= 2, "{switches} switches to the other worker in {yields} yields");
    });
}

/// While the only work there is waits for a worker that is busy for a moment, an idle worker that
/// may not take it sleeps: it does not look again and again.
#[test]
fn an_idle_worker_does_not_spin_on_work_that_it_may_not_take() {
    bounded(|| {
        let builder = sedge::runtime::Builder::new().workers(2).thread_name("spin");
        builder
            .run(|| {
                let here = crate::support::thread_id();
                // Homes on the other worker, so that it has clearly more than this one.
                let mut elsewhere = Vec::new();
                while elsewhere.len() < 12 {
                    let count = Count::new();
                    let seen = count.clone();
                    let home = sedge::spawn(move || {
                        let thread = crate::support::thread_id();
                        if thread == here {
                            return;
                        }
                        seen.add();
                        task::park();
                    });
                    eventually("it is parked, or done", || count.is_set() || home.is_finished());
                    // Keep this worker busy for a moment, so that the other takes the next.
                    if count.is_set() {
                        elsewhere.push(home);
                    } else {
                        let ran = Count::new();
                        let seen = ran.clone();
                        let home = sedge::spawn(move || {
                            seen.add();
                            task::park();
                        });
                        hog_until("the other takes it", || ran.is_set());
                        elsewhere.push(home);
                    }
                }
                let mut most = 0;
                for _ in 0..20 {
                    sedge::time::sleep(Duration::from_millis(2));
                    let before = context_switches("spin-worker-1");
                    let fresh = sedge::spawn(|| ());
                    let until = std::time::Instant::now() + Duration::from_millis(6);
                    hog_until("six milliseconds have passed", || {
                        std::time::Instant::now() >= until
                    });
                    most = most.max(context_switches("spin-worker-1") - before);
                    fresh.join().unwrap();
                }
                elsewhere.iter().for_each(|home| home.task().unpark());
                elsewhere.into_iter().for_each(|home| home.join().unwrap());
                assert!(most < 50, "the idle worker went to sleep {most} times in 6 ms");
            })
            .unwrap();
    });
}
