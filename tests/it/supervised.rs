use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use rustix::process::Signal;

use crate::process::{HUNG, Server};

/// Says a line, and returns the answer; nothing if the server has let go of the connection.
fn say(mut stream: &TcpStream, line: &str) -> String {
    let mut answer = String::new();
    let said = writeln!(stream, "{line}");
    let _ = said.and_then(|()| BufReader::new(stream).read_line(&mut answer));
    answer.trim_end().to_owned()
}

/// Whether the server has let go of a connection.
fn is_closed(mut stream: &TcpStream) -> bool {
    !matches!(stream.read(&mut [0; 64]), Ok(1..))
}

/// A connection of a worker that is not about to go: the last one may have taken it along.
fn connect(server: &Server) -> TcpStream {
    let served = |stream: &TcpStream| say(stream, "hello") == "HELLO";
    (0..1_000).map(|_| server.connect()).find(served).expect("a worker comes back")
}

#[test]
fn it_comes_back() {
    let mut server = Server::start("supervised");
    for _ in 0..2 {
        let (other, crashing) = (connect(&server), connect(&server));
        assert_eq!(say(&crashing, "crash"), "");
        assert!(is_closed(&other), "all connections of the worker go with it");
    }
    assert_eq!(say(&connect(&server), "again"), "AGAIN");
    server.signal(Signal::INT);
    assert_eq!(server.line(), "stopped");
    let (status, complaints) = server.wait();
    assert!(status.success());
    assert_eq!(complaints.matches("it is restarted").count(), 2, "{complaints}");
}

#[test]
fn it_gives_up() {
    let mut server = Server::start("supervised");
    // Four would do, but one that a worker takes along as it goes is no failure of the next.
    for _ in 0..100 {
        let Ok(stream) = TcpStream::connect(server.address) else { break };
        stream.set_read_timeout(Some(HUNG)).unwrap();
        say(&stream, "crash");
    }
    let (status, complaints) = server.wait();
    assert_eq!(status.code(), Some(1));
    assert!(complaints.contains("gave up after 3 restarts"), "{complaints}");
}

#[test]
fn it_stops() {
    let mut server = Server::start("supervised");
    let open = server.connect();
    assert_eq!(say(&open, "hello"), "HELLO");
    server.signal(Signal::TERM);
    assert_eq!(server.line(), "stopped");
    let (status, complaints) = server.wait();
    assert!(status.success(), "{complaints}");
    assert!(is_closed(&open));
}
