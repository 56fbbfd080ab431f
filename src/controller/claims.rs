//! A claim as the API server gives it → what is read of it.

use std::collections::BTreeSet;

use serde::Deserialize as _;
use serde_json::Value;
use stateward_core::annotations::RESIZE_ID;
use stateward_core::facts::{FixedVolume, read};
use stateward_core::object::claim::BETA_CLASS;
use stateward_resize::observed::{Claim, Progress};

use super::json_fields::{annotation, condition, list, name, quantity, terminating, text, uid};

/// Longer than every `resize-id` that stateward writes.
const LONGEST_ID: usize = 128;
/// Longer than every name of a StorageClass.
const LONGEST_CLASS: usize = 254;

/// Reads a claim that `template` and `ordinal` name; nothing if it asks for no storage. Why its
/// volume is fixed, and who mounts it, is not in the object.
pub(super) fn read(object: &Value, template: &str, ordinal: u32) -> Option<Claim> {
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
        fixed_volume: None,
        resize_id: resize_id(object).map(str::to_owned),
        mounted: false,
        foreign: false,
    })
}

/// The class, in the order in which Kubernetes reads it.
fn class(object: &Value) -> &str {
    let annotated = annotation(object, BETA_CLASS);
    cut(annotated.unwrap_or_else(|| text(object, "/spec/storageClassName")), LONGEST_CLASS)
}

/// The annotation `resize-id`.
pub(super) fn resize_id(object: &Value) -> Option<&str> {
    annotation(object, RESIZE_ID).map(|id| cut(id, LONGEST_ID))
}

/// The beginning of a text that somebody else may have made as long as an annotation can be.
fn cut(text: &str, characters: usize) -> &str {
    let end = text.char_indices().nth(characters).map(|(at, _)| at);
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// Keeps the owners among `uids` and the first of all others: one is as good as thousands to tell
/// that somebody else owns the claim.
pub(super) fn reduce_owners(owners: &mut Vec<String>, uids: &BTreeSet<&str>) {
    let mut others = 0;
    owners.retain(|owner| {
        let known = uids.contains(owner.as_str());
        others += usize::from(!known);
        known || others == 1
    });
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
    read::fixed_volume(&read::PersistentVolume::deserialize(volume).ok()?)
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
        let read = read(&claim, "data", 0).unwrap();
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

    #[test]
    fn of_annotations_that_are_too_long_only_the_beginning_is_kept() {
        let long = "ü".repeat(100_000);
        let claim = json!({
            "metadata": {"annotations": {BETA_CLASS: long, RESIZE_ID: long}},
            "spec": {"resources": {"requests": {"storage": "20Gi"}}},
        });
        let read = read(&claim, "data", 0).unwrap();
        assert_eq!(read.class.chars().count(), LONGEST_CLASS);
        assert_eq!(read.resize_id.map(|id| id.chars().count()), Some(LONGEST_ID));
    }

    #[test]
    fn owners_that_are_not_the_set_or_its_pods_are_kept_once() {
        let mut owners: Vec<String> =
            ["other", "set", "another", "pod"].into_iter().map(str::to_owned).collect();
        reduce_owners(&mut owners, &BTreeSet::from(["set", "pod"]));
        assert_eq!(owners, ["other", "set", "pod"]);
    }
}
