//! Requests from pieces that make sense and pieces that do not: whatever is sent, what comes back
//! is a row of whole responses and then the end of the stream.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::client::Client;
use crate::process::Server;

#[test]
fn any_bytes() {
    let server = Server::start("http");
    let config = ProptestConfig { cases: 512, failure_persistence: None, ..Default::default() };
    TestRunner::new(config)
        .run(&vec(piece(), 1..24), |pieces| {
            let mut client = Client::new(&server);
            client.send(pieces.concat()).send_end();
            client.replies();
            Ok(())
        })
        .unwrap();
    server.stop();
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "GET ",
        "POST ",
        "/ ",
        "/echo ",
        "/sleep/1 ",
        "HTTP/1.1\r\n",
        "HTTP/1.0\r\n",
        "Host: sedge\r\n",
        "Connection: keep-alive\r\n",
        "Content-Length: 5\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Expect: 100-continue\r\n",
        "5\r\nabcde\r\n",
        "0\r\n\r\n",
        "\r\n",
        "\n",
        "\r",
        ": ",
        "GET / HTTP/1.1\r\nHost: sedge\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: sedge\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: sedge\r\nContent-Length: 5\r\n\r\nabcde",
    ]);
    prop_oneof![
        8 => known.prop_map(Vec::from),
        1 => vec(any::<u8>(), 0..64),
        1 => vec(Just(b'x'), 0..10_000),
    ]
}
