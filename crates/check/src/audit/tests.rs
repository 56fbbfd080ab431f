use serde_json::{Value, json};
use stateward_core::facts::{FACT_KINDS, FactKind, Known};

use super::*;

fn facts(objects: &[Value]) -> Facts {
    let mut facts = Facts::none();
    for info in &FACT_KINDS {
        facts.forget(info.kind, Known::All);
    }
    for object in std::iter::once(&class("fast", true)).chain(objects) {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let kind = FactKind::of_manifest(text("/apiVersion"), text("/kind")).unwrap();
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        facts.insert(kind, namespace, name, &object.to_string()).unwrap();
    }
    facts
}

fn set(name: &str, replicas: i64, size: &str, retention: Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": name, "namespace": "shop", "uid": name},
        "spec": {
            "replicas": replicas,
            "persistentVolumeClaimRetentionPolicy": retention,
            "volumeClaimTemplates": [{
                "metadata": {"name": "data"},
                "spec": {"resources": {"requests": {"storage": size}}},
            }],
        },
    })
}

fn claim(name: &str, size: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "storageClassName": "fast", "volumeName": format!("pv-{name}"),
            "resources": {"requests": {"storage": size}},
        },
    })
}

fn class(name: &str, expands: bool) -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
        "provisioner": "csi.example.com", "allowVolumeExpansion": expands,
    })
}

fn volume(claim: &str, reclaim: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": format!("pv-{claim}")},
        "spec": {"persistentVolumeReclaimPolicy": reclaim},
    })
}

fn pod(name: &str, claim: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"volumes": [{"persistentVolumeClaim": {"claimName": claim}}]},
    })
}

fn told(objects: &[Value]) -> Vec<String> {
    let facts = facts(objects);
    let audit = audit(&facts);
    let line = |f: &AuditFinding| {
        format!("{} {} {}: {}", f.severity.name().to_uppercase(), f.check, f.name, f.message)
    };
    audit.findings.iter().map(line).collect()
}

#[test]
fn a_healthy_set_is_silent_and_counted() {
    let objects = [
        set("db", 1, "10Gi", json!({})),
        claim("data-db-0", "10240Mi"),
        volume("data-db-0", "Delete"),
        pod("db-0", "data-db-0"),
    ];
    assert_eq!(told(&objects), Vec::<String>::new());
    let summary = audit(&facts(&objects)).summary;
    assert_eq!((summary.sets, summary.claims, summary.deleted_with_claim), (1, 1, 1));
    assert_eq!(summary.size, "10Gi".parse().ok());
    assert_eq!(summary.without_snapshot, Some(1));
}

#[test]
fn what_can_lose_data_comes_first() {
    let mut going = claim("data-db-0", "10Gi");
    going["metadata"]["deletionTimestamp"] = json!("2026-11-28T00:00:00Z");
    let mut unbound = claim("cache", "1Gi");
    unbound["spec"]["volumeName"] = json!("");
    let objects = [
        set("db", 2, "10Gi", json!({"whenDeleted": "Delete", "whenScaled": "Delete"})),
        going,
        claim("data-db-1", "10Gi"),
        claim("data-db-4", "10Gi"),
        claim("media", "5Gi"),
        volume("data-db-0", "Delete"),
        volume("data-db-4", "Delete"),
        volume("media", "Retain"),
        pod("db-0", "data-db-0"),
        unbound,
        pod("web", "cache"),
    ];
    assert_eq!(
        told(&objects),
        [
            "LOST volume-gone data-db-1: its volume pv-data-db-1 does not exist any more",
            "RISK deleted-in-use data-db-0: is being deleted, and its volume goes once db-0 stops",
            "RISK retention-delete db: deleting it deletes its 3 claims (30Gi)",
            "RISK retention-scaled db: a scale-down deletes the claims of the pods that it removes",
            "STUCK not-bound cache: is not bound, and web waits for it",
            "NOTE leftover db: 1 claim (10Gi) of pods that it no longer has; a scale-up uses them again",
            "NOTE unused media: no pod mounts it, and no StatefulSet has its name, 5Gi",
        ]
    );
}

