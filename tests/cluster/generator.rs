//! Random edits of every spec field of both kinds, in equal and unequal spellings.

use serde_json::{Value, json};

/// One way to change a field: its name in the table, and what it does to the object.
pub(crate) struct Edit {
    /// the field as the table names it
    pub(crate) field: &'static str,
    /// the pointer that a refusal has to name a part of
    pub(crate) pointer: &'static str,
    apply: fn(&mut Value, &mut fastrand::Rng),
}

impl Edit {
    pub(crate) fn apply(&self, object: &mut Value, rng: &mut fastrand::Rng) {
        (self.apply)(object, rng);
    }
}

/// Sets the member `key` of the object at `parent`, or removes it where `value` is `None`.
fn put(object: &mut Value, parent: &str, key: &str, value: Option<Value>) {
    let Some(Value::Object(members)) = object.pointer_mut(parent) else { return };
    match value {
        Some(value) => members.insert(key.to_owned(), value),
        None => members.remove(key),
    };
}

/// One of several values; `json!("(absent)")` removes the field.
fn choose(object: &mut Value, parent: &str, key: &str, rng: &mut fastrand::Rng, from: &[Value]) {
    let value = from[rng.usize(..from.len())].clone();
    put(object, parent, key, (value != "(absent)").then_some(value));
}

macro_rules! edits {
    ($($field:literal at $pointer:literal => |$object:ident, $rng:ident| $body:expr;)*) => {
        &[$(Edit {
            field: $field,
            pointer: $pointer,
            apply: |$object, $rng| $body,
        },)*]
    };
}

const TEMPLATE: &str = "/spec/volumeClaimTemplates/0";
const TEMPLATE_SPEC: &str = "/spec/volumeClaimTemplates/0/spec";
const TEMPLATE_META: &str = "/spec/volumeClaimTemplates/0/metadata";
const POD: &str = "/spec/template/spec";
const CONTAINER: &str = "/spec/template/spec/containers/0";

