//! An HTTP/1.1 server: one task per connection, which reads, answers and writes in a plain loop.
//!
//! ```sh
//! cargo run --release --example http -- 127.0.0.1:8080
//! curl -i http://127.0.0.1:8080/json
//! ```
//!
//! `/`, `/plaintext` and `/json` say hello, `/sleep/MS` parks its task for so many milliseconds (up
//! to 65,535), `/compute/MS` computes for as long, `/echo` sends back the body that is posted to it.
//! SIGINT and SIGTERM let the requests in flight finish.
#![expect(clippy::print_stdout, reason = "where it listens is this program's output")]

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::mem::{self, MaybeUninit};
use std::process::ExitCode;
use std::str;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sedge::net::{Shutdown, TcpListener, TcpStream};
use sedge::signal::{Graceful, SIGINT, SIGTERM};
use sedge::{runtime, task, time};

const MAX_HEAD: usize = 8 * 1024;
const MAX_HEADERS: usize = 64;
const MAX_BODY: usize = 1024 * 1024;
/// What a connection keeps of a buffer that had to grow.
const MAX_KEPT: usize = 64 * 1024;

/// How long a connection may rest between requests.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a request may take from its first byte to its last. A limit for each read would not do:
/// a client that sends a byte now and then could stay for ever.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take to receive its responses, once they do not fit the socket's buffer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a refused client may go on sending before it is cut off.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
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
    rlimit::increase_nofile_limit(u64::MAX)?;
    // First of all, since until then a signal ends the process at once.
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
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    let open = stop.guard();
    task::Builder::new().spawn(move || Connection::new(&stream, &open).run())?;
    Ok(())
}

/// Why a connection ends.
enum End {
    /// The client is gone, or too slow, or wants no more: there is nobody to answer.
    Gone,
    /// The request is refused with this status, and what follows it cannot be trusted.
    Refused(&'static str),
}
use End::{Gone, Refused};

const BAD_REQUEST: &str = "400 Bad Request";
const TOO_SLOW: &str = "408 Request Timeout";
const BODY_TOO_LARGE: &str = "413 Content Too Large";
const HEAD_TOO_LARGE: &str = "431 Request Header Fields Too Large";

type Result<T, E = End> = std::result::Result<T, E>;

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Gone
    }
}

struct Connection<'a> {
    stream: &'a TcpStream,
    stop: &'a Graceful,
    /// What has arrived; of it, `input[start..end]` is not used yet.
    input: Box<[u8]>,
    start: usize,
    end: usize,
    /// The body of the current request.
    body: Vec<u8>,
    /// Responses not written yet: those to requests that arrive together leave together.
    output: Vec<u8>,
    date: Date,
    read_timeout: Duration,
    /// By when the current request must be there, once reading it has taken more than one call.
    deadline: Option<Instant>,
}

impl<'a> Connection<'a> {
    fn new(stream: &'a TcpStream, stop: &'a Graceful) -> Self {
        Self {
            stream,
            stop,
            input: vec![0; MAX_HEAD].into(),
            start: 0,
            end: 0,
            body: Vec::new(),
            output: Vec::new(),
            date: Date::default(),
            read_timeout: Duration::ZERO,
            deadline: None,
        }
    }

    fn run(&mut self) {
        let end = loop {
            match self.serve_request() {
                Ok(()) => {}
                Err(end) => break end,
            }
        };
        if let Refused(status) = end {
            self.respond(&Request::default(), &Response::status(status));
        }
        let unread = self.start < self.end || matches!(end, Refused(_));
        if self.flush().is_ok() && unread {
            let _ = self.linger();
        }
    }

