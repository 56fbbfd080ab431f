//! Reviews that a real API server sent, and bodies that are none.

use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};
use stateward_core::change::KubernetesVersion;
use stateward_core::decide::EvaluationContext;
use stateward_core::facts::Facts;
use stateward_core::policy::{Policy, Resize};
use stateward_core::review::{self, Answer, Outcome, WebhookKind};

fn data() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/reviews")
}

fn body(name: &str) -> Vec<u8> {
    std::fs::read(data().join(format!("{name}.json"))).unwrap()
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&body(name)).unwrap()
}

fn answer(stage: WebhookKind, body: &[u8], policy: &Policy) -> Answer {
    review::answer(stage, body, KubernetesVersion::default(), &context(policy, &Facts::none()))
        .unwrap()
}

fn context<'a>(policy: &'a Policy, facts: &'a Facts) -> EvaluationContext<'a> {
    EvaluationContext { policy, facts, now: Timestamp::UNIX_EPOCH }
}

fn orchestrate() -> Policy {
    Policy::default().with_default_resize(Resize::Orchestrate)
}

/// The response, its patch decoded.
fn response(answer: &Answer) -> Value {
    use base64::Engine;
    let mut review: Value = serde_json::from_slice(&answer.body).unwrap();
    let mut response = review["response"].take();
    if let Some(patch) = response["patch"].as_str() {
        let patch = base64::engine::general_purpose::STANDARD.decode(patch).unwrap();
        response["patch"] = serde_json::from_slice(&patch).unwrap();
    }
    response
}

/// The reviewed object with the answer's patch applied.
fn patched(review: &Value, response: &Value) -> Value {
    let mut object = review["request"]["object"].clone();
    let patch: json_patch::Patch = serde_json::from_value(response["patch"].clone()).unwrap();
    json_patch::patch(&mut object, &patch).unwrap();
    object
}

const STORAGE: &str = "/spec/volumeClaimTemplates/0/spec/resources/requests/storage";
const REQUESTED: &str = "/metadata/annotations/stateward.dev~1resize-requested";

