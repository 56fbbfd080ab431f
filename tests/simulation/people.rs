//! What people and their tools do while a resize is under way.

use serde_json::{Value, json};

use crate::actors::{is_going, text, uid};
use crate::server::store::Id;
use crate::server::{Reply, Server};
use crate::world::{NAMESPACE, Shape};

const PERSON: &str = "person";
const REQUESTED: &str = "stateward.dev/resize-requested";

/// One deed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// the webhook's answer to a growing template
    Request,
    LargerRequest,
    /// `resize apply`
    Record,
    Withdraw,
    Abort,
    Pause,
    Resume,
    DeleteRecord,
    EditImage,
    ScaleUp,
    ScaleDown,
    RetentionDelete,
    RetentionRetain,
    Label,
    DeleteOrphan,
    DeleteCascade,
    CreateSmall,
    CreateLarge,
    LowerClaim,
    GrowClaim,
    KillPod,
    CrashPod,
    MendPods,
    QuotaFull,
    QuotaGone,
    DeleteNamespace,
}

/// The deeds that a run may draw, the usual ones more often.
pub(crate) const DRAWN: [Deed; 29] = [
    Deed::Request,
    Deed::Request,
    Deed::Record,
    Deed::LargerRequest,
    Deed::LargerRequest,
    Deed::Withdraw,
    Deed::Abort,
    Deed::Abort,
    Deed::Pause,
    Deed::Resume,
    Deed::DeleteRecord,
    Deed::EditImage,
    Deed::EditImage,
    Deed::ScaleUp,
    Deed::ScaleDown,
    Deed::RetentionDelete,
    Deed::RetentionRetain,
    Deed::Label,
    Deed::DeleteOrphan,
    Deed::DeleteCascade,
    Deed::CreateSmall,
    Deed::CreateSmall,
    Deed::CreateLarge,
    Deed::LowerClaim,
    Deed::GrowClaim,
    Deed::KillPod,
    Deed::CrashPod,
    Deed::QuotaFull,
    Deed::DeleteNamespace,
];

/// Where objects like this one are created.
fn collection(id: &Id) -> String {
    id.path().trim_end_matches(&id.name).trim_end_matches('/').to_owned()
}

