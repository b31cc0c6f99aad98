//! Fetches pages side by side, in a scope that stops at the first error.
//!
//! ```sh
//! cargo run --release --example http &
//! cargo run --release --example pipeline_scope -- 127.0.0.1:8080/ 127.0.0.1:8080/json
//! ```
//!
//! Each page goes through a pipeline of its own: fetch, which waits, and then digest, which
//! computes. All of them borrow what they need from `main`. A page that fails ends the others in
//! the middle of what they do, and so does Ctrl-C.
#![expect(clippy::print_stdout, reason = "what it fetched is this program's output")]

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use sedge::net::TcpStream;
use sedge::signal::{SIGINT, Signals};
use sedge::task;
use sedge::time::timeout;

/// How long one page may take.
const LIMIT: Duration = Duration::from_secs(30);

/// What shells make of a program that SIGINT has ended.
const INTERRUPTED: u8 = 130;

struct Page {
    bytes: usize,
    digest: u64,
    time: Duration,
}

fn main() -> ExitCode {
    let urls: Vec<String> = env::args().skip(1).collect();
    if urls.is_empty() {
        eprintln!("pipeline_scope: name pages, as in `pipeline_scope 127.0.0.1:8080/json`");
        return ExitCode::FAILURE;
    }
    match sedge::run(|| fetch_all(&urls)) {
        Ok(pages) => {
            println!("{:>10}  {:>16}  {:>8}", "bytes", "digest", "ms");
            for (Page { bytes, digest, time }, url) in pages.iter().zip(&urls) {
                println!("{bytes:>10}  {digest:016x}  {:>8}  {url}", time.as_millis());
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("pipeline_scope: {error}");
            let interrupted = error.kind() == ErrorKind::Interrupted;
            if interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::FAILURE }
        }
    }
}

fn fetch_all(urls: &[String]) -> io::Result<Vec<Page>> {
    // Watched from here on: until then, a signal ends the process at once.
    let signals = Signals::new([SIGINT])?;
    println!("fetching {} pages; Ctrl-C stops", urls.len());
    task::try_scope(|scope| {
        // One more way to fail.
        let interrupt = scope.spawn(|| -> io::Result<()> {
            signals.recv()?;
            Err(io::Error::new(ErrorKind::Interrupted, "interrupted"))
        });
        let pages: Vec<_> = urls.iter().map(|url| scope.spawn(|| fetch(url))).collect();
        // In the order of the command line, whichever came first.
        let pages: Result<Vec<_>, _> = pages.into_iter().map(|page| page.join()).collect();
        interrupt.cancel();
        Ok(pages?)
    })
}

fn fetch(url: &str) -> io::Result<Page> {
    let start = Instant::now();
    let body = timeout(LIMIT, || get(url)).map_err(io::Error::from).and_then(|got| got);
    let body = body.map_err(|error| io::Error::new(error.kind(), format!("{url}: {error}")))?;
    // A long one would keep the worker from the other pages.
    let digest = sedge::blocking(|| digest(&body));
    Ok(Page { bytes: body.len(), digest, time: start.elapsed() })
}

/// The body of a page, in the simplest of HTTP.
fn get(url: &str) -> io::Result<Vec<u8>> {
    let (host, path) = url.split_once('/').unwrap_or((url, ""));
    let mut stream = TcpStream::connect(host)?;
    write!(stream, "GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let head_bytes = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let body = answer.split_off(head_bytes.ok_or(ErrorKind::UnexpectedEof)? + 4);
    let head = String::from_utf8_lossy(&answer);
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) == Some("200") {
        Ok(body)
    } else {
        Err(io::Error::other(format!("the server says {status}")))
    }
}

/// FNV-1a.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |digest, byte| {
        (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
