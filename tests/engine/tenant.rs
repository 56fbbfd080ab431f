//! What a tenant with the role `edit` tries in order to be judged by nobody.

use jiff::Timestamp;
use serde_json::{Value, json};
use stateward_core::change::{Change, Circumstances, Operation, Pair, Tool, User};
use stateward_core::decide::{Decision, EvaluationContext, Exemption, Stage, decide};
use stateward_core::facts::Facts;
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
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self { user: TENANT, policy: "", sub_resource: "" }
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
            ..Circumstances::default()
        };
        let change = Change::new(operation, kind, "shop", objects, circumstances).unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let context = EvaluationContext { policy: &policy, facts: &Facts::none(), now };
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
    let alice = Request { user: ALICE, policy: RESERVED, sub_resource: "" };
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
fn a_service_account_of_the_namespace_is_no_operator_of_unknown_kinds() {
    let account = "system:serviceaccount:shop:default";
    let tenant = Request { user: account, ..Request::default() };
    for (api_version, kind) in [("v1", "ConfigMap"), ("example.com/v1", "Database")] {
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
    let exempted = |user, policy| {
        let request = Request { user, policy, ..Request::default() };
        request.judge(
            Stage::Webhook(WebhookKind::Validating),
            Some(&before),
            Some(&after),
            |decision, _| decision.exemption,
        )
    };
    for user in ["system:serviceaccount:operators:rabbitmq", "system:serviceaccount:shop:rabbitmq"]
    {
        assert_eq!(exempted(user, ""), Some(Exemption::Owned), "{user}");
    }
    assert_eq!(exempted("outside", ""), None);
    assert_eq!(exempted("outside", "owners: {operators: [outside]}\n"), Some(Exemption::Owned));
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
