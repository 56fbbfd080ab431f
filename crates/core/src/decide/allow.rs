//! Which rules the `allow` annotation silences, and whose word that takes.

use std::borrow::Cow;
use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Stage;
use crate::annotations::{ALLOW, ALLOW_GRANTED, ALLOW_REASON, ALLOW_UNTIL, CONFIRM_DELETE};
use crate::change::{Change, Operation};
use crate::mutations::Mutation;
use crate::nearest;
use crate::object::{Kind, Metadata, Object, Pointer};
use crate::policy::Policy;
use crate::rules::{self, RULES, reserved_annotation};

/// Unknown rules that are named one by one: an annotation may hold very many.
const UNKNOWN_SHOWN: usize = 3;

/// What the `allow` annotation of an object comes to.
#[derive(Debug, Default)]
pub(super) struct Allowances {
    /// the rules that it silences
    pub(super) rules: Vec<&'static str>,
    /// why it, or a part of it, does not count
    pub(super) faults: Vec<String>,
}

/// Who granted an exemption, written into the object by the mutating webhook. An annotation that got
/// there in any other way has no such grant, and does not count if the policy names people.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Grant<'a> {
    by: Cow<'a, str>,
    allow: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Cow<'a, str>>,
}

impl<'a> Grant<'a> {
    /// What `user` grants by the annotations of `metadata`.
    fn of(metadata: &'a Metadata<'_>, user: &'a str) -> Option<Self> {
        let allow = metadata.annotations.get(ALLOW)?.into();
        let until = metadata.annotations.get(ALLOW_UNTIL).map(Cow::from);
        Some(Self { by: user.into(), allow, until })
    }
}

/// Who granted what the annotations say, if the mutating webhook writes grants into objects of this kind. In
/// other objects, anybody who may edit them can write a grant.
fn granted_by<'m>(kind: Kind, metadata: &'m Metadata<'_>, policy: &Policy) -> Option<Cow<'m, str>> {
    kind.info().filter(|info| !info.mutating.is_empty())?;
    let grant: Grant<'_> = serde_json::from_str(metadata.annotations.get(ALLOW_GRANTED)?).ok()?;
    let fits = !grant.by.is_empty() && Grant::of(metadata, &grant.by).as_ref() == Some(&grant);
    (fits && policy.allow.may_name(&grant.by)).then_some(grant.by)
}

/// The rules that the `allow` annotation silences for this change: read from the new object on
/// CREATE and UPDATE, from the old one on DELETE. It is in force with a reason, before
/// `allow-until`, and, if the policy names people, by the grant of one of them.
pub(super) fn allowances(
    stage: Stage,
    change: &Change<'_>,
    policy: &Policy,
    now: Timestamp,
) -> Allowances {
    let mut allowances = Allowances::default();
    let Some(metadata) = change.metadata() else { return allowances };
    let annotation = |key| metadata.annotations.get(key);
    let Some(list) = annotation(ALLOW) else { return allowances };
    let mut fault = |text: String| allowances.faults.push(text);
    if !policy.overrides {
        fault("the policy lets nobody use it".to_owned());
    }
    if annotation(ALLOW_REASON).is_none_or(|reason| reason.trim().is_empty()) {
        fault(format!("{ALLOW_REASON} is missing"));
    }
    if let Some(until) = annotation(ALLOW_UNTIL) {
        match until.parse::<Timestamp>() {
            Ok(time) if time > now => {}
            Ok(_) => fault(format!("{ALLOW_UNTIL}: {until} has passed")),
            // A time that cannot be read has passed.
            Err(_) => fault(format!("{ALLOW_UNTIL} is no time such as 2030-01-31T12:00:00Z")),
        }
    }
    let (user, two_people) = (&change.circumstances.user, policy.allow.second_person);
    let grantor = granted_by(change.kind, metadata, policy);
    // Manifests carry no grant; one that stood there before was granted in the cluster.
    let granted_before = stage == Stage::Check && stood_before(change);
    if two_people && change.operation == Operation::Delete {
        if !granted_before && grantor.is_none_or(|grantor| grantor == user.name) {
            fault(format!(
                "the policy asks for a second person: somebody else has to grant it, or to confirm the \
                 deletion by {CONFIRM_DELETE}"
            ));
        }
    } else if policy.allow.reserves()
        && !policy.allow.names(user)
        && grantor.is_none()
        && !granted_before
    {
        fault("the policy reserves it, and nobody whom the policy names has granted it".to_owned());
    }
    let in_force = allowances.faults.is_empty();
    let ids: BTreeSet<&str> = list.split(',').map(str::trim).filter(|id| !id.is_empty()).collect();
    let (known, unknown): (Vec<_>, Vec<_>) =
        ids.into_iter().map(|id| (id, rules::by_id(id))).partition(|(_, rule)| rule.is_some());
    if in_force {
        let ids = known.into_iter().filter_map(|(_, rule)| Some(rule?.meta.id));
        // Otherwise one person could sign in two names.
        allowances.rules =
            ids.filter(|id| !(two_people && *id == reserved_annotation::ID)).collect();
    }
    let all: Vec<&str> = RULES.iter().map(|entry| entry.meta.id).collect();
    for (id, _) in unknown.iter().take(UNKNOWN_SHOWN) {
        let hint = nearest::hint(id, &all);
        let id: String = id.chars().take(60).collect();
        allowances.faults.push(format!("there is no rule \"{id}\"{hint}"));
    }
    match unknown.len().saturating_sub(UNKNOWN_SHOWN) {
        0 => {}
        more => allowances.faults.push(format!("it names {more} other rules that do not exist")),
    }
    allowances
}

/// Writes who grants an exemption, and removes a grant of which nothing is left.
pub(super) fn grant(change: &Change<'_>, policy: &Policy, mutation: &mut Mutation) {
    let Some(new) = &change.objects.new else { return };
    let after = &new.metadata;
    if !policy.allow.reserves() || change.operation == Operation::Delete {
        return;
    }
    if after.annotations.get(ALLOW).is_none() {
        if after.annotations.get(ALLOW_GRANTED).is_some() {
            mutation.remove(&Pointer::annotation(ALLOW_GRANTED));
        }
        return;
    }
    let user = &change.circumstances.user;
    let before = change.objects.old.as_ref().map(|old| exemption(&old.metadata));
    if before == Some(exemption(after)) || !policy.allow.names(user) {
        return;
    }
    if let Some(grant) = Grant::of(after, &user.name).and_then(|g| serde_json::to_string(&g).ok()) {
        mutation.annotate(change, ALLOW_GRANTED, &grant);
        mutation.done.push("allow-granted");
    }
}

fn stood_before(change: &Change<'_>) -> bool {
    match change.operation {
        Operation::Create => false,
        Operation::Update => {
            let values = |object: &Object<'_>| exemption(&object.metadata);
            change.objects.old.as_ref().map(values) == change.objects.new.as_ref().map(values)
        }
        Operation::Delete => true,
    }
}

/// The annotations by which somebody exempts an object.
fn exemption(metadata: &Metadata<'_>) -> [Option<String>; 3] {
    [ALLOW, ALLOW_REASON, ALLOW_UNTIL].map(|key| metadata.annotations.get(key).map(str::to_owned))
}
