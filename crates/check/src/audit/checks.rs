//! What an audit looks for: one table for its findings, its documentation and SARIF.

use crate::report::{Check, Severity};

use Severity::{Lost, Note, Risk, Stuck};

const fn check(severity: Severity, id: &'static str, title: &'static str) -> Check {
    Check { id, severity, title }
}

/// All of them, the worst first.
pub const CHECKS: [Check; 15] = [
    VOLUME_GONE,
    DELETED_IN_USE,
    RETENTION_DELETE,
    RETENTION_SCALED,
    SIZES_DIFFER,
    SIZE_DRIFT,
    NOT_BOUND,
    DOES_NOT_START,
    BLOCKS_DRAIN,
    ONE_NODE,
    ONE_ZONE,
    NO_SNAPSHOT,
    LEFTOVER,
    UNUSED,
    CANNOT_GROW,
];

pub(super) const VOLUME_GONE: Check =
    check(Lost, "volume-gone", "the volume of a claim does not exist any more");
pub(super) const DELETED_IN_USE: Check = check(
    Risk,
    "deleted-in-use",
    "a claim is being deleted and only waits for its pods; its volume goes with it",
);
pub(super) const RETENTION_DELETE: Check =
    check(Risk, "retention-delete", "deleting a set deletes its claims (`whenDeleted: Delete`)");
pub(super) const RETENTION_SCALED: Check =
    check(Risk, "retention-scaled", "a scale-down deletes claims (`whenScaled: Delete`)");
pub(super) const SIZES_DIFFER: Check =
    check(Risk, "sizes-differ", "claims of one claim template have different sizes");
pub(super) const SIZE_DRIFT: Check = check(
    Risk,
    "size-drift",
    "claims have another size than their claim template, which new pods get",
);
pub(super) const NOT_BOUND: Check =
    check(Stuck, "not-bound", "a claim has no volume, and a pod waits for it");
pub(super) const DOES_NOT_START: Check = check(
    Stuck,
    "does-not-start",
    "a pod of a set does not start. With `podManagementPolicy: OrderedReady` it gets no corrected template \
     until somebody deletes it ([kubernetes#67250](https://github.com/kubernetes/kubernetes/issues/67250))",
);
pub(super) const BLOCKS_DRAIN: Check = check(
    Stuck,
    "blocks-drain",
    "a PodDisruptionBudget allows no eviction of a set's pods, so `kubectl drain` never ends",
);
pub(super) const ONE_NODE: Check =
    check(Note, "one-node", "all pods of a set run on one node, and there are others");
pub(super) const ONE_ZONE: Check =
    check(Note, "one-zone", "all pods of a set run in one zone, and there are others");
pub(super) const NO_SNAPSHOT: Check =
    check(Note, "no-snapshot", "no claim of a set has a VolumeSnapshot, while other claims have");
pub(super) const LEFTOVER: Check = check(
    Note,
    "leftover",
    "claims of pods that a set no longer has; a scale-up uses them again. Kubernetes 1.37 tells since when \
     they are unused",
);
pub(super) const UNUSED: Check =
    check(Note, "unused", "no pod mounts a claim, and no set has its name; since when, as above");
pub(super) const CANNOT_GROW: Check = check(
    Note,
    "cannot-grow",
    "the StorageClass does not exist or does not allow volumes to grow, or its driver cannot grow them",
);
