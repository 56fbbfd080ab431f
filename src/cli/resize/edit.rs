//! `stateward resize finish`, `pause`, `resume` and `abort`: edits of what is asked.

use std::collections::BTreeMap;

use anyhow::bail;
use hyper::Method;
use serde_json::Value;
use stateward_core::annotations::{RESIZE_ID, RESIZE_PAUSED, RESIZE_REQUESTED, RESIZE_UNFINISHED};
use stateward_core::object::Pointer;
use stateward_core::record::snapshot;
use stateward_core::record::{Halt, Phase, Reason, Record, Spec, Status};
use stateward_core::yaml::printable;
use stateward_resize::body::{BodyError, body};

use super::Outcome;
use super::apply::Wait;
use super::target::{Session, Which};
use super::wait::Goal;
use super::write_spec::renewed;
use crate::cli::{print, print_error};
use crate::cluster::WriteOutcome;
use crate::controller::{Key, Stored};

/// Arguments of `stateward resize pause` and `resume`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub which: Which,
}

/// Arguments of `stateward resize finish`.
#[derive(Debug, clap::Args)]
pub struct FinishArgs {
    #[command(flatten)]
    pub which: Which,
    #[command(flatten)]
    pub wait: Wait,
}

/// Arguments of `stateward resize abort`.
#[derive(Debug, clap::Args)]
pub struct AbortArgs {
    #[command(flatten)]
    pub which: Which,
    /// Give up a set whose re-creation has been refused for five minutes, and leave it absent
    #[arg(long)]
    pub leave_absent: bool,
}

/// The spec of a record that has to be there.
fn edited(
    session: &Session,
    stored: Option<&Stored>,
    edit: impl Fn(&Stored, &mut Spec),
) -> anyhow::Result<Option<Spec>> {
    let Some(stored) = stored else {
        bail!("there is no resize of StatefulSet {}", session.key);
    };
    let mut spec = stored.record.spec.clone();
    edit(stored, &mut spec);
    Ok((spec != stored.record.spec).then_some(spec))
}

pub(super) async fn finish(args: &FinishArgs) -> anyhow::Result<Outcome> {
    let session = args.which.open().await?;
    let before = session.record().await?;
    let status = &before.record.status;
    // In the re-creation window the controller creates the set.
    let ours = matches!(status.phase, Phase::Deleting | Phase::Creating);
    if !ours && session.find_set().await?.is_none() {
        return session.bring_back(&before.record).await;
    }
    let deleted = |halt: &Halt| matches!(halt.reason, Reason::DeletedByOther | Reason::SetGone);
    if status.halt.as_ref().is_some_and(deleted) {
        print(&format!("Nothing to do: StatefulSet {} exists again.\n", session.key))?;
        return Ok(Outcome::Clean);
    }
    if status.phase == Phase::Complete && !before.record.is_unread() {
        print(&format!("Nothing to do: the resize of {} is complete.\n", session.key))?;
        return Ok(Outcome::Clean);
    }
    let by_owner = |halt: &Halt| halt.reason == Reason::OwnerManaged;
    if status.halt.as_ref().is_some_and(by_owner) {
        bail!(
            "an operator owns StatefulSet {}, and would undo a re-creation. `{}` prints what is left \
             to do",
            session.key,
            session.command("status")
        );
    }
    let asked = session
        .ask(|stored| {
            edited(&session, stored, |stored, spec| {
                spec.hold = None;
                spec.abort = None;
                if !stored.record.status.phase.is_live() {
                    *spec = renewed(spec.clone(), Some(stored));
                }
            })
        })
        .await?;
    print(&format!("Asked for: StatefulSet {} is re-created too.\n", session.key))?;
    if !args.wait.wait {
        print(&format!("  look at it: {}\n", session.command("status")))?;
        return Ok(Outcome::Clean);
    }
    let generation = asked.map_or(before.record.generation, |stored| stored.record.generation);
    session.follow(generation, Goal::Complete, args.wait.timeout).await
}

