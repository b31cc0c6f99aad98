//! Random programs under random schedules: tasks that spawn, park, sleep, cancel, time out, panic,
//! shield, swallow, migrate, restart, borrow in scopes, lock, and talk, all mixed, on one worker
//! whose seed decides everything.
//!
//! What must hold is counted: every value is dropped once, no task outlives its scope or its
//! supervisor, each task finds its own task-locals, and the runtime ends. A seed that fails is
//! named; it fails again.
//!
//! `SEDGE_TEST_RANDOM_SECONDS` says for how long; `SEDGE_TEST_RANDOM_SEED` runs one seed only.

mod talk;

use std::cell::{Cell, RefCell};
use std::env;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sedge::io::Source;
use sedge::runtime::Builder;
use sedge::supervisor::{Restart, Strategy, Supervisor};
use sedge::task::{self, CancelToken, Cancelled, JoinHandle, JoinSet, Task};
use sedge::time::{sleep, timeout};
use sedge_runtime as sedge;

use crate::support::{HUNG, OnDrop, bounded};
use talk::Talk;

sedge::task_local! {
    static OWNER: Cell<Option<task::TaskId>> = Cell::new(task::current().id());
    static LAST: RefCell<Option<Value>> = RefCell::new(None);
    static SPAWNS: RefCell<Option<Spawns>> = RefCell::new(None);
    inherit static DEPTH: Cell<usize> = Cell::new(0);
}

/// A small generator: the same seed, the same program.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn moment(&mut self) -> Duration {
        let micros = match self.below(4) {
            0 => 0,
            1 => self.below(10),
            2 => self.below(1_000),
            _ => self.below(1_000_000),
        };
        Duration::from_micros(micros)
    }
}

/// What all tasks of a program know.
#[derive(Clone)]
struct World(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Values that are there.
    values: AtomicUsize,
    /// Seeds for tasks.
    next_seed: AtomicU64,
    tasks: Mutex<Vec<Task>>,
    handles: Mutex<Vec<JoinHandle<()>>>,
    tokens: Mutex<Vec<CancelToken>>,
    /// There until the program has ended: messages have their world with them.
    talk: Mutex<Option<Arc<Talk>>>,
    steps: AtomicUsize,
    /// Who did what.
    log: Mutex<Vec<(Option<task::TaskId>, u64)>>,
}

/// Counted, and its destructor may wait.
struct Value {
    world: World,
    waits: u64,
}

impl Drop for Value {
    fn drop(&mut self) {
        // A destructor that waits is ended as any code is, unless it is a part of an unwind.
        let values = &self.world.0.values;
        let _count = OnDrop(|| {
            values.fetch_sub(1, Ordering::SeqCst);
        });
        match self.waits {
            0 => task::yield_now(),
            1 => sleep(Duration::from_micros(50)),
            2 => drop(sedge::spawn(task::yield_now).join()),
            _ => {}
        }
    }
}

/// A task-local whose destructor uses others, spawns, and may wait.
struct Spawns(World, usize);

impl Drop for Spawns {
    fn drop(&mut self) {
        let Self(world, depth) = self;
        let mut dice = world.dice();
        let value = world.value(&mut dice);
        let _destroyed = LAST.try_with(|last| last.replace(Some(value)));
        let _destroyed = DEPTH.try_with(|depth| depth.set(depth.get() + 1));
        let task = sedge::spawn(world.body(*depth));
        if dice.below(2) == 0 {
            drop(task.join());
        }
        task::park_timeout(dice.moment() / 100);
    }
}

/// How a stretch of a program ends, if not by an unwind.
struct Failed;

type Outcome = Result<(), Failed>;

impl World {
    fn value(&self, dice: &mut Dice) -> Value {
        self.0.values.fetch_add(1, Ordering::SeqCst);
        Value { world: self.clone(), waits: dice.below(12) }
    }

