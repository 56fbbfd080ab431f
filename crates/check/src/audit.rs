//! What can lose data in a cluster, or is stuck, as far as facts tell. Nothing has to change for it.
//!
//! Pure, and linear in the number of objects: facts come from a cluster or from a file.

pub mod checks;
mod inventory;
mod page;
mod pods;
mod report;
mod since;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use stateward_core::facts::{
    BudgetFact, ClaimFact, ClaimOf, Fact, FactKind, Facts, Reclaim, SetFact,
};
use stateward_core::growth::class_obstacle;
use stateward_core::loss::day;
use stateward_core::object::Quantity;
use stateward_core::record::Policy;
use stateward_core::rules::Step;
use stateward_core::rules::remedy::{quoted, retain, retain_claims, run, say};
use stateward_core::text::listed;

use self::inventory::resizes;

pub use self::inventory::{AuditedClaim, AuditedResize, AuditedSet};
pub use self::page::{live_page, write_page};
use self::pods::Pods;
pub use self::report::report;
pub use self::since::{Earlier, EarlierFinding, Since};
use crate::report::Check;
pub use crate::report::Severity;

/// Everything that an audit found. Its JSON is stable: fields are only ever added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Audit<'f> {
    /// 1
    pub version: u8,
    /// the only namespace that was looked at; null for all
    pub namespace: Option<String>,
    /// counts
    pub summary: Summary,
    /// all sets with their claims, by namespace and name
    pub sets: Vec<AuditedSet<'f>>,
    /// the claims that belong to no set, by namespace and name
    pub other_claims: Vec<AuditedClaim<'f>>,
    /// the resizes that are not complete, by namespace and name; null if it is not known which there are
    pub resizes: Option<Vec<AuditedResize<'f>>>,
    /// the worst first, then by namespace and name
    pub findings: Vec<AuditFinding>,
    /// what is new and what is gone, compared with an earlier audit; null if there was none
    pub since: Option<Since>,
    /// what could not be looked at; each completes "needs …"
    pub unknown: Vec<String>,
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

/// The claims of a set: template → ordinal → name and claim.
type Claims<'f> = BTreeMap<&'f str, BTreeMap<i64, (&'f str, &'f ClaimFact)>>;

/// Looks at everything that facts tell.
pub fn audit(facts: &Facts) -> Audit<'_> {
    let mut sets: BTreeMap<(&str, &str), (&SetFact, AuditedSet<'_>)> = BTreeMap::new();
    for (namespace, name, set) in facts.sets.iter() {
        sets.insert((namespace, name), (set, AuditedSet::new(facts, namespace, name, set)));
    }
    let (mounted, newest, of_sets) = (mounted(facts), newest(facts), Pods::new(facts));
    let mut budgets: BTreeMap<&str, Vec<(&str, &BudgetFact)>> = BTreeMap::new();
    for (namespace, name, budget) in facts.budgets.iter() {
        budgets.entry(namespace).or_default().push((name, budget));
    }
    let summary = Summary::default();
    let mut audit = Auditor { facts, budgets, findings: Vec::new(), summary };
    audit.summary.sets = sets.len();
    audit.summary.without_snapshot = facts.snapshots.are_all().then_some(0);
    let sizes = facts.claims.iter().map(|(_, _, claim)| claim.request.as_ref());
    audit.summary.size = Quantity::total(sizes);
    let mut other_claims = Vec::new();
    for (namespace, name, claim) in facts.claims.iter() {
        audit.summary.claims += 1;
        let snapshot = newest.get(&(namespace, name)).copied();
        if let Some(without) = &mut audit.summary.without_snapshot {
            *without += usize::from(snapshot.is_none());
        }
        let pods = mounted_by(&mounted, namespace, name);
        let idle = pods.is_empty();
        audit.claim(namespace, name, claim, &pods);
        let audited = AuditedClaim::new(facts, namespace, name, claim, pods, snapshot);
        let of_set = match facts.set_of_claim(namespace, name) {
            Fact::Known(Some(ClaimOf { set, .. })) => {
                sets.get_mut(&(namespace, set)).map(|(_, audited)| &mut audited.claims)
            }
            Fact::Known(None) if idle => {
                audit.unused(namespace, name, claim);
                None
            }
            _ => None,
        };
        of_set.unwrap_or(&mut other_claims).push(audited);
    }
    for ((namespace, name), (set, audited)) in &sets {
        audit.set((SET, namespace, name), set, &audited.claims);
        audit.running(namespace, name, set, &of_sets);
    }
    let Auditor { mut findings, summary, .. } = audit;
    findings.sort_by(|a, b| a.order().cmp(&b.order()));
    let unknown: BTreeSet<&str> = facts.not_known().collect();
    let unknown = unknown.into_iter().map(str::to_owned).chain(unreadable(facts)).collect();
    let sets = sets.into_values().map(|(_, audited)| audited).collect();
    Audit {
        version: 1,
        namespace: None,
        summary,
        sets,
        other_claims,
        resizes: resizes(facts),
        findings,
        since: None,
        unknown,
    }
}

