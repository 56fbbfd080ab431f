use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Findings, Judged, Rule, remedy};
use crate::change::{Change, Operation};
use crate::facts::{Fact, Facts};
use crate::loss::Loss;
use crate::object::metadata::OwnerReference;
use crate::object::{DecodeError, Kind, Pointer};
use crate::ownership::{group, is_custom_resource, is_foreign_account};

declare_rule! {
    /// An ownerReference is added to a StatefulSet, claim, snapshot, volume, StorageClass or namespace, or an
    /// existing one comes to name another object.
    ///
    /// ## Why
    /// The garbage collector deletes an object once none of its owners exist. It takes an owner of
    /// another namespace, another name, kind or UID for one that does not exist, and deletes the object
    /// within seconds: a claim is deleted with its data, and so are the claims of a set under
    /// `whenDeleted: Delete`. A controller owner also tells tools to leave the object to it.
    ///
    /// If the object keeps an owner that exists, nothing is deleted yet. The rule still denies the new owner: a
    /// second edit that removes the old one would then delete the object.
    ///
    /// Operators that run in another namespace may adopt objects. So may users whom the policy names
    /// as `owners.operators`. The rule judges the subresource `status`, too. `blockOwnerDeletion` and
    /// the version of the owner's API may change. A namespace that gets a custom resource as its owner only brings
    /// a warning, because operators adopt namespaces that way.
    ///
    /// On CREATE the rule warns: a manifest that was copied from a cluster often still names an owner
    /// that is gone. It denies a new set under `whenDeleted: Delete` if its claims exist already: the
    /// controller gives them to the set before the set is deleted. That takes facts, which the webhook
    /// has if it watches a cluster.
    ///
    /// ## Way out
    /// Leave the ownerReference out, or let the owner's operator add it. Name an operator that runs as another user
    /// under `owners.operators`.
    OwnerAdded {
        id: "owner-added",
        title: "an ownerReference is added, and the garbage collector may delete the object with it",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [
            StatefulSet: [Create, Update],
            Claim: [Create, Update],
            Namespace: [Update],
            Volume: [Update],
            Class: [Update],
            Snapshot: [Update]
        ],
        source: "kubernetes pkg/controller/garbagecollector/garbagecollector.go attemptToDeleteItem",
        judges_subresources: true,
        params_from: Some("owners"),
    }
}

/// Who may add owners.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Params {
    /// Users as which operators run, beside the service accounts of other namespaces.
    pub operators: Vec<String>,
}

impl Rule for OwnerAdded {
    type Params = Params;

    fn check(
        params: &Params,
        change: &Change<'_>,
        facts: &Facts,
        findings: &mut Findings,
    ) -> Judged {
        let Some(new) = &change.objects.new else { return Ok(()) };
        if is_foreign_account(change, &params.operators) {
            return Ok(());
        }
        let old = change.objects.old.as_ref();
        let old = old.map_or(&[][..], |old| &old.metadata.owner_references);
        if let Some((index, owner)) = added(old, &new.metadata.owner_references) {
            let field = Pointer::from("/metadata/ownerReferences").index(index);
            let stays = staying(old, &new.metadata.owner_references);
            object(change, facts, (field, owner, stays), findings)?;
        }
        // New claims get the owners of their template. The templates of a set never change.
        let Some(set) = change.created_set() else { return Ok(()) };
        for (place, template) in set.claim_templates()?.iter().enumerate() {
            if let Some((index, owner)) = added(&[], &template.metadata.owner_references) {
                let field = Pointer::from("/spec/volumeClaimTemplates").index(place);
                let field = field.key("metadata").key("ownerReferences").index(index);
                findings
                    .add(field, format!("its claims would be owned by {}", named(owner)))
                    .values(None, Some(&owner.name))
                    .why(
                        "The garbage collector deletes the claims with their data when that owner is \
                         deleted, and within seconds if it does not exist.",
                    )
                    .step("leave the ownerReference out of the claim template")
                    .unsure();
            }
        }
        Ok(())
    }
}

/// The first owner that `old` does not have, or has without `controller: true`. The garbage collector
/// looks an owner up by group, kind, name and UID.
///
/// The API server rejects a reference without `apiVersion` or `uid`, so none of a cluster lacks them.
/// Files in Git may, and say nothing else than before if the rest is the same.
fn added<'n, 'a>(
    old: &[OwnerReference<'_>],
    new: &'n [OwnerReference<'a>],
) -> Option<(usize, &'n OwnerReference<'a>)> {
    let controls = |owner: &OwnerReference<'_>| owner.controller == Some(true);
    let mut known = BTreeMap::new();
    for owner in old {
        let Identity { group, uid, .. } = Identity::of(owner);
        for group in BTreeSet::from([group, None]) {
            for uid in BTreeSet::from([uid, None]) {
                let entry = known.entry(Identity { group, uid, ..Identity::of(owner) });
                *entry.or_insert(true) &= controls(owner);
            }
        }
    }
    new.iter().enumerate().find(|(_, owner)| {
        let controlled = known.get(&Identity::of(owner));
        controlled.is_none_or(|controlled| controls(owner) && !controlled)
    })
}

/// An owner that the object has had and keeps: while it exists, the garbage collector deletes nothing.
fn staying<'n, 'a>(
    old: &[OwnerReference<'_>],
    new: &'n [OwnerReference<'a>],
) -> Option<&'n OwnerReference<'a>> {
    let known: BTreeSet<Identity<'_>> = old.iter().map(Identity::of).collect();
    new.iter().find(|owner| known.contains(&Identity::of(owner)))
}

/// What tells one owner from another.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Identity<'o> {
    /// `None` if the reference has no `apiVersion`
    group: Option<&'o str>,
    kind: &'o str,
    name: &'o str,
    /// `None` if the reference has no `uid`
    uid: Option<&'o str>,
}