impl Session {
    /// Creates a set that somebody else deleted, as it was copied, with the sizes asked.
    async fn bring_back(&self, record: &Record) -> anyhow::Result<Outcome> {
        let Some(snapshot) = &record.status.snapshot else {
            bail!(
                "StatefulSet {} does not exist, and its resize holds no copy of it; apply its manifest \
                 with the new size",
                self.key
            );
        };
        let request = record.status.request.as_ref();
        let sizes = request.map(|request| request.targets.clone()).unwrap_or_default();
        let set = deleted_set(&snapshot::decode(snapshot)?, &sizes)?;
        let content = "application/json";
        match self.cluster.client.write(Method::POST, &self.key.sets(), content, &set).await {
            WriteOutcome::Committed(_) => {
                print(&format!(
                    "StatefulSet {} is there again, with the sizes asked; claims that are left \
                     are used by its pods.\n",
                    self.key
                ))?;
                Ok(Outcome::Clean)
            }
            WriteOutcome::Rejected(refusal) => {
                print_error(&format!(
                    "StatefulSet {} was not created: {}\n",
                    self.key,
                    printable(&refusal.message)
                ));
                Ok(Outcome::Findings)
            }
            WriteOutcome::Unknown(why) => bail!(
                "whether StatefulSet {} was created is not known ({why}); see whether it is there",
                self.key
            ),
        }
    }
}

/// The set of a snapshot with `sizes`. Its pods went with it, so nothing holds them back.
fn deleted_set(before: &Value, sizes: &BTreeMap<String, String>) -> Result<Value, BodyError> {
    let mut set = body(before, sizes, "", 0)?;
    for field in ["updateStrategy", "persistentVolumeClaimRetentionPolicy"] {
        set["spec"][field] = before["spec"][field].clone();
    }
    if let Some(annotations) =
        set.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut)
    {
        // This set is not created by a re-creation: a mark of one would block the next resize.
        for annotation in [RESIZE_ID, RESIZE_REQUESTED, RESIZE_UNFINISHED] {
            annotations.remove(annotation);
        }
    }
    Ok(set)
}

impl Session {
    async fn is_paused_by_its_set(&self) -> anyhow::Result<bool> {
        let set = self.find_set().await?;
        let paused = Pointer::annotation(RESIZE_PAUSED);
        let paused = |set: Value| set.pointer(paused.as_str()).is_some_and(|value| value == "true");
        Ok(set.is_some_and(paused))
    }

    /// Whether there is nothing to pause or to continue; prints that.
    async fn is_over(&self) -> anyhow::Result<bool> {
        let record = self.record().await?.record;
        let ended = !record.status.phase.is_live() && !record.is_unread();
        let Record { spec, status, .. } = record;
        let over = ended && !spec.paused && spec.abort.is_none_or(|of| of == 0);
        if over {
            let Key { namespace, name } = &self.key;
            print(&format!(
                "Nothing to do: the resize of {namespace}/{name} has ended ({}).\n",
                status.phase
            ))?;
        }
        Ok(over)
    }
}

pub(super) async fn pause(args: &Args) -> anyhow::Result<Outcome> {
    let session = args.which.open().await?;
    if session.is_over().await? {
        return Ok(Outcome::Clean);
    }
    session.ask(|stored| edited(&session, stored, |_, spec| spec.paused = true)).await?;
    print(&format!(
        "Paused. A set that is away is still created again; claims that were raised go on \
         growing.\n  go on: {}\n",
        session.command("resume")
    ))?;
    Ok(Outcome::Clean)
}

pub(super) async fn resume(args: &Args) -> anyhow::Result<Outcome> {
    let session = args.which.open().await?;
    if session.is_over().await? {
        return Ok(Outcome::Clean);
    }
    let change = |_: &Stored, spec: &mut Spec| {
        spec.paused = false;
        spec.abort = None;
        spec.leave_absent = false;
    };
    session.ask(|stored| edited(&session, stored, change)).await?;
    if session.is_paused_by_its_set().await? {
        let Key { namespace, name } = &session.key;
        let off = format!("annotate statefulset {name} {RESIZE_PAUSED}-");
        print(&format!(
            "The set itself is still paused by its annotation; remove it with\n  {}\n",
            session.commands.kubectl_in(namespace, &off)
        ))?;
        return Ok(Outcome::Findings);
    }
    print(&format!("It goes on.\n  look at it: {}\n", session.command("status")))?;
    Ok(Outcome::Clean)
}

