//! An action → requests.
//!
//! An edit reads the object anew, looks whether what it replaces is still there, and sends a patch
//! that the API server takes only at the resourceVersion that was looked at. So a patch that
//! arrives late, or twice, changes nothing that somebody has touched.

use std::collections::BTreeMap;

use hyper::Method;
use serde_json::{Value, json};
use stateward_core::annotations::{RESIZE_ID, RESIZE_REQUESTED, RESIZE_UNFINISHED};
use stateward_core::object::Quantity;
use stateward_core::record::snapshot;
use stateward_core::record::{FINALIZER, Retention, Status};
use stateward_resize::body::{BodyError, body};
use stateward_resize::crd::{API_VERSION, KIND};
use stateward_resize::step::Action;

use super::cluster::Cluster;
use super::json_fields::{annotation, list, name, number, quantity, text, uid};
use super::record::Stored;
use super::{Key, claims, set};
use crate::cluster::{Rejection, WriteOutcome, path};

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";

impl Cluster {
    /// Carries one action out. What is no write ([`Action::Wait`], [`Action::Refresh`],
    /// [`Action::DryRun`]) is committed by doing nothing.
    pub async fn carry_out(
        &self,
        key: &Key,
        record: Option<&Stored>,
        action: &Action,
    ) -> WriteOutcome {
        match action {
            Action::Wait { .. } | Action::Refresh | Action::DryRun => {
                WriteOutcome::Committed(Value::Null)
            }
            Action::CreateRecord => {
                let record = json!({
                    "apiVersion": API_VERSION, "kind": KIND,
                    "metadata": {"name": key.name, "namespace": key.namespace},
                    "spec": {},
                });
                self.client.write(Method::POST, &key.records(), JSON, &record).await
            }
            Action::WriteStatus(status) => self.write_status(key, record, status).await,
            Action::AddFinalizer | Action::RemoveFinalizer => {
                self.finalizer(key, record, *action == Action::AddFinalizer).await
            }
            Action::GrowClaim { claim, uid, from, to, had_id, id } => {
                let size = as_written(record, to);
                self.edit(&key.claim(claim), uid, |claim| {
                    let request = quantity(claim, "/spec/resources/requests/storage");
                    same(&request, &Some(from.clone()), "its request")?;
                    same(&claims::resize_id(claim), &had_id.as_deref(), "its resize-id")?;
                    Ok(json!({
                        "metadata": annotated(RESIZE_ID, id),
                        "spec": {"resources": {"requests": {"storage": size}}},
                    }))
                })
                .await
            }
            Action::RemoveClaimOwner { claim, uid, owner } => {
                self.edit(&key.claim(claim), uid, |claim| {
                    let owners = list(claim, "/metadata/ownerReferences");
                    let others: Vec<_> =
                        owners.iter().filter(|one| one["uid"] != owner.as_str()).collect();
                    same(&(others.len() + 1), &owners.len(), "its owners")?;
                    Ok(json!({"metadata": {"ownerReferences": others}}))
                })
                .await
            }
            Action::Evict { pod, uid } => self.evict(key, pod, uid).await,
            Action::PinRetention { uid, from, resource_version } => {
                self.edit(&key.set(), uid, |live| {
                    same(&version(live), &resource_version.as_str(), "it")?;
                    same(&set::retention(live), from, "its retention")?;
                    Ok(json!({"spec": retention(Retention::RETAIN)}))
                })
                .await
            }
            Action::RestoreRetention { uid, to, resource_version } => {
                self.edit(&key.set(), uid, |live| {
                    same(&version(live), &resource_version.as_str(), "it")?;
                    same(&set::retention(live), &Retention::RETAIN, "its retention")?;
                    Ok(json!({"spec": retention(*to)}))
                })
                .await
            }
            Action::BumpResourceVersion { uid, had, id } => {
                self.edit(&key.set(), uid, |live| {
                    same(&annotation(live, RESIZE_ID), &had.as_deref(), "its resize-id")?;
                    Ok(json!({"metadata": annotated(RESIZE_ID, id)}))
                })
                .await
            }
            Action::Delete { uid, resource_version } => {
                let options = delete_options(uid, resource_version);
                self.client.write(Method::DELETE, &key.set(), JSON, &options).await
            }
            Action::Create { snapshot, sizes, id } => {
                match snapshot::decode(snapshot)
                    .map_err(|why| why.to_string())
                    .and_then(|before| created(&before, sizes, id).map_err(|why| why.to_string()))
                {
                    Ok(set) => self.client.write(Method::POST, &key.sets(), JSON, &set).await,
                    Err(why) => WriteOutcome::Rejected(Rejection::changed(why)),
                }
            }
            Action::Unfreeze { uid, mark, partition, retention: to, resource_version } => {
                self.edit(&key.set(), uid, |live| {
                    if let Some(expected) = resource_version {
                        same(&version(live), &expected.as_str(), "it")?;
                    }
                    open(live, mark.as_deref(), *partition, *to)
                })
                .await
            }
            Action::RestoreManagers { uid } => self.restore_managers(key, record, uid).await,
            Action::ClearRequest { uid, value } => {
                self.edit(&key.set(), uid, |live| {
                    let text = annotation(live, RESIZE_REQUESTED).unwrap_or_default();
                    let stands: BTreeMap<String, String> =
                        serde_json::from_str(text).unwrap_or_default();
                    same(&stands, value, "its request")?;
                    Ok(json!({"metadata": annotated(RESIZE_REQUESTED, &None::<String>)}))
                })
                .await
            }
        }
    }