/// Does it; nothing where it cannot be done.
#[expect(clippy::too_many_lines, reason = "one match over everything that people do")]
pub(crate) fn does(server: &Server, shape: &Shape, deed: Deed) -> Option<Reply> {
    let set = server.get(&shape.id());
    let record = server.get(&shape.record());
    let patch = |id: &Id, body: Value| Some(server.send(PERSON, "PATCH", &id.path(), body));
    // The webhook refuses edits of a set that is going away through a record.
    let edit = |body: Value| {
        set.as_ref().filter(|set| !is_going(set))?;
        patch(&shape.id(), body)
    };
    let request = |size: &str| {
        let sizes: serde_json::Map<String, Value> =
            shape.templates.iter().map(|name| ((*name).to_owned(), size.into())).collect();
        let value = Value::Object(sizes).to_string();
        edit(json!({"metadata": {"annotations": {REQUESTED: value}}}))
    };
    let replicas = set.as_ref().and_then(|set| set["spec"]["replicas"].as_i64());
    match deed {
        Deed::Request => request("20Gi"),
        Deed::LargerRequest => request("30Gi"),
        Deed::Withdraw => edit(json!({"metadata": {"annotations": {REQUESTED: null}}})),
        Deed::Record => {
            let sizes: serde_json::Map<String, Value> = shape
                .templates
                .iter()
                .map(|name| ((*name).to_owned(), json!({"storage": "20Gi"})))
                .collect();
            if record.is_some() {
                return patch(&shape.record(), json!({"spec": {"targets": sizes}}));
            }
            let object = json!({
                "metadata": {"name": shape.name, "namespace": NAMESPACE},
                "spec": {"targets": sizes},
            });
            Some(server.send(PERSON, "POST", &collection(&shape.record()), object))
        }
        Deed::Abort => {
            let ends = record?["metadata"]["generation"].clone();
            patch(&shape.record(), json!({"spec": {"abort": ends}}))
        }
        Deed::Pause => patch(&shape.record(), json!({"spec": {"paused": true}})),
        Deed::Resume => patch(&shape.record(), json!({"spec": {"paused": null}})),
        Deed::DeleteRecord => {
            Some(server.send(PERSON, "DELETE", &shape.record().path(), Value::Null))
        }
        Deed::EditImage => {
            let containers =
                json!([{"name": "db", "image": format!("db:{}", server.up().as_millis())}]);
            edit(json!({"spec": {"template": {"spec": {"containers": containers}}}}))
        }
        Deed::ScaleUp => edit(json!({"spec": {"replicas": replicas? + 1}})),
        Deed::ScaleDown => edit(json!({"spec": {"replicas": (replicas? - 1).max(0)}})),
        Deed::RetentionDelete | Deed::RetentionRetain => {
            let policy = if deed == Deed::RetentionDelete { "Delete" } else { "Retain" };
            let retention = json!({"whenDeleted": policy, "whenScaled": policy});
            edit(json!({"spec": {"persistentVolumeClaimRetentionPolicy": retention}}))
        }
        Deed::Label => {
            edit(json!({"metadata": {"labels": {"seen": server.up().as_millis().to_string()}}}))
        }
        Deed::DeleteOrphan => {
            let options = json!({"propagationPolicy": "Orphan"});
            Some(server.send(PERSON, "DELETE", &shape.id().path(), options))
        }
        Deed::DeleteCascade => {
            let options = json!({"propagationPolicy": "Background"});
            Some(server.send(PERSON, "DELETE", &shape.id().path(), options))
        }
        Deed::CreateSmall | Deed::CreateLarge => {
            if set.is_some() {
                return None;
            }
            let size = if deed == Deed::CreateSmall { "10Gi" } else { "30Gi" };
            Some(server.send(PERSON, "POST", &collection(&shape.id()), shape.manifest(size)))
        }
        Deed::LowerClaim | Deed::GrowClaim => {
            let claim = format!("data-{}-{}", shape.name, shape.start);
            let id = Id::new("persistentvolumeclaims", NAMESPACE, &claim);
            let live = server.get(&id)?;
            let capacity = text(&live, "/status/capacity/storage");
            let gi: u32 = capacity.strip_suffix("Gi")?.parse().ok()?;
            let size = format!("{}Gi", gi + if deed == Deed::LowerClaim { 1 } else { 12 });
            patch(&id, json!({"spec": {"resources": {"requests": {"storage": size}}}}))
        }
        Deed::KillPod | Deed::CrashPod => {
            let id = Id::new("pods", NAMESPACE, &format!("{}-{}", shape.name, shape.start));
            let live = server.get(&id)?;
            if deed == Deed::CrashPod {
                return patch(&id, json!({"metadata": {"labels": {"crashes": "true"}}}));
            }
            let options = json!({"preconditions": {"uid": uid(&live)}});
            Some(server.send(PERSON, "DELETE", &id.path(), options))
        }
        Deed::MendPods => {
            for pod in server.all("pods") {
                if text(&pod, "/metadata/labels/crashes") == "true" {
                    let id = Id::new("pods", NAMESPACE, text(&pod, "/metadata/name"));
                    patch(&id, json!({"metadata": {"labels": {"crashes": null}}}));
                }
            }
            None
        }
        Deed::QuotaFull => {
            let sets = server.look(|store| store.list("statefulsets", NAMESPACE).len());
            let quota = json!({
                "metadata": {"name": "sets", "namespace": NAMESPACE},
                "spec": {"hard": {"count/statefulsets.apps": sets.to_string()}},
            });
            let id = Id::new("resourcequotas", NAMESPACE, "sets");
            Some(server.send(PERSON, "POST", &collection(&id), quota))
        }
        Deed::QuotaGone => {
            let id = Id::new("resourcequotas", NAMESPACE, "sets");
            Some(server.send(PERSON, "DELETE", &id.path(), Value::Null))
        }
        Deed::DeleteNamespace => {
            let id = Id::new("namespaces", "", NAMESPACE);
            Some(server.send(PERSON, "DELETE", &id.path(), Value::Null))
        }
    }
}

/// Puts right what people left behind, so that what rests does so for a reason of its own.
pub(crate) fn mend(server: &Server, shape: &Shape) {
    for deed in [Deed::Resume, Deed::MendPods, Deed::QuotaGone] {
        does(server, shape, deed);
    }
}
