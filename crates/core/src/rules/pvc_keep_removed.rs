use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::Pointer;

declare_rule! {
    /// An annotation that keeps a claim or a set is removed: `helm.sh/resource-policy: keep`, or
    /// `Prune=false` or `Delete=false` in `argocd.argoproj.io/sync-options`.
    ///
    /// ## Why
    /// Nothing happens at once. The tool deletes the object the next time that it is missing from
    /// the manifests, or with the release or the application, and a claim takes its data along.
    ///
    /// ## Way out
    /// Keep the annotation, or remove it in the change that no longer needs the data.
    ///
    /// The rule does not know whether the tool still manages the object.
    PvcKeepRemoved {
        id: "pvc-keep-removed",
        title: "the annotation that keeps a claim from being deleted is removed",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Update], Claim: [Update]],
        source: "helm.sh/docs/howto/charts_tips_and_tricks; argo-cd docs/user-guide/sync-options.md",
    }
}

/// The annotations by which a tool deletes no object, and whether a value says so.
pub(super) const PROTECTIONS: [(&str, fn(&str) -> bool); 2] = [
    ("helm.sh/resource-policy", |value| value.trim() == "keep"),
    ("argocd.argoproj.io/sync-options", |value| {
        value.split(',').any(|option| {
            matches!(
                option.trim(),
                "Prune=false" | "Prune=confirm" | "Delete=false" | "Delete=confirm"
            )
        })
    }),
];

impl Rule for PvcKeepRemoved {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.objects.both() else { return Ok(()) };
        for (key, holds) in PROTECTIONS {
            let before = old.metadata.annotations.get(key);
            let after = new.metadata.annotations.get(key);
            if !before.is_some_and(holds) || after.is_some_and(holds) {
                continue;
            }
            let field = Pointer::from("/metadata/annotations").key(key);
            let keep = remedy::keep(change, &field, before.unwrap_or_default());
            findings
                .add(field, format!("would no longer be kept by {key}"))
                .values(before, after)
                .why(
                    "The tool deletes the object as soon as it is missing from the manifests, and a \
                     claim takes its data along.",
                )
                .remedy(vec![keep]);
        }
        Ok(())
    }
}
