use serde_json::json;
use serde_json::value::to_raw_value;

use super::*;

type Read<T> = fn(&RawValue) -> Option<Reduced<T>>;

fn of(object: &Value) -> Box<RawValue> {
    to_raw_value(object).unwrap()
}

fn fact<T>(read: Read<T>, object: &Value) -> Option<T> {
    read(&of(object)).unwrap().fact.unwrap()
}

#[test]
fn a_volume_that_cannot_grow_is_kept_with_the_reason() {
    let fixed = |annotations: Value, source: Value| {
        let mut spec = source;
        spec["capacity"] = json!({"storage": "1Gi"});
        let metadata = json!({"name": "v", "annotations": annotations});
        fact(volume, &json!({"metadata": metadata, "spec": spec})).and_then(|volume| volume.fixed)
    };
    let csi = json!({"csi": {"driver": "d", "volumeHandle": "h"}});
    let made = json!({PROVISIONED_BY: "d"});
    assert_eq!(fixed(made.clone(), csi.clone()), None);
    assert_eq!(fixed(json!({}), csi), Some(FixedVolume::Manual));
    let disk = json!({"awsElasticBlockStore": {"volumeID": "x"}});
    assert_eq!(fixed(made.clone(), disk), None);
    let local = json!({"local": {"path": "/mnt"}});
    assert_eq!(fixed(made, local), Some(FixedVolume::Driver));
}

#[test]
fn only_quotas_on_the_storage_of_all_claims_are_kept() {
    let limits = |spec: Value| {
        let list = |storage| json!({"requests.storage": storage, "pods": "3", "gold.storageclass.storage.k8s.io/requests.storage": "5Gi"});
        let status = json!({"hard": list("100Gi"), "used": list("60Gi")});
        let metadata = json!({"name": "q", "namespace": "shop"});
        let object = json!({"metadata": metadata, "spec": spec, "status": status});
        fact(quota, &object).map(|fact| fact.limits)
    };
    let found = limits(json!({})).unwrap();
    let classes: Vec<_> = found.iter().map(|limit| limit.class.as_deref()).collect();
    assert_eq!(classes, [Some("gold"), None]);
    assert_eq!(found[1].hard.to_string(), "100Gi");
    assert_eq!(found[1].used.to_string(), "60Gi");
    assert_eq!(limits(json!({"scopes": ["NotBestEffort"]})), None);
}

#[test]
fn a_set_is_reduced_to_what_the_engine_reads_of_it() {
    let object = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {
            "name": "db", "namespace": "shop", "uid": "a1",
            "ownerReferences": [{
                "apiVersion": "x.y/v1", "kind": "App", "name": "app", "uid": "o1", "controller": true,
            }],
        },
        "spec": {
            "replicas": 3,
            "persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"},
            "template": {"spec": {"containers": [{"name": "db", "image": "postgres:17"}]}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}}],
        },
        "status": {"replicas": 3},
    });
    let reduced = set(&of(&object)).unwrap();
    assert_eq!((reduced.namespace.as_str(), reduced.name.as_str()), ("shop", "db"));
    assert_eq!(reduced.fact, Ok(Some(SetFact::read(&object).unwrap())));
}

#[test]
fn a_record_of_another_form_is_no_reason_to_fail() {
    let object = |status: Value| {
        let metadata = json!({"name": "db", "namespace": "shop"});
        fact(record, &json!({"metadata": metadata, "status": status})).unwrap()
    };
    assert_eq!(object(json!({"phase": "RetentionPinned"})).phase.as_str(), "RetentionPinned");
    let odd = object(json!({"phase": ["RetentionPinned"]}));
    assert!(odd.phase.is_live() && !odd.is_recreating());
}

#[test]
fn the_class_of_old_claims_stands_in_an_annotation() {
    let metadata = json!({"name": "c", "namespace": "shop", "annotations": {BETA_CLASS: "old"}});
    let spec = json!({
        "storageClassName": "new", "volumeName": "v",
        "resources": {"requests": {"storage": "10Gi"}},
    });
    let fact = fact(claim, &json!({"metadata": metadata, "spec": spec})).unwrap();
    assert_eq!((&*fact.class, fact.volume.as_str()), ("old", "v"));
    assert_eq!(fact.request.unwrap().to_string(), "10Gi");
}