#[test]
fn every_recorded_review_gets_its_verdict() {
    let policy = orchestrate();
    let mut files: Vec<_> = std::fs::read_dir(data()).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    let mut table = String::new();
    for file in &files {
        let bytes = std::fs::read(file).unwrap();
        let request: Value = serde_json::from_slice(&bytes).unwrap();
        let name = file.file_stem().unwrap().to_string_lossy();
        for (stage, label) in
            [(WebhookKind::Mutating, "mutate"), (WebhookKind::Validating, "validate")]
        {
            let answer = answer(stage, &bytes, &policy);
            let response = response(&answer);
            assert_eq!(response["uid"], request["request"]["uid"], "{name}");
            assert_eq!(response["patch"].is_null(), response["patchType"].is_null(), "{name}");
            for warning in response["warnings"].as_array().into_iter().flatten() {
                let warning = warning.as_str().unwrap();
                assert!(warning.chars().count() <= 120 && !warning.contains('\n'), "{name}");
            }
            if let Some(message) = response["status"]["message"].as_str() {
                let lines = message.lines().filter(|line| !line.starts_with("  - "));
                assert!(lines.count() <= 12, "{name}: over 12 lines\n{message}");
                assert_eq!(response["status"]["code"], 403, "{name}");
                assert_eq!(response["status"]["reason"], "Forbidden", "{name}");
                assert!(!message.contains("is immutable") && !message.contains("immutable field"));
            }
            let rules: Vec<String> = answer
                .verdicts
                .iter()
                .map(|(rule, outcome)| format!("{rule}={}", outcome.name()))
                .collect();
            let outcome = answer.outcome.name();
            writeln!(table, "{name:<80} {label:<8} {outcome:<8} {}", rules.join(" ")).unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn answers_are_what_kubes_types_read() {
    let answer =
        answer(WebhookKind::Mutating, &body("update-statefulset-service-name"), &orchestrate());
    let review: kube::core::admission::AdmissionReview<kube::core::DynamicObject> =
        serde_json::from_slice(&answer.body).unwrap();
    let response = review.response.unwrap();
    assert!(!response.allowed);
    assert_eq!(response.result.code, 403);
}

#[test]
fn growth_becomes_a_request() {
    let review = json("update-statefulset-vct-storage-grow");
    let answer = answer(WebhookKind::Mutating, review.to_string().as_bytes(), &orchestrate());
    let response = response(&answer);
    let object = patched(&review, &response);
    assert_eq!(object.pointer(STORAGE), review["request"]["oldObject"].pointer(STORAGE));
    assert_eq!(object.pointer(REQUESTED), Some(&json!("{\"data\":\"20Gi\"}")));
    // Other annotations are still there.
    assert_eq!(object["metadata"]["annotations"]["example.com/team"], "shop");
    let warnings: Vec<&str> =
        response["warnings"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    // No false green: nobody is known to carry it out.
    assert!(warnings[2].contains("cannot tell if a controller grows it"), "{warnings:?}");
}

#[test]
fn asking_again_is_answered_the_same_way() {
    let mut review = json("update-statefulset-vct-storage-grow");
    let first =
        response(&answer(WebhookKind::Mutating, review.to_string().as_bytes(), &orchestrate()));
    let stored = patched(&review, &first);
    // The manifest is applied once more: the annotation is there already, the size grows again.
    let mut again = stored.clone();
    *again.pointer_mut(STORAGE).unwrap() = json!("20Gi");
    review["request"]["oldObject"] = stored.clone();
    review["request"]["object"] = again;
    let second =
        response(&answer(WebhookKind::Mutating, review.to_string().as_bytes(), &orchestrate()));
    assert_eq!(second["allowed"], true);
    assert_eq!(patched(&review, &second), stored);
    // Reinvocation on the patched object changes nothing.
    review["request"]["object"] = stored;
    let third =
        response(&answer(WebhookKind::Mutating, review.to_string().as_bytes(), &orchestrate()));
    assert_eq!(third["patch"], Value::Null);
}

#[test]
fn a_client_side_apply_of_the_old_size_withdraws_the_request() {
    let mut review = json("update-statefulset-vct-storage-grow");
    let stored = {
        let first =
            response(&answer(WebhookKind::Mutating, review.to_string().as_bytes(), &orchestrate()));
        patched(&review, &first)
    };
    let applied = |size: &str| {
        json!({"spec": {"volumeClaimTemplates": [{
            "metadata": {"name": "data"},
            "spec": {"resources": {"requests": {"storage": size}}}
        }]}})
        .to_string()
    };
    let key = "kubectl.kubernetes.io/last-applied-configuration";
    let with = |size: &str| {
        let mut object = stored.clone();
        object["metadata"]["annotations"][key] = json!(applied(size));
        object
    };
    let verdict = |review: &Value| {
        response(&answer(WebhookKind::Mutating, review.to_string().as_bytes(), &orchestrate()))
    };
    review["request"]["oldObject"] = with("20Gi");
    review["request"]["object"] = with("10Gi");
    let withdrawn = verdict(&review);
    assert_eq!(patched(&review, &withdrawn).pointer(REQUESTED), None, "{withdrawn:#}");
    // A label edit leaves the last-applied annotation as it is, and the request too.
    review["request"]["oldObject"] = with("10Gi");
    review["request"]["object"] = with("10Gi");
    review["request"]["object"]["metadata"]["labels"]["a"] = json!("b");
    assert_eq!(verdict(&review)["patch"], Value::Null);
}

#[test]
fn the_policy_decides_about_growth() {
    let review = json("update-statefulset-vct-storage-grow");
    let verdict = |policy: &str, mode: Option<&str>| {
        let mut review = review.clone();
        if let Some(mode) = mode {
            review["request"]["object"]["metadata"]["annotations"]["stateward.dev/resize"] =
                json!(mode);
        }
        let policy = Policy::parse(policy, "test").unwrap();
        answer(WebhookKind::Mutating, review.to_string().as_bytes(), &policy).outcome.name()
    };
    assert_eq!(verdict("version: 1", None), "denied");
    assert_eq!(verdict("version: 1\nresize: orchestrate", None), "patched");
    assert_eq!(verdict("version: 1\nresize: ignore", None), "allowed");
    assert_eq!(verdict("version: 1", Some("orchestrate")), "patched");
    assert_eq!(verdict("version: 1\nresize: orchestrate", Some("reject")), "denied");
    assert_eq!(verdict("version: 1\nresize: orchestrate", Some("ignore")), "allowed");
    assert_eq!(
        verdict("version: 1\nresize: orchestrate\noverrides: false", Some("ignore")),
        "patched"
    );
    assert_eq!(verdict("version: 1\nmode: audit\nresize: orchestrate", None), "warned");
}

#[test]
fn growth_beyond_the_sets_own_limit_is_denied() {
    let mut review = json("update-statefulset-vct-storage-grow");
    review["request"]["oldObject"]["metadata"]["annotations"]["stateward.dev/resize-max"] =
        json!("15Gi");
    let answer = answer(WebhookKind::Mutating, review.to_string().as_bytes(), &orchestrate());
    assert_eq!(answer.outcome, Outcome::Denied);
}

#[test]
fn an_owned_set_is_left_to_its_owner() {
    let mut review = json("update-statefulset-vct-storage-grow");
    review["request"]["userInfo"]["username"] = json!("system:serviceaccount:operators:database");
    for side in ["object", "oldObject"] {
        review["request"][side]["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "example.com/v1", "kind": "Database", "name": "db", "uid": "1",
            "controller": true
        }]);
    }
    let verdict = |review: &Value| {
        answer(WebhookKind::Mutating, review.to_string().as_bytes(), &orchestrate()).outcome
    };
    assert_eq!(verdict(&review), Outcome::Exempt);
    // An owner that is added in the same edit does not count.
    let mut added = review.clone();
    added["request"]["oldObject"]["metadata"]["ownerReferences"] = json!([]);
    assert_eq!(verdict(&added), Outcome::Patched);
    for side in ["object", "oldObject"] {
        review["request"][side]["metadata"]["annotations"]["stateward.dev/owner-managed"] =
            json!("allow");
    }
    assert_eq!(verdict(&review), Outcome::Patched);
}

#[test]
fn template_metadata_is_restored_where_the_policy_says_so() {
    let review = json("update-statefulset-vct-labels");
    let policy = Policy::parse("version: 1\nclaim-template-metadata: restore", "test").unwrap();
    let answer = answer(WebhookKind::Mutating, review.to_string().as_bytes(), &policy);
    let response = response(&answer);
    let object = patched(&review, &response);
    assert_eq!(
        object["spec"]["volumeClaimTemplates"],
        review["request"]["oldObject"]["spec"]["volumeClaimTemplates"]
    );
    assert_eq!(response["warnings"].as_array().unwrap().len(), 1);
}

#[test]
fn anti_affinity_is_injected_once_and_kept() {
    let mut review = json("create-statefulset-nginx-k8s-tutorial-web");
    let verdict = |review: &Value| {
        response(&answer(WebhookKind::Mutating, review.to_string().as_bytes(), &orchestrate()))
    };
    let created = patched(&review, &verdict(&review));
    let terms = &created["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"];
    assert_eq!(terms[0]["weight"], 100);
    assert_eq!(terms[0]["podAffinityTerm"]["topologyKey"], "kubernetes.io/hostname");
    assert_eq!(terms[0]["podAffinityTerm"]["labelSelector"], created["spec"]["selector"]);
    assert_eq!(terms[1]["podAffinityTerm"]["topologyKey"], "topology.kubernetes.io/zone");
    assert_eq!(created["metadata"]["annotations"]["stateward.dev/injected"], "[\"anti-affinity\"]");
    let warned = |response: &Value| {
        let warnings = response["warnings"].as_array().cloned().unwrap_or_default();
        warnings.iter().filter(|text| text.as_str().unwrap().contains("anti-affinity")).count()
    };
    assert_eq!(
        verdict(&review)["warnings"][0],
        "StatefulSet lab-c/web: its pods were given anti-affinity; stateward.dev/anti-affinity: \
         none prevents it"
    );
    // Reinvocation: nothing to add, and nothing to tell.
    let original = review["request"]["object"].clone();
    review["request"]["object"] = created.clone();
    assert_eq!(verdict(&review)["patch"], Value::Null);
    assert_eq!(warned(&verdict(&review)), 0);
    // An UPDATE that omits it, with a new image: kept, and the template is otherwise as asked.
    let mut update = original;
    update["spec"]["template"]["spec"]["containers"][0]["image"] = json!("nginx:2");
    review["request"]["operation"] = json!("UPDATE");
    review["request"]["oldObject"] = created.clone();
    review["request"]["object"] = update.clone();
    let kept = patched(&review, &verdict(&review));
    assert_eq!(warned(&verdict(&review)), 0);
    assert_eq!(
        kept["spec"]["template"]["spec"]["affinity"],
        created["spec"]["template"]["spec"]["affinity"]
    );
    assert_eq!(kept["spec"]["template"]["spec"]["containers"][0]["image"], "nginx:2");
    // Asked for none: a person takes it out on purpose.
    update["metadata"]["annotations"]["stateward.dev/anti-affinity"] = json!("none");
    review["request"]["object"] = update;
    assert_eq!(verdict(&review)["patch"], Value::Null);
}

#[test]
fn sets_with_an_answer_of_their_own_get_none_injected() {
    let review = json("create-statefulset-nginx-k8s-tutorial-web");
    let edits: [fn(&mut Value); 3] = [
        |set| set["spec"]["template"]["spec"]["topologySpreadConstraints"] = json!([{}]),
        |set| set["spec"]["template"]["spec"]["affinity"] = json!({"podAntiAffinity": {}}),
        |set| set["metadata"]["annotations"] = json!({"stateward.dev/anti-affinity": "none"}),
    ];
    for edit in edits {
        let mut review = review.clone();
        edit(&mut review["request"]["object"]);
        let answer = answer(WebhookKind::Mutating, review.to_string().as_bytes(), &orchestrate());
        assert_eq!(response(&answer)["patch"], Value::Null);
    }
}

#[test]
fn an_allow_annotation_needs_a_reason_and_ends() {
    let review = json("delete-statefulset-cascade-background");
    let verdict = |annotations: Value, policy: &str| {
        let mut review = review.clone();
        review["request"]["oldObject"]["spec"]["replicas"] = json!(3);
        review["request"]["oldObject"]["spec"]["persistentVolumeClaimRetentionPolicy"] =
            json!({"whenDeleted": "Delete", "whenScaled": "Retain"});
        review["request"]["oldObject"]["metadata"]["annotations"] = annotations;
        let policy = Policy::parse(policy, "test").unwrap();
        answer(WebhookKind::Validating, review.to_string().as_bytes(), &policy).allowed
    };
    let rule = "sts-delete-pvc-retention-delete";
    let (allow, reason, until) =
        ("stateward.dev/allow", "stateward.dev/allow-reason", "stateward.dev/allow-until");
    assert!(!verdict(json!({}), "version: 1"));
    assert!(!verdict(json!({allow: rule}), "version: 1"));
    assert!(verdict(json!({allow: rule, reason: "moved away"}), "version: 1"));
    assert!(!verdict(json!({allow: rule, reason: "x"}), "version: 1\noverrides: false"));
    let with = |time: &str| json!({allow: rule, reason: "x", until: time});
    assert!(verdict(with("2999-01-01T00:00:00Z"), "version: 1"));
    assert!(!verdict(with("1969-01-01T00:00:00Z"), "version: 1"));
    assert!(!verdict(with("tomorrow"), "version: 1"));
}

#[test]
fn a_wrong_type_is_named_and_answered_by_on_error() {
    let mut review = json("update-statefulset-vct-storage-grow");
    review["request"]["object"]["spec"]["replicas"] = json!("three");
    let verdict = |policy: &str| {
        let policy = Policy::parse(policy, "test").unwrap();
        answer(WebhookKind::Mutating, review.to_string().as_bytes(), &policy)
    };
    let allowed = verdict("version: 1");
    assert!(allowed.allowed);
    assert_eq!(allowed.outcome, Outcome::Error);
    let warning = response(&allowed)["warnings"][0].as_str().unwrap().to_owned();
    assert!(warning.contains("spec.replicas"), "{warning}");
    let denied = verdict("version: 1\non-error: deny");
    assert!(!denied.allowed);
    assert!(response(&denied)["status"]["message"].as_str().unwrap().contains("spec.replicas"));
    assert!(verdict("version: 1\nmode: audit\non-error: deny").allowed);
}

#[test]
fn bodies_that_are_no_reviews_are_refused_by_name() {
    let refused = |body: &[u8]| {
        let (policy, facts) = (Policy::default(), Facts::none());
        review::answer(
            WebhookKind::Mutating,
            body,
            KubernetesVersion::default(),
            &context(&policy, &facts),
        )
        .unwrap_err()
        .to_string()
    };
    let edited = |edit: fn(&mut Value)| {
        let mut review = json("update-statefulset-service-name");
        edit(&mut review);
        refused(review.to_string().as_bytes())
    };
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let nested = format!("{{\"kind\":\"AdmissionReview\",\"request\":{deep}}}");
    insta::assert_snapshot!(
        [
            refused(b""),
            refused(b"not json"),
            refused(b"\xff\xfe"),
            refused(b"{\"kind\":\"AdmissionReview\",\"kind\":\"AdmissionReview\"}"),
            refused(b"{}"),
            refused(nested.as_bytes()),
            edited(|review| review["apiVersion"] = json!("admission.k8s.io/v1beta1")),
            edited(|review| review["kind"] = json!("Pod")),
            edited(|review| review["request"] = Value::Null),
            edited(|review| review["request"]["uid"] = json!("")),
            edited(|review| review["request"]["operation"] = json!("DESTROY")),
            edited(|review| review["request"]["oldObject"] = Value::Null),
            edited(|review| review["request"]["object"] = Value::Null),
            edited(|review| {
                review["request"]["operation"] = json!("DELETE");
                review["request"]["oldObject"] = Value::Null;
            }),
        ]
        .join("\n")
    );
}

#[test]
fn odd_json_gets_a_verdict_or_a_clear_refusal() {
    let text = String::from_utf8(body("update-statefulset-service-name")).unwrap();
    for (from, to) in [
        ("\"replicas\":3", "\"replicas\":1e400"),
        ("\"replicas\":3", "\"replicas\":3,\"replicas\":4"),
        ("\"example.com/team\":\"shop\"", "\"example.com/team\":\"\\ud800\""),
        ("\"example.com/team\":\"shop\"", "\"example.com/team\":\"a\\u0000b\""),
    ] {
        assert!(text.contains(from), "{from}");
        let body = text.replace(from, to);
        let answer = answer(WebhookKind::Mutating, body.as_bytes(), &orchestrate());
        assert!(
            matches!(answer.outcome, Outcome::Error | Outcome::Denied),
            "{to}: {:?}",
            answer.outcome
        );
    }
}

#[test]
fn a_delete_orphans_as_the_api_server_decides() {
    let review = json("delete-statefulset-cascade-background");
    let orphans = |options: Value, finalizers: Value| {
        let mut review = review.clone();
        let set = &mut review["request"]["oldObject"];
        set["spec"]["replicas"] = json!(3);
        set["spec"]["persistentVolumeClaimRetentionPolicy"] =
            json!({"whenDeleted": "Delete", "whenScaled": "Retain"});
        set["metadata"]["finalizers"] = finalizers;
        review["request"]["options"] = options;
        answer(WebhookKind::Validating, review.to_string().as_bytes(), &Policy::default()).allowed
    };
    let none = || json!([]);
    for (options, finalizers, expected) in [
        (json!({"orphanDependents": true}), none(), true),
        (json!({"orphanDependents": false}), none(), false),
        (json!({"orphanDependents": null}), none(), false),
        (json!({"orphanDependents": null, "propagationPolicy": "Orphan"}), none(), true),
        (json!({"orphanDependents": true, "propagationPolicy": null}), none(), true),
        // The API server rejects both at once; the first decides, as in its code.
        (json!({"orphanDependents": false, "propagationPolicy": "Orphan"}), none(), false),
        (json!({"orphanDependents": true, "propagationPolicy": "Background"}), none(), true),
        (json!({"propagationPolicy": "Orphan"}), none(), true),
        (json!({"propagationPolicy": "orphan"}), none(), false),
        (json!({"propagationPolicy": ""}), none(), false),
        (json!({"propagationPolicy": "Foreground"}), none(), false),
        (json!({}), none(), false),
        (json!(null), none(), false),
        // Without options, the first of two finalizers decides.
        (json!({}), json!(["example.com/a", "orphan"]), true),
        (json!({}), json!(["foregroundDeletion", "orphan"]), false),
        (json!({"propagationPolicy": "Background"}), json!(["orphan"]), false),
        (json!({"orphanDependents": false}), json!(["orphan"]), false),
        (json!({"orphanDependents": true}), json!(["foregroundDeletion"]), true),
    ] {
        assert_eq!(
            orphans(options.clone(), finalizers.clone()),
            expected,
            "{options} {finalizers}"
        );
    }
}
