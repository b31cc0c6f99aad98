//! SIGTERM and SIGINT: what is in flight is finished, and nothing else is waited for.

use std::io::ErrorKind;
use std::net::TcpStream;

use rustix::process::Signal;

use super::client::{Client, get};
use crate::process::Server;

#[test]
fn finishes_what_is_in_flight() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::start("http");
        let mut idle = Client::new(&server);
        assert_eq!(idle.get("/").status, 200);
        let fresh = Client::new(&server);
        let mut busy = Client::new(&server);
        // The first response is written before the sleep begins: then the second is in flight.
        assert_eq!(busy.send(get("/json") + &get("/sleep/500")).reply().status, 200);
        server.signal(signal);
        idle.ended();
        fresh.ended();
        let refused = TcpStream::connect(server.address);
        assert_eq!(refused.map_err(|error| error.kind()).err(), Some(ErrorKind::ConnectionRefused));
        assert_eq!(busy.reply().body, "slept");
        busy.ended();
        let (status, complaints) = server.wait();
        assert!(status.success() && complaints.is_empty(), "{status}: {complaints}");
    }
}

/// A request that has begun to arrive counts as in flight.
#[test]
fn waits_for_the_rest_of_a_request() {
    let mut server = Server::start("http");
    let mut client = Client::new(&server);
    let post = "POST /echo HTTP/1.1\r\nHost: sedge\r\nExpect: 100-continue\r\n";
    assert_eq!(client.send(post).send("Content-Length: 3\r\n\r\n").reply().status, 100);
    server.signal(Signal::TERM);
    let reply = client.send("abc").reply();
    assert_eq!(reply.body, "abc");
    client.ended();
    assert!(server.wait().0.success());
}

#[test]
fn gives_up_on_what_takes_too_long() {
    let mut server = Server::start("http");
    let mut clients = ["/sleep/65535", "/compute/65535"].map(|path| {
        let mut client = Client::new(&server);
        assert_eq!(client.send(get("/") + &get(path)).reply().status, 200);
        client
    });
    server.signal(Signal::TERM);
    let (status, complaints) = server.wait();
    assert!(status.success(), "{status}: {complaints}");
    assert!(complaints.contains("still open"), "{complaints}");
    clients.iter_mut().for_each(|client| assert!(client.has_ended()));
}
