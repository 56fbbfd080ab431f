//! Edits as `stateward check` judges them, with the words that have to be said and those that must not.

use jiff::Timestamp;
use serde_json::{Value, json};
use stateward_check::judge::check;
use stateward_check::pair::pair;
use stateward_check::select::Selection;
use stateward_core::change::KubernetesVersion;
use stateward_core::decide::EvaluationContext;
use stateward_core::facts::Facts;
use stateward_core::policy::Policy;
use stateward_core::yaml::Inputs;

use crate::fuzz::targets::with_size;
use crate::manifest::read;

/// What is tried: its name, the policy, the old and the new manifests, the words that have to be said,
/// and the words that must not be said.
type Case<'c> = (&'c str, &'c str, Vec<Value>, Vec<Value>, &'c [&'c str], &'c [&'c str]);

#[track_caller]
fn try_all(cases: &[Case<'_>]) {
    let mut wrong = Vec::new();
    for (name, policy, old, new, said, unsaid) in cases {
        let text = judge(policy, old, new);
        let missing: Vec<_> = said.iter().filter(|words| !text.contains(**words)).collect();
        let present: Vec<_> = unsaid.iter().filter(|words| text.contains(**words)).collect();
        if !(missing.is_empty() && present.is_empty()) {
            wrong.push(format!("{name}: missing {missing:?}, present {present:?} in\n{text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Each finding as `deny rule: message`, its reason and its steps.
pub(crate) fn judge(policy: &str, old: &[Value], new: &[Value]) -> String {
    let [old, new] = [old, new].map(|side| {
        let documents: Vec<String> = side.iter().map(Value::to_string).collect();
        read(&documents.join("\n---\n"))
    });
    let documents = old.documents.iter().chain(&new.documents);
    let mut facts = Facts::none();
    let errors = facts.add_documents(documents);
    assert!(errors.is_empty());
    let context = EvaluationContext {
        policy: &Policy::parse(&format!("version: 1\n{policy}"), "test").unwrap(),
        facts: &facts,
        now: Timestamp::UNIX_EPOCH,
    };
    let selection = |inputs: Inputs| Selection::from(inputs);
    let paired = pair(selection(old), selection(new), true);
    let report = check(paired, KubernetesVersion::default(), &context);
    let mut lines = Vec::new();
    for finding in report.findings {
        let outcome = format!("{:?}", finding.outcome).to_lowercase();
        lines.push(format!("{outcome} {}: {}", finding.rule, finding.message));
        lines.push(finding.why);
        for step in finding.remedy {
            lines.push(step.text);
            lines.extend(step.command);
        }
    }
    lines.join("\n")
}

fn set(metadata: &Value, size: &str) -> Value {
    let mut set = with_size(size);
    let probe = json!({"tcpSocket": {"port": 5432}});
    set["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = probe;
    set["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] = json!("slow");
    merge(&mut set["metadata"], metadata);
    set
}

fn claim(metadata: &Value, class: &str) -> Value {
    let mut claim = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "files", "namespace": "shop"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": class,
            "volumeName": "pv-1",
            "resources": {"requests": {"storage": "10Gi"}},
        },
        "status": {"phase": "Bound"},
    });
    merge(&mut claim["metadata"], metadata);
    claim
}

fn merge(to: &mut Value, from: &Value) {
    for (key, value) in from.as_object().unwrap() {
        to[key] = value.clone();
    }
}

fn class(expands: bool) -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "slow"},
        "provisioner": "x.example.com",
        "allowVolumeExpansion": expands,
    })
}

fn annotated(key: &str, value: &str) -> Value {
    json!({"annotations": {key: value}})
}

#[test]
fn a_removed_finalizer_is_judged_in_manifests() {
    let protected = json!({"finalizers": ["kubernetes.io/pvc-protection"]});
    let gone = json!({"deletionTimestamp": "2030-01-01T00:00:00Z"});
    let mut both = protected.clone();
    merge(&mut both, &gone);
    let mut orphaning = set(&json!({"finalizers": ["orphan"]}), "10Gi");
    merge(&mut orphaning["metadata"], &gone);
    orphaning["spec"]["persistentVolumeClaimRetentionPolicy"] = json!({"whenDeleted": "Delete"});
    let mut freed = orphaning.clone();
    freed["metadata"]["finalizers"] = json!([]);
    let said = &["deny pvc-protection-removed"][..];
    try_all(&[
        (
            "emptied",
            "",
            vec![claim(&protected, "x")],
            vec![claim(&json!({"finalizers": []}), "x")],
            said,
            &[],
        ),
        ("left out", "", vec![claim(&protected, "x")], vec![claim(&json!({}), "x")], said, &[]),
        ("while it is deleted", "", vec![claim(&both, "x")], vec![claim(&gone, "x")], said, &[]),
        (
            "orphan",
            "",
            vec![orphaning],
            vec![freed],
            &["deny sts-delete-pvc-retention-delete"],
            &[],
        ),
        (
            "another one",
            "",
            vec![claim(&json!({"finalizers": ["x.y/z"]}), "x")],
            vec![claim(&json!({}), "x")],
            &[],
            &["deny", "warn"],
        ),
    ]);
}

#[test]
fn a_renamed_set_is_not_told_that_its_pods_keep_running() {
    let mut renamed = set(&json!({}), "10Gi");
    renamed["metadata"]["name"] = json!("db2");
    try_all(&[(
        "renamed",
        "",
        vec![set(&json!({}), "10Gi")],
        vec![renamed],
        &["would take the place of", "to create it again under this name"],
        &["to replace the set"],
    )]);
}

#[test]
fn no_loop_raises_claims_to_a_size_that_is_denied() {
    try_all(&[
        (
            "denied",
            "",
            vec![set(&json!({}), "100Gi")],
            vec![set(&json!({}), "100Ti")],
            &["deny pvc-fractional-or-huge", "first settle the size"],
            &["patch pvc", "Raise the claims"],
        ),
        (
            "warned",
            "",
            vec![set(&json!({}), "10Gi")],
            vec![set(&json!({}), "200Gi")],
            &["warn pvc-fractional-or-huge", "patch pvc"],
            &["first settle the size"],
        ),
    ]);
}

#[test]
fn growth_that_the_class_forbids_is_no_request() {
    let orchestrate = "resize: orchestrate";
    let grown = || set(&json!({}), "20Gi");
    try_all(&[
        (
            "forbidden",
            orchestrate,
            vec![set(&json!({}), "10Gi"), class(false)],
            vec![grown(), class(false)],
            &["deny sts-vct-size-grow", "StorageClass slow, which does not allow expansion"],
            &["recorded as a request"],
        ),
        (
            "allowed",
            orchestrate,
            vec![set(&json!({}), "10Gi"), class(true)],
            vec![grown(), class(true)],
            &["warn sts-vct-size-grow", "recorded as a request"],
            &["deny"],
        ),
        (
            "not known",
            orchestrate,
            vec![set(&json!({}), "10Gi")],
            vec![grown()],
            &["warn sts-vct-size-grow", "recorded as a request"],
            &["deny"],
        ),
    ]);
}

#[test]
fn a_refusal_names_the_tool_that_forces_the_edit() {
    let flux = annotated("kustomize.toolkit.fluxcd.io/force", "enabled");
    let argo = annotated("argocd.argoproj.io/sync-options", "Force=true,Replace=true");
    let other = annotated("argocd.argoproj.io/sync-options", "Replace=true");
    let shrunk = |metadata: &Value| vec![set(metadata, "5Gi")];
    let old = || vec![set(&json!({}), "10Gi")];
    let mut invalid = set(&flux, "10Gi");
    invalid["spec"]["replicas"] = json!(-1);
    let pods = "deletes the set and all of its pods, and creates it again";
    try_all(&[
        (
            "Flux",
            "",
            old(),
            shrunk(&flux),
            &["kustomize.toolkit.fluxcd.io/force, Flux then", pods],
            &[],
        ),
        ("Argo CD", "", old(), shrunk(&argo), &["With Force=true, Argo CD then", pods], &[]),
        ("Replace alone", "", old(), shrunk(&other), &["deny sts-vct-size-shrink"], &[pods]),
        (
            "claim",
            "",
            vec![claim(&json!({}), "x")],
            vec![claim(&flux, "y")],
            &["deletes the claim, and its volume unless that is retained"],
            &[],
        ),
        ("invalid", "", old(), vec![invalid], &["deny sts-invalid-value"], &[pods]),
    ]);
}
