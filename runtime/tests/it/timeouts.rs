//! Limits on time around a stretch of code, in tasks and on plain threads.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use corosensei::stack::{Stack, StackPointer};
use corosensei::{Coroutine, Yielder};
use sedge::io::Source;
use sedge::task::{self, Cancelled};
use sedge::time::{Elapsed, sleep, timeout, timeout_at};
use sedge_runtime as sedge;

use crate::support::{Count, OnDrop, bounded, child, everywhere, is_child, output_of, runtime};

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(3600);

#[test]
fn what_is_done_in_time_is_returned() {
    everywhere(|| {
        assert_eq!(timeout(LONG, || 7), Ok(7));
        assert_eq!(timeout(Duration::ZERO, || 7), Ok(7), "it never waits");
        assert_eq!(timeout(Duration::MAX, || 7), Ok(7));
        assert_eq!(timeout(LONG, || sleep(Duration::from_micros(50))), Ok(()));
    });
}

#[test]
fn every_wait_is_ended() {
    everywhere(|| {
        let start = Instant::now();
        assert!(timeout(SHORT, || sleep(LONG)).is_err());
        assert!(start.elapsed() >= SHORT);
        assert!(timeout(SHORT, task::park).is_err());
        assert!(timeout(SHORT, || task::park_timeout(LONG)).is_err());
        assert!(timeout(SHORT, || sedge::spawn(task::park).join()).is_err());
        assert!(timeout(SHORT, || task::block_on(std::future::pending::<()>())).is_err());
        let (a, _b) = UnixStream::pair().unwrap();
        let a = Source::new(a).unwrap();
        assert!(timeout(SHORT, || a.readable()).is_err());
        assert!(timeout(SHORT, || a.reading().timeout(Some(LONG)).ready()).is_err());
        assert!(timeout(SHORT, yield_for_ever).is_err());
    });
}

fn yield_for_ever() {
    loop {
        task::yield_now();
    }
}

