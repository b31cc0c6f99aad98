//! What a request is, and which are refused: all where two servers might differ over where it ends,
//! because there requests are smuggled past the first.

use std::io::{self, BufRead, ErrorKind, Read};
use std::mem::MaybeUninit;
use std::str;

use super::wire::{MAX_KEPT, Wire};

const MAX_HEADERS: usize = 64;
const MAX_BODY: usize = 1024 * 1024;
/// The longest line of a chunked body: the size of a chunk, or a trailer.
const MAX_LINE: u64 = 4 * 1024;

const BAD_REQUEST: &str = "400 Bad Request";
const BODY_TOO_LARGE: &str = "413 Content Too Large";
const HEAD_TOO_LARGE: &str = "431 Request Header Fields Too Large";

/// Why there is no request, nor will there be another on this connection.
enum End {
    /// The client has gone.
    Gone(io::Error),
    /// The client is answered with this status.
    Refused(&'static str),
}
use End::{Gone, Refused};

type Result<T, E = End> = std::result::Result<T, E>;

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::WouldBlock => Refused("408 Request Timeout"),
            _ => Gone(error),
        }
    }
}

/// A request. It is cleared and read into again for the next one, to keep its buffers.
#[derive(Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Without the query.
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
    pub(crate) http_1_0: bool,
    pub(crate) keep_alive: bool,
    expects_continue: bool,
}

/// How a body says where it ends.
#[derive(Clone, Copy, PartialEq)]
enum Framing {
    Sized(usize),
    Chunked,
}

impl Request {
    pub(crate) fn clear(&mut self) {
        self.method.clear();
        self.path.clear();
        self.body.clear();
        self.body.shrink_to(MAX_KEPT);
    }

    /// Reads a request to its end. If it is refused, the inner error is the status to say so with.
    pub(crate) fn read(&mut self, wire: &mut Wire<'_>) -> io::Result<Result<(), &'static str>> {
        match self.read_whole(wire) {
            Ok(()) => Ok(Ok(())),
            Err(Refused(status)) => Ok(Err(status)),
            Err(Gone(error)) => Err(error),
        }
    }

    fn read_whole(&mut self, wire: &mut Wire<'_>) -> Result<()> {
        let framing = self.read_head(wire)?;
        if framing == Framing::Sized(0) {
            return Ok(());
        }
        if self.expects_continue && wire.unread().is_empty() {
            wire.output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        match framing {
            Framing::Sized(size) => self.read_sized(wire, size),
            Framing::Chunked => self.read_chunks(wire),
        }
    }

    fn read_head(&mut self, wire: &mut Wire<'_>) -> Result<Framing> {
        loop {
            if let Some((framing, length)) = self.parse_head(wire.unread())? {
                wire.consume(length);
                return Ok(framing);
            }
            if wire.is_full() {
                return Err(Refused(HEAD_TOO_LARGE));
            }
            wire.read_more()?;
        }
    }

    /// Parses a head. Returns how its body is framed and the head's length, or `None` if it has not
    /// all arrived.
    fn parse_head(&mut self, input: &[u8]) -> Result<Option<(Framing, usize)>> {
        let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut head = httparse::Request::new(&mut []);
        let length = match head.parse_with_uninit_headers(input, &mut headers) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(Refused(HEAD_TOO_LARGE)),
            Err(httparse::Error::Version) => return Err(Refused("505 HTTP Version Not Supported")),
            Err(_) => return Err(Refused(BAD_REQUEST)),
        };
        self.method.push_str(head.method.unwrap_or_default());
        let target = head.path.unwrap_or_default();
        self.path.push_str(path(target).ok_or(Refused(BAD_REQUEST))?);
        self.http_1_0 = head.version == Some(0);
        self.expects_continue = false;
        let (mut hosts, mut framing) = (0, None);
        let (mut close, mut keep_alive) = (false, !self.http_1_0);
        for &httparse::Header { name, value } in &*head.headers {
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            if is("Host") {
                hosts += 1;
            } else if is("Connection") {
                close |= has_token(value, "close");
                keep_alive |= has_token(value, "keep-alive");
            } else if is("Content-Length") {
                let sized = Framing::Sized(number(value, 10, BODY_TOO_LARGE)?);
                if framing.replace(sized).is_some_and(|other| other != sized) {
                    return Err(Refused(BAD_REQUEST));
                }
            } else if is("Transfer-Encoding") {
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Refused("501 Not Implemented"));
                }
                if framing.replace(Framing::Chunked).is_some() || self.http_1_0 {
                    return Err(Refused(BAD_REQUEST));
                }
            } else if is("Expect") {
                self.expects_continue = !self.http_1_0 && has_token(value, "100-continue");
            }
        }
        if hosts > 1 || (hosts == 0 && !self.http_1_0) {
            return Err(Refused(BAD_REQUEST));
        }
        self.keep_alive = keep_alive && !close;
        match framing.unwrap_or(Framing::Sized(0)) {
            Framing::Sized(size) if size > MAX_BODY => Err(Refused(BODY_TOO_LARGE)),
            framing => Ok(Some((framing, length))),
        }
    }

    fn read_sized(&mut self, wire: &mut Wire<'_>, size: usize) -> Result<()> {
        // The buffer grows with what arrives: a size that is only promised costs nothing.
        wire.take(size as u64).read_to_end(&mut self.body)?;
        Ok(())
    }

    fn read_chunks(&mut self, wire: &mut Wire<'_>) -> Result<()> {
        loop {
            let line = read_line(wire)?;
            // What may follow the size after a semicolon means nothing here.
            let digits = line.split(|&byte| byte == b';').next().unwrap_or_default();
            match number(digits, 16, BAD_REQUEST)? {
                0 => break,
                size if size > MAX_BODY - self.body.len() => return Err(Refused(BODY_TOO_LARGE)),
                size => self.read_sized(wire, size)?,
            }
            if !read_line(wire)?.is_empty() {
                return Err(Refused(BAD_REQUEST));
            }
        }
        // Trailers, which nobody asked for, end with an empty line.
        loop {
            let line = read_line(wire)?;
            if line.is_empty() {
                return Ok(());
            }
            if !is_field(line) {
                return Err(Refused(BAD_REQUEST));
            }
        }
    }
}

