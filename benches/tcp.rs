//! A TCP round trip on loopback: 64 bytes there and back, between two tasks and between two
//! threads.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use sedge::runtime::Builder;

/// Sends and receives 64 bytes `iterations` times; returns how long it took.
fn exchange(mut stream: impl Read + Write, iterations: u64) -> io::Result<Duration> {
    let mut buffer = [1; 64];
    let start = Instant::now();
    for _ in 0..iterations {
        stream.write_all(&buffer)?;
        stream.read_exact(&mut buffer)?;
    }
    Ok(start.elapsed())
}

fn echo(mut stream: impl Read + Write) -> io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count])?,
        }
    }
}

fn between_tasks(iterations: u64, read_timeout: Option<Duration>) -> io::Result<Duration> {
    use sedge::net::{TcpListener, TcpStream};

    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = sedge::spawn(move || {
        let stream = listener.accept()?.0;
        stream.set_read_timeout(read_timeout)?;
        echo(stream)
    });
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(read_timeout)?;
    let elapsed = exchange(stream, iterations)?;
    server.join().expect("it returns its errors")?;
    Ok(elapsed)
}

fn between_threads(iterations: u64) -> io::Result<Duration> {
    use std::net::{TcpListener, TcpStream};

    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = std::thread::spawn(move || echo(listener.accept()?.0));
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let elapsed = exchange(stream, iterations)?;
    server.join().expect("it returns its errors")?;
    Ok(elapsed)
}

fn round_trip(c: &mut Criterion) {
    let mut group = c.benchmark_group("tcp round trip");
    let mut bench = |name, workers, read_timeout| {
        group.bench_function(format!("{name}/{workers} workers"), |b| {
            b.iter_custom(|iterations| {
                let exchange = || between_tasks(iterations, read_timeout);
                let run = Builder::new().workers(workers).run(exchange);
                run.and_then(|elapsed| elapsed).expect("loopback works")
            });
        });
    };
    bench("tasks", 1, None);
    bench("tasks with a read timeout", 1, Some(Duration::from_secs(3600)));
    bench("tasks", 2, None);
    group.bench_function("threads", |b| {
        b.iter_custom(|iterations| between_threads(iterations).expect("loopback works"));
    });
    group.finish();
}

criterion_group!(benches, round_trip);
criterion_main!(benches);
