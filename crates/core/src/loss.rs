//! What would be lost with claims: their volumes, who uses them, and which copies exist.
//!
//! Rules decide which claims go, by what the controllers of Kubernetes do. This describes the claims,
//! in the same words for every rule.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::facts::{Fact, Facts, Reclaim, SnapshotFact};
use crate::object::{Quantity, Volume};
use crate::text::{NAME, cut, listed};

/// The claims that a change deletes, and what is known of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Loss {
    /// by name
    pub claims: Vec<LostClaim>,
    /// whether all snapshots are known
    pub snapshots_known: bool,
    /// what could not be looked up; each completes "needs …"
    pub unknown: Vec<String>,
}

/// A claim that would be deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LostClaim {
    /// its name
    pub name: String,
    /// `spec.resources.requests.storage`
    pub size: Option<Quantity>,
    /// its StorageClass, empty for none
    pub class: String,
    /// its `PersistentVolume`, empty while it is not bound
    pub volume: String,
    /// what becomes of the volume
    pub fate: Fate,
    /// the pods that mount it, by name
    pub pods: Vec<String>,
    /// since when no pod uses it, where the cluster tells that
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unused_since: Option<Timestamp>,
    /// the newest snapshot of it that is ready to use
    pub snapshot: Option<SnapshotCopy>,
}

/// What becomes of a volume when its claim is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Fate {
    /// its reclaim policy is `Delete` or `Recycle`: the data is deleted
    Destroyed,
    /// its reclaim policy is not known
    #[default]
    Unknown,
    /// its reclaim policy is `Retain`: the data stays, and the volume serves no other claim
    Retained,
    /// there is none, or it is gone already
    NoVolume,
}

/// A copy of the data of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SnapshotCopy {
    /// the name of the `VolumeSnapshot`
    pub name: String,
    /// when it was taken
    pub taken: Timestamp,
}

/// How many claims a message lists.
const SHOWN: usize = 4;

/// How many pods of a claim are named.
const PODS: usize = 64;

impl Loss {
    /// Describes the deletion of the claims `names` of a namespace. Nothing where no volume of theirs
    /// is known, as in `check` without facts.
    pub fn of<'n>(
        facts: &Facts,
        namespace: &str,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Option<Self> {
        let mut loss = Self::default();
        for name in names {
            let Fact::Known(Some(claim)) = facts.claims.get(namespace, name) else { continue };
            let fate = match fate(facts, &claim.volume) {
                Fact::Known(fate) => fate,
                Fact::Unknown(why) => {
                    loss.not_known(why);
                    Fate::Unknown
                }
            };
            loss.claims.push(LostClaim {
                name: name.to_owned(),
                size: claim.request.clone(),
                class: (*claim.class).to_owned(),
                volume: claim.volume.clone(),
                fate,
                unused_since: claim.unused_since,
                ..LostClaim::default()
            });
        }
        let told = |claim: &LostClaim| claim.fate != Fate::Unknown && !claim.volume.is_empty();
        if !loss.claims.iter().any(told) {
            return None;
        }
        loss.claims.sort_by(|a, b| a.name.cmp(&b.name));
        loss.add_pods(facts, namespace);
        loss.add_snapshots(facts, namespace);
        Some(loss)
    }

    /// Describes what a volume holds for the claim that it belongs to, or belonged to. `None` if it
    /// belongs to none.
    pub fn of_volume(facts: &Facts, name: &str, volume: &Volume<'_>) -> Option<Self> {
        let claim = volume.claim()?;
        let (namespace, of) = (claim.namespace.as_str(), claim.name.as_str());
        // A claim of the same name may have been created since, with another volume.
        let bound = match facts.claims.get(namespace, of) {
            Fact::Known(Some(claim)) if claim.volume == name => Some(claim),
            _ => None,
        };
        let capacity = volume.spec.capacity.storage.as_ref().map(|size| size.quantity.clone());
        let mut loss = Self::default();
        loss.claims.push(LostClaim {
            name: cut(of, NAME),
            size: bound.and_then(|claim| claim.request.clone()).or(capacity),
            class: cut(&*volume.spec.storage_class_name, NAME),
            volume: cut(name, NAME),
            fate: match Reclaim::from_name(volume.reclaim_policy()) {
                Reclaim::Retain => Fate::Retained,
                Reclaim::Delete | Reclaim::Recycle => Fate::Destroyed,
            },
            ..LostClaim::default()
        });
        if bound.is_some() {
            loss.add_pods(facts, namespace);
        }
        loss.add_snapshots(facts, namespace);
        Some(loss)
    }

