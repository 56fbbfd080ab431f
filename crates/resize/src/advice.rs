//! What each reason means, and what a person does about it. The one place for these words.

use stateward_core::annotations::{
    OWNER_MANAGED, RESIZE_MAX, RESIZE_PAUSED, RESIZE_RESTART, RESIZE_UNFINISHED,
};
use stateward_core::record::Reason;
use stateward_core::rules::Step;
use stateward_core::rules::remedy::{run, say};

/// Whom advice is for.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'s> {
    /// the set's namespace
    pub namespace: &'s str,
    /// the set's name
    pub name: &'s str,
    /// what the reason is about: a claim, a field, somebody's answer
    pub detail: &'s str,
}

impl Subject<'_> {
    /// `kubectl` for this namespace.
    fn kubectl(&self, rest: &str) -> String {
        format!("kubectl -n {} {rest}", self.namespace)
    }

    /// Prints a field of the set.
    fn of_set(&self, path: &str) -> String {
        self.kubectl(&format!("get statefulset {} -o jsonpath='{{{path}}}'", self.name))
    }

    /// `stateward resize` for this set.
    fn resize(&self, command: &str) -> String {
        let (verb, options) = command.split_once(' ').unwrap_or((command, ""));
        let line = format!("stateward resize {verb} {} -n {} {options}", self.name, self.namespace);
        line.trim_end().to_owned()
    }

    /// The claim or the pod that the detail begins with.
    fn object(&self) -> &str {
        self.detail.split([':', ',', ' ']).next().unwrap_or_default()
    }
}

/// What a detail is about, and the command that the step wrote behind it, if one helps.
pub fn about(detail: &str) -> (&str, Option<&str>) {
    match detail.split_once(": ") {
        Some((about, command)) if command.starts_with("stateward ") => (about, Some(command)),
        _ => (detail, None),
    }
}

/// What a reason means, as the rest of a sentence.
pub fn meaning(reason: &Reason) -> &str {
    match reason {
        Reason::Paused => "the resize is paused",
        Reason::Held => "the claims have grown, and the set was asked to be left alone",
        Reason::NotObserved => "something that must be known could not be read",
        Reason::RightUnproven => "nothing proves that whoever asked may change claims",
        Reason::OverMax => "more than resize-max allows",
        Reason::BadTarget => "the size cannot be asked for",
        Reason::NoSuchTemplate => "the set has no such claim template",
        Reason::ClaimsGrowing => "claims are growing",
        Reason::PatchRefused => "the API server refused to let a claim grow",
        Reason::ClaimTerminating => "a claim is going away",
        Reason::OfflineOnly => "the driver grows a volume only while no pod uses it",
        Reason::FileSystemPending => "a file system grows when its pod restarts",
        Reason::EvictionRefused => "a budget or a policy does not let the pod be restarted yet",
        Reason::OwnerManaged => "a controller owns the set, and would undo the change",
        Reason::MidRollout => "the set is in the middle of a rollout",
        Reason::JustChanged => "pods or their revision are too young to be left alone safely",
        Reason::PodsNotReady => "a pod is not available, and the set starts pods in order",
        Reason::CreateRefused => {
            "the set is away, and creating it again is refused; it is tried on"
        }
        Reason::TooManyAtOnce => "as many other sets as allowed are being re-created",
        Reason::RecentCreate => "an earlier re-creation of the set may still arrive",
        Reason::RecreationUnfinished => {
            "an earlier re-creation was not finished: its partition may hold the pods still"
        }
        Reason::ForeignFinalizer => "somebody's finalizer would hold the set back",
        Reason::OverlappingSelector => "another controller would take the pods over",
        Reason::DryRunRefused => "the API server would refuse to delete or re-create the set",
        Reason::ChangedOnCreate => {
            "a webhook changes the set when it is created, which would \
                                    restart its pods"
        }
        Reason::Quota => "a quota hides whether the set could be created again",
        Reason::SnapshotTooLarge => "the set is too large to be kept in the record",
        Reason::RetentionNotPinned => "a claim could still follow the set when it is deleted",
        Reason::SetGone => "the set is not there, and stateward did not delete it",
        Reason::SetTerminating => "the set is going away",
        Reason::PodsNotAdopted => "the re-created set has not taken over all its pods",
        Reason::Restoring => "what was changed for the resize is being put back",
        Reason::Done => "everything is as asked",
        Reason::AbortRequested => "a person ended it; claims that have grown stay as they are",
        Reason::Withdrawn => "the request was taken back; claims that have grown stay as they are",
        Reason::DeletedByOther => "somebody else deleted the set",
        Reason::Replaced => "another set has taken the name; claims that have grown stay",
        Reason::NamespaceTerminating => "the namespace is going away",
        Reason::LateDuplicate => "a re-creation of an earlier recreation arrived late",
        Reason::TooSmallAgain => "somebody re-creates the set with a template of its own",
        Reason::RetentionPinFailed => "somebody keeps binding claims to the life of the set",
        Reason::Lowered => "somebody lowered a claim below the size asked",
        Reason::Infeasible => "the driver cannot make the volume this large",
        Reason::ClassGone => "a claim's class is gone, so nobody grows the volume",
        Reason::NotExpandable => "the volume cannot grow",
        Reason::NodeResize => "the node could not grow the file system",
        Reason::RevisionDiffers => {
            "the re-created set would restart its pods; its partition holds \
                                    them back"
        }
        Reason::OldTemplate => {
            "the set came back with its old template, since the new one was \
                                refused; claims have grown"
        }
        Reason::EditLost => "an edit made while the set was away is not in it",
        Reason::LeftAbsent => "the set was left absent, as asked",
        Reason::Unknown(word) => word,
    }
}

