use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Findings, Judged, NoParams, Rule, Unjudged, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::claim::ClaimStatus;
use crate::object::json::{Text, decode, null_default};
use crate::object::{DecodeError, Pointer};

declare_rule! {
    /// The request of a claim is raised while an earlier expansion is not finished, or has failed.
    ///
    /// ## Why
    /// The size of the volume is still the old one, so whoever looks at it asks for more again: tools
    /// that grow claims by themselves have run to their maximum that way. Some providers also limit how
    /// often a volume may be modified. After a failed expansion, a larger size fails in the same way.
    ///
    /// The rule reads the status of the claim: the conditions `Resizing`, `FileSystemResizePending`,
    /// `ControllerResizeError` and `NodeResizeError`, and `allocatedResourceStatuses`.
    ///
    /// ## Way out
    /// Wait until the expansion is finished. `FileSystemResizePending` waits for a pod that mounts the
    /// claim. A failed expansion can be taken back: Kubernetes 1.34 and newer accept any request above
    /// the size that the volume has.
    PvcExpandInProgress {
        id: "pvc-expand-in-progress",
        title: "a claim grows again before an earlier expansion is finished",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [Claim: [Update]],
        source: "KEP-1790; topolvm/pvc-autoresizer#296",
    }
}

impl Rule for PvcExpandInProgress {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.updated_claim() else { return Ok(()) };
        let (Some(before), Some(after)) = (old.spec.storage(), new.spec.storage()) else {
            return Ok(());
        };
        if after.quantity <= before.quantity {
            return Ok(());
        }
        let Some(status) = &old.status else { return Err(Unjudged::Needs(super::status())) };
        let Some(state) = expansion(status)? else { return Ok(()) };
        let (kubectl, name) = (remedy::kubectl(change), remedy::quoted(&change.name));
        let failed = is_failure(&state);
        let field = Pointer::from("/spec/resources/requests/storage");
        let what = if failed {
            format!("would grow to {after} after growth to {before} failed")
        } else {
            format!("would grow to {after} before it has grown to {before}")
        };
        let finding = findings.add(field, what);
        let has = match &status.capacity.storage {
            Some(size) => format!("The status says {state}, and the volume has {size}"),
            None => format!("The status says {state}"),
        };
        finding.values(Some(&before.text), Some(&after.text)).why(if failed {
            format!("{has}: a larger size is likely to fail in the same way.")
        } else {
            format!("{has}: the earlier expansion comes first.")
        });
        finding.command(
            if failed {
                "see in the events why it failed"
            } else if state == PENDING {
                "see whether a pod mounts the claim (Used By): the file system grows when one does"
            } else {
                "see in the events how far it is, and grow the claim again once it is finished"
            },
            format!("{kubectl} describe pvc {name}"),
        );
        if failed && let Some(size) = &status.capacity.storage {
            finding.step(format!(
                "to take the failed expansion back, set a request just above {size} instead"
            ));
        }
        Ok(())
    }
}

const PENDING: &str = "FileSystemResizePending";

#[derive(Default, Deserialize)]
#[serde(default)]
struct Condition<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Conditions<'a>(#[serde(borrow, deserialize_with = "null_default")] Vec<Condition<'a>>);

/// What the status says of an expansion: a failure first, then what it waits for.
fn expansion(status: &ClaimStatus<'_>) -> Result<Option<String>, DecodeError> {
    let mut marks = Vec::new();
    if let Some(raw) = status.allocated_resource_statuses {
        let all: Option<BTreeMap<Text<'_>, Text<'_>>> =
            decode(raw.get(), "/status/allocatedResourceStatuses")?;
        marks.extend(all.unwrap_or_default().get("storage").map(ToString::to_string));
    }
    if let Some(raw) = status.conditions {
        let all: Conditions<'_> = decode(raw.get(), "/status/conditions")?;
        let known = ["Resizing", PENDING, "ControllerResizeError", "NodeResizeError"];
        let holds = all.0.iter().filter(|condition| {
            condition.status.as_str() == "True" && known.contains(&condition.kind.as_str())
        });
        marks.extend(holds.map(|condition| condition.kind.to_string()));
    }
    marks.retain(|mark| !mark.is_empty());
    let failure = marks.iter().position(|mark| is_failure(mark));
    Ok((!marks.is_empty()).then(|| marks.swap_remove(failure.unwrap_or_default())))
}

/// The names that Kubernetes has given to failures in its releases.
fn is_failure(state: &str) -> bool {
    state.ends_with("Failed") || state.ends_with("Infeasible") || state.ends_with("Error")
}
