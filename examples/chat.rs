//! A chat room over TCP: who says a line says it to everybody.
//!
//! ```sh
//! cargo run --release --example chat -- 127.0.0.1:7779
//! nc 127.0.0.1 7779
//! ```
//!
//! The first line of a client is its name; `/who` tells who is there, and `/quit` leaves. All see
//! the same lines in the same order, their own among them.
//!
//! Each client has a task that reads, and one that writes what comes over the broadcast channel.
//! That keeps the last lines only: so a client that is slow to read holds up nobody, and is told
//! how many lines it has missed. One that does not read at all is disconnected when a write has
//! taken too long. SIGINT and SIGTERM end the room: what was said is still written.
#![expect(clippy::print_stdout, reason = "where it listens is this program's output")]

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use sedge::net::{TcpListener, TcpStream};
use sedge::signal::{Graceful, SIGINT, SIGTERM};
use sedge::sync::broadcast::error::RecvError;
use sedge::sync::{Arc, Mutex, broadcast};
use sedge::time::timeout;
use sedge::{select, task};

/// A chat room over TCP
#[derive(Parser)]
struct Args {
    /// Where to listen
    #[arg(default_value = "127.0.0.1:7779")]
    address: String,
    /// How many lines are kept for clients that are slow to read
    #[arg(long, value_name = "LINES", default_value_t = 64)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    keep: u16,
    /// After how many milliseconds a client that does not read is disconnected
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    write_timeout: u64,
}

/// The longest line, and the longest name, in bytes.
const MAX_LINE: u64 = 1024;
const MAX_NAME: usize = 32;

/// How long a client may take to say its name.
const NAME_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the clients may take to read the last lines when the room is closed.
const STOP_TIMEOUT: Duration = Duration::from_secs(8);

fn main() -> ExitCode {
    let args = Args::parse();
    if let Err(error) = sedge::run(|| serve(&args)) {
        eprintln!("chat: cannot serve on {}: {error}", args.address);
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

type Line = Arc<str>;

struct Room {
    /// Does not keep the channel open: the writers end when it is closed, and that is when
    /// [`serve`] lets go of its sender.
    lines: broadcast::WeakSender<Line>,
    names: Mutex<BTreeSet<String>>,
    write_timeout: Duration,
}

fn serve(args: &Args) -> io::Result<()> {
    // Every connection takes a descriptor, and most shells start programs with 1,024 of them.
    rlimit::increase_nofile_limit(u64::MAX)?;
    // Before anybody can connect: until this is done, a signal ends the process at once.
    let stop = Graceful::new();
    stop.on_signals([SIGINT, SIGTERM])?;
    let listener = TcpListener::bind(&args.address)?;
    println!("listening on {}", listener.local_addr()?);

    let lines = broadcast::Sender::new(args.keep.into());
    let room = Arc::new(Room {
        lines: lines.downgrade(),
        names: Mutex::default(),
        write_timeout: Duration::from_millis(args.write_timeout),
    });
    loop {
        let accepted = match stop.until(&listener, || listener.accept()) {
            Ok(Some((stream, _))) => {
                let (room, open) = (room.clone(), stop.guard());
                task::Builder::new().spawn(move || room.welcome(&stream, &open)).map(drop)
            }
            Ok(None) => break,
            Err(error) => Err(error),
        };
        // At a limit, of descriptors or of tasks, those who are here are served on.
        if let Err(error) = accepted {
            eprintln!("chat: cannot take a connection: {error}");
        }
    }
    drop(listener);
    // The last line. Once it is written there is nothing more to come.
    room.say("* the room is closed".into());
    drop(lines);
    if let Err(still_open) = stop.wait(STOP_TIMEOUT) {
        eprintln!("chat: {still_open}");
    }
    Ok(())
}

/// A name that is taken, until this is dropped.
struct Name<'a> {
    room: &'a Room,
    name: String,
}

impl Room {
    /// Says a line to all who are there. That waits for nobody.
    fn say(&self, line: Line) {
        if let Some(lines) = self.lines.upgrade() {
            // An error is that nobody is there.
            let _ = lines.send(line);
        }
    }

    /// Serves a client until it leaves, or is made to.
    fn welcome(&self, stream: &TcpStream, stop: &Graceful) -> io::Result<()> {
        let client = Client { room: self, stream: Mutex::new(stream) };
        let mut input = BufReader::new(stream);
        client.write("* what is your name?")?;
        let named = timeout(NAME_TIMEOUT, || next_line(&mut input, stream, stop));
        let Some(name) = named?? else { return Ok(()) };
        let Some(name) = self.take(name) else {
            return client.write("* that is no name, or somebody has it");
        };
        // From here on it is told all that is said, its own welcome first.
        let Some(lines) = self.lines.upgrade().map(|lines| lines.subscribe()) else {
            return Ok(());
        };
        self.say(format!("* {} is here", name.name).into());
        client.converse(&name.name, &mut input, lines, stop)
    }

    /// Takes a name, if nobody has it.
    fn take(&self, name: String) -> Option<Name<'_>> {
        let is_fine = (1..=MAX_NAME).contains(&name.len()) && !name.starts_with(['/', '*']);
        let is_free = is_fine && self.names.lock().unwrap().insert(name.clone());
        is_free.then(|| Name { room: self, name })
    }
}