/// Metadata that the API server stores and that kube's types cannot decode.
fn hostile() -> Value {
    json!({
        "name": "odd", "namespace": "shop", "uid": "u", "generation": 1,
        "creationTimestamp": "9999-12-31T23:59:59Z",
        "deletionTimestamp": "9999-12-31T23:59:59Z",
        "deletionGracePeriodSeconds": "much",
        "managedFields": [{
            "manager": "m", "operation": "Update", "time": "9999-12-31T23:59:59Z",
            "fieldsV1": [1, "not decoded"],
        }],
    })
}

fn mounted() -> Value {
    json!([{"name": "a", "emptyDir": {}}, {"name": "b", "persistentVolumeClaim": {"claimName": "c"}}])
}

fn is_read<T: std::fmt::Debug>(read: Read<T>, rest: &Value) {
    let mut object = rest.clone();
    object["metadata"] = hostile();
    let reduced = read(&of(&object)).unwrap();
    assert_eq!((&*reduced.namespace, &*reduced.name), ("shop", "odd"));
    assert!(matches!(reduced.fact, Ok(Some(_))), "{reduced:?}");
}

#[test]
fn metadata_that_is_not_read_is_not_decoded() {
    let condition = json!([{"lastTransitionTime": "9999-12-31T23:59:59Z", "type": 1}]);
    let status = json!({"conditions": condition, "startTime": "9999-12-31T23:59:59Z"});
    let plain = json!({"spec": {}, "status": status});
    is_read(claim, &plain);
    is_read(class, &json!({"allowVolumeExpansion": true, "mountOptions": 1}));
    is_read(namespace, &plain);
    is_read(
        pod,
        &json!({"spec": {"activeDeadlineSeconds": "x", "volumes": mounted()}, "status": status}),
    );
    is_read(set, &plain);
    is_read(record, &plain);
    is_read(volume, &json!({"spec": {"local": {}, "claimRef": 1}, "status": status}));
    let limits = json!({"requests.storage": "1Gi"});
    is_read(quota, &json!({"spec": {}, "status": {"hard": limits, "used": limits}}));
}

fn told<T>(reduced: Option<Reduced<T>>) -> Option<(String, String, Result<(), &'static str>)> {
    reduced.map(|r| (r.namespace, r.name, r.fact.map(|_| ())))
}

