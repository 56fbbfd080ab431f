use super::pvc_keep_removed::only_leaves_the_manifests;
use super::{Findings, Judged, NoParams, Rule, Step, Unjudged, remedy};
use crate::annotations::ALLOW;
use crate::change::{Change, Operation, Pair, Subject};
use crate::facts::{Fact, Facts, SetClaim};
use crate::loss::Loss;
use crate::object::metadata::ORPHAN;
use crate::object::{DecodeError, StatefulSet};

declare_rule! {
    /// A set is deleted together with claims that it owns, and not with `--cascade=orphan`. The set
    /// owns its claims if `persistentVolumeClaimRetentionPolicy.whenDeleted` is `Delete`, and for a
    /// while after it was.
    ///
    /// An orphan delete that is cut short is judged, too: while the garbage collector still frees the
    /// claims, somebody removes the finalizer `orphan` or deletes the set again. So is the removal of
    /// the last finalizer of a terminating set that still owns claims.
    ///
    /// ## Why
    /// The claims have an owner reference to the set, so the garbage collector deletes them after it.
    /// If the reclaim policy of a volume is `Delete`, its disk is deleted, too. Only a backup brings
    /// the data back.
    ///
    /// ## Way out
    /// Set the policy to `Retain`, wait until the controller has seen it and no claim refers to the
    /// set, then delete it. Claims of pods that were scaled down keep their reference, because the
    /// controller only looks at claims of existing pods. Remove it by hand. With `--cascade=orphan`,
    /// claims and pods stay. If the data may be deleted, say so with the `allow` annotation on the
    /// set.
    ///
    /// The webhook knows which claims a set owns if it watches a cluster. Without that, the rule
    /// judges by the retention policy alone. In manifests, it is silent if the set says that its tool
    /// keeps it, as in `pvc-keep-removed`.
    StsDeletePvcRetentionDelete {
        id: "sts-delete-pvc-retention-delete",
        title: "a StatefulSet is deleted together with its claims",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Update, Delete]],
        source: "KEP-1847; kubernetes pkg/controller/statefulset/stateful_pod_control.go; pkg/registry/generic/registry/store.go deletionFinalizersForGarbageCollection",
        judges_terminating: true,
        judges_subresources: true,
    }
}

/// How the claims are lost.
enum Way {
    /// the set is deleted
    Delete,
    /// the set is deleted again while its dependents are being orphaned
    DeleteAgain,
    /// the finalizer that orphans the dependents is removed
    OrphanFinalizer,
    /// the finalizer that still keeps a terminating set is removed
    LastFinalizer,
}

impl Rule for StsDeletePvcRetentionDelete {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Subject::StatefulSet(Pair { old: Some(set), .. }) = &change.subject else {
            return Ok(());
        };
        let Some(way) = way(change, facts) else { return Ok(()) };
        let deletes = set.spec.retention.when_deleted() == "Delete";
        let Some(example) = set.template_names()?.next() else { return Ok(()) };
        let first = set.spec.ordinals_start();
        let example = format!("{example}-{}-{first}", change.name);
        let mut lost = None;
        let (what, why) = match doomed(change, set, facts, &way, deletes)? {
            Fact::Known(claims) if claims.is_empty() => return Ok(()),
            Fact::Known(claims) => {
                lost = Loss::of(facts, &change.namespace, claims.iter().copied());
                let what = match claims.as_slice() {
                    [_] => "a claim would be deleted".to_owned(),
                    claims => format!("{} claims would be deleted", claims.len()),
                };
                let why = if lost.is_some() {
                    "The garbage collector deletes the claims that the set owns.".to_owned()
                } else {
                    let claims = remedy::listed(&claims);
                    format!("The garbage collector would delete {claims}, with the data.")
                };
                (what, why)
            }
            // Without facts, only the policy tells. One that the controller has not yet seen may leave
            // claims to the set, and so does a finalizer that is removed.
            Fact::Unknown(needs) => {
                if !deletes || matches!(way, Way::LastFinalizer) {
                    let pending = !matches!(way, Way::Delete) || !set.is_observed()?;
                    return match facts.claims.why_unknown() {
                        _ if pending => Err(Unjudged::Blind(needs)),
                        Some(_) => Err(Unjudged::Needs(needs)),
                        None => Ok(()),
                    };
                }
                let why = format!(
                    "The garbage collector would delete every claim that the set owns, such as \
                     {example}, with its data. It is not known which claims it owns."
                );
                ("its claims would be deleted".to_owned(), why)
            }
        };
        let retention = "/spec/persistentVolumeClaimRetentionPolicy/whenDeleted";
        let (field, cause) = match way {
            Way::Delete if deletes => (retention, "with it, as whenDeleted is Delete"),
            Way::Delete => (retention, "with it, though whenDeleted is Retain"),
            Way::DeleteAgain => ("/metadata/finalizers", "before the orphan delete is done"),
            Way::OrphanFinalizer => ("/metadata/finalizers", "without the finalizer orphan"),
            Way::LastFinalizer => ("/metadata/finalizers", "without its last finalizer"),
        };
        let finding = findings.add(field, format!("{what} {cause}"));
        finding.why(why);
        if lost.as_ref().is_some_and(|lost| !lost.destroys()) {
            finding.unsure();
        }
        finding.loss(lost);
        if matches!(way, Way::Delete) {
            finding.values(deletes.then_some("Delete"), None).remedy(steps(change, deletes));
        } else {
            if !matches!(way, Way::LastFinalizer) {
                finding.step(
                    "wait: the garbage collector frees the claims, then removes the finalizer orphan",
                );
            }
            let free =
                free_claims(change, "if they stay owned by the set, free them, then try again");
            finding.remedy.extend([free, on_purpose()]);
        }
        Ok(())
    }
}

