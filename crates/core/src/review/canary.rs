//! The canary: a dry run that stateward itself refuses, so that somebody who sends it through the
//! API server sees whether refusals arrive. It is a create of a StatefulSet, which every other part
//! of the way treats like any other.
//!
//! Only a dry run of a set with this name and this annotation is a canary. Nothing is gained by
//! sending one: it is refused, or it is a dry run.

use std::fmt::Write as _;

use super::WebhookKind;
use crate::annotations::CANARY;
use crate::change::{Change, Operation};
use crate::object::Kind;
use crate::policy::{Mode, Policy};
use crate::text::cut;

/// The name of the set.
pub const NAME: &str = "stateward-canary";
/// What a refusal says.
pub const REFUSED: &str = "stateward refuses its canary, as it should";
/// Begins a line about a kind of objects that is not known; the reason follows.
pub const JUDGES_WITHOUT: &str = "rules judge without ";
/// The line of a replica that knows every kind.
pub const KNOWS_ALL: &str = "rules know all kinds";
/// The warning where the policy refuses nothing.
pub const AUDIT: &str = "stateward would refuse its canary, but for mode: audit";

/// The longest reason of one kind, in bytes.
const WHY: usize = 300;

/// What becomes of a canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Refuse(String),
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

/// What `webhook` answers to a canary for `target`: a refusal also says of which kinds nothing is known.
pub(super) fn reply<'u>(
    target: WebhookKind,
    webhook: WebhookKind,
    policy: &Policy,
    unknown: impl IntoIterator<Item = &'u str>,
) -> Reply {
    match policy.mode {
        _ if webhook != target => Reply::Pass,
        Mode::Enforce => {
            let mut text = REFUSED.to_owned();
            let mut unknown = unknown.into_iter().peekable();
            if unknown.peek().is_none() {
                let _ = write!(text, "\n{KNOWS_ALL}");
            }
            for why in unknown {
                let why = cut(why.replace(char::is_control, " "), WHY);
                let _ = write!(text, "\n{JUDGES_WITHOUT}{why}");
            }
            Reply::Refuse(text)
        }
        Mode::Audit => Reply::Warn(AUDIT),
    }
}

/// The kinds that the webhook which refused a canary knows nothing of, each with the reason.
pub fn unknown(refusal: &str) -> impl Iterator<Item = &str> {
    refusal.lines().filter_map(|line| line.strip_prefix(JUDGES_WITHOUT))
}
