use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::{Change, Operation};
use crate::facts::Facts;
use crate::object::Kind;

declare_rule! {
    /// A set is changed, scaled or deleted while a resize re-creates it.
    ///
    /// ## Why
    /// To enlarge the claim templates of a set, a resize deletes it without its pods and creates it
    /// again at once. In between, the terminating set still exists. The API server accepts edits of
    /// it, and they are lost. A second delete is worse: it deletes the pods, too.
    ///
    /// The rule never denies requests of the control plane's own controllers, or edits that leave the
    /// spec alone. Without a cluster it judges nothing.
    ///
    /// ## Way out
    /// Make the edit again in a few seconds, when the set exists again.
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
                "A resize deletes it without its pods and creates it again at once. Another delete would delete the pods.",
                "delete it",
            ),
            _ if scaled => ("/spec/replicas", EDIT, "scale it"),
            _ => ("/spec", EDIT, "make the edit"),
        };
        findings
            .add(field, "is being re-created, try again in a few seconds")
            .why(why)
            .step(format!("{again} again in a few seconds, when the set exists again"))
            .command(
                "if it is not created again, see why",
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
