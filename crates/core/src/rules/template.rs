//! What rules about the pod template share: when there is something to judge, and what is new.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::change::Change;
use crate::object::pod::PodSpec;
use crate::object::{Claim, DecodeError, Pointer, Raw, StatefulSet};

/// A set whose pod template is new or edited.
#[derive(Debug)]
pub(super) struct Written<'c, 'a> {
    /// the set
    pub(super) set: &'c StatefulSet<'a>,
    /// its pods
    pub(super) pod: &'c PodSpec<'a>,
    /// the set and its pods before an UPDATE
    pub(super) old: Option<(&'c StatefulSet<'a>, &'c PodSpec<'a>)>,
}

impl<'a> Written<'_, 'a> {
    /// Whether the change brings in what `holds` tells of: always on CREATE, on UPDATE only where
    /// it did not hold before.
    pub(super) fn introduces(
        &self,
        holds: impl Fn(&StatefulSet<'a>, &PodSpec<'a>) -> bool,
    ) -> bool {
        self.old.is_none_or(|(set, pod)| !holds(set, pod))
    }
}

/// The set of a CREATE, or of an UPDATE that edits its pod template. Most updates do not: they
/// cost one comparison of bytes and decode nothing.
///
/// # Errors
/// The field of a pod template that has the wrong type.
pub(super) fn written<'c, 'a>(
    change: &'c Change<'a>,
) -> Result<Option<Written<'c, 'a>>, DecodeError> {
    let Some((old, new)) = change.written_set() else { return Ok(None) };
    if old.is_some_and(|old| old.spec.template.same_bytes(&new.spec.template)) {
        return Ok(None);
    }
    let old = match old {
        Some(old) => Some((old, &old.template()?.spec)),
        None => None,
    };
    Ok(Some(Written { set: new, pod: &new.template()?.spec, old }))
}

/// Whether the pod templates say different things. A manifest may have its keys in another order.
pub(super) fn changes(old: &StatefulSet<'_>, new: &StatefulSet<'_>) -> bool {
    let (old, new) = (&old.spec.template, &new.spec.template);
    let value = |raw: Option<Raw<'_>>| raw.map(|raw| serde_json::from_str::<Value>(raw.get()).ok());
    !old.same_bytes(new) && value(old.raw()) != value(new.raw())
}

/// Claim templates by name with their places, the first of each name: looked up one by one, the
/// templates of a hostile set would take quadratic time.
pub(super) fn by_name<'c, 'a>(
    templates: &'c [Claim<'a>],
) -> BTreeMap<&'c str, (usize, &'c Claim<'a>)> {
    let places = templates.iter().enumerate().rev();
    places.map(|(index, claim)| (claim.metadata.name.as_str(), (index, claim))).collect()
}

/// The names of all volumes that a container mounts or uses as a device.
pub(super) fn used_volumes<'c>(pod: &'c PodSpec<'_>) -> BTreeSet<&'c str> {
    let mut used = BTreeSet::new();
    for (_, _, container) in pod.all_containers() {
        used.extend(container.volume_mounts.iter().map(|mount| mount.name.as_str()));
        used.extend(container.volume_devices.iter().map(|device| device.name.as_str()));
    }
    used
}

/// Where the container `index` of `list` (`containers` or `initContainers`) stands.
pub(super) fn container(list: &str, index: usize) -> Pointer {
    Pointer::from("/spec/template/spec").key(list).index(index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Circumstances, Operation, Pair};
    use crate::object::{Kind, Object};

    fn judge(old: &str, new: &str) -> Result<bool, DecodeError> {
        let set = |replicas: i64, template: &str| {
            format!(r#"{{"spec":{{"replicas":{replicas},"template":{template}}}}}"#)
        };
        let (old, new) = (set(1, old), set(2, new));
        let objects = Pair { old: Some(Object::decode(&old)?), new: Some(Object::decode(&new)?) };
        let (operation, kind) = (Operation::Update, Kind::StatefulSet);
        let change = Change::new(operation, kind, "", objects, Circumstances::default())?;
        written(&change).map(|written| written.is_some())
    }

    #[test]
    fn an_untouched_template_is_not_even_decoded() {
        assert_eq!(judge(r#"{"spec":{}}"#, r#"{"spec":{}}"#), Ok(false));
        assert_eq!(judge(r#"{"spec":"wrong type"}"#, r#"{"spec":"wrong type"}"#), Ok(false));
        assert_eq!(judge(r#"{"spec":{}}"#, r#"{"spec":{"containers":[]}}"#), Ok(true));
        let error = judge(r#"{"spec":{}}"#, r#"{"spec":"wrong type"}"#).unwrap_err();
        assert_eq!(error.field.as_str(), "/spec/template/spec");
    }
}
