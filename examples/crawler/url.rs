//! As much of a URL as HTTP without encryption needs.

use std::fmt;
use std::str::FromStr;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Url {
    /// The host, and the port if one is named.
    pub(crate) authority: String,
    /// With the query, and without the fragment.
    pub(crate) path: String,
}

impl FromStr for Url {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("http://").ok_or("a URL begins with http://")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'@';
        if authority.is_empty() || !authority.bytes().all(plain) {
            return Err("a URL names a host");
        }
        Ok(Self { authority: authority.to_ascii_lowercase(), path: clean(path) })
    }
}

impl Url {
    /// Where to connect to.
    pub(crate) fn address(&self) -> String {
        match self.authority.rsplit_once(':').map(|(_, port)| port.parse::<u16>()) {
            Some(Ok(_)) => self.authority.clone(),
            _ => format!("{}:80", self.authority),
        }
    }

    /// Where a link on this page leads; none if that is no page of HTTP.
    pub(crate) fn join(&self, link: &str) -> Option<Self> {
        let link = link.trim();
        let (page, _query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let (directory, _file) = page.rsplit_once('/').unwrap_or_default();
        let path = match link.split(['/', '?', '#']).next() {
            Some("http:") => return link.parse().ok(),
            Some("") if link.starts_with("//") => return format!("http:{link}").parse().ok(),
            Some("") if link.starts_with('/') => link.to_owned(),
            Some("") => format!("{page}{link}"),
            // It is in another scheme.
            Some(first) if first.contains(':') => return None,
            _ => format!("{directory}/{link}"),
        };
        Some(Self { authority: self.authority.clone(), path: clean(&path) })
    }
}

/// A path without fragment, `.` and `..`, and with nothing in it that may not stand in a request.
fn clean(path: &str) -> String {
    let (path, _fragment) = path.split_once('#').unwrap_or((path, ""));
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    let mut parts = Vec::new();
    let mut rest = path.split('/').skip(1).peekable();
    while let Some(part) = rest.next() {
        match part {
            "." | ".." => {
                if part == ".." {
                    parts.pop();
                }
                // It stands for a directory.
                if rest.peek().is_none() {
                    parts.push("");
                }
            }
            part => parts.push(part),
        }
    }
    let mut clean = format!("/{}", parts.join("/"));
    clean.push_str(query);
    let encode = |byte: u8| match byte {
        b'!'..=b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    clean.bytes().map(encode).collect()
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}