    fn dice(&self) -> Dice {
        Dice(self.0.next_seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst))
    }

    /// The body of a task.
    fn body(&self, depth: usize) -> impl FnOnce() -> Outcome + Send + use<> {
        let world = self.clone();
        let mut dice = self.dice();
        let captured = self.value(&mut dice);
        move || {
            let _captured = captured;
            world.0.tasks.lock().unwrap().push(task::current());
            let me = task::current().id();
            assert_eq!(OWNER.get(), me);
            let limit = dice.moment() + Duration::from_millis(1);
            let outcome = timeout(limit, || world.act(&mut dice, depth));
            assert_eq!(OWNER.get(), me);
            outcome.unwrap_or(Ok(()))
        }
    }

    /// Does a few things, each of which may do more.
    fn act(&self, dice: &mut Dice, depth: usize) -> Outcome {
        let _value = self.value(dice);
        for _ in 0..dice.below(6) {
            if self.0.steps.fetch_add(1, Ordering::SeqCst) > 300 {
                return Ok(());
            }
            self.step(dice, depth)?;
        }
        Ok(())
    }

    fn step(&self, dice: &mut Dice, depth: usize) -> Outcome {
        let _value = self.value(dice);
        let deeper = depth + 1;
        if depth > 4 {
            task::yield_now();
            return Ok(());
        }
        let what = dice.below(40);
        self.0.log.lock().unwrap().push((task::current().id(), what));
        match what {
            0 | 1 => task::yield_now(),
            2 => sleep(dice.moment()),
            3 => task::park_timeout(dice.moment()),
            4 => task::park(),
            5 => task::check(),
            6 => self.with_one(dice, &self.0.tasks, Task::unpark),
            7 => self.with_one(dice, &self.0.handles, JoinHandle::cancel),
            8 => self.with_one(dice, &self.0.tokens, CancelToken::cancel),
            9 => {
                let body = self.body(deeper);
                let handle = sedge::spawn(move || drop(body()));
                self.0.handles.lock().unwrap().push(handle);
            }
            10 => {
                let body = self.body(deeper);
                let handle = sedge::spawn(body);
                if dice.below(3) == 0 {
                    handle.cancel();
                }
                return handle.join().unwrap_or(Ok(()));
            }
            11 => {
                let body = self.body(deeper);
                let result = task::spawn_local(move || body().is_err()).join();
                return if matches!(result, Ok(true)) { Err(Failed) } else { Ok(()) };
            }
            12 => return timeout(dice.moment(), || self.act(dice, deeper)).unwrap_or(Ok(())),
            13 => {
                let token = CancelToken::new();
                self.0.tokens.lock().unwrap().push(token.child_token());
                self.0.tokens.lock().unwrap().push(token.clone());
                let result = token.run_until_cancelled(|| self.act(dice, deeper));
                return result.unwrap_or(Ok(()));
            }
            14 => return self.scope(dice, deeper),
            15 => return self.try_scope(dice, deeper),
            16 => self.join_set(dice, deeper),
            17 => task::shield(|| {
                sleep(dice.moment());
                let _ = timeout(dice.moment(), || self.act(dice, deeper));
            }),
            18 => task::no_park(|| sleep(dice.moment())),
            19 => drop(catch_unwind(AssertUnwindSafe(|| self.act(dice, deeper)))),
            20 if dice.below(4) == 0 => resume_unwind(Box::new("a panic of the program")),
            21 if dice.below(4) == 0 => return Err(Failed),
            22 => {
                LAST.set(Some(self.value(dice)));
                DEPTH.set(depth);
            }
            23 => self.supervise(dice, deeper),
            24 => {
                let handle = migrating().spawn(self.body(deeper)).unwrap();
                if dice.below(3) == 0 {
                    handle.cancel();
                }
                return handle.join().unwrap_or(Ok(()));
            }
            25 => return task::stay_home(|| self.act(dice, deeper)),
            26 => self.let_go_of_set(dice, deeper),
            27 => SPAWNS.set(Some(Spawns(self.clone(), deeper))),
            29..40 => {
                let talk = self.0.talk.lock().unwrap().clone();
                return talk.map_or(Ok(()), |talk| talk.step(self, dice, deeper));
            }
            _ => {
                let handle = sedge::spawn(task::yield_now);
                let value = self.value(dice);
                handle.on_exit(move |_| drop(value));
                drop(handle.join());
            }
        }
        Ok(())
    }

    fn with_one<T>(&self, dice: &mut Dice, all: &Mutex<Vec<T>>, f: impl FnOnce(&T)) {
        let all = all.lock().unwrap();
        if !all.is_empty() {
            f(&all[dice.below(all.len() as u64) as usize]);
        }
    }

    fn scope(&self, dice: &mut Dice, depth: usize) -> Outcome {
        let inside = AtomicUsize::new(0);
        let _end = Inside::none_after(&inside);
        sedge::scope(|s| {
            for _ in 0..dice.below(4) {
                let body = self.body(depth);
                let inside = &inside;
                let task = s.spawn(move || {
                    let _inside = Inside::enter(inside);
                    body()
                });
                match dice.below(6) {
                    0 => task.cancel(),
                    1 => drop(task.join()),
                    _ => {}
                }
            }
            self.act(dice, depth)
        })
    }

    fn try_scope(&self, dice: &mut Dice, depth: usize) -> Outcome {
        let inside = AtomicUsize::new(0);
        let _end = Inside::none_after(&inside);
        sedge::try_scope(|s| {
            for _ in 0..dice.below(4) {
                let body = self.body(depth);
                let inside = &inside;
                let task = s.spawn(move || {
                    let _inside = Inside::enter(inside);
                    body()
                });
                match dice.below(6) {
                    0 => task.cancel(),
                    1 => drop(task.join()),
                    _ => {}
                }
            }
            self.act(dice, depth)
        })
    }

    fn supervise(&self, dice: &mut Dice, depth: usize) {
        let inside = Arc::new(AtomicUsize::new(0));
        let _end = Inside::none_after(&inside);
        let strategies = [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne];
        let least = Duration::from_micros(300);
        let world = self.clone();
        let mut supervisor = Supervisor::new(strategies[dice.below(3) as usize])
            .intensity(dice.below(4) as u32, dice.moment())
            .backoff(least + dice.moment() / 100, dice.moment() / 100)
            .on_restart(move |_, _| match world.dice().below(9) {
                0 => resume_unwind(Box::new("a panic of the program")),
                1 => sleep(Duration::from_micros(50)),
                _ => {}
            });
        for _ in 0..dice.below(4) {
            let kinds = [Restart::Permanent, Restart::Transient, Restart::Temporary];
            let (world, inside) = (self.clone(), inside.clone());
            let value = Mutex::new(self.value(dice));
            supervisor = supervisor.child("child", kinds[dice.below(3) as usize], move || {
                let _inside = Inside::enter(&inside);
                assert!(Arc::ptr_eq(&value.lock().unwrap().world.0, &world.0));
                world.act(&mut world.dice(), depth).map_err(|Failed| "failed".into())
            });
        }
        drop(timeout(dice.moment() / 20, || supervisor.run()));
    }

    /// A set whose tasks are in the middle of something.
    fn let_go_of_set(&self, dice: &mut Dice, depth: usize) {
        let bodies = (0..dice.below(4)).map(|_| self.body(depth));
        let mut set: JoinSet<_> = bodies.collect();
        migrating().spawn_in_set(&mut set, self.body(depth)).unwrap();
        match dice.below(3) {
            0 => {
                set.detach_all();
                set.spawn(|| Ok(()));
                assert!(set.join_next().is_some() && set.join_next().is_none());
            }
            1 => drop(timeout(dice.moment(), || set.join_all())),
            _ => {}
        }
    }

    fn join_set(&self, dice: &mut Dice, depth: usize) {
        let mut set = JoinSet::new();
        for _ in 0..dice.below(4) {
            let body = self.body(depth);
            set.spawn(move || drop(body()));
        }
        for _ in 0..dice.below(6) {
            match dice.below(4) {
                0 => set.cancel_all(),
                1 => drop(set.try_join_next()),
                _ => drop(set.join_next()),
            }
        }
    }
}

