//! Which claims are the set's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{MutexGuard, PoisonError};

use serde::Deserialize as _;
use serde_json::Value;
use stateward_core::facts::FixedVolume;
use stateward_core::object::TextMap;
use stateward_core::object::names::{claim_of, pod_ordinal};
use stateward_core::object::selector::LabelSelector;
use stateward_core::record::Record;
use stateward_resize::observed::{Claim, Pod};

use super::others::{Sibling, selector, template_names};
use crate::cluster::{Extent, ReadError, path};
use crate::controller::cluster::Cluster;
use crate::controller::json_fields::{name, number, text, uid};
use crate::controller::{Key, claims, pods};

/// How many volumes are remembered.
const VOLUMES: usize = 100_000;

type Volumes = std::collections::HashMap<String, Option<FixedVolume>>;

impl Cluster {
    pub(super) async fn claims_of(
        &self,
        key: &Key,
        shape: Option<&Value>,
        record: Option<&Record>,
        siblings: &[Sibling],
        pods: &[(Pod, Vec<String>)],
    ) -> Result<Vec<Claim>, ReadError> {
        let asked = record.and_then(|record| record.status.request.as_ref());
        let asked =
            asked.into_iter().flat_map(|request| request.targets.keys().map(String::as_str));
        let mut templates: Vec<&str> = shape.map(template_names).unwrap_or_default();
        templates.extend(asked);
        let others = OtherSets::new(siblings, &key.name);
        let own: BTreeSet<&str> =
            pods.iter().flat_map(|(_, mounts)| mounts.iter().map(String::as_str)).collect();
        let mut uids: BTreeSet<&str> = pods.iter().map(|(pod, _)| pod.uid.as_str()).collect();
        uids.extend(shape.map(uid));
        // Claims are reduced page by page, because their author chooses how large they are.
        let read = |object: &Value| {
            let templates = templates.iter().copied();
            let (template, ordinal) = claim_of(name(object), &key.name, templates)?;
            let mut claim = claims::read(object, template, ordinal)?;
            claims::reduce_owners(&mut claim.owners, &uids);
            claim.mounted = own.contains(claim.name.as_str());
            claim.foreign = !claim.mounted
                && (others.name(&claim.name)
                    || !runs_with(shape, ordinal) && !has_labels_of(shape, object));
            Some((claim, text(object, "/spec/volumeName").to_owned()))
        };
        let path = key.core("persistentvolumeclaims");
        let mut all = Vec::new();
        for (mut claim, volume) in self.client.list(&path, Extent::Whole, read).await? {
            if !volume.is_empty() {
                claim.fixed_volume = self.fixed_volume(&volume).await?;
            }
            all.push(claim);
        }
        if all.iter().any(|claim| !claim.mounted && !claim.foreign) {
            let unmounted = all.iter().filter(|claim| !claim.mounted);
            let unmounted: BTreeSet<String> = unmounted.map(|claim| claim.name.clone()).collect();
            let mounted = self.mounted_by_others(key, shape, &unmounted).await?;
            for claim in all.iter_mut().filter(|claim| !claim.mounted) {
                claim.foreign |= mounted.contains(&claim.name);
            }
        }
        Ok(all)
    }

    /// Those of `names` that a pod of the namespace mounts, other than the set's own pods: one of these
    /// may have come back since they were read.
    async fn mounted_by_others(
        &self,
        key: &Key,
        shape: Option<&Value>,
        names: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, ReadError> {
        let selector = shape.and_then(selector);
        let mounts = |pod: &Value| {
            if is_own(pod, &key.name, selector.as_ref()) {
                return None;
            }
            let mounts = pods::claims(pod).filter(|claim| names.contains(*claim));
            Some(mounts.map(str::to_owned).collect::<Vec<_>>())
        };
        let found = self.client.list(&key.core("pods"), Extent::Whole, mounts).await?;
        Ok(found.into_iter().flatten().collect())
    }

    fn volumes(&self) -> MutexGuard<'_, Volumes> {
        self.volumes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why a volume cannot be expanded. Neither its source nor its provisioner changes, so each
    /// volume is read once.
    async fn fixed_volume(&self, volume: &str) -> Result<Option<FixedVolume>, ReadError> {
        if let Some(known) = self.volumes().get(volume) {
            return Ok(*known);
        }
        let object = self.client.read(&path(["api", "v1", "persistentvolumes", volume])).await?;
        let reason = object.as_ref().and_then(claims::fixed_volume);
        if object.is_some() {
            let mut known = self.volumes();
            if known.len() >= VOLUMES {
                known.clear();
            }
            known.insert(volume.to_owned(), reason);
        }
        Ok(reason)
    }
}

/// The claim templates of other sets, by the set's name.
struct OtherSets<'s>(BTreeMap<&'s str, &'s [String]>);

impl<'s> OtherSets<'s> {
    fn new(siblings: &'s [Sibling], own: &str) -> Self {
        let others = siblings.iter().filter(|one| one.name != own);
        Self(others.map(|one| (one.name.as_str(), one.templates.as_slice())).collect())
    }

