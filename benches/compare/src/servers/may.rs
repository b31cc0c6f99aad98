//! `may`: stackful coroutines for Rust. Its workers poll every 10 ms even when idle.

use std::io::{Read as _, Write as _};

use anyhow::Result;
use may::net::{TcpListener, TcpStream};

use super::{BUFFER_BYTES, Server, nothing_to_prepare};
use crate::{child::say_listening, machine::locked_version};

pub(super) const SERVER: Server = Server {
    name: "may",
    about: "may, stackful coroutines",
    version: || Ok(locked_version("may")),
    prepare: nothing_to_prepare,
    many_workers: true,
    serve,
};

fn serve(workers: usize) -> Result<()> {
    may::config().set_workers(workers);
    // The accept loop is a coroutine, as in may's own examples.
    let accept = may::go!(move || -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        say_listening(listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept()?;
            // An error ends its own connection only.
            may::go!(move || drop(echo(stream)));
        }
    });
    accept.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
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
