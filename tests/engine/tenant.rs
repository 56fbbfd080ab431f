//! What a tenant with the role `edit` tries in order to be judged by nobody.

use jiff::Timestamp;
use serde_json::{Value, json};
use stateward_core::change::{Change, Circumstances, Operation, Pair, Tool, User};
use stateward_core::decide::{Decision, EvaluationContext, Exemption, Stage, decide};
use stateward_core::facts::{ClaimFact, Facts, Objects, PodFact, SetFact};
use stateward_core::object::{Kind, Object};
use stateward_core::policy::Policy;
use stateward_core::review::WebhookKind;
use stateward_core::rules::Action;

const TENANT: &str = "dev";
const ALICE: &str = "alice@example.com";
const RESERVED: &str = "allow: {users: [alice@example.com]}\n";

fn set(metadata: &Value, retention: &str) -> Value {
    let mut set = json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "shop", "uid": "a1"},
        "spec": {
            "serviceName": "db",
            "replicas": 2,
            "selector": {"matchLabels": {"app": "db"}},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": retention, "whenScaled": "Retain"},
            "template": {
                "metadata": {"labels": {"app": "db"}},
                "spec": {"containers": [{
                    "name": "db",
                    "image": "postgres:17.2",
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }]},
            },
            "volumeClaimTemplates": [{
                "metadata": {"name": "data"},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": "10Gi"}},
                },
            }],
        },
    });
    for (key, value) in metadata.as_object().unwrap() {
        set["metadata"][key] = value.clone();
    }
    set
}

fn allow() -> Value {
    json!({"annotations": {
        "stateward.dev/allow": "sts-retention-to-delete",
        "stateward.dev/allow-reason": "moving",
    }})
}

fn owned_by(api_version: &str, kind: &str) -> Value {
    json!({"ownerReferences": [{
        "apiVersion": api_version, "kind": kind, "name": "fake", "uid": "b2", "controller": true,
    }]})
}

/// A request and the policy by which it is judged.
#[derive(Clone, Copy)]
struct Request<'r> {
    user: &'r str,
    policy: &'r str,
    sub_resource: &'r str,
    propagation_policy: Option<&'r str>,
    facts: Option<&'r Facts>,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self { user: TENANT, policy: "", sub_resource: "", propagation_policy: None, facts: None }
    }
}

impl Request<'_> {
    fn judge<T>(
        self,
        stage: Stage,
        old: Option<&Value>,
        new: Option<&Value>,
        read: impl FnOnce(&Decision, Option<Value>) -> T,
    ) -> T {
        let policy = Policy::parse(&format!("version: 1\n{}", self.policy), "test").unwrap();
        let operation = match (old, new) {
            (None, _) => Operation::Create,
            (_, None) => Operation::Delete,
            _ => Operation::Update,
        };
        let [before, after] = [old, new].map(|side| side.map(Value::to_string));
        let objects = Pair {
            old: before.as_deref().map(|text| Object::decode(text).unwrap()),
            new: after.as_deref().map(|text| Object::decode(text).unwrap()),
        };
        let any = objects.any().unwrap();
        let kind = Kind::of_manifest(&any.api_version, &any.kind);
        let circumstances = Circumstances {
            user: User { name: self.user.to_owned(), groups: Vec::new() },
            tool: Tool::recognise(self.user, ""),
            sub_resource: self.sub_resource.to_owned(),
            propagation_policy: self.propagation_policy.map(str::to_owned),
            ..Circumstances::default()
        };
        let change = Change::new(operation, kind, "shop", objects, circumstances).unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let nothing = Facts::none();
        let facts = self.facts.unwrap_or(&nothing);
        let context = EvaluationContext { policy: &policy, facts, now };
        let decision = decide(stage, &change, &context);
        let document = after.as_deref().unwrap_or("null");
        let patched = decision.mutation.tried(&change, document).unwrap().map(|patch| {
            let mut object = new.cloned().unwrap();
            let patch: json_patch::Patch = serde_json::from_slice(&patch.json).unwrap();
            json_patch::patch(&mut object, &patch).unwrap();
            object
        });
        read(&decision, patched)
    }

    /// The rules that deny.
    fn denied(self, old: Option<&Value>, new: Option<&Value>) -> Vec<&'static str> {
        self.judge(Stage::Webhook(WebhookKind::Validating), old, new, |decision, _| {
            decision.denials().map(|verdict| verdict.finding.rule).collect()
        })
    }

    /// The object as the mutating webhook leaves it.
    fn mutated(self, old: Option<&Value>, new: &Value) -> Value {
        self.judge(Stage::Webhook(WebhookKind::Mutating), old, Some(new), |decision, patched| {
            assert!(decision.allowed(), "{decision:?}");
            patched.unwrap_or_else(|| new.clone())
        })
    }
}