    /// Whether another set would give a claim this name.
    fn name(&self, claim: &str) -> bool {
        let Some((rest, _)) = claim.rsplit_once('-') else { return false };
        rest.match_indices('-').any(|(at, _)| {
            let set = rest.get(at + 1..).unwrap_or_default();
            let templates = self.0.get(set).copied().unwrap_or_default();
            claim_of(claim, set, templates.iter().map(String::as_str)).is_some()
        })
    }
}

/// Whether a pod is one of the set's: it has such a name, and labels that the set selects.
fn is_own(pod: &Value, set: &str, selector: Option<&LabelSelector<'_>>) -> bool {
    let labels = TextMap::deserialize(&pod["metadata"]["labels"]).unwrap_or_default();
    pod_ordinal(name(pod), set).is_some() && selector.is_some_and(|one| one.matches(&labels))
}

/// Whether the set runs a pod of this ordinal, which mounts the claim whatever its labels are.
fn runs_with(set: Option<&Value>, ordinal: u32) -> bool {
    let whole = |pointer| set.and_then(|set| number(set, pointer));
    let first = whole("/spec/ordinals/start").unwrap_or(0);
    let count = whole("/spec/replicas").unwrap_or(1);
    (first..first.saturating_add(count)).contains(&i64::from(ordinal))
}

/// Whether a claim carries the labels that the StatefulSet controller gives to the set's claims.
fn has_labels_of(set: Option<&Value>, claim: &Value) -> bool {
    let wanted = set.and_then(|set| set.pointer("/spec/selector/matchLabels"));
    let wanted = wanted.and_then(Value::as_object).into_iter().flatten();
    let labels = &claim["metadata"]["labels"];
    wanted.into_iter().all(|(key, value)| labels.get(key) == Some(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_that_comes_back_makes_its_claim_nobody_elses() {
        let set = json!({"spec": {"selector": {"matchLabels": {"app": "db"}}}});
        let pod =
            |name: &str, app: &str| json!({"metadata": {"name": name, "labels": {"app": app}}});
        let selector = selector(&set);
        let is_own = |pod: &Value| is_own(pod, "db", selector.as_ref());
        assert!(is_own(&pod("db-0", "db")) && is_own(&pod("db-12", "db")));
        for other in [pod("db-0", "web"), pod("db-a-0", "db"), pod("backup", "db")] {
            assert!(!is_own(&other), "{other}");
        }
        assert!(!is_own(&json!({"metadata": {"name": "db-0"}})));
    }

    #[test]
    fn a_claim_that_two_sets_would_name_is_found_by_its_name() {
        let set = |name: &str, templates: &[&str]| Sibling {
            name: name.to_owned(),
            uid: String::new(),
            selects: false,
            templates: templates.iter().map(|one| (*one).to_owned()).collect(),
        };
        let siblings = [set("b", &["data-a", "logs"]), set("a-b", &["data"]), set("c-0", &["d"])];
        let others = OtherSets::new(&siblings, "a-b");
        assert!(others.name("data-a-b-0"), "data-a of b");
        assert!(others.name("logs-b-12") && others.name("d-c-0-3"));
        for no in ["data-a-b-x", "logs-b-01", "logs-b", "logs", "", "-", "logs-c-0", "data-x-0"] {
            assert!(!others.name(no), "{no}");
        }
        assert!(!OtherSets::new(&siblings[1..2], "a-b").name("data-a-b-0"), "its own");
    }
}