    fn serve_request(&mut self) -> Result<()> {
        let (mut request, route) = self.read_head()?;
        self.read_body(&request)?;
        self.deadline = None;
        request.keep_alive &= !self.stop.is_stopping();
        match route {
            Route::Fixed(response) => self.respond(&request, &response),
            Route::Echo => {
                let body = mem::take(&mut self.body);
                self.respond(&request, &Response { body: &body, ..Response::text("") });
                self.body = body;
            }
            // Responses to earlier requests are not to wait for this one.
            Route::Sleep(time) => {
                self.flush()?;
                time::sleep(time);
                self.respond(&request, &Response::text("slept"));
            }
            Route::Compute(time) => {
                self.flush()?;
                sedge::blocking(|| compute(time));
                self.respond(&request, &Response::text("computed"));
            }
        }
        self.body.clear();
        self.body.shrink_to(MAX_KEPT);
        if request.keep_alive { Ok(()) } else { Err(Gone) }
    }

    fn read_head(&mut self) -> Result<(Request, Route)> {
        if self.start == self.end {
            self.wait()?;
        }
        loop {
            if let Some((request, route, length)) = parse(&self.input[self.start..self.end])? {
                self.start += length;
                return Ok((request, route));
            }
            self.fill(HEAD_TOO_LARGE)?;
        }
    }

