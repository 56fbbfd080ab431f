//! `stateward resize finish`, `pause`, `resume` and `abort`: edits of what is asked.

use anyhow::bail;

use super::Outcome;
use super::apply::Wait;
use super::ask::renewed;
use super::follow::Goal;
use super::which::{Session, Which};
use crate::cli::print;
use crate::resize::driver::Stored;
use crate::resize::record::{Phase, Reason, Spec};

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
    if status.phase == Phase::Complete {
        print(&format!("Nothing to do: the resize of {} is complete.\n", session.key))?;
        return Ok(Outcome::Clean);
    }
    if status.standing.as_ref().is_some_and(|rest| rest.reason == Reason::DeletedByOther) {
        bail!(
            "somebody deleted StatefulSet {}; apply its manifest with the new size, its claims are \
             still there",
            session.key
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

pub(super) async fn pause(args: &Args) -> anyhow::Result<Outcome> {
    let session = args.which.open().await?;
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
    let change = |_: &Stored, spec: &mut Spec| {
        spec.paused = false;
        spec.abort = None;
        spec.leave_absent = false;
    };
    session.ask(|stored| edited(&session, stored, change)).await?;
    let set = session.cluster.get(&session.key.set()).await?;
    let paused = "/metadata/annotations/stateward.dev~1resize-paused";
    if set.is_some_and(|set| set.pointer(paused).is_some_and(|value| value == "true")) {
        let (namespace, name) = (&session.key.namespace, &session.key.name);
        print(&format!(
            "The set itself is still paused by its annotation; take it off with\n  \
             kubectl -n {namespace} annotate statefulset {name} stateward.dev/resize-paused-\n"
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
    if matches!(phase, Phase::Complete | Phase::Aborted) {
        print(&format!("Nothing to do: the resize of {} is {phase}.\n", session.key))?;
        return Ok(Outcome::Clean);
    }
    let change = |stored: &Stored, spec: &mut Spec| {
        spec.abort = Some(stored.record.generation);
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
    Ok(Outcome::Clean)
}