/// The longest list of objects that could not be read.
const UNREADABLE: usize = 20;

/// The objects that could not be read: tenants decide how many.
fn unreadable(facts: &Facts) -> Vec<String> {
    let sets = facts.sets.unreadable().map(|one| (FactKind::Set, one));
    let claims = facts.claims.unreadable().map(|one| (FactKind::Claim, one));
    let pods = facts.pods.unreadable().map(|one| (FactKind::Pod, one));
    let volumes = facts.volumes.unreadable().map(|one| (FactKind::Volume, one));
    let mut all = sets.chain(claims).chain(pods).chain(volumes);
    let shown = all.by_ref().take(UNREADABLE);
    let mut texts: Vec<String> =
        shown.map(|(kind, (.., why))| format!("{} {why}", kind.info().name)).collect();
    let more = all.count();
    if more > 0 {
        texts.push(format!("{more} more objects that cannot be read"));
    }
    texts
}

/// When the newest snapshot of each claim was taken.
fn newest(facts: &Facts) -> BTreeMap<(&str, &str), Timestamp> {
    let mut newest = BTreeMap::new();
    for (namespace, _, snapshot) in facts.snapshots.iter() {
        let taken = newest.entry((namespace, snapshot.claim.as_str())).or_insert(snapshot.taken);
        *taken = snapshot.taken.max(*taken);
    }
    newest
}

/// A namespace, a claim, and a pod that mounts it, in this order.
type Mounted<'f> = [&'f str; 3];

fn mounted(facts: &Facts) -> Vec<Mounted<'_>> {
    let mut mounted = Vec::new();
    for (namespace, pod, fact) in facts.pods.iter() {
        mounted.extend(fact.claims.iter().map(|claim| [namespace, claim.as_str(), pod]));
    }
    mounted.sort_unstable();
    mounted.dedup();
    mounted
}

/// The pods that mount a claim.
fn mounted_by<'f>(all: &[Mounted<'f>], namespace: &str, claim: &str) -> Vec<&'f str> {
    let from = all.partition_point(|[of, name, _]| (*of, *name) < (namespace, claim));
    let rest = &all[from..];
    let count = rest.partition_point(|[of, name, _]| (*of, *name) == (namespace, claim));
    rest[..count].iter().map(|[.., pod]| *pod).collect()
}

/// The claims of a set, one set at a time: those of all sets would be held twice.
fn by_template<'f>(facts: &'f Facts, claims: &[AuditedClaim<'f>]) -> Claims<'f> {
    let mut sorted = Claims::new();
    for AuditedClaim { namespace, name, .. } in claims {
        let ordinal = name.rsplit('-').next().and_then(|ordinal| ordinal.parse().ok());
        let of = facts.set_of_claim(namespace, name);
        let known = facts.claims.get(namespace, name);
        if let (Fact::Known(Some(of)), Fact::Known(Some(claim)), Some(ordinal)) =
            (of, known, ordinal)
        {
            sorted.entry(of.template).or_default().insert(ordinal, (*name, claim));
        }
    }
    sorted
}

struct Auditor<'f> {
    facts: &'f Facts,
    /// those of each namespace
    budgets: BTreeMap<&'f str, Vec<(&'f str, &'f BudgetFact)>>,
    findings: Vec<AuditFinding>,
    summary: Summary,
}

const CLAIM: &str = "PersistentVolumeClaim";
const SET: &str = "StatefulSet";

