//! What each reason means, and what a person does about it.

mod set;
mod subject;

use stateward_core::annotations::{OWNER_MANAGED, RESIZE_MAX, RESIZE_PAUSED};
use stateward_core::record::{Reason, State, Status};
use stateward_core::rules::Step;
use stateward_core::rules::remedy::{run, say};

use self::set::{
    finish_recreation, orphaning_stuck, other_dependents, restart_pods, restore_set, rollout,
};
pub use self::subject::Subject;

/// Phase and reason of a resize in one line.
pub fn heading(status: &Status) -> String {
    let mut text = status.phase.to_string();
    if let Some(halt) = &status.halt {
        let state = match halt.state {
            State::Waiting => "waiting, ",
            State::Blocked => "blocked, ",
            State::Ended | State::Unknown(_) => "",
        };
        text = format!("{text}: {state}{}", meaning(&halt.reason));
        if !halt.message.is_empty() {
            text = format!("{text} ({})", halt.message);
        }
    }
    text
}

/// What a reason means, as the rest of a sentence.
pub fn meaning(reason: &Reason) -> &str {
    match reason {
        Reason::Paused => "the resize is paused",
        Reason::Held => "the claims have grown, and the request says to leave the set alone",
        Reason::NotObserved => "something that must be known could not be read",
        Reason::RightUnproven => "nothing proves that the requesting user may change claims",
        Reason::OverMax => "the size is above resize-max",
        Reason::HugeGrowth => "the size is so much larger that it is probably a typo",
        Reason::BadTarget => "the size cannot be requested",
        Reason::NoSuchTemplate => "the set has no such claim template",
        Reason::ClaimsGrowing => "claims are growing",
        Reason::PatchRefused => "the API server rejects growing a claim",
        Reason::WriteRefused => "the API server rejects a write of the controller; it is retried",
        Reason::ClaimTerminating => "a claim is being deleted",
        Reason::OfflineOnly => "the driver expands a volume only while no pod uses it",
        Reason::FileSystemPending => "a file system grows when its pod restarts",
        Reason::EvictionRefused => "a budget or a policy does not allow evicting the pod yet",
        Reason::OwnerManaged => "a controller owns the set and would undo the change",
        Reason::MidRollout => "a rollout of the set is under way",
        Reason::JustChanged => "a pod or the revision is too new; both must be 30 s old",
        Reason::PodsNotReady => "a pod is not available, and the set starts pods in order",
        Reason::CreateRefused => {
            "the set does not exist, and re-creating it is rejected; the controller retries"
        }
        Reason::TooManyAtOnce => "as many other sets as allowed are being re-created",
        Reason::RecentCreate => "cooling down: an earlier CREATE of the set may still arrive",
        Reason::RecreationUnfinished => {
            "an earlier re-creation was not finished, so its partition may still hold back pods"
        }
        Reason::ForeignFinalizer => "a foreign finalizer would keep the set from being deleted",
        Reason::OverlappingSelector => "another controller would adopt the pods",
        Reason::OtherDependents => {
            "other objects name the set as their owner, and would lose that reference"
        }
        Reason::DryRunRefused => "the API server would reject deleting or re-creating the set",
        Reason::ChangedOnCreate => {
            "a webhook changes the set when it is created, which would restart its pods"
        }
        Reason::Quota => "a quota hides whether the set could be re-created",
        Reason::SnapshotTooLarge => "the set is too large for its record",
        Reason::RetentionNotPinned => "a claim could still be deleted along with the set",
        Reason::SetGone => "the set was deleted by someone else",
        Reason::SetTerminating => "the set is being deleted",
        Reason::OrphaningStuck => {
            "the garbage collector does not finish orphaning what the set owns; the set is re-created \
             then"
        }
        Reason::PodsNotAdopted => "the re-created set has not adopted all its pods yet",
        Reason::Restoring => "what was changed for the resize is being restored",
        Reason::Done => "everything has the requested size",
        Reason::AbortRequested => "a person ended it; claims that have grown keep their size",
        Reason::Withdrawn => "the request was removed; claims that have grown keep their size",
        Reason::DeletedByOther => "someone else deleted the set",
        Reason::Replaced => "a new set has the name; claims that have grown keep their size",
        Reason::NamespaceTerminating => "the namespace is being deleted",
        Reason::LateDuplicate => "the CREATE of an earlier re-creation arrived late",
        Reason::TooSmallAgain => "another writer re-creates the set with its own template",
        Reason::RetentionPinFailed => "another writer keeps making the set own its claims",
        Reason::Lowered => "someone lowered a claim below the requested size",
        Reason::Infeasible => "the driver cannot make the volume this large",
        Reason::ClassGone => "a claim's StorageClass does not exist, so its volume cannot grow",
        Reason::NotExpandable => "the volume cannot be expanded",
        Reason::NodeResize => "the node could not grow the file system",
        Reason::RevisionDiffers => {
            "the re-created set would restart its pods; its partition prevents that"
        }
        Reason::OldTemplate => {
            "the set was re-created with its old size, since the new one was rejected; claims have \
             grown"
        }
        Reason::EditLost => "an edit made while the set was being deleted is lost",
        Reason::LeftAbsent => "the set was left absent, as requested",
        Reason::Unknown(text) => text,
    }
}