#[test]
fn a_reserved_exemption_is_denied_at_every_door() {
    let tenant = Request { policy: RESERVED, ..Request::default() };
    let (plain, exempt) = (set(&json!({}), "Retain"), set(&allow(), "Retain"));
    assert_eq!(tenant.denied(Some(&plain), Some(&exempt)), ["reserved-annotation"]);
    assert_eq!(tenant.denied(None, Some(&exempt)), ["reserved-annotation"]);
    let status = Request { sub_resource: "status", ..tenant };
    assert_eq!(status.denied(Some(&plain), Some(&exempt)), ["reserved-annotation"]);
    let mut template = plain.clone();
    template["spec"]["volumeClaimTemplates"][0]["metadata"]["annotations"] =
        json!({"stateward.dev/allow": "pvc-shrink", "stateward.dev/allow-reason": "x"});
    assert_eq!(tenant.denied(None, Some(&template)), ["reserved-annotation"]);
    let alice = Request { user: ALICE, ..tenant };
    assert!(alice.denied(Some(&plain), Some(&exempt)).is_empty());
}

#[test]
fn an_exemption_without_a_grant_does_not_count_however_it_got_there() {
    let tenant = Request { policy: RESERVED, ..Request::default() };
    let (before, after) = (set(&allow(), "Retain"), set(&allow(), "Delete"));
    assert_eq!(tenant.denied(Some(&before), Some(&after)), ["sts-retention-to-delete"]);
    // The grant of other rules, or of another end, is none.
    for grant in [
        r#"{"by":"alice@example.com","allow":"pvc-shrink"}"#,
        r#"{"by":"alice@example.com","allow":"sts-retention-to-delete","until":"2030-01-01"}"#,
        r#"{"by":"","allow":"sts-retention-to-delete"}"#,
        "true",
        "{",
    ] {
        let mut metadata = allow();
        metadata["annotations"]["stateward.dev/allow-granted"] = grant.into();
        let (before, after) = (set(&metadata, "Retain"), set(&metadata, "Delete"));
        assert_eq!(tenant.denied(Some(&before), Some(&after)), ["sts-retention-to-delete"]);
    }
}

