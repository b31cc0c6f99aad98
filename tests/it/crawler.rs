use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Barrier};
use std::thread;

use rustix::process::Signal;

use crate::process::{HUNG, Program, Server};

/// A crawl to its end: its exit code, and its report.
fn crawl(args: &[&str]) -> (i32, String) {
    report(Program::start("crawler", args))
}

fn report(mut program: Program) -> (i32, String) {
    let mut report = String::new();
    loop {
        let line = program.line();
        if line.is_empty() {
            break;
        }
        report += &format!("{line}\n");
    }
    (program.wait().0.code().expect("it has ended by itself"), report)
}

/// A server whose every connection `answer` answers, in a thread of its own.
fn serve(answer: impl Fn(TcpStream, String) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), answer.clone());
            thread::spawn(move || {
                stream.set_read_timeout(Some(HUNG)).unwrap();
                let mut request = [0; 1024];
                let length = stream.read(&mut request).unwrap();
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                answer(stream, request.split(' ').nth(1).unwrap().to_owned());
            });
        }
    });
    address
}

fn html(mut stream: TcpStream, body: &str) {
    let length = body.len();
    let head = format!("Content-Type: text/html; charset=utf-8\r\nContent-Length: {length}");
    let _ = write!(stream, "HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}");
}

/// A server that says on the channel what was asked for, and never answers.
fn silent() -> (SocketAddr, Receiver<String>) {
    let (sender, asked) = channel();
    let address = serve(move |mut stream, path| {
        sender.send(path).unwrap();
        // Until the crawler lets go of it.
        let _ = stream.read(&mut [0]);
    });
    (address, asked)
}

#[test]
fn the_http_example() {
    let server = Server::start("http");
    let start = format!("http://{}/links", server.address);
    let (status, report) = crawl(&[&start]);
    assert_eq!(status, 1);
    let broken = format!("http://{}/nowhere: 404 Not Found (a link on {start})", server.address);
    assert!(report.contains(&broken), "{report}");
    assert!(report.contains("5 fine, 1 broken, 0 not fetched"), "{report}");
    assert!(report.contains("2 links to other hosts"), "{report}");

    let start = format!("http://{}/json", server.address);
    let (status, report) = crawl(&[&start]);
    assert_eq!(status, 0);
    assert!(report.contains("1 fine, 0 broken, 0 not fetched"), "{report}");
    server.stop();
}

#[test]
fn kinds_of_links() {
    let address = serve(|mut stream, path| match path.as_str() {
        "/a/" => html(
            stream,
            "<a href='b'><a href=\"../c?x=1&amp;y=2#part\"><a href=\"?q\"><a href=\"#top\">
             <a href='/d'><a href='mailto:me@here'><a href='http://elsewhere/'><a href=' e f '>",
        ),
        "/d" => {
            let _ = stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: /g\r\n\r\n");
        }
        "/g" => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked";
            let _ = write!(stream, "{head}\r\n\r\n8\r\n<a href=\r\n4\r\n'/h'\r\n0\r\n\r\n");
        }
        "/a/b" | "/c?x=1&y=2" | "/a/?q" | "/a/e%20f" => html(stream, ""),
        "/h" => drop(stream.write_all(b"what is this?")),
        other => panic!("nobody should ask for {other}"),
    });
    let (status, report) = crawl(&[&format!("http://{address}/a/")]);
    assert_eq!(status, 1);
    assert!(report.contains(&format!("http://{address}/h: not HTTP")), "{report}");
    assert!(report.contains("7 fine, 1 broken, 0 not fetched"), "{report}");
    assert!(report.contains("2 links to other hosts"), "{report}");
}

/// They are all there at the same time, and never one more.
#[test]
fn requests_at_a_time() {
    static INSIDE: AtomicUsize = AtomicUsize::new(0);
    let meeting = Barrier::new(3);
    let links: String = (0..9).map(|n| format!("<a href='/{n}'>")).collect();
    let address = serve(move |stream, path| {
        if path == "/" {
            return html(stream, &links);
        }
        assert!(INSIDE.fetch_add(1, Ordering::SeqCst) < 3);
        meeting.wait();
        INSIDE.fetch_sub(1, Ordering::SeqCst);
        // Nobody leaves before all three have said that they do.
        meeting.wait();
        html(stream, "");
    });
    let (status, report) = crawl(&["--at-once", "3", &format!("http://{address}")]);
    assert_eq!(status, 0, "{report}");
    assert!(report.contains("10 fine, 0 broken, 0 not fetched"), "{report}");
}

#[test]
fn pages_at_most() {
    let asked = Arc::new(AtomicUsize::new(0));
    let address = serve({
        let asked = asked.clone();
        move |stream, path| {
            asked.fetch_add(1, Ordering::SeqCst);
            // Each leads to two more.
            html(stream, &format!("<a href='{path}0'><a href='{path}1'>"));
        }
    });
    let (status, report) = crawl(&["--pages", "20", &format!("http://{address}/")]);
    assert_eq!(status, 0);
    assert!(report.contains("20 fine, 0 broken, 21 not fetched"), "{report}");
    assert_eq!(asked.load(Ordering::SeqCst), 20);
}

#[test]
fn a_page_that_takes_too_long() {
    let (address, asked) = silent();
    let (status, report) = crawl(&["--timeout", "0.1", &format!("http://{address}/slow")]);
    assert_eq!(status, 1);
    assert!(report.contains("/slow: the time was over"), "{report}");
    assert!(report.contains("0 fine, 1 broken, 0 not fetched"), "{report}");
    assert_eq!(asked.iter().take(1).collect::<Vec<_>>(), ["/slow"]);
}

#[test]
fn the_deadline() {
    let (address, _asked) = silent();
    let (status, report) = crawl(&["--deadline", "0.1", &format!("http://{address}/slow")]);
    assert_eq!(status, 1);
    assert!(report.contains("0 fine, 0 broken, 1 not fetched"), "{report}");
    assert!(report.contains("the time is over"), "{report}");
}

#[test]
fn ctrl_c_stops_it() {
    let (address, asked) = silent();
    let urls = [1, 2, 3].map(|n| format!("http://{address}/{n}"));
    let args = ["--at-once", "2", &urls[0], &urls[1], &urls[2]];
    let program = Program::start("crawler", &args);
    for _ in 0..2 {
        asked.recv_timeout(HUNG).unwrap();
    }
    program.signal(Signal::INT);
    let (status, report) = report(program);
    assert_eq!(status, 130);
    assert!(report.contains("0 fine, 0 broken, 3 not fetched"), "{report}");
    assert!(report.contains("interrupted"), "{report}");
    assert!(asked.try_recv().is_err(), "there are two at a time");
}