    /// Reads the object at `path`, asks `decide` for a merge patch of it, and sends that for the
    /// resourceVersion that was read.
    async fn edit(
        &self,
        path: &str,
        uid: &str,
        decide: impl FnOnce(&Value) -> Result<Value, String>,
    ) -> WriteOutcome {
        let object = match self.client.read(path).await {
            Ok(Some(object)) => object,
            Ok(None) => {
                return WriteOutcome::Rejected(Rejection::changed("it is not there any more"));
            }
            Err(why) => return WriteOutcome::Rejected(Rejection::changed(why.to_string())),
        };
        if self::uid(&object) != uid {
            return WriteOutcome::Rejected(Rejection::changed("another object has its name"));
        }
        match decide(&object) {
            Ok(mut edit) => {
                edit["metadata"]["uid"] = uid.into();
                edit["metadata"]["resourceVersion"] =
                    text(&object, "/metadata/resourceVersion").into();
                self.client.write(Method::PATCH, path, MERGE, &edit).await
            }
            Err(why) => WriteOutcome::Rejected(Rejection::changed(why)),
        }
    }

    async fn write_status(
        &self,
        key: &Key,
        record: Option<&Stored>,
        status: &Status,
    ) -> WriteOutcome {
        let Some(stored) = record else { return no_record() };
        let mut object = stored.object.clone();
        match serde_json::to_value(status) {
            Ok(status) => object["status"] = status,
            Err(why) => return WriteOutcome::Rejected(Rejection::changed(why.to_string())),
        }
        self.client.write(Method::PUT, &format!("{}/status", key.record()), JSON, &object).await
    }

    async fn finalizer(&self, key: &Key, record: Option<&Stored>, wanted: bool) -> WriteOutcome {
        let Some(stored) = record else { return no_record() };
        let mut names: Vec<&str> = list(&stored.object, "/metadata/finalizers")
            .iter()
            .filter_map(Value::as_str)
            .filter(|name| *name != FINALIZER)
            .collect();
        if wanted {
            names.push(FINALIZER);
        }
        let patch = json!({"metadata": {
            "uid": stored.record.uid,
            "resourceVersion": stored.resource_version(),
            "finalizers": names,
        }});
        self.client.write(Method::PATCH, &key.record(), MERGE, &patch).await
    }

    async fn evict(&self, key: &Key, pod: &str, uid: &str) -> WriteOutcome {
        let eviction = json!({
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"name": pod, "namespace": key.namespace},
            "deleteOptions": {"preconditions": {"uid": uid}},
        });
        let path = path(["api", "v1", "namespaces", &key.namespace, "pods", pod, "eviction"]);
        self.client.write(Method::POST, &path, JSON, &eviction).await
    }

    /// Puts back who owned the fields before; whoever writes the status stays.
    async fn restore_managers(
        &self,
        key: &Key,
        record: Option<&Stored>,
        uid: &str,
    ) -> WriteOutcome {
        let status = record.map(|stored| &stored.record.status);
        let snapshot = status.and_then(|status| status.snapshot.as_deref());
        let owners = status.map(|status| status.recreation.retention_owners.as_slice());
        let owners = owners.unwrap_or_default();
        let Some(before) = snapshot.and_then(|text| snapshot::decode(text).ok()) else {
            return WriteOutcome::Rejected(Rejection::changed("the record holds no snapshot"));
        };
        self.edit(&key.set(), uid, |live| {
            let ours = |entry: &Value| text(entry, "/manager") == crate::cluster::FIELD_MANAGER;
            same(&set::own_managers(live).all(ours), &true, "its managers")?;
            let now = list(live, "/metadata/managedFields");
            let now = now.iter().filter(|entry| !text(entry, "/subresource").is_empty());
            let mut entries = set::restored_managers(&before, live, owners);
            entries.extend(now.cloned());
            Ok(json!({"metadata": {"managedFields": entries}}))
        })
        .await
    }
}

