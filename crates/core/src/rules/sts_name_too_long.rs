use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::Pointer;

declare_rule! {
    /// The name of a new set has more than 52 characters.
    ///
    /// ## Why
    /// The API server accepts names of up to 63 characters. But the controller labels each pod with
    /// `controller-revision-hash: <name>-<hash>`. The hash has eight to ten characters, and a label
    /// holds 63. With more than 54 no pod is ever created. With 53 or 54 it depends on the hash, so
    /// an edit of the template can break a working set. The set only shows `FailedCreate` events.
    ///
    /// ## Way out
    /// Choose a shorter name before there is data, because a set cannot be renamed.
    StsNameTooLong {
        id: "sts-name-too-long",
        title: "the name of a StatefulSet is too long for the labels of its pods",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Create]],
        source: "kubernetes#64023; kubernetes pkg/controller/history/controller_history.go",
    }
}

/// With a dash and ten digits of hash, the 63 of a label. Ordinals have at most ten digits too, so
/// that host name and pod name fit wherever this fits.
const LONGEST: usize = 52;

/// What the API server keeps of `generateName`, and what it adds.
const GENERATED: (usize, usize) = (58, 5);

impl Rule for StsNameTooLong {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some(set) = change.created_set() else { return Ok(()) };
        let (name, stem) = (&set.metadata.name, &set.metadata.generate_name);
        let (key, value, length) = if name.is_empty() {
            ("generateName", stem, stem.len().min(GENERATED.0) + GENERATED.1)
        } else {
            ("name", name, name.len())
        };
        if length <= LONGEST {
            return Ok(());
        }
        let most = if name.is_empty() { LONGEST - GENERATED.1 } else { LONGEST };
        findings
            .add(
                Pointer::from("/metadata").key(key),
                format!("name exceeds {LONGEST} characters"),
            )
            .values(None, Some(value))
            .why(format!(
                "With {length} characters, the label controller-revision-hash of the pods can exceed 63 characters. Then no pod is created."
            ))
            .remedy(vec![remedy::amend(
                change,
                &format!("choose a metadata.{key} of at most {most} characters"),
            )]);
        Ok(())
    }
}
