//! `check --old` against what a real API server answered: the edits under `tests/data/edits`, and
//! the cases of Kubernetes' own tests that its notes there transcribe.

use std::path::{Path, PathBuf};

use crate::folder::Folder;
use serde_json::{Value, json};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/edits")
}

fn read(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(data().join(name)).unwrap()).unwrap()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} is missing in {value}"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// What `check` says of an edit.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Accepted,
    Refused,
    NotJudged,
}

fn said(old: &Value, new: &Value, beside: Option<&Value>) -> Said {
    let folder = Folder::new(&[("old.json", &old.to_string()), ("new/new.json", &new.to_string())]);
    if let Some(beside) = beside {
        folder.write("new/beside.json", &beside.to_string());
    }
    let ran = folder.check(&["--old", "old.json", "new", "--format", "json"]);
    let report = ran.json();
    assert_eq!(report["errors"], json!([]), "{new}");
    assert_eq!(report["judged"][0]["operation"], "UPDATE", "{new}");
    let by_kubernetes = |finding: &Value| finding["refusedBy"] == "kubernetes";
    if list(&report["findings"]).iter().any(by_kubernetes) {
        assert_eq!(ran.code, Some(1));
        Said::Refused
    } else if list(&report["notJudged"]).is_empty() {
        // What only the policy refuses, the server accepts.
        assert_ne!(ran.code, Some(2), "{ran:?}");
        Said::Accepted
    } else {
        Said::NotJudged
    }
}

/// The one object of a file.
fn object(pair: &str, side: &str) -> Value {
    let text = std::fs::read_to_string(data().join(pair).join(side)).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

/// What was done to the files of a pair before the server saw them.
fn prepare(object: &mut Value, case: &Value) {
    match text(case, "case") {
        "as in the files" => {}
        "made acceptable to 1.36.3" => {
            object["apiVersion"] = json!("apps/v1");
            let labels = object["spec"]["template"]["metadata"]["labels"].clone();
            if object["spec"]["selector"].is_null() {
                object["spec"]["selector"] = json!({"matchLabels": labels});
            }
            object["metadata"].as_object_mut().unwrap().remove("ownerReferences");
            for kind in ["containers", "initContainers"] {
                let containers = object["spec"]["template"]["spec"][kind].as_array_mut();
                for container in containers.into_iter().flatten() {
                    if container["image"].as_str().unwrap_or_default().is_empty() {
                        container["image"] = json!("filled");
                    }
                }
            }
        }
        case if case.contains("the claim is unbound") => {
            object["status"] = json!({"phase": "Pending"});
        }
        case if case.contains("the claim is bound") => {
            object["status"] = json!({"phase": "Bound", "capacity": {"storage": "200Gi"}});
        }
        case => panic!("nothing is known of the case {case:?}"),
    }
}

#[test]
fn every_recorded_edit_is_judged_as_the_server_judged_it() {
    let (mut agreed, mut unobserved) = (0, 0);
    for pair in list(&read("OBSERVED.json")["pairs"]) {
        let id = text(pair, "id");
        let mut observed = 0;
        for case in list(&pair["cases"]) {
            let Some(accepted) = case["accepted"].as_bool() else {
                // The server takes not even the old object, so that there is no edit.
                unobserved += 1;
                continue;
            };
            let [mut old, mut new] = ["old.yaml", "new.yaml"].map(|side| object(id, side));
            prepare(&mut old, case);
            prepare(&mut new, case);
            let wanted = if accepted { Said::Accepted } else { Said::Refused };
            assert_eq!(said(&old, &new, None), wanted, "{id}: {}", text(case, "case"));
            observed += 1;
        }
        assert!(observed > 0, "{id} is never compared");
        agreed += observed;
    }
    eprintln!("{agreed} edits judged as observed; {unobserved} whose old side the server refuses");
    assert_eq!((agreed, unobserved), (11, 2));
}

#[test]
fn a_claim_without_status_is_not_judged() {
    let id = "pvc-shrink-grafana-200Gi-2Gi";
    assert_eq!(said(&object(id, "old.yaml"), &object(id, "new.yaml"), None), Said::NotJudged);
}

#[test]
fn a_version_that_no_server_takes_and_that_stays_is_warned_of() {
    let folder = Folder::new(&[]);
    let pair = data().join("sts-scale-down-pzoo-5-3");
    let [old, new] = ["old.yaml", "new.yaml"].map(|side| pair.join(side));
    let ran = folder.check(&["--old", old.to_str().unwrap(), new.to_str().unwrap()]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.stdout.contains("warning: "), "{ran:?}");
    assert!(ran.stdout.contains("no supported Kubernetes serves a StatefulSet of apps/v1beta1"));
}

const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// A claim from the words of the table.
fn claim(side: &Value, status: &Value, class: Option<&str>) -> Value {
    let mut spec = json!({"resources": {"requests": {"storage": side["storage"]}}});
    let mut annotations = side.get("annotations").cloned().unwrap_or_else(|| json!({}));
    for (key, value) in side.as_object().unwrap() {
        match key.as_str() {
            "storage" | "annotations" | "phase" | "capacity" => {}
            "annotation_class" => annotations[BETA_CLASS] = value.clone(),
            // The server's answer shows which of the two is which.
            "annotation_class_and_spec" => {
                annotations[BETA_CLASS] = json!("fast2");
                spec["storageClassName"] = json!("fast");
            }
            // Go's nil pointer.
            _ if value.is_null() => {}
            "accessModes"
            | "volumeName"
            | "volumeMode"
            | "storageClassName"
            | "dataSource"
            | "dataSourceRef"
            | "volumeAttributesClassName" => spec[key.as_str()] = value.clone(),
            other => panic!("nothing is known of {other}"),
        }
    }
    if let Some(class) = class {
        spec["storageClassName"] = json!(class);
    }
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "foo", "namespace": "ns", "annotations": annotations},
        "spec": spec,
        "status": status,
    })
}

