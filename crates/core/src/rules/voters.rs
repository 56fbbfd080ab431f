//! Which sets are known to be members of a quorum, and what rules about them share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

use super::{Finding, Unjudged, remedy, system};
use crate::annotations::VOTERS;
use crate::change::{Change, Subject};
use crate::facts::{ControllerState, Facts};
use crate::object::{DecodeError, Metadata, StatefulSet};

/// Which sets are known to vote. Shared by all rules about quorums.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Params {
    /// Sets of which each pod is a voting member of a quorum, as `namespace/name`, or `name` in
    /// every namespace; `*` stands for any text.
    pub sets: Vec<String>,
}

impl Params {
    fn name(&self, namespace: &str, name: &str) -> bool {
        self.sets.iter().any(|pattern| match pattern.split_once('/') {
            Some((of, set)) => {
                WildMatch::new(of).matches(namespace) && WildMatch::new(set).matches(name)
            }
            None => WildMatch::new(pattern).matches(name),
        })
    }
}

/// Whether the pods of a set with this metadata vote.
pub(super) fn is_marked(metadata: &Metadata<'_>) -> bool {
    metadata.annotations.get(VOTERS) == Some("all")
}

/// Whether the pods of the set vote: by the policy, by the annotation before or after the change, so that
/// an edit that removes it is still judged, or by the pack of its system. A Scale carries none of that, so
/// its set is looked up.
///
/// # Errors
/// [`Unjudged::Needs`] for a Scale whose set is not known, unless the policy names it.
pub(super) fn vote(params: &Params, change: &Change<'_>, facts: &Facts) -> Result<bool, Unjudged> {
    if params.name(&change.namespace, &change.name) {
        return Ok(true);
    }
    match &change.subject {
        Subject::StatefulSet(pair) => {
            let marked =
                [&pair.old, &pair.new].into_iter().flatten().any(|set| is_marked(&set.metadata));
            Ok(marked || is_known(change, facts)?)
        }
        Subject::Scale(_) => {
            let set = facts.set(&change.namespace, &change.name).needed()?;
            Ok(set.is_some_and(|set| set.voters) || is_known(change, facts)?)
        }
        _ => Ok(false),
    }
}

/// Whether the pack of the set's system says that each pod votes.
fn is_known(change: &Change<'_>, facts: &Facts) -> Result<bool, Unjudged> {
    Ok(system::pack(change, facts)?.is_some_and(|(_, pack)| system::majority(pack).is_some()))
}

/// Whether the set was known to vote before the change.
///
/// # Errors
/// The field of the old set that has the wrong type.
pub(super) fn voted(
    params: &Params,
    change: &Change<'_>,
    facts: &Facts,
) -> Result<bool, DecodeError> {
    if params.name(&change.namespace, &change.name) {
        return Ok(true);
    }
    let Some((old, _)) = change.updated_set() else { return Ok(false) };
    let known =
        || Ok(system::of(old, facts)?.is_some_and(|old| system::majority(old.pack).is_some()));
    if is_marked(&old.metadata) { Ok(true) } else { known() }
}

/// How many members a majority of `voters` has.
pub(super) const fn quorum(voters: i64) -> i64 {
    voters / 2 + 1
}

/// How many members there are, and how many a change leaves. The status counts the pods that exist:
/// two quick steps are judged as one, and a scale-up that is taken back before it happened removes
/// nobody.
///
/// # Errors
/// The status, if it has the wrong type, and [`Unjudged::Needs`] for a new set whose pods may exist.
pub(super) fn members(
    params: &Params,
    change: &Change<'_>,
    facts: &Facts,
) -> Result<Option<(i64, i64)>, Unjudged> {
    if let Some(set) = change.created_set() {
        // Sets that do not vote need no facts.
        return if vote(params, change, facts)? { adopted(change, set, facts) } else { Ok(None) };
    }
    let Some((old, new)) = change.scaled() else { return Ok(None) };
    let pods = match &change.subject {
        Subject::StatefulSet(pair) => match &pair.old {
            Some(set) => {
                Some(set.status.get()?).filter(|s| s.is_written()).and_then(|s| s.replicas)
            }
            None => None,
        },
        Subject::Scale(pair) => pair.old.as_ref().and_then(|scale| scale.pods),
        _ => None,
    };
    // Only an edit that lowers the number removes anybody.
    Ok((new < old).then_some((pods.unwrap_or(old), new.max(0))))
}

/// The same for a new set: it adopts the pods of an earlier one that was deleted without them, and
/// removes those that it does not need.
fn adopted(
    change: &Change<'_>,
    set: &StatefulSet<'_>,
    facts: &Facts,
) -> Result<Option<(i64, i64)>, Unjudged> {
    // Where nobody looks at a cluster, every set is new.
    if facts.controller == ControllerState::NotLooked {
        return Ok(None);
    }
    let pods = facts.pods_of(&change.namespace, &change.name).needed()?.count();
    let (pods, new) = (i64::try_from(pods).unwrap_or(i64::MAX), set.spec.replicas().max(0));
    Ok((new < pods).then_some((pods, new)))
}

