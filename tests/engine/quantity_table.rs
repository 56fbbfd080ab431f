//! `object::Quantity` against what Go's `resource.Quantity` answers.
//!
//! The table is made by `tests/testbed/tools/quantity`, which runs Kubernetes' own parser.

use serde::Deserialize;
use stateward_core::object::Quantity;

/// One spelling and what Go makes of it.
#[derive(Deserialize)]
struct Row {
    input: String,
    ok: bool,
    /// as Go prints it
    canonical: Option<String>,
    /// the value in billionths
    nano: Option<String>,
}

fn table() -> Vec<Row> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/testbed/tools/quantity/table.json");
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{path}: {error}; `go run .` beside it makes the table"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn accepts_and_refuses_what_go_does() {
    let rows = table();
    assert!(rows.len() > 1000, "only {} rows", rows.len());
    assert!(rows.iter().any(|row| row.ok) && rows.iter().any(|row| !row.ok));
    let wrong: Vec<String> = rows
        .iter()
        .filter(|row| row.input.parse::<Quantity>().is_ok() != row.ok)
        .map(|row| format!("{:?}: go says {}", row.input, row.ok))
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn values_are_those_of_go() {
    let mut wrong = Vec::new();
    for row in table().iter().filter(|row| row.ok) {
        let Ok(quantity) = row.input.parse::<Quantity>() else { continue };
        let nano = row.nano.as_deref().unwrap();
        // Beyond a hundred digits the value is given with an exponent.
        let same = quantity.nanos().map_or_else(
            || format!("{nano}n").parse() == Ok(quantity.clone()),
            |nanos| nanos == nano,
        );
        if !same {
            wrong.push(format!("{:?}: {:?}, go says {nano}", row.input, quantity.nanos()));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn what_go_prints_reads_back_as_the_same_value() {
    let mut wrong = Vec::new();
    for row in table().iter().filter(|row| row.ok) {
        let canonical = row.canonical.as_deref().unwrap();
        let (ours, theirs) = (row.input.parse::<Quantity>(), canonical.parse::<Quantity>());
        if ours != theirs {
            wrong.push(format!("{} printed as {canonical}", row.input));
        }
    }
    // Go has no suffix for 10^21 and prints none: its value is right, its text is not.
    assert_eq!(wrong, ["1000E printed as 1"]);
}

#[test]
fn order_is_that_of_the_values() {
    // Nano values are whole numbers, which compare by sign, length and digits.
    let key = |nano: &str| {
        let digits = nano.trim_start_matches('-');
        let length = i64::try_from(digits.len()).unwrap();
        match (nano.starts_with('-'), digits) {
            (_, "0") => (0, String::new()),
            (false, _) => (length, digits.to_owned()),
            (true, _) => (-length, digits.bytes().map(|b| char::from(b'9' - (b - b'0'))).collect()),
        }
    };
    let mut rows: Vec<(Quantity, String)> =
        table().into_iter().filter_map(|row| Some((row.input.parse().ok()?, row.nano?))).collect();
    rows.sort_by_key(|(_, nano)| key(nano));
    for pair in rows.windows(2) {
        let [(left, left_nano), (right, right_nano)] = pair else { unreachable!() };
        let expected = key(left_nano).cmp(&key(right_nano));
        assert_eq!(left.cmp(right), expected, "{left_nano} against {right_nano}");
    }
}
