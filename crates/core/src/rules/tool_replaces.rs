use super::remedy::{FLUX_FORCE, SYNC_OPTIONS};
use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::{Kind, Metadata, Pointer};

declare_rule! {
    /// A set or a claim tells its tool to delete and re-create it: `Force=true` or `Replace=true`
    /// in the annotation `argocd.argoproj.io/sync-options`, or `enabled` in the annotation or label
    /// `kustomize.toolkit.fluxcd.io/force`.
    ///
    /// ## Why
    /// When an edit is rejected, as growth of a claim template is, the tool deletes the object and
    /// creates it again, without `--cascade=orphan`. All pods of a set stop at once, and under
    /// `whenDeleted: Delete` its claims are deleted as well. A claim is deleted with its data.
    ///
    /// `Replace=true` together with `Force=true` does so at every sync. `Replace=true` alone replaces
    /// all fields, also those that Argo CD does not manage, such as replicas that an autoscaler set, and
    /// deletes the object if somebody forces a sync.
    ///
    /// The rule is silent about an option that was there before. It does not see options of the
    /// Application or the Kustomization.
    ///
    /// ## Way out
    /// Leave the option out. For an edit that Kubernetes rejects, re-create the set around its running
    /// pods, as `stateward explain sts-vct-size-grow` shows.
    ToolReplaces {
        id: "tool-replaces",
        title: "an annotation lets a tool delete and re-create a set or a claim",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update], Claim: [Create, Update]],
        source: "argo-cd docs/user-guide/sync-options.md; fluxcd.io/flux/components/kustomize/kustomizations/#force; fluxcd/pkg#603",
        judges_subresources: true,
    }
}

/// What Argo CD is told, the least harm first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Argo {
    /// nothing of the kind
    Applies,
    Replaces,
    Forces,
    ReplacesByForce,
}

impl Argo {
    fn of(metadata: &Metadata<'_>) -> Self {
        let has = |option: &str| remedy::has_sync_option(metadata, option);
        match (has("Replace=true"), has("Force=true")) {
            (true, true) => Self::ReplacesByForce,
            (false, true) => Self::Forces,
            (true, false) => Self::Replaces,
            (false, false) => Self::Applies,
        }
    }
}

impl Rule for ToolReplaces {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some(new) = &change.objects.new else { return Ok(()) };
        let nothing = Metadata::default();
        let old = change.objects.old.as_ref().map_or(&nothing, |old| &old.metadata);
        let new = &new.metadata;
        let argo = Argo::of(new);
        if argo > Argo::of(old) {
            let (what, when) = match argo {
                Argo::ReplacesByForce => {
                    ("each sync of Argo CD would delete and re-create it", "At each sync")
                }
                Argo::Forces => (
                    "Argo CD would delete and re-create it if an edit is rejected",
                    "When Kubernetes rejects an edit",
                ),
                Argo::Replaces | Argo::Applies => (
                    "Argo CD would replace it, or re-create it in a forced sync",
                    "When somebody forces a sync",
                ),
            };
            add(change, Pointer::annotation(SYNC_OPTIONS), what, when, findings)
                .values(old.annotations.get(SYNC_OPTIONS), new.annotations.get(SYNC_OPTIONS))
                .remedy(way_out(
                    change,
                    &format!("leave Replace=true and Force=true out of {SYNC_OPTIONS}"),
                ));
        }
        if let Some((field, value)) =
            remedy::flux_forces(new).filter(|_| remedy::flux_forces(old).is_none())
        {
            let what = "Flux would delete and re-create it if an edit is rejected";
            add(change, field, what, "When Kubernetes rejects an edit", findings)
                .values(None, Some(value))
                .remedy(way_out(change, &format!("leave {FLUX_FORCE} out")));
        }
        Ok(())
    }
}

fn add<'f>(
    change: &Change<'_>,
    field: Pointer,
    what: &str,
    when: &str,
    findings: &'f mut Findings,
) -> &'f mut super::Finding {
    let deletes =
        change.written_set().is_some_and(|(_, set)| set.spec.retention.when_deleted() == "Delete");
    let harm = match change.kind {
        Kind::Claim => "the claim is deleted with its data, once no pod uses it",
        _ if deletes => "all pods stop at once, and the claims are deleted: whenDeleted is Delete",
        _ => "all pods stop at once",
    };
    findings.add(field, what).why(format!("{when}, {harm}."))
}

fn way_out(change: &Change<'_>, leave_out: &str) -> Vec<super::Step> {
    let mut steps = vec![remedy::amend(change, leave_out)];
    if change.kind == Kind::StatefulSet {
        steps.push(remedy::say(
            "for an edit that Kubernetes rejects, re-create the set with --cascade=orphan, which keeps \
             its pods and claims",
        ));
    }
    steps
}
