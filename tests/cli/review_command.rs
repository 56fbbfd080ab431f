//! `stateward review` on reviews that a real API server sent.

use std::path::{Path, PathBuf};

use crate::folder::{Folder, Ran};
use base64::Engine as _;
use serde_json::{Value, json};

fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/reviews").join(format!("{name}.json"))
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The response, where the exit code says the same.
fn response(ran: &Ran) -> Value {
    let answer = ran.json();
    assert_eq!(answer["kind"], "AdmissionReview");
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    let response = answer["response"].clone();
    let code = i32::from(response["allowed"] != true);
    assert_eq!((ran.code, &*ran.stderr), (Some(code), ""), "{response}");
    response
}

fn judge(folder: &Folder, arguments: &[&str]) -> Value {
    response(&folder.run(&[&["review"], arguments].concat(), ""))
}

#[test]
fn every_recorded_review_is_answered_by_both_endpoints_and_by_both_together() {
    let folder = Folder::new(&[]);
    let (mut denied, mut patched, mut warned) = (0, 0, 0);
    let mut files: Vec<PathBuf> = std::fs::read_dir(recorded("x").parent().unwrap())
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    for file in &files {
        let uid = read(file)["request"]["uid"].clone();
        let path = file.to_str().unwrap();
        let mutate = judge(&folder, &["--endpoint", "mutate", path]);
        let validate = judge(&folder, &["--endpoint", "validate", path]);
        let both = judge(&folder, &[path]);
        for response in [&mutate, &validate, &both] {
            assert_eq!(response["uid"], uid, "{path}");
        }
        let refused = |response: &Value| response["allowed"] == false;
        assert_eq!(refused(&both), refused(&mutate) || refused(&validate), "{path}");
        assert!(validate["patch"].is_null(), "a validating webhook must not patch: {path}");
        assert!(both["patch"].is_null() || both["patch"] == mutate["patch"], "{path}");
        assert!(both["patch"].is_null() || !refused(&both), "{path}");
        denied += usize::from(refused(&both));
        patched += usize::from(!both["patch"].is_null());
        warned += usize::from(!both["warnings"].is_null());
    }
    assert!(
        files.len() >= 122 && denied > 20 && patched > 10 && warned > 2,
        "{denied} {patched} {warned}"
    );
}

#[test]
fn a_denial_names_rule_reason_and_field() {
    let folder = Folder::new(&[]);
    let file = recorded("update-statefulset-vct-storage-shrink");
    let denied = judge(&folder, &[file.to_str().unwrap()]);
    let status = &denied["status"];
    assert_eq!((&status["code"], &status["reason"]), (&403.into(), &"Forbidden".into()));
    let message = status["message"].as_str().unwrap();
    assert!(
        message.starts_with("StatefulSet shop/db: claim template data would shrink, 10Gi → 5Gi")
    );
    assert_eq!(
        status["details"]["causes"][0]["field"],
        "spec.volumeClaimTemplates[0].spec.resources.requests.storage"
    );
    assert_eq!(denied["auditAnnotations"]["rules"], "sts-vct-size-shrink=denied");
}

#[test]
fn a_policy_beside_it_counts() {
    let folder = Folder::new(&[("stateward.yaml", "version: 1\nresize: orchestrate\n")]);
    let file = recorded("update-statefulset-vct-storage-grow");
    let grows = file.to_str().unwrap();
    let allowed = judge(&folder, &[grows]);
    let patch =
        base64::engine::general_purpose::STANDARD.decode(allowed["patch"].as_str().unwrap());
    let patch: Value = serde_json::from_slice(&patch.unwrap()).unwrap();
    assert_eq!(
        patch[0],
        json!({
            "op": "replace",
            "path": "/spec/volumeClaimTemplates/0/spec/resources/requests/storage",
            "value": "10Gi"
        })
    );
    assert!(
        allowed["warnings"][0].as_str().unwrap().contains("growth of claim template data accepted")
    );
    folder.write("reject.yaml", "version: 1\n");
    assert_eq!(judge(&folder, &["--policy", "reject.yaml", grows])["allowed"], false);
}