#[test]
fn a_granted_exemption_counts_for_everybody_until_it_changes() {
    let alice = Request { user: ALICE, policy: RESERVED, ..Request::default() };
    let tenant = Request { user: TENANT, ..alice };
    let granted = alice.mutated(Some(&set(&json!({}), "Retain")), &set(&allow(), "Retain"));
    let grant = granted["metadata"]["annotations"]["stateward.dev/allow-granted"].as_str();
    assert_eq!(grant, Some(r#"{"by":"alice@example.com","allow":"sts-retention-to-delete"}"#));
    let mut destroyed = granted.clone();
    destroyed["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] = "Delete".into();
    assert!(tenant.denied(Some(&granted), Some(&destroyed)).is_empty());

    // A tenant's own edit of the list neither passes nor keeps the grant.
    destroyed["metadata"]["annotations"]["stateward.dev/allow"] =
        "sts-retention-to-delete,sts-delete-pvc-retention-delete".into();
    assert_eq!(
        tenant.denied(Some(&granted), Some(&destroyed)),
        ["reserved-annotation", "sts-retention-to-delete"]
    );

    // Taking the exemption away is free, and takes the grant along.
    let mut ended = granted.clone();
    let annotations = ended["metadata"]["annotations"].as_object_mut().unwrap();
    annotations.remove("stateward.dev/allow");
    assert!(tenant.denied(Some(&granted), Some(&ended)).is_empty());
    let ended = tenant.mutated(Some(&granted), &ended);
    assert_eq!(ended["metadata"]["annotations"].get("stateward.dev/allow-granted"), None);
}

#[test]
fn an_owner_that_a_tenant_claims_exempts_nothing() {
    for policy in ["", "overrides: false\n"] {
        let tenant = Request { policy, ..Request::default() };
        let plain = set(&json!({}), "Retain");
        for (api_version, kind) in [
            ("v1", "ConfigMap"),
            ("apps/v1", "Deployment"),
            ("monitoring.coreos.com/v1", "Prometheus"),
            ("example.com/v1", "Database"),
        ] {
            let owner = owned_by(api_version, kind);
            let (kept, doomed) = (set(&owner, "Retain"), set(&owner, "Delete"));
            assert_eq!(tenant.denied(Some(&plain), Some(&kept)), ["owner-added"], "{kind}");
            let status = Request { sub_resource: "status", ..tenant };
            assert_eq!(status.denied(Some(&plain), Some(&kept)), ["owner-added"], "{kind}");
            let denied = tenant.denied(Some(&kept), Some(&doomed));
            assert_eq!(denied, ["sts-retention-to-delete"], "{kind}");
            assert_eq!(
                tenant.denied(Some(&doomed), None),
                ["sts-delete-pvc-retention-delete"],
                "{kind}"
            );
        }
    }
}

#[test]
fn a_service_account_of_the_namespace_is_no_operator() {
    let account = "system:serviceaccount:shop:default";
    let tenant = Request { user: account, ..Request::default() };
    for (api_version, kind) in [
        ("v1", "ConfigMap"),
        ("example.com/v1", "Database"),
        // Its operator is recognised by the match conditions, before a review is sent.
        ("rabbitmq.com/v1beta1", "RabbitmqCluster"),
    ] {
        let owner = owned_by(api_version, kind);
        let denied = tenant.denied(Some(&set(&owner, "Retain")), Some(&set(&owner, "Delete")));
        assert_eq!(denied, ["sts-retention-to-delete"], "{kind}");
    }
    // What somebody commits is no word of an operator.
    let gitops = "system:serviceaccount:argocd:argocd-application-controller";
    let tenant = Request { user: gitops, ..Request::default() };
    let owner = owned_by("monitoring.coreos.com/v1", "Prometheus");
    let denied = tenant.denied(Some(&set(&owner, "Retain")), Some(&set(&owner, "Delete")));
    assert_eq!(denied, ["sts-retention-to-delete"]);
}

#[test]
fn an_operator_is_left_alone() {
    let owner = owned_by("rabbitmq.com/v1beta1", "RabbitmqCluster");
    let (before, after) = (set(&owner, "Retain"), set(&owner, "Delete"));
    let exempted = |user: &str, policy: &str| {
        Request { user, policy, ..Request::default() }.judge(
            Stage::Webhook(WebhookKind::Validating),
            Some(&before),
            Some(&after),
            |decision, _| decision.exemption,
        )
    };
    let operator = "system:serviceaccount:operators:rabbitmq";
    assert_eq!(exempted(operator, ""), Some(Exemption::Owned));
    for user in ["outside", "system:serviceaccount:shop:rabbitmq"] {
        assert_eq!(exempted(user, ""), None);
        let named = format!("owners: {{operators: ['{user}']}}\n");
        assert_eq!(exempted(user, &named), Some(Exemption::Owned));
    }
}

#[test]
fn refusals_of_an_owned_set_are_left_to_the_api_server() {
    let mut metadata = owned_by("rabbitmq.com/v1beta1", "RabbitmqCluster");
    metadata["annotations"] = json!({"stateward.dev/owner-managed": "allow"});
    let before = set(&metadata, "Retain");
    let mut after = before.clone();
    after["spec"]["serviceName"] = "other".into();
    let operator = "system:serviceaccount:operators:rabbitmq";
    let refused = |user| {
        let request = Request { user, ..Request::default() };
        request.judge(
            Stage::Webhook(WebhookKind::Mutating),
            Some(&before),
            Some(&after),
            |decision, _| !decision.allowed(),
        )
    };
    assert!(!refused(operator), "an operator acts on the answer of the API server");
    assert!(refused(TENANT), "a person is told the way out");

    let doomed = set(&metadata, "Delete");
    let request = Request { user: operator, ..Request::default() };
    assert!(request.denied(Some(&doomed), None).is_empty());
    let warned = request.judge(
        Stage::Webhook(WebhookKind::Validating),
        Some(&doomed),
        None,
        |decision, _| decision.verdicts.iter().all(|verdict| verdict.action == Action::Warn),
    );
    assert!(warned);
    assert_eq!(Request::default().denied(Some(&doomed), None), ["sts-delete-pvc-retention-delete"]);
}

#[test]
fn an_edit_that_hides_behind_the_last_finalizer_is_judged() {
    let old = set(&json!({"finalizers": ["x.y/z"]}), "Retain");
    let exempted = |new: &Value| {
        let request = Request::default();
        request.judge(
            Stage::Webhook(WebhookKind::Mutating),
            Some(&old),
            Some(new),
            |decision, _| decision.exemption,
        )
    };
    let mut new = set(&json!({}), "Retain");
    assert_eq!(exempted(&new), Some(Exemption::Finalizers));
    new["metadata"]["annotations"] =
        json!({"stateward.dev/resize-requested": r#"{"data":"100Ti"}"#});
    assert_eq!(exempted(&new), None);
    assert_eq!(exempted(&set(&owned_by("v1", "ConfigMap"), "Retain")), None);
}

#[test]
fn an_object_with_very_many_owners_is_judged() {
    let operator =
        Request { user: "system:serviceaccount:operators:rabbitmq", ..Request::default() };
    let mut metadata = owned_by("rabbitmq.com/v1beta1", "RabbitmqCluster");
    let owners = metadata["ownerReferences"].as_array_mut().unwrap();
    for number in 0..100 {
        let uid = format!("u{number}");
        owners.push(json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": uid}));
    }
    let (kept, doomed) = (set(&metadata, "Retain"), set(&metadata, "Delete"));
    assert_eq!(operator.denied(Some(&kept), Some(&doomed)), ["sts-retention-to-delete"]);
    owners_of(&mut metadata).truncate(100);
    let (kept, doomed) = (set(&metadata, "Retain"), set(&metadata, "Delete"));
    assert!(operator.denied(Some(&kept), Some(&doomed)).is_empty());
}

fn owners_of(metadata: &mut Value) -> &mut Vec<Value> {
    metadata["ownerReferences"].as_array_mut().unwrap()
}

/// A cluster with the set under the UID a1, and these claims with their owners.
fn cluster(live: &Value, claims: &[(&str, &[&str])]) -> Facts {
    let mut facts = Facts { claims: Objects::all(), sets: Objects::all(), ..Facts::none() };
    facts.sets.insert("shop", "db", SetFact::read(live).unwrap());
    for (name, owners) in claims {
        let owners = owners.iter().map(|owner| (*owner).to_owned()).collect();
        let request = Some("10Gi".parse().unwrap());
        facts.claims.insert("shop", name, ClaimFact { owners, request, ..ClaimFact::default() });
    }
    facts
}

fn terminating(finalizers: &[&str], retention: &str) -> Value {
    set(&json!({"deletionTimestamp": "2030-01-01T00:00:00Z", "finalizers": finalizers}), retention)
}

const DELETE_RULE: [&str; 1] = ["sts-delete-pvc-retention-delete"];
const SCALE_RULE: [&str; 1] = ["sts-scale-down-deletes-claims"];

#[test]
fn an_orphan_delete_cannot_be_cut_short() {
    let live = set(&json!({}), "Delete");
    let owned = cluster(&live, &[("data-db-0", &["a1"]), ("data-db-1", &["a1"])]);
    let freed = cluster(&live, &[("data-db-0", &[]), ("data-db-1", &[])]);
    for facts in [None, Some(&owned)] {
        let tenant = Request { facts, ..Request::default() };
        let orphan = Request { propagation_policy: Some("Orphan"), ..tenant };
        assert!(orphan.denied(Some(&live), None).is_empty(), "an orphan delete keeps the claims");
        // A finalizer in the set orphans, too; removing it again is the second step.
        let prepared = set(&json!({"finalizers": ["orphan"]}), "Delete");
        assert!(tenant.denied(Some(&live), Some(&prepared)).is_empty());
        assert!(tenant.denied(Some(&prepared), None).is_empty());
        for (before, after) in [(&["orphan"][..], &[][..]), (&["x.y/z", "orphan"], &["x.y/z"])] {
            let (old, new) = (terminating(before, "Delete"), terminating(after, "Delete"));
            assert_eq!(tenant.denied(Some(&old), Some(&new)), DELETE_RULE);
            let status = Request { sub_resource: "status", ..tenant };
            assert_eq!(status.denied(Some(&old), Some(&new)), DELETE_RULE);
            for again in ["Background", "Foreground"] {
                let again = Request { propagation_policy: Some(again), ..tenant };
                assert_eq!(again.denied(Some(&old), None), DELETE_RULE);
            }
            let again = Request { propagation_policy: Some("Orphan"), ..tenant };
            assert!(again.denied(Some(&old), None).is_empty());
        }
    }
    let tenant = Request { facts: Some(&freed), ..Request::default() };
    let (old, new) = (terminating(&["orphan"], "Delete"), terminating(&[], "Delete"));
    assert!(tenant.denied(Some(&old), Some(&new)).is_empty(), "the claims are free");
    let collector =
        Request { user: "system:serviceaccount:kube-system:generic-garbage-collector", ..tenant };
    assert!(collector.denied(Some(&old), Some(&new)).is_empty());
}

#[test]
fn a_set_that_still_owns_claims_is_not_deleted_whatever_its_retention_says() {
    let live = set(&json!({}), "Retain");
    let owned = cluster(&live, &[("data-db-0", &["a1"])]);
    let tenant = Request { facts: Some(&owned), ..Request::default() };
    assert_eq!(tenant.denied(Some(&live), None), DELETE_RULE);
    let (old, new) = (terminating(&["x.y/z"], "Retain"), terminating(&[], "Retain"));
    assert_eq!(tenant.denied(Some(&old), Some(&new)), DELETE_RULE);
    for claims in [&[("data-db-0", &[][..])][..], &[("data-db-0", &["a1", "b2"])], &[]] {
        let free = cluster(&live, claims);
        let tenant = Request { facts: Some(&free), ..Request::default() };
        assert!(tenant.denied(Some(&live), None).is_empty());
    }
}

#[test]
fn a_set_is_not_created_so_that_existing_claims_are_deleted() {
    let live = set(&json!({}), "Retain");
    let facts = cluster(&live, &[("data-db-0", &[]), ("data-db-1", &[]), ("data-db-2", &[])]);
    let tenant = Request { facts: Some(&facts), ..Request::default() };
    let mut fewer = live.clone();
    fewer["spec"]["persistentVolumeClaimRetentionPolicy"]["whenScaled"] = "Delete".into();
    assert_eq!(tenant.denied(None, Some(&fewer)), ["sts-scale-down-deletes-claims"]);
    // The controller deletes a claim with its pod, and so only where that pod exists.
    let mut pods = Facts { pods: Objects::all(), ..facts.clone() };
    let with_pods = |pods: &Facts| {
        Request { facts: Some(pods), ..Request::default() }.denied(None, Some(&fewer))
    };
    assert!(with_pods(&pods).is_empty());
    pods.pods.insert("shop", "db-2", PodFact::default());
    assert_eq!(with_pods(&pods), ["sts-scale-down-deletes-claims"]);
    fewer["spec"]["replicas"] = 3.into();
    assert!(tenant.denied(None, Some(&fewer)).is_empty());
    let owned = owned_by("v1", "ConfigMap");
    assert_eq!(tenant.denied(None, Some(&set(&owned, "Delete"))), ["owner-added"]);
    assert!(tenant.denied(None, Some(&set(&owned, "Retain"))).is_empty());
}

#[test]
fn a_scale_down_is_denied_at_every_door() {
    let mut live = set(&json!({}), "Retain");
    live["spec"]["persistentVolumeClaimRetentionPolicy"]["whenScaled"] = "Delete".into();
    let facts = cluster(&live, &[("data-db-0", &[]), ("data-db-1", &[])]);
    let scale = |replicas: i64| {
        json!({
            "apiVersion": "autoscaling/v1", "kind": "Scale",
            "metadata": {"name": "db", "namespace": "shop", "uid": "a1"},
            "spec": {"replicas": replicas},
        })
    };
    let edited = |field: &str, value: Value| {
        let mut edited = live.clone();
        edited["spec"][field] = value;
        edited
    };
    for facts in [None, Some(&facts)] {
        let tenant = Request { facts, ..Request::default() };
        assert_eq!(tenant.denied(Some(&live), Some(&edited("replicas", json!(1)))), SCALE_RULE);
        let moved = edited("ordinals", json!({"start": 1}));
        let denied = tenant.denied(Some(&live), Some(&moved));
        assert!(denied.contains(&SCALE_RULE[0]), "{denied:?}");
    }
    let tenant = Request { facts: Some(&facts), ..Request::default() };
    assert_eq!(tenant.denied(Some(&scale(2)), Some(&scale(1))), SCALE_RULE);
    // In the same edit as the policy.
    let retained = set(&json!({}), "Retain");
    let denied = tenant.denied(Some(&retained), Some(&edited("replicas", json!(1))));
    assert_eq!(denied, ["sts-retention-to-delete", SCALE_RULE[0]]);
    // Right after the scale-down, while the pods are still being removed.
    let mut down = retained.clone();
    down["spec"]["replicas"] = 0.into();
    down["status"] = json!({"replicas": 2});
    let mut later = down.clone();
    later["spec"]["persistentVolumeClaimRetentionPolicy"]["whenScaled"] = "Delete".into();
    assert_eq!(tenant.denied(Some(&down), Some(&later)), ["sts-retention-to-delete"]);
    // A Scale does not tell the retention of its set.
    let unknown = Request::default();
    let (old, new) = (scale(2), scale(1));
    let validating = Stage::Webhook(WebhookKind::Validating);
    let blind: Vec<_> = unknown.judge(validating, Some(&old), Some(&new), |decision, _| {
        let blind = decision.not_judged.iter().filter(|missing| missing.blind);
        blind.map(|missing| missing.rule).collect()
    });
    assert_eq!(blind, SCALE_RULE);
}

fn claim(metadata: &Value) -> Value {
    let mut claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data-db-0", "namespace": "shop", "uid": "c1"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "volumeName": "pv-1",
            "resources": {"requests": {"storage": "10Gi"}},
        },
        "status": {"phase": "Bound"},
    });
    for (key, value) in metadata.as_object().unwrap() {
        claim["metadata"][key] = value.clone();
    }
    claim
}

#[test]
fn a_claim_keeps_its_protection_until_no_pod_uses_it() {
    let protected = "kubernetes.io/pvc-protection";
    for terminating in [json!({}), json!({"deletionTimestamp": "2030-01-01T00:00:00Z"})] {
        for (before, after) in
            [(vec![protected], vec![]), (vec!["x.y/z", protected], vec!["x.y/z"])]
        {
            let side = |finalizers: &[&str]| {
                let mut metadata = terminating.clone();
                metadata["finalizers"] = json!(finalizers);
                claim(&metadata)
            };
            let (old, new) = (side(&before), side(&after));
            for sub_resource in ["", "status"] {
                let tenant = Request { sub_resource, ..Request::default() };
                assert_eq!(tenant.denied(Some(&old), Some(&new)), ["pvc-protection-removed"]);
            }
            let controller = "system:serviceaccount:kube-system:pvc-protection-controller";
            let controller = Request { user: controller, ..Request::default() };
            assert!(controller.denied(Some(&old), Some(&new)).is_empty());
        }
    }
}

#[test]
fn no_owner_of_a_claim_is_added_or_replaced() {
    let naming = |name: &str, uid: &str| {
        json!({"ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": name, "uid": uid},
        ]})
    };
    let facts = cluster(&set(&json!({}), "Retain"), &[("data-db-0", &[])]);
    let tenant = Request { facts: Some(&facts), ..Request::default() };
    let free = claim(&json!({}));
    let owned = claim(&naming("db", "a1"));
    for (old, new) in [
        (&free, &owned),
        (&free, &claim(&naming("db", "gone"))),
        (&owned, &claim(&naming("db", "gone"))),
        (&owned, &claim(&naming("gone", "a1"))),
    ] {
        for sub_resource in ["", "status"] {
            let tenant = Request { sub_resource, ..tenant };
            assert_eq!(tenant.denied(Some(old), Some(new)), ["owner-added"]);
        }
    }
    assert!(tenant.denied(Some(&owned), Some(&free)).is_empty());
}

#[test]
fn the_tenfold_rule_is_asked_at_every_door() {
    const RULE: [&str; 1] = ["pvc-fractional-or-huge"];
    let live = set(&json!({}), "Retain");
    let facts = cluster(&live, &[("data-db-0", &[]), ("data-db-1", &[])]);
    let asking = |size: &str| {
        let requested = json!({"data": size}).to_string();
        set(&json!({"annotations": {"stateward.dev/resize-requested": requested}}), "Retain")
    };
    let tenant = Request { facts: Some(&facts), ..Request::default() };
    assert_eq!(tenant.denied(None, Some(&asking("100Ti"))), RULE);
    assert!(tenant.denied(None, Some(&asking("100Gi"))).is_empty());
    // A template that was created large vouches for no claim.
    let mut large = asking("100Ti");
    large["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] =
        "100Ti".into();
    assert_eq!(tenant.denied(None, Some(&large)), RULE);
    assert!(Request::default().denied(None, Some(&large)).is_empty(), "no claim is known");
    let edit = |old: &Value, new: &Value| {
        tenant.judge(Stage::Webhook(WebhookKind::Mutating), Some(old), Some(new), |decision, _| {
            decision.denials().map(|verdict| verdict.finding.rule).collect::<Vec<_>>()
        })
    };
    assert_eq!(edit(&live, &asking("100Ti")), RULE);
    let mut old = large.clone();
    old["metadata"]["annotations"] = json!({});
    assert_eq!(edit(&old, &large), RULE);
    // Behind the removal of a finalizer.
    let mut old = live.clone();
    old["metadata"]["finalizers"] = json!(["x.y/z"]);
    assert_eq!(edit(&old, &asking("100Ti")), RULE);
    let mut grown = claim(&json!({}));
    grown["spec"]["resources"]["requests"]["storage"] = "100Ti".into();
    let claims = Request::default();
    assert_eq!(claims.denied(Some(&claim(&json!({}))), Some(&grown)), RULE);
}

const SECOND_PERSON: &str = "allow: {users: [alice@example.com], second-person: true}\n";
/// The time of all requests here is the beginning of 1970.
const DAY: &str = "1970-01-01";

fn object(kind: &str) -> Value {
    let (api_version, namespaced) = match kind {
        "PersistentVolumeClaim" => ("v1", true),
        "StorageClass" => ("storage.k8s.io/v1", false),
        "VolumeSnapshot" => ("snapshot.storage.k8s.io/v1", true),
        _ => ("v1", false),
    };
    let mut object = json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "db", "uid": "a1", "annotations": {"stateward.dev/protected": "true"}},
    });
    if namespaced {
        object["metadata"]["namespace"] = json!("shop");
    }
    object
}

