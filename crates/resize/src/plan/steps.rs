//! The steps of a resize, in order, each with the objects it touches and its manual recovery.

use serde::Serialize;
use stateward_core::facts::Fact;
use stateward_core::record::{ClaimState, Phase};
use stateward_core::rules::Step;

use super::manual_recovery::ManualRecovery;
use super::{PlannedClaim, Question, changes_retention, claims_noun};
use crate::View;
use crate::observed::Set;

/// One step.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedStep {
    /// its place, from 1 on
    pub number: usize,
    /// the phase that the record shows meanwhile
    pub phase: Phase,
    /// what is done
    pub what: String,
    /// what is written
    pub touches: Vec<Touch>,
    /// what a person does if stateward vanished here
    pub manual_recovery: Vec<Step>,
}

/// Something that is written.
#[derive(Clone, Debug, Serialize)]
pub struct Touch {
    /// a claim, the set or the record
    pub object: String,
    /// what becomes of it
    pub change: String,
}

fn touch(object: impl Into<String>, change: impl Into<String>) -> Touch {
    Touch { object: object.into(), change: change.into() }
}

/// All steps that are left.
pub(super) fn steps(
    question: &Question<'_>,
    view: &View<'_>,
    set: &Set,
    claims: &[PlannedClaim],
    re_creates: bool,
) -> Vec<PlannedStep> {
    let recovery = ManualRecovery { question, set };
    let statefulset = format!("StatefulSet {}", question.name);
    let mut steps = Vec::new();
    let mut add = |phase: Phase, what: String, touches: Vec<Touch>, manual_recovery: Vec<Step>| {
        let number = steps.len() + 1;
        steps.push(PlannedStep { number, phase, what, touches, manual_recovery });
    };
    let raised: Vec<Touch> = claims
        .iter()
        .filter(|claim| claim.state == ClaimState::Short)
        .map(|claim| touch(&claim.name, format!("{} → {}", claim.from, claim.to)))
        .collect();
    if !raised.is_empty() {
        let what = format!("raise {}; pods and set are not touched", claims_noun(raised.len()));
        add(Phase::Growing, what, raised, recovery.grow(claims));
    }
    let waits = |claim: &&PlannedClaim| {
        !matches!(
            claim.state,
            ClaimState::Done | ClaimState::NodePending | ClaimState::Stuck | ClaimState::Failed
        )
    };
    let waiting = claims.iter().filter(waits).count();
    if waiting > 0 {
        let what = format!("wait until the driver has grown {}", claims_noun(waiting));
        add(Phase::ClaimsGrown, what, Vec::new(), ManualRecovery::rest());
    }
    if !re_creates {
        return steps;
    }
    add(
        Phase::RetentionPinned,
        "prevent the claims from being garbage-collected with the set".to_owned(),
        pin_touches(question, view, set, &statefulset),
        recovery.retention_pinned(),
    );
    add(
        Phase::Deleting,
        "save the set in the record, then delete it and orphan its pods and claims".to_owned(),
        vec![
            touch("the record", "+ snapshot"),
            touch(&statefulset, "deleted (orphan), only at the version that was read"),
        ],
        recovery.recreation_window(),
    );
    let mut created: Vec<Touch> = question
        .targets
        .iter()
        .filter_map(|(template, to)| {
            let from = set.templates.get(template)?;
            Some(touch(&statefulset, format!("claim template {template} {from} → {to}")))
        })
        .collect();
    if !set.on_delete {
        let change = format!("partition {}, so that no pod is updated", set.frozen_partition());
        created.push(touch(&statefulset, change));
    }
    let what = "re-create the set from the record, with the requested sizes".to_owned();
    add(Phase::Creating, what, created, recovery.recreation_window());
    add(
        Phase::Adopting,
        "wait until the set owns all its pods, then restore what was changed".to_owned(),
        restored(set, &statefulset),
        recovery.adopting(),
    );
    add(
        Phase::Verifying,
        "check everything once more, and remove what is left of the resize".to_owned(),
        vec![
            touch(&statefulset, "field managers as before, - resize-requested"),
            touch("the record", "- snapshot, - finalizer"),
        ],
        recovery.verifying(),
    );
    steps
}

fn pin_touches(
    question: &Question<'_>,
    view: &View<'_>,
    set: &Set,
    statefulset: &str,
) -> Vec<Touch> {
    let mut touches = vec![touch(format!("the record {}", question.name), "+ finalizer")];
    if changes_retention(set) {
        let before = set.retention;
        let change = format!(
            "retention {:?}/{:?} → Retain/Retain during the re-creation",
            before.when_deleted, before.when_scaled
        );
        touches.push(touch(statefulset, change));
    }
    if let Fact::Known(claims) = &view.observed.claims {
        let leftover = claims
            .iter()
            .filter(|claim| !set.ordinals().contains(&claim.ordinal) && !claim.owners.is_empty());
        touches
            .extend(leftover.map(|claim| {
                touch(&claim.name, "- owner reference (left over from a scale-down)")
            }));
    }
    touches
}

fn restored(set: &Set, statefulset: &str) -> Vec<Touch> {
    let mut touches = Vec::new();
    if !set.on_delete {
        let before = set.partition.map_or("none".to_owned(), |partition| partition.to_string());
        touches
            .push(touch(statefulset, format!("partition {} → {before}", set.frozen_partition())));
    }
    if changes_retention(set) {
        let before = set.retention;
        let change =
            format!("retention Retain/Retain → {:?}/{:?}", before.when_deleted, before.when_scaled);
        touches.push(touch(statefulset, change));
    }
    touches
}
