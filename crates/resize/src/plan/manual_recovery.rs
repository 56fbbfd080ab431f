//! What a person does where stateward vanished in the middle of a step: commands that run as
//! pasted.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stateward_core::record::{ClaimState, Policy, Retention};

use super::steps::ByHand;
use super::{PlannedClaim, Question, changes_retention};
use crate::observed::Set;
use stateward_core::annotations::{RESIZE_REQUESTED, RESIZE_UNFINISHED};

/// Ways out for one set.
pub(super) struct ManualRecovery<'h> {
    pub(super) question: &'h Question<'h>,
    pub(super) set: &'h Set,
}

impl ManualRecovery<'_> {
    fn kubectl(&self, rest: &str) -> String {
        format!("kubectl -n {} {rest}", self.question.namespace)
    }

    fn patch(&self, kind: &str, kind_of_patch: &str, patch: &Value) -> String {
        let name = self.question.name;
        self.kubectl(&format!("patch {kind} {name} --type {kind_of_patch} -p '{patch}'"))
    }

    /// Raises the claims that are not raised yet.
    pub(super) fn grow(&self, claims: &[PlannedClaim]) -> Vec<ByHand> {
        let mut ways = vec![ByHand::say("claims that were raised go on growing by themselves")];
        let mut by_size: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for claim in claims.iter().filter(|claim| claim.state == ClaimState::Short) {
            by_size.entry(&claim.to).or_default().push(&claim.name);
        }
        for (size, names) in by_size {
            let patch = json!({"spec": {"resources": {"requests": {"storage": size}}}});
            let patch = self.kubectl(&format!("patch pvc $claim --type merge -p '{patch}'"));
            let names = names.join(" ");
            ways.push(ByHand::run(
                "raise the others; raising one twice changes nothing",
                format!("for claim in {names}; do {patch}; done"),
            ));
        }
        ways
    }

    /// Nothing is wrong: the template is only older than the claims.
    pub(super) fn rest() -> Vec<ByHand> {
        vec![ByHand::say(
            "nothing is broken: only a claim made by scaling up would be of the old size",
        )]
    }

    /// The set stands; retention may be `Retain`, and the record may carry a finalizer.
    pub(super) fn retention_pinned(&self) -> Vec<ByHand> {
        let mut ways = Vec::new();
        if changes_retention(self.set) {
            let patch = json!({"spec": {"persistentVolumeClaimRetentionPolicy": {
                "whenDeleted": word(self.set.retention.when_deleted),
                "whenScaled": word(self.set.retention.when_scaled),
            }}});
            ways.push(ByHand::run(
                "put retention back",
                self.patch("statefulset", "merge", &patch),
            ));
        }
        ways.push(self.finalizer());
        ways
    }

    /// The set may be gone: it comes back from the record, with its old template.
    pub(super) fn recreation_window(&self) -> Vec<ByHand> {
        let name = self.question.name;
        let read = self
            .kubectl(&format!("get statefulsetresize {name} -o jsonpath='{{.status.snapshot}}'"));
        // The API server refuses to create an object that names a version.
        let patch = json!([{"op": "remove", "path": "/metadata/resourceVersion"}]);
        vec![
            ByHand::run(
                "see whether the set is there",
                self.kubectl(&format!("get statefulset {name}")),
            ),
            ByHand::run(
                "where it is not, create it again as it was; it takes over its pods, none restarts",
                format!(
                    "{read} | base64 -d | gunzip | kubectl patch --local -f - --type json \
                     -p '{patch}' -o json | {}",
                    self.kubectl("create -f -")
                ),
            ),
        ]
    }

    /// The set is back, with a partition that holds its pods and `Retain`.
    pub(super) fn adopting(&self) -> Vec<ByHand> {
        let mut spec = json!({});
        if !self.set.on_delete {
            let partition = self.set.partition.unwrap_or(0);
            spec["updateStrategy"] = json!({"rollingUpdate": {"partition": partition}});
        }
        if changes_retention(self.set) {
            let Retention { when_deleted, when_scaled } = self.set.retention;
            spec["persistentVolumeClaimRetentionPolicy"] =
                json!({"whenDeleted": word(when_deleted), "whenScaled": word(when_scaled)});
        }
        // The next resize would take it for a set that nobody finished.
        let annotations = json!({RESIZE_UNFINISHED: null});
        let patch = json!({"metadata": {"annotations": annotations}, "spec": spec});
        vec![ByHand::run(
            "once the set owns every pod again, put back what was changed",
            self.patch("statefulset", "merge", &patch),
        )]
    }

    /// The set is as asked; only traces are left.
    pub(super) fn verifying(&self) -> Vec<ByHand> {
        let name = self.question.name;
        vec![
            ByHand::run(
                "take the request off the set",
                self.kubectl(&format!("annotate statefulset {name} {RESIZE_REQUESTED}-")),
            ),
            self.finalizer(),
        ]
    }

    fn finalizer(&self) -> ByHand {
        let patch = json!({"metadata": {"finalizers": null}});
        ByHand::run(
            "take off what keeps the record from being deleted",
            self.patch("statefulsetresize", "merge", &patch),
        )
    }
}

const fn word(policy: Policy) -> &'static str {
    match policy {
        Policy::Retain => "Retain",
        Policy::Delete => "Delete",
    }
}