fn annotated(object: &Value, key: &str, value: &str) -> Value {
    let mut object = object.clone();
    object["metadata"]["annotations"][key] = json!(value);
    object
}

/// Whatever is deleted: somebody else has to have confirmed it, in his own name.
#[test]
fn a_second_person_confirms_a_deletion_in_a_name_of_his_own() {
    let kinds = [
        "PersistentVolumeClaim",
        "Namespace",
        "PersistentVolume",
        "StorageClass",
        "VolumeSnapshot",
    ];
    let as_user = |user| Request { user, policy: SECOND_PERSON, ..Request::default() };
    for plain in kinds.map(object).into_iter().chain([set(&object("x")["metadata"], "Retain")]) {
        let confirmed =
            |by: &str| annotated(&plain, "stateward.dev/confirm-delete", &format!("db {DAY}{by}"));
        let kind = &plain["kind"];
        let wrong = ["reserved-annotation"];
        for sub_resource in ["", "status"] {
            let write = |user, old: Option<&Value>, by: &str| {
                Request { sub_resource, ..as_user(user) }.denied(old, Some(&confirmed(by)))
            };
            for old in [Some(&plain), Some(&confirmed(" by carol")), None] {
                // A tenant confirms nothing, in whatever name.
                assert_eq!(write(TENANT, old, " by alice@example.com"), wrong, "{kind}");
                assert_eq!(write(TENANT, old, " by dev"), wrong, "{kind}");
                assert_eq!(write(TENANT, old, ""), wrong, "{kind}");
                // Whoever may confirm does it in no other name.
                assert_eq!(write(ALICE, old, ""), wrong, "{kind}");
                assert_eq!(write(ALICE, old, " by bob"), wrong, "{kind}");
                assert!(write(ALICE, old, " by alice@example.com").is_empty(), "{kind}");
            }
            // Other edits, and the end of a confirmation, are free.
            let signed = confirmed(" by alice@example.com");
            let request = Request { sub_resource, ..as_user(TENANT) };
            let edited = annotated(&signed, "team", "shop");
            assert!(request.denied(Some(&signed), Some(&edited)).is_empty(), "{kind}");
            assert!(request.denied(Some(&signed), Some(&plain)).is_empty(), "{kind}");
        }
        let delete = |user, by: &str| as_user(user).denied(Some(&confirmed(by)), None);
        let denied = ["protected-delete"];
        assert!(delete(TENANT, " by alice@example.com").is_empty(), "{kind}");
        assert!(delete("bob", " by alice@example.com").is_empty(), "{kind}");
        assert_eq!(delete(ALICE, " by alice@example.com"), denied, "{kind}");
        assert_eq!(delete(ALICE, ""), denied, "{kind}");
        assert_eq!(delete(TENANT, ""), denied, "{kind}");
        // Without a second person, the name is a remark.
        let named = Request { user: ALICE, policy: RESERVED, ..Request::default() };
        let signed = confirmed(" by bob");
        assert!(named.denied(Some(&signed), None).is_empty(), "{kind}");
    }
}