impl<'o> Identity<'o> {
    fn of(owner: &'o OwnerReference<'_>) -> Self {
        let version = Some(&*owner.api_version).filter(|version| !version.is_empty());
        Self {
            group: version.map(|version| group(version).unwrap_or_default()),
            kind: &owner.kind,
            name: &owner.name,
            uid: Some(&*owner.uid).filter(|uid| !uid.is_empty()),
        }
    }
}

fn named(owner: &OwnerReference<'_>) -> String {
    format!("{} {}", &*owner.kind, &*owner.name)
}

/// What the garbage collector deletes.
const fn goes(kind: Kind) -> &'static str {
    match kind {
        Kind::Claim => "the claim with its data",
        Kind::Namespace => "the namespace with everything in it",
        Kind::Snapshot => "the snapshot",
        Kind::Volume => "the volume",
        Kind::Class => "the StorageClass",
        _ => "the set",
    }
}

/// The finding about an owner of the object itself.
fn object(
    change: &Change<'_>,
    facts: &Facts,
    (field, owner, stays): (Pointer, &OwnerReference<'_>, Option<&OwnerReference<'_>>),
    findings: &mut Findings,
) -> Result<(), DecodeError> {
    let claims = claims_at_risk(change, facts)?;
    // An owner in a namespace deletes nothing that belongs to none.
    let absent = change.kind.is_namespaced() && is_absent(change, facts, owner);
    let (condition, otherwise) = if absent {
        (format!("There is no {} with this uid in the namespace. So", named(owner)), "")
    } else {
        (
            "If that owner does not exist,".to_owned(),
            "; otherwise it does so when the owner is deleted",
        )
    };
    let finding = findings.add(field, format!("would be owned by {}", named(owner)));
    finding.values(None, Some(&owner.name));
    if let Some(stays) = stays {
        let what = goes(change.kind);
        finding.why(format!(
            "Nothing is deleted while {} exists. Without it, the garbage collector deletes {what}.",
            named(stays)
        ));
        finding.step("leave the ownerReference out");
        return Ok(());
    }
    finding.why(match (change.kind, &claims) {
        (kind, _) if kind != Kind::StatefulSet => format!(
            "{condition} the garbage collector deletes {} within seconds{otherwise}.",
            goes(kind)
        ),
        (_, Fact::Known(claims)) if !claims.is_empty() => format!(
            "{condition} the garbage collector deletes the set within seconds, and {} with the data: \
             whenDeleted is Delete.",
            remedy::listed(claims)
        ),
        (_, Fact::Known(_)) => format!(
            "{condition} the garbage collector deletes the set within seconds, and under \
             whenDeleted: Delete its claims with their data."
        ),
        (_, Fact::Unknown(_)) => format!(
            "{condition} the garbage collector deletes the set within seconds, and its claims with \
             their data: whenDeleted is Delete. It is not known which claims exist."
        ),
    });
    let at_risk = match (change.kind, &claims) {
        (Kind::Claim, _) => vec![change.name.as_str()],
        (_, Fact::Known(claims)) => claims.clone(),
        (_, Fact::Unknown(_)) => Vec::new(),
    };
    finding.loss(Loss::of(facts, &change.namespace, at_risk));
    finding.step("leave the ownerReference out");
    // Operators adopt namespaces, and tools commit what they wrote.
    if change.kind == Kind::Namespace && is_custom_resource(&owner.api_version) {
        finding.unsure();
    }
    if change.operation == Operation::Create {
        if !matches!(&claims, Fact::Known(claims) if !claims.is_empty()) {
            finding.unsure();
        }
        return Ok(());
    }
    finding.command(
        "or see whether the owner exists and which uid it has",
        format!(
            "{} get {} {} -o jsonpath='{{.metadata.uid}}'",
            remedy::kubectl(change),
            remedy::quoted(&owner.kind.to_lowercase()),
            remedy::quoted(&owner.name)
        ),
    );
    Ok(())
}

/// The claims that would be deleted with the set: none under `whenDeleted: Retain`.
fn claims_at_risk<'f>(
    change: &Change<'_>,
    facts: &'f Facts,
) -> Result<Fact<Vec<&'f str>>, DecodeError> {
    let Some((_, set)) = change.written_set() else { return Ok(Fact::Known(Vec::new())) };
    if set.spec.retention.when_deleted() != "Delete" || set.claim_templates()?.is_empty() {
        return Ok(Fact::Known(Vec::new()));
    }
    let named = facts.claims_named(&change.namespace, &change.name, set.template_names()?);
    let ordinals = set.ordinals();
    Ok(named.map(|claims| {
        let in_use = claims.iter().filter(|claim| ordinals.contains(&claim.ordinal));
        in_use.map(|claim| claim.name).collect()
    }))
}

/// Whether facts show that the owner does not exist.
fn is_absent(change: &Change<'_>, facts: &Facts, owner: &OwnerReference<'_>) -> bool {
    match Kind::of_manifest(&owner.api_version, &owner.kind) {
        Kind::StatefulSet => match facts.set(&change.namespace, &owner.name) {
            Fact::Known(set) => set.is_none_or(|set| set.uid != owner.uid.as_str()),
            Fact::Unknown(_) => false,
        },
        Kind::Claim => match facts.claims.get(&change.namespace, &owner.name) {
            Fact::Known(claim) => claim.is_none_or(|claim| claim.uid != owner.uid.as_str()),
            Fact::Unknown(_) => false,
        },
        Kind::Scale
        | Kind::Namespace
        | Kind::Volume
        | Kind::Class
        | Kind::Snapshot
        | Kind::Other => false,
    }
}
