//! What a person does if stateward is removed in the middle of a step: commands that run as pasted.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stateward_core::record::{ClaimState, Policy, Retention};
use stateward_core::rules::Step;
use stateward_core::rules::remedy::{run, say};

use super::{PlannedClaim, Question, changes_retention};
use crate::observed::Set;
use stateward_core::annotations::{RESIZE_REQUESTED, RESIZE_UNFINISHED};

/// Manual recovery for one set.
pub(super) struct ManualRecovery<'h> {
    pub(super) question: &'h Question<'h>,
    pub(super) set: &'h Set,
}

impl ManualRecovery<'_> {
    fn kubectl(&self, rest: &str) -> String {
        self.question.commands.kubectl_in(self.question.namespace, rest)
    }

    fn patch(&self, kind: &str, kind_of_patch: &str, patch: &Value) -> String {
        let name = self.question.name;
        self.kubectl(&format!("patch {kind} {name} --type {kind_of_patch} -p '{patch}'"))
    }

    /// Raises the claims that are not raised yet.
    pub(super) fn grow(&self, claims: &[PlannedClaim]) -> Vec<Step> {
        let mut ways = vec![say("claims that were raised keep growing")];
        let mut by_size: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for claim in claims.iter().filter(|claim| claim.state == ClaimState::Short) {
            by_size.entry(&claim.to).or_default().push(&claim.name);
        }
        for (size, names) in by_size {
            let patch = json!({"spec": {"resources": {"requests": {"storage": size}}}});
            let patch = self.kubectl(&format!("patch pvc $claim --type merge -p '{patch}'"));
            let names = names.join(" ");
            ways.push(run(
                "raise the other claims; raising a claim twice changes nothing",
                format!("for claim in {names}; do {patch}; done"),
            ));
        }
        ways
    }

    /// Nothing is wrong: the template is only older than the claims.
    pub(super) fn rest() -> Vec<Step> {
        vec![say("nothing is broken; only a claim created by scaling up would have the old size")]
    }

    /// The set exists; retention may be `Retain`, and the record may carry a finalizer.
    pub(super) fn retention_pinned(&self) -> Vec<Step> {
        let mut ways = Vec::new();
        if changes_retention(self.set) {
            let patch = json!({"spec": {"persistentVolumeClaimRetentionPolicy": {
                "whenDeleted": word(self.set.retention.when_deleted),
                "whenScaled": word(self.set.retention.when_scaled),
            }}});
            ways.push(run("restore retention", self.patch("statefulset", "merge", &patch)));
        }
        ways.push(self.finalizer());
        ways
    }

    /// The set may be missing: it is restored from the record, with its old template.
    pub(super) fn recreation_window(&self) -> Vec<Step> {
        let name = self.question.name;
        let read = self
            .kubectl(&format!("get statefulsetresize {name} -o jsonpath='{{.status.snapshot}}'"));
        // The API server refuses to create an object that names a version.
        let patch = json!([{"op": "remove", "path": "/metadata/resourceVersion"}]);
        vec![
            run("see whether the set exists", self.kubectl(&format!("get statefulset {name}"))),
            run(
                "if it does not, re-create it as it was; it adopts its pods, and none restarts",
                format!(
                    "{read} | base64 -d | gunzip | {} -p '{patch}' -o json | {}",
                    self.kubectl("patch --local -f - --type json"),
                    self.kubectl("create -f -")
                ),
            ),
        ]
    }

    /// The set exists again, with a partition above its pods and with `Retain`.
    pub(super) fn adopting(&self) -> Vec<Step> {
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
        vec![run(
            "once the set owns every pod again, restore what was changed",
            self.patch("statefulset", "merge", &patch),
        )]
    }

    /// The set has the requested size; only the request and the finalizer are left.
    pub(super) fn verifying(&self) -> Vec<Step> {
        let name = self.question.name;
        vec![
            run(
                "remove the request from the set",
                self.kubectl(&format!("annotate statefulset {name} {RESIZE_REQUESTED}-")),
            ),
            self.finalizer(),
        ]
    }

    fn finalizer(&self) -> Step {
        let patch = json!({"metadata": {"finalizers": null}});
        run("remove the record's finalizer", self.patch("statefulsetresize", "merge", &patch))
    }
}

const fn word(policy: Policy) -> &'static str {
    match policy {
        Policy::Retain => "Retain",
        Policy::Delete => "Delete",
    }
}
