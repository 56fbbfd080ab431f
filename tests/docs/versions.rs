//! Tests on a real control plane say which versions of Kubernetes they hold for.

use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What the API server says in some versions only.
const OF_SOME_VERSIONS: [&str; 3] =
    ["updates to statefulset spec", "field is immutable", "is invalid: spec: Forbidden"];

/// `testbed::Kubernetes` knows the words of each version; a test that quotes them holds for one.
#[test]
fn no_cluster_test_quotes_a_message_of_one_version() {
    let mut files = Vec::new();
    for folder in ["tests/cluster", "tests/attacks"] {
        for entry in std::fs::read_dir(Path::new(ROOT).join(folder)).unwrap() {
            files.push(entry.unwrap().path());
        }
    }
    assert!(files.len() > 40, "{files:?}");
    for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "rs")) {
        let text = std::fs::read_to_string(file).unwrap();
        for message in OF_SOME_VERSIONS {
            assert!(
                !text.contains(message),
                "{}: \"{message}\" is said by some versions only; ask testbed::Kubernetes for it",
                file.display()
            );
        }
    }
}
