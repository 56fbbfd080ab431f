use super::{Findings, Judged, NoParams, Rule};
use crate::change::Change;
use crate::facts::Facts;

declare_rule! {
    /// A workload or a claim is missing from the new manifests, and a new one takes its place: it is
    /// renamed, moved to another namespace, or made another kind. Its claims have other names then.
    /// Only `stateward check` sees that, because it sees both objects.
    ///
    /// A manifest that a kustomization applies is only a base. `check` compares it under the names that
    /// `namePrefix`, `nameSuffix` and `namespace` make of it, if the kustomization is among its inputs or in
    /// the folder of the manifest.
    ///
    /// ## Why
    /// The data stays in the old claims. The new pods start with empty ones, or without any.
    ///
    /// ## Way out
    /// Keep the name; many charts take it as `fullnameOverride`. Or bring the data along: retain the
    /// volumes and give them to the new claims, or create the new claims from snapshots. If the data is
    /// not needed, annotate the new object.
    DataLeftBehind {
        id: "data-left-behind",
        title: "a renamed or moved workload starts without its data",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [],
        source: "kubernetes.io/docs/concepts/workloads/controllers/statefulset#stable-storage",
    }
}

impl Rule for DataLeftBehind {
    type Params = NoParams;

    /// One change does not show it: `check` compares all objects of two inputs.
    fn check(_: &NoParams, _: &Change<'_>, _: &Facts, _: &mut Findings) -> Judged {
        Ok(())
    }
}
