//! What the API server would answer to the DELETE and the CREATE (`docs/resize.md`, Preflight checks).

use std::collections::BTreeMap;

use hyper::Method;
use serde_json::{Value, json};
use stateward_core::object::Quantity;
use stateward_core::record::snapshot;
use stateward_resize::observed::{Answer, DryRuns, Set};

use super::Key;
use super::cluster::Cluster;
use super::json_fields::name;
use super::write::{created, delete_options};
use crate::cluster::{WriteOutcome, with_query};

const JSON: &str = "application/json";
/// How many of the fields that changed are named.
const NAMED: usize = 5;

impl Cluster {
    /// Asks by dry runs whether `set` may be deleted and created again with `sizes`.
    pub async fn dry_runs(
        &self,
        key: &Key,
        set: &Set,
        sizes: &BTreeMap<String, String>,
        id: &str,
    ) -> DryRuns {
        let mut options = delete_options(&set.uid, &set.resource_version);
        // A DELETE that has a body is judged by it alone: `dryRun` in the query would be ignored,
        // and the set deleted. In the query it is for audit logs, which keep no body of a DELETE.
        options["dryRun"] = json!(["All"]);
        let path = with_query(&key.set(), [("dryRun", "All")]);
        let delete = match self.client.write(Method::DELETE, &path, JSON, &options).await {
            WriteOutcome::Committed(_) => Answer::Good,
            WriteOutcome::Rejected(refusal) => Answer::Refused(refusal.message),
            WriteOutcome::Unknown(why) => Answer::Refused(why),
        };
        let wanted = snapshot::decode(&set.snapshot)
            .map_err(|why| why.to_string())
            .and_then(|before| created(&before, sizes, id).map_err(|why| why.to_string()));
        match wanted {
            Ok(wanted) => DryRuns {
                delete,
                create: self.create_again(key, &wanted).await,
                unchanged: self.create_elsewhere(key, &wanted).await,
            },
            Err(why) => DryRuns {
                delete,
                create: Answer::Refused(why.clone()),
                unchanged: Answer::Refused(why),
            },
        }
    }

    /// Under its own name `AlreadyExists` proves admission and validation, which come before.
    async fn create_again(&self, key: &Key, wanted: &Value) -> Answer {
        let path = with_query(&key.sets(), [("dryRun", "All")]);
        match self.client.write(Method::POST, &path, JSON, wanted).await {
            WriteOutcome::Committed(_) => Answer::Refused("the set is not there".to_owned()),
            WriteOutcome::Unknown(why) => Answer::Refused(why),
            WriteOutcome::Rejected(refusal) if refusal.reason == "AlreadyExists" => Answer::Good,
            // Quota is asked last: its refusal proves the rest as well.
            WriteOutcome::Rejected(refusal) if quota(&refusal.message) => Answer::Quota,
            WriteOutcome::Rejected(refusal) => Answer::Refused(refusal.message),
        }
    }

    /// Under a free name of the same length the answer shows what admission makes of the set.
    async fn create_elsewhere(&self, key: &Key, wanted: &Value) -> Answer {
        let path = with_query(&key.sets(), [("dryRun", "All")]);
        let mut other = wanted.clone();
        for free in free_names(name(wanted)) {
            other["metadata"]["name"] = free.as_str().into();
            match self.client.write(Method::POST, &path, JSON, &other).await {
                WriteOutcome::Committed(answer) => return compared(&other, &answer),
                WriteOutcome::Rejected(refusal) if refusal.reason == "AlreadyExists" => {}
                WriteOutcome::Rejected(refusal) if quota(&refusal.message) => return Answer::Quota,
                WriteOutcome::Rejected(refusal) => return Answer::Refused(refusal.message),
                WriteOutcome::Unknown(why) => return Answer::Refused(why),
            }
        }
        Answer::Refused("no free name was found for a dry run".to_owned())
    }
}