/// Both sides as they were sent, and the class beside them.
fn claims(case: &Value, note: &str) -> (Value, Value, Option<Value>) {
    let (old, new) = (&case["old"], &case["new"]);
    let mut status = json!({"phase": old.get("phase").cloned().unwrap_or(json!("Pending"))});
    if let Some(capacity) = old.get("capacity") {
        status["capacity"] = json!({"storage": capacity});
    } else if note.contains("status.capacity 10G") {
        status["capacity"] = json!({"storage": "10G"});
    }
    let class = note.contains("storageClassName fast (allowVolumeExpansion) added to both");
    let class = class.then_some("fast");
    let beside = class.map(|name| {
        json!({
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": name},
            "provisioner": "a.b",
            "allowVolumeExpansion": true,
        })
    });
    (claim(old, &status, class), claim(new, &status, class), beside)
}

/// A set from the words of the table.
fn set(base: &Value, changes: &Value) -> Value {
    let template = &base["spec"]["template"];
    let mut set = json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "abc", "namespace": "default"},
        "spec": {
            "podManagementPolicy": base["spec"]["podManagementPolicy"],
            "selector": base["spec"]["selector"],
            "replicas": base["spec"]["replicas"],
            "updateStrategy": base["spec"]["updateStrategy"],
            "template": {
                "metadata": {"labels": template["labels"]},
                "spec": {
                    "restartPolicy": template["restartPolicy"],
                    "containers": template["containers"],
                },
            },
        },
    });
    let claim_template = |name: &str, size: &str, class: &str| {
        json!({
            "metadata": {"name": name},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": size}},
                "storageClassName": class,
            },
        })
    };
    for (path, value) in changes.as_object().unwrap() {
        if let Some(path) = path.strip_suffix("[+]") {
            at(&mut set, path).as_array_mut().unwrap().push(value.clone());
        } else if path == "spec.volumeClaimTemplates" {
            let templates = list(value).iter().map(|template| {
                let words: Vec<&str> = template.as_str().unwrap().split(' ').collect();
                claim_template(words[0], words[1], words[2])
            });
            *at(&mut set, path) = templates.collect();
        } else if path == "spec.volumeClaimTemplates[pvc-abc]" {
            let template =
                claim_template("pvc-abc", text(value, "storage"), text(value, "storageClassName"));
            *at(&mut set, "spec.volumeClaimTemplates") = json!([template]);
        } else {
            *at(&mut set, path) = value.clone();
        }
    }
    set
}

