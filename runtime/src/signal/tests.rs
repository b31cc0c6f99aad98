//! Signals and stops. Each test that raises a signal has its own: handlers are the process's.
#![expect(unsafe_code, reason = "looks at a handler's stack; std has no `shutdown` for listeners")]
#![expect(clippy::disallowed_methods, reason = "plain threads sleep and yield here")]

use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::low_level::raise;

use super::*;
use crate::io::Source;
use crate::wait::WaitQueue;

const HUNG: Duration = Duration::from_secs(60);

#[track_caller]
fn wait_until(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < HUNG, "hung");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn smoke_in_a_task() {
    crate::run(|| {
        let signals = Signals::new([SIGUSR1]).unwrap();
        let receiver = crate::spawn(move || (signals.recv().unwrap(), signals));
        raise(SIGUSR1.as_raw()).unwrap();
        let (signal, signals) = receiver.join().unwrap();
        assert_eq!((signal, signals.try_recv()), (SIGUSR1, None));
    });
}

#[test]
fn smoke_on_a_thread() {
    let signals = Signals::new([SIGUSR2]).unwrap();
    for _ in 0..100 {
        raise(SIGUSR2.as_raw()).unwrap();
        assert_eq!(signals.recv_timeout(HUNG).unwrap(), SIGUSR2);
    }
    let error = signals.recv_timeout(Duration::from_millis(1)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[test]
fn every_stream_sees_every_signal() {
    let streams: Vec<_> = (0..4).map(|_| Signals::new([SIGWINCH, SIGIO]).unwrap()).collect();
    crate::run(|| {
        crate::task::yield_now();
        raise(SIGIO.as_raw()).unwrap();
        raise(SIGWINCH.as_raw()).unwrap();
        for stream in &streams {
            let mut both: Vec<_> = stream.iter().take(2).collect();
            both.sort_unstable();
            assert_eq!(both, [SIGWINCH, SIGIO]);
            assert_eq!(stream.try_recv(), None);
        }
    });
    assert_eq!(Signals::new([SIGIO]).unwrap().try_recv(), None, "it came before");
}

#[test]
fn two_waiters_on_a_stream_share_its_signals() {
    let stream = Signals::new([SIGCONT]).unwrap();
    let got = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                assert_eq!(stream.recv_timeout(HUNG).unwrap(), SIGCONT);
                got.fetch_add(1, Ordering::SeqCst);
            });
        }
        for n in 1..=2 {
            raise(SIGCONT.as_raw()).unwrap();
            wait_until(|| got.load(Ordering::SeqCst) == n);
        }
    });
    assert_eq!(stream.try_recv(), None);
}

#[test]
fn ctrl_c_waits_for_the_next() {
    let keep = Signals::new([SIGINT]).unwrap();
    raise(SIGINT.as_raw()).unwrap();
    keep.recv_timeout(HUNG).unwrap();
    let waiter = thread::spawn(ctrl_c);
    // Whether it has begun to wait cannot be seen from here.
    while !waiter.is_finished() {
        raise(SIGINT.as_raw()).unwrap();
        thread::yield_now();
    }
    waiter.join().unwrap().unwrap();
}

