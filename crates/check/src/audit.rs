//! What can lose data in a cluster, or is stuck, as far as facts tell. Nothing has to change for it.
//!
//! Pure, and linear in the number of objects: facts come from a cluster or from a file.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use stateward_core::facts::{ClaimFact, ClaimOf, Fact, Facts, Reclaim, SetFact};
use stateward_core::growth::class_obstacle;
use stateward_core::loss::day;
use stateward_core::object::Quantity;
use stateward_core::packs::recognise;
use stateward_core::record::Policy;
use stateward_core::rules::Step;
use stateward_core::rules::remedy::{quoted, retain, retain_claims, run, say};
use stateward_core::text::listed;

/// Everything that an audit found. Its JSON is stable: fields are only ever added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Audit {
    /// 1
    pub version: u8,
    /// counts
    pub summary: Summary,
    /// the systems that sets run, as far as packs know them, by namespace and name of the set
    pub systems: Vec<AuditedSystem>,
    /// the worst first, then by namespace and name
    pub findings: Vec<AuditFinding>,
    /// what could not be looked at; each completes "needs …"
    pub unknown: Vec<String>,
}

/// The system that a set runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditedSystem {
    /// the namespace of the set
    pub namespace: String,
    /// the name of the set
    pub name: String,
    /// the name of the pack
    pub pack: String,
    /// the system, as people write it
    pub title: String,
    /// what it was recognised by
    pub recognised_by: String,
}

/// What there is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// StatefulSets
    pub sets: usize,
    /// PersistentVolumeClaims
    pub claims: usize,
    /// what the claims ask for together
    pub size: Option<Quantity>,
    /// claims whose volume is deleted with them
    pub deleted_with_claim: usize,
    /// claims of which no snapshot is ready to use; absent where snapshots are not known
    pub without_snapshot: Option<usize>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// data is lost, or will be without another decision
    Lost,
    /// one ordinary command loses data
    Risk,
    /// something waits for a person
    Stuck,
    /// worth knowing
    Note,
}

impl Severity {
    /// The word in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "LOST",
            Self::Risk => "RISK",
            Self::Stuck => "STUCK",
            Self::Note => "NOTE",
        }
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditFinding {
    /// how bad it is
    pub severity: Severity,
    /// which check found it
    pub check: &'static str,
    /// the kind of the object
    pub kind: &'static str,
    /// its namespace
    pub namespace: String,
    /// its name
    pub name: String,
    /// one sentence, the rest of one that begins with the object
    pub message: String,
    /// how to mend it, where there is a way
    pub remedy: Option<Step>,
}

impl AuditFinding {
    fn order(&self) -> (Severity, &str, &str, &str) {
        (self.severity, &self.namespace, &self.name, self.check)
    }
}

/// What is known of one set and its claims.
struct Owned<'f> {
    set: &'f SetFact,
    /// template → ordinal → name and claim
    claims: BTreeMap<&'f str, BTreeMap<i64, (&'f str, &'f ClaimFact)>>,
}

