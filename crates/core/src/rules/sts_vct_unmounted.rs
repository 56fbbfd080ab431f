use super::{Findings, Judged, NoParams, Rule, remedy, template};
use crate::change::{Change, Operation};
use crate::facts::Facts;
use crate::object::Pointer;

declare_rule! {
    /// A claim template is mounted by no container.
    ///
    /// ## Why
    /// Each pod gets a volume that nothing writes to. Usually the name in `volumeMounts` is a typo:
    /// the database writes to its container, and a restart loses the data.
    ///
    /// ## Way out
    /// Mount the template at the data folder of the database, or leave it out of a new set.
    StsVctUnmounted {
        id: "sts-vct-unmounted",
        title: "a claim template is mounted by no container",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "kubernetes pkg/controller/statefulset/stateful_set_utils.go updateStorage",
    }
}

impl Rule for StsVctUnmounted {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some(written) = template::written(change)? else { return Ok(()) };
        // A container without an image is a patch of Kustomize; its mounts are in the base.
        if written.pod.containers.iter().any(|container| container.image.as_str().is_empty()) {
            return Ok(());
        }
        let used = template::used_volumes(written.pod);
        let used_before = written.old.map(|(_, pod)| template::used_volumes(pod));
        for (index, claim) in written.set.claim_templates()?.iter().enumerate() {
            let name = claim.metadata.name.as_str();
            let was_unused = used_before.as_ref().is_some_and(|used| !used.contains(name));
            if used.contains(name) || was_unused {
                continue;
            }
            let mut steps = vec![remedy::amend_template(
                change,
                &format!(
                    "add volumeMounts: [{{name: {name}, mountPath: <the data folder>}}] to a \
                     container"
                ),
            )];
            if change.operation == Operation::Create {
                steps.push(remedy::say("or leave the claim template out"));
            }
            findings
                .add(
                    Pointer::from("/spec/volumeClaimTemplates").index(index),
                    format!("claim template {name} would be mounted by no container"),
                )
                .values(None, Some(name))
                .why(
                    "Each pod would get a volume that nothing writes to, and what its containers write is lost with them.",
                )
                .remedy(steps);
        }
        Ok(())
    }
}
