use crate::process::example;

#[test]
fn prints_its_table() {
    let output = example("million").args(["2000", "--stack", "128"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "a progress bar without a terminal: {output:?}");
    let table = String::from_utf8(output.stdout).unwrap();
    let value = |name: &str| -> f64 {
        let line = table.lines().find_map(|line| line.strip_prefix(name));
        let line = line.unwrap_or_else(|| panic!("no {name:?} in {table}"));
        line.split_whitespace().find_map(|word| word.parse().ok()).unwrap()
    };
    assert_eq!(value("tasks"), 2000.0);
    for row in ["workers", "resident bytes a task", "together", "mappings", "resident 5 s later"] {
        assert!(value(row) > 0.0, "{row}: {table}");
    }
    // So few may take no time that would show, and no page table of their own.
    for row in ["spawn", "wake", "join", "page-table bytes a task"] {
        assert!(value(row) >= 0.0, "{row}: {table}");
    }
}

#[test]
fn refuses_what_does_not_fit() {
    let output = example("million").arg("1000000000000").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("ask for at most"), "{complaint}");
}

#[test]
fn refuses_what_is_no_number() {
    let output = example("million").arg("many").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
