//! What we say the API server will refuse, it refuses; and the reverse.
//!
//! Each edit is sent to a real API server as a PUT with `dryRun=All`, and written to two folders
//! that one run of `stateward check --old` compares. Controllers are off, so that the objects
//! stay as they were made.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use testbed::{Kubernetes, Testbed};

use crate::generator::{CLAIM, Edit, STATEFULSET};

const NAMESPACE: &str = "default";
/// Enough for every value of every field, singly and combined.
const EDITS: usize = 3000;

/// What an API server of a version refuses and `check` does not name yet: a part of its message, and
/// why that is so. `docs/kubernetes-versions.md` tells users.
const GAPS: [(Kubernetes, &str, &str); 1] = [(
    Kubernetes::V1_37,
    "must be 'RollingUpdate' or 'OnDelete'",
    "1.37 accepts Recreate if a feature gate is on, which no manifest shows",
)];

/// An edit with the API server's answer.
struct Case {
    id: String,
    fields: Vec<&'static str>,
    pointers: Vec<&'static str>,
    old: Value,
    new: Value,
    status: u16,
    message: String,
}

impl Case {
    fn refused(&self) -> bool {
        self.status >= 400
    }

    /// Refused by a plugin that looks at the class.
    fn depends_on_another_object(&self) -> bool {
        self.status == 403
    }
}

#[test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
fn check_agrees_with_the_api_server_on_random_edits() {
    let seed = std::env::var("STATEWARD_SEED").map_or(36, |seed| seed.parse().unwrap());
    let edits = std::env::var("STATEWARD_EDITS").map_or(EDITS, |edits| edits.parse().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cases = runtime.block_on(observe(seed, edits));
    let report = check(&cases);
    let table = compare(&cases, &report);
    eprintln!("seed {seed}\n{}", table.text);
    assert!(table.disagreements.is_empty(), "{}", table.disagreements.join("\n"));
    let version = Kubernetes::from_environment().unwrap();
    for (at, (since, message, reason)) in GAPS.iter().enumerate() {
        let met = table.gaps.contains(&at);
        assert_eq!(met, *since == version, "{}: {message}: {reason}", version.name());
    }
    let refused = cases.iter().filter(|case| case.refused()).count() * 100 / cases.len();
    assert!((30..=70).contains(&refused), "{refused} % refused: the generator leans to one side");
}

/// Names and namespaces of new objects, which no edit changes.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn check_agrees_with_the_api_server_on_names() {
    let testbed = Testbed::builder().controllers(false).start().await.unwrap();
    let (mut refused, mut accepted) = (0, 0);
    for metadata in [
        json!({}),
        json!({"name": ""}),
        json!({"name": "a"}),
        json!({"generateName": "a-"}),
        json!({"name": "", "generateName": "a-"}),
        json!({"name": "A"}),
        json!({"name": "a", "namespace": "Sh op"}),
        json!({"name": "a", "namespace": "shop.prod"}),
        json!({"name": "a", "namespace": NAMESPACE}),
    ] {
        let kinds = [
            ("/apis/apps/v1", "statefulsets", statefulsets().swap_remove(3)),
            ("/api/v1", "persistentvolumeclaims", claims().swap_remove(0).0),
        ];
        for (version, plural, mut object) in kinds {
            object["metadata"] = metadata.clone();
            // The path names the same one, or the server would refuse that.
            let namespace = metadata["namespace"].as_str().unwrap_or(NAMESPACE).replace(' ', "%20");
            let path = format!("{version}/namespaces/{namespace}/{plural}?dryRun=All");
            let reply = testbed.create(&path, object.clone()).await.unwrap();
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir(folder.path().join("old")).unwrap();
            std::fs::create_dir(folder.path().join("new")).unwrap();
            std::fs::write(folder.path().join("new/a.json"), object.to_string()).unwrap();
            let report = run_check(folder.path());
            let by_kubernetes = |finding: &Value| finding["refusedBy"] == "kubernetes";
            let denied = report["findings"].as_array().unwrap().iter().any(by_kubernetes);
            let said = (reply.status, reply.message());
            assert_eq!(denied, reply.status >= 400, "{metadata} {plural}: {said:?}\n{report:#}");
            if metadata == json!({}) {
                assert!(reply.message().contains("name or generateName is required"), "{said:?}");
            }
            refused += usize::from(denied);
            accepted += usize::from(!denied);
        }
    }
    assert!(refused >= 8 && accepted >= 6, "{refused} {accepted}");
}

