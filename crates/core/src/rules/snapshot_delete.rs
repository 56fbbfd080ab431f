use jiff::Timestamp;

use super::{Findings, Judged, NoParams, Rule, Step, Unjudged, remedy};
use crate::change::Change;
use crate::facts::{ClaimFact, Fact, Facts, Reclaim};
use crate::object::{Metadata, Snapshot};
use crate::text::{NAME, cut};

declare_rule! {
    /// The last `VolumeSnapshot` of a claim that is ready to use is deleted. The rule denies the deletion if the
    /// claim and its volume are gone, so that nothing else holds the data. Otherwise it warns.
    ///
    /// The rule is silent while another snapshot of the claim is ready to use. So a tool that takes snapshots by a
    /// schedule deletes the old ones undisturbed. It is also silent about a snapshot that is not ready to
    /// use, and about one that was imported: nobody can tell whose data that holds.
    ///
    /// ## Why
    /// If the deletion policy of its `VolumeSnapshotContent` is `Delete`, as it is in most classes, the
    /// copy on the storage is deleted with the snapshot.
    ///
    /// ## Way out
    /// Retain the copy first, or restore it to a claim. If the data may be deleted, confirm it on the
    /// snapshot with the annotation `stateward.dev/confirm-delete`, in a step of its own.
    ///
    /// A claim that was restored from the snapshot holds the data, and so does a volume that is
    /// retained. A claim of the same name that is younger than the snapshot does not. Copies of
    /// backup tools are not known. The rule needs facts, which the webhook has if it watches a cluster.
    SnapshotDelete {
        id: "snapshot-delete",
        title: "the last snapshot of a claim is deleted, perhaps the only copy of its data",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [Snapshot: [Delete]],
        source: "kubernetes.io/docs/concepts/storage/volume-snapshots/#delete; KEP-177",
    }
}

/// What else holds the data of a snapshot.
enum Holder<'f> {
    /// the claim, with its volume
    Claim,
    /// a retained volume, which outlived the claim
    Volume(&'f str),
    /// a claim that was restored from the snapshot
    Restored(&'f str),
    /// nothing
    Nobody(Gone),
}

/// Why the claim does not hold the data.
#[derive(Clone, Copy)]
enum Gone {
    /// it is deleted
    Deleted,
    /// it is being deleted
    Terminating,
    /// it exists, and has no volume
    Unbound,
    /// it is deleted, and another one has its name
    Renewed,
}

impl Rule for SnapshotDelete {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some(snapshot) = change.deleted_snapshot() else { return Ok(()) };
        let Some((claim, _)) = snapshot.copy() else { return Ok(()) };
        let namespace = change.namespace.as_str();
        let mut snapshots = facts.snapshots.of(namespace).needed().map_err(Unjudged::blind)?;
        let live = facts.claims.get(namespace, claim).needed().map_err(Unjudged::blind)?;
        let renewed = renewed(change, live);
        // Snapshots of a younger claim with the same name hold other data.
        if snapshots.any(|(name, other)| {
            name != change.name
                && other.claim == claim
                && renewed.is_none_or(|created| other.taken <= created)
        }) {
            return Ok(());
        }
        let holder = holder(change, facts, claim).map_err(Unjudged::blind)?;
        let retained = retained(facts, snapshot);
        let label = cut(claim, NAME);
        if retained == Fact::Known(true) {
            let content = cut(snapshot.content().unwrap_or_default(), NAME);
            findings
                .add("", format!("the last of claim {label} would be deleted; its copy stays"))
                .why(format!(
                    "The copy on the storage stays with VolumeSnapshotContent {content}, whose deletion \
                     policy is Retain. But no snapshot leads to it any more."
                ))
                .command(
                    "to find the copy again, keep the manifest of the content",
                    format!("kubectl get volumesnapshotcontent {} -o yaml", remedy::quoted(&content)),
                )
                .unsure();
            return Ok(());
        }
        let (why, steps) = match holder {
            Holder::Nobody(gone) => {
                let what = match gone {
                    Gone::Deleted => "is deleted, and so is its volume",
                    Gone::Terminating => "is being deleted, and its volume with it",
                    Gone::Unbound => "has no volume",
                    Gone::Renewed => {
                        "is deleted, and so is its volume; the claim that has its name now is younger \
                         than the snapshot"
                    }
                };
                let mut why =
                    format!("Claim {label} {what}. No other snapshot of it is ready to use.");
                if matches!(retained, Fact::Unknown(_)) {
                    why.push_str(" It is not known whether the copy on the storage is retained.");
                }
                findings
                    .add("", format!("the only copy of claim {label} would be deleted"))
                    .why(why)
                    .remedy(keep(snapshot, namespace, &change.name));
                return Ok(());
            }
            Holder::Claim => (
                "The claim still has its data, but no other VolumeSnapshot of it is ready to use."
                    .to_owned(),
                vec![another(change, facts, claim)],
            ),
            Holder::Volume(volume) => (
                format!(
                    "The claim is deleted. Its data is still on volume {volume}, which is retained."
                ),
                vec![remedy::run(
                    "check that the volume still exists",
                    format!("kubectl get pv {}", remedy::quoted(volume)),
                )],
            ),
            Holder::Restored(other) => (
                format!("Claim {other} was restored from the snapshot, and holds the data."),
                vec![remedy::run(
                    "check that the restored claim is Bound",
                    format!(
                        "kubectl -n {} get pvc {}",
                        remedy::quoted(namespace),
                        remedy::quoted(other)
                    ),
                )],
            ),
        };
        findings
            .add("", format!("the last snapshot of claim {label} would be deleted"))
            .why(why)
            .remedy(steps)
            .unsure();
        Ok(())
    }
}

