//! What admission and validation refuse, and what defaulting adds.

use serde_json::{Value, json};
use stateward_core::object::Quantity;

use super::Reply;
use super::kinds::{Kind, Route};
use super::store::{Id, Store};

const STORAGE: &str = "/spec/resources/requests/storage";

pub(crate) fn quantity(object: &Value, pointer: &str) -> Option<Quantity> {
    object.pointer(pointer)?.as_str()?.parse().ok()
}

fn invalid(message: impl Into<String>) -> Reply {
    Reply::refused(422, "Invalid", message)
}

/// Adds the defaults that anybody here reads.
pub(crate) fn default(plural: &str, object: &mut Value) {
    match plural {
        "statefulsets" => {
            let spec = &mut object["spec"];
            set_default(spec, "replicas", json!(1));
            set_default(spec, "podManagementPolicy", json!("OrderedReady"));
            set_default(spec, "revisionHistoryLimit", json!(10));
            let keep = json!({"whenDeleted": "Retain", "whenScaled": "Retain"});
            set_default(spec, "persistentVolumeClaimRetentionPolicy", keep.clone());
            for field in ["whenDeleted", "whenScaled"] {
                set_default(
                    &mut spec["persistentVolumeClaimRetentionPolicy"],
                    field,
                    json!("Retain"),
                );
            }
            set_default(spec, "updateStrategy", json!({}));
            set_default(&mut spec["updateStrategy"], "type", json!("RollingUpdate"));
            if spec["updateStrategy"]["type"] == "RollingUpdate" {
                set_default(&mut spec["updateStrategy"], "rollingUpdate", json!({}));
                set_default(&mut spec["updateStrategy"]["rollingUpdate"], "partition", json!(0));
            }
            for template in spec["volumeClaimTemplates"].as_array_mut().into_iter().flatten() {
                set_default(&mut template["spec"], "volumeMode", json!("Filesystem"));
            }
            set_default(object, "status", json!({"replicas": 0}));
        }
        "persistentvolumeclaims" => {
            set_default(&mut object["spec"], "volumeMode", json!("Filesystem"));
            set_default(object, "status", json!({"phase": "Pending"}));
        }
        "pods" => set_default(object, "status", json!({"phase": "Pending"})),
        _ => {}
    }
}

fn set_default(object: &mut Value, key: &str, value: Value) {
    if object[key].is_null() {
        object[key] = value;
    }
}

/// The finalizer that admission gives a new claim.
pub(crate) fn admit(plural: &str, object: &mut Value) {
    const PROTECTION: &str = "kubernetes.io/pvc-protection";
    if plural != "persistentvolumeclaims" {
        return;
    }
    match object["metadata"]["finalizers"].as_array_mut() {
        Some(names) if names.iter().any(|name| name == PROTECTION) => {}
        Some(names) => names.push(PROTECTION.into()),
        None => object["metadata"]["finalizers"] = json!([PROTECTION]),
    }
}

/// Validation of a new object.
pub(crate) fn create(kind: &Kind, name: &str, object: &Value) -> Result<(), Reply> {
    if name.is_empty() {
        return Err(invalid("metadata.name: Required value: name or generateName is required"));
    }
    if kind.plural == "statefulsets" {
        let spec = &object["spec"];
        if spec["replicas"].as_i64().is_none_or(|replicas| replicas < 0) {
            return Err(invalid(
                "spec.replicas: Invalid value: must be greater than or equal to 0",
            ));
        }
        let labels = &spec["template"]["metadata"]["labels"];
        let wanted = spec["selector"]["matchLabels"].as_object();
        if wanted.is_none_or(serde_json::Map::is_empty)
            || wanted.is_some_and(|wanted| wanted.iter().any(|(key, value)| labels[key] != *value))
        {
            return Err(invalid(
                "spec.template.metadata.labels: Invalid value: `selector` does not match template `labels`",
            ));
        }
    }
    Ok(())
}