#[test]
fn refuses_what_cannot_be_handled() {
    let fatal = [libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV, libc::SIGBUS, libc::SIGILL];
    for number in fatal.into_iter().chain([libc::SIGFPE, 0, -1, 32, 33, 65, i32::MAX]) {
        let error = Signals::new([Signal::from_raw(number)]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{number}");
    }
    let told = Signals::new([libc::SIGUSR1, libc::SIGKILL]).unwrap_err().to_string();
    assert_eq!(told, "cannot wait for SIGKILL: no process can handle it");
    assert!(Signals::new([] as [Signal; 0]).is_err());
    assert!(Signals::new([libc::SIGRTMIN()]).is_ok());
}

#[test]
fn handlers_keep_off_the_stacks_of_tasks() {
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    let signal = libc::SIGRTMIN() + 1;
    let _signals = Signals::new([signal]).unwrap();
    let look = || {
        let here = 0_u8;
        SEEN.store((&raw const here).addr(), Ordering::SeqCst);
    };
    // SAFETY: it does nothing but store.
    unsafe { signal_hook::low_level::register(signal, look) }.unwrap();
    crate::run(|| {
        let task = crate::task::Builder::new().stack_size(32 << 10).spawn(move || {
            let here = 0_u8;
            raise(signal).unwrap();
            (&raw const here).addr()
        });
        let task_stack = task.unwrap().join().unwrap();
        assert!(SEEN.load(Ordering::SeqCst).abs_diff(task_stack) > 32 << 10);
    });
}

#[test]
fn a_parked_receiver_is_cancelled() {
    let task = crate::run(|| {
        let signals = Signals::new([SIGTTOU]).unwrap();
        let task = crate::spawn(move || signals.recv());
        crate::task::yield_now();
        task
    });
    assert!(task.join().unwrap_err().is::<crate::task::Cancelled>());
}

/// The unwind is a panic's, and the cancellation comes when a destructor waits already.
#[test]
fn a_cancellation_ends_a_receiver_that_waits_in_mid_unwind() {
    struct Receive {
        in_no_park: bool,
        waits: Arc<AtomicBool>,
        refused: Arc<AtomicUsize>,
    }

    impl Drop for Receive {
        fn drop(&mut self) {
            let signals = Signals::new([SIGTTOU]).unwrap();
            self.waits.store(true, Ordering::SeqCst);
            let received = match self.in_no_park {
                true => crate::task::no_park(|| signals.recv()),
                false => signals.recv(),
            };
            if received.is_err_and(|error| error.kind() == io::ErrorKind::Other) {
                self.refused.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    for in_no_park in [false, true] {
        let runtime = crate::runtime::Builder::new().workers(1).build().unwrap();
        let (waits, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let receive = Receive { in_no_park, waits: waits.clone(), refused: refused.clone() };
        let task = runtime.spawn(move || {
            let _receive = receive;
            std::panic::resume_unwind(Box::new("on its way out"));
        });
        wait_until(|| waits.load(Ordering::SeqCst));
        if !in_no_park {
            // The one worker runs another task: the first has parked.
            runtime.spawn(|| ()).join().unwrap();
        }
        assert_eq!(runtime.shutdown_timeout(HUNG), 0, "tasks were abandoned");
        assert_eq!(refused.load(Ordering::SeqCst), 1);
        assert!(!task.join().unwrap_err().is::<crate::task::Cancelled>());
    }
}

/// A wait as a listener's: it ends with a connection, or with an error when it is interrupted.
#[derive(Debug, Default)]
struct Door {
    shut: AtomicBool,
    interrupts: AtomicUsize,
    waiters: WaitQueue,
}

impl Door {
    fn accept(&self) -> io::Result<()> {
        let shut = || self.shut.load(Ordering::SeqCst).then_some(());
        self.waiters.wait_until(None, shut).unwrap();
        Err(io::ErrorKind::InvalidInput.into())
    }
}

impl Interrupt for Door {
    fn interrupt(&self) {
        self.interrupts.fetch_add(1, Ordering::SeqCst);
        self.shut.store(true, Ordering::SeqCst);
        self.waiters.wake_all();
    }
}

#[test]
fn a_stop_ends_waits_for_new_work_and_waits_for_open_work() {
    const CONNECTIONS: usize = 200;
    crate::run(|| {
        let stop = Graceful::new();
        let served: Vec<_> = (0..CONNECTIONS)
            .map(|busy| {
                let open = stop.guard();
                crate::spawn(move || {
                    let door = Door::default();
                    if busy % 2 == 0 {
                        open.wait_for_stop();
                    }
                    assert_eq!(open.until(&door, || door.accept()).unwrap(), None);
                    (door.interrupts.into_inner(), open.is_stopping())
                })
            })
            .collect();
        assert_eq!(stop.wait(Duration::ZERO).unwrap_err().count(), CONNECTIONS);
        crate::task::yield_now();
        stop.stop();
        stop.stop();
        stop.wait(HUNG).unwrap();
        for task in served {
            let (interrupts, stopping) = task.join().unwrap();
            assert!(interrupts <= 1 && stopping);
        }
    });
}

#[test]
fn a_stop_interrupts_a_parked_wait_once() {
    let (door, stop) = (Door::default(), Graceful::new());
    crate::run(|| {
        thread::scope(|scope| {
            scope.spawn(|| {
                wait_until(|| door.waiters.has_waiters());
                stop.stop();
            });
            assert_eq!(stop.until(&door, || door.accept()).unwrap(), None);
        });
    });
    assert_eq!(door.interrupts.into_inner(), 1);
}

/// How the net crate's types end their waits.
#[derive(Debug)]
struct Socket<T: AsFd>(Source<T>);

impl<T: AsFd + Sync> Interrupt for Socket<T> {
    fn interrupt(&self) {
        // SAFETY: it is given no memory.
        assert_eq!(unsafe { libc::shutdown(self.0.as_fd().as_raw_fd(), libc::SHUT_RD) }, 0);
    }
}

#[test]
fn a_stop_ends_a_parked_accept_and_idle_connections() {
    const IDLE: usize = 3;
    crate::run(|| {
        let stop = Graceful::new();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let listener = Socket(Source::new(listener).unwrap());
        let clients: Vec<_> = (0..IDLE).map(|_| TcpStream::connect(address).unwrap()).collect();
        let stopping = stop.clone();
        let mut accepted = 0;
        while let Some((conn, _)) =
            stop.until(&listener, || listener.0.read_with(TcpListener::accept)).unwrap()
        {
            let open = stop.guard();
            crate::spawn(move || {
                let conn = Socket(Source::new(conn).unwrap());
                let mut byte = [0];
                let read = || conn.0.read_with(|mut conn| conn.read(&mut byte));
                assert!(matches!(open.until(&conn, read).unwrap(), None | Some(0)));
            });
            accepted += 1;
            if accepted == IDLE {
                // By the time that it runs, this task is parked in `accept`, and the others in
                // their reads; or it comes first. Both have to do.
                let stopping = stopping.clone();
                crate::spawn(move || stopping.stop());
            }
        }
        assert_eq!(accepted, IDLE);
        stop.wait(HUNG).unwrap();
        for mut client in clients {
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
        }
    });
}

#[test]
fn until_gives_results_and_errors_as_they_are() {
    let (door, stop) = (Door::default(), Graceful::new());
    assert_eq!(stop.until(&door, || Ok(7)).unwrap(), Some(7));
    let error = stop.until(&door, || Err::<(), _>(io::ErrorKind::BrokenPipe.into())).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    let last = stop.until(&door, || {
        stop.stop();
        Ok("came in the last moment")
    });
    assert_eq!(last.unwrap(), Some("came in the last moment"));
    assert_eq!(stop.until(&door, || -> io::Result<()> { unreachable!() }).unwrap(), None);
}

#[test]
fn a_wait_that_was_left_is_interrupted_no_more() {
    let (door, stop) = (Door::default(), Graceful::new());
    stop.until(&door, || Ok(())).unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _ = stop.until(&door, || -> io::Result<()> {
            std::panic::resume_unwind(Box::new("out"));
        });
    }));
    assert!(panicked.is_err());
    stop.stop();
    assert_eq!(door.interrupts.into_inner(), 0);
}

/// A target whose interruption panics, with its number, after it was counted.
struct Trap<'a> {
    number: usize,
    told: &'a AtomicUsize,
}

impl Interrupt for Trap<'_> {
    fn interrupt(&self) {
        self.told.fetch_add(1, Ordering::SeqCst);
        std::panic::resume_unwind(Box::new(self.number));
    }
}

