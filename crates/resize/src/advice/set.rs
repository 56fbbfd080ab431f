//! Advice about the set and its pods that takes more than a line.

use stateward_core::annotations::{RESIZE_RESTART, RESIZE_UNFINISHED};
use stateward_core::rules::Step;
use stateward_core::rules::remedy::{run, say};

use super::Subject;

/// Pods that are named one by one.
const PODS_SHOWN: usize = 5;

/// What a person does about a set that someone else deleted.
pub(super) fn restore_set(subject: &Subject<'_>) -> Vec<Step> {
    let apply = "apply its manifest with the new size; the set uses the claims that are left";
    if !subject.has_copy {
        return vec![say(apply)];
    }
    vec![
        run(
            "restore the set as it was when the resize last read it, with the requested size",
            subject.resize("finish"),
        ),
        say(format!("or {apply}")),
    ]
}

/// What a person does about a rollout that is under way.
pub(super) fn rollout(subject: &Subject<'_>) -> Vec<Step> {
    let status = format!("rollout status statefulset {}", subject.name);
    vec![
        run("watch the rollout", subject.kubectl(&status)),
        // kubernetes/kubernetes#67250
        say(
            "if a broken pod holds it up after the template was corrected, delete that pod. A Parallel \
             set on Kubernetes 1.37 or newer does so by itself",
        ),
    ]
}

/// What a person does about file systems that grow when their pods restart.
pub(super) fn restart_pods(subject: &Subject<'_>) -> Vec<Step> {
    let pods = subject.waiting_pods();
    let mut steps: Vec<Step> = Vec::new();
    for (index, pod) in pods.iter().take(PODS_SHOWN).enumerate() {
        let text = match index {
            0 => format!("restart pod {pod}"),
            _ => format!("once that pod is ready, restart pod {pod}"),
        };
        steps.push(run(text, subject.kubectl(&format!("delete pod {pod}"))));
    }
    match pods.len().saturating_sub(PODS_SHOWN) {
        0 => {}
        more => steps.push(say(format!("restart {more} more pods in the same way"))),
    }
    steps.push(run(
        "or let stateward evict pods, one at a time",
        subject.kubectl(&format!("annotate statefulset {} {RESIZE_RESTART}=evict", subject.name)),
    ));
    steps
}

/// What a person does about a set whose re-creation was not finished.
pub(super) fn finish_recreation(subject: &Subject<'_>) -> Vec<Step> {
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

/// What a person does about other objects that name the set as their owner.
pub(super) fn other_dependents(subject: &Subject<'_>) -> Vec<Step> {
    let name = subject.name;
    vec![
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
        ]
}

/// What a person does about a garbage collector that does not finish.
pub(super) fn orphaning_stuck(subject: &Subject<'_>) -> Vec<Step> {
    vec![
        say("neither abort nor finish can hurry it: the set is re-created as soon as it is gone"),
        run(
            "find the webhook or policy that denies updates by the garbage collector, or that \
                 is down",
            subject.commands.kubectl(
                "get validatingwebhookconfigurations,mutatingwebhookconfigurations,\
                     validatingadmissionpolicies",
            ),
        ),
        say(
            "let it allow updates by system:serviceaccount:kube-system:generic-garbage-collector; \
                 the garbage collector retries within minutes",
        ),
    ]
}
