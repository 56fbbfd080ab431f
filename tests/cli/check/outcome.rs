//! Exit codes, formats, and the shape of the JSON.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use crate::folder::{CLAIM, Folder, SET, annotated, replicas, set, size};

/// Without an annotation, a pull request shows only that a step failed.
#[test]
fn github_is_told_why_a_check_could_not_run() {
    let folder = Folder::new(&[("new.yaml", "")]);
    let cases: [(&[&str], &str); 3] = [
        (&["--policy", "none.yaml", "new.yaml"], "cannot read the policy none.yaml"),
        (&["--old-ref", "nope", "new.yaml"], "is not in a git repository"),
        (&["--render", "false"], "`false` ended with exit status"),
    ];
    for (arguments, why) in cases {
        let run = folder.check(&[arguments, &["--format", "github"]].concat());
        assert_eq!(run.code, Some(2), "{arguments:?}");
        let lines: Vec<&str> = run.stdout.lines().collect();
        assert_eq!(lines.len(), 1, "{}", run.stdout);
        assert!(lines[0].starts_with("::error title=stateward check could not run::"), "{lines:?}");
        assert!(lines[0].contains(why) && run.stderr.contains(why), "{lines:?}");
        // Other forms go on as they were: what is half a report is none.
        assert_eq!(folder.check(&[arguments, &["-o", "json"]].concat()).stdout, "");
    }
}

#[test]
fn a_clean_check_says_what_was_judged_in_one_line() {
    let folder = Folder::new(&[("db.yaml", SET), ("claim.yaml", CLAIM)]);
    for (arguments, objects) in [
        (&["db.yaml"][..], "1 object"),
        (&["."], "2 objects"),
        (&["db.yaml", "claim.yaml"], "2 objects"),
    ] {
        let ran = folder.check(arguments);
        let says = format!("{objects} judged: nothing found\n");
        assert_eq!((ran.code, &*ran.stdout, &*ran.stderr), (Some(0), &*says, ""), "{arguments:?}");
    }
    let ran = folder.check(&["--verbose", "."]);
    assert_eq!(
        ran.stdout,
        "judged: CREATE PersistentVolumeClaim shop/data-db-0 (claim.yaml:1)\n\
         judged: CREATE StatefulSet shop/db (db.yaml:1), as PostgreSQL: image postgres:17.2\n2 objects judged: nothing found\n"
    );
    assert_eq!(ran.stderr, "policy: built-in defaults\n");
}

#[test]
fn the_exit_code_says_the_worst() {
    let folder = Folder::new(&[
        ("old.yaml", SET),
        ("warn.yaml", &replicas(0)),
        ("deny.yaml", &size("5Gi")),
        ("error.yaml", "kind: [StatefulSet\n"),
    ]);
    let code = |arguments: &[&str]| {
        folder.check(&[&["--old", "old.yaml"], arguments].concat()).code.unwrap()
    };
    assert_eq!(code(&["warn.yaml"]), 0);
    assert_eq!(code(&["warn.yaml", "--fail-on", "warn"]), 1);
    assert_eq!(code(&["old.yaml", "--fail-on", "warn"]), 0);
    assert_eq!(code(&["deny.yaml"]), 1);
    assert_eq!(code(&["error.yaml"]), 2);
    assert_eq!(code(&["deny.yaml", "error.yaml"]), 2, "nobody knows what else there is");
}

#[test]
fn the_last_line_counts() {
    let folder = Folder::new(&[
        ("old.yaml", SET),
        ("new.yaml", &size("5Gi")),
        ("Chart.yaml", "apiVersion: v2\nname: db\nversion: 1.0.0\n"),
        ("values.yaml", "replicas: 3\n"),
    ]);
    let last = |arguments: &[&str]| {
        folder.check(arguments).stdout.lines().last().unwrap_or_default().to_owned()
    };
    assert_eq!(
        last(&["--old", "old.yaml", "new.yaml", "Chart.yaml", "values.yaml"]),
        "1 object judged: 1 denied; 2 documents skipped"
    );
    assert_eq!(
        last(&["values.yaml"]),
        "no StatefulSet or PersistentVolumeClaim to judge; 1 document skipped"
    );
}

#[test]
fn text_reads_like_a_compiler() {
    let folder = Folder::new(&[("old.yaml", SET), ("new.yaml", &size("5Gi"))]);
    let ran = folder.check(&["--old", "old.yaml", "new.yaml"]);
    assert_eq!(ran.code, Some(1));
    insta::assert_snapshot!("text", ran.stdout);
    let plain = ran.stdout;
    let coloured = folder.check(&["--old", "old.yaml", "new.yaml", "--color", "always"]).stdout;
    assert!(coloured.contains("\u{1b}[") && !plain.contains('\u{1b}'));
}

