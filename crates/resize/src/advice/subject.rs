//! The resize that advice is for, and the commands about it.

use std::collections::BTreeMap;

use stateward_core::record::{ClaimState, ClaimStatus, Halt, Record};

use crate::Commands;

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
    /// the sizes requested, by claim template
    pub targets: &'s BTreeMap<String, String>,
    /// whether the record holds a copy of the set
    pub has_copy: bool,
    /// builds the commands
    pub commands: &'s Commands,
}

impl<'s> Subject<'s> {
    /// The resize of a record; `halt` is the reason for which it does not go on.
    pub fn of_record(
        record: &'s Record,
        halt: &'s Halt,
        targets: &'s BTreeMap<String, String>,
        commands: &'s Commands,
    ) -> Self {
        Self {
            namespace: &record.namespace,
            name: &record.name,
            message: &halt.message,
            claims: &record.status.claims,
            targets,
            has_copy: record.status.snapshot.is_some(),
            commands,
        }
    }
}

impl Subject<'_> {
    /// `kubectl` for this namespace.
    pub(super) fn kubectl(&self, rest: &str) -> String {
        self.commands.kubectl_in(self.namespace, rest)
    }

    /// Prints a field of the set.
    pub(super) fn of_set(&self, path: &str) -> String {
        self.kubectl(&format!("get statefulset {} -o jsonpath='{{{path}}}'", self.name))
    }

    /// `stateward resize` for this set.
    pub(super) fn resize(&self, verb: &str) -> String {
        self.commands.resize(verb, self.name, self.namespace, "")
    }

    /// Requests the same sizes again; none if the record does not hold them.
    pub(super) fn request_again(&self) -> Option<String> {
        let sizes: Vec<String> =
            self.targets.iter().map(|(name, size)| format!("--size {name}={size}")).collect();
        let apply = || self.commands.resize("apply", self.name, self.namespace, &sizes.join(" "));
        (!sizes.is_empty()).then(apply)
    }

    /// The pods that have to restart so that their file systems grow, each once.
    pub(super) fn waiting_pods(&self) -> Vec<String> {
        let waits = self.claims.iter().filter(|claim| claim.state == ClaimState::NodePending);
        let pod = |claim: &ClaimStatus| {
            let (_, ordinal) = claim.name.rsplit_once('-')?;
            Some(format!("{}-{ordinal}", self.name))
        };
        let mut pods: Vec<String> = waits.filter_map(pod).collect();
        pods.sort_unstable();
        pods.dedup();
        pods
    }

    /// The claim or the pod that the message begins with.
    pub(super) fn object(&self) -> &str {
        self.message.split([':', ',', ' ']).next().unwrap_or_default()
    }

    /// Ends the resize and lowers every claim that is not done to the smallest request that
    /// Kubernetes accepts; none if no claim can be lowered.
    pub(super) fn lower_claims(&self) -> Option<String> {
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
