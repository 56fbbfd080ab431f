//! docs/resize.md says of every reason of a record what to do.

use std::path::Path;

use stateward_core::record::Reason;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn every_reason_is_in_a_table_of_the_documentation() {
    let text = std::fs::read_to_string(Path::new(ROOT).join("docs/resize.md")).unwrap();
    let first = |line: &str| line.strip_prefix("| ")?.split(" |").next().map(str::to_owned);
    let cells: Vec<String> = text.lines().filter_map(first).collect();
    let named = |reason: &Reason| cells.iter().any(|cell| cell.contains(&format!("`{reason}`")));
    let missing: Vec<_> = Reason::ALL.iter().filter(|reason| !named(reason)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