/// Every spec field of a StatefulSet.
pub(crate) static STATEFULSET: &[Edit] = edits! {
    "replicas" at "/spec/replicas" => |o, r| choose(o, "/spec", "replicas", r, &[
        json!(0), json!(1), json!(2), json!(5), json!(-1), json!(null), json!("(absent)"),
        json!("three"),
    ]);
    "serviceName" at "/spec/serviceName" => |o, r| choose(o, "/spec", "serviceName", r, &[
        json!("other"), json!(""), json!("db"), json!("(absent)"), json!(null), json!("a.b"),
    ]);
    "podManagementPolicy" at "/spec/podManagementPolicy" =>
        |o, r| choose(o, "/spec", "podManagementPolicy", r, &[
            json!("Parallel"), json!("OrderedReady"), json!("(absent)"), json!(""), json!("Random"),
        ]);
    "selector" at "/spec/selector" => |o, r| match r.u8(..6) {
        0 => put(o, "/spec/selector/matchLabels", "tier", Some(json!("db"))),
        1 => {
            put(o, "/spec/selector/matchLabels", "tier", Some(json!("db")));
            put(o, "/spec/template/metadata/labels", "tier", Some(json!("db")));
        }
        2 => put(o, "/spec/selector", "matchExpressions", Some(json!([]))),
        3 => put(o, "/spec/selector", "matchExpressions", Some(json!(null))),
        4 => put(o, "/spec/selector", "matchExpressions", Some(json!([
            {"key": "app", "operator": "Exists"}
        ]))),
        _ => put(o, "/spec", "selector", [None, Some(json!({})), Some(json!(null))][r.usize(..3)].clone()),
    };
    "minReadySeconds" at "/spec/minReadySeconds" =>
        |o, r| choose(o, "/spec", "minReadySeconds", r, &[
            json!(0), json!(5), json!(-1), json!(null), json!("(absent)"),
        ]);
    "revisionHistoryLimit" at "/spec/revisionHistoryLimit" =>
        |o, r| choose(o, "/spec", "revisionHistoryLimit", r, &[
            json!(0), json!(10), json!(3), json!(-1), json!(null), json!("(absent)"),
        ]);
    "ordinals" at "/spec/ordinals" => |o, r| choose(o, "/spec", "ordinals", r, &[
        json!({}), json!({"start": 0}), json!({"start": 3}), json!({"start": -1}), json!(null),
        json!("(absent)"),
    ]);
    "updateStrategy" at "/spec/updateStrategy" => |o, r| choose(o, "/spec", "updateStrategy", r, &[
        json!({"type": "OnDelete"}),
        json!({"type": "OnDelete", "rollingUpdate": {"partition": 1}}),
        json!({"type": "OnDelete", "rollingUpdate": {}}),
        json!({"type": "RollingUpdate"}),
        json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}),
        json!({"type": "RollingUpdate", "rollingUpdate": {"partition": -1}}),
        json!({"rollingUpdate": {"partition": 1}}),
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "150%"}}),
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}}),
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}}),
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "0%"}}),
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "2"}}),
        json!({"type": "OnDelete", "rollingUpdate": {"maxUnavailable": 0}}),
        json!({"type": "Recreate"}), json!({"type": "Sometimes"}), json!({}), json!(null),
        json!("(absent)"),
    ]);
    "persistentVolumeClaimRetentionPolicy" at "/spec/persistentVolumeClaimRetentionPolicy" =>
        |o, r| choose(o, "/spec", "persistentVolumeClaimRetentionPolicy", r, &[
            json!({"whenDeleted": "Delete", "whenScaled": "Retain"}), json!({"whenScaled": "Delete"}),
            json!({"whenDeleted": "Retain"}), json!({"whenDeleted": ""}), json!({}), json!(null),
            json!({"whenDeleted": "Keep"}), json!("(absent)"),
        ]);
    "template.metadata" at "/spec/template/metadata" => |o, r| match r.u8(..4) {
        0 => put(o, "/spec/template/metadata/labels", "app", Some(json!("other"))),
        1 => put(o, "/spec/template/metadata/labels", "version", Some(json!("2"))),
        2 => put(o, "/spec/template/metadata", "annotations", Some(json!({"restarted": "now"}))),
        _ => put(o, "/spec/template/metadata", "labels", None),
    };
    "template.spec.containers" at "/spec/template/spec/containers" => |o, r| match r.u8(..7) {
        0 => put(o, CONTAINER, "image", Some(json!("postgres:18"))),
        1 => put(o, CONTAINER, "env", Some(json!([{"name": "A", "value": "b"}]))),
        2 => put(o, POD, "containers", Some(json!([]))),
        3 => put(o, CONTAINER, "readinessProbe", Some(json!({"tcpSocket": {"port": 5432}}))),
        4 => put(o, CONTAINER, "resources", Some(json!({"requests": {"cpu": "0.1"}}))),
        5 => put(o, CONTAINER, "resources", None),
        _ => put(o, CONTAINER, "imagePullPolicy", None),
    };
    "template.spec.volumeMounts" at "/spec/template/spec/containers/0/volumeMounts" =>
        |o, r| choose(o, CONTAINER, "volumeMounts", r, &[
            json!([{"name": "nowhere", "mountPath": "/x"}]),
            json!([{"name": "data", "mountPath": "/y"}]),
            json!([{"name": "data", "mountPath": "/y"}, {"name": "gone", "mountPath": "/z"}]),
            json!([]), json!(null), json!("(absent)"),
        ]);
    "template.spec.restartPolicy" at "/spec/template/spec/restartPolicy" =>
        |o, r| choose(o, POD, "restartPolicy", r, &[
            json!("Always"), json!("OnFailure"), json!("Never"), json!("(absent)"),
        ]);
    "template.spec.activeDeadlineSeconds" at "/spec/template/spec/activeDeadlineSeconds" =>
        |o, r| choose(o, POD, "activeDeadlineSeconds", r, &[json!(60), json!(null), json!("(absent)")]);
    "template.spec.other" at "/spec/template/spec" => |o, r| match r.u8(..5) {
        0 => put(o, POD, "terminationGracePeriodSeconds", Some(json!(0))),
        1 => put(o, POD, "terminationGracePeriodSeconds", None),
        2 => put(o, POD, "volumes", Some(json!([{"name": "tmp", "emptyDir": {}}]))),
        3 => put(o, POD, "nodeSelector", Some(json!({"disk": "ssd"}))),
        _ => put(o, POD, "affinity", Some(json!({"podAntiAffinity": {}}))),
    };
    "volumeClaimTemplates" at "/spec/volumeClaimTemplates" => |o, r| match r.u8(..6) {
        0 => put(o, "/spec", "volumeClaimTemplates", [None, Some(json!([])), Some(json!(null))][r.usize(..3)].clone()),
        1 => {
            let mut more = o.pointer(TEMPLATE).cloned().unwrap_or_default();
            put(&mut more, "/metadata", "name", Some(json!("more")));
            if let Some(Value::Array(list)) = o.pointer_mut("/spec/volumeClaimTemplates") {
                list.push(more);
            }
        }
        2 => {
            if let Some(Value::Array(list)) = o.pointer_mut("/spec/volumeClaimTemplates") {
                list.reverse();
            }
        }
        3 => put(o, TEMPLATE_META, "name", Some(json!("renamed"))),
        4 => {
            put(o, TEMPLATE, "apiVersion", None);
            put(o, TEMPLATE, "kind", None);
        }
        _ => put(o, TEMPLATE, "status", [
            None, Some(json!({})), Some(json!({"phase": "Pending"})), Some(json!({"phase": "Bound"})),
        ][r.usize(..4)].clone()),
    };
    "volumeClaimTemplates.metadata" at "/spec/volumeClaimTemplates/0/metadata" => |o, r| match r.u8(..5) {
        0 => choose(o, TEMPLATE_META, "labels", r, &[
            json!({}), json!(null), json!({"chart": "db-2"}), json!("(absent)"),
        ]),
        1 => choose(o, TEMPLATE_META, "annotations", r, &[
            json!({}), json!(null), json!({"a/b": ""}), json!("(absent)"),
        ]),
        2 => put(o, TEMPLATE_META, "creationTimestamp", Some(json!(null))),
        3 => put(o, TEMPLATE_META, "finalizers", [Some(json!([])), Some(json!(["a.b/c"]))][r.usize(..2)].clone()),
        _ => put(o, TEMPLATE_META, "namespace", Some(json!(["", "elsewhere"][r.usize(..2)]))),
    };
    "volumeClaimTemplates.resources" at "/spec/volumeClaimTemplates/0/spec/resources" =>
        |o, r| match r.u8(..4) {
            0 | 1 => choose(o, "/spec/volumeClaimTemplates/0/spec/resources/requests", "storage", r, &[
                json!("10Gi"), json!("10240Mi"), json!("10737418240"), json!(10_737_418_240_i64),
                json!("20Gi"), json!("5Gi"), json!("10Gi1"), json!("10.5Gi"), json!("10737418240.0001"),
                json!("10737418240000m"), json!("0.01Ti"), json!(" 10Gi"), json!("(absent)"),
            ]),
            2 => choose(o, "/spec/volumeClaimTemplates/0/spec/resources", "limits", r, &[
                json!({}), json!(null), json!({"storage": "50Gi"}), json!("(absent)"),
            ]),
            _ => put(o, "/spec/volumeClaimTemplates/0/spec/resources/requests", "iops", Some(json!("3"))),
        };
    "volumeClaimTemplates.storageClassName" at "/spec/volumeClaimTemplates/0/spec/storageClassName" =>
        |o, r| choose(o, TEMPLATE_SPEC, "storageClassName", r, &[
            json!("standard"), json!("fast"), json!(""), json!(null), json!("(absent)"),
        ]);
    "volumeClaimTemplates.accessModes" at "/spec/volumeClaimTemplates/0/spec/accessModes" =>
        |o, r| choose(o, TEMPLATE_SPEC, "accessModes", r, &[
            json!(["ReadWriteOnce"]), json!(["ReadWriteMany"]), json!(["ReadOnlyMany", "ReadWriteOnce"]),
            json!([]), json!(null), json!("(absent)"),
        ]);
    "volumeClaimTemplates.volumeMode" at "/spec/volumeClaimTemplates/0/spec/volumeMode" =>
        |o, r| choose(o, TEMPLATE_SPEC, "volumeMode", r, &[
            json!("Filesystem"), json!("Block"), json!(null), json!("(absent)"), json!(""),
        ]);
    "volumeClaimTemplates.other" at "/spec/volumeClaimTemplates/0/spec" => |o, r| match r.u8(..6) {
        0 => choose(o, TEMPLATE_SPEC, "selector", r, &[
            json!({}), json!(null), json!({"matchLabels": {"a": "b"}}),
        ]),
        1 => choose(o, TEMPLATE_SPEC, "volumeName", r, &[json!(""), json!("pv-1"), json!(null)]),
        2 => choose(o, TEMPLATE_SPEC, "dataSource", r, &[
            json!(null), json!({"kind": "PersistentVolumeClaim", "name": "src"}),
        ]),
        3 => choose(o, TEMPLATE_SPEC, "dataSourceRef", r, &[
            json!(null), json!({"kind": "PersistentVolumeClaim", "name": "src"}),
        ]),
        4 => choose(o, TEMPLATE_SPEC, "volumeAttributesClassName", r, &[
            json!(null), json!(""), json!("gold"),
        ]),
        _ => put(o, TEMPLATE_SPEC, "unknownField", Some(json!("ignored"))),
    };
};

