//! The change that belongs into the manifest, so that the next apply does not ask for the old size.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The claim templates `before` with the sizes `targets`, as a difference of YAML.
pub(super) fn difference(
    before: &[(String, String)],
    targets: &BTreeMap<String, String>,
) -> Option<String> {
    let changed: Vec<_> = before
        .iter()
        .filter_map(|(name, size)| Some((name, size, targets.get(name)?)))
        .filter(|(_, size, target)| size != target)
        .collect();
    if changed.is_empty() {
        return None;
    }
    let mut text = String::from("   spec:\n     volumeClaimTemplates:\n");
    for (name, size, target) in changed {
        let _ = write!(
            text,
            "     - metadata:\n         name: {name}\n       spec:\n         resources:\n           \
             requests:\n-            storage: {size}\n+            storage: {target}\n"
        );
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_is_in_the_difference() {
        let before = [("data", "100Gi"), ("wal", "5Gi")]
            .map(|(name, size)| (name.to_owned(), size.to_owned()));
        let target = |name: &str, size: &str| BTreeMap::from([(name.to_owned(), size.to_owned())]);
        let text = difference(&before, &target("data", "200Gi")).unwrap();
        insta::assert_snapshot!(text, @r"
           spec:
             volumeClaimTemplates:
             - metadata:
                 name: data
               spec:
                 resources:
                   requests:
        -            storage: 100Gi
        +            storage: 200Gi
        ");
        assert_eq!(difference(&before, &target("wal", "5Gi")), None);
    }
}