#[test]
fn sizes_are_compared_with_each_other_and_with_the_template() {
    let pair = |a: &str, b: &str, template: &str| {
        let objects = [
            set("db", 2, template, json!({})),
            claim("data-db-0", a),
            claim("data-db-1", b),
            volume("data-db-0", "Retain"),
            volume("data-db-1", "Retain"),
        ];
        let facts = facts(&objects);
        let audit = audit(&facts);
        audit.findings.first().map(|finding| {
            let step = finding.remedy.clone().unwrap();
            (finding.check, step.command.unwrap_or(step.text))
        })
    };
    assert_eq!(pair("10Gi", "10Gi", "10Gi"), None);
    let grow = "stateward resize apply sts/db -n shop --size data=20Gi".to_owned();
    assert_eq!(pair("10Gi", "20Gi", "20Gi"), Some(("sizes-differ", grow.clone())));
    assert_eq!(pair("20Gi", "20Gi", "10Gi"), Some(("size-drift", grow)));
    let raise = "raise the claims to 40Gi: volumes cannot shrink".to_owned();
    assert_eq!(pair("20Gi", "20Gi", "40Gi"), Some(("size-drift", raise)));
}

#[test]
fn a_class_that_cannot_grow_is_named_once() {
    let objects = [
        class("fast", false),
        set("db", 2, "1Gi", json!({})),
        claim("data-db-0", "1Gi"),
        claim("data-db-1", "1Gi"),
        volume("data-db-0", "Retain"),
        volume("data-db-1", "Retain"),
    ];
    assert_eq!(told(&objects), ["NOTE cannot-grow db: its volumes cannot grow: StorageClass fast"]);
}

#[test]
fn kinds_that_cannot_be_read_are_listed_and_cause_no_finding() {
    let mut facts = facts(&[claim("media", "5Gi"), volume("media", "Delete")]);
    facts.forget(FactKind::Pod, Known::Nothing("the Pods: no rights"));
    facts.forget(FactKind::Volume, Known::Nothing("the PersistentVolumes: no rights"));
    facts.forget(FactKind::Snapshot, Known::Nothing("the VolumeSnapshots: no rights"));
    let audit = audit(&facts);
    assert_eq!(audit.findings, Vec::new());
    assert_eq!(audit.unknown.len(), 3);
    assert_eq!(audit.summary.without_snapshot, None);
}

/// A tenant decides how large an object is, and how many there are.
#[test]
fn objects_that_cannot_be_read_are_listed() {
    let mut facts = facts(&[]);
    for number in 0..30 {
        facts.claims.insert_unknown("shop", &format!("data-db-{number:02}"), "shop/x, too large");
    }
    let unknown = audit(&facts).unknown;
    assert_eq!(unknown.len(), 21);
    assert_eq!(unknown[0], "PersistentVolumeClaim shop/x, too large");
    assert_eq!(unknown[20], "10 more objects that cannot be read");
}

fn running(name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "shop",
            "labels": {"statefulset.kubernetes.io/pod-name": name},
        },
        "spec": {"nodeName": node},
    })
}

fn node(name: &str, zone: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone}},
    })
}

#[test]
fn replicas_that_share_a_node_or_a_zone_are_named_where_there_are_others() {
    let with = |nodes: &[&str], more: &[Value]| {
        let mut objects =
            vec![set("db", 2, "1Gi", json!({})), node("a", "east"), node("b", "east")];
        objects.extend(nodes.iter().enumerate().map(|(i, node)| running(&format!("db-{i}"), node)));
        objects.extend(more.iter().cloned());
        told(&objects)
    };
    assert_eq!(with(&["a", "a"], &[]), ["NOTE one-node db: all 2 pods run on node a"]);
    let west = [node("c", "west")];
    assert_eq!(with(&["a", "b"], &west), ["NOTE one-zone db: all 2 pods run in zone east"]);
    // One zone is all there is, a pod waits, one pod has no choice, or they are apart.
    assert_eq!(with(&["a", "b"], &[]), Vec::<String>::new());
    assert_eq!(with(&["a", ""], &west), Vec::<String>::new());
    assert_eq!(with(&["a"], &west), Vec::<String>::new());
    assert_eq!(with(&["a", "c"], &west), Vec::<String>::new());
    // A node that is gone or takes no pods has no zone that is known.
    assert_eq!(with(&["a", "gone"], &west), Vec::<String>::new());
    // A pod of another set with a longer name.
    let mut other = running("db-x-0", "a");
    other["metadata"]["labels"] = json!({"statefulset.kubernetes.io/pod-name": "db-x-0"});
    assert_eq!(with(&["a", "c"], &[node("c", "west"), other]), Vec::<String>::new());
}

