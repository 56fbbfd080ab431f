use std::collections::BTreeSet;

use super::{Findings, Judged, NoParams, Rule, remedy, template};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::Pointer;

declare_rule! {
    /// An entry of `volumes` has the name of a claim template.
    ///
    /// ## Why
    /// The controller replaces the volume by the claim, so no pod gets the volume, such as a Secret.
    /// The API server accepts it without a warning.
    ///
    /// ## Way out
    /// Rename the volume and its mounts, or remove it.
    StsVolumeShadowed {
        id: "sts-volume-shadowed",
        title: "a claim template replaces a volume of the same name",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "kubernetes staging/src/k8s.io/api/apps/v1/types.go volumeClaimTemplates",
    }
}

impl Rule for StsVolumeShadowed {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some(written) = template::written(change)? else { return Ok(()) };
        let templates = template::by_name(written.set.claim_templates()?);
        let mut before = BTreeSet::new();
        if let Some((set, pod)) = written.old {
            let templates = template::by_name(set.claim_templates()?);
            let names = pod.volumes.iter().map(|volume| volume.name.as_str());
            before.extend(names.filter(|name| templates.contains_key(name)));
        }
        for (index, volume) in written.pod.volumes.iter().enumerate() {
            let name = volume.name.as_str();
            if !templates.contains_key(name) || before.contains(name) {
                continue;
            }
            findings
                .add(
                    Pointer::from("/spec/template/spec/volumes").index(index).key("name"),
                    format!("a claim template would replace volume {name}"),
                )
                .values(None, Some(name))
                .why("The pods would mount the claim instead of this volume.")
                .remedy(vec![remedy::amend_template(
                    change,
                    &format!("rename volume {name} and its mounts, or leave it out"),
                )]);
        }
        Ok(())
    }
}
