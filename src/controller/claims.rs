//! A claim as the API server gives it → what is read of it.

use k8s_openapi::api::core::v1::PersistentVolume;
use serde::Deserialize as _;
use serde_json::Value;
use stateward_core::annotations::RESIZE_ID;
use stateward_core::facts::FixedVolume;
use stateward_core::object::claim::BETA_CLASS;
use stateward_resize::observed::{Claim, Progress};

use super::json_fields::{annotation, condition, list, name, quantity, terminating, text, uid};
use crate::cluster::facts;

/// Reads a claim that `template` and `ordinal` name; nothing where it asks for no storage.
pub(super) fn read(
    object: &Value,
    template: &str,
    ordinal: u32,
    fixed_volume: Option<FixedVolume>,
) -> Option<Claim> {
    let owners = list(object, "/metadata/ownerReferences").iter();
    Some(Claim {
        name: name(object).to_owned(),
        uid: uid(object).to_owned(),
        template: template.to_owned(),
        ordinal,
        request: quantity(object, "/spec/resources/requests/storage")?,
        capacity: quantity(object, "/status/capacity/storage"),
        progress: progress(object),
        terminating: terminating(object),
        owners: owners
            .filter(|owner| matches!(text(owner, "/kind"), "StatefulSet" | "Pod"))
            .map(|owner| text(owner, "/uid").to_owned())
            .collect(),
        class: class(object).to_owned(),
        fixed_volume,
        resize_id: annotation(object, RESIZE_ID).map(str::to_owned),
        mounted: false,
        foreign: false,
    })
}

/// The class, in the order in which Kubernetes reads it.
fn class(object: &Value) -> &str {
    match object["metadata"]["annotations"][BETA_CLASS].as_str() {
        Some(class) => class,
        None => text(object, "/spec/storageClassName"),
    }
}

/// `allocatedResourceStatuses` says most (KEP-1790); conditions say the rest, and all of it where
/// the resizer is older.
fn progress(object: &Value) -> Progress {
    let request = quantity(object, "/spec/resources/requests/storage");
    let allocated = quantity(object, "/status/allocatedResources/storage");
    // What could not be done was another size, since given up. (A file system that waits is waited
    // for whatever its size: the resizer begins no other expansion before.)
    let other = allocated.is_some() && allocated != request;
    match text(object, "/status/allocatedResourceStatuses/storage") {
        "ControllerResizeInfeasible" | "NodeResizeInfeasible" if other => Progress::Controller,
        "ControllerResizeInfeasible" => Progress::Infeasible,
        "NodeResizeInfeasible" => Progress::NodeFailed,
        "NodeResizePending" | "NodeResizeInProgress" => Progress::FileSystem,
        _ if condition(object, "FileSystemResizePending").is_some() => Progress::FileSystem,
        _ if condition(object, "NodeResizeError").is_some() => Progress::NodeFailed,
        status => match condition(object, "ControllerResizeError") {
            Some(error) if text(error, "/message").contains("FailedPrecondition") => {
                Progress::OfflineOnly
            }
            None if status.is_empty() && condition(object, "Resizing").is_none() => Progress::None,
            _ => Progress::Controller,
        },
    }
}

/// Why the volume cannot be expanded; the API server and the driver judge one that is not understood.
pub(super) fn fixed_volume(volume: &Value) -> Option<FixedVolume> {
    facts::fixed_volume(&PersistentVolume::deserialize(volume).ok()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_could_not_be_done_was_perhaps_another_size() {
        let claim = |request: &str, allocated: &str, state: &str| {
            progress(&json!({
                "spec": {"resources": {"requests": {"storage": request}}},
                "status": {
                    "allocatedResources": {"storage": allocated},
                    "allocatedResourceStatuses": {"storage": state},
                },
            }))
        };
        let infeasible = "ControllerResizeInfeasible";
        assert_eq!(claim("50Gi", "50Gi", infeasible), Progress::Infeasible);
        assert_eq!(claim("51200Mi", "50Gi", infeasible), Progress::Infeasible);
        // Lowered, and the resizer has not looked yet.
        assert_eq!(claim("18Gi", "50Gi", infeasible), Progress::Controller);
        assert_eq!(claim("18Gi", "50Gi", "NodeResizeInfeasible"), Progress::Controller);
        // The resizer begins nothing larger before this is done.
        assert_eq!(claim("30Gi", "20Gi", "NodeResizePending"), Progress::FileSystem);
    }

    #[test]
    fn the_resize_that_raised_a_claim_is_read() {
        let claim = json!({
            "metadata": {"annotations": {RESIZE_ID: "R/1"}},
            "spec": {"resources": {"requests": {"storage": "20Gi"}}},
        });
        let read = read(&claim, "data", 0, None).unwrap();
        assert_eq!(read.resize_id.as_deref(), Some("R/1"));
    }

    #[test]
    fn the_class_of_the_annotation_comes_first() {
        let claim = json!({
            "metadata": {"annotations": {BETA_CLASS: "old"}},
            "spec": {"storageClassName": "new"},
        });
        assert_eq!((class(&claim), class(&json!({}))), ("old", ""));
    }
}