#[test]
fn a_pod_that_does_not_start_stops_an_ordered_rollout() {
    let broken = |name: &str, list: &str, reason: &str| {
        let mut pod = running(name, "a");
        pod["status"] =
            json!({list: [{"state": {"running": {}}}, {"state": {"waiting": {"reason": reason}}}]});
        pod
    };
    let of = |management: &str, pods: &[Value]| {
        let mut set = set("db", 3, "1Gi", json!({}));
        set["spec"]["podManagementPolicy"] = json!(management);
        let objects: Vec<Value> = std::iter::once(set).chain(pods.iter().cloned()).collect();
        let facts = facts(&objects);
        let audit = audit(&facts);
        audit
            .findings
            .into_iter()
            .map(|found| (found.message, found.remedy.unwrap().command.unwrap()))
            .collect::<Vec<_>>()
    };
    let one = broken("db-1", "containerStatuses", "CrashLoopBackOff");
    let (message, command) = of("OrderedReady", std::slice::from_ref(&one)).remove(0);
    assert_eq!(
        message,
        "db-1 does not start (CrashLoopBackOff), and the controller updates no other pod until it does"
    );
    assert_eq!(command, "kubectl -n shop delete pod db-1");
    let two = [one, broken("db-2", "initContainerStatuses", "ImagePullBackOff")];
    let (message, command) = of("Parallel", &two).remove(0);
    assert_eq!(message, "db-1 and db-2 do not start (CrashLoopBackOff)");
    assert_eq!(command, "kubectl -n shop describe pod db-1 db-2");
    // What may pass by itself, and what is no text.
    for reason in ["ContainerCreating", "PodInitializing", ""] {
        assert_eq!(of("OrderedReady", &[broken("db-1", "containerStatuses", reason)]), []);
    }
}

#[test]
fn a_budget_that_allows_no_eviction_is_named_with_the_way_out() {
    let budget = |spec: Value| {
        json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": {"name": "db", "namespace": "shop"}, "spec": spec,
        })
    };
    let of = |replicas: i64, spec: Value| {
        let mut set = set("db", replicas, "1Gi", json!({}));
        set["spec"]["selector"] = json!({"matchLabels": {"app": "db"}});
        let facts = facts(&[set, budget(spec)]);
        let audit = audit(&facts);
        audit
            .findings
            .into_iter()
            .map(|found| {
                let step = found.remedy.unwrap();
                (found.message, step.command.unwrap_or(step.text))
            })
            .next()
    };
    let own = json!({"matchLabels": {"app": "db"}});
    let (message, command) = of(3, json!({"selector": own, "minAvailable": 3})).unwrap();
    assert_eq!(
        message,
        "PodDisruptionBudget db (minAvailable 3) allows no eviction, so a drain never ends"
    );
    assert!(command.starts_with("kubectl -n shop patch pdb db --type merge -p"), "{command}");
    let (_, text) = of(1, json!({"selector": own, "maxUnavailable": 0})).unwrap();
    assert!(text.contains("its only pod"), "{text}");
    let (message, _) = of(3, json!({"selector": {}, "minAvailable": "100%"})).unwrap();
    assert!(message.contains("minAvailable 100%"));
    // One pod may go, the budget is another's, or nothing runs.
    assert_eq!(of(3, json!({"selector": own, "minAvailable": 2})), None);
    assert_eq!(
        of(3, json!({"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 3})),
        None
    );
    assert_eq!(of(0, json!({"selector": own, "minAvailable": 3})), None);
    // A number counts the pods of others as well.
    assert_eq!(of(3, json!({"selector": {}, "minAvailable": 3})), None);
}

#[test]
fn a_set_that_no_snapshot_covers_is_named_where_others_are_covered() {
    let snapshot = |claim: &str, taken: &str| {
        json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
            "metadata": {"name": format!("s-{claim}-{}", taken.len()), "namespace": "shop"},
            "spec": {"source": {"persistentVolumeClaimName": claim}},
            "status": {"readyToUse": true, "creationTime": taken},
        })
    };
    let mut objects = vec![
        set("db", 1, "1Gi", json!({})),
        claim("data-db-0", "1Gi"),
        volume("data-db-0", "Retain"),
        set("web", 1, "1Gi", json!({})),
        claim("data-web-0", "1Gi"),
        volume("data-web-0", "Retain"),
    ];
    assert_eq!(told(&objects), Vec::<String>::new());
    objects.push(snapshot("data-web-0", "2026-11-01T00:00:00Z"));
    objects.push(snapshot("data-web-0", "2026-11-20T00:00:00.0Z"));
    assert_eq!(told(&objects), ["NOTE no-snapshot db: no VolumeSnapshot of its 1 claim (1Gi)"]);
    let facts = facts(&objects);
    let audit = audit(&facts);
    let newest = audit.sets.iter().find(|set| set.name == "web").unwrap().claims[0].snapshot;
    assert_eq!(newest, "2026-11-20T00:00:00Z".parse().ok());
}