/// The way out of a scale-down that removes too many members at once: one after the other.
///
/// # Errors
/// The claim templates, if they have the wrong type, and [`Unjudged::Needs`] for a Scale whose set is not
/// known.
pub(super) fn one_at_a_time(
    change: &Change<'_>,
    facts: &Facts,
    members: i64,
    finding: &mut Finding,
) -> Result<(), Unjudged> {
    let left_out = remedy::keep_replicas(change);
    if !left_out.is_empty() {
        finding.remedy(left_out);
        return Ok(());
    }
    let tool = change.circumstances.tool;
    let (kubectl, name) = (remedy::kubectl(change), remedy::quoted(&change.name));
    let next = members.saturating_sub(1);
    match remedy::scaled_claims(change, facts)? {
        remedy::ScaledClaims::Kept => {}
        remedy::ScaledClaims::Deleted => {
            finding.step(format!(
                "first set persistentVolumeClaimRetentionPolicy.whenScaled: Retain {}, or each step \
                 deletes the claims of the pod that it removes",
                remedy::manifest_place(tool)
            ));
        }
        remedy::ScaledClaims::Unknown => {
            finding.command(
                "see what becomes of the claims: Delete means that each step deletes claims",
                format!(
                    "{kubectl} get statefulset {name} -o jsonpath=\
                     '{{.spec.persistentVolumeClaimRetentionPolicy.whenScaled}}'"
                ),
            );
        }
    }
    let pack = system::pack(change, facts)?;
    match pack.and_then(|(_, pack)| pack.scale_down.as_ref()) {
        Some(known) => {
            for step in &known.steps {
                finding.step(step.as_str());
            }
        }
        None => {
            finding
                .step("remove the member with the highest ordinal by the database's own command");
        }
    }
    if change.created_set().is_some() {
        finding.step(format!(
            "then set replicas: {next} {} and create the set",
            remedy::manifest_place(tool)
        ));
    } else if tool.keeper().is_some() {
        finding.step(format!("then set replicas: {next} {}", remedy::manifest_place(tool)));
    } else {
        finding.command(
            format!("then go to {next}; no other pod restarts"),
            format!("{kubectl} scale statefulset {name} --replicas={next}"),
        );
    }
    finding.step("do the same for each further member, once the others are healthy");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Circumstances, Operation, Pair};
    use crate::facts::{Objects, PodFact};
    use crate::object::{Kind, Object};

    #[test]
    fn a_majority_is_more_than_half() {
        let majorities: Vec<i64> = (0..=7).map(quorum).collect();
        assert_eq!(majorities, [1, 1, 2, 2, 3, 3, 4, 4]);
        assert_eq!(quorum(i64::MAX), i64::MAX / 2 + 1);
    }

    fn created(replicas: i64, pods: usize, looked: bool) -> Result<Option<(i64, i64)>, Unjudged> {
        let json = format!(
            r#"{{"metadata":{{"name":"db","namespace":"shop"}},"spec":{{"replicas":{replicas}}}}}"#
        );
        let objects = Pair { old: None, new: Some(Object::decode(&json).unwrap()) };
        let (operation, kind) = (Operation::Create, Kind::StatefulSet);
        let change = Change::new(operation, kind, "", objects, Circumstances::default()).unwrap();
        let mut facts = Facts { pods: Objects::all(), ..Facts::none() };
        if looked {
            facts.controller = ControllerState::Runs;
        }
        for pod in 0..pods {
            let made = PodFact { of_a_set: true, ..PodFact::default() };
            facts.pods.insert("shop", &format!("db-{pod}"), made);
        }
        facts.pods.insert("shop", "my-db-9", PodFact::default());
        let params = Params { sets: vec!["shop/db".to_owned()] };
        members(&params, &change, &facts)
    }

    #[test]
    fn a_new_set_removes_the_pods_that_it_adopts_and_does_not_need() {
        assert_eq!(created(2, 5, true), Ok(Some((5, 2))));
        assert_eq!(created(-1, 5, true), Ok(Some((5, 0))));
        assert_eq!((created(5, 5, true), created(3, 0, true)), (Ok(None), Ok(None)));
        assert_eq!(created(2, 5, false), Ok(None));
    }

    #[test]
    fn patterns_match_namespace_and_name_apart() {
        let names = |pattern: &str, namespace: &str, name: &str| {
            Params { sets: vec![pattern.to_owned()] }.name(namespace, name)
        };
        assert!(names("shop/etcd", "shop", "etcd") && names("etcd", "lab", "etcd"));
        assert!(names("*/zk-*", "shop", "zk-main") && names("prod-*/*", "prod-a", "db"));
        assert!(!names("shop/etcd", "shop-2", "etcd") && !names("etcd", "shop", "my-etcd"));
        assert!(!names("*/etcd", "shop", "etcd-2"));
    }
}