#[test]
fn a_limit_of_the_wait_itself_comes_first() {
    everywhere(|| {
        let (a, _b) = UnixStream::pair().unwrap();
        let a = Source::new(a).unwrap();
        let read = timeout(LONG, || a.reading().timeout(Some(SHORT)).ready());
        assert_eq!(read.unwrap().unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(timeout(LONG, || task::park_timeout(SHORT)), Ok(()));
    });
}

#[test]
fn the_earlier_of_two_is_caught_by_its_own_frame() {
    everywhere(|| {
        let inner_first = timeout(LONG, || timeout(SHORT, task::park));
        assert!(inner_first.unwrap().is_err());
        let after = Arc::new(AtomicBool::new(false));
        let outer_first = timeout(SHORT, || {
            let _ = timeout(LONG, task::park);
            after.store(true, Ordering::Relaxed);
        });
        assert!(outer_first.is_err());
        assert!(!after.load(Ordering::Relaxed), "the inner one's caller does not go on");
    });
}

/// Both are over when the hog looks up; the one that was due first is told first.
#[test]
fn of_two_that_are_over_the_earlier_is_told_first() {
    everywhere(|| {
        let start = Instant::now();
        let until = |ms| start + Duration::from_millis(ms);
        let hog = || {
            while Instant::now() < until(6) {}
            task::check();
        };
        let inner = Count::new();
        let outer = timeout_at(until(4), || {
            assert!(timeout_at(until(2), hog).is_err());
            inner.add();
            task::check();
        });
        assert!(outer.is_err());
        assert_eq!(inner.get(), 1);
        let outer = timeout_at(until(2), || {
            let _ = timeout_at(until(4), hog);
            inner.add();
        });
        assert!(outer.is_err());
        assert_eq!(inner.get(), 1);
    });
}

#[test]
fn a_panic_goes_through() {
    everywhere(|| {
        let caught = catch_unwind(|| timeout(LONG, || std::panic::resume_unwind(Box::new(7_u8))));
        assert_eq!(*caught.unwrap_err().downcast::<u8>().unwrap(), 7);
        assert_eq!(timeout(LONG, || 1), Ok(1));
    });
}

#[test]
fn what_is_swallowed_is_told_again() {
    everywhere(|| {
        let told = Count::new();
        let result = timeout(SHORT, || {
            for _ in 0..3 {
                let payload = catch_unwind(task::park).unwrap_err();
                assert!(payload.is::<Cancelled>());
                told.add();
            }
            sleep(LONG);
        });
        assert!(result.is_err());
        assert_eq!(told.get(), 3);
    });
}

/// A payload that was kept belongs to no later frame, though that may lie at the same address.
#[test]
fn a_kept_payload_is_no_later_timeouts() {
    everywhere(|| {
        fn frame(f: &mut dyn FnMut()) -> Result<(), Elapsed> {
            timeout(SHORT, f)
        }
        let mut kept = None;
        let swallow = &mut || kept = catch_unwind(task::park).err();
        assert!(frame(swallow).is_ok());
        let raise = || frame(&mut || std::panic::resume_unwind(kept.take().unwrap()));
        let caught = catch_unwind(AssertUnwindSafe(raise));
        assert!(caught.unwrap_err().is::<Cancelled>());
    });
}

#[test]
fn shields_hold_back_what_is_outside_them() {
    everywhere(|| {
        let done = Count::new();
        let result = timeout(SHORT, || {
            task::shield(|| {
                sleep(4 * SHORT);
                done.add();
                assert!(task::is_cancelled());
                task::check();
                assert!(timeout(SHORT, task::park).is_err(), "this one is inside");
                done.add();
            });
            task::check();
            done.add();
        });
        assert!(result.is_err());
        assert_eq!(done.get(), 2);
    });
}

#[test]
fn inside_no_park_too() {
    everywhere(|| {
        let done = Count::new();
        let result = timeout(SHORT, || {
            task::no_park(|| {
                sleep(2 * SHORT);
                done.add();
                assert!(timeout(SHORT, || sleep(LONG)).is_err());
                let (a, _b) = UnixStream::pair().unwrap();
                let a = Source::new(a).unwrap();
                assert!(timeout(SHORT, || a.readable()).is_err());
                assert!(timeout(SHORT, yield_for_ever).is_err());
                done.add();
            });
            task::park();
        });
        assert!(result.is_err());
        assert_eq!(done.get(), 2);
    });
}

#[test]
fn blocking_is_waited_for() {
    bounded(|| {
        sedge::run(|| {
            let done = Count::new();
            let result = timeout(SHORT, || {
                sedge::blocking(|| {
                    thread::sleep(4 * SHORT);
                    done.add();
                });
                task::park();
            });
            assert!(result.is_err());
            assert_eq!(done.get(), 1);
        });
    });
}

/// What the pool computes for a task can look whether it is still wanted, and end.
#[test]
fn blocking_sees_the_timeout_of_its_task() {
    bounded(|| {
        sedge::run(|| {
            let compute = || while !task::is_cancelled() {};
            assert!(timeout(SHORT, || sedge::blocking(compute)).is_ok(), "it has returned");
            let endless = || -> () {
                loop {
                    task::check();
                }
            };
            assert!(timeout(SHORT, || sedge::blocking(endless)).is_err());
            let own = || timeout(SHORT, || sleep(LONG));
            assert!(timeout(LONG, || sedge::blocking(own)).unwrap().is_err());
            let shielded = || task::shield(|| sedge::blocking(task::check));
            assert!(timeout(Duration::ZERO, shielded).is_ok());
        });
    });
}

/// The root task of a runtime in there is a part of the closure, its other tasks are not.
#[test]
fn a_runtime_in_blocking() {
    bounded(|| {
        sedge::run(|| {
            let swallowed = Count::new();
            let in_blocking = || {
                let run = sedge::runtime::Builder::new().workers(1).run(|| {
                    while !task::is_cancelled() {}
                    let other = sedge::spawn(|| {
                        task::check();
                        task::is_cancelled()
                    });
                    assert!(!other.join().unwrap());
                    swallowed.add();
                    task::check();
                });
                run.unwrap();
            };
            assert!(timeout(SHORT, || sedge::blocking(in_blocking)).is_err());
            assert_eq!(swallowed.get(), 1);
        });
    });
}

/// A loop that never has to wait is ended all the same.
#[test]
fn a_busy_loop_of_calls_is_ended() {
    everywhere(|| {
        let (a, b) = UnixStream::pair().unwrap();
        let (a, b) = (Source::new(a).unwrap(), Source::new(b).unwrap());
        let ping = || -> io::Result<()> {
            loop {
                a.write_with(|mut s| s.write(b"."))?;
                b.read_with(|mut s| io::Read::read(&mut s, &mut [0]))?;
            }
        };
        assert!(timeout(SHORT, ping).is_err());
    });
    bounded(|| {
        sedge::run(|| {
            let yields = || -> () {
                loop {
                    task::yield_now();
                }
            };
            assert!(timeout(SHORT, yields).is_err());
        });
    });
}

#[test]
fn a_buffered_writer_over_a_stuck_peer() {
    everywhere(|| {
        struct Writer<'a>(&'a Source<UnixStream>);

        impl Write for Writer<'_> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.write_with(|mut s| s.write(bytes))
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let (a, _stuck) = UnixStream::pair().unwrap();
        let a = Source::new(a).unwrap();
        let result = timeout(SHORT, || -> io::Result<()> {
            let mut writer = BufWriter::with_capacity(1 << 20, Writer(&a));
            loop {
                // Unwound here, and flushed by the destructor, which would wait for ever.
                writer.write_all(&[0; 100_000])?;
            }
        });
        assert!(result.is_err());
    });
}

