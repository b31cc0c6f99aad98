//! What is refused, and how long a client may take.

use std::io::{ErrorKind, Write};
use std::time::Instant;

use super::client::{Client, get};
use crate::process::{HUNG, Server};

/// Each is refused with its status, and the connection ended: nothing behind it is taken for a
/// request.
#[test]
fn refused() {
    let server = Server::start("http");
    let with = |headers: &str| format!("POST /echo HTTP/1.1\r\nHost: sedge\r\n{headers}\r\n\r\n");
    let chunks = |body: &str| with("Transfer-Encoding: chunked") + body;
    for (status, request) in [
        (400, "GET / HTTP/1.1\r\n\r\n".to_owned()),
        (400, with("Host: another")),
        (400, "GET  / HTTP/1.1\r\n\r\n".to_owned()),
        (400, get("/#/json")),
        (400, get("http://sedge#/json")),
        (400, get("http:///json")),
        (400, get("http://?query=/json")),
        (400, get("http://")),
        (400, "\0\r\n\r\n".to_owned()),
        (400, "\x16\x03\x01\x02\0\x01\0".to_owned()),
        (400, with("No colon")),
        (400, with("Space : before the colon")),
        (400, with("Folded: line\r\n and its continuation")),
        (400, with("Control: \x01")),
        (400, with("Carriage: return\rSecond: header")),
        (400, with("Content-Length: ")),
        (400, with("Content-Length: +5")),
        (400, with("Content-Length: -5")),
        (400, with("Content-Length: 5 5")),
        (400, with("Content-Length: 5, 5")),
        (400, with("Content-Length: 0x5")),
        (400, with("Content-Length: 5\r\nContent-Length: 6")),
        (400, with("Content-Length: 5\r\nTransfer-Encoding: chunked")),
        (400, with("Transfer-Encoding: chunked\r\nContent-Length: 5")),
        (400, with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked")),
        (400, "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned()),
        (400, with("Transfer-Encoding: \x0bchunked")),
        (501, with("Transfer-Encoding: gzip, chunked")),
        (501, with("Transfer-Encoding: xchunked")),
        (501, with("Transfer-Encoding: identity")),
        (400, chunks("\r\n")),
        (400, chunks("x\r\n")),
        (400, chunks("+1\r\nx\r\n")),
        (400, chunks("-1\r\nx\r\n")),
        (400, chunks("0x1\r\nx\r\n")),
        (400, chunks(" 1\r\nx\r\n")),
        (400, chunks("1 \r\nx\r\n")),
        (400, chunks("1\nx\r\n")),
        (400, chunks("1;a\nb\r\nx\r\n")),
        (400, chunks("1;a\rb\r\nx\r\n")),
        (400, chunks("1\r\nxy\r\n")),
        (400, chunks("1\r\nx\n0\r\n\r\n")),
        (400, chunks(";extension only\r\n")),
        (400, chunks("10000000000000000\r\n")),
        (400, chunks("0\r\nTrailer: x\n\r\n")),
        (400, chunks("0\r\nNo colon\r\n\r\n")),
        (400, chunks("0\r\n: no name\r\n\r\n")),
        (400, chunks("0\r\nTrailer : x\r\n\r\n")),
        (400, chunks("0\r\nTrailer: x\r\n folded\r\n\r\n")),
        (400, chunks("0\r\nTrailer: x\r\nGET /json HTTP/1.1\r\n\r\n")),
        (400, chunks(&"1".repeat(10_000))),
        (413, chunks("ffffffffffffffff\r\n")),
        (413, chunks("100001\r\n")),
        (413, chunks(&format!("1\r\nx\r\n100000\r\n{}", "x".repeat(100_000)))),
        (413, with("Content-Length: 1048577")),
        (413, with("Content-Length: 99999999999999999999999999")),
        (431, with(&format!("Large: {}", "x".repeat(10_000)))),
        (431, format!("GET /{}", "x".repeat(10_000))),
        (431, with("Many: x\r\n".repeat(100).trim_end())),
        (505, "GET / HTTP/2.0\r\nHost: sedge\r\n\r\n".to_owned()),
        (505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
    ] {
        let mut client = Client::new(&server);
        client.send(get("/json") + &request + &get("/json")).send_end();
        let replies = client.replies();
        let statuses: Vec<_> = replies.iter().map(|reply| reply.status).collect();
        assert_eq!(statuses, [200, status], "{request:.300}");
        assert_eq!(replies[1].header("connection"), Some("close"), "{request:.300}");
    }
    server.stop();
}

/// The answer reaches a client that goes on sending what was refused.
#[test]
fn refused_while_sending() {
    let server = Server::start("http");
    let mut client = Client::new(&server);
    client.send("POST /echo HTTP/1.1\r\nHost: sedge\r\nContent-Length: 8000000\r\n\r\n");
    let sent = client.stream.write_all(&vec![0; 8_000_000]);
    assert!(sent.is_ok(), "{sent:?}");
    assert_eq!(client.reply().status, 413);
    client.ended();
}

/// A client that sends its request a byte at a time has no longer than one that sends nothing; one
/// that does not read its responses is cut off, too. And neither keeps others from being served.
#[test]
fn slow_clients() {
    let server = Server::start("http");
    let mut silent = Client::new(&server);
    silent.send("GET / HTTP/1.1\r\n");
    let mut dripping = Client::new(&server);
    dripping.send("GET / HTTP/1.1\r\nHost: ");
    let mut body = Client::new(&server);
    body.send("POST /echo HTTP/1.1\r\nHost: sedge\r\nContent-Length: 10000\r\n\r\n");
    let deaf = Client::new(&server);
    deaf.stream.set_nonblocking(true).unwrap();

    let mut other = Client::new(&server);
    let deadline = Instant::now() + HUNG;
    let requests = get("/json").repeat(100);
    let mut deaf_is_served = true;
    let mut dripping_is_served = true;
    while deaf_is_served || dripping_is_served {
        assert!(Instant::now() < deadline, "a slow client is served for ever");
        assert_eq!(other.get("/sleep/20").status, 200);
        dripping_is_served &= (&dripping.stream).write_all(b"x").is_ok();
        let _ = (&body.stream).write_all(b"x");
        loop {
            match (&deaf.stream).write(requests.as_bytes()) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => break deaf_is_served = false,
            }
        }
    }
    assert_eq!(silent.reply().status, 408);
    silent.ended();
    server.stop();
}