    /// The same with the largest claim first.
    #[must_use]
    pub fn largest_first(mut self) -> Self {
        self.claims.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.name.cmp(&b.name)));
        self
    }

    fn add_pods(&mut self, facts: &Facts, namespace: &str) {
        let pods = match facts.pods.of(namespace) {
            Fact::Known(pods) => pods,
            Fact::Unknown(why) => return self.not_known(why),
        };
        let mut users: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (pod, fact) in pods {
            for claim in &fact.claims {
                let users = users.entry(claim).or_default();
                if users.len() < PODS && users.last().is_none_or(|last| last != pod) {
                    users.push(pod.to_owned());
                }
            }
        }
        for claim in &mut self.claims {
            claim.pods = users.remove(claim.name.as_str()).unwrap_or_default();
        }
    }

    fn add_snapshots(&mut self, facts: &Facts, namespace: &str) {
        let snapshots = match facts.snapshots.of(namespace) {
            Fact::Known(snapshots) => snapshots,
            Fact::Unknown(why) => return self.not_known(why),
        };
        self.snapshots_known = true;
        let mut newest: BTreeMap<&str, (&str, &SnapshotFact)> = BTreeMap::new();
        for (name, snapshot) in snapshots {
            let known = newest.entry(&snapshot.claim).or_insert((name, snapshot));
            if known.1.taken < snapshot.taken {
                *known = (name, snapshot);
            }
        }
        for claim in &mut self.claims {
            let copy = newest.get(claim.name.as_str());
            claim.snapshot = copy
                .map(|(name, fact)| SnapshotCopy { name: (*name).to_owned(), taken: fact.taken });
        }
    }

    fn not_known(&mut self, why: String) {
        if self.unknown.len() < SHOWN && !self.unknown.contains(&why) {
            self.unknown.push(why);
        }
    }

    /// Whether data may go for ever: not every volume is known to stay. A claim without a volume
    /// counts, because it may be bound at any moment.
    pub fn destroys(&self) -> bool {
        self.claims.iter().any(|claim| claim.fate != Fate::Retained)
    }

    /// Whether all data is known to stay, or to be gone already.
    pub fn keeps_everything(&self) -> bool {
        self.claims.iter().all(|claim| matches!(claim.fate, Fate::Retained | Fate::NoVolume))
    }

    /// Which snapshots exist of the data that goes, as a sentence; empty if none goes.
    pub fn snapshots(&self) -> String {
        let copies = self.copies();
        let Some(rest) = copies.strip_prefix("; ") else { return String::new() };
        let (first, rest) = rest.split_at(rest.chars().next().map_or(0, char::len_utf8));
        format!("{}{rest}.", first.to_uppercase())
    }

    /// The whole of it in one sentence: how many claims, how large, and which copies exist.
    pub fn summary(&self) -> String {
        let parts: Vec<String> = [Fate::Destroyed, Fate::Unknown, Fate::Retained, Fate::NoVolume]
            .into_iter()
            .filter_map(|fate| self.part(fate))
            .collect();
        format!("This would {}{}.", parts.join(", and "), self.copies())
    }

    /// The claims whose volumes have this fate: `destroy 3 claims, 600Gi, on volumes …`.
    fn part(&self, fate: Fate) -> Option<String> {
        let claims: Vec<&LostClaim> = self.claims.iter().filter(|c| c.fate == fate).collect();
        let one = claims.len() == 1;
        let (claim, volumes) = if one { ("claim", "a volume") } else { ("claims", "volumes") };
        let (verb, place) = match fate {
            Fate::Destroyed => ("destroy", format!("on {volumes} whose reclaim policy is Delete")),
            Fate::Unknown => ("delete", format!("on {volumes} whose reclaim policy is not known")),
            Fate::Retained if one => {
                ("delete", "on a volume that stays (policy Retain)".to_owned())
            }
            Fate::Retained => ("delete", "on volumes that stay (policy Retain)".to_owned()),
            Fate::NoVolume => ("delete", format!("without {volumes}")),
        };
        let sizes = claims.iter().map(|claim| claim.size.as_ref());
        let size = Quantity::total(sizes).map(|size| format!(", {size},")).unwrap_or_default();
        (!claims.is_empty()).then(|| format!("{verb} {} {claim}{size} {place}", claims.len()))
    }

    /// Which copies of the data that goes exist, as the end of a sentence.
    fn copies(&self) -> String {
        let gone = |claim: &&LostClaim| matches!(claim.fate, Fate::Destroyed | Fate::Unknown);
        let copies: Vec<_> = self.claims.iter().filter(gone).map(|c| c.snapshot.as_ref()).collect();
        if copies.is_empty() {
            return String::new();
        }
        if !self.snapshots_known {
            return "; it is not known whether snapshots exist".to_owned();
        }
        let newest = copies.iter().flatten().map(|copy| copy.taken).max();
        let without = copies.iter().filter(|copy| copy.is_none()).count();
        match (newest, without) {
            (None, _) => "; no snapshot of the data exists".to_owned(),
            (Some(newest), 0) => format!("; the newest snapshot is from {}", day(newest)),
            (Some(newest), 1) => {
                format!("; the newest snapshot is from {}, and one claim has none", day(newest))
            }
            (Some(newest), more) => {
                format!(
                    "; the newest snapshot is from {}, and {more} claims have none",
                    day(newest)
                )
            }
        }
    }

    /// Every claim in a line.
    pub fn all_lines(&self) -> impl Iterator<Item = String> {
        self.claims.iter().map(ToString::to_string)
    }

    /// The claims in a line each, the first few of many.
    pub fn lines(&self) -> Vec<String> {
        let shown = if self.claims.len() == SHOWN + 1 { SHOWN + 1 } else { SHOWN };
        let mut lines: Vec<String> = self.all_lines().take(shown).collect();
        if let Some(more) = self.claims.len().checked_sub(shown).filter(|more| *more > 0) {
            lines.push(format!("and {more} more claims"));
        }
        lines
    }
}

