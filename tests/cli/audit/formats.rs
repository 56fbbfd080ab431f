//! `audit` in the formats of `check`: an object of a cluster is in no file.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stateward_check::audit::checks::CHECKS;

use crate::folder::Folder;

/// A name that no API server accepts, but that a file may hold.
const HOSTILE: &str = "x|`<b>@team\r\n::error::]]>\u{1b}[31m&";

/// Facts with a finding of each severity, and a kind that could not be read.
fn facts() -> String {
    let set = |name: &str| {
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"replicas": 1, "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"},
                "volumeClaimTemplates": [{"metadata": {"name": "data"},
                    "spec": {"resources": {"requests": {"storage": "1Gi"}}}}]}})
    };
    let claim = |namespace: &str, name: &str, volume: &str| {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"volumeName": volume, "resources": {"requests": {"storage": "1Gi"}}}})
    };
    let pod = |name: &str, claim: &str| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop"},
            "spec": {"volumes": [{"persistentVolumeClaim": {"claimName": claim}}]}})
    };
    let items: Vec<Value> = vec![
        set("db"),
        claim("shop", "data-db-0", "pv-0"),
        set(HOSTILE),
        claim("shop", &format!("data-{HOSTILE}-0"), "pv-1"),
        claim("shop", "pending", ""),
        pod("web-0", "pending"),
        claim("shop", "lost", "pv-gone"),
        pod("web-1", "lost"),
        claim("lab", "media", "pv-2"),
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv-0"}}),
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv-1"}}),
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv-2"}}),
    ];
    json!({
        "apiVersion": "stateward.dev/v1alpha1", "kind": "ClusterFacts", "items": items,
        "complete": ["PersistentVolumeClaim", "PersistentVolume", "Pod", "StatefulSet"],
        "unknown": {"VolumeSnapshot": "the VolumeSnapshots: no right to list them"},
    })
    .to_string()
}

fn printed(format: &str) -> String {
    let folder = Folder::new(&[("facts.json", &facts())]);
    let ran = folder.run(&["audit", "--facts", "facts.json", "-o", format], "");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    assert!(!ran.stdout.contains(['\u{1b}', '\r']), "{format}: {}", ran.stdout);
    ran.stdout
}

#[test]
fn sarif_names_objects_by_logical_locations_and_checks_as_rules() {
    let log: Value = serde_json::from_str(&printed("sarif")).unwrap();
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let ids: Vec<&str> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    assert_eq!(ids, CHECKS.map(|check| check.id));
    let results = run["results"].as_array().unwrap();
    let mut fingerprints = BTreeSet::new();
    let mut found = Vec::new();
    for result in results {
        let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
        assert_eq!(rule["id"], result["ruleId"]);
        assert_eq!(rule["defaultConfiguration"]["level"], result["level"]);
        assert!(result["locations"][0].get("physicalLocation").is_none(), "{result}");
        let place = &result["locations"][0]["logicalLocations"][0];
        assert_eq!(place["kind"], "resource");
        let place = place["fullyQualifiedName"].as_str().unwrap();
        assert!(place.is_ascii() && place.split('/').count() == 3, "{place}");
        fingerprints.insert(result["partialFingerprints"]["stateward/v1"].to_string());
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        found.push((text(&result["level"]), text(&result["ruleId"]), place.to_owned()));
    }
    assert_eq!(fingerprints.len(), results.len());
    let found: Vec<_> = found.iter().map(|(l, r, p)| (&**l, &**r, &**p)).collect();
    let hostile =
        "shop/StatefulSet/x%7C%60%3Cb%3E%40team%0D%0A%3A%3Aerror%3A%3A%5D%5D%3E%1B%5B31m%26";
    assert_eq!(
        found,
        [
            ("error", "volume-gone", "shop/PersistentVolumeClaim/lost"),
            ("error", "retention-delete", "shop/StatefulSet/db"),
            ("error", "retention-delete", hostile),
            ("warning", "not-bound", "shop/PersistentVolumeClaim/pending"),
            ("note", "unused", "lab/PersistentVolumeClaim/media"),
        ]
    );
    let message = results[1]["message"]["text"].as_str().unwrap();
    assert!(
        message.starts_with("StatefulSet shop/db: deleting it deletes its 1 claim"),
        "{message}"
    );
    assert!(message.contains("kubectl -n shop patch statefulset db"), "{message}");
    let notes = run["invocations"][0]["toolExecutionNotifications"].as_array().unwrap();
    let note = "Cluster was not judged: needs the VolumeSnapshots: no right to list them";
    assert!(notes.iter().any(|one| one["message"]["text"] == note), "{notes:?}");
}

#[test]
fn junit_has_a_suite_for_each_namespace_and_a_case_for_each_object() {
    let parse = |text: &str| quick_junit::Report::deserialize_from_str(text).unwrap();
    let report = parse(&printed("junit"));
    let suites: Vec<(&str, usize, usize)> = report
        .test_suites
        .iter()
        .map(|suite| (suite.name.as_str(), suite.tests, suite.failures))
        .collect();
    // Five findings, the two claims of sets without one, and one for what could not be read.
    assert_eq!(suites, [("lab", 1, 0), ("shop", 6, 3), ("stateward", 1, 0)]);
    assert_eq!((report.name.as_deref(), report.skipped), (Some("stateward audit"), 1));
    let folder = Folder::new(&[("facts.json", &facts())]);
    for (fail_on, failures) in [("risk", 3), ("stuck", 4), ("note", 5)] {
        let arguments = ["audit", "--facts", "facts.json", "-o", "junit", "--fail-on", fail_on];
        let ran = folder.run(&arguments, "");
        assert_eq!((ran.code, parse(&ran.stdout).failures), (Some(1), failures), "{fail_on}");
    }
}

