//! Which claims belong to a set: those that it owns, and those that its pods mount by their name.

use std::collections::BTreeSet;

use super::{ClaimFact, Fact, Facts, SetFact};
use crate::object::names::{claim_parts, stem_and_ordinal};

/// A claim with the name that a set computes for one of its pods.
#[derive(Clone, Copy, Debug)]
pub struct SetClaim<'f> {
    /// its name
    pub name: &'f str,
    /// the claim template
    pub template: &'f str,
    /// the ordinal of the pod
    pub ordinal: i64,
    /// what is known of it
    pub claim: &'f ClaimFact,
}

impl ClaimFact {
    /// Whether the garbage collector deletes the claim after the object with this UID. An owner that
    /// stays keeps the claim.
    pub fn goes_with(&self, uid: &str) -> bool {
        !self.owners.is_empty() && self.owners.iter().all(|owner| owner == uid)
    }
}

/// A set, and which of its claim templates a claim stands for.
#[derive(Clone, Copy, Debug)]
pub struct ClaimOf<'f, 'n> {
    /// the name of the set
    pub set: &'n str,
    /// what is known of the set
    pub fact: &'f SetFact,
    /// the claim template
    pub template: &'n str,
}

impl ClaimOf<'_, '_> {
    /// Whether the set runs the pod of this claim.
    fn has_pod_of(&self, claim: &str) -> bool {
        let ordinal = stem_and_ordinal(claim).map(|(_, ordinal)| i64::from(ordinal));
        !self.fact.terminating && ordinal.is_some_and(|n| self.fact.ordinals().contains(&n))
    }
}

