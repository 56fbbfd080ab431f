//! What the answer to a forged review tells about a cluster.

use serde_json::{Value, json};
use stateward_core::change::KubernetesVersion;
use stateward_core::facts::{Facts, SetFact};
use stateward_core::object::Kind;
use stateward_core::policy::Policy;
use stateward_core::review::Decoded;

use super::setup::{claim, facts, limit_of_namespace, mutate, quota, set, sized};

/// The cluster has the set under the UID A, and things about it that are nobody's business.
fn cluster() -> Facts {
    let mut facts = facts();
    facts.sets.insert("shop", "db", SetFact::read(&set()).unwrap());
    quota(&mut facts, None, "32Gi", "31Gi");
    limit_of_namespace(&mut facts, "5Gi");
    claim(&mut facts, "data-db-1", "rigid", "v1", "10Gi");
    facts
}

fn review(operation: &str, kind: Kind, object: Option<&Value>, old: Option<&Value>) -> Vec<u8> {
    let (group, version, resource) = match kind {
        Kind::Scale => ("autoscaling", "v1", "statefulsets"),
        Kind::Claim => ("", "v1", "persistentvolumeclaims"),
        _ => ("apps", "v1", "statefulsets"),
    };
    let any = object.or(old).unwrap();
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1",
            "kind": {"group": group, "version": version, "kind": kind.name()},
            "resource": {"group": group, "version": version, "resource": resource},
            "namespace": any["metadata"]["namespace"], "name": any["metadata"]["name"],
            "operation": operation, "object": object, "oldObject": old,
            "userInfo": {"username": "system:apiserver"},
        },
    })
    .to_string()
    .into_bytes()
}

fn named(object: &Value, key: &str, value: &str) -> Value {
    let mut object = object.clone();
    object["metadata"][key] = json!(value);
    object
}

fn names_object(body: &[u8]) -> bool {
    Decoded::read(body, KubernetesVersion::default()).unwrap().names_object(&cluster())
}

#[test]
fn only_the_stored_uid_names_an_object() {
    let (set, kind) = (set(), Kind::StatefulSet);
    assert!(names_object(&review("UPDATE", kind, Some(&set), Some(&set))));
    assert!(names_object(&review("DELETE", kind, None, Some(&set))));
    let scale = json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": {"name": "db", "namespace": "shop", "uid": "A"}, "spec": {"replicas": 1},
    });
    assert!(names_object(&review("UPDATE", Kind::Scale, Some(&scale), Some(&scale))));
    let pvc = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data-db-0", "namespace": "shop", "uid": "uid-of-data-db-0"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}},
    });
    assert!(names_object(&review("DELETE", Kind::Claim, None, Some(&pvc))));

    for forged in [
        named(&set, "uid", "B"),
        named(&set, "uid", ""),
        named(&set, "namespace", "other"),
        named(&set, "name", "other"),
    ] {
        assert!(!names_object(&review("UPDATE", kind, Some(&forged), Some(&forged))), "{forged}");
        assert!(!names_object(&review("DELETE", kind, None, Some(&forged))), "{forged}");
    }
    let claim = named(&pvc, "uid", "A");
    assert!(!names_object(&review("DELETE", Kind::Claim, None, Some(&claim))));
    // The new object is what the caller wants, not what the cluster has.
    assert!(!names_object(&review("CREATE", kind, Some(&set), None)));
    let forged = named(&set, "uid", "B");
    assert!(!names_object(&review("UPDATE", kind, Some(&set), Some(&forged))));
}

#[test]
fn a_forged_review_learns_nothing_about_the_cluster() {
    let secrets = ["31Gi", "32Gi", "1Gi left", "rigid", "5Gi", "data-db-1"];
    let told = |facts: &Facts, old: Option<&Value>, new: &Value| {
        let said = mutate(old, Some(new), facts);
        format!("{} {}", said.message, said.warnings.join(" "))
    };
    let (old, new) = (set(), sized(&set(), "20Gi"));
    let told_to_the_api_server = told(&cluster(), Some(&old), &new);
    assert!(
        secrets.iter().any(|secret| told_to_the_api_server.contains(secret)),
        "{told_to_the_api_server}"
    );
    let forged = named(&old, "uid", "B");
    let body = review("UPDATE", Kind::StatefulSet, Some(&new), Some(&forged));
    let decoded = Decoded::read(&body, KubernetesVersion::default()).unwrap();
    let policy = Policy::default();
    let known = decoded.facts_for_unknown_caller(&cluster(), &policy);
    let told_to_others = told(&known, Some(&forged), &new);
    for secret in secrets {
        assert!(!told_to_others.contains(secret), "{told_to_others}");
    }

    let body = review("CREATE", Kind::StatefulSet, Some(&new), None);
    let decoded = Decoded::read(&body, KubernetesVersion::default()).unwrap();
    let known = decoded.facts_for_unknown_caller(&cluster(), &policy);
    let told_to_creators = told(&known, None, &new);
    assert!(!told_to_creators.contains("31Gi"), "{told_to_creators}");
    // Rules about creation have to know what is there already.
    assert!(matches!(known.claim("shop", "data-db-0"), stateward_core::facts::Fact::Known(_)));
    // How many nodes there are only if new sets are spread by that.
    assert!(known.nodes.why_unknown().is_some());
    let scoped = "version: 1\nscopes: [{match: {namespaces: [a]}, anti-affinity: system}]\n";
    let spreading = Policy::parse(scoped, "test").unwrap();
    let known = decoded.facts_for_unknown_caller(&cluster(), &spreading);
    assert!(known.nodes.why_unknown().is_none() && known.quotas.why_unknown().is_some());
}
