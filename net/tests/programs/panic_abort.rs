//! What is left of the runtime's promises under `panic = "abort"`, where nothing can unwind: tasks
//! run and talk, and at the end those that still wait are abandoned without destructors; a runtime
//! without tasks leaves nothing behind. Not an example, but built as one: the test harness unwinds.
//! Started by `ci/panic-abort.sh`.
#![expect(clippy::print_stdout, reason = "how it answers the gate")]

use std::fs;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sedge::runtime::Builder;
use sedge::supervisor::{Restart, Strategy, Supervisor};
use sedge::task::{self, CancelToken, Cancelled};
use sedge::time::timeout;
use sedge_net::{TcpListener, TcpStream};
use sedge_runtime as sedge;

const CLIENTS: usize = 20;
const ROUNDS: usize = 50;
const WAITING: usize = 300;

static STARTED: AtomicUsize = AtomicUsize::new(0);
static DROPPED: AtomicUsize = AtomicUsize::new(0);

fn main() -> io::Result<()> {
    if !cfg!(panic = "abort") {
        return Err(io::Error::other(
            "to be built with `panic = \"abort\"`: see ci/panic-abort.sh",
        ));
    }
    if std::env::args().nth(1).as_deref() == Some("panic") {
        let task = task::Builder::new().name("doomed");
        let _ = sedge::run(|| task.spawn(|| panic!("of a task"))?.join().map_err(|_| panicked()));
        return Err(io::Error::other("a panic did not abort"));
    }
    level_off()?;
    Builder::new().workers(2).run(|| refused(&TcpListener::bind("127.0.0.1:0")?))??;
    println!("what is cancelled or late returns an error");
    // The calling thread's worker alone, then others too: both ways `run` has to come back.
    for workers in [1, 3] {
        let echoed = Builder::new().workers(workers).run(served_among_waiting_tasks)??;
        println!("{workers} workers: echoed {echoed}, and run has returned");
    }
    // Tasks that nobody has started yet when the root returns.
    for _ in 0..100 {
        Builder::new()
            .workers(3)
            .run(|| (0..WAITING).for_each(|_| _ = sedge::spawn(task::park)))?;
    }
    println!("100 times: fresh tasks, and run has returned");
    let runtime = Builder::new().workers(2).build()?;
    runtime.spawn(spawn_waiting).join().map_err(|_| panicked())?;
    let abandoned = runtime.shutdown_timeout(Duration::from_secs(20));
    println!("abandoned {abandoned} of {WAITING}");
    println!("started {}, dropped {}", count(&STARTED), count(&DROPPED));
    Ok(())
}

/// What would be unwound returns an error where it can, and what has not begun is dropped.
fn refused(listener: &TcpListener) -> io::Result<()> {
    let (moment, silent) = (Duration::from_millis(5), TcpStream::connect(listener.local_addr()?)?);
    let (mut stream, _) = listener.accept()?;
    let mut read = || stream.read(&mut [0; 8]).map_err(|error| error.kind());
    expect("a read in a timeout", timeout(moment, &mut read).is_err())?;
    let token = CancelToken::new();
    let cancelled = token.run_until_cancelled(|| {
        token.cancel();
        read()
    });
    expect("a read under a token", cancelled.is_err())?;
    let ended = timeout(moment, || sedge::spawn(task::park).join().is_err());
    expect("a join in a timeout", ended.is_err())?;
    let inner = timeout(Duration::from_secs(3600), || timeout(moment, &mut read));
    expect("the inner of two", inner.is_ok_and(|inner| inner.is_err()))?;
    let shielded = timeout(moment, || {
        task::shield(|| sedge::time::sleep(4 * moment));
        7
    });
    expect("a shielded wait", shielded == Ok(7))?;

    let reader = sedge::spawn(move || stream.read(&mut [0; 8]).map_err(|error| error.kind()));
    reader.cancel();
    let result = reader.join();
    // Either it had not begun, or the read was refused.
    expect(
        "a cancelled reader",
        result.map_or_else(|e| e.is::<Cancelled>(), |read| read.is_err()),
    )?;
    let dropped = Arc::new(());
    let fresh = sedge::spawn({
        let dropped = dropped.clone();
        move || {
            task::yield_now();
            drop(dropped);
        }
    });
    fresh.cancel();
    let _ = fresh.join();
    expect("what a task captured is dropped", Arc::strong_count(&dropped) == 1)?;
    let failed = sedge::try_scope(|scope| {
        scope.spawn(|| listener.accept().map(drop));
        scope.spawn(|| Err::<(), _>(io::Error::other("first")));
        listener.accept().map(drop)
    });
    let is_first = failed.is_err_and(|error| error.to_string() == "first");
    expect("a scope that fails", is_first)?;
    let starts = Arc::new(AtomicUsize::new(0));
    let failing = {
        let starts = starts.clone();
        move || match starts.fetch_add(1, Ordering::Relaxed) {
            0 => Err("the first time".into()),
            _ => Ok(()),
        }
    };
    let supervisor = Supervisor::new(Strategy::OneForOne)
        .child("failing", Restart::Transient, failing)
        .child("steady", Restart::Transient, {
            let starts = starts.clone();
            move || {
                while starts.load(Ordering::Relaxed) < 2 {
                    sedge::time::sleep(moment);
                }
                Ok(())
            }
        });
    expect("a supervisor", supervisor.run().is_ok() && count(&starts) == 2)?;
    drop(silent);
    Ok(())
}