/// Every spec field of a claim.
pub(crate) static CLAIM: &[Edit] = edits! {
    "pvc accessModes" at "/spec/accessModes" => |o, r| choose(o, "/spec", "accessModes", r, &[
        json!(["ReadWriteOnce"]), json!(["ReadWriteMany"]), json!([]), json!(["Sometimes"]),
        json!("(absent)"),
    ]);
    "pvc resources" at "/spec/resources" => |o, r| match r.u8(..5) {
        0..=2 => choose(o, "/spec/resources/requests", "storage", r, &[
            json!("10Gi"), json!("10240Mi"), json!(10_737_418_240_i64), json!("20Gi"), json!("15Gi"),
            json!("5Gi"), json!("10737418241"), json!("0"), json!("-1Gi"), json!("10GB"),
            json!("10737418240.5"), json!("(absent)"), json!("100Gi"),
        ]),
        3 => choose(o, "/spec/resources", "limits", r, &[
            json!({}), json!(null), json!({"storage": "50Gi"}), json!("(absent)"),
        ]),
        _ => put(o, "/spec/resources/requests", "iops", Some(json!("3"))),
    };
    "pvc storageClassName" at "/spec/storageClassName" =>
        |o, r| choose(o, "/spec", "storageClassName", r, &[
            json!("standard"), json!("fast"), json!(""), json!(null), json!("(absent)"),
        ]);
    "pvc volumeName" at "/spec/volumeName" => |o, r| choose(o, "/spec", "volumeName", r, &[
        json!("pv-a"), json!("pv-b"), json!(""), json!(null), json!("(absent)"),
    ]);
    "pvc volumeMode" at "/spec/volumeMode" => |o, r| choose(o, "/spec", "volumeMode", r, &[
        json!("Filesystem"), json!("Block"), json!(null), json!("(absent)"), json!("Tape"),
    ]);
    "pvc selector" at "/spec/selector" => |o, r| choose(o, "/spec", "selector", r, &[
        json!({}), json!(null), json!({"matchLabels": {"a": "b"}}), json!("(absent)"),
    ]);
    "pvc dataSource" at "/spec/dataSource" => |o, r| choose(o, "/spec", "dataSource", r, &[
        json!({"kind": "PersistentVolumeClaim", "name": "src"}), json!(null), json!("(absent)"),
        json!({"apiGroup": "example.com", "kind": "Thing", "name": "src"}),
    ]);
    "pvc dataSourceRef" at "/spec/dataSourceRef" => |o, r| choose(o, "/spec", "dataSourceRef", r, &[
        json!({"kind": "PersistentVolumeClaim", "name": "src"}), json!(null), json!("(absent)"),
        json!({"apiGroup": "example.com", "kind": "Thing", "name": "src"}),
    ]);
    "pvc volumeAttributesClassName" at "/spec/volumeAttributesClassName" =>
        |o, r| choose(o, "/spec", "volumeAttributesClassName", r, &[
            json!("gold"), json!("silver"), json!(""), json!(null), json!("(absent)"),
        ]);
};