/// What a person does about it, the safest first; nothing if it passes by itself.
pub fn steps(reason: &Reason, subject: &Subject<'_>) -> Vec<Step> {
    let name = subject.name;
    match reason {
        Reason::Paused if subject.message.contains("resize-paused") => vec![run(
            "continue the resize",
            subject.kubectl(&format!("annotate statefulset {name} {RESIZE_PAUSED}-")),
        )],
        Reason::Paused => vec![run("continue the resize", subject.resize("resume"))],
        Reason::Held => vec![run("re-create the set as well", subject.resize("finish"))],
        Reason::NotObserved => vec![
            run(
                "see what the controller may read",
                subject.commands.kubectl("get clusterrole stateward-controller -o yaml"),
            ),
            say("the controller's log has the API server's answer"),
        ],
        Reason::RightUnproven => vec![run(
            "restore the admission policy that checks the permission to grow claims",
            subject.commands.install_crds(),
        )],
        Reason::OverMax => vec![say(format!(
            "request less, or raise the annotation {RESIZE_MAX} of the namespace"
        ))],
        Reason::BadTarget => vec![say("request a larger, whole size, such as 200Gi")],
        Reason::HugeGrowth => vec![say(
            "request the size that you mean; if you mean this one, grow in several requests, each at \
             most tenfold",
        )],
        Reason::NoSuchTemplate => vec![run(
            "see the claim templates",
            subject.of_set(".spec.volumeClaimTemplates[*].metadata.name"),
        )],
        Reason::OwnerManaged => {
            vec![
                say("set the size in the owner's resource; its operator does the rest"),
                run(
                    "or let stateward resize the set",
                    subject.kubectl(&format!("annotate statefulset {name} {OWNER_MANAGED}=allow")),
                ),
            ]
        }
        Reason::MidRollout | Reason::PodsNotReady => rollout(subject),
        Reason::ForeignFinalizer => vec![run(
            "see which controller set it; remove it if that controller is gone",
            subject.of_set(".metadata.finalizers"),
        )],
        Reason::OverlappingSelector => {
            vec![say("give the other controller a selector that matches only its own pods")]
        }
        Reason::DryRunRefused => {
            vec![say("allow it in the policy, webhook or quota that the answer names")]
        }
        Reason::WriteRefused => vec![
            say("allow it in the policy, webhook or quota that the answer names; the controller \
                 retries by itself"),
            run(
                "or see whether the controller lacks a permission",
                subject.commands.kubectl("get clusterrole stateward-controller -o yaml"),
            ),
        ],
        Reason::OtherDependents => other_dependents(subject),
        Reason::OrphaningStuck => orphaning_stuck(subject),
        Reason::ChangedOnCreate => vec![
            say(
                "write the named fields into the live set if that restarts no pod, or exempt the set \
                 from the webhook",
            ),
            run("or keep the set as it is, with grown claims", subject.resize("abort")),
        ],
        Reason::SnapshotTooLarge => {
            vec![say("shorten the set's annotations; a record holds 700 KiB, compressed")]
        }
        Reason::DeletedByOther | Reason::SetGone => restore_set(subject),
        Reason::LateDuplicate | Reason::RevisionDiffers => vec![run(
            "first compare the set with its pods",
            subject.kubectl(&format!("get statefulset {name} -o yaml --show-managed-fields")),
        )],
        Reason::RecreationUnfinished => finish_recreation(subject),
        Reason::TooSmallAgain | Reason::RetentionPinFailed => vec![
            run("see who writes the set", subject.of_set(".metadata.managedFields[*].manager")),
            say("change the size at the source of that writer, then request it again"),
        ],
        Reason::CreateRefused => {
            vec![say(
                "remove what rejects the CREATE: the quota, policy or webhook that the answer names",
            )]
        }
        Reason::OldTemplate => vec![run("retry with the new template", subject.resize("finish"))],
        Reason::EditLost => vec![say("apply the lost edit again")],
        Reason::LeftAbsent => {
            vec![say("apply the set's manifest; the pods and claims still exist")]
        }
        _ => claim_steps(reason, subject),
    }
}

