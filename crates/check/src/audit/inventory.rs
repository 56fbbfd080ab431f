//! All sets, claims and resizes of a cluster, as the page of an audit shows them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use stateward_core::facts::{ClaimFact, Fact, Facts, RecordFact, SetFact};
use stateward_core::object::Quantity;
use stateward_core::packs::recognise;
use stateward_core::record::{Phase, Policy, Reason, State};

use crate::system::System;

/// A set and its claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditedSet<'f> {
    /// its namespace
    pub namespace: &'f str,
    /// its name
    pub name: &'f str,
    /// `spec.replicas`
    pub replicas: i64,
    /// the system that it runs; null if no pack knows it
    pub system: Option<System>,
    /// what happens to its claims when it is deleted
    pub when_deleted: Policy,
    /// what happens to the claims of pods that a scale-down removes
    pub when_scaled: Policy,
    /// its claims, by template and ordinal
    pub claims: Vec<AuditedClaim<'f>>,
}

/// A claim and its volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditedClaim<'f> {
    /// its namespace
    pub namespace: &'f str,
    /// its name
    pub name: &'f str,
    /// what it asks for
    pub size: Option<&'f Quantity>,
    /// its class; empty for none
    pub class: &'f str,
    /// its volume; empty while it is not bound
    pub volume: &'f str,
    /// what becomes of the volume when the claim is deleted; null if the volume is not known
    pub reclaim: Option<&'static str>,
    /// the pods that mount it
    pub pods: Vec<&'f str>,
    /// when its newest snapshot that is ready was taken; null if there is none, or snapshots are not known
    pub snapshot: Option<Timestamp>,
    /// it is deleted as soon as no pod mounts it
    pub deleting: bool,
}

/// A resize that is not complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditedResize<'f> {
    /// the namespace of its set
    pub namespace: &'f str,
    /// the name of its set
    pub name: &'f str,
    /// how far it is
    pub phase: &'f str,
    /// `Waiting`, `Blocked` or `Ended`; null while it makes progress
    pub state: Option<&'f str>,
    /// why it is in this state
    pub reason: Option<&'f str>,
    /// what the reason is about
    pub message: &'f str,
    /// somebody lets it rest
    pub paused: bool,
    /// claim template → requested size
    pub sizes: &'f BTreeMap<String, String>,
    /// how many claims have the requested size, of how many, as `2/3`; empty if none is counted
    pub claims_grown: &'f str,
}

/// The resizes that are not complete, and those that ended short of their request. None if no record can be
/// read.
pub(super) fn resizes(facts: &Facts) -> Option<Vec<AuditedResize<'_>>> {
    if facts.records.why_unknown().is_some() && facts.records.iter().next().is_none() {
        return None;
    }
    let open = |record: &RecordFact| !matches!(record.phase, Phase::Complete | Phase::Aborted);
    let records = facts.records.iter().filter(|(.., record)| open(record));
    let audited = records.map(|(namespace, name, record)| AuditedResize {
        namespace,
        name,
        phase: record.phase.as_str(),
        state: record.state.as_ref().map(State::as_str),
        reason: record.reason.as_ref().map(Reason::as_str),
        message: &record.message,
        paused: record.paused,
        sizes: &record.targets,
        claims_grown: &record.claims_grown,
    });
    Some(audited.collect())
}

impl<'f> AuditedSet<'f> {
    pub(super) fn new(facts: &Facts, namespace: &'f str, name: &'f str, set: &'f SetFact) -> Self {
        Self {
            namespace,
            name,
            replicas: set.replicas,
            system: recognise(&facts.packs, &set.traits()).map(System::from),
            when_deleted: set.when_deleted,
            when_scaled: set.when_scaled,
            claims: Vec::new(),
        }
    }
}

impl<'f> AuditedClaim<'f> {
    pub(super) fn new(
        facts: &Facts,
        namespace: &'f str,
        name: &'f str,
        claim: &'f ClaimFact,
        pods: Vec<&'f str>,
        snapshot: Option<Timestamp>,
    ) -> Self {
        let reclaim = match facts.volumes.get("", &claim.volume) {
            Fact::Known(Some(volume)) => Some(volume.reclaim.name()),
            Fact::Known(None) | Fact::Unknown(_) => None,
        };
        Self {
            namespace,
            name,
            size: claim.request.as_ref(),
            class: &claim.class,
            volume: &claim.volume,
            reclaim,
            pods,
            snapshot,
            deleting: claim.terminating,
        }
    }
}
