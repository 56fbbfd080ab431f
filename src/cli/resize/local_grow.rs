//! Growing claims from this process, where no controller does it: the same checks, the same writes,
//! and no record. The set is not touched.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::bail;
use jiff::Timestamp;
use serde_json::Value;
use stateward_core::facts::Fact;
use stateward_core::record::{ClaimStatus, Reason, Record};
use stateward_resize::View;
use stateward_resize::observed::{Memory, Observed};
use stateward_resize::plan::hypothetical_record;
use stateward_resize::preflight::{self, Growth};
use stateward_resize::{Action, Parameters, advice};

use super::Outcome;
use super::screen::{Frame, Line, Screen};
use super::target::{Session, Wanted};
use crate::cli::print;
use crate::cluster::WriteOutcome;
use crate::controller::Stored;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// What one reconcile found.
#[derive(Debug, Default)]
struct Look {
    raise: Vec<Action>,
    growing: bool,
    unbound: Vec<String>,
    stuck: Vec<(String, Reason)>,
}

fn look(view: &View<'_>) -> Result<Look, String> {
    let Some(claims) = preflight::claims(view) else {
        return Err(match &view.observed.claims {
            Fact::Known(_) => String::new(),
            Fact::Unknown(why) => why.clone(),
        });
    };
    let mut look = Look::default();
    for (claim, asked) in claims {
        match preflight::growth(view, claim, asked) {
            Growth::Short(to) => look.raise.push(view.grow(claim, to)),
            Growth::Growing => look.growing = true,
            Growth::Unbound => look.unbound.push(claim.name.clone()),
            Growth::Stuck(reason) | Growth::Failed(reason) => {
                look.stuck.push((claim.name.clone(), reason));
            }
            Growth::Done | Growth::NodePending => {}
        }
    }
    Ok(look)
}

impl Session {
    /// Grows the claims as wanted, and shows it.
    pub(super) async fn grow_here(
        &self,
        wanted: &Wanted,
        timeout: Duration,
    ) -> anyhow::Result<Outcome> {
        let record = self.own_record(wanted);
        let stored = Stored { record, object: Value::Null };
        let parameters = Parameters::default();
        let start = Instant::now();
        let mut screen = Screen::new(Timestamp::now());
        let mut refused = BTreeMap::new();
        // The sizes before, as first seen.
        let mut from = BTreeMap::new();
        loop {
            let memory = Memory { refused_claims: refused.clone(), ..Memory::default() };
            let observed = self.cluster.observe(&self.key, Some(&stored.record), memory).await;
            match &observed.set {
                Fact::Known(Some(set)) if set.uid == wanted.uid => {}
                Fact::Known(_) => bail!("StatefulSet {} is not there any more", self.key),
                Fact::Unknown(why) => bail!("StatefulSet {} could not be read: {why}", self.key),
            }
            let view = View::new(&observed, &stored.record, self.now(), &parameters);
            let look = match look(&view) {
                Ok(look) => look,
                Err(why) => bail!("the claims of {} could not be read: {why}", self.key),
            };
            screen.show(&frame(&view, &observed, &mut from), Timestamp::now())?;
            for action in &look.raise {
                let Action::GrowClaim { claim, .. } = action else { continue };
                match self.cluster.carry_out(&self.key, Some(&stored), action).await {
                    WriteOutcome::Committed(_) | WriteOutcome::Unknown(_) => {}
                    // Somebody wrote the claim in between: the next look sees it.
                    WriteOutcome::Rejected(refusal) if refusal.code == 0 || refusal.code == 409 => {
                    }
                    WriteOutcome::Rejected(refusal) => {
                        refused.insert(claim.clone(), refusal.message);
                    }
                }
            }
            if look.raise.is_empty() && !look.growing {
                return self.ended_here(&look, &refused);
            }
            if start.elapsed() >= timeout {
                let seconds = timeout.as_secs();
                print(&format!(
                    "Not done after {seconds} s. Claims that were raised go on growing.\n"
                ))?;
                return Ok(Outcome::Findings);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A record that is nowhere but here. Its number tells this run's writes from those of others.
    fn own_record(&self, wanted: &Wanted) -> Record {
        let mut record = hypothetical_record(None, &wanted.targets, &wanted.uid);
        "here".clone_into(&mut record.uid);
        if let Some(request) = &mut record.status.request {
            request.number = u64::try_from(self.now().as_millisecond()).unwrap_or_default();
        }
        record
    }

    fn ended_here(
        &self,
        look: &Look,
        refused: &BTreeMap<String, String>,
    ) -> anyhow::Result<Outcome> {
        use std::fmt::Write as _;
        let mut text = String::new();
        for (claim, reason) in &look.stuck {
            let why = refused.get(claim).map_or_else(|| advice::meaning(reason), String::as_str);
            let _ = writeln!(text, "{claim} does not grow: {why}");
        }
        for claim in &look.unbound {
            let _ = writeln!(text, "{claim} is not bound; run this again once it is");
        }
        let clean = text.is_empty();
        if clean {
            text.push_str("All claims have grown as far as their drivers take them.\n");
        }
        let _ = writeln!(
            text,
            "The claim template is as it was: a claim made by scaling up would be of the old size.\n\
             Once a controller runs, this raises it, and restarts no pod:\n  {}",
            self.command("sync")
        );
        print(&stateward_core::yaml::printable(&text))?;
        Ok(if clean { Outcome::Clean } else { Outcome::Findings })
    }
}

fn frame(view: &View<'_>, observed: &Observed, from: &mut BTreeMap<String, String>) -> Frame {
    let claims = preflight::claims(view).unwrap_or_default();
    let lines = claims.into_iter().zip(preflight::rows(view)).map(|((claim, asked), row)| {
        let from = from.entry(claim.name.clone()).or_insert_with(|| claim.request.to_string());
        let target = claim.request.clone().max(asked.clone()).to_string();
        Line::new(&ClaimStatus { from: from.clone(), target, ..row })
    });
    let lines = lines.collect();
    let heading = match &observed.classes {
        Fact::Known(_) => "growing claims from here".to_owned(),
        Fact::Unknown(why) => format!("growing claims from here; classes are not known: {why}"),
    };
    Frame { heading, lines }
}
