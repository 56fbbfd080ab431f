//! A set as the API server gives it → what is read of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use stateward_core::annotations::{
    OWNER_MANAGED, RESIZE_ID, RESIZE_MAX, RESIZE_PAUSED, RESIZE_REQUESTED, RESIZE_RESTART,
    RESIZE_UNFINISHED,
};
use stateward_core::facts::Fact;
use stateward_core::object::Quantity;
use stateward_core::object::metadata::COLLECTOR_FINALIZERS;
use stateward_core::record::snapshot;
use stateward_core::record::{Policy, Recreation, Retention, RetentionOwner};
use stateward_resize::observed::{Managers, Set};

use super::json_fields::{
    annotation, controller, list, number, quantity, terminating, text, time, uid,
};
use crate::cluster::FIELD_MANAGER;

/// Where kubectl keeps what was last applied.
const LAST_APPLIED: &str =
    "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";

/// Reads a set; `recreation` is what the record remembers of it, and `before` is its snapshot.
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
        deleted: time(object, "/metadata/deletionTimestamp"),
        foreign_finalizers: finalizers
            .filter(|name| !COLLECTOR_FINALIZERS.contains(name))
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
        resize_max: annotation(object, RESIZE_MAX).map(str::to_owned),
        paused: annotation(object, RESIZE_PAUSED) == Some("true"),
        evict: annotation(object, RESIZE_RESTART) == Some("evict"),
        managers: managers(object, before, recreation),
        retention_owners: retention_owners(object),
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
                && !(text(object, &pointer) == "Delete" && timeless(entry, field, recreation))
        });
        manager || applied.as_ref().is_some_and(|applied| text(applied, &pointer) == "Retain")
    });
    Fact::Known(written)
}

