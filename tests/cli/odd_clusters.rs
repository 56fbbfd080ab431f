//! `audit` and `check` on clusters that are odd: no command fails, and each says what the engine says.

#[path = "../engine/odd_clusters/cases.rs"]
mod cases;

use std::collections::BTreeSet;

use serde_json::Value;

use self::cases::cases;
use crate::folder::Folder;

/// The values of a key of some objects.
fn texts<'v>(list: &'v Value, key: &str) -> BTreeSet<&'v str> {
    list.as_array().unwrap().iter().map(|one| one[key].as_str().unwrap()).collect()
}

#[test]
fn commands_say_of_an_odd_cluster_what_the_engine_says() {
    for case in cases() {
        let name = case.name;
        let folder = Folder::new(&[("facts.json", &case.facts())]);
        let audit = folder.run(&["audit", "--facts", "facts.json", "-o", "json"], "");
        assert_eq!(audit.code, Some(0), "{name}: {audit:?}");
        let audit = audit.json();
        let found = audit["findings"].as_array().unwrap().iter();
        let found: BTreeSet<String> = found
            .map(|one| {
                format!("{} {}", one["check"].as_str().unwrap(), one["name"].as_str().unwrap())
            })
            .collect();
        assert_eq!(found, case.audit.iter().map(|one| (*one).to_owned()).collect(), "{name}");

        // What is deleted leaves a manifest of another kind behind.
        let rest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: rest}\n".to_owned();
        folder.write("new.yaml", &case.new.as_ref().map_or(rest, Value::to_string));
        let mut arguments = vec!["--facts=facts.json", "--deletions", "-o", "json", "new.yaml"];
        if let Some(old) = &case.old {
            folder.write("old.json", &old.to_string());
            arguments.push("--old=old.json");
        }
        let check = folder.check(&arguments);
        assert!(matches!(check.code, Some(0 | 1)), "{name}: {check:?}");
        let check = check.json();
        // Nobody keeps a manifest of what the other cases edit.
        let kind =
            case.new.as_ref().or(case.old.as_ref()).and_then(|object| object["kind"].as_str());
        let judged = matches!(kind, Some("StatefulSet" | "PersistentVolumeClaim"));
        let expected = |rules: &[&'static str]| -> BTreeSet<&str> {
            rules.iter().copied().filter(|_| judged).collect()
        };
        assert_eq!(texts(&check["findings"], "rule"), expected(&case.finds), "{name}");
        assert_eq!(texts(&check["notJudged"], "rule"), expected(&case.not_judged), "{name}");
    }
}