#[test]
fn github_gets_one_annotation_for_each_finding_without_a_file() {
    let text = printed("github");
    let lines: Vec<&str> = text.lines().collect();
    let heads: Vec<&str> = lines.iter().map(|line| line.split("::").nth(1).unwrap()).collect();
    assert_eq!(
        heads,
        [
            "error title=lost volume-gone",
            "error title=risk retention-delete",
            "error title=risk retention-delete",
            "warning title=stuck not-bound",
            "notice title=note unused",
            "notice title=not judged",
        ]
    );
    let folder = Folder::new(&[]);
    let failed = folder.run(&["audit", "--facts", "absent.json", "-o", "github"], "");
    assert_eq!(failed.code, Some(2));
    assert!(
        failed.stdout.starts_with("::error title=stateward audit could not run::"),
        "{failed:?}"
    );
}

#[test]
fn markdown_is_a_table_in_which_no_name_is_markup() {
    let text = printed("markdown");
    for line in [
        "**stateward**: 2 StatefulSets and 5 claims: 1 lost, 2 risk, 1 stuck, 1 note; incomplete, 3 not \
         known\n",
        "| | What |\n| --- | --- |\n| lost | PersistentVolumeClaim shop/lost: its volume pv-gone does not",
        "| stuck | PersistentVolumeClaim shop/pending: is not bound, and web-0 waits for it |\n",
        "<details><summary>1 not judged</summary>\n\n- Cluster: needs ",
        "needs the VolumeSnapshots: no right to list them\n",
    ] {
        assert!(text.contains(line), "{line:?} is missing:\n{text}");
    }
    // Within a block of code, nothing is markup.
    let prose = text.lines().filter(|line| !line.starts_with("    "));
    let markup = prose.filter(|line| line.contains("<b>") || line.contains("@team"));
    assert_eq!(markup.count(), 0, "{text}");
    for row in text.lines().filter(|line| line.starts_with("| ")) {
        let bars = row.replace("\\|", "").matches('|').count();
        assert_eq!(bars, 3, "{row}");
    }
}

#[test]
fn one_audit_is_written_in_several_formats() {
    let folder = Folder::new(&[("facts.json", &facts())]);
    let audit =
        |more: &[&str]| folder.run(&[&["audit", "--facts", "facts.json"], more].concat(), "");
    let ran = audit(&["-o", "text", "-o", "sarif=a.sarif", "-o", "json=a.json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.starts_with("LOST "), "{}", ran.stdout);
    for file in ["a.sarif", "a.json"] {
        let text = std::fs::read_to_string(folder.path().join(file)).unwrap();
        serde_json::from_str::<Value>(&text).unwrap();
    }
    let both = audit(&["-o", "json", "-o", "html"]);
    assert_eq!(both.code, Some(2));
    assert!(both.stderr.contains("json and html would both go to standard output"), "{both:?}");
    // Beside an earlier audit, only what is new is reported.
    let since = audit(&["--since", "a.json", "-o", "markdown"]);
    let line = "2 StatefulSets and 5 claims: new are 0 lost, 0 risk, 0 stuck, 0 note; 0 fixed; \
                incomplete, 3 not known";
    assert!(since.stdout.starts_with(&format!("**stateward**: {line}\n")), "{}", since.stdout);
    assert!(!since.stdout.contains("| lost |"), "{}", since.stdout);
}

#[test]
fn an_export_is_read_alike_however_it_is_written_and_wherever_it_comes_from() {
    let head = r#"{"apiVersion": "stateward.dev/v1alpha1", "kind": "ClusterFacts","#;
    let sorted: Value = serde_json::from_str(&facts()).unwrap();
    let rest = ["complete", "unknown", "items"].map(|key| format!("\"{key}\": {}", sorted[key]));
    let exported = format!("{head} {}}}", rest.join(", "));
    let folder = Folder::new(&[("sorted.json", &facts()), ("folder/exported.json", &exported)]);
    let audit = |path: &str, stdin: &str| {
        let ran = folder.run(&["audit", "--facts", path, "-o", "json"], stdin);
        assert_eq!(ran.code, Some(0), "{path}: {ran:?}");
        ran.stdout
    };
    let expected = audit("sorted.json", "");
    assert_eq!(audit("folder", ""), expected);
    assert_eq!(audit("folder/exported.json", ""), expected);
    assert_eq!(audit("-", &exported), expected);
    let cut = &exported[..exported.len() - 20];
    folder.write("folder/exported.json", cut);
    let ran = folder.run(&["audit", "--facts", "folder"], "");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("cannot read facts: folder/exported.json: EOF while"), "{ran:?}");
}

#[test]
fn the_documentation_lists_each_check() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/audit.md");
    let text = std::fs::read_to_string(path).unwrap();
    let severity = |line: &&str| {
        let cell = line.strip_prefix("| `").and_then(|rest| rest.split('`').next());
        cell.is_some_and(|cell| cell.chars().all(|c| c.is_ascii_uppercase()))
    };
    let rows: Vec<&str> = text.lines().filter(severity).collect();
    let expected = CHECKS.map(|check| {
        let severity = check.severity.name().to_uppercase();
        format!("| `{severity}` | `{}` | {} |", check.id, check.title)
    });
    assert_eq!(rows, expected);
}
