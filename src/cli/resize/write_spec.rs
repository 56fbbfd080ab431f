//! Asking: writes of a record's spec, each for the version that was read.

use anyhow::bail;
use hyper::Method;
use serde_json::{Value, json};
use stateward_core::record::{Spec, Status};
use stateward_resize::crd;

use super::target::Session;
use crate::cluster::WriteOutcome;
use crate::controller::Stored;

/// How often somebody else may be faster before that is said.
const TRIES: usize = 5;

impl Session {
    /// The record, which has to be there.
    pub(super) async fn record(&self) -> anyhow::Result<Stored> {
        match self.cluster.record(&self.key).await? {
            Some(stored) => Ok(stored),
            None => bail!("there is no resize of StatefulSet {}", self.key),
        }
    }

    /// Writes the spec that `decide` makes of the one that stands there, and gives the record as it
    /// then is. Where `decide` gives `None`, nothing is written.
    pub(super) async fn ask(
        &self,
        decide: impl Fn(Option<&Stored>) -> anyhow::Result<Option<Spec>>,
    ) -> anyhow::Result<Option<Stored>> {
        let mut last = String::new();
        for _ in 0..TRIES {
            let stored = self.cluster.record(&self.key).await?;
            let Some(spec) = decide(stored.as_ref())? else { return Ok(stored) };
            let outcome = self.write(stored.as_ref(), &spec).await?;
            match outcome {
                WriteOutcome::Committed(object) => {
                    return Ok(Some(Stored::read(object, &self.key.record())?));
                }
                // Somebody wrote it in between: their spec is read before ours is made again.
                WriteOutcome::Rejected(refusal) if refusal.code == 409 => last = refusal.message,
                WriteOutcome::Rejected(refusal) if refusal.code == 404 && stored.is_none() => {
                    let sizes = spec.targets.iter();
                    let sizes: Vec<String> = sizes
                        .map(|(name, target)| format!("--size {name}={}", target.storage))
                        .collect();
                    bail!(
                        "this cluster does not know StatefulSetResize; install it with\n  {}\n\
                         or grow the claims from here with\n  {}",
                        self.commands.install_crds(),
                        self.command_with("apply", &format!("{} --here", sizes.join(" ")))
                    )
                }
                WriteOutcome::Rejected(refusal) => {
                    bail!("the record of {} was refused: {}", self.key, refusal.message)
                }
                // It may have been carried out: what then stands there is what was asked for.
                WriteOutcome::Unknown(why) => {
                    let now = self.cluster.record(&self.key).await?;
                    if let Some(now) = now.filter(|now| now.record.spec == spec) {
                        return Ok(Some(now));
                    }
                    last = why;
                }
            }
        }
        bail!("the record of {} could not be written in {TRIES} tries: {last}", self.key)
    }
}

impl Session {
    async fn write(&self, stored: Option<&Stored>, spec: &Spec) -> anyhow::Result<WriteOutcome> {
        let path = self.key.record();
        if let Some(stored) = stored {
            let change = json!({
                "metadata": {
                    "uid": stored.record.uid,
                    "resourceVersion": stored.resource_version(),
                },
                "spec": patch(&stored.record.spec, spec)?,
            });
            let content = "application/merge-patch+json";
            return Ok(self.cluster.client.write(Method::PATCH, &path, content, &change).await);
        }
        let record = json!({
            "apiVersion": crd::API_VERSION,
            "kind": crd::KIND,
            "metadata": {"name": self.key.name, "namespace": self.key.namespace},
            "spec": spec,
        });
        let path = self.key.records();
        Ok(self.cluster.client.write(Method::POST, &path, "application/json", &record).await)
    }
}

/// A merge patch from one spec to another; fields of other versions stay.
fn patch(before: &Spec, after: &Spec) -> anyhow::Result<Value> {
    let (before, mut after) = (serde_json::to_value(before)?, serde_json::to_value(after)?);
    removed(&before, &mut after);
    Ok(after)
}

fn removed(before: &Value, after: &mut Value) {
    let (Some(before), Some(after)) = (before.as_object(), after.as_object_mut()) else { return };
    for (key, value) in before {
        removed(value, after.entry(key).or_insert(Value::Null));
    }
}

/// Makes `spec` a new generation, which a record acts upon once, where its words are those that
/// stand there already: 0 ends no generation.
pub(super) fn renewed(mut spec: Spec, stored: Option<&Stored>) -> Spec {
    if stored.is_some_and(|stored| stored.record.spec == spec) {
        spec.abort = if spec.abort.is_none() { Some(0) } else { None };
    }
    spec
}

/// Whether the record still carries something out.
pub(super) fn is_live(status: &Status) -> bool {
    status.phase.is_live() && status.request.is_some()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use stateward_core::record::Record;
    use stateward_core::record::{Phase, Target};

    fn spec(template: &str, size: &str) -> Spec {
        let target = Target { storage: size.to_owned() };
        Spec { targets: BTreeMap::from([(template.to_owned(), target)]), ..Spec::default() }
    }

    #[test]
    fn a_patch_takes_away_what_is_not_asked_any_more() {
        let before = Spec { hold: Some(Phase::ClaimsGrown), paused: true, ..spec("data", "1Gi") };
        assert_eq!(
            patch(&before, &spec("wal", "2Gi")).unwrap(),
            json!({
                "targets": {"data": null, "wal": {"storage": "2Gi"}},
                "hold": null,
                "paused": null,
            })
        );
        assert_eq!(patch(&before, &before).unwrap(), serde_json::to_value(&before).unwrap());
    }

    #[test]
    fn asking_the_same_again_is_a_new_generation() {
        let record = Record { spec: spec("data", "1Gi"), ..Record::default() };
        let mut stored = Stored { record, object: Value::Null };
        let again = renewed(spec("data", "1Gi"), Some(&stored));
        assert_eq!(again.abort, Some(0));
        stored.record.spec = again.clone();
        assert_eq!(renewed(again, Some(&stored)), spec("data", "1Gi"));
        assert_eq!(renewed(spec("data", "2Gi"), Some(&stored)), spec("data", "2Gi"));
    }
}
