//! Runs the program as a user would, for a second.

use std::process::Command;

use serde_json::Value;

/// Raw epoll echoes every byte, and every figure of its row is there and more than nothing.
#[test]
fn smoke_echo() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("echo.json");
    let output = Command::new(env!("CARGO_BIN_EXE_sedge-compare"))
        .args(["echo", "--servers", "epoll", "--conns", "1,16", "--rounds", "2"])
        .args(["--seconds", "0.2", "--warm-up", "0.05", "--no-system-calls", "--json"])
        .arg(&json)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("echo, 64 bytes, 16 connections"), "{said}");

    let report: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    let sections = report["sections"].as_array().unwrap();
    assert_eq!(sections.len(), 2);
    for section in sections {
        let row = &section["rows"][0];
        assert_eq!(row["name"], "epoll");
        let per_second = &row["cells"][0];
        assert_eq!(per_second["rounds"], 2, "{row}");
        assert!(per_second["min"].as_f64().unwrap() > 0.0, "{row}");
        assert_eq!(row["cells"][2]["median"], 1.0, "its ratio to itself: {row}");
    }
}

/// Every kind of batch of messages ends, with a figure, among tasks and among futures.
#[test]
fn smoke_channels() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("channels.json");
    let output = Command::new(env!("CARGO_BIN_EXE_sedge-compare"))
        .args(["channels", "--servers", "tokio,async-channel,sedge", "--rounds", "1"])
        .args(["--count", "4000", "--parked", "100", "--json"])
        .arg(&json)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));

    let report: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    let sections = report["sections"].as_array().unwrap();
    let columns: Vec<_> = sections.iter().map(|section| section["columns"].as_array()).collect();
    let columns: Vec<_> = columns.into_iter().map(|columns| columns.unwrap().len()).collect();
    assert_eq!(columns, [2, 2, 2, 4], "{said}");
    for row in sections.iter().flat_map(|section| section["rows"].as_array().unwrap()) {
        assert!(row["cells"][0]["median"].as_f64().unwrap() > 0.0, "{row}");
    }
    let rows = sections.iter().map(|section| section["rows"].as_array().unwrap().len());
    assert_eq!(rows.sum::<usize>(), 4 * 3, "{said}");
}

/// A name that is not in the registry ends the run before anything is measured.
#[test]
fn unknown_server_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_sedge-compare"))
        .args(["echo", "--servers", "nobody"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("no server is called"));
}
