use super::{Findings, Judged, NoParams, Rule, remedy, template};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::StatefulSet;

declare_rule! {
    /// The pod template changes while pods of the set are not ready, and the controller waits for them
    /// before it updates any pod.
    ///
    /// ## Why
    /// Under `podManagementPolicy: OrderedReady`, the controller updates no pod while another one is not
    /// ready. If a pod is broken because of its template, a template that repairs it never reaches it:
    /// the controller waits for the broken pod, for ever (kubernetes#67250). This holds for a rollback,
    /// too.
    ///
    /// Under `Parallel`, the controller replaces broken pods by itself. The exception is a set with
    /// `maxUnavailable` before Kubernetes 1.37: as many pods that are not ready stop the rollout.
    ///
    /// The rule reads the status of the old set. It is silent under `OnDelete`, and if the status is not
    /// the controller's: tools write `status: {replicas: 0}` into manifests, which says nothing about
    /// pods. The controller always writes a revision or `observedGeneration`.
    ///
    /// ## Way out
    /// Wait if the pod only needs time to start. If it never gets ready, make the edit, then delete the
    /// pod: it comes back with the new template.
    StsBrokenRolloutOverlap {
        id: "sts-broken-rollout-overlap",
        title: "a new pod template may wait for ever for a pod that is not ready",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "kubernetes#67250; kubernetes pkg/controller/statefulset/stateful_set_control.go processReplica",
    }
}

/// The first release whose controller replaces broken pods of `Parallel` sets outside of
/// `maxUnavailable`.
const REPLACES_BROKEN_SINCE: u16 = 37;

impl Rule for StsBrokenRolloutOverlap {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.updated_set() else { return Ok(()) };
        let status = old.status.get()?;
        if !status.is_written() {
            return Ok(());
        }
        let pods = old.spec.replicas();
        let ready = status.ready_replicas.unwrap_or_default();
        let unready = pods.saturating_sub(ready);
        let rolls = new.spec.update_strategy.kind() == "RollingUpdate";
        if !rolls || unready <= 0 || !waits(change, new, unready) || !template::changes(old, new) {
            return Ok(());
        }
        let ordered = new.spec.pod_management_policy() == "OrderedReady";
        let number =
            if pods == 1 { "its pod".to_owned() } else { format!("{unready} of {pods} pods") };
        let verb = if unready == 1 { "is" } else { "are" };
        let finding = findings.add(
            "/spec/template",
            format!("its template would change while {number} {verb} not ready"),
        );
        finding.why(if ordered {
            "OrderedReady updates no pod while one is not ready, so a broken pod does not get the template \
             that repairs it."
        } else {
            "As many pods as maxUnavailable are not ready, so the controller updates none: a broken pod \
             does not get the template that repairs it."
        });
        let (kubectl, name) = (remedy::kubectl(change), remedy::quoted(&change.name));
        let selector = remedy::quoted(&new.selector()?.to_string());
        finding
            .command(
                "see which pod is not ready, and wait if it only needs time",
                format!("{kubectl} get pods -l {selector}"),
            )
            .command(
                "if it is broken, make the edit, then delete that pod: it comes back with the new template",
                format!("{kubectl} delete pod {name}-{}", broken(old)?),
            );
        Ok(())
    }
}

/// Whether the controller waits for pods that are not ready before it updates one.
fn waits(change: &Change<'_>, set: &StatefulSet<'_>, unready: i64) -> bool {
    if set.spec.pod_management_policy() != "Parallel" {
        return true;
    }
    if change.circumstances.kubernetes.minor >= REPLACES_BROKEN_SINCE {
        return false;
    }
    // API servers keep the field only if their feature gate is on.
    let rolling = set.spec.update_strategy.rolling_update.as_ref();
    let most = rolling.and_then(|rolling| rolling.max_unavailable.as_ref());
    let most = most.and_then(|most| most.unavailable_of(set.spec.replicas()));
    most.is_some_and(|most| unready >= most)
}

/// The ordinal of the pod that was probably updated last: updates go from the last pod to the first.
fn broken(old: &StatefulSet<'_>) -> Result<i64, crate::object::DecodeError> {
    let status = old.status.get()?;
    let ordinals = old.ordinals();
    let back = match status.updated_replicas {
        Some(updated) if status.is_rolling() && updated > 0 => updated,
        // Pods are created from the first to the last, and each waits for the one before.
        _ => return Ok(ordinals.start.saturating_add(status.ready_replicas.unwrap_or_default())),
    };
    Ok(ordinals.end.saturating_sub(back).max(ordinals.start))
}