/// The field of a dotted path, made where it is not there.
fn at<'v>(object: &'v mut Value, path: &str) -> &'v mut Value {
    path.split('.').fold(object, |object, key| &mut object[key])
}

/// Compares one table, and returns how many cases agree and why each other one was left out.
fn compare(name: &str, judge: impl Fn(&Value, &str) -> Said) -> (usize, Vec<String>) {
    let table = read(&format!("kubernetes-validation-tables/{name}.json"));
    let observed = read("OBSERVED.json");
    let observed = list(&observed["tables"][name]);
    let mut agreed = 0;
    let mut left_out = Vec::new();
    for case in list(&table["cases"]) {
        let id = text(case, "name");
        let seen = observed.iter().find(|seen| seen["name"] == id);
        let seen = seen.unwrap_or_else(|| panic!("{id} was never observed"));
        let note = seen["note"].as_str().unwrap_or_default();
        let Some(accepted) = seen["accepted"].as_bool() else {
            left_out.push(format!("{id}: {}", text(seen, "why")));
            continue;
        };
        if note.starts_with("refused by the request handler") {
            left_out.push(format!("{id}: two objects, not one edit"));
            continue;
        }
        let wanted = if accepted { Said::Accepted } else { Said::Refused };
        assert_eq!(judge(case, note), wanted, "{name}: {id}: {}", seen["message"]);
        agreed += 1;
    }
    eprintln!("{name}: {agreed} cases judged as observed; left out:\n  {}", left_out.join("\n  "));
    (agreed, left_out)
}

#[test]
fn the_cases_of_kubernetes_for_claims_are_judged_as_observed() {
    let (agreed, left_out) = compare("pvc-update-cases", |case, note| {
        let (old, new, beside) = claims(case, note);
        said(&old, &new, beside.as_ref())
    });
    assert_eq!((agreed, left_out.len()), (33, 1), "34 cases");
    assert!(left_out[0].starts_with("allow-update-pvc-when-data-source-ref-used: "));
}

#[test]
fn the_cases_of_kubernetes_for_sets_are_judged_as_observed() {
    let base = read("kubernetes-validation-tables/statefulset-update-cases.json")["base"].clone();
    let (agreed, left_out) = compare("statefulset-update-cases", |case, _| {
        said(&set(&base, &case["old"]), &set(&base, &case["new"]), None)
    });
    assert_eq!((agreed, left_out.len()), (16, 3), "19 cases");
    for (left_out, name) in
        left_out.iter().zip(["update existing", "update name", "update namespace"])
    {
        assert!(left_out.starts_with(name), "{left_out}");
    }
}

/// The notes say which cases depended on gates that are no longer there to be set.
#[test]
fn where_the_tables_differ_from_the_server_the_server_wins() {
    let observed = read("OBSERVED.json");
    let mut differing = Vec::new();
    for name in ["pvc-update-cases", "statefulset-update-cases"] {
        for case in list(&observed["tables"][name]) {
            if case["differs"] == true {
                assert!(!text(case, "why").is_empty());
                differing.push(text(case, "name").to_owned());
            }
        }
    }
    assert_eq!(differing.len(), 8, "{differing:?}");
}