#[test]
fn an_earlier_audit_tells_what_is_new_and_what_is_fixed() {
    let before =
        [set("db", 1, "10Gi", json!({"whenDeleted": "Delete"})), claim("data-db-0", "20Gi")];
    let json = serde_json::to_string(&audit(&facts(&before))).unwrap();
    let mut after = before;
    after[0] = set("db", 1, "10Gi", json!({"whenScaled": "Delete"}));
    // Its sentence is another, the finding is the same.
    after[1] = claim("data-db-0", "30Gi");
    let facts = facts(&after);
    let mut audit = audit(&facts);
    assert_eq!(audit.worst(), Some(Severity::Lost));
    let since = Earlier::read(&json).unwrap().compare(&audit);
    let new: Vec<&str> = since.new.iter().map(|index| audit.findings[*index].check).collect();
    assert_eq!(new, ["retention-scaled"]);
    let fixed: Vec<&str> = since.fixed.iter().map(|found| found.check.as_str()).collect();
    assert_eq!(fixed, ["retention-delete"]);
    audit.since = Some(since);
    assert_eq!(audit.worst(), Some(Severity::Risk));
    // In another namespace, or without a right that it had before, nothing counts as fixed.
    let blind = |audit: &Audit<'_>| {
        let since = Earlier::read(&json).unwrap().compare(audit);
        (since.fixed.len(), since.not_looked_at)
    };
    audit.namespace = Some("shop".to_owned());
    assert_eq!(blind(&audit), (1, 0));
    audit.namespace = Some("other".to_owned());
    assert_eq!(blind(&audit), (0, 1));
    audit.namespace = None;
    audit.unknown.push("the Pods: no rights".to_owned());
    assert_eq!(blind(&audit), (0, 1));
    assert!(Earlier::read("{}").is_err() && Earlier::read("[").is_err());
}

/// Names that would end the script, or become elements.
#[test]
fn names_cannot_end_the_script_element() {
    let odd = "</script><img src=x>";
    let facts = facts(&[set(odd, 1, "1Gi", json!({})), claim("<!--", "1Gi")]);
    let mut page = Vec::new();
    write_page(&audit(&facts), &mut page).unwrap();
    let page = String::from_utf8(page).unwrap();
    assert!(page.contains("\\u003c/script>\\u003cimg src=x>"));
    assert_eq!(page.matches("</script>").count(), 1);
    assert!(!page.contains("<img") && page.contains("const embedded = {\"version\":1,"));
    for outside in ["http:", "https:", "src=", "@import", "url("] {
        let of_page = page.replace("src=x", "");
        assert!(!of_page.contains(outside), "{outside}");
    }
}

#[test]
fn claims_that_nothing_uses_say_since_when_if_the_cluster_tells() {
    let unused = |name: &str, since: &str| {
        let mut claim = claim(name, "5Gi");
        claim["status"] = json!({"conditions": [
            {"type": "Resizing", "status": "True"},
            {"type": "Unused", "status": "True", "lastTransitionTime": since},
        ]});
        claim
    };
    let mut objects = vec![
        set("db", 1, "5Gi", json!({})),
        claim("data-db-0", "5Gi"),
        unused("data-db-1", "2026-03-01T00:00:00Z"),
        unused("data-db-2", "2026-09-01T00:00:00Z"),
        unused("media", "2026-05-01T00:00:00Z"),
        pod("db-0", "data-db-0"),
    ];
    objects.extend(["data-db-0", "data-db-1", "data-db-2", "media"].map(|c| volume(c, "Retain")));
    assert_eq!(
        told(&objects),
        [
            "NOTE leftover db: 2 claims (10Gi) of pods that it no longer has, unused since \
             2026-09-01; a scale-up uses them again",
            "NOTE unused media: no pod mounts it, and no StatefulSet has its name, 5Gi, unused \
             since 2026-05-01",
        ]
    );
    // Of one claim, the cluster does not tell it.
    objects[2] = claim("data-db-1", "5Gi");
    assert!(told(&objects)[0].ends_with("that it no longer has; a scale-up uses them again"));
}
