//! A client that sends any bytes and reads responses strictly.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::process::Server;

/// A response, its header names in lower case.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Takes the first response out of `bytes`, or returns `None` if it is not all there.
    pub(crate) fn take(bytes: &mut Vec<u8>, to_head: bool) -> Option<Self> {
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let mut head = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(head_length) = head.parse(bytes).unwrap() else {
            return None;
        };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut reply = Self {
            status: head.code.unwrap(),
            headers: head.headers.iter().map(|h| (h.name.to_lowercase(), text(h.value))).collect(),
            body: String::new(),
        };
        if reply.status == 100 {
            assert_eq!(reply.headers, []);
            bytes.drain(..head_length);
            return Some(reply);
        }
        httpdate::parse_http_date(reply.header("date").unwrap()).unwrap();
        let body_length = reply.header("content-length").unwrap().parse().unwrap();
        let length = head_length + if to_head { 0 } else { body_length };
        let body = bytes.get(head_length..length)?;
        reply.body = text(body);
        bytes.drain(..length);
        Some(reply)
    }
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    pub(crate) fn new(server: &Server) -> Self {
        Self { stream: server.connect(), received: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).unwrap();
        self
    }

    pub(crate) fn send_end(&mut self) -> &mut Self {
        self.stream.shutdown(Shutdown::Write).unwrap();
        self
    }

    pub(crate) fn get(&mut self, path: &str) -> Reply {
        self.send(get(path)).reply()
    }

    /// Waits for one response.
    pub(crate) fn reply(&mut self) -> Reply {
        self.reply_to(false)
    }

    pub(crate) fn reply_to_head(&mut self) -> Reply {
        self.reply_to(true)
    }

    fn reply_to(&mut self, head: bool) -> Reply {
        loop {
            if let Some(reply) = Reply::take(&mut self.received, head) {
                return reply;
            }
            let mut buffer = [0; 4096];
            let length = self.stream.read(&mut buffer).unwrap();
            assert!(length > 0, "no more than {:?}", String::from_utf8_lossy(&self.received));
            self.received.extend_from_slice(&buffer[..length]);
        }
    }

    /// Waits for the end of the stream, and checks that nothing stands before it.
    pub(crate) fn ended(mut self) {
        self.stream.read_to_end(&mut self.received).unwrap();
        assert_eq!(String::from_utf8_lossy(&self.received), "");
    }

    /// Waits until the server sends something, or its process has ended. Returns whether it has.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.stream.read(&mut [0]), Ok(1))
    }

    /// Waits for the end of the stream. Returns the responses before it, which must all be whole.
    pub(crate) fn replies(mut self) -> Vec<Reply> {
        self.stream.read_to_end(&mut self.received).unwrap();
        let mut replies = Vec::new();
        while !self.received.is_empty() {
            replies.push(Reply::take(&mut self.received, false).expect("a whole response"));
        }
        replies
    }
}

pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: sedge\r\n\r\n")
}
