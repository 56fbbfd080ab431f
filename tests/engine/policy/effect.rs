//! What a policy does to the verdict on a change.

use serde_json::{Value, json};
use stateward_core::change::{Change, Circumstances, KubernetesVersion, Operation, Pair, User};
use stateward_core::decide::{Decision, EvaluationContext, Stage, decide};
use stateward_core::facts::Facts;
use stateward_core::object::{Kind, Object};
use stateward_core::policy::{Authorize, Policy};
use stateward_core::review::{self, WebhookKind};
use stateward_core::rules::Action;

/// A set with `replicas`, in a namespace, with labels and annotations.
fn set(namespace: &str, labels: &Value, annotations: &Value, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {
            "name": "db", "namespace": namespace, "labels": labels, "annotations": annotations,
        },
        "spec": {
            "replicas": replicas,
            "serviceName": "db",
            "selector": {"matchLabels": {"app": "db"}},
            "template": {
                "metadata": {"labels": {"app": "db"}},
                "spec": {"containers": [{"name": "db", "image": "postgres:17.2"}]},
            },
        },
    })
}

fn scale(replicas: u32) -> Value {
    json!({
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "db", "namespace": "shop"},
        "spec": {"replicas": replicas},
    })
}

/// Judges a change as the user; what a set shares between both sides is left to the caller.
fn judged<T>(
    policy: &str,
    sides: (Option<&Value>, Option<&Value>),
    user: User,
    read: impl FnOnce(&Decision, &Change<'_>, &Policy) -> T,
) -> T {
    let policy = Policy::parse(&format!("version: 1\n{policy}"), "test")
        .unwrap_or_else(|error| panic!("{policy}: {error}"));
    let operation = match sides {
        (None, _) => Operation::Create,
        (_, None) => Operation::Delete,
        _ => Operation::Update,
    };
    let [old, new] = [sides.0, sides.1].map(|side| side.map(Value::to_string));
    let objects = Pair {
        old: old.as_deref().map(|text| Object::decode(text).unwrap()),
        new: new.as_deref().map(|text| Object::decode(text).unwrap()),
    };
    let any = objects.any().unwrap();
    let kind = Kind::of_manifest(&any.api_version, &any.kind);
    let circumstances = Circumstances { user, ..Circumstances::default() };
    let change = Change::new(operation, kind, "", objects, circumstances).unwrap();
    let now = "2030-01-01T00:00:00Z".parse().unwrap();
    let context = EvaluationContext { policy: &policy, facts: &Facts::none(), now };
    let decision = decide(Stage::Webhook(WebhookKind::Validating), &change, &context);
    read(&decision, &change, &policy)
}

/// What is done about the finding of `rule`, in words.
fn action(policy: &str, old: Option<&Value>, new: Option<&Value>, rule: &str) -> &'static str {
    judged(policy, (old, new), User::default(), |decision, _, _| {
        let of_rule = decision.verdicts.iter().find(|verdict| verdict.finding.rule == rule);
        of_rule.map_or("nothing", |verdict| verdict.action.name())
    })
}

fn plain(replicas: u32) -> Value {
    set("shop", &json!({}), &json!({}), replicas)
}

/// What is done about scaling a set of `namespace` to zero.
fn to_zero(policy: &str, namespace: &str) -> &'static str {
    let side = |replicas| set(namespace, &json!({}), &json!({}), replicas);
    action(policy, Some(&side(3)), Some(&side(0)), "sts-scale-to-zero")
}