impl Drop for Name<'_> {
    fn drop(&mut self) {
        self.room.names.lock().unwrap().remove(&self.name);
        self.room.say(format!("* {} has left", self.name).into());
    }
}

struct Client<'a> {
    room: &'a Room,
    /// Locked while a line is written, which may take its time: the lock is one for tasks.
    stream: Mutex<&'a TcpStream>,
}

impl Client<'_> {
    /// Reads and writes until one of both has ended.
    fn converse(
        &self,
        name: &str,
        input: &mut BufReader<&TcpStream>,
        lines: broadcast::Receiver<Line>,
        stop: &Graceful,
    ) -> io::Result<()> {
        let stream = *input.get_ref();
        task::scope(|scope| {
            let mut reading = scope.spawn(|| self.listen(name, input, stream, stop));
            let mut writing = scope.spawn(|| self.tell(lines));
            select! {
                join(reading) -> result => {
                    // When the room is closed, the last lines are written first.
                    if !stop.is_stopping() {
                        writing.cancel();
                    }
                    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                }
                join(writing) -> result => {
                    reading.cancel();
                    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                }
            }
        })
    }

    /// Passes on what the client says.
    fn listen(
        &self,
        name: &str,
        input: &mut BufReader<&TcpStream>,
        stream: &TcpStream,
        stop: &Graceful,
    ) -> io::Result<()> {
        while let Some(line) = next_line(input, stream, stop)? {
            match line.as_str() {
                "" => {}
                "/quit" => break,
                "/who" => {
                    let names: Vec<_> = self.room.names.lock().unwrap().iter().cloned().collect();
                    self.write(&format!("* here are {}", names.join(", ")))?;
                }
                line if line.starts_with('/') => self.write("* there are /who and /quit")?,
                line => self.room.say(format!("{name}: {line}").into()),
            }
            // One read brings many lines, of which none waits: others have their turn in between.
            task::yield_now();
        }
        Ok(())
    }

    /// Tells the client what others say, until the room is closed.
    fn tell(&self, mut lines: broadcast::Receiver<Line>) -> io::Result<()> {
        loop {
            match lines.recv() {
                Ok(line) => self.write(&line)?,
                Err(RecvError::Lagged(missed)) => {
                    self.write(&format!("* you have missed {missed} lines"))?;
                }
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    }

    /// Writes a line, for which the client has so much time: not for each write, for then one that
    /// reads a byte now and then could stay for ever.
    fn write(&self, line: &str) -> io::Result<()> {
        let mut stream = self.stream.lock().unwrap();
        timeout(self.room.write_timeout, || stream.write_all(format!("{line}\n").as_bytes()))?
    }
}

/// The next line that the client says; none if it has left, or if the room is closed before it is
/// there.
fn next_line(
    input: &mut BufReader<&TcpStream>,
    stream: &TcpStream,
    stop: &Graceful,
) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let read = stop.until(stream, || input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line))?;
    match read {
        Some(1..) if line.ends_with(b"\n") => {
            // Others have terminals, which obey control characters.
            let line = String::from_utf8_lossy(&line);
            let line: String = line.chars().filter(|character| !character.is_control()).collect();
            Ok(Some(line.trim().to_owned()))
        }
        Some(length) if length as u64 == MAX_LINE => Err(ErrorKind::InvalidData.into()),
        _ => Ok(None),
    }
}