#[test]
fn an_object_that_cannot_be_read_is_unknown_by_itself() {
    let metadata = json!({"name": "odd", "namespace": "shop"});
    let place = "shop odd";
    let unknown = |reduced: Option<(String, String, Result<(), &'static str>)>| {
        let (namespace, name, fact) = reduced.unwrap();
        assert_eq!((format!("{namespace} {name}").as_str(), fact), (place, Err(UNREADABLE)));
    };
    let odd = of(&json!({"metadata": metadata, "spec": 7, "status": 7, "allowVolumeExpansion": 7}));
    unknown(told(claim(&odd)));
    unknown(told(class(&odd)));
    unknown(told(pod(&odd)));
    unknown(told(set(&odd)));
    unknown(told(quota(&odd)));
    unknown(told(volume(&odd)));
    let annotations = of(&json!({
        "metadata": {"name": "odd", "namespace": "shop", "annotations": 7},
    }));
    unknown(told(namespace(&annotations)));
    assert_eq!(record(&odd).unwrap().fact, Ok(Some(RecordFact::unreadable())));
    let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    let deep =
        format!(r#"{{"metadata":{{"name":"odd","namespace":"shop"}},"status":{{"x":{deep}}}}}"#);
    let deep = RawValue::from_string(deep).unwrap();
    assert_eq!(record(&deep).unwrap().fact, Ok(Some(RecordFact::unreadable())));
}

#[test]
fn what_is_kept_of_large_objects_is_bounded() {
    let metadata = json!({"name": "large", "namespace": "shop", "uid": "u"});
    let many = |count: usize| -> Value {
        (0..count).map(|n| (format!("label-{n}"), json!("x"))).collect::<Map<_, _>>().into()
    };
    let labelled = |count: usize| {
        let mut metadata = metadata.clone();
        metadata["labels"] = many(count);
        claim(&of(&json!({"metadata": metadata, "spec": {}}))).unwrap().fact
    };
    assert_eq!(labelled(8500).unwrap_err(), TOO_LARGE);
    assert_eq!(labelled(50).unwrap().unwrap().labels.len(), 50);
    let templated = |count: usize| {
        let templates: Vec<Value> =
            (0..count).map(|n| json!({"metadata": {"name": format!("t{n}")}})).collect();
        set(&of(&json!({"metadata": metadata, "spec": {"volumeClaimTemplates": templates}})))
    };
    assert_eq!(templated(20_000).unwrap().fact.unwrap_err(), TOO_LARGE);
    assert_eq!(templated(50).unwrap().fact.unwrap().unwrap().templates.len(), 50);
    let mut owned = metadata.clone();
    owned["labels"] = many(8500);
    owned["annotations"] = json!({"x": "y".repeat(1 << 20)});
    let object = json!({"metadata": owned, "spec": {"template": {"x": "y".repeat(1 << 20)}}});
    assert!(set(&of(&object)).unwrap().fact.is_ok(), "what is not kept has no bound");
    owned["ownerReferences"] = json!([{"name": "y".repeat(1 << 20), "controller": true}]);
    let cut = fact(set, &json!({"metadata": owned, "spec": {}})).unwrap();
    assert_eq!(cut.owner.unwrap().name.len(), LONGEST_NAME + 1);
    let targets: Value = many(8500);
    let status = json!({"phase": "Complete", "annotationTargets": targets});
    let kept = fact(record, &json!({"metadata": metadata, "status": status}));
    assert_eq!(kept, Some(RecordFact::unreadable()));
}

#[test]
fn a_pod_is_kept_if_a_set_made_it_or_if_it_mounts_a_claim() {
    let read = |labels: Value, phase: &str| {
        let metadata = json!({"name": "p", "namespace": "shop", "labels": labels});
        let object = json!({
            "metadata": metadata, "spec": {"volumes": mounted()}, "status": {"phase": phase},
        });
        fact(pod, &object).map(|pod| (pod.of_a_set, pod.claims))
    };
    let made = json!({POD_NAME: "p"});
    assert_eq!(read(made.clone(), "Running"), Some((true, ["c".to_owned()].into())));
    assert_eq!(read(json!({}), "Pending"), Some((false, ["c".to_owned()].into())));
    assert_eq!(
        read(made, "Failed"),
        Some((true, Box::default())),
        "what has ended holds no volume"
    );
    assert_eq!(read(json!({}), "Succeeded"), None);
}

#[test]
fn a_volume_without_a_policy_is_retained() {
    let reclaim = |spec: Value| {
        fact(volume, &json!({"metadata": {"name": "v"}, "spec": spec})).unwrap().reclaim
    };
    let policy = |name: &str| reclaim(json!({"persistentVolumeReclaimPolicy": name}));
    assert_eq!(reclaim(json!({})), Reclaim::Retain);
    assert_eq!(policy("Retain"), Reclaim::Retain);
    assert_eq!(policy("Recycle"), Reclaim::Recycle);
    assert_eq!(policy("Delete"), Reclaim::Delete);
}

#[test]
fn only_a_snapshot_that_can_be_used_counts() {
    let read = |ready: bool, source: Value, more: Value| {
        let mut metadata = json!({"name": "s", "namespace": "shop"});
        metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let status = json!({"readyToUse": ready, "creationTime": "2026-11-20T03:00:00Z"});
        let object = json!({"metadata": metadata, "spec": {"source": source}, "status": status});
        fact(snapshot, &object).map(|snapshot| format!("{} {}", snapshot.claim, snapshot.taken))
    };
    let claim = json!({"persistentVolumeClaimName": "data-db-0"});
    let found = read(true, claim.clone(), json!({}));
    assert_eq!(found.as_deref(), Some("data-db-0 2026-11-20T03:00:00Z"));
    assert_eq!(read(false, claim.clone(), json!({})), None);
    assert_eq!(read(true, json!({"volumeSnapshotContentName": "c"}), json!({})), None);
    let going = json!({"deletionTimestamp": "2026-11-21T03:00:00Z"});
    assert_eq!(read(true, claim, going), None);
}

/// The condition as the controller of Kubernetes 1.37 writes it.
#[test]
fn a_claim_is_unused_since_the_condition_turned_true() {
    let since = |status: Value| {
        let object = json!({"metadata": {"name": "a"}, "status": status});
        fact(claim, &object).unwrap().unused_since.map(|since| since.to_string())
    };
    let condition = |status: &str| {
        json!({"conditions": [{
            "type": "Unused", "status": status, "reason": "NoPodsUsingPVC",
            "message": "No pods are currently referencing this PVC",
            "lastTransitionTime": "2026-11-01T12:00:00Z",
        }]})
    };
    assert_eq!(since(condition("True")).as_deref(), Some("2026-11-01T12:00:00Z"));
    for other in
        [condition("False"), json!({}), json!(null), json!({"conditions": [3]}), json!("x")]
    {
        assert_eq!(since(other.clone()), None, "{other}");
    }
}

#[test]
fn a_claim_tells_from_which_snapshot_it_was_restored() {
    let source = |source: Value| {
        let object = json!({"metadata": {"name": "a"}, "spec": {"dataSource": source}});
        fact(claim, &object).unwrap().restored_from
    };
    assert_eq!(source(json!({"kind": "VolumeSnapshot", "name": "s"})), "s");
    assert_eq!(source(json!({"kind": "PersistentVolumeClaim", "name": "s"})), "");
    assert_eq!(source(json!(null)), "");
}

#[test]
fn a_content_is_retained_and_a_class_is_the_default_only_if_they_say_so() {
    let content = |policy: &str| {
        let spec = json!({"deletionPolicy": policy});
        fact(snapshot_content, &json!({"metadata": {"name": "c"}, "spec": spec})).unwrap().retained
    };
    assert_eq!((content("Retain"), content("Delete")), (true, false));
    let class = |default: &str| {
        let annotations = json!({"snapshot.storage.kubernetes.io/is-default-class": default});
        let metadata = json!({"name": "c", "annotations": annotations});
        fact(snapshot_class, &json!({"metadata": metadata, "driver": "d"})).unwrap()
    };
    assert_eq!((class("true").default, class("false").default), (true, false));
    assert_eq!(class("true").driver, "d");
}

#[test]
fn only_autoscalers_of_sets_that_stay_are_kept() {
    let read = |target: Value, metadata: Value| {
        let spec = json!({"scaleTargetRef": target, "maxReplicas": 5});
        let object = json!({"metadata": metadata, "spec": spec});
        fact(autoscaler, &object).map(|fact| (fact.set, fact.min, fact.max))
    };
    let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db"});
    let named = json!({"name": "h", "namespace": "shop"});
    assert_eq!(read(set.clone(), named.clone()), Some(("db".to_owned(), 1, 5)));
    let other = json!({"apiVersion": "apps.kruise.io/v1", "kind": "StatefulSet", "name": "db"});
    assert_eq!(read(other, named), None);
    assert_eq!(read(set, json!({"name": "h", "deletionTimestamp": "x"})), None);
}

#[test]
fn what_is_being_deleted_holds_nothing_off_and_serves_nobody() {
    let object = |metadata: Value| json!({"metadata": metadata, "spec": {"clusterIP": "None"}});
    let going = json!({"name": "x", "deletionTimestamp": "x"});
    assert_eq!(fact(budget, &object(going.clone())), None);
    assert_eq!(fact(service, &object(going.clone())), None);
    assert_eq!(fact(node, &object(going)), None);
    let stays = object(json!({"name": "x", "labels": {ZONE: "a"}}));
    assert_eq!(fact(node, &stays).map(|node| node.zone), Some("a".to_owned()));
    assert!(fact(service, &stays).unwrap().headless);
    assert_eq!(fact(budget, &stays).unwrap().selector, "null");
    let cordoned = json!({"metadata": {"name": "x"}, "spec": {"unschedulable": true}});
    assert_eq!(fact(node, &cordoned), None);
}

#[test]
fn a_budget_that_is_too_large_or_cannot_be_read_is_unknown_by_itself() {
    let read = |spec: Value| {
        let object = json!({"metadata": {"name": "x", "namespace": "shop"}, "spec": spec});
        budget(&of(&object)).unwrap().fact
    };
    let long = "x".repeat(MOST);
    assert_eq!(read(json!({"selector": {"matchLabels": {"app": long}}})), Err(TOO_LARGE));
    assert_eq!(read(json!({"minAvailable": {}})), Err(UNREADABLE));
    assert_eq!(read(json!({"minAvailable": 1.5})), Err(UNREADABLE));
}

#[test]
fn a_volume_is_in_the_zones_of_all_its_alternatives() {
    let zones = |terms: Value| {
        let affinity = json!({"required": {"nodeSelectorTerms": terms}});
        let object = json!({"metadata": {"name": "v"}, "spec": {"nodeAffinity": affinity}});
        fact(volume, &object).unwrap().zones
    };
    let term = |key: &str, zone: &str| json!({"matchExpressions": [{"key": key, "operator": "In", "values": [zone]}]});
    let (a, b) = (term(ZONE, "a"), term("topology.gke.io/zone", "b"));
    assert_eq!(*zones(json!([a, b])), ["a", "b"]);
    assert!(zones(json!([a, term("disk", "ssd")])).is_empty(), "one alternative names no zone");
    assert!(zones(json!(1)).is_empty() && zones(json!([1])).is_empty());
}
