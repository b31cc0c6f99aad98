use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Instant;

use rustix::process::Signal;

use crate::process::{HUNG, Server};

struct Client(BufReader<TcpStream>);

impl Client {
    /// A client that was asked for its name.
    fn connect(server: &Server) -> Self {
        let mut client = Self(BufReader::new(server.connect()));
        assert_eq!(client.line(), "* what is your name?");
        client
    }

    /// One that is in the room.
    fn join(server: &Server, name: &str) -> Self {
        let mut client = Self::connect(server);
        client.say(name);
        assert_eq!(client.line(), format!("* {name} is here"));
        client
    }

    fn say(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// The next line; empty once there is none.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Says so many lines of a kilobyte, and one more. Returns when that has come back.
    fn flood(&mut self, lines: usize) {
        let mut talking = self.0.get_ref().try_clone().unwrap();
        let talker = thread::spawn(move || {
            let line = "x".repeat(1000) + "\n";
            (0..lines).for_each(|_| talking.write_all(line.as_bytes()).unwrap());
            talking.write_all(b"end\n").unwrap();
        });
        while self.line() != "talker: end" {}
        talker.join().unwrap();
    }
}

#[test]
fn conversation() {
    let server = Server::start("chat");
    let mut ann = Client::join(&server, "ann");
    let mut bob = Client::join(&server, "bob");
    assert_eq!(ann.line(), "* bob is here");
    ann.say("hello");
    bob.say("  \x1b[2Jhello,\x07 ann");
    let mut said = [ann.line(), ann.line()];
    assert_eq!(said, [bob.line(), bob.line()], "all see the same");
    said.sort_unstable();
    assert_eq!(said, ["ann: hello", "bob: [2Jhello, ann"]);

    bob.say("/who");
    assert_eq!(bob.line(), "* here are ann, bob");
    bob.say("/help");
    assert_eq!(bob.line(), "* there are /who and /quit");
    bob.say("");
    bob.say("/quit");
    assert_eq!(bob.line(), "");
    assert_eq!(ann.line(), "* bob has left");

    // His name is free again.
    drop(Client::join(&server, "bob"));
    assert_eq!(ann.line(), "* bob is here");
    assert_eq!(ann.line(), "* bob has left");
    drop(ann);
    server.stop();
}

#[test]
fn names() {
    let server = Server::start("chat");
    let _ann = Client::join(&server, "ann");
    for name in ["ann", "", "/who", "*", &"x".repeat(33)] {
        let mut other = Client::connect(&server);
        other.say(name);
        assert_eq!(other.line(), "* that is no name, or somebody has it");
        assert_eq!(other.line(), "");
    }
}

#[test]
fn a_line_that_is_too_long() {
    let server = Server::start("chat");
    let mut ann = Client::join(&server, "ann");
    let mut bob = Client::join(&server, "bob");
    bob.say(&"x".repeat(1023));
    bob.say(&"x".repeat(1024));
    assert_eq!(ann.line(), "* bob is here");
    assert_eq!(ann.line(), format!("bob: {}", "x".repeat(1023)));
    assert_eq!(ann.line(), "* bob has left");
}

/// It misses lines, for they are more than sockets hold between them, but is told of each.
#[test]
fn a_client_that_is_slow() {
    const LINES: usize = 45_000;
    let server = Server::start_with("chat", &["--keep", "8", "--write-timeout", "60000"]);
    let mut slow = Client::join(&server, "slow");
    let mut talker = Client::join(&server, "talker");
    assert_eq!(slow.line(), "* talker is here");
    talker.flood(LINES);
    let (mut seen, mut missed) = (0, 0);
    loop {
        let line = slow.line();
        if let Some(count) = line.strip_prefix("* you have missed ") {
            missed += count.strip_suffix(" lines").unwrap().parse::<usize>().unwrap();
            continue;
        }
        seen += 1;
        if line == "talker: end" {
            break;
        }
        assert_eq!(line.len(), "talker: ".len() + 1000);
    }
    assert!(missed > 0);
    assert_eq!(seen + missed, LINES + 1);
    talker.say("and now?");
    assert_eq!(slow.line(), "talker: and now?");
}

/// It is disconnected, once its socket holds no more.
#[test]
fn a_client_that_does_not_read() {
    let server = Server::start_with("chat", &["--keep", "8", "--write-timeout", "100"]);
    let _deaf = Client::join(&server, "deaf");
    let mut talker = Client::join(&server, "talker");
    let deadline = Instant::now() + HUNG;
    loop {
        talker.flood(500);
        talker.say("/who");
        let line = talker.line();
        // That may come in between.
        let line = if line == "* deaf has left" { talker.line() } else { line };
        if line == "* here are talker" {
            break;
        }
        assert_eq!(line, "* here are deaf, talker");
        assert!(Instant::now() < deadline, "it stays");
    }
}

#[test]
fn it_closes() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::start("chat");
        let mut ann = Client::join(&server, "ann");
        let mut bob = Client::join(&server, "bob");
        let mut nobody = Client::connect(&server);
        bob.say("the end is near");
        assert_eq!(ann.line(), "* bob is here");
        assert_eq!(ann.line(), "bob: the end is near");
        server.signal(signal);
        assert_eq!(bob.line(), "bob: the end is near");
        for client in [&mut ann, &mut bob] {
            assert_eq!(client.line(), "* the room is closed");
            assert_eq!(client.line(), "");
        }
        assert_eq!(nobody.line(), "");
        let (status, complaints) = server.wait();
        assert!(status.success(), "{status}");
        assert_eq!(complaints, "");
    }
}