/// In mid-unwind of an ordinary panic the operations that can return an error are limited, too.
#[test]
fn in_the_destructors_of_a_panic() {
    everywhere(|| {
        let (a, _b) = UnixStream::pair().unwrap();
        let a = Source::new(a).unwrap();
        let kinds = Arc::new(std::sync::Mutex::new(Vec::new()));
        let caught = catch_unwind(AssertUnwindSafe(|| {
            timeout(SHORT, || {
                let _wait = OnDrop(|| {
                    kinds.lock().unwrap().push(a.readable().unwrap_err().kind());
                    sleep(SHORT); // Waits as long as it was told to.
                });
                std::panic::resume_unwind(Box::new(()));
            })
        }));
        assert!(caught.is_err(), "the panic goes on");
        assert_eq!(*kinds.lock().unwrap(), [ErrorKind::TimedOut]);
    });
}

#[test]
fn around_a_whole_runtime() {
    bounded(|| {
        let ended = Count::new();
        let result = timeout(SHORT, || {
            sedge::run(|| {
                let _end = OnDrop(|| ended.add());
                sedge::spawn(task::park);
                task::park();
            });
        });
        assert!(result.is_err());
        assert_eq!(ended.get(), 1);
        let runtime = runtime(1);
        assert!(timeout(SHORT, || runtime.run(|| sleep(LONG))).is_err());
        assert_eq!(runtime.run(|| 3).unwrap(), 3);
    });
}

