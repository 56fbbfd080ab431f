//! The canary: a dry run that stateward itself refuses, so that somebody who sends it through the
//! API server sees whether refusals arrive. It is a create of a StatefulSet, which every other part
//! of the way treats like any other.
//!
//! Only a dry run of a set with this name and this annotation is a canary. Nothing is gained by
//! sending one: it is refused, or it is a dry run.

use crate::annotations::CANARY;
use crate::change::{Change, Operation};
use crate::decide::Stage;
use crate::object::Kind;
use crate::policy::{Mode, Policy};

/// The name of the set.
pub const NAME: &str = "stateward-canary";
/// What a refusal says.
pub const REFUSED: &str = "stateward refuses its canary, as it should";
/// The warning where the policy refuses nothing.
pub const AUDIT: &str = "stateward would refuse its canary, but for mode: audit";

/// The webhook that a canary is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canary {
    /// the mutating one
    Mutate,
    /// the validating one
    Validate,
}

/// What becomes of a canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Refuse(&'static str),
    Warn(&'static str),
    Pass,
}

impl Canary {
    /// Both, in the order in which the API server asks the webhooks.
    pub const ALL: [Self; 2] = [Self::Mutate, Self::Validate];

    /// The value of the annotation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mutate => "mutate",
            Self::Validate => "validate",
        }
    }

    pub(super) fn of(change: &Change<'_>) -> Option<Self> {
        if change.operation != Operation::Create
            || change.kind != Kind::StatefulSet
            || change.name != NAME
            || !change.circumstances.dry_run
        {
            return None;
        }
        let value = change.metadata()?.annotations.get(CANARY)?;
        Self::ALL.into_iter().find(|canary| canary.name() == value)
    }

    pub(super) fn answer(self, stage: Stage, policy: &Policy) -> Reply {
        let mine = match self {
            Self::Mutate => Stage::Mutating,
            Self::Validate => Stage::Validating,
        };
        match policy.mode {
            _ if stage != mine => Reply::Pass,
            Mode::Enforce => Reply::Refuse(REFUSED),
            Mode::Audit => Reply::Warn(AUDIT),
        }
    }
}