/// What a person does about a claim that does not grow.
fn claim_steps(reason: &Reason, subject: &Subject<'_>) -> Vec<Step> {
    let object = subject.object();
    let describe = |kind: &str| subject.kubectl(&format!("describe {kind} {object}"));
    match reason {
        Reason::PatchRefused => vec![run("see the claim and its quota", describe("pvc"))],
        Reason::ClaimTerminating => vec![run(
            "see what deletes the claim; afterwards the set creates a new, empty one",
            describe("pvc"),
        )],
        Reason::OfflineOnly => vec![
            run("see the driver's answer", describe("pvc")),
            run(
                "see what a scale-down does to the claims: Delete means that it deletes them",
                subject.of_set(".spec.persistentVolumeClaimRetentionPolicy.whenScaled"),
            ),
            run(
                "if it is Retain or nothing, stop the pods until the volumes have grown, and then scale \
                 up again; the data is unavailable meanwhile",
                subject.kubectl(&format!("scale statefulset {} --replicas=0", subject.name)),
            ),
        ],
        Reason::Replaced | Reason::Lowered => {
            let text = "request the size again, if it is still wanted";
            vec![subject.request_again().map_or_else(|| say(text), |apply| run(text, apply))]
        }
        Reason::Infeasible => {
            let mut steps = vec![run("see the capacity and the driver's answer", describe("pvc"))];
            match subject.lower_claims() {
                Some(lower) => steps.push(run(
                    "end this resize, and lower each claim to just above its capacity, which \
                     Kubernetes allows",
                    lower,
                )),
                None => steps.push(run("end this resize", subject.resize("abort"))),
            }
            steps.push(say(
                "then request a size that the driver can make; its answer may name the largest",
            ));
            steps
        }
        Reason::ClassGone => {
            vec![say(
                "re-create the StorageClass with allowVolumeExpansion: true, then request the size again",
            )]
        }
        Reason::NotExpandable => vec![say(
            "set allowVolumeExpansion: true in the StorageClass if its driver can expand volumes; \
             otherwise copy the data to a set with larger claims",
        )],
        Reason::NodeResize => vec![run("see the node's answer", describe("pvc"))],
        Reason::EvictionRefused => vec![
            run(
                "see which budget allows no disruption",
                subject.kubectl("get poddisruptionbudgets"),
            ),
            say(
                "let the budget allow one disruption, or restart the pod yourself; the controller retries",
            ),
        ],
        Reason::FileSystemPending => restart_pods(subject),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use stateward_core::record::{ClaimState, ClaimStatus};

    use super::*;
    use crate::Commands;

    struct Parts {
        commands: Commands,
        targets: BTreeMap<String, String>,
    }

    impl Parts {
        fn new() -> Self {
            let commands = Commands::new("kubectl stateward").cluster("--context", Some("eu"));
            Self { commands, targets: BTreeMap::from([("data".to_owned(), "50Gi".to_owned())]) }
        }

        fn subject(&self) -> Subject<'_> {
            Subject {
                namespace: "prod",
                name: "db",
                message: "data-db-0: its class is slow",
                claims: &[],
                targets: &self.targets,
                has_copy: true,
                commands: &self.commands,
            }
        }
    }

    fn claim(ordinal: u32, state: ClaimState, lowest: &str) -> ClaimStatus {
        ClaimStatus {
            name: format!("data-db-{ordinal}"),
            from: "10Gi".to_owned(),
            target: "50Gi".to_owned(),
            capacity: Some("10Gi".to_owned()),
            state,
            since: None,
            lowest: (!lowest.is_empty()).then(|| lowest.to_owned()),
            evicted: None,
        }
    }

    fn commands(steps: &[Step]) -> Vec<&str> {
        steps.iter().filter_map(|step| step.command.as_deref()).collect()
    }

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
        let parts = Parts::new();
        let silent = |reason: &&Reason| steps(reason, &parts.subject()).is_empty();
        let silent: Vec<_> = Reason::ALL.iter().filter(silent).map(Reason::as_str).collect();
        assert_eq!(
            silent,
            [
                "ClaimsGrowing",
                "JustChanged",
                "RecentCreate",
                "Quota",
                "RetentionNotPinned",
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
    fn every_command_runs_as_pasted_against_the_cluster_that_was_asked() {
        let parts = Parts::new();
        let claims =
            [claim(0, ClaimState::NodePending, "11Gi"), claim(1, ClaimState::Failed, "11Gi")];
        for claims in [&claims[..], &[]] {
            let subject = Subject { claims, ..parts.subject() };
            for reason in Reason::ALL {
                for step in steps(reason, &subject) {
                    let Some(command) = step.command else { continue };
                    let calls = command.matches("kubectl ").count();
                    // `kubectl stateward manifests` asks no cluster.
                    let offline = command.matches("stateward manifests").count();
                    let asked = command.matches("--context eu").count();
                    assert_eq!(asked, calls - offline, "{reason}: {command}");
                    let shouts = |word: &str| {
                        word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
                    };
                    let words = command.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                    let placeholders: Vec<&str> = words.filter(|word| shouts(word)).collect();
                    assert!(placeholders.is_empty(), "{reason}: {command}: {placeholders:?}");
                    assert!(!command.contains(['<', '…']), "{reason}: {command}");
                }
            }
        }
    }

    #[test]
    fn each_pod_that_waits_for_a_restart_is_named_once() {
        let parts = Parts::new();
        let pending = |template: &str, ordinal: u32| ClaimStatus {
            name: format!("{template}-db-{ordinal}"),
            ..claim(ordinal, ClaimState::NodePending, "")
        };
        let claims = [
            pending("data", 0),
            pending("wal", 0),
            pending("data", 2),
            claim(1, ClaimState::Done, ""),
        ];
        let found =
            steps(&Reason::FileSystemPending, &Subject { claims: &claims, ..parts.subject() });
        assert_eq!(
            commands(&found)[..2],
            [
                "kubectl --context eu -n prod delete pod db-0",
                "kubectl --context eu -n prod delete pod db-2"
            ]
        );
        assert_eq!(found.len(), 3, "{found:?}");
        let many: Vec<ClaimStatus> = (0..9).map(|ordinal| pending("data", ordinal)).collect();
        let found =
            steps(&Reason::FileSystemPending, &Subject { claims: &many, ..parts.subject() });
        assert!(found.iter().any(|step| step.text == "restart 4 more pods in the same way"));
    }

    #[test]
    fn an_owner_may_let_stateward_resize_its_set() {
        let parts = Parts::new();
        let found = steps(&Reason::OwnerManaged, &parts.subject());
        assert!(commands(&found)[0].contains("owner-managed=allow"), "{found:?}");
    }

    #[test]
    fn a_set_is_restored_only_from_a_copy() {
        let parts = Parts::new();
        for reason in [Reason::DeletedByOther, Reason::SetGone] {
            let with = steps(&reason, &parts.subject());
            assert!(commands(&with)[0].contains("resize finish db -n prod"), "{with:?}");
            let without = steps(&reason, &Subject { has_copy: false, ..parts.subject() });
            assert!(commands(&without).is_empty() && without.len() == 1, "{without:?}");
        }
    }

    #[test]
    fn a_size_is_requested_again_as_it_was() {
        let parts = Parts::new();
        let found = steps(&Reason::Lowered, &parts.subject());
        assert_eq!(
            commands(&found),
            ["kubectl stateward resize apply db -n prod --context eu --size data=50Gi"]
        );
        let none = BTreeMap::new();
        let found = steps(&Reason::Lowered, &Subject { targets: &none, ..parts.subject() });
        assert!(commands(&found).is_empty() && found.len() == 1, "{found:?}");
    }

    #[test]
    fn claims_that_are_too_large_are_lowered_by_one_command() {
        let parts = Parts::new();
        let claims = [
            claim(0, ClaimState::Failed, "10241Mi"),
            claim(1, ClaimState::Growing, "10241Mi"),
            claim(2, ClaimState::Growing, "20481Mi"),
            claim(3, ClaimState::Done, ""),
        ];
        let message = "data-db-0";
        let steps =
            steps(&Reason::Infeasible, &Subject { message, claims: &claims, ..parts.subject() });
        assert_eq!(
            steps[0].command.as_deref(),
            Some("kubectl --context eu -n prod describe pvc data-db-0")
        );
        let patch = |claims: &str, size: &str| {
            format!(
                "kubectl --context eu -n prod patch pvc {claims} --type merge \
                 -p '{{\"spec\":{{\"resources\":{{\"requests\":{{\"storage\":\"{size}\"}}}}}}}}'"
            )
        };
        let expected = [
            "kubectl stateward resize abort db -n prod --context eu".to_owned(),
            patch("data-db-0 data-db-1", "10241Mi"),
            patch("data-db-2", "20481Mi"),
        ];
        assert_eq!(steps[1].command, Some(expected.join(" && ")));
    }
}
