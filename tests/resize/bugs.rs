//! Bugs that others shipped, as switches around the shipped `step`: what a mutant makes of what is
//! observed, and of what is decided. Explorer and real control plane play the same.

use jiff::SignedDuration;
use stateward_core::facts::Fact;
use stateward_core::record::{Halt, Phase, Reason, Record, Retention, State};
use stateward_resize::observed::{Observed, Set};
use stateward_resize::{Action, Parameters};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Mutant {
    /// the set is deleted with what it owns (prometheus-operator `ForceUpdateStatefulSet`, #3875)
    CascadingDelete,
    /// the set is deleted as a stale cache knew it (rabbitmq cluster-operator #653)
    NoPreconditions,
    /// the set is deleted before the claims have grown (rabbitmq cluster-operator #782)
    TemplateFirst,
    /// what must be created again is kept in memory (plural `statefulsetresize_controller.go`)
    MemoryOnly,
    /// the create that meets the set still going counts as done (pong1013 `webhook_server.py`)
    CreateBeforeGone,
    /// deletion while retention is Delete (12 of 80 claims were lost on a real cluster)
    NoRetentionPin,
    /// the references are not waited for (kubernetes #142130)
    PinNotAwaited,
    /// what the garbage collector does not know yet is not waited for
    NoAge,
    /// the set is re-created in the middle of a rollout
    MidRollout,
    /// the first sync may roll pods (rabbitmq cluster-operator #1428)
    NoPartition,
    /// retention is re-created as it was, while references to the dead set may be on their way
    RetentionAsItWas,
    /// aborting without making sure that no DELETE is on its way (Leases do not prevent late writes)
    BlindStepBack,
    /// a create that lands late is taken for the one of this re-creation (missing UID check)
    AnyAttemptIsOurs,
    /// a set that is not there is created, whoever deleted it
    Resurrection,
    /// a patch that tests nothing and arrives late (kube-rs #2007: writes are sent again)
    BlindPatch,
    /// no finalizer: the record may go while the set is away (plural: the resource deletes itself)
    NoFinalizer,
    /// retention stays as the retention pin left it
    RetentionForgotten,
    /// retention is restored over what others wrote (percona reverts the user's resource)
    RetentionOverOthers,
    /// pods are restarted unasked (strimzi, zalando `sync.go:591`: every pod)
    EvictUnasked,
    /// only the first claim grows (cass-operator `reconcile_racks.go:305`)
    FirstClaimOnly,
    /// a claim that cannot grow is passed over, the template raised (moco `pvc.go`)
    SkipsFailures,
    /// the old template after a refusal counts as done (`VictoriaMetrics` operator)
    OldTemplateIsDone,
    /// a refused create is given up (rabbitmq cluster-operator: quota leaves no set)
    GivesUp,
    /// lists from caches lead to a DELETE (Sieve: stale states)
    CachesAreFresh,
    /// done as soon as the claims were asked, not when they have grown (vshn `pvc.go`, false event)
    AskedIsDone,
}