impl Facts {
    /// The set whose pod mounts a claim of this name, if there is one. Of two sets whose names make the
    /// same claim (kubernetes#41153), the one that has such a pod; of two that have, the one with the
    /// longer name of a template.
    pub fn set_of_claim<'n>(
        &self,
        namespace: &str,
        claim: &'n str,
    ) -> Fact<Option<ClaimOf<'_, 'n>>> {
        let mut without_pod = None;
        for of in self.sets_of_claim(namespace, claim) {
            match of {
                Fact::Known(of) if of.has_pod_of(claim) => return Fact::Known(Some(of)),
                Fact::Known(of) => without_pod = without_pod.or(Some(of)),
                Fact::Unknown(why) => {
                    return without_pod.map_or(Fact::Unknown(why), |of| Fact::Known(Some(of)));
                }
            }
        }
        Fact::Known(without_pod)
    }

    /// Every set whose claims have such a name, the longer name of a template first. Of one that cannot be
    /// read, it is not known.
    pub fn sets_of_claim<'n>(
        &self,
        namespace: &str,
        claim: &'n str,
    ) -> impl Iterator<Item = Fact<ClaimOf<'_, 'n>>> {
        let stem = stem_and_ordinal(claim).map_or("", |(stem, _)| stem);
        stem.rmatch_indices('-').filter_map(move |(dash, _)| {
            let (template, set) = (&stem[..dash], &stem[dash + 1..]);
            match self.sets.get(namespace, set) {
                Fact::Known(fact) => {
                    let fact = fact.filter(|fact| fact.template_names().any(|one| one == template));
                    Some(Fact::Known(ClaimOf { set, fact: fact?, template }))
                }
                Fact::Unknown(why) => Some(Fact::Unknown(why)),
            }
        })
    }

    /// The other claims of the same template of the same set that are to stay and have a volume, as far
    /// as volumes are known.
    pub fn siblings<'f>(
        &'f self,
        namespace: &str,
        claim: &str,
        of: &ClaimOf<'_, '_>,
    ) -> Fact<Vec<&'f str>> {
        self.claims_named(namespace, of.set, [of.template]).map(|claims| {
            let stay = claims.into_iter().filter(|other| {
                other.name != claim
                    && !other.claim.terminating
                    && !other.claim.volume.is_empty()
                    && self.volumes.get("", &other.claim.volume) != Fact::Known(None)
                    && matches!(self.set_of_claim(namespace, other.name), Fact::Known(Some(its)) if its.set == of.set)
            });
            stay.map(|other| other.name).collect()
        })
    }

    /// The names of the claims that are deleted with the object that has this UID.
    pub fn claims_owned_by(&self, namespace: &str, uid: &str) -> Fact<Vec<&str>> {
        self.claims.of(namespace).map(|claims| {
            let owned = claims.filter(|(_, claim)| claim.goes_with(uid));
            owned.map(|(name, _)| name).collect()
        })
    }

    /// The claims that have the name of a claim of set `set`, which has these claim templates.
    pub fn claims_named<'t>(
        &self,
        namespace: &str,
        set: &str,
        templates: impl IntoIterator<Item = &'t str>,
    ) -> Fact<Vec<SetClaim<'_>>> {
        if let Fact::Unknown(why) = self.claims.of(namespace).map(drop) {
            return Fact::Unknown(why);
        }
        let templates: BTreeSet<&str> = templates.into_iter().collect();
        let mut found = Vec::new();
        for template in templates {
            let prefix = format!("{template}-{set}-");
            let claims = self.claims.beginning_with(namespace, &prefix);
            found.extend(claims.filter_map(|(name, claim)| {
                let (own, ordinal) = claim_parts(name, set).filter(|(own, _)| *own == template)?;
                Some(SetClaim { name, template: own, ordinal: ordinal.into(), claim })
            }));
        }
        found.sort_unstable_by_key(|claim| claim.name);
        Fact::Known(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Objects;

    fn facts(claims: &[(&str, &[&str])]) -> Facts {
        let mut facts = Facts { claims: Objects::all(), ..Facts::none() };
        for (name, owners) in claims {
            let owners = owners.iter().map(|owner| (*owner).to_owned()).collect();
            facts.claims.insert("shop", name, ClaimFact { owners, ..ClaimFact::default() });
        }
        facts
    }

    #[test]
    fn a_claim_with_another_owner_stays() {
        let facts = facts(&[("a", &["1"]), ("b", &["1", "2"]), ("c", &[]), ("d", &["2"])]);
        assert_eq!(facts.claims_owned_by("shop", "1"), Fact::Known(vec!["a"]));
        assert!(matches!(Facts::none().claims_owned_by("shop", "1"), Fact::Unknown(_)));
    }

    #[test]
    fn claims_of_a_set_are_found_by_their_computed_names() {
        let facts =
            facts(&[("data-db-0", &[]), ("data-db-1-2", &[]), ("wal-db-10", &[]), ("x-db-0", &[])]);
        let Fact::Known(claims) = facts.claims_named("shop", "db", ["data", "wal"]) else {
            panic!("all are known")
        };
        let found: Vec<_> = claims.iter().map(|c| (c.name, c.template, c.ordinal)).collect();
        assert_eq!(found, [("data-db-0", "data", 0), ("wal-db-10", "wal", 10)]);
    }

    /// `redis-data-redis-0` may belong to set `redis` or `data-redis` (kubernetes#41153).
    #[test]
    fn a_set_that_somebody_adds_hides_no_owner() {
        let set = |template: &str, replicas: u8| {
            let templates = serde_json::json!([{"metadata": {"name": template}}]);
            let spec = serde_json::json!({"replicas": replicas, "volumeClaimTemplates": templates});
            SetFact::read(&serde_json::json!({"metadata": {}, "spec": spec})).unwrap()
        };
        let mut facts = facts(&[]);
        facts.sets = Objects::all();
        facts.sets.insert("shop", "redis", set("redis-data", 0));
        let owner = |facts: &Facts| match facts.set_of_claim("shop", "redis-data-redis-0") {
            Fact::Known(of) => of.map(|of| of.set.to_owned()),
            Fact::Unknown(why) => Some(why),
        };
        assert_eq!(owner(&facts).as_deref(), Some("redis"));
        facts.sets.insert_unknown("shop", "data-redis", "it is too large");
        assert_eq!(owner(&facts).as_deref(), Some("redis"));
        // The set that runs the pod mounts the claim, and the other one still has a claim of that name.
        facts.sets.insert("shop", "data-redis", set("redis", 2));
        assert_eq!(owner(&facts).as_deref(), Some("data-redis"));
        assert_eq!(facts.sets_of_claim("shop", "redis-data-redis-0").count(), 2);
    }
}