/// What a person does about it, the safest first; nothing where it passes by itself.
pub fn steps(reason: &Reason, subject: &Subject<'_>) -> Vec<Step> {
    let name = subject.name;
    match reason {
        Reason::Paused if subject.detail.contains("resize-paused") => vec![run(
            "let it go on",
            subject.kubectl(&format!("annotate statefulset {name} {RESIZE_PAUSED}-")),
        )],
        Reason::Paused => vec![run("let it go on", subject.resize("resume"))],
        Reason::Held => vec![run("re-create the set as well", subject.resize("finish"))],
        Reason::NotObserved => vec![
            run(
                "see what the controller may read",
                "kubectl get clusterrole stateward-controller -o yaml",
            ),
            say("the controller's log says what was answered"),
        ],
        Reason::RightUnproven => vec![run(
            "put the admission policy back that asks for the right to grow claims",
            "stateward manifests --crds | kubectl apply --server-side -f -",
        )],
        Reason::OverMax => vec![say(format!(
            "ask for less, or raise the annotation {RESIZE_MAX} of the namespace"
        ))],
        Reason::BadTarget => vec![say("ask for a larger size, such as 200Gi")],
        Reason::NoSuchTemplate => vec![run(
            "see the claim templates",
            subject.of_set(".spec.volumeClaimTemplates[*].metadata.name"),
        )],
        Reason::OwnerManaged => {
            vec![
                say("change the size in the owner; its operator does the rest"),
                run(
                    "or let stateward grow the claims, where it may not yet",
                    subject.kubectl(&format!("annotate statefulset {name} {OWNER_MANAGED}=allow")),
                ),
            ]
        }
        Reason::MidRollout | Reason::PodsNotReady => vec![run(
            "watch the rollout",
            subject.kubectl(&format!("rollout status statefulset {name}")),
        )],
        Reason::ForeignFinalizer => vec![run(
            "see who set it, and let them take it off",
            subject.of_set(".metadata.finalizers"),
        )],
        Reason::OverlappingSelector => {
            vec![say("give the other controller a selector that matches only its own pods")]
        }
        Reason::DryRunRefused => vec![say("whoever refuses has to allow it")],
        Reason::ChangedOnCreate => vec![
            say(
                "write the named fields into the live set, where that restarts nothing, or have the \
                 webhook leave this set out",
            ),
            run("keep the set as it is, with grown claims", subject.resize("abort")),
        ],
        Reason::SnapshotTooLarge => {
            vec![say("make the set smaller, its annotations most of all; a record holds 700 KiB")]
        }
        Reason::DeletedByOther => vec![
            run("bring the set back as it was, with the size asked", subject.resize("finish")),
            say("or apply its manifest with the new size; claims that are left are used again"),
        ],
        Reason::LateDuplicate | Reason::RevisionDiffers => vec![run(
            "compare the set with its pods before anything else",
            subject.kubectl(&format!("get statefulset {name} -o yaml --show-managed-fields")),
        )],
        Reason::RecreationUnfinished => finish_recreation(subject),
        Reason::TooSmallAgain | Reason::RetentionPinFailed => vec![
            run("see who writes the set", subject.of_set(".metadata.managedFields[*].manager")),
            say("change the size where that writer takes it from, then ask again"),
        ],
        Reason::CreateRefused => {
            vec![say(
                "take away what refuses it: a quota, a policy, a webhook, which is named here",
            )]
        }
        Reason::OldTemplate => vec![run("try the template again", subject.resize("finish"))],
        Reason::EditLost => vec![say("apply the lost edit again")],
        Reason::LeftAbsent => {
            vec![say("apply the set's manifest: the pods and claims are still there")]
        }
        _ => claim_steps(reason, subject),
    }
}

/// What a person does about a set that a re-creation has left as it was created.
fn finish_recreation(subject: &Subject<'_>) -> Vec<Step> {
    let name = subject.name;
    vec![
        run(
            "compare the set with its pods: a lower partition restarts those that differ",
            subject.kubectl("get controllerrevisions,pods --show-labels"),
        ),
        run(
            "put the partition back, here to 0, where it is not meant so, and the retention \
             where it was Delete",
            subject.kubectl(&format!(
                "patch statefulset {name} --type merge -p \
                 '{{\"spec\":{{\"updateStrategy\":{{\"rollingUpdate\":{{\"partition\":0}}}}}}}}'"
            )),
        ),
        run(
            "then say that the set is as it should be",
            subject.kubectl(&format!("annotate statefulset {name} {RESIZE_UNFINISHED}-")),
        ),
    ]
}