impl<'f> Auditor<'f> {
    fn add(
        &mut self,
        Check { id, severity, .. }: Check,
        (kind, namespace, name): (&'static str, &str, &str),
        message: impl Into<String>,
        remedy: Option<Step>,
    ) {
        self.findings.push(AuditFinding {
            severity,
            check: id,
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
                let wait = if pods.len() == 1 { "waits" } else { "wait" };
                let message = format!("is not bound, and {} {wait} for it", listed(pods));
                self.add(checks::NOT_BOUND, object, message, None);
            }
            return;
        }
        let known = self.facts.volumes.get("", volume);
        if known == Fact::Known(None) {
            let message = format!("its volume {volume} does not exist any more");
            self.add(checks::VOLUME_GONE, object, message, None);
            return;
        }
        let deletes =
            matches!(known, Fact::Known(Some(volume)) if volume.reclaim != Reclaim::Retain);
        self.summary.deleted_with_claim += usize::from(deletes);
        if claim.terminating && deletes && !pods.is_empty() {
            let pods = listed(pods);
            let message = format!("is being deleted, and its volume goes once {pods} stops");
            let retain = retain(&[volume]);
            self.add(checks::DELETED_IN_USE, object, message, Some(retain));
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
        self.add(checks::UNUSED, (CLAIM, namespace, name), message, None);
    }

    fn set(
        &mut self,
        object: (&'static str, &str, &str),
        set: &SetFact,
        audited: &[AuditedClaim<'f>],
    ) {
        let (_, namespace, name) = object;
        let claims = &by_template(self.facts, audited);
        let count: usize = claims.values().map(BTreeMap::len).sum();
        if set.when_deleted == Policy::Delete && count > 0 {
            let message = format!("deleting it deletes its {}", counted(count, claims));
            let step = retention(namespace, name, "whenDeleted");
            self.add(checks::RETENTION_DELETE, object, message, Some(step));
        }
        if set.when_scaled == Policy::Delete && count > 0 {
            let message = "a scale-down deletes the claims of the pods that it removes";
            let step = retention(namespace, name, "whenScaled");
            self.add(checks::RETENTION_SCALED, object, message, Some(step));
        }
        // If there are no snapshots at all, only the summary says so.
        let snapshots = &self.facts.snapshots;
        let taken = snapshots.are_all() && snapshots.iter().next().is_some();
        if taken && count > 0 && audited.iter().all(|claim| claim.snapshot.is_none()) {
            let message = format!("no VolumeSnapshot of its {}", counted(count, claims));
            self.add(checks::NO_SNAPSHOT, object, message, None);
        }
        let ordinals = set.ordinals();
        let mut leftover = BTreeMap::new();
        for (template, claims) in claims {
            for (ordinal, claim) in claims {
                if !ordinals.contains(ordinal) {
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
            self.add(checks::LEFTOVER, object, message, None);
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
            self.add(checks::SIZES_DIFFER, object, message, Some(grow));
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
            self.add(checks::SIZE_DRIFT, object, message, Some(step));
        }
    }

    fn classes(&mut self, object: (&'static str, &str, &str), claims: &Claims<'_>) {
        let all = claims.values().flat_map(BTreeMap::values);
        let all: BTreeSet<&str> = all.map(|(_, claim)| &*claim.class).collect();
        let (mut fixed, mut missing) = (Vec::new(), Vec::new());
        for class in all {
            match self.facts.classes.get("", class) {
                Fact::Known(None) if !class.is_empty() => missing.push(class),
                Fact::Known(Some(fact)) if class_obstacle(class, fact).is_some() => {
                    fixed.push(class);
                }
                _ => {}
            }
        }
        let mut obstacles = Vec::new();
        if !fixed.is_empty() {
            obstacles.push(format!("StorageClass {}", listed(&fixed)));
        }
        if !missing.is_empty() {
            obstacles.push(format!("there is no StorageClass {}", listed(&missing)));
        }
        if !obstacles.is_empty() {
            let message = format!("its volumes cannot grow: {}", obstacles.join("; "));
            self.add(checks::CANNOT_GROW, object, message, None);
        }
    }
}

/// `3 claims, 600Gi`.
fn counted(count: usize, claims: &Claims<'_>) -> String {
    let sizes = claims.values().flat_map(BTreeMap::values).map(|(_, claim)| claim.request.as_ref());
    let size = Quantity::total(sizes).map(|size| format!(" ({size})")).unwrap_or_default();
    format!("{count} claim{}{size}", if count == 1 { "" } else { "s" })
}

fn retention(namespace: &str, name: &str, field: &str) -> Step {
    let kubectl = format!("kubectl -n {}", quoted(namespace));
    run("keep the claims; no pod restarts", retain_claims(&kubectl, name, field))
}

impl Audit<'_> {
    /// What was found; beside an earlier audit, what is new.
    pub fn shown(&self) -> impl Iterator<Item = &AuditFinding> {
        let new = |index: &usize| {
            self.since.as_ref().is_none_or(|since| since.new.binary_search(index).is_ok())
        };
        let found = self.findings.iter().enumerate().filter(move |(index, _)| new(index));
        found.map(|(_, finding)| finding)
    }

    /// The objects with a finding that is not shown, because an earlier audit had it.
    pub(crate) fn as_before(&self) -> BTreeSet<(&str, &str, &str)> {
        let Some(since) = &self.since else { return BTreeSet::new() };
        let all = self.findings.iter().enumerate();
        let before = all.filter(|(index, _)| since.new.binary_search(index).is_err());
        before.map(|(_, found)| (found.kind, &*found.namespace, &*found.name)).collect()
    }

    /// The worst severity of what is shown.
    pub fn worst(&self) -> Option<Severity> {
        self.shown().map(|finding| finding.severity).min()
    }
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "a test builds what it passes")]
mod tests;
