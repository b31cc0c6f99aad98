//! Fetching a page, by plain HTTP/1.1, and finding the links in it.

use std::io::{self, ErrorKind, Read, Write};

use httparse::Status;
use sedge::net::TcpStream;

use super::url::Url;

/// What is larger is not looked at.
const MAX_BYTES: usize = 4 * 1024 * 1024;

#[derive(Default)]
pub(crate) struct Page {
    pub(crate) links: Vec<Url>,
    /// How many links lead to what is no page of HTTP.
    pub(crate) elsewhere: usize,
}

/// Fetches a page. What the server does not call a success is an error.
pub(crate) fn fetch(url: &Url) -> io::Result<Page> {
    let answer = get(url)?;
    match answer.status {
        200..300 if answer.is_html => {
            // A long one would keep the worker from the other pages.
            Ok(sedge::blocking(|| links(url, &answer.body)))
        }
        200..300 => Ok(Page::default()),
        300..400 if answer.location.is_some() => {
            let mut page = Page::default();
            page.add(url, &answer.location.unwrap_or_default());
            Ok(page)
        }
        status => Err(io::Error::other(format!("{status} {}", answer.reason))),
    }
}

struct Answer {
    status: u16,
    reason: String,
    location: Option<String>,
    is_html: bool,
    body: Vec<u8>,
}

fn get(url: &Url) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(url.address())?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        url.path, url.authority
    );
    stream.write_all(request.as_bytes())?;
    let (mut received, mut buffer) = (Vec::new(), [0; 8 * 1024]);
    loop {
        let length = stream.read(&mut buffer)?;
        received.extend_from_slice(&buffer[..length]);
        if let Some(answer) = Answer::parse(&received, length == 0)? {
            return Ok(answer);
        }
        match length {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            _ if received.len() > MAX_BYTES => return Err(ErrorKind::FileTooLarge.into()),
            _ => {}
        }
    }
}

impl Answer {
    /// Parses an answer; none if it is not all there.
    fn parse(received: &[u8], has_ended: bool) -> io::Result<Option<Self>> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut headers);
        let parsed = head.parse(received).map_err(|error| invalid(&error.to_string()))?;
        let Status::Complete(head_length) = parsed else { return Ok(None) };
        let header = |name: &str| {
            let found = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            found.map(|header| String::from_utf8_lossy(header.value).into_owned())
        };

        let body = &received[head_length..];
        let body = if header("transfer-encoding").is_some_and(|coding| coding.ends_with("chunked"))
        {
            // After the last chunk the server closes the connection, as it was asked to.
            if !has_ended {
                return Ok(None);
            }
            dechunk(body)?
        } else if let Some(length) = header("content-length") {
            let length: usize = length.parse().map_err(|_| invalid("a length that is none"))?;
            match body.get(..length) {
                None => return Ok(None),
                Some(body) => body.to_vec(),
            }
        } else if has_ended {
            body.to_vec()
        } else {
            return Ok(None);
        };
        Ok(Some(Self {
            status: head.code.unwrap_or_default(),
            reason: head.reason.unwrap_or_default().to_owned(),
            location: header("location"),
            is_html: header("content-type").is_some_and(|kind| kind.starts_with("text/html")),
            body,
        }))
    }
}

/// A chunked body, put together.
fn dechunk(mut chunks: &[u8]) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let Ok(Status::Complete((start, length))) = httparse::parse_chunk_size(chunks) else {
            return Err(invalid("a chunk that is none"));
        };
        if length == 0 {
            return Ok(body);
        }
        // Behind each chunk there is an empty line.
        let end = usize::try_from(length).ok().and_then(|length| start.checked_add(length));
        let chunk = end.and_then(|end| Some((chunks.get(start..end)?, chunks.get(end + 2..)?)));
        let Some((data, rest)) = chunk else { return Err(ErrorKind::UnexpectedEof.into()) };
        body.extend_from_slice(data);
        chunks = rest;
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("not HTTP: {what}"))
}

/// What stands in `href="..."`, whatever element that is in.
fn links(url: &Url, body: &[u8]) -> Page {
    let mut page = Page::default();
    for rest in String::from_utf8_lossy(body).split("href=").skip(1) {
        let Some(quote @ ('"' | '\'')) = rest.chars().next() else { continue };
        if let Some((link, _)) = rest[1..].split_once(quote) {
            page.add(url, &link.replace("&amp;", "&"));
        }
    }
    page
}

impl Page {
    fn add(&mut self, url: &Url, link: &str) {
        match url.join(link) {
            Some(link) => self.links.push(link),
            None => self.elsewhere += 1,
        }
    }
}