/// What a person does about a claim that does not grow.
fn claim_steps(reason: &Reason, subject: &Subject<'_>) -> Vec<Step> {
    let object = subject.object();
    let name = subject.name;
    let describe = |kind: &str| subject.kubectl(&format!("describe {kind} {object}"));
    match reason {
        Reason::PatchRefused => vec![run("see the claim and its quota", describe("pvc"))],
        Reason::ClaimTerminating => vec![run(
            "see what deletes the claim; once it is gone the set makes a new, empty one",
            describe("pvc"),
        )],
        Reason::OfflineOnly => vec![
            run("see the driver's answer", describe("pvc")),
            say("stop the pod and keep it stopped until the volume has grown; it is unavailable \
                 meanwhile"),
        ],
        Reason::Replaced | Reason::Lowered => {
            vec![run("ask again, where the size still holds", subject.resize("apply --size SIZE"))]
        }
        Reason::Infeasible => {
            let mut steps = vec![run("see the capacity and the driver's answer", describe("pvc"))];
            match about(subject.detail).1 {
                Some(lower) => steps.push(run(
                    "end this resize, and lower the claim to just above its capacity, which \
                     Kubernetes allows",
                    lower.to_owned(),
                )),
                None => steps.push(run("end this resize", subject.resize("abort"))),
            }
            steps.push(run("ask for a size that it can make", subject.resize("apply --size SIZE")));
            steps
        }
        Reason::ClassGone => {
            vec![say("create the class again with allowVolumeExpansion: true, then ask again")]
        }
        Reason::NotExpandable => vec![say(
            "set allowVolumeExpansion: true in the class where its driver can grow volumes; \
             otherwise copy the data to a set with larger claims",
        )],
        Reason::NodeResize => vec![run("see the node's answer", describe("pvc"))],
        Reason::EvictionRefused => vec![
            run(
                "see which budget allows no disruption",
                subject.kubectl("get poddisruptionbudgets"),
            ),
            say("it is tried again: let the budget allow one, or restart the pod when it suits"),
        ],
        Reason::FileSystemPending => vec![
            run("restart the pod when it suits", subject.kubectl("delete pod POD")),
            run(
                "or let stateward evict it, one at a time",
                subject.kubectl(&format!("annotate statefulset {name} {RESIZE_RESTART}=evict")),
            ),
        ],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBJECT: Subject<'_> =
        Subject { namespace: "prod", name: "db", detail: "data-db-0: its class is slow" };

    #[test]
    fn every_reason_has_a_meaning_of_its_own() {
        let mut meanings: Vec<_> = Reason::ALL.iter().map(meaning).collect();
        for (reason, meaning) in Reason::ALL.iter().zip(&meanings) {
            assert!(!meaning.is_empty() && !meaning.contains("  "), "{reason}: {meaning}");
            assert!(!meaning.ends_with('.'), "{reason}: {meaning}");
        }
        meanings.sort_unstable();
        meanings.dedup();
        assert_eq!(meanings.len(), Reason::ALL.len());
    }

    #[test]
    fn only_what_passes_by_itself_or_is_over_goes_without_advice() {
        let silent = |reason: &&Reason| steps(reason, &SUBJECT).is_empty();
        let silent: Vec<_> = Reason::ALL.iter().filter(silent).map(Reason::as_str).collect();
        assert_eq!(
            silent,
            [
                "ClaimsGrowing",
                "JustChanged",
                "RecentCreate",
                "Quota",
                "RetentionNotPinned",
                "SetGone",
                "SetTerminating",
                "PodsNotAdopted",
                "Restoring",
                "Done",
                "AbortRequested",
                "Withdrawn",
                "NamespaceTerminating",
                "TooManyAtOnce",
            ]
        );
    }

    #[test]
    fn commands_are_for_this_set() {
        for reason in Reason::ALL {
            for step in steps(reason, &SUBJECT) {
                let Some(command) = step.command else { continue };
                let everybodys = ["kubectl get clusterrole", "stateward manifests"];
                let known = command.contains("prod")
                    || everybodys.iter().any(|start| command.starts_with(start));
                assert!(known, "{reason}: {command}");
            }
        }
    }

    #[test]
    fn a_claim_that_is_too_large_is_lowered_by_the_command_of_the_record() {
        let lower = "stateward resize abort db -n prod && kubectl -n prod patch pvc data-db-0";
        let detail = format!("data-db-0: {lower}");
        let steps = steps(&Reason::Infeasible, &Subject { detail: &detail, ..SUBJECT });
        assert_eq!(steps[0].command.as_deref(), Some("kubectl -n prod describe pvc data-db-0"));
        assert_eq!(steps[1].command.as_deref(), Some(lower));
    }
}
