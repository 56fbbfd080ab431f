//! The annotation that lists what the webhook injected into a set when it was created.

use serde_json::Value;

use super::Mutation;
use crate::annotations::INJECTED;
use crate::change::Change;
use crate::object::{Metadata, PodDefault};

/// The name of sizes that were raised when the set was created. Updates keep them.
pub const SIZE: &str = "size-on-create";

/// Every name that counts. A person who may edit the set may write any text into the annotation.
const NAMES: [&str; 4] = [
    PodDefault::AntiAffinity.name(),
    PodDefault::GracePeriod.name(),
    PodDefault::FsGroupChangePolicy.name(),
    SIZE,
];

/// The names in the list; none if it cannot be read.
pub fn names(metadata: &Metadata<'_>) -> Vec<&'static str> {
    let list = metadata.annotations.get(INJECTED);
    let list: Vec<String> =
        list.and_then(|list| serde_json::from_str(list).ok()).unwrap_or_default();
    NAMES.into_iter().filter(|name| list.iter().any(|listed| listed == name)).collect()
}

/// Whether `name` was injected into this set.
pub fn was_injected(metadata: &Metadata<'_>, name: &str) -> bool {
    names(metadata).contains(&name)
}

/// Adds what mutations have injected or kept to the list of the new set.
pub fn write_list(change: &Change<'_>, mutation: &mut Mutation) {
    let Some(new) = &change.objects.new else { return };
    let before = names(&new.metadata);
    let mut all = before.clone();
    for name in std::mem::take(&mut mutation.injected) {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    if all != before {
        mutation.annotate(change, INJECTED, &Value::from(all).to_string());
    }
}
