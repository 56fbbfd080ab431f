//! What must hold once nothing changes any more.

use serde_json::Value;

use crate::actors::{controller, is_going, list, text, uid};
use crate::safety::{Gone, History, Safety};
use crate::server::Server;
use crate::server::store::Id;
use crate::world::{NAMESPACE, Shape};

/// Reasons for which a resize may rest for ever.
const PATIENT: [&str; 6] =
    ["Held", "FileSystemPending", "MidRollout", "OwnerManaged", "SetGone", "PodsNotReady"];

/// Everything that is not as it must be.
pub(crate) fn faults(server: &Server, shape: &Shape, safety: &Safety) -> Vec<String> {
    let history = safety.history(&shape.name);
    let set = server.get(&shape.id());
    let record = server.get(&shape.record());
    let mut faults = Vec::new();
    let mut must = |holds: bool, why: String| {
        if !holds {
            faults.push(format!("AT REST {}: {why}", shape.name));
        }
    };
    let left_by_us =
        set.is_none() && !matches!(history.gone, Gone::PersonOrphan | Gone::PersonCascade);
    must(!left_by_us || safety.namespace_goes(), "the set is away, and nobody gave it up".into());
    if let Some(set) = &set {
        must(!is_going(set), "the set is going away for ever".into());
    }
    let Some(record) = record else { return faults };
    let phase = text(&record, "/status/phase");
    must(
        list(&record, "/metadata/finalizers").is_empty(),
        format!("the finalizer stays in {phase}"),
    );
    must(
        // A resize may rest while a rollout or a file system is waited for, and keeps its copy of the set.
        text(&record, "/status/snapshot").is_empty()
            || matches!(phase, "Growing" | "ClaimsGrown" | "RetentionPinned" | "Verifying"),
        format!("the snapshot stays in {phase}"),
    );
    let status = &record["status"];
    let (state, reason) = (text(status, "/state"), text(status, "/reason"));
    let over = matches!(phase, "Complete" | "Aborted" | "Conflict" | "Degraded");
    let asks = !record["spec"]["targets"].is_null() || !record["status"]["request"].is_null();
    must(over || !state.is_empty() || !asks, format!("it stops in {phase} and does not say why"));
    must(
        state != "Waiting" || PATIENT.contains(&reason),
        format!("it waits in {phase} for ever: {status}"),
    );
    if let Some(set) = &set
        && over
        && reason != "RevisionDiffers"
    {
        let frozen = set.pointer("/spec/updateStrategy/rollingUpdate/partition");
        must(
            frozen.and_then(Value::as_i64).unwrap_or(0) == 0,
            format!("the partition stays: {frozen:?}, {phase} {reason}"),
        );
    }
    if phase == "Complete" {
        let ended = list(&record, "/status/results").last().map(|ended| text(ended, "/at"));
        let ended: Option<jiff::Timestamp> = ended.and_then(|at| at.parse().ok());
        let age = ended.map(|at| server.now().duration_since(at).as_millis());
        let before = i128::try_from(server.up().as_millis()).unwrap() - age.unwrap_or_default();
        // What a person did later is not the resize's to answer for.
        if before > i128::try_from(history.touched).unwrap() {
            match &set {
                Some(set) => complete(server, shape, set, &record, &history, &mut must),
                None => must(false, "Complete, and there is no set".into()),
            }
        }
    }
    faults
}

fn size(value: &Value, pointer: &str) -> stateward_core::object::Quantity {
    text(value, pointer).parse().unwrap_or_default()
}

fn complete(
    server: &Server,
    shape: &Shape,
    set: &Value,
    record: &Value,
    history: &History,
    must: &mut impl FnMut(bool, String),
) {
    let targets = record["status"]["request"]["targets"].as_object().cloned().unwrap_or_default();
    let pods: Vec<_> =
        server.all("pods").into_iter().filter(|pod| controller(pod) == Some(uid(set))).collect();
    must(
        Some(pods.len() as u64) == set["spec"]["replicas"].as_u64(),
        format!("Complete with {} pods", pods.len()),
    );
    for template in list(set, "/spec/volumeClaimTemplates") {
        let Some(asked) = targets.get(text(template, "/metadata/name")) else { continue };
        let asked: stateward_core::object::Quantity =
            asked.as_str().unwrap_or("0").parse().unwrap();
        must(
            size(template, "/spec/resources/requests/storage") >= asked,
            "Complete with a small template".into(),
        );
        for pod in &pods {
            let claim =
                format!("{}-{}", text(template, "/metadata/name"), text(pod, "/metadata/name"));
            let claim = server.get(&Id::new("persistentvolumeclaims", NAMESPACE, &claim));
            let capacity = claim.as_ref().map(|claim| size(claim, "/status/capacity/storage"));
            must(capacity.is_some_and(|has| has >= asked), "Complete with a small claim".into());
        }
    }
    if !history.retention_written {
        let retention = &set["spec"]["persistentVolumeClaimRetentionPolicy"];
        must(
            text(retention, "/whenDeleted") == shape.retention.0
                && text(retention, "/whenScaled") == shape.retention.1,
            format!("Complete with retention {retention}"),
        );
    }
    must(
        set["metadata"]["annotations"]["stateward.dev/resize-requested"].is_null(),
        "Complete with a request on the set".into(),
    );
}
