use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;

use crate::process::{Server, example};

#[test]
fn smoke() {
    let server = Server::start("echo");
    let mut stream = server.connect();
    for message in ["hello", "", "world"] {
        stream.write_all(message.as_bytes()).unwrap();
        let mut reply = vec![0; message.len()];
        stream.read_exact(&mut reply).unwrap();
        assert_eq!(reply, message.as_bytes());
    }
}

/// More than the sockets hold between them: the server has to wait for reading and for writing.
#[test]
fn large() {
    let server = Server::start("echo");
    let mut stream = server.connect();
    let sent: Vec<u8> = (0..16 << 20).map(|i: u32| (i % 251) as u8).collect();
    let mut received = Vec::new();
    thread::scope(|scope| {
        let mut writer = stream.try_clone().unwrap();
        let sent = &sent;
        scope.spawn(move || {
            writer.write_all(sent).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        stream.read_to_end(&mut received).unwrap();
    });
    assert!(sent == received, "{} bytes came back of {}", received.len(), sent.len());
}

#[test]
fn thousand_connections() {
    let (_one_at_a_time, count) = Server::a_thousand();
    let server = Server::start("echo");
    let mut streams: Vec<_> = (0..count as u32).map(|i| (i, server.connect())).collect();
    for _ in 0..3 {
        for (i, stream) in &mut streams {
            stream.write_all(&i.to_le_bytes()).unwrap();
        }
        for (i, stream) in &mut streams {
            let mut reply = [0; 4];
            stream.read_exact(&mut reply).unwrap();
            assert_eq!(u32::from_le_bytes(reply), *i);
        }
    }
}

#[test]
fn address_in_use() {
    let server = Server::start("echo");
    let address = server.address.to_string();
    let output = example("echo").arg(&address).output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint.contains(&address), "{complaint}");
    assert!(complaint.contains("in use") && complaint.contains("port 0"), "{complaint}");
}
