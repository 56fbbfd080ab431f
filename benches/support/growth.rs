//! Reviews of objects with one long list: for every list of every kind that is judged.

use serde_json::{Map, Value, json};

/// A list or a map somewhere in an object.
pub(crate) struct Growing {
    pub(crate) kind: &'static str,
    pub(crate) field: &'static str,
    /// the `n`th element; the key and the value of a map. Two edits give two values.
    element: fn(usize, &str) -> Element,
}

enum Element {
    Item(Value),
    Pair(String, Value),
}

fn item(value: Value) -> Element {
    Element::Item(value)
}

fn label(n: usize, edit: &str) -> Element {
    Element::Pair(format!("example.com/l{n}"), json!(edit))
}

fn size(n: usize, edit: &str) -> Element {
    Element::Pair(format!("example.com/r{n}"), json!(if edit == "a" { "1Gi" } else { "2Gi" }))
}

fn name(n: usize, edit: &str) -> Element {
    item(json!({"name": format!("{edit}{n}")}))
}

fn word(n: usize, edit: &str) -> Element {
    item(json!(format!("example.com/{edit}{n}")))
}

fn owner(n: usize, edit: &str) -> Element {
    let name = format!("{edit}{n}");
    item(json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": name}))
}

fn manager(n: usize, edit: &str) -> Element {
    let fields = json!({"f:spec": {}});
    item(json!({
        "manager": format!("{edit}{n}"), "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": fields
    }))
}

fn expression(n: usize, edit: &str) -> Element {
    item(json!({"key": format!("{edit}{n}"), "operator": "In", "values": ["x"]}))
}

fn condition(n: usize, edit: &str) -> Element {
    item(json!({"type": format!("T{n}"), "status": edit}))
}

fn container(n: usize, edit: &str) -> Element {
    item(json!({
        "name": format!("c{n}"),
        "image": format!("i-{edit}"),
        "env": [{"name": "MYSQL_ALLOW_EMPTY_PASSWORD", "value": edit}],
        "volumeMounts": [{"name": format!("{edit}{n}"), "mountPath": format!("/{edit}")}],
    }))
}

fn renamed_container(n: usize, edit: &str) -> Element {
    item(json!({
        "name": format!("{edit}{n}"),
        "image": "i",
        "volumeMounts": [{"name": "data", "mountPath": format!("/{edit}")}],
    }))
}

fn template(n: usize, edit: &str) -> Element {
    let size = if edit == "a" { "1Gi" } else { "2Gi" };
    item(json!({
        "metadata": {"name": format!("t{n}"), "labels": {"version": edit}},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
    }))
}

fn data_folder(n: usize, edit: &str) -> Element {
    item(json!({"name": format!("E{n}_DATA_DIR"), "value": format!("/data/{edit}{n}")}))
}

fn data_flag(n: usize, edit: &str) -> Element {
    item(json!(format!("--f{n}-data-dir=/data/{edit}{n}")))
}

fn data_container(n: usize, edit: &str) -> Element {
    item(json!({
        "name": format!("c{n}"),
        "image": "postgres",
        "workingDir": format!("/data/{edit}"),
        "args": ["-D", format!("/data/{edit}{n}")],
        "volumeMounts": [{"name": "data", "mountPath": "/data", "subPath": edit}],
    }))
}

fn moved(n: usize, edit: &str) -> Element {
    item(json!({"name": "data", "mountPath": format!("/{edit}{n}")}))
}

/// Every list and map of the kinds that are judged; some with elements of several sorts.
pub(crate) const GROWING: &[Growing] = {
    const SET: &str = "StatefulSet";
    const CLAIM: &str = "PersistentVolumeClaim";
    const SCALE: &str = "Scale";
    const fn g(
        kind: &'static str,
        field: &'static str,
        element: fn(usize, &str) -> Element,
    ) -> Growing {
        Growing { kind, field, element }
    }
    &[
        g(SET, "/metadata/labels", label),
        g(SET, "/metadata/annotations", label),
        g(SET, "/metadata/finalizers", word),
        g(SET, "/metadata/ownerReferences", owner),
        g(SET, "/metadata/managedFields", manager),
        g(SET, "/spec/selector/matchLabels", label),
        g(SET, "/spec/selector/matchExpressions", expression),
        g(SET, "/spec/selector/matchExpressions/0/values", |n, edit| {
            item(json!(format!("{edit}{n}")))
        }),
        g(SET, "/spec/template/metadata/labels", label),
        g(SET, "/spec/template/metadata/annotations", label),
        g(SET, "/spec/template/spec/containers", container),
        g(SET, "/spec/template/spec/containers", renamed_container),
        g(SET, "/spec/template/spec/containers", data_container),
        g(SET, "/spec/template/spec/initContainers", container),
        g(SET, "/spec/template/spec/initContainers", renamed_container),
        g(SET, "/spec/template/spec/ephemeralContainers", container),
        g(SET, "/spec/template/spec/volumes", |n, edit| {
            item(json!({"name": format!("{edit}{n}"), "emptyDir": {}}))
        }),
        g(SET, "/spec/template/spec/volumes", |n, edit| {
            item(json!({"name": format!("v{n}"), "hostPath": {"path": format!("/{edit}{n}")}}))
        }),
        g(SET, "/spec/template/spec/volumes", |n, edit| {
            let claim = json!({"claimName": format!("{edit}{n}")});
            item(json!({"name": format!("v{n}"), "persistentVolumeClaim": claim}))
        }),
        g(SET, "/spec/template/spec/volumes", |_, edit| {
            item(json!({"name": "data", "emptyDir": {"medium": edit}}))
        }),
        g(SET, "/spec/template/spec/tolerations", |n, edit| {
            item(json!({"key": format!("{edit}{n}")}))
        }),
        g(SET, "/spec/template/spec/imagePullSecrets", name),
        g(SET, "/spec/template/spec/hostAliases", |n, edit| {
            item(json!({"ip": format!("{edit}{n}")}))
        }),
        g(SET, "/spec/template/spec/readinessGates", |n, edit| {
            item(json!({"conditionType": format!("{edit}{n}")}))
        }),
        g(SET, "/spec/template/spec/nodeSelector", label),
        g(SET, "/spec/template/spec/topologySpreadConstraints", |n, edit| {
            item(
                json!({"maxSkew": 1, "topologyKey": format!("{edit}{n}"), "whenUnsatisfiable": "ScheduleAnyway"}),
            )
        }),
        g(
            SET,
            "/spec/template/spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution",
            |n, edit| {
                item(json!({"weight": 1, "podAffinityTerm": {"topologyKey": format!("{edit}{n}")}}))
            },
        ),
        g(SET, "/spec/template/spec/containers/0/env", |n, edit| {
            item(json!({"name": format!("E{n}"), "value": edit}))
        }),
        g(SET, "/spec/template/spec/containers/0/env", |_, edit| {
            item(
                json!({"name": "ALLOW_EMPTY_PASSWORD", "value": if edit == "a" { "no" } else { "yes" }}),
            )
        }),
        g(SET, "/spec/template/spec/containers/0/env", data_folder),
        g(SET, "/spec/template/spec/containers/0/env", |_, edit| {
            item(json!({"name": "PGDATA", "value": format!("/data/{edit}")}))
        }),
        g(SET, "/spec/template/spec/containers/0/envFrom", |n, edit| {
            item(json!({"configMapRef": {"name": format!("{edit}{n}")}}))
        }),
        g(SET, "/spec/template/spec/containers/0/args", word),
        g(SET, "/spec/template/spec/containers/0/args", data_flag),
        g(SET, "/spec/template/spec/containers/0/args", |n, edit| {
            item(json!(format!("--store=/data/{edit}{n}")))
        }),
        g(SET, "/spec/template/spec/containers/0/args", |n, edit| {
            item(json!(format!("/data/{edit}{n}")))
        }),
        g(SET, "/spec/template/spec/containers/0/args", |n, edit| {
            item(json!(format!("cd /data/{n}; db --data-dir=/data/{edit}")))
        }),
        g(SET, "/spec/template/spec/containers/0/command", word),
        g(SET, "/spec/template/spec/containers/0/ports", |n, edit| {
            item(json!({"name": format!("{edit}{n}"), "containerPort": n % 65_535 + 1}))
        }),
        g(SET, "/spec/template/spec/containers/0/ports", |_, edit| {
            item(json!({"name": edit, "containerPort": 0, "hostPort": -1, "protocol": edit}))
        }),
        g(SET, "/spec/template/spec/containers/0/volumeMounts", moved),
        g(SET, "/spec/template/spec/containers/0/volumeMounts", |n, edit| {
            item(json!({"name": format!("{edit}{n}"), "mountPath": format!("/{n}")}))
        }),
        g(SET, "/spec/template/spec/containers/0/volumeMounts", |n, edit| {
            item(json!({"name": "data", "mountPath": "/d", "subPath": format!("{edit}{n}")}))
        }),
        g(SET, "/spec/template/spec/containers/0/volumeMounts", |n, edit| {
            let path = if edit == "a" { format!("/d/{n}") } else { "/d".to_owned() };
            item(json!({"name": "data", "mountPath": path, "subPath": format!("{edit}{n}")}))
        }),
        g(SET, "/spec/template/spec/containers/0/volumeMounts", |n, edit| {
            let name = if (n == 0) == (edit == "a") { "data" } else { "cache" };
            item(json!({"name": name, "mountPath": format!("/d{}", "/x".repeat(n % 40))}))
        }),
        g(SET, "/spec/template/spec/containers/0/volumeDevices", |n, edit| {
            item(json!({"name": format!("{edit}{n}"), "devicePath": format!("/{edit}{n}")}))
        }),
        g(SET, "/spec/template/spec/initContainers/0/volumeMounts", moved),
        g(SET, "/spec/volumeClaimTemplates", template),
        g(SET, "/spec/volumeClaimTemplates", |n, edit| {
            item(json!({"metadata": {"name": format!("{edit}{n}")}, "spec": {"resources": {}}}))
        }),
        g(SET, "/spec/volumeClaimTemplates", |_, edit| {
            item(json!({"metadata": {"name": "data"}, "spec": {"storageClassName": edit}}))
        }),
        g(SET, "/spec/volumeClaimTemplates/0/metadata/labels", label),
        g(SET, "/spec/volumeClaimTemplates/0/metadata/annotations", label),
        g(SET, "/spec/volumeClaimTemplates/0/metadata/finalizers", word),
        g(SET, "/spec/volumeClaimTemplates/0/metadata/ownerReferences", owner),
        g(SET, "/spec/volumeClaimTemplates/0/spec/accessModes", word),
        g(SET, "/spec/volumeClaimTemplates/0/spec/resources/requests", size),
        g(SET, "/spec/volumeClaimTemplates/0/spec/resources/limits", size),
        g(SET, "/spec/volumeClaimTemplates/0/spec/selector/matchLabels", label),
        g(SET, "/spec/volumeClaimTemplates/0/spec/selector/matchExpressions", expression),
        g(SET, "/spec/volumeClaimTemplates/0/status/conditions", condition),
        g(SET, "/spec/volumeClaimTemplates/0/status/capacity", size),
        g(SET, "/status/conditions", condition),
        g(CLAIM, "/metadata/labels", label),
        g(CLAIM, "/metadata/annotations", label),
        g(CLAIM, "/metadata/finalizers", word),
        g(CLAIM, "/metadata/ownerReferences", owner),
        g(CLAIM, "/metadata/managedFields", manager),
        g(CLAIM, "/spec/accessModes", word),
        g(CLAIM, "/spec/resources/requests", size),
        g(CLAIM, "/spec/resources/limits", size),
        g(CLAIM, "/spec/selector/matchLabels", label),
        g(CLAIM, "/spec/selector/matchExpressions", expression),
        g(CLAIM, "/status/accessModes", word),
        g(CLAIM, "/status/conditions", condition),
        g(CLAIM, "/status/capacity", size),
        g(CLAIM, "/status/allocatedResources", size),
        g(CLAIM, "/status/allocatedResourceStatuses", label),
        g(SCALE, "/metadata/labels", label),
        g(SCALE, "/metadata/annotations", label),
        g(SCALE, "/metadata/managedFields", manager),
        g(SCALE, "/status/conditions", condition),
    ]
};

pub(crate) fn base(kind: &str) -> Value {
    let metadata = json!({"name": "db", "namespace": "shop", "uid": "u", "labels": {"app": "db"}});
    match kind {
        "StatefulSet" => json!({
            "apiVersion": "apps/v1", "kind": kind, "metadata": metadata,
            "spec": {
                "replicas": 3, "serviceName": "db",
                "selector": {"matchLabels": {"app": "db"}, "matchExpressions": [
                    {"key": "app", "operator": "In", "values": ["db"]}
                ]},
                "template": {
                    "metadata": {"labels": {"app": "db"}},
                    "spec": {
                        "affinity": {"podAntiAffinity": {}},
                        "initContainers": [{"name": "init", "image": "busybox"}],
                        "containers": [{
                            "name": "db", "image": "postgres",
                            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                        }],
                    },
                },
                "volumeClaimTemplates": [{
                    "metadata": {"name": "data"},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "resources": {"requests": {"storage": "1Gi"}},
                        "selector": {},
                    },
                    "status": {},
                }],
            },
            "status": {},
        }),
        "PersistentVolumeClaim" => json!({
            "apiVersion": "v1", "kind": kind, "metadata": metadata,
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
                "selector": {},
            },
            "status": {"phase": "Bound"},
        }),
        _ => json!({
            "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata,
            "spec": {"replicas": 3}, "status": {"replicas": 3, "selector": "app=db"},
        }),
    }
}

