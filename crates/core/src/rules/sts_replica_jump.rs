use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Findings, Judged, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;

declare_rule! {
    /// A set is scaled by many replicas in one step, up or down, by an edit or through its scale.
    ///
    /// ## Why
    /// New members copy their data from the existing ones, all at the same time under
    /// `podManagementPolicy: Parallel`. Members that are removed in a row may break a quorum, or take
    /// data that was not copied yet. A typo (30 for 3) also creates claims that nobody needs.
    ///
    /// ## Way out
    /// Scale by a few replicas at a time and wait until the members have joined or left.
    /// `sts-scale-to-zero` judges scaling to zero.
    StsReplicaJump {
        id: "sts-replica-jump",
        title: "a StatefulSet is scaled by many replicas at once",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Update], Scale: [Update]],
        source: "kubernetes.io/docs/tasks/run-application/scale-stateful-set",
    }
}

/// Parameters of `sts-replica-jump`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct ReplicaJumpParams {
    /// The most replicas by which one edit may raise or lower their number.
    max_step: u32,
}

impl Default for ReplicaJumpParams {
    /// Doubling a set of three or five stays quiet, a mistyped digit does not.
    fn default() -> Self {
        Self { max_step: 5 }
    }
}

impl Rule for StsReplicaJump {
    type Params = ReplicaJumpParams;

    fn check(
        params: &ReplicaJumpParams,
        change: &Change<'_>,
        facts: &Facts,
        findings: &mut Findings,
    ) -> Judged {
        let Some((old, new)) = change.scaled() else { return Ok(()) };
        // A step of nothing would never arrive.
        let most = i64::from(params.max_step.max(1));
        let step = new.saturating_sub(old);
        if new <= 0 || step.abs() <= most {
            return Ok(());
        }
        let next = old + most * step.signum();
        let (kubectl, name) = (remedy::kubectl(change), remedy::quoted(&change.name));
        let finding = findings.add(
            "/spec/replicas",
            format!("would be scaled by {} replicas at once, {old} → {new}", step.abs()),
        );
        let claims = remedy::scaled_claims(change, facts)?;
        finding.values(Some(&old.to_string()), Some(&new.to_string())).why(match claims {
            remedy::ScaledClaims::Kept if step > 0 => {
                "Every new member copies its data from the old ones, and each gets claims that stay \
                 when it is scaled away again."
            }
            _ if step > 0 => "Every new member copies its data from the old ones.",
            _ => {
                "Members that leave in a row can take a quorum, or data not yet copied, with them."
            }
        });
        let left_out = remedy::keep_replicas(change);
        if !left_out.is_empty() {
            finding.remedy(left_out);
            return Ok(());
        }
        if step < 0 && claims == remedy::ScaledClaims::Deleted {
            finding.step(format!(
                "first set persistentVolumeClaimRetentionPolicy.whenScaled: Retain {}, or each \
                 step deletes the claims of the pods that it removes",
                remedy::manifest_place(change.circumstances.tool)
            ));
        } else if step < 0 && claims == remedy::ScaledClaims::Unknown {
            finding.command(
                "see what becomes of the claims: Delete means that each step deletes claims",
                format!(
                    "{kubectl} get statefulset {name} -o jsonpath=\
                     '{{.spec.persistentVolumeClaimRetentionPolicy.whenScaled}}'"
                ),
            );
        }
        if change.circumstances.tool.keeper().is_some() {
            let place = remedy::manifest_place(change.circumstances.tool);
            finding.step(format!("set replicas: {next} {place} first"));
        } else {
            finding.command(
                format!("go to {next} first; no other pod restarts"),
                format!("{kubectl} scale statefulset {name} --replicas={next}"),
            );
        }
        finding
            .command(
                "wait until these pods are ready",
                format!(
                    "{kubectl} wait statefulset {name} --for=jsonpath='{{.status.readyReplicas}}'={next} \
                     --timeout=15m"
                ),
            )
            .step(format!(
                "go on in steps of {most}, {} to {new}",
                if step > 0 { "up" } else { "down" }
            ));
        Ok(())
    }
}
