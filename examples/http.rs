//! An HTTP/1.1 server: one task per connection, which reads, answers and writes in a plain loop.
//!
//! ```sh
//! cargo run --release --example http -- 127.0.0.1:8080
//! curl -i http://127.0.0.1:8080/json
//! ```
//!
//! `/`, `/plaintext` and `/json` say hello, `/sleep/MS` parks its task for so many milliseconds,
//! `/compute/MS` computes for as long, and `/echo` sends back the body that was posted to it.
//! SIGINT and SIGTERM let the requests in flight finish.
#![expect(clippy::print_stdout, reason = "where it listens is this program's output")]

use std::collections::HashMap;
use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::mem::{self, MaybeUninit};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, RawFd};
use std::process::ExitCode;
use std::str;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sedge::net::{TcpListener, TcpStream};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use socket2::SockRef;

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
const STOP_TIMEOUT: Duration = Duration::from_secs(9);

fn main() -> ExitCode {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    if let Err(error) = sedge::run(|| serve(&address)) {
        eprintln!("http: cannot serve on {address}: {error}");
        eprintln!("http: give another address, as in `http 127.0.0.1:0`: port 0 takes a free one");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn serve(address: &str) -> io::Result<()> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    // Before anyone can know the address: a signal that nobody handles would be the end at once.
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);

    let server =
        Arc::new(Server { listener, clients: Mutex::default(), stopping: AtomicBool::new(false) });
    let acceptor = Arc::clone(&server);
    sedge::spawn(move || acceptor.accept());
    sedge::blocking(|| signals.forever().next());
    server.stop()
}

struct Server {
    listener: TcpListener,
    /// The clients, by their descriptors: numbers that are theirs as long as they are here.
    clients: Mutex<HashMap<RawFd, Arc<Client>>>,
    stopping: AtomicBool,
}

/// What a connection's task shares with the server.
struct Client {
    stream: TcpStream,
    /// No request has begun, so nothing is lost if the connection ends.
    idle: AtomicBool,
}

impl Server {
    fn accept(self: Arc<Self>) {
        for stream in self.listener.incoming() {
            if self.stopping.load(Relaxed) {
                return;
            }
            if let Err(error) = stream.and_then(|stream| self.spawn(stream)) {
                eprintln!("http: cannot take a connection: {error}");
            }
        }
    }

    fn spawn(self: &Arc<Self>, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let number = stream.as_raw_fd();
        let client = Arc::new(Client { stream, idle: AtomicBool::new(false) });
        let server = Arc::clone(self);
        sedge::task::Builder::new().spawn(move || {
            server.clients.lock().unwrap().insert(number, Arc::clone(&client));
            Connection::new(&server, &client).run();
            server.clients.lock().unwrap().remove(&number);
        })?;
        Ok(())
    }

    /// Takes no more connections, ends the idle ones, and waits for the others until they end or
    /// time is up. A flag that is seen late is seen the next time: `Relaxed` is enough for them.
    fn stop(&self) -> io::Result<()> {
        self.stopping.store(true, Relaxed);
        SockRef::from(&self.listener).shutdown(Shutdown::Read)?;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while self.end_idle() > 0 && Instant::now() < deadline {
            sedge::time::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Shuts idle connections down for reading: their tasks see the end of the stream, though not
    /// before a request that has just arrived. Returns how many connections there are.
    fn end_idle(&self) -> usize {
        let clients = self.clients.lock().unwrap();
        for client in clients.values().filter(|client| client.idle.load(Relaxed)) {
            let _ = client.stream.shutdown(Shutdown::Read);
        }
        clients.len()
    }
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
const BODY_TOO_LARGE: &str = "413 Content Too Large";
const HEAD_TOO_LARGE: &str = "431 Request Header Fields Too Large";

type Result<T, E = End> = std::result::Result<T, E>;

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Gone
    }
}

struct Connection<'a> {
    server: &'a Server,
    client: &'a Client,
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
    fn new(server: &'a Server, client: &'a Client) -> Self {
        Self {
            server,
            client,
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
        request.keep_alive &= !self.server.stopping.load(Relaxed);
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
                sedge::time::sleep(time);
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

    /// Writes what is owed and waits for a request to begin.
    fn wait(&mut self) -> Result<()> {
        self.flush()?;
        (self.start, self.end) = (0, 0);
        self.client.idle.store(true, Relaxed);
        if self.server.stopping.load(Relaxed) || !self.read(IDLE_TIMEOUT)? {
            return Err(Gone);
        }
        self.client.idle.store(false, Relaxed);
        Ok(())
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
        match time_left(deadline) {
            Some(left) if self.read(left)? => Ok(()),
            _ => Err(Refused("408 Request Timeout")),
        }
    }

    /// Reads into the free part of the buffer. Returns false if nothing came in time.
    fn read(&mut self, timeout: Duration) -> Result<bool> {
        if self.read_timeout != timeout {
            self.client.stream.set_read_timeout(Some(timeout))?;
            self.read_timeout = timeout;
        }
        match (&self.client.stream).read(&mut self.input[self.end..]) {
            Ok(0) => Err(Gone),
            Ok(length) => {
                self.end += length;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
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
        let mut stream = &self.client.stream;
        let mut written = stream.write(&self.output)?;
        if written < self.output.len() {
            let deadline = Instant::now() + WRITE_TIMEOUT;
            while written < self.output.len() {
                stream.set_write_timeout(Some(time_left(deadline).ok_or(Gone)?))?;
                written += stream.write(&self.output[written..])?;
            }
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
        self.client.stream.shutdown(Shutdown::Write)?;
        self.client.idle.store(true, Relaxed);
        let deadline = Instant::now() + LINGER_TIMEOUT;
        while let Some(left) = time_left(deadline) {
            self.end = 0;
            self.read(left)?;
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