fn expect(what: &str, holds: bool) -> io::Result<()> {
    if holds { Ok(()) } else { Err(io::Error::other(format!("not as it should be: {what}"))) }
}

/// A runtime whose tasks have all ended takes its threads and mappings along.
fn level_off() -> io::Result<()> {
    start_and_end(20)?;
    let before = held()?;
    start_and_end(100)?;
    // Caches may still be filling up, and for a moment the kernel lists threads that have ended.
    let is_level = |now: Held| now.threads <= before.threads && now.mappings < before.mappings + 50;
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_level(held()?) {
        if Instant::now() > deadline {
            return Err(io::Error::other(format!("{before:?} became {:?}", held()?)));
        }
        sedge::time::sleep(Duration::from_millis(1));
    }
    println!("100 runtimes: threads and mappings have levelled off");
    Ok(())
}

/// Half of them with `run`, half of them kept for a while.
fn start_and_end(runtimes: usize) -> io::Result<()> {
    for _ in 0..runtimes / 2 {
        let builder = Builder::new().workers(2);
        builder.clone().run(|| sedge::spawn(|| ()).join())?.map_err(|_| panicked())?;
        builder.build()?.spawn(|| ()).join().map_err(|_| panicked())?;
    }
    Ok(())
}

/// What this process has of what a runtime takes.
#[derive(Debug)]
struct Held {
    threads: usize,
    mappings: usize,
}

fn held() -> io::Result<Held> {
    Ok(Held {
        threads: fs::read_dir("/proc/self/task")?.count(),
        mappings: fs::read_to_string("/proc/self/maps")?.lines().count(),
    })
}

fn served_among_waiting_tasks() -> io::Result<usize> {
    spawn_waiting();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = sedge::spawn(move || -> io::Result<()> {
        for _ in 0..CLIENTS {
            let (stream, _) = listener.accept()?;
            sedge::spawn(move || echo(stream));
        }
        Ok(())
    });
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            sedge::spawn(move || -> io::Result<usize> { ask(TcpStream::connect(address)?, n) })
        })
        .collect();
    server.join().map_err(|_| panicked())??;
    clients.into_iter().map(|client| client.join().map_err(|_| panicked())?).sum()
}

fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 64];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n])?,
        }
    }
}

/// Returns how many messages came back.
fn ask(mut stream: TcpStream, n: usize) -> io::Result<usize> {
    for round in 0..ROUNDS {
        let message = [n as u8, round as u8, 7];
        stream.write_all(&message)?;
        let mut answer = [0; 3];
        stream.read_exact(&mut answer)?;
        assert_eq!(answer, message);
    }
    stream.shutdown(Shutdown::Both)?;
    Ok(ROUNDS)
}

struct CountsItsDrop;

impl Drop for CountsItsDrop {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::SeqCst);
    }
}

/// Tasks that wait for ever, each in one of the ways there are.
fn spawn_waiting() {
    let before = count(&STARTED);
    for n in 0..WAITING {
        sedge::spawn(move || {
            let _dropped = CountsItsDrop;
            STARTED.fetch_add(1, Ordering::SeqCst);
            match n % 3 {
                0 => task::park(),
                1 => sedge::time::sleep(Duration::from_secs(86_400)),
                _ => task::block_on(std::future::pending()),
            }
        });
    }
    while count(&STARTED) < before + WAITING {
        sedge::time::sleep(Duration::from_micros(200));
    }
}

fn count(counter: &AtomicUsize) -> usize {
    counter.load(Ordering::SeqCst)
}

fn panicked() -> io::Error {
    io::Error::other("a task panicked")
}
