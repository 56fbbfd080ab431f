//! A set as the API server gives it → what is read of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use stateward_core::annotations::{
    OWNER_MANAGED, RESIZE_ID, RESIZE_PAUSED, RESIZE_REQUESTED, RESIZE_RESTART, RESIZE_UNFINISHED,
};
use stateward_core::facts::Fact;
use stateward_core::object::Quantity;
use stateward_core::record::snapshot;
use stateward_core::record::{Policy, Recreation, Retention};
use stateward_resize::observed::{Managers, Set};

use super::client::FIELD_MANAGER;
use super::json_fields::{
    annotation, controller, list, number, quantity, resize_max, terminating, text, uid,
};

/// Where kubectl keeps what was last applied.
const LAST_APPLIED: &str =
    "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";
/// Finalizers that the garbage collector takes off by itself.
const COLLECTOR: [&str; 2] = ["orphan", "foregroundDeletion"];

/// Reads a set; `re-creation` says what the record remembers of it, `before` is its snapshot.
pub(super) fn read(object: &Value, recreation: &Recreation, before: Option<&Value>) -> Set {
    let spec = |field: &str| format!("/spec/{field}");
    let templates = list(object, &spec("volumeClaimTemplates"));
    let sizes: BTreeMap<String, Quantity> = templates
        .iter()
        .filter_map(|template| {
            let size = quantity(template, "/spec/resources/requests/storage")?;
            Some((text(template, "/metadata/name").to_owned(), size))
        })
        .collect();
    let mut names: Vec<&str> = templates.iter().map(|one| text(one, "/metadata/name")).collect();
    names.sort_unstable();
    let finalizers = list(object, "/metadata/finalizers").iter().filter_map(Value::as_str);
    let owner = controller(object);
    let whole = |pointer: &str| number(object, pointer).and_then(|n| u32::try_from(n).ok());
    Set {
        uid: uid(object).to_owned(),
        resource_version: text(object, "/metadata/resourceVersion").to_owned(),
        terminating: terminating(object),
        foreign_finalizers: finalizers
            .filter(|name| !COLLECTOR.contains(name))
            .map(str::to_owned)
            .collect(),
        owner_managed: annotation(object, OWNER_MANAGED) == Some("allow"),
        owner: owner.map(|owner| format!("{} {}", text(owner, "/kind"), text(owner, "/name"))),
        generation_observed: number(object, "/metadata/generation")
            == number(object, "/status/observedGeneration"),
        replicas: whole("/spec/replicas").unwrap_or(1),
        first_ordinal: whole("/spec/ordinals/start").unwrap_or(0),
        ordered: text(object, &spec("podManagementPolicy")) != "Parallel",
        on_delete: text(object, &spec("updateStrategy/type")) == "OnDelete",
        partition: number(object, &spec("updateStrategy/rollingUpdate/partition")),
        retention: retention(object),
        retention_written: retention_written(object, recreation),
        duplicate_templates: names.windows(2).any(|pair| pair[0] == pair[1]),
        templates: sizes,
        current_revision: text(object, "/status/currentRevision").to_owned(),
        update_revision: text(object, "/status/updateRevision").to_owned(),
        resize_id: annotation(object, RESIZE_ID).map(str::to_owned),
        unfinished: annotation(object, RESIZE_UNFINISHED).map(str::to_owned),
        requested: requested(object),
        max: resize_max(object),
        paused: annotation(object, RESIZE_PAUSED) == Some("true"),
        evict: annotation(object, RESIZE_RESTART) == Some("evict"),
        managers: managers(object, before),
        writer: writer(object),
        snapshot: snapshot::encode(object).unwrap_or_default(),
    }
}

/// `resize-requested`. What is no JSON object asks for nothing: the webhook writes no such value,
/// and a person who does is told by the admission policy's side of it.
pub(super) fn requested(object: &Value) -> BTreeMap<String, String> {
    let text = annotation(object, RESIZE_REQUESTED).unwrap_or_default();
    serde_json::from_str(text).unwrap_or_default()
}

/// `spec.persistentVolumeClaimRetentionPolicy`; Kubernetes' default is to keep.
pub(super) fn retention(object: &Value) -> Retention {
    let policy = |field: &str| {
        let pointer = format!("/spec/persistentVolumeClaimRetentionPolicy/{field}");
        if text(object, &pointer) == "Delete" { Policy::Delete } else { Policy::Retain }
    };
    Retention { when_deleted: policy("whenDeleted"), when_scaled: policy("whenScaled") }
}

