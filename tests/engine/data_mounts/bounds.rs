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
        let dirs: Vec<String> = (0..10_000).map(|i| format!("/d/{edit}{i}")).collect();
        json!({"containers": [{"name": "db", "image": "db", "args": [format!("--data-dirs={}", dirs.join(","))],
            "volumeMounts": [{"name": "data", "mountPath": "/d", "subPath": deep}]}]})
    };
    let findings = judge(&pod("a"), &pod("b"));
    assert_eq!(findings.len(), 1);
    assert!(findings[0].why.contains("9999 other"), "{}", findings[0].why);
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

/// A long part of a container beside many short ones that each refer to it. The second would hold
/// gigabytes if each took a copy along, and the others would take minutes.
#[test]
fn long_parts_do_not_multiply() {
    const MANY: usize = 10_000;
    let long = "x".repeat(300_000);
    let folder = format!("/d/{}", "x/".repeat(150_000));
    let many = |value: &dyn Fn(usize) -> String| (0..MANY).map(value).collect::<Vec<_>>();
    let variables = |value: &dyn Fn(usize) -> (String, String)| -> Value {
        (0..MANY).map(value).map(|(name, value)| json!({"name": name, "value": value})).collect()
    };
    let pod = |container: Value| -> Value {
        let mut container = container;
        container["name"] = json!("db");
        container["volumeMounts"] = json!([{"name": "data", "mountPath": "/d"}]);
        json!({"containers": [container]})
    };
    let image = format!("postgres-{long}");
    for (what, old, new) in [
        (
            "a new value in place of many",
            json!({"image": "db", "args": many(&|n| format!("--a{n}-data-dir=/d/{n}"))}),
            json!({"image": "db", "args": [format!("--data-dir=/e/{long}")]}),
        ),
        (
            "a value from elsewhere in place of many",
            json!({"image": "db", "args": many(&|n| format!("--a{n}-data-dir=/d/{n}"))}),
            json!({"image": "db", "args": [format!("--data-dir=/e/{long}/$(nowhere)")]}),
        ),
        (
            "a long image with many flags",
            json!({"image": image, "args": many(&|n| format!("-D/d/{n}"))}),
            json!({"image": image, "args": many(&|n| format!("-D/e/{n}"))}),
        ),
        (
            "a long image with many scripts",
            json!({"image": image, "args": many(&|n| format!("db -D /d/{n}"))}),
            json!({"image": image, "args": many(&|n| format!("db -D /e/{n}"))}),
        ),
        (
            "a long folder of many parts with many values in it",
            json!({"image": "db", "args": many(&|n| format!("--data-dirs=/d/{n}"))}),
            json!({"image": "db", "args": many(&|n| format!("--data-dirs={n}")), "workingDir": folder}),
        ),
        (
            "references that do not end",
            json!({"image": "db", "args": ["--data-dir=/d", "$(".repeat(200_000)]}),
            json!({"image": "db", "args": ["--data-dir=/e", format!("x {}", "${".repeat(200_000))]}),
        ),
        (
            "old names of a row",
            json!({"image": "db", "env": variables(&|n| (format!("A{n}_DATA_DIR"), format!("/d/{n}")))}),
            json!({"image": "db", "env": variables(&|n| (format!("A{}_DATA_DIR", n + 1), "/e".to_owned()))}),
        ),
    ] {
        let findings = judge(&pod(old), &pod(new));
        assert!(!findings.is_empty(), "{what}");
        for finding in findings {
            let denial = finding.denial("StatefulSet shop/db");
            assert!(denial.len() < 2_000, "{what}: {}", denial.len());
        }
    }
}

/// Values that stand behind so many others that nobody reads them may lead anywhere.
#[test]
fn an_edit_that_cannot_be_read_is_denied() {
    let pod = |args: Vec<String>| -> Value {
        json!({"containers": [
            {"name": "side", "image": "side", "args": args, "volumeMounts": [{"name": "data", "mountPath": "/s"}]},
            {"name": "db", "image": "postgres", "args": ["-D", "/e"],
                "volumeMounts": [{"name": "data", "mountPath": "/var/lib/postgresql/data"}]},
        ]})
    };
    let mut old = pod(Vec::new());
    old["containers"][1]["args"] = json!([]);
    let long = "x".repeat(400_000);
    for args in [
        vec!["--a=b".to_owned(); 20_000],
        vec![format!("a {}", "-a /a ".repeat(20_000))],
        vec![format!("--dirs={}", "/a,".repeat(20_000))],
    ] {
        let findings = judge(&old, &pod(args));
        assert!(findings.iter().any(|finding| !finding.unsure), "{findings:?}");
    }
    let mut new = pod(vec!["--a=$(A)".to_owned(); 4]);
    new["containers"][0]["env"] = json!([{"name": "A", "value": long}]);
    new["containers"][1]["args"] = json!([]);
    let findings = judge(&old, &new);
    assert!(findings[0].what.contains("too long to be read"), "{findings:?}");
}
