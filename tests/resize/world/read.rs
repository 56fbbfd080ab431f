//! How a controller sees a modelled world.

use std::collections::BTreeMap;

use jiff::Timestamp;
use stateward_core::facts::{ClassFact, Fact, NamespaceFact};
use stateward_core::record::{Policy, Retention, RevisionName};
use stateward_resize::Action;
use stateward_resize::observed::{
    Answer, Claim, Created, Dependents, DryRuns, Managers, Memory, Observed, Pod, Progress,
    Revision, Set,
};

use super::{
    ControllerM, NOW, ORDINALS, QUANTITIES, SIZES, SNAPSHOT_LIMIT, SetM, Stale, Trouble, World, uid,
};

impl World {
    /// What one controller sees. What is not fresh may be old.
    pub(crate) fn observe(&self, controller: &ControllerM, fresh: bool) -> Observed {
        let (mut pods, mut claims, mut revisions) = (&self.pods, &self.claims, &self.revisions);
        match self.stale.as_deref().filter(|_| !fresh) {
            Some(Stale::Pods(stale)) => pods = stale,
            Some(Stale::Claims(stale)) => claims = stale,
            Some(Stale::Revisions(stale)) => revisions = stale,
            Some(Stale::Record(_)) | None => {}
        }
        let created =
            |young: bool| if young { *NOW } else { Timestamp::from_second(1000).unwrap() };
        let pods = pods.iter().enumerate().filter_map(|(ordinal, pod)| {
            let pod = pod.as_ref()?;
            Some(Pod {
                name: format!("db-{ordinal}"),
                uid: uid(pod.uid),
                ordinal: ordinal as u32,
                owner: pod.owner.map(uid),
                revision: format!("r{}", pod.revision),
                terminating: false,
                available: pod.ready,
                created: created(pod.young),
            })
        });
        let mounted = |ordinal: usize| self.pods[ordinal].is_some();
        let claims = claims.iter().enumerate().filter_map(|(ordinal, claim)| {
            let claim = claim.as_ref()?;
            Some(Claim {
                name: format!("data-db-{ordinal}"),
                uid: format!("c{ordinal}"),
                template: "data".to_owned(),
                ordinal: ordinal as u32,
                request: QUANTITIES[usize::from(claim.request)].clone(),
                capacity: Some(QUANTITIES[usize::from(claim.capacity)].clone()),
                progress: match (claim.infeasible, claim.pending) {
                    (true, _) => Progress::Infeasible,
                    (false, true) => Progress::FileSystem,
                    _ if self.trouble == Some(Trouble::OfflineOnly) => Progress::OfflineOnly,
                    (false, false) => Progress::None,
                },
                terminating: claim.terminating,
                owners: claim.owner.map(uid).into_iter().collect(),
                class: "fast".to_owned(),
                fixed_volume: None,
                resize_id: claim.id.map(|(record, number)| format!("R{record}/{number}")),
                mounted: mounted(ordinal),
                foreign: false,
            })
        });
        let revisions = revisions.iter().enumerate().filter_map(|(n, revision)| {
            let revision = revision.as_ref()?;
            Some(Revision {
                id: RevisionName { name: format!("r{n}"), uid: uid(revision.uid) },
                owner: revision.owner.map(|owner| (uid(owner), self.alive(owner))),
                created: created(revision.young),
            })
        });
        let expandable = self.trouble != Some(Trouble::NotExpandable);
        let class = (
            "fast".to_owned(),
            ClassFact { allow_volume_expansion: expandable, ..ClassFact::default() },
        );
        let mut classes = BTreeMap::from([class]);
        if self.trouble == Some(Trouble::ClassGone) {
            classes.clear();
        }
        let mut dry =
            DryRuns { delete: Answer::Good, create: Answer::Good, unchanged: Answer::Good };
        let by = || "policy.example.com".to_owned();
        match self.trouble {
            Some(Trouble::DeleteRefused) => dry.delete = Answer::Refused(by()),
            Some(Trouble::ChangedOnCreate) => dry.unchanged = Answer::Changed(by()),
            Some(Trouble::Quota) => dry.unchanged = Answer::Quota,
            _ => {}
        }
        let resize_max = (self.trouble == Some(Trouble::OverMax)).then(|| SIZES[0].to_owned());
        let namespace = NamespaceFact {
            terminating: self.namespace_terminating,
            resize_max,
            ..NamespaceFact::default()
        };
        let owned = self.trouble == Some(Trouble::Dependents) || self.orphaning_is_stuck();
        let overlap = self.trouble == Some(Trouble::Overlap);
        let refused = self.trouble == Some(Trouble::PatchRefused);
        let refused = (0..ORDINALS).filter(|_| refused);
        let unevicted = self.pods.iter().flatten();
        let unevicted = unevicted.filter(|_| self.trouble == Some(Trouble::EvictionRefused));
        let last_seen_edit = match (&self.last, controller.blind) {
            (_, true) => Fact::Unknown("nothing was watched".to_owned()),
            (Some(last), false) if last.edited => Fact::Known(Some("kubectl-edit".to_owned())),
            (_, false) => Fact::Known(None),
        };
        Observed {
            fresh,
            namespace: if self.trouble == Some(Trouble::NamespaceUnread) {
                Fact::Unknown("not read".to_owned())
            } else {
                Fact::Known(namespace)
            },
            set: Fact::Known(self.set.as_ref().map(|set| self.read_set(set))),
            pods: Fact::Known(pods.collect()),
            claims: Fact::Known(claims.collect()),
            classes: Fact::Known(classes),
            revisions: Fact::Known(revisions.collect()),
            neighbours: Fact::Known(
                overlap.then(|| "ReplicaSet/web".to_owned()).into_iter().collect(),
            ),
            dependents: Fact::Known(Dependents {
                found: owned.then(|| "ConfigMap settings".to_owned()).into_iter().collect(),
                unlisted: Vec::new(),
            }),
            admission_policy: Fact::Known(self.trouble != Some(Trouble::PolicyGone)),
            dry_runs: if controller.dry {
                Fact::Known(dry)
            } else {
                Fact::Unknown("dry runs".to_owned())
            },
            last_seen_edit,
            memory: Memory {
                deleted: controller.deleted.map(uid),
                created: controller.created.map(|((record, replaced), created)| Created {
                    id: format!("R{record}/{}", uid(replaced)),
                    uid: uid(created),
                }),
                standby: controller.standby,
                full: self.trouble == Some(Trouble::TooMany),
                create_refused: controller.refused.then(|| "quota".to_owned()),
                retention_refused: (self.trouble == Some(Trouble::RetentionRefused))
                    .then(|| "policy.example.com".to_owned()),
                record_unwritable: false,
                refused_writes: if self.trouble == Some(Trouble::WriteRefused) {
                    refused_writes()
                } else {
                    BTreeMap::new()
                },
                refused_claims: refused
                    .map(|n| (format!("data-db-{n}"), "exceeded quota".to_owned()))
                    .collect(),
                refused_evictions: unevicted
                    .map(|pod| (uid(pod.uid), "its disruption budget".to_owned()))
                    .collect(),
            },
        }
    }