/// Looks at everything that facts tell.
pub fn audit(facts: &Facts) -> Audit {
    let mut sets: BTreeMap<(&str, &str), Owned<'_>> = BTreeMap::new();
    for (namespace, name, set) in facts.sets.iter() {
        sets.insert((namespace, name), Owned { set, claims: BTreeMap::new() });
    }
    let mounted = mounted(facts);
    let mut audit = Auditor { facts, findings: Vec::new(), summary: Summary::default() };
    audit.summary.sets = sets.len();
    audit.summary.without_snapshot = facts.snapshots.are_all().then_some(0);
    let copied: BTreeSet<(&str, &str)> = facts
        .snapshots
        .iter()
        .map(|(namespace, _, snapshot)| (namespace, snapshot.claim.as_str()))
        .collect();
    let sizes = facts.claims.iter().map(|(_, _, claim)| claim.request.as_ref());
    audit.summary.size = Quantity::total(sizes);
    for (namespace, name, claim) in facts.claims.iter() {
        audit.summary.claims += 1;
        if let Some(without) = &mut audit.summary.without_snapshot
            && !copied.contains(&(namespace, name))
        {
            *without += 1;
        }
        let pods = mounted.get(&(namespace, name)).map_or(&[][..], Vec::as_slice);
        audit.claim(namespace, name, claim, pods);
        match facts.set_of_claim(namespace, name) {
            Fact::Known(Some(ClaimOf { set, template, .. })) => {
                let ordinal = name.rsplit('-').next().and_then(|ordinal| ordinal.parse().ok());
                if let (Some(owned), Some(ordinal)) = (sets.get_mut(&(namespace, set)), ordinal) {
                    owned.claims.entry(template).or_default().insert(ordinal, (name, claim));
                }
            }
            Fact::Known(None) if pods.is_empty() => audit.unused(namespace, name, claim),
            _ => {}
        }
    }
    for ((namespace, name), owned) in &sets {
        audit.set(namespace, name, owned);
    }
    let Auditor { mut findings, summary, .. } = audit;
    findings.sort_by(|a, b| a.order().cmp(&b.order()));
    let unknown: BTreeSet<&str> = facts.not_known().collect();
    let unknown = unknown.into_iter().map(str::to_owned).collect();
    let systems = facts.sets.iter().filter_map(|(namespace, name, set)| {
        let known = recognise(&facts.packs, &set.traits())?;
        Some(AuditedSystem {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            pack: known.name.to_owned(),
            title: known.pack.title.clone(),
            recognised_by: known.by,
        })
    });
    Audit { version: 1, summary, systems: systems.collect(), findings, unknown }
}

/// The pods that mount each claim.
fn mounted(facts: &Facts) -> BTreeMap<(&str, &str), Vec<&str>> {
    let mut mounted: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for (namespace, pod, fact) in facts.pods.iter() {
        for claim in &fact.claims {
            mounted.entry((namespace, claim)).or_default().push(pod);
        }
    }
    mounted
}

struct Auditor<'f> {
    facts: &'f Facts,
    findings: Vec<AuditFinding>,
    summary: Summary,
}

const CLAIM: &str = "PersistentVolumeClaim";
const SET: &str = "StatefulSet";

