//! Ways out of a deletion: the reversible one first.

use super::{kubectl, quoted, run};
use crate::annotations::CONFIRM_DELETE;
use crate::change::Change;
use crate::rules::Step;

/// Keeps the data of these volumes.
pub fn retain(volumes: &[&str]) -> Step {
    let (text, volumes) = match volumes {
        [volume] => ("to keep the data, retain the volume first", quoted(volume)),
        volumes => {
            let names: Vec<_> = volumes.iter().map(|volume| quoted(volume)).collect();
            ("to keep the data, retain the volumes first", names.join(" "))
        }
    };
    run(
        text,
        format!(
            "kubectl patch pv {volumes} -p '{{\"spec\":{{\"persistentVolumeReclaimPolicy\":\"Retain\"}}}}'"
        ),
    )
}

/// Confirms the deletion of the object, so that it is only warned of.
pub fn confirm_deletion(change: &Change<'_>) -> String {
    let kind = change.kind.reported_as().to_lowercase();
    let name = &change.name;
    format!(
        "{} annotate {kind} {} --overwrite {CONFIRM_DELETE}=\"{name} $(date -u +%F)\"",
        kubectl(change),
        quoted(name),
    )
}