#[test]
fn of_the_scopes_that_match_the_last_one_wins_for_each_rule() {
    let policy = "\
rules: {sts-scale-to-zero: warn, sts-replica-jump: deny}
scopes:
- {match: {namespaces: [prod-*]}, rules: {sts-scale-to-zero: deny}}
- {match: {namespaces: [prod-lab, dev-*-1]}, rules: {sts-scale-to-zero: off}}
- {match: {namespaces: ['*']}, rules: {sts-replica-jump: off}}
";
    assert_eq!(to_zero(policy, "shop"), "warn");
    assert_eq!(to_zero(policy, "prod-shop"), "deny");
    assert_eq!(to_zero(policy, "prod"), "warn", "the pattern has a dash");
    assert_eq!(to_zero(policy, "prod-lab"), "nothing");
    assert_eq!(to_zero(policy, "dev-x-1"), "nothing");
    assert_eq!(to_zero(policy, "dev-x-2"), "warn");
    let (old, new) = (plain(3), plain(30));
    assert_eq!(action(policy, Some(&old), Some(&new), "sts-replica-jump"), "nothing");
    assert_eq!(to_zero("", "shop"), "warn", "the rule's own default");
    assert_eq!(to_zero("", "kube-system"), "nothing");
    assert_eq!(to_zero("own-namespace: ours\n", "ours"), "nothing");
    assert_eq!(to_zero("own-namespace: ours\n", "stateward"), "warn");
}

#[test]
fn the_namespace_of_the_process_counts_where_the_file_names_none() {
    let own = |text: &str| {
        let policy = Policy::parse(&format!("version: 1\n{text}"), "test").unwrap();
        policy.with_own_namespace("guard").own_namespace
    };
    assert_eq!(own(""), "guard");
    assert_eq!(own("own-namespace: ours\n"), "ours");
}

#[test]
fn which_right_growth_needs_is_the_policys_to_say() {
    let of = |text: &str| Policy::parse(&format!("version: 1\n{text}"), "test").unwrap();
    assert_eq!(of("resize: orchestrate\n").authorize, Authorize::Claims);
    assert_eq!(of("resize: {authorize: sets}\n").authorize, Authorize::Sets);
}

#[test]
fn scopes_match_kinds() {
    let zero = |kind: &str, old: &Value, new: &Value| {
        let policy = format!(
            "scopes: [{{match: {{kinds: [{kind}]}}, rules: {{sts-scale-to-zero: deny}}}}]\n"
        );
        action(&policy, Some(old), Some(new), "sts-scale-to-zero")
    };
    assert_eq!(zero("StatefulSet", &plain(3), &plain(0)), "deny");
    assert_eq!(zero("Scale", &plain(3), &plain(0)), "warn");
    assert_eq!(zero("Scale", &scale(3), &scale(0)), "deny");
    assert_eq!(zero("StatefulSet", &scale(3), &scale(0)), "warn");
    assert_eq!(zero("PersistentVolumeClaim", &plain(3), &plain(0)), "warn");
}

#[test]
fn labels_count_on_both_sides_and_the_stricter_result_holds() {
    let policy = "\
scopes:
- {match: {labels: {tier: db, env: prod}}, rules: {sts-scale-to-zero: deny}}
- {match: {labels: {env: dev}}, rules: {sts-scale-to-zero: off}}
";
    let labelled = |labels: &Value, replicas| set("shop", labels, &json!({}), replicas);
    let zero = |old: &Value, new: &Value| {
        action(policy, Some(&labelled(old, 3)), Some(&labelled(new, 0)), "sts-scale-to-zero")
    };
    let (none, prod) = (json!({}), json!({"tier": "db", "env": "prod"}));
    let (half, dev) = (json!({"tier": "db"}), json!({"tier": "db", "env": "dev"}));
    assert_eq!(zero(&none, &none), "warn");
    assert_eq!(zero(&prod, &prod), "deny");
    assert_eq!(zero(&half, &half), "warn", "every label has to match");
    assert_eq!(zero(&dev, &dev), "nothing");
    assert_eq!(zero(&prod, &dev), "deny", "nobody leaves a scope to break its rules");
    assert_eq!(zero(&dev, &prod), "deny");
    assert_eq!(zero(&none, &dev), "warn");
    // A Scale carries no labels: a selector counts as matching.
    let strict = "scopes: [{match: {labels: {tier: db}}, rules: {sts-scale-to-zero: deny}}]\n";
    assert_eq!(action(strict, Some(&scale(3)), Some(&scale(0)), "sts-scale-to-zero"), "deny");
}