    fn read_body(&mut self, request: &Request) -> Result<()> {
        if request.expects_continue && self.start == self.end {
            self.output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        if !request.chunked {
            return self.read_sized(request.content_length);
        }
        loop {
            match chunk_size(self.read_line()?).ok_or(Refused(BAD_REQUEST))? {
                0 => break,
                size if size > MAX_BODY - self.body.len() => return Err(Refused(BODY_TOO_LARGE)),
                size => self.read_sized(size)?,
            }
            if !self.read_line()?.is_empty() {
                return Err(Refused(BAD_REQUEST));
            }
        }
        // Trailers, which nobody asked for, end with an empty line.
        while !self.read_line()?.is_empty() {}
        Ok(())
    }

    fn read_sized(&mut self, mut missing: usize) -> Result<()> {
        loop {
            let taken = missing.min(self.end - self.start);
            self.body.extend_from_slice(&self.input[self.start..self.start + taken]);
            self.start += taken;
            missing -= taken;
            if missing == 0 {
                return Ok(());
            }
            self.fill(BAD_REQUEST)?;
        }
    }

    /// Reads a line of a chunked body and returns it without its end, which must be a CR and a LF:
    /// where two servers differ over what ends a line, requests are smuggled past the first.
    fn read_line(&mut self) -> Result<&[u8]> {
        loop {
            let unread = &self.input[self.start..self.end];
            if let Some(length) = unread.iter().position(|&byte| byte == b'\n') {
                let line = self.start..self.start + length;
                self.start += length + 1;
                return match self.input[line].split_last() {
                    Some((b'\r', line)) if !line.contains(&b'\r') => Ok(line),
                    _ => Err(Refused(BAD_REQUEST)),
                };
            }
            self.fill(BAD_REQUEST)?;
        }
    }

    /// Writes what is owed and waits for a request to begin: here a stop may end the connection.
    fn wait(&mut self) -> Result<()> {
        self.flush()?;
        (self.start, self.end) = (0, 0);
        let (stream, stop) = (self.stream, self.stop);
        match stop.until(stream, || self.read(IDLE_TIMEOUT))? {
            None | Some(0) => Err(Gone),
            Some(_) => Ok(()),
        }
    }

    /// Writes what is owed and reads more of a request that has begun, which is refused with the
    /// status `full` if there is no room for what it needs next.
    fn fill(&mut self, full: &'static str) -> Result<()> {
        self.flush()?;
        self.input.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.end == self.input.len() {
            return Err(Refused(full));
        }
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + REQUEST_TIMEOUT);
        let left = time_left(deadline).ok_or(Refused(TOO_SLOW))?;
        match self.read(left) {
            Ok(0) => Err(Gone),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(Refused(TOO_SLOW)),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads into the free part of the buffer.
    fn read(&mut self, timeout: Duration) -> io::Result<usize> {
        if self.read_timeout != timeout {
            self.stream.set_read_timeout(Some(timeout))?;
            self.read_timeout = timeout;
        }
        let length = self.stream.read(&mut self.input[self.end..])?;
        self.end += length;
        Ok(length)
    }

    fn flush(&mut self) -> Result<()> {
        let flushed = self.write_output();
        // Forgotten after a failure, too, since nobody knows how much of it the client has.
        self.output.clear();
        self.output.shrink_to(MAX_KEPT);
        flushed
    }

    /// Writes all output, nearly always in one call.
    fn write_output(&self) -> Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let mut stream = self.stream;
        let mut written = stream.write(&self.output)?;
        if written < self.output.len() {
            let deadline = Instant::now() + WRITE_TIMEOUT;
            while written < self.output.len() {
                stream.set_write_timeout(Some(time_left(deadline).ok_or(Gone)?))?;
                written += stream.write(&self.output[written..])?;
            }
            // The last of it may have gone out with the last try, when time was up: a client that
            // does not read is not to be given a while for each bit of room in the socket's buffer.
            time_left(deadline).ok_or(Gone)?;
            stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        }
        Ok(())
    }

    fn respond(&mut self, request: &Request, response: &Response<'_>) {
        let mut push = |text: &str| self.output.extend_from_slice(text.as_bytes());
        push("HTTP/1.1 ");
        push(response.status);
        push("\r\nDate: ");
        push(self.date.now());
        push("\r\nContent-Type: ");
        push(response.content_type);
        if !response.allow.is_empty() {
            push("\r\nAllow: ");
            push(response.allow);
        }
        push(match (request.keep_alive, request.http_1_0) {
            (true, false) => "",
            (true, true) => "\r\nConnection: keep-alive",
            (false, _) => "\r\nConnection: close",
        });
        let body = response.body;
        let _ = write!(self.output, "\r\nContent-Length: {}\r\n\r\n", body.len());
        if !request.head_only {
            self.output.extend_from_slice(body);
        }
    }

    /// Reads on for a while after the last response. To close while the client still sends would
    /// make the kernel reset the connection, and the client might never see that response.
    fn linger(&mut self) -> Result<()> {
        self.stream.shutdown(Shutdown::Write)?;
        let deadline = Instant::now() + LINGER_TIMEOUT;
        while let Some(left) = time_left(deadline) {
            self.end = 0;
            if self.read(left)? == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// What is left of the time until `deadline`; a timeout of nothing at all is no timeout to sockets.
fn time_left(deadline: Instant) -> Option<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    (!left.is_zero()).then_some(left)
}

fn compute(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// How a request is to be read and answered.
#[derive(Default)]
struct Request {
    http_1_0: bool,
    head_only: bool,
    keep_alive: bool,
    expects_continue: bool,
    chunked: bool,
    content_length: usize,
}

/// Parses a request's head. Returns the request, its route and the head's length, or `None` if the
/// head has not all arrived.
fn parse(input: &[u8]) -> Result<Option<(Request, Route, usize)>> {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut []);
    let length = match head.parse_with_uninit_headers(input, &mut headers) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Refused(HEAD_TOO_LARGE)),
        Err(httparse::Error::Version) => return Err(Refused("505 HTTP Version Not Supported")),
        Err(_) => return Err(Refused(BAD_REQUEST)),
    };
    let method = head.method.unwrap_or_default();
    let http_1_0 = head.version == Some(0);
    let mut request = Request { http_1_0, head_only: method == "HEAD", ..Request::default() };
    let (mut hosts, mut content_length) = (0, None);
    let (mut close, mut keep_alive) = (false, !http_1_0);
    for header in &*head.headers {
        let (name, value) = (header.name, header.value);
        if name.eq_ignore_ascii_case("Host") {
            hosts += 1;
        } else if name.eq_ignore_ascii_case("Connection") {
            close |= has_token(value, "close");
            keep_alive |= has_token(value, "keep-alive");
        } else if name.eq_ignore_ascii_case("Content-Length") {
            let length = parse_length(value)?;
            if content_length.replace(length).is_some_and(|other| other != length) {
                return Err(Refused(BAD_REQUEST));
            }
        } else if name.eq_ignore_ascii_case("Transfer-Encoding") {
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Refused("501 Not Implemented"));
            }
            if mem::replace(&mut request.chunked, true) || http_1_0 {
                return Err(Refused(BAD_REQUEST));
            }
        } else if name.eq_ignore_ascii_case("Expect") {
            request.expects_continue = !http_1_0 && has_token(value, "100-continue");
        }
    }
    // Where a request says twice how long it is, two servers may see different requests in it.
    if (request.chunked && content_length.is_some()) || hosts > 1 || (hosts == 0 && !http_1_0) {
        return Err(Refused(BAD_REQUEST));
    }
    request.content_length = content_length.unwrap_or(0);
    if request.content_length > MAX_BODY {
        return Err(Refused(BODY_TOO_LARGE));
    }
    request.expects_continue &= request.chunked || request.content_length > 0;
    request.keep_alive = keep_alive && !close;
    Ok(Some((request, route(method, head.path.unwrap_or_default()), length)))
}

