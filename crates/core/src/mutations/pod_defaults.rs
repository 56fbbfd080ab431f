//! Fields of the pod template for sets whose manifest leaves them open.
//!
//! Injected on CREATE only, since they change the pod template: on an UPDATE that would restart
//! every pod. An UPDATE whose manifest merely omits what was injected keeps it, for the same
//! reason.
//!
//! A set that is created over its own claims or pods is no new set: somebody re-creates it, and a
//! changed template would restart its pods. An operator that re-creates a set whenever it differs
//! from what was written would do so for ever. People and their deployment tools compare only what
//! they wrote; if the pods have what a new set would be given, they keep it.

use serde_json::{Value, json};

use super::Mutation;
use super::injected::{self, SIZE};
use crate::annotations::{ANTI_AFFINITY, POD_DEFAULTS};
use crate::change::{Change, Operation};
use crate::facts::{Fact, Facts, Injected, PodFact};
use crate::object::anti_affinity::Spread;
use crate::object::pod_default::{GRACE, ON_ROOT_MISMATCH};
use crate::object::{DecodeError, PodDefault, Pointer, StatefulSet};
use crate::packs::{Recognised, Traits, recognise};
use crate::policy::{AntiAffinity, PodDefaultSetting, Policy};

/// Injects on CREATE, keeps on UPDATE.
///
/// # Errors
/// The field of the set that has the wrong type.
pub fn mutate(
    change: &Change<'_>,
    policy: &Policy,
    facts: &Facts,
    mutation: &mut Mutation,
) -> Result<(), DecodeError> {
    let Some((old, new)) = change.written_set() else { return Ok(()) };
    let set = WrittenSet { change, set: new, policy, facts };
    match (change.operation, old) {
        (Operation::Create, _) => {
            let record = facts.known_record(&change.namespace, &change.name);
            match record.filter(|record| record.is_recreating()).and_then(|r| r.injected.as_ref()) {
                Some(injected) => set.inject_again(injected, mutation),
                None => set.inject(mutation),
            }
        }
        (Operation::Update, Some(old)) => set.keep(old, mutation),
        _ => Ok(()),
    }
}

/// The set as it is written, and what is known beyond it.
struct WrittenSet<'s, 'a> {
    change: &'s Change<'a>,
    set: &'s StatefulSet<'a>,
    policy: &'s Policy,
    facts: &'s Facts,
}

/// A value for a field, with its warning.
struct Given {
    field: PodDefault,
    value: Value,
    warning: String,
}

