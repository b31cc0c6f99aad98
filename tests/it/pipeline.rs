use std::io::Write;
use std::thread;

use crate::process::Program;

/// What becomes of an input: the lines that come out of it, and what is said about it.
fn pipeline(args: &[&str], input: String) -> (Vec<String>, String) {
    let (mut program, mut stdin) = Program::start_with_input("pipeline", args);
    let writer = thread::spawn(move || stdin.write_all(input.as_bytes()));
    let mut lines = Vec::new();
    loop {
        let line = program.line();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    writer.join().unwrap().unwrap();
    let (status, complaints) = program.wait();
    assert!(status.success(), "{complaints}");
    (lines, complaints)
}

/// The figures of a stage: lines, seconds without a line, seconds without room.
fn figures(complaints: &str, stage: &str) -> [f64; 3] {
    let row = complaints.lines().find_map(|line| line.strip_prefix(stage));
    let row = row.unwrap_or_else(|| panic!("no {stage:?} in {complaints}"));
    let figures: Vec<_> = row.split_whitespace().map(|figure| figure.parse().unwrap()).collect();
    figures.try_into().unwrap()
}

/// Numbers that take longer and shorter, each followed by its factors.
fn mixed() -> (String, Vec<String>) {
    let lines: Vec<_> = (0..200)
        .map(|i| match i % 4 {
            0 => "9999999967: 9999999967".to_owned(),
            1 => "9999999968: 2 2 2 2 2 7 7 6377551".to_owned(),
            _ => format!("{}: {}", 1 << (i / 10), " 2".repeat(i / 10).trim_start()),
        })
        .map(|line| line.trim_end().to_owned())
        .collect();
    let numbers = lines.iter().map(|line| line.split(':').next().unwrap().to_owned() + "\n");
    (numbers.collect(), lines)
}

#[test]
fn every_line_comes_out() {
    let (input, mut expected) = mixed();
    let (mut lines, complaints) = pipeline(&["--workers", "8", "--room", "4"], input);
    lines.sort_unstable();
    expected.sort_unstable();
    assert_eq!(lines, expected);
    for stage in ["read", "work", "write"] {
        assert_eq!(figures(&complaints, stage)[0], 200.0, "{complaints}");
    }
}

#[test]
fn in_order() {
    for room in ["0", "1", "16"] {
        let (input, expected) = mixed();
        let (lines, _) = pipeline(&["--ordered", "--room", room], input);
        assert_eq!(lines, expected, "room for {room}");
    }
}

#[test]
fn the_slowest_sets_the_pace() {
    let input: String = (0..100).map(|n| format!("{n}\n")).collect();
    let args = ["--workers", "1", "--room", "1", "--slow-write", "5"];
    let (lines, complaints) = pipeline(&args, input);
    assert_eq!(lines.len(), 100);
    // Half a second, but for a few lines.
    for stage in ["read", "work"] {
        assert!(figures(&complaints, stage)[2] > 0.1, "{complaints}");
    }
    assert_eq!(figures(&complaints, "write")[2], 0.0);
}

/// The others are ended in the middle of what they do: computing, and waiting for input.
#[test]
fn a_line_that_is_no_number() {
    for args in [&["--workers", "4"][..], &["--ordered", "--room", "8"]] {
        let (mut program, mut stdin) = Program::start_with_input("pipeline", args);
        stdin.write_all(b"18446744073709551557\n18446744073709551533\nseven\n").unwrap();
        let (status, complaints) = program.wait();
        assert_eq!(status.code(), Some(1));
        assert!(complaints.contains("line 3 is no number"), "{complaints}");
        assert_eq!(figures(&complaints, "write")[0], 0.0);
        drop(stdin); // Open until here.
    }
}

#[test]
fn nobody_reads_the_output() {
    let (mut program, mut stdin) = Program::start_with_input("pipeline", &[]);
    program.close_output();
    let endless = thread::spawn(move || while stdin.write_all(b"6\n").is_ok() {});
    let (status, complaints) = program.wait();
    assert_eq!(status.code(), Some(1));
    assert!(complaints.contains("cannot write"), "{complaints}");
    endless.join().unwrap();
}

#[test]
fn without_its_file() {
    let (status, complaints) = Program::start("pipeline", &["no/such/file"]).wait();
    assert_eq!(status.code(), Some(1));
    assert!(complaints.contains("no/such/file"), "{complaints}");
}