/// What the mutant makes of what is observed.
pub(crate) fn sees(
    mutant: Mutant,
    observed: &mut Observed,
    record: Option<&mut Record>,
    parameters: &mut Parameters,
) {
    let set = match &mut observed.set {
        Fact::Known(set) => set.as_mut(),
        Fact::Unknown(_) => None,
    };
    match (mutant, set) {
        (Mutant::TemplateFirst | Mutant::AskedIsDone, _) => {
            if let Fact::Known(claims) = &mut observed.claims {
                for claim in claims {
                    let large: stateward_core::object::Quantity = "1Ti".parse().unwrap();
                    if mutant == Mutant::TemplateFirst {
                        claim.request = large.clone();
                    }
                    claim.capacity = Some(large);
                }
            }
        }
        (Mutant::CreateBeforeGone, Some(set)) if set.terminating => {
            observed.set = Fact::Known(None);
            release_revisions(observed);
        }
        (Mutant::NoRetentionPin, set) => {
            if let Some(set) = set {
                set.retention = Retention::RETAIN;
            }
            free_claims(observed);
        }
        (Mutant::PinNotAwaited, Some(set)) if set.retention == Retention::RETAIN => {
            free_claims(observed);
        }
        (Mutant::NoAge, _) => parameters.just_changed = SignedDuration::ZERO,
        (Mutant::MidRollout, Some(set)) => {
            set.current_revision.clone_from(&set.update_revision);
            let revision = set.update_revision.clone();
            if let Fact::Known(pods) = &mut observed.pods {
                for pod in pods {
                    pod.revision.clone_from(&revision);
                }
            }
        }
        (Mutant::BlindStepBack, _) => {
            if let Some(record) = record.filter(|record| record.spec.abort.is_some()) {
                record.status.recreation.resource_version = Some("none".to_owned());
            }
        }
        (Mutant::AnyAttemptIsOurs, Some(Set { unfinished: Some(id), .. })) => {
            if let Some(replaced) =
                record.and_then(|record| record.status.recreation.set_uid.clone())
            {
                *id = format!("{}/{replaced}", id.split('/').next().unwrap());
            }
        }
        (Mutant::Resurrection, None) => release_revisions(observed),
        (Mutant::MemoryOnly, _) => {
            // Its memory still has it.
            if let Some(record) = record.filter(|r| r.status.phase == Phase::Deleting) {
                record.status.snapshot = Some("0,0,1,1".to_owned());
            }
        }
        (Mutant::NoFinalizer | Mutant::RetentionForgotten, _) => {
            if let Some(record) = record {
                record.finalizer |= mutant == Mutant::NoFinalizer;
                if mutant == Mutant::RetentionForgotten {
                    record.status.recreation.retention = None;
                }
            }
        }
        (Mutant::RetentionOverOthers, Some(set)) => set.retention_written = Fact::Known(false),
        (Mutant::EvictUnasked, Some(set)) => set.evict = true,
        (Mutant::FirstClaimOnly, _) => {
            if let Fact::Known(claims) = &mut observed.claims {
                claims.truncate(1);
            }
        }
        (Mutant::SkipsFailures, _) => {
            use stateward_resize::observed::Progress::Infeasible;
            if let Fact::Known(claims) = &mut observed.claims {
                claims.retain(|claim| claim.progress != Infeasible);
            }
        }
        (Mutant::OldTemplateIsDone, Some(set)) if set.resize_id.is_some() => {
            for size in set.templates.values_mut() {
                *size = "1Ti".parse().unwrap();
            }
        }
        _ => {}
    }
}

/// What the mutant makes of what is decided.
pub(crate) fn does(mutant: Mutant, action: Action) -> Action {
    match (mutant, action) {
        (Mutant::MemoryOnly, Action::WriteStatus(mut status)) => {
            status.snapshot = status.snapshot.filter(|_| status.phase != Phase::Deleting);
            Action::WriteStatus(status)
        }
        (Mutant::GivesUp, Action::WriteStatus(mut status)) if status.phase == Phase::Creating => {
            status.phase = Phase::Degraded;
            let reason = Reason::OldTemplate;
            let halt = Halt { state: State::Ended, reason, message: "refused".to_owned() };
            status.halt = Some(halt);
            Action::WriteStatus(status)
        }
        (Mutant::NoPreconditions, Action::Delete { uid, .. }) => {
            Action::Delete { uid, resource_version: "any".to_owned() }
        }
        (_, action) => action,
    }
}

fn free_claims(observed: &mut Observed) {
    if let Fact::Known(claims) = &mut observed.claims {
        for claim in claims {
            claim.owners.clear();
        }
    }
}

fn release_revisions(observed: &mut Observed) {
    observed.memory.created = None;
    if let Fact::Known(revisions) = &mut observed.revisions {
        for revision in revisions {
            revision.owner = None;
        }
    }
}
