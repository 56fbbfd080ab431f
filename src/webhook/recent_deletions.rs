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

/// The deletions of claims and snapshots that this replica has allowed, by kind, namespace and name.
#[derive(Debug, Default)]
pub(super) struct RecentDeletions(Mutex<HashMap<(Kind, String, String), Instant>>);

impl RecentDeletions {
    /// Notes that the deletion of a claim or a snapshot is allowed.
    pub(super) fn add(&self, kind: Kind, namespace: String, name: String, now: Instant) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, since| now.duration_since(*since) < COUNTS_FOR);
        if all.len() < MOST {
            all.insert((kind, namespace, name), now);
        }
    }

    /// The facts, with these claims of a namespace as claims that are being deleted, and without these
    /// snapshots: facts hold no snapshot that is being deleted.
    pub(super) fn applied<'f>(
        &self,
        facts: Cow<'f, Facts>,
        namespace: &str,
        now: Instant,
    ) -> Cow<'f, Facts> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = all.iter().filter(|((_, of, _), since)| {
            of == namespace && now.duration_since(**since) < COUNTS_FOR
        });
        let recent: Vec<(Kind, &str)> =
            recent.map(|((kind, _, name), _)| (*kind, &**name)).collect();
        if recent.is_empty() {
            return facts;
        }
        let mut facts = facts.into_owned();
        for (kind, name) in recent {
            if kind == Kind::Snapshot {
                facts.snapshots.remove(namespace, name);
            } else if let Fact::Known(claim) = facts.claim(namespace, name) {
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

    #[test]
    fn a_deletion_that_was_allowed_counts_for_a_while() {
        let mut facts = Facts { claims: Objects::all(), ..Facts::none() };
        for name in ["a", "b"] {
            facts.claims.insert("shop", name, ClaimFact::default());
        }
        let (recent, start) = (RecentDeletions::default(), Instant::now());
        recent.add(Kind::Claim, "shop".to_owned(), "a".to_owned(), start);
        recent.add(Kind::Claim, "shop".to_owned(), "gone".to_owned(), start);
        let going = |namespace: &str, seconds: u64| {
            let now = start + Duration::from_secs(seconds);
            let facts = recent.applied(Cow::Borrowed(&facts), namespace, now);
            let claims = ["a", "b"].map(|name| match facts.claim("shop", name) {
                Fact::Known(claim) => claim.terminating,
                Fact::Unknown(why) => panic!("{why}"),
            });
            (claims, matches!(facts, Cow::Owned(_)))
        };
        assert_eq!(going("shop", 1), ([true, false], true));
        assert_eq!(going("lab", 1), ([false, false], false));
        assert_eq!(going("shop", 10), ([false, false], false));
    }

    #[test]
    fn a_snapshot_whose_deletion_was_allowed_is_no_copy_for_a_while() {
        let mut facts = Facts { snapshots: Objects::all(), ..Facts::none() };
        for name in ["a", "b"] {
            let taken = "2026-11-19T03:00:00Z".parse().unwrap();
            let snapshot =
                SnapshotFact { uid: String::new(), claim: "data-db-0".to_owned(), taken };
            facts.snapshots.insert("shop", name, snapshot);
        }
        let (recent, start) = (RecentDeletions::default(), Instant::now());
        recent.add(Kind::Snapshot, "shop".to_owned(), "a".to_owned(), start);
        let left = |seconds| {
            let now = start + Duration::from_secs(seconds);
            let facts = recent.applied(Cow::Borrowed(&facts), "shop", now);
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