pub(super) async fn abort(args: &AbortArgs) -> anyhow::Result<Outcome> {
    let session = args.which.open().await?;
    let before = session.record().await?;
    let phase = &before.record.status.phase;
    // What ended short of it may be asked for again by Git; an abort says not to.
    if matches!(phase, Phase::Complete | Phase::Aborted) && !before.record.is_unread() {
        print(&format!("Nothing to do: the resize of {} is {phase}.\n", session.key))?;
        return Ok(Outcome::Clean);
    }
    let change = |stored: &Stored, spec: &mut Spec| {
        let record = &stored.record;
        // A request that follows an earlier one has no number yet, so an abort could not name it.
        if record.is_unread() && !record.status.phase.is_live() {
            spec.targets.clear();
        }
        spec.abort = Some(record.generation);
        spec.leave_absent = args.leave_absent;
    };
    session.ask(|stored| edited(&session, stored, change)).await?;
    print(&format!(
        "Asked for the end of it. Claims that have grown stay; a set that is away comes back with \
         its old template{}.\n  look at it: {}\n",
        if args.leave_absent {
            ", or stays away where that was refused for five minutes"
        } else {
            ""
        },
        session.command("status")
    ))?;
    if let Some(why) = stuck(&before.record.status) {
        print(&why)?;
    }
    Ok(Outcome::Clean)
}

/// What keeps an abort from bringing the set back, if the garbage collector does.
fn stuck(status: &Status) -> Option<String> {
    let halt = status.halt.as_ref().filter(|halt| halt.reason == Reason::OrphaningStuck)?;
    Some(format!(
        "This takes effect once the set is gone: it is being deleted, and the garbage collector has \
         not finished orphaning what it owns ({}).\n",
        printable(&halt.message)
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stateward_core::record::State;

    use super::*;

    #[test]
    fn a_restored_set_carries_no_mark_of_a_re_creation() {
        let before = json!({
            "metadata": {"name": "db", "namespace": "shop", "uid": "A", "annotations": {
                "team": "a", RESIZE_ID: "R/Z", RESIZE_REQUESTED: "{}", RESIZE_UNFINISHED: "R/Z",
            }},
            "spec": {
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}},
                "persistentVolumeClaimRetentionPolicy": {
                    "whenDeleted": "Delete", "whenScaled": "Retain",
                },
                "volumeClaimTemplates": [{
                    "metadata": {"name": "data"},
                    "spec": {"resources": {"requests": {"storage": "5Gi"}}},
                }],
            },
            "status": {"replicas": 3},
        });
        let sizes = BTreeMap::from([("data".to_owned(), "8Gi".to_owned())]);
        let set = deleted_set(&before, &sizes).unwrap();
        assert_eq!(set["metadata"]["annotations"], json!({"team": "a"}));
        assert_eq!(set["metadata"]["uid"], Value::Null);
        for field in ["updateStrategy", "persistentVolumeClaimRetentionPolicy"] {
            assert_eq!(set["spec"][field], before["spec"][field]);
        }
        let size = "/spec/volumeClaimTemplates/0/spec/resources/requests/storage";
        assert_eq!(set.pointer(size).unwrap(), "8Gi");
    }

    #[test]
    fn an_abort_says_what_it_waits_for() {
        let status = |reason| Status {
            halt: Some(Halt {
                state: State::Waiting,
                reason,
                message: "it still owns ConfigMap settings".to_owned(),
            }),
            ..Status::default()
        };
        let why = stuck(&status(Reason::OrphaningStuck)).unwrap();
        assert!(why.contains("garbage collector") && why.contains("ConfigMap settings"), "{why}");
        assert_eq!(stuck(&status(Reason::MidRollout)), None);
        assert_eq!(stuck(&Status::default()), None);
    }
}