    /// The set is going, and the garbage collector may not orphan what it owns.
    pub(crate) fn orphaning_is_stuck(&self) -> bool {
        self.trouble == Some(Trouble::OrphaningStuck)
            && self.set.as_ref().is_some_and(|set| set.terminating)
    }

    fn read_set(&self, set: &SetM) -> Set {
        let id = |(record, replaced): (u8, u8)| format!("R{record}/{}", uid(replaced));
        let when_deleted = if set.delete { Policy::Delete } else { Policy::Retain };
        let requested = set.requested.map(|size| match self.trouble {
            Some(Trouble::BadTarget) => ("data".to_owned(), "much".to_owned()),
            Some(Trouble::NoSuchTemplate) => ("wal".to_owned(), SIZES[1].to_owned()),
            _ => ("data".to_owned(), SIZES[usize::from(size)].to_owned()),
        });
        let replicas = u32::from(set.replicas);
        let foreign = self.trouble == Some(Trouble::ForeignFinalizer);
        Set {
            uid: uid(set.uid),
            resource_version: "now".to_owned(),
            terminating: set.terminating,
            deleted: self.orphaning_is_stuck().then(|| Timestamp::from_second(1000).unwrap()),
            foreign_finalizers: foreign
                .then(|| "example.com/keep".to_owned())
                .into_iter()
                .collect(),
            owner: self.kind.owned.then(|| "Database/db".to_owned()),
            owner_managed: self.kind.owner_managed,
            generation_observed: set.observed,
            replicas,
            first_ordinal: 0,
            ordered: self.kind.ordered,
            on_delete: self.kind.on_delete,
            partition: set.frozen.map(i64::from),
            retention: Retention { when_deleted, when_scaled: Policy::Retain },
            retention_written: Fact::Known(set.retention_written),
            templates: BTreeMap::from([(
                "data".to_owned(),
                QUANTITIES[usize::from(set.size)].clone(),
            )]),
            duplicate_templates: false,
            current_revision: format!("r{}", set.current),
            update_revision: format!("r{}", set.update),
            resize_id: set.id.map(id),
            unfinished: set.mark.map(id),
            requested: requested.into_iter().collect(),
            resize_max: None,
            paused: false,
            evict: self.kind.evict,
            managers: match (set.restored, set.only_ours) {
                (true, _) => Managers::Restored,
                (false, true) => Managers::OnlyOurs,
                (false, false) => Managers::Others,
            },
            retention_owners: Vec::new(),
            writer: (!set.only_ours).then(|| "argocd-controller".to_owned()),
            snapshot: if self.trouble == Some(Trouble::SnapshotTooLarge) {
                "x".repeat(SNAPSHOT_LIMIT + 1)
            } else {
                let requested = set.requested.map_or("-".to_owned(), |size| size.to_string());
                format!("{},{},{},{requested}", set.size, set.revision, set.replicas)
            },
        }
    }
}

/// Every write that the record tells of by its reason `WriteRefused`.
fn refused_writes() -> BTreeMap<String, String> {
    let text = String::new;
    let writes = [
        Action::AddFinalizer,
        Action::RemoveFinalizer,
        Action::PinRetention { uid: text(), resource_version: text(), from: Retention::RETAIN },
        Action::BumpResourceVersion { uid: text(), had: None, id: None },
        Action::Delete { uid: text(), resource_version: text() },
        Action::Unfreeze {
            uid: text(),
            mark: None,
            partition: None,
            retention: None,
            resource_version: None,
        },
        Action::RestoreManagers { uid: text() },
        Action::ClearRequest { uid: text(), value: BTreeMap::new() },
    ];
    let owners = (0..ORDINALS).map(|n| Action::RemoveClaimOwner {
        claim: format!("data-db-{n}"),
        uid: text(),
        owner: text(),
    });
    let all = writes.into_iter().chain(owners);
    all.map(|write| (write.description(), "policy.example.com".to_owned())).collect()
}
