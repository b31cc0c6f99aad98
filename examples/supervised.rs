//! A server whose worker fails, and comes back.
//!
//! ```sh
//! cargo run --release --example supervised -- 127.0.0.1:7778
//! printf 'hello\ncrash\n' | nc 127.0.0.1 7778
//! ```
//!
//! It sends lines back in capitals. The line `crash` makes it panic, with all its connections, and
//! a supervisor starts it again; the fourth time within five seconds it gives up. Ctrl-C and
//! SIGTERM stop both at once.
#![expect(clippy::print_stdout, reason = "where it listens is this program's output")]

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use sedge::net::{TcpListener, TcpStream};
use sedge::signal::{SIGINT, SIGTERM, Signals};
use sedge::supervisor::{BoxError, Restart, Strategy, Supervisor};
use sedge::task::{self, CancelToken};

fn main() -> ExitCode {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7778".to_owned());
    if let Err(error) = sedge::run(|| serve(&address)) {
        eprintln!("supervised: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn serve(address: &str) -> io::Result<()> {
    let signals = Signals::new([SIGINT, SIGTERM])?;
    // Not the worker's: who connects while it is down is served when it is back.
    let listener = Arc::new(TcpListener::bind(address)?);
    println!("listening on {}", listener.local_addr()?);
    let supervisor = Supervisor::new(Strategy::OneForOne)
        .intensity(3, Duration::from_secs(60))
        .on_restart(|child, failure| eprintln!("supervised: {child} {failure}; it is restarted"))
        .child("worker", Restart::Permanent, move || work(&listener));

    let stop = CancelToken::new();
    let stopper = stop.clone().drop_guard();
    task::spawn(move || {
        let stopped = signals.recv();
        drop(stopper);
        stopped
    });
    match stop.run_until_cancelled(|| supervisor.run()) {
        Ok(gave_up) => gave_up.map_err(io::Error::other),
        Err(_cancelled) => {
            println!("stopped");
            Ok(())
        }
    }
}

/// Serves connections until one of them fails: then all go, and the error is the worker's.
fn work(listener: &TcpListener) -> Result<(), BoxError> {
    task::try_scope(|scope| {
        loop {
            let (stream, _) = listener.accept()?;
            scope.spawn(move || {
                // A client that is gone is no failure.
                let _ = converse(&stream);
                Ok(())
            });
        }
    })
}

fn converse(mut stream: &TcpStream) -> io::Result<()> {
    for line in BufReader::new(stream).lines() {
        let line = line?;
        assert!(line != "crash", "told to");
        writeln!(stream, "{}", line.to_uppercase())?;
    }
    Ok(())
}
