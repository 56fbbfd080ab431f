use super::{Findings, Judged, NoParams, Rule, Unjudged, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::loss::{Fate, Loss};

declare_rule! {
    /// A namespace is deleted that holds claims with volumes. The rule is silent about a namespace
    /// without such claims, and about one that is already being deleted. It only warns if every
    /// volume is retained.
    ///
    /// ## Why
    /// The namespace controller deletes every claim of the namespace, and nothing asks again. If the
    /// reclaim policy of a volume is `Delete`, as it is by default, its disk is deleted, too. So are
    /// the `VolumeSnapshots` of the namespace. One wrong context of `kubectl` is enough, or one
    /// Namespace that a deployment tool prunes.
    ///
    /// A namespace without claims that still has snapshots is warned of: they may be the last copies.
    ///
    /// ## Way out
    /// Retain the volumes first. If the data may be deleted, confirm it on the namespace with the
    /// annotation `stateward.dev/confirm-delete`, in a step of its own.
    ///
    /// The rule needs facts, which the webhook has if it watches a cluster. What happens inside a
    /// namespace that is being deleted is not judged, so a deletion that has begun is never stuck.
    NamespaceDelete {
        id: "namespace-delete",
        title: "a namespace is deleted together with claims that have volumes",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [Namespace: [Delete]],
        source: "kubernetes pkg/controller/namespace/deletion/namespaced_resources_deleter.go; kubernetes.io/docs/concepts/storage/persistent-volumes#reclaiming",
    }
}

/// So many volumes are named in one command.
const NAMED: usize = 4;

impl Rule for NamespaceDelete {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let namespace = change.name.as_str();
        let claims = facts.claims.of(namespace).needed().map_err(Unjudged::blind)?;
        // The deletion of a terminating claim was judged when it began.
        let bound = claims.filter(|(_, claim)| !claim.volume.is_empty() && !claim.terminating);
        let (names, volumes): (Vec<&str>, Vec<&str>) =
            bound.map(|(name, claim)| (name, claim.volume.as_str())).unzip();
        let claims = match names.len() {
            0 => return snapshots(facts, namespace, findings),
            1 => "1 claim".to_owned(),
            many => format!("{many} claims"),
        };
        let loss = Loss::of(facts, namespace, names).map(Loss::largest_first);
        let kept = loss.as_ref().is_some_and(Loss::keeps_everything);
        let kubectl = format!("kubectl -n {}", remedy::quoted(namespace));
        if kept {
            let stays = |loss: &Loss| loss.claims.iter().any(|claim| claim.fate == Fate::Retained);
            let (volumes, why) = if loss.as_ref().is_some_and(stays) {
                let why = "The volumes keep the data, but serve no other claim until somebody frees them.";
                ("the volumes stay", why)
            } else {
                ("their volumes are gone", "Nothing in the cluster leads to their data any more.")
            };
            findings
                .add("", format!("{claims} would be deleted with it; {volumes}"))
                .why(why)
                .loss(loss)
                .command("to find the data again, note the volumes", format!("{kubectl} get pvc"))
                .unsure();
            return Ok(());
        }
        let mut why = "The namespace controller deletes all claims of the namespace, and its \
                       VolumeSnapshots with them."
            .to_owned();
        if loss.is_none() {
            why.push_str(" It is not known which of their volumes would be deleted.");
        }
        let stays = |volume: &str| {
            let mut described = loss.iter().flat_map(|loss| &loss.claims);
            described.any(|claim| {
                claim.volume == volume && matches!(claim.fate, Fate::Retained | Fate::NoVolume)
            })
        };
        let retain = if volumes.len() <= NAMED {
            let going: Vec<&str> = volumes.into_iter().filter(|volume| !stays(volume)).collect();
            remedy::retain(&going)
        } else {
            remedy::retain_all(namespace)
        };
        findings
            .add("", format!("{claims} would be deleted with it"))
            .why(why)
            .loss(loss)
            .remedy(vec![retain]);
        Ok(())
    }
}

/// A namespace without claims may hold the last copies of claims that are gone.
fn snapshots(facts: &Facts, namespace: &str, findings: &mut Findings) -> Judged {
    let what = match facts.snapshots.of(namespace).needed()?.count() {
        0 => return Ok(()),
        1 => "1 VolumeSnapshot".to_owned(),
        many => format!("{many} VolumeSnapshots"),
    };
    let kubectl = format!("kubectl -n {}", remedy::quoted(namespace));
    findings
        .add("", format!("{what} would be deleted with it, and no claim has the data"))
        .why(
            "Under deletionPolicy Delete of their VolumeSnapshotContents, the copies on the storage are \
             deleted as well.",
        )
        .command("see which copies there are", format!("{kubectl} get volumesnapshots"))
        .unsure();
    Ok(())
}
