//! What people see of a resize: a log of ten lines, and events on the set.

use std::sync::{Mutex, PoisonError};

use hyper::Method;
use stateward_core::record::{Phase, Standing, Status, Word};
use stateward_resize::Action;
use stateward_resize::crd::{API_VERSION, KIND};

use super::Key;
use super::cluster::Cluster;
use super::drive::{Drive, Turn};
use crate::cluster::{About, Limit, event};

/// Says in the log what was done.
pub(super) fn turn(key: &Key, turn: &Turn) {
    match turn {
        Turn::Done(Action::Delete { uid, .. }) => {
            tracing::info!(set = %key, uid, "deleted the set, its pods and claims orphaned");
        }
        Turn::Done(Action::Create { .. }) => tracing::info!(set = %key, "created the set again"),
        Turn::Done(Action::WriteStatus(_)) | Turn::Rest(_) => {}
        Turn::Done(action) => tracing::debug!(set = %key, ?action, "done"),
        Turn::Failed(action @ Action::Create { .. }, why) => {
            tracing::error!(set = %key, why, id = id(action), "the set cannot be created again yet");
        }
        Turn::Failed(action, why) => {
            tracing::warn!(set = %key, why, action = word(action), "not done");
        }
        Turn::Unread(why) => tracing::warn!(set = %key, why, "the record cannot be read"),
    }
}

fn id(action: &Action) -> &str {
    match action {
        Action::Create { id, .. } => id,
        _ => "",
    }
}

/// The name of an action, without what it is about.
pub(super) fn word(action: &Action) -> String {
    let text = format!("{action:?}");
    text.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}

/// Where a resize is, in as far as another place is worth an event: details change more often.
fn place(status: &Status) -> String {
    let phase = &status.phase;
    let number = status.acting.as_ref().map_or(0, |acting| acting.number);
    match &status.standing {
        Some(Standing { word, reason, .. }) => format!("{number} {phase} {word:?} {reason}"),
        None => format!("{number} {phase}"),
    }
}

/// Says in the log and by an event where a resize has got to. An event that is lost is lost, and so
/// is one of too many: the record says the same.
pub(super) async fn done(
    cluster: &Cluster,
    events: &Mutex<Limit>,
    key: &Key,
    drive: &Drive,
    action: &Action,
) {
    let (Action::WriteStatus(after), Some(stored)) = (action, &drive.stored) else { return };
    let before = &stored.record.status;
    if before.phase == after.phase && before.standing == after.standing {
        return;
    }
    let standing = after.standing.as_ref();
    let reason = standing.map(|standing| standing.reason.to_string()).unwrap_or_default();
    let detail = standing.map(|standing| standing.detail.clone()).unwrap_or_default();
    tracing::info!(set = %key, phase = %after.phase, reason, detail, "resize");
    let place = place(after);
    let passes = || {
        // Paused with the runtime's clock.
        let now = tokio::time::Instant::now().into_std();
        let mut limit = events.lock().unwrap_or_else(PoisonError::into_inner);
        limit.passes(key.to_string(), &place, now)
    };
    if place == self::place(before) || !passes() {
        return;
    }
    let needs_a_person = standing.is_some_and(|standing| standing.word == Word::Blocked)
        || matches!(after.phase, Phase::Conflict | Phase::Degraded);
    let message = match (reason.as_str(), detail.as_str()) {
        ("", _) => format!("resize: {}", after.phase),
        (reason, "") => format!("resize: {}, {reason}", after.phase),
        (reason, detail) => format!("resize: {}, {reason}: {detail}", after.phase),
    };
    let now = cluster.now();
    let kind = if needs_a_person { "Warning" } else { "Normal" };
    let set_uid = after.acting.as_ref().map_or("", |acting| acting.set_uid.as_str());
    let path = key.core("events");
    for (api_version, of, uid) in
        [("apps/v1", "StatefulSet", set_uid), (API_VERSION, KIND, stored.record.uid.as_str())]
    {
        let Key { namespace, name } = key;
        let about = About { api_version, kind: of, namespace, name, uid };
        let reason = format!("Resize{}", after.phase);
        let event = event(&about, kind, &reason, &message, now);
        let _ = cluster.client.write(Method::POST, &path, "application/json", &event).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stateward_core::record::Reason;

    #[test]
    fn a_detail_is_no_other_place() {
        let at = |phase, word, reason, detail: &str| Status {
            phase,
            standing: Some(Standing { word, reason, detail: detail.to_owned() }),
            ..Status::default()
        };
        let first = place(&at(Phase::ClaimsGrown, Word::Blocked, Reason::ForeignFinalizer, "a"));
        for (same, other) in [
            (true, at(Phase::ClaimsGrown, Word::Blocked, Reason::ForeignFinalizer, "b")),
            (false, at(Phase::ClaimsGrown, Word::Waiting, Reason::ForeignFinalizer, "a")),
            (false, at(Phase::ClaimsGrown, Word::Blocked, Reason::MidRollout, "a")),
            (false, at(Phase::Fenced, Word::Blocked, Reason::ForeignFinalizer, "a")),
            (false, Status { phase: Phase::ClaimsGrown, ..Status::default() }),
        ] {
            assert_eq!(place(&other) == first, same, "{other:?}");
        }
    }
}