impl Growing {
    /// The object with `count` elements, in this order.
    fn object(&self, order: impl Iterator<Item = usize>, edit: &str) -> Value {
        let mut object = base(self.kind);
        let mut at = &mut object;
        for token in self.field.split('/').skip(1) {
            at = match token.parse::<usize>() {
                Ok(index) => &mut at[index],
                Err(_) => &mut at[token],
            };
        }
        let mut list = Vec::new();
        let mut map = at.as_object().cloned().unwrap_or_default();
        for n in order {
            match (self.element)(n, edit) {
                Element::Item(value) => list.push(value),
                Element::Pair(key, value) => drop(map.insert(key, value)),
            }
        }
        *at = if list.is_empty() { Value::Object(map) } else { Value::Array(list) };
        object
    }

    /// Every review of objects with `count` elements: created, edited in every element, in another
    /// order, emptied, and deleted.
    pub(crate) fn reviews(&self, count: usize) -> Vec<(&'static str, Vec<u8>)> {
        let old = self.object(0..count, "a");
        let edited = self.object(0..count, "b");
        let reordered = self.object((0..count).rev(), "a");
        let base = base(self.kind);
        let mut edits = vec![
            ("edit", review(self.kind, "UPDATE", Some(&old), Some(&edited))),
            ("reorder", review(self.kind, "UPDATE", Some(&old), Some(&reordered))),
            ("empty", review(self.kind, "UPDATE", Some(&old), Some(&base))),
            ("fill", review(self.kind, "UPDATE", Some(&base), Some(&edited))),
        ];
        if self.kind != "Scale" {
            edits.push(("create", review(self.kind, "CREATE", None, Some(&edited))));
            edits.push(("delete", review(self.kind, "DELETE", Some(&old), None)));
        }
        edits
    }
}

pub(crate) fn review(
    kind: &str,
    operation: &str,
    old: Option<&Value>,
    new: Option<&Value>,
) -> Vec<u8> {
    let (group, version, resource) = match kind {
        "StatefulSet" => ("apps", "v1", "statefulsets"),
        "PersistentVolumeClaim" => ("", "v1", "persistentvolumeclaims"),
        _ => ("autoscaling", "v1", "statefulsets"),
    };
    let mut request = Map::new();
    for (key, value) in [
        ("uid", json!("1")),
        ("kind", json!({"group": group, "version": version, "kind": kind})),
        ("resource", json!({"group": "apps", "version": "v1", "resource": resource})),
        ("subResource", json!(if kind == "Scale" { "scale" } else { "" })),
        ("namespace", json!("shop")),
        ("operation", json!(operation)),
        ("userInfo", json!({"username": "dev"})),
        ("object", json!(new)),
        ("oldObject", json!(old)),
    ] {
        request.insert(key.to_owned(), value);
    }
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
        .to_string()
        .into_bytes()
}
