//! tokio, with its single-threaded scheduler and with its multi-threaded one.

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Builder,
};

use super::{BUFFER_BYTES, Server, nothing_to_prepare};
use crate::{child::say_listening, machine::locked_version};

pub(super) const CURRENT_THREAD: Server = Server {
    name: "tokio",
    about: "tokio, current_thread",
    version: || Ok(locked_version("tokio")),
    prepare: nothing_to_prepare,
    many_workers: false,
    serve: |_| Builder::new_current_thread().enable_io().build()?.block_on(accept()),
};

pub(super) const MULTI_THREAD: Server = Server {
    name: "tokio-mt",
    about: "tokio, multi_thread",
    version: || Ok(locked_version("tokio")),
    prepare: nothing_to_prepare,
    many_workers: true,
    serve: |workers| {
        let runtime = Builder::new_multi_thread().worker_threads(workers).enable_io().build()?;
        // As a task, because the thread that calls `block_on` is none of the workers.
        runtime.block_on(runtime.spawn(accept()))?
    },
};

async fn accept() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    say_listening(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        // An error ends its own connection only.
        tokio::spawn(async { drop(echo(stream).await) });
    }
}

async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; BUFFER_BYTES];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..count]).await?;
    }
}