/// The other way to a deletion: an exemption that was granted.
#[test]
fn an_exemption_from_a_deletion_needs_a_second_person_as_well() {
    let exempt = |object: &Value, grant: Option<&str>| {
        let object = annotated(object, "stateward.dev/allow", "protected-delete");
        let object = annotated(&object, "stateward.dev/allow-reason", "moved");
        let grant = grant.map(|by| json!({"by": by, "allow": "protected-delete"}).to_string());
        grant.map_or(object.clone(), |grant| {
            annotated(&object, "stateward.dev/allow-granted", &grant)
        })
    };
    let delete = |user, policy, object: &Value| {
        Request { user, policy, ..Request::default() }.denied(Some(object), None)
    };
    let denied = ["protected-delete"];
    let claim = object("PersistentVolumeClaim");
    assert!(delete(TENANT, SECOND_PERSON, &exempt(&claim, Some(ALICE))).is_empty());
    assert_eq!(delete(ALICE, SECOND_PERSON, &exempt(&claim, Some(ALICE))), denied);
    assert_eq!(delete(ALICE, SECOND_PERSON, &exempt(&claim, None)), denied);
    assert!(delete(ALICE, RESERVED, &exempt(&claim, None)).is_empty());
    // Nobody looks at who writes a grant into these.
    for kind in ["Namespace", "PersistentVolume", "StorageClass", "VolumeSnapshot"] {
        let forged = exempt(&object(kind), Some(ALICE));
        assert_eq!(delete(TENANT, RESERVED, &forged), denied, "{kind}");
        assert_eq!(delete(TENANT, SECOND_PERSON, &forged), denied, "{kind}");
        assert!(delete(ALICE, RESERVED, &forged).is_empty(), "{kind}");
    }
}