#[test]
fn parameters_follow_labels_on_both_sides_too() {
    let policy = "\
rules: {sts-replica-jump: {action: deny}}
scopes:
- match: {labels: {env: dev}}
  rules: {sts-replica-jump: {params: {max-step: 50}}}
";
    let labelled = |labels: &Value, replicas| set("shop", labels, &json!({}), replicas);
    let jump = |old: &Value, new: &Value, step: u32| {
        action(policy, Some(&labelled(old, 3)), Some(&labelled(new, 3 + step)), "sts-replica-jump")
    };
    let (none, dev) = (json!({}), json!({"env": "dev"}));
    assert_eq!(jump(&none, &none, 5), "nothing");
    assert_eq!(jump(&none, &none, 6), "deny");
    assert_eq!(jump(&dev, &dev, 50), "nothing");
    assert_eq!(jump(&none, &dev, 50), "deny");
    assert_eq!(jump(&dev, &none, 50), "deny");
    let once = judged(
        policy,
        (Some(&labelled(&none, 3)), Some(&labelled(&dev, 90))),
        User::default(),
        |decision, _, _| decision.verdicts.len(),
    );
    assert_eq!(once, 1, "what both find is said once");
}

const ALLOW: &str = "stateward.dev/allow";

fn allowing(reason: Option<&str>, until: Option<&str>) -> Value {
    let mut annotations = json!({ALLOW: "sts-replica-jump, sts-scale-to-zero"});
    if let Some(reason) = reason {
        annotations["stateward.dev/allow-reason"] = json!(reason);
    }
    if let Some(until) = until {
        annotations["stateward.dev/allow-until"] = json!(until);
    }
    annotations
}

const DENY: &str = "rules: {sts-scale-to-zero: deny}\n";

#[test]
fn an_annotation_allows_with_a_reason_and_until_it_ends() {
    let zero = |policy: &str, annotations: &Value| {
        let new = set("shop", &json!({}), annotations, 0);
        action(policy, Some(&plain(3)), Some(&new), "sts-scale-to-zero")
    };
    assert_eq!(zero(DENY, &json!({})), "deny");
    assert_eq!(zero(DENY, &allowing(Some("at night"), None)), "nothing");
    assert_eq!(zero(DENY, &allowing(None, None)), "deny");
    assert_eq!(zero(DENY, &allowing(Some(" "), None)), "deny");
    assert_eq!(zero(DENY, &allowing(Some("x"), Some("2030-01-01T00:00:01Z"))), "nothing");
    assert_eq!(zero(DENY, &allowing(Some("x"), Some("2030-01-01T00:00:00Z"))), "deny");
    assert_eq!(zero(DENY, &allowing(Some("x"), Some("tomorrow"))), "deny");
    let other = json!({ALLOW: "sts-replica-jump", "stateward.dev/allow-reason": "x"});
    assert_eq!(zero(DENY, &other), "deny");
    let firm = format!("overrides: false\n{DENY}");
    assert_eq!(zero(&firm, &allowing(Some("at night"), None)), "deny");
}

#[test]
fn where_the_policy_names_people_only_they_write_the_annotation() {
    let policy = format!("allow: {{users: [alice], groups: [storage]}}\n{DENY}");
    let user = |name: &str, groups: &[&str]| User {
        name: name.to_owned(),
        groups: groups.iter().map(|&group| group.to_owned()).collect(),
    };
    let side = |annotations: &Value, replicas| set("shop", &json!({}), annotations, replicas);
    let zero = |old: &Value, new: &Value, user: User| {
        let (old, new) = (side(old, 3), side(new, 0));
        judged(&policy, (Some(&old), Some(&new)), user, |decision, _, _| decision.allowed())
    };
    let (none, some) = (json!({}), allowing(Some("at night"), None));
    assert!(zero(&none, &some, user("alice", &[])));
    assert!(zero(&none, &some, user("bob", &["dev", "storage"])));
    assert!(!zero(&none, &some, user("bob", &["dev"])));
    assert!(!zero(&some, &some, user("bob", &[])), "nobody whom the policy names granted it");
    let mut granted = some.clone();
    granted["stateward.dev/allow-granted"] =
        r#"{"by":"alice","allow":"sts-replica-jump, sts-scale-to-zero"}"#.into();
    assert!(zero(&granted, &granted, user("bob", &[])), "using it is free");
    let mut longer = granted.clone();
    longer["stateward.dev/allow-until"] = "2040-01-01T00:00:00Z".into();
    assert!(!zero(&granted, &longer, user("bob", &[])), "editing it is not");
    assert!(zero(&granted, &longer, user("alice", &[])));
    // Nobody smuggles it in with the object, and a DELETE reads what stands there.
    let retention = "rules: {sts-delete-cascade: deny}\nallow: {users: [alice]}\n";
    let annotations = json!({
        ALLOW: "sts-delete-cascade",
        "stateward.dev/allow-reason": "the end",
        "stateward.dev/allow-granted": r#"{"by":"alice","allow":"sts-delete-cascade"}"#,
    });
    let doomed = side(&annotations, 3);
    let gone = judged(retention, (Some(&doomed), None), user("bob", &[]), |decision, _, _| {
        (decision.allowed(), decision.allowed_rules.clone())
    });
    assert_eq!(gone, (true, vec!["sts-delete-cascade"]));
    let bare = side(&json!({}), 3);
    assert!(!judged(retention, (Some(&bare), None), user("bob", &[]), |d, _, _| d.allowed()));
}