fn migrating() -> task::Builder {
    // SAFETY: the steps hold nothing of a thread's over a wait.
    unsafe { task::Builder::new().migrating(true) }
}

/// A task inside a scope that its count belongs to.
struct Inside<'a>(&'a AtomicUsize, usize);

impl<'a> Inside<'a> {
    fn enter(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count, 1)
    }

    fn none_after(count: &'a AtomicUsize) -> Self {
        Self(count, 0)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let before = self.0.fetch_sub(self.1, Ordering::SeqCst);
        if self.1 == 0 && before != 0 {
            eprintln!("{before} tasks outlived their scope");
            std::process::abort();
        }
    }
}

fn play(seed: u64) -> Vec<(Option<task::TaskId>, u64)> {
    let world = World(Arc::new(Shared::default()));
    world.0.next_seed.store(seed, Ordering::SeqCst);
    *world.0.talk.lock().unwrap() = Some(Arc::new(Talk::new()));
    let played = world.clone();
    let result = catch_unwind(AssertUnwindSafe(|| {
        Builder::new().seed(seed).run(|| played.body(0)()).expect("it starts")
    }));
    if let Err(payload) = result {
        let expected = payload.is::<Cancelled>()
            || payload.downcast_ref() == Some(&"a panic of the program")
            || payload.downcast_ref() == Some(&"a task of the scope panicked, and was not joined");
        assert!(expected, "an unexpected panic");
    }
    // Those that were kept end with it.
    world.0.handles.lock().unwrap().clear();
    let talk = world.0.talk.lock().unwrap().take();
    // Where the messages' destructors may wait.
    let end = || talk.into_iter().for_each(|talk| talk.end());
    Builder::new().seed(seed).run(end).expect("it starts");
    assert_eq!(world.0.values.load(Ordering::SeqCst), 0, "every value is dropped");
    std::mem::take(&mut *world.0.log.lock().unwrap())
}