/// New claims get the annotations of their template.
#[test]
fn a_claim_template_confirms_nothing() {
    let mut new = set(&json!({}), "Retain");
    let template = &mut new["spec"]["volumeClaimTemplates"][0]["metadata"];
    template["annotations"] = json!({
        "stateward.dev/confirm-delete": format!("data-db-2 {DAY} by alice@example.com")
    });
    let request = Request { policy: SECOND_PERSON, ..Request::default() };
    assert_eq!(request.denied(None, Some(&new)), ["reserved-annotation"]);
    let request = Request { user: ALICE, ..request };
    assert!(request.denied(None, Some(&new)).is_empty());
}

/// Each door through which one person would be two.
#[test]
fn one_person_is_not_two() {
    let as_alice = Request { user: ALICE, policy: SECOND_PERSON, ..Request::default() };
    let wrong = ["reserved-annotation"];
    for plain in ["PersistentVolumeClaim", "Namespace", "VolumeSnapshot"].map(object) {
        let kind = &plain["kind"];
        // Allowing oneself to sign in another name.
        let allowed = annotated(&plain, "stateward.dev/allow", "reserved-annotation");
        let allowed = annotated(&allowed, "stateward.dev/allow-reason", "x");
        let value = format!("db {DAY} by bob");
        let forged = annotated(&allowed, "stateward.dev/confirm-delete", &value);
        for old in [Some(&plain), Some(&allowed), None] {
            assert_eq!(as_alice.denied(old, Some(&forged)), wrong, "{kind}");
        }
        // A name that the policy does not know.
        let forged = annotated(&plain, "stateward.dev/confirm-delete", &value);
        assert_eq!(as_alice.denied(Some(&forged), None), ["protected-delete"], "{kind}");
        // Clearing a confirmation is no confirmation.
        let cleared = annotated(&plain, "stateward.dev/confirm-delete", "");
        assert!(as_alice.denied(Some(&forged), Some(&cleared)).is_empty(), "{kind}");
    }
    // A grant in another name, at every door.
    let plain = object("PersistentVolumeClaim");
    let exempt = annotated(&plain, "stateward.dev/allow", "protected-delete");
    let exempt = annotated(&exempt, "stateward.dev/allow-reason", "x");
    let grant = json!({"by": "nobody", "allow": "protected-delete"}).to_string();
    let forged = annotated(&exempt, "stateward.dev/allow-granted", &grant);
    for (sub_resource, old) in
        [("", &exempt), ("", &plain), ("status", &exempt), ("status", &plain)]
    {
        let request = Request { sub_resource, ..as_alice };
        assert_eq!(request.denied(Some(old), Some(&forged)), wrong, "{sub_resource}");
    }
    // An owner does not hide the signature of a tenant's account.
    let user = "system:serviceaccount:ci:deployer";
    let request = Request { user, policy: SECOND_PERSON, ..Request::default() };
    let mut owned = object("VolumeSnapshot");
    owned["metadata"]["ownerReferences"] =
        owned_by("x.example.com/v1", "Database")["ownerReferences"].clone();
    let signed = format!("db {DAY} by {ALICE}");
    let signed = annotated(&owned, "stateward.dev/confirm-delete", &signed);
    for old in [Some(&owned), None] {
        assert_eq!(request.denied(old, Some(&signed)), wrong);
    }
    assert!(request.denied(Some(&owned), Some(&annotated(&owned, "team", "shop"))).is_empty());
}

