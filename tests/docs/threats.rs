//! docs/threat-model.md names a test for each threat, and each test that it names exists.

use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn page() -> String {
    std::fs::read_to_string(Path::new(ROOT).join("docs/threat-model.md")).unwrap()
}

/// Whether `text` has a test of that name: an attribute `test` stands between the function and
/// whatever comes before it.
fn has_test(text: &str, name: &str) -> bool {
    let Some(at) = text.find(&format!("fn {name}(")) else { return false };
    let before = &text[..at];
    let start = before.rfind(['}', ';']).unwrap_or(0);
    before[start..].contains("#[test]") || before[start..].contains("#[tokio::test")
}

#[test]
fn every_test_of_the_threat_model_exists() {
    let page = page();
    let mut named = 0;
    for line in page.lines().filter_map(|line| line.strip_prefix("- `")) {
        let (file, name) = line.strip_suffix('`').unwrap().split_once("::").unwrap();
        let text = std::fs::read_to_string(Path::new(ROOT).join(file));
        assert!(text.is_ok_and(|text| has_test(&text, name)), "there is no test {name} in {file}");
        named += 1;
    }
    assert!(named > 60, "{named}");
}

#[test]
fn every_threat_has_a_test_or_says_that_it_has_none() {
    let page = page();
    let sections: Vec<&str> = page.split("\n### ").skip(1).collect();
    let numbers: Vec<&str> =
        sections.iter().map(|section| section.split_once(". ").unwrap().0).collect();
    let published: Vec<String> = (1..=18).map(|number| number.to_string()).collect();
    assert_eq!(numbers[..18], published[..]);
    let untested: Vec<&str> = sections
        .iter()
        .filter(|section| !section.contains("\n- `"))
        .map(|section| section.lines().next().unwrap())
        .collect();
    for section in &sections {
        assert_eq!(section.contains("No test."), !section.contains("\n- `"), "{section}");
    }
    assert_eq!(
        untested,
        [
            "6. Attacker gains access to a cluster admin credential",
            "17. Attacker has privileged SSH access to cluster node running admission webhook"
        ]
    );
}

#[test]
fn a_name_in_a_comment_is_no_test() {
    assert!(has_test("}\n#[tokio::test(flavor = \"x\")]\nasync fn a() {", "a"));
    assert!(!has_test("#[test]\nfn b() {}\nfn a() {", "a"));
    assert!(!has_test("// fn a is meant", "a"));
}