/// Whether a comma-separated header has this value among its own.
fn has_token(value: &[u8], token: &str) -> bool {
    value
        .split(|&byte| byte == b',')
        .any(|one| one.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// Parses a `Content-Length`. Digits only: `parse` would also take a sign.
fn parse_length(value: &[u8]) -> Result<usize> {
    match str::from_utf8(value) {
        Ok(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().map_err(|_| Refused(BODY_TOO_LARGE))
        }
        _ => Err(Refused(BAD_REQUEST)),
    }
}

/// Parses the line before a chunk: a hexadecimal number, and extensions, which mean nothing here.
fn chunk_size(line: &[u8]) -> Option<usize> {
    let digits = str::from_utf8(line.split(|&byte| byte == b';').next()?).ok()?;
    let size = usize::from_str_radix(digits, 16).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(size)
}

enum Route {
    Fixed(Response<'static>),
    Echo,
    Sleep(Duration),
    Compute(Duration),
}

fn route(method: &str, target: &str) -> Route {
    // A client that takes this server for a proxy names the host, too: `http://host/path?query`.
    let path = target
        .strip_prefix("http://")
        .map_or(target, |rest| rest.find('/').map_or("/", |slash| &rest[slash..]));
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let time = |prefix| {
        let milliseconds: u16 = path.strip_prefix(prefix)?.parse().ok()?;
        Some(Duration::from_millis(milliseconds.into()))
    };
    let route = match path {
        "/" | "/plaintext" => Route::Fixed(Response::text("Hello, World!")),
        "/json" => Route::Fixed(Response::json(r#"{"message":"Hello, World!"}"#)),
        "/echo" => Route::Echo,
        _ => match (time("/sleep/"), time("/compute/")) {
            (Some(time), _) => Route::Sleep(time),
            (_, Some(time)) => Route::Compute(time),
            _ => return Route::Fixed(Response::status("404 Not Found")),
        },
    };
    let (allowed, allow) = match route {
        Route::Echo => (method == "POST", "POST"),
        _ => (matches!(method, "GET" | "HEAD"), "GET, HEAD"),
    };
    match method {
        _ if allowed => route,
        "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" | "TRACE" | "CONNECT" => {
            Route::Fixed(Response { allow, ..Response::status("405 Method Not Allowed") })
        }
        _ => Route::Fixed(Response::status("501 Not Implemented")),
    }
}

struct Response<'a> {
    status: &'static str,
    content_type: &'static str,
    /// The methods that are allowed, where that of the request is not.
    allow: &'static str,
    body: &'a [u8],
}

impl Response<'static> {
    fn text(body: &'static str) -> Self {
        Self { status: "200 OK", content_type: "text/plain", allow: "", body: body.as_bytes() }
    }

    fn json(body: &'static str) -> Self {
        Self { content_type: "application/json", ..Self::text(body) }
    }

    /// A response that is nothing but its status.
    fn status(status: &'static str) -> Self {
        Self { status, ..Self::text(status) }
    }
}

/// The time as HTTP writes it, written anew when the second changes.
#[derive(Default)]
struct Date {
    second: u64,
    text: String,
}

impl Date {
    fn now(&mut self) -> &str {
        let now = SystemTime::now();
        let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if self.second != second {
            self.second = second;
            self.text = httpdate::fmt_http_date(now);
        }
        &self.text
    }
}