fn play_by_name(seed: u64) {
    struct Name(u64);

    impl Drop for Name {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("SEDGE_TEST_RANDOM_SEED={} fails", self.0);
            }
        }
    }

    let _name = Name(seed);
    bounded(move || drop(play(seed)));
}

#[test]
fn programs() {
    let number = |name| env::var(name).ok().map(|value| value.parse::<u64>().expect("a number"));
    if let Some(seed) = number("SEDGE_TEST_RANDOM_SEED") {
        return play_by_name(seed);
    }
    let time = Duration::from_secs(number("SEDGE_TEST_RANDOM_SECONDS").unwrap_or(2));
    let start = Instant::now();
    // Others each time: one more run is one more chance.
    let first = u64::from(std::process::id()) << 32;
    let played = (first..).take_while(|_| start.elapsed() < time).map(play_by_name).count();
    println!("{played} programs, from seed {first}");
}

#[test]
fn the_same_seed_plays_the_same_again() {
    bounded(|| {
        let mut steps = 0;
        for seed in 0..200 {
            let log = play(seed);
            steps += log.len();
            assert_eq!(log, play(seed), "seed {seed}");
        }
        assert!(steps > 1_000, "{steps} steps are no programs");
    });
}

#[test]
fn tasks_that_compute_change_nothing() {
    /// Six tasks that note their steps, each of which takes so long.
    fn steps(seed: u64, time: Duration) -> Vec<(usize, usize)> {
        let steps = Mutex::new(Vec::new());
        let take_steps = |task| {
            for step in 0..8 {
                steps.lock().unwrap().push((task, step));
                let start = Instant::now();
                while start.elapsed() < time {
                    std::hint::spin_loop();
                }
                sedge::spawn(task::yield_now).join().unwrap();
            }
        };
        let run =
            || sedge::scope(|s| (0..6).for_each(|task| drop(s.spawn(move || take_steps(task)))));
        Builder::new().seed(seed).run(run).expect("it starts");
        steps.into_inner().unwrap()
    }

    bounded(|| {
        for seed in 0..4 {
            assert_eq!(steps(seed, Duration::ZERO), steps(seed, Duration::from_millis(6)));
        }
    });
}

#[test]
fn a_token_is_looked_for_in_simulated_time() {
    bounded(|| {
        let wait = || {
            sleep(Duration::from_secs(3600));
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
            let source = Source::new(socket).expect("it is a socket");
            let soon = Some(Duration::from_millis(10));
            let read = || source.reading().timeout(soon).run(|s| s.recv(&mut [0]));
            // The thread waits, and looks for the token meanwhile.
            task::no_park(|| CancelToken::new().run_until_cancelled(read))
        };
        let result = Builder::new().seed(7).run(wait).expect("it starts");
        let error = result.expect("nobody cancels it").expect_err("nothing comes");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn with_a_seed_there_are_no_guests() {
    bounded(|| {
        let runtime = Builder::new().seed(7).build().expect("it starts");
        let error = runtime.run(|| ()).expect_err("its time would be another");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let slept = runtime.spawn(|| timeout(Duration::from_secs(3600), task::park));
        assert!(slept.join().expect("it returns").is_err());
    });
}

#[test]
fn no_time_is_skipped_while_the_pool_is_at_work() {
    bounded(|| {
        for seed in 0..4 {
            let wait = || {
                let sleeper = sedge::spawn(|| sleep(Duration::from_secs(36_000)));
                let start = sedge::time::now();
                for wait in 0..1_000 {
                    match wait % 10 {
                        0 => drop(sedge::blocking::resolve("localhost", 7)),
                        1 | 2 => sedge::blocking(|| std::thread::sleep(Duration::from_micros(100))),
                        _ => sedge::blocking(|| ()),
                    }
                }
                sleeper.cancel();
                sedge::time::now() - start
            };
            let took = Builder::new().seed(seed).run(wait).expect("it starts");
            assert!(took < HUNG, "{took:?} are over for the tasks");
        }
    });
}