impl Auditor<'_> {
    fn add(
        &mut self,
        (severity, check): (Severity, &'static str),
        (kind, namespace, name): (&'static str, &str, &str),
        message: impl Into<String>,
        remedy: Option<Step>,
    ) {
        self.findings.push(AuditFinding {
            severity,
            check,
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            message: message.into(),
            remedy,
        });
    }

    fn claim(&mut self, namespace: &str, name: &str, claim: &ClaimFact, pods: &[&str]) {
        let volume = claim.volume.as_str();
        let object = (CLAIM, namespace, name);
        if volume.is_empty() {
            if !pods.is_empty() {
                let message = format!("is not bound, and {} waits for it", listed(pods));
                self.add((Severity::Stuck, "not-bound"), object, message, None);
            }
            return;
        }
        let known = self.facts.volumes.get("", volume);
        if known == Fact::Known(None) {
            let message = format!("its volume {volume} does not exist any more");
            self.add((Severity::Lost, "volume-gone"), object, message, None);
            return;
        }
        let deletes =
            matches!(known, Fact::Known(Some(volume)) if volume.reclaim != Reclaim::Retain);
        self.summary.deleted_with_claim += usize::from(deletes);
        if claim.terminating && deletes && !pods.is_empty() {
            let pods = listed(pods);
            let message = format!("is being deleted, and its volume goes once {pods} stops");
            let retain = retain(&[volume]);
            self.add((Severity::Risk, "deleted-in-use"), object, message, Some(retain));
        }
    }

    /// A claim that no pod mounts and that belongs to no set.
    fn unused(&mut self, namespace: &str, name: &str, claim: &ClaimFact) {
        // Without the pods, every claim looks unused.
        if !self.facts.pods.are_all() || claim.volume.is_empty() || claim.terminating {
            return;
        }
        let size = claim.request.as_ref().map(|size| format!(", {size}")).unwrap_or_default();
        let since = claim.unused_since.map(|since| format!(", unused since {}", day(since)));
        let since = since.unwrap_or_default();
        let message = format!("no pod mounts it, and no StatefulSet has its name{size}{since}");
        self.add((Severity::Note, "unused"), (CLAIM, namespace, name), message, None);
    }

    fn set(&mut self, namespace: &str, name: &str, owned: &Owned<'_>) {
        let Owned { set, claims } = owned;
        let object = (SET, namespace, name);
        let count: usize = claims.values().map(BTreeMap::len).sum();
        if set.when_deleted == Policy::Delete && count > 0 {
            let message = format!("deleting it deletes its {}", counted(count, claims));
            let step = retention(namespace, name, "whenDeleted");
            self.add((Severity::Risk, "retention-delete"), object, message, Some(step));
        }
        if set.when_scaled == Policy::Delete && count > 0 {
            let message = "a scale-down deletes the claims of the pods that it removes";
            let step = retention(namespace, name, "whenScaled");
            self.add((Severity::Risk, "retention-scaled"), object, message, Some(step));
        }
        let end = set.first_ordinal.saturating_add(set.replicas);
        let mut leftover = BTreeMap::new();
        for (template, claims) in claims {
            for (ordinal, claim) in claims {
                if !(set.first_ordinal..end).contains(ordinal) {
                    leftover
                        .entry(*template)
                        .or_insert_with(BTreeMap::new)
                        .insert(*ordinal, *claim);
                }
            }
            self.sizes(object, set, template, claims);
        }
        let left: usize = leftover.values().map(BTreeMap::len).sum();
        if left > 0 {
            // Each of them is unused at least since the last one is.
            let claims = leftover.values().flat_map(BTreeMap::values);
            let since: Option<Vec<_>> = claims.map(|(_, claim)| claim.unused_since).collect();
            let since = since.and_then(|all| all.into_iter().max());
            let since = since.map(|since| format!(", unused since {}", day(since)));
            let message = format!(
                "{} of pods that it no longer has{}; a scale-up uses them again",
                counted(left, &leftover),
                since.unwrap_or_default()
            );
            self.add((Severity::Note, "leftover"), object, message, None);
        }
        self.classes(object, claims);
    }

    /// Claims of one template whose sizes differ from each other or from the template.
    fn sizes(
        &mut self,
        object: (&'static str, &str, &str),
        set: &SetFact,
        template: &str,
        claims: &BTreeMap<i64, (&str, &ClaimFact)>,
    ) {
        let sizes: Vec<&Quantity> =
            claims.values().filter_map(|(_, claim)| claim.request.as_ref()).collect();
        let (Some(least), Some(most)) = (sizes.iter().min(), sizes.iter().max()) else { return };
        let own = set.templates.iter().find(|one| one.name == template);
        let own = own.and_then(|one| one.size.as_ref());
        let (_, namespace, name) = object;
        let grow = run(
            "to bring claims and template to one size",
            format!(
                "stateward resize apply {} -n {} --size {}",
                quoted(&format!("sts/{name}")),
                quoted(namespace),
                quoted(&format!("{template}={most}")),
            ),
        );
        if least != most {
            let message = format!("claims of template {template} have {least} to {most}");
            self.add((Severity::Risk, "sizes-differ"), object, message, Some(grow));
        } else if let Some(own) = own.filter(|own| own != least) {
            let message = format!(
                "claims of template {template} have {least}, and the template {own}: pods that are \
                 added get claims of another size"
            );
            let step = if own < *least {
                grow
            } else {
                say(format!("raise the claims to {own}: volumes cannot shrink"))
            };
            self.add((Severity::Risk, "size-drift"), object, message, Some(step));
        }
    }

    fn classes(
        &mut self,
        object: (&'static str, &str, &str),
        claims: &BTreeMap<&str, BTreeMap<i64, (&str, &ClaimFact)>>,
    ) {
        let mut fixed: Vec<&str> = claims
            .values()
            .flat_map(BTreeMap::values)
            .filter(|(_, claim)| {
                let class = self.facts.classes.get("", &claim.class);
                matches!(class, Fact::Known(Some(class)) if class_obstacle(&claim.class, class).is_some())
            })
            .map(|(_, claim)| claim.class.as_str())
            .collect();
        fixed.sort_unstable();
        fixed.dedup();
        if !fixed.is_empty() {
            let message = format!("its volumes cannot grow: StorageClass {}", listed(&fixed));
            self.add((Severity::Note, "cannot-grow"), object, message, None);
        }
    }
}

/// `3 claims, 600Gi`.
fn counted(count: usize, claims: &BTreeMap<&str, BTreeMap<i64, (&str, &ClaimFact)>>) -> String {
    let sizes = claims.values().flat_map(BTreeMap::values).map(|(_, claim)| claim.request.as_ref());
    let size = Quantity::total(sizes).map(|size| format!(" ({size})")).unwrap_or_default();
    format!("{count} claim{}{size}", if count == 1 { "" } else { "s" })
}

fn retention(namespace: &str, name: &str, field: &str) -> Step {
    let kubectl = format!("kubectl -n {}", quoted(namespace));
    run("keep the claims; no pod restarts", retain_claims(&kubectl, name, field))
}

impl Audit {
    /// The worst severity, if anything was found.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).min()
    }
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "a test builds what it passes")]
mod tests {
    use serde_json::{Value, json};
    use stateward_core::facts::{FACT_KINDS, FactKind, Known};

    use super::*;

    fn facts(objects: &[Value]) -> Facts {
        let mut facts = Facts::none();
        for info in &FACT_KINDS {
            facts.forget(info.kind, Known::All);
        }
        for object in objects {
            let text =
                |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let kind = FactKind::of_manifest(text("/apiVersion"), text("/kind")).unwrap();
            let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
            facts.insert(kind, namespace, name, &object.to_string()).unwrap();
        }
        facts
    }

    fn set(name: &str, replicas: i64, size: &str, retention: Value) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": name, "namespace": "shop", "uid": name},
            "spec": {
                "replicas": replicas,
                "persistentVolumeClaimRetentionPolicy": retention,
                "volumeClaimTemplates": [{
                    "metadata": {"name": "data"},
                    "spec": {"resources": {"requests": {"storage": size}}},
                }],
            },
        })
    }

    fn claim(name: &str, size: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {
                "storageClassName": "fast", "volumeName": format!("pv-{name}"),
                "resources": {"requests": {"storage": size}},
            },
        })
    }

    fn volume(claim: &str, reclaim: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": {"name": format!("pv-{claim}")},
            "spec": {"persistentVolumeReclaimPolicy": reclaim},
        })
    }

    fn pod(name: &str, claim: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"volumes": [{"persistentVolumeClaim": {"claimName": claim}}]},
        })
    }

    fn told(objects: &[Value]) -> Vec<String> {
        let audit = audit(&facts(objects));
        let line = |f: &AuditFinding| {
            format!("{} {} {}: {}", f.severity.name(), f.check, f.name, f.message)
        };
        audit.findings.iter().map(line).collect()
    }

    #[test]
    fn a_healthy_set_is_silent_and_counted() {
        let objects = [
            set("db", 1, "10Gi", json!({})),
            claim("data-db-0", "10240Mi"),
            volume("data-db-0", "Delete"),
            pod("db-0", "data-db-0"),
        ];
        assert_eq!(told(&objects), Vec::<String>::new());
        let summary = audit(&facts(&objects)).summary;
        assert_eq!((summary.sets, summary.claims, summary.deleted_with_claim), (1, 1, 1));
        assert_eq!(summary.size, "10Gi".parse().ok());
        assert_eq!(summary.without_snapshot, Some(1));
    }

    #[test]
    fn claims_that_nothing_uses_say_since_when_if_the_cluster_tells() {
        let unused = |name: &str, since: &str| {
            let mut claim = claim(name, "5Gi");
            claim["status"] = json!({"conditions": [
                {"type": "Resizing", "status": "True"},
                {"type": "Unused", "status": "True", "lastTransitionTime": since},
            ]});
            claim
        };
        let mut objects = vec![
            set("db", 1, "5Gi", json!({})),
            claim("data-db-0", "5Gi"),
            unused("data-db-1", "2026-03-01T00:00:00Z"),
            unused("data-db-2", "2026-09-01T00:00:00Z"),
            unused("media", "2026-05-01T00:00:00Z"),
            pod("db-0", "data-db-0"),
        ];
        objects
            .extend(["data-db-0", "data-db-1", "data-db-2", "media"].map(|c| volume(c, "Retain")));
        assert_eq!(
            told(&objects),
            [
                "NOTE leftover db: 2 claims (10Gi) of pods that it no longer has, unused since \
                 2026-09-01; a scale-up uses them again",
                "NOTE unused media: no pod mounts it, and no StatefulSet has its name, 5Gi, unused \
                 since 2026-05-01",
            ]
        );
        // Of one claim, the cluster does not tell it.
        objects[2] = claim("data-db-1", "5Gi");
        assert!(told(&objects)[0].ends_with("that it no longer has; a scale-up uses them again"));
    }

    #[test]
    fn what_can_lose_data_comes_first() {
        let mut going = claim("data-db-0", "10Gi");
        going["metadata"]["deletionTimestamp"] = json!("2026-11-28T00:00:00Z");
        let mut unbound = claim("cache", "1Gi");
        unbound["spec"]["volumeName"] = json!("");
        let objects = [
            set("db", 2, "10Gi", json!({"whenDeleted": "Delete", "whenScaled": "Delete"})),
            going,
            claim("data-db-1", "10Gi"),
            claim("data-db-4", "10Gi"),
            claim("media", "5Gi"),
            volume("data-db-0", "Delete"),
            volume("data-db-4", "Delete"),
            volume("media", "Retain"),
            pod("db-0", "data-db-0"),
            unbound,
            pod("web", "cache"),
        ];
        assert_eq!(
            told(&objects),
            [
                "LOST volume-gone data-db-1: its volume pv-data-db-1 does not exist any more",
                "RISK deleted-in-use data-db-0: is being deleted, and its volume goes once db-0 stops",
                "RISK retention-delete db: deleting it deletes its 3 claims (30Gi)",
                "RISK retention-scaled db: a scale-down deletes the claims of the pods that it removes",
                "STUCK not-bound cache: is not bound, and web waits for it",
                "NOTE leftover db: 1 claim (10Gi) of pods that it no longer has; a scale-up uses them again",
                "NOTE unused media: no pod mounts it, and no StatefulSet has its name, 5Gi",
            ]
        );
    }

    #[test]
    fn sizes_are_compared_with_each_other_and_with_the_template() {
        let pair = |a: &str, b: &str, template: &str| {
            let objects = [
                set("db", 2, template, json!({})),
                claim("data-db-0", a),
                claim("data-db-1", b),
                volume("data-db-0", "Retain"),
                volume("data-db-1", "Retain"),
            ];
            let audit = audit(&facts(&objects));
            audit.findings.first().map(|finding| {
                let step = finding.remedy.clone().unwrap();
                (finding.check, step.command.unwrap_or(step.text))
            })
        };
        assert_eq!(pair("10Gi", "10Gi", "10Gi"), None);
        let grow = "stateward resize apply sts/db -n shop --size data=20Gi".to_owned();
        assert_eq!(pair("10Gi", "20Gi", "20Gi"), Some(("sizes-differ", grow.clone())));
        assert_eq!(pair("20Gi", "20Gi", "10Gi"), Some(("size-drift", grow)));
        let raise = "raise the claims to 40Gi: volumes cannot shrink".to_owned();
        assert_eq!(pair("20Gi", "20Gi", "40Gi"), Some(("size-drift", raise)));
    }

    #[test]
    fn a_class_that_cannot_grow_is_named_once() {
        let class = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "fast"},
            "allowVolumeExpansion": false,
        });
        let objects = [
            class,
            set("db", 2, "1Gi", json!({})),
            claim("data-db-0", "1Gi"),
            claim("data-db-1", "1Gi"),
            volume("data-db-0", "Retain"),
            volume("data-db-1", "Retain"),
        ];
        assert_eq!(
            told(&objects),
            ["NOTE cannot-grow db: its volumes cannot grow: StorageClass fast"]
        );
    }

    #[test]
    fn what_is_not_known_is_named_and_accuses_nobody() {
        let mut facts = facts(&[claim("media", "5Gi"), volume("media", "Delete")]);
        facts.forget(FactKind::Pod, Known::Nothing("the Pods: no rights"));
        facts.forget(FactKind::Volume, Known::Nothing("the PersistentVolumes: no rights"));
        facts.forget(FactKind::Snapshot, Known::Nothing("the VolumeSnapshots: no rights"));
        let audit = audit(&facts);
        assert_eq!(audit.findings, Vec::new());
        assert_eq!(audit.unknown.len(), 3);
        assert_eq!(audit.summary.without_snapshot, None);
    }
}
