use super::remedy::SYNC_OPTIONS;
use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::annotations::PROTECTED;
use crate::change::Change;
use crate::facts::Facts;
use crate::object::{Metadata, Pointer};

declare_rule! {
    /// What keeps a claim or a set from being deleted is removed: `helm.sh/resource-policy: keep`,
    /// `Prune=false` or `Delete=false` in `argocd.argoproj.io/sync-options`, or `disabled` in
    /// `kustomize.toolkit.fluxcd.io/prune` or `kustomize.toolkit.fluxcd.io/reconcile`. So is a mark by which
    /// `protected-delete` protects the object.
    ///
    /// ## Why
    /// Nothing happens at once. The tool deletes the object the next time that it is missing from
    /// the manifests, or with the release or the application, and a claim takes its data along. Without
    /// a mark, the object may be deleted like any other.
    ///
    /// ## Way out
    /// Keep the annotation, or remove it in the change that no longer needs the data.
    ///
    /// The rule does not know whether the tool still manages the object.
    PvcKeepRemoved {
        id: "pvc-keep-removed",
        title: "the annotation that keeps a claim from being deleted is removed",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Update], Claim: [Update]],
        source: "helm.sh/docs/howto/charts_tips_and_tricks; argo-cd docs/user-guide/sync-options.md; fluxcd.io/flux/components/kustomize/kustomizations/#prune",
    }
}

/// How a manifest keeps a tool from deleting the object.
struct Protection {
    /// the annotation, and to Flux also a label
    key: &'static str,
    /// whether a value keeps the object
    holds: fn(&str) -> bool,
    from: Deletion,
}

/// Which deletion a protection holds off.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deletion {
    /// the tool's, when the object is missing from the manifests
    Prune,
    /// the tool's, together with the application
    Application,
    /// everybody's
    Any,
}

const PROTECTIONS: [Protection; 10] = [
    Protection { key: PROTECTED, holds: is_true, from: Deletion::Any },
    Protection {
        key: "policy.kruise.io/delete-protection",
        holds: |value| matches!(value, "Always" | "Cascading"),
        from: Deletion::Any,
    },
    Protection {
        key: "resourcetemplate.karmada.io/deletion-protected",
        holds: |value| value == "Always",
        from: Deletion::Any,
    },
    Protection { key: "hive.openshift.io/protected-delete", holds: is_true, from: Deletion::Any },
    Protection { key: "nine.ch/deletion-protection", holds: is_true, from: Deletion::Any },
    Protection {
        key: "helm.sh/resource-policy",
        holds: |value| value.trim() == "keep",
        from: Deletion::Prune,
    },
    Protection {
        key: SYNC_OPTIONS,
        holds: |value| has_option(value, &["Prune=false", "Prune=confirm"]),
        from: Deletion::Prune,
    },
    Protection {
        key: SYNC_OPTIONS,
        holds: |value| has_option(value, &["Delete=false", "Delete=confirm"]),
        from: Deletion::Application,
    },
    Protection {
        key: "kustomize.toolkit.fluxcd.io/prune",
        holds: is_disabled,
        from: Deletion::Prune,
    },
    Protection {
        key: "kustomize.toolkit.fluxcd.io/reconcile",
        holds: is_disabled,
        from: Deletion::Prune,
    },
];

fn has_option(value: &str, options: &[&str]) -> bool {
    options.iter().any(|option| remedy::has_option(value, option))
}

fn is_true(value: &str) -> bool {
    value.eq_ignore_ascii_case("true")
}

fn is_disabled(value: &str) -> bool {
    value.eq_ignore_ascii_case("disabled")
}

impl Protection {
    /// Where the object is protected, with the value.
    fn of<'m>(&self, metadata: &'m Metadata<'_>) -> Option<(Pointer, &'m str)> {
        let in_labels = self.from == Deletion::Any || self.key.starts_with("kustomize.");
        let labels = in_labels.then_some(("labels", &metadata.labels));
        [("annotations", &metadata.annotations)].into_iter().chain(labels).find_map(|(at, map)| {
            let value = map.get(self.key).filter(|value| (self.holds)(value))?;
            Some((Pointer::from("/metadata").key(at).key(self.key), value))
        })
    }
}

/// The first protection of an object that holds off one of these deletions: its key, place and value.
fn protected<'m>(
    metadata: &'m Metadata<'_>,
    from: impl Fn(Deletion) -> bool,
) -> Option<(&'static str, Pointer, &'m str)> {
    PROTECTIONS.iter().filter(|protection| from(protection.from)).find_map(|protection| {
        let (field, value) = protection.of(metadata)?;
        Some((protection.key, field, value))
    })
}

/// The annotation or label by which the tool that manages an object keeps it if it is missing from the
/// manifests.
pub fn kept_by(metadata: &Metadata<'_>) -> Option<&'static str> {
    protected(metadata, |from| from == Deletion::Prune).map(|(key, ..)| key)
}

/// The mark by which somebody protects an object from every deletion, with its place and value.
pub(super) fn protected_by<'m>(
    metadata: &'m Metadata<'_>,
) -> Option<(&'static str, Pointer, &'m str)> {
    protected(metadata, |from| from == Deletion::Any)
}

/// The annotation or label by which a tool was told to keep an object.
pub(super) fn kept_by_a_tool(metadata: &Metadata<'_>) -> Option<&'static str> {
    protected(metadata, |from| from != Deletion::Any).map(|(key, ..)| key)
}

/// Whether an object is only missing from the manifests, and its tool keeps it. A request that deletes
/// the object does not ask the tool, and every request has a user.
pub(super) fn only_leaves_the_manifests(change: &Change<'_>) -> bool {
    change.circumstances.user.name.is_empty() && change.metadata().and_then(kept_by).is_some()
}

impl Rule for PvcKeepRemoved {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.objects.both() else { return Ok(()) };
        let mut told = "";
        for protection in &PROTECTIONS {
            let Some((field, before)) = protection.of(&old.metadata) else { continue };
            let key = protection.key;
            if key == told || protection.of(&new.metadata).is_some() {
                continue;
            }
            told = key;
            let keep = remedy::keep(change, &field, before);
            let after = new.metadata.annotations.get(key);
            findings
                .add(field, format!("would no longer be kept by {key}"))
                .values(Some(before), after)
                .why(match protection.from {
                    Deletion::Prune => {
                        "The tool deletes the object as soon as it is missing from the manifests, and \
                         a claim takes its data along."
                    }
                    Deletion::Application => {
                        "Argo CD deletes the object together with its Application, and a claim takes \
                         its data along."
                    }
                    Deletion::Any => {
                        "The mark protects the object from every deletion. Without it, the object may \
                         be deleted like any other."
                    }
                })
                .remedy(vec![keep]);
        }
        Ok(())
    }
}