impl WrittenSet<'_, '_> {
    fn inject(&self, mutation: &mut Mutation) -> Result<(), DecodeError> {
        let mut wanted = Vec::new();
        for field in PodDefault::ALL {
            if field.is_open(self.set)? {
                wanted.extend(self.wanted(field)?);
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let is_new = self.is_new()?;
        for mut given in wanted {
            if !is_new {
                let Some(value) = self.pods_have(&given) else { continue };
                given.value = value;
            }
            mutation.warnings.push(format!("{}: {}", self.change.object_name(), given.warning));
            self.write(given.field, given.value, mutation)?;
        }
        Ok(())
    }

    /// A set that comes back in the middle of a resize has pods: it is given exactly what its
    /// predecessor was given, whatever the policy says by now, and nothing else.
    fn inject_again(
        &self,
        injected: &Injected,
        mutation: &mut Mutation,
    ) -> Result<(), DecodeError> {
        for field in PodDefault::ALL {
            if let Some(value) = injected.value(field).filter(|value| is_plausible(field, value))
                && field.is_open(self.set)?
            {
                self.write(field, value.clone(), mutation)?;
            }
        }
        if !mutation.injected.is_empty() && injected.names.iter().any(|name| name == SIZE) {
            mutation.injected.push(SIZE);
        }
        Ok(())
    }

    fn keep(&self, old: &StatefulSet<'_>, mutation: &mut Mutation) -> Result<(), DecodeError> {
        let names = injected::names(&old.metadata);
        if names.is_empty() || old.spec.template.same_bytes(&self.set.spec.template) {
            return Ok(());
        }
        let selector = selector(old);
        for field in PodDefault::ALL {
            if !names.contains(&field.name())
                || self.is_declined(field)
                || !field.is_open(self.set)?
            {
                continue;
            }
            let Some(live) = field.value(&old.template()?.spec) else { continue };
            let ours = match field {
                PodDefault::AntiAffinity => {
                    selector.as_ref().and_then(|pods| Spread::for_pods(&live, pods)).is_some()
                }
                PodDefault::GracePeriod => live.as_i64().is_some_and(|seconds| seconds > GRACE),
                PodDefault::FsGroupChangePolicy => live == json!(ON_ROOT_MISMATCH),
            };
            if ours {
                self.put(field, live, mutation)?;
                mutation.injected.extend(names.iter().copied());
                mutation.done.push(done(field).1);
            }
        }
        Ok(())
    }

    /// What a new set is given for a field that its manifest leaves open.
    fn wanted(&self, field: PodDefault) -> Result<Option<Given>, DecodeError> {
        let asked = |setting| !self.is_declined(field) && self.policy.gives(self.change, setting);
        let (value, warning) = match field {
            PodDefault::AntiAffinity => {
                let Some(selector) = selector(self.set) else { return Ok(None) };
                let Some((spread, warning)) = self.spread()? else { return Ok(None) };
                (spread.terms(&selector), warning)
            }
            PodDefault::GracePeriod => {
                if !asked(PodDefaultSetting::GracePeriod) {
                    return Ok(None);
                }
                let system = self.system()?;
                let grace = system.as_ref().and_then(|system| system.pack.pods.grace.as_ref());
                let seconds = grace.map_or(GRACE, |grace| i64::from(grace.seconds));
                if seconds <= GRACE {
                    return Ok(None);
                }
                let text = format!("its pods were given {seconds} s to stop");
                (json!(seconds), format!("{text}; {POD_DEFAULTS}: none prevents it"))
            }
            PodDefault::FsGroupChangePolicy => {
                if !asked(PodDefaultSetting::FsGroupChangePolicy) {
                    return Ok(None);
                }
                let text = format!("{ON_ROOT_MISMATCH} was added");
                (json!(ON_ROOT_MISMATCH), format!("{text}; {POD_DEFAULTS}: none prevents it"))
            }
        };
        Ok(Some(Given { field, value, warning }))
    }

    /// The anti-affinity of a new set, with its warning.
    fn spread(&self) -> Result<Option<(Spread, String)>, DecodeError> {
        let plain =
            || format!("its pods were given anti-affinity; {ANTI_AFFINITY}: none prevents it");
        let required =
            || format!("its pods require different nodes; {ANTI_AFFINITY}: preferred prevents it");
        Ok(match self.anti_affinity() {
            AntiAffinity::None => None,
            AntiAffinity::Preferred => Some((Spread::Preferred, plain())),
            AntiAffinity::Zone => Some((Spread::Zone, plain())),
            AntiAffinity::Required => Some((Spread::Required, required())),
            AntiAffinity::System => {
                let system = self.system()?;
                let need =
                    system.as_ref().and_then(|system| system.pack.pods.anti_affinity.as_ref());
                match need.map_or(Spread::Preferred, |need| need.value) {
                    // No default is worth a pod that stays pending.
                    Spread::Required => Some(match self.missing_nodes()? {
                        None => (Spread::Required, required()),
                        Some(why) => (
                            Spread::Preferred,
                            format!("its pods only prefer different nodes: {why}"),
                        ),
                    }),
                    spread => Some((spread, plain())),
                }
            }
        })
    }

    /// Why not every pod would find a node of its own; nothing if each does.
    fn missing_nodes(&self) -> Result<Option<String>, DecodeError> {
        let pods = self.set.spec.replicas();
        let pod = &self.set.template()?.spec;
        if !pod.node_selector.is_empty()
            || pod.affinity.as_ref().is_some_and(|affinity| affinity.node_affinity.is_some())
        {
            return Ok(Some("its pods select nodes".to_owned()));
        }
        Ok(match self.facts.nodes.seen("") {
            Fact::Known(nodes) if nodes.all => {
                let open = nodes.objects.iter().filter(|(_, node)| !node.tainted).count();
                let count = i64::try_from(open).unwrap_or(i64::MAX);
                (count < pods).then(|| format!("{count} nodes for {pods} pods"))
            }
            Fact::Known(_) | Fact::Unknown(_) => {
                Some("the webhook does not know the nodes".to_owned())
            }
        })
    }

    fn system(&self) -> Result<Option<Recognised<'_>>, DecodeError> {
        Ok(recognise(&self.facts.packs, &Traits::of(self.set)?))
    }

    /// Which anti-affinity is in force: the annotation, where the policy allows overrides.
    fn anti_affinity(&self) -> AntiAffinity {
        let annotation = self.set.metadata.annotations.get(ANTI_AFFINITY);
        match annotation.and_then(AntiAffinity::from_annotation) {
            Some(asked) if self.policy.overrides => asked,
            Some(asked) => asked.stronger(self.policy.anti_affinity(self.change)),
            None => self.policy.anti_affinity(self.change),
        }
    }

    /// Whether the set asks for nothing on purpose, which is how a person gets rid of what was injected.
    fn is_declined(&self, field: PodDefault) -> bool {
        match field {
            PodDefault::AntiAffinity => self.anti_affinity() == AntiAffinity::None,
            PodDefault::GracePeriod | PodDefault::FsGroupChangePolicy => {
                self.policy.overrides
                    && self.set.metadata.annotations.get(POD_DEFAULTS) == Some("none")
            }
        }
    }

    /// Whether a set is new, by its claims and pods. What is not known counts as not new: no default
    /// is worth a restart.
    fn is_new(&self) -> Result<bool, DecodeError> {
        let templates: Vec<&str> = self.set.template_names()?.collect();
        let fact = self.facts.is_new_set(&self.change.namespace, &self.change.name, &templates);
        Ok(fact == Fact::Known(true))
    }

    /// What the pods of a set that is re-created have already; nothing if its writer would take that for a
    /// difference.
    fn pods_have(&self, given: &Given) -> Option<Value> {
        if compares_whole_objects(self.change) {
            return None;
        }
        let Fact::Known(mut pods) = self.facts.pods_of(&self.change.namespace, &self.change.name)
        else {
            return None;
        };
        let has = |pod: &PodFact| match given.field {
            PodDefault::AntiAffinity => Some(pod.spread?.terms(&selector(self.set)?)),
            PodDefault::GracePeriod => pod.grace_period.map(Value::from),
            PodDefault::FsGroupChangePolicy => pod.checks_root_only.then(|| given.value.clone()),
        };
        // The policy may have become another since; another grace period may be anybody's.
        pods.find_map(has)
            .filter(|value| given.field == PodDefault::AntiAffinity || *value == given.value)
    }

    fn write(
        &self,
        field: PodDefault,
        value: Value,
        mutation: &mut Mutation,
    ) -> Result<(), DecodeError> {
        self.put(field, value, mutation)?;
        mutation.injected.push(field.name());
        mutation.done.push(done(field).0);
        Ok(())
    }

    fn put(
        &self,
        field: PodDefault,
        value: Value,
        mutation: &mut Mutation,
    ) -> Result<(), DecodeError> {
        if field == PodDefault::AntiAffinity && self.set.template()?.spec.affinity.is_none() {
            let affinity = Pointer::from("/spec/template/spec/affinity");
            mutation.add(&affinity, json!({ "podAntiAffinity": value }));
        } else {
            mutation.add(&Pointer::from(field.field()), value);
        }
        Ok(())
    }
}

/// Whether the writer would take an injected field for a difference: it is neither a person nor a
/// tool that is known to compare only the fields that it wrote.
pub(super) fn compares_whole_objects(change: &Change<'_>) -> bool {
    let circumstances = &change.circumstances;
    circumstances.user.name.starts_with("system:serviceaccount:")
        && circumstances.tool.keeper().is_none()
        && !circumstances.field_manager.starts_with("kubectl")
}

/// Whether a snapshot, which anybody may have damaged, has a value of the right type.
fn is_plausible(field: PodDefault, value: &Value) -> bool {
    match field {
        PodDefault::AntiAffinity => value.is_object(),
        PodDefault::GracePeriod => value.as_i64().is_some_and(|seconds| seconds >= 0),
        PodDefault::FsGroupChangePolicy => *value == json!(ON_ROOT_MISMATCH),
    }
}

fn selector(set: &StatefulSet<'_>) -> Option<Value> {
    serde_json::from_str(set.spec.selector.raw()?.get()).ok().filter(Value::is_object)
}

/// How injecting and keeping are called in the audit log and the metrics.
const fn done(field: PodDefault) -> (&'static str, &'static str) {
    match field {
        PodDefault::AntiAffinity => ("inject-anti-affinity", "keep-anti-affinity"),
        PodDefault::GracePeriod => ("inject-grace-period", "keep-grace-period"),
        PodDefault::FsGroupChangePolicy => {
            ("inject-fs-group-change-policy", "keep-fs-group-change-policy")
        }
    }
}