impl Key {
    fn claim(&self, name: &str) -> String {
        path(["api", "v1", "namespaces", &self.namespace, "persistentvolumeclaims", name])
    }
}

fn no_record() -> WriteOutcome {
    WriteOutcome::Rejected(Rejection::changed("there is no record"))
}

fn version(object: &Value) -> &str {
    text(object, "/metadata/resourceVersion")
}

fn same<T: PartialEq>(stands: &T, expected: &T, what: &str) -> Result<(), String> {
    if stands == expected { Ok(()) } else { Err(format!("{what} has changed")) }
}

/// Metadata with one of our annotations; none removes it.
fn annotated(key: &str, value: &impl serde::Serialize) -> Value {
    json!({"annotations": {key: value}})
}

fn retention(retention: Retention) -> Value {
    json!({"persistentVolumeClaimRetentionPolicy": retention})
}

/// The size `to` as somebody wrote it, where somebody did.
fn as_written(record: Option<&Stored>, to: &Quantity) -> String {
    let request = record.and_then(|stored| stored.record.status.request.as_ref());
    let written = request.and_then(|request| {
        request.targets.values().find(|text| text.parse::<Quantity>().as_ref() == Ok(to))
    });
    written.cloned().unwrap_or_else(|| to.to_string())
}

/// An orphan delete of exactly this version of the set.
pub(super) fn delete_options(uid: &str, resource_version: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "DeleteOptions",
        "propagationPolicy": "Orphan",
        "preconditions": {"uid": uid, "resourceVersion": resource_version},
    })
}

/// The set to create from `before`.
pub(super) fn created(
    before: &Value,
    sizes: &BTreeMap<String, String>,
    id: &str,
) -> Result<Value, BodyError> {
    let start = number(before, "/spec/ordinals/start").unwrap_or(0);
    let replicas = number(before, "/spec/replicas").unwrap_or(1);
    let above_all = start.saturating_add(replicas).saturating_add(1);
    let set = body(before, sizes, id, above_all)?;
    debug_assert_eq!(name(&set), name(before));
    Ok(set)
}

fn open(
    live: &Value,
    mark: Option<&str>,
    partition: Option<(i64, Option<i64>)>,
    to: Option<Retention>,
) -> Result<Value, String> {
    same(&annotation(live, RESIZE_UNFINISHED), &mark, "its resize-unfinished")?;
    let mut spec = json!({});
    if let Some((frozen, before)) = partition {
        let stands = number(live, "/spec/updateStrategy/rollingUpdate/partition");
        same(&stands, &Some(frozen), "its partition")?;
        spec["updateStrategy"]["rollingUpdate"]["partition"] = before.into();
    }
    if let Some(to) = to {
        same(&set::retention(live), &Retention::RETAIN, "its retention")?;
        spec["persistentVolumeClaimRetentionPolicy"] = json!(to);
    }
    Ok(json!({"metadata": annotated(RESIZE_UNFINISHED, &None::<String>), "spec": spec}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stateward_core::record::Policy;

    #[test]
    fn a_snapshot_with_the_largest_numbers_overflows_nothing() {
        let before = json!({
            "metadata": {"name": "db"},
            "spec": {
                "replicas": i64::MAX, "ordinals": {"start": i64::MAX}, "volumeClaimTemplates": [],
            },
        });
        let set = created(&before, &BTreeMap::new(), "R/A").unwrap();
        assert_eq!(set["spec"]["updateStrategy"]["rollingUpdate"]["partition"], i64::MAX);
    }

    #[test]
    fn one_patch_puts_partition_and_retention_back() {
        let live = json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 4}}}});
        let delete = Retention { when_deleted: Policy::Delete, when_scaled: Policy::Retain };
        let patch = open(&live, None, Some((4, None)), Some(delete)).unwrap();
        assert_eq!(patch["spec"]["updateStrategy"]["rollingUpdate"], json!({"partition": null}));
        assert_eq!(
            patch["spec"]["persistentVolumeClaimRetentionPolicy"],
            json!({"whenDeleted": "Delete", "whenScaled": "Retain"})
        );
        assert_eq!(patch["metadata"]["annotations"], json!({RESIZE_UNFINISHED: null}));
        assert!(open(&live, Some("R/A"), None, None).unwrap_err().contains("unfinished"));
        assert!(open(&live, None, Some((5, None)), None).unwrap_err().contains("partition"));
    }
}