/// What becomes of a volume, empty for none, when its claim is deleted.
pub fn fate(facts: &Facts, volume: &str) -> Fact<Fate> {
    if volume.is_empty() {
        return Fact::Known(Fate::NoVolume);
    }
    facts.volumes.get("", volume).map(|volume| match volume {
        None => Fate::NoVolume,
        Some(volume) if volume.reclaim == Reclaim::Retain => Fate::Retained,
        Some(_) => Fate::Destroyed,
    })
}

impl fmt::Display for LostClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        f.write_str(": ")?;
        if let Some(size) = &self.size {
            write!(f, "{size}, ")?;
        }
        match (self.fate, self.volume.as_str()) {
            (_, "") => f.write_str("not bound")?,
            (Fate::NoVolume, volume) => write!(f, "volume {volume} is gone")?,
            (Fate::Destroyed, volume) => write!(f, "volume {volume} is deleted")?,
            (Fate::Retained, volume) => write!(f, "volume {volume} stays")?,
            (Fate::Unknown, volume) => write!(f, "volume {volume}")?,
        }
        if !self.pods.is_empty() {
            let pods: Vec<&str> = self.pods.iter().map(String::as_str).collect();
            write!(f, ", mounted by {}", listed(&pods))?;
        } else if let Some(since) = self.unused_since {
            write!(f, ", unused since {}", day(since))?;
        }
        match &self.snapshot {
            Some(copy) => write!(f, ", snapshot {} from {}", copy.name, day(copy.taken)),
            None => Ok(()),
        }
    }
}