#[test]
fn formats_go_to_files_beside_text_on_standard_output() {
    let folder = Folder::new(&[("old.yaml", SET), ("new.yaml", &size("5Gi"))]);
    let formats = ["json", "sarif", "junit", "github", "markdown"];
    let pairs: Vec<String> = formats.iter().map(|f| format!("{f}=out.{f}")).collect();
    let mut arguments = vec!["--old", "old.yaml", "new.yaml", "--format", "text"];
    for pair in &pairs {
        arguments.extend(["--format", pair]);
    }
    let ran = folder.check(&arguments);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stdout.starts_with("denied: StatefulSet shop/db: claim template data would shrink")
    );
    let json: Value = serde_json::from_str(&folder.read("out.json")).unwrap();
    assert_eq!(json["findings"][0]["rule"], "sts-vct-size-shrink");
    let sarif: Value = serde_json::from_str(&folder.read("out.sarif")).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "sts-vct-size-shrink");
    assert!(folder.read("out.junit").starts_with("<?xml"), "{}", folder.read("out.junit"));
    assert!(folder.read("out.github").starts_with("::error file=new.yaml,line=29,col=41,"));
    assert!(folder.read("out.markdown").starts_with("**stateward**: 1 object judged: 1 denied\n"));
    let ran = folder.check(&["--format", "json=no/such/folder", "new.yaml"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.starts_with("error: cannot write \"no/such/folder\": "), "{}", ran.stderr);
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The fields that the format promised first, and those that were added since.
#[track_caller]
fn holds(value: &Value, promised: &[&str], added: &[&str]) {
    assert_eq!(keys(value), promised.iter().chain(added).copied().collect());
}

#[test]
fn the_json_has_the_fields_that_were_promised() {
    let folder = Folder::new(&[
        ("old.yaml", &format!("{SET}---\n{CLAIM}")),
        ("new.yaml", &format!("{}---\n{}", size("5Gi"), CLAIM.replacen("10Gi", "20Gi", 1))),
        ("bad.yaml", "kind: [StatefulSet\n"),
        ("odd.yaml", "a: 1\na: 2\n"),
        ("values.yaml", "a: 1\n"),
    ]);
    let ran =
        folder.judged(2, &["--old", "old.yaml", "new.yaml", "bad.yaml", "odd.yaml", "values.yaml"]);
    let json = ran.json();
    holds(
        &json,
        &["version", "findings", "notJudged", "errors", "summary"],
        &["judged", "removed", "ignored", "notices"],
    );
    assert_eq!(json["version"], 1);
    let finding = &json["findings"][0];
    holds(
        finding,
        &[
            "rule",
            "outcome",
            "operation",
            "object",
            "field",
            "old",
            "new",
            "message",
            "remedy",
            "causes",
            "refusedBy",
        ],
        &["why", "help", "howToAllow", "loss"],
    );
    let object = ["apiVersion", "kind", "namespace", "name"];
    holds(&finding["object"], &object, &[]);
    for (side, value, file) in [("old", "10Gi", "old.yaml"), ("new", "5Gi", "new.yaml")] {
        let place = &finding[side];
        holds(place, &["value", "file", "line", "column"], &["template"]);
        assert_eq!((&place["value"], &place["file"]), (&value.into(), &file.into()));
        assert_eq!((&place["line"], &place["column"]), (&29.into(), &41.into()));
    }
    assert_eq!(finding["field"], "/spec/volumeClaimTemplates/0/spec/resources/requests/storage");
    assert_eq!((&finding["outcome"], &finding["operation"]), (&"deny".into(), &"UPDATE".into()));
    assert_eq!(finding["refusedBy"], "kubernetes");
    holds(&finding["remedy"][0], &["text", "command"], &[]);
    holds(&finding["causes"][0], &["field", "message"], &[]);
    let unjudged = &json["notJudged"][0];
    holds(unjudged, &["rule", "object", "needs"], &["file", "line"]);
    holds(&unjudged["object"], &object, &[]);
    holds(&json["errors"][0], &["file", "line", "column", "message"], &[]);
    holds(&json["notices"][0], &["level", "file", "line", "column", "message"], &[]);
    let summary = &json["summary"];
    holds(
        summary,
        &["objects", "skipped", "deny", "warn", "error", "notJudged"],
        &["removed", "leftOut"],
    );
    let counts = ["objects", "skipped", "deny", "warn", "error", "notJudged"];
    assert_eq!(counts.map(|key| summary[key].as_u64().unwrap()), [2, 2, 1, 0, 1, 1]);
    let created = folder.judged(0, &["old.yaml"]).json();
    assert_eq!(created["findings"], Value::Array(Vec::new()));
}

#[test]
fn findings_stand_in_the_same_order_every_time() {
    let broken =
        |name: &str| set(name).replace("replicas: 3", "replicas: -1").replace("17.2", "latest");
    let folder = Folder::new(&[
        ("b.yaml", &format!("{}---\n{}", broken("one"), broken("two"))),
        ("a/z.yaml", &broken("three")),
        ("c.yaml", &broken("four")),
    ]);
    let first = folder.judged(1, &["c.yaml", "."]);
    let places: Vec<(String, u64)> = first.json()["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| {
            (f["new"]["file"].as_str().unwrap().to_owned(), f["new"]["line"].as_u64().unwrap())
        })
        .collect();
    assert!(places.is_sorted() && places.len() >= 8, "{places:?}");
    assert_eq!(folder.judged(1, &["c.yaml", "."]).stdout, first.stdout);
}