/// More targets than a batch, in every shard, and all of them panic; a second stop tells nobody.
#[test]
fn a_panic_in_an_interrupt_keeps_the_stop_from_no_other() {
    // As many as a thread's stack holds, in frames that are larger under the sanitizer.
    const TRAPS: usize = if cfg!(sedge_asan) { 400 } else { 2000 };
    let (stop, told) = (Graceful::new(), AtomicUsize::new(0));
    let (begun, begins) = mpsc::channel();
    // Not scoped: if it waits for ever, this test is to fail, not to hang.
    let waiter = thread::spawn({
        let stop = stop.clone();
        move || {
            begun.send(()).unwrap();
            stop.wait_for_stop();
        }
    });
    begins.recv().unwrap();
    let traps: Vec<_> = (0..TRAPS).map(|number| Trap { number, told: &told }).collect();
    // Each waits in the wait of the one before.
    let mut stops: Box<dyn FnOnce() -> io::Result<()> + '_> = Box::new(|| {
        stop.stop();
        Ok(())
    });
    for trap in &traps {
        let (stop, inside) = (&stop, stops);
        stops = Box::new(move || stop.until(trap, inside).map(drop));
    }
    let payload = catch_unwind(AssertUnwindSafe(stops)).unwrap_err();
    assert!(payload.is::<usize>());
    assert_eq!(told.load(Ordering::SeqCst), TRAPS);
    wait_until(|| waiter.is_finished());
    stop.stop();
    assert_eq!(told.into_inner(), TRAPS);
}

#[test]
fn stampede_of_waits_into_a_stop() {
    for _ in 0..100 {
        let stop = Graceful::new();
        let rounds = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let doors: Vec<_> = (0..50).map(|_| Door::default()).collect();
                    for door in &doors {
                        let _open = stop.guard();
                        rounds.fetch_add(1, Ordering::SeqCst);
                        if stop.until(door, || Ok(())).unwrap().is_none() {
                            return;
                        }
                        if stop.until(door, || door.accept_unless(&stop)).unwrap().is_none() {
                            return;
                        }
                    }
                });
            }
            wait_until(|| rounds.load(Ordering::SeqCst) >= 4);
            stop.stop();
            stop.wait(HUNG).unwrap();
        });
    }
}

impl Door {
    /// Waits only when the stop has begun, or is about to.
    fn accept_unless(&self, stop: &Graceful) -> io::Result<()> {
        if stop.is_stopping() { self.accept() } else { Ok(()) }
    }
}

#[test]
fn a_signal_stops_and_a_second_one_ends_the_process() {
    use std::os::unix::process::ExitStatusExt;

    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "--test-threads=1", "--nocapture"]).env("SEDGE_TEST_CHILD", "1");
    let output = child.arg("signal::tests::child_that_is_signalled_twice").output().unwrap();
    assert_eq!(output.status.signal(), Some(libc::SIGTERM), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("stopped, not ended"), "{output:?}");
}

/// The child of [`a_signal_stops_and_a_second_one_ends_the_process`]; nothing on its own.
#[test]
fn child_that_is_signalled_twice() {
    if std::env::var_os("SEDGE_TEST_CHILD").is_none() {
        return;
    }
    crate::run(|| {
        let stop = Graceful::new();
        let _open = stop.guard();
        stop.on_signals([SIGHUP, SIGTERM]).unwrap();
        raise(SIGHUP.as_raw()).unwrap();
        stop.wait_for_stop();
        eprintln!("stopped, not ended");
        raise(SIGTERM.as_raw()).unwrap();
        let _ = stop.wait(HUNG);
    });
}
