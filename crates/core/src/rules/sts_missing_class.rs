use std::collections::BTreeSet;

use super::{Findings, Judged, NoParams, Rule, Unjudged, remedy, set_claims};
use crate::change::Change;
use crate::facts::{Facts, TemplateClass};
use crate::object::Pointer;

declare_rule! {
    /// A claim template of a new set names a StorageClass that does not exist, or names none and no class is
    /// the default.
    ///
    /// ## Why
    /// Nobody creates volumes for the claims, so the pods stay `Pending`. The class in a claim template cannot
    /// be changed later: the set and its claims would have to be created anew.
    ///
    /// The rule is silent if volumes of that class exist, as people create them by hand, if all claims exist
    /// already, and if the template asks for no class with `storageClassName: ""`. Of several default
    /// classes, Kubernetes takes the newest. The rule needs every StorageClass, which the webhook has if it
    /// watches a cluster, and `check` from `--live` or `--facts`. Beside manifests alone it is silent.
    ///
    /// ## Way out
    /// Name a class that exists, or create the class first.
    StsMissingClass {
        id: "sts-missing-class",
        title: "the StorageClass of a claim template does not exist",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create]],
        source: "kubernetes.io/docs/concepts/storage/persistent-volumes#class-1; kubernetes plugin/pkg/admission/storage/storageclass/setdefault",
    }
}

impl Rule for StsMissingClass {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some(set) = change.created_set() else { return Ok(()) };
        let mut missing = Vec::new();
        for (index, template) in set.claim_templates()?.iter().enumerate() {
            match facts.class_of(template).map_err(Unjudged::Needs)? {
                TemplateClass::Missing(class) => missing.push((index, template, class)),
                TemplateClass::NoDefault => missing.push((index, template, "")),
                TemplateClass::Known(..) | TemplateClass::Untold => {}
            }
        }
        if missing.is_empty() || set.ordinals().is_empty() {
            return Ok(());
        }
        let volumes = facts.volumes.seen("").needed()?.objects.into_iter();
        let by_hand: BTreeSet<&str> = volumes.map(|(_, volume)| &*volume.class).collect();
        let claims = set_claims::existing(change, set, facts)?;
        let mut pods = std::collections::BTreeMap::<&str, i64>::new();
        for claim in &claims {
            *pods.entry(claim.template).or_default() += 1;
        }
        let wanted = set.ordinals().end.saturating_sub(set.ordinals().start);
        for (index, template, class) in missing {
            let name = template.metadata.name.as_str();
            let is_there = pods.get(name).is_some_and(|pods| *pods >= wanted);
            if is_there || (!class.is_empty() && by_hand.contains(class)) {
                continue;
            }
            let field = Pointer::from("/spec/volumeClaimTemplates").index(index);
            let field = field.key("spec").key("storageClassName");
            let dotted = field.dotted();
            let (what, why) = if class.is_empty() {
                (
                    format!("template {name} names no class, and none is the default"),
                    "Nobody creates volumes for its claims, so the pods stay Pending.".to_owned(),
                )
            } else {
                (
                    format!("StorageClass {class} of template {name} does not exist"),
                    format!("Nobody creates volumes of class {class}, so the pods stay Pending."),
                )
            };
            findings
                .add(field, what)
                .values(None, Some(class))
                .why(why)
                .command("see which classes exist", "kubectl get storageclasses")
                .step(format!(
                    "set {dotted} {}, before the set is created",
                    remedy::manifest_place(change.circumstances.tool)
                ));
        }
        Ok(())
    }
}
