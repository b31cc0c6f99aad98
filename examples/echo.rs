//! A TCP echo server, written as for `std::net`: one task per connection.
//!
//! ```sh
//! cargo run --release --example echo -- 127.0.0.1:7777
//! ```
#![expect(clippy::print_stdout, reason = "where it listens is this program's output")]

use std::env;
use std::io::{self, Read, Write};
use std::process::ExitCode;

use sedge::net::{TcpListener, TcpStream};
use sedge::task::Builder;

fn main() -> ExitCode {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".to_owned());
    if let Err(error) = sedge::run(|| serve(&address)) {
        eprintln!("echo: cannot serve on {address}: {error}");
        eprintln!("echo: give another address, as in `echo 127.0.0.1:0`: port 0 takes a free one");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn serve(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);

    // Every connection takes a descriptor, and most shells start programs with 1,024 of them.
    let descriptors = rlimit::increase_nofile_limit(u64::MAX)?;
    println!("room for about {descriptors} connections, the limit of open files (ulimit -Hn)");

    for stream in listener.incoming() {
        // At a limit, of descriptors or of tasks, those who are here are served on.
        let spawned = stream.and_then(|stream| Builder::new().spawn(move || echo(stream)));
        if let Err(error) = spawned {
            eprintln!("echo: cannot take a connection: {error}");
        }
    }
    Ok(())
}

/// Sends back what arrives until the client has no more to say.
fn echo(mut stream: TcpStream) -> io::Result<()> {
    // The buffer lives on the task's stack: at this size, an idle connection keeps to one page.
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n])?,
        }
    }
}