async fn observe(seed: u64, edits: usize) -> Vec<Case> {
    let testbed = Testbed::builder().controllers(false).start().await.unwrap();
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut bases: Vec<(Value, &'static [Edit])> = Vec::new();
    for set in statefulsets() {
        let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/statefulsets");
        bases.push((testbed.create(&path, set).await.unwrap().ok().unwrap(), STATEFULSET));
    }
    for (claim, status) in claims() {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims");
        let mut made = testbed.create(&path, claim).await.unwrap().ok().unwrap();
        if let Some(status) = status {
            let name = made["metadata"]["name"].as_str().unwrap().to_owned();
            let path = format!("{path}/{name}/status");
            made = testbed.merge(&path, json!({"status": status})).await.unwrap().ok().unwrap();
        }
        bases.push((made, CLAIM));
    }
    let mut cases = Vec::with_capacity(edits);
    for number in 0..edits {
        let (old, kinds) = &bases[rng.usize(..bases.len())];
        let mut new = old.clone();
        let (mut fields, mut pointers) = (Vec::new(), Vec::new());
        // Two thirds change one field, the rest two or three.
        for _ in 0..[1, 1, 1, 1, 2, 3][rng.usize(..6)] {
            // Round robin for the first field, so that none is left out.
            let index =
                if fields.is_empty() { number % kinds.len() } else { rng.usize(..kinds.len()) };
            kinds[index].apply(&mut new, &mut rng);
            fields.push(kinds[index].field);
            pointers.push(kinds[index].pointer);
        }
        let path = testbed::client::path_of(old).unwrap() + "?dryRun=All&fieldValidation=Ignore";
        let reply = testbed.replace(&path, new.clone()).await.unwrap();
        cases.push(Case {
            id: format!("edit-{number:05}"),
            fields,
            pointers,
            old: old.clone(),
            new,
            status: reply.status,
            message: reply.message().to_owned(),
        });
    }
    cases
}

/// Runs `check --old` once over all cases; each pair is told apart by its name.
fn check(cases: &[Case]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    for side in ["old", "new"] {
        std::fs::create_dir(folder.path().join(side)).unwrap();
    }
    for case in cases {
        for (side, object) in [("old", &case.old), ("new", &case.new)] {
            let mut object = object.clone();
            object["metadata"]["name"] = json!(case.id);
            let file = folder.path().join(side).join(format!("{}.json", case.id));
            std::fs::write(file, serde_json::to_vec_pretty(&object).unwrap()).unwrap();
        }
    }
    run_check(folder.path())
}

/// `stateward check --old old new --format json` in `folder`.
fn run_check(folder: &Path) -> Value {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_stateward"))
        .args(["check", "--old", "old", "--format", "json", "new"])
        .args(["--kubernetes-version", Kubernetes::from_environment().unwrap().name()])
        .current_dir(folder)
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    })
}

#[derive(Default)]
struct Row {
    edits: usize,
    refused: usize,
    not_judged: usize,
    disagree: usize,
}

struct Table {
    text: String,
    /// Which of [`GAPS`] were met.
    gaps: BTreeSet<usize>,
    disagreements: Vec<String>,
}

fn compare(cases: &[Case], report: &Value) -> Table {
    let of = |list: &str, id: &str| -> Vec<&Value> {
        report[list]
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["object"]["name"] == id)
            .collect()
    };
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    let mut disagreements = Vec::new();
    let mut gaps = BTreeSet::new();
    let version = Kubernetes::from_environment().unwrap();
    for case in cases {
        let findings = of("findings", &case.id);
        let refusals: Vec<&&Value> = findings
            .iter()
            .filter(|f| f["refusedBy"] == "kubernetes" || f["outcome"] == "error")
            .collect();
        let not_judged = !of("notJudged", &case.id).is_empty();
        let names_a_field = || {
            refusals.iter().any(|finding| {
                let field = finding["field"].as_str().unwrap();
                // A renamed or removed template is named by the list.
                case.pointers.iter().any(|p| field.starts_with(p) || p.starts_with(field))
            })
        };
        let agrees = if case.depends_on_another_object() {
            not_judged && refusals.is_empty()
        } else if case.refused() {
            !refusals.is_empty() && names_a_field()
        } else {
            refusals.is_empty()
        };
        let gap = GAPS.iter().position(|(since, message, _)| {
            *since == version && case.refused() && case.message.contains(message)
        });
        if let Some(gap) = gap.filter(|_| !agrees) {
            gaps.insert(gap);
        } else if !agrees {
            disagreements.push(format!(
                "{} {:?} ({} {}): server {} {}\n  ours {}{}\n  old {}\n  new {}",
                case.id,
                case.fields,
                case.old["kind"].as_str().unwrap(),
                case.old["metadata"]["name"].as_str().unwrap(),
                case.status,
                case.message.lines().next().unwrap_or_default(),
                refusals
                    .iter()
                    .map(|f| format!("{} at {}: {}", f["rule"], f["field"], f["message"]))
                    .collect::<Vec<_>>()
                    .join("; "),
                if not_judged { "not judged" } else { "" },
                case.old["spec"],
                case.new["spec"],
            ));
        }
        for field in &case.fields {
            let row = rows.entry(field).or_default();
            row.edits += 1;
            row.refused += usize::from(case.refused());
            row.not_judged += usize::from(not_judged);
            row.disagree += usize::from(!agrees);
        }
    }
    let mut text = format!(
        "{:<42}{:>7}{:>9}{:>12}{:>10}\n",
        "field", "edits", "refused", "not judged", "disagree"
    );
    for (field, row) in &rows {
        writeln!(
            text,
            "{field:<42}{:>7}{:>9}{:>12}{:>10}",
            row.edits, row.refused, row.not_judged, row.disagree
        )
        .unwrap();
    }
    let refused = cases.iter().filter(|case| case.refused()).count();
    writeln!(
        text,
        "{} edits, {refused} refused ({} %), {} depend on another object, {} disagreements",
        cases.len(),
        refused * 100 / cases.len(),
        cases.iter().filter(|case| case.depends_on_another_object()).count(),
        disagreements.len()
    )
    .unwrap();
    Table { text, gaps, disagreements }
}