fn quota(message: &str) -> bool {
    message.contains("exceeded quota")
}

/// Names as long as `name`: admission may look at lengths, for instance of labels.
fn free_names(name: &str) -> impl Iterator<Item = String> {
    let keep = name.get(..name.len().saturating_sub(1)).unwrap_or_default().to_owned();
    let last = name.chars().last();
    "zyxwvutsrq".chars().filter(move |c| Some(*c) != last).map(move |c| format!("{keep}{c}"))
}

/// Whether admission left everything as it was sent.
fn compared(sent: &Value, answered: &Value) -> Answer {
    let mut changed = Vec::new();
    for pointer in [
        "/spec",
        "/metadata/labels",
        "/metadata/annotations",
        "/metadata/ownerReferences",
        "/metadata/finalizers",
    ] {
        differences(sent.pointer(pointer), answered.pointer(pointer), pointer, &mut changed);
    }
    if changed.is_empty() {
        return Answer::Good;
    }
    let more = changed.len().saturating_sub(NAMED);
    changed.truncate(NAMED);
    let named = changed.join(", ");
    Answer::Changed(if more > 0 { format!("{named} and {more} more") } else { named })
}

/// The places in which two values differ; empty and absent are the same.
fn differences(one: Option<&Value>, other: Option<&Value>, at: &str, found: &mut Vec<String>) {
    let empty = |value: Option<&Value>| match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(_) => false,
    };
    // The API server writes quantities in their canonical form: 1024Gi comes back as 1Ti.
    let quantity = |value: Option<&Value>| value?.as_str()?.parse::<Quantity>().ok();
    let equal =
        || at.contains("/resources/") && quantity(one).is_some_and(|q| Some(q) == quantity(other));
    match (one, other) {
        _ if one == other || empty(one) && empty(other) || equal() => {}
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            let mut keys: Vec<&String> = one.keys().chain(other.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                let place = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                differences(one.get(key), other.get(key), &place, found);
            }
        }
        (Some(Value::Array(one)), Some(Value::Array(other))) if one.len() == other.len() => {
            for (n, (one, other)) in one.iter().zip(other).enumerate() {
                differences(Some(one), Some(other), &format!("{at}/{n}"), found);
            }
        }
        _ => found.push(at.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_admission_changes_is_named_by_its_place() {
        let sent = json!({
            "metadata": {"labels": {"app": "db"}},
            "spec": {
                "replicas": 3,
                "template": {"spec": {"containers": [{"image": "a"}]}},
                "volumeClaimTemplates": [{"spec": {"resources": {"requests": {"storage": "1024Gi"}}}}],
            },
        });
        let mut answered = sent.clone();
        assert_eq!(compared(&sent, &answered), Answer::Good);
        answered["metadata"]["annotations"] = json!({});
        assert_eq!(compared(&sent, &answered), Answer::Good);
        let requests = "/spec/volumeClaimTemplates/0/spec/resources/requests/storage";
        *answered.pointer_mut(requests).unwrap() = "1Ti".into();
        assert_eq!(compared(&sent, &answered), Answer::Good);
        *answered.pointer_mut(requests).unwrap() = "2Ti".into();
        assert_eq!(compared(&sent, &answered), Answer::Changed(requests.to_owned()));
        *answered.pointer_mut(requests).unwrap() = "1Ti".into();
        answered["metadata"]["labels"]["team/x"] = "a".into();
        answered["spec"]["template"]["spec"]["containers"][0]["image"] = "b".into();
        assert_eq!(
            compared(&sent, &answered),
            Answer::Changed(
                "/spec/template/spec/containers/0/image, /metadata/labels/team~1x".to_owned()
            )
        );
    }

    #[test]
    fn free_names_are_as_long_and_never_its_own() {
        let names: Vec<_> = free_names("dbz").collect();
        assert_eq!(names.len(), 9);
        assert!(names.iter().all(|name| name.len() == 3 && name != "dbz"));
    }
}
