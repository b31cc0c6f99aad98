//! What is answered, and how requests may arrive.

use super::client::{Client, get};
use crate::process::Server;

#[test]
fn smoke() {
    let server = Server::start("http");
    let mut client = Client::new(&server);
    for (path, status, content_type, body) in [
        ("/", 200, "text/plain", "Hello, World!"),
        ("/plaintext", 200, "text/plain", "Hello, World!"),
        ("/plaintext?query", 200, "text/plain", "Hello, World!"),
        ("http://sedge/plaintext", 200, "text/plain", "Hello, World!"),
        ("http://sedge", 200, "text/plain", "Hello, World!"),
        ("http://sedge?query=/json", 200, "text/plain", "Hello, World!"),
        ("http://sedge:80/json?query", 200, "application/json", r#"{"message":"Hello, World!"}"#),
        ("HTTP://sedge/json", 200, "application/json", r#"{"message":"Hello, World!"}"#),
        ("/json", 200, "application/json", r#"{"message":"Hello, World!"}"#),
        ("/sleep/1", 200, "text/plain", "slept"),
        ("/compute/1", 200, "text/plain", "computed"),
        ("/nowhere", 404, "text/plain", "404 Not Found"),
        ("/sleep/soon", 404, "text/plain", "404 Not Found"),
        ("/sleep/99999999999999999999", 404, "text/plain", "404 Not Found"),
    ] {
        let reply = client.get(path);
        assert_eq!((reply.status, reply.body.as_str()), (status, body), "{path}");
        assert_eq!(reply.header("content-type"), Some(content_type), "{path}");
        assert_eq!(reply.header("connection"), None, "{path}");
    }
    server.stop();
}

#[test]
fn methods() {
    let server = Server::start("http");
    let mut client = Client::new(&server);
    for (method, path, status, allow) in [
        ("POST", "/json", 405, Some("GET, HEAD")),
        ("DELETE", "/", 405, Some("GET, HEAD")),
        ("GET", "/echo", 405, Some("POST")),
        ("OPTIONS", "*", 404, None),
        ("BREW", "/", 501, None),
        ("get", "/", 501, None),
    ] {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: sedge\r\nContent-Length: 5\r\n\r\n");
        let reply = client.send(head).send("12345").reply();
        assert_eq!((reply.status, reply.header("allow")), (status, allow), "{method} {path}");
    }
}

#[test]
fn head_has_no_body() {
    let server = Server::start("http");
    let mut client = Client::new(&server);
    let reply = client.send("HEAD /json HTTP/1.1\r\nHost: sedge\r\n\r\n").reply_to_head();
    assert_eq!((reply.status, reply.header("content-length")), (200, Some("27")));
    let reply = client.send("HEAD /nowhere HTTP/1.1\r\nHost: sedge\r\n\r\n").reply_to_head();
    assert_eq!(reply.status, 404);
    assert_eq!(client.get("/").body, "Hello, World!");
}

#[test]
fn connection_headers() {
    let server = Server::start("http");
    for (version, sent, received, stays) in [
        ("1.0", "", Some("close"), false),
        ("1.0", "Connection: keep-alive\r\n", Some("keep-alive"), true),
        ("1.0", "Connection: other, Keep-Alive\r\n", Some("keep-alive"), true),
        ("1.0", "Connection: keep-alive, close\r\n", Some("close"), false),
        ("1.1", "", None, true),
        ("1.1", "Connection: keep-alive\r\n", None, true),
        ("1.1", "Connection: Close\r\n", Some("close"), false),
        ("1.1", "Connection: other\r\nConnection: close\r\n", Some("close"), false),
    ] {
        let mut client = Client::new(&server);
        let request = format!("GET / HTTP/{version}\r\nHost: sedge\r\n{sent}\r\n");
        let reply = client.send(&request).reply();
        assert_eq!(reply.header("connection"), received, "{request}");
        if stays {
            assert_eq!(client.get("/").status, 200, "{request}");
        } else {
            client.ended();
        }
    }
}

#[test]
fn pipelined() {
    let server = Server::start("http");
    let mut client = Client::new(&server);
    let paths = ["/plaintext", "/json", "/nowhere", "/sleep/1"];
    for _ in 0..16 {
        client.send(paths.map(get).concat().repeat(4));
        for i in 0..16 {
            let (status, body) = [
                (200, "Hello, World!"),
                (200, r#"{"message":"Hello, World!"}"#),
                (404, "404 Not Found"),
                (200, "slept"),
            ][i % 4];
            let reply = client.reply();
            assert_eq!((reply.status, reply.body.as_str()), (status, body));
        }
    }
}

/// More requests than the server's buffer holds: they are cut at every place in turn.
#[test]
fn pipelined_without_end() {
    let server = Server::start("http");
    let mut client = Client::new(&server);
    client.send(get("/").repeat(2000)).send_end();
    let replies = client.replies();
    assert_eq!(replies.len(), 2000);
    assert!(replies.iter().all(|reply| reply.status == 200));
}

#[test]
fn byte_by_byte() {
    let server = Server::start("http");
    let mut client = Client::new(&server);
    let post = "POST /echo HTTP/1.1\r\nHost: sedge\r\n";
    let chunked =
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: x\r\n\r\n";
    for (request, body) in [
        (get("/"), "Hello, World!"),
        (format!("{post}Content-Length: 5\r\n\r\nabcde"), "abcde"),
        (format!("{post}{chunked}"), "abcde"),
    ] {
        for byte in request.bytes() {
            client.send([byte]);
        }
        assert_eq!(client.reply().body, body);
    }
}

#[test]
fn half_closed() {
    let server = Server::start("http");
    let mut client = Client::new(&server);
    client.send(get("/") + &get("/sleep/50") + &get("/json")).send_end();
    let statuses: Vec<_> = client.replies().iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [200, 200, 200]);
    // Ends in the middle of a head, or of a body, leave nobody to answer.
    for request in
        ["GET / HT", "POST /echo HTTP/1.1\r\nHost: sedge\r\nContent-Length: 5\r\n\r\nabc"]
    {
        let mut client = Client::new(&server);
        client.send(request).send_end();
        client.ended();
    }
    server.stop();
}

#[test]
fn bodies() {
    let server = Server::start("http");
    let mut client = Client::new(&server);
    let large = "0123456789abcdef".repeat(65_536);
    let post = |headers: &str, body: &str| {
        format!("POST /echo HTTP/1.1\r\nHost: sedge\r\n{headers}\r\n\r\n{body}")
    };
    let chunked = "transfer-encoding: Chunked";
    for (request, body) in [
        (post("Content-Length: 0", ""), ""),
        (post("Content-Length: 3", "abc"), "abc"),
        (post("Content-Length: 3\r\nContent-Length: 03", "abc"), "abc"),
        (post(&format!("Content-Length: {}", large.len()), &large), large.as_str()),
        (post(chunked, "0\r\n\r\n"), ""),
        (post(chunked, "A\r\n0123456789\r\n01\r\nx\r\n000\r\n\r\n"), "0123456789x"),
        (post(chunked, "1;name=\"value\"\r\nx\r\n0;last\r\nTrailer: x\r\nOther: y\r\n\r\n"), "x"),
        (post(chunked, &format!("100000\r\n{large}\r\n0\r\n\r\n")), large.as_str()),
    ] {
        // The second request is understood only if the first was read exactly to its end.
        client.send(request + &get("/json"));
        let reply = client.reply();
        assert!(reply.status == 200 && reply.body == body, "{}", reply.status);
        assert_eq!(client.reply().header("content-type"), Some("application/json"));
    }
}

#[test]
fn expect_continue() {
    let server = Server::start("http");
    let mut client = Client::new(&server);
    let head = |version: &str, length: &str| {
        format!(
            "POST /echo HTTP/{version}\r\nHost: sedge\r\nConnection: keep-alive\r\n\
             Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    assert_eq!(client.send(head("1.1", "3")).reply().status, 100);
    assert_eq!(client.send("abc").reply().body, "abc");
    // Nobody waits for a body that is empty, or already here; and HTTP/1.0 does not know of it.
    assert_eq!(client.send(head("1.1", "0")).reply().status, 200);
    assert_eq!(client.send(head("1.1", "3") + "abc").reply().body, "abc");
    assert_eq!(client.send(head("1.0", "3")).send("abc").reply().body, "abc");
    // A body that would be refused is refused before it is sent.
    assert_eq!(client.send(head("1.1", "1048577")).reply().status, 413);
    client.ended();
}

#[test]
fn thousand_connections() {
    let (_one_at_a_time, count) = Server::a_thousand();
    let server = Server::start("http");
    let mut clients: Vec<_> = (0..count).map(|_| Client::new(&server)).collect();
    for path in ["/sleep/100", "/json"] {
        for client in &mut clients {
            client.send(get(path));
        }
        for client in &mut clients {
            assert_eq!(client.reply().status, 200);
        }
    }
    server.stop();
}