/// Sets that differ in what they spell out.
fn statefulsets() -> Vec<Value> {
    let template = |name: &str, spec: Value| json!({"metadata": {"name": name}, "spec": spec});
    let data = json!({
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "10Gi"}}
    });
    let mut labelled = template("data", data.clone());
    labelled["metadata"]["labels"] = json!({"chart": "db-1"});
    labelled["spec"]["storageClassName"] = json!("standard");
    let lists = [
        ("plain", vec![template("data", data.clone())]),
        ("two", vec![template("data", data.clone()), template("wal", data)]),
        ("labelled", vec![labelled]),
        ("none", vec![]),
    ];
    lists
        .into_iter()
        .map(|(name, templates)| {
            let mounts: Vec<Value> = templates
                .iter()
                .enumerate()
                .map(|(i, t)| json!({"name": t["metadata"]["name"], "mountPath": format!("/{i}")}))
                .collect();
            json!({
                "apiVersion": "apps/v1",
                "kind": "StatefulSet",
                "metadata": {"name": name, "namespace": NAMESPACE},
                "spec": {
                    "serviceName": "db",
                    "replicas": 3,
                    "selector": {"matchLabels": {"app": "db"}},
                    "template": {
                        "metadata": {"labels": {"app": "db"}},
                        "spec": {"containers": [
                            {"name": "db", "image": "postgres:17", "volumeMounts": mounts}
                        ]}
                    },
                    "volumeClaimTemplates": templates
                }
            })
        })
        .collect()
}

/// Claims with the status that each is given.
fn claims() -> Vec<(Value, Option<Value>)> {
    let claim = |name: &str, edit: fn(&mut Value)| {
        let mut claim = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "10Gi"}},
                "storageClassName": "standard"
            }
        });
        edit(&mut claim);
        claim
    };
    let bound = |capacity: &str| json!({"phase": "Bound", "capacity": {"storage": capacity}, "accessModes": ["ReadWriteOnce"]});
    let mut with_attributes = bound("10Gi");
    with_attributes["currentVolumeAttributesClassName"] = json!("gold");
    vec![
        (claim("unbound", |_| {}), Some(json!({"phase": "Pending"}))),
        (claim("bound", |c| c["spec"]["volumeName"] = json!("pv-a")), Some(bound("10Gi"))),
        (
            claim("expanding", |c| {
                c["spec"]["volumeName"] = json!("pv-a");
                c["spec"]["resources"]["requests"]["storage"] = json!("50Gi");
            }),
            Some(bound("10Gi")),
        ),
        (
            claim("attributes", |c| {
                c["spec"]["volumeName"] = json!("pv-a");
                c["spec"]["volumeAttributesClassName"] = json!("gold");
            }),
            Some(with_attributes),
        ),
        (
            claim("classless", |c| {
                c["spec"].as_object_mut().unwrap().remove("storageClassName");
            }),
            Some(json!({"phase": "Pending"})),
        ),
        (
            claim("copied", |c| {
                c["spec"]["dataSource"] = json!({"kind": "PersistentVolumeClaim", "name": "src"});
            }),
            Some(json!({"phase": "Pending"})),
        ),
    ]
}