/// When the claim was created, if it is younger than the snapshot: then it is another one of the same name.
fn renewed(change: &Change<'_>, live: Option<&ClaimFact>) -> Option<Timestamp> {
    let taken = change.metadata().and_then(Metadata::created)?;
    live?.created.filter(|created| *created > taken)
}

/// Whether the claim has a volume, as far as volumes are known: anybody may write a name into a claim.
fn has_volume(facts: &Facts, namespace: &str, name: &str, claim: &ClaimFact) -> bool {
    !claim.volume.is_empty()
        && match facts.volumes.get("", &claim.volume) {
            Fact::Known(None) => false,
            Fact::Known(Some(volume)) => {
                volume.claim.is_empty() || volume.claim == format!("{namespace}/{name}")
            }
            Fact::Unknown(_) => true,
        }
}

/// What else holds the data of the claim of which the snapshot was taken.
fn holder<'f>(change: &Change<'_>, facts: &'f Facts, claim: &str) -> Result<Holder<'f>, Unjudged> {
    let namespace = change.namespace.as_str();
    let live = facts.claims.get(namespace, claim).needed()?;
    let renewed = renewed(change, live).is_some();
    let holds = |live: &ClaimFact| {
        !renewed && !live.terminating && has_volume(facts, namespace, claim, live)
    };
    if live.is_some_and(holds) {
        return Ok(Holder::Claim);
    }
    let taken = change.metadata().and_then(Metadata::created);
    let mut claims = facts.claims.of(namespace).needed()?;
    let restored = claims.find(|(name, other)| {
        // A snapshot of the same name may have been taken since.
        other.restored_from == change.name
            && !other.terminating
            && other.created.zip(taken).is_none_or(|(created, taken)| created >= taken)
            && has_volume(facts, namespace, name, other)
    });
    if let Some((name, _)) = restored {
        return Ok(Holder::Restored(name));
    }
    // Of a claim with the same name, this is another volume.
    let others = live.filter(|_| renewed).map_or("", |live| live.volume.as_str());
    let place = format!("{namespace}/{claim}");
    let mut volumes = facts.volumes.everywhere().needed()?;
    let kept = volumes.find(|(_, name, volume)| {
        volume.claim == place && volume.reclaim == Reclaim::Retain && *name != others
    });
    match (kept, facts.volumes.unreadable().next()) {
        (Some((_, name, _)), _) => Ok(Holder::Volume(name)),
        (None, Some((.., why))) => Err(Unjudged::Needs(why.to_owned())),
        (None, None) => Ok(Holder::Nobody(match live {
            None => Gone::Deleted,
            Some(_) if renewed => Gone::Renewed,
            Some(live) if live.terminating => Gone::Terminating,
            Some(_) => Gone::Unbound,
        })),
    }
}

/// Whether the copy on the storage stays.
fn retained(facts: &Facts, snapshot: &Snapshot<'_>) -> Fact<bool> {
    match snapshot.content() {
        Some(content) => facts
            .snapshot_contents
            .get("", content)
            .map(|content| content.is_some_and(|content| content.retained)),
        None => Fact::Unknown("the name of its VolumeSnapshotContent".to_owned()),
    }
}

/// How to have another copy of the data of the claim.
fn another(change: &Change<'_>, facts: &Facts, claim: &str) -> Step {
    let class = match facts.claims.get(&change.namespace, claim) {
        Fact::Known(Some(claim)) => &claim.class,
        _ => "",
    };
    let text = "take another snapshot first, and wait until it is ready to use";
    remedy::snapshot(text, facts, &change.namespace, claim, class).unwrap_or_else(|| {
        remedy::say(
            "keep the snapshot: no VolumeSnapshotClass serves the claim, so no other can be taken",
        )
    })
}

/// Ways to keep the data.
fn keep(snapshot: &Snapshot<'_>, namespace: &str, name: &str) -> Vec<Step> {
    let (namespace, name) = (remedy::quoted(namespace), remedy::quoted(name));
    let content = snapshot.content().map_or_else(
        || {
            format!(
                "$(kubectl -n {namespace} get volumesnapshot {name} \
                 -o jsonpath='{{.status.boundVolumeSnapshotContentName}}')"
            )
        },
        remedy::quoted,
    );
    vec![
        remedy::run(
            "to keep the data, retain the copy on the storage first",
            format!(
                "kubectl patch volumesnapshotcontent {content} --type merge \
                 -p '{{\"spec\":{{\"deletionPolicy\":\"Retain\"}}}}'"
            ),
        ),
        remedy::say("or restore it to a claim: a claim whose dataSource names the snapshot"),
    ]
}
