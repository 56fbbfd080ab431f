//! What people see of a resize: a log of ten lines, and events on the set.

use std::sync::{Mutex, PoisonError};

use hyper::Method;
use stateward_core::record::{Halt, Reason, Status};
use stateward_resize::crd::{API_VERSION, KIND};
use stateward_resize::{Action, advice};

use super::Key;
use super::cluster::Cluster;
use super::reconcile::ReconcileResult;
use super::record::Stored;
use crate::cluster::{About, Limit, event};

/// Logs the outcome of one reconcile.
pub(super) fn reconciled(key: &Key, result: &ReconcileResult) {
    match result {
        ReconcileResult::Wrote(Action::Delete { uid, .. }) => {
            tracing::info!(set = %key, uid, "deleted the set, its pods and claims orphaned");
        }
        ReconcileResult::Wrote(Action::Create { .. }) => {
            tracing::info!(set = %key, "created the set again");
        }
        ReconcileResult::Wrote(Action::WriteStatus(_)) | ReconcileResult::RequeueAfter(_) => {}
        ReconcileResult::Wrote(action) => {
            tracing::debug!(set = %key, action = action.name(), "done");
        }
        ReconcileResult::Failed(action @ Action::Create { .. }, why) => {
            tracing::error!(set = %key, why, id = id(action), "the set cannot be created again yet");
        }
        ReconcileResult::Failed(action, why) | ReconcileResult::Deferred(action, why) => {
            tracing::warn!(set = %key, why, action = action.name(), "not done");
        }
        ReconcileResult::Unread(why) => {
            tracing::warn!(set = %key, why, "the record cannot be read");
        }
    }
}

fn id(action: &Action) -> &str {
    match action {
        Action::Create { id, .. } => id,
        _ => "",
    }
}

/// What identifies an event: request, phase, state and reason. Messages change too often for that.
fn identity(status: &Status) -> String {
    let phase = &status.phase;
    let number = status.request.as_ref().map_or(0, |request| request.number);
    match &status.halt {
        Some(Halt { state, reason, .. }) => format!("{number} {phase} {state} {reason}"),
        None => format!("{number} {phase}"),
    }
}

/// What an event says: phase and reason, and how many claims have grown to which size.
fn note(status: &Status) -> String {
    let progress = status.progress();
    let heading = advice::heading(status);
    if progress.is_empty() { heading } else { format!("{heading}; {progress}") }
}

/// Whether another event of this identity may be written. Events are few.
fn passes(events: &Mutex<Limit>, key: &Key, identity: &str) -> bool {
    // Paused with the runtime's clock.
    let now = tokio::time::Instant::now().into_std();
    let mut limit = events.lock().unwrap_or_else(PoisonError::into_inner);
    limit.passes(key.to_string(), identity, now)
}

/// What is refused of the record itself cannot be read in it: an event on the set says so.
pub(super) async fn record_refused(
    cluster: &Cluster,
    events: &Mutex<Limit>,
    key: &Key,
    set_uid: &str,
    action: &Action,
    why: &str,
) {
    let of_record = matches!(action, Action::CreateRecord | Action::WriteStatus(_));
    if !of_record || !passes(events, key, action.name()) {
        return;
    }
    let Key { namespace, name } = key;
    let about =
        About { api_version: "apps/v1", kind: "StatefulSet", namespace, name, uid: set_uid };
    let reason = format!("Resize{}", Reason::WriteRefused);
    let note = format!("resize: the controller could not {}: {why}", action.description());
    let event = event(&about, "Warning", &reason, &note, cluster.now());
    let path = key.core("events");
    let _ = cluster.client.write(Method::POST, &path, "application/json", &event).await;
}

/// Logs a change of the record's status and publishes it as events. A lost event is not repeated,
/// since the record holds the same.
pub(super) async fn status_written(
    cluster: &Cluster,
    events: &Mutex<Limit>,
    key: &Key,
    stored: &Stored,
    after: &Status,
) {
    let before = &stored.record.status;
    if before.phase == after.phase && before.halt == after.halt {
        return;
    }
    let halt = after.halt.as_ref();
    let reason = halt.map(|halt| halt.reason.to_string()).unwrap_or_default();
    let message = halt.map(|halt| halt.message.clone()).unwrap_or_default();
    tracing::info!(set = %key, phase = %after.phase, reason, message, "resize");
    let identity = identity(after);
    if identity == self::identity(before) || !passes(events, key, &identity) {
        return;
    }
    let note = note(after);
    let now = cluster.now();
    let kind = if after.needs_a_person() { "Warning" } else { "Normal" };
    let set_uid = after.request.as_ref().map_or("", |request| request.set_uid.as_str());
    let path = key.core("events");
    for (api_version, of, uid) in
        [("apps/v1", "StatefulSet", set_uid), (API_VERSION, KIND, stored.record.uid.as_str())]
    {
        let Key { namespace, name } = key;
        let about = About { api_version, kind: of, namespace, name, uid };
        let reason = format!("Resize{}", after.phase);
        let event = event(&about, kind, &reason, &note, now);
        let _ = cluster.client.write(Method::POST, &path, "application/json", &event).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stateward_core::record::{Phase, Request, State};

    #[test]
    fn an_event_says_what_grows_and_how_far_it_is() {
        let request = Request {
            number: 1,
            generation: 1,
            set_uid: "set".to_owned(),
            targets: [("data".to_owned(), "20Gi".to_owned())].into(),
            withdrawable: false,
        };
        let message = "data-db-0".to_owned();
        let halt = Halt { state: State::Waiting, reason: Reason::ClaimsGrowing, message };
        let status = Status {
            phase: Phase::Growing,
            halt: Some(halt),
            request: Some(request),
            claims_grown: "2/3".to_owned(),
            ..Status::default()
        };
        assert_eq!(
            note(&status),
            "Growing: waiting, claims are growing (data-db-0); data to 20Gi, 2/3 claims grown"
        );
    }

    #[test]
    fn a_new_message_alone_is_no_new_event() {
        let at = |phase, state, reason, message: &str| Status {
            phase,
            halt: Some(Halt { state, reason, message: message.to_owned() }),
            ..Status::default()
        };
        let first =
            identity(&at(Phase::ClaimsGrown, State::Blocked, Reason::ForeignFinalizer, "a"));
        for (same, other) in [
            (true, at(Phase::ClaimsGrown, State::Blocked, Reason::ForeignFinalizer, "b")),
            (false, at(Phase::ClaimsGrown, State::Waiting, Reason::ForeignFinalizer, "a")),
            (false, at(Phase::ClaimsGrown, State::Blocked, Reason::MidRollout, "a")),
            (false, at(Phase::RetentionPinned, State::Blocked, Reason::ForeignFinalizer, "a")),
            (false, Status { phase: Phase::ClaimsGrown, ..Status::default() }),
        ] {
            assert_eq!(identity(&other) == first, same, "{other:?}");
        }
    }
}
