use super::sts_data_mount_removed::keeps_data_by_name;
use super::{Findings, Judged, NoParams, Rule, remedy, system, template};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::pod::PodSpec;
use crate::object::pod_default::GRACE;
use crate::object::{DecodeError, StatefulSet};
use crate::packs::MemberKind;

declare_rule! {
    /// The pods of a database with claim templates have less time to stop than Kubernetes gives by default:
    /// `terminationGracePeriodSeconds` is below 30.
    ///
    /// ## Why
    /// A database that is killed before it has written its data must recover when it starts, which takes longer than
    /// a clean stop. Some lose the last writes.
    ///
    /// The rule knows what keeps data from the pack of the system, and else by the name of the image. If the pack
    /// says how long the system takes to stop, `sts-pod-settings` judges the time. `sts-grace-zero` judges 0 seconds.
    ///
    /// ## Way out
    /// Leave the field out, or set it to what the database needs to stop under load.
    StsGraceShort {
        id: "sts-grace-short",
        title: "pods that keep data have less time to stop than by default",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle#pod-termination",
    }
}

impl Rule for StsGraceShort {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some(written) = template::written(change)? else { return Ok(()) };
        let short = |pod: &PodSpec<'_>| {
            let grace = pod.termination_grace_period_seconds;
            grace.filter(|seconds| (1..GRACE).contains(seconds))
        };
        let Some(seconds) = short(written.pod) else { return Ok(()) };
        let holds =
            |_: &StatefulSet<'_>, pod: &PodSpec<'_>| short(pod).is_some_and(|old| old <= seconds);
        if written.set.claim_templates()?.is_empty()
            || !written.introduces(holds)
            || !keeps_data(written.set, written.pod, facts)?
        {
            return Ok(());
        }
        let before = written
            .old
            .map(|(_, pod)| pod.termination_grace_period_seconds.unwrap_or(GRACE).to_string());
        findings
            .add(
                "/spec/template/spec/terminationGracePeriodSeconds",
                format!("its pods would have {seconds} s to stop"),
            )
            .values(before.as_deref(), Some(&seconds.to_string()))
            .why("A database that is killed before it has written its data must recover when it starts.")
            .remedy(vec![remedy::amend_template(
                change,
                "leave spec.template.spec.terminationGracePeriodSeconds out, which gives 30 s, or set what the database needs",
            )]);
        Ok(())
    }
}

/// Whether the pods keep data, and no pack says how long they take to stop.
fn keeps_data(
    set: &StatefulSet<'_>,
    pod: &PodSpec<'_>,
    facts: &Facts,
) -> Result<bool, DecodeError> {
    if let Some(known) = system::of(set, facts)? {
        let members = known.pack.members.as_ref();
        let together = members.is_some_and(|members| members.kind != MemberKind::Independent);
        let has_data = !known.pack.data.is_empty() || together;
        return Ok(has_data && known.pack.pods.grace.is_none());
    }
    Ok(pod.containers.iter().any(|container| keeps_data_by_name(container.image.as_str())))
}
