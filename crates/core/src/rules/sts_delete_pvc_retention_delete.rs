use super::{Findings, Judged, NoParams, Rule, Step, remedy};
use crate::annotations::ALLOW;
use crate::change::Change;
use crate::facts::Facts;

declare_rule! {
    /// A set whose `persistentVolumeClaimRetentionPolicy.whenDeleted` is `Delete` is deleted, and not
    /// with `--cascade=orphan`.
    ///
    /// ## Why
    /// The claims have an owner reference to the set, so the garbage collector deletes them after it.
    /// If the reclaim policy of a volume is `Delete`, its disk is deleted, too. Only a backup brings
    /// the data back.
    ///
    /// ## Way out
    /// Set the policy to `Retain`, wait until the controller has seen it and no claim refers to the
    /// set, then delete it. Claims of pods that were scaled down keep their reference, because the
    /// controller only looks at claims of existing pods. Remove it by hand. With `--cascade=orphan`,
    /// claims and pods stay. If the data may be deleted, say so with the `allow` annotation on the
    /// set.
    StsDeletePvcRetentionDelete {
        id: "sts-delete-pvc-retention-delete",
        title: "a StatefulSet is deleted together with its claims",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Delete]],
        source: "KEP-1847; kubernetes pkg/controller/statefulset/stateful_pod_control.go",
    }
}

impl Rule for StsDeletePvcRetentionDelete {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some(set) = change.deleted_set() else { return Ok(()) };
        if change.orphans() || set.spec.retention.when_deleted() != "Delete" {
            return Ok(());
        }
        let Some(template) = set.claim_templates()?.first() else { return Ok(()) };
        let example =
            format!("{}-{}-{}", template.metadata.name, change.name, set.spec.ordinals_start());
        findings
            .add(
                "/spec/persistentVolumeClaimRetentionPolicy/whenDeleted",
                "its claims would be deleted with it, as whenDeleted is Delete",
            )
            .values(Some("Delete"), None)
            .why(format!(
                "The garbage collector would delete every claim of the set, such as {example}, with its data."
            ))
            .remedy(steps(change));
        Ok(())
    }
}

fn steps(change: &Change<'_>) -> Vec<Step> {
    let (kubectl, name) = (remedy::kubectl(change), &change.name);
    let (retain, delete) = if change.circumstances.tool.keeper().is_some() {
        (
            remedy::say(format!(
                "set persistentVolumeClaimRetentionPolicy.whenDeleted: Retain {} and roll that \
                 out; no pod restarts",
                remedy::manifest_place(change.circumstances.tool)
            )),
            remedy::say("delete the set again"),
        )
    } else {
        (
            remedy::run(
                "keep the claims; no pod restarts",
                format!(
                    "{kubectl} patch statefulset {name} --type merge -p \
                     '{{\"spec\":{{\"persistentVolumeClaimRetentionPolicy\":{{\"whenDeleted\":\"Retain\"}}}}}}'"
                ),
            ),
            remedy::run(
                "delete the set and its pods (with --cascade=orphan the pods keep running)",
                format!("{kubectl} delete statefulset {name}"),
            ),
        )
    };
    vec![
        retain,
        remedy::run(
            "wait until the controller has seen it",
            format!(
                "{kubectl} wait statefulset {name} --for=jsonpath='{{.status.observedGeneration}}'=\
                 $({kubectl} get statefulset {name} -o jsonpath='{{.metadata.generation}}')"
            ),
        ),
        remedy::run(
            "free the claims that still belong to the set, such as those of removed pods",
            format!(
                "for c in $({kubectl} get pvc -o go-template='{{{{range .items}}}}{{{{$c := \
                 .metadata.name}}}}{{{{range .metadata.ownerReferences}}}}{{{{if and (eq .kind \"StatefulSet\") (eq .name \"{name}\")}}}}{{{{$c}}}} {{{{end}}}}{{{{end}}}}{{{{end}}}}'); do {kubectl} patch \
                 pvc $c --type merge -p '{{\"metadata\":{{\"ownerReferences\":null}}}}'; done"
            ),
        ),
        delete,
        remedy::say(format!(
            "to delete the data on purpose, annotate the set first with {ALLOW}: \
             sts-delete-pvc-retention-delete and allow-reason"
        )),
    ]
}