/// Stacks of another crate's let frames cross, in safe code: no frame is used that is gone.
#[test]
fn frames_that_cross_end_the_process() {
    if !is_child("timeouts::frames_that_cross_end_the_process") {
        let output = output_of(&mut child("timeouts::frames_that_cross_end_the_process"));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{stderr}");
        assert!(stderr.contains("in another order"), "{stderr}");
        return;
    }
    /// Never freed.
    struct Leaked(StackPointer);

    impl Leaked {
        const BYTES: usize = 256 << 10;

        fn new() -> Self {
            let memory = vec![0_u128; Self::BYTES / size_of::<u128>()].leak();
            Self(StackPointer::new(memory.as_ptr_range().end.addr()).unwrap())
        }
    }

    // SAFETY: nothing else uses this memory, and what runs on it here is shallow.
    unsafe impl Stack for Leaked {
        fn base(&self) -> StackPointer {
            self.0
        }

        fn limit(&self) -> StackPointer {
            StackPointer::new(self.0.get() - Self::BYTES).unwrap()
        }
    }

    let mut inner = Coroutine::with_stack(Leaked::new(), |yielder: &Yielder<(), ()>, ()| {
        let _ = timeout(LONG, || yielder.suspend(()));
    });
    inner.resume(());
    let _ = timeout(LONG, || inner.resume(()));
    let _ = timeout(SHORT, task::park);
}

/// Many at once, each nested in another, all due within a moment.
#[test]
fn a_crowd_times_out() {
    const TASKS: usize = 2_000;
    bounded(|| {
        sedge::run(|| {
            let spawn = |n: usize| {
                sedge::spawn(move || {
                    let inner = Duration::from_micros((n % 7 * 500) as u64);
                    let outer = Duration::from_micros((n % 5 * 700) as u64);
                    timeout(outer, || timeout(inner, task::park).is_err())
                })
            };
            let tasks: Vec<_> = (0..TASKS).map(spawn).collect();
            let results = tasks.into_iter().map(|task| task.join().unwrap());
            // None parks for ever, and an inner timeout is never taken for the outer one.
            assert!(results.flatten().all(|inner_ended| inner_ended));
        });
    });
}

/// Sleeps that events end, again and again: the deadline that they all have is left to the worker's
/// alarm, and comes in time nevertheless. So does an earlier one, and a later one.
#[test]
fn a_deadline_that_outlasts_many_sleeps() {
    on_the_worker(|| {
        let busy = sedge::spawn(|| while timeout(LONG, task::park).is_ok() {});
        let task = busy.task();
        let done = Arc::new(AtomicBool::new(false));
        let unparker = thread::spawn({
            let done = done.clone();
            move || {
                while !done.load(Ordering::Relaxed) {
                    task.unpark();
                    thread::sleep(Duration::from_micros(200));
                }
            }
        });
        for milliseconds in [60, 20, 90, 1] {
            let limit = Duration::from_millis(milliseconds);
            let start = Instant::now();
            assert!(timeout(limit, task::park).is_err());
            assert!(start.elapsed() >= limit);
            assert!(timeout(limit, || timeout(LONG, || sleep(limit / 4))).is_ok());
        }
        done.store(true, Ordering::Relaxed);
        unparker.join().unwrap();
        busy.cancel();
        assert!(busy.join().is_err());
    });
}

/// The alarm rings while nothing else happens.
#[test]
fn an_alarm_that_is_all_there_is() {
    on_the_worker(|| {
        let waiting = sedge::spawn(|| timeout(Duration::from_millis(50), task::park));
        let (this, unparks) = (task::current(), Count::new());
        // Two sleeps that end early, of which the second sets the alarm, and one more.
        let unparker = thread::spawn({
            let unparks = unparks.clone();
            move || {
                for _ in 0..3 {
                    thread::sleep(Duration::from_millis(5));
                    unparks.add();
                    this.unpark();
                }
            }
        });
        while unparks.get() < 3 {
            task::park();
        }
        assert!(waiting.join().unwrap().is_err());
        unparker.join().unwrap();
    });
}

/// Runs `f` in a task on the only worker of a runtime.
fn on_the_worker(f: impl FnOnce() + Send + 'static) {
    bounded(|| runtime(1).run(|| sedge::spawn(f).join().unwrap()).unwrap());
}