/// The date in UTC.
pub fn day(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{ClaimFact, Objects, PodFact, VolumeFact};

    fn cluster() -> Facts {
        Facts {
            claims: Objects::all(),
            volumes: Objects::all(),
            pods: Objects::all(),
            snapshots: Objects::all(),
            ..Facts::none()
        }
    }

    fn claim(facts: &mut Facts, name: &str, size: &str, reclaim: Option<Reclaim>) {
        let volume = reclaim.map_or(String::new(), |_| format!("pv-{name}"));
        if let Some(reclaim) = reclaim {
            facts.volumes.insert("", &volume, VolumeFact { reclaim, ..VolumeFact::default() });
        }
        let request = size.parse().ok();
        facts.claims.insert("shop", name, ClaimFact { volume, request, ..ClaimFact::default() });
    }

    fn snapshot(facts: &mut Facts, name: &str, claim: &str, taken: &str) {
        let (claim, taken) = (claim.to_owned(), taken.parse().unwrap());
        let uid = String::new();
        facts.snapshots.insert("shop", name, SnapshotFact { uid, claim, taken });
    }

    fn loss(facts: &Facts, names: &[&str]) -> Loss {
        Loss::of(facts, "shop", names.iter().copied()).unwrap()
    }

    #[test]
    fn claims_are_summed_up_by_what_becomes_of_their_volumes() {
        let mut facts = cluster();
        for name in ["a", "b", "c"] {
            claim(&mut facts, name, "200Gi", Some(Reclaim::Delete));
        }
        claim(&mut facts, "d", "10Gi", Some(Reclaim::Retain));
        claim(&mut facts, "e", "1Gi", None);
        assert_eq!(
            loss(&facts, &["c", "b", "a"]).summary(),
            "This would destroy 3 claims, 600Gi, on volumes whose reclaim policy is Delete; no \
             snapshot of the data exists."
        );
        assert_eq!(
            loss(&facts, &["a", "d", "e"]).summary(),
            "This would destroy 1 claim, 200Gi, on a volume whose reclaim policy is Delete, and delete \
             1 claim, 10Gi, on a volume that stays (policy Retain), and delete 1 claim, 1Gi, without a \
             volume; no snapshot of the data exists."
        );
        let kept = loss(&facts, &["d"]);
        assert!(!kept.destroys());
        assert_eq!(
            kept.summary(),
            "This would delete 1 claim, 10Gi, on a volume that stays (policy Retain)."
        );
    }

    #[test]
    fn the_newest_snapshot_of_each_claim_counts() {
        let mut facts = cluster();
        claim(&mut facts, "a", "1Gi", Some(Reclaim::Delete));
        claim(&mut facts, "b", "1Gi", Some(Reclaim::Delete));
        snapshot(&mut facts, "new", "a", "2026-11-19T23:59:59Z");
        snapshot(&mut facts, "old", "a", "2026-10-01T00:00:00Z");
        snapshot(&mut facts, "other", "z", "2026-11-29T00:00:00Z");
        let both = loss(&facts, &["a", "b"]);
        assert!(
            both.summary().ends_with(
                "Delete; the newest snapshot is from 2026-11-19, and one claim has none."
            )
        );
        assert_eq!(
            both.lines(),
            [
                "a: 1Gi, volume pv-a is deleted, snapshot new from 2026-11-19",
                "b: 1Gi, volume pv-b is deleted",
            ]
        );
        let one = loss(&facts, &["a"]).summary();
        assert!(one.ends_with("the newest snapshot is from 2026-11-19."), "{one}");
    }

    #[test]
    fn pods_that_mount_a_claim_are_named_once() {
        let mut facts = cluster();
        claim(&mut facts, "a", "1Gi", Some(Reclaim::Retain));
        for (pod, claims) in [("p", vec!["a", "a", "z"]), ("q", vec!["a"]), ("r", vec!["z"])] {
            let claims = claims.into_iter().map(str::to_owned).collect();
            facts.pods.insert("shop", pod, PodFact { claims, ..PodFact::default() });
        }
        let lines = loss(&facts, &["a"]).lines();
        assert_eq!(lines, ["a: 1Gi, volume pv-a stays, mounted by p and q"]);
    }

    #[test]
    fn a_claim_that_no_pod_mounts_says_since_when_if_the_cluster_tells() {
        let mut facts = cluster();
        claim(&mut facts, "a", "1Gi", Some(Reclaim::Delete));
        let Fact::Known(Some(fact)) = facts.claims.get("shop", "a") else { panic!("it is known") };
        let since = "2026-09-03T23:00:00Z".parse().ok();
        let unused = ClaimFact { unused_since: since, ..fact.clone() };
        facts.claims.insert("shop", "a", unused);
        let line = "a: 1Gi, volume pv-a is deleted, unused since 2026-09-03";
        assert_eq!(loss(&facts, &["a"]).lines(), [line]);
        // The condition follows a new pod after a while.
        let pod = PodFact { claims: ["a".to_owned()].into(), ..PodFact::default() };
        facts.pods.insert("shop", "p", pod);
        assert_eq!(loss(&facts, &["a"]).lines(), ["a: 1Gi, volume pv-a is deleted, mounted by p"]);
    }

    #[test]
    fn what_is_not_known_is_said() {
        let mut facts = cluster();
        claim(&mut facts, "a", "1Gi", Some(Reclaim::Delete));
        facts.snapshots = Objects::unknown("the VolumeSnapshots: no rights");
        let blind = loss(&facts, &["a"]);
        assert_eq!(blind.unknown, ["the VolumeSnapshots: no rights"]);
        assert!(blind.summary().ends_with("it is not known whether snapshots exist."));
        facts.volumes = Objects::unknown("the PersistentVolumes: no rights");
        assert_eq!(Loss::of(&facts, "shop", ["a"]), None, "a list that says nothing is left out");
        assert_eq!(Loss::of(&cluster(), "shop", ["a"]), None);
    }

    #[test]
    fn many_claims_are_counted() {
        let mut facts = cluster();
        let names: Vec<String> = (0..9).map(|n| format!("c-{n}")).collect();
        for name in &names {
            claim(&mut facts, name, "1Gi", Some(Reclaim::Delete));
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(loss(&facts, &names).lines().last().unwrap(), "and 5 more claims");
        assert_eq!(loss(&facts, &names[..5]).lines().len(), 5, "no line is spent on one claim");
    }
}