/// How this change would lose claims that the set owns, if at all.
fn way(change: &Change<'_>, facts: &Facts) -> Option<Way> {
    let old = &change.objects.old.as_ref()?.metadata;
    // The namespace takes the claims along anyway, and nothing must hold it up.
    if let Fact::Known(Some(namespace)) = facts.namespaces.get("", &change.namespace)
        && namespace.terminating
    {
        return None;
    }
    let orphans = old.has_finalizer(ORPHAN);
    if change.operation == Operation::Delete {
        return match (change.orphans(), old.is_terminating()) {
            (true, _) => None,
            (false, false) => (!only_leaves_the_manifests(change)).then_some(Way::Delete),
            // Otherwise it was decided by the first DELETE.
            (false, true) => orphans.then_some(Way::DeleteAgain),
        };
    }
    let new = &change.objects.new.as_ref()?.metadata;
    if !old.is_terminating() {
        None
    } else if orphans && !new.has_finalizer(ORPHAN) {
        Some(Way::OrphanFinalizer)
    } else {
        (!old.finalizers.is_empty() && new.finalizers.is_empty()).then_some(Way::LastFinalizer)
    }
}

/// The claims that would be deleted: those that the set owns, and those that its controller may still
/// give to it.
fn doomed<'f>(
    change: &Change<'_>,
    set: &StatefulSet<'_>,
    facts: &'f Facts,
    way: &Way,
    deletes: bool,
) -> Result<Fact<Vec<&'f str>>, DecodeError> {
    let uid = set.metadata.uid.as_str();
    let mut claims = match facts.claims_owned_by(&change.namespace, uid) {
        Fact::Known(claims) => claims,
        unknown @ Fact::Unknown(_) => return Ok(unknown),
    };
    let named = facts.claims_named(&change.namespace, &change.name, set.template_names()?);
    if let (Way::Delete, true, Fact::Known(named)) = (way, deletes, named) {
        let ordinals = set.ordinals();
        let free = |c: &SetClaim<'_>| c.claim.owners.is_empty() && ordinals.contains(&c.ordinal);
        claims.extend(named.iter().filter(|claim| free(claim)).map(|claim| claim.name));
        claims.sort_unstable();
    }
    Ok(Fact::Known(claims))
}

fn steps(change: &Change<'_>, deletes: bool) -> Vec<Step> {
    let (kubectl, name) = (remedy::kubectl(change), remedy::quoted(&change.name));
    let (retain, delete) = if change.circumstances.tool.keeper().is_some() {
        (
            remedy::say(format!(
                "set persistentVolumeClaimRetentionPolicy.whenDeleted: Retain {} and roll that \
                 out; no pod restarts",
                remedy::manifest_place(change.circumstances.tool)
            )),
            remedy::say("delete the set again"),
        )
    } else {
        (
            remedy::run(
                "keep the claims; no pod restarts",
                remedy::retain_claims(&kubectl, &change.name, "whenDeleted"),
            ),
            remedy::run(
                "delete the set and its pods (with --cascade=orphan the pods keep running)",
                format!("{kubectl} delete statefulset {name}"),
            ),
        )
    };
    let wait = remedy::run(
        "wait until the controller has seen it",
        format!(
            "{kubectl} wait statefulset {name} --for=jsonpath='{{.status.observedGeneration}}'=\
             $({kubectl} get statefulset {name} -o jsonpath='{{.metadata.generation}}')"
        ),
    );
    let free = free_claims(
        change,
        "free the claims that still belong to the set, such as those of removed pods",
    );
    let mut steps = vec![wait, free, delete];
    if deletes {
        steps.insert(0, retain);
    }
    steps
}

/// Removes the owner references of all claims to the set.
fn free_claims(change: &Change<'_>, text: &str) -> Step {
    let (kubectl, name) = (remedy::kubectl(change), &change.name);
    remedy::run(
        text,
        format!(
            "for c in $({kubectl} get pvc -o go-template='{{{{range .items}}}}{{{{$c := \
             .metadata.name}}}}{{{{range .metadata.ownerReferences}}}}{{{{if and (eq .kind \"StatefulSet\") (eq .name \"{name}\")}}}}{{{{$c}}}} {{{{end}}}}{{{{end}}}}{{{{end}}}}'); do {kubectl} patch \
             pvc $c --type merge -p '{{\"metadata\":{{\"ownerReferences\":null}}}}'; done"
        ),
    )
}

fn on_purpose() -> Step {
    remedy::say(format!(
        "to delete the data on purpose, annotate the set first with {ALLOW}: \
         sts-delete-pvc-retention-delete and allow-reason"
    ))
}
