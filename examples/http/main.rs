//! An HTTP/1.1 server: one task per connection, which reads, answers and writes in a plain loop.
//!
//! ```sh
//! cargo run --release --example http -- 127.0.0.1:8080
//! curl -i http://127.0.0.1:8080/json
//! ```
//!
//! `/`, `/plaintext` and `/json` say hello, `/links` leads to pages of this server and nowhere,
//! `/sleep/MS` parks its task for so many milliseconds (up to 65,535), `/compute/MS` computes for
//! as long, `/echo` sends back the body that is posted to it. SIGINT and SIGTERM let the requests
//! in flight finish.
//!
//! This file is the server. What a request is, and which are refused, is in `request`; what a
//! response is, in `response`; and how long a client may take over either, in `wire`.
#![expect(clippy::print_stdout, reason = "where it listens is this program's output")]

use std::env;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use sedge::net::{TcpListener, TcpStream};
use sedge::signal::{Graceful, SIGINT, SIGTERM};
use sedge::{runtime, task, time};

use request::Request;
use response::{Date, Response};
use wire::Wire;

mod request;
mod response;
mod wire;

/// Something to follow, for those who try a client.
const LINKS: &str = r#"<!doctype html>
<title>Links</title>
<a href="/">hello</a>
<a href="json">the same as JSON</a>
<a href="/sleep/100">later</a>
<a href="/links?again">this page</a>
<a href="/nowhere">a page that is missing</a>
<a href="https://www.rust-lang.org/">another host</a>
"#;

/// How long the requests in flight may take when the server is told to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(8);
/// How long, after that, what could not finish has to be cancelled.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let runtime = runtime::Builder::new().shutdown_timeout(Some(CANCEL_TIMEOUT));
    if let Err(error) = runtime.run(|| serve(&address)).and_then(|served| served) {
        eprintln!("http: cannot serve on {address}: {error}");
        eprintln!("http: give another address, as in `http 127.0.0.1:0`: port 0 takes a free one");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn serve(address: &str) -> io::Result<()> {
    // Every connection takes a descriptor, and most shells start programs with 1,024 of them.
    rlimit::increase_nofile_limit(u64::MAX)?;
    // Before anybody can connect: until this is done, a signal ends the process at once.
    let stop = Graceful::new();
    stop.on_signals([SIGINT, SIGTERM])?;
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let accepted = match stop.until(&listener, || listener.accept()) {
            Ok(Some((stream, _))) => spawn(stream, &stop),
            Ok(None) => break,
            Err(error) => Err(error),
        };
        // At a limit, of descriptors or of tasks, those who are here are served on.
        if let Err(error) = accepted {
            eprintln!("http: cannot take a connection: {error}");
        }
    }
    drop(listener);
    if let Err(still_open) = stop.wait(STOP_TIMEOUT) {
        eprintln!("http: {still_open}");
    }
    Ok(())
}

fn spawn(stream: TcpStream, stop: &Graceful) -> io::Result<()> {
    let open = stop.guard();
    task::Builder::new().spawn(move || converse(&stream, &open))?;
    Ok(())
}

/// Serves one client until it leaves, is refused, or the server stops.
fn converse(stream: &TcpStream, stop: &Graceful) -> io::Result<()> {
    let mut wire = Wire::new(stream)?;
    let mut request = Request::default();
    let mut date = Date::default();
    while wire.next_begins(stop)? {
        let refused = request.read(&mut wire)?.err();
        let response = match refused {
            None => answer(&request, &mut wire)?,
            Some(status) => Response::status(status),
        };
        let stays = refused.is_none() && request.keep_alive && !stop.is_stopping();
        response.write_to(&mut wire.output, &request, stays, date.now());
        if !stays {
            // What follows a refused request cannot be told from its rest.
            return wire.close(refused.is_some());
        }
        request.clear();
    }
    Ok(())
}

/// Does what is asked for. What waits lets go of the responses to earlier requests first.
fn answer<'a>(request: &'a Request, wire: &mut Wire<'_>) -> io::Result<Response<'a>> {
    let (path, time) = split_time(&request.path);
    Ok(match (path, time, request.method.as_str()) {
        ("/" | "/plaintext", None, "GET" | "HEAD") => Response::text("Hello, World!"),
        ("/json", None, "GET" | "HEAD") => Response::json(r#"{"message":"Hello, World!"}"#),
        ("/links", None, "GET" | "HEAD") => Response::html(LINKS),
        ("/echo", None, "POST") => Response::text(&request.body),
        ("/sleep", Some(time), "GET" | "HEAD") => {
            wire.flush()?;
            time::sleep(time);
            Response::text("slept")
        }
        ("/compute", Some(time), "GET" | "HEAD") => {
            wire.flush()?;
            sedge::blocking(|| compute(time));
            Response::text("computed")
        }
        ("/" | "/plaintext" | "/json" | "/links", None, method)
        | ("/sleep" | "/compute", Some(_), method) => Response::not_allowed(method, "GET, HEAD"),
        ("/echo", None, method) => Response::not_allowed(method, "POST"),
        _ => Response::status("404 Not Found"),
    })
}

/// Takes a number of milliseconds off the end of a path: of `/sleep/100`, say.
fn split_time(path: &str) -> (&str, Option<Duration>) {
    match path.rsplit_once('/').map(|(front, last)| (front, last.parse::<u16>())) {
        Some((front, Ok(time))) => (front, Some(Duration::from_millis(time.into()))),
        _ => (path, None),
    }
}

fn compute(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}