/// Whether an entry of managedFields has no time, as that of a server-side apply that changed nothing,
/// and owned the field before the retention pin. While the field is as it was then, nobody wrote it.
fn timeless(entry: &Value, field: &str, recreation: &Recreation) -> bool {
    text(entry, "/time").is_empty()
        && recreation.retention_owners.iter().any(|owner| {
            owner.manager == text(entry, "/manager")
                && owner.operation == text(entry, "/operation")
                && owner.fields.iter().any(|owned| owned == field)
        })
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

/// The fields of the retention policy.
const RETENTION_FIELDS: [&str; 2] = ["whenDeleted", "whenScaled"];
/// Their place in an entry of managedFields.
const OWNED_RETENTION: &str = "/fieldsV1/f:spec/f:persistentVolumeClaimRetentionPolicy";

/// Who, other than us, owns fields of the retention policy.
fn retention_owners(object: &Value) -> Vec<RetentionOwner> {
    let others = own_managers(object).filter(|entry| text(entry, "/manager") != FIELD_MANAGER);
    let owner = |entry: &Value| {
        let owns = |field: &&&str| entry.pointer(&format!("{OWNED_RETENTION}/f:{field}")).is_some();
        let fields: Vec<String> =
            RETENTION_FIELDS.iter().filter(owns).map(|field| (*field).to_owned()).collect();
        (!fields.is_empty()).then(|| RetentionOwner {
            manager: text(entry, "/manager").to_owned(),
            operation: text(entry, "/operation").to_owned(),
            fields,
        })
    };
    others.filter_map(owner).collect()
}

/// The managers of `before`, with the fields of the retention policy given back to who owned them
/// before the retention pin. A field that is `Retain` in `live` was not restored, and stays ours.
pub(super) fn restored_managers(
    before: &Value,
    live: &Value,
    owners: &[RetentionOwner],
) -> Vec<Value> {
    let mut entries: Vec<Value> = own_managers(before).cloned().collect();
    for field in RETENTION_FIELDS {
        let restored = text(live, &format!("/spec/persistentVolumeClaimRetentionPolicy/{field}"));
        let owns = |owner: &&RetentionOwner| owner.fields.iter().any(|owned| owned == field);
        if restored != "Delete" || !owners.iter().any(|owner| owns(&owner)) {
            continue;
        }
        for entry in &mut entries {
            if text(entry, "/manager") == FIELD_MANAGER {
                disown(entry, field);
            }
        }
        for owner in owners.iter().filter(owns) {
            own(&mut entries, owner, field);
        }
    }
    entries.retain(|entry| entry["fieldsV1"].as_object().is_some_and(|fields| !fields.is_empty()));
    entries
}

/// Takes a field of the retention policy out of an entry, and what is empty then.
fn disown(entry: &mut Value, field: &str) {
    let Some(policy) = entry.pointer_mut(OWNED_RETENTION).and_then(Value::as_object_mut) else {
        return;
    };
    policy.remove(&format!("f:{field}"));
    if policy.keys().any(|key| key != ".") {
        return;
    }
    let Some(spec) = entry.pointer_mut("/fieldsV1/f:spec").and_then(Value::as_object_mut) else {
        return;
    };
    spec.remove("f:persistentVolumeClaimRetentionPolicy");
    if spec.is_empty()
        && let Some(fields) = entry["fieldsV1"].as_object_mut()
    {
        fields.remove("f:spec");
    }
}

/// Gives a field of the retention policy to a manager.
fn own(entries: &mut Vec<Value>, owner: &RetentionOwner, field: &str) {
    let is_owner = |entry: &Value| {
        text(entry, "/manager") == owner.manager && text(entry, "/operation") == owner.operation
    };
    let index = entries.iter().position(is_owner).unwrap_or_else(|| {
        entries.push(json!({
            "manager": owner.manager, "operation": owner.operation,
            "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": {},
        }));
        entries.len() - 1
    });
    // Any part of an entry may have another type: the snapshot is data of the record.
    let field = format!("f:{field}");
    let path = ["fieldsV1", "f:spec", "f:persistentVolumeClaimRetentionPolicy", &field];
    let place = path.into_iter().fold(&mut entries[index], |at, key| {
        if !at.is_object() {
            *at = json!({});
        }
        &mut at[key]
    });
    *place = json!({});
}

/// Who stands in managedFields.
fn managers(object: &Value, before: Option<&Value>, recreation: &Recreation) -> Managers {
    let owners = &recreation.retention_owners;
    let restored = before.map(|before| restored_managers(before, object, owners));
    if restored.is_some_and(|restored| names(restored.iter()) == names(own_managers(object))) {
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
fn names<'e>(entries: impl Iterator<Item = &'e Value>) -> Vec<(&'e str, &'e str)> {
    let mut names: Vec<_> =
        entries.map(|entry| (text(entry, "/manager"), text(entry, "/operation"))).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn an_entry_without_a_time_that_stood_there_before_the_retention_pin_wrote_nothing_since() {
        let set = |deleted: &str| {
            let fields = json!({"f:spec": {"f:persistentVolumeClaimRetentionPolicy": {"f:whenDeleted": {}}}});
            json!({
                "metadata": {"managedFields": [
                    {"manager": "argocd-controller", "operation": "Apply", "fieldsV1": fields},
                ]},
                "spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": deleted}},
            })
        };
        let mut recreation = Recreation {
            retention: Some(Retention {
                when_deleted: Policy::Delete,
                when_scaled: Policy::Retain,
            }),
            pinned_since: Some("2026-01-01T00:00:10Z".parse().unwrap()),
            retention_owners: retention_owners(&set("Delete")),
            ..Recreation::default()
        };
        assert_eq!(retention_written(&set("Delete"), &recreation), Fact::Known(false));
        // It keeps what the retention pin wrote: that is a wish of its own.
        assert_eq!(retention_written(&set("Retain"), &recreation), Fact::Known(true));
        recreation.retention_owners.clear();
        assert_eq!(retention_written(&set("Delete"), &recreation), Fact::Known(true), "it is new");
    }

    #[test]
    fn the_fields_of_the_retention_policy_go_back_to_their_owners() {
        let owned = |field: &str| json!({"f:spec": {"f:persistentVolumeClaimRetentionPolicy": {format!("f:{field}"): {}}}});
        let entry = |manager: &str, operation: &str, fields: Value| {
            json!({"manager": manager, "operation": operation, "apiVersion": "apps/v1",
                   "fieldsType": "FieldsV1", "fieldsV1": fields})
        };
        let set = |entries: Value, deleted: &str| {
            json!({
                "metadata": {"managedFields": entries},
                "spec": {"persistentVolumeClaimRetentionPolicy":
                    {"whenDeleted": deleted, "whenScaled": "Retain"}},
            })
        };
        let argo = entry("argocd-controller", "Apply", owned("whenDeleted"));
        let kubectl = entry("kubectl", "Update", json!({"f:spec": {"f:replicas": {}}}));
        let owners = retention_owners(&set(json!([argo, kubectl]), "Delete"));
        assert_eq!(owners.len(), 1);
        // What the retention pin leaves: Argo's entry is empty and gone, the field is ours.
        let pinned =
            set(json!([kubectl, entry(FIELD_MANAGER, "Update", owned("whenDeleted"))]), "Retain");
        let live = set(json!([]), "Delete");
        let restored = restored_managers(&pinned, &live, &owners);
        assert_eq!(names(restored.iter()), [("argocd-controller", "Apply"), ("kubectl", "Update")]);
        let given = restored.iter().find(|one| text(one, "/manager") == "argocd-controller");
        assert_eq!(given.unwrap()["fieldsV1"], owned("whenDeleted"));
        // An entry that has other fields keeps them, and ours keeps what else is ours.
        let mut ours = owned("whenDeleted");
        ours["f:metadata"] = json!({"f:labels": {}});
        let argo = entry("argocd-controller", "Apply", json!({"f:spec": {"f:replicas": {}}}));
        let pinned = set(json!([argo, entry(FIELD_MANAGER, "Update", ours)]), "Retain");
        let restored = restored_managers(&pinned, &live, &owners);
        assert_eq!(restored[0]["fieldsV1"]["f:spec"]["f:replicas"], json!({}));
        assert!(restored[0].pointer(&format!("{OWNED_RETENTION}/f:whenDeleted")).is_some());
        assert_eq!(restored[1]["fieldsV1"], json!({"f:metadata": {"f:labels": {}}}));
        // Retention that stays Retain stays ours.
        let kept = restored_managers(&pinned, &pinned, &owners);
        assert_eq!(kept, own_managers(&pinned).cloned().collect::<Vec<_>>());
    }

    #[test]
    fn a_snapshot_with_fields_of_other_types_is_restored_without_a_panic() {
        let owner = |manager: &str| RetentionOwner {
            manager: manager.to_owned(),
            operation: String::new(),
            fields: vec!["whenDeleted".to_owned()],
        };
        let live =
            json!({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}}});
        for entry in [
            json!("text"),
            json!(["text"]),
            json!({"fieldsV1": "text"}),
            json!({"fieldsV1": {"f:spec": 7}}),
            json!({"fieldsV1": {"f:spec": {"f:persistentVolumeClaimRetentionPolicy": []}}}),
        ] {
            let before = json!({"metadata": {"managedFields": [entry.clone()]}});
            let restored = restored_managers(&before, &live, &[owner("")]);
            let given = restored[0].pointer(&format!("{OWNED_RETENTION}/f:whenDeleted"));
            assert_eq!(given, Some(&json!({})), "{entry}");
        }
    }
}
