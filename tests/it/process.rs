//! The examples as child processes, which never outlive their test.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// What takes longer has hung.
pub(crate) const HUNG: Duration = Duration::from_secs(60);

/// The command that starts an example. `cargo test` builds the examples beside the tests, but
/// `cargo test --test it` does not, and would start what was built last: say
/// `cargo build --examples` before it.
pub(crate) fn example(name: &str) -> Command {
    let tests = env::current_exe().unwrap();
    let path = tests.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(path.exists(), "{} is missing: cargo build --examples", path.display());
    Command::new(path)
}

/// An example that runs. It is killed if it does not end by itself.
pub(crate) struct Program {
    child: Child,
    /// Kept open: a process that prints into a closed pipe fails.
    stdout: Option<BufReader<ChildStdout>>,
}

impl Program {
    pub(crate) fn start(name: &str, args: &[&str]) -> Self {
        Self::spawn(example(name).args(args))
    }

    /// The same, with an input.
    pub(crate) fn start_with_input(name: &str, args: &[&str]) -> (Self, ChildStdin) {
        let mut program = Self::spawn(example(name).args(args).stdin(Stdio::piped()));
        let stdin = program.child.stdin.take().expect("it is piped");
        (program, stdin)
    }

    fn spawn(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().map(BufReader::new);
        Self { child, stdout }
    }

    /// The next line that it prints; empty once there is no more.
    pub(crate) fn line(&mut self) -> String {
        let (sender, receiver) = mpsc::channel();
        let mut stdout = self.stdout.take().expect("the last line came");
        thread::spawn(move || {
            let mut line = String::new();
            let read = stdout.read_line(&mut line);
            let _ = sender.send((read.map(|_| line), stdout));
        });
        let Ok((line, stdout)) = receiver.recv_timeout(HUNG) else { panic!("it says nothing") };
        self.stdout = Some(stdout);
        line.unwrap().trim_end().to_owned()
    }

    /// Reads no more of what it prints.
    pub(crate) fn close_output(&mut self) {
        self.stdout = None;
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until the program has ended by itself. Returns its exit status and what it complained
    /// of.
    pub(crate) fn wait(&mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + HUNG;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "the program does not end");
            thread::park_timeout(Duration::from_millis(5));
        };
        (status, self.complaints())
    }

    fn complaints(&mut self) -> String {
        let mut complaints = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = stderr.read_to_string(&mut complaints);
        }
        complaints
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("its stderr: {:?}", self.complaints());
        }
    }
}

/// An example that serves on an address of its own.
pub(crate) struct Server {
    program: Program,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start(name: &str) -> Self {
        Self::start_with(name, &[])
    }

    /// The same, with arguments behind the address.
    pub(crate) fn start_with(name: &str, args: &[&str]) -> Self {
        let mut program = Program::start(name, &[&["127.0.0.1:0"], args].concat());
        let line = program.line();
        let address = line.strip_prefix("listening on ").and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("{name} begins with {line:?}"));
        Self { program, address }
    }

    /// As many connections as there are descriptors for, up to a thousand. The guard keeps other
    /// tests from asking for as many meanwhile.
    pub(crate) fn a_thousand() -> (impl Drop, usize) {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        /// What all other tests need meanwhile.
        const OTHERS: u64 = 250;
        let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap();
        (guard, limit.saturating_sub(OTHERS).min(1000) as usize)
    }

    /// A connection whose reads and writes fail rather than hang.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(HUNG)).unwrap();
        stream.set_write_timeout(Some(HUNG)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    pub(crate) fn line(&mut self) -> String {
        self.program.line()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.program.signal(signal);
    }

    /// See [`Program::wait`].
    pub(crate) fn wait(&mut self) -> (ExitStatus, String) {
        self.program.wait()
    }

    /// Asks the server to end, and checks that it had nothing to complain of.
    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        let (status, complaints) = self.wait();
        assert!(status.success(), "{status}");
        assert_eq!(complaints, "");
    }
}
