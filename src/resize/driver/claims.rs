//! A claim as the API server gives it → what is read of it.

use k8s_openapi::api::core::v1::PersistentVolumeSpec;
use serde::Deserialize as _;
use serde_json::Value;

use super::value::{annotation, condition, list, name, quantity, terminating, text, uid};
use crate::facts::cluster::is_growable;
use crate::resize::observed::{Claim, Progress};

/// Reads a claim that `template` and `ordinal` name; nothing where it asks for no storage.
pub(super) fn read(
    object: &Value,
    template: &str,
    ordinal: u32,
    cannot_grow: Option<String>,
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
        class: text(object, "/spec/storageClassName").to_owned(),
        cannot_grow,
        resize_id: annotation(object, "resize-id").map(str::to_owned),
        mounted: false,
        foreign: false,
    })
}

/// `allocatedResourceStatuses` says most (KEP-1790); conditions say the rest, and all of it where
/// the resizer is older.
fn progress(object: &Value) -> Progress {
    match text(object, "/status/allocatedResourceStatuses/storage") {
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

/// Why the volume cannot grow, where its source says so.
pub(super) fn cannot_grow(volume: &Value) -> Option<String> {
    let spec = PersistentVolumeSpec::deserialize(volume.get("spec")?).ok()?;
    (!is_growable(&spec)).then(|| "its volume is of no driver that grows volumes".to_owned())
}
