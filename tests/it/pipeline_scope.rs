use rustix::process::Signal;

use crate::process::{Program, Server};

/// URLs of these paths of a server.
fn urls(server: &Server, paths: &[&str]) -> Vec<String> {
    paths.iter().map(|path| format!("{}{path}", server.address)).collect()
}

fn fetch(urls: &[String]) -> Program {
    let mut program =
        Program::start("pipeline_scope", &urls.iter().map(|url| &**url).collect::<Vec<_>>());
    assert!(program.line().starts_with("fetching"));
    program
}

#[test]
fn pages_come_in_order() {
    let server = Server::start("http");
    let urls = urls(&server, &["/sleep/50", "/json", "/"]);
    let mut program = fetch(&urls);
    assert!(program.line().contains("digest"));
    for url in &urls {
        let line = program.line();
        assert!(line.ends_with(url), "{line}");
    }
    let (status, complaints) = program.wait();
    assert!(status.success(), "{complaints}");
}

/// The others are ended in the middle of their waits.
#[test]
fn the_first_error_stops_it() {
    let server = Server::start("http");
    let urls = urls(&server, &["/sleep/60000", "/nothing", "/sleep/60000"]);
    let (status, complaints) = fetch(&urls).wait();
    assert_eq!(status.code(), Some(1));
    assert!(complaints.contains(&urls[1]) && complaints.contains("404"), "{complaints}");
}

#[test]
fn ctrl_c_stops_it() {
    let server = Server::start("http");
    let mut program = fetch(&urls(&server, &["/sleep/60000", "/sleep/60000"]));
    program.signal(Signal::INT);
    let (status, complaints) = program.wait();
    assert_eq!(status.code(), Some(130));
    assert!(complaints.contains("interrupted"), "{complaints}");
}

#[test]
fn without_pages() {
    let (status, complaints) = Program::start("pipeline_scope", &[]).wait();
    assert_eq!(status.code(), Some(1));
    assert!(complaints.contains("name pages"), "{complaints}");
}