#[test]
fn what_was_not_judged_as_usual_is_said_on_request() {
    let quiet = "{stateward.dev/allow: sts-image-latest, stateward.dev/allow-reason: a lab}";
    let folder = Folder::new(&[
        ("system.yaml", &SET.replacen("namespace: shop", "namespace: kube-system", 1)),
        ("allowed.yaml", &annotated(quiet).replace("17.2", "latest")),
    ]);
    let ran = folder.check(&["--verbose", "."]);
    assert_eq!(
        ran.stdout,
        "judged: CREATE StatefulSet shop/db (allowed.yaml:1), as PostgreSQL: image postgres:latest; \
         allowed by its annotation: sts-image-latest\n\
         judged: CREATE StatefulSet kube-system/db (system.yaml:1), as PostgreSQL: image \
         postgres:17.2; only what Kubernetes refuses, for its namespace is never judged\n\
         2 objects judged: nothing found\n"
    );
    let judged = folder.judged(0, &["."]).json()["judged"].clone();
    assert_eq!(judged[0]["allowed"], serde_json::json!(["sts-image-latest"]));
    assert_eq!(judged[1]["exemption"], "namespace");
}

#[test]
fn ignored_objects_are_listed_with_verbose() {
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n";
    let list = "apiVersion: v1\nkind: List\nitems:\n\
        - apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: a}\n\
        - apiVersion: v1\n  kind: PersistentVolumeClaim\n  metadata: {name: b}\n  \
          spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n";
    let folder = Folder::new(&[("a.yaml", &format!("{SET}---\n{deployment}---\n{list}"))]);
    let ran = folder.check(&["--verbose", "a.yaml"]);
    assert_eq!(
        ran.stdout,
        "judged: CREATE StatefulSet shop/db (a.yaml:1), as PostgreSQL: image postgres:17.2\n\
         judged: CREATE PersistentVolumeClaim b (a.yaml:41)\n\
         ignored: Deployment web (a.yaml:31)\n\
         ignored: ConfigMap a (a.yaml:38)\n\
         2 objects judged: nothing found\n"
    );
}

#[test]
fn the_report_is_the_same_whatever_the_number_of_threads() {
    let folder = Folder::new(&[]);
    let mut large = String::new();
    for number in 0..400 {
        let set = set(&format!("db-{number}")).replace("replicas: 3", "replicas: 0");
        let new = if number % 7 == 0 { set.replace("10Gi", "5Gi") } else { set.clone() };
        folder.write(&format!("old/{number:03}.yaml"), &set);
        folder.write(&format!("new/{number:03}.yaml"), &new);
        let broken = if number % 50 == 0 { "a: [StatefulSet\n" } else { "" };
        let _ = write!(large, "---\n{}{broken}", new.replace("name: db-", "name: large-"));
    }
    assert!(large.len() > 256 * 1024, "a large file is read in parts: {}", large.len());
    folder.write("new/large.yaml", &large);
    for format in ["text", "json", "sarif", "junit", "github", "markdown"] {
        let reports = ["1", "2", "7"].map(|jobs| {
            let ran = folder.check(&["--old", "old", "new", "--format", format, "--jobs", jobs]);
            assert_eq!(ran.code, Some(2), "{ran:?}");
            ran.stdout
        });
        assert!(reports[0].contains("db-7"), "{}", reports[0]);
        assert!(reports.iter().all(|report| *report == reports[0]), "{format}");
    }
}

/// What nobody judged is a warning as well.
#[test]
fn a_warning_about_the_input_fails_the_job_too() {
    let twice = SET.replace("  replicas: 3\n", "  replicas: 3\n  replicas: 3\n");
    let unserved = SET.replace("apps/v1", "apps/v1beta2");
    let folder = Folder::new(&[
        ("old.yaml", SET),
        ("twice.yaml", &twice),
        ("unserved.yaml", &unserved),
        ("newer.yaml", &unserved.replace("replicas: 3", "replicas: 4")),
    ]);
    let code = |arguments: &[&str]| folder.check(arguments).code.unwrap();
    for fail_on in ["warn", "deny"] {
        let fail_on = format!("--fail-on={fail_on}");
        let wanted = i32::from(fail_on.ends_with("warn"));
        let both = &["--old", "unserved.yaml", "newer.yaml", &fail_on];
        assert_eq!(code(both), wanted, "{fail_on}: a version that was unserved before");
    }
    assert_eq!(code(&["--old", "old.yaml", "unserved.yaml"]), 2, "it was served before");
}
