//! What a response is, and how it is written.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use super::request::Request;

pub(crate) struct Response<'a> {
    status: &'static str,
    content_type: &'static str,
    /// The methods that are allowed, where that of the request is not.
    allow: &'static str,
    body: &'a [u8],
}

impl<'a> Response<'a> {
    pub(crate) fn text(body: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Self { status: "200 OK", content_type: "text/plain", allow: "", body: body.as_ref() }
    }

    pub(crate) fn json(body: &'a str) -> Self {
        Self { content_type: "application/json", ..Self::text(body) }
    }

    pub(crate) fn html(body: &'a str) -> Self {
        Self { content_type: "text/html", ..Self::text(body) }
    }

    /// A response that is nothing but its status.
    pub(crate) fn status(status: &'static str) -> Self {
        Self { status, ..Self::text(status) }
    }

    /// The answer to a method that is none of `allow`.
    pub(crate) fn not_allowed(method: &str, allow: &'static str) -> Self {
        match method {
            "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" | "TRACE"
            | "CONNECT" => Self { allow, ..Self::status("405 Method Not Allowed") },
            _ => Self::status("501 Not Implemented"),
        }
    }

    /// Writes the answer to `request`, after which the connection stays open or does not.
    pub(crate) fn write_to(
        &self,
        output: &mut Vec<u8>,
        request: &Request,
        stays: bool,
        date: &str,
    ) {
        let mut push = |text: &str| output.extend_from_slice(text.as_bytes());
        push("HTTP/1.1 ");
        push(self.status);
        push("\r\nDate: ");
        push(date);
        push("\r\nContent-Type: ");
        push(self.content_type);
        if !self.allow.is_empty() {
            push("\r\nAllow: ");
            push(self.allow);
        }
        push(match (stays, request.http_1_0) {
            (true, false) => "",
            (true, true) => "\r\nConnection: keep-alive",
            (false, _) => "\r\nConnection: close",
        });
        push("\r\nContent-Length: ");
        // Writing to a vector does not fail.
        let _ = write!(output, "{}\r\n\r\n", self.body.len());
        if request.method != "HEAD" {
            output.extend_from_slice(self.body);
        }
    }
}

/// The time as HTTP writes it, written anew when the second changes.
#[derive(Default)]
pub(crate) struct Date {
    second: u64,
    text: String,
}

impl Date {
    pub(crate) fn now(&mut self) -> &str {
        let now = SystemTime::now();
        let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if self.second != second {
            self.second = second;
            self.text = httpdate::fmt_http_date(now);
        }
        &self.text
    }
}