/// Validation of an update, with the class of a claim that grows.
pub(crate) fn update(
    store: &Store,
    kind: &Kind,
    live: &Value,
    object: &Value,
    status: bool,
) -> Result<(), Reply> {
    match kind.plural {
        _ if status => Ok(()),
        "statefulsets" => set(live, object),
        "persistentvolumeclaims" => claim(store, live, object),
        _ => Ok(()),
    }
}

fn set(live: &Value, object: &Value) -> Result<(), Reply> {
    const CHANGEABLE: [&str; 7] = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    if object["spec"]["replicas"].as_i64().is_none_or(|replicas| replicas < 0) {
        return Err(invalid("spec.replicas: Invalid value: must be greater than or equal to 0"));
    }
    let rest = |value: &Value| {
        let mut spec = value["spec"].clone();
        let fields = spec.as_object_mut()?;
        for field in CHANGEABLE {
            fields.remove(field);
        }
        fields.retain(|_, value| !value.is_null());
        Some(spec)
    };
    if rest(live) != rest(object) {
        return Err(invalid(
            "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        ));
    }
    Ok(())
}

fn claim(store: &Store, live: &Value, object: &Value) -> Result<(), Reply> {
    let (old, new) = (quantity(live, STORAGE), quantity(object, STORAGE));
    let grows = matches!((&old, &new), (Some(old), Some(new)) if new > old);
    let class = live["spec"]["storageClassName"].as_str().unwrap_or_default();
    // The class of a bound claim is asked by admission, before anything is validated.
    if grows && live["status"]["phase"] == "Bound" {
        let class = store.get(&Id::new("storageclasses", "", class));
        if class.is_none_or(|class| class["allowVolumeExpansion"] != true) {
            let name = live["metadata"]["name"].as_str().unwrap_or_default();
            return Err(Reply::refused(
                403,
                "Forbidden",
                format!(
                    "persistentvolumeclaims \"{name}\" is forbidden: only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
                ),
            ));
        }
    }
    let rest = |value: &Value, volume: bool| {
        let mut spec = value["spec"].clone();
        spec["resources"]["requests"]["storage"] = Value::Null;
        if volume {
            spec["volumeName"] = Value::Null;
        }
        spec
    };
    let bound = live["status"]["phase"] == "Bound";
    let unnamed = live["spec"]["volumeName"].is_null();
    if rest(live, unnamed) != rest(object, unnamed) || (!bound && old != new) {
        return Err(invalid(
            "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
        ));
    }
    let capacity = quantity(live, "/status/capacity/storage");
    let shrinks = matches!((&old, &new), (Some(old), Some(new)) if new < old);
    if shrinks && capacity.is_none_or(|capacity| new.is_none_or(|new| new <= capacity)) {
        return Err(invalid(
            "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity",
        ));
    }
    Ok(())
}

/// The count quota of sets: asked last, counted even where the name then exists.
pub(crate) fn quota(store: &mut Store, route: &Route, dry_run: bool) -> Result<(), Reply> {
    const COUNT: &str = "count/statefulsets.apps";
    if route.kind.plural != "statefulsets" {
        return Ok(());
    }
    let quotas: Vec<Value> =
        store.list("resourcequotas", &route.namespace).into_iter().map(|q| (**q).clone()).collect();
    for mut quota in quotas {
        let number = |at: &str| quota["status"][at][COUNT].as_str()?.parse::<i64>().ok();
        let Some(hard) = number("hard") else { continue };
        let used = number("used").unwrap_or(0);
        let name = quota["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if used + 1 > hard {
            return Err(Reply::refused(
                403,
                "Forbidden",
                format!(
                    "statefulsets.apps is forbidden: exceeded quota: {name}, requested: {COUNT}=1, used: {COUNT}={used}, limited: {COUNT}={hard}"
                ),
            ));
        }
        if !dry_run {
            quota["status"]["used"][COUNT] = (used + 1).to_string().into();
            store.put(&Id::new("resourcequotas", &route.namespace, &name), quota);
        }
    }
    Ok(())
}
