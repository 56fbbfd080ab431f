//! Pods and revisions as the API server gives them → what is read of them.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use stateward_core::object::names::pod_ordinal;
use stateward_core::record::RevisionName;
use stateward_resize::observed::{Pod, Revision};

use super::json_fields::{condition, controller, list, name, terminating, text, time, uid};

/// Reads a pod of the set `set`; nothing if the set gives no pod this name.
pub(super) fn read(
    pod: &Value,
    set: &str,
    min_ready: SignedDuration,
    now: Timestamp,
) -> Option<Pod> {
    let ready = condition(pod, "Ready");
    let since = ready.and_then(|ready| time(ready, "/lastTransitionTime"));
    Some(Pod {
        name: name(pod).to_owned(),
        uid: uid(pod).to_owned(),
        ordinal: pod_ordinal(name(pod), set)?,
        owner: controller(pod).map(|owner| text(owner, "/uid").to_owned()),
        revision: text(pod, "/metadata/labels/controller-revision-hash").to_owned(),
        terminating: terminating(pod),
        available: since.is_some_and(|since| now.duration_since(since) >= min_ready),
        created: time(pod, "/metadata/creationTimestamp").unwrap_or(now),
    })
}

/// The claims that a pod mounts.
pub(super) fn claims(pod: &Value) -> impl Iterator<Item = &str> {
    list(pod, "/spec/volumes")
        .iter()
        .map(|volume| text(volume, "/persistentVolumeClaim/claimName"))
        .filter(|name| !name.is_empty())
}

/// Reads a `ControllerRevision`; `live` are the UIDs of the namespace's sets.
pub(super) fn revision(object: &Value, live: &[&str], now: Timestamp) -> Revision {
    Revision {
        id: RevisionName { name: name(object).to_owned(), uid: uid(object).to_owned() },
        owner: controller(object).map(|owner| {
            let uid = text(owner, "/uid");
            (uid.to_owned(), live.contains(&uid))
        }),
        created: time(object, "/metadata/creationTimestamp").unwrap_or(now),
    }
}
