//! Ways out of a deletion: the reversible one first.

use serde_json::json;

use super::{kubectl, quoted, run};
use crate::annotations::CONFIRM_DELETE;
use crate::change::Change;
use crate::facts::Facts;
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

/// Keeps the data of all claims of a namespace.
pub fn retain_all(namespace: &str) -> Step {
    run(
        "to keep the data, retain all volumes of the namespace first",
        format!(
            "kubectl patch pv $(kubectl -n {} get pvc -o jsonpath='{{.items[*].spec.volumeName}}') \
             -p '{{\"spec\":{{\"persistentVolumeReclaimPolicy\":\"Retain\"}}}}'",
            quoted(namespace)
        ),
    )
}

/// Takes a snapshot of a claim of this StorageClass, with the class that serves it. Nothing if no class
/// is known to serve.
pub fn snapshot(
    text: &str,
    facts: &Facts,
    namespace: &str,
    claim: &str,
    class: &str,
) -> Option<Step> {
    let with = facts.snapshot_class(class)?;
    let mut spec = json!({"source": {"persistentVolumeClaimName": claim}});
    if let Some(with) = with {
        spec["volumeSnapshotClassName"] = json!(with);
    }
    let snapshot = json!({
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshot",
        "metadata": {"generateName": format!("{claim}-")},
        "spec": spec,
    });
    let (snapshot, namespace) = (quoted(&snapshot.to_string()), quoted(namespace));
    Some(run(text, format!("echo {snapshot} | kubectl -n {namespace} create -f -")))
}

/// Keeps the data of a claim: its volume first, because that can be taken back, then a copy.
pub fn keep_data(
    facts: &Facts,
    volume: &str,
    namespace: &str,
    claim: &str,
    class: &str,
) -> Vec<Step> {
    let text = "to have a copy as well, take a snapshot, and wait until it is ready to use";
    let copy = snapshot(text, facts, namespace, claim, class);
    std::iter::once(retain(&[volume])).chain(copy).collect()
}

/// Confirms the deletion of the object, so that it is only warned of; if it is signed, with the name of who runs
/// the command.
pub fn confirm_deletion(change: &Change<'_>, signed: bool) -> String {
    let (kind, name) = (change.kind.reported_as().to_lowercase(), quoted(&change.name));
    // A manifest can have a name that no cluster accepts, and a shell would run parts of it.
    let signature = if signed {
        " by $(kubectl auth whoami -o jsonpath='{.status.userInfo.username}')"
    } else {
        ""
    };
    let value = if name == change.name {
        format!("\"{name} $(date -u +%F){signature}\"")
    } else {
        format!("{name}\" $(date -u +%F){signature}\"")
    };
    format!("{} annotate {kind} {name} --overwrite {CONFIRM_DELETE}={value}", kubectl(change))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Circumstances, Operation, Pair};
    use crate::object::{Kind, Object};

    fn confirmed(name: &str) -> String {
        let json = serde_json::json!({"metadata": {"name": name, "namespace": "shop"}}).to_string();
        let objects = Pair { old: Some(Object::decode(&json).unwrap()), new: None };
        let (operation, kind) = (Operation::Delete, Kind::Claim);
        let change = Change::new(operation, kind, "", objects, Circumstances::default()).unwrap();
        confirm_deletion(&change, false)
    }

    #[test]
    fn a_shell_runs_no_part_of_a_name() {
        let begin = "kubectl -n shop annotate persistentvolumeclaim";
        assert_eq!(
            confirmed("data-db-2"),
            format!("{begin} data-db-2 --overwrite {CONFIRM_DELETE}=\"data-db-2 $(date -u +%F)\"")
        );
        assert_eq!(
            confirmed("a$(reboot)"),
            format!(
                "{begin} 'a$(reboot)' --overwrite {CONFIRM_DELETE}='a$(reboot)'\" $(date -u +%F)\""
            )
        );
    }
}
