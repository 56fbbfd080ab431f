//! What each reason means, and what a person does about it. Every command is made here.

use std::collections::BTreeMap;

use stateward_core::annotations::{
    OWNER_MANAGED, RESIZE_MAX, RESIZE_PAUSED, RESIZE_RESTART, RESIZE_UNFINISHED,
};
use stateward_core::record::{ClaimState, ClaimStatus, Reason};
use stateward_core::rules::Step;
use stateward_core::rules::remedy::{run, say};

/// The resize that advice is for.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'s> {
    /// the set's namespace
    pub namespace: &'s str,
    /// the set's name
    pub name: &'s str,
    /// what the reason is about: a claim, a field, the API server's answer
    pub message: &'s str,
    /// how far each claim is
    pub claims: &'s [ClaimStatus],
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

    /// The claim or the pod that the message begins with.
    fn object(&self) -> &str {
        self.message.split([':', ',', ' ']).next().unwrap_or_default()
    }

    /// Ends the resize and lowers every claim that is not done to the smallest request that
    /// Kubernetes accepts; none if no claim can be lowered.
    fn lower_claims(&self) -> Option<String> {
        let mut by_size: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for claim in self.claims.iter().filter(|claim| claim.state != ClaimState::Done) {
            if let Some(size) = &claim.lowest {
                by_size.entry(size).or_default().push(&claim.name);
            }
        }
        let patch = |(size, claims): (&str, Vec<&str>)| {
            self.kubectl(&format!(
                "patch pvc {} --type merge \
                 -p '{{\"spec\":{{\"resources\":{{\"requests\":{{\"storage\":\"{size}\"}}}}}}}}'",
                claims.join(" ")
            ))
        };
        let patches: Vec<String> = by_size.into_iter().map(patch).collect();
        let all = std::iter::once(self.resize("abort")).chain(patches.iter().cloned());
        (!patches.is_empty()).then(|| all.collect::<Vec<_>>().join(" && "))
    }
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
                "kubectl get clusterrole stateward-controller -o yaml",
            ),
            say("the controller's log has the API server's answer"),
        ],
        Reason::RightUnproven => vec![run(
            "restore the admission policy that checks the permission to grow claims",
            "stateward manifests --crds | kubectl apply --server-side -f -",
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
                    "or allow stateward to grow the claims",
                    subject.kubectl(&format!("annotate statefulset {name} {OWNER_MANAGED}=allow")),
                ),
            ]
        }
        Reason::MidRollout | Reason::PodsNotReady => vec![run(
            "watch the rollout",
            subject.kubectl(&format!("rollout status statefulset {name}")),
        )],
        Reason::DeletedByOther => vec![
            run("restore the set as it was, with the requested size", subject.resize("finish")),
            say("or apply its manifest with the new size; the set uses the claims that are left"),
        ],
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
        _ => set_steps(reason, subject),
    }
}

/// What a person does about a set that cannot be re-created yet.
fn set_steps(reason: &Reason, subject: &Subject<'_>) -> Vec<Step> {
    let name = subject.name;
    match reason {
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
            say(
                "allow it in the policy, webhook or quota that the answer names; the controller \
                 retries by itself",
            ),
            run(
                "if the controller lacks a permission, restore its roles and policies",
                "stateward manifests --crds --rights stateward | kubectl apply --server-side -f -",
            ),
        ],
        Reason::OtherDependents => vec![
            run(
                "see which objects name the set as their owner",
                subject.kubectl(&format!(
                    "get configmaps,services,serviceaccounts,poddisruptionbudgets -o json | jq -r \
                     '.items[] | select(.metadata.ownerReferences[]? | .kind == \"StatefulSet\" and \
                     .name == \"{name}\") | .kind + \"/\" + .metadata.name'"
                )),
            ),
            say(
                "remove the owner reference from each of them; the resize then continues. After it, \
                 add the reference again with the set's new UID",
            ),
            run("or keep the set as it is, with grown claims", subject.resize("abort")),
        ],
        Reason::OrphaningStuck => vec![
            say("neither abort nor finish can hurry it: the set is re-created as soon as it is gone"),
            run(
                "find the webhook or policy that denies updates by the garbage collector, or that \
                 is down",
                "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations,\
                 validatingadmissionpolicies",
            ),
            say(
                "let it allow updates by system:serviceaccount:kube-system:generic-garbage-collector; \
                 the garbage collector retries within minutes",
            ),
        ],
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
        _ => claim_steps(reason, subject),
    }
}

