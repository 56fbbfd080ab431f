//! Long lists and long texts.

use serde_json::{Value, json};

use super::judge;

/// Twice as much of everything takes about twice as long, and the answer stays short.
#[test]
fn thousands_of_mounts_make_one_finding() {
    let pod = |prefix: &str| -> Value {
        let mounts: Vec<Value> = (0..20_000)
            .map(|i| json!({"name": "data", "mountPath": format!("/{prefix}{i}")}))
            .collect();
        json!({"containers": [{"name": "db", "image": "db", "volumeMounts": mounts}]})
    };
    let findings = judge(&pod("a"), &pod("b"));
    assert_eq!(findings.len(), 1);
    assert!(findings[0].why.contains("19999 other"), "{}", findings[0].why);
    let pod = |prefix: &str, path: &str| -> Value {
        let containers: Vec<Value> = (0..2_000)
            .map(|i| {
                json!({"name": format!("{prefix}{i}"), "image": format!("i{i}"),
                    "volumeMounts": [{"name": "data", "mountPath": path}]})
            })
            .collect();
        json!({"containers": containers})
    };
    assert_eq!(judge(&pod("a", "/x"), &pod("b", "/x")), []);
    assert_eq!(judge(&pod("a", "/x"), &pod("b", "/y")).len(), 1);
}

/// Messages hold a part of a long name, and an object of one long text is judged like others.
#[test]
fn long_texts_are_cut() {
    let long = "x".repeat(200_000);
    let pod = |path: &str, value: &str| -> Value {
        json!({"containers": [{"name": long, "image": long, "args": [format!("--{long}=/d/{long}")],
            "env": [{"name": format!("{long}_DATA_DIR"), "value": value}],
            "volumeMounts": [{"name": "data", "mountPath": path, "subPath": long}]}]})
    };
    let data = format!("/d/{long}");
    for (path, value) in [("/e", data.as_str()), ("/d", "/e"), ("/d", &data[..900])] {
        let findings = judge(&pod("/d", &data), &pod(path, value));
        assert!(!findings.is_empty(), "{path}");
        for finding in findings {
            let denial = finding.denial("StatefulSet shop/db");
            assert!(denial.len() < 2_000, "{}: {}", denial.len(), &denial[..500]);
            let values = [finding.old, finding.new];
            assert!(values.iter().flatten().all(|value| value.len() < 300), "{values:?}");
        }
    }
}

/// A list of folders in one value, and thousands of folders below one long `subPath`.
#[test]
fn many_folders_in_one_value_are_compared_in_time() {
    let deep = "a/".repeat(2_000);
    let pod = |edit: &str| -> Value {
        let dirs: Vec<String> = (0..20_000).map(|i| format!("/d/{edit}{i}")).collect();
        json!({"containers": [{"name": "db", "image": "db", "args": [format!("--data-dirs={}", dirs.join(","))],
            "volumeMounts": [{"name": "data", "mountPath": "/d", "subPath": deep}]}]})
    };
    let findings = judge(&pod("a"), &pod("b"));
    assert_eq!(findings.len(), 1);
    assert!(findings[0].why.contains("19999 other"), "{}", findings[0].why);
    assert_eq!(judge(&pod("a"), &pod("a")), []);
}

/// Thousands of old paths lead into one new mount, at whose path thousands of others are mounted.
#[test]
fn many_mounts_at_one_path_are_compared_in_time() {
    let old: Vec<Value> =
        (0..10_000).map(|i| json!({"name": "data", "mountPath": format!("/d/{i}")})).collect();
    let new: Vec<Value> = (0..10_000)
        .map(|i| json!({"name": "data", "mountPath": "/d", "subPath": format!("x{i}")}))
        .collect();
    let pod =
        |mounts| json!({"containers": [{"name": "db", "image": "db", "volumeMounts": mounts}]});
    assert_eq!(judge(&pod(json!(old)), &pod(json!(new))).len(), 1);
    assert_eq!(judge(&pod(json!(new)), &pod(json!(old))).len(), 1);
}