#[test]
fn help_stands_at_the_end_of_a_denial() {
    let message = |policy: &str| {
        judged(
            policy,
            (Some(&plain(3)), Some(&plain(0))),
            User::default(),
            |decision, change, policy| decision.message(change, policy).unwrap(),
        )
    };
    let general = "help: {url: 'https://wiki/storage', contact: '#storage'}\n";
    let last = |policy: &str| message(policy).lines().last().unwrap().to_owned();
    assert_eq!(last(&format!("{general}{DENY}")), "help: https://wiki/storage · #storage");
    let own = "rules: {sts-scale-to-zero: {action: deny, help: {contact: '#db'}}}\n";
    assert_eq!(last(&format!("{general}{own}")), "help: #db");
    let scoped = format!(
        "{general}{DENY}scopes: [{{rules: {{sts-scale-to-zero: {{help: {{contact: '#here'}}}}}}}}]\n"
    );
    assert_eq!(last(&scoped), "help: #here");
    let on_purpose = "to allow it on purpose: annotations stateward.dev/allow: sts-scale-to-zero \
                      and stateward.dev/allow-reason";
    assert!(last(DENY).ends_with(on_purpose), "{}", last(DENY));
    assert!(!message(&format!("overrides: false\n{DENY}")).contains("on purpose"));
}

#[test]
fn audit_denies_nothing_and_says_what_it_would_have_done() {
    let policy = format!("mode: audit\n{DENY}");
    judged(&policy, (Some(&plain(3)), Some(&plain(0))), User::default(), |decision, _, _| {
        assert!(decision.allowed());
        let [verdict] = decision.verdicts.as_slice() else { panic!("{decision:?}") };
        assert_eq!((verdict.action, verdict.audited), (Action::Warn, true));
    });
}

#[test]
fn what_cannot_be_judged_is_answered_as_on_error_says() {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1",
            "operation": "CREATE",
            "namespace": "shop",
            "kind": {"group": "apps", "version": "v1", "kind": "StatefulSet"},
            "resource": {"group": "apps", "version": "v1", "resource": "statefulsets"},
            "userInfo": {"username": "dev"},
            "object": {
                "apiVersion": "apps/v1",
                "kind": "StatefulSet",
                "metadata": {"name": "db"},
                "spec": {"replicas": "three"},
            },
        },
    })
    .to_string();
    for (policy, allowed) in [("", true), ("on-error: allow\n", true), ("on-error: deny\n", false)]
    {
        let policy = Policy::parse(&format!("version: 1\n{policy}"), "test").unwrap();
        let context = EvaluationContext {
            policy: &policy,
            facts: &Facts::none(),
            now: "2030-01-01T00:00:00Z".parse().unwrap(),
        };
        let answer = review::answer(
            WebhookKind::Validating,
            review.as_bytes(),
            KubernetesVersion::default(),
            &context,
        )
        .unwrap();
        assert_eq!(answer.allowed, allowed);
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(
            body.to_string()
                .contains("spec.replicas: \\\"three\\\" is a string, not a whole number"),
            "{body}"
        );
    }
}
