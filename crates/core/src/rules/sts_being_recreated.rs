use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::{Change, Operation};
use crate::facts::Facts;
use crate::object::Kind;

declare_rule! {
    /// A set is changed, scaled or deleted in the moment in which a resize re-creates it.
    ///
    /// ## Why
    /// To give a set larger claim templates it is deleted without its pods and created again at
    /// once. In between it still stands there, going away. The API server accepts edits of it, and
    /// they vanish with it. A second delete is worse: it makes the pods go as well.
    ///
    /// The garbage collector and the other controllers of the control plane are never refused, and
    /// nor is an edit that leaves the spec alone. Where no cluster is known, nothing is refused.
    ///
    /// ## Way out
    /// Make the edit again: the set is back within seconds, and takes it.
    StsBeingRecreated {
        id: "sts-being-recreated",
        title: "a StatefulSet is changed while a resize re-creates it",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Update, Delete], Scale: [Update]],
        source: "kubernetes pkg/registry/generic/registry/store.go deletionFinalizersForGarbageCollection",
        judged_at: super::JudgedAt::Mutation,
        judges_terminating: true,
    }
}

impl Rule for StsBeingRecreated {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let (old, new) = (&change.objects.old, &change.objects.new);
        let Some(before) = old else { return Ok(()) };
        let scaled = change.kind == Kind::Scale;
        // A Scale does not show whether its set is going away.
        if !scaled && !before.metadata.is_terminating() {
            return Ok(());
        }
        if let (false, Some(new)) = (scaled, new)
            && before.spec == new.spec
        {
            return Ok(());
        }
        let uid = before.metadata.uid.as_str();
        let record = facts.record(&change.namespace, &change.name).needed()?;
        if !record.is_some_and(|record| record.replaces(uid)) {
            return Ok(());
        }
        if scaled {
            let set = facts.set(&change.namespace, &change.name).needed()?;
            if !set.is_some_and(|set| set.terminating && set.uid == uid) {
                return Ok(());
            }
        }
        let (field, why, again) = match change.operation {
            Operation::Delete => (
                "/metadata/deletionTimestamp",
                "It goes away without its pods and comes back at once; another delete would take \
                 its pods along.",
                "delete it",
            ),
            _ if scaled => ("/spec/replicas", EDIT, "scale it"),
            _ => ("/spec", EDIT, "make the edit"),
        };
        findings
            .add(field, "is being re-created, try again in a few seconds")
            .why(why)
            .step(format!("{again} again in a few seconds, when the set is back"))
            .command(
                "if it does not come back, see why",
                format!(
                    "stateward resize status {} -n {}",
                    remedy::quoted(&format!("sts/{}", change.name)),
                    remedy::quoted(&change.namespace)
                ),
            );
        Ok(())
    }
}

const EDIT: &str = "A resize replaces it by a set with larger claim templates, which would not know \
                    of this edit.";
