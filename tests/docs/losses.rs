//! The loss list that README shows is the one that a rule prints.

use std::path::Path;

#[test]
fn readme_shows_a_loss_list_as_a_rule_prints_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let readme = read("README.md");
    let (_, after) = readme.split_once("<!-- loss:").unwrap();
    let block = after.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let fixture = "policies/rules/sts-delete-pvc-retention-delete/fail/loss-is-listed.snap";
    let printed = read(fixture);
    assert!(block.lines().count() >= 6, "README shows no list");
    assert!(printed.contains(block), "{fixture} does not print:\n{block}");
}
