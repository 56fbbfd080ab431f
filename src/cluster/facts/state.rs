//! What was seen of a cluster, and how much of it can still be told.

use std::sync::Arc;
use std::time::Duration;

use stateward_core::facts::read::Reduced;
use stateward_core::facts::{
    Alike, AttributesClassFact, AutoscalerFact, BudgetFact, ClaimFact, ClassFact, FactKind, Facts,
    NamespaceFact, NodeFact, Objects, PodFact, QuotaFact, RecordFact, ServiceFact, SetFact,
    SnapshotClassFact, SnapshotContentFact, SnapshotFact, VolumeFact,
};
use stateward_core::packs::Packs;
use tokio::time::Instant;

use super::Options;
use super::lease::LeaseSlot;
use crate::cluster::watch::{Failure, Seen};

/// What a watch saw, to be put in at a time.
pub(super) type Edit = Box<dyn FnOnce(&mut State, Instant) + Send>;

/// Everything that was seen.
pub(super) struct State {
    pub(super) attributes_classes: Slot<AttributesClassFact>,
    pub(super) autoscalers: Slot<AutoscalerFact>,
    pub(super) budgets: Slot<BudgetFact>,
    pub(super) claims: Slot<ClaimFact>,
    pub(super) classes: Slot<ClassFact>,
    pub(super) namespaces: Slot<NamespaceFact>,
    pub(super) nodes: Slot<NodeFact>,
    pub(super) quotas: Slot<QuotaFact>,
    pub(super) records: Slot<RecordFact>,
    pub(super) volumes: Slot<VolumeFact>,
    pub(super) snapshots: Slot<SnapshotFact>,
    pub(super) snapshot_contents: Slot<SnapshotContentFact>,
    pub(super) snapshot_classes: Slot<SnapshotClassFact>,
    pub(super) services: Slot<ServiceFact>,
    pub(super) sets: Slot<SetFact>,
    pub(super) pods: Slot<PodFact>,
    pub(super) lease: LeaseSlot,
    patience: Duration,
    own_user: Option<Arc<str>>,
}

impl State {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            attributes_classes: Slot::optional(FactKind::AttributesClass.info().many),
            autoscalers: Slot::optional(FactKind::Autoscaler.info().many),
            budgets: Slot::optional(FactKind::Budget.info().many),
            claims: Slot::new(FactKind::Claim.info().many),
            classes: Slot::new(FactKind::Class.info().many),
            namespaces: Slot::new(FactKind::Namespace.info().many),
            nodes: Slot::new(FactKind::Node.info().many),
            quotas: Slot::new(FactKind::Quota.info().many),
            records: Slot::new(FactKind::Record.info().many),
            volumes: Slot::new(FactKind::Volume.info().many),
            snapshots: Slot::optional(FactKind::Snapshot.info().many),
            snapshot_contents: Slot::optional(FactKind::SnapshotContent.info().many),
            snapshot_classes: Slot::optional(FactKind::SnapshotClass.info().many),
            services: Slot::new(FactKind::Service.info().many),
            sets: Slot::new(FactKind::Set.info().many),
            pods: Slot::new(FactKind::Pod.info().many),
            lease: LeaseSlot::new(&options.system_namespace),
            patience: options.patience,
            own_user: options.own_user.as_deref().map(Arc::from),
        }
    }

    /// What can be told at this time.
    pub(super) fn facts(&self, now: Instant) -> Facts {
        let patience = self.patience;
        Facts {
            packs: Arc::clone(Packs::built_in()),
            attributes_classes: self.attributes_classes.snapshot(now, patience),
            autoscalers: self.autoscalers.snapshot(now, patience),
            budgets: self.budgets.snapshot(now, patience),
            claims: self.claims.snapshot(now, patience),
            claim_users: Objects::unknown("the manifests"),
            classes: self.classes.snapshot(now, patience),
            namespaces: self.namespaces.snapshot(now, patience),
            nodes: self.nodes.snapshot(now, patience),
            quotas: self.quotas.snapshot(now, patience),
            records: self.records.snapshot(now, patience),
            volumes: self.volumes.snapshot(now, patience),
            snapshots: self.snapshots.snapshot(now, patience),
            snapshot_contents: self.snapshot_contents.snapshot(now, patience),
            snapshot_classes: self.snapshot_classes.snapshot(now, patience),
            services: self.services.snapshot(now, patience),
            sets: self.sets.snapshot(now, patience),
            pods: self.pods.snapshot(now, patience),
            controller: self.lease.controller(now),
            own_user: self.own_user.clone(),
        }
    }
}

/// The objects of one kind.
pub(super) struct Slot<T> {
    kind: &'static str,
    /// none before they were listed for the first time
    objects: Option<Objects<T>>,
    /// since when nothing is seen, and why
    lost: Option<(Instant, String)>,
    /// when an object was last logged that cannot be read
    told: Option<Instant>,
    /// a cluster may lack the kind, and then has no objects of it
    optional: bool,
}

/// Tenants decide how many objects cannot be read, so the log names one of each kind in this time.
const TOLD_EVERY: Duration = Duration::from_secs(300);

impl<T: Clone + Alike> Slot<T> {
    fn new(kind: &'static str) -> Self {
        Self { kind, objects: None, lost: None, told: None, optional: false }
    }

    /// Of a kind that not every cluster serves.
    fn optional(kind: &'static str) -> Self {
        Self { optional: true, ..Self::new(kind) }
    }

