use super::{Findings, Judged, NoParams, Rule, remedy, template};
use crate::change::Change;
use crate::facts::{Fact, Facts};
use crate::object::Pointer;

declare_rule! {
    /// A set of several replicas mounts one claim, by `volumes[].persistentVolumeClaim`, into all
    /// of its pods, and the claim is not made for that.
    ///
    /// ## Why
    /// A `ReadWriteOnce` volume is attached to one node: pods elsewhere hang in
    /// `ContainerCreating`, pods on the same node write into the same files. With
    /// `ReadWriteOncePod` the second pod is never scheduled. Where the claim is not among the
    /// inputs, its access modes are not known, and the rule only warns.
    ///
    /// ## Way out
    /// Use a claim template, which gives each pod a claim of its own. A claim that is meant to be
    /// shared needs `ReadWriteMany` or `ReadOnlyMany`.
    StsSharedPvc {
        id: "sts-shared-pvc",
        title: "several pods share one claim that only one node can use",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Create]],
        source: "kubernetes.io/docs/concepts/storage/persistent-volumes#access-modes",
    }
}

impl Rule for StsSharedPvc {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some(written) = template::written(change)? else { return Ok(()) };
        let replicas = written.set.spec.replicas();
        if replicas <= 1 {
            return Ok(());
        }
        for (index, volume) in written.pod.volumes.iter().enumerate() {
            let Some(source) = &volume.persistent_volume_claim else { continue };
            // Where a claim template has the volume's name, it takes its place.
            if written.set.claim_template(&volume.name)?.is_some() {
                continue;
            }
            let claim = source.claim_name.as_str();
            let field = Pointer::from("/spec/template/spec/volumes")
                .index(index)
                .key("persistentVolumeClaim")
                .key("claimName");
            let own = remedy::amend(
                change,
                "use spec.volumeClaimTemplates, which give each pod a claim of its own",
            );
            match facts.claim(&change.namespace, claim) {
                Fact::Known(known) if is_shared(&known.access_modes) => {}
                Fact::Known(known) => {
                    let modes = known.access_modes.join(", ");
                    findings
                        .add(field, format!("{replicas} pods would share claim {claim} ({modes})"))
                        .values(None, Some(claim))
                        .why(if known.access_modes.iter().any(|mode| mode == "ReadWriteOncePod") {
                            "Only one pod may use it: the others are never scheduled."
                        } else {
                            "Its volume goes to one node: pods elsewhere never start, and pods \
                             that share it write into the same files."
                        })
                        .remedy(vec![
                            own,
                            remedy::say(format!(
                                "for files that all pods share, name a claim with ReadWriteMany \
                                 instead of {claim}"
                            )),
                        ]);
                }
                Fact::Unknown(needs) => {
                    findings
                        .add(field, format!("{replicas} pods would share claim {claim}, access modes unknown"))
                        .values(None, Some(claim))
                        .why(format!(
                            "Only ReadWriteMany or ReadOnlyMany serves pods on several nodes; to be \
                             sure, the rule needs {needs}."
                        ))
                        .unsure()
                        .remedy(vec![
                            remedy::run(
                                "see whether the claim is made for it",
                                format!(
                                    "{} get pvc {claim} -o jsonpath='{{.spec.accessModes}}'",
                                    remedy::kubectl(change)
                                ),
                            ),
                            own,
                        ]);
                }
            }
        }
        Ok(())
    }
}

fn is_shared(access_modes: &[String]) -> bool {
    access_modes.iter().any(|mode| mode == "ReadWriteMany" || mode == "ReadOnlyMany")
}