/// Reads a line and returns it without its end, which must be a CR and a LF, and no CR before.
fn read_line(wire: &mut Wire<'_>) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    wire.take(MAX_LINE).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') || line.pop() != Some(b'\r') || line.contains(&b'\r') {
        return Err(Refused(BAD_REQUEST));
    }
    Ok(line)
}

/// Whether a trailer is what a head may hold, and not, say, another request.
fn is_field(mut line: Vec<u8>) -> bool {
    line.extend_from_slice(b"\r\n\r\n");
    let mut fields = [httparse::EMPTY_HEADER];
    httparse::parse_headers(&line, &mut fields).is_ok_and(|parsed| parsed.is_complete())
}

/// The path in a request's target. A client that takes this server for a proxy names the host, too:
/// `http://host/path?query`. There is no path to be told where the host's name is empty, nor in a
/// target with a fragment, which a client keeps to itself.
fn path(target: &str) -> Option<&str> {
    const SCHEME: &str = "http://";
    if target.contains('#') {
        return None;
    }
    let path = match target.split_at_checked(SCHEME.len()) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            match rest.split_at(end) {
                ("", _) => return None,
                (_, path) if path.starts_with('/') => path,
                _ => "/",
            }
        }
        _ => target,
    };
    Some(path.split_once('?').map_or(path, |(path, _)| path))
}

/// Whether a comma-separated header has this value among its own.
fn has_token(value: &[u8], token: &str) -> bool {
    value
        .split(|&byte| byte == b',')
        .any(|one| one.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// Parses a number, which is refused with the status `too_large` where it does not fit.
fn number(digits: &[u8], radix: u32, too_large: &'static str) -> Result<usize> {
    match str::from_utf8(digits) {
        // Digits only: std would take a sign, too.
        Ok(text) if !text.is_empty() && text.chars().all(|digit| digit.is_digit(radix)) => {
            usize::from_str_radix(text, radix).map_err(|_| Refused(too_large))
        }
        _ => Err(Refused(BAD_REQUEST)),
    }
}
