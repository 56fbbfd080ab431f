//! Claims and snapshots whose deletion was just allowed.
//!
//! A watch tells of a deletion some milliseconds after the API server has carried it out, and
//! `kubectl delete pvc --all` sends the next request before that. Without this, each claim would find the
//! others still there, and none would be the last. The same holds for snapshots.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use stateward_core::facts::{Fact, Facts};
use stateward_core::object::Kind;

/// How long a deletion counts that the watch has not shown. Another webhook may have refused it.
const COUNTS_FOR: Duration = Duration::from_secs(10);
/// How many are kept at most. Whoever deletes more in that time is judged by the watch alone.
const MOST: usize = 10_000;

/// A claim or a snapshot that is deleted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Deleted {
    pub(super) kind: Kind,
    pub(super) namespace: String,
    pub(super) name: String,
    /// another object may have the name by then
    pub(super) uid: String,
}

/// The deletions of claims and snapshots that this replica judges or has allowed.
#[derive(Debug, Default)]
pub(super) struct RecentDeletions(Mutex<HashMap<Deleted, Instant>>);

impl RecentDeletions {
    /// Notes a deletion that is judged. Of two that are judged at once, each sees the other.
    pub(super) fn add(&self, deleted: Deleted, now: Instant) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, since| now.duration_since(*since) < COUNTS_FOR);
        if all.len() < MOST {
            all.insert(deleted, now);
        }
    }

    /// Forgets one that is denied.
    pub(super) fn remove(&self, deleted: &Deleted) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(deleted);
    }

    /// The facts for the judgement of `but`, with the other claims of its namespace as claims that are being
    /// deleted, and without the other snapshots: facts hold no snapshot that is being deleted.
    pub(super) fn applied<'f>(
        &self,
        facts: Cow<'f, Facts>,
        but: &Deleted,
        now: Instant,
    ) -> Cow<'f, Facts> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = all.iter().filter(|(deleted, since)| {
            deleted.namespace == but.namespace
                && *deleted != but
                && now.duration_since(**since) < COUNTS_FOR
        });
        let recent: Vec<&Deleted> = recent.map(|(deleted, _)| deleted).collect();
        if recent.is_empty() {
            return facts;
        }
        let mut facts = facts.into_owned();
        for Deleted { kind, namespace, name, uid } in recent {
            if *kind == Kind::Snapshot {
                let live = facts.snapshots.get(namespace, name);
                if matches!(live, Fact::Known(Some(live)) if live.uid == *uid) {
                    facts.snapshots.remove(namespace, name);
                }
            } else if let Fact::Known(claim) = facts.claim(namespace, name)
                && claim.uid == *uid
            {
                let mut claim = claim.clone();
                claim.terminating = true;
                facts.claims.insert(namespace, name, claim);
            }
        }
        Cow::Owned(facts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stateward_core::facts::{ClaimFact, Objects, SnapshotFact};

    fn deleted(kind: Kind, namespace: &str, name: &str) -> Deleted {
        let [namespace, name, uid] = [namespace, name, "1"].map(str::to_owned);
        Deleted { kind, namespace, name, uid }
    }

    #[test]
    fn a_deletion_that_was_allowed_counts_for_a_while() {
        let mut facts = Facts { claims: Objects::all(), ..Facts::none() };
        for (name, uid) in [("a", "1"), ("b", "1"), ("new", "2")] {
            let claim = ClaimFact { uid: uid.to_owned(), ..ClaimFact::default() };
            facts.claims.insert("shop", name, claim);
        }
        let (recent, start) = (RecentDeletions::default(), Instant::now());
        for name in ["a", "gone", "new"] {
            recent.add(deleted(Kind::Claim, "shop", name), start);
        }
        let going = |namespace: &str, judged: &str, seconds: u64| {
            let now = start + Duration::from_secs(seconds);
            let judged = deleted(Kind::Claim, namespace, judged);
            let facts = recent.applied(Cow::Borrowed(&facts), &judged, now);
            let claims = ["a", "b", "new"].map(|name| match facts.claim("shop", name) {
                Fact::Known(claim) => claim.terminating,
                Fact::Unknown(why) => panic!("{why}"),
            });
            (claims, matches!(facts, Cow::Owned(_)))
        };
        // Another claim has the name of one that was deleted.
        assert_eq!(going("shop", "b", 1), ([true, false, false], true));
        assert_eq!(going("shop", "a", 1), ([false, false, false], true));
        assert_eq!(going("lab", "b", 1), ([false, false, false], false));
        assert_eq!(going("shop", "b", 10), ([false, false, false], false));
        recent.remove(&deleted(Kind::Claim, "shop", "a"));
        assert_eq!(going("shop", "b", 1), ([false, false, false], true));
    }

    #[test]
    fn a_snapshot_whose_deletion_was_allowed_is_no_copy_for_a_while() {
        let mut facts = Facts { snapshots: Objects::all(), ..Facts::none() };
        for name in ["a", "b"] {
            let taken = "2026-11-19T03:00:00Z".parse().unwrap();
            let snapshot =
                SnapshotFact { uid: "1".to_owned(), claim: "data-db-0".to_owned(), taken };
            facts.snapshots.insert("shop", name, snapshot);
        }
        let (recent, start) = (RecentDeletions::default(), Instant::now());
        recent.add(deleted(Kind::Snapshot, "shop", "a"), start);
        let left = |seconds| {
            let now = start + Duration::from_secs(seconds);
            let judged = deleted(Kind::Snapshot, "shop", "b");
            let facts = recent.applied(Cow::Borrowed(&facts), &judged, now);
            match facts.snapshots.of("shop") {
                Fact::Known(snapshots) => snapshots.map(|(name, _)| name.to_owned()).collect(),
                Fact::Unknown(why) => vec![why],
            }
        };
        assert_eq!(
            (left(1), left(10)),
            (vec!["b".to_owned()], vec!["a".to_owned(), "b".to_owned()])
        );
    }
}