    /// Takes note of what a watch saw.
    pub(super) fn apply(&mut self, seen: Seen<Reduced<T>>, now: Instant) {
        match seen {
            Seen::All(list) => {
                let mut objects = Objects::all();
                for reduced in list {
                    self.tell(&reduced, now);
                    put(&mut objects, reduced);
                }
                self.objects = Some(objects);
                self.lost = None;
            }
            Seen::Applied(reduced) => {
                self.tell(&reduced, now);
                if let Some(objects) = &mut self.objects {
                    put(objects, reduced);
                }
            }
            Seen::Deleted(reduced) => {
                if let Some(objects) = &mut self.objects {
                    objects.remove(&reduced.namespace, &reduced.name);
                }
            }
            Seen::Lost(Failure { not_served: true, .. }) if self.optional => {
                self.objects = Some(Objects::all());
                self.lost = None;
            }
            Seen::Lost(Failure { why, .. }) => match &mut self.lost {
                Some((_, known)) => *known = why,
                None => self.lost = Some((now, why)),
            },
        }
    }

    fn tell(&mut self, reduced: &Reduced<T>, now: Instant) {
        let Reduced { namespace, name, fact: Err(why) } = reduced else { return };
        if self.told.is_none_or(|told| now.duration_since(told) >= TOLD_EVERY) {
            self.told = Some(now);
            tracing::warn!(kind = self.kind, namespace, name, why, "an object cannot be read");
        }
    }

    /// The objects, unless they were never listed or nothing was seen of them for longer than
    /// `patience`.
    fn snapshot(&self, now: Instant, patience: Duration) -> Objects<T> {
        let kind = self.kind;
        match (&self.objects, &self.lost) {
            (None, None) => Objects::unknown(format!("the {kind}, which are not yet read")),
            (None, Some((_, why))) => Objects::unknown(format!("the {kind}: {why}")),
            (Some(_), Some((since, why))) if now.duration_since(*since) > patience => {
                Objects::unknown(format!("the {kind}, which cannot be watched: {why}"))
            }
            (Some(objects), _) => objects.clone(),
        }
    }
}

fn put<T: Clone + Alike>(objects: &mut Objects<T>, reduced: Reduced<T>) {
    let Reduced { namespace, name, fact } = reduced;
    match fact {
        Ok(Some(fact)) => objects.insert(&namespace, &name, fact),
        Ok(None) => objects.remove(&namespace, &name),
        Err(why) => {
            let place =
                if namespace.is_empty() { name.clone() } else { format!("{namespace}/{name}") };
            objects.insert_unknown(&namespace, &name, &format!("{place}, {why}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stateward_core::facts::Fact;

    #[derive(Clone)]
    struct Lamp(u8);

    impl Alike for Lamp {}

    fn reduced(name: &str, fact: Option<u8>) -> Reduced<Lamp> {
        let fact = Ok(fact.map(Lamp));
        Reduced { namespace: "shop".to_owned(), name: name.to_owned(), fact }
    }

    #[test]
    fn a_kind_is_unknown_until_listed_and_when_lost_for_too_long() {
        let (start, patience) = (Instant::now(), Duration::from_secs(30));
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut slot = Slot::new("Lamps");
        let told = |slot: &Slot<Lamp>, seconds, name: &str| match slot
            .snapshot(at(seconds), patience)
            .get("shop", name)
        {
            Fact::Known(fact) => Ok(fact.map(|lamp| lamp.0)),
            Fact::Unknown(why) => Err(why),
        };
        assert_eq!(told(&slot, 0, "a"), Err("the Lamps, which are not yet read".to_owned()));
        slot.apply(Seen::Lost(Failure::of("no rights")), at(0));
        assert_eq!(told(&slot, 0, "a"), Err("the Lamps: no rights".to_owned()));
        slot.apply(Seen::All(vec![reduced("a", Some(1)), reduced("default", None)]), at(1));
        assert_eq!(told(&slot, 99, "a"), Ok(Some(1)), "a quiet watch is no lost one");
        assert_eq!(told(&slot, 1, "default"), Ok(None));
        slot.apply(Seen::Lost(Failure::of("cut")), at(10));
        slot.apply(Seen::Lost(Failure::of("still cut")), at(20));
        assert_eq!(told(&slot, 40, "a"), Ok(Some(1)));
        let why = "the Lamps, which cannot be watched: still cut".to_owned();
        assert_eq!(told(&slot, 41, "a"), Err(why));
        slot.apply(Seen::All(vec![reduced("b", Some(2))]), at(50));
        assert_eq!((told(&slot, 99, "a"), told(&slot, 99, "b")), (Ok(None), Ok(Some(2))));
    }

    #[test]
    fn an_object_that_becomes_a_default_is_dropped() {
        let now = Instant::now();
        let mut slot = Slot::new("Lamps");
        slot.apply(Seen::All(Vec::new()), now);
        let told = |slot: &Slot<Lamp>| {
            let objects = slot.snapshot(now, Duration::ZERO);
            matches!(objects.get("shop", "a"), Fact::Known(Some(_)))
        };
        slot.apply(Seen::Applied(reduced("a", Some(1))), now);
        assert!(told(&slot));
        slot.apply(Seen::Applied(reduced("a", None)), now);
        assert!(!told(&slot));
        slot.apply(Seen::Applied(reduced("a", Some(1))), now);
        slot.apply(Seen::Deleted(reduced("a", None)), now);
        assert!(!told(&slot));
    }
}