/// The rule on which the second person rests can only deny.
#[test]
fn a_second_person_is_not_weakened_by_the_same_policy() {
    for weaker in [
        "rules: {reserved-annotation: off}",
        "rules: {reserved-annotation: warn}",
        "rules: {reserved-annotation: {params: {users: [bob]}}}",
        "scopes: [{match: {namespaces: [dev]}, rules: {reserved-annotation: warn}}]",
    ] {
        let text = format!("version: 1\n{SECOND_PERSON}{weaker}\n");
        let error = Policy::parse(&text, "test").unwrap_err().to_string();
        assert!(error.contains("second-person needs this rule"), "{weaker}: {error}");
        assert!(Policy::parse(&format!("version: 1\n{RESERVED}{weaker}\n"), "test").is_ok());
    }
    let same = format!("version: 1\n{SECOND_PERSON}rules: {{reserved-annotation: deny}}\n");
    assert!(Policy::parse(&same, "test").is_ok());
}

/// The garbage collector deletes what belongs to nobody.
#[test]
fn an_owner_that_may_not_exist_is_denied_for_every_kind_with_data() {
    for plain in ["Namespace", "PersistentVolume", "StorageClass", "VolumeSnapshot"].map(object) {
        let mut owned = plain.clone();
        owned["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "name": "gone",
            "uid": "dead",
        }]);
        let request = Request::default();
        assert_eq!(request.denied(Some(&plain), Some(&owned)), ["owner-added"], "{plain}");
        assert!(request.denied(Some(&owned), Some(&owned)).is_empty());
        assert!(request.denied(Some(&owned), Some(&plain)).is_empty());
    }
}
