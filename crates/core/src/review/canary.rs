//! The canary: a dry run that stateward itself refuses, so that somebody who sends it through the
//! API server sees whether refusals arrive. It is a create of a StatefulSet, which every other part
//! of the way treats like any other.
//!
//! Only a dry run of a set with this name and this annotation is a canary. Nothing is gained by
//! sending one: it is refused, or it is a dry run.

use super::WebhookKind;
use crate::annotations::CANARY;
use crate::change::{Change, Operation};
use crate::object::Kind;
use crate::policy::{Mode, Policy};

/// The name of the set.
pub const NAME: &str = "stateward-canary";
/// What a refusal says.
pub const REFUSED: &str = "stateward refuses its canary, as it should";
/// The warning where the policy refuses nothing.
pub const AUDIT: &str = "stateward would refuse its canary, but for mode: audit";

/// What becomes of a canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Refuse(&'static str),
    Warn(&'static str),
    Pass,
}

/// The webhook that is to refuse this change, if it is a canary.
pub(super) fn target(change: &Change<'_>) -> Option<WebhookKind> {
    if change.operation != Operation::Create
        || change.kind != Kind::StatefulSet
        || change.name != NAME
        || !change.circumstances.dry_run
    {
        return None;
    }
    let value = change.metadata()?.annotations.get(CANARY)?;
    WebhookKind::ALL.into_iter().find(|webhook| webhook.endpoint() == value)
}

/// What `webhook` answers to a canary for `target`.
pub(super) fn reply(target: WebhookKind, webhook: WebhookKind, policy: &Policy) -> Reply {
    match policy.mode {
        _ if webhook != target => Reply::Pass,
        Mode::Enforce => Reply::Refuse(REFUSED),
        Mode::Audit => Reply::Warn(AUDIT),
    }
}
