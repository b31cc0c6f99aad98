//! Sedge: what std's blocking code looks like here. One worker for each CPU that the process may
//! use.

use std::io::{Read as _, Write as _};

use anyhow::Result;
use sedge::{
    net::{TcpListener, TcpStream},
    runtime::Builder,
};

use super::{BUFFER_BYTES, Server, nothing_to_prepare};
use crate::child::say_listening;

pub(super) const SERVER: Server = Server {
    name: "sedge",
    about: "Sedge",
    version: || Ok(crate::machine::locked_version("sedge")),
    prepare: nothing_to_prepare,
    many_workers: true,
    serve: |workers| Builder::new().workers(workers).run(accept)?,
};

fn accept() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    say_listening(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept()?;
        // An error ends its own connection only.
        sedge::spawn(move || drop(echo(stream)));
    }
}

fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; BUFFER_BYTES];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..count])?;
    }
}