/// In the cluster the validating webhook sees what the mutating one has made of the object.
#[test]
fn what_is_patched_is_validated_too() {
    let policy = "version: 1\nresize: orchestrate\nrules: {sts-scale-to-zero: deny}\n";
    let folder = Folder::new(&[("stateward.yaml", policy)]);
    let mut review = read(&recorded("update-statefulset-vct-storage-grow"));
    review["request"]["object"]["spec"]["replicas"] = json!(0);
    let input = review.to_string();
    let both = response(&folder.run(&["review"], &input));
    assert_eq!(both["allowed"], false);
    assert!(both["patch"].is_null() && both["patchType"].is_null(), "{both}");
    assert_eq!(both["auditAnnotations"]["rules"], "sts-scale-to-zero=denied");
    folder.write("stateward.yaml", "version: 1\nresize: orchestrate\n");
    let both = response(&folder.run(&["review", "-"], &input));
    assert_eq!(both["allowed"], true);
    assert_eq!(both["patchType"], "JSONPatch");
    let warnings: Vec<&str> =
        both["warnings"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
    assert!(
        warnings.iter().any(|warning| warning.contains("growth of claim template data accepted")),
        "{warnings:?}"
    );
    assert!(
        warnings.iter().any(|warning| warning.ends_with("[sts-scale-to-zero]")),
        "{warnings:?}"
    );
}

#[test]
fn an_annotation_that_allows_nothing_is_said_in_the_denial() {
    let policy = "version: 1\nresize: orchestrate\nrules: {sts-scale-to-zero: deny}\n";
    let folder = Folder::new(&[("stateward.yaml", policy)]);
    let mut review = read(&recorded("update-statefulset-vct-storage-grow"));
    review["request"]["object"]["spec"]["replicas"] = json!(0);
    review["request"]["object"]["metadata"]["annotations"]["stateward.dev/allow"] =
        json!("sts-scale-to-zero");
    let answer = response(&folder.run(&["review"], &review.to_string()));
    let message = answer["status"]["message"].as_str().unwrap();
    assert!(
        message.ends_with(
            "\nstateward.dev/allow does not count: stateward.dev/allow-reason is missing"
        ),
        "{message}"
    );
}

#[test]
fn what_is_no_review_is_said() {
    let folder = Folder::new(&[("odd.yaml", "version: 1\nmod: x\n")]);
    for (arguments, input, says) in [
        (&["review"][..], "x", "\"-\": the body is not the JSON of an AdmissionReview: "),
        (&["review"], "{}", "\"-\": the body is not an AdmissionReview: it has no kind"),
        (&["review"], "{} x", "an AdmissionReview: text stands behind the end at line 1 column 4"),
        (&["review"], "", "\"-\": the body is empty; it should be the JSON of an AdmissionReview"),
        (
            &["review"],
            r#"{"uid": "1", "kind": {"kind": "StatefulSet"}, "operation": "CREATE"}"#,
            "\"-\": the body is a request without its AdmissionReview; put it into {\"apiVersion\"",
        ),
        (&["review", "gone.json"], "", "cannot read \"gone.json\": "),
        (&["review", "--policy", "odd.yaml"], "", "odd.yaml:2:1: there is no key \"mod\" here"),
        (&["review", "--endpoint", "both"], "", "invalid value 'both'"),
    ] {
        let ran = folder.run(arguments, input);
        assert_eq!((ran.code, &*ran.stdout), (Some(2), ""), "{arguments:?}");
        assert!(ran.stderr.starts_with("error: ") && ran.stderr.contains(says), "{}", ran.stderr);
    }
}

#[test]
fn a_byte_order_mark_and_a_malformed_object_are_answered_once() {
    let folder = Folder::new(&[]);
    let mut review = read(&recorded("update-statefulset-vct-storage-grow"));
    review["request"]["object"]["spec"]["replicas"] = json!("three");
    let answer = response(&folder.run(&["review"], &format!("\u{feff}{review}")));
    let warnings = answer["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "{answer}");
    assert!(warnings[0].as_str().unwrap().contains("\"three\" is a string"), "{answer}");
}