/// Whether anyone but us wrote a retention field that the retention pin changed.
///
/// The retention pin takes these fields from every other manager, so that whoever stands there again has
/// written since; until it is sent, those stand there who wrote before. kubectl's client-side apply leaves no trace in managedFields where it changes
/// nothing, but its annotation then names the value that it keeps.
fn retention_written(object: &Value, recreation: &Recreation) -> Fact<bool> {
    let Some(before) = recreation.retention else { return Fact::Known(false) };
    let applied: Option<Value> = match text(object, LAST_APPLIED) {
        "" => None,
        json => match serde_json::from_str(json) {
            Ok(applied) => Some(applied),
            Err(why) => return Fact::Unknown(format!("last-applied-configuration: {why}")),
        },
    };
    let fields = [("whenDeleted", before.when_deleted), ("whenScaled", before.when_scaled)];
    let written = fields.iter().filter(|(_, was)| *was == Policy::Delete).any(|(field, _)| {
        let owned = format!("/f:spec/f:persistentVolumeClaimRetentionPolicy/f:{field}");
        let pointer = format!("/spec/persistentVolumeClaimRetentionPolicy/{field}");
        let manager = own_managers(object).any(|entry| {
            text(entry, "/manager") != FIELD_MANAGER
                && entry["fieldsV1"].pointer(&owned).is_some()
                && !before_pin(entry, recreation)
        });
        manager || applied.as_ref().is_some_and(|applied| text(applied, &pointer) == "Retain")
    });
    Fact::Known(written)
}

/// Whether an entry of managedFields is older than the retention pin; in doubt, and within the second, not.
fn before_pin(entry: &Value, recreation: &Recreation) -> bool {
    let written: Option<Timestamp> = text(entry, "/time").parse().ok();
    matches!((written, recreation.pinned_since), (Some(written), Some(since))
        if written.as_second() < since.as_second())
}

/// The entries of managedFields that are not about a subresource.
pub(super) fn own_managers(object: &Value) -> impl Iterator<Item = &Value> {
    list(object, "/metadata/managedFields")
        .iter()
        .filter(|entry| text(entry, "/subresource").is_empty())
}

/// Who stands in managedFields.
fn managers(object: &Value, before: Option<&Value>) -> Managers {
    if before.is_some_and(|before| names(before) == names(object)) {
        Managers::Restored
    } else if own_managers(object).all(|entry| text(entry, "/manager") == FIELD_MANAGER) {
        Managers::OnlyOurs
    } else {
        Managers::Others
    }
}

/// Who, other than us, wrote `spec` last.
fn writer(object: &Value) -> Option<String> {
    let others = own_managers(object).filter(|entry| {
        text(entry, "/manager") != FIELD_MANAGER && entry.pointer("/fieldsV1/f:spec").is_some()
    });
    let last = others.max_by_key(|entry| text(entry, "/time"))?;
    Some(text(last, "/manager").to_owned())
}

/// Manager and operation of each entry: what the server may have normalised since are the fields.
fn names(object: &Value) -> Vec<(&str, &str)> {
    let mut names: Vec<_> = own_managers(object)
        .map(|entry| (text(entry, "/manager"), text(entry, "/operation")))
        .collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_wrote_retention_before_the_retention_pin_did_not_write_it_since() {
        let set = |manager: &str, time: &str| {
            let fields = json!({"f:spec": {"f:persistentVolumeClaimRetentionPolicy": {"f:whenDeleted": {}}}});
            json!({"metadata": {"managedFields": [
                {"manager": manager, "operation": "Update", "time": time, "fieldsV1": fields},
            ]}})
        };
        let recreation = Recreation {
            retention: Some(Retention {
                when_deleted: Policy::Delete,
                when_scaled: Policy::Retain,
            }),
            pinned_since: Some("2026-01-01T00:00:10Z".parse().unwrap()),
            ..Recreation::default()
        };
        let written = |manager, time| retention_written(&set(manager, time), &recreation);
        assert_eq!(written("kubectl", "2026-01-01T00:00:09Z"), Fact::Known(false));
        assert_eq!(written("kubectl", "2026-01-01T00:00:10Z"), Fact::Known(true), "in doubt");
        assert_eq!(written("kubectl", ""), Fact::Known(true), "in doubt");
        assert_eq!(written(FIELD_MANAGER, "2026-01-01T00:00:11Z"), Fact::Known(false));
    }
}