/// What a person does about a set whose re-creation was not finished.
fn finish_recreation(subject: &Subject<'_>) -> Vec<Step> {
    let name = subject.name;
    vec![
        run(
            "compare the set with its pods: a lower partition restarts those that differ",
            subject.kubectl("get controllerrevisions,pods --show-labels"),
        ),
        run(
            "restore the partition, here 0, unless you set it, and the retention if it was Delete",
            subject.kubectl(&format!(
                "patch statefulset {name} --type merge -p \
                 '{{\"spec\":{{\"updateStrategy\":{{\"rollingUpdate\":{{\"partition\":0}}}}}}}}'"
            )),
        ),
        run(
            "then mark the re-creation as finished",
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
            "see what deletes the claim; afterwards the set creates a new, empty one",
            describe("pvc"),
        )],
        Reason::OfflineOnly => vec![
            run("see the driver's answer", describe("pvc")),
            say("stop the pod and keep it stopped until the volume has grown; its data is \
                 unavailable meanwhile"),
        ],
        Reason::Replaced | Reason::Lowered => {
            vec![run(
                "request the size again, if it is still wanted",
                subject.resize("apply --size SIZE"),
            )]
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
            steps.push(run(
                "request a size that the driver can make",
                subject.resize("apply --size SIZE"),
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
        Reason::FileSystemPending => vec![
            run("restart the pod", subject.kubectl("delete pod POD")),
            run(
                "or let stateward evict pods, one at a time",
                subject.kubectl(&format!("annotate statefulset {name} {RESIZE_RESTART}=evict")),
            ),
        ],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBJECT: Subject<'_> = Subject {
        namespace: "prod",
        name: "db",
        message: "data-db-0: its class is slow",
        claims: &[],
    };

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
                let everybodys =
                    ["kubectl get clusterrole", "kubectl get validating", "stateward manifests"];
                let known = command.contains("prod")
                    || everybodys.iter().any(|start| command.starts_with(start));
                assert!(known, "{reason}: {command}");
            }
        }
    }

    #[test]
    fn claims_that_are_too_large_are_lowered_by_one_command() {
        let claim = |ordinal: u32, state, lowest: &str| ClaimStatus {
            name: format!("data-db-{ordinal}"),
            from: "10Gi".to_owned(),
            target: "50Gi".to_owned(),
            capacity: Some("10Gi".to_owned()),
            state,
            since: None,
            lowest: (!lowest.is_empty()).then(|| lowest.to_owned()),
            evicted: None,
        };
        let claims = [
            claim(0, ClaimState::Failed, "10241Mi"),
            claim(1, ClaimState::Growing, "10241Mi"),
            claim(2, ClaimState::Growing, "20481Mi"),
            claim(3, ClaimState::Done, ""),
        ];
        let message = "data-db-0";
        let steps = steps(&Reason::Infeasible, &Subject { message, claims: &claims, ..SUBJECT });
        assert_eq!(steps[0].command.as_deref(), Some("kubectl -n prod describe pvc data-db-0"));
        let patch = |claims: &str, size: &str| {
            format!(
                "kubectl -n prod patch pvc {claims} --type merge \
                 -p '{{\"spec\":{{\"resources\":{{\"requests\":{{\"storage\":\"{size}\"}}}}}}}}'"
            )
        };
        let expected = [
            "stateward resize abort db -n prod".to_owned(),
            patch("data-db-0 data-db-1", "10241Mi"),
            patch("data-db-2", "20481Mi"),
        ];
        assert_eq!(steps[1].command, Some(expected.join(" && ")));
    }
}
